//! The log: entries and context records, appended to segments, never changed.
//!
//! Owns the numbering (sequences from 1 without gaps, which never go back), what is durable, which segments are kept, and
//! the reading by pages. Only durable entries are shown to a reader: an entry that a power cut takes back must not have
//! been seen under a number that another entry then gets.
//! Records wait in memory until they are made durable together: one append and one sync for each batch.
//! A segment that took a failed or torn write takes nothing more; the next one's header says where it ends. When as many
//! segments as are kept are full, the oldest goes: first a header that no longer counts it is durable, then it is removed.
//! Every context that an entry refers to stands in the entry's own segment: those in force are carried to the head of
//! each new segment, so that no segment needs an older one.
//! Refuses an entry that refers to a context not in force, and a log that stands further back than the anchor says.

mod convert;
mod read;
mod record;
mod scan;
mod segment;
mod single;

pub(crate) use convert::convert;

use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, Object, Series};
use read::Cursor;
use record::Body;
use segment::{HEADER, Header, Segment};
use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use threshold_record::context::MAX_CONTEXT_BYTES;
use threshold_record::{Context, ContextKind, LogEntry};

/// Bytes of records that wait to be made durable, at most: what a record's `behind` can count.
const MAX_PENDING: usize = u16::MAX as usize;

/// How large the log may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSize {
    /// Bytes of a segment. One that holds a single record more than its contexts may be longer, so that any record fits.
    pub segment_bytes: u32,
    /// Segments that are kept; while the oldest goes there is one more. At least 2, so that one is always full of entries.
    pub segments: u32,
}

impl Default for LogSize {
    /// 440 MB, and in them the last 5.2 million entries at least, of 84 bytes each.
    fn default() -> Self {
        Self { segment_bytes: 1 << 20, segments: 420 }
    }
}

/// The state of the open log.
#[derive(Debug)]
pub(crate) struct Log {
    size: LogSize,
    /// Those that are kept, the oldest first; the last one takes the records.
    segments: VecDeque<Segment>,
    /// The last segment took a write that failed, so that the next record goes to another.
    sealed: bool,
    /// A sync failed and nothing is known any more.
    stopped: bool,
    /// Sequence of the last entry, durable or pending.
    head: u64,
    durable: Durable,
    /// Records that wait to be made durable.
    pending: Vec<u8>,
    /// Numbers of contexts given out.
    given: u16,
    /// Contexts of the last segment, pending ones included.
    held: BTreeMap<u16, Context>,
    /// The context in force of each kind, by the kind's code; 0 for none.
    in_force: [u16; 3],
    /// Contexts that later entries refer to although others are in force, with the last such entry: only while a log of
    /// format 1 is converted.
    wanted: BTreeMap<u16, u64>,
    cursor: Cell<Cursor>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Durable {
    head: u64,
    given: u16,
}

impl Log {
    fn empty(size: LogSize) -> Self {
        let size = LogSize { segments: size.segments.max(2), ..size };
        Self {
            size,
            segments: VecDeque::new(),
            sealed: true,
            stopped: false,
            head: 0,
            durable: Durable::default(),
            pending: Vec::new(),
            given: 0,
            held: BTreeMap::new(),
            in_force: [0; 3],
            wanted: BTreeMap::new(),
            cursor: Cell::default(),
        }
    }

    /// Opens the log, which had reached `anchored`. Makes it if that is nothing and there is none.
    ///
    /// Reads the headers of all segments, and the last one whole.
    pub(crate) fn open(
        flash: &mut dyn Flash,
        size: LogSize,
        anchored: u64,
    ) -> Result<(Self, Option<TailCut>), StoreError> {
        let mut log = Self::empty(size);
        let Some(&last) = flash.segments(Series::Log).last() else {
            if anchored > 0 {
                return Err(rolled_back(1, 0, anchored));
            }
            log.roll(flash)?;
            return Ok((log, None));
        };
        log.read_headers(flash, last)?;
        let (end, len) = log.read_last(flash)?;
        if log.head < anchored {
            return Err(rolled_back(last, log.head, anchored));
        }
        // Records of a process that was killed may still be only in memory; they are durable from here on.
        flash.sync(Object::Segment(last))?;
        log.settle(end);
        log.remove_old(flash);
        if end == len {
            log.sealed = false;
            return Ok((log, None));
        }
        let cut = TailCut { head: log.head, bytes: u64::from(len - end) };
        if end < size.segment_bytes / 2 {
            // A short segment is written anew without its tail: were it sealed, then who pulls the plug again and again
            // would push older segments out.
            let sound = flash.read_all(Object::Segment(last), u64::from(end))?.unwrap_or_default();
            flash.replace(Object::Segment(last), sound.get(..end as usize).unwrap_or(&sound))?;
            log.sealed = false;
        } else {
            log.roll(flash)?;
        }
        Ok((log, Some(cut)))
    }

    /// Reads the header of each segment that the last one counts, and checks that they follow each other.
    fn read_headers(&mut self, flash: &dyn Flash, last: u32) -> Result<(), StoreError> {
        let oldest = Header::read(flash, last)?.oldest;
        for number in oldest..=last {
            let header = Header::read(flash, number)?;
            let object = Object::Segment(number);
            if let Some(before) = self.segments.back_mut() {
                before.end = header.previous_end;
                if header.first < before.first || header.contexts < before.contexts {
                    let what = "a header that does not follow the one before";
                    return Err(StoreError::Damaged { object, offset: 24, what });
                }
                not_shorter(flash, before)?;
            }
            self.segments.push_back(header.segment(u32::MAX));
        }
        Ok(())
    }

    /// Reads the last segment. Gives the end of its records, and its length.
    fn read_last(&mut self, flash: &dyn Flash) -> Result<(u32, u32), StoreError> {
        let Some(&last) = self.segments.back() else { return Ok((0, 0)) };
        let object = last.object();
        let len = flash.len(object)?.unwrap_or(0);
        let length = u32::try_from(len);
        let length = length.map_err(|_| damaged(object, u64::from(u32::MAX), "its length"))?;
        let start = u64::from(last.start);
        (self.head, self.given) = (last.first - 1, last.contexts);
        // The carried contexts came with the header in one replace, so they are whole.
        let end = scan::stretch(flash, object, HEADER as u64, start, |found| {
            self.take(found).map(|()| true)
        })?;
        if end != start {
            return Err(damaged(object, 36, "the length of the contexts carried over"));
        }
        let end = scan::tail(flash, object, start, len, |found| self.take(found))?;
        Ok((end as u32, length))
    }

    /// Takes in a record of the last segment.
    fn take(&mut self, found: &record::Record) -> Result<(), &'static str> {
        if found.sequence != self.head + 1 {
            return Err("a record out of sequence");
        }
        match &found.body {
            Body::Entry(entry) if entry.sequence == found.sequence => self.head += 1,
            Body::Entry(_) => return Err("an entry out of sequence"),
            Body::Context(context) => self.hold(context.as_ref().clone()),
        }
        Ok(())
    }

    fn hold(&mut self, context: Context) {
        self.given = self.given.max(context.number);
        self.in_force[usize::from(context.kind.code()) % 3] = context.number;
        self.held.insert(context.number, context);
    }

    /// Everything that stands in the last segment, or waited for it, is durable now.
    fn settle(&mut self, end: u32) {
        if let Some(last) = self.segments.back_mut() {
            last.end = end;
        }
        self.durable = Durable { head: self.head, given: self.given };
    }

    /// Appends an entry under the next sequence; durable after `sync`.
    pub(crate) fn append(
        &mut self,
        flash: &mut dyn Flash,
        entry: LogEntry,
    ) -> Result<LogEntry, StoreError> {
        if let Some(number) = references(&entry).find(|number| !self.in_force.contains(number)) {
            return Err(StoreError::ContextNotInForce { number });
        }
        self.make_room(flash, record::ENTRY_LEN)?;
        let entry = LogEntry { sequence: self.head + 1, ..entry };
        let behind = self.pending.len() as u16;
        record::push_entry(&mut self.pending, behind, &entry);
        self.head += 1;
        Ok(entry)
    }

    /// Appends an entry and makes it durable. After an error it is not pending, so that it cannot come to the log later; if
    /// the flash has it all the same, only the next open finds it.
    pub(crate) fn commit(
        &mut self,
        flash: &mut dyn Flash,
        entry: LogEntry,
    ) -> Result<LogEntry, StoreError> {
        let entry = self.append(flash, entry)?;
        let synced = self.sync(flash);
        if synced.is_err() && !self.stopped {
            self.pending.truncate(self.pending.len().saturating_sub(record::ENTRY_LEN));
            self.head -= 1;
        }
        synced.map(|()| entry)
    }

    /// The number of a context, which is in force from now on. Written if no equal one is in the segment; durable after
    /// `sync`.
    pub(crate) fn context_number(
        &mut self,
        flash: &mut dyn Flash,
        kind: ContextKind,
        bytes: &[u8],
    ) -> Result<u16, StoreError> {
        let same = |held: &&Context| held.kind == kind && held.bytes == bytes;
        if let Some(held) = self.held.values().rev().find(same) {
            self.in_force[usize::from(kind.code()) % 3] = held.number;
            return Ok(held.number);
        }
        let number = self.given.checked_add(1).ok_or(StoreError::ContextsUsedUp)?;
        let too_long = StoreError::ContextTooLong { len: bytes.len(), max: MAX_CONTEXT_BYTES };
        let bytes = heapless::Vec::from_slice(bytes).map_err(|_| too_long)?;
        let context = Context { number, kind, bytes };
        self.push_context(flash, context)?;
        Ok(number)
    }

    fn push_context(&mut self, flash: &mut dyn Flash, context: Context) -> Result<(), StoreError> {
        self.make_room(flash, record::context_len(context.bytes.len()))?;
        let behind = self.pending.len() as u16;
        record::push_context(&mut self.pending, behind, self.head + 1, &context);
        self.hold(context);
        Ok(())
    }

    /// Sees to it that the last segment and the batch have room for a record.
    fn make_room(&mut self, flash: &mut dyn Flash, len: usize) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        if self.pending.len() + len > MAX_PENDING || self.is_full(len) {
            self.sync(flash)?;
        }
        if self.is_full(len) {
            self.sealed = true;
            self.roll(flash)?;
        }
        Ok(())
    }

    fn is_full(&self, len: usize) -> bool {
        self.segments.back().is_none_or(|last| {
            let end = last.end as usize + self.pending.len();
            end > last.start as usize && end + len > self.size.segment_bytes as usize
        })
    }

    /// Makes everything appended durable. After a write that failed it stays pending for the next try.
    pub(crate) fn sync(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        if self.pending.is_empty() {
            return Ok(());
        }
        if self.sealed {
            self.roll(flash)?;
        }
        let Some(&last) = self.segments.back() else { return Err(StoreError::LogStopped) };
        if let Err(error) = flash.append(last.object(), &self.pending) {
            // A part of it may stand there; nothing must follow that.
            self.sealed = true;
            return Err(error.into());
        }
        if let Err(error) = flash.sync(last.object()) {
            // Linux may drop what it could not write, show it all the same, and call the next sync good. So the log stops, and
            // the next segment says that nothing of this batch counts; else a start before the next power cut would show
            // entries that the cut then takes.
            self.stopped = true;
            let _ = self.roll(flash);
            return Err(error.into());
        }
        self.settle(last.end + self.pending.len() as u32);
        self.pending.clear();
        Ok(())
    }

    /// Begins the next segment, and lets the oldest go if as many as are kept are there.
    ///
    /// A sealed segment without an entry is begun anew under its own number instead.
    fn roll(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        let first = self.durable.head + 1;
        let without_entry = self.segments.pop_back_if(|last| last.first == first);
        let before = self.segments.back();
        let number = without_entry.or(before.copied()).map_or(0, |held| held.number);
        let number = number + u32::from(without_entry.is_none());
        let kept_from = number.saturating_sub(self.size.segments - 1).max(1);
        let mut header = Header {
            number,
            oldest: self.segments.front().map_or(number, |front| front.number.max(kept_from)),
            previous_end: before.map_or(0, |before| before.end),
            first,
            contexts: without_entry.map_or(self.durable.given, |held| held.contexts),
            carried: 0,
        };
        let mut carried = Vec::new();
        for context in self.carried_over(without_entry.is_some()) {
            record::push_context(&mut carried, 0, first, context);
        }
        header.carried = carried.len() as u32;
        let bytes = [&header.to_bytes()[..], &carried].concat();
        let end = bytes.len() as u32;
        if let Err(error) = flash.replace(Object::Segment(number), &bytes) {
            self.segments.extend(without_entry);
            return Err(error.into());
        }
        let kept: Vec<u16> =
            self.carried_over(without_entry.is_some()).map(|context| context.number).collect();
        let durable = self.durable.given;
        self.held.retain(|number, _| *number > durable || kept.contains(number));
        self.segments.push_back(header.segment(end));
        self.sealed = false;
        while self.segments.front().is_some_and(|front| front.number < header.oldest) {
            self.segments.pop_front();
        }
        self.remove_old(flash);
        Ok(())
    }

    /// The contexts that the next segment begins with: those in force. After a failed write also all others of the
    /// segment, since records that wait may refer to them, and of a segment begun anew, since they would be lost.
    fn carried_over(&self, anew: bool) -> impl Iterator<Item = &Context> {
        let next = self.durable.head + 1;
        self.held.values().filter(move |context| {
            let number = context.number;
            number <= self.durable.given
                && (anew
                    || !self.pending.is_empty()
                    || self.in_force.contains(&number)
                    || self.wanted.get(&number).is_some_and(|&last| last >= next))
        })
    }

    /// Removes the segments that the last header no longer counts. They are no part of the log already, so a flash that
    /// does not let go of one is asked again at the next segment and the next open.
    fn remove_old(&self, flash: &mut dyn Flash) {
        let oldest = self.segments.front().map_or(0, |front| front.number);
        for number in flash.segments(Series::Log).into_iter().take_while(|&number| number < oldest)
        {
            let _ = flash.remove(Object::Segment(number));
        }
    }

    /// Sequence of the last durable entry.
    pub(crate) fn durable_head(&self) -> u64 {
        self.durable.head
    }

    /// Sequence of the oldest entry that is still there; 0 for an empty log.
    pub(crate) fn oldest(&self) -> u64 {
        let first = self.segments.front().map_or(0, |front| front.first);
        if first > self.durable.head { 0 } else { first }
    }

    /// Sequence of the first entry of the last segment.
    pub(crate) fn first_of_last(&self) -> u64 {
        self.segments.back().map_or(1, |last| last.first)
    }
}

/// Numbers of the contexts that an entry refers to.
fn references(entry: &LogEntry) -> impl Iterator<Item = u16> + use<> {
    let numbers = [entry.context_model, entry.context_policy, entry.context_config];
    numbers.into_iter().filter(|&number| number != 0)
}

/// A sealed segment must reach as far as the next one's header says.
fn not_shorter(flash: &dyn Flash, sealed: &Segment) -> Result<(), StoreError> {
    let object = sealed.object();
    let len = flash.len(object)?.unwrap_or(0);
    if sealed.end < sealed.start || len < u64::from(sealed.end) {
        return Err(damaged(object, len, "the end comes too early"));
    }
    Ok(())
}

fn damaged(object: Object, offset: u64, what: &'static str) -> StoreError {
    StoreError::Damaged { object, offset, what }
}

fn rolled_back(last: u32, found: u64, expected: u64) -> StoreError {
    StoreError::RolledBack { object: Object::Segment(last), found, expected }
}
