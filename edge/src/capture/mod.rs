//! Capture: where the unit's frames come from.
//!
//! A folder of pictures is the only camera of this version; V4L2 comes beside it.

mod replay;

pub use replay::Replay;
