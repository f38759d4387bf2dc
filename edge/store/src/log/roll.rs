//! From one segment of the log to the next.

use super::batch::{self, Place, tail_of};
use super::prune::Pruning;
use super::reached::Reached;
use super::read::Cursor;
use super::segment::Head;
use super::{Log, record};
use crate::chain::Checkpoint;
use crate::count;
use crate::error::StoreError;
use crate::flash::{Flash, FlashError, Object, Series};
use crate::keyring::Keyring;
use threshold_record::{Context, LogEntry};

/// Segments that are removed at once when one begins: each takes a sync of the folder, and a prune may leave hundreds.
const AT_ONCE: usize = 4;

impl Log {
    /// Begins the next segment, and lets the oldest go if as many as are kept are there.
    ///
    /// A sealed segment without an entry is begun anew under its own number instead.
    pub(super) fn roll(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
        self.begin(flash, keyring, None)
    }

    /// The same. With a prune the segment begins with its entry, head and entry in one replace, and counts no older segment than
    /// it says; nothing may wait to be made durable then.
    pub(super) fn begin(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        pruning: Option<&Pruning>,
    ) -> Result<(), StoreError> {
        let batches = match pruning {
            Some(_) => count::after(self.durable.batches)?,
            None => self.durable.batches,
        };
        let first = self.durable.tip.head + 1;
        let anew = self.segments.pop_back_if(|last| last.first == first);
        let begun_anew = self.begun.as_ref().filter(|_| anew.is_some());
        let before = self.segments.back().copied();
        let old_log = self.converting.as_ref().map_or(0, |converting| converting.last);
        let number = match (anew, before) {
            (Some(held), _) => held.number,
            (None, before) => {
                let number = before.map_or(old_log, |before| before.number);
                let (object, what) = (Object::Segment(number), "no number is left for the next");
                let used_up = StoreError::Damaged { object, offset: 12, what };
                number.checked_add(1).ok_or(used_up)?
            }
        };
        let pruned_to = pruning.map_or(1, |pruning| pruning.oldest);
        let kept_from = number.saturating_sub(self.size.segments - 1).max(pruned_to);
        let oldest = self.segments.iter().find(|held| held.number >= kept_from);
        let (oldest, oldest_entry) =
            oldest.map_or((number, first), |held| (held.number, held.first));
        let (previous_end, previous_tail, tip) = match begun_anew {
            Some(begun) => (begun.previous_end, begun.previous_tail, begun.checkpoint.tip()),
            None => match before {
                Some(before) => (before.end, self.durable.tail, self.durable.tip),
                None => (0, Default::default(), self.durable.tip),
            },
        };
        let carried: Vec<Context> = self.carried_over(anew.is_some()).cloned().collect();
        let kept: Vec<u16> = carried.iter().map(|context| context.number).collect();
        let mut head = Head {
            number,
            key: keyring.current(),
            oldest,
            oldest_entry,
            previous_end,
            previous_tail,
            batches: self.durable.batches,
            state: self.durable.state,
            checkpoint: Checkpoint::sign(keyring, &tip, self.durable.state.boot),
            carried,
            end: 0,
            tail: Default::default(),
        };
        let put = head.seal(keyring).and_then(|mut bytes| {
            if let Some(pruning) = pruning {
                let place = Place { segment: number, offset: head.end, behind: head.tail };
                bytes.extend(self.batch_of(keyring, place, first, pruning)?);
            }
            flash.replace(Object::Segment(number), &bytes)?;
            Ok(bytes)
        });
        let bytes = match put {
            Ok(bytes) => bytes,
            Err(error) => {
                self.segments.extend(anew);
                return Err(error);
            }
        };
        head.carried = Vec::new();
        let durable = self.durable.tip.given;
        self.held.retain(|number, _| *number > durable || kept.contains(number));
        self.segments.push_back(head.segment(head.end));
        self.durable.tail = head.tail;
        self.begun = Some(head);
        if let Some(pruning) = pruning {
            self.tip.take_entry(&self.chain, &LogEntry { sequence: first, ..pruning.entry });
            let tail = tail_of(&bytes);
            self.durable = Reached { tip: self.tip, batches, state: self.state, tail };
            self.settle(bytes.len() as u32);
        }
        self.cursor.set(Cursor::default());
        self.sealed = false;
        while self.segments.front().is_some_and(|front| front.number < oldest) {
            self.segments.pop_front();
        }
        // What is left is no part of the log either: it goes when the unit idles, at the next segment or the next open.
        self.remove_up_to(flash, AT_ONCE);
        Ok(())
    }

    /// The batch with the entry of a prune, and the state if it changed.
    fn batch_of(
        &self,
        keyring: &Keyring,
        place: Place,
        sequence: u64,
        pruning: &Pruning,
    ) -> Result<Vec<u8>, StoreError> {
        let mut records = Vec::new();
        record::push_entry(&mut records, &LogEntry { sequence, ..pruning.entry });
        if self.state != self.durable.state {
            record::push_state(&mut records, self.state);
        }
        batch::seal(keyring, place, sequence, 1, &records)
    }

    /// The contexts that the next segment begins with: those in force. After a failed write also all others of the
    /// segment, since records that wait may refer to them, and of a segment begun anew, since they would be lost.
    fn carried_over(&self, anew: bool) -> impl Iterator<Item = &Context> {
        let next = self.durable.tip.head + 1;
        let used_later = move |number: &u16| {
            let last_use = self.converting.as_ref().map(|converting| &converting.last_use);
            last_use.and_then(|last_use| last_use.get(number)).is_some_and(|&last| last >= next)
        };
        self.held.values().filter(move |context| {
            let number = context.number;
            number <= self.durable.tip.given
                && (anew
                    || !self.pending.is_empty()
                    || self.in_force.contains(&number)
                    || used_later(&number))
        })
    }

    /// Removes the segments that the last head no longer counts. They are no part of the log already, so a flash that
    /// does not let go of one is asked again at the next segment and the next open.
    pub(crate) fn remove_old(&self, flash: &mut dyn Flash) {
        self.remove_up_to(flash, usize::MAX);
    }

    fn remove_up_to(&self, flash: &mut dyn Flash, count: usize) {
        for number in self.old(flash).into_iter().take(count) {
            let _ = flash.remove(Object::Segment(number));
        }
    }

    /// True if there are such.
    pub(crate) fn has_old(&self, flash: &dyn Flash) -> bool {
        !self.old(flash).is_empty()
    }

    /// Removes the oldest of them. True if there are more.
    pub(crate) fn remove_one(&self, flash: &mut dyn Flash) -> Result<bool, FlashError> {
        let old = self.old(flash);
        if let Some(&number) = old.first() {
            flash.remove(Object::Segment(number))?;
        }
        Ok(old.len() > 1)
    }

    fn old(&self, flash: &dyn Flash) -> Vec<u32> {
        let oldest = self.segments.front().map_or(0, |front| front.number);
        let kept = self.converting.as_ref().map_or(0, |converting| converting.last);
        let is_old = |number: &u32| (kept + 1..oldest).contains(number);
        flash.segments(Series::Log).into_iter().filter(is_old).collect()
    }
}
