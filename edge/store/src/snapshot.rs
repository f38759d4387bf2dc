//! The gallery on flash: one object, replaced whole with each change.
//!
//! ```text
//!   0 magic "THRGAL\r\n"        | 24 model id [u8; 32]
//!   8 version u16 (1)           | 56 people u32
//!  10 reserved u16, zero        | 60 templates u32
//!  12 body length u32           | 64 body
//!  16 generation u64            | 64+n BLAKE3 of bytes 0 to 64+n, 32 bytes
//! body: each person    id u32 | name length u8 | name, UTF-8
//!       each template  person u32 | slot u8 | quality u8 | scale f32 | components u16 | i8 each
//! ```
//! Little endian. People in order of their ids, templates in order of person and slot, so that one gallery is one
//! snapshot. The hash finds damage; it proves nothing about who wrote it.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::Object;
use crate::gallery::Gallery;
use heapless::Vec as Bounded;
use threshold_record::template::MAX_EMBEDDING_LEN;
use threshold_record::{ModelId, Person, PersonId, Template};

const MAGIC: [u8; 8] = *b"THRGAL\r\n";
const VERSION: u16 = 1;
const HEADER: usize = 64;
const HASH: usize = 32;

/// The longest snapshot that makes sense: a full gallery of the longest names and embeddings.
pub(crate) const MAX_BYTES: u64 =
    (HEADER + HASH + Gallery::CAPACITY * (4 + 1 + 64 + 12 + MAX_EMBEDDING_LEN)) as u64;

/// The bytes of a gallery.
pub(crate) fn to_bytes(gallery: &Gallery) -> Vec<u8> {
    let mut body = Vec::new();
    for member in gallery.members() {
        let name = member.person.name.as_str().as_bytes();
        body.extend_from_slice(&member.person.id.0.to_le_bytes());
        body.push(name.len() as u8);
        body.extend_from_slice(name);
    }
    for template in gallery.templates() {
        body.extend_from_slice(&template.person.0.to_le_bytes());
        body.extend_from_slice(&[template.slot, template.quality]);
        body.extend_from_slice(&template.scale.to_le_bytes());
        body.extend_from_slice(&(template.vector.len() as u16).to_le_bytes());
        body.extend(template.vector.iter().map(|&component| component as u8));
    }
    let mut bytes = Vec::with_capacity(HEADER + body.len() + HASH);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&gallery.generation().to_le_bytes());
    bytes.extend_from_slice(&gallery.model().0);
    bytes.extend_from_slice(&(gallery.n_people() as u32).to_le_bytes());
    bytes.extend_from_slice(&(gallery.n_templates() as u32).to_le_bytes());
    bytes.extend_from_slice(&body);
    let hash = blake3::hash(&bytes);
    bytes.extend_from_slice(hash.as_bytes());
    bytes
}

/// The gallery of a snapshot's bytes.
///
/// # Errors
/// [`StoreError::Damaged`] or [`StoreError::Version`].
pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Gallery, StoreError> {
    let mut reader = Reader::new(Object::Gallery, bytes);
    reader.magic(&MAGIC)?;
    reader.version(VERSION)?;
    let mut reader = reader.hashed(|covered| *blake3::hash(covered).as_bytes())?;
    reader.zero(2)?;
    let body_len = reader.u32()? as usize;
    let generation = reader.u64()?;
    let model = ModelId(reader.array()?);
    let (people, templates) = (reader.u32()? as usize, reader.u32()? as usize);
    if reader.left() != body_len {
        return Err(reader.damaged("length of the body"));
    }
    let people = (0..people).map(|_| person(&mut reader)).collect::<Result<Vec<_>, _>>()?;
    let templates =
        (0..templates).map(|_| template(&mut reader, model)).collect::<Result<Vec<_>, _>>()?;
    if reader.left() != 0 {
        return Err(reader.damaged("bytes after the last template"));
    }
    Gallery::from_parts(model, generation, people, templates)
        .map_err(|_| reader.damaged("people and templates that do not go together"))
}

fn person(reader: &mut Reader<'_>) -> Result<Person, StoreError> {
    let id = PersonId(reader.u32()?);
    let len = usize::from(reader.u8()?);
    let name = reader.take(len)?;
    let name = std::str::from_utf8(name).map_err(|_| reader.damaged("a name"))?;
    Person::new(id, name).map_err(|_| reader.damaged("a name"))
}

fn template(reader: &mut Reader<'_>, model: ModelId) -> Result<Template, StoreError> {
    let person = PersonId(reader.u32()?);
    let (slot, quality) = (reader.u8()?, reader.u8()?);
    let scale = f32::from_le_bytes(reader.array()?);
    let len = usize::from(u16::from_le_bytes(reader.array()?));
    let components = reader.take(len)?;
    let vector: Bounded<i8, MAX_EMBEDDING_LEN> =
        components.iter().take(MAX_EMBEDDING_LEN).map(|&byte| byte as i8).collect();
    if vector.len() != len {
        return Err(reader.damaged("the length of an embedding"));
    }
    Ok(Template { person, slot, quality, model: model.tag(), scale, vector })
}
