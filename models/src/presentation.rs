//! Presentation-attack detection: whether a live face stands before the camera.
//!
//! Owns what says so, for the unit, and for the evaluation that counts how often it is wrong.
//! No detector is installed, so every face is *not assessed*, and `info`, the log and the notices say that a photo
//! opens this door (safety rule 9). A detector takes these functions' place.

use crate::engine::Detection;
use crate::frame::Frame;
use threshold_record::Presentation;

/// The detector that is installed; `None` if none is.
pub const DETECTOR: Option<&str> = None;

/// What a face can be judged at best.
#[must_use]
pub const fn best_verdict() -> Presentation {
    Presentation::NotAssessed
}

/// Judges the first face of a frame.
#[must_use]
pub fn assess(_frame: &Frame, _face: &Detection) -> Presentation {
    best_verdict()
}
