//! `[door]`: what the unit moves and feels.

use serde::{Deserialize, Serialize};

/// `[door]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {}
