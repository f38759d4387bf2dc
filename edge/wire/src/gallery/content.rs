//! The gallery with its templates: what is pulled, pushed, and lies sealed in files.
//!
//! ```text
//!  0 magic "THRGAL\r\n"
//!  8 version u16 (2) | 10 components u16: of every template; 0 if there are none
//! 12 model id [32]
//! 44 store id [16]: of the unit that it comes from
//! 60 generation u64: of that unit's gallery
//! 68 people u32 | 72 templates u32
//! 76 schedules u8 | each, in order of rising numbers: length u8 | Schedule in postcard
//!  n people, in order of rising ids:
//!      id u32 | name length u8 | name, UTF-8 | slots u8: bit n is set if slot n holds a template
//!      access length u8, 0 for nothing | Access in postcard
//!      for each of those slots, rising: quality u8 | scale f32 | components i8 each
//!  n BLAKE3 [32] of all before
//! ```
//! Little endian. One gallery has one form, so that the hash of a content stands for what is in it.
//! Version 1, which knew neither schedules nor access, is read too: nothing limits anybody there.
//! Refuses an id, a name or a credential that comes twice, a count that is not right, a schedule that somebody has and that is
//! not there, and a template that could not be compared.

use super::{GalleryFault, MAX_GALLERY, MAX_GALLERY_BYTES, MAX_PERSON};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use serde::{Serialize, de::DeserializeOwned};
use threshold_record::template::{MAX_EMBEDDING_LEN, MIN_EMBEDDING_LEN};
use threshold_record::{
    Access, MAX_SCHEDULES, ModelId, ModelTag, Name, Person, PersonId, Schedule, ScheduleId,
    Template,
};

const MAGIC: [u8; 8] = *b"THRGAL\r\n";
const VERSION: u16 = 2;
const HEADER: usize = 76;
const HASH: usize = 32;
/// Bytes of a template before its components.
const TEMPLATE_HEAD: usize = 1 + 4;

/// Whose gallery it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The model that made every template.
    pub model: ModelId,
    /// The store that it comes from.
    pub store_id: [u8; 16],
    /// The gallery's generation there.
    pub generation: u64,
}

/// Somebody as a content or a listing is told of: what holds of the person, and the templates in order of their slots.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// Who.
    pub person: &'a Person,
    /// The person's limits and credentials; `None` as long as nothing was set.
    pub access: Option<&'a Access>,
    /// The templates.
    pub templates: &'a [Template],
}

/// The content of a gallery: its schedules, in order of their numbers, and its people, in order of their ids.
///
/// # Errors
/// [`GalleryFault::Damaged`] if the templates have not one length.
pub fn write<'a>(
    origin: &Origin,
    schedules: impl Iterator<Item = &'a Schedule>,
    people: impl Iterator<Item = Told<'a>>,
) -> Result<Vec<u8>, GalleryFault> {
    let mut bytes = head(MAGIC, VERSION, origin);
    bytes.push(0);
    for schedule in schedules {
        bytes[HEADER] += 1;
        push_part(&mut bytes, Some(schedule));
    }
    let (mut n_people, mut n_templates) = (0u32, 0u32);
    let mut components = 0;
    for Told { person, access, templates } in people {
        n_people += 1;
        let slots = templates.iter().fold(0u8, |slots, held| slots | 1 << (held.slot & 7));
        push_person(&mut bytes, person, slots);
        push_part(&mut bytes, access);
        for template in templates {
            let len = template.vector.len();
            if n_templates > 0 && len != components {
                return Err(GalleryFault::Damaged { at: bytes.len() as u32 });
            }
            components = len;
            n_templates += 1;
            push_template(&mut bytes, template);
        }
    }
    bytes[10..12].copy_from_slice(&(components as u16).to_le_bytes());
    bytes[68..72].copy_from_slice(&n_people.to_le_bytes());
    bytes[72..76].copy_from_slice(&n_templates.to_le_bytes());
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    Ok(bytes)
}

/// A header without counts.
pub(super) fn head(magic: [u8; 8], version: u16, origin: &Origin) -> Vec<u8> {
    let mut bytes = Vec::from(magic);
    bytes.extend_from_slice(&version.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&origin.model.0);
    bytes.extend_from_slice(&origin.store_id);
    bytes.extend_from_slice(&origin.generation.to_le_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes
}

pub(super) fn push_person(bytes: &mut Vec<u8>, person: &Person, slots: u8) {
    bytes.extend_from_slice(&person.id.0.to_le_bytes());
    bytes.push(person.name.len() as u8);
    bytes.extend_from_slice(person.name.as_bytes());
    bytes.push(slots);
}

/// Writes a part with its length in front; 0 for none.
fn push_part<T: Serialize>(bytes: &mut Vec<u8>, part: Option<&T>) {
    // The longest, a schedule of the longest name and the most intervals, takes 137 bytes.
    let mut buffer = [0; 255];
    let part = part.and_then(|part| postcard::to_slice(part, &mut buffer).ok());
    let part: &[u8] = part.map_or(&[], |part| part);
    bytes.push(part.len() as u8);
    bytes.extend_from_slice(part);
}

pub(super) fn push_template(bytes: &mut Vec<u8>, template: &Template) {
    bytes.push(template.quality);
    bytes.extend_from_slice(&template.scale.to_le_bytes());
    bytes.extend(template.vector.iter().map(|&component| component as u8));
}

/// A content that was checked. Holding one proves that its people and templates can stand in a gallery of its model.
#[derive(Clone, Debug)]
pub struct Content {
    /// Whose it is.
    pub origin: Origin,
    /// How many people there are.
    pub people: u32,
    /// How many templates they have.
    pub templates: u32,
    /// Components of every template; 0 if there are none.
    pub components: u16,
    /// The schedules, in order of their numbers.
    pub schedules: Vec<Schedule>,
    version: u16,
    /// Where the people begin.
    start: usize,
    bytes: Vec<u8>,
}

/// Between two people of a content; the first place is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place(usize);

/// A person of a content.
#[derive(Clone, Debug)]
pub struct PersonIn<'a> {
    /// Who.
    pub person: Person,
    /// Bit n is set if slot n holds a template.
    pub slots: u8,
    /// The person's limits and credentials; `None` as long as nothing was set.
    pub access: Option<Access>,
    components: usize,
    templates: &'a [u8],
}

impl Content {
    /// Checks the whole of a content.
    ///
    /// # Errors
    /// [`GalleryFault`].
    pub fn read(bytes: Vec<u8>) -> Result<Self, GalleryFault> {
        let len = bytes.len() as u64;
        if len > MAX_GALLERY_BYTES {
            return Err(GalleryFault::TooLong { len, max: MAX_GALLERY_BYTES });
        }
        let mut cursor = Cursor { bytes: &bytes, at: 0 };
        let (version, components, origin) = cursor.head(MAGIC, VERSION)?;
        let (people, templates) = (cursor.u32()?, cursor.u32()?);
        let mut schedules = Vec::new();
        let count = if version > 1 { cursor.array::<1>()?[0] } else { 0 };
        for _ in 0..count.min(MAX_SCHEDULES + 1) {
            let damaged = cursor.damaged();
            let schedule: Schedule = cursor.part()?.ok_or(damaged)?;
            let rises = schedules.last().is_none_or(|last: &Schedule| last.id < schedule.id);
            let is_new = schedules.iter().all(|held| held.name != schedule.name);
            if !rises || !is_new || schedule.check().is_err() {
                return Err(damaged);
            }
            schedules.push(schedule);
        }
        let start = cursor.at;
        let (covered, hash) = bytes.split_last_chunk::<HASH>().ok_or(cursor.damaged())?;
        if covered.len() < HEADER || blake3::hash(covered) != *hash {
            return Err(GalleryFault::Damaged { at: covered.len() as u32 });
        }
        let fits = match templates {
            0 => components == 0,
            _ => (MIN_EMBEDDING_LEN..=MAX_EMBEDDING_LEN).contains(&usize::from(components)),
        };
        if people > MAX_GALLERY || templates > MAX_GALLERY || !fits {
            return Err(GalleryFault::Damaged { at: 10 });
        }
        let content =
            Self { origin, people, templates, components, schedules, version, start, bytes };
        content.check()?;
        Ok(content)
    }

    fn records(&self, from: usize) -> Cursor<'_> {
        let end = self.bytes.len().saturating_sub(HASH);
        Cursor { bytes: self.bytes.get(from..end).unwrap_or(&[]), at: from }
    }

    fn check(&self) -> Result<(), GalleryFault> {
        let mut cursor = self.records(self.start);
        let (mut names, mut credentials) = (BTreeSet::new(), BTreeSet::new());
        let (mut before, mut people, mut templates) = (PersonId::NOBODY, 0, 0);
        while !cursor.bytes.is_empty() {
            let damaged = cursor.damaged();
            let person = cursor.person(self.version, usize::from(self.components))?;
            let id = person.person.id;
            let fits = person.access.as_ref().is_none_or(|access| {
                access.check().is_ok()
                    && access.schedule.is_none_or(|id| self.schedule(id).is_some())
                    && access.credentials.iter().all(|&held| credentials.insert(held))
            });
            let sound = id > before
                && fits
                && person.templates(self.origin.model.tag()).all(|held| held.check().is_ok());
            before = id;
            people += 1;
            templates += person.slots.count_ones();
            if !sound || people > self.people || !names.insert(person.person.name) {
                return Err(damaged);
            }
        }
        if people != self.people || templates != self.templates {
            return Err(GalleryFault::Damaged { at: 68 });
        }
        Ok(())
    }

    /// Asked before anybody is brought in: ids that a unit gave itself may lie higher.
    ///
    /// # Errors
    /// [`GalleryFault::Damaged`] at the first person with an id above [`MAX_PERSON`].
    pub fn check_ids(&self) -> Result<(), GalleryFault> {
        let mut cursor = self.records(self.start);
        while !cursor.bytes.is_empty() {
            let damaged = cursor.damaged();
            let held = cursor.person(self.version, usize::from(self.components))?;
            if held.person.id > MAX_PERSON {
                return Err(damaged);
            }
        }
        Ok(())
    }

    /// One of its schedules.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<&Schedule> {
        self.schedules.iter().find(|schedule| schedule.id == id)
    }

    /// The people, in order of their ids.
    pub fn people(&self) -> impl Iterator<Item = PersonIn<'_>> {
        self.people_from(Place::default()).map(|(person, _)| person)
    }

    /// The people from a place on, each with the place behind.
    pub fn people_from(&self, place: Place) -> impl Iterator<Item = (PersonIn<'_>, Place)> {
        let components = usize::from(self.components);
        let (version, start) = (self.version, self.start);
        let mut cursor = self.records(start + place.0);
        // They were checked, so that every one reads.
        core::iter::from_fn(move || {
            (!cursor.bytes.is_empty()).then_some(())?;
            let person = cursor.person(version, components).ok()?;
            Some((person, Place(cursor.at - start)))
        })
    }
}

impl PersonIn<'_> {
    /// The templates, in order of their slots.
    pub fn templates(&self, model: ModelTag) -> impl Iterator<Item = Template> + '_ {
        let slots = (0..8).filter(|slot| self.slots >> slot & 1 == 1);
        let each = self.templates.chunks_exact(TEMPLATE_HEAD + self.components);
        slots.zip(each).map(move |(slot, bytes)| {
            let (head, components) = bytes.split_at(TEMPLATE_HEAD);
            let scale = f32::from_le_bytes([head[1], head[2], head[3], head[4]]);
            let vector = components.iter().map(|&component| component as i8).collect();
            Template { person: self.person.id, slot, quality: head[0], model, scale, vector }
        })
    }
}

/// Reads a content from the front.
pub(super) struct Cursor<'a> {
    pub(super) bytes: &'a [u8],
    /// Where that is in the content.
    pub(super) at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn damaged(&self) -> GalleryFault {
        GalleryFault::Damaged { at: self.at as u32 }
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], GalleryFault> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or(self.damaged())?;
        (self.bytes, self.at) = (rest, self.at + len);
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GalleryFault> {
        let damaged = self.damaged();
        self.take(N)?.try_into().map_err(|_| damaged)
    }

    fn u16(&mut self) -> Result<u16, GalleryFault> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, GalleryFault> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// A part with its length in front; `None` for one of no bytes. One that is not in the form in which it is written is none.
    fn part<T: Serialize + DeserializeOwned>(&mut self) -> Result<Option<T>, GalleryFault> {
        let damaged = self.damaged();
        let [len] = self.array()?;
        if len == 0 {
            return Ok(None);
        }
        let bytes = self.take(usize::from(len))?;
        let part: T = postcard::from_bytes(bytes).map_err(|_| damaged)?;
        let mut again = Vec::new();
        push_part(&mut again, Some(&part));
        if again.get(1..) == Some(bytes) { Ok(Some(part)) } else { Err(damaged) }
    }

    /// The version, at most `newest`, the word behind it, and whose it is.
    pub(super) fn head(
        &mut self,
        magic: [u8; 8],
        newest: u16,
    ) -> Result<(u16, u16, Origin), GalleryFault> {
        if self.array::<8>().ok() != Some(magic) {
            return Err(GalleryFault::NotAGallery);
        }
        let found = self.u16()?;
        if !(1..=newest).contains(&found) {
            return Err(GalleryFault::Version { found, supported: newest });
        }
        let word = self.u16()?;
        let (model, store_id) = (ModelId(self.array()?), self.array()?);
        let generation = u64::from_le_bytes(self.array()?);
        Ok((found, word, Origin { model, store_id, generation }))
    }

    /// Id, name and slots of the next person.
    pub(super) fn who(&mut self) -> Result<(Person, u8), GalleryFault> {
        let damaged = self.damaged();
        let id = PersonId(self.u32()?);
        let [len] = self.array()?;
        let name = core::str::from_utf8(self.take(usize::from(len))?).map_err(|_| damaged)?;
        let name = Name::new(name).map_err(|_| damaged)?;
        let [slots] = self.array()?;
        Ok((Person { id, name }, slots))
    }

    fn person(&mut self, version: u16, components: usize) -> Result<PersonIn<'a>, GalleryFault> {
        let (person, slots) = self.who()?;
        let access = if version > 1 { self.part()? } else { None };
        let len = slots.count_ones() as usize * (TEMPLATE_HEAD + components);
        let templates = self.take(len)?;
        Ok(PersonIn { person, slots, access, components, templates })
    }
}
