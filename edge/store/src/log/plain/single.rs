//! The log of format 1: one file, which earlier programs wrote and which is only read here, to make sealed segments of it.
//!
//! ```text
//! header: 0 magic "THRLOG\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 crc32 of 0 to 12
//! ```
//! Behind it the records of `record`, in which `behind` counts the records right before that were not yet durable, and
//! the number at 8 is the record's place among all records, from 1.

use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, Object};
use crate::log::plain::record::{Body, Record};
use crate::log::plain::scan::Window;
use std::collections::BTreeMap;

pub(crate) const HEADER: usize = 16;
const MAGIC: [u8; 8] = *b"THRLOG\r\n";
const VERSION: u16 = 1;
const OBJECT: Object = Object::SingleLog;

/// A log in a single file.
#[derive(Debug, Default)]
pub(crate) struct Single {
    /// Where its whole records end.
    pub(crate) end: u64,
    /// Sequence of the last entry; 0 for none.
    pub(crate) head: u64,
    /// The last entry that refers to each context.
    pub(crate) last_use: BTreeMap<u16, u64>,
    /// A torn end, which is left out.
    pub(crate) cut: Option<TailCut>,
}

impl Single {
    /// Reads the file from end to end. It may be missing, or its first write cut off, if the anchor knew of no entry.
    ///
    /// # Errors
    /// Damage, a later format, or a failing flash.
    pub(crate) fn open(flash: &dyn Flash, anchored: u64) -> Result<Self, StoreError> {
        let Some(len) = flash.len(OBJECT)? else { return Ok(Self::default()) };
        let mut header = [0; HEADER];
        let read = flash.read(OBJECT, 0, &mut header)?;
        match header_version(&header[..read]) {
            Some(VERSION) => {}
            Some(found) => {
                return Err(StoreError::Version { object: OBJECT, found, supported: VERSION });
            }
            // The header was synced before the first record, so a log with more than a header had a whole one.
            None if anchored == 0 && len <= HEADER as u64 => return Ok(Self::default()),
            None => {
                let what = "not the header of a log";
                return Err(StoreError::Damaged { object: OBJECT, offset: 0, what });
            }
        }
        let mut log = Self { end: HEADER as u64, ..Self::default() };
        let mut window = Window::new(flash, OBJECT, len);
        let mut contexts = 0_u16;
        let mut place = 1;
        while log.end < len {
            let Some(found) = window.record(log.end)? else {
                // `behind` counts records here; one of before the missing one does not belong here either.
                let was_durable = |_, later: &Record| {
                    later.sequence < place || later.sequence - place > u64::from(later.behind)
                };
                if window.search(log.end, was_durable)? {
                    return Err(window.damaged(log.end, "a record that was durable is not whole"));
                }
                log.cut = Some(TailCut { head: log.head, bytes: len - log.end });
                break;
            };
            if found.sequence != place {
                return Err(window.damaged(log.end, "a record out of its place"));
            }
            match &found.body {
                Body::Entry(entry) if entry.sequence == log.head + 1 => {
                    log.head += 1;
                    for number in crate::log::references(entry) {
                        log.last_use.insert(number, entry.sequence);
                    }
                }
                Body::Entry(_) => return Err(window.damaged(log.end, "an entry out of sequence")),
                Body::Context(context) if contexts.checked_add(1) == Some(context.number) => {
                    contexts = context.number;
                }
                Body::Context(_) => {
                    return Err(window.damaged(log.end, "a context record out of its order"));
                }
            }
            log.end += found.len as u64;
            place += 1;
        }
        Ok(log)
    }
}

/// The version that a whole header of any version says.
fn header_version(bytes: &[u8]) -> Option<u16> {
    let header = bytes.first_chunk::<HEADER>()?;
    let (covered, crc) = header.split_at(12);
    let whole = covered.starts_with(&MAGIC) && crc == crc32fast::hash(covered).to_le_bytes();
    whole.then(|| u16::from_le_bytes([header[8], header[9]]))
}
