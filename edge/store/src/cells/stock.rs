//! Which cells are clean, claimed and dirty, and how they go from one to the next.
//!
//! Owns the two marks at a cell's front and wear levelling: of the clean cells the one that was erased least often is claimed first.
//! Refuses to give a cell out whose claim is not durable, and to call one clean whose erasing is not.

use super::medium::{Medium, MediumError, Shape};
use super::page::{self, CLAIM_PAGE, CLEAN_PAGE};
use super::{Cells, FIRST_CELL, Fill};
use crate::flash::FlashFault;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Cells that are claimed ahead.
const AHEAD: usize = 4;

/// Cells that a write is tried in, one after the other, as long as blocks turn out bad.
pub(super) const TRIES: u32 = 4;

/// Free cells that only the mending of a start may take, and for a moment what gives as many back.
const MARGIN: usize = 4;

/// The cells that no object has.
#[derive(Debug, Default)]
pub(super) struct Stock {
    /// By wear.
    pub(super) clean: BTreeSet<(u32, u32)>,
    /// Durably.
    pub(super) claimed: VecDeque<u32>,
    /// Claimed since the last sync.
    pub(super) fresh: Vec<u32>,
    pub(super) dirty: BTreeMap<u32, Dirty>,
    /// How often each block was erased.
    pub(super) wear: Vec<u32>,
    pub(super) bad: BTreeSet<u32>,
    /// Took a page badly, on a medium without marks, and are erased: used again when nothing else is left, or by the next start.
    pub(super) set_aside: BTreeSet<u32>,
}

/// A cell that is to be erased.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dirty {
    /// No page from this one on was programmed.
    pub(super) used: u32,
    /// It took a page badly.
    pub(super) is_worn: bool,
}

impl Stock {
    pub(super) fn fill(&self, shape: Shape) -> Fill {
        let bad = (self.bad.len() + self.set_aside.len()) as u32;
        Fill {
            cell_bytes: shape.block_bytes(),
            cells: shape.blocks - FIRST_CELL - bad,
            free: (self.clean.len() + self.claimed.len() + self.fresh.len() + self.dirty.len())
                as u32,
            bad,
            most_erased: self.wear.iter().copied().max().unwrap_or(0),
        }
    }

    pub(super) fn wear_of(&self, cell: u32) -> u32 {
        self.wear.get(cell as usize).copied().unwrap_or(0)
    }

    /// Of a cell whose mark is gone the wear is not known: it counts as the most that any has, and is used last.
    pub(super) fn guess_wear(&mut self) {
        let most = self.wear.iter().copied().max().unwrap_or(0);
        self.wear.iter_mut().filter(|wear| **wear == 0).for_each(|wear| *wear = most);
    }

    pub(super) fn set_wear(&mut self, cell: u32, wear: u32) {
        if let Some(held) = self.wear.get_mut(cell as usize) {
            *held = wear;
        }
    }
}

impl<M: Medium> Cells<M> {
    /// Programs pages and reads them back.
    pub(super) fn program(
        &mut self,
        cell: u32,
        page: u32,
        bytes: &[u8],
    ) -> Result<(), MediumError> {
        self.medium.program(cell, page, bytes)?;
        let mut back = vec![0; bytes.len()];
        self.medium.read(cell, page, &mut back)?;
        match back == bytes {
            true => Ok(()),
            false => Err(MediumError::io("a page does not read back as it was written")),
        }
    }

    /// Makes everything durable that was appended and claimed.
    pub(super) fn sync_all(&mut self) -> Result<(), MediumError> {
        let synced = self.medium.sync();
        let fresh = std::mem::take(&mut self.stock.fresh);
        match synced {
            Ok(()) => {
                self.stock.claimed.extend(fresh);
                self.held.values_mut().filter(|held| !held.is_lost).for_each(|held| {
                    held.durable = held.len;
                });
            }
            Err(_) => {
                fresh.into_iter().for_each(|cell| self.soil(cell, self.shape.block_pages, false));
                self.held.values_mut().for_each(|held| held.is_lost |= held.durable < held.len);
            }
        }
        synced
    }

    /// A cell is to be erased.
    pub(super) fn soil(&mut self, cell: u32, used: u32, is_worn: bool) {
        let dirty = self.stock.dirty.entry(cell).or_insert(Dirty { used, is_worn });
        dirty.used = dirty.used.max(used);
        dirty.is_worn |= is_worn;
    }

    /// Claims a clean cell; not durable yet. `None` if only `left` are left. A medium that takes no claim for a while is not to cost all
    /// its cells: so many are tried.
    fn claim(&mut self, left: usize) -> Result<Option<()>, MediumError> {
        let mut attempt = 0;
        while self.stock.clean.len() > left {
            let Some((_, cell)) = self.stock.clean.pop_first() else { break };
            match self.program(cell, CLAIM_PAGE, &page::claim(cell, self.shape)) {
                Ok(()) => {
                    self.stock.fresh.push(cell);
                    return Ok(Some(()));
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
        Ok(None)
    }

    /// Gives out claimed cells. `mending` may take the last ones, and so may what gives as many back.
    pub(super) fn take(&mut self, count: usize, mending: bool) -> Result<Vec<u32>, MediumError> {
        let margin = if mending { 0 } else { MARGIN };
        let room = |stock: &Stock| stock.claimed.len() + stock.fresh.len() + stock.clean.len();
        if room(&self.stock) < count + margin {
            self.clear()?;
        }
        if room(&self.stock) < count + margin {
            for cell in std::mem::take(&mut self.stock.set_aside) {
                self.soil(cell, self.shape.block_pages, false);
            }
            self.clear()?;
        }
        if room(&self.stock) < count + margin {
            let detail = format!("{count} cells are needed, and too few are free");
            return Err(MediumError { fault: FlashFault::Full, detail });
        }
        while self.stock.claimed.len() < count {
            while self.stock.claimed.len() + self.stock.fresh.len() < count {
                if self.claim(0)?.is_none() {
                    let detail = "no cell is free".to_owned();
                    return Err(MediumError { fault: FlashFault::Full, detail });
                }
            }
            self.sync_all()?;
        }
        Ok(self.stock.claimed.drain(..count).collect())
    }

    /// Claims ahead, for the next sync to make durable. What fails here fails again where it matters.
    pub(super) fn restock(&mut self) {
        while self.stock.claimed.len() + self.stock.fresh.len() < AHEAD {
            match self.claim(MARGIN) {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => return,
            }
        }
    }

    /// Takes the mark off a cell that is to be erased; it is gone for good with the next sync. `None` if it has none, and false if it
    /// keeps it.
    pub(super) fn void(&mut self, cell: u32) -> Result<Option<bool>, MediumError> {
        let has_mark = |cells: &Self| -> Result<bool, MediumError> {
            let page = cells.read_pages(cell, CLEAN_PAGE, 1)?;
            Ok(page::read_clean(cell, &page).is_some())
        };
        if !has_mark(self)? {
            return Ok(None);
        }
        match self.medium.void(cell) {
            Err(error) if error.fault != FlashFault::Io => return Err(error),
            _ => {}
        }
        Ok(Some(!has_mark(self)?))
    }

    /// Erases every dirty cell, durably, and marks it clean, or bad if it is. On a medium without marks one that took a page badly is
    /// set aside once it is erased.
    ///
    /// # Errors
    /// [`MediumError`]; what is not erased, durably, stays dirty then.
    pub(super) fn clear(&mut self) -> Result<(), MediumError> {
        if self.stock.dirty.is_empty() {
            return Ok(());
        }
        let cells: Vec<u32> = self.stock.dirty.keys().copied().collect();
        let mut had_marks = false;
        for cell in cells {
            if let Some(is_void) = self.void(cell)? {
                had_marks = true;
                if !is_void {
                    self.soil(cell, self.shape.block_pages, true);
                }
            }
        }
        if had_marks {
            self.sync_all()?;
        }
        let (mut good, mut worn, mut failed) = (Vec::new(), Vec::new(), Ok(()));
        for (cell, Dirty { used, is_worn }) in self.stock.dirty.clone() {
            let wear = self.stock.wear_of(cell).saturating_add(1);
            self.stock.set_wear(cell, wear);
            let erased = match self.erase(cell, used) {
                Err(error) if error.fault != FlashFault::Io => return Err(error),
                Ok(()) if !is_worn => {
                    good.push(cell);
                    continue;
                }
                erased => erased,
            };
            match (self.medium.mark_bad(cell), erased) {
                (Ok(()), _) => {
                    self.stock.dirty.remove(&cell);
                    self.stock.bad.insert(cell);
                }
                (Err(error), _) if error.fault != FlashFault::Io => return Err(error),
                (Err(_), Ok(())) => worn.push(cell),
                // What stood there still does. The others are erased all the same.
                (Err(error), Err(_)) => failed = Err(error),
            }
        }
        self.sync_all()?;
        for cell in worn {
            self.stock.dirty.remove(&cell);
            self.stock.set_aside.insert(cell);
        }
        for cell in good {
            let wear = self.stock.wear_of(cell);
            // If its mark is not whole it is erased at the next start.
            match self.program(cell, CLEAN_PAGE, &page::clean(cell, wear, self.shape)) {
                Ok(()) => {
                    self.stock.dirty.remove(&cell);
                    self.stock.clean.insert((wear, cell));
                }
                // It and those behind it stay dirty.
                Err(error) if error.fault != FlashFault::Io => return Err(error),
                Err(_) => self.soil(cell, self.shape.block_pages, true),
            }
        }
        failed
    }

    /// Erases a cell and looks whether it is.
    fn erase(&mut self, cell: u32, used: u32) -> Result<(), MediumError> {
        self.medium.erase(cell, used)?;
        let mut bytes = vec![0; used as usize * self.shape.page()];
        self.medium.read(cell, 0, &mut bytes)?;
        match page::is_blank(&bytes) {
            true => Ok(()),
            false => Err(MediumError::io("a block is not blank although it was erased")),
        }
    }
}
