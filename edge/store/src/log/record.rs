//! One record of the log, and the log's header, byte by byte.
//!
//! ```text
//! header: 0 magic "THRLOG\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 crc32 of 0 to 12
//! record: 0 length u16         of the body
//!         2 complement u16     of the length, so that zeros and ones are no record
//!         4 kind u8            1 entry, 2 context
//!         5 reserved u8, zero
//!         6 unsynced u16       how many records right before this one were not yet durable when it was written
//!         8 record u64         its place among all records, from 1
//!        16 body               entry: LogEntry's 64 bytes; context: number u16 | kind u8 | bytes
//!      16+n crc32 u32          of bytes 0 to 16+n
//! ```
//! `unsynced` tells a torn tail from damage. A power cut may keep a later write and lose an earlier one, so a bad record
//! before a good one can be either; if the good one says that the bad one was durable, it is damage.

use threshold_record::context::MAX_CONTEXT_BYTES;
use threshold_record::{Context, ContextKind, LogEntry};

pub(crate) const HEADER: usize = 16;
const MAGIC: [u8; 8] = *b"THRLOG\r\n";
pub(crate) const VERSION: u16 = 1;
const PREFIX: usize = 16;
const CRC: usize = 4;

/// The shortest record: an empty context.
pub(crate) const MIN_RECORD: usize = PREFIX + 3 + CRC;

/// The longest record.
pub(crate) const MAX_RECORD: usize = PREFIX + 3 + MAX_CONTEXT_BYTES + CRC;

/// What a record holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    Entry(LogEntry),
    Context(Box<Context>),
}

/// A record that was read whole.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    pub(crate) record: u64,
    pub(crate) unsynced: u16,
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

/// The log's header.
pub(crate) fn header() -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&bytes[..12]);
    bytes[12..].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// The version that a whole header of any version says.
pub(crate) fn header_version(bytes: &[u8]) -> Option<u16> {
    let header = bytes.first_chunk::<HEADER>()?;
    let (covered, crc) = header.split_at(12);
    let whole = covered.starts_with(&MAGIC) && crc == crc32fast::hash(covered).to_le_bytes();
    whole.then(|| u16::from_le_bytes([header[8], header[9]]))
}

/// The bytes of a record.
pub(crate) fn to_bytes(record: u64, unsynced: u16, body: &Body) -> Vec<u8> {
    let (kind, body) = match body {
        Body::Entry(entry) => (1, entry.to_bytes().to_vec()),
        Body::Context(context) => {
            let [low, high] = context.number.to_le_bytes();
            (2, [&[low, high, context.kind.code()], context.bytes.as_slice()].concat())
        }
    };
    let len = body.len() as u16;
    let mut bytes = Vec::with_capacity(PREFIX + body.len() + CRC);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(&(!len).to_le_bytes());
    bytes.extend_from_slice(&[kind, 0]);
    bytes.extend_from_slice(&unsynced.to_le_bytes());
    bytes.extend_from_slice(&record.to_le_bytes());
    bytes.extend_from_slice(&body);
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// The record at the front of bytes.
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Record, Bad> {
    let prefix = bytes.first_chunk::<PREFIX>().ok_or(Bad::NotARecord)?;
    let [l0, l1, c0, c1, kind, reserved, u0, u1, record @ ..] = *prefix;
    let len = u16::from_le_bytes([l0, l1]);
    let end = PREFIX + usize::from(len);
    if !len != u16::from_le_bytes([c0, c1]) || end + CRC > MAX_RECORD {
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
    let unsynced = u16::from_le_bytes([u0, u1]);
    Ok(Record { record: u64::from_le_bytes(record), unsynced, body, len: end + CRC })
}

fn context(body: &[u8]) -> Option<Context> {
    let (&[low, high, kind], bytes) = body.split_first_chunk::<3>()?;
    Some(Context {
        number: u16::from_le_bytes([low, high]),
        kind: ContextKind::from_code(kind)?,
        bytes: heapless::Vec::from_slice(bytes).ok()?,
    })
}
