//! A segment of the gallery: a header, and sealed batches behind it.
//!
//! ```text
//!  0 magic "THRGSG\r\n"
//!  8 version u16 (2; 1 has no records of access and schedules, and takes none; 3 once the gallery's second side was used)
//! 10 reserved u16, zero
//! 12 number u32         from 1; the object's name says the same
//! 16 through u32        the last of the segments that this one stands for, itself the first
//! 20 reserved u32, zero
//! 24 batches            length u32 | its complement u32 | data key u32 | sealed, of that length: nonce [24], ciphertext, tag [16]
//! ```
//! Little endian. Each batch is sealed with the segment's header, its own place and its first 12 bytes said along, so that it opens
//! nowhere else and a changed header opens none. What is in it, `record` draws.
//! Header and first batch are put there in one replace, so that a first batch that is not whole is damage. Each later one is
//! appended once all before it are durable; so what is not whole is the torn end of the last segment if nothing whole
//! follows it, and damage otherwise.
//! `through` is what lets two segments become one at any cut: the first is replaced by the records of both and stands for
//! both numbers, and from then on the second is no part of the gallery, whatever is left of it.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::gallery::record::{STATEMENT, Statement};
use crate::keyring::{Keyring, SEAL};
use std::ops::Range;

const MAGIC: [u8; 8] = *b"THRGSG\r\n";
const ONE_SIDE: u16 = 2;
/// Only programs that know of sides read it; one that came before finds a later version, and not a damaged gallery.
const SIDES: u16 = 3;
pub(crate) const HEADER: usize = 24;
const PREFIX: usize = 12;
/// Bytes of a segment besides its records, if it has one batch, at most.
pub(crate) const AROUND: usize = HEADER + PREFIX + SEAL + STATEMENT;
/// A segment that is longer makes no sense: four times what is begun anew at, with room for a batch behind a full one.
const MAX_BYTES: u64 = 1 << 20;

/// A segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    version: u16,
    pub(crate) number: u32,
    pub(crate) through: u32,
}

/// A batch that was opened.
pub(crate) struct Batch {
    /// Where it stands.
    pub(crate) offset: u32,
    /// The data key that it was sealed with.
    pub(crate) key: u32,
    /// Where its plain bytes are, in the segment's.
    pub(crate) plain: Range<usize>,
}

/// A segment that was read.
pub(crate) struct Read {
    pub(crate) header: Header,
    pub(crate) batches: Vec<Batch>,
    /// Its bytes, with the batches opened where they stand.
    pub(crate) bytes: Vec<u8>,
    /// Where the last batch ends.
    pub(crate) end: usize,
}

/// What the end of a segment may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Whole.
    Whole,
    /// Torn, where the last write was under way or failed.
    PerhapsTorn,
}

impl Header {
    /// The header of a segment that is written now, with batches that end with such a statement.
    pub(crate) fn of(number: u32, through: u32, statement: &Statement) -> Self {
        let version = if statement.has_sides() { SIDES } else { ONE_SIDE };
        Self { version, number, through }
    }

    /// True if a batch that ends with such a statement may be appended to the segment: an earlier program that reads one of its own
    /// version expects no record that it does not know.
    pub(crate) fn takes(self, statement: &Statement) -> bool {
        self == Self::of(self.number, self.through, statement)
    }

    /// True if its batches say something of the second side.
    pub(crate) fn has_sides(self) -> bool {
        self.version == SIDES
    }

    /// The bytes of a segment without batches.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.through.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    fn from_bytes(number: u32, bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(Object::GallerySegment(number), bytes);
        reader.magic(&MAGIC)?;
        let version = reader.version_up_to(SIDES)?;
        reader.zero(2)?;
        let misplaced = reader.damaged("the header of another segment");
        let (found, through) = (reader.u32()?, reader.u32()?);
        reader.zero(4)?;
        if found != number || through < number {
            return Err(misplaced);
        }
        Ok(Self { version, number, through })
    }

    /// Seals a batch to stand at `offset` of the segment, and writes it behind `out`.
    ///
    /// # Errors
    /// [`StoreError::Keys`] without random bytes.
    pub(crate) fn seal(
        self,
        keyring: &Keyring,
        offset: u32,
        plain: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        let len = (plain.len() + SEAL) as u32;
        let mut prefix = [0; PREFIX];
        prefix[..4].copy_from_slice(&len.to_le_bytes());
        prefix[4..8].copy_from_slice(&(!len).to_le_bytes());
        prefix[8..].copy_from_slice(&keyring.current().to_le_bytes());
        out.reserve(PREFIX + SEAL + plain.len());
        out.extend_from_slice(&prefix);
        keyring.seal(&about(&self.to_bytes(), offset, &prefix), plain, out)
    }
}

/// Reads a segment that must be there.
///
/// # Errors
/// [`StoreError::Damaged`], [`StoreError::Version`], a failing flash.
pub(crate) fn read(
    flash: &dyn Flash,
    keyring: &Keyring,
    number: u32,
    ending: Ending,
) -> Result<Read, StoreError> {
    let object = Object::GallerySegment(number);
    let damaged = |offset: usize, what| StoreError::Damaged { object, offset: offset as u64, what };
    let bytes = flash.read_all(object, MAX_BYTES)?;
    let mut bytes = bytes.ok_or(damaged(0, "the file is missing"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(damaged(MAX_BYTES as usize, "its length"));
    }
    let header = Header::from_bytes(number, &bytes)?;
    let mut batches = Vec::new();
    let mut offset = HEADER;
    while offset < bytes.len() {
        let Some((batch, end)) = open(keyring, &mut bytes, offset) else {
            let mut later = offset + 1..bytes.len();
            if batches.is_empty()
                || ending == Ending::Whole
                || later.any(|at| open(keyring, &mut bytes, at).is_some())
            {
                return Err(damaged(offset, "a batch that was durable is not whole"));
            }
            break;
        };
        batches.push(batch);
        offset = end;
    }
    if batches.is_empty() {
        return Err(damaged(offset, "the end comes too early"));
    }
    Ok(Read { header, batches, bytes, end: offset })
}

/// Opens the batch at a place, where it stands, and gives its end; `None` if there is none.
fn open(keyring: &Keyring, bytes: &mut [u8], offset: usize) -> Option<(Batch, usize)> {
    let (before, rest) = bytes.split_at_mut_checked(offset)?;
    let (prefix, rest) = rest.split_first_chunk_mut::<PREFIX>()?;
    let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| prefix[at + byte]));
    let (len, key) = (word(0), word(8));
    if word(4) != !len {
        return None;
    }
    let sealed = rest.get_mut(..len as usize)?;
    let start = offset + PREFIX;
    let offset = offset as u32;
    let about = about(before.get(..HEADER)?, offset, prefix);
    let plain = keyring.open_in_place(key, &about, sealed)?;
    let batch = Batch { offset, key, plain: start + plain.start..start + plain.end };
    Some((batch, start + len as usize))
}

fn about(header: &[u8], offset: u32, prefix: &[u8]) -> Vec<u8> {
    [b"gallery", header, &offset.to_le_bytes(), prefix].concat()
}
