//! A removal: the tombstone makes it durable, and its bytes go.
//!
//! One segment that holds the person's records is written anew without them, with the record of the removal and the statement of
//! the gallery after it, in one go with the list of tombstones: three fdatasyncs, after which the removal is durable and, if the
//! person's records stood in one segment, off the flash. Neither of the two needs to be there first. A list of tombstones beside the
//! segment as it was is a removal that a start goes on with; a record of a removal without its tombstone is one too, and a start
//! writes the tombstone before anything of the gallery is used ([`DurableGallery::without_tombstone`]).
//! Where a write failed before, and what a segment holds is not known, the tombstone goes first and by itself, then a batch with the
//! record, then the segment.

use super::durable::{Change, DurableGallery, Rewritten};
use super::record::{self, Statement};
use crate::count;
use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::gallery::Member;
use crate::keyring::Keyring;
use std::collections::BTreeSet;
use threshold_record::PersonId;

/// A removal that is to be put on the flash with its tombstone.
#[derive(Debug)]
pub(crate) struct Removal {
    person: PersonId,
    statement: Statement,
    rewritten: Rewritten,
    /// The segment as it is.
    before: Vec<u8>,
}

/// A segment that may say on the flash that somebody is gone who is not.
#[derive(Debug)]
pub(super) struct Dispute {
    number: u32,
    person: PersonId,
    /// The segment as it was: the person's records may stand here alone.
    before: Vec<u8>,
}

impl Removal {
    /// The segment with its bytes.
    pub(crate) fn object(&self) -> (Object, &[u8]) {
        (Object::GallerySegment(self.rewritten.header.number), &self.rewritten.bytes)
    }
}

impl DurableGallery {
    /// The removal of somebody who is there, in one segment; `None` if the tombstone must go first.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was changed.
    pub(crate) fn removal(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
        person: PersonId,
    ) -> Result<Option<Removal>, StoreError> {
        let known = self.segments.values().all(|segment| !segment.unsure);
        let settled = known && self.begun.is_none() && self.disputed.is_none();
        let mut holding = self.segments.iter().filter(|(_, segment)| segment.holds(person));
        let Some((&number, segment)) =
            holding.next().filter(|_| settled && self.waiting.is_empty())
        else {
            return Ok(None);
        };
        let before = flash.read_all(Object::GallerySegment(number), u64::from(segment.end))?;
        let mut before = before.unwrap_or_default();
        before.truncate(segment.end as usize);
        let generation = count::after(self.given)?;
        let mut statement = Statement { generation, ..self.statement() };
        statement.digest.take(self.set.of_person(person, &self.records_of(person)));
        let mut more = Vec::new();
        record::push_removed(&mut more, generation, person);
        let rewritten =
            self.written_anew(flash, keyring, &[number], Some(person), &more, statement)?;
        // Not given out again, whatever comes of it.
        self.given = generation;
        Ok(Some(Removal { person, statement, rewritten, before }))
    }

    /// A removal is on the flash, with its tombstone: takes the person out of memory.
    pub(crate) fn removed(&mut self, removal: Removal) -> Option<Member> {
        let Removal { person, statement, rewritten, .. } = removal;
        let member = self.bury(person);
        self.waiting.remove(&person);
        let (number, generation) = (rewritten.header.number, statement.generation);
        self.take_rewritten(rewritten);
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.removals.push((person, generation));
        }
        self.gallery.generation = generation;
        member
    }

    /// It is not known what of a removal is on the flash.
    pub(crate) fn not_removed(&mut self, removal: Removal) {
        let number = removal.rewritten.header.number;
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.unsure = true;
            let Removal { person, before, .. } = removal;
            self.disputed = Some(Dispute { number, person, before });
        }
    }

    /// Has no segment say that somebody is gone who is not.
    ///
    /// # Errors
    /// [`StoreError`]; it may say so as before.
    pub(super) fn settle_dispute(&mut self, flash: &mut dyn Flash) -> Result<(), StoreError> {
        let Some(Dispute { number, before, .. }) = &self.disputed else { return Ok(()) };
        flash.replace(Object::GallerySegment(*number), before)?;
        if let Some(segment) = self.segments.get_mut(number) {
            segment.unsure = false;
        }
        self.disputed = None;
        Ok(())
    }

    /// Makes ready for a removal whose tombstone goes first: whoever was to be removed before and was not is among the living by then.
    ///
    /// # Errors
    /// [`StoreError`]; nothing may be removed then.
    pub(crate) fn before_tombstone(
        &mut self,
        flash: &mut dyn Flash,
        person: PersonId,
    ) -> Result<(), StoreError> {
        match &self.disputed {
            Some(dispute) if dispute.person != person => self.settle_dispute(flash),
            _ => Ok(()),
        }
    }

    /// Takes a removed person out of memory, whose tombstone is durable; that the gallery is without is durable with the next
    /// change.
    pub(crate) fn bury(&mut self, person: PersonId) -> Option<Member> {
        let member = self.gallery.take_person(person)?;
        // What a segment says of the person is true now.
        if self.disputed.as_ref().is_some_and(|dispute| dispute.person == person) {
            self.disputed = None;
        }
        let records = self.records_of(person);
        self.digest.take(self.set.of_person(person, &records));
        for (part, _) in records {
            self.unplace(part);
        }
        for segment in self.segments.values_mut().filter(|segment| segment.holds(person)) {
            segment.erase = true;
        }
        self.waiting.insert(person);
        Some(member)
    }

    /// Those whose removal a segment tells of and who have no tombstone: the power went between the two.
    pub(crate) fn without_tombstone(&self, tombstones: &BTreeSet<PersonId>) -> BTreeSet<PersonId> {
        let removals = self.segments.values().flat_map(|segment| &segment.removals);
        let removed = removals.map(|&(person, _)| person);
        removed.filter(|person| !tombstones.contains(person)).collect()
    }

    /// Applies the tombstones to what was loaded, and erases what it can of those whom they bury.
    pub(crate) fn apply(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        tombstones: &BTreeSet<PersonId>,
    ) {
        let dead = tombstones.iter().filter(|&&id| self.gallery.member(id).is_some());
        let dead: Vec<PersonId> = dead.copied().collect();
        for &person in &dead {
            self.bury(person);
        }
        if !dead.is_empty() {
            // A removal was cut off after its tombstone. Erasing what is left can wait if the flash is full; the tombstones
            // are applied again at the next start.
            let written = self.change(flash, keyring, Change::Removals);
            let mut erased = written.map(|()| true);
            while let Ok(true) = erased {
                erased = self.erase_one(flash, keyring);
            }
        }
    }
}
