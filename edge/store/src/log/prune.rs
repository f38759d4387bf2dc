//! Letting go of the oldest segments because an owner asks for it.
//!
//! Owns what may go: whole segments, the oldest first, as long as all of their entries lie before a limit, and never the one with
//! the last entry. The entry that says what went and the head that no longer counts it come to the flash in one replace, as a new
//! segment: a cut leaves both or neither. Only then are the segments removed, as when the log is full (`roll`), and a flash that
//! does not let go of one is asked again at the next segment and the next open.
//! So the entry of a prune is always the first of its segment, and a start finds the last one without reading the log.

use super::batch::{Batches, OVERHEAD};
use super::record::{self, Record, STATE_LEN};
use super::segment::Head;
use super::{Log, references};
use crate::chain::Tip;
use crate::count;
use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object};
use crate::keyring::Keyring;
use threshold_record::LogEntry;

/// What a new segment does beside beginning.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pruning {
    /// The first segment that counts from now on.
    pub(super) oldest: u32,
    /// The entry that says so, without its sequence.
    pub(super) entry: LogEntry,
}

impl Log {
    /// Lets go of the segments of which no entry lies behind `upto`, and gives the entry that says so, which is durable; `None` if
    /// there is no such segment. Whatever waits becomes durable before.
    ///
    /// # Errors
    /// [`StoreError`]; the flash may then have pruned all the same, entry and all, which the next open finds.
    pub(crate) fn prune(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        upto: u64,
        entry: LogEntry,
    ) -> Result<Option<LogEntry>, StoreError> {
        if let Some(number) = references(&entry).find(|number| !self.in_force.contains(number)) {
            return Err(StoreError::ContextNotInForce { number });
        }
        self.sync(flash, keyring)?;
        let upto = upto.min(self.durable_head().saturating_sub(1));
        let at = self.segments.partition_point(|segment| segment.first <= upto.saturating_add(1));
        let Some(&kept) =
            at.checked_sub(1).filter(|&at| at > 0).and_then(|at| self.segments.get(at))
        else {
            return Ok(None);
        };
        let LogEntry { kind, person, runner_up, .. } = LogEntry::pruned(kept.first);
        let entry = LogEntry { kind, person, runner_up, ..entry };
        let sequence = count::after(self.durable_head())?;
        // After a replace that failed the flash may have the new segment: nothing more comes into the one before.
        self.sealed = true;
        self.begin(flash, keyring, Some(&Pruning { oldest: kept.number, entry }))?;
        self.pruned = (sequence, kept.first);
        Ok(Some(LogEntry { sequence, ..entry }))
    }

    /// The nearest place up to an entry of which the chain is known without reading entries; `None` if the entry before the oldest
    /// one lies behind it.
    pub(crate) fn tip_before(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
        sequence: u64,
    ) -> Result<Option<Tip>, StoreError> {
        let next = sequence.saturating_add(1);
        let at = self.segments.partition_point(|segment| segment.first <= next).checked_sub(1);
        let Some(segment) = at.and_then(|at| self.segments.get(at)) else { return Ok(None) };
        Ok(Some(Head::read(flash, keyring, segment.number)?.checkpoint.tip()))
    }

    /// Takes note of the prune with which a segment begins, if it begins with one; no more of it is read than that takes.
    pub(super) fn note_prune(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
        head: &Head,
    ) -> Result<(), FlashError> {
        let start = u64::from(head.end);
        let len = flash.len(Object::Segment(head.number))?.unwrap_or(0);
        let most = start + (OVERHEAD + record::ENTRY_LEN + STATE_LEN) as u64;
        let mut batches = Batches::new(flash, keyring, head.number, head.key, len.min(most));
        let batch = batches.open(start)?;
        if let Some(Some(Record::Entry(entry))) = batch.and_then(|batch| batch.records().next())
            && let Some(first) = entry.first_kept()
        {
            self.pruned = (entry.sequence, first);
        }
        Ok(())
    }
}
