//! What stands in a batch of the gallery: records, and at the end what the whole gallery is after them.
//!
//! ```text
//! record:    kind u8 | generation u64 | person u32 | by its kind:
//!   1 person     name length u8 | name, UTF-8
//!   2 template   slot u8 | quality u8 | scale f32 | components u16 | i8 each
//!   3 removed    nothing
//! statement: generation u64 | rebased u64 | model id [32] | digest [32]
//! ```
//! Little endian. Of two records of one part the one of the later generation counts. A removed person's records do not count,
//! and neither do templates of a generation up to `rebased`, at which the gallery was given to the statement's model.
//! Of all statements that of the highest generation counts; those of one generation are equal.

use crate::gallery::digest::Digest;
use heapless::Vec as Bounded;
use threshold_record::template::MAX_SLOTS;
use threshold_record::{ModelId, ModelTag, Name, Person, PersonId, Template};

/// Bytes of a statement.
pub(crate) const STATEMENT: usize = 8 + 8 + 32 + 32;
/// Bytes of a record that says who was removed.
pub(crate) const REMOVED: usize = 1 + 8 + 4;

const KIND_PERSON: u8 = 1;
const KIND_TEMPLATE: u8 = 2;
const KIND_REMOVED: u8 = 3;

/// What a record is about: a person's name, at place 0, or the template of a slot, at the place after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) person: PersonId,
    pub(crate) place: u8,
}

impl Part {
    pub(crate) fn name_of(person: PersonId) -> Self {
        Self { person, place: 0 }
    }

    pub(crate) fn template(person: PersonId, slot: u8) -> Self {
        Self { person, place: slot.saturating_add(1) }
    }

    pub(crate) fn is_template(self) -> bool {
        self.place > 0
    }

    /// Every part that a person has or could have.
    pub(crate) fn all_of(person: PersonId) -> std::ops::RangeInclusive<Self> {
        Self { person, place: 0 }..=Self { person, place: u8::MAX }
    }
}

/// What the whole gallery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) generation: u64,
    pub(crate) rebased: u64,
    pub(crate) model: ModelId,
    pub(crate) digest: Digest,
}

impl Statement {
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.rebased.to_le_bytes());
        out.extend_from_slice(&self.model.0);
        out.extend_from_slice(&self.digest.to_bytes());
    }

    fn from_bytes(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        let generation = u64::from_le_bytes(array(rest)?);
        let rebased = u64::from_le_bytes(array(rest)?);
        let model = ModelId(array(rest)?);
        let digest = Digest::from_bytes(array(rest)?);
        Some(Self { generation, rebased, model, digest })
    }
}

/// A record as it stands in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    pub(crate) generation: u64,
    pub(crate) person: PersonId,
    /// What it is about; `None` if it says that the person was removed.
    pub(crate) part: Option<Part>,
    /// The whole of it.
    pub(crate) bytes: &'a [u8],
}

/// Splits a batch into its records and its statement; `None` if it is not one.
pub(crate) fn split(batch: &[u8]) -> Option<(Records<'_>, Statement)> {
    let (records, statement) = batch.split_last_chunk::<STATEMENT>()?;
    Some((Records(records), Statement::from_bytes(statement)?))
}

/// The records of a batch; one that is no record is given as `None`, and nothing after it.
pub(crate) struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Option<Raw<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let found = first(self.0);
        let len = found.map_or(self.0.len(), |raw| raw.bytes.len());
        self.0 = self.0.get(len..).unwrap_or(&[]);
        Some(found)
    }
}

/// The record that bytes begin with; `None` if they do not.
fn first(bytes: &[u8]) -> Option<Raw<'_>> {
    let head = bytes.first_chunk::<HEAD>()?;
    let generation = u64::from_le_bytes(*head[1..].first_chunk()?);
    let person = PersonId(u32::from_le_bytes(*head[9..].first_chunk()?));
    let (part, len) = match head[0] {
        KIND_PERSON => (Some(Part::name_of(person)), NAME_AT + usize::from(*bytes.get(HEAD)?)),
        KIND_TEMPLATE => {
            let [slot, .., low, high] = bytes.get(HEAD..)?.first_chunk::<TEMPLATE_HEAD>()?;
            let len = usize::from(u16::from_le_bytes([*low, *high]));
            (Some(Part::template(person, *slot)), VECTOR_AT + len)
        }
        KIND_REMOVED => (None, HEAD),
        _ => return None,
    };
    Some(Raw { generation, person, part, bytes: bytes.get(..len)? })
}

/// Bytes before what is particular to a kind.
const HEAD: usize = 1 + 8 + 4;
/// Where a name begins in its record.
const NAME_AT: usize = HEAD + 1;
/// Bytes of a template before its vector.
const TEMPLATE_HEAD: usize = 1 + 1 + 4 + 2;
/// Where a vector begins in its record.
const VECTOR_AT: usize = HEAD + TEMPLATE_HEAD;

/// The name in a person's record.
pub(crate) fn name(record: &[u8]) -> Option<Name> {
    let name = std::str::from_utf8(record.get(NAME_AT..)?).ok()?;
    Name::new(name).ok()
}

/// Puts the template in a template's record behind others; `None` if there is no such slot or it is too long. It is filled where
/// it is to stay, since it is long; everything else of it was checked before it was sealed.
pub(crate) fn read_template(
    record: &[u8],
    person: PersonId,
    model: ModelTag,
    into: &mut Vec<Template>,
) -> Option<()> {
    let [slot, quality, scale @ .., _, _] = *record.get(HEAD..)?.first_chunk::<TEMPLATE_HEAD>()?;
    let components = record.get(VECTOR_AT..)?;
    let (scale, vector) = (f32::from_le_bytes(scale), Bounded::new());
    into.push(Template { person, slot, quality, model, scale, vector });
    let template = into.last_mut()?;
    template.vector.resize(components.len(), 0).ok()?;
    let to = template.vector.iter_mut().zip(components);
    to.for_each(|(to, &byte)| *to = byte as i8);
    debug_assert!(template.check().is_ok());
    (slot < MAX_SLOTS).then_some(())
}

pub(crate) fn push_person(out: &mut Vec<u8>, generation: u64, person: &Person) {
    let name = person.name.as_str().as_bytes();
    push_head(out, KIND_PERSON, generation, person.id);
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

pub(crate) fn push_template(out: &mut Vec<u8>, generation: u64, template: &Template) {
    push_head(out, KIND_TEMPLATE, generation, template.person);
    out.extend_from_slice(&[template.slot, template.quality]);
    out.extend_from_slice(&template.scale.to_le_bytes());
    out.extend_from_slice(&(template.vector.len() as u16).to_le_bytes());
    out.extend(template.vector.iter().map(|&component| component as u8));
}

pub(crate) fn push_removed(out: &mut Vec<u8>, generation: u64, person: PersonId) {
    push_head(out, KIND_REMOVED, generation, person);
}

fn push_head(out: &mut Vec<u8>, kind: u8, generation: u64, person: PersonId) {
    out.push(kind);
    out.extend_from_slice(&generation.to_le_bytes());
    out.extend_from_slice(&person.0.to_le_bytes());
}

fn array<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk::<N>()?;
    *rest = left;
    Some(*taken)
}
