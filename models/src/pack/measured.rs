//! Score distributions of the published weights, measured on the fit half of the LFW development folds.
//!
//! Owns the constants, by the digest of the folded weights. They stand here and not in the packs: a pack's id is the hash of
//! its bytes, every template carries it, and a measurement repeated on more people must not lock a door until everybody is
//! enrolled anew. Nor could a pack hold what was measured with it, since putting it in makes another pack.
//! A pack made elsewhere, of other weights, may carry its own.
//!
//! Written by `threshold eval verify --half fit` (key `distributions`); `cargo xtask soak evaluation` says when they no
//! longer agree.

use super::meta::ScoreStats;
use threshold_record::distribution::{N_GENUINE, N_IMPOSTOR, N_TEMPLATES};
use threshold_record::{Distributions, Quantile};

/// Digests of the weights, as `import::known` checks them.
const FACENET: &str = "d407d4575ee7dbc7bda8828c72f6c8a31eeff8bacc5200904c08d75756e49062";
const DLIB: &str = "bcf1240b9e3842402c78ec8bdb28955eb18b9326ca7ee41ff0daa906ddf53594";

/// What was measured with the weights of a digest.
pub(super) fn of(digest: &str) -> Option<ScoreStats> {
    let table = match digest {
        FACENET => &FACENET_TABLE,
        DLIB => &DLIB_TABLE,
        _ => return None,
    };
    Some(ScoreStats { distributions: table.distributions(), source: SOURCE.to_owned() })
}

const SOURCE: &str = "fit half (by name) of the people of the five LFW development folds, deep-funneled pictures, MTCNN faces, \
    every two people counted once; 95 % intervals by 1,000 bootstrap resamples of people; tail fitted below FMR 1e-4";

/// Distances as measured, low end, high end.
type Row = [f32; 3];

struct Table {
    impostor: [Row; N_IMPOSTOR],
    tail: Row,
    genuine: [Row; N_GENUINE],
    /// Factors of 2 to 8 templates of one person.
    templates: [Row; N_TEMPLATES],
}

impl Table {
    fn distributions(&self) -> Distributions {
        let quantile = |[at, low, high]: Row| Quantile { at, low, high };
        Distributions {
            impostor: self.impostor.map(quantile),
            tail: quantile(self.tail),
            genuine: self.genuine.map(quantile),
            templates: self.templates.map(quantile),
        }
    }
}

const FACENET_TABLE: Table = Table {
    impostor: [
        [1.5308, 1.5234, 1.5385],
        [1.3364, 1.3268, 1.3462],
        [1.1683, 1.1559, 1.1806],
        [1.0178, 0.9948, 1.0366],
        [0.8858, 0.8539, 0.9164],
        [0.7670, 0.7205, 0.8061],
        [0.6711, 0.6152, 0.7098],
        [0.5756, 0.5404, 0.6491],
        [0.5199, 0.1856, 0.5819],
    ],
    tail: [0.1754, 0.1100, 0.2573],
    genuine: [
        [0.2008, 0.1841, 0.2235],
        [0.3315, 0.3099, 0.3509],
        [0.4255, 0.4058, 0.4375],
        [0.5217, 0.4896, 0.5536],
        [0.6075, 0.5740, 0.6568],
        [0.7772, 0.7038, 0.8270],
        [0.8867, 0.8350, 0.9640],
        [1.0214, 0.9433, 1.1346],
        [1.1365, 1.0181, 1.3900],
        [1.3900, 1.0491, 1.8212],
    ],
    templates: [
        [1.5971, 1.4178, 2.0],
        [2.1160, 1.7724, 3.0],
        [2.2212, 1.7829, 4.0],
        [2.4534, 1.8621, 5.0],
        [2.6035, 1.9077, 6.0],
        [2.7115, 1.9556, 7.0],
        [3.7115, 2.9556, 8.0],
    ],
};

const DLIB_TABLE: Table = Table {
    impostor: [
        [0.7107, 0.7077, 0.7139],
        [0.6603, 0.6572, 0.6632],
        [0.6183, 0.6146, 0.6218],
        [0.5795, 0.5731, 0.5849],
        [0.5417, 0.5287, 0.5519],
        [0.5056, 0.4912, 0.5190],
        [0.4750, 0.4609, 0.4909],
        [0.4471, 0.4236, 0.4684],
        [0.4100, 0.2886, 0.4471],
    ],
    tail: [0.0584, 0.0400, 0.0924],
    genuine: [
        [0.3260, 0.2986, 0.3418],
        [0.3933, 0.3808, 0.3997],
        [0.4316, 0.4219, 0.4386],
        [0.4735, 0.4630, 0.4807],
        [0.4935, 0.4868, 0.5027],
        [0.5291, 0.5174, 0.5474],
        [0.5703, 0.5550, 0.5875],
        [0.6104, 0.5860, 0.6634],
        [0.6634, 0.6065, 0.7192],
        [0.7192, 0.6196, 0.7331],
    ],
    templates: [
        [1.6860, 1.5185, 2.0],
        [2.2092, 1.9361, 3.0],
        [2.5927, 2.1447, 4.0],
        [2.9423, 2.4932, 5.0],
        [3.1448, 2.6249, 6.0],
        [3.3231, 2.7487, 7.0],
        [4.3231, 3.7487, 8.0],
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_sound() {
        for table in [FACENET_TABLE, DLIB_TABLE] {
            assert!(table.distributions().is_sound());
        }
    }

    #[test]
    fn weights_that_nobody_measured_have_no_table() {
        assert!(of(FACENET).is_some() && of(DLIB).is_some());
        assert!(of("").is_none());
    }
}
