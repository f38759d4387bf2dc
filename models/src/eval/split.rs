//! The two halves of a data set: what may be fitted, and what figures are reported on.
//!
//! Owns the rule, which follows from a person's name alone, so that no run, order or subset moves anybody across.
//! Refuses to know why somebody asks: constants are measured on the fit half, figures are of the check half, and nothing
//! is tuned on that.

use serde::Serialize;

/// A half of the people of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Half {
    /// What constants are measured on.
    Fit,
    /// What figures are reported on.
    Check,
}

impl Half {
    /// The half of a person: by the lowest bit of the first byte of the name's BLAKE3.
    #[must_use]
    pub fn of(person: &str) -> Self {
        match blake3::hash(person.as_bytes()).as_bytes()[0] & 1 {
            0 => Self::Fit,
            _ => Self::Check,
        }
    }

    /// Its name in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Check => "check",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_never_move_and_are_about_as_large() {
        // Constants in the packs were measured on the fit half as it is; these names hold the rule.
        let names = ["Ada_Lovelace", "Grace_Hopper", "Emmy_Noether", "Mary_Jackson"];
        let expected = [Half::Check, Half::Fit, Half::Check, Half::Check];
        assert_eq!(names.map(Half::of), expected);
        let fit = (0..2000).filter(|i| Half::of(&format!("Person_{i}")) == Half::Fit).count();
        assert!((900..1100).contains(&fit), "{fit}");
    }
}
