//! Choosing: which slot the launcher starts now.
//!
//! Owns that a start of a trial is counted before it happens and before its version is read, and that a version which may not be
//! started never is. A medium that takes no writes ends a trial, since its starts could not be counted, and keeps no confirmed version
//! from starting.

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

/// What a version is chosen for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    /// A start of the unit, which counts and is written down.
    Start,
    /// A command of the version, which leaves everything as it is.
    Command,
}

impl Slots {
    /// Chooses the slot to start now. Reads every file of it; a start of a trial is counted, durably, before any of them is read, so that
    /// a slot whose reads never end is gone back from as well.
    ///
    /// # Errors
    /// [`SlotError::NoVersion`] if neither may be started, and [`SlotError::StateDamaged`]; the door stays locked then.
    pub fn choose(&mut self) -> Result<Choice, SlotError> {
        self.choose_for(Purpose::Start)
    }

    /// The slot that [`Slots::choose`] would choose, for a command that is no start of the unit: nothing is counted or written.
    ///
    /// # Errors
    /// The same.
    pub fn look(&mut self) -> Result<Choice, SlotError> {
        self.choose_for(Purpose::Command)
    }

    /// True if a slot holds a version that may be started, whatever the state says should run. Reads every file of it.
    ///
    /// # Errors
    /// [`SlotError::StateDamaged`] or [`SlotError::Io`].
    pub fn has_version(&self) -> Result<bool, SlotError> {
        let state = self.state()?;
        let likely = state.trial.map(|trial| trial.slot).or(state.current).unwrap_or(Slot::A);
        Ok([likely, likely.other()].into_iter().any(|slot| self.whole(&state, slot).is_ok()))
    }

    fn choose_for(&mut self, purpose: Purpose) -> Result<Choice, SlotError> {
        let state = self.state()?;
        let Some(trial) = state.trial else {
            let slot = state.current.unwrap_or(Slot::A);
            return match self.whole(&state, slot) {
                Ok(manifest) if state.current.is_some() => {
                    Ok(Choice { slot, manifest, why: Why::Confirmed })
                }
                Ok(manifest) => {
                    let choice = Choice { slot, manifest, why: Why::NeverConfirmed };
                    Ok(self.fall_back(state, choice, purpose))
                }
                Err(fault) => self.other_of(state, slot, fault, purpose),
            };
        };
        let slot = trial.slot;
        let why = match self.count(&state, trial, purpose) {
            Ok(left) => {
                return match self.whole(&state, slot) {
                    Ok(manifest) => Ok(Choice { slot, manifest, why: Why::Trial { left } }),
                    Err(fault) => self.other_of(state, slot, fault, purpose),
                };
            }
            Err(why) => why,
        };
        let fault = match self.whole(&state, slot.other()) {
            Ok(manifest) => {
                let choice = Choice { slot: slot.other(), manifest, why };
                return Ok(self.fall_back(state, choice, purpose));
            }
            Err(fault) => fault,
        };
        match self.whole(&state, slot) {
            Ok(manifest) => Ok(Choice { slot, manifest, why: Why::NothingElse(fault) }),
            Err(unfit) => Err(no_version(slot, unfit, fault)),
        }
    }

    /// Counts a start of a trial; gives how many are left, or why the trial is over.
    fn count(&mut self, state: &State, trial: Trial, purpose: Purpose) -> Result<u8, Why> {
        let left = trial.left.checked_sub(1).ok_or(Why::NotConfirmed(trial.slot))?;
        if purpose == Purpose::Command {
            return Ok(trial.left);
        }
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
        purpose: Purpose,
    ) -> Result<Choice, SlotError> {
        let slot = unfit.other();
        match self.whole(&state, slot) {
            Ok(manifest) => {
                let choice = Choice { slot, manifest, why: Why::Unfit(unfit, fault) };
                Ok(self.fall_back(state, choice, purpose))
            }
            Err(other) => Err(no_version(unfit, fault, other)),
        }
    }

    /// Starts another slot than the state says, and says so in it where the medium takes that: a version that was confirmed is the
    /// current one; another one is on trial with no start left, so that it may still be confirmed and goes as soon as there is better.
    fn fall_back(&mut self, mut state: State, choice: Choice, purpose: Purpose) -> Choice {
        // Where nothing was to run, an installation was cut off before any version was confirmed: nothing is gone back from.
        if state.current.is_some() || state.trial.is_some() {
            state.untold = Some(Event::WentBack);
        }
        match state.held(choice.slot).standing {
            Standing::Confirmed => (state.current, state.trial) = (Some(choice.slot), None),
            _ => state.trial = Some(Trial { slot: choice.slot, left: 0 }),
        }
        if purpose == Purpose::Start {
            let _ = state.write(self.medium.as_mut());
        }
        choice
    }

    fn whole(&self, state: &State, slot: Slot) -> Result<Manifest, SlotFault> {
        check::whole(self.medium.as_ref(), &self.maker, state, slot).map(|(manifest, _)| manifest)
    }
}

/// Neither a slot, for its fault, nor the other one, for that one's.
fn no_version(slot: Slot, fault: SlotFault, other: SlotFault) -> SlotError {
    match slot {
        Slot::A => SlotError::NoVersion { a: fault, b: other },
        Slot::B => SlotError::NoVersion { a: other, b: fault },
    }
}
