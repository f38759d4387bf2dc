//! Many people at once: one batch, one generation, one sync.
//!
//! Owns how many fit into a batch. A batch is whole or not there, so that a cut leaves all of them or none.
//! On the side that is not in view it puts templates alone, of people who are there.
//! Refuses a batch of which anybody is against the gallery's rules.

use crate::count;
use crate::error::StoreError;
use crate::flash::Flash;
use crate::gallery::durable::{DurableGallery, Place};
use crate::gallery::record::{self, Part, Side, Statement};
use crate::gallery::segment::AROUND;
use crate::gallery::{GalleryError, Member};
use crate::keyring::Keyring;

impl DurableGallery {
    /// Puts people with their templates: who is not there is added under the id with what holds of him, who is there keeps what
    /// holds, a template takes the place of one in its slot.
    /// Takes as many of the first as one batch holds, at least one, and gives how many that were.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub(crate) fn put(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        members: &[Member],
    ) -> Result<usize, StoreError> {
        self.put_on(self.view, flash, keyring, members)
    }

    /// Puts templates of people who are there beside the gallery, by the same rules.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub(crate) fn put_beside(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        members: &[Member],
    ) -> Result<usize, StoreError> {
        let side = self.view.other();
        if self.beside_model().is_none() {
            return Err(GalleryError::NothingBeside.into());
        }
        self.put_on(side, flash, keyring, members)
    }

    fn put_on(
        &mut self,
        side: Side,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        members: &[Member],
    ) -> Result<usize, StoreError> {
        let generation = count::after(self.given)?;
        let mut records = Vec::new();
        for &person in &self.waiting {
            record::push_removed(&mut records, generation, person);
        }
        let removals = records.len();
        let mut next = Statement { generation, ..self.statement() };
        let mut parts: Vec<(Part, u32)> = Vec::new();
        let mut taken = 0;
        for member in members {
            let (start, first) = (records.len(), parts.len());
            let id = member.person.id;
            let mut put = |part, write: &mut dyn FnMut(&mut Vec<u8>)| {
                let before = records.len();
                write(&mut records);
                parts.push((part, (records.len() - before) as u32));
            };
            if side == self.view && self.gallery.member(id).is_none() {
                put(Part::name_of(id), &mut |out| {
                    record::push_person(out, generation, &member.person);
                });
                if let Some(access) = &member.access {
                    put(Part::access(id), &mut |out| {
                        record::push_access(out, generation, id, access);
                    });
                }
            }
            for template in &member.templates {
                put(Part::template(side, id, template.slot), &mut |out| {
                    record::push_template(out, generation, side, template);
                });
            }
            if taken > 0 && records.len() + AROUND > self.segment_bytes as usize {
                records.truncate(start);
                parts.truncate(first);
                break;
            }
            taken += 1;
            let mut of_person = self.records_of(id);
            next.digest.take(self.set.of_person(id, &of_person));
            of_person.retain(|&(held, _)| parts[first..].iter().all(|&(part, _)| part != held));
            of_person.extend(parts[first..].iter().map(|&(part, _)| (part, generation)));
            of_person.sort_unstable();
            next.digest.add(self.set.of_person(id, &of_person));
        }
        let members = &members[..taken];
        match side == self.view {
            true => self.gallery.check_members(members)?,
            false => {
                let there = self.beside().map_or(0, |beside| beside.templates as usize);
                self.gallery.check_beside(members, next.side(side).model, there)?;
            }
        }
        if records.len() == removals {
            return Ok(taken);
        }
        self.given = generation;
        let number = self.write(flash, keyring, records, false, next)?;
        self.digest = next.digest;
        let removed = std::mem::take(&mut self.waiting);
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.removals.extend(removed.into_iter().map(|person| (person, generation)));
        }
        for (part, len) in parts {
            self.settle(part, Place { generation, segment: number, len });
        }
        self.gallery.generation = generation;
        if side != self.view {
            return Ok(taken);
        }
        for Member { person, templates, access } in members {
            if self.gallery.member(person.id).is_none() {
                let access = access.clone();
                let person = Member { access, ..Member::of(person.clone(), Vec::new()) };
                self.gallery.add_member(person, generation);
            }
            for template in templates {
                self.gallery.put_template(template.clone(), generation);
            }
        }
        Ok(taken)
    }
}
