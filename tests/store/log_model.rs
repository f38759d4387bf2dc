//! The log against a plain model: a store with a log of few small segments, and a list of what it was given.
//!
//! The law: what was shown or acknowledged is there, to the byte and with the contexts that it refers to, unless it is
//! older than the oldest entry that the store names; a sequence that was shown never gets another entry; what was under
//! way is there or not, and nothing else ever.

use crate::bed::Bed;
use std::collections::BTreeMap;
use threshold_record::{ContextKind, EntryKind, LogEntry, PersonId};
use threshold_store::{Checkpoint, LogSize, Object, Proof, Series, Store, StoreError, verify};
use threshold_tests::lots::Lots;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Append,
    Commit,
    Sync,
    /// Names one of two contexts of a kind.
    Context(ContextKind, u8),
    /// Saves the lock-out, with all that waits.
    Lockout,
    /// Changes the data key.
    Rotate,
    /// Lets go of the oldest segments, with a checkpoint that the host has or one of now.
    Prune,
    Read,
    Reopen,
}

/// Kinds of entries, of each class: door, gallery, log, unit.
const KINDS: [EntryKind; 6] = [
    EntryKind::Decision,
    EntryKind::Enrolled,
    EntryKind::Removed,
    EntryKind::LogRead,
    EntryKind::Boot,
    EntryKind::TailCut,
];

/// An entry and the bytes of its contexts.
#[derive(Clone, Debug, PartialEq)]
struct Written {
    entry: LogEntry,
    contexts: [Option<Vec<u8>>; 3],
}

/// Number and bytes of the context in force.
type InForce = Option<(u16, Vec<u8>)>;

/// A store with what it should hold.
pub(crate) struct Run {
    pub(crate) flash: Bed,
    size: LogSize,
    store: Option<Store>,
    /// Entries from sequence 1 on, as the store numbered them.
    entries: Vec<Written>,
    /// What a sequence may hold instead, since its write failed.
    others: BTreeMap<u64, Vec<Written>>,
    /// The head that was last shown: those up to it are settled.
    shown: u64,
    oldest: u64,
    in_force: [InForce; 3],
    /// A checkpoint that a host was given.
    known: Option<Checkpoint>,
    mark: u32,
    /// An error was reported, the key changed or the log was pruned, after which segments may be sealed early.
    failed: bool,
    /// The log may have been pruned, so that there may be fewer segments than are kept.
    pruned: bool,
}

impl Run {
    /// A model of a flash that holds nothing yet.
    pub(crate) fn new(flash: Bed, size: LogSize) -> Self {
        Self {
            flash,
            size,
            store: None,
            entries: Vec::new(),
            others: BTreeMap::new(),
            shown: 0,
            oldest: 0,
            in_force: [None, None, None],
            known: None,
            mark: 0,
            failed: false,
            pruned: false,
        }
    }

    /// A copy on a copy of the flash, not open.
    pub(crate) fn fork(&self) -> Self {
        Self {
            flash: self.flash.copy(),
            store: None,
            entries: self.entries.clone(),
            others: self.others.clone(),
            in_force: self.in_force.clone(),
            ..*self
        }
    }

    /// Opens the store, which loses what was not durable, and checks it.
    pub(crate) fn open(&mut self) -> Result<(), StoreError> {
        self.store = None;
        let (store, cut) = Store::open_sized(self.flash.body()?, self.flash.keys(), self.size)?;
        if let Some(cut) = cut {
            assert_eq!(cut.head, store.log_head());
            let (again, cut) =
                Store::open_sized(self.flash.copy().body()?, self.flash.keys(), self.size)?;
            assert_eq!((cut, again.log_head()), (None, store.log_head()), "the cut is told once");
        }
        let head = store.log_head();
        assert!(head >= self.shown, "entries up to {} were shown, {head} are there", self.shown);
        for sequence in self.shown + 1..=head {
            let found = &store.log_page(sequence, 1).unwrap()[0];
            let others = self.others.remove(&sequence).unwrap_or_default();
            let at = sequence as usize - 1;
            let mut written = self.entries.get(at).into_iter().chain(&others);
            // What a prune that failed would have said is not known.
            let same = |written: &&Written| {
                let told = found.first_kept().map_or(written.entry, LogEntry::pruned);
                let LogEntry { person, runner_up, .. } = told;
                LogEntry { person, runner_up, ..written.entry } == *found
            };
            let written = written.find(same).cloned();
            let written = written.map(|written| Written { entry: *found, ..written });
            let written = written.unwrap_or_else(|| {
                panic!(
                    "entry {sequence} was never written: {found:?}\n{:?}\n{others:?}",
                    self.entries
                )
            });
            match self.entries.get_mut(at) {
                Some(entry) => *entry = written,
                None => self.entries.push(written),
            }
        }
        self.entries.truncate(head as usize);
        self.others.clear();
        self.in_force = [None, None, None];
        self.store = Some(store);
        self.settle();
        self.check();
        Ok(())
    }

    /// Takes note of what the store shows.
    fn settle(&mut self) {
        let store = self.store.as_ref().unwrap();
        assert!(store.log_head() >= self.shown && store.log_head() <= self.entries.len() as u64);
        assert!(store.log_oldest() >= self.oldest);
        (self.shown, self.oldest) = (store.log_head(), store.log_oldest());
        self.others = self.others.split_off(&(self.shown + 1));
        // Now and then, since each takes a signature.
        if self.mark % 8 == 1 {
            self.known = Some(store.checkpoint());
        }
    }

    /// Reads the whole flash: it must hold what the store shows, and what a host knows.
    fn verify(&self) {
        let verified =
            verify(self.flash.body().unwrap().as_ref(), &self.flash.keys(), self.known.as_ref())
                .unwrap();
        assert_eq!((&verified.first_bad, verified.head), (&None, self.shown), "{:?}", self.known);
        assert!(self.oldest == verified.oldest);
    }

    /// Does an operation on the store and on the model.
    ///
    /// # Errors
    /// What the store says; the model then knows what may have come of it.
    pub(crate) fn step(&mut self, operation: Operation, lots: &mut Lots) -> Result<(), StoreError> {
        if operation == Operation::Reopen {
            return self.open();
        }
        let next = self.entries.len() as u64 + 1;
        let written = self.written(next, lots);
        let store = self.store.as_mut().unwrap();
        let outcome = match operation {
            Operation::Append => store.append(written.entry).map(|entry| {
                assert_eq!(entry, written.entry);
                self.entries.push(written);
            }),
            Operation::Commit => {
                let committed = store.commit(written.entry).map(|entry| {
                    assert_eq!(entry, written.entry);
                });
                if committed.is_ok() || store.log_head() == next {
                    self.entries.push(written);
                } else {
                    self.others.entry(next).or_default().push(written);
                }
                committed
            }
            Operation::Sync => store.sync(),
            Operation::Context(kind, variant) => {
                let bytes = vec![b'a' + variant; 1 + usize::from(variant)];
                store.context_number(kind, &bytes).map(|number| {
                    self.in_force[usize::from(kind.code())] = Some((number, bytes));
                })
            }
            Operation::Lockout => store.save_lockout([1, self.mark as u8, 0, 0]),
            Operation::Rotate => store.rotate_keys(),
            Operation::Prune => {
                self.pruned = true;
                let known = self.known.filter(|_| lots.below(3) == 0);
                let known = known.unwrap_or_else(|| store.checkpoint());
                let proof = prove(store, &known).unwrap();
                let keep = lots.below(5);
                let before = if lots.below(2) == 0 { u64::MAX } else { lots.below(next) };
                let entry = LogEntry { kind: EntryKind::Pruned, ..written.entry };
                let written = |entry| Written { entry, contexts: written.contexts };
                let oldest = store.log_oldest();
                let limit = known.sequence.saturating_sub(keep.max(1));
                let limit = limit.min(before.saturating_sub(1));
                match store.prune(&proof, before, keep, entry) {
                    Ok(None) => {
                        assert!(store.log_oldest() >= oldest);
                        Ok(())
                    }
                    Ok(Some(pruned)) => {
                        // From the oldest there was, which may be a later one than before the sync, up to the limit.
                        assert!(pruned.first >= oldest && pruned.last <= limit, "{pruned:?}");
                        assert_eq!(pruned.last + 1, store.log_oldest());
                        assert_eq!(pruned.entry.first_kept(), Some(store.log_oldest()));
                        assert_eq!(pruned.entry.sequence, store.log_head());
                        self.entries.push(written(pruned.entry));
                        let again = store.prune(&proof, before, keep, entry);
                        assert_eq!(again, Ok(None), "what is pruned is pruned");
                        Ok(())
                    }
                    Err(error) => {
                        if store.log_head() == next {
                            // Only the anchor after it failed.
                            let page = store.log_page(next, 1).unwrap_or_default();
                            self.entries.extend(page.first().copied().map(written));
                        } else {
                            self.others.entry(next).or_default().push(written(entry));
                        }
                        Err(error)
                    }
                }
            }
            Operation::Read => {
                self.read(lots);
                Ok(())
            }
            Operation::Reopen => Ok(()),
        };
        self.failed |=
            outcome.is_err() || matches!(operation, Operation::Rotate | Operation::Prune);
        self.settle();
        let syncs = matches!(operation, Operation::Commit | Operation::Sync | Operation::Lockout);
        if outcome.is_ok() && syncs {
            assert_eq!(self.shown, self.entries.len() as u64, "a sync makes everything durable");
        }
        outcome
    }

    /// The next entry, with the contexts in force or without.
    fn written(&mut self, sequence: u64, lots: &mut Lots) -> Written {
        self.mark += 1;
        let mut entry =
            LogEntry { sequence, person: PersonId(self.mark), ..LogEntry::of(lots.one_of(&KINDS)) };
        let mut contexts = [None, None, None];
        let numbers =
            [&mut entry.context_model, &mut entry.context_policy, &mut entry.context_config];
        for ((number, context), held) in numbers.into_iter().zip(&mut contexts).zip(&self.in_force)
        {
            if let Some((held, bytes)) = held
                && lots.below(4) > 0
            {
                (*number, *context) = (*held, Some(bytes.clone()));
            }
        }
        Written { entry, contexts }
    }

    /// Reads a page from anywhere.
    fn read(&self, lots: &mut Lots) {
        let store = self.store.as_ref().unwrap();
        let (from, max) = (lots.below(self.shown + 3), lots.below(9) as usize);
        let start = from.max(self.oldest).max(1) as usize - 1;
        let expected = self.entries[..self.shown as usize].iter().skip(start).take(max);
        let page = store.log_page(from, max).unwrap();
        assert!(page.iter().eq(expected.map(|written| &written.entry)), "from {from}: {page:?}");
    }

    /// Compares everything that the store shows.
    pub(crate) fn check(&self) {
        let store = self.store.as_ref().unwrap();
        let there = &self.entries[(self.oldest.max(1) - 1) as usize..self.shown as usize];
        let page = store.log_page(0, usize::MAX).unwrap();
        assert!(page.iter().eq(there.iter().map(|written| &written.entry)), "{page:?}\n{there:?}");
        for written in there {
            let entry = &written.entry;
            let numbers = [entry.context_model, entry.context_policy, entry.context_config];
            for (at, (number, bytes)) in numbers.into_iter().zip(&written.contexts).enumerate() {
                let Some(bytes) = bytes else { continue };
                let found = store.context(number).unwrap();
                let found = found.unwrap_or_else(|| panic!("context {number} of {entry:?}"));
                assert_eq!((found.kind.code(), found.bytes.as_slice()), (at as u8, &bytes[..]));
            }
        }
        // Entries went only because as many segments as are kept are there, and without a failed write those before the
        // last are at least half full.
        let segments = self.flash.segments(Series::Log);
        let (kept, last) = (self.size.segments as usize, segments.last().copied().unwrap_or(0));
        if self.pruned {
            assert!((1..=kept.min(last as usize)).contains(&segments.len()), "{segments:?}");
            assert!(segments.windows(2).all(|two| two[0] + 1 == two[1]), "{segments:?}");
        } else {
            assert_eq!(segments.len(), kept.min(last as usize), "{segments:?}");
            assert!(self.oldest <= 1 || segments.len() == kept);
        }
        // No entry tells of a prune that did not happen, and the last one that is told of is known.
        let mut told = there.iter().filter_map(|written| written.entry.first_kept());
        assert!(told.clone().all(|first| first <= self.oldest), "{there:?}");
        assert_eq!(store.log_pruned(), told.next_back().unwrap_or(0), "{there:?}");
        // Whole pages are full with fewer bytes.
        let by_bytes = !self.failed && !self.flash.is_paged();
        for &number in segments.iter().rev().skip(1).filter(|_| by_bytes) {
            let len = self.flash.len(Object::Segment(number)).unwrap_or(0);
            assert!(len >= u64::from(self.size.segment_bytes / 2), "segment {number}: {len}");
        }
    }

    /// What a unit does after an error: it goes on, or starts again.
    pub(crate) fn go_on(&mut self, lots: &mut Lots) {
        self.flash.power_on();
        self.open().unwrap();
        for operation in [Operation::Append, Operation::Sync, Operation::Commit, Operation::Read] {
            self.step(operation, lots).unwrap();
        }
        self.check();
        self.open().unwrap();
        if lots.below(8) == 0 {
            self.verify();
        }
    }
}

/// Compares a checkpoint with the store's log, entry by entry.
pub(crate) fn prove(store: &Store, checkpoint: &Checkpoint) -> Result<Proof, StoreError> {
    let mut proving = store.prove(checkpoint)?;
    loop {
        if let Some(proof) = proving.step(store, 1)? {
            return Ok(proof);
        }
    }
}
