//! The gallery together with the segments that hold it: each change is durable before it is taken in.
//!
//! Owns the order of writes of a change: one batch with its records and the statement of the gallery after it, appended to the
//! last segment and made durable by one sync, or put into a new segment by one replace. Only then memory follows.
//! A generation whose write failed is never given out again, since some of that write may stand on the flash.
//! After a write that failed, what a segment's file holds is not known to the byte; the next change replaces the last one,
//! and `tidy` every other.
//! A removal is different: the tombstone made it durable, so memory goes first, and its record goes with the next batch.
//! Templates stand on one of two sides, each of one model. The gallery in memory has those of the side that is *in view*; the others
//! lie beside it, for a version of the other model, and go with their person.
//! Terms: a record is *live* if the gallery has what it says, in view or beside; everything else of a segment is dead.

use crate::count;
use crate::error::StoreError;
use crate::flash::{Flash, Object};
use crate::gallery::digest::{Digest, SetKey};
use crate::gallery::record::{self, NO_MODEL, OfModel, Part, Raw, Side, Statement};
use crate::gallery::removal::Dispute;
use crate::gallery::segment::{self, AROUND, Ending, HEADER, Header};
use crate::gallery::{Beside, Gallery, GalleryError, Member};
use crate::keyring::Keyring;
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::{Access, ModelId, Person, PersonId, Schedule, ScheduleId, Template};

/// A change of the gallery.
#[derive(Debug)]
pub(crate) enum Change {
    Person(Person),
    Template(Box<Template>),
    /// What holds of a person besides the name.
    Access(PersonId, Box<Access>),
    /// A schedule, or that there is none of that number any more.
    Schedule(ScheduleId, Option<Box<Schedule>>),
    /// The people stay, their templates go, of both sides, and those to come are of this model.
    Rebase(ModelId),
    /// The side that is not in view is of this model from now on, or of none; what was there goes.
    Beside(ModelId),
    /// Nothing but what waits: the removals.
    Removals,
}

/// What is remembered of a segment.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    /// Its bytes.
    pub(super) end: u32,
    /// Batches that were appended to it since it was made or cleaned.
    pub(super) appended: u32,
    /// Live records, and their bytes.
    pub(super) n_live: u32,
    pub(super) live_bytes: u32,
    /// People of whom it holds records, live or dead. Some may be there more than once.
    pub(super) held: Vec<PersonId>,
    /// Removals of which it holds the record, with their generations.
    pub(super) removals: Vec<(PersonId, u64)>,
    /// The oldest data key that a batch is sealed with.
    pub(super) oldest_key: u32,
    /// A write of it failed: the file is what it was or what it was to be, and may end torn.
    pub(super) unsure: bool,
    /// It holds what is to be erased.
    pub(super) erase: bool,
}

/// Where a live record stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) generation: u64,
    pub(super) segment: u32,
    pub(super) len: u32,
}

/// The gallery and its segments.
#[derive(Debug)]
pub(crate) struct DurableGallery {
    pub(super) gallery: Gallery,
    pub(super) segment_bytes: u32,
    pub(super) set: SetKey,
    pub(super) digest: Digest,
    /// Of which model each side is.
    pub(super) first: OfModel,
    pub(super) second: OfModel,
    /// The side whose templates the gallery has.
    pub(super) view: Side,
    /// The highest generation given out.
    pub(super) given: u64,
    pub(super) places: BTreeMap<Part, Place>,
    pub(super) segments: BTreeMap<u32, Segment>,
    /// Segments that another one stands for, not yet removed.
    pub(super) leftovers: BTreeSet<u32>,
    /// Removed, and not yet written.
    pub(super) waiting: BTreeSet<PersonId>,
    /// A new segment could not be made, and may be there, sealed with this data key or a later one: the next batch must go into
    /// it.
    pub(super) begun: Option<u32>,
    /// What a removal that failed may have left: no change of anything else may follow before it is settled.
    pub(super) disputed: Option<Dispute>,
}

/// Segments that are written anew as one, not yet on the flash.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// Those that it stands for; the first gives its number.
    numbers: Vec<u32>,
    pub(super) header: Header,
    pub(super) bytes: Vec<u8>,
    /// The data key that it is sealed with.
    key: u32,
    /// Lengths of the records.
    live: BTreeMap<Part, u32>,
    removals: Vec<(PersonId, u64)>,
}

impl Segment {
    pub(super) fn empty(header: Header) -> Self {
        Self {
            header,
            end: HEADER as u32,
            appended: 0,
            n_live: 0,
            live_bytes: 0,
            held: Vec::new(),
            removals: Vec::new(),
            oldest_key: u32::MAX,
            unsure: false,
            erase: false,
        }
    }

    pub(super) fn holds(&self, person: PersonId) -> bool {
        self.held.contains(&person)
    }

    pub(super) fn hold(&mut self, person: PersonId) {
        if self.held.last() != Some(&person) {
            self.held.push(person);
        }
    }
}

impl DurableGallery {
    pub(super) fn empty(keyring: &Keyring, model: ModelId, segment_bytes: u32) -> Self {
        Self {
            gallery: Gallery::empty(model),
            segment_bytes,
            set: SetKey::of(keyring.store_id()),
            digest: Digest::default(),
            first: OfModel { model, rebased: 0 },
            second: OfModel::NEVER,
            view: Side::First,
            given: 0,
            places: BTreeMap::new(),
            segments: BTreeMap::new(),
            leftovers: BTreeSet::new(),
            waiting: BTreeSet::new(),
            begun: None,
            disputed: None,
        }
    }

    /// The gallery.
    pub(crate) fn gallery(&self) -> &Gallery {
        &self.gallery
    }

    /// Makes a change durable, then takes it.
    ///
    /// # Errors
    /// [`StoreError`]; the gallery is then as before.
    pub(crate) fn change(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        change: Change,
    ) -> Result<(), StoreError> {
        let generation = count::after(self.given)?;
        let mut records = Vec::new();
        for &person in &self.waiting {
            record::push_removed(&mut records, generation, person);
        }
        let before = records.len();
        let mut next = Statement { generation, ..self.statement() };
        let mut emptied: &[Side] = &[];
        let part = match &change {
            Change::Person(person) => {
                self.gallery.check_person(person)?;
                record::push_person(&mut records, generation, person);
                Some(Part::name_of(person.id))
            }
            Change::Template(template) => {
                self.gallery.check_template(template)?;
                record::push_template(&mut records, generation, self.view, template);
                Some(Part::template(self.view, template.person, template.slot))
            }
            Change::Access(person, access) => {
                let person = *person;
                self.gallery.member(person).ok_or(GalleryError::UnknownPerson { person })?;
                self.gallery.check_access(person, access)?;
                record::push_access(&mut records, generation, person, access);
                Some(Part::access(person))
            }
            Change::Schedule(id, schedule) => {
                match schedule {
                    Some(schedule) => self.gallery.check_schedule(schedule)?,
                    None => self.gallery.check_unused(*id)?,
                }
                record::push_schedule(&mut records, generation, *id, schedule.as_deref());
                Some(Part::schedule(*id))
            }
            Change::Rebase(model) => {
                emptied = &Side::BOTH;
                next.first = OfModel { model: *model, rebased: generation };
                if next.has_sides() {
                    next.second = OfModel { model: NO_MODEL, rebased: generation };
                }
                None
            }
            Change::Beside(model) => {
                emptied = match self.view {
                    Side::First => &[Side::Second],
                    Side::Second => &[Side::First],
                };
                *next.side_mut(self.view.other()) = OfModel { model: *model, rebased: generation };
                None
            }
            Change::Removals => None,
        };
        if !emptied.is_empty() {
            next.digest = self.digest_without(emptied);
        }
        if let Some(part) = part {
            let mut records = self.records_of(part.person);
            next.digest.take(self.set.of_person(part.person, &records));
            records.retain(|&(held, _)| held != part);
            records.push((part, generation));
            records.sort_unstable();
            next.digest.add(self.set.of_person(part.person, &records));
        }
        let len = (records.len() - before) as u32;
        self.given = generation;
        let number = self.write(flash, keyring, records, len == 0, next)?;
        self.digest = next.digest;
        (self.first, self.second) = (next.first, next.second);
        self.drop_templates(emptied);
        let removed = std::mem::take(&mut self.waiting);
        if let Some(segment) = self.segments.get_mut(&number) {
            segment.removals.extend(removed.into_iter().map(|person| (person, generation)));
        }
        if let Some(part) = part {
            self.settle(part, Place { generation, segment: number, len });
        }
        self.gallery.generation = generation;
        match change {
            Change::Person(person) => {
                self.gallery.add_member(Member::of(person, Vec::new()), generation);
            }
            Change::Access(person, access) => self.gallery.put_access(person, *access, generation),
            Change::Schedule(id, schedule) => {
                self.gallery.put_schedule(id, schedule.map(|schedule| *schedule), generation);
            }
            Change::Template(template) => self.gallery.put_template(*template, generation),
            Change::Rebase(model) => {
                self.gallery.rebase(model, generation);
                self.view = Side::First;
            }
            Change::Beside(_) | Change::Removals => {}
        }
        Ok(())
    }

    /// What the gallery is, as far as it is durable.
    pub(super) fn statement(&self) -> Statement {
        Statement {
            generation: self.gallery.generation,
            first: self.first,
            second: self.second,
            digest: self.digest,
        }
    }

    /// A person's live records, with their generations.
    pub(super) fn records_of(&self, person: PersonId) -> Vec<(Part, u64)> {
        let places = self.places.range(Part::all_of(person));
        places.map(|(&part, place)| (part, place.generation)).collect()
    }

    /// A record is durable at that place now, and the one before of its part is dead.
    pub(super) fn settle(&mut self, part: Part, place: Place) {
        self.unplace(part);
        self.places.insert(part, place);
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.n_live += 1;
            segment.live_bytes += place.len;
            segment.hold(part.person);
        }
    }

    /// The record of a part is dead now.
    pub(super) fn unplace(&mut self, part: Part) -> Option<Place> {
        let place = self.places.remove(&part)?;
        if let Some(segment) = self.segments.get_mut(&place.segment) {
            segment.n_live -= 1;
            segment.live_bytes -= place.len;
        }
        Some(place)
    }

    /// The model of the side that is not in view; `None` if that is of none.
    pub(crate) fn beside_model(&self) -> Option<ModelId> {
        Some(self.statement().side(self.view.other()).model).filter(|&model| model != NO_MODEL)
    }

    /// What lies on the side that is not in view; `None` if that is of no model.
    pub(crate) fn beside(&self) -> Option<Beside> {
        let (side, model) = (self.view.other(), self.beside_model()?);
        let mut beside = Beside { model, people: 0, templates: 0, without: 0 };
        for member in self.gallery.members() {
            let parts = self.places.range(Part::all_of(member.person.id));
            let there = parts.filter(|(part, _)| part.side() == Some(side)).count() as u32;
            beside.templates += there;
            beside.people += u32::from(there > 0);
            beside.without += u32::from(there == 0 && !member.templates.is_empty());
        }
        Some(beside)
    }

    /// The digest without the templates of these sides.
    fn digest_without(&self, emptied: &[Side]) -> Digest {
        let stays = |part: &Part| part.side().is_none_or(|side| !emptied.contains(&side));
        let kept = self.places.iter().filter(|(part, _)| stays(part));
        let kept: Vec<(Part, u64)> = kept.map(|(&part, place)| (part, place.generation)).collect();
        let mut digest = Digest::default();
        for of_person in kept.chunk_by(|a, b| a.0.person == b.0.person) {
            let person = of_person.first().map_or(PersonId::NOBODY, |(part, _)| part.person);
            digest.add(self.set.of_person(person, of_person));
        }
        digest
    }

    /// The templates of these sides are dead now, and are to be erased wherever they stand.
    fn drop_templates(&mut self, emptied: &[Side]) {
        let is_dead = |part: &Part| part.side().is_some_and(|side| emptied.contains(&side));
        let parts: Vec<Part> = self.places.keys().copied().filter(is_dead).collect();
        if parts.is_empty() {
            return;
        }
        for part in parts {
            self.unplace(part);
        }
        // Which of them holds a template that died before, nobody remembers.
        for segment in self.segments.values_mut() {
            segment.erase = true;
        }
    }

    /// Makes a batch durable; gives the segment that it is in.
    pub(super) fn write(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        records: Vec<u8>,
        removals_alone: bool,
        statement: Statement,
    ) -> Result<u32, StoreError> {
        self.settle_dispute(flash)?;
        let len = records.len() as u32 + AROUND as u32;
        // A removal has two fdatasyncs behind it, and its batch is short: it need not wait for a new segment.
        let room = self.segment_bytes + if removals_alone { self.segment_bytes / 4 } else { 0 };
        if let Some((&number, last)) = self.segments.last_key_value()
            && self.begun.is_none()
        {
            if last.unsure {
                // Nothing may come behind a torn end, nor in a segment behind it. It may grow past its size by this batch.
                self.rewrite(flash, keyring, &[number], &records, statement)?;
                return Ok(number);
            }
            if last.end + len <= room && !last.header.takes(&statement) {
                // One of an earlier program, made anew before it takes what that does not know.
                self.rewrite(flash, keyring, &[number], &records, statement)?;
                return Ok(number);
            }
            if last.end + len <= room {
                self.append(flash, keyring, number, records, statement)?;
                return Ok(number);
            }
        }
        let through = self.segments.last_key_value().map_or(0, |(_, last)| last.header.through);
        let (object, what) = (Object::GallerySegment(through), "no number is left for the next");
        let used_up = StoreError::Damaged { object, offset: 16, what };
        let next = through.checked_add(1).ok_or(used_up)?;
        let header = Header::of(next, next, &statement);
        let bytes = sealed(keyring, header, records, statement)?;
        if let Err(error) = flash.replace(Object::GallerySegment(header.number), &bytes) {
            self.begun.get_or_insert(keyring.current());
            return Err(error.into());
        }
        self.begun = None;
        let (end, oldest_key) = (bytes.len() as u32, keyring.current());
        self.segments.insert(header.number, Segment { end, oldest_key, ..Segment::empty(header) });
        Ok(header.number)
    }

    fn append(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        number: u32,
        mut batch: Vec<u8>,
        statement: Statement,
    ) -> Result<(), StoreError> {
        let Some(segment) = self.segments.get_mut(&number) else { return Ok(()) };
        statement.push(&mut batch);
        let mut bytes = Vec::new();
        segment.header.seal(keyring, segment.end, &batch, &mut bytes)?;
        let object = Object::GallerySegment(number);
        // Until both succeeded: a part may stand there, or all of it and not durable.
        segment.unsure = true;
        flash.append(object, &bytes)?;
        flash.sync(object)?;
        segment.unsure = false;
        segment.end += bytes.len() as u32;
        segment.appended += 1;
        segment.oldest_key = segment.oldest_key.min(keyring.current());
        Ok(())
    }

    /// Replaces the first of these neighbours by the live records of all of them, followed by `more`; it stands for all from then
    /// on. The others become leftovers.
    ///
    /// # Errors
    /// [`StoreError`]; the segments are then as before, or as asked for, which the next rewriting of the first settles.
    pub(super) fn rewrite(
        &mut self,
        flash: &mut dyn Flash,
        keyring: &Keyring,
        numbers: &[u32],
        more: &[u8],
        statement: Statement,
    ) -> Result<(), StoreError> {
        self.settle_dispute(flash)?;
        let rewritten = self.written_anew(flash, keyring, numbers, None, more, statement)?;
        let object = Object::GallerySegment(rewritten.header.number);
        if let Err(error) = flash.replace(object, &rewritten.bytes) {
            let others = numbers[1..].iter().filter_map(|number| self.segments.get(number));
            let held: Vec<PersonId> = others.flat_map(|other| other.held.clone()).collect();
            if let Some(segment) = self.segments.get_mut(&rewritten.header.number) {
                segment.unsure = true;
                segment.held.extend(held);
            }
            return Err(error.into());
        }
        self.take_rewritten(rewritten);
        Ok(())
    }

    /// The live records of neighbours as one segment, but for those of somebody who goes, followed by `more`.
    pub(super) fn written_anew(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
        numbers: &[u32],
        without: Option<PersonId>,
        more: &[u8],
        statement: Statement,
    ) -> Result<Rewritten, StoreError> {
        let first = numbers.first().copied().unwrap_or_default();
        let last = numbers.last().and_then(|last| self.segments.get(last));
        let header = Header::of(first, last.map_or(first, |last| last.header.through), &statement);
        let mut live = BTreeMap::new();
        let mut removals = Vec::new();
        for &number in numbers {
            self.read_live(flash, keyring, number, &mut live)?;
            let here = self.segments.get(&number).map_or(&[][..], |segment| &segment.removals);
            // What no other segment holds a record of needs no record of its removal.
            removals.extend(here.iter().copied().filter(|&(person, _)| {
                let mut others = self.segments.iter().filter(|(other, _)| !numbers.contains(other));
                others.any(|(_, segment)| segment.holds(person))
            }));
        }
        live.retain(|part, _| Some(part.person) != without);
        let mut records = Vec::new();
        for &(person, generation) in &removals {
            record::push_removed(&mut records, generation, person);
        }
        live.values().for_each(|bytes| records.extend_from_slice(bytes));
        records.extend_from_slice(more);
        let bytes = sealed(keyring, header, records, statement)?;
        let live = live.into_iter().map(|(part, bytes)| (part, bytes.len() as u32)).collect();
        let (numbers, key) = (numbers.to_vec(), keyring.current());
        Ok(Rewritten { numbers, header, bytes, key, live, removals })
    }

    /// Takes in what is on the flash now, followed by what the caller settles.
    pub(super) fn take_rewritten(&mut self, rewritten: Rewritten) {
        let Rewritten { numbers, header, bytes, key, live, removals } = rewritten;
        for number in numbers.iter().skip(1) {
            self.segments.remove(number);
            self.leftovers.insert(*number);
        }
        let mut segment = Segment {
            end: bytes.len() as u32,
            n_live: live.len() as u32,
            live_bytes: live.values().sum(),
            removals,
            oldest_key: key,
            ..Segment::empty(header)
        };
        for part in live.keys() {
            segment.hold(part.person);
            if let Some(place) = self.places.get_mut(part) {
                place.segment = header.number;
            }
        }
        self.segments.insert(header.number, segment);
    }

    /// The live records of a segment, as they stand there.
    fn read_live(
        &self,
        flash: &dyn Flash,
        keyring: &Keyring,
        number: u32,
        into: &mut BTreeMap<Part, Vec<u8>>,
    ) -> Result<(), StoreError> {
        let Some(segment) = self.segments.get(&number) else { return Ok(()) };
        let ending = if segment.unsure { Ending::PerhapsTorn } else { Ending::Whole };
        let before = into.len();
        let read = segment::read(flash, keyring, number, ending)?;
        let is_live = |raw: &Raw<'_>, part| {
            let place = self.places.get(&part);
            place.is_some_and(|at| at.segment == number && at.generation == raw.generation)
        };
        for batch in &read.batches {
            let batch = record::split(&read.bytes[batch.plain.clone()], read.header.has_sides());
            let records = batch.map(|(records, _)| records);
            for raw in records.into_iter().flatten().flatten() {
                if let Some(part) = raw.part.filter(|&part| is_live(&raw, part)) {
                    into.insert(part, raw.bytes.to_vec());
                }
            }
        }
        if into.len() - before == segment.n_live as usize {
            return Ok(());
        }
        // The medium lost them since they were read; what is left is not made the truth.
        let (object, offset) = (Object::GallerySegment(number), HEADER as u64);
        Err(StoreError::Damaged { object, offset, what: "records that were durable are gone" })
    }
}

/// A segment of one batch.
pub(super) fn sealed(
    keyring: &Keyring,
    header: Header,
    mut batch: Vec<u8>,
    statement: Statement,
) -> Result<Vec<u8>, StoreError> {
    statement.push(&mut batch);
    let mut bytes = header.to_bytes();
    header.seal(keyring, HEADER as u32, &batch, &mut bytes)?;
    Ok(bytes)
}
