//! The two slots that a unit runs from: one version in each, of which one runs, and the state that says which.
//!
//! ```text
//! <folder>/state.0     what is known of the slots, 136 bytes (`state.rs` draws them)
//! <folder>/state.1     the same again
//! <folder>/a/          a version: the files of a bundle under the names of its manifest,
//!   KEYS KEYS.sig MANIFEST MANIFEST.sig        the texts that bind them,
//!   threshold-edge packs/* kernels/* ...
//! <folder>/b/          another version, or nothing
//! <folder>/lock        held by the one process that may change any of it
//! ```
//! A version goes `install` -> on trial -> `confirm`, or back:
//!
//! 1. [`Slots::install`] checks the whole bundle, says in the state that the slot which does not run is empty, fills it, reads
//!    it back from the medium, checks it again, and only then says that it is on trial with [`TRIAL_BOOTS`] starts.
//! 2. [`Slots::choose`] is asked by the launcher at each start. A start of a trial is counted, durably, before anything of the
//!    version is read or runs; when none is left the version before runs again. [`Slots::look`] chooses the same for a command that
//!    is no start, and writes nothing.
//! 3. [`Slots::confirm`] is called by the version on trial once it has found every part in order. Only then the security counter
//!    advances: from then on nothing below it is chosen or taken.
//! 4. [`Slots::revert`] ends a trial, or goes back to the version that was confirmed before.
//!
//! Each of these writes down what happened as [`Event`], which the unit makes a log entry of and then calls [`Slots::told`];
//! what a power cut kept from being told is told at the next start.
//! Kept data (gallery, log, keys) lies elsewhere: both versions open the same, so that going back brings back nobody.
//!
//! Every byte of a slot is held against the signed manifest at every start, which also brings the files into memory for who needs
//! them next; `ARCHITECTURE.md` says what that costs.
//! Owns which version runs. Refuses to start anything whose signatures, board, counter or bytes are not right, to write into the slot
//! that runs, and to give up the only version that could be gone back to. Refuses to know a line or a camera.
#![forbid(unsafe_code)]

mod check;
mod choose;
mod folder;
mod install;
pub mod maker;
pub mod medium;
pub mod mock;
mod rest;
mod slots;
mod state;

pub use check::SlotFault;
pub use choose::{Choice, Why};
pub use folder::{Folder, MAKER_VARIABLE, SLOT_VARIABLE};
pub use maker::Maker;
pub use medium::Medium;
pub use rest::rest;
pub use slots::{SlotStatus, Slots, Status};
pub use state::{Event, Standing, Trial};

use std::fmt;
use std::io;
use threshold_bundle::BundleError;

/// Starts that a version on trial has to be confirmed in.
pub const TRIAL_BOOTS: u8 = 3;

/// The program of a slot that the launcher starts.
pub const PROGRAM: &str = "threshold-edge";

/// Where the unit's package puts the launcher, as what helps names it.
pub const LAUNCHER: &str = "/usr/lib/threshold/threshold-launch";

/// One of the two slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// `a`.
    A,
    /// `b`.
    B,
}

impl Slot {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// Its name, which is the folder's.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// The slot of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::BOTH.into_iter().find(|slot| slot.name() == name)
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why something was not done to the slots.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// The medium, or the folder.
    #[error(
        "cannot {what}: {source}; check the medium, and that the unit's user may write the folder"
    )]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process works on the slots.
    #[error("another process uses the slots: stop the unit first, or ask it over its line")]
    Busy,
    /// Neither copy of the state is whole. The security counter and the serial of the list of keys are lost with it, and no slot says
    /// what they were: a version on trial has a counter that was never confirmed.
    #[error(
        "both copies of the slots' state are damaged or missing, so that nobody can say what may run, and the security counter and the \
         list of revoked keys are lost: remove state.0, state.1, a and b of the slots' folder, then install the newest bundle of the \
         unit's maker, since an older one would be taken too (runuser -u threshold -- {LAUNCHER} install BUNDLE)"
    )]
    StateDamaged,
    /// The file that says who made the unit.
    #[error(
        "{path} does not say who made the unit: {what}; put the one of the unit's package back, which dpkg does not do by itself: \
         sudo rm -f {path} && sudo dpkg -i --force-confmiss PACKAGE"
    )]
    Maker {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The bundle is not taken; no slot was touched.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The running version is on trial, and what would be written over is the only way back.
    #[error(
        "the running version is on trial in slot {slot}, and the other slot is the way back: wait until it is confirmed, or revert"
    )]
    OnTrial {
        /// Where it is.
        slot: Slot,
    },
    /// The running version was never confirmed and is on trial no more: what would be written over is the version that the next start
    /// chooses.
    #[error(
        "the running version was never confirmed, and slot {slot} holds the version that the next start goes back to: start the unit \
         again, then install"
    )]
    GoingBack {
        /// Where that version is.
        slot: Slot,
    },
    /// What was written is not what is read; the slot counts as empty.
    #[error("slot {slot} does not hold what was written into it: {fault}; check the medium")]
    NotAsWritten {
        /// Which.
        slot: Slot,
        /// What is wrong with it.
        fault: SlotFault,
    },
    /// The running version is not on trial.
    #[error("the running version is not on trial: there is nothing to confirm")]
    NothingToConfirm,
    /// The running version's own texts are not right any more.
    #[error("the running version in slot {slot} cannot be confirmed: {fault}; install it again")]
    Unfit {
        /// Which.
        slot: Slot,
        /// What is wrong with it.
        fault: SlotFault,
    },
    /// There is no version to go back to.
    #[error("there is no version to go back to: slot {slot}: {fault}")]
    NoWayBack {
        /// Where it would be.
        slot: Slot,
        /// What is wrong with it.
        fault: SlotFault,
    },
    /// Neither slot may be started.
    #[error(
        "no version may be started, and the door stays locked: slot a: {a}; slot b: {b}; install one with runuser -u threshold -- {LAUNCHER} install BUNDLE"
    )]
    NoVersion {
        /// Slot a.
        a: SlotFault,
        /// Slot b.
        b: SlotFault,
    },
}

impl SlotError {
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io { what, source }
    }
}
