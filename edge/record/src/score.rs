//! Scores, thresholds and the metric that ties a score to a distance.

use core::fmt;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// What a model's distance measures (paper 3.2: squared L2 on the unit sphere; dlib: L2, not unit).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Metric {
    /// Squared Euclidean distance of unit vectors, 0 to 4; score = 1 - distance / 2, the cosine.
    SquaredL2,
    /// Euclidean distance of vectors that are not unit, 0 and up; score = 1 - distance.
    L2,
}

impl Metric {
    /// The score of a distance; falls as the distance grows.
    #[must_use]
    pub fn score(self, distance: f32) -> Score {
        Score(match self {
            Self::SquaredL2 => 1.0 - distance / 2.0,
            Self::L2 => 1.0 - distance,
        })
    }

    /// The distance of a score; the inverse of [`Metric::score`].
    #[must_use]
    pub fn distance(self, score: Score) -> f32 {
        match self {
            Self::SquaredL2 => 2.0 * (1.0 - score.0),
            Self::L2 => 1.0 - score.0,
        }
    }

    /// The unit to print beside a distance.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::SquaredL2 => "squared L2",
            Self::L2 => "L2",
        }
    }
}

/// Similarity of two faces on the model's own metric; higher is more alike, 1 is the same vector.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, Schema)]
pub struct Score(pub f32);

impl Score {
    /// One unit of the log's fixed-point form: 1 / 16384, so that an i16 covers -2 to 2.
    pub const FIXED_ONE: f32 = 16384.0;

    /// The log's fixed-point form, rounded to nearest, saturated; a NaN becomes the lowest score.
    #[must_use]
    pub fn to_fixed(self) -> i16 {
        if self.0.is_nan() {
            return i16::MIN;
        }
        let scaled = self.0 * Self::FIXED_ONE;
        // `as` saturates; the half is added by sign because core has no f32::round.
        (if scaled >= 0.0 { scaled + 0.5 } else { scaled - 0.5 }) as i16
    }

    /// The score of the log's fixed-point form.
    #[must_use]
    pub fn from_fixed(fixed: i16) -> Self {
        Self(f32::from(fixed) / Self::FIXED_ONE)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

/// The score at or above which a candidate is accepted.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, Schema)]
pub struct Threshold(pub Score);

impl Threshold {
    /// True if the score is accepted; false for a NaN.
    #[must_use]
    pub fn accepts(self, score: Score) -> bool {
        score.0 >= self.0.0
    }
}
