//! The body of [`Flash`] for a raw medium: a partition, a whole device, or NAND flash under a layout of cells.
//!
//! A cell is a block of the medium. It belongs to one object at one *turn* and one place, which its head says; the heads are all the
//! directory there is, and are read in one pass at the start. What a turn begins with, its *base*, stands in whole pages; what is
//! appended follows as frames of whole pages, so that no page is programmed twice. The pages are drawn in `page`.
//!
//! Owns the order of writes. A replace programs a base of a higher turn and syncs; from then on the new turn counts, since its bytes
//! give the hash in its heads. A page that confirms it is programmed, the old turn's cells are erased, and a second sync makes both
//! durable. Several objects share both syncs. A turn that may count after an error is erased, durably, before anything else is
//! written, or a start would find it without what was acknowledged since.
//! What was removed is off the medium when `remove` or `replace` returns: its cells are erased, whole and durably, before they are
//! marked clean, and a cell is claimed, durably, before anything is first programmed into it. So a cell that no head names, whatever
//! a cut took, either says that it is clean and is, or is erased at the next start. Claims are made ahead and ride along with syncs.
//! A page that does not read back as it was programmed is a bad block: what it was to hold goes into another cell, and the block is
//! erased and marked. A block that cannot be erased is marked too; what stands there, sealed as everything of the store, stays.
//! A medium without marks, as `device` is, has such a block set aside once it is erased, in memory: it is used again when nothing else
//! is left, and by the next start. What cannot be erased there fails each write that is to erase it, until it can.
//!
//! To open is to read: whatever a cut left is mended before the first write. A page that is not whole is torn if nothing tells that it
//! had been durable, and damage otherwise: each head and frame says how far its object was durable. A turn that is not whole is of a
//! replace that was cut off if no higher turn was ever begun, and damage otherwise. What is damaged is not erased, but read in vain.
//! So is a cell whose head cannot be read while its frames say that those before them were durable: its object is damaged there.
//! Refuses a medium that was never formatted, or by a later program: [`format()`] is a command, and nothing that happens by itself.
//! Terms: *clean* is erased and empty, *claimed* clean and about to be used, *dirty* to be erased.

mod device;
mod medium;
mod nand;
mod open;
mod page;
mod stock;
mod write;

pub use device::{Device, MAX_BLOCKS, MIN_DEVICE_BYTES};
pub use medium::{BLANK, Medium, MediumError, Shape};
pub use nand::{Nand, NandFault};
pub use open::{CellsError, format, is_formatted};

use crate::LogSize;
use crate::flash::{Flash, FlashError, FlashFault, Object, Operation, Place, Series};
use page::{FIRST_PAGE, Frame};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use stock::Stock;

/// A gallery of 100,000 templates of 512 numbers takes 54 MB, and while it is cleaned as much again at the most.
const OTHERS_BYTES: u64 = 160 << 20;

/// Blocks that hold the superblock.
const FIRST_CELL: u32 = 2;

/// The objects of a store in cells of a medium.
#[derive(Debug)]
pub struct Cells<M> {
    medium: M,
    shape: Shape,
    held: BTreeMap<Object, Held>,
    stock: Stock,
    /// The highest turn given out.
    turn: u64,
    /// What a stop left was mended.
    settled: bool,
    /// A turn that is to be taken back may count: nothing is written before it is erased.
    in_doubt: bool,
    /// The last cell of frames that was read.
    cache: Mutex<Option<(u32, Vec<u8>)>>,
}

/// What is remembered of an object.
#[derive(Clone, Debug)]
struct Held {
    turn: u64,
    /// Bytes of its base, and the cells that hold it; `None` for one that is missing.
    base: u64,
    base_cells: Vec<Option<u32>>,
    /// Where frames stand, in order: behind the base, and in the cells that were added.
    pieces: Vec<Piece>,
    /// Cells that go with it: earlier turns, and those that took a page badly.
    others: Vec<u32>,
    len: u64,
    /// How many of its bytes are durable.
    durable: u64,
    /// The last piece was begun by this process, and takes more.
    is_open: bool,
    /// A sync failed: what was appended since the one before can be read and may never be durable.
    is_lost: bool,
    /// Something that was durable cannot be read.
    is_damaged: bool,
    /// The page behind its base was read, or written.
    is_confirmed: bool,
}

/// Frames of one cell.
#[derive(Clone, Copy, Debug)]
struct Piece {
    cell: u32,
    /// Place in the object of their first byte.
    start: u64,
    first_page: u32,
    /// The next page that may be programmed, as far as this process knows.
    next_page: u32,
}

/// The frames of a cell.
struct Walk {
    bytes: Vec<u8>,
    next_page: u32,
    /// How many of the object's bytes were durable, by all frames that are whole.
    durable: u64,
    /// Where the last of them ends.
    end: u64,
}

/// How full a medium of cells is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Bytes of a cell.
    pub cell_bytes: u64,
    /// Cells, those that are bad left out.
    pub cells: u32,
    /// Cells that are free.
    pub free: u32,
    /// Blocks that are marked bad, and those that a medium without marks has set aside since it was opened.
    pub bad: u32,
    /// How often the cell that was erased most was erased.
    pub most_erased: u32,
}

impl Held {
    fn cells(&self) -> impl Iterator<Item = u32> + '_ {
        let base = self.base_cells.iter().flatten();
        // The first piece stands in the last cell of the base.
        let pieces = self.pieces.iter().map(|piece| &piece.cell);
        base.chain(pieces).chain(&self.others).copied()
    }

    /// Lets go of the other cells.
    fn keep(&mut self, keeps: impl Fn(u32) -> bool) {
        self.base_cells.iter_mut().for_each(|place| *place = place.filter(|&cell| keeps(cell)));
        self.pieces.retain(|piece| keeps(piece.cell));
        self.others.retain(|&cell| keeps(cell));
    }
}

impl<M: Medium> Cells<M> {
    /// How full it is.
    #[must_use]
    pub fn fill(&self) -> Fill {
        self.stock.fill(self.shape)
    }

    /// The largest log that leaves room for everything else: a quarter of the medium, or what the largest gallery, its cleaning and the
    /// reserve take.
    #[must_use]
    pub fn log_size(&self) -> LogSize {
        let LogSize { segment_bytes, segments } = LogSize::default();
        let fill = self.fill();
        let others = u64::from(fill.cells / 4).min(OTHERS_BYTES / fill.cell_bytes);
        // One more for a batch that goes over its end.
        let of_segment = u64::from(segment_bytes).div_ceil(fill.cell_bytes) + 1;
        // While the oldest goes there is one more.
        let fit = ((u64::from(fill.cells) - others) / of_segment).saturating_sub(1);
        LogSize { segment_bytes, segments: segments.min(fit as u32) }
    }

    /// Pages of a cell that hold something of an object.
    fn capacity(&self) -> u32 {
        self.shape.block_pages - FIRST_PAGE
    }

    /// Cells that a base takes, with the page that confirms it.
    fn places(&self, base: u64) -> u32 {
        let pages = base.div_ceil(u64::from(self.shape.page_bytes)) + 1;
        pages.div_ceil(u64::from(self.capacity())) as u32
    }

    /// The page that confirms a base, in its last cell.
    fn confirm_page(&self, base: u64) -> u32 {
        let pages = base.div_ceil(u64::from(self.shape.page_bytes));
        FIRST_PAGE + (pages % u64::from(self.capacity())) as u32
    }

    /// Reads pages, each by itself if they cannot be read at once; one that cannot be read is no page of any kind.
    fn read_pages(&self, cell: u32, from: u32, count: u32) -> Result<Vec<u8>, MediumError> {
        let mut bytes = vec![0; count as usize * self.shape.page()];
        match self.medium.read(cell, from, &mut bytes) {
            Ok(()) => return Ok(bytes),
            Err(error) if error.fault != FlashFault::Io => return Err(error),
            Err(_) => {}
        }
        for (page, into) in (from..).zip(bytes.chunks_mut(self.shape.page())) {
            if let Err(error) = self.medium.read(cell, page, into) {
                if error.fault != FlashFault::Io {
                    return Err(error);
                }
                into.fill(0);
            }
        }
        Ok(bytes)
    }

    /// The frames of a piece, up to one that is not whole or does not follow.
    fn walk(&self, turn: u64, piece: Piece) -> Result<Walk, MediumError> {
        let page_bytes = self.shape.page();
        let count = self.shape.block_pages.saturating_sub(piece.first_page);
        let read = self.read_pages(piece.cell, piece.first_page, count)?;
        let mut walk = Walk { bytes: Vec::new(), next_page: piece.first_page, durable: 0, end: 0 };
        let (mut at, mut follows) = (0, true);
        let most = self.shape.bytes();
        while at < read.len() {
            let frame = Frame::from_pages(piece.cell, turn, &read[at..]);
            let Some((frame, bytes)) = frame.filter(|(frame, _)| frame.offset <= most) else {
                follows = false;
                at += page_bytes;
                continue;
            };
            walk.durable = walk.durable.max(frame.durable());
            walk.end = walk.end.max(frame.offset + bytes.len() as u64);
            follows &= frame.offset == piece.start + walk.bytes.len() as u64;
            let pages = self.shape.pages_of(page::FRAME + bytes.len());
            at += pages as usize * page_bytes;
            if follows {
                walk.bytes.extend_from_slice(bytes);
                walk.next_page = piece.first_page + (at / page_bytes) as u32;
            }
        }
        Ok(walk)
    }

    fn read_base(&self, held: &Held, offset: u64, into: &mut [u8]) -> Result<usize, MediumError> {
        let page_bytes = u64::from(self.shape.page_bytes);
        let index = offset / page_bytes;
        let (place, first) =
            (index / u64::from(self.capacity()), (index % u64::from(self.capacity())) as u32);
        let cell = held.base_cells.get(place as usize).copied().flatten();
        let cell = cell.ok_or_else(|| MediumError::io("a cell of it is missing"))?;
        let skip = (offset % page_bytes) as usize;
        let most = (held.base - offset).min(into.len() as u64) as usize;
        let pages = self.shape.pages_of(skip + most).min(self.capacity() - first);
        let mut bytes = vec![0; pages as usize * self.shape.page()];
        self.medium.read(cell, FIRST_PAGE + first, &mut bytes)?;
        let count = most.min(bytes.len() - skip);
        into[..count].copy_from_slice(&bytes[skip..skip + count]);
        Ok(count)
    }

    fn read_frames(&self, held: &Held, offset: u64, into: &mut [u8]) -> Result<usize, MediumError> {
        let missing = || MediumError::io("a page of it is damaged or missing");
        let at = held.pieces.partition_point(|piece| piece.start <= offset).checked_sub(1);
        let at = at.ok_or_else(missing)?;
        let piece = *held.pieces.get(at).ok_or_else(missing)?;
        let end = held.pieces.get(at + 1).map_or(held.len, |next| next.start);
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.as_ref().is_none_or(|(cell, _)| *cell != piece.cell) {
            *cache = Some((piece.cell, self.walk(held.turn, piece)?.bytes));
        }
        let bytes = cache.as_ref().map_or(&[][..], |(_, bytes)| bytes);
        let skip = (offset - piece.start) as usize;
        let most = (end - offset).min(into.len() as u64) as usize;
        let count = most.min(bytes.len().saturating_sub(skip));
        if count == 0 && most > 0 {
            return Err(missing());
        }
        into[..count].copy_from_slice(&bytes[skip..skip + count]);
        Ok(count)
    }

    fn read_held(&self, held: &Held, offset: u64, into: &mut [u8]) -> Result<usize, MediumError> {
        let count = held.len.saturating_sub(offset).min(into.len() as u64) as usize;
        let mut read = 0;
        while read < count {
            let (at, into) = (offset + read as u64, &mut into[read..count]);
            read += match at < held.base {
                true => self.read_base(held, at, into)?,
                false => self.read_frames(held, at, into)?,
            };
        }
        Ok(count)
    }

    /// Forgets what was read of a cell that is written to.
    fn uncache(&mut self) {
        *self.cache.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn flash_error(object: Object, operation: Operation, error: MediumError) -> FlashError {
    let MediumError { fault, detail } = error;
    FlashError { object, operation, fault, place: Place::Device, detail }
}

impl<M: Medium> Flash for Cells<M> {
    fn segments(&self, of: Series) -> Vec<u32> {
        let parts = self.held.range(of.segment(0)..=of.segment(u32::MAX));
        parts.filter_map(|(object, _)| object.part()).map(|(_, number)| number).collect()
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        Ok(self.held.get(&object).map(|held| held.len))
    }

    fn taken(&self, object: Object, more: usize) -> Option<u64> {
        let held = self.held.get(&object)?;
        let full = held.cells().count().saturating_sub(2) as u64;
        let last = held.pieces.last().map_or(0, |piece| u64::from(piece.next_page));
        let page_bytes = u64::from(self.shape.page_bytes);
        let of_more =
            if more == 0 { 0 } else { u64::from(self.shape.pages_of(page::FRAME + more)) };
        // A frame that goes over into another cell takes a page more for each.
        Some(full * self.shape.block_bytes() + (last + of_more) * page_bytes)
    }

    fn place(&self) -> Place {
        Place::Device
    }

    fn medium_bytes(&self) -> Option<u64> {
        Some(self.medium.written_bytes())
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let Some(held) = self.held.get(&object) else { return Ok(0) };
        self.read_held(held, offset, into)
            .map_err(|error| flash_error(object, Operation::Read, error))
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.try_append(object, bytes).map_err(|e| flash_error(object, Operation::Append, e))
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.try_sync(object).map_err(|error| flash_error(object, Operation::Sync, error))
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.replace_all(&[(object, bytes)])
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        let Some(&(first, _)) = objects.first() else { return Ok(()) };
        self.try_replace(objects).map_err(|error| flash_error(first, Operation::Replace, error))
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.try_remove(object).map_err(|error| flash_error(object, Operation::Remove, error))
    }
}
