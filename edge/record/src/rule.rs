//! The rule by which a unit comes to its threshold: what its owner settles, as flash and wire carry it.
//!
//! Owns the default. Refuses to derive: `policy::rule` does that, from the model's distributions and the gallery's size.

use crate::{ModelId, Threshold};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// How a unit comes to the threshold of identification (1:N).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, Schema)]
pub enum ThresholdRule {
    /// Derived anew with each change of the gallery, so that strangers are admitted no more often than this.
    Target {
        /// The part of strangers' visits that may end in an admission (FPIR): above 0, at most [`ThresholdRule::FPIR_MOST`].
        fpir: f64,
    },
    /// As it is, whatever the gallery holds: the owner takes the risk that strangers are admitted.
    Fixed {
        /// The model whose scores the threshold is on; of another model it says nothing.
        model: ModelId,
        /// The threshold.
        threshold: Threshold,
    },
}

impl ThresholdRule {
    /// The loosest FPIR that a target may ask for: a door that lets in more than one stranger in ten is none.
    pub const FPIR_MOST: f64 = 0.1;

    /// What holds until an owner settles something else: one stranger's visit in a thousand.
    ///
    /// Tighter is hardly to be had from what was measured: at 1e-4 FaceNet would arm with four templates and dlib with two
    /// (ARCHITECTURE, "The threshold").
    pub const DEFAULT: Self = Self::Target { fpir: 1e-3 };
}
