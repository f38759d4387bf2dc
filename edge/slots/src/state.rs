//! What is known of the slots: 136 bytes, little endian, in two copies.
//!
//! ```text
//!   0 "THSLOTS1"
//!   8 sequence u64           grows with each change
//!  16 security counter u64   the least that is chosen or taken; advances when a version is confirmed
//!  24 serial u64             of the newest list of build keys that was confirmed
//!  32 current u8             0 none, 1 a, 2 b: what runs where nothing is on trial
//!  33 trial u8               0 none, 1 a, 2 b
//!  34 boots left u8          of the trial
//!  35 untold u8              0 nothing, 1 on trial, 2 confirmed, 3 went back: what no log entry says yet
//!  36 standing of a u8       0 empty, 1 installed, 2 confirmed
//!  37 standing of b u8
//!  38 zeros [2]
//!  40 manifest of a [32]     BLAKE3 of the slot's MANIFEST; zeros where it is empty
//!  72 manifest of b [32]
//! 104 BLAKE3 of the 104 bytes before
//! ```
//! A change writes the copy that is not the newest first, then the other: whichever write is cut or torn, the other copy is whole,
//! and is the state before or the state after. A change counts once its first copy is durable. Whoever reads copies that differ makes
//! them equal again, so that damage to one copy never brings an older state back. A copy that the medium does not give back is damaged:
//! the other one is in force alone, and it is written anew.

use crate::medium::Medium;
use crate::{Slot, SlotError};
use std::io;

/// Bytes of a copy.
pub(crate) const LEN: usize = 136;
const MAGIC: &[u8; 8] = b"THSLOTS1";
const SUMMED: usize = 104;
/// Changes that are counted at most: a copy that says more is not whole. Its hash is no seal, and what is added to a number stays one.
const MOST: u64 = u64::MAX / 4;

/// How far a slot's content has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that could be started.
    #[default]
    Empty,
    /// A version that was never confirmed.
    Installed,
    /// A version that was.
    Confirmed,
}

/// What happened to the slots, as the log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A version went on trial: `EntryKind::Updated`.
    OnTrial,
    /// It was confirmed: `EntryKind::UpdateConfirmed`.
    Confirmed,
    /// The unit went back to the version before: `EntryKind::Reverted`.
    WentBack,
}

/// A version on trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Where it is.
    pub slot: Slot,
    /// Starts that it still has, 3 before the first.
    pub left: u8,
}

/// One slot in the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) standing: Standing,
    pub(crate) manifest: [u8; 32],
}

/// The state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    sequence: u64,
    pub(crate) counter: u64,
    pub(crate) serial: u64,
    pub(crate) current: Option<Slot>,
    pub(crate) trial: Option<Trial>,
    pub(crate) untold: Option<Event>,
    pub(crate) held: [Held; 2],
}

impl State {
    /// Reads the state; the default before the first change, which is with both slots empty.
    ///
    /// # Errors
    /// [`SlotError::StateDamaged`] if neither copy is whole, or what the medium said.
    pub(crate) fn read(medium: &dyn Medium) -> Result<Self, SlotError> {
        Ok(Copies::read(medium).newest(medium)?.1)
    }

    /// Makes the copies equal where they differ. A medium that takes no writes is found by whoever has something to write.
    pub(crate) fn mend(medium: &mut dyn Medium) {
        let copies = Copies::read(medium);
        let Ok((copy, state)) = copies.newest(medium) else { return };
        let other = 1 - copy;
        if copies.bytes(copy) != copies.bytes(other) {
            let _ = medium.set_state(other, &state.to_bytes());
        }
    }

    /// Makes a change durable.
    ///
    /// # Errors
    /// [`SlotError::Io`]; the state is then the one before or this one. [`SlotError::StateDamaged`] if no number is left for it.
    pub(crate) fn write(mut self, medium: &mut dyn Medium) -> Result<(), SlotError> {
        let (newest, before) = Copies::read(medium).newest(medium)?;
        if before.sequence >= MOST {
            return Err(SlotError::StateDamaged);
        }
        self.sequence = before.sequence + 1;
        let bytes = self.to_bytes();
        medium.set_state(1 - newest, &bytes).map_err(SlotError::io("write the slots' state"))?;
        // It counts already; a copy that is behind is made equal by whoever reads it.
        let _ = medium.set_state(newest, &bytes);
        Ok(())
    }

    pub(crate) fn held(&self, slot: Slot) -> &Held {
        &self.held[slot.index()]
    }

    pub(crate) fn held_mut(&mut self, slot: Slot) -> &mut Held {
        &mut self.held[slot.index()]
    }

    fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, MAGIC);
        put(8, &self.sequence.to_le_bytes());
        put(16, &self.counter.to_le_bytes());
        put(24, &self.serial.to_le_bytes());
        let slot = |slot: Option<Slot>| slot.map_or(0, |slot| slot.index() as u8 + 1);
        let untold = match self.untold {
            None => 0,
            Some(Event::OnTrial) => 1,
            Some(Event::Confirmed) => 2,
            Some(Event::WentBack) => 3,
        };
        let trial = self.trial.map(|trial| trial.slot);
        let left = self.trial.map_or(0, |trial| trial.left);
        let standing = self.held.map(|held| match held.standing {
            Standing::Empty => 0,
            Standing::Installed => 1,
            Standing::Confirmed => 2,
        });
        put(32, &[slot(self.current), slot(trial), left, untold, standing[0], standing[1]]);
        put(40, &self.held[0].manifest);
        put(72, &self.held[1].manifest);
        let sum = *blake3::hash(&bytes[..SUMMED]).as_bytes();
        bytes[SUMMED..].copy_from_slice(&sum);
        bytes
    }

    /// `None` for anything that [`State::to_bytes`] does not make, and for a number of changes that no unit reaches.
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let u64_at = |at: usize| {
            bytes[at..at + 8].iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
        };
        let slot = |code: u8| match code {
            0 => Some(None),
            1 => Some(Some(Slot::A)),
            2 => Some(Some(Slot::B)),
            _ => None,
        };
        let held = |at: usize, from: usize| {
            let mut manifest = [0; 32];
            manifest.copy_from_slice(&bytes[from..from + 32]);
            let standing = match bytes[at] {
                0 => Standing::Empty,
                1 => Standing::Installed,
                2 => Standing::Confirmed,
                _ => return None,
            };
            Some(Held { standing, manifest })
        };
        let state = Self {
            sequence: u64_at(8),
            counter: u64_at(16),
            serial: u64_at(24),
            current: slot(bytes[32])?,
            trial: slot(bytes[33])?.map(|slot| Trial { slot, left: bytes[34] }),
            untold: match bytes[35] {
                0 => None,
                1 => Some(Event::OnTrial),
                2 => Some(Event::Confirmed),
                3 => Some(Event::WentBack),
                _ => return None,
            },
            held: [held(36, 40)?, held(37, 72)?],
        };
        // The magic, the zeros and the sum are right if it makes the same bytes again.
        (&state.to_bytes() == bytes && state.sequence <= MOST).then_some(state)
    }
}

/// Both copies as the medium gives them.
struct Copies([io::Result<Option<Vec<u8>>>; 2]);

impl Copies {
    fn read(medium: &dyn Medium) -> Self {
        Self([0, 1].map(|copy| medium.state(copy, LEN + 1)))
    }

    /// The bytes of a copy that can be read.
    fn bytes(&self, copy: usize) -> Option<&[u8]> {
        self.0[copy].as_ref().ok()?.as_deref()
    }

    /// Which copy is in force, and what it says.
    fn newest(&self, medium: &dyn Medium) -> Result<(usize, State), SlotError> {
        let whole = |copy: usize| Some((copy, State::from_bytes(self.bytes(copy)?)?));
        let newest = [whole(1), whole(0)].into_iter().flatten().max_by_key(|(_, s)| s.sequence);
        match (newest, &self.0) {
            (Some(newest), _) => Ok(newest),
            // What cannot be read may be a unit's state: nobody takes it for none.
            (None, [Err(error), _] | [_, Err(error)]) => {
                let error = io::Error::new(error.kind(), error.to_string());
                Err(SlotError::io("read the slots' state")(error))
            }
            // The first change ever writes copy 1 first, and may have been cut within it: nothing was installed yet. Where a slot holds
            // anything the state was lost, and with it the security counter: nobody goes on from none.
            (None, [Ok(None), _]) if is_new(medium)? => Ok((0, State::default())),
            (None, _) => Err(SlotError::StateDamaged),
        }
    }
}

/// True if neither slot holds a file.
fn is_new(medium: &dyn Medium) -> Result<bool, SlotError> {
    for slot in Slot::BOTH {
        if !medium.list(slot).map_err(SlotError::io("read a slot"))?.is_empty() {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written_and_no_bit_of_it_is_free() {
        let state = State {
            sequence: 7,
            counter: 9,
            serial: 3,
            current: Some(Slot::B),
            trial: Some(Trial { slot: Slot::A, left: 2 }),
            untold: Some(Event::WentBack),
            held: [
                Held { standing: Standing::Installed, manifest: [1; 32] },
                Held { standing: Standing::Confirmed, manifest: [2; 32] },
            ],
        };
        let mut bytes = state.to_bytes();
        assert_eq!(State::from_bytes(&bytes), Some(state));
        for bit in 0..LEN * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(State::from_bytes(&bytes), None, "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert_eq!(State::from_bytes(&bytes[..LEN - 1]), None);
        for (sequence, is_whole) in [(MOST, true), (MOST + 1, false), (u64::MAX, false)] {
            let state = State { sequence, ..state };
            assert_eq!(State::from_bytes(&state.to_bytes()).is_some(), is_whole, "{sequence}");
        }
    }
}
