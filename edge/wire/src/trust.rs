//! The messages of trust: who the unit is, and what it signs for whoever keeps its log.
//!
//! Owns no check of a signature: the bytes are the store's, which both ends read with the same code.
//! Refuses to be answered to strangers: an identity that was heard in the open proves nothing.

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Bytes of a signed checkpoint.
pub const CHECKPOINT_BYTES: usize = 160;

/// Who signs the unit's checkpoints and receipts. Whoever was paired keeps it, and takes no other one for the unit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Identity {
    /// The unit's public signing key, Ed25519.
    pub key: [u8; 32],
    /// The store's id: another one is another log, though the unit may be the same.
    pub store_id: [u8; 16],
}

/// Asks for a signed checkpoint of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct CheckpointGet {
    /// Of which place.
    pub place: CheckpointPlace,
}

/// A place in the log that the unit signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum CheckpointPlace {
    /// Behind the last entry.
    Head,
    /// Right before the oldest entry that is still there: where a host begins that has nothing before it.
    BeforeOldest,
}

/// A checkpoint, signed by the unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct CheckpointGot {
    /// Its bytes, as the store draws them.
    pub bytes: Vec<u8, CHECKPOINT_BYTES>,
}

/// Asks the unit to let go of its oldest entries, which the host has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LogPrune {
    /// The first entry that stays, whatever else may go.
    pub before: u64,
    /// A checkpoint that the unit signed: no entry behind it goes.
    pub checkpoint: Vec<u8, CHECKPOINT_BYTES>,
}

/// What the unit let go of, durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LogPruned {
    /// How many entries went; 0 if there were none that may.
    pub entries: u64,
    /// Sequence of the oldest entry that is there now; 0 for an empty log.
    pub oldest: u64,
    /// Sequence of the entry that tells of it; 0 if none went.
    pub entry: u64,
}
