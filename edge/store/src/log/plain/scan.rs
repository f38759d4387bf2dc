//! Reading records in order: a stretch that must be whole, and the tail, of which the end has to be found.

use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};
use crate::log::plain::record::{self, Bad, MAX_LEN, MIN_LEN, Record};

/// Bytes read at once.
const CHUNK: usize = 64 * 1024;

/// A window over an object, moved forward as it is read.
pub(crate) struct Window<'a> {
    flash: &'a dyn Flash,
    object: Object,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    /// A window over the first `len` bytes of an object.
    pub(crate) fn new(flash: &'a dyn Flash, object: Object, len: u64) -> Self {
        Self { flash, object, len, start: 0, bytes: Vec::new() }
    }

    /// Up to the longest record's bytes from `offset`; fewer at the end.
    pub(crate) fn at(&mut self, offset: u64) -> Result<&[u8], FlashError> {
        let wanted = (self.len.saturating_sub(offset)).min(MAX_LEN as u64) as usize;
        let held =
            offset >= self.start && offset + wanted as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            self.bytes.resize(CHUNK.min(self.len.saturating_sub(offset) as usize), 0);
            let read = self.flash.read(self.object, offset, &mut self.bytes)?;
            self.bytes.truncate(read);
            self.start = offset;
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..self.bytes.len().min(from + wanted)).unwrap_or(&[]))
    }

    /// The whole record at `offset`; `None` if there is none.
    ///
    /// # Errors
    /// A later format, or a failing flash.
    pub(crate) fn record(&mut self, offset: u64) -> Result<Option<Record>, StoreError> {
        match record::from_bytes(self.at(offset)?) {
            Ok(found) => Ok(Some(found)),
            Err(Bad::NotARecord) => Ok(None),
            // Entries and records of this program are of version 1.
            Err(Bad::LaterVersion) => {
                Err(StoreError::Version { object: self.object, found: 2, supported: 1 })
            }
        }
    }

    /// The error that something does not fit at `offset`.
    pub(crate) fn damaged(&self, offset: u64, what: &'static str) -> StoreError {
        StoreError::Damaged { object: self.object, offset, what }
    }

    /// Every record that can be found after `offset`, with its place, until `see` says that it saw enough.
    ///
    /// # Errors
    /// A failing flash.
    pub(crate) fn search(
        &mut self,
        offset: u64,
        mut see: impl FnMut(u64, &Record) -> bool,
    ) -> Result<bool, FlashError> {
        let mut at = offset + 1;
        while at + MIN_LEN as u64 <= self.len {
            match record::from_bytes(self.at(at)?) {
                Ok(found) if see(at, &found) => return Ok(true),
                Ok(found) => at += found.len as u64,
                Err(_) => at += 1,
            }
        }
        Ok(false)
    }
}

/// Calls `see` with each record of a stretch that must be whole, until it says false or the stretch ends; gives the
/// offset after the last one seen.
///
/// # Errors
/// Damage, a later format, or a failing flash.
pub(crate) fn stretch(
    flash: &dyn Flash,
    object: Object,
    from: u64,
    to: u64,
    mut see: impl FnMut(&Record) -> Result<bool, &'static str>,
) -> Result<u64, StoreError> {
    let mut window = Window::new(flash, object, to);
    let mut offset = from;
    while offset < to {
        let found = window.record(offset)?;
        let found = found
            .ok_or_else(|| window.damaged(offset, "a record that was durable is not whole"))?;
        let more = see(&found).map_err(|what| window.damaged(offset, what))?;
        offset += found.len as u64;
        if !more {
            break;
        }
    }
    Ok(offset)
}

/// Calls `see` with each record from `from` on, and gives the offset after the last whole one: the object's end, or
/// the start of a torn tail.
///
/// # Errors
/// Damage before the tail, a later format, or a failing flash.
pub(crate) fn tail(
    flash: &dyn Flash,
    object: Object,
    from: u64,
    len: u64,
    mut see: impl FnMut(&Record) -> Result<(), &'static str>,
) -> Result<u64, StoreError> {
    let mut window = Window::new(flash, object, len);
    let mut offset = from;
    while offset < len {
        let Some(found) = window.record(offset)? else {
            let was_durable = |at: u64, later: &Record| offset + u64::from(later.behind) < at;
            if window.search(offset, was_durable)? {
                return Err(window.damaged(offset, "a record that was durable is not whole"));
            }
            break;
        };
        see(&found).map_err(|what| window.damaged(offset, what))?;
        offset += found.len as u64;
    }
    Ok(offset)
}
