//! The slots as who works on them holds them: how they stand, confirming, going back.

use crate::check::{self, SlotFault};
use crate::medium::Medium;
use crate::state::{Event, Standing, State, Trial};
use crate::{Folder, Maker, Slot, SlotError};
use std::path::Path;
use threshold_bundle::{FileEntry, FileKind};

/// The slots of a unit.
pub struct Slots {
    pub(crate) medium: Box<dyn Medium>,
    pub(crate) maker: Maker,
    pub(crate) running: Option<Slot>,
}

/// How the slots stand.
#[derive(Debug)]
pub struct Status {
    /// a and b.
    pub slots: [SlotStatus; 2],
    /// The one that this process runs from; `None` for a program outside the slots.
    pub running: Option<Slot>,
    /// The one that runs where nothing is on trial; `None` before a first version was confirmed.
    pub current: Option<Slot>,
    /// The version on trial.
    pub trial: Option<Trial>,
    /// The security counter: the least that is chosen or taken.
    pub counter: u64,
    /// Serial of the newest list of build keys that was confirmed.
    pub serial: u64,
    /// What happened and stands in no log entry yet.
    pub untold: Option<Event>,
}

/// How one slot stands.
#[derive(Debug)]
pub struct SlotStatus {
    /// Which.
    pub slot: Slot,
    /// How far its content has come.
    pub standing: Standing,
    /// BLAKE3 of its MANIFEST, which names what is in it; zeros where it is empty.
    pub manifest: [u8; 32],
    /// The version of its manifest, and its security counter; or why it may not be started, as far as its texts say: files are
    /// read by [`Slots::choose`] alone.
    pub version: Result<(String, u64), SlotFault>,
}

impl Status {
    /// True if the version that this process runs from is on trial.
    #[must_use]
    pub fn is_on_trial(&self) -> bool {
        self.running.is_some() && self.running == self.trial.map(|trial| trial.slot)
    }
}

impl Slots {
    /// The slots in a folder, which is made if it is not there; while it is open no other process can open it. `running` is the
    /// slot that this process runs from, `None` for a program outside the slots.
    ///
    /// # Errors
    /// [`SlotError::Busy`] or [`SlotError::Io`].
    pub fn open(folder: &Path, maker: Maker, running: Option<Slot>) -> Result<Self, SlotError> {
        Ok(Self::on(Box::new(Folder::open(folder)?), maker, running))
    }

    /// The slots on any medium.
    #[must_use]
    pub fn on(mut medium: Box<dyn Medium>, maker: Maker, running: Option<Slot>) -> Self {
        State::mend(medium.as_mut());
        Self { medium, maker, running }
    }

    /// Who made the unit.
    #[must_use]
    pub fn maker(&self) -> &Maker {
        &self.maker
    }

    /// How the slots stand; reads a few small files.
    ///
    /// # Errors
    /// [`SlotError::StateDamaged`] or [`SlotError::Io`].
    pub fn status(&self) -> Result<Status, SlotError> {
        let state = self.state()?;
        let slots = Slot::BOTH.map(|slot| SlotStatus {
            slot,
            standing: state.held(slot).standing,
            manifest: state.held(slot).manifest,
            version: check::texts(self.medium.as_ref(), &self.maker, &state, slot)
                .map(|(manifest, _)| (manifest.version, manifest.counter)),
        });
        Ok(Status {
            slots,
            running: self.running,
            current: state.current,
            trial: state.trial,
            counter: state.counter,
            serial: state.serial,
            untold: state.untold,
        })
    }

    /// Confirms the version that this process runs from and that is on trial: it is the current one from now on, and the security
    /// counter is at least its own. Durable on return. Leaves [`Event::Confirmed`] to be told.
    ///
    /// # Errors
    /// [`SlotError::NothingToConfirm`] if it is not on trial; [`SlotError::Unfit`] if its own texts are not right any more.
    pub fn confirm(&mut self) -> Result<Slot, SlotError> {
        let mut state = self.state()?;
        let running = self.running.filter(|&slot| state.trial.is_some_and(|t| t.slot == slot));
        let slot = running.ok_or(SlotError::NothingToConfirm)?;
        let (manifest, keys) = check::texts(self.medium.as_ref(), &self.maker, &state, slot)
            .map_err(|fault| SlotError::Unfit { slot, fault })?;
        state.counter = state.counter.max(manifest.counter);
        state.serial = state.serial.max(keys.serial);
        state.held_mut(slot).standing = Standing::Confirmed;
        (state.current, state.trial) = (Some(slot), None);
        state.untold = Some(Event::Confirmed);
        state.write(self.medium.as_mut())?;
        Ok(slot)
    }

    /// Ends a trial, or goes back from what runs to the version that was confirmed before; gives the slot that the next start chooses.
    /// Durable on return; the running program stays until it ends, and asked again until then it says the same. Leaves
    /// [`Event::WentBack`] to be told.
    ///
    /// # Errors
    /// [`SlotError::NoWayBack`] if that version may not be started.
    pub fn revert(&mut self) -> Result<Slot, SlotError> {
        let mut state = self.state()?;
        let back = match (state.trial, state.current) {
            (Some(_), Some(current)) => current,
            (Some(trial), None) => trial.slot.other(),
            // Asked twice before the next start, it is the same version that is gone back to.
            (None, current) => match (self.running, current) {
                (Some(running), _) => running.other(),
                (None, Some(current)) => current.other(),
                (None, None) => Slot::A,
            },
        };
        let no_way_back = |fault| SlotError::NoWayBack { slot: back, fault };
        check::whole(self.medium.as_ref(), &self.maker, &state, back).map_err(no_way_back)?;
        if state.held(back).standing != Standing::Confirmed {
            return Err(no_way_back(SlotFault::NeverConfirmed));
        }
        (state.current, state.trial) = (Some(back), None);
        state.untold = Some(Event::WentBack);
        state.write(self.medium.as_mut())?;
        Ok(back)
    }

    /// The slot that a trial of the running version goes back to, if its bytes are as [`Slots::choose`] asks; reads all of them.
    ///
    /// # Errors
    /// [`SlotError::NoWayBack`], and [`SlotError::NothingToConfirm`] for a program outside the slots.
    pub fn way_back(&self) -> Result<Slot, SlotError> {
        let slot = self.running.ok_or(SlotError::NothingToConfirm)?.other();
        match check::whole(self.medium.as_ref(), &self.maker, &self.state()?, slot) {
            Ok(_) => Ok(slot),
            Err(fault) => Err(SlotError::NoWayBack { slot, fault }),
        }
    }

    /// True if a version that may still be started, whatever the state says should run, has a pack of that digest, or none of its own,
    /// or if that cannot be read. Reads a few small files, and takes damage of any other file for nothing.
    #[must_use]
    pub fn may_need(&self, pack: &[u8; 32]) -> bool {
        let Ok(state) = self.state() else { return true };
        Slot::BOTH.into_iter().any(|slot| {
            match check::texts(self.medium.as_ref(), &self.maker, &state, slot) {
                Ok((manifest, _)) => {
                    let is_pack = |file: &&FileEntry| file.kind == FileKind::Pack;
                    let mut packs = manifest.files.iter().filter(is_pack).peekable();
                    packs.peek().is_none() || packs.any(|file| file.hash() == *pack)
                }
                Err(SlotFault::Io(_)) => true,
                Err(_) => false,
            }
        })
    }

    /// What happened stands in a log entry that is durable.
    ///
    /// # Errors
    /// [`SlotError::Io`]; it will then be told again at the next start.
    pub fn told(&mut self) -> Result<(), SlotError> {
        let mut state = self.state()?;
        match state.untold.take() {
            Some(_) => state.write(self.medium.as_mut()),
            None => Ok(()),
        }
    }

    pub(crate) fn state(&self) -> Result<State, SlotError> {
        State::read(self.medium.as_ref())
    }
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots").field("running", &self.running).finish_non_exhaustive()
    }
}
