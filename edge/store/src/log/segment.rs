//! One segment of the log: its head byte by byte, and what the open log remembers of it.
//!
//! ```text
//!  0 magic "THRSEG\r\n"
//!  8 version u16 (2)
//! 10 reserved u16, zero
//! 12 number u32         from 1; the object's name says the same
//! 16 data key u32       of the head and of every batch
//! 20 sealed u32         bytes of the head
//! 24 head, sealed       nonce [24], ciphertext, tag [16]
//!    batches            (`batch`)
//! head:
//!   0 oldest u32        the oldest segment that was kept when this one was made
//!   4 previous end u32  bytes of the segment before that count; 0 if there is none
//!   8 previous tail [8] the last of those bytes
//!  16 oldest entry u64  sequence of the first entry that comes into the oldest segment
//!  24 batches u64       batches of the log before this segment
//!  32 state [32]        in force before this segment (`state`)
//!  64 checkpoint [160]  of the entries and contexts before this segment, signed (`chain`)
//! 224 carried           records of contexts that stood in segments before
//! ```
//! The head is put there in one replace, so that one that is not whole is damage and never a torn write.
//! `previous end` seals the segment before: what stands behind that place, a torn write or a failed one, is no part of the log, and
//! everything before it must be whole; `previous tail` says that it is the one after which this segment was made, and since each
//! batch says the same of the piece before it, the last segment's bytes vouch for all that the log holds. `oldest` is what lets
//! old segments go at any cut: a segment before it is not part of the log, whatever its bytes say, also one that is half erased
//! and has a sound head; a segment from it on must be there.
//! Formats 1 and 2 of the flash have segments of version 1, which are not sealed (`plain`).

use super::batch::{Tail, tail_of};
use super::record::{Record, context_len, push_context, records};
use super::state::{self, State};
use crate::bytes::Reader;
use crate::chain::Checkpoint;
use crate::count::{MOST, UNREACHED};
use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::keyring::{Keyring, SEAL};
use threshold_record::Context;
use threshold_record::context::MAX_CONTEXT_BYTES;

const PLAIN: usize = 24;
const MAGIC: [u8; 8] = *b"THRSEG\r\n";
const VERSION: u16 = 2;
const FIXED: usize = 32 + state::LEN + Checkpoint::LEN;
/// Bytes of the longest sealed head, which carries every context that a log has a number for.
const MOST_SEALED: usize = SEAL + FIXED + u16::MAX as usize * context_len(MAX_CONTEXT_BYTES);

/// A segment's head.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) number: u32,
    pub(crate) key: u32,
    pub(crate) oldest: u32,
    pub(crate) oldest_entry: u64,
    pub(crate) previous_end: u32,
    pub(crate) previous_tail: Tail,
    pub(crate) batches: u64,
    pub(crate) state: State,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) carried: Vec<Context>,
    /// Where it ends and batches begin.
    pub(crate) end: u32,
    /// Its last bytes.
    pub(crate) tail: Tail,
}

/// What the open log remembers of a segment: all that grows with the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u32,
    pub(crate) key: u32,
    /// Where the batches begin.
    pub(crate) start: u32,
    /// Where its durable batches end.
    pub(crate) end: u32,
    /// Sequence of the first entry that comes into it.
    pub(crate) first: u64,
    /// Numbers of contexts given out before it.
    pub(crate) contexts: u16,
}

impl Segment {
    pub(crate) fn object(&self) -> Object {
        Object::Segment(self.number)
    }
}

impl Head {
    /// Seals the head with the current data key: the bytes that a segment begins with. Sets what follows from them.
    ///
    /// # Errors
    /// [`StoreError`] without random bytes.
    pub(crate) fn seal(&mut self, keyring: &Keyring) -> Result<Vec<u8>, StoreError> {
        let mut head = Vec::with_capacity(FIXED);
        head.extend_from_slice(&self.oldest.to_le_bytes());
        head.extend_from_slice(&self.previous_end.to_le_bytes());
        head.extend_from_slice(&self.previous_tail);
        head.extend_from_slice(&self.oldest_entry.to_le_bytes());
        head.extend_from_slice(&self.batches.to_le_bytes());
        head.extend_from_slice(&self.state.to_bytes());
        head.extend_from_slice(&self.checkpoint.to_bytes());
        self.carried.iter().for_each(|context| push_context(&mut head, context));
        self.key = keyring.current();
        let mut bytes = Vec::with_capacity(PLAIN + SEAL + head.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.key.to_le_bytes());
        bytes.extend_from_slice(&((SEAL + head.len()) as u32).to_le_bytes());
        let about = about(&bytes);
        keyring.seal(&about, &head, &mut bytes)?;
        self.end = bytes.len() as u32;
        self.tail = tail_of(&bytes);
        Ok(bytes)
    }

    /// Reads the head of a segment that must be there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if it is not, does not open, or is another's; [`StoreError::Version`]; a failing flash.
    pub(crate) fn read(
        flash: &dyn Flash,
        keyring: &Keyring,
        number: u32,
    ) -> Result<Self, StoreError> {
        let object = Object::Segment(number);
        let damaged = |offset, what| StoreError::Damaged { object, offset, what };
        let len = flash.len(object)?.ok_or(damaged(0, "the file is missing"))?;
        let mut plain = [0; PLAIN];
        let read = flash.read(object, 0, &mut plain)?;
        let mut reader = Reader::new(object, &plain[..read]);
        reader.magic(&MAGIC)?;
        if reader.version_up_to(VERSION)? < VERSION {
            return Err(reader.damaged("a segment that is not sealed, in a log that is"));
        }
        reader.zero(2)?;
        let (found, key, sealed) = (reader.u32()?, reader.u32()?, reader.u32()?);
        if found != number {
            return Err(damaged(12, "the head of another segment"));
        }
        let end = PLAIN as u64 + u64::from(sealed);
        if end > len {
            return Err(damaged(len, "the end comes too early"));
        }
        // Nothing vouches for it yet, and so many bytes are to be read.
        if sealed as usize > MOST_SEALED {
            return Err(damaged(20, "the length of its head"));
        }
        let mut bytes = vec![0; sealed as usize];
        let read = flash.read(object, PLAIN as u64, &mut bytes)?;
        let head = keyring.open_sealed(key, &about(&plain), &bytes[..read]);
        let head = head.ok_or(damaged(PLAIN as u64, "it does not open with the unit's key"))?;
        let later = StoreError::Version { object, found: VERSION + 1, supported: VERSION };
        let mut reader = Reader::new(object, &head);
        let (oldest, previous_end, previous_tail) = (reader.u32()?, reader.u32()?, reader.array()?);
        let (oldest_entry, batches) = (reader.u64()?, reader.count()?);
        let state = State::from_bytes(&reader.array()?);
        let checkpoint = Checkpoint::from_bytes(&reader.array()?).map_err(|_| later.clone())?;
        // The oldest entry is the one after another, and may be still to come.
        let numbers = [checkpoint.sequence, oldest_entry.saturating_sub(1)];
        if numbers.into_iter().any(|number| number > MOST) || !state.is_reached() {
            return Err(damaged(PLAIN as u64, UNREACHED));
        }
        if !(1..=number).contains(&oldest) {
            return Err(damaged(PLAIN as u64, "an oldest segment that comes after it"));
        }
        let carried = records(reader.take(reader.left())?)
            .map(|record| match record {
                Some(Record::Context(context)) => Ok(*context),
                _ => Err(later.clone()),
            })
            .collect::<Result<_, _>>()?;
        let tail = tail_of(&bytes);
        Ok(Self {
            number,
            key,
            oldest,
            oldest_entry,
            previous_end,
            previous_tail,
            batches,
            state,
            checkpoint,
            carried,
            end: end as u32,
            tail,
        })
    }

    /// Sequence of the first entry that comes into the segment.
    pub(crate) fn first(&self) -> u64 {
        self.checkpoint.sequence + 1
    }

    /// What is remembered of a segment of this head whose batches end at `end`.
    pub(crate) fn segment(&self, end: u32) -> Segment {
        Segment {
            number: self.number,
            key: self.key,
            start: self.end,
            end,
            first: self.first(),
            contexts: self.checkpoint.contexts,
        }
    }
}

fn about(plain: &[u8]) -> Vec<u8> {
    [plain, b"segment head"].concat()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::mock::MockFlash;

    #[test]
    fn a_head_of_numbers_that_no_log_reaches_is_damage_although_the_unit_sealed_it() {
        let flash = MockFlash::new();
        let keyring = Keyring::open(&mut flash.clone(), &flash.keys()).unwrap();
        let checkpoint = |sequence| Checkpoint {
            store_id: keyring.store_id(),
            sequence,
            chain: [0; 32],
            contexts: 0,
            contexts_chain: [0; 32],
            boot: 1,
            signature: [0; 64],
        };
        for (sequence, oldest_entry, batches, is_sound) in [
            (7, 1, 2, true),
            (MOST, MOST, MOST, true),
            (u64::MAX, 1, 2, false),
            (7, u64::MAX, 2, false),
            (7, 1, MOST + 1, false),
        ] {
            let mut head = Head {
                number: 1,
                key: 0,
                oldest: 1,
                oldest_entry,
                previous_end: 0,
                previous_tail: Tail::default(),
                batches,
                state: State::default(),
                checkpoint: checkpoint(sequence),
                carried: Vec::new(),
                end: 0,
                tail: Tail::default(),
            };
            let bytes = head.seal(&keyring).unwrap();
            flash.set_bytes(Object::Segment(1), Some(bytes));
            let read = Head::read(&flash, &keyring, 1);
            let told = read.map(|head| head.first()).map_err(|fault| fault.to_string());
            match is_sound {
                true => assert_eq!(told, Ok(sequence + 1)),
                false => assert!(told.unwrap_err().contains(UNREACHED)),
            }
        }
    }
}
