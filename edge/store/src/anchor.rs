//! The anchor: how far each object had come, so that an older one put back is found (safety rule 5), and the counters
//! that must be durable before a probe is scored (safety rule 3).
//!
//! ```text
//!  0 magic "THRANC\r\n" | 12 boot u32        | 32 tombstones u32 | 44 log batches u64
//!  8 version u16 (3)    | 16 generation u64  | 36 last id u32    | 52 administrators u64
//! 10 converts u16       | 24 log head u64    | 40 lock-out [u8; 4] | 60 crc32 of 0 to 60
//! ```
//! Version 4, in place of 3 where the keeper has a counter (`keys`): 60 the step of it that this anchor is bound to, u64 | 68 crc32.
//! Sealed as a whole (`sealed`). `converts` is 0, or while an older log is converted what that is: 1 a single file, 2 segments that
//! are not sealed. Versions 1 and 2 are not sealed, say the same by their version, have zeros at 10 and end with the crc32 at 44.
//! An object may stand further than the anchor says, since the anchor is written after it; never less far. The log carries
//! the same state (`log::State`), so that the anchor and the log vouch for each other.
//! What this alone cannot find is the whole folder put back as it once was. That takes a counter outside the flash, with which the
//! anchor is held to be the newest (`store/counter`), and by the anchor everything else.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::Object;
use crate::log::State;
use threshold_record::PersonId;

const MAGIC: [u8; 8] = *b"THRANC\r\n";
/// The log is a single file.
const SINGLE_LOG: u16 = 1;
/// The log is segments that are not sealed.
const SEGMENTS: u16 = 2;
/// The log is sealed.
const SEALED: u16 = 3;
/// The same, bound to a keeper's counter.
const COUNTED: u16 = 4;

/// The anchor's length before its crc32, without a counter.
const PLAIN: usize = 60;
const CRC: usize = 4;
/// The longest anchor.
pub(crate) const MAX_LEN: usize = PLAIN + 8 + CRC;

/// How far everything had come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) boot: u32,
    pub(crate) generation: u64,
    pub(crate) administrators: u64,
    pub(crate) log_head: u64,
    pub(crate) log_batches: u64,
    pub(crate) tombstones: u32,
    pub(crate) last_id: PersonId,
    pub(crate) lockout: [u8; 4],
    /// The step of the keeper's counter that it is bound to; `None` if to none.
    pub(crate) counter: Option<u64>,
}

/// What the log was made of when the anchor was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogForm {
    /// A single file, of format 1.
    Single,
    /// Segments that are not sealed, of format 2.
    Segments,
    /// Sealed segments.
    Sealed,
}

impl Anchor {
    /// Its bytes while the log is of a form, or is converted from that.
    pub(crate) fn to_bytes(self, form: LogForm) -> Vec<u8> {
        let (version, counter) = match self.counter {
            None => (SEALED, None),
            Some(step) => (COUNTED, Some(step.to_le_bytes())),
        };
        let mut bytes = vec![0; PLAIN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        let converts = match form {
            LogForm::Single => SINGLE_LOG,
            LogForm::Segments => SEGMENTS,
            LogForm::Sealed => 0,
        };
        put(0, &MAGIC);
        put(8, &version.to_le_bytes());
        put(10, &converts.to_le_bytes());
        put(12, &self.boot.to_le_bytes());
        put(16, &self.generation.to_le_bytes());
        put(24, &self.log_head.to_le_bytes());
        put(32, &self.tombstones.to_le_bytes());
        put(36, &self.last_id.0.to_le_bytes());
        put(40, &self.lockout);
        put(44, &self.log_batches.to_le_bytes());
        put(52, &self.administrators.to_le_bytes());
        bytes.extend(counter.into_iter().flatten());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Takes in what the log says, so that neither of the two needs to be the newer one. The lock-out is saved in the log.
    pub(crate) fn add(&mut self, said: State) {
        self.boot = self.boot.max(said.boot);
        self.generation = self.generation.max(said.generation);
        self.administrators = self.administrators.max(said.administrators);
        self.tombstones = self.tombstones.max(said.tombstones);
        self.last_id = self.last_id.max(said.last_id);
        self.lockout = said.lockout;
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<(Self, LogForm), StoreError> {
        let mut reader = Reader::new(Object::Anchor, bytes);
        reader.magic(&MAGIC)?;
        let version = reader.version_up_to(COUNTED)?;
        let mut reader = reader.hashed(|covered| crc32fast::hash(covered).to_le_bytes())?;
        let converts = u16::from_le_bytes(reader.array()?);
        let form = match (version, converts) {
            (SINGLE_LOG, 0) | (SEALED | COUNTED, SINGLE_LOG) => LogForm::Single,
            (SEGMENTS, 0) | (SEALED | COUNTED, SEGMENTS) => LogForm::Segments,
            (SEALED | COUNTED, 0) => LogForm::Sealed,
            _ => return Err(reader.damaged("what it converts")),
        };
        let mut anchor = Self {
            boot: reader.u32()?,
            generation: reader.count()?,
            log_head: reader.count()?,
            tombstones: reader.u32()?,
            last_id: PersonId(reader.u32()?),
            lockout: reader.array()?,
            ..Self::default()
        };
        if version >= SEALED {
            (anchor.log_batches, anchor.administrators) = (reader.count()?, reader.count()?);
        }
        if version == COUNTED {
            anchor.counter = Some(reader.count()?);
        }
        if reader.left() != 0 { Err(reader.damaged("its length")) } else { Ok((anchor, form)) }
    }
}
