//! The line's speed: both ends begin at [`BASE`], and a host that moves much asks for more.
//!
//! Owns the ladder of speeds and the unit's way back: a speed at which nobody is heard is left again, so that a cable that
//! cannot carry it, or a host that went away, leaves a unit that the next host reaches.
//! Refuses ports: whoever has one sets it, and reads back what it set.

use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The speed at which every line begins, bits a second.
pub const BASE: u32 = 115_200;

/// The speeds that are tried, from the top: what FTDI's bridges and a Jetson's UARTs divide down to.
pub const LADDER: [u32; 5] = [3_000_000, 1_500_000, 921_600, 460_800, 230_400];

/// How long a unit waits at another speed for the first frame that it can read.
pub const TRIAL_MS: u64 = 1_000;

/// How long it then stays without one: below the patience of the next host's first call, which begins at [`BASE`].
pub const QUIET_MS: u64 = 2_000;

/// Asks for a speed, [`BASE`] or one of [`LADDER`]. It holds once the answer is out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpeedSet {
    /// Bits a second.
    pub baud: u32,
}

/// The speed after this answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct SpeedSettled {
    /// Bits a second: what was asked for, or the one before if that is no speed of the ladder.
    pub baud: u32,
}

/// The unit's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpeedAtUnit {
    /// What the port runs at.
    set: u32,
    /// What it shall run at.
    wanted: u32,
    /// Somebody was heard at this speed.
    proven: bool,
    /// Since when nobody was.
    heard_ms: u64,
}

impl Default for SpeedAtUnit {
    fn default() -> Self {
        Self { set: BASE, wanted: BASE, proven: true, heard_ms: 0 }
    }
}

impl SpeedAtUnit {
    /// A host asks for a speed; [`SpeedAtUnit::due`] gives it once the answer is out.
    pub fn asked(&mut self, request: SpeedSet) -> SpeedSettled {
        if request.baud == BASE || LADDER.contains(&request.baud) {
            self.wanted = request.baud;
        }
        SpeedSettled { baud: self.wanted }
    }

    /// What the port runs at, bits a second.
    #[must_use]
    pub const fn baud(&self) -> u32 {
        self.set
    }

    /// A frame came that is the host's.
    pub fn heard(&mut self, now_ms: u64) {
        self.heard_ms = now_ms;
        self.proven = true;
    }

    /// The speed that the port is to be set to now, if it is to be set.
    pub fn due(&mut self, now_ms: u64) -> Option<u32> {
        if self.wanted == self.set && self.set != BASE {
            let patience = if self.proven { QUIET_MS } else { TRIAL_MS };
            if now_ms.saturating_sub(self.heard_ms) >= patience {
                self.wanted = BASE;
            }
        }
        if self.wanted == self.set {
            return None;
        }
        (self.set, self.proven, self.heard_ms) = (self.wanted, false, now_ms);
        Some(self.set)
    }

    /// The port does not run at the speed that was due: it was set to [`BASE`].
    pub fn failed(&mut self) {
        *self = Self::default();
    }
}
