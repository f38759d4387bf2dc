//! Checks a whole log without changing anything, and names the first entry that nobody can vouch for.
//!
//! Everything that an open takes on trust is read here: each batch is opened, each link from piece to piece, each sequence, both
//! chains, and each checkpoint's signature. What the flash alone cannot tell, that its end is missing or that all of it is an
//! older copy, is told by the anchor as far as that knows, and by the checkpoint that a host keeps.
//! A batch stands or falls whole, so the entry that is named is the first of its batch. A batch that the unit itself wrote at
//! this place after an older copy had been put back is sound, and the one behind it is named, which does not continue it. Of a
//! whole log that was led on from an older copy, the entry of the host's checkpoint is named: one up to that is another, and
//! which it is only whoever holds the entries can say.

use super::Log;
use super::batch::Batches;
use super::reached::{End, Reached};
use super::record::Record;
use super::segment::Head;
use crate::anchor::{self, Anchor};
use crate::chain::{Chain, ChainError, Checkpoint, Tip};
use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::keyring::{Form, Keyring};
use crate::keys::KeyProvider;
use crate::sealed;
use std::sync::Arc;

/// What a log came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Sequence of the oldest entry; 0 for none.
    pub oldest: u64,
    /// Sequence of the last entry that is sound.
    pub head: u64,
    /// Entries that are sound.
    pub entries: u64,
    /// Segments that were read.
    pub segments: u32,
    /// Bytes of a torn end, which the next start leaves out.
    pub torn_bytes: u64,
    /// The first entry that the last prune left, as far as the log still tells of one; 0 for none.
    pub pruned: u64,
    /// The first entry that is not there as it was written.
    pub first_bad: Option<FirstBad>,
}

/// The first entry that nobody can vouch for.
#[derive(Clone, Debug, PartialEq)]
pub struct FirstBad {
    /// Its sequence.
    pub sequence: u64,
    /// What is wrong, and where.
    pub why: StoreError,
}

/// Reads the whole log of a sealed flash. `known` is the last checkpoint that whoever asks has of this unit.
///
/// # Errors
/// A flash that fails, key ring or anchor that do not open, a flash of an older format, or a checkpoint of another unit. What is
/// wrong with the log is no error but [`Verified::first_bad`].
pub fn verify(
    flash: &dyn Flash,
    keys: &Arc<dyn KeyProvider>,
    known: Option<&Checkpoint>,
) -> Result<Verified, StoreError> {
    let keyring = Keyring::read(flash, keys)?;
    if keyring.form() == Form::Converting {
        return Err(StoreError::NotSealedYet);
    }
    let anchor = sealed::read(flash, &keyring, Object::Anchor, anchor::MAX_LEN as u64)?;
    let anchor = anchor.ok_or(StoreError::NoAnchor { beside: Object::Keys })?;
    let (anchor, _) = Anchor::from_bytes(&anchor)?;
    let identity = keyring.identity();
    if let Some(known) = known {
        known.verify(&identity)?;
        if known.store_id != keyring.store_id() {
            return Err(ChainError::NotSigned { sequence: known.sequence }.into());
        }
    }
    let mut walk = Walk {
        flash,
        keyring: &keyring,
        chain: Chain::of(&keyring.store_id(), &identity),
        identity,
        known: Known { checkpoint: known, other: false },
        reached: Reached::default(),
        first: 1,
        segments: 0,
        torn_bytes: 0,
        pruned: 0,
    };
    let first_bad = match walk.log(&anchor) {
        Ok(()) => None,
        Err(StoreError::Flash(failed)) => return Err(failed.into()),
        Err(why) => Some(FirstBad { sequence: walk.bad_sequence(&why), why }),
    };
    let head = walk.reached.tip.head;
    let entries = (head + 1).saturating_sub(walk.first);
    let oldest = if entries == 0 { 0 } else { walk.first };
    let Walk { segments, torn_bytes, pruned, .. } = walk;
    Ok(Verified { oldest, head, entries, segments, torn_bytes, pruned, first_bad })
}

/// The host's checkpoint, and whether another entry or context stands in its place.
struct Known<'a> {
    checkpoint: Option<&'a Checkpoint>,
    other: bool,
}

impl Known<'_> {
    fn pass(&mut self, tip: &Tip) {
        let Some(known) = self.checkpoint else { return };
        self.other |= tip.head == known.sequence && tip.chain != known.chain;
        self.other |= tip.given == known.contexts && tip.contexts_chain != known.contexts_chain;
    }
}

struct Walk<'a> {
    flash: &'a dyn Flash,
    keyring: &'a Keyring,
    chain: Chain,
    identity: [u8; 32],
    known: Known<'a>,
    reached: Reached,
    /// Sequence of the oldest entry.
    first: u64,
    segments: u32,
    torn_bytes: u64,
    pruned: u64,
}

impl Walk<'_> {
    /// What an error that ended the walk is about.
    fn bad_sequence(&self, why: &StoreError) -> u64 {
        match why {
            StoreError::Chain(ChainError::Changed { end, .. }) => *end,
            _ => self.reached.tip.head + 1,
        }
    }

    fn log(&mut self, anchor: &Anchor) -> Result<(), StoreError> {
        let numbers = self.flash.segments(Series::Log);
        let last = numbers.last().copied().unwrap_or(0);
        if last > 0 {
            let newest = self.newest_head(&numbers)?;
            self.first = newest.oldest_entry;
            self.reached.tip.head = self.first.saturating_sub(1);
            for number in newest.oldest..=last {
                self.segment(number, last, number == newest.oldest)?;
            }
        }
        let Reached { tip, batches, .. } = self.reached;
        if self.known.other {
            let end = self.known.checkpoint.map_or(tip.head, |known| known.sequence);
            return Err(ChainError::Changed { first: self.first, end }.into());
        }
        let known = self.known.checkpoint.map_or((0, 0), |known| (known.sequence, known.contexts));
        let expected = [
            (tip.head, anchor.log_head.max(known.0)),
            (batches, anchor.log_batches),
            (u64::from(tip.given), u64::from(known.1)),
        ];
        for (found, expected) in expected {
            if found < expected {
                let object = Object::Segment(last.max(1));
                return Err(StoreError::RolledBack { object, found, expected });
            }
        }
        Ok(())
    }

    /// The last head that can be read: it says where the log begins.
    fn newest_head(&self, numbers: &[u32]) -> Result<Head, StoreError> {
        let mut first_fault = None;
        for &number in numbers.iter().rev() {
            match Head::read(self.flash, self.keyring, number) {
                Ok(head) => return Ok(head),
                Err(StoreError::Flash(failed)) => return Err(failed.into()),
                Err(fault) => first_fault = Some(fault),
            }
        }
        Err(first_fault.unwrap_or(StoreError::LogStopped))
    }

    fn segment(&mut self, number: u32, last: u32, oldest: bool) -> Result<(), StoreError> {
        let head = Head::read(self.flash, self.keyring, number)?;
        let object = Object::Segment(number);
        let damaged = |offset, what| StoreError::Damaged { object, offset, what };
        if head.checkpoint.store_id != self.keyring.store_id() {
            return Err(damaged(0, "a checkpoint of another store"));
        }
        head.checkpoint.verify(&self.identity)?;
        let before = Reached::before(&head);
        let continues = if oldest {
            head.first() == self.first
        } else {
            before.tip == self.reached.tip
                && before.batches >= self.reached.batches
                && head.previous_tail == self.reached.tail
        };
        if !continues {
            return Err(damaged(0, "a head that does not follow the segment before"));
        }
        self.reached = before;
        self.known.pass(&before.tip);
        for context in head.carried.iter().filter(|held| held.number > before.tip.given) {
            if self.reached.tip.given.checked_add(1) != Some(context.number) {
                return Err(damaged(0, "a context out of its order"));
            }
            self.reached.tip.take_context(&self.chain, context);
            self.known.pass(&self.reached.tip);
        }
        self.segments += 1;
        let len = self.flash.len(object)?.unwrap_or(0);
        // If the next head cannot be read, the next step says so.
        let next = (number < last).then(|| Head::read(self.flash, self.keyring, number + 1));
        let (to, end) = match next {
            Some(Ok(next)) => (u64::from(next.previous_end), End::Sealed),
            _ => (len, End::Open),
        };
        let mut batches = Batches::new(self.flash, self.keyring, number, head.key, to.min(len));
        let (known, pruned) = (&mut self.known, &mut self.pruned);
        let mut see = |tip: &Tip, record: Record| {
            known.pass(tip);
            if let Record::Entry(entry) = record {
                *pruned = entry.first_kept().unwrap_or(*pruned);
            }
        };
        let start = u64::from(head.end);
        let read = self.reached.read_on(&self.chain, &mut batches, start, end, &mut see)?;
        if end == End::Sealed && read != to {
            return Err(damaged(read, "the end comes too early"));
        }
        self.torn_bytes = len - read.min(len);
        Ok(())
    }
}

impl Log {
    /// A signed checkpoint of the last durable entry.
    pub(crate) fn checkpoint(&self, keyring: &Keyring) -> Checkpoint {
        Checkpoint::sign(keyring, &self.durable.tip, self.state.boot)
    }

    /// The signed checkpoint right before the oldest entry that is still there.
    pub(crate) fn oldest_checkpoint(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
    ) -> Result<Checkpoint, StoreError> {
        let Some(oldest) = self.segments.front() else { return Ok(self.checkpoint(keyring)) };
        Ok(Head::read(flash, keyring, oldest.number)?.checkpoint)
    }
}
