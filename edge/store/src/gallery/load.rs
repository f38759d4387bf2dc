//! Reading the gallery from its segments.
//!
//! Refuses a chain of segments with a gap, a gallery that stands further back than the anchor says, and segments whose live
//! records are not those that the last statement counts: one that was taken away, or an older one put back. One of a copy that
//! was led on, of the same generation, it does not tell: that takes somebody who may enrol on the copy.

use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::gallery::digest::Digest;
use crate::gallery::durable::{DurableGallery, Place, Segment};
use crate::gallery::record::{self, MAX_PARTS, NO_MODEL, Part, Raw, Records, Side, Statement};
use crate::gallery::segment::{self, Batch, Ending};
use crate::gallery::{Gallery, Member};
use crate::keyring::Keyring;
use heapless::Vec as Bounded;
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::{ModelId, Person, PersonId, ScheduleId};

/// A record that was found.
#[derive(Clone, Copy, Debug)]
struct Found {
    part: Part,
    generation: u64,
    segment: u32,
    /// Which of the segments that were read, and where in it.
    read: u32,
    start: u32,
    len: u32,
}

/// What the segments hold.
#[derive(Default)]
struct Contents {
    /// Each segment's bytes, opened.
    read: Vec<Vec<u8>>,
    found: Vec<Found>,
    removed: BTreeSet<PersonId>,
    statement: Option<Statement>,
    /// The last segment's number, where its last batch ends, and whether more stands behind that.
    last: Option<(u32, usize, bool)>,
}

impl DurableGallery {
    /// Loads the gallery, which had reached a generation, with the side of `model` in view, or another one's if none is of that; an
    /// empty one of `model` if none was ever written. The tombstones are to be applied to it.
    pub(crate) fn load(
        flash: &mut dyn Flash,
        keyring: &Keyring,
        model: ModelId,
        segment_bytes: u32,
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
        let of = |side: &Side| statement.side(*side).model;
        let view = Side::BOTH.into_iter().find(|side| of(side) == model && model != NO_MODEL);
        let used = || Side::BOTH.into_iter().find(|side| of(side) != NO_MODEL);
        durable.view = view.or_else(used).unwrap_or(Side::First);
        durable.take_in(&mut contents, statement)?;
        if let Some((number, end, torn)) = contents.last
            && (torn || generation > anchored)
        {
            let object = Object::GallerySegment(number);
            let sound = flash.read_all(object, end as u64)?.unwrap_or_default();
            let sound = sound.get(..end).unwrap_or(&sound);
            // The last batch may be in memory only, and no sync tells after one that failed; a replace does. Of a torn end
            // nothing is lost if that has to wait for the next change.
            let replaced = flash.replace(object, sound);
            if replaced.is_err() && generation > anchored {
                replaced?;
            } else if let (Err(_), Some(last)) = (replaced, durable.segments.get_mut(&number)) {
                last.unsure = true;
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
            segment.end = read.end as u32;
            segment.appended = read.batches.len() as u32 - 1;
            for Batch { offset, key, plain } in read.batches {
                segment.oldest_key = segment.oldest_key.min(key);
                let malformed = StoreError::Damaged {
                    object: Object::GallerySegment(number),
                    offset: u64::from(offset),
                    what: "a batch that is not one of a gallery",
                };
                let batch = record::split(&read.bytes[plain.clone()], read.header.has_sides());
                let (records, statement) = batch.ok_or(malformed.clone())?;
                contents.list(number, &mut segment, records, plain.start).ok_or(malformed)?;
                contents.note(statement)?;
            }
            // The next number may not exist, at the end of four thousand million; then no other segment can either.
            next = read.header.through.saturating_add(1);
            contents.last = Some((number, read.end, read.end < read.bytes.len()));
            contents.read.push(read.bytes);
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
        let (mut members, mut n_templates) = (Vec::new(), 0);
        let mut schedules = BTreeMap::new();
        let mut places = Vec::with_capacity(found.len());
        for of_person in found.chunk_by(|a, b| a.part.person == b.part.person) {
            let person = of_person.first().map_or(PersonId::NOBODY, |found| found.part.person);
            if contents.removed.contains(&person) {
                continue;
            }
            let mut records = Bounded::<_, MAX_PARTS>::new();
            let mut templates = Vec::new();
            let (mut name, mut access) = (None, None);
            for (at, record) in of_person.iter().enumerate() {
                let Found { part, generation, segment, len, .. } = *record;
                let superseded = of_person.get(at + 1).is_some_and(|next| next.part == part);
                let side = part.side();
                if side.is_some_and(|side| generation <= statement.side(side).rebased) {
                    // Cleaning it was put off, or cut off.
                    self.segments.entry(segment).and_modify(|segment| segment.erase = true);
                    continue;
                }
                if superseded {
                    continue;
                }
                let bytes = contents.bytes(record).filter(|_| generation <= statement.generation);
                let bytes = bytes.ok_or_else(|| mixed.clone())?;
                if let Some(side) = side {
                    if side == self.view {
                        templates.reserve_exact(of_person.len() - at);
                        let tag = statement.side(side).model.tag();
                        let read = record::read_template(bytes, person, tag, &mut templates);
                        read.ok_or_else(|| mixed.clone())?;
                    }
                } else if part.is_name() {
                    name = record::name(bytes);
                } else if part.is_access() {
                    let read = record::read_access(bytes).ok_or_else(|| mixed.clone())?;
                    access = Some(Box::new(read));
                } else {
                    let id = ScheduleId(part.place);
                    let read = record::read_schedule(bytes, id).ok_or_else(|| mixed.clone())?;
                    schedules.extend(read.map(|schedule| (id, schedule)));
                }
                records.push((part, generation)).map_err(|_| mixed.clone())?;
                places.push((part, Place { generation, segment, len }));
                if let Some(segment) = self.segments.get_mut(&segment) {
                    segment.n_live += 1;
                    segment.live_bytes += len;
                }
            }
            if records.is_empty() {
                continue;
            }
            digest.add(self.set.of_person(person, &records));
            if person.is_nobody() {
                continue;
            }
            let name = name.ok_or_else(|| mixed.clone())?;
            n_templates += templates.len();
            members
                .push((person, Member { person: Person { id: person, name }, templates, access }));
        }
        if digest != statement.digest {
            return Err(mixed);
        }
        for segment in self.segments.values_mut() {
            segment.erase |= !contents.removed.is_empty()
                && segment.held.iter().any(|person| contents.removed.contains(person));
        }
        self.places = places.into_iter().collect();
        let Statement { generation, first, second, .. } = statement;
        (self.digest, self.given) = (digest, generation);
        (self.first, self.second) = (first, second);
        let model = statement.side(self.view).model;
        let gallery = Gallery::of_members(model, generation, members, schedules, n_templates);
        self.gallery = gallery.ok_or(mixed)?;
        Ok(())
    }
}

impl Contents {
    /// Lists the records of a batch whose plain bytes begin at `start` of the segment that is put behind the others; `None` if one
    /// is no record.
    fn list(
        &mut self,
        number: u32,
        segment: &mut Segment,
        records: Records<'_>,
        start: usize,
    ) -> Option<()> {
        let (read, mut start) = (self.read.len() as u32, start as u32);
        for raw in records {
            let Raw { generation, person, part, bytes } = raw?;
            let len = bytes.len() as u32;
            if let Some(part) = part {
                self.found.push(Found { part, generation, segment: number, read, start, len });
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

    fn bytes(&self, found: &Found) -> Option<&[u8]> {
        let start = found.start as usize;
        self.read.get(found.read as usize)?.get(start..start + found.len as usize)
    }
}
