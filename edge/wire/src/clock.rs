//! The messages about the clock: what it shows, and an owner's setting of it.
//!
//! Owns no time zone: a unit's times are UTC.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::WallTime;

/// The clock of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ClockInfo {
    /// What it shows; trusted once an owner set it, until the unit's next start.
    pub wall: WallTime,
    /// The latest trusted time before this start, or before the clock was last set, milliseconds since 1970; no time of the unit
    /// lies before it. 0 if there was none.
    pub latest_ms: u64,
}

/// Sets the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct ClockSet {
    /// The time, milliseconds since 1970-01-01 UTC.
    pub unix_ms: u64,
}
