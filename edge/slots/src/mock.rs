//! A medium in memory that keeps to the law and no further, for tests of everything above it.
//!
//! At a power cut each file that was not synced is gone, cut short, or torn in pieces, each name that was not settled is there or not
//! by its own lot, and each file of a slot that was being emptied is there or not. The copy of the state that was being written is the
//! old one, the new one, or torn. Operations that change something are counted, and a cut, a failure or a loss is set by its number.
//! A clone is a handle on the same medium, so that a test keeps one while the slots hold another.

use crate::Slot;
use crate::medium::Medium;
use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The piece of a file that a power cut keeps or takes as a whole.
const PIECE: usize = 64;

/// A handle on a medium in memory.
#[derive(Clone, Debug, Default)]
pub struct MockMedium(Arc<Mutex<Held>>);

#[derive(Clone, Debug, Default)]
struct Held {
    copies: [Option<Vec<u8>>; 2],
    unreadable: [bool; 2],
    files: BTreeMap<(Slot, String), Bytes>,
    /// Files that were taken out of a slot, which a power cut may bring back before the slot is settled.
    removed: BTreeMap<(Slot, String), Bytes>,
    last: Option<(Slot, String)>,
    changes: u64,
    cut_at: Option<(u64, u64)>,
    fail_at: Option<u64>,
    lose_at: Option<u64>,
    off: bool,
}

#[derive(Clone, Debug, Default)]
struct Bytes {
    seen: Vec<u8>,
    may_execute: bool,
    synced: bool,
    settled: bool,
}

impl MockMedium {
    /// An empty medium without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the power in the middle of change number `change`, counted from 1 over the medium's life; `seed` draws what stays.
    /// Everything fails until [`MockMedium::power_on`].
    pub fn cut_power_at(&self, change: u64, seed: u64) {
        self.held().cut_at = Some((change, seed));
    }

    /// Makes change number `change` fail half way.
    pub fn fail_at(&self, change: u64) {
        self.held().fail_at = Some(change);
    }

    /// Makes change number `change` do nothing, and say that it was done.
    pub fn lose_at(&self, change: u64) {
        self.held().lose_at = Some(change);
    }

    /// Gives the power back; neither cut nor failure is set any more.
    pub fn power_on(&self) {
        let mut held = self.held();
        (held.off, held.cut_at, held.fail_at) = (false, None, None);
    }

    /// True once the power was cut.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.held().off
    }

    /// Changes so far.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.held().changes
    }

    /// Another medium with the same bytes and no faults.
    #[must_use]
    pub fn copy(&self) -> Self {
        let held = self.held();
        let (copies, files) = (held.copies.clone(), held.files.clone());
        let removed = held.removed.clone();
        Self(Arc::new(Mutex::new(Held { copies, files, removed, ..Held::default() })))
    }

    /// A file's bytes, to damage by hand, as a program that may be executed; `None` takes it away.
    pub fn set_file(&self, slot: Slot, name: &str, bytes: Option<Vec<u8>>) {
        let mut held = self.held();
        match bytes {
            Some(seen) => {
                let bytes = Bytes { seen, may_execute: true, synced: true, settled: true };
                held.files.insert((slot, name.to_owned()), bytes);
            }
            None => drop(held.files.remove(&(slot, name.to_owned()))),
        }
    }

    /// Makes a file one that may not be executed.
    pub fn lose_execution(&self, slot: Slot, name: &str) {
        if let Some(file) = self.held().files.get_mut(&(slot, name.to_owned())) {
            file.may_execute = false;
        }
    }

    /// A file's bytes.
    #[must_use]
    pub fn file(&self, slot: Slot, name: &str) -> Option<Vec<u8>> {
        self.held().files.get(&(slot, name.to_owned())).map(|bytes| bytes.seen.clone())
    }

    /// Damages a copy of the state by hand; `None` takes it away.
    pub fn set_copy(&self, copy: usize, bytes: Option<Vec<u8>>) {
        self.held().copies[copy] = bytes;
    }

    /// Makes a copy of the state one that cannot be read until it is written anew.
    pub fn make_unreadable(&self, copy: usize) {
        self.held().unreadable[copy] = true;
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a change. `do_it` is told how much of it happens.
    fn change(&self, do_it: impl FnOnce(&mut Held, Part)) -> io::Result<()> {
        let mut held = self.held();
        if held.off {
            return Err(power_cut());
        }
        held.changes += 1;
        let number = held.changes;
        if let Some((_, seed)) = held.cut_at.filter(|&(at, _)| at == number) {
            let mut lots = Lots(seed);
            do_it(&mut held, Part::Some(lots.draw(3), lots.draw(u64::MAX)));
            held.lose_power(&mut lots);
            return Err(power_cut());
        }
        if held.fail_at == Some(number) {
            do_it(&mut held, Part::Some(number % 3, number));
            return Err(io::Error::other("the medium failed"));
        }
        let part = if held.lose_at == Some(number) { Part::Some(0, 0) } else { Part::All };
        do_it(&mut held, part);
        Ok(())
    }
}

/// How much of a change happens.
#[derive(Clone, Copy)]
enum Part {
    All,
    /// 0 nothing, 1 all of it, 2 a part that the seed draws.
    Some(u64, u64),
}

impl Part {
    /// What is written in place of `old`.
    fn of(self, old: Option<Vec<u8>>, new: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::All | Self::Some(1, _) => Some(new.to_vec()),
            Self::Some(0, _) => old,
            Self::Some(_, seed) => Some(torn(new, &mut Lots(seed))),
        }
    }

    const fn is_whole(self) -> bool {
        matches!(self, Self::All | Self::Some(1, _))
    }
}

impl Held {
    fn lose_power(&mut self, lots: &mut Lots) {
        self.off = true;
        self.last = None;
        for (name, bytes) in std::mem::take(&mut self.removed) {
            if lots.draw(2) == 0 {
                self.files.entry(name).or_insert(bytes);
            }
        }
        self.files.retain(|_, bytes| bytes.settled || lots.draw(2) == 0);
        for bytes in self.files.values_mut() {
            if !bytes.synced {
                bytes.seen = torn(&bytes.seen, lots);
            }
            (bytes.synced, bytes.settled) = (true, true);
        }
    }
}

/// What is left of bytes that were not synced.
fn torn(bytes: &[u8], lots: &mut Lots) -> Vec<u8> {
    let len = lots.draw(bytes.len() as u64 + 1) as usize;
    let mut left = Vec::with_capacity(len);
    for piece in bytes[..len].chunks(PIECE) {
        match lots.draw(4) {
            0 => left.extend(piece.iter().map(|_| 0)),
            1 => left.extend(piece.iter().map(|_| lots.draw(256) as u8)),
            _ => left.extend_from_slice(piece),
        }
    }
    left
}

fn power_cut() -> io::Error {
    io::Error::other("the power was cut")
}

impl Medium for MockMedium {
    fn state(&self, copy: usize, max: usize) -> io::Result<Option<Vec<u8>>> {
        let held = self.held();
        if held.off {
            return Err(power_cut());
        }
        if held.unreadable[copy] {
            return Err(io::Error::other("the medium failed"));
        }
        Ok(held.copies[copy].as_ref().map(|bytes| bytes[..bytes.len().min(max)].to_vec()))
    }

    fn set_state(&mut self, copy: usize, bytes: &[u8]) -> io::Result<()> {
        self.change(|held, part| {
            let old = held.copies[copy].take();
            held.copies[copy] = part.of(old, bytes);
            held.unreadable[copy] &= !part.is_whole();
        })
    }

    fn list(&self, slot: Slot) -> io::Result<Vec<String>> {
        let held = self.held();
        if held.off {
            return Err(power_cut());
        }
        let of_slot = held.files.keys().filter(|(other, _)| *other == slot);
        Ok(of_slot.map(|(_, name)| name.clone()).collect())
    }

    fn open(&self, slot: Slot, name: &str) -> io::Result<Box<dyn Read + '_>> {
        if self.held().off {
            return Err(power_cut());
        }
        let bytes = self.file(slot, name).ok_or(ErrorKind::NotFound)?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn may_execute(&self, slot: Slot, name: &str) -> io::Result<bool> {
        let held = self.held();
        if held.off {
            return Err(power_cut());
        }
        let file = held.files.get(&(slot, name.to_owned())).ok_or(ErrorKind::NotFound)?;
        Ok(file.may_execute)
    }

    fn clear(&mut self, slot: Slot) -> io::Result<()> {
        self.change(|held, part| {
            let mut lots = Lots(if let Part::Some(_, seed) = part { seed } else { 0 });
            let of_slot = held.files.keys().filter(|(other, _)| *other == slot);
            for name in of_slot.cloned().collect::<Vec<_>>() {
                let goes = match part {
                    Part::All | Part::Some(1, _) => true,
                    Part::Some(0, _) => false,
                    Part::Some(..) => lots.draw(2) == 0,
                };
                if goes && let Some(bytes) = held.files.remove(&name) {
                    held.removed.insert(name, bytes);
                }
            }
        })
    }

    fn create(&mut self, slot: Slot, name: &str, is_program: bool) -> io::Result<()> {
        self.change(|held, part| {
            if part.is_whole() {
                let name = (slot, name.to_owned());
                let bytes = Bytes { may_execute: is_program, ..Bytes::default() };
                held.files.insert(name.clone(), bytes);
                held.last = Some(name);
            }
        })
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.change(|held, part| {
            let Some(name) = held.last.clone() else { return };
            if let Some(file) = held.files.get_mut(&name) {
                file.synced = false;
                file.seen.extend(part.of(None, bytes).unwrap_or_default());
            }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.change(|held, part| {
            let Some(name) = held.last.clone() else { return };
            if let Some(file) = held.files.get_mut(&name) {
                file.synced = part.is_whole();
            }
        })
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        self.change(|held, part| {
            if part.is_whole() {
                held.removed.retain(|(other, _), _| *other != slot);
                let of_slot = held.files.iter_mut().filter(|((other, _), _)| *other == slot);
                of_slot.for_each(|(_, bytes)| bytes.settled = true);
            }
        })
    }
}

/// SplitMix64: small, seeded, the same everywhere.
#[derive(Clone, Debug)]
struct Lots(u64);

impl Lots {
    fn draw(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}
