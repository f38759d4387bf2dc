//! The log: entries, context records and state, appended to sealed segments, never changed.
//!
//! Owns the numbering (sequences from 1 without gaps, which never go back), what is durable, which segments are kept, the
//! chain, and the reading by pages. Only durable entries are shown to a reader: an entry that a power cut takes back must not
//! have been seen under a number that another entry then gets.
//! Records wait in memory until they are made durable together: one batch, one append and one sync.
//! A segment that took a failed or torn write takes nothing more; the next one's head says where it ends. When as many
//! segments as are kept are full, the oldest goes: first a head that no longer counts it is durable, then it is removed. So do
//! those that an owner has pruned (`prune`).
//! Every context that an entry refers to stands in the entry's own segment: those in force are carried to the head of
//! each new segment, so that no segment needs an older one.
//! Refuses an entry that refers to a context not in force, and a log that stands further back than the anchor says.
//!
//! What the seal, the links from piece to piece and the anchor keep from somebody who can write the flash and has no key:
//! reading anything; changing, adding, moving or leaving out anything before the last batch; a piece of another unit, segment,
//! place or history; and everything that is older than what the anchor saw at the last start, new segment, or idling after a
//! removal or a change of the gallery. What they do not: taking the last batches written since then away, the lock-out's and a
//! removal's among them, or putting an older anchor back and beside it all that it had seen. The first looks like a power cut, the second like the past. A host
//! finds both, since the log no longer reaches, or no longer contains, the last checkpoint that it was given; a counter outside
//! the flash would find them at the start.

mod batch;
mod convert;
mod open;
mod plain;
mod prune;
mod reached;
mod read;
mod record;
mod roll;
mod segment;
mod state;
mod verify;

pub(crate) use convert::convert;
pub(crate) use plain::segments as plain_segments;
pub(crate) use state::State;
pub use verify::{FirstBad, Verified, verify};

use crate::chain::{Chain, Tip};
use crate::count;
use crate::error::StoreError;
use crate::flash::Flash;
use crate::keyring::Keyring;
use batch::{OVERHEAD, Place, tail_of};
use reached::Reached;
use read::Cursor;
use record::{Record, STATE_LEN};
use segment::{Head, Segment};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use threshold_record::context::MAX_CONTEXT_BYTES;
use threshold_record::{Context, ContextKind, LogEntry};

/// Bytes of records that wait to be made durable, at most: what one batch holds beside a state.
const MAX_PENDING: usize = batch::MAX_RECORDS - STATE_LEN;

/// How large the log may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// Bytes of a segment. One that holds a single batch may be longer, so that any record fits.
    pub segment_bytes: u32,
    /// Segments that are kept; while the oldest goes there is one more. At least 2, so that one is always full of entries.
    pub segments: u32,
}

impl Default for LogSize {
    /// 440 MB. An entry takes 67 bytes and its share of its batch's 64: in batches of 20, as a second's events make them, the
    /// last 6.2 million entries at least stay; each committed on its own, the last 3.3 million.
    fn default() -> Self {
        Self { segment_bytes: 1 << 20, segments: 420 }
    }
}

impl LogSize {
    /// The most bytes that the log takes: while the oldest segment goes there is one more.
    #[must_use]
    pub fn most_bytes(&self) -> u64 {
        (u64::from(self.segments) + 1) * u64::from(self.segment_bytes)
    }
}

/// Kinds of contexts, each with one in force.
const KINDS: usize = ContextKind::ALL.len();

/// The state of the open log.
#[derive(Debug)]
pub(crate) struct Log {
    size: LogSize,
    chain: Chain,
    /// Those that are kept, the oldest first; the last one takes the batches.
    segments: VecDeque<Segment>,
    /// The head of the last one, without the contexts that it carries.
    begun: Option<Head>,
    /// The last segment took a write that failed, so that the next batch goes to another.
    sealed: bool,
    /// A sync failed and nothing is known any more.
    stopped: bool,
    /// Behind the last record, durable or pending.
    tip: Tip,
    /// What the next batch says.
    state: State,
    durable: Reached,
    /// Records that wait to be made durable.
    pending: Vec<u8>,
    /// Contexts of the last segment, pending ones included.
    held: BTreeMap<u16, Context>,
    /// The context in force of each kind, by the kind's code; 0 for none.
    in_force: [u16; KINDS],
    converting: Option<Converting>,
    /// The entry of the last prune that was seen, and the first entry that it left; zeros for none.
    pruned: (u64, u64),
    cursor: Cell<Cursor>,
}

/// What is known only while an old log is converted.
#[derive(Debug)]
struct Converting {
    /// Number of the old log's last segment; none up to it is removed.
    last: u32,
    /// The last entry that refers to each context: in the old log entries refer to contexts although others came after them.
    last_use: BTreeMap<u16, u64>,
}

impl Log {
    fn empty(keyring: &Keyring, size: LogSize) -> Self {
        let size = LogSize { segments: size.segments.max(2), ..size };
        Self {
            size,
            chain: Chain::of(&keyring.store_id(), &keyring.identity()),
            segments: VecDeque::new(),
            begun: None,
            sealed: true,
            stopped: false,
            tip: Tip::default(),
            state: State::default(),
            durable: Reached::default(),
            pending: Vec::new(),
            held: BTreeMap::new(),
            in_force: [0; KINDS],
            converting: None,
            pruned: (0, 0),
            cursor: Cell::default(),
        }
    }

    fn hold(&mut self, context: Context) {
        self.in_force[usize::from(context.kind.code()) % KINDS] = context.number;
        self.held.insert(context.number, context);
    }

    /// Everything that stands in the last segment up to `end` is durable now.
    fn settle(&mut self, end: u32) {
        if let Some(last) = self.segments.back_mut() {
            last.end = end;
        }
    }

    /// What everything but the log has come to; the next batch says so.
    pub(crate) fn set_state(&mut self, state: State) {
        self.state = state;
    }

    /// The state that the log says, durably.
    pub(crate) fn state(&self) -> State {
        self.durable.state
    }

    /// Makes a state durable. After an error it is not waiting any more; whether the flash has it is not known.
    pub(crate) fn save_state(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        state: State,
    ) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.state, state);
        self.sync(flash, keyring).inspect_err(|_| self.state = before)
    }

    /// Appends an entry under the next sequence; durable after `sync`.
    pub(crate) fn append(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        entry: LogEntry,
    ) -> Result<LogEntry, StoreError> {
        if let Some(number) = references(&entry).find(|number| !self.in_force.contains(number)) {
            return Err(StoreError::ContextNotInForce { number });
        }
        self.make_room(flash, keyring, record::ENTRY_LEN)?;
        let entry = LogEntry { sequence: count::after(self.tip.head)?, ..entry };
        self.push_entry(&entry);
        Ok(entry)
    }

    fn push_entry(&mut self, entry: &LogEntry) {
        record::push_entry(&mut self.pending, entry);
        self.tip.take_entry(&self.chain, entry);
    }

    /// Appends an entry and makes it durable. After an error it is not pending, so that it cannot come to the log later; if
    /// the flash has it all the same, only the next open finds it.
    pub(crate) fn commit(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        entry: LogEntry,
    ) -> Result<LogEntry, StoreError> {
        let entry = self.append(flash, keyring, entry)?;
        let synced = self.sync(flash, keyring);
        if synced.is_err() && !self.stopped {
            self.pending.truncate(self.pending.len().saturating_sub(record::ENTRY_LEN));
            self.tip = self.tip_of_pending();
        }
        synced.map(|()| entry)
    }

    /// Behind the last record that waits.
    fn tip_of_pending(&self) -> Tip {
        let mut tip = self.durable.tip;
        for record in record::records(&self.pending).flatten() {
            match record {
                Record::Entry(entry) => tip.take_entry(&self.chain, &entry),
                Record::Context(context) => tip.take_context(&self.chain, &context),
                Record::State(_) => {}
            }
        }
        tip
    }

    /// The number of a context, which is in force from now on. Written if no equal one is in the segment; durable after
    /// `sync`.
    pub(crate) fn context_number(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        kind: ContextKind,
        bytes: &[u8],
    ) -> Result<u16, StoreError> {
        let same = |held: &&Context| held.kind == kind && held.bytes == bytes;
        if let Some(held) = self.held.values().rev().find(same) {
            self.in_force[usize::from(kind.code()) % KINDS] = held.number;
            return Ok(held.number);
        }
        let number = self.tip.given.checked_add(1).ok_or(StoreError::ContextsUsedUp)?;
        let too_long = StoreError::ContextTooLong { len: bytes.len(), max: MAX_CONTEXT_BYTES };
        let bytes = heapless::Vec::from_slice(bytes).map_err(|_| too_long)?;
        let context = Context { number, kind, bytes };
        self.push_context(flash, keyring, context)?;
        Ok(number)
    }

    /// The bytes of the context record of a kind that was written last.
    pub(crate) fn last_context(&self, kind: ContextKind) -> Option<&[u8]> {
        let last = self.held.values().rfind(|held| held.kind == kind);
        last.map(|held| held.bytes.as_slice())
    }

    fn push_context(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        context: Context,
    ) -> Result<(), StoreError> {
        // With room for the entry that the change is for, so that no segment ends between them and a cut leaves both or none.
        let len = record::context_len(context.bytes.len()) + record::ENTRY_LEN;
        self.make_room(flash, keyring, len)?;
        record::push_context(&mut self.pending, &context);
        self.tip.take_context(&self.chain, &context);
        self.hold(context);
        Ok(())
    }

    /// Sees to it that the last segment and the batch have room for a record.
    fn make_room(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        len: usize,
    ) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        if self.pending.len() + len > MAX_PENDING || self.is_full(flash, len) {
            self.sync(flash, keyring)?;
        }
        if self.is_full(flash, len) {
            self.sealed = true;
            self.roll(flash, keyring)?;
        }
        Ok(())
    }

    /// True if so many bytes of records, with those that wait and a state, do not fit into the last segment any more.
    /// Where a batch takes whole pages, it is those that count.
    fn is_full(&self, flash: &dyn Flash, len: usize) -> bool {
        self.segments.back().is_none_or(|last| {
            let holds_some = last.end > last.start || !self.pending.is_empty();
            let more = OVERHEAD + self.pending.len() + len + STATE_LEN;
            let taken = flash.taken(last.object(), more);
            let end = taken.unwrap_or_else(|| u64::from(last.end) + more as u64);
            holds_some && end > u64::from(self.size.segment_bytes)
        })
    }

    /// Makes everything appended durable, and the state if it changed. After a write that failed it stays pending for the next
    /// try.
    pub(crate) fn sync(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        let new_state = self.state != self.durable.state;
        if self.pending.is_empty() && !new_state {
            return Ok(());
        }
        let batches = count::after(self.durable.batches)?;
        // A data key that was replaced seals nothing more.
        let of_old_key = self.segments.back().is_some_and(|last| last.key != keyring.current());
        // A state alone asked nobody for room.
        if of_old_key || (self.pending.is_empty() && self.is_full(flash, 0)) {
            self.sealed = true;
        }
        if self.sealed {
            self.roll(flash, keyring)?;
        }
        let Some(&last) = self.segments.back() else { return Err(StoreError::LogStopped) };
        let waiting = self.pending.len();
        if new_state {
            record::push_state(&mut self.pending, self.state);
        }
        let place = Place { segment: last.number, offset: last.end, behind: self.durable.tail };
        let first = self.durable.tip.head + 1;
        let entries = (self.tip.head - self.durable.tip.head) as u16;
        let sealed = batch::seal(keyring, place, first, entries, &self.pending);
        self.pending.truncate(waiting);
        let bytes = sealed?;
        if let Err(error) = flash.append(last.object(), &bytes) {
            // A part of it may stand there; nothing must follow that.
            self.sealed = true;
            return Err(error.into());
        }
        if let Err(error) = flash.sync(last.object()) {
            // Linux may drop what it could not write, show it all the same, and call the next sync good. So the log stops, and
            // the next segment says that nothing of this batch counts; else a start before the next power cut would show
            // entries that the cut then takes.
            self.stopped = true;
            let _ = self.roll(flash, keyring);
            return Err(error.into());
        }
        let tail = tail_of(&bytes);
        self.durable = Reached { tip: self.tip, batches, state: self.state, tail };
        self.settle(last.end + bytes.len() as u32);
        self.pending.clear();
        Ok(())
    }

    /// Sequence of the last durable entry.
    pub(crate) fn durable_head(&self) -> u64 {
        self.durable.tip.head
    }

    /// True if an entry waits to be made durable.
    pub(crate) fn has_waiting(&self) -> bool {
        self.tip.head > self.durable.tip.head
    }

    /// Count of durable batches.
    pub(crate) fn durable_batches(&self) -> u64 {
        self.durable.batches
    }

    /// Sequence of the oldest entry that is still there; 0 for an empty log.
    pub(crate) fn oldest(&self) -> u64 {
        let first = self.segments.front().map_or(0, |front| front.first);
        if first > self.durable.tip.head { 0 } else { first }
    }

    /// The first entry that the last prune left; 0 if the log tells of none.
    pub(crate) fn pruned(&self) -> u64 {
        let (entry, first) = self.pruned;
        if entry < self.oldest() { 0 } else { first }
    }

    /// Bytes that the log may still take beside those that it has.
    pub(crate) fn may_grow_bytes(&self) -> u64 {
        let held: u64 = self.segments.iter().map(|segment| u64::from(segment.end)).sum();
        self.size.most_bytes().saturating_sub(held)
    }

    /// Sequence of the first entry of the last segment.
    pub(crate) fn first_of_last(&self) -> u64 {
        self.segments.back().map_or(1, |last| last.first)
    }

    /// The data key of the segment that was sealed first; every batch is sealed with it or a later one.
    pub(crate) fn oldest_key(&self) -> Option<u32> {
        self.segments.iter().map(|segment| segment.key).min()
    }
}

/// Numbers of the contexts that an entry refers to.
fn references(entry: &LogEntry) -> impl Iterator<Item = u16> + use<> {
    let numbers = [entry.context_model, entry.context_policy, entry.context_config];
    numbers.into_iter().filter(|&number| number != 0)
}
