//! One record of the log of formats 1 and 2, byte by byte.
//!
//! ```text
//!  0 length u16         of the body
//!  2 complement u16     of the length, so that zeros and ones are no record
//!  4 kind u8            1 entry, 2 context
//!  5 reserved u8, zero
//!  6 behind u16         bytes between the last ones that were durable when this was written and this record
//!  8 sequence u64       of the entry; for a context, of the entry that comes next
//! 16 body               entry: LogEntry's 64 bytes; context: number u16 | kind u8 | bytes
//! 16+n crc32 u32        of bytes 0 to 16+n
//! ```
//! `behind` tells a torn tail from damage. A power cut may keep a later write and lose an earlier one, so a bad record
//! before a good one can be either; if the good one says that the bad one was durable, it is damage.
//! In the single file of format 1 `behind` counts records and the number at 8 is the record's place among all.

use threshold_record::context::MAX_CONTEXT_BYTES;
use threshold_record::{Context, ContextKind, LogEntry};

const PREFIX: usize = 16;
const CRC: usize = 4;

/// The shortest record: an empty context.
pub(crate) const MIN_LEN: usize = PREFIX + 3 + CRC;

/// The longest record.
pub(crate) const MAX_LEN: usize = PREFIX + 3 + MAX_CONTEXT_BYTES + CRC;

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Entry(LogEntry),
    Context(Box<Context>),
}

/// A record that was read whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) behind: u16,
    pub(crate) sequence: u64,
    pub(crate) body: Body,
    /// Bytes that it takes.
    pub(crate) len: usize,
}

/// Why bytes are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bad {
    /// Torn, damaged, or something else.
    NotARecord,
    /// Whole, by its checksum, and of a later format.
    LaterVersion,
}

/// The record at the front of bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Record, Bad> {
    let prefix = bytes.first_chunk::<PREFIX>().ok_or(Bad::NotARecord)?;
    let [l0, l1, c0, c1, kind, reserved, b0, b1, sequence @ ..] = *prefix;
    let len = u16::from_le_bytes([l0, l1]);
    let end = PREFIX + usize::from(len);
    if !len != u16::from_le_bytes([c0, c1]) || end + CRC > MAX_LEN {
        return Err(Bad::NotARecord);
    }
    let (covered, crc) =
        bytes.get(..end + CRC).and_then(<[u8]>::split_last_chunk::<CRC>).ok_or(Bad::NotARecord)?;
    if *crc != crc32fast::hash(covered).to_le_bytes() {
        return Err(Bad::NotARecord);
    }
    // From here on the bytes are what was written; what does not read is of a later program.
    let body = &covered[PREFIX..];
    let body = match (kind, reserved) {
        (1, 0) => {
            let entry: &[u8; LogEntry::LEN] = body.try_into().map_err(|_| Bad::LaterVersion)?;
            Body::Entry(LogEntry::from_bytes(entry).map_err(|_| Bad::LaterVersion)?)
        }
        (2, 0) => Body::Context(Box::new(context(body).ok_or(Bad::LaterVersion)?)),
        _ => return Err(Bad::LaterVersion),
    };
    let (behind, sequence) = (u16::from_le_bytes([b0, b1]), u64::from_le_bytes(sequence));
    Ok(Record { behind, sequence, body, len: end + CRC })
}

fn context(body: &[u8]) -> Option<Context> {
    let (&[low, high, kind], bytes) = body.split_first_chunk::<3>()?;
    Some(Context {
        number: u16::from_le_bytes([low, high]),
        kind: ContextKind::from_code(kind)?,
        bytes: heapless::Vec::from_slice(bytes).ok()?,
    })
}
