//! `[door]`: what the unit moves and feels.

use serde::Deserialize;

/// `[door]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {}
