//! A flash over another one that is only read: what is written stays in memory.
//!
//! So everything that a start would do can be tried, and looked at, without a byte of the medium changing.
//! The keeper goes with it ([`StillKeys`]): a counter that went on without its flash would make that an older one.
//! An object that is appended to is copied into memory first; none is longer than a segment or the largest gallery.

use crate::flash::{Flash, FlashError, FlashFault, Object, Operation, Place, Series};
use crate::keys::{Counter, Keeper, KeyError, KeyProvider, Secret};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle on a flash that is only read, and on what would be written to it. Clones share it.
#[derive(Clone)]
pub struct Overlay {
    base: Arc<dyn Flash + Sync>,
    /// Objects that were written, or removed.
    changed: Arc<Mutex<BTreeMap<Object, Option<Vec<u8>>>>>,
}

/// An object that would be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Which.
    pub object: Object,
    /// Its bytes on the flash; `None` if it is not there.
    pub before: Option<u64>,
    /// Its bytes then; `None` if it would be removed.
    pub after: Option<u64>,
}

/// A keeper that is only asked: what would be kept, forgotten or counted stays in memory.
#[derive(Debug)]
pub struct StillKeys {
    base: Arc<dyn KeyProvider>,
    kept: Mutex<Option<Secret>>,
}

impl StillKeys {
    /// Nothing kept yet.
    #[must_use]
    pub fn over(base: Arc<dyn KeyProvider>) -> Self {
        Self { base, kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Secret>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyProvider for StillKeys {
    fn keeper(&self) -> Keeper {
        self.base.keeper()
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        let kept = self.kept().clone();
        if kept.is_some() { Ok(kept) } else { self.base.secret() }
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        *self.kept() = Some(secret.clone());
        Ok(())
    }

    fn forget(&self) -> Result<(), KeyError> {
        *self.kept() = None;
        Ok(())
    }

    fn counter(&self) -> Result<Option<Counter>, KeyError> {
        // The first look at the counter is the only one; what is counted after it goes nowhere.
        match self.base.secret()? {
            Some(_) => self.base.counter(),
            None => Ok(None),
        }
    }

    fn count_to(&self, _: u64) -> Result<(), KeyError> {
        Ok(())
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        self.base.random(into)
    }
}

impl Overlay {
    /// Nothing written yet.
    #[must_use]
    pub fn over(base: impl Flash + Sync + 'static) -> Self {
        Self { base: Arc::new(base), changed: Arc::default() }
    }

    /// What would be written.
    ///
    /// # Errors
    /// [`FlashError`] of the flash below.
    pub fn changes(&self) -> Result<Vec<Changed>, FlashError> {
        let changed = self.changed();
        let lens = changed.iter().map(|(&object, bytes)| {
            let after = bytes.as_ref().map(|bytes| bytes.len() as u64);
            Ok(Changed { object, before: self.base.len(object)?, after })
        });
        lens.collect()
    }

    fn changed(&self) -> MutexGuard<'_, BTreeMap<Object, Option<Vec<u8>>>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Flash for Overlay {
    fn segments(&self, of: Series) -> Vec<u32> {
        let mut numbers = self.base.segments(of);
        for (object, bytes) in self.changed().iter() {
            let part = object.part().filter(|&(series, _)| series == of);
            let Some((_, number)) = part else { continue };
            numbers.retain(|&held| held != number);
            numbers.extend(bytes.as_ref().map(|_| number));
        }
        numbers.sort_unstable();
        numbers
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        match self.changed().get(&object) {
            Some(bytes) => Ok(bytes.as_ref().map(|bytes| bytes.len() as u64)),
            None => self.base.len(object),
        }
    }

    fn place(&self) -> Place {
        self.base.place()
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let changed = self.changed();
        let Some(bytes) = changed.get(&object) else { return self.base.read(object, offset, into) };
        let bytes = bytes.as_deref().unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let count = into.len().min(bytes.len() - from);
        into[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        let held = match self.changed().get(&object) {
            Some(held) => held.clone(),
            None => self.base.read_all(object, u64::from(u32::MAX))?,
        };
        let Some(mut held) = held else {
            let detail = "it is not there".to_owned();
            let (operation, fault) = (Operation::Append, FlashFault::Io);
            return Err(FlashError { object, operation, fault, place: self.place(), detail });
        };
        held.extend_from_slice(bytes);
        self.changed().insert(object, Some(held));
        Ok(())
    }

    fn sync(&mut self, _object: Object) -> Result<(), FlashError> {
        Ok(())
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.changed().insert(object, Some(bytes.to_vec()));
        Ok(())
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        if self.len(object)?.is_some() {
            self.changed().insert(object, None);
        }
        Ok(())
    }
}
