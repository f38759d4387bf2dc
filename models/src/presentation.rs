//! Presentation-attack detection: whether a live face stands before the camera.
//!
//! Owns what says so, for the unit, and for the evaluation that counts how often it is wrong.
//! No detector is installed, so every face is *not assessed*, and `info`, the log and the notices say that a photo
//! opens this door (safety rule 9). A detector pack fills [`installed`].

use crate::engine::Detection;
use crate::frame::Frame;
use threshold_record::Presentation;

/// What judges presentations. The face detector finds faces; this one says what each is.
pub trait AttackDetector: Send {
    /// What it is called in reports.
    fn name(&self) -> &str;

    /// Judges a face of a frame. One that it can say nothing of is [`Presentation::NotAssessed`], which counts as no live face where a
    /// detector is installed.
    fn assess(&mut self, frame: &Frame, face: &Detection) -> Presentation;
}

/// The detector that is installed; `None` if none is.
#[must_use]
pub fn installed() -> Option<Box<dyn AttackDetector>> {
    None
}

/// What a face can be judged at best, with a detector or without one.
#[must_use]
pub const fn best_verdict(is_installed: bool) -> Presentation {
    if is_installed { Presentation::Live } else { Presentation::NotAssessed }
}

/// Judges a face of a frame, by the detector if there is one.
#[must_use]
pub fn assess(
    detector: &mut Option<Box<dyn AttackDetector>>,
    frame: &Frame,
    face: &Detection,
) -> Presentation {
    detector.as_mut().map_or(Presentation::NotAssessed, |detector| detector.assess(frame, face))
}
