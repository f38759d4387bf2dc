//! Reading the log: pages of entries, and context records.
//!
//! Only what is durable is read. A page touches the segments that it takes entries from and no other; the place where the
//! last page ended is remembered, so that page after page no segment is gone through from its start again.

use super::segment::HEADER;
use super::{Body, Log, Segment, scan};
use crate::error::StoreError;
use crate::flash::Flash;
use threshold_record::{Context, LogEntry};

/// Where the last page ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    segment: u32,
    sequence: u64,
    offset: u64,
}

impl Log {
    /// Durable entries from a sequence on, or from the oldest that is there, at most `max`.
    pub(crate) fn page(
        &self,
        flash: &dyn Flash,
        from: u64,
        max: usize,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let oldest = self.oldest();
        let from = from.max(oldest);
        let mut page = Vec::new();
        if from > self.durable.head || oldest == 0 || max == 0 {
            return Ok(page);
        }
        let at = self.segments.partition_point(|segment| segment.first <= from).saturating_sub(1);
        for (at, segment) in self.segments.iter().enumerate().skip(at) {
            let next = self.segments.get(at + 1).map_or(self.durable.head + 1, |next| next.first);
            self.read_segment(flash, segment, next, from, max, &mut page)?;
            if page.len() == max {
                break;
            }
        }
        Ok(page)
    }

    /// Adds a segment's entries from `from` on, up to before `next`, which is due after them.
    fn read_segment(
        &self,
        flash: &dyn Flash,
        segment: &Segment,
        next: u64,
        from: u64,
        max: usize,
        page: &mut Vec<LogEntry>,
    ) -> Result<(), StoreError> {
        let cursor = self.cursor.get();
        let (mut due, offset) = match from {
            from if cursor.segment == segment.number && cursor.sequence == from => {
                (from, cursor.offset)
            }
            _ => (segment.first, u64::from(segment.start)),
        };
        let end = u64::from(segment.end);
        let offset = scan::stretch(flash, segment.object(), offset, end, |found| {
            if let Body::Entry(entry) = found.body {
                if entry.sequence != due || due >= next {
                    return Err("an entry out of sequence");
                }
                due += 1;
                if entry.sequence >= from {
                    page.push(entry);
                }
            }
            Ok(page.len() < max)
        })?;
        if offset == end && due != next {
            return Err(super::damaged(segment.object(), end, "entries are missing at its end"));
        }
        self.cursor.set(Cursor { segment: segment.number, sequence: due, offset });
        Ok(())
    }

    /// A durable context record; `None` if it was never written, or went with the last entry that referred to it.
    pub(crate) fn context(
        &self,
        flash: &dyn Flash,
        number: u16,
    ) -> Result<Option<Context>, StoreError> {
        if number == 0 || number > self.durable.given {
            return Ok(None);
        }
        if let Some(held) = self.held.get(&number) {
            return Ok(Some(held.clone()));
        }
        // It was written in the last segment that began before it was given out. If that one is gone, entries that are
        // there refer to it only if it was carried over from there on, and so stands at the head of the oldest.
        let origin = self.segments.partition_point(|segment| segment.contexts < number);
        let (segment, end) = match origin.checked_sub(1).and_then(|at| self.segments.get(at)) {
            Some(origin) => (origin, origin.end),
            None => match self.segments.front() {
                Some(oldest) => (oldest, oldest.start),
                None => return Ok(None),
            },
        };
        let mut context = None;
        scan::stretch(flash, segment.object(), HEADER as u64, u64::from(end), |found| {
            if let Body::Context(found) = &found.body
                && found.number == number
            {
                context = Some(found.as_ref().clone());
            }
            Ok(context.is_none())
        })?;
        Ok(context)
    }
}
