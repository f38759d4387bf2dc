//! The cascade: from a frame to detections, with the semantics of facenet-pytorch 2.5.3, written once.
//!
//! Owns every rounding, `+1`, threshold, order and tie-break between the networks.
//! Refuses to do the networks' arithmetic: an engine lends it through [`StageNets`].
//! Terms: a *level* is one rescaled frame, a *proposal* is a box that survived an early stage, with its score.

pub mod nets;

pub use nets::{ONetOutput, PNetMap, RNetOutput, StageNets};

/// What the cascade is asked for. The default is the reference's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CascadeOptions {
    /// Side of the smallest face looked for, in frame pixels; at least 12 is useful.
    pub min_face_px: f64,
    /// Stage scores that a proposal must reach: P-Net (at or above), R-Net and O-Net (above).
    pub thresholds: [f32; 3],
    /// Ratio between one pyramid level and the one before it.
    pub factor: f64,
}

impl Default for CascadeOptions {
    fn default() -> Self {
        Self { min_face_px: 20.0, thresholds: [0.6, 0.7, 0.7], factor: 0.709 }
    }
}
