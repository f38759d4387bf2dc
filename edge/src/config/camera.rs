//! `[camera]`: what the unit sees with.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[camera]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// A folder, in which every picture that appears is a visit; empty if nobody named it.
    pub source: PathBuf,
}
