//! Presentation-attack detection: whether a live face stands before the camera.
//!
//! No detector is installed, so every frame is *not assessed*, and `info`, the log and the notices say that a photo
//! opens this door (safety rule 9). A detector takes this function's place.

use threshold_record::Presentation;

/// What a frame can be judged at best.
#[must_use]
pub const fn best_verdict() -> Presentation {
    Presentation::NotAssessed
}
