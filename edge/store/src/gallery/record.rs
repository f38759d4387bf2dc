//! What stands in a batch of the gallery: records, and at the end what the whole gallery is after them.
//!
//! ```text
//! record:    kind u8 | generation u64 | person u32 | by its kind:
//!   1 person     name length u8 | name, UTF-8
//!   2 template   slot u8 | quality u8 | scale f32 | components u16 | i8 each
//!   3 removed    nothing
//!   4 access     from u64 | until u64, all bits set for no end | schedule u8, 0 for none | credentials u8, each:
//!                form u8 (1 badge of 26 bits, 2 of 34, 3 keypad) | facility or digits u16 | card or number u32
//!   5 schedule   of person 0: number u8 | name length u8 | intervals u8 | name, UTF-8 | each: days u8 | from u16 | to u16;
//!                one without intervals says that there is none any more
//!   6 template   of the second side, else as 2
//! statement: in a segment of version 3: rebased u64 | model id [32], of the second side
//!            generation u64 | rebased u64 | model id [32] | digest [32]
//! ```
//! Little endian. Of two records of one part the one of the later generation counts. A removed person's records do not count,
//! and neither do templates of a generation up to their side's `rebased`, at which the side was given to its model; zeros for a model
//! say that the side is empty.
//! Of all statements that of the highest generation counts; those of one generation are equal.
//! Terms: a *side* holds the templates of one model. Everything else of a person belongs to no side.

use crate::count::MOST;
use crate::gallery::digest::Digest;
use heapless::Vec as Bounded;
use threshold_record::template::MAX_SLOTS;
use threshold_record::{
    Access, Credential, Interval, MAX_SCHEDULES, ModelId, ModelTag, Name, Person, PersonId,
    Schedule, ScheduleId, Template,
};

/// Bytes of what a statement says of the first side and the whole.
const STATEMENT_FIRST: usize = 8 + 8 + 32 + 32;
/// Bytes of what it says of the second side, before that.
const STATEMENT_SECOND: usize = 8 + 32;
/// Bytes of a statement, at most.
pub(crate) const STATEMENT: usize = STATEMENT_SECOND + STATEMENT_FIRST;
/// Bytes of a record that says who was removed.
pub(crate) const REMOVED: usize = 1 + 8 + 4;

const KIND_PERSON: u8 = 1;
const KIND_TEMPLATE: u8 = 2;
const KIND_REMOVED: u8 = 3;
const KIND_ACCESS: u8 = 4;
const KIND_SCHEDULE: u8 = 5;
const KIND_SECOND_TEMPLATE: u8 = 6;

/// Most parts that stand under one id: name, access and the templates of both sides. The schedules, which stand under nobody's, are
/// fewer.
pub(crate) const MAX_PARTS: usize = 2 + 2 * MAX_SLOTS as usize;
const _: () = assert!(MAX_PARTS >= MAX_SCHEDULES as usize, "nobody's schedules");

/// What a record is about: a person's name, at place 0, the template of a slot, at the place after it, what else holds of the
/// person, behind the templates, and behind that the templates of the second side. Under nobody's id stand the schedules, each at the
/// place of its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) person: PersonId,
    pub(crate) place: u8,
}

impl Part {
    const ACCESS: u8 = MAX_SLOTS + 1;

    pub(crate) fn name_of(person: PersonId) -> Self {
        Self { person, place: 0 }
    }

    pub(crate) fn template(side: Side, person: PersonId, slot: u8) -> Self {
        let before = match side {
            Side::First => 1,
            Side::Second => Self::ACCESS + 1,
        };
        Self { person, place: slot.saturating_add(before) }
    }

    pub(crate) fn access(person: PersonId) -> Self {
        Self { person, place: Self::ACCESS }
    }

    pub(crate) fn schedule(id: ScheduleId) -> Self {
        Self { person: PersonId::NOBODY, place: id.0 }
    }

    pub(crate) fn is_name(self) -> bool {
        !self.person.is_nobody() && self.place == 0
    }

    /// The side whose template it is; `None` if it is none.
    pub(crate) fn side(self) -> Option<Side> {
        match self.place {
            _ if self.person.is_nobody() => None,
            1..=MAX_SLOTS => Some(Side::First),
            place if place > Self::ACCESS => Some(Side::Second),
            _ => None,
        }
    }

    pub(crate) fn is_access(self) -> bool {
        !self.person.is_nobody() && self.place == Self::ACCESS
    }

    /// Every part that a person has or could have.
    pub(crate) fn all_of(person: PersonId) -> std::ops::RangeInclusive<Self> {
        Self { person, place: 0 }..=Self { person, place: u8::MAX }
    }
}

/// Where templates stand: each side is of one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    First,
    Second,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

/// What a side is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OfModel {
    /// [`NO_MODEL`] if it is empty.
    pub(crate) model: ModelId,
    /// The generation at which it was given to that, or emptied.
    pub(crate) rebased: u64,
}

/// No model has that id.
pub(crate) const NO_MODEL: ModelId = ModelId([0; 32]);

impl OfModel {
    /// A side that never held anything.
    pub(crate) const NEVER: Self = Self { model: NO_MODEL, rebased: 0 };
}

/// What the whole gallery is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) generation: u64,
    pub(crate) first: OfModel,
    pub(crate) second: OfModel,
    pub(crate) digest: Digest,
}

impl Statement {
    /// True if only programs that know of sides read it.
    pub(crate) fn has_sides(&self) -> bool {
        self.second != OfModel::NEVER
    }

    pub(crate) fn side(&self, side: Side) -> OfModel {
        match side {
            Side::First => self.first,
            Side::Second => self.second,
        }
    }

    pub(crate) fn side_mut(&mut self, side: Side) -> &mut OfModel {
        match side {
            Side::First => &mut self.first,
            Side::Second => &mut self.second,
        }
    }

    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        if self.has_sides() {
            out.extend_from_slice(&self.second.rebased.to_le_bytes());
            out.extend_from_slice(&self.second.model.0);
        }
        out.extend_from_slice(&self.generation.to_le_bytes());
        out.extend_from_slice(&self.first.rebased.to_le_bytes());
        out.extend_from_slice(&self.first.model.0);
        out.extend_from_slice(&self.digest.to_bytes());
    }

    /// Of the bytes of the first side and the whole, and those of the second if there are such.
    fn from_bytes(mut first: &[u8], second: Option<&[u8; STATEMENT_SECOND]>) -> Option<Self> {
        let rest = &mut first;
        let generation = u64::from_le_bytes(array(rest)?);
        let rebased = u64::from_le_bytes(array(rest)?);
        let first = OfModel { model: ModelId(array(rest)?), rebased };
        let digest = Digest::from_bytes(array(rest)?);
        let mut second = second.map_or(&[][..], |second| second);
        let second = match second.is_empty() {
            true => OfModel::NEVER,
            false => {
                let rebased = u64::from_le_bytes(array(&mut second)?);
                OfModel { model: ModelId(array(&mut second)?), rebased }
            }
        };
        // A side was given to its model at a generation that was.
        let is_reached = generation <= MOST && first.rebased.max(second.rebased) <= generation;
        is_reached.then_some(Self { generation, first, second, digest })
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

/// Splits a batch into its records and its statement, which is one of sides if its segment says so; `None` if it is not one.
pub(crate) fn split(batch: &[u8], has_sides: bool) -> Option<(Records<'_>, Statement)> {
    let (records, first) = batch.split_last_chunk::<STATEMENT_FIRST>()?;
    let (records, second) = match has_sides {
        true => records.split_last_chunk().map(|(records, second)| (records, Some(second)))?,
        false => (records, None),
    };
    Some((Records(records), Statement::from_bytes(first, second)?))
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
    let body = bytes.get(HEAD..)?;
    let (part, len) = match head[0] {
        // Nobody has neither a name nor a face.
        KIND_PERSON | KIND_TEMPLATE | KIND_SECOND_TEMPLATE | KIND_ACCESS if person.is_nobody() => {
            return None;
        }
        KIND_PERSON => (Some(Part::name_of(person)), NAME_AT + usize::from(*bytes.get(HEAD)?)),
        kind @ (KIND_TEMPLATE | KIND_SECOND_TEMPLATE) => {
            let side = if kind == KIND_TEMPLATE { Side::First } else { Side::Second };
            let [slot, .., low, high] = body.first_chunk::<TEMPLATE_HEAD>()?;
            let len = usize::from(u16::from_le_bytes([*low, *high]));
            let part = Part::template(side, person, *slot);
            (Some(part).filter(|_| *slot < MAX_SLOTS), VECTOR_AT + len)
        }
        KIND_ACCESS => {
            let [.., count] = body.first_chunk::<ACCESS_HEAD>()?;
            let len = usize::from(*count) * CREDENTIAL;
            (Some(Part::access(person)), HEAD + ACCESS_HEAD + len)
        }
        KIND_SCHEDULE if person.is_nobody() => {
            let [number, name, intervals] = *body.first_chunk::<SCHEDULE_HEAD>()?;
            let len = usize::from(name) + usize::from(intervals) * INTERVAL;
            let part = Part::schedule(ScheduleId(number));
            let known = (1..=MAX_SCHEDULES).contains(&number);
            (Some(part).filter(|_| known), HEAD + SCHEDULE_HEAD + len)
        }
        KIND_REMOVED => (None, HEAD),
        _ => return None,
    };
    if (part.is_none() && head[0] != KIND_REMOVED) || generation > MOST {
        return None;
    }
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

/// Bytes of an access record before its credentials, and of each of them.
const ACCESS_HEAD: usize = 8 + 8 + 1 + 1;
const CREDENTIAL: usize = 1 + 2 + 4;
/// Bytes of a schedule before its name, and of each interval behind it.
const SCHEDULE_HEAD: usize = 3;
const INTERVAL: usize = 1 + 2 + 2;

/// The name in a person's record.
pub(crate) fn name(record: &[u8]) -> Option<Name> {
    let name = std::str::from_utf8(record.get(NAME_AT..)?).ok()?;
    Name::new(name).ok()
}

/// Puts the template in a template's record behind others; `None` if it is none that a unit seals. It is filled where it is to stay, since
/// it is long.
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
    template.check().ok()
}

pub(crate) fn push_person(out: &mut Vec<u8>, generation: u64, person: &Person) {
    let name = person.name.as_str().as_bytes();
    push_head(out, KIND_PERSON, generation, person.id);
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

pub(crate) fn push_template(out: &mut Vec<u8>, generation: u64, side: Side, template: &Template) {
    let kind = match side {
        Side::First => KIND_TEMPLATE,
        Side::Second => KIND_SECOND_TEMPLATE,
    };
    push_head(out, kind, generation, template.person);
    out.extend_from_slice(&[template.slot, template.quality]);
    out.extend_from_slice(&template.scale.to_le_bytes());
    out.extend_from_slice(&(template.vector.len() as u16).to_le_bytes());
    out.extend(template.vector.iter().map(|&component| component as u8));
}

/// What a record of a person's access says; `None` if it is not whole.
pub(crate) fn read_access(record: &[u8]) -> Option<Access> {
    let rest = &mut record.get(HEAD..)?;
    let (from, until) = (u64::from_le_bytes(array(rest)?), u64::from_le_bytes(array(rest)?));
    let [schedule, count] = array(rest)?;
    let mut access = Access {
        valid_from: Some(from).filter(|&from| from > 0),
        valid_until: Some(until).filter(|&until| until < u64::MAX),
        schedule: Some(ScheduleId(schedule)).filter(|_| schedule > 0),
        credentials: Bounded::new(),
    };
    for _ in 0..count {
        let [form] = array(rest)?;
        let (group, number) = (u16::from_le_bytes(array(rest)?), u32::from_le_bytes(array(rest)?));
        let small = (u8::try_from(group).ok(), u16::try_from(number).ok());
        let credential = match (form, small) {
            (1, (Some(facility), Some(card))) => Credential::Wiegand26 { facility, card },
            (2, (_, Some(card))) => Credential::Wiegand34 { facility: group, card },
            (3, (Some(digits), _)) => Credential::Keypad { digits, number },
            _ => return None,
        };
        access.credentials.push(credential).ok()?;
    }
    access.check().ok()?;
    Some(access)
}

/// What a record says of the schedule of that number: `Some(None)` that there is none any more; `None` if it is not whole.
pub(crate) fn read_schedule(record: &[u8], id: ScheduleId) -> Option<Option<Schedule>> {
    let rest = &mut record.get(HEAD + 1..)?;
    let [name, count] = array(rest)?;
    if (name, count) == (0, 0) {
        return Some(None);
    }
    let (name, intervals) = rest.split_at_checked(usize::from(name))?;
    *rest = intervals;
    let name = Name::new(std::str::from_utf8(name).ok()?).ok()?;
    let mut schedule = Schedule { id, name, intervals: Bounded::new() };
    for _ in 0..count {
        let [days] = array(rest)?;
        let (from, to) = (u16::from_le_bytes(array(rest)?), u16::from_le_bytes(array(rest)?));
        schedule.intervals.push(Interval { days, from, to }).ok()?;
    }
    schedule.check().ok()?;
    Some(Some(schedule))
}

pub(crate) fn push_access(out: &mut Vec<u8>, generation: u64, person: PersonId, access: &Access) {
    push_head(out, KIND_ACCESS, generation, person);
    out.extend_from_slice(&access.valid_from.unwrap_or(0).to_le_bytes());
    out.extend_from_slice(&access.valid_until.unwrap_or(u64::MAX).to_le_bytes());
    let schedule = access.schedule.map_or(0, |id| id.0);
    out.extend_from_slice(&[schedule, access.credentials.len() as u8]);
    for credential in &access.credentials {
        let (form, group, number) = match *credential {
            Credential::Wiegand26 { facility, card } => (1, u16::from(facility), u32::from(card)),
            Credential::Wiegand34 { facility, card } => (2, facility, u32::from(card)),
            Credential::Keypad { digits, number } => (3, u16::from(digits), number),
        };
        out.push(form);
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
    }
}

pub(crate) fn push_schedule(
    out: &mut Vec<u8>,
    generation: u64,
    id: ScheduleId,
    schedule: Option<&Schedule>,
) {
    push_head(out, KIND_SCHEDULE, generation, PersonId::NOBODY);
    let name = schedule.map_or(&[][..], |schedule| schedule.name.as_bytes());
    let intervals = schedule.map_or(&[][..], |schedule| &schedule.intervals);
    out.extend_from_slice(&[id.0, name.len() as u8, intervals.len() as u8]);
    out.extend_from_slice(name);
    for Interval { days, from, to } in intervals {
        out.push(*days);
        out.extend_from_slice(&from.to_le_bytes());
        out.extend_from_slice(&to.to_le_bytes());
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_no_unit_seals_is_not_taken_in() {
        let (person, model) = (PersonId(7), ModelTag([1; 8]));
        let vector = (0..128).map(|at| at as i8 - 64).collect::<Bounded<_, _>>();
        let sound = Template { person, slot: 1, quality: 80, model, scale: 0.01, vector };
        let zero = Template { vector: [0; 128].into_iter().collect(), ..sound.clone() };
        let least = Template { vector: [i8::MIN; 128].into_iter().collect(), ..sound.clone() };
        for (template, is_sound) in [
            (sound.clone(), true),
            (Template { scale: f32::NAN, ..sound.clone() }, false),
            (Template { scale: 0.0, ..sound.clone() }, false),
            (Template { quality: 101, ..sound.clone() }, false),
            (Template { slot: MAX_SLOTS, ..sound.clone() }, false),
            (Template { vector: Bounded::new(), ..sound }, false),
            (zero, false),
            (least, false),
        ] {
            let mut record = Vec::new();
            push_template(&mut record, 3, Side::First, &template);
            let mut read = Vec::new();
            let taken = read_template(&record, person, model, &mut read);
            assert_eq!(taken.is_some(), is_sound, "{template:?}");
            assert!(!is_sound || read == [template]);
        }
    }
}
