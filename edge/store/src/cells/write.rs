//! Replacing, appending, making durable and taking away.

use super::medium::{Medium, MediumError};
use super::page::{self, FIRST_PAGE, FRAME, Frame, HASH, HEAD_PAGE, Head};
use super::stock::TRIES;
use super::{Cells, Held, Piece};
use crate::count;
use crate::flash::{FlashFault, Object};
use std::collections::BTreeSet;

impl<M: Medium> Cells<M> {
    /// Mends what a stop or a failed write left, before anything is written.
    fn make_ready(&mut self) -> Result<(), MediumError> {
        if !self.settled {
            // What a process before this one wrote may be in a cache only, and is built on from here.
            self.sync_all()?;
            self.clear()?;
            // Nobody reads the reserve: it is room, whichever turn of it stands there, and more of it than mending may take.
            let doubted = self.held.iter().filter(|&(&object, held)| {
                object != Object::Reserve && !held.is_confirmed && !held.is_damaged
            });
            let doubted: Vec<Object> = doubted.map(|(&object, _)| object).collect();
            for object in doubted {
                self.renew(object)?;
            }
            self.settled = true;
        }
        if self.in_doubt {
            self.clear()?;
            self.in_doubt = false;
        }
        Ok(())
    }

    /// Writes an object anew that nothing confirms: the medium may have the turn before it, and this one only in a cache.
    fn renew(&mut self, object: Object) -> Result<(), MediumError> {
        let Some(held) = self.held.get(&object) else { return Ok(()) };
        let mut bytes = vec![0; held.len as usize];
        match self.read_held(held, 0, &mut bytes) {
            Ok(_) => self.put(&[(object, &bytes)], true),
            Err(error) if error.fault != FlashFault::Io => Err(error),
            Err(_) => {
                // Half of it is erased, in a removal that was cut off, or damaged.
                if let Some(held) = self.held.get_mut(&object) {
                    held.is_damaged = true;
                }
                Ok(())
            }
        }
    }

    pub(super) fn try_replace(&mut self, objects: &[(Object, &[u8])]) -> Result<(), MediumError> {
        self.make_ready()?;
        self.put(objects, false)
    }

    fn put(&mut self, objects: &[(Object, &[u8])], mending: bool) -> Result<(), MediumError> {
        let turn =
            count::after(self.turn).map_err(|_| MediumError::io("no turn is left for it"))?;
        let need =
            objects.iter().map(|(_, bytes)| self.places(bytes.len() as u64)).sum::<u32>() as usize;
        // What gives back as many cells as it takes may have the last ones, so that a full medium can be cleaned: a stop in the middle
        // finds the object of before with all of these free, or the new one with those.
        let before = objects.iter().filter_map(|(object, _)| self.held.get(object));
        let gives_back = before.flat_map(Held::cells).collect::<BTreeSet<u32>>().len() >= need;
        let mut cells = self.take(need, mending || gives_back)?;
        self.turn = turn;
        self.uncache();
        let mut made = Vec::new();
        let mut written = Ok(());
        for &(object, bytes) in objects {
            let mut held = Held::empty(self.turn, bytes.len() as u64);
            written = self.write_base(object, bytes, &mut held, &mut cells);
            made.push((object, held));
            if written.is_err() {
                break;
            }
        }
        if written.is_ok() {
            self.restock();
            written = self.void_before(objects).and_then(|()| self.sync_all());
        }
        if let Err(error) = written {
            cells.extend(made.iter().flat_map(|(_, held)| held.cells()));
            cells.into_iter().for_each(|cell| self.soil(cell, self.shape.block_pages, false));
            self.in_doubt = true;
            // What cannot be taken back now is, before the next write.
            if error.fault != FlashFault::PowerCut {
                self.in_doubt = self.clear().is_err();
            }
            return Err(error);
        }
        // They count. What fails from here on fails to take away what was.
        for (object, mut held) in made {
            self.confirm(&mut held);
            (held.len, held.durable) = (held.base, held.base);
            if let Some(before) = self.held.insert(object, held) {
                self.soil_all(&before);
            }
        }
        self.clear()
    }

    /// Programs a base, heads and all, in cells that were taken for it, and in others where blocks turn out bad.
    fn write_base(
        &mut self,
        object: Object,
        bytes: &[u8],
        held: &mut Held,
        cells: &mut Vec<u32>,
    ) -> Result<(), MediumError> {
        let hash = page::hash(bytes);
        let len = self.capacity() as usize * self.shape.page();
        for place in 0..self.places(held.base) {
            let from = (place as usize * len).min(bytes.len());
            let part = &bytes[from..bytes.len().min(from + len)];
            let mut attempt = 0;
            loop {
                let Some(cell) = cells.pop() else {
                    // A cell more than was asked for: one before it is bad.
                    *cells = self.take(1, true)?;
                    continue;
                };
                let (turn, base, start) = (held.turn, held.base, from as u64);
                let head = Head { object, turn, place, attempt, start, durable: 0, base, hash };
                let mut pages = head.to_page(cell, self.shape);
                pages.extend_from_slice(part);
                let pages = page::padded(pages, self.shape);
                match self.program(cell, HEAD_PAGE, &pages) {
                    Ok(()) => {
                        held.base_cells.push(Some(cell));
                        break;
                    }
                    Err(error) => {
                        self.soil(cell, self.shape.block_pages, true);
                        attempt += 1;
                        if error.fault != FlashFault::Io || attempt >= TRIES {
                            return Err(error);
                        }
                    }
                }
            }
        }
        let (first_page, start) = (self.confirm_page(held.base) + 1, held.base);
        if let Some(&Some(cell)) = held.base_cells.last() {
            held.pieces.push(Piece { cell, start, first_page, next_page: first_page });
        }
        Ok(())
    }

    /// Takes the marks off the cells that go once objects are replaced: they are then off with the sync that makes these count.
    fn void_before(&mut self, objects: &[(Object, &[u8])]) -> Result<(), MediumError> {
        let before = objects.iter().filter_map(|(object, _)| self.held.get(object));
        let cells: Vec<u32> = before.flat_map(Held::cells).collect();
        cells.into_iter().try_for_each(|cell| self.void(cell).map(drop))
    }

    /// Programs the page that confirms a base. Without it the hash tells that it is whole.
    fn confirm(&mut self, held: &mut Held) {
        let (turn, page) = (held.turn, self.confirm_page(held.base));
        if let Some(&Some(cell)) = held.base_cells.last() {
            let confirmed = self.program(cell, page, &page::confirm(cell, turn, self.shape));
            // Nothing more comes into a block that took it badly.
            held.is_open = confirmed.is_ok();
            held.is_confirmed = true;
        }
    }

    /// An object's cells are to be erased.
    fn soil_all(&mut self, held: &Held) {
        // Of the one that this process programs it knows the end.
        let open = held.pieces.last().filter(|_| held.is_open).copied();
        for cell in held.cells() {
            let open = open.filter(|piece| piece.cell == cell);
            let used = open.map_or(self.shape.block_pages, |piece| piece.next_page);
            self.soil(cell, used, false);
        }
    }

    pub(super) fn try_append(&mut self, object: Object, bytes: &[u8]) -> Result<(), MediumError> {
        self.make_ready()?;
        let absent = || MediumError::io("it is not there");
        let held = self.held.get(&object).ok_or_else(absent)?;
        if held.is_lost {
            return Err(lost());
        }
        if held.is_damaged {
            return Err(MediumError::io("a page of it is damaged or missing"));
        }
        // Worked on by itself, and put back with what of it stands.
        let Some(mut held) = self.held.remove(&object) else { return Err(absent()) };
        self.uncache();
        let mut left = bytes;
        let mut outcome = Ok(());
        let mut tries = 0;
        while !left.is_empty() && outcome.is_ok() {
            match self.append_some(object, &mut held, left) {
                Ok(count) => left = &left[count..],
                Err(error) => {
                    held.is_open = false;
                    tries += 1;
                    if error.fault != FlashFault::Io || tries >= TRIES || held.is_lost {
                        outcome = Err(error);
                    }
                }
            }
        }
        self.held.insert(object, held);
        self.restock();
        outcome
    }

    /// Appends one frame. Gives how many of the bytes are in it.
    fn append_some(
        &mut self,
        object: Object,
        held: &mut Held,
        bytes: &[u8],
    ) -> Result<usize, MediumError> {
        let full = |piece: &Piece| piece.next_page >= self.shape.block_pages;
        if !held.is_open || held.pieces.last().is_none_or(full) {
            self.begin_piece(object, held)?;
        }
        let Some(piece) = held.pieces.last_mut() else { return Ok(0) };
        let pages = (self.shape.block_pages - piece.next_page) as usize;
        let part = &bytes[..bytes.len().min(pages * self.shape.page() - FRAME)];
        let behind = u32::try_from(held.len - held.durable).unwrap_or(u32::MAX);
        let frame = Frame { offset: held.len, behind, len: part.len() as u32 };
        let pages = frame.to_pages(piece.cell, held.turn, part, self.shape);
        let (cell, page) = (piece.cell, piece.next_page);
        piece.next_page += self.shape.pages_of(pages.len());
        self.program(cell, page, &pages)?;
        held.len += part.len() as u64;
        Ok(part.len())
    }

    /// Begins a cell for what is appended.
    fn begin_piece(&mut self, object: Object, held: &mut Held) -> Result<(), MediumError> {
        let taken = self.take(1, false).inspect_err(|error| {
            // It may have been a sync, of what was appended before as well.
            held.is_lost |= error.fault != FlashFault::Full && held.durable < held.len;
        });
        let Some(&cell) = taken?.first() else { return Ok(()) };
        let place = held.base_cells.len() + held.pieces.len();
        let Held { turn, len: start, durable, base, .. } = *held;
        let (place, attempt, hash) = (place as u32, 0, [0; HASH]);
        let head = Head { object, turn, place, attempt, start, durable, base, hash };
        // It is the object's from here on, whatever becomes of its pages.
        let first_page = FIRST_PAGE;
        held.pieces.push(Piece { cell, start, first_page, next_page: first_page });
        held.is_open = true;
        self.program(cell, HEAD_PAGE, &head.to_page(cell, self.shape))
    }

    pub(super) fn try_sync(&mut self, object: Object) -> Result<(), MediumError> {
        if self.held.get(&object).is_some_and(|held| held.is_lost) {
            return Err(lost());
        }
        self.sync_all()
    }

    pub(super) fn try_remove(&mut self, object: Object) -> Result<(), MediumError> {
        self.make_ready()?;
        if let Some(held) = self.held.get(&object).cloned() {
            self.uncache();
            self.soil_all(&held);
            if let Err(error) = self.clear() {
                // It counts as there until it is gone for good, so that whoever asks again has it erased. What is, is not its own any
                // more: another object may have it by then.
                if let Some(held) = self.held.get_mut(&object) {
                    held.keep(|cell| self.stock.dirty.contains_key(&cell));
                    (held.is_damaged, held.is_open) = (true, false);
                }
                for cell in held.cells() {
                    self.stock.dirty.remove(&cell);
                }
                return Err(error);
            }
            self.held.remove(&object);
        }
        // Of a replace that could not take away what was before it.
        self.clear()
    }
}

impl Held {
    fn empty(turn: u64, base: u64) -> Self {
        Self {
            turn,
            base,
            base_cells: Vec::new(),
            pieces: Vec::new(),
            others: Vec::new(),
            len: 0,
            durable: 0,
            is_open: true,
            is_lost: false,
            is_damaged: false,
            is_confirmed: false,
        }
    }
}

fn lost() -> MediumError {
    MediumError::io("a sync failed, and what was appended before it may not be there")
}
