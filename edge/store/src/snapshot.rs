//! The gallery of formats 1 and 2: one object, which earlier programs replaced whole with each change, and which is only read
//! here, to make segments of it.
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

/// Templates that fitted, and people.
const CAPACITY: usize = 10_000;

/// The longest snapshot that makes sense: a full gallery of the longest names and embeddings.
pub(crate) const MAX_BYTES: u64 =
    (HEADER + HASH + CAPACITY * (4 + 1 + 64 + 12 + MAX_EMBEDDING_LEN)) as u64;

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
    let generation = reader.count()?;
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
