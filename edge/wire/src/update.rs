//! The update: what a unit's slots hold, a bundle on its way to it, and how a trial ends.
//!
//! Paths and schemas of these rows are frozen at version 1 for ever, and with them the packets of [`crate::bulk`] and the frames
//! below: a host that is one version off can still look at a unit and, as its owner, update it. So no message here grows; what is
//! not foreseen becomes a row of its own.
//! What may become more is a number whose meaning is written here: a slot's state, what an owner accepts, why the unit says no.
//! A number that a host does not know it shows as it is, with the unit's own words.
//! Refuses with a [`UpdateRefusal`] of its own and never with a [`crate::RequestError`], whose key changes with every new error.
#![allow(clippy::large_enum_variant, reason = "one at a time, and there is no heap to box it on")]

use crate::bulk::{Content, Progress, Window};
use core::fmt;
use heapless::{String, Vec};
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// What a unit runs and could run. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Slots {
    /// What the unit is, as a bundle's manifest has it.
    pub compatible: String<64>,
    /// The least security counter that it takes.
    pub counter: u64,
    /// The public release key that it believes, Ed25519.
    pub release_key: [u8; 32],
    /// The newest list of build keys that it has seen.
    pub serial: u64,
    /// The longest content that it takes, bytes.
    pub longest: u64,
    /// Digest of the embedder's pack; zeros if none is loaded.
    pub model: [u8; 32],
    /// People who have templates of that model.
    pub people: u32,
    /// Its slots.
    pub slots: Vec<Slot, 2>,
}

/// One slot. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Slot {
    /// Its name.
    pub name: String<8>,
    /// The version in it; empty if there is none.
    pub version: String<64>,
    /// One of the numbers of [`SlotState`].
    pub state: u8,
    /// The unit runs from it.
    pub running: bool,
    /// Its security counter.
    pub counter: u64,
    /// Trial boots that are left before the other slot is started.
    pub trials_left: u8,
    /// BLAKE3 of its manifest; zeros if there is none.
    pub bundle: [u8; 32],
    /// What else there is to say of it, in words: why its trial failed.
    pub said: String<160>,
}

/// How a slot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SlotState {
    /// Nothing is in it.
    Empty = 0,
    /// It was confirmed and may be started.
    Confirmed = 1,
    /// It is tried, or will be at the next start.
    Trial = 2,
    /// Its trial failed, or it was reverted.
    Failed = 3,
    /// It is older than what the unit may run.
    TooOld = 4,
    /// It is not as it was installed.
    Damaged = 5,
}

impl SlotState {
    /// The state of a number; `None` if a later version made it.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Empty,
            1 => Self::Confirmed,
            2 => Self::Trial,
            3 => Self::Failed,
            4 => Self::TooOld,
            5 => Self::Damaged,
            _ => return None,
        })
    }
}

/// What the unit told of its slots. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum SlotsTold {
    /// This.
    Told(Slots),
    /// Nothing.
    Refused(UpdateRefusal),
}

/// Offers a bundle, or what makes one of what the unit runs. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct UpdatePush {
    /// The whole.
    pub content: Content,
    /// What the host can send.
    pub window: Window,
}

/// Whether the unit takes it. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum UpdatePushed {
    /// It does.
    Go {
        /// Number of the transfer.
        transfer: u8,
        /// What is under way at once.
        window: Window,
        /// What of this content has arrived before.
        progress: Progress,
    },
    /// It does not.
    Refused(UpdateRefusal),
}

/// Install what was pushed, and start it on trial. Asked again and again until it is done. Frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct UpdateApply {
    /// BLAKE3 of the whole that was pushed.
    pub hash: [u8; 32],
    /// What the owner accepts, a bit each; the unit refuses one that it does not know.
    pub accepts: u32,
}

impl UpdateApply {
    /// Everybody must be enrolled again, since the bundle brings another embedder.
    pub const RE_ENROL: u32 = 1;
}

/// How far the unit is with it. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum UpdateApplied {
    /// It is being checked or written.
    Working {
        /// Hundredths that are done.
        percent: u8,
    },
    /// It is in a slot, durable, and the unit ends its process to start it on trial.
    Installed,
    /// No slot was touched.
    Refused(UpdateRefusal),
}

/// Whether a trial was ended as the owner wished. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum UpdateEnded {
    /// It was, durably.
    Done,
    /// It was not.
    Refused(UpdateRefusal),
}

/// The unit says no: a number for programs, and words, with the remedy, for people. Frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct UpdateRefusal {
    /// One of the numbers below, or of a later version's.
    pub code: u16,
    /// Why, and what helps.
    pub text: String<480>,
}

impl UpdateRefusal {
    /// Whoever asks may not.
    pub const NOT_ALLOWED: u16 = 1;
    /// The unit was not started from a slot.
    pub const NO_SLOTS: u16 = 2;
    /// Something else is being installed.
    pub const BUSY: u16 = 3;
    /// It does not fit.
    pub const NO_ROOM: u16 = 4;
    /// Nothing of that hash has arrived whole.
    pub const NOT_PUSHED: u16 = 5;
    /// The bundle is not one that this unit takes.
    pub const BAD_BUNDLE: u16 = 6;
    /// What was pushed makes a bundle of another one than runs: push the whole.
    pub const OTHER_BASE: u16 = 7;
    /// The bundle brings another embedder, and nobody accepted that.
    pub const RE_ENROL: u16 = 8;
    /// The owner accepts what this unit does not know.
    pub const UNKNOWN_BITS: u16 = 9;
    /// There is no trial to end, or nothing to go back to.
    pub const NO_TRIAL: u16 = 10;
    /// The medium failed.
    pub const FAULT: u16 = 11;
    /// The gallery is none that can lie beside the unit's.
    pub const NOT_BESIDE: u16 = 12;

    /// A refusal with these words.
    #[must_use]
    pub fn new(code: u16, text: &str) -> Self {
        Self { code, text: crate::cut(text) }
    }
}

impl core::error::Error for UpdateRefusal {}

impl fmt::Display for UpdateRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
