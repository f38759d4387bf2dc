//! Flash in memory that keeps to the law and no further, and keys in memory, for tests of everything above them.
//!
//! What was not synced is lost, kept or torn at a power cut, each 16-byte piece by its own lot, so that a later write may
//! stand where an earlier one does not. `replace` leaves the old object or the new one, `replace_all` that of each; `remove` the old one, none, or one
//! of which half is erased. Faults are set by the number of the operation. A clone is a handle on the same flash, so that a test keeps one while the store holds another.

use crate::flash::{Flash, FlashError, FlashFault, Object, Operation, Place, Series};
use crate::keys::{Counter, Keeper, KeyError, KeyProvider, Secret};
use crate::lots::Lots;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The piece of an object that a power cut keeps or takes as a whole: finer than any real page, so that every record
/// can be torn anywhere.
const PIECE: usize = 16;

/// A handle on flash in memory.
#[derive(Clone, Debug, Default)]
pub struct MockFlash {
    state: Arc<Mutex<State>>,
    keys: MockKeys,
}

#[derive(Clone, Debug, Default)]
struct State {
    objects: BTreeMap<Object, Bytes>,
    /// Operations that change something, counted from 1.
    writes: u64,
    cut_at: Option<(u64, u64)>,
    fail_at: BTreeMap<u64, FlashFault>,
    capacity: Option<usize>,
    place: Place,
    off: bool,
}

#[derive(Clone, Debug, Default)]
struct Bytes {
    /// What a reader sees.
    seen: Vec<u8>,
    /// What a power cut cannot take.
    durable: Vec<u8>,
    /// A sync failed: what was not durable then can be read, and later syncs succeed without making it durable.
    dropped: bool,
}

/// What an operation does to an object, if it is let.
enum Change<'a> {
    Append(&'a [u8]),
    Sync,
    Replace(&'a [u8]),
    /// Each of these, in one operation.
    ReplaceAll(&'a [(Object, &'a [u8])]),
    Remove,
}

impl MockFlash {
    /// Empty flash without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power in the middle of write number `write`, counted from 1 over the flash's life; `seed` draws what
    /// stays. Everything fails until [`MockFlash::power_on`].
    pub fn cut_power_at(&self, write: u64, seed: u64) {
        self.state().cut_at = Some((write, seed));
    }

    /// Cuts the power now.
    pub fn cut_power(&self, seed: u64) {
        self.state().lose_power(seed);
    }

    /// True once the power was cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Gives the power back; no cut is set any more.
    pub fn power_on(&self) {
        let mut state = self.state();
        state.off = false;
        state.cut_at = None;
    }

    /// Makes write number `write` fail.
    pub fn fail_at(&self, write: u64, fault: FlashFault) {
        self.state().fail_at.insert(write, fault);
    }

    /// Gives the flash a size in bytes, all objects together; `None` for no limit.
    pub fn set_capacity(&self, bytes: Option<usize>) {
        self.state().capacity = bytes;
    }

    /// Says that it is a device, or a folder.
    pub fn set_place(&self, place: Place) {
        self.state().place = place;
    }

    /// Writes so far: appends, syncs, replacements and removals.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// The bytes of an object as a reader sees them.
    #[must_use]
    pub fn bytes(&self, object: Object) -> Option<Vec<u8>> {
        self.state().objects.get(&object).map(|bytes| bytes.seen.clone())
    }

    /// Puts an object's bytes in place by hand, durable; `None` deletes it. For tests of damage and old files.
    pub fn set_bytes(&self, object: Object, bytes: Option<Vec<u8>>) {
        let mut state = self.state();
        match bytes {
            Some(bytes) => {
                let bytes = Bytes { seen: bytes.clone(), durable: bytes, dropped: false };
                state.objects.insert(object, bytes);
            }
            None => {
                state.objects.remove(&object);
            }
        }
    }

    /// Another flash with the same objects and secret, and no faults: a copy of the data folder.
    #[must_use]
    pub fn copy(&self) -> Self {
        let objects = self.state().objects.clone();
        let state = Arc::new(Mutex::new(State { objects, ..State::default() }));
        Self { state, keys: self.keys.copy() }
    }

    /// The keeper of this flash's secret; a copy of the flash has its own.
    #[must_use]
    pub fn keys(&self) -> Arc<dyn KeyProvider> {
        Arc::new(self.mock_keys())
    }

    /// The same, to be set up.
    #[must_use]
    pub fn mock_keys(&self) -> MockKeys {
        self.keys.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(
        &self,
        object: Object,
        operation: Operation,
        change: &Change<'_>,
    ) -> Result<(), FlashError> {
        let mut state = self.state();
        let place = state.place;
        let error = |fault| {
            let detail = format!("{fault:?}");
            FlashError { object, operation, fault, place, detail }
        };
        if state.off {
            return Err(error(FlashFault::PowerCut));
        }
        state.writes += 1;
        let number = state.writes;
        if let Some(fault) = state.fail_at.remove(&number) {
            match change {
                // A failed write may have got half way.
                Change::Append(bytes) => {
                    state.apply(object, &Change::Append(&bytes[..bytes.len() / 2]));
                }
                Change::Remove => state.half_erase(object, number),
                // Whether the new object stands is not known after an error.
                Change::Replace(_) if number.is_multiple_of(2) => state.apply(object, change),
                Change::Replace(_) => {}
                Change::ReplaceAll(objects) => state.replace_some(objects, number),
                Change::Sync => {
                    if let Some(held) = state.objects.get_mut(&object) {
                        held.dropped |= held.seen != held.durable;
                    }
                }
            }
            return Err(error(fault));
        }
        if let Some((_, seed)) = state.cut_at.filter(|&(at, _)| at == number) {
            // Half of the operations in progress had their effect when the power went.
            match change {
                Change::Append(_) => state.apply(object, change),
                Change::ReplaceAll(objects) => state.replace_some(objects, seed),
                Change::Remove if seed % 3 == 0 => state.half_erase(object, seed / 3),
                _ if seed % 2 == 0 => state.apply(object, change),
                _ => {}
            }
            state.lose_power(seed);
            return Err(error(FlashFault::PowerCut));
        }
        if let Change::Append(_) = change
            && !state.objects.contains_key(&object)
        {
            return Err(error(FlashFault::Io));
        }
        if let Some(capacity) = state.capacity {
            // The old object stays until the new one stands, so a replace needs room for both.
            let free = capacity.saturating_sub(state.used());
            let len = match change {
                Change::Append(bytes) | Change::Replace(bytes) => bytes.len(),
                Change::ReplaceAll(objects) => objects.iter().map(|(_, bytes)| bytes.len()).sum(),
                Change::Sync | Change::Remove => 0,
            };
            if len > free {
                if let Change::Append(bytes) = change {
                    state.apply(object, &Change::Append(&bytes[..free]));
                }
                return Err(error(FlashFault::Full));
            }
        }
        state.apply(object, change);
        Ok(())
    }
}

impl State {
    fn used(&self) -> usize {
        self.objects.values().map(|bytes| bytes.seen.len()).sum()
    }

    fn apply(&mut self, object: Object, change: &Change<'_>) {
        match *change {
            Change::Append(bytes) => {
                if let Some(held) = self.objects.get_mut(&object) {
                    held.seen.extend_from_slice(bytes);
                }
            }
            Change::Sync => {
                if let Some(held) = self.objects.get_mut(&object).filter(|held| !held.dropped) {
                    held.durable = held.seen.clone();
                }
            }
            Change::Replace(bytes) => {
                let (seen, durable) = (bytes.to_vec(), bytes.to_vec());
                let held = Bytes { seen, durable, dropped: false };
                self.objects.insert(object, held);
            }
            Change::ReplaceAll(objects) => {
                for (object, bytes) in objects {
                    self.apply(*object, &Change::Replace(bytes));
                }
            }
            Change::Remove => {
                self.objects.remove(&object);
            }
        }
    }

    /// Replaces those of some objects that the seed's bits name: any, all or none.
    fn replace_some(&mut self, objects: &[(Object, &[u8])], seed: u64) {
        for (bit, (object, bytes)) in objects.iter().enumerate() {
            if seed >> bit & 1 == 0 {
                self.apply(*object, &Change::Replace(bytes));
            }
        }
    }

    /// Leaves the front of an object, and behind it what erased flash reads as, or nothing.
    fn half_erase(&mut self, object: Object, seed: u64) {
        let Some(held) = self.objects.get_mut(&object) else { return };
        let mut lots = Lots(seed);
        let kept = lots.draw(held.seen.len() as u64 + 1) as usize;
        match lots.draw(2) {
            0 => held.seen.truncate(kept),
            _ => held.seen[kept..].fill(0xff),
        }
        held.durable = held.seen.clone();
    }

    fn lose_power(&mut self, seed: u64) {
        let mut lots = Lots(seed);
        self.off = true;
        for bytes in self.objects.values_mut().filter(|bytes| bytes.durable != bytes.seen) {
            bytes.seen = survivor(&bytes.durable, &bytes.seen, &mut lots);
            bytes.durable = bytes.seen.clone();
            bytes.dropped = false;
        }
    }
}

/// What is left of an object of which `durable` was synced and `seen` was written.
fn survivor(durable: &[u8], seen: &[u8], lots: &mut Lots) -> Vec<u8> {
    let mut left = durable.to_vec();
    let written = &seen[durable.len()..];
    // The length and the bytes reach the medium apart from each other.
    let len = lots.draw(written.len() as u64 + 1) as usize;
    for piece in written[..len].chunks(PIECE) {
        match lots.draw(4) {
            0 => left.extend(piece.iter().map(|_| 0)),
            1 => left.extend(piece.iter().map(|_| lots.draw(256) as u8)),
            _ => left.extend_from_slice(piece),
        }
    }
    left
}

/// A secret in memory and seeded randomness, so that a run can be repeated byte by byte, with a counter if it is asked for. A clone is
/// a handle on the same.
#[derive(Clone, Debug, Default)]
pub struct MockKeys(Arc<Mutex<Kept>>);

#[derive(Clone, Debug, Default)]
struct Kept {
    secret: Option<Secret>,
    lots: Lots,
    counter: Option<Counter>,
    /// Steps asked for, and at which to fail: true if it is made all the same.
    asked: u64,
    fails: BTreeMap<u64, bool>,
}

impl MockKeys {
    /// A keeper without a secret whose random bytes follow from a seed.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Kept { lots: Lots(seed), ..Kept::default() })))
    }

    /// Gives it a counter, or puts another in its place; a new one stands further than any before.
    pub fn set_counter(&self, at: Option<u64>) {
        self.state().counter = at.map(|at| Counter { at, first: at });
    }

    /// Makes step number `step` fail, counted from 1 over the keeper's life; `made` if the counter makes it all the same.
    pub fn fail_step(&self, step: u64, made: bool) {
        self.state().fails.insert(step, made);
    }

    fn copy(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    fn state(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeyProvider for MockKeys {
    fn keeper(&self) -> Keeper {
        Keeper::Memory
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        Ok(self.state().secret.clone())
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        self.state().secret = Some(secret.clone());
        Ok(())
    }

    fn forget(&self) -> Result<(), KeyError> {
        let mut kept = self.state();
        kept.secret = None;
        // What is kept next begins where the counter stands.
        kept.counter = kept.counter.map(|Counter { at, .. }| Counter { at, first: at });
        Ok(())
    }

    fn counter(&self) -> Result<Option<Counter>, KeyError> {
        Ok(self.state().counter)
    }

    fn count_to(&self, to: u64) -> Result<(), KeyError> {
        let mut kept = self.state();
        kept.asked += 1;
        let asked = kept.asked;
        let fails = kept.fails.remove(&asked);
        let counter = kept.counter.as_mut().ok_or(KeyError::NoCounter { to })?;
        match to.checked_sub(counter.at) {
            Some(0 | 1) if fails != Some(false) => counter.at = to,
            Some(0 | 1) => {}
            _ => return Err(KeyError::CounterElsewhere { at: counter.at, to }),
        }
        fails.map_or(Ok(()), |_| {
            Err(KeyError::TpmAbsent { path: "memory".into(), detail: "mock".to_owned() })
        })
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        let lots = &mut self.state().lots;
        into.iter_mut().for_each(|byte| *byte = lots.draw(256) as u8);
        Ok(())
    }
}

impl Flash for MockFlash {
    fn segments(&self, of: Series) -> Vec<u32> {
        let state = self.state();
        let parts = state.objects.keys().filter_map(|object| object.part());
        parts.filter(|&(series, _)| series == of).map(|(_, number)| number).collect()
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        Ok(self.state().objects.get(&object).map(|bytes| bytes.seen.len() as u64))
    }

    fn place(&self) -> Place {
        self.state().place
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let state = self.state();
        let seen = state.objects.get(&object).map_or(&[][..], |bytes| &bytes.seen);
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(seen.len());
        let count = into.len().min(seen.len() - from);
        into[..count].copy_from_slice(&seen[from..from + count]);
        Ok(count)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.change(object, Operation::Append, &Change::Append(bytes))
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.change(object, Operation::Sync, &Change::Sync)
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.change(object, Operation::Replace, &Change::Replace(bytes))
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        let Some(&(first, _)) = objects.first() else { return Ok(()) };
        self.change(first, Operation::Replace, &Change::ReplaceAll(objects))
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.change(object, Operation::Remove, &Change::Remove)
    }
}
