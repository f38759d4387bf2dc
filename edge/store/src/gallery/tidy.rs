//! Cleaning: dead records go, small segments become one, old data keys are no longer needed.
//!
//! One step at a time, each of at most one segment read for each of two neighbours and one written, and of at most three
//! fdatasyncs: a replace takes two, a removal one. A step that is cut off or fails leaves the gallery as it is.

use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::gallery::durable::{Change, DurableGallery, Segment};
use crate::gallery::record::REMOVED;
use crate::gallery::segment::AROUND;
use crate::keyring::Keyring;

/// Batches that are appended to a segment and left as they are: each takes a microsecond to open, however short it is, and with a
/// template in each a full gallery took five times as long to load as one of long batches.
const MANY: u32 = 8;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The record of a removal is to be written.
    Removals,
    /// A segment that another one stands for goes.
    Remove(u32),
    /// A segment is written anew without its dead records.
    Clean(u32),
    /// Two neighbours become one.
    Merge(u32, u32),
}

impl DurableGallery {
    /// True if a step is due.
    pub(crate) fn is_due(&self, keyring: &Keyring) -> bool {
        self.due(keyring).is_some()
    }

    /// Does one step if one is due, and says whether another is.
    ///
    /// # Errors
    /// [`StoreError`] of the flash; the step stays due.
    pub(crate) fn tidy(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
    ) -> Result<bool, StoreError> {
        match self.due(keyring) {
            None => return Ok(false),
            Some(Step::Removals) => {
                self.change(flash, keyring, Change::Removals)?;
            }
            Some(Step::Remove(number)) => self.remove_leftover(flash, number)?,
            Some(Step::Clean(number)) => {
                self.rewrite(flash, keyring, &[number], &[], self.statement())?;
            }
            Some(Step::Merge(first, second)) => {
                self.rewrite(flash, keyring, &[first, second], &[], self.statement())?;
                self.remove_leftover(flash, second)?;
            }
        }
        Ok(self.due(keyring).is_some())
    }

    /// Cleans one segment that holds records of removed people; says whether another one does.
    pub(crate) fn erase_one(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
    ) -> Result<bool, StoreError> {
        if let Some(number) = self.to_erase() {
            self.rewrite(flash, keyring, &[number], &[], self.statement())?;
        }
        Ok(self.to_erase().is_some())
    }

    /// The oldest data key that a segment is sealed with, or one that may be there; `None` without segments.
    pub(crate) fn oldest_key(&self) -> Option<u32> {
        self.segments.values().map(|segment| segment.oldest_key).chain(self.begun).min()
    }

    /// True while the flash holds records of removed people, or may.
    pub(crate) fn owes_erasure(&self) -> bool {
        let unsure = self.segments.values().any(|segment| segment.unsure || segment.erase);
        unsure || !self.waiting.is_empty() || !self.leftovers.is_empty()
    }

    fn to_erase(&self) -> Option<u32> {
        self.segments.iter().find(|(_, segment)| segment.erase).map(|(&number, _)| number)
    }

    fn remove_leftover(&mut self, flash: &mut dyn Flash, number: u32) -> Result<(), StoreError> {
        flash.remove(Object::GallerySegment(number))?;
        self.leftovers.remove(&number);
        Ok(())
    }

    fn due(&self, keyring: &Keyring) -> Option<Step> {
        if !self.waiting.is_empty() {
            // First of all, since a statement of the gallery as it is now would be of no generation.
            return Some(Step::Removals);
        }
        if let Some(&number) = self.leftovers.first() {
            return Some(Step::Remove(number));
        }
        let last = self.segments.last_key_value().map(|(&number, _)| number);
        let mut before: Option<(u32, u32)> = None;
        let mut merge = None;
        for (&number, segment) in &self.segments {
            if segment.unsure || segment.erase || segment.oldest_key < keyring.current() {
                return Some(Step::Clean(number));
            }
            if Some(number) == last {
                // It still takes batches.
                break;
            }
            let len = cleaned_len(segment);
            if 2 * len <= segment.end || segment.appended > MANY {
                return Some(Step::Clean(number));
            }
            if let Some((before, before_len)) = before
                && before_len + len <= self.segment_bytes / 2
            {
                merge.get_or_insert(Step::Merge(before, number));
            }
            before = Some((number, len));
        }
        merge
    }
}

/// Bytes of a segment once it is cleaned, at most.
fn cleaned_len(segment: &Segment) -> u32 {
    (AROUND + REMOVED * segment.removals.len()) as u32 + segment.live_bytes
}
