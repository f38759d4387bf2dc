//! The log: entries and context records, appended, never changed.
//!
//! Owns the numbering (sequences from 1 without gaps), what is durable, and the reading by pages.
//! Only durable entries are shown to a reader: an entry that a power cut takes back must not have been seen under a
//! number that another entry then gets.
//! The log grows without bound for now; a full medium is a fault that locks the door.

mod record;
mod scan;

use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, Object};
use record::Body;
use threshold_record::context::MAX_CONTEXT_BYTES;
use threshold_record::{Context, ContextKind, LogEntry};

/// Entries between two marks of the index: a page is found within so many records.
const MARK_EVERY: u64 = 64;

/// Records after which an append syncs by itself, far below what `unsynced` can count.
const MAX_UNSYNCED: u64 = 4096;

/// The state of the open log.
#[derive(Debug)]
pub(crate) struct Log {
    /// Where the next record goes.
    end: u64,
    records: u64,
    head: u64,
    durable: Durable,
    /// Offsets of the entries 1, 65, 129 and so on.
    marks: Vec<u64>,
    contexts: Vec<Context>,
    /// A write failed and the end is unknown.
    stopped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Durable {
    end: u64,
    records: u64,
    head: u64,
    contexts: usize,
}

impl Log {
    /// Opens the log, which had reached `anchored`. Makes it if that is nothing and it is not there or its
    /// first write was cut off.
    pub(crate) fn open(
        flash: &mut dyn Flash,
        anchored: u64,
    ) -> Result<(Self, Option<TailCut>), StoreError> {
        let mut log = Self {
            end: record::HEADER as u64,
            records: 0,
            head: 0,
            durable: Durable::default(),
            marks: Vec::new(),
            contexts: Vec::new(),
            stopped: false,
        };
        let len = flash.len(Object::Log)?;
        let mut header = [0; record::HEADER];
        let read = flash.read(Object::Log, 0, &mut header)?;
        let mut cut = None;
        match record::header_version(&header[..read]) {
            Some(record::VERSION) => {
                let len = len.unwrap_or(0);
                let end = scan::scan(flash, len, |offset, found| log.take(offset, found))?;
                log.end = end;
                if end < len {
                    flash.truncate(Object::Log, end)?;
                    cut = Some(TailCut { head: log.head, bytes: len - end });
                }
            }
            Some(found) => {
                let supported = record::VERSION;
                return Err(StoreError::Version { object: Object::Log, found, supported });
            }
            // The header is synced before the first record, so a log with more than a header had a whole one.
            None if anchored == 0 && len.unwrap_or(0) <= record::HEADER as u64 => {
                if len.is_some_and(|len| len > 0) {
                    flash.truncate(Object::Log, 0)?;
                }
                flash.append(Object::Log, &record::header())?;
            }
            None if len.is_none() => {
                return Err(StoreError::RolledBack {
                    object: Object::Log,
                    found: 0,
                    expected: anchored,
                });
            }
            None => {
                let what = "not the header of a log";
                return Err(StoreError::Damaged { object: Object::Log, offset: 0, what });
            }
        }
        // Records of a process that was killed may still be only in memory; they are durable from here on.
        flash.sync(Object::Log)?;
        log.settle();
        Ok((log, cut))
    }

    /// Takes in a record that the scan found.
    fn take(&mut self, offset: u64, found: record::Record) -> Result<(), &'static str> {
        self.records = found.record;
        match found.body {
            Body::Entry(entry) if entry.sequence == self.head + 1 => self.count(offset),
            Body::Entry(_) => return Err("an entry out of sequence"),
            Body::Context(context) if usize::from(context.number) == self.contexts.len() + 1 => {
                self.contexts.push(*context);
            }
            Body::Context(_) => return Err("a context record out of its order"),
        }
        Ok(())
    }

    fn count(&mut self, offset: u64) {
        if self.head.is_multiple_of(MARK_EVERY) {
            self.marks.push(offset);
        }
        self.head += 1;
    }

    fn settle(&mut self) {
        self.durable = Durable {
            end: self.end,
            records: self.records,
            head: self.head,
            contexts: self.contexts.len(),
        };
    }

    /// Appends an entry under the next sequence; durable after `sync`.
    pub(crate) fn append(
        &mut self,
        flash: &mut dyn Flash,
        entry: LogEntry,
    ) -> Result<LogEntry, StoreError> {
        let entry = LogEntry { sequence: self.head + 1, ..entry };
        let offset = self.end;
        self.write(flash, &Body::Entry(entry))?;
        self.count(offset);
        Ok(entry)
    }

    /// The number of a context, written if no equal one is there; durable after `sync`.
    pub(crate) fn context_number(
        &mut self,
        flash: &mut dyn Flash,
        kind: ContextKind,
        bytes: &[u8],
    ) -> Result<u16, StoreError> {
        let same = |held: &&Context| held.kind == kind && held.bytes == bytes;
        if let Some(held) = self.contexts.iter().rev().find(same) {
            return Ok(held.number);
        }
        let number =
            u16::try_from(self.contexts.len() + 1).map_err(|_| StoreError::ContextsUsedUp)?;
        let too_long = StoreError::ContextTooLong { len: bytes.len(), max: MAX_CONTEXT_BYTES };
        let bytes = heapless::Vec::from_slice(bytes).map_err(|_| too_long)?;
        let context = Context { number, kind, bytes };
        self.write(flash, &Body::Context(Box::new(context.clone())))?;
        self.contexts.push(context);
        Ok(number)
    }

    fn write(&mut self, flash: &mut dyn Flash, body: &Body) -> Result<(), StoreError> {
        if self.records - self.durable.records >= MAX_UNSYNCED {
            self.sync(flash)?;
        }
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        let unsynced = (self.records - self.durable.records) as u16;
        let bytes = record::to_bytes(self.records + 1, unsynced, body);
        if let Err(error) = flash.append(Object::Log, &bytes) {
            // Half a record may stand there; the next one must not follow it.
            self.stopped = flash.truncate(Object::Log, self.end).is_err();
            return Err(error.into());
        }
        self.end += bytes.len() as u64;
        self.records += 1;
        Ok(())
    }

    /// Makes everything appended durable.
    pub(crate) fn sync(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        if self.stopped {
            return Err(StoreError::LogStopped);
        }
        if self.durable.records == self.records {
            return Ok(());
        }
        if let Err(error) = flash.sync(Object::Log) {
            // Linux may drop what it could not write and call the next sync good, so nothing is known any more.
            self.stopped = true;
            return Err(error.into());
        }
        self.settle();
        Ok(())
    }

    /// Sequence of the last durable entry.
    pub(crate) fn durable_head(&self) -> u64 {
        self.durable.head
    }

    /// Durable entries from a sequence on, at most `max`.
    pub(crate) fn page(
        &self,
        flash: &dyn Flash,
        from: u64,
        max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let from = from.max(1);
        let mut page = Vec::new();
        if from > self.durable.head || max == 0 {
            return Ok(page);
        }
        let mark = usize::try_from((from - 1) / MARK_EVERY).ok();
        let Some(&offset) = mark.and_then(|mark| self.marks.get(mark)) else { return Ok(page) };
        scan::entries_from(flash, self.durable.end, offset, |entry| {
            if entry.sequence >= from {
                page.push(entry);
            }
            page.len() < max
        })?;
        Ok(page)
    }

    /// A durable context record.
    pub(crate) fn context(&self, number: u16) -> Option<&Context> {
        let at = usize::from(number).checked_sub(1)?;
        self.contexts[..self.durable.contexts].get(at)
    }
}
