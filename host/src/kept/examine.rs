//! Reads a kept log through, record by record, and names the first entry that is not as the unit wrote it.
//!
//! Owns the rules: each entry follows the one before and has its link, each checkpoint is the unit's and has the link of the
//! entry before it. Refuses to go on behind the first thing that is wrong: nothing behind it is vouched for by what was read.

use super::{BEGIN, ENTRY, SIGNED};
use std::fmt;
use std::io::{self, Read};
use std::ops::RangeInclusive;
use threshold_record::LogEntry;
use threshold_store::Checkpoint;
use threshold_store::chain::{Chain, Link};
use threshold_wire::trust::Identity;

/// Bytes of the longest record, its tag with them.
const LONGEST: usize = 1 + Checkpoint::LEN;
const ENTRY_LEN: usize = 1 + LogEntry::LEN + 32;

/// Behind which entry, and that entry's link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Its sequence; 0 before the first.
    pub sequence: u64,
    /// Its link of the chain.
    pub link: Link,
}

/// What a kept log holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Sequence of the first entry; 0 if there is none.
    pub first: u64,
    /// Behind the last entry.
    pub tip: Position,
    /// Entries.
    pub entries: u64,
    /// The unit's signature reaches up to this entry; 0 if there is none.
    pub signed: u64,
    /// Signed checkpoints.
    pub checkpoints: u64,
    /// The last one of them.
    pub checkpoint: Option<Checkpoint>,
    /// Entries that were gone from the unit before they were pulled.
    pub lost: Vec<RangeInclusive<u64>>,
    /// Entries that no signature vouches for, and none will: the pull that brought them was cut off, and what came after them
    /// was gone at the next one.
    pub unsigned: Vec<RangeInclusive<u64>>,
    /// The first thing that is not right; nothing behind it was read.
    pub bad: Option<Bad>,
    /// Bytes up to the end of the last whole record that is right.
    pub whole_bytes: u64,
}

/// The first entry of a log that is not as the unit wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bad {
    /// Its sequence.
    pub sequence: u64,
    /// What is wrong there.
    pub kind: BadKind,
}

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadKind {
    /// Its bytes, or those of its record, were changed.
    Changed,
    /// Another entry stands in its place.
    Replaced {
        /// That one's sequence.
        by: u64,
    },
    /// It, or one of those after it, is another one than the unit signed.
    NotAsSigned {
        /// The last one that it may be.
        last: u64,
    },
    /// It is missing: the next record is the unit's signature under a later one.
    Missing {
        /// Which the signature is under.
        signed: u64,
    },
    /// The signature behind it is not this unit's.
    NotSigned,
    /// It is missing, up to another one, and the unit still has it: it was taken out of the file.
    TakenOut {
        /// The last one that is missing.
        last: u64,
    },
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sequence = self.sequence;
        match self.kind {
            BadKind::Changed => write!(f, "entry {sequence} is not as it was pulled"),
            BadKind::Replaced { by } => {
                write!(f, "entry {sequence} is missing: entry {by} stands in its place")
            }
            BadKind::NotAsSigned { last } if last == sequence => {
                write!(f, "entry {sequence} is not the one that the unit signed")
            }
            BadKind::NotAsSigned { last } => {
                write!(
                    f,
                    "one of the entries {sequence} to {last} is not the one that the unit signed"
                )
            }
            BadKind::Missing { signed } => {
                write!(
                    f,
                    "entry {sequence} is missing: the unit's signature under entry {signed} stands in its place"
                )
            }
            BadKind::TakenOut { last } => {
                write!(f, "entries {sequence} to {last} are missing, and the unit has them")
            }
            BadKind::NotSigned => {
                write!(f, "the signature that should vouch for entry {sequence} is not this unit's")
            }
        }
    }
}

impl Contents {
    pub(super) fn take_entry(&mut self, sequence: u64, link: Link) {
        if self.entries == 0 {
            self.first = sequence;
        }
        self.entries += 1;
        self.tip = Position { sequence, link };
    }

    pub(super) fn take_signed(&mut self, checkpoint: &Checkpoint) {
        self.signed = checkpoint.sequence;
        self.checkpoints += 1;
        self.checkpoint = Some(*checkpoint);
    }

    pub(super) fn take_begin(&mut self, checkpoint: &Checkpoint) {
        if self.signed < self.tip.sequence {
            self.unsigned.push(self.signed.saturating_add(1)..=self.tip.sequence);
        }
        if checkpoint.sequence > self.tip.sequence {
            self.lost.push(self.tip.sequence.saturating_add(1)..=checkpoint.sequence);
        }
        self.tip = Position { sequence: checkpoint.sequence, link: checkpoint.chain };
        self.take_signed(checkpoint);
    }
}

/// One record of the file, read where it stands.
#[derive(Debug)]
pub(super) struct Record {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Default for Record {
    fn default() -> Self {
        Self { bytes: [0; LONGEST], len: 0 }
    }
}

impl Record {
    /// Reads the next one; false at the end, and for one that is not whole. One of an unknown tag is its tag alone.
    pub(super) fn next(&mut self, file: &mut impl Read) -> io::Result<bool> {
        self.len = 0;
        if !whole(file, &mut self.bytes[..1])? {
            return Ok(false);
        }
        let len = match self.bytes[0] {
            ENTRY => ENTRY_LEN,
            SIGNED | BEGIN => LONGEST,
            _ => 1,
        };
        let is_whole = whole(file, &mut self.bytes[1..len])?;
        self.len = if is_whole { len } else { 0 };
        Ok(is_whole)
    }

    /// The entry; `None` for another record, or for bytes that are none.
    pub(super) fn entry(&self) -> Option<LogEntry> {
        let bytes = self.bytes[..self.len].strip_prefix(&[ENTRY])?.first_chunk()?;
        LogEntry::from_bytes(bytes).ok()
    }

    fn checkpoint(&self) -> Option<Checkpoint> {
        Checkpoint::from_bytes(self.bytes.last_chunk()?).ok()
    }
}

/// Fills the bytes; false if the file ends before.
fn whole(file: &mut impl Read, into: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(into) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// Reads records up to the end, or to the first one that is not right.
pub(super) fn examine(
    file: &mut impl Read,
    identity: &Identity,
    start_bytes: u64,
) -> io::Result<Contents> {
    let chain = Chain::of(&identity.store_id, &identity.key);
    let mut contents = Contents { whole_bytes: start_bytes, ..Contents::default() };
    let mut record = Record::default();
    while record.next(file)? {
        let found = match record.bytes[0] {
            ENTRY => take_entry(&mut contents, &chain, &record),
            SIGNED | BEGIN => take_checkpoint(&mut contents, identity, &record),
            _ => Err(bad(contents.tip.sequence.saturating_add(1), BadKind::Changed)),
        };
        if let Err(bad) = found {
            contents.bad = Some(bad);
            break;
        }
        contents.whole_bytes += record.len as u64;
    }
    Ok(contents)
}

fn bad(sequence: u64, kind: BadKind) -> Bad {
    Bad { sequence, kind }
}

fn take_entry(contents: &mut Contents, chain: &Chain, record: &Record) -> Result<(), Bad> {
    let due = contents.tip.sequence.saturating_add(1);
    let entry = record.entry().ok_or(bad(due, BadKind::Changed))?;
    let link = chain.entry(&contents.tip.link, &entry);
    let is_linked = link == record.bytes[ENTRY_LEN - 32..ENTRY_LEN];
    match entry.sequence {
        sequence if sequence != due && !is_linked => {
            return Err(bad(due, BadKind::Replaced { by: sequence }));
        }
        sequence if sequence != due || !is_linked => return Err(bad(due, BadKind::Changed)),
        _ => {}
    }
    contents.take_entry(due, link);
    Ok(())
}

fn take_checkpoint(
    contents: &mut Contents,
    identity: &Identity,
    record: &Record,
) -> Result<(), Bad> {
    let tip = contents.tip;
    // What the signature should vouch for begins behind the one before.
    let first = (contents.signed.saturating_add(1)).min(tip.sequence.max(1));
    let not_signed = bad(first, BadKind::NotSigned);
    let checkpoint = record.checkpoint().ok_or(not_signed)?;
    let is_units =
        checkpoint.verify(&identity.key).is_ok() && checkpoint.store_id == identity.store_id;
    if !is_units {
        return Err(not_signed);
    }
    let begins = record.bytes[0] == BEGIN;
    match checkpoint.sequence {
        sequence if sequence == tip.sequence && checkpoint.chain == tip.link => {}
        sequence if sequence == tip.sequence => {
            return Err(bad(first, BadKind::NotAsSigned { last: sequence }));
        }
        sequence if sequence > tip.sequence && begins => {}
        sequence if sequence > tip.sequence => {
            return Err(bad(tip.sequence.saturating_add(1), BadKind::Missing { signed: sequence }));
        }
        // A signature under an entry further up stands where the next entry is due.
        sequence => {
            return Err(bad(tip.sequence.saturating_add(1), BadKind::Missing { signed: sequence }));
        }
    }
    match begins {
        true => contents.take_begin(&checkpoint),
        false => contents.take_signed(&checkpoint),
    }
    Ok(())
}
