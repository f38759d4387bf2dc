//! The state that the log carries beside its entries, so that what stands elsewhere cannot be put back unseen (safety rules
//! 3 to 5).
//!
//! ```text
//! 0 boot u32 | 4 gallery's generation u64 | 12 administrators' generation u64 | 20 tombstones u32 | 24 last id u32 | 28 lock-out [u8; 4]
//! ```
//! Every batch in which it changed has a record of it, each segment's head the one in force before. A gallery, roster or list
//! of tombstones that stands further back than the log says is an older one. The lock-out lives here: saving it takes one
//! batch and one sync.

use crate::anchor::Anchor;
use crate::bytes::array;
use crate::count::MOST;
use threshold_record::PersonId;

pub(crate) const LEN: usize = 32;

/// How far everything but the log had come when the log was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) boot: u32,
    pub(crate) generation: u64,
    pub(crate) administrators: u64,
    pub(crate) tombstones: u32,
    pub(crate) last_id: PersonId,
    pub(crate) lockout: [u8; 4],
}

impl State {
    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &self.boot.to_le_bytes());
        put(4, &self.generation.to_le_bytes());
        put(12, &self.administrators.to_le_bytes());
        put(20, &self.tombstones.to_le_bytes());
        put(24, &self.last_id.0.to_le_bytes());
        put(28, &self.lockout);
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8; LEN]) -> Self {
        Self {
            boot: u32::from_le_bytes(array(bytes, 0)),
            generation: u64::from_le_bytes(array(bytes, 4)),
            administrators: u64::from_le_bytes(array(bytes, 12)),
            tombstones: u32::from_le_bytes(array(bytes, 20)),
            last_id: PersonId(u32::from_le_bytes(array(bytes, 24))),
            lockout: array(bytes, 28),
        }
    }
}

impl State {
    /// False if it says what no unit reaches.
    pub(crate) fn is_reached(&self) -> bool {
        self.generation.max(self.administrators) <= MOST
    }
}

impl From<&Anchor> for State {
    fn from(anchor: &Anchor) -> Self {
        let Anchor { boot, generation, administrators, tombstones, last_id, lockout, .. } = *anchor;
        Self { boot, generation, administrators, tombstones, last_id, lockout }
    }
}
