//! From the single file of format 1 to segments, once, at the first start of a program that writes segments.
//!
//! The anchor decides: as long as it is of format 1 the single file is the log, and segments beside it are what an earlier
//! try left when the power went; they are removed. The caller writes the anchor of format 2 once the segments are
//! durable, and from then on they are the log and the single file is a leftover. There is no state between.
//! Sequences and numbers of contexts stay as they are.

use super::single::Single;
use super::{Body, Log, LogSize, record};
use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, Object, Series};

/// Makes segments of the single file, durable on return. The file stays; it may be removed once the anchor says so.
pub(crate) fn convert(
    flash: &mut dyn Flash,
    size: LogSize,
    anchored: u64,
) -> Result<(Log, Option<TailCut>), StoreError> {
    let single = Single::open(flash, anchored)?;
    if single.head < anchored {
        let object = Object::SingleLog;
        return Err(StoreError::RolledBack { object, found: single.head, expected: anchored });
    }
    for number in flash.segments(Series::Log) {
        flash.remove(Object::Segment(number))?;
    }
    let mut log = Log::empty(size);
    log.roll(flash)?;
    log.wanted.clone_from(&single.last_use);
    single.for_each(flash, |flash, body| match body {
        Body::Context(context) => log.push_context(flash, *context),
        Body::Entry(entry) => {
            log.make_room(flash, record::ENTRY_LEN)?;
            let behind = log.pending.len() as u16;
            record::push_entry(&mut log.pending, behind, &entry);
            log.head = entry.sequence;
            Ok(())
        }
    })?;
    log.sync(flash)?;
    log.wanted.clear();
    Ok((log, single.cut))
}
