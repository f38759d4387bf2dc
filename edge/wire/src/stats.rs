//! The message about how the unit's loop fares: what it took, what it decided, and how long its stages take.
//!
//! Owns no judgement: whether a figure is good is its reader's to say. Refuses anything of a person.

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Kinds of decisions in one answer; there are far fewer.
pub const DECISION_KINDS: usize = 32;

/// How the loop has fared since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Stats {
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Frames that the camera gave.
    pub frames: u64,
    /// Frames that the camera had and that came too late to be taken; 0 of a camera that does not tell.
    pub dropped: u64,
    /// Frames in which faces were looked for; the others showed what the last look had shown, while nobody was there.
    pub searched: u64,
    /// Visits that began.
    pub visits: u64,
    /// Decisions by reason; reasons that never were are left out.
    pub decisions: Vec<DecisionCount, DECISION_KINDS>,
    /// Detection.
    pub detect: StageTime,
    /// Embedding and search; detection too where the engine does all in one go.
    pub embed: StageTime,
    /// A frame from the camera to the end of what follows from it.
    pub frame: StageTime,
    /// Memory that the process has resident; `None` where the system does not tell.
    pub resident_bytes: Option<u64>,
    /// The unit's temperature, of its hottest thermal zone or of the configured one, thousandths of a degree Celsius; `None` where the
    /// system tells none.
    pub temperature_mc: Option<i32>,
    /// What follows from it.
    pub heat: HeatState,
}

/// What follows from a unit's temperature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum HeatState {
    /// Nothing.
    #[default]
    Normal,
    /// It is hot: it searches two frames a second for faces at most, and rests as long as it computed.
    Throttled,
    /// It is too hot to compute: it is at fault, and the door stays locked.
    Critical,
}

/// How often a reason ended a visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct DecisionCount {
    /// The reason's code in the log; 0 is an admission. A code, so that a reason added later leaves this message as it is.
    pub reason: u8,
    /// Decisions.
    pub count: u64,
}

/// How long a stage took, over the last calls of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct StageTime {
    /// Calls that the figures are of; with 0 they say nothing.
    pub calls: u32,
    /// Half of the calls took no longer, microseconds.
    pub p50_us: u32,
    /// 19 of 20 calls took no longer, microseconds.
    pub p95_us: u32,
}
