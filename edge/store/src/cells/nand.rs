//! NAND flash in memory that keeps to the law and no further, for tests of the layout of cells.
//!
//! A page is programmed once between two erases of its block, and in rising order; what breaks that is noted and refused. What was not
//! synced when the power goes is lost, kept or torn, each page by its own lot, and an erase half done: harsher than a chip, which at
//! least keeps the order, since below a partition there is a cache. Faults are set by the number of the operation. A clone is a
//! handle on the same flash.

use super::medium::{BLANK, Medium, MediumError, Shape};
use crate::flash::FlashFault;
use crate::lots::Lots;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle on flash in memory.
#[derive(Clone, Debug)]
pub struct Nand {
    state: Arc<Mutex<State>>,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NandFault {
    /// It says that it failed, and is half done.
    Error,
    /// It says that it is done, and nothing is.
    NoOp,
    /// It says that it failed, and so does every later program and erase of the block; of a sync as [`NandFault::Error`].
    BlockGone,
    /// It says that it is done, and of a program the first page cannot be read from then on; of others as [`NandFault::Error`].
    Unreadable,
    /// It is refused, as by a medium that takes no writes for a while; nothing is done.
    ReadOnly,
}

/// The pages of a block; `None` for a blank one.
type Block = Vec<Option<Arc<[u8]>>>;

#[derive(Clone, Debug)]
struct State {
    shape: Shape,
    seen: Vec<Block>,
    durable: Vec<Block>,
    /// Done since the last sync.
    waiting: Vec<Done>,
    bad: BTreeSet<u32>,
    gone: BTreeSet<u32>,
    /// It has no marks of bad blocks, as a device.
    is_unmarked: bool,
    unreadable: BTreeSet<(u32, u32)>,
    /// Programs, erases and syncs, counted from 1.
    writes: u64,
    written_bytes: u64,
    cut_at: Option<(u64, u64)>,
    faults: BTreeMap<u64, NandFault>,
    off: bool,
    violations: Vec<String>,
}

#[derive(Clone, Debug)]
enum Done {
    Program(u32, u32, Arc<[u8]>),
    Erase(u32),
    Void(u32, Arc<[u8]>),
}

impl Nand {
    /// Blank flash.
    #[must_use]
    pub fn new(shape: Shape) -> Self {
        let blank = vec![vec![None; shape.block_pages as usize]; shape.blocks as usize];
        let state = State {
            shape,
            seen: blank.clone(),
            durable: blank,
            waiting: Vec::new(),
            bad: BTreeSet::new(),
            gone: BTreeSet::new(),
            is_unmarked: false,
            unreadable: BTreeSet::new(),
            writes: 0,
            written_bytes: 0,
            cut_at: None,
            faults: BTreeMap::new(),
            off: false,
            violations: Vec::new(),
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power in the middle of operation number `write`; `seed` draws what stays.
    pub fn cut_power_at(&self, write: u64, seed: u64) {
        self.state().cut_at = Some((write, seed));
    }

    /// Cuts the power now.
    pub fn cut_power(&self, seed: u64) {
        self.state().lose_power(&mut Lots(seed));
    }

    /// True once the power was cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Gives the power back; no cut is set any more.
    pub fn power_on(&self) {
        let mut state = self.state();
        (state.off, state.cut_at) = (false, None);
    }

    /// Has operation number `write` go wrong.
    pub fn fail_at(&self, write: u64, fault: NandFault) {
        self.state().faults.insert(write, fault);
    }

    /// Has it take no mark of a bad block from here on, as a device.
    pub fn without_marks(&self) {
        self.state().is_unmarked = true;
    }

    /// Marks a block bad, as its maker does.
    pub fn set_bad(&self, block: u32) {
        self.state().bad.insert(block);
    }

    /// Makes a page one that cannot be read until its block is erased.
    pub fn spoil(&self, block: u32, page: u32) {
        self.state().unreadable.insert((block, page));
    }

    /// Puts a page in place by hand, durable and blank behind its bytes; `None` blanks it. For tests of damage.
    pub fn set_page(&self, block: u32, page: u32, bytes: Option<&[u8]>) {
        let state = &mut *self.state();
        let bytes: Option<Arc<[u8]>> = bytes.map(|bytes| {
            let mut bytes = bytes.to_vec();
            bytes.resize(state.shape.page(), BLANK);
            bytes.into()
        });
        let bytes = bytes.filter(|bytes| bytes.iter().any(|&byte| byte != BLANK));
        for pages in [&mut state.seen, &mut state.durable] {
            let pages = pages.get_mut(block as usize);
            if let Some(held) = pages.and_then(|pages| pages.get_mut(page as usize)) {
                held.clone_from(&bytes);
            }
        }
    }

    /// Operations so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// What broke the law.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.state().violations.clone()
    }

    /// Blocks that are marked bad.
    #[must_use]
    pub fn bad(&self) -> Vec<u32> {
        self.state().bad.iter().copied().collect()
    }

    /// Every page that holds something, with its block and number.
    #[must_use]
    pub fn pages(&self) -> Vec<(u32, u32, Vec<u8>)> {
        let state = self.state();
        let blocks = (0..).zip(&state.seen);
        let pages = blocks.flat_map(|(block, pages)| {
            (0..).zip(pages).filter_map(move |(page, held)| {
                held.as_ref().map(|bytes| (block, page, bytes.to_vec()))
            })
        });
        pages.collect()
    }

    /// Another flash with the same pages, and no faults.
    #[must_use]
    pub fn copy(&self) -> Self {
        let held = self.state().clone();
        let faults = BTreeMap::new();
        let state = State { writes: 0, cut_at: None, faults, off: false, ..held };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation. Gives what is to go wrong with it, and whether the power goes in its middle.
    fn begin(&mut self) -> Result<(Option<NandFault>, Option<u64>), MediumError> {
        if self.off {
            return Err(off());
        }
        self.writes += 1;
        let cut = self.cut_at.filter(|&(at, _)| at == self.writes).map(|(_, seed)| seed);
        match self.faults.remove(&self.writes) {
            Some(NandFault::ReadOnly) => {
                let detail = "it takes no writes".to_owned();
                Err(MediumError { fault: FlashFault::ReadOnly, detail })
            }
            fault => Ok((fault, cut)),
        }
    }

    fn break_law(&mut self, what: String) -> MediumError {
        self.violations.push(what.clone());
        MediumError::io(what)
    }

    fn put(&mut self, block: u32, page: u32, bytes: Arc<[u8]>) {
        self.seen[block as usize][page as usize] = Some(Arc::clone(&bytes));
        self.waiting.push(Done::Program(block, page, bytes));
    }

    fn lose_power(&mut self, lots: &mut Lots) {
        self.off = true;
        for done in std::mem::take(&mut self.waiting) {
            match done {
                Done::Program(block, page, bytes) => {
                    let page = &mut self.durable[block as usize][page as usize];
                    match lots.draw(4) {
                        0 => {}
                        // On top of what an erase that was lost left, it is neither.
                        1 => *page = torn(&bytes, lots),
                        _ if page.is_some() => *page = torn(&bytes, lots),
                        _ => *page = Some(bytes),
                    }
                }
                Done::Void(block, zeros) => {
                    let page = &mut self.durable[block as usize][0];
                    if page.is_some() && lots.draw(3) > 0 {
                        *page = Some(zeros);
                    }
                }
                Done::Erase(block) => {
                    let lot = lots.draw(4);
                    for page in &mut self.durable[block as usize] {
                        match lot {
                            0 => {}
                            1 if lots.draw(2) == 0 => {}
                            _ => *page = None,
                        }
                    }
                }
            }
        }
        self.seen.clone_from(&self.durable);
    }
}

/// A page of which a part was programmed; one that reads blank is.
fn torn(bytes: &[u8], lots: &mut Lots) -> Option<Arc<[u8]>> {
    let kept = lots.draw(bytes.len() as u64 + 1) as usize;
    let mut torn = bytes.to_vec();
    let filling = [BLANK, 0, lots.draw(256) as u8][lots.draw(3) as usize];
    torn[kept..].fill(filling);
    torn.iter().any(|&byte| byte != BLANK).then(|| torn.into())
}

fn off() -> MediumError {
    MediumError { fault: FlashFault::PowerCut, detail: "the power is off".to_owned() }
}

impl Medium for Nand {
    fn shape(&self) -> Shape {
        self.state().shape
    }

    fn written_bytes(&self) -> u64 {
        self.state().written_bytes
    }

    fn read(&self, block: u32, page: u32, into: &mut [u8]) -> Result<(), MediumError> {
        let state = self.state();
        // Also without power: what is looked at then is what the next start finds.
        let pages = state.seen.get(block as usize).map_or(&[][..], |pages| pages);
        for (at, into) in (page..).zip(into.chunks_mut(state.shape.page())) {
            if state.unreadable.contains(&(block, at)) {
                return Err(MediumError::io(format!(
                    "page {at} of block {block}: too many errors"
                )));
            }
            match pages.get(at as usize) {
                Some(Some(bytes)) => into.copy_from_slice(&bytes[..into.len()]),
                Some(None) => into.fill(BLANK),
                None => return Err(MediumError::io(format!("no page {at} of block {block}"))),
            }
        }
        Ok(())
    }

    fn program(&mut self, block: u32, page: u32, bytes: &[u8]) -> Result<(), MediumError> {
        let mut state = self.state();
        let (fault, cut) = state.begin()?;
        let (shape, what) = (state.shape, format!("program of page {page} of block {block}"));
        state.written_bytes += bytes.len() as u64;
        let Some(pages) = state.seen.get(block as usize) else {
            return Err(state.break_law(format!("{what}: there is none")));
        };
        let count = bytes.len() / shape.page();
        if !bytes.len().is_multiple_of(shape.page()) || page as usize + count > pages.len() {
            return Err(state.break_law(format!("{what}: not whole pages of one block")));
        }
        if pages[page as usize..].iter().any(Option::is_some) {
            return Err(state.break_law(format!("{what}: it or one behind it is not blank")));
        }
        if state.bad.contains(&block) {
            return Err(state.break_law(format!("{what}: it is marked bad")));
        }
        if fault == Some(NandFault::NoOp) {
            return Ok(());
        }
        if fault == Some(NandFault::BlockGone) {
            state.gone.insert(block);
        }
        if fault == Some(NandFault::Unreadable) {
            state.unreadable.insert((block, page));
        }
        let mut lots = Lots(cut.unwrap_or(state.writes));
        let fails = !matches!(fault, None | Some(NandFault::Unreadable));
        let fails = fails || state.gone.contains(&block);
        let done = if fails { lots.draw(count as u64 + 1) as usize } else { count };
        for (at, bytes) in (page..).zip(bytes.chunks(shape.page()).take(done)) {
            state.put(block, at, bytes.into());
        }
        if fails
            && let Some(bytes) = bytes.chunks(shape.page()).nth(done)
            && let Some(torn) = torn(bytes, &mut lots)
        {
            state.put(block, page + done as u32, torn);
        }
        if cut.is_some() {
            state.lose_power(&mut lots);
            return Err(off());
        }
        match fails {
            true => Err(MediumError::io(format!("{what} failed"))),
            false => Ok(()),
        }
    }

    fn void(&mut self, block: u32) -> Result<(), MediumError> {
        let mut state = self.state();
        let (fault, cut) = state.begin()?;
        let first = state.seen.get(block as usize).and_then(|pages| pages.first());
        if first.is_none_or(Option::is_none) || state.bad.contains(&block) {
            return Err(state.break_law(format!("void of block {block}: blank, or marked bad")));
        }
        if fault == Some(NandFault::NoOp) {
            return Ok(());
        }
        if fault == Some(NandFault::BlockGone) {
            state.gone.insert(block);
        }
        if fault.is_some() || state.gone.contains(&block) {
            return Err(MediumError::io(format!("void of block {block} failed")));
        }
        let zeros: Arc<[u8]> = vec![0; state.shape.page()].into();
        state.seen[block as usize][0] = Some(Arc::clone(&zeros));
        state.waiting.push(Done::Void(block, zeros));
        if let Some(seed) = cut {
            state.lose_power(&mut Lots(seed));
            return Err(off());
        }
        Ok(())
    }

    fn erase(&mut self, block: u32, _used: u32) -> Result<(), MediumError> {
        let mut state = self.state();
        let (fault, cut) = state.begin()?;
        if state.seen.get(block as usize).is_none() || state.bad.contains(&block) {
            return Err(state.break_law(format!("erase of block {block}: none, or marked bad")));
        }
        if fault == Some(NandFault::NoOp) {
            return Ok(());
        }
        if fault == Some(NandFault::BlockGone) {
            state.gone.insert(block);
        }
        let mut lots = Lots(cut.unwrap_or(state.writes));
        if fault.is_some() || state.gone.contains(&block) {
            // Half of it, for good: what is not erased now is not by a sync.
            for page in 0..state.seen[block as usize].len() {
                if lots.draw(2) == 0 {
                    state.seen[block as usize][page] = None;
                    state.durable[block as usize][page] = None;
                }
            }
            return Err(MediumError::io(format!("erase of block {block} failed")));
        }
        state.seen[block as usize].fill(None);
        state.unreadable.retain(|&(held, _)| held != block);
        state.waiting.push(Done::Erase(block));
        if cut.is_some() {
            state.lose_power(&mut lots);
            return Err(off());
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), MediumError> {
        let mut state = self.state();
        let (fault, cut) = state.begin()?;
        if let Some(seed) = cut {
            state.lose_power(&mut Lots(seed));
            return Err(off());
        }
        if fault.is_some_and(|fault| fault != NandFault::NoOp) {
            // What waited is read as before, and never durable, although later syncs succeed.
            state.waiting.clear();
            return Err(MediumError::io("sync failed"));
        }
        for done in std::mem::take(&mut state.waiting) {
            match done {
                Done::Program(block, page, bytes) => {
                    let held = &mut state.durable[block as usize][page as usize];
                    // On top of what an erase that never came left.
                    *held = if held.is_some() { torn(&bytes, &mut Lots(0)) } else { Some(bytes) };
                }
                Done::Erase(block) => state.durable[block as usize].fill(None),
                Done::Void(block, zeros) => state.durable[block as usize][0] = Some(zeros),
            }
        }
        Ok(())
    }

    fn is_bad(&self, block: u32) -> Result<bool, MediumError> {
        Ok(self.state().bad.contains(&block))
    }

    fn mark_bad(&mut self, block: u32) -> Result<(), MediumError> {
        let mut state = self.state();
        if state.off {
            return Err(off());
        }
        if state.is_unmarked {
            return Err(MediumError::io("it has no marks"));
        }
        state.bad.insert(block);
        Ok(())
    }
}
