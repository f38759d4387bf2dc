//! From one segment of the log to the next.

use super::Log;
use super::read::Cursor;
use super::segment::Head;
use crate::chain::Checkpoint;
use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::keyring::Keyring;
use threshold_record::Context;

impl Log {
    /// Begins the next segment, and lets the oldest go if as many as are kept are there.
    ///
    /// A sealed segment without an entry is begun anew under its own number instead.
    pub(super) fn roll(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
    ) -> Result<(), StoreError> {
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
        let kept_from = number.saturating_sub(self.size.segments - 1).max(1);
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
        let put = head
            .seal(keyring)
            .and_then(|bytes| Ok(flash.replace(Object::Segment(number), &bytes)?));
        if let Err(error) = put {
            self.segments.extend(anew);
            return Err(error);
        }
        head.carried = Vec::new();
        let durable = self.durable.tip.given;
        self.held.retain(|number, _| *number > durable || kept.contains(number));
        self.segments.push_back(head.segment(head.end));
        self.durable.tail = head.tail;
        self.begun = Some(head);
        self.cursor.set(Cursor::default());
        self.sealed = false;
        while self.segments.front().is_some_and(|front| front.number < oldest) {
            self.segments.pop_front();
        }
        self.remove_old(flash);
        Ok(())
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
        let oldest = self.segments.front().map_or(0, |front| front.number);
        let kept = self.converting.as_ref().map_or(0, |converting| converting.last);
        let before = |number: &u32| *number < oldest;
        for number in flash.segments(Series::Log).into_iter().take_while(before) {
            if number > kept {
                let _ = flash.remove(Object::Segment(number));
            }
        }
    }
}
