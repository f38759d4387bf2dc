//! Reading the log: pages of entries, and context records.
//!
//! Only what is durable is read. A page touches the segments that it takes entries from and no other, goes from one batch's
//! plain part to the next, and opens the batches of its entries; the place where the last page ended is remembered, so that
//! page after page no segment is gone through from its start again.

use super::batch::Batches;
use super::record::Record;
use super::segment::Head;
use super::{Log, Segment};
use crate::error::StoreError;
use crate::flash::Flash;
use crate::keyring::Keyring;
use threshold_record::{Context, LogEntry};

/// The batch with the entry behind the last page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    segment: u32,
    /// Sequence of the batch's first entry.
    first: u64,
    offset: u64,
}

impl Log {
    /// Durable entries from a sequence on, or from the oldest that is there, at most `max`.
    pub(crate) fn page(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
        from: u64,
        max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let oldest = self.oldest();
        let from = from.max(oldest);
        let mut page = Vec::new();
        if from > self.durable_head() || oldest == 0 || max == 0 {
            return Ok(page);
        }
        let at = self.segments.partition_point(|segment| segment.first <= from).saturating_sub(1);
        for (at, segment) in self.segments.iter().enumerate().skip(at) {
            let next = self.segments.get(at + 1).map_or(self.durable_head() + 1, |next| next.first);
            if next == segment.first {
                // It has no entry yet, and may be about to be begun anew.
                break;
            }
            let batches =
                Batches::new(flash, keyring, segment.number, segment.key, u64::from(segment.end));
            self.read_segment(batches, segment, next, from, max, &mut page)?;
            if page.len() == max {
                break;
            }
        }
        Ok(page)
    }

    /// Adds a segment's entries from `from` on, up to before `next`, which is due after them.
    fn read_segment(
        &self,
        mut batches: Batches<'_>,
        segment: &Segment,
        next: u64,
        from: u64,
        max: usize,
        page: &mut Vec<LogEntry>,
    ) -> Result<(), StoreError> {
        let cursor = self.cursor.get();
        let (mut due, mut offset) = match cursor {
            Cursor { segment: number, first, offset }
                if number == segment.number && first <= from =>
            {
                (first, offset)
            }
            _ => (segment.first, u64::from(segment.start)),
        };
        while offset < batches.len() {
            let prefix = batches.prefix(offset)?.ok_or_else(|| batches.not_whole(offset))?;
            if prefix.first != due || prefix.next() > next {
                return Err(batches.damaged(offset, "a batch out of sequence"));
            }
            if prefix.next() > from {
                let batch = batches.open(offset)?.ok_or_else(|| batches.not_whole(offset))?;
                let entries = batch.records().filter_map(|record| match record {
                    Some(Record::Entry(entry)) => Some(entry),
                    _ => None,
                });
                let mut count = 0;
                for entry in entries {
                    if entry.sequence != due + count {
                        return Err(batches.damaged(offset, "an entry out of sequence"));
                    }
                    count += 1;
                    if entry.sequence >= from && page.len() < max {
                        page.push(entry);
                    }
                }
                if !batch.follows || due + count != prefix.next() {
                    return Err(
                        batches.damaged(offset, "a batch that does not continue the one before it")
                    );
                }
            }
            if page
                .last()
                .is_some_and(|last| page.len() == max && last.sequence + 1 < prefix.next())
            {
                break;
            }
            (due, offset) = (prefix.next(), offset + prefix.len as u64);
            if page.len() == max {
                break;
            }
        }
        if offset == batches.len() && due != next {
            return Err(batches.damaged(offset, "entries are missing at its end"));
        }
        self.cursor.set(Cursor { segment: segment.number, first: due, offset });
        Ok(())
    }

    /// A durable context record; `None` if it was never written, or went with the last entry that referred to it.
    pub(crate) fn context(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
        number: u16,
    ) -> Result<Option<Context>, StoreError> {
        if number == 0 || number > self.durable.tip.given {
            return Ok(None);
        }
        if let Some(held) = self.held.get(&number) {
            return Ok(Some(held.clone()));
        }
        // It was written in the last segment that began before it was given out. If that one is gone, entries that are
        // there refer to it only if it was carried over from there on, and so stands in the head of the oldest.
        let origin = self.segments.partition_point(|segment| segment.contexts < number);
        let origin = origin.checked_sub(1).and_then(|at| self.segments.get(at));
        let Some(segment) = origin.or(self.segments.front()) else { return Ok(None) };
        let carried = Head::read(flash, keyring, segment.number)?.carried;
        if let Some(context) = carried.into_iter().find(|context| context.number == number) {
            return Ok(Some(context));
        }
        if origin.is_none() {
            return Ok(None);
        }
        let end = u64::from(segment.end);
        let mut batches = Batches::new(flash, keyring, segment.number, segment.key, end);
        let mut offset = u64::from(segment.start);
        while offset < end {
            let batch = batches.open(offset)?.ok_or_else(|| batches.not_whole(offset))?;
            for record in batch.records() {
                match record {
                    Some(Record::Context(context)) if context.number == number => {
                        return Ok(Some(*context));
                    }
                    _ => {}
                }
            }
            offset += batch.prefix.len as u64;
        }
        Ok(None)
    }
}
