//! Formatting a medium, and finding out what stands on one.

use super::medium::{Medium, MediumError, Shape};
use super::page::{self, CLAIM_PAGE, CLEAN_PAGE, FIRST_PAGE, Frame, HEAD_PAGE, Head};
use super::stock::Stock;
use super::{Cells, FIRST_CELL, Held, Piece};
use crate::flash::{FlashFault, Object};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// The smallest medium.
const LEAST: Shape = Shape { page_bytes: 512, block_pages: 8, blocks: 24 };

/// A medium does not hold a store that this program reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CellsError {
    /// No superblock.
    #[error(
        "it was never formatted for a store, or not to the end; see that it is the right device, and format it with `threshold-edge store \
         format`, which erases all of it"
    )]
    NotFormatted,
    /// Of a later program.
    #[error(
        "it has layout {found}, this program reads up to {supported}; start the newer threshold-edge that wrote it"
    )]
    Later {
        /// What it says.
        found: u16,
        /// The newest that this code reads.
        supported: u16,
    },
    /// Not as long as it was.
    #[error(
        "it was formatted with {expected} bytes and has {found}; give the partition its size again, or format it with `threshold-edge \
         store format`, which erases all of it"
    )]
    OtherSize {
        /// Bytes that it has.
        found: u64,
        /// Bytes that its superblock says.
        expected: u64,
    },
    /// Too few blocks, or too small ones.
    #[error(
        "{found} bytes are too few for a store, which takes {least} at least; name a larger device"
    )]
    TooSmall {
        /// Bytes that it has.
        found: u64,
        /// Bytes that it must have.
        least: u64,
    },
    /// Another process has it open, or it is mounted.
    #[error("it is in use; stop the other threshold-edge that uses it, or unmount it")]
    Busy,
    /// The folder of the unit holds a store as well.
    #[error(
        "the data folder holds a store of its own ({object}) beside the device, and the one secret there opens both, so wipe neither; \
         to go on with the device, move store.*, events.* and gallery.* out of the folder; to go on with the folder's, take `store` \
         out of [unit]"
    )]
    FolderToo {
        /// What lies in the folder.
        object: Object,
    },
    /// No device was named, and the folder's secret is that of a store on one.
    #[error(
        "the data folder holds a unit's secret ({secret}) and no store, so that its store is on a device; name that, as `store` in \
         [unit] or as --device; if it is gone for good, move {secret} out of the folder to begin anew"
    )]
    Elsewhere {
        /// The file of the secret.
        secret: &'static str,
    },
    /// Neither a block device nor flash nor a plain file.
    #[error(
        "it is neither a block device nor MTD flash nor a plain file; name the partition that is to hold the store"
    )]
    NoDevice,
    /// The block device of MTD flash.
    #[error(
        "it is the block device of MTD flash, which erases by itself and knows no bad blocks; name /dev/mtd with the same number"
    )]
    BehindBlocks,
    /// Flash that cells are not made of.
    #[error(
        "it is {kind}, which holds no cells; name a partition of SLC NAND or of NOR flash that can be written, as /dev/mtdN"
    )]
    OtherFlash {
        /// What it is.
        kind: &'static str,
    },
    /// Flash whose blocks and pages are of other sizes.
    #[error(
        "it has {blocks} blocks of {block_bytes} bytes and pages of {page_bytes}; cells take pages of 512 bytes to 64 KiB, 8 to 4096 of \
         them in each of 24 blocks or more; name another device"
    )]
    Unfit {
        /// Blocks that it has.
        blocks: u64,
        /// Bytes of each.
        block_bytes: u32,
        /// Bytes of a page.
        page_bytes: u32,
    },
    /// Neither block that holds a superblock takes one.
    #[error("its first two blocks are both bad; name a partition that begins elsewhere")]
    NoPlace,
    /// The medium failed.
    #[error(
        "it cannot be read or written ({0}); check the device, who may use it, and the system's log"
    )]
    Medium(MediumError),
}

impl From<MediumError> for CellsError {
    fn from(error: MediumError) -> Self {
        Self::Medium(error)
    }
}

/// True if a medium holds a store's cells, of whichever version.
///
/// # Errors
/// [`MediumError`].
pub fn is_formatted(medium: &impl Medium) -> Result<bool, MediumError> {
    Ok(superblock(medium)?.is_some())
}

/// The version and the shape that the first superblock says which is whole.
fn superblock(medium: &impl Medium) -> Result<Option<(u16, Option<Shape>)>, MediumError> {
    let mut failed = None;
    for block in 0..FIRST_CELL.min(medium.shape().blocks) {
        let mut bytes = vec![0; medium.shape().page()];
        match medium.read(block, 0, &mut bytes) {
            Ok(()) => match page::read_superblock(&bytes) {
                None => {}
                found => return Ok(found),
            },
            Err(error) => failed = Some(error),
        }
    }
    failed.map_or(Ok(None), Err)
}

/// Erases all of a medium and divides it into cells. The superblock comes last, so that one that was cut off is not formatted.
///
/// # Errors
/// [`CellsError`].
pub fn format(medium: &mut impl Medium) -> Result<(), CellsError> {
    let shape = medium.shape();
    if !shape.is_fit() {
        let least = LEAST.page_bytes.max(shape.page_bytes);
        let least = Shape { page_bytes: least, ..LEAST }.bytes();
        return Err(CellsError::TooSmall { found: shape.bytes(), least });
    }
    let mut wear = vec![None; shape.blocks as usize];
    for block in 0..shape.blocks {
        if medium.is_bad(block)? {
            continue;
        }
        let mut bytes = vec![0; shape.page()];
        // A block that cannot be read may be erased all the same.
        let _ = medium.read(block, CLEAN_PAGE, &mut bytes);
        let before = page::read_clean(block, &bytes).unwrap_or(0);
        let mut bytes = vec![0; shape.block_bytes() as usize];
        let erased = medium
            .erase(block, shape.block_pages)
            .and_then(|()| medium.read(block, 0, &mut bytes))
            .map(|()| page::is_blank(&bytes));
        match erased {
            Ok(true) => wear[block as usize] = Some(before.saturating_add(1)),
            Err(error) if error.fault != FlashFault::Io => return Err(error.into()),
            _ => medium.mark_bad(block)?,
        }
        if block + 1 == FIRST_CELL {
            // From here on it is no store.
            medium.sync()?;
        }
    }
    medium.sync()?;
    for (block, wear) in (0..).zip(wear).skip(FIRST_CELL as usize) {
        let Some(wear) = wear else { continue };
        match medium.program(block, CLEAN_PAGE, &page::clean(block, wear, shape)) {
            Err(error) if error.fault != FlashFault::Io => return Err(error.into()),
            Err(_) => medium.mark_bad(block)?,
            Ok(()) => {}
        }
    }
    medium.sync()?;
    let mut written = Err(CellsError::NoPlace);
    for block in 0..FIRST_CELL {
        if medium.is_bad(block)? {
            continue;
        }
        // Either serves.
        match medium.program(block, 0, &page::superblock(shape)) {
            Ok(()) => written = Ok(()),
            Err(error) if error.fault == FlashFault::Io && written.is_ok() => {}
            Err(error) if error.fault == FlashFault::Io => written = Err(error.into()),
            Err(error) => return Err(error.into()),
        }
    }
    medium.sync()?;
    written
}

/// A cell of frames that were durable, whose head cannot be read.
struct Headless {
    cell: u32,
    turn: u64,
    /// Places in its object.
    start: u64,
    end: u64,
}

/// The cells that name an object, by turn.
type Turns = BTreeMap<u64, Vec<(u32, Head)>>;

impl<M: Medium> Cells<M> {
    /// Finds out what stands on a medium. Nothing is written.
    ///
    /// # Errors
    /// [`CellsError`].
    pub fn open(medium: M) -> Result<Self, CellsError> {
        let shape = medium.shape();
        match superblock(&medium)? {
            Some((_, Some(said))) if said == shape => {}
            Some((_, Some(said))) => {
                let (found, expected) = (shape.bytes(), said.bytes());
                return Err(CellsError::OtherSize { found, expected });
            }
            Some((found, None)) => {
                return Err(CellsError::Later { found, supported: page::VERSION });
            }
            None => return Err(CellsError::NotFormatted),
        }
        let mut cells = Self {
            medium,
            shape,
            held: BTreeMap::new(),
            stock: Stock { wear: vec![0; shape.blocks as usize], ..Stock::default() },
            turn: 0,
            settled: false,
            in_doubt: false,
            cache: Mutex::new(None),
        };
        let mut found: BTreeMap<Object, Turns> = BTreeMap::new();
        let mut headless = Vec::new();
        for cell in FIRST_CELL..shape.blocks {
            if cells.medium.is_bad(cell)? {
                cells.stock.bad.insert(cell);
            } else if let Some(head) = cells.look_at(cell, &mut headless)? {
                cells.turn = cells.turn.max(head.turn);
                let turns = found.entry(head.object).or_default();
                turns.entry(head.turn).or_default().push((cell, head));
            }
        }
        cells.stock.guess_wear();
        for (object, turns) in found {
            cells.take_in(object, turns)?;
        }
        headless.sort_by_key(|headless| headless.start);
        headless.into_iter().for_each(|headless| cells.adopt(headless));
        Ok(cells)
    }

    /// Leaves a cell without a head to the object that ends where it begins: that is damaged then. Without one it is to be erased.
    fn adopt(&mut self, Headless { cell, turn, start, end }: Headless) {
        let mut of_turn = self.held.values_mut().filter(|held| held.turn == turn);
        match of_turn.find(|held| held.len == start || held.is_damaged) {
            Some(held) => {
                held.others.push(cell);
                held.is_damaged = true;
                (held.len, held.durable) = (held.len.max(end), held.durable.max(end));
            }
            None => self.soil(cell, self.shape.block_pages, false),
        }
    }

    /// What stands in a cell whose head cannot be read, if frames in it say that those before them there were durable: the head was as
    /// well, and is damaged. Otherwise it may never have been.
    fn headless(&self, cell: u32) -> Result<Option<Headless>, MediumError> {
        let first = self.read_pages(cell, FIRST_PAGE, self.shape.block_pages - FIRST_PAGE)?;
        let Some(turn) = Frame::turn_of(&first) else { return Ok(None) };
        let Some((Frame { offset: start, .. }, _)) = Frame::from_pages(cell, turn, &first) else {
            return Ok(None);
        };
        let piece = Piece { cell, start, first_page: FIRST_PAGE, next_page: FIRST_PAGE };
        let walk = self.walk(turn, piece)?;
        let was_durable = walk.durable > start;
        Ok(was_durable.then_some(Headless { cell, turn, start, end: walk.end }))
    }

    /// The head of a cell; one without is clean, claimed or dirty.
    fn look_at(
        &mut self,
        cell: u32,
        headless: &mut Vec<Headless>,
    ) -> Result<Option<Head>, CellsError> {
        let front = self.read_pages(cell, 0, FIRST_PAGE)?;
        let mut pages = front.chunks(self.shape.page());
        let mut next = || pages.next().unwrap_or_default();
        let (clean, claim, head) = (next(), next(), next());
        const { assert!(CLEAN_PAGE == 0 && CLAIM_PAGE == 1 && HEAD_PAGE == 2 && FIRST_PAGE == 3) };
        let wear = page::read_clean(cell, clean);
        self.stock.set_wear(cell, wear.unwrap_or(0));
        match Head::from_page(cell, head) {
            Some(Some(head)) if head.fits(self.shape.bytes()) => return Ok(Some(head)),
            Some(None) => {
                let supported = page::VERSION;
                return Err(CellsError::Later { found: supported + 1, supported });
            }
            Some(Some(_)) | None => {}
        }
        let is_empty = wear.is_some() && page::is_blank(head);
        if is_empty && page::is_blank(claim) {
            self.stock.clean.insert((wear.unwrap_or(0), cell));
        } else if is_empty && page::is_claim(cell, claim) && self.is_blank_behind(cell)? {
            self.stock.claimed.push_back(cell);
        } else if let Some(found) = self.headless(cell)? {
            headless.push(found);
        } else {
            self.soil(cell, self.shape.block_pages, false);
        }
        Ok(None)
    }

    fn is_blank_behind(&self, cell: u32) -> Result<bool, MediumError> {
        let count = self.shape.block_pages - FIRST_PAGE;
        Ok(page::is_blank(&self.read_pages(cell, FIRST_PAGE, count)?))
    }

    /// Takes in the highest turn of an object that counts.
    fn take_in(&mut self, object: Object, turns: Turns) -> Result<(), MediumError> {
        let mut chosen: Option<Held> = None;
        for (turn, cells) in turns.into_iter().rev() {
            let all: Vec<u32> = cells.iter().map(|&(cell, _)| cell).collect();
            if let Some(held) = &mut chosen {
                held.others.extend(all);
            } else if let Some(held) = self.judge(turn, cells)? {
                chosen = Some(held);
            } else {
                // Of a replace that was cut off.
                all.into_iter().for_each(|cell| self.soil(cell, self.shape.block_pages, false));
            }
        }
        let Some(mut held) = chosen else { return Ok(()) };
        if held.is_confirmed && !held.is_damaged {
            let others = std::mem::take(&mut held.others);
            others.into_iter().for_each(|cell| self.soil(cell, self.shape.block_pages, false));
        }
        self.held.insert(object, held);
        Ok(())
    }

    /// What stands of a turn; `None` if it was never whole.
    fn judge(&self, turn: u64, mut cells: Vec<(u32, Head)>) -> Result<Option<Held>, MediumError> {
        cells.sort_by_key(|(_, head)| (head.place, head.attempt));
        let Some(&(_, Head { base, hash, .. })) = cells.first() else { return Ok(None) };
        let places = self.places(base);
        let mut held = Held {
            turn,
            base,
            base_cells: vec![None; places as usize],
            pieces: Vec::new(),
            others: Vec::new(),
            len: base,
            durable: base,
            is_open: false,
            is_lost: false,
            is_damaged: false,
            is_confirmed: false,
        };
        let mut durable = base;
        let mut added = Vec::new();
        let mut base_hash = hash;
        for (cell, head) in cells {
            durable = durable.max(head.durable);
            match held.base_cells.get_mut(head.place as usize) {
                Some(place) => {
                    base_hash = head.hash;
                    held.others.extend(place.replace(cell));
                }
                None => {
                    let (start, first_page) = (head.start, FIRST_PAGE);
                    added.push(Piece { cell, start, first_page, next_page: first_page });
                }
            }
        }
        let page = self.confirm_page(base);
        if let Some(&Some(cell)) = held.base_cells.last() {
            let confirm = self.read_pages(cell, page, 1)?;
            held.is_confirmed = page::is_confirm(cell, turn, &confirm);
            let (start, first_page) = (base, page + 1);
            held.pieces.push(Piece { cell, start, first_page, next_page: first_page });
        }
        let has_all = held.base_cells.iter().all(Option::is_some);
        let is_whole = has_all && (held.is_confirmed || self.hash_of(&held)? == base_hash);
        if !is_whole && !held.is_confirmed && added.is_empty() && turn == self.turn {
            return Ok(None);
        }
        held.is_damaged = !is_whole;
        held.pieces.extend(added);
        self.find_end(&mut held, durable)?;
        Ok(Some(held))
    }

    fn hash_of(&self, held: &Held) -> Result<[u8; page::HASH], MediumError> {
        let mut bytes = vec![0; held.base as usize];
        match self.read_held(held, 0, &mut bytes) {
            Ok(_) => Ok(page::hash(&bytes)),
            Err(error) if error.fault != FlashFault::Io => Err(error),
            // What cannot be read has no hash, at any rate not that of zeros.
            Err(_) => Ok([0; page::HASH]),
        }
    }

    /// Finds where an object ends, of which at least `durable` bytes were durable.
    fn find_end(&self, held: &mut Held, mut durable: u64) -> Result<(), MediumError> {
        // Every cell before this one was durable up to the next.
        let from = held.pieces.partition_point(|piece| piece.start <= durable);
        let from = from.saturating_sub(1);
        let mut end = held.pieces.get(from).map_or(held.base, |piece| piece.start);
        let (mut torn, mut whole) = (None, durable);
        for at in from..held.pieces.len() {
            let Some(&piece) = held.pieces.get(at) else { break };
            let walk = self.walk(held.turn, piece)?;
            (durable, whole) = (durable.max(walk.durable), whole.max(walk.end));
            if torn.is_some() || piece.start > end {
                torn.get_or_insert(at);
                continue;
            }
            end = piece.start + walk.bytes.len() as u64;
            if let Some(piece) = held.pieces.get_mut(at) {
                piece.next_page = walk.next_page;
            }
        }
        if let Some(at) = torn.filter(|_| durable <= end) {
            // Of appends that were not durable the first went and the last came.
            let torn = held.pieces.split_off(at);
            held.others.extend(torn.iter().map(|piece| piece.cell));
        }
        held.is_damaged |= durable > end;
        held.len = if durable > end { whole.max(durable) } else { end };
        held.durable = held.len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::nand::Nand;
    use super::*;
    use crate::Flash as _;
    use crate::count::MOST;

    /// A medium in which a cell of an object says that turn.
    fn with_turn(turn: u64) -> Nand {
        let shape = Shape { page_bytes: 512, block_pages: 8, blocks: 24 };
        let mut nand = Nand::new(shape);
        format(&mut nand).unwrap();
        let (object, hash) = (Object::Segment(1), page::hash(b"now"));
        let head = Head { object, turn, place: 0, attempt: 0, start: 0, durable: 0, base: 3, hash };
        let mut pages = head.to_page(4, shape);
        pages.extend_from_slice(b"now");
        nand.program(4, HEAD_PAGE, &page::padded(pages, shape)).unwrap();
        nand
    }

    #[test]
    fn turns_end_where_a_start_still_finds_what_was_written() {
        let read = |cells: &Cells<Nand>| cells.read_all(Object::Segment(1), 99).unwrap();
        let nand = with_turn(MOST - 1);
        let mut cells = Cells::open(nand.clone()).unwrap();
        assert_eq!(read(&cells).unwrap(), b"now");
        // What nothing confirms is written anew before the first write, which takes the last turn.
        let error = cells.replace(Object::Segment(1), b"then").unwrap_err().to_string();
        assert!(error.contains("no turn is left"), "{error}");
        let mut cells = Cells::open(nand).unwrap();
        assert_eq!(read(&cells).unwrap(), b"now");
        assert!(cells.replace(Object::Segment(1), b"then").is_err());
        let nand = with_turn(MOST - 2);
        Cells::open(nand.clone()).unwrap().replace(Object::Segment(1), b"then").unwrap();
        assert_eq!(read(&Cells::open(nand).unwrap()).unwrap(), b"then");
        for turn in [MOST + 1, u64::MAX / 2 - 1, u64::MAX] {
            let mut cells = Cells::open(with_turn(turn)).unwrap();
            assert_eq!(read(&cells), None, "{turn}");
            cells.replace(Object::Segment(1), b"then").unwrap();
            assert_eq!(read(&cells).unwrap(), b"then", "{turn}");
        }
    }

    #[test]
    fn heads_and_frames_that_say_what_cannot_be_are_no_panic() {
        let shape = Shape { page_bytes: 512, block_pages: 8, blocks: 24 };
        let sound = Head {
            object: Object::Segment(1),
            turn: 5,
            place: 0,
            attempt: 0,
            start: 0,
            durable: 0,
            base: 100,
            hash: [0; page::HASH],
        };
        let forged = [
            Head { turn: u64::MAX, ..sound },
            Head { place: u32::MAX, ..sound },
            Head { attempt: u32::MAX, ..sound },
            Head { start: u64::MAX, place: 7, ..sound },
            Head { durable: u64::MAX, ..sound },
            Head { base: u64::MAX, ..sound },
            Head { base: shape.bytes(), ..sound },
            Head { base: 0, start: shape.bytes(), durable: shape.bytes(), ..sound },
        ];
        for (at, head) in (0..).zip(forged) {
            let mut nand = Nand::new(shape);
            format(&mut nand).unwrap();
            let cell = 4;
            nand.program(cell, HEAD_PAGE, &head.to_page(cell, shape)).unwrap();
            let confirm = page::confirm(cell, head.turn, shape);
            nand.program(cell, 4, &confirm).unwrap();
            let frame = Frame { offset: [100, u64::MAX][at % 2], behind: 0, len: 9 };
            let frame = frame.to_pages(cell, head.turn, &[7; 9], shape);
            nand.program(cell, 5, &frame).unwrap();
            let mut cells = Cells::open(nand).unwrap();
            let _ = cells.read_all(Object::Segment(1), 1 << 20);
            cells.replace(Object::Anchor, b"anchor").unwrap();
            cells.replace(Object::Segment(1), b"anew").unwrap();
            cells.append(Object::Segment(1), b" and on").unwrap();
            let read = cells.read_all(Object::Segment(1), 99).unwrap();
            assert_eq!(read.unwrap(), b"anew and on", "{head:?}");
        }
    }
}
