//! The pages of the layout byte by byte, beside those that are plain bytes of an object.
//!
//! ```text
//! superblock (page 0 of blocks 0 and 1, alike)
//!  0 magic "THRCEL\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 bytes of a page u32 | 16 pages of a block u32
//! 20 blocks u32 | 24 crc u32 of bytes 0 to 24
//! Magic, version and crc stay where they are in every layout to come: what its crc does not vouch for is no superblock.
//!
//! a cell (each further block)
//!  page 0  clean   tag "CLN1" | 4 crc u32 | 8 wear u32                          erased, whole and durably, so often
//!  page 1  claim   tag "CLM1" | 4 crc u32                                        from here on pages may hold something
//!  page 2  head    tag "HED1" | 4 crc u32 | 8 kind u32 | 12 number u32 | 16 turn u64 | 24 place u32 | 28 attempt u32
//!                  | 32 start u64 | 40 durable u64 | 48 base bytes u64 | 56 base hash [16]
//!  page 3  ...     pages of the base, then one that confirms it, then frames
//!
//!          confirm tag "CNT1" | 4 crc u32 | 8 turn u64
//!          frame   tag "FRM1" | 4 crc u32 | 8 turn u64 | 16 offset u64 | 24 behind u32 | 28 length u32 | 32 bytes
//! ```
//! Little endian. Behind what is drawn a page is blank (0xff). A crc is CRC-32 of the block's number and of everything that the page
//! holds behind the crc, a frame's bytes included; so no page passes for one of another block. `kind` and `number` name the object.

use super::medium::{BLANK, Shape};
use crate::bytes::array;
use crate::count::MOST;
use crate::flash::Object;

pub(super) const MAGIC: [u8; 8] = *b"THRCEL\r\n";
pub(super) const VERSION: u16 = 1;

/// Bytes of a superblock.
pub(super) const SUPERBLOCK: usize = 28;
/// Bytes of a frame beside those of the object.
pub(super) const FRAME: usize = 32;
/// Bytes of the hash of a base.
pub(super) const HASH: usize = 16;

pub(super) const CLEAN_PAGE: u32 = 0;
pub(super) const CLAIM_PAGE: u32 = 1;
pub(super) const HEAD_PAGE: u32 = 2;
/// The first page that holds something of an object.
pub(super) const FIRST_PAGE: u32 = 3;

const CLEAN: [u8; 4] = *b"CLN1";
const CLAIM: [u8; 4] = *b"CLM1";
const HEAD: [u8; 4] = *b"HED1";
const CONFIRM: [u8; 4] = *b"CNT1";
const FRAME_TAG: [u8; 4] = *b"FRM1";
const HEAD_LEN: usize = 56 + HASH;

/// Whose a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) object: Object,
    /// Grows with every replace of the store: of an object's turns the highest that counts is the object.
    pub(super) turn: u64,
    /// The cells of a turn in order.
    pub(super) place: u32,
    /// Of cells of one place the highest: those before took a page badly.
    pub(super) attempt: u32,
    /// Place in the object of the first byte of the first frame, or of the base.
    pub(super) start: u64,
    /// How many of the object's bytes were durable when this was written.
    pub(super) durable: u64,
    /// Bytes that the turn began with.
    pub(super) base: u64,
    pub(super) hash: [u8; HASH],
}

/// What stands before a frame's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) offset: u64,
    /// Bytes before it that were not durable when it was written.
    pub(super) behind: u32,
    pub(super) len: u32,
}

/// True if nothing was programmed there.
pub(super) fn is_blank(bytes: &[u8]) -> bool {
    // Each byte is the one before it: one comparison of memory in place of one for each byte.
    bytes.first().is_none_or(|&first| first == BLANK && bytes[1..] == bytes[..bytes.len() - 1])
}

/// The hash of a base.
pub(super) fn hash(bytes: &[u8]) -> [u8; HASH] {
    array(blake3::hash(bytes).as_bytes(), 0)
}

/// The bytes of a superblock.
pub(super) fn superblock(shape: Shape) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    for field in [shape.page_bytes, shape.block_pages, shape.blocks] {
        bytes.extend_from_slice(&field.to_le_bytes());
    }
    bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
    padded(bytes, shape)
}

/// What a superblock says: its version, and the shape if that is one that this program reads. `None` if it is no superblock.
pub(super) fn read_superblock(bytes: &[u8]) -> Option<(u16, Option<Shape>)> {
    let bytes = bytes.get(..SUPERBLOCK)?;
    let is_whole = crc32fast::hash(&bytes[..SUPERBLOCK - 4]).to_le_bytes() == array(bytes, 24);
    if !bytes.starts_with(&MAGIC) || !is_whole {
        return None;
    }
    let version = u16::from_le_bytes(array(bytes, 8));
    if version > VERSION {
        return Some((version, None));
    }
    let field = |at| u32::from_le_bytes(array(bytes, at));
    let shape = Shape { page_bytes: field(12), block_pages: field(16), blocks: field(20) };
    shape.is_fit().then_some((version, Some(shape)))
}

pub(super) fn clean(block: u32, wear: u32, shape: Shape) -> Vec<u8> {
    page(block, CLEAN, &wear.to_le_bytes(), shape)
}

/// How often the block was erased.
pub(super) fn read_clean(block: u32, bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(array(content(block, CLEAN, 4, bytes)?, 0)))
}

pub(super) fn claim(block: u32, shape: Shape) -> Vec<u8> {
    page(block, CLAIM, &[], shape)
}

pub(super) fn is_claim(block: u32, bytes: &[u8]) -> bool {
    content(block, CLAIM, 0, bytes).is_some()
}

pub(super) fn confirm(block: u32, turn: u64, shape: Shape) -> Vec<u8> {
    page(block, CONFIRM, &turn.to_le_bytes(), shape)
}

pub(super) fn is_confirm(block: u32, turn: u64, bytes: &[u8]) -> bool {
    content(block, CONFIRM, 8, bytes).is_some_and(|content| content == turn.to_le_bytes())
}

impl Head {
    /// True if a medium of so many bytes can hold what it says.
    pub(super) fn fits(&self, bytes: u64) -> bool {
        self.base.max(self.start).max(self.durable) <= bytes && self.turn <= MOST
    }

    pub(super) fn to_page(self, block: u32, shape: Shape) -> Vec<u8> {
        let (kind, number) = code(self.object);
        let mut content = Vec::with_capacity(HEAD_LEN);
        content.extend_from_slice(&kind.to_le_bytes());
        content.extend_from_slice(&number.to_le_bytes());
        content.extend_from_slice(&self.turn.to_le_bytes());
        content.extend_from_slice(&self.place.to_le_bytes());
        content.extend_from_slice(&self.attempt.to_le_bytes());
        for field in [self.start, self.durable, self.base] {
            content.extend_from_slice(&field.to_le_bytes());
        }
        content.extend_from_slice(&self.hash);
        page(block, HEAD, &content, shape)
    }

    /// The head of a block; `None` if none is there, and `Some(None)` for one of an object that only a later program knows.
    pub(super) fn from_page(block: u32, bytes: &[u8]) -> Option<Option<Self>> {
        let content = content(block, HEAD, HEAD_LEN - 8, bytes)?;
        let word = |at| u32::from_le_bytes(array(content, at));
        let long = |at| u64::from_le_bytes(array(content, at));
        Some(object(word(0), word(4)).map(|object| Self {
            object,
            turn: long(8),
            place: word(16),
            attempt: word(20),
            start: long(24),
            durable: long(32),
            base: long(40),
            hash: array(content, 48),
        }))
    }
}

impl Frame {
    /// The pages of a frame.
    pub(super) fn to_pages(self, block: u32, turn: u64, bytes: &[u8], shape: Shape) -> Vec<u8> {
        let mut content = Vec::with_capacity(FRAME + bytes.len());
        content.extend_from_slice(&turn.to_le_bytes());
        content.extend_from_slice(&self.offset.to_le_bytes());
        content.extend_from_slice(&self.behind.to_le_bytes());
        content.extend_from_slice(&self.len.to_le_bytes());
        content.extend_from_slice(bytes);
        page(block, FRAME_TAG, &content, shape)
    }

    /// The turn that a frame says with which `bytes` begin; nothing vouches for it yet.
    pub(super) fn turn_of(bytes: &[u8]) -> Option<u64> {
        bytes.get(..FRAME).map(|bytes| u64::from_le_bytes(array(bytes, 8)))
    }

    /// The frame of a turn with which `bytes` begin, and the object's bytes in it.
    pub(super) fn from_pages(block: u32, turn: u64, bytes: &[u8]) -> Option<(Self, &[u8])> {
        let len = u32::from_le_bytes(array(bytes.get(..FRAME)?, 28));
        let content = content(block, FRAME_TAG, (FRAME - 8).checked_add(len as usize)?, bytes)?;
        let (offset, behind) = (u64::from_le_bytes(array(content, 8)), array(content, 16));
        let of_turn = u64::from_le_bytes(array(content, 0)) == turn;
        let frame = Self { offset, behind: u32::from_le_bytes(behind), len };
        of_turn.then(|| (frame, &content[FRAME - 8..]))
    }

    /// How many of the object's bytes were durable when it was written.
    pub(super) fn durable(self) -> u64 {
        self.offset.saturating_sub(u64::from(self.behind))
    }
}

fn crc(block: u32, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&block.to_le_bytes());
    hasher.update(content);
    hasher.finalize()
}

fn page(block: u32, tag: [u8; 4], content: &[u8], shape: Shape) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(shape.page() + content.len());
    bytes.extend_from_slice(&tag);
    bytes.extend_from_slice(&crc(block, content).to_le_bytes());
    bytes.extend_from_slice(content);
    padded(bytes, shape)
}

/// The `len` bytes behind tag and crc, if the crc is theirs.
fn content(block: u32, tag: [u8; 4], len: usize, bytes: &[u8]) -> Option<&[u8]> {
    let content = bytes.strip_prefix(&tag)?.get(4..)?.get(..len)?;
    (crc(block, content).to_le_bytes() == array(bytes, 4)).then_some(content)
}

/// Whole pages.
pub(super) fn padded(mut bytes: Vec<u8>, shape: Shape) -> Vec<u8> {
    bytes.resize(bytes.len().next_multiple_of(shape.page()), BLANK);
    bytes
}

fn code(object: Object) -> (u32, u32) {
    match object {
        Object::Keys => (1, 0),
        Object::Gallery => (2, 0),
        Object::Tombstones => (3, 0),
        Object::Anchor => (4, 0),
        Object::SingleLog => (5, 0),
        Object::Administrators => (6, 0),
        Object::Wiping => (7, 0),
        Object::Reserve => (8, 0),
        Object::Commission => (9, 0),
        Object::Segment(number) => (10, number),
        Object::GallerySegment(number) => (11, number),
    }
}

fn object(kind: u32, number: u32) -> Option<Object> {
    let fixed = Object::FIXED.into_iter().chain([Object::Commission]);
    let series = [Object::Segment(number), Object::GallerySegment(number)];
    fixed.chain(series).find(|&object| code(object) == (kind, number))
}
