//! The anchor: how far each object had come, so that an older one put back is found (safety rule 5), and the counters
//! that must be durable before a probe is scored (safety rule 3).
//!
//! ```text
//!  0 magic "THRANC\r\n" | 12 boot u32        | 32 tombstones u32 | 40 lock-out [u8; 4]
//!  8 version u16 (2)    | 16 generation u64  | 36 last id u32    | 44 crc32 of 0 to 44
//! 10 reserved u16, zero | 24 log head u64    |
//! ```
//! Version 1 is the same, and says that the log is a single file; version 2 says that it is segments.
//! An object may stand further than the anchor says, since the anchor is written after it; never less far.
//! What this cannot find: the whole folder put back as it once was. That takes a counter outside the flash.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::Object;
use threshold_record::PersonId;

const MAGIC: [u8; 8] = *b"THRANC\r\n";
/// The log is a single file.
const SINGLE_LOG: u16 = 1;
/// The log is segments: what this program writes.
const SEGMENTS: u16 = 2;

/// The anchor's length.
pub(crate) const LEN: usize = 48;

/// How far everything had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) boot: u32,
    pub(crate) generation: u64,
    pub(crate) log_head: u64,
    pub(crate) tombstones: u32,
    pub(crate) last_id: PersonId,
    pub(crate) lockout: [u8; 4],
}

/// What the log is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// A single file, of format 1.
    Single,
    /// Segments.
    Segments,
}

impl Anchor {
    pub(crate) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &MAGIC);
        put(8, &SEGMENTS.to_le_bytes());
        put(12, &self.boot.to_le_bytes());
        put(16, &self.generation.to_le_bytes());
        put(24, &self.log_head.to_le_bytes());
        put(32, &self.tombstones.to_le_bytes());
        put(36, &self.last_id.0.to_le_bytes());
        put(40, &self.lockout);
        let crc = crc32fast::hash(&bytes[..LEN - 4]);
        bytes[LEN - 4..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, LogForm), StoreError> {
        let mut reader = Reader::new(Object::Anchor, bytes);
        reader.magic(&MAGIC)?;
        let form = match reader.version_up_to(SEGMENTS)? {
            SINGLE_LOG => LogForm::Single,
            _ => LogForm::Segments,
        };
        let mut reader = reader.hashed(|covered| crc32fast::hash(covered).to_le_bytes())?;
        reader.zero(2)?;
        let anchor = Self {
            boot: reader.u32()?,
            generation: reader.u64()?,
            log_head: reader.u64()?,
            tombstones: reader.u32()?,
            last_id: PersonId(reader.u32()?),
            lockout: reader.array()?,
        };
        if reader.left() != 0 { Err(reader.damaged("its length")) } else { Ok((anchor, form)) }
    }
}
