//! One batch of the log: the records that became durable together, sealed together.
//!
//! ```text
//!  0 length u16         of the link and the records
//!  2 complement u16     of the length, so that zeros and ones are no batch
//!  4 entries u16        how many of the records are entries
//!  6 reserved u16, zero
//!  8 first u64          sequence of its first entry, or of the next one if it has none
//! 16 nonce [24]
//! 40 sealed             link [8], then records (`record`)
//!    tag [16]
//! ```
//! 64 bytes and, for each entry, 67. A batch is sealed for its place: the segment's number, its offset there and its bytes 0 to
//! 16 are authenticated with it. The link repeats the last eight bytes of the piece that stands right before it, which are half
//! of that piece's tag: tags follow from random nonces, so a batch continues exactly the one behind which it was written, and
//! a batch of another history of the same segment, which an older copy of the flash led to, does not fit.
//! A batch is durable before the next one is written. So a batch that does not open is torn if nothing that opens comes behind
//! it, and damaged if something does.

use super::reached::Unfit;
use super::record::{Record, records};
use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};
use crate::keyring::{Keyring, SEAL};

const PREFIX: usize = 16;
const LINK: usize = 8;

/// Bytes that a batch takes beside its records.
pub(crate) const OVERHEAD: usize = PREFIX + SEAL + LINK;

/// Bytes of records that one batch holds.
pub(crate) const MAX_RECORDS: usize = u16::MAX as usize - LINK;

const MAX_LEN: usize = OVERHEAD + MAX_RECORDS;

/// Bytes read at once: any batch, with what stands before it.
const CHUNK: usize = LINK + MAX_LEN;

/// The last bytes of a piece of the log, which the piece behind it repeats.
pub(crate) type Tail = [u8; LINK];

/// The last bytes of a piece.
pub(crate) fn tail_of(piece: &[u8]) -> Tail {
    piece.last_chunk().copied().unwrap_or_default()
}

/// Where a batch stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    /// The last bytes of the piece before it.
    pub(crate) behind: Tail,
}

impl Place {
    fn about(&self, prefix: &[u8; PREFIX]) -> Vec<u8> {
        let (segment, offset) = (self.segment.to_le_bytes(), self.offset.to_le_bytes());
        [b"log batch", &segment[..], &offset, prefix].concat()
    }
}

/// The plain part of a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefix {
    pub(crate) first: u64,
    pub(crate) entries: u16,
    /// Bytes of the whole batch.
    pub(crate) len: usize,
}

impl Prefix {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let [l0, l1, c0, c1, e0, e1, 0, 0, first @ ..] = *bytes.first_chunk::<PREFIX>()? else {
            return None;
        };
        let len = u16::from_le_bytes([l0, l1]);
        let whole = !len == u16::from_le_bytes([c0, c1]) && usize::from(len) >= LINK;
        whole.then(|| Self {
            first: u64::from_le_bytes(first),
            entries: u16::from_le_bytes([e0, e1]),
            len: PREFIX + SEAL + usize::from(len),
        })
    }

    /// The sequence that is due behind it.
    pub(crate) fn next(&self) -> u64 {
        self.first.saturating_add(u64::from(self.entries))
    }
}

/// A batch that opened.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) prefix: Prefix,
    /// It was written behind the piece that stands before it.
    pub(crate) follows: bool,
    content: Vec<u8>,
}

impl Batch {
    /// What it holds, in order; `None` in place of a record of a later program.
    pub(crate) fn records(&self) -> impl Iterator<Item = Option<Record>> {
        records(self.content.get(LINK..).unwrap_or(&[]))
    }
}

/// Seals records for a place.
///
/// # Errors
/// [`StoreError`] without random bytes.
pub(crate) fn seal(
    keyring: &Keyring,
    place: Place,
    first: u64,
    entries: u16,
    records: &[u8],
) -> Result<Vec<u8>, StoreError> {
    let len = (LINK + records.len()) as u16;
    let mut prefix = [0; PREFIX];
    prefix[..2].copy_from_slice(&len.to_le_bytes());
    prefix[2..4].copy_from_slice(&(!len).to_le_bytes());
    prefix[4..6].copy_from_slice(&entries.to_le_bytes());
    prefix[8..].copy_from_slice(&first.to_le_bytes());
    let mut bytes = Vec::with_capacity(OVERHEAD + records.len());
    bytes.extend_from_slice(&prefix);
    let content = [&place.behind[..], records].concat();
    keyring.seal(&place.about(&prefix), &content, &mut bytes)?;
    Ok(bytes)
}

/// Reads the batches of one segment, of which a window moves forward.
pub(crate) struct Batches<'a> {
    flash: &'a dyn Flash,
    keyring: &'a Keyring,
    number: u32,
    key: u32,
    len: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Batches<'a> {
    /// The batches in the first `len` bytes of a segment that is sealed with data key `key`.
    pub(crate) fn new(
        flash: &'a dyn Flash,
        keyring: &'a Keyring,
        number: u32,
        key: u32,
        len: u64,
    ) -> Self {
        Self { flash, keyring, number, key, len, start: 0, bytes: Vec::new() }
    }

    /// Up to `wanted` bytes from `offset`; fewer at the end.
    fn at(&mut self, offset: u64, wanted: usize) -> Result<&[u8], FlashError> {
        let wanted = self.len.saturating_sub(offset).min(wanted as u64) as usize;
        let held =
            offset >= self.start && offset + wanted as u64 <= self.start + self.bytes.len() as u64;
        if !held {
            // With what stands right before it, which `open` asks for.
            self.start = offset.saturating_sub(LINK as u64);
            let chunk = self.len.saturating_sub(self.start).min(CHUNK as u64) as usize;
            self.bytes.resize(chunk, 0);
            let object = Object::Segment(self.number);
            let read = self.flash.read(object, self.start, &mut self.bytes)?;
            self.bytes.truncate(read);
        }
        let from = (offset - self.start) as usize;
        Ok(self.bytes.get(from..self.bytes.len().min(from + wanted)).unwrap_or(&[]))
    }

    /// The plain part of the batch at `offset`; `None` if none that ends in the segment begins there.
    pub(crate) fn prefix(&mut self, offset: u64) -> Result<Option<Prefix>, FlashError> {
        let len = self.len;
        let prefix = Prefix::from_bytes(self.at(offset, PREFIX)?);
        Ok(prefix.filter(|prefix| offset + prefix.len as u64 <= len))
    }

    /// The batch at `offset`; `None` if none opens there.
    pub(crate) fn open(&mut self, offset: u64) -> Result<Option<Batch>, FlashError> {
        let Some(prefix) = self.prefix(offset)? else { return Ok(None) };
        let (keyring, segment, key) = (self.keyring, self.number, self.key);
        // What stands before it is read with it.
        let from = offset.saturating_sub(LINK as u64);
        let before = (offset - from) as usize;
        let bytes = self.at(from, before + prefix.len)?;
        let Some((before, bytes)) = bytes.split_at_checked(before) else { return Ok(None) };
        let Some((plain, sealed)) = bytes.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let place = Place { segment, offset: offset as u32, behind: tail_of(before) };
        let content = keyring.open_sealed(key, &place.about(plain), sealed);
        Ok(content.map(|content| {
            let follows = content.starts_with(&place.behind);
            Batch { prefix, follows, content }
        }))
    }

    /// True if a batch opens anywhere behind `offset`: what stands at `offset` was durable before it.
    pub(crate) fn any_behind(&mut self, offset: u64) -> Result<bool, FlashError> {
        // The next one begins no further off than the longest batch is long.
        let last = self.len.saturating_sub(OVERHEAD as u64).min(offset + MAX_LEN as u64);
        for at in offset + 1..=last {
            if self.prefix(at)?.is_some() && self.open(at)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes of the segment that may be read.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The error that a batch at `offset` that was durable is not there.
    pub(crate) fn not_whole(&self, offset: u64) -> StoreError {
        self.damaged(offset, "a batch that was durable is not whole")
    }

    /// The error that the batch at `offset` is not the next one.
    pub(crate) fn unfit(&self, offset: u64, unfit: Unfit) -> StoreError {
        let object = Object::Segment(self.number);
        match unfit {
            Unfit::Other(what) => self.damaged(offset, what),
            Unfit::Later => StoreError::Version { object, found: 3, supported: 2 },
        }
    }

    /// The error that something does not fit at `offset`.
    pub(crate) fn damaged(&self, offset: u64, what: &'static str) -> StoreError {
        StoreError::Damaged { object: Object::Segment(self.number), offset, what }
    }

    /// The last bytes before `offset`.
    pub(crate) fn tail_before(&mut self, offset: u64) -> Result<Tail, FlashError> {
        Ok(tail_of(self.at(offset.saturating_sub(LINK as u64), LINK)?))
    }
}
