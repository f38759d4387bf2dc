//! Opening the log: the heads of all segments, the last segment whole, and what a stop in the middle of a write left.

use super::batch::Batches;
use super::reached::{End, Reached};
use super::record::Record;
use super::segment::{Head, Segment};
use super::{Log, LogSize};
use crate::anchor::Anchor;
use crate::chain::Tip;
use crate::error::{StoreError, TailCut};
use crate::flash::{Flash, FlashFault, Object, Series};
use crate::keyring::Keyring;

impl Log {
    /// Opens the log, which had come as far as the anchor says. Makes it if that is nothing and there is none.
    ///
    /// Reads the heads of all segments, and the last one whole.
    pub(crate) fn open(
        flash: &mut dyn Flash,
        keyring: &Keyring,
        size: LogSize,
        anchor: &Anchor,
    ) -> Result<(Self, Option<TailCut>), StoreError> {
        let mut log = Self::empty(keyring, size);
        let Some(&last) = flash.segments(Series::Log).last() else {
            log.not_before(1, anchor)?;
            log.roll(flash, keyring)?;
            return Ok((log, None));
        };
        log.read_heads(flash, keyring, last)?;
        let (end, len) = log.read_last(flash, keyring)?;
        log.not_before(last, anchor)?;
        log.settle(end);
        log.remove_old(flash);
        log.sealed = false;
        let torn = u64::from(len - end);
        if torn > 0 || log.durable.batches > anchor.log_batches {
            // What no anchor vouches for may be in memory only: of a process that was killed, or after a sync that failed, after
            // which later ones succeed and make nothing durable. A replace does, and leaves a torn tail behind.
            let object = Object::Segment(last);
            let sound = flash.read_all(object, u64::from(end))?.unwrap_or_default();
            match flash.replace(object, sound.get(..end as usize).unwrap_or(&sound)) {
                // Too little space for a copy of a segment is enough to go on: the end is sealed by the next one's head.
                Err(error) if error.fault == FlashFault::Full => {
                    flash.sync(object)?;
                    if torn > 0 {
                        log.roll(flash, keyring)?;
                    }
                }
                replaced => replaced?,
            }
        }
        let cut = TailCut { head: log.tip.head, bytes: torn };
        Ok((log, (torn > 0).then_some(cut)))
    }

    /// Reads the head of each segment that the last one counts, and checks that they follow each other.
    fn read_heads(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
        last: u32,
    ) -> Result<(), StoreError> {
        let head = Head::read(flash, keyring, last)?;
        let mut oldest_before = 1;
        for number in head.oldest..last {
            let head = Head::read(flash, keyring, number)?;
            self.follow(flash, keyring, &head, &mut oldest_before)?;
        }
        self.follow(flash, keyring, &head, &mut oldest_before)?;
        self.begun = Some(head);
        Ok(())
    }

    fn follow(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
        head: &Head,
        oldest_before: &mut u32,
    ) -> Result<(), StoreError> {
        if let Some(before) = self.segments.back_mut() {
            before.end = head.previous_end;
            follows(flash, keyring, before, head)?;
        }
        // Only where segments went before it can it begin with a prune.
        if head.oldest > std::mem::replace(oldest_before, head.oldest) {
            self.note_prune(flash, keyring, head)?;
        }
        self.segments.push_back(head.segment(u32::MAX));
        Ok(())
    }

    /// Reads the last segment. Gives the end of its batches, and its length.
    fn read_last(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
    ) -> Result<(u32, u32), StoreError> {
        let (Some(&last), Some(mut head)) = (self.segments.back(), self.begun.take()) else {
            return Ok((0, 0));
        };
        let object = last.object();
        let len = flash.len(object)?.unwrap_or(0);
        let length = u32::try_from(len);
        let length = length.map_err(|_| damaged(object, u64::from(u32::MAX), "its length"))?;
        let mut reached = Reached::before(&head);
        reached.take_carried(&self.chain, &head);
        std::mem::take(&mut head.carried).into_iter().for_each(|context| self.hold(context));
        self.begun = Some(head);
        let mut batches = Batches::new(flash, keyring, last.number, last.key, len);
        let chain = self.chain;
        let start = u64::from(last.start);
        let mut see = |_: &Tip, record| {
            if let Record::Context(context) = record {
                self.hold(*context);
            }
        };
        let end = reached.read_on(&chain, &mut batches, start, End::Open, &mut see)?;
        (self.tip, self.state, self.durable) = (reached.tip, reached.state, reached);
        Ok((end as u32, length))
    }

    /// What was read must reach as far as the anchor says.
    fn not_before(&self, last: u32, anchor: &Anchor) -> Result<(), StoreError> {
        let Reached { tip, batches, .. } = self.durable;
        for (found, expected) in [(tip.head, anchor.log_head), (batches, anchor.log_batches)] {
            if found < expected {
                let object = Object::Segment(last);
                return Err(StoreError::RolledBack { object, found, expected });
            }
        }
        Ok(())
    }
}

/// A segment's head must be the one that was made after the segment before.
fn follows(
    flash: &dyn Flash,
    keyring: &Keyring,
    before: &Segment,
    head: &Head,
) -> Result<(), StoreError> {
    let object = before.object();
    let len = flash.len(object)?.unwrap_or(0);
    if before.end < before.start || len < u64::from(before.end) {
        return Err(damaged(object, len, "the end comes too early"));
    }
    let end = u64::from(before.end);
    let mut batches = Batches::new(flash, keyring, before.number, before.key, end);
    if batches.tail_before(end)? != head.previous_tail {
        let what = "not the segment after which the next one was made";
        return Err(damaged(object, end, what));
    }
    if head.first() < before.first || head.checkpoint.contexts < before.contexts {
        let object = Object::Segment(head.number);
        return Err(damaged(object, 0, "a head that does not follow the one before"));
    }
    Ok(())
}

fn damaged(object: Object, offset: u64, what: &'static str) -> StoreError {
    StoreError::Damaged { object, offset, what }
}
