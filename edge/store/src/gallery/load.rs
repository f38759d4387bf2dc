//! Reading the gallery from its segments.
//!
//! Refuses a chain of segments with a gap, a gallery that stands further back than the anchor says, and segments whose live
//! records are not those that the last statement counts: one that was taken away, or an older one put back. One of a copy that
//! was led on, of the same generation, it does not tell: that takes somebody who may enrol on the copy.

use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::gallery::digest::Digest;
use crate::gallery::durable::{Change, DurableGallery, Place, Segment};
use crate::gallery::record::{self, Part, Raw, Records, Statement};
use crate::gallery::segment::{self, Ending};
use crate::gallery::{Gallery, Member};
use crate::keyring::Keyring;
use std::collections::BTreeSet;
use threshold_record::{ModelId, Person, PersonId};

/// A record that was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    part: Part,
    generation: u64,
    segment: u32,
    /// Where it stands in which batch.
    batch: u32,
    start: u32,
    len: u32,
}

/// What the segments hold.
#[derive(Default)]
struct Contents {
    batches: Vec<Vec<u8>>,
    found: Vec<Found>,
    removed: BTreeSet<PersonId>,
    statement: Option<Statement>,
    /// The last segment's sound bytes, and whether more stands behind them.
    last: Option<(u32, Vec<u8>, bool)>,
}

impl DurableGallery {
    /// Loads the gallery, which had reached a generation; an empty one of `model` if none was ever written. Applies the tombstones,
    /// and erases what it can of those whom they bury.
    pub(crate) fn load(
        flash: &mut dyn Flash,
        keyring: &Keyring,
        model: ModelId,
        segment_bytes: u32,
        tombstones: &BTreeSet<PersonId>,
        anchored: u64,
    ) -> Result<Self, StoreError> {
        let mut durable = Self::empty(keyring, model, segment_bytes);
        let mut contents = durable.read_segments(flash, keyring)?;
        let last = contents.last.as_ref().map_or(1, |&(number, ..)| number);
        let generation = contents.statement.map_or(0, |statement| statement.generation);
        if generation < anchored {
            let object = Object::GallerySegment(last);
            return Err(StoreError::RolledBack { object, found: generation, expected: anchored });
        }
        let Some(statement) = contents.statement else { return Ok(durable) };
        durable.take_in(&mut contents, statement)?;
        if let Some((number, sound, torn)) = contents.last
            && (torn || generation > anchored)
        {
            // The last batch may be in memory only, and no sync tells after one that failed; a replace does. Of a torn end
            // nothing is lost if that has to wait for the next change.
            let replaced = flash.replace(Object::GallerySegment(number), &sound);
            if replaced.is_err() && generation > anchored {
                replaced?;
            } else if let (Err(_), Some(last)) = (replaced, durable.segments.get_mut(&number)) {
                last.unsure = true;
            }
        }
        let dead = tombstones.iter().filter(|&&id| durable.gallery.member(id).is_some());
        let dead: Vec<PersonId> = dead.copied().collect();
        for &person in &dead {
            durable.bury(person);
        }
        if !dead.is_empty() {
            // A removal was cut off after its tombstone. Erasing what is left can wait if the flash is full; the tombstones
            // are applied again at the next start.
            let written = durable.change(flash, keyring, Change::Removals);
            let mut erased = written.map(|_| true);
            while let Ok(true) = erased {
                erased = durable.erase_one(flash, keyring);
            }
        }
        Ok(durable)
    }

    /// Reads every segment that counts, in order.
    fn read_segments(
        &mut self,
        flash: &dyn Flash,
        keyring: &Keyring,
    ) -> Result<Contents, StoreError> {
        let mut contents = Contents::default();
        let numbers = flash.segments(Series::Gallery);
        let mut next = 1;
        for &number in &numbers {
            if number < next {
                self.leftovers.insert(number);
                continue;
            }
            if number > next {
                let object = Object::GallerySegment(next);
                return Err(StoreError::Damaged { object, offset: 0, what: "the file is missing" });
            }
            let is_last = numbers.last() == Some(&number);
            let ending = if is_last { Ending::PerhapsTorn } else { Ending::Whole };
            let read = segment::read(flash, keyring, number, ending)?;
            let mut segment = Segment::empty(read.header);
            segment.end = read.sound.len() as u32;
            for batch in read.batches {
                segment.oldest_key = segment.oldest_key.min(batch.key);
                let malformed = StoreError::Damaged {
                    object: Object::GallerySegment(number),
                    offset: u64::from(batch.offset),
                    what: "a batch that is not one of a gallery",
                };
                let (records, statement) = record::split(&batch.plain).ok_or(malformed.clone())?;
                contents.list(number, &mut segment, records).ok_or(malformed)?;
                contents.note(statement)?;
                contents.batches.push(batch.plain);
            }
            // The next number may not exist, at the end of four thousand million; then no other segment can either.
            next = read.header.through.saturating_add(1);
            if is_last {
                contents.last = Some((number, read.sound, read.torn));
            } else {
                contents.last = Some((number, Vec::new(), false));
            }
            self.segments.insert(number, segment);
        }
        Ok(contents)
    }

    /// Takes in the records that count, and checks that they are those of the statement.
    fn take_in(&mut self, contents: &mut Contents, statement: Statement) -> Result<(), StoreError> {
        let mixed = StoreError::MixedGallery { generation: statement.generation };
        contents.found.sort_unstable_by_key(|found| (found.part, found.generation));
        let found = &contents.found;
        let mut digest = Digest::default();
        let mut members: Vec<Member> = Vec::new();
        let mut places = Vec::with_capacity(found.len());
        for (at, record) in found.iter().enumerate() {
            let Found { part, generation, segment, len, .. } = *record;
            let superseded = found.get(at + 1).is_some_and(|next| next.part == part);
            let of_before = part.is_template() && generation <= statement.rebased;
            if superseded || of_before || contents.removed.contains(&part.person) {
                continue;
            }
            if generation > statement.generation {
                return Err(mixed);
            }
            let raw = contents.raw(record);
            if part.is_template() {
                let member = members.last_mut().filter(|held| held.person.id == part.person);
                let template = raw.and_then(|raw| raw.template(statement.model.tag()));
                let template = template.filter(|template| template.check().is_ok());
                let (Some(member), Some(template)) = (member, template) else { return Err(mixed) };
                if member.templates.is_empty() {
                    let more =
                        found[at..].iter().take_while(|more| more.part.person == part.person);
                    member.templates.reserve_exact(more.count());
                }
                member.templates.push(template);
            } else {
                let Some(name) = raw.and_then(|raw| raw.name()) else { return Err(mixed) };
                let person = Person { id: part.person, name };
                members.push(Member { person, templates: Vec::new() });
            }
            digest.add(self.set.of_record(part, generation));
            places.push((part, Place { generation, segment, len }));
            if let Some(segment) = self.segments.get_mut(&segment) {
                segment.n_live += 1;
                segment.live_bytes += len;
            }
        }
        if digest != statement.digest {
            return Err(mixed);
        }
        for segment in self.segments.values_mut() {
            segment.erase = !contents.removed.is_empty()
                && segment.held.iter().any(|person| contents.removed.contains(person));
        }
        self.places = places.into_iter().collect();
        (self.digest, self.rebased, self.given) = (digest, statement.rebased, statement.generation);
        let gallery = Gallery::of_members(statement.model, statement.generation, members);
        self.gallery = gallery.ok_or(mixed)?;
        Ok(())
    }
}

impl Contents {
    /// Lists the records of the batch that is put behind the others; `None` if one is no record.
    fn list(&mut self, number: u32, segment: &mut Segment, records: Records<'_>) -> Option<()> {
        let mut start = 0;
        for raw in records {
            let Raw { generation, person, part, bytes } = raw?;
            let len = bytes.len() as u32;
            if let Some(part) = part {
                let batch = self.batches.len() as u32;
                self.found.push(Found { part, generation, segment: number, batch, start, len });
                segment.hold(person);
            } else {
                self.removed.insert(person);
                segment.removals.push((person, generation));
            }
            start += len;
        }
        Some(())
    }

    /// Notes what a batch says of the whole gallery.
    fn note(&mut self, statement: Statement) -> Result<(), StoreError> {
        let generation = statement.generation;
        match self.statement {
            Some(held) if held.generation > generation => {}
            Some(held) if held.generation == generation && held != statement => {
                return Err(StoreError::MixedGallery { generation });
            }
            _ => self.statement = Some(statement),
        }
        Ok(())
    }

    fn raw(&self, found: &Found) -> Option<Raw<'_>> {
        let from = self.batches.get(found.batch as usize)?.get(found.start as usize..)?;
        record::first(from)
    }
}
