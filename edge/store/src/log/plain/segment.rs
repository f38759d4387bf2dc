//! One segment of the log of format 2: its header byte by byte. Earlier programs wrote them; here they are only read.
//!
//! ```text
//!  0 magic "THRSEG\r\n"
//!  8 version u16 (1)
//! 10 reserved u16, zero
//! 12 number u32         from 1; the object's name says the same
//! 16 oldest u32         the oldest segment that was kept when this one was made
//! 20 previous end u32   bytes of the segment before that count; 0 for segment 1
//! 24 first u64          sequence of the first entry that comes into it
//! 32 contexts u16       numbers of contexts given out before it
//! 34 reserved u16, zero
//! 36 carried u32        bytes of the contexts carried over, which stand right behind the header
//! 40 reserved, 20 bytes, zero
//! 60 crc32 u32          of bytes 0 to 60
//! 64 records            the carried contexts, then what is appended
//! ```
//! Header and carried contexts are put there in one replace, so that a header that is not whole is damage and never a
//! torn write.
//! `previous end` seals the segment before: what stands behind that place, a torn write or a failed one, is no part of
//! the log, and everything before it must be whole. `oldest` is what lets old segments go at any cut: a segment
//! before it is not part of the log, whatever its bytes say, also one that is half erased and has a valid header; a
//! segment from it on must be there.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};

pub(crate) const HEADER: usize = 64;
const MAGIC: [u8; 8] = *b"THRSEG\r\n";
const VERSION: u16 = 1;
const COVERED: usize = HEADER - 4;

struct Header {
    number: u32,
    oldest: u32,
    previous_end: u32,
    first: u64,
    contexts: u16,
    carried: u32,
}

/// A segment whose end is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    /// Numbers of contexts given out before it.
    pub(crate) contexts: u16,
    /// Where the carried contexts end.
    pub(crate) start: u32,
    /// Where its records end; for the last one, wherever the last whole one does.
    pub(crate) end: u32,
    /// Sequence of the first entry that comes into it.
    pub(crate) first: u64,
}

impl Header {
    /// Reads the header of a segment that must be there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is not, or is another's; [`StoreError::Version`]; a failing flash.
    fn read(flash: &dyn Flash, number: u32) -> Result<Self, StoreError> {
        let object = Object::Segment(number);
        if flash.len(object)?.is_none() {
            return Err(StoreError::Damaged { object, offset: 0, what: "the file is missing" });
        }
        let mut bytes = [0; HEADER];
        let read = flash.read(object, 0, &mut bytes)?;
        let mut reader = Reader::new(object, &bytes[..read]);
        reader.magic(&MAGIC)?;
        reader.version(VERSION)?;
        let mut reader = reader.hashed(|covered| crc32fast::hash(covered).to_le_bytes())?;
        reader.zero(2)?;
        let what = "the header of another segment";
        let misplaced = StoreError::Damaged { object, offset: 12, what };
        let (found, oldest, previous_end) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let first = reader.count()?;
        let contexts = u16::from_le_bytes(reader.array()?);
        reader.zero(2)?;
        let carried = reader.u32()?;
        reader.zero(COVERED - 40)?;
        if found != number || oldest == 0 || oldest > number || first == 0 {
            return Err(misplaced);
        }
        Ok(Self { number, oldest, previous_end, first, contexts, carried })
    }

    /// What is remembered of a segment of this header whose records end at `end`.
    fn segment(&self, end: u32) -> Segment {
        Segment {
            number: self.number,
            contexts: self.contexts,
            start: self.carried.saturating_add(HEADER as u32),
            end,
            first: self.first,
        }
    }
}

/// True if a segment says of itself that it is of version 1.
///
/// # Errors
/// A failing flash.
pub(crate) fn is_plain(flash: &dyn Flash, number: u32) -> Result<bool, FlashError> {
    let mut bytes = [0; 10];
    let read = flash.read(Object::Segment(number), 0, &mut bytes)?;
    let version = bytes[8..] == VERSION.to_le_bytes();
    Ok(read == bytes.len() && bytes.starts_with(&MAGIC) && version)
}

/// The segments that the last one counts, which follow each other.
///
/// # Errors
/// Damage, a later format, or a failing flash.
pub(crate) fn read_all(flash: &dyn Flash, last: u32) -> Result<Vec<Segment>, StoreError> {
    let mut segments: Vec<Segment> = Vec::new();
    for number in Header::read(flash, last)?.oldest..=last {
        let header = Header::read(flash, number)?;
        let object = Object::Segment(number);
        if let Some(before) = segments.last_mut() {
            before.end = header.previous_end;
            if header.first < before.first || header.contexts < before.contexts {
                let what = "a header that does not follow the one before";
                return Err(StoreError::Damaged { object, offset: 24, what });
            }
            let object = Object::Segment(before.number);
            let len = flash.len(object)?.unwrap_or(0);
            if before.end < before.start || len < u64::from(before.end) {
                let what = "the end comes too early";
                return Err(StoreError::Damaged { object, offset: len, what });
            }
        }
        segments.push(header.segment(u32::MAX));
    }
    Ok(segments)
}
