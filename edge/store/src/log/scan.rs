//! The scan at open: finds the last whole record, and says whether what follows is a torn tail or damage.

use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};
use crate::log::record::{self, Bad, Body, MAX_RECORD, MIN_RECORD, Record};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// A window over the log, moved forward as it is read.
pub(crate) struct Window<'a> {
    flash: &'a dyn Flash,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// A window over the first `len` bytes of the log.
    pub(crate) fn new(flash: &'a dyn Flash, len: u64) -> Self {
        Self { flash, len, start: 0, bytes: Vec::new() }
    }

    /// Up to the longest record's bytes from `offset`; fewer at the end.
    pub(crate) fn at(&mut self, offset: u64) -> Result<&[u8], FlashError> {
        let wanted = (self.len.saturating_sub(offset)).min(MAX_RECORD as u64) as usize;
        let held =
            offset >= self.start && offset + wanted as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            self.bytes.resize(CHUNK.min(self.len.saturating_sub(offset) as usize), 0);
            let read = self.flash.read(Object::Log, offset, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..self.bytes.len().min(from + wanted)).unwrap_or(&[]))
    }
}

/// Calls `see` with each record in order, and gives the offset after the last whole one.
///
/// # Errors
/// Damage in the middle, records out of order, a later format, or a failing flash.
pub(crate) fn scan(
    flash: &dyn Flash,
    len: u64,
    mut see: impl FnMut(u64, Record) -> Result<(), &'static str>,
) -> Result<u64, StoreError> {
    let damaged = |offset, what| StoreError::Damaged { object: Object::Log, offset, what };
    let mut window = Window::new(flash, len);
    let (mut offset, mut expected) = (record::HEADER as u64, 1u64);
    while offset < len {
        match record::from_bytes(window.at(offset)?) {
            Ok(found) if found.record == expected => {
                let end = offset + found.len as u64;
                see(offset, found).map_err(|what| damaged(offset, what))?;
                offset = end;
                expected += 1;
            }
            Ok(_) => return Err(damaged(offset, "a record out of its place")),
            Err(Bad::LaterVersion) => {
                let supported = record::VERSION;
                let found = supported + 1;
                return Err(StoreError::Version { object: Object::Log, found, supported });
            }
            Err(Bad::NotARecord) => {
                if was_durable(&mut window, len, offset, expected)? {
                    return Err(damaged(offset, "a record that was durable is not whole"));
                }
                return Ok(offset);
            }
        }
    }
    Ok(offset)
}

/// Whether the record that should stand at `offset` had been durable, as a whole record after it tells.
fn was_durable(
    window: &mut Window<'_>,
    len: u64,
    offset: u64,
    missing: u64,
) -> Result<bool, FlashError> {
    let mut at = offset + 1;
    while at + MIN_RECORD as u64 <= len {
        match record::from_bytes(window.at(at)?) {
            Ok(later) if later.record - missing.min(later.record) > u64::from(later.unsynced) => {
                return Ok(true);
            }
            // A record of before the missing one does not belong here; nothing that we write leaves one behind.
            Ok(later) if later.record < missing => return Ok(true),
            Ok(later) => at += later.len as u64,
            Err(_) => at += 1,
        }
    }
    Ok(false)
}

/// The entries of a stretch of the log, from an offset that a record starts at.
///
/// # Errors
/// Damage, or a failing flash.
pub(crate) fn entries_from(
    flash: &dyn Flash,
    end: u64,
    mut offset: u64,
    mut wanted: impl FnMut(threshold_record::LogEntry) -> bool,
) -> Result<(), StoreError> {
    let mut window = Window::new(flash, end);
    while offset < end {
        let found = record::from_bytes(window.at(offset)?).map_err(|_| StoreError::Damaged {
            object: Object::Log,
            offset,
            what: "a record that was whole at start is not",
        })?;
        offset += found.len as u64;
        if let Body::Entry(entry) = found.body
            && !wanted(entry)
        {
            break;
        }
    }
    Ok(())
}
