//! Choosing: which slot the launcher starts now.
//!
//! Owns that a start of a trial is counted before it happens, and that a version which may not be started never is. A medium that takes
//! no writes ends a trial, since its starts could not be counted, and keeps no confirmed version from starting.

use crate::check::{self, SlotFault};
use crate::slots::Slots;
use crate::state::{Event, Standing, State, Trial};
use crate::{Slot, SlotError};
use std::fmt;
use threshold_bundle::{FileKind, Manifest};

/// What to start.
#[derive(Debug)]
pub struct Choice {
    /// Where.
    pub slot: Slot,
    /// What is there.
    pub manifest: Manifest,
    /// Why.
    pub why: Why,
}

/// Why a slot was chosen.
#[derive(Debug)]
pub enum Why {
    /// It was confirmed.
    Confirmed,
    /// It is on trial.
    Trial {
        /// Starts left after this one.
        left: u8,
    },
    /// It was not confirmed in its starts, and there is nothing to go back to.
    NothingElse(SlotFault),
    /// The version on trial was not confirmed in its starts.
    NotConfirmed(Slot),
    /// An installation was cut off before any version was confirmed.
    NeverConfirmed,
    /// The version that should run may not be started.
    Unfit(Slot, SlotFault),
    /// The start of the version on trial could not be counted.
    NotCounted(Slot, SlotError),
}

impl Choice {
    /// True if the slot has model packs.
    #[must_use]
    pub fn has_packs(&self) -> bool {
        self.manifest.files.iter().any(|file| file.kind == FileKind::Pack)
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, manifest, why } = self;
        write!(f, "version {} in slot {slot}: ", manifest.version)?;
        match why {
            Why::Confirmed => f.write_str("confirmed"),
            Why::Trial { left } => write!(f, "on trial, {left} more starts to be confirmed in"),
            Why::NothingElse(fault) => {
                write!(
                    f,
                    "not confirmed in its starts, but slot {} is no way back: {fault}",
                    slot.other()
                )
            }
            Why::NotConfirmed(other) => {
                write!(f, "gone back, the version in slot {other} was not confirmed in its starts")
            }
            Why::NeverConfirmed => f.write_str("never confirmed, and there is no other"),
            Why::Unfit(other, fault) => write!(f, "slot {other} may not be started: {fault}"),
            Why::NotCounted(other, error) => {
                write!(
                    f,
                    "a start of the version on trial in slot {other} cannot be counted: {error}"
                )
            }
        }
    }
}

impl Slots {
    /// Chooses the slot to start now. Reads every file of it; on return a start of a trial is counted, durably.
    ///
    /// # Errors
    /// [`SlotError::NoVersion`] if neither may be started, and [`SlotError::StateDamaged`]; the door stays locked then.
    pub fn choose(&mut self) -> Result<Choice, SlotError> {
        let state = self.state()?;
        let Some(trial) = state.trial else {
            let first = state.current.unwrap_or(Slot::A);
            return match self.whole(&state, first) {
                Ok(manifest) if state.current.is_some() => {
                    Ok(Choice { slot: first, manifest, why: Why::Confirmed })
                }
                Ok(manifest) => Ok(self.fall_back(state, first, manifest, Why::NeverConfirmed)),
                Err(fault) => self.other_of(state, first, fault),
            };
        };
        let manifest = match self.whole(&state, trial.slot) {
            Ok(manifest) => manifest,
            Err(fault) => return self.other_of(state, trial.slot, fault),
        };
        let why = match self.count(&state, trial) {
            Ok(left) => {
                return Ok(Choice { slot: trial.slot, manifest, why: Why::Trial { left } });
            }
            Err(why) => why,
        };
        let back = trial.slot.other();
        match self.whole(&state, back) {
            Ok(manifest) => Ok(self.fall_back(state, back, manifest, why)),
            Err(fault) => Ok(Choice { slot: trial.slot, manifest, why: Why::NothingElse(fault) }),
        }
    }

    /// Counts a start of a trial; gives how many are left, or why the trial is over.
    fn count(&mut self, state: &State, trial: Trial) -> Result<u8, Why> {
        let left = trial.left.checked_sub(1).ok_or(Why::NotConfirmed(trial.slot))?;
        let mut counted = *state;
        counted.trial = Some(Trial { left, ..trial });
        counted.write(self.medium.as_mut()).map_err(|error| Why::NotCounted(trial.slot, error))?;
        Ok(left)
    }

    /// The other slot, since this one may not be started.
    fn other_of(
        &mut self,
        state: State,
        unfit: Slot,
        fault: SlotFault,
    ) -> Result<Choice, SlotError> {
        let slot = unfit.other();
        match self.whole(&state, slot) {
            Ok(manifest) => Ok(self.fall_back(state, slot, manifest, Why::Unfit(unfit, fault))),
            Err(other) => Err(match unfit {
                Slot::A => SlotError::NoVersion { a: fault, b: other },
                Slot::B => SlotError::NoVersion { a: other, b: fault },
            }),
        }
    }

    /// Starts another slot than the state says, and says so in it where the medium takes that: a version that was confirmed is the
    /// current one; another one is on trial with no start left, so that it may still be confirmed and goes as soon as there is better.
    fn fall_back(&mut self, mut state: State, slot: Slot, manifest: Manifest, why: Why) -> Choice {
        match state.held(slot).standing {
            Standing::Confirmed => (state.current, state.trial) = (Some(slot), None),
            _ => state.trial = Some(Trial { slot, left: 0 }),
        }
        state.untold = Some(Event::WentBack);
        let _ = state.write(self.medium.as_mut());
        Choice { slot, manifest, why }
    }

    fn whole(&self, state: &State, slot: Slot) -> Result<Manifest, SlotFault> {
        check::whole(self.medium.as_ref(), &self.maker, state, slot).map(|(manifest, _)| manifest)
    }
}
