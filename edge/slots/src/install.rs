//! Installing: a bundle becomes a version on trial in the slot that does not run.
//!
//! Owns the order: checked whole, the slot said to be empty, filled, durable, read back, on trial. Whatever is cut off in it, the
//! version that runs is the one that is chosen next. Refuses to write over the only version that may be started.

use crate::check;
use crate::medium::Medium;
use crate::slots::Slots;
use crate::state::{Event, Held, Standing, State, Trial};
use crate::{Slot, SlotError, TRIAL_BOOTS};
use std::io::{self, Read, Seek};
use threshold_bundle::{
    BundleError, FileEntry, FileKind, Installed, Manifest, Nowhere, Sink, Texts, Trust, read,
};

impl Slots {
    /// Installs a bundle, which is read twice: it is checked whole before a slot is touched. On return it is durable, read back and
    /// on trial: the next start chooses it. Leaves [`Event::OnTrial`] to be told.
    ///
    /// Takes as long as reading the bundle three times and writing it once.
    ///
    /// # Errors
    /// [`SlotError::Bundle`], [`SlotError::OnTrial`] and [`SlotError::GoingBack`], and no slot was touched; otherwise the slot counts
    /// as empty.
    pub fn install(&mut self, bundle: &mut (impl Read + Seek)) -> Result<Manifest, SlotError> {
        let mut state = self.state()?;
        let slot = self.free(&state)?;
        let trust = Trust { release_key: self.maker.release_key, serial: state.serial };
        let installed =
            Installed { compatible: self.maker.compatible.clone(), counter: state.counter };
        bundle.rewind().map_err(BundleError::Io)?;
        read(&mut *bundle, &trust, &installed, &mut Nowhere)?;
        // From here on nothing chooses the slot, whatever stands in it.
        *state.held_mut(slot) = Held::default();
        state.trial = None;
        if state.current == Some(slot) {
            let confirmed = |slot: &Slot| state.held(*slot).standing == Standing::Confirmed;
            state.current = Some(slot.other()).filter(confirmed);
        }
        state.write(self.medium.as_mut())?;
        self.medium.clear(slot).map_err(SlotError::io("empty a slot"))?;
        bundle.rewind().map_err(BundleError::Io)?;
        let filled = self.fill(bundle, (&trust, &installed), slot, &mut state);
        let manifest = filled.inspect_err(|_| {
            // It counts as empty already, and what lies there only takes room.
            let _ = self.medium.clear(slot);
        })?;
        state.trial = Some(Trial { slot, left: TRIAL_BOOTS });
        state.untold = Some(Event::OnTrial);
        state.write(self.medium.as_mut())?;
        Ok(manifest)
    }

    /// Asks whether [`Slots::install`] would take a bundle at all, so that nothing is done for one that it would not.
    ///
    /// # Errors
    /// [`SlotError::OnTrial`] and [`SlotError::GoingBack`], or what keeps the state from being read.
    pub fn may_install(&self) -> Result<(), SlotError> {
        self.free(&self.state()?).map(drop)
    }

    /// Fills a slot that is empty with a bundle, and reads it back.
    fn fill(
        &mut self,
        bundle: &mut (impl Read + Seek),
        (trust, installed): (&Trust, &Installed),
        slot: Slot,
        state: &mut State,
    ) -> Result<Manifest, SlotError> {
        let mut filling =
            Filling { medium: self.medium.as_mut(), slot, hash: [0; 32], open: false };
        let (manifest, _) = read(&mut *bundle, trust, installed, &mut filling)?;
        let hash = filling.hash;
        filling
            .close()
            .and_then(|()| self.medium.settle(slot))
            .map_err(SlotError::io("fill a slot"))?;
        *state.held_mut(slot) = Held { standing: Standing::Installed, manifest: hash };
        match check::whole(self.medium.as_ref(), &self.maker, state, slot) {
            Ok(_) => Ok(manifest),
            Err(fault) => Err(SlotError::NotAsWritten { slot, fault }),
        }
    }

    /// The slot that may be written over.
    fn free(&self, state: &State) -> Result<Slot, SlotError> {
        let trial = state.trial.map(|trial| trial.slot);
        let is_whole = |slot| check::whole(self.medium.as_ref(), &self.maker, state, slot).is_ok();
        let free = match (self.running, state.current) {
            (Some(running), _) => running.other(),
            // The next start would fall back on the other one where this one may not be started.
            (None, Some(current)) if !is_whole(current) && is_whole(current.other()) => current,
            (None, Some(current)) => current.other(),
            // Nothing was confirmed yet: what was installed and not tried is worth no more than what comes, but where an installation
            // failed before it is all that there is.
            (None, None) => {
                let next = trial.map_or(Slot::A, Slot::other);
                let is_all = is_whole(next) && !is_whole(next.other());
                if is_all { next.other() } else { next }
            }
        };
        let Some(running) = self.running else { return Ok(free) };
        let standing = |slot| state.held(slot).standing;
        // Whether it is on trial or was just gone back from, what runs was not confirmed, so that the other one is all there is.
        let is_way_back =
            standing(running) != Standing::Confirmed && standing(free) == Standing::Confirmed;
        let is_trial = trial == Some(running);
        // A way back that may not be started is none.
        match (is_trial || is_way_back) && is_whole(free) {
            true if is_trial => Err(SlotError::OnTrial { slot: running }),
            true => Err(SlotError::GoingBack { slot: free }),
            false => Ok(free),
        }
    }
}

/// Takes a bundle's files into a slot.
struct Filling<'a> {
    medium: &'a mut dyn Medium,
    slot: Slot,
    hash: [u8; 32],
    open: bool,
}

impl Filling<'_> {
    /// Makes the file that is open durable.
    fn close(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.open) {
            true => self.medium.sync(),
            false => Ok(()),
        }
    }

    fn create(&mut self, name: &str, is_program: bool) -> io::Result<()> {
        self.close()?;
        self.medium.create(self.slot, name, is_program)?;
        self.open = true;
        Ok(())
    }
}

impl Sink for Filling<'_> {
    fn texts(&mut self, texts: &Texts) -> io::Result<()> {
        self.hash = *blake3::hash(&texts.manifest).as_bytes();
        for (name, bytes) in Texts::NAMES.into_iter().zip(texts.members()) {
            self.create(name, false)?;
            self.medium.append(bytes)?;
        }
        Ok(())
    }

    fn begin(&mut self, _: &Manifest) -> io::Result<()> {
        Ok(())
    }

    fn file(&mut self, file: &FileEntry) -> io::Result<()> {
        self.create(&file.name, file.kind == FileKind::Program)
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.medium.append(bytes)
    }
}
