//! How a model's distances fall, between two people and between two pictures of one: what a forecast is drawn from.
//!
//! Owns the form: distances at fixed rates with the ends of their 95 % intervals, and how the far tail goes on.
//! Refuses to say whose distances: source and protocol stand beside it, where it is shipped.
//! Rates count comparisons of one probe with one template.
//!
//! A table of distances at half decades of FMR says what mean and standard deviation cannot: the tail of impostors,
//! where a door works, is not the normal one.

use crate::template::MAX_SLOTS;
use serde::{Deserialize, Serialize};

/// Knots of the impostors' distances: FMR 1e-1, 10^-1.5, 1e-2, and so on to 1e-5.
pub const N_IMPOSTOR: usize = 9;

/// Knots of the genuine distances.
pub const N_GENUINE: usize = 10;

/// Factors of several templates of one person: of 2, of 3, and so on to as many as a person may have.
pub const N_TEMPLATES: usize = MAX_SLOTS as usize - 1;

/// The factors where nobody measured them: each template errs for itself, which no template does more than.
pub const INDEPENDENT: [Quantile; N_TEMPLATES] = {
    let mut all = [Quantile { at: 1.0, low: 1.0, high: 1.0 }; N_TEMPLATES];
    let (mut place, mut templates) = (0, 2.0);
    while place < N_TEMPLATES {
        all[place] = Quantile { at: templates, low: templates, high: templates };
        (place, templates) = (place + 1, templates + 1.0);
    }
    all
};

fn independent() -> [Quantile; N_TEMPLATES] {
    INDEPENDENT
}

/// The FNMR at each genuine knot: this part of the genuine comparisons lies at that distance or beyond.
pub const GENUINE_FNMR: [f64; N_GENUINE] = [0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];

/// FMR at each knot, the loosest first.
const IMPOSTOR_FMR: [f64; N_IMPOSTOR] = [
    1e-1,
    3.162_277_66e-2,
    1e-2,
    3.162_277_66e-3,
    1e-3,
    3.162_277_66e-4,
    1e-4,
    3.162_277_66e-5,
    1e-5,
];

/// The FMR of a knot; past the last one, the last.
#[must_use]
pub fn impostor_fmr(knot: usize) -> f64 {
    IMPOSTOR_FMR.get(knot).copied().unwrap_or(IMPOSTOR_FMR[N_IMPOSTOR - 1])
}

/// A distance with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantile {
    /// The distance measured.
    pub at: f32,
    /// Lower end.
    pub low: f32,
    /// Upper end.
    pub high: f32,
}

/// How distances fall, on the model's metric.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distributions {
    /// Distance below which each [`impostor_fmr`] of the impostor comparisons lies: it falls from knot to knot.
    pub impostor: [Quantile; N_IMPOSTOR],
    /// How much nearer each further decade of FMR lies beyond the last knot: a fit, not a measurement.
    pub tail: Quantile,
    /// Distance at or beyond which each of [`GENUINE_FNMR`] of the genuine comparisons lies: it grows.
    pub genuine: [Quantile; N_GENUINE],
    /// As many independent comparisons the best of 2 templates of one person errs as, of 3, and so on: from 1 to that many. The
    /// high end, by which thresholds are derived, is that many where nothing better is known of stricter thresholds. A table of before these were measured has [`INDEPENDENT`].
    #[serde(default = "independent")]
    pub templates: [Quantile; N_TEMPLATES],
}

impl Distributions {
    /// True if every distance is one, in the order that its rate has, and inside its interval.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let fits = |one: &Quantile| {
            (0.0..=4.0).contains(&one.low)
                && one.low <= one.at
                && one.at <= one.high
                && one.high <= 4.0
        };
        let falls = |pair: &[Quantile]| matches!(pair, [a, b] if a.at >= b.at && a.low >= b.low && a.high >= b.high);
        let grows = |pair: &[Quantile]| matches!(pair, [a, b] if a.at <= b.at && a.low <= b.low && a.high <= b.high);
        self.impostor.iter().chain(&self.genuine).chain([&self.tail]).all(fits)
            && self.tail.low > 0.0
            && self.templates.iter().zip(&INDEPENDENT).all(|(one, most)| {
                1.0 <= one.low && one.low <= one.at && one.at <= one.high && one.high <= most.high
            })
            && self.templates.windows(2).all(grows)
            && self.impostor.windows(2).all(falls)
            && self.genuine.windows(2).all(grows)
    }
}
