//! The gallery without its templates: who is there, and a digest of each template, to compare two galleries by.
//!
//! ```text
//!  0 magic "THRGDL\r\n" | 8 version u16 (2) | 10 reserved u16, zero
//! 12 model id [32] | 44 store id [16] | 60 generation u64 | 68 people u32 | 72 reserved u32, zero
//! 76 people, in order of rising ids: id u32 | name length u8 | name | slots u8 | access digest [16], zero for none |
//!      for each slot, rising: digest [16]
//! ```
//! Little endian. A digest is the first half of BLAKE3, keyed by derivation, of a template's quality, scale and components as a
//! `content` has them: two templates of one digest are one template, as far as anybody can find two. An access' digest is that of
//! the limits and credentials with the schedule's name and intervals in place of its number, which another unit gives otherwise.

use super::content::{Content, Cursor, Origin, Told, head, push_person, push_template};
use super::{GalleryFault, MAX_GALLERY};
use alloc::vec::Vec;
use threshold_record::template::MAX_SLOTS;
use threshold_record::{Access, Person, PersonId, Schedule, Template};

const MAGIC: [u8; 8] = *b"THRGDL\r\n";
const VERSION: u16 = 2;
const CONTEXT: &str = "Threshold wire 2026 template digest";

/// What stands for a template.
pub type Digest = [u8; 16];

/// Who is there, and what stands for the templates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// Whose gallery it is.
    pub origin: Origin,
    /// The people, in order of their ids.
    pub people: Vec<Listed>,
}

/// A person of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Who.
    pub person: Person,
    /// What stands for the limits and credentials; `None` as long as nothing was set.
    pub access: Option<Digest>,
    /// What stands for the template of each slot.
    pub digests: [Option<Digest>; MAX_SLOTS as usize],
}

/// What stands for a template.
#[must_use]
pub fn digest(template: &Template) -> Digest {
    let mut bytes = Vec::with_capacity(5 + template.vector.len());
    push_template(&mut bytes, template);
    let whole = blake3::derive_key(CONTEXT, &bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

/// What stands for a person's limits and credentials, with the schedule that they name; what limits nothing and claims nobody is
/// as good as none.
#[must_use]
pub fn access_digest(access: Option<&Access>, schedule: Option<&Schedule>) -> Option<Digest> {
    let access = access.filter(|access| **access != Access::default())?;
    let of_schedule = schedule.map(|schedule| (&schedule.name, &schedule.intervals));
    let mut credentials = access.credentials.clone();
    credentials.sort_unstable();
    let parts = (access.valid_from, access.valid_until, credentials, of_schedule);
    // Longer than a person's limits and a schedule together.
    let mut buffer = [0; 512];
    let bytes = postcard::to_slice(&parts, &mut buffer).ok()?;
    let whole = blake3::derive_key("Threshold wire 2026 access digest", bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    Some(half)
}

/// The listing of a gallery's people, in order of their ids; `schedules` are those that they may have.
#[must_use]
pub fn write<'a>(
    origin: &Origin,
    schedules: &[&Schedule],
    people: impl Iterator<Item = Told<'a>>,
) -> Vec<u8> {
    let mut bytes = head(MAGIC, VERSION, origin);
    let mut n_people = 0u32;
    for Told { person, access, templates } in people {
        n_people += 1;
        let slots = templates.iter().fold(0u8, |slots, held| slots | 1 << (held.slot & 7));
        push_person(&mut bytes, person, slots);
        let id = access.and_then(|access| access.schedule);
        let schedule = schedules.iter().copied().find(|schedule| Some(schedule.id) == id);
        bytes.extend_from_slice(&access_digest(access, schedule).unwrap_or_default());
        templates.iter().for_each(|held| bytes.extend_from_slice(&digest(held)));
    }
    bytes[68..72].copy_from_slice(&n_people.to_le_bytes());
    bytes
}

impl Listing {
    /// The listing of bytes.
    ///
    /// # Errors
    /// [`GalleryFault`].
    pub fn read(bytes: &[u8]) -> Result<Self, GalleryFault> {
        let mut cursor = Cursor { bytes, at: 0 };
        let (version, _, origin) = cursor.head(MAGIC, VERSION)?;
        let n_people = cursor.u32()?;
        cursor.u32()?;
        if n_people > MAX_GALLERY {
            return Err(GalleryFault::Damaged { at: 68 });
        }
        let mut people = Vec::new();
        let mut before = PersonId::NOBODY;
        while !cursor.bytes.is_empty() {
            let damaged = cursor.damaged();
            let (person, slots) = cursor.who()?;
            if person.id <= before || people.len() >= n_people as usize {
                return Err(damaged);
            }
            before = person.id;
            let access = if version > 1 { cursor.array()? } else { Digest::default() };
            let access = Some(access).filter(|digest| *digest != Digest::default());
            let mut digests = [None; MAX_SLOTS as usize];
            for (slot, digest) in digests.iter_mut().enumerate() {
                if slots >> slot & 1 == 1 {
                    *digest = Some(cursor.array()?);
                }
            }
            people.push(Listed { person, access, digests });
        }
        if people.len() != n_people as usize {
            return Err(GalleryFault::Damaged { at: 68 });
        }
        Ok(Self { origin, people })
    }

    /// The listing of a content.
    #[must_use]
    pub fn of(content: &Content) -> Self {
        let listed = content.people().map(|held| {
            let mut digests = [None; MAX_SLOTS as usize];
            for template in held.templates(content.origin.model.tag()) {
                if let Some(place) = digests.get_mut(usize::from(template.slot)) {
                    *place = Some(digest(&template));
                }
            }
            let access = held.access.as_ref();
            let schedule = access.and_then(|access| content.schedule(access.schedule?));
            Listed { access: access_digest(access, schedule), person: held.person, digests }
        });
        Self { origin: content.origin, people: listed.collect() }
    }

    /// One number for who is there with which limits, credentials and templates of which model, whatever unit and generation it is: the first 16 bytes of
    /// BLAKE3.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("Threshold wire 2026 gallery digest");
        hasher.update(&self.origin.model.0);
        let mut bytes = Vec::new();
        for Listed { person, access, digests } in &self.people {
            bytes.clear();
            let used = digests.iter().enumerate().filter(|(_, digest)| digest.is_some());
            let slots = used.fold(0u8, |slots, (slot, _)| slots | 1 << slot);
            push_person(&mut bytes, person, slots);
            bytes.extend_from_slice(&access.unwrap_or_default());
            digests.iter().flatten().for_each(|digest| bytes.extend_from_slice(digest));
            hasher.update(&bytes);
        }
        let mut half = [0; 16];
        half.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        half
    }
}
