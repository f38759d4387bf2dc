//! `threshold gallery diff | verify`: a file's gallery beside a unit's, by digests, so that no template leaves the unit.
//!
//! Owns what counts as a difference: a person who is on one side only, a name, a slot, a template, limits and credentials. Units and generations are none.

use super::super::Answer;
use super::copy::{listing, own_key, people_words};
use crate::args;
use crate::gallery_file;
use crate::meant::Meant;
use crate::say::hex;
use crate::session::Session;
use crate::session::wait::{Machine, through_cuts};
use serde_json::{Value, json};
use std::cmp::Ordering;
use threshold_record::Person;
use threshold_wire::gallery::listing::Listing;

/// What is not the same on both sides, in order of the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The person is in the file only.
    File(Person),
    /// The person is on the unit only.
    Unit(Person),
    /// The id is another person's on the unit.
    Name(Person, Person),
    /// These slots differ.
    Slots(Person, Vec<u8>),
    /// The person's limits or credentials differ.
    Access(Person),
}

/// Everything that is not the same.
#[must_use]
pub fn differences(file: &Listing, unit: &Listing) -> Vec<Difference> {
    let (mut ours, mut theirs) = (file.people.iter().peekable(), unit.people.iter().peekable());
    let mut found = Vec::new();
    loop {
        let order = match (ours.peek(), theirs.peek()) {
            (None, None) => return found,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.person.id.cmp(&other.person.id),
        };
        let one = if order.is_le() { ours.next() } else { None };
        let other = if order.is_ge() { theirs.next() } else { None };
        match (one, other) {
            (Some(one), Some(other)) if one.person != other.person => {
                found.push(Difference::Name(one.person.clone(), other.person.clone()));
            }
            (Some(one), Some(other)) => {
                let both = one.digests.iter().zip(&other.digests).zip(0u8..);
                let slots = both.filter(|((a, b), _)| a != b).map(|(_, slot)| slot);
                let slots: Vec<u8> = slots.collect();
                if !slots.is_empty() {
                    found.push(Difference::Slots(one.person.clone(), slots));
                }
                if one.access != other.access {
                    found.push(Difference::Access(one.person.clone()));
                }
            }
            (Some(one), None) => found.push(Difference::File(one.person.clone())),
            (None, Some(other)) => found.push(Difference::Unit(other.person.clone())),
            (None, None) => return found,
        }
    }
}

/// Tells what differs.
///
/// # Errors
/// A file that does not open, a unit that does not answer or says no.
pub fn diff(meant: &Meant, typed: &args::GalleryFile) -> anyhow::Result<Answer> {
    let (file, unit) = both(meant, typed)?;
    let found = differences(&file, &unit);
    let same_model = file.origin.model == unit.origin.model;
    let value = json!({
        "file": typed.file.display().to_string(),
        "same_model": same_model,
        "differences": found.iter().map(Difference::value).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        let mut lines: Vec<String> = found.iter().map(Difference::text).collect();
        if !same_model {
            let (file, unit) = (file.origin.model, unit.origin.model);
            lines.insert(
                0,
                format!("the file's templates are of model {file}, the unit's of {unit}"),
            );
        }
        if lines.is_empty() { "nothing differs".to_owned() } else { lines.join("\n") }
    })?;
    Ok(if found.is_empty() && same_model { Answer::Yes } else { Answer::No })
}

/// Says whether the gallery is exactly the file's.
///
/// # Errors
/// A file that does not open, a unit that does not answer or says no.
pub fn verify(meant: &Meant, typed: &args::GalleryFile) -> anyhow::Result<Answer> {
    let (file, unit) = both(meant, typed)?;
    let (ours, theirs) = (file.digest(), unit.digest());
    let first = differences(&file, &unit).into_iter().next();
    let value = json!({
        "file": typed.file.display().to_string(),
        "same": ours == theirs,
        "file_digest": hex(&ours),
        "unit_digest": hex(&theirs),
        "first_difference": first.as_ref().map(Difference::value),
    });
    meant.say.result(&value, || match (ours == theirs, first) {
        (true, _) => format!(
            "the gallery is that of {}, template by template: {}, digest {}",
            typed.file.display(),
            people_words(file.people.len() as u32),
            hex(&ours)
        ),
        (false, Some(first)) => format!(
            "the gallery is not that of the file; the first difference: {}\ntry: threshold gallery diff shows all",
            first.text()
        ),
        (false, None) => "the gallery is not that of the file: the models differ".to_owned(),
    })?;
    Ok(if ours == theirs { Answer::Yes } else { Answer::No })
}

fn both(meant: &Meant, typed: &args::GalleryFile) -> anyhow::Result<(Listing, Listing)> {
    let (bytes, _) = gallery_file::read(&typed.file)?;
    let file = Listing::of(&gallery_file::open(&own_key(meant)?, &bytes)?);
    let (_, unit) = through_cuts(
        meant.wait,
        &mut Machine::new(),
        || Session::open_started(meant),
        |session| listing(session, meant.say),
    )?;
    Ok((file, unit))
}

impl Difference {
    fn text(&self) -> String {
        match self {
            Self::File(one) => format!("{} (#{}) is in the file only", one.name, one.id.0),
            Self::Unit(one) => format!("{} (#{}) is on the unit only", one.name, one.id.0),
            Self::Name(one, other) => {
                format!("#{} is {} in the file and {} on the unit", one.id.0, one.name, other.name)
            }
            Self::Slots(one, slots) => {
                let slots: Vec<String> = slots.iter().map(u8::to_string).collect();
                let word = if slots.len() == 1 { "slot" } else { "slots" };
                format!("{} (#{}) differs in {word} {}", one.name, one.id.0, slots.join(", "))
            }
            Self::Access(one) => {
                format!("{} (#{}) differs in limits or credentials", one.name, one.id.0)
            }
        }
    }

    fn value(&self) -> Value {
        let (what, one) = match self {
            Self::File(one) => ("file_only", one),
            Self::Unit(one) => ("unit_only", one),
            Self::Name(one, _) => ("name", one),
            Self::Slots(one, _) => ("slots", one),
            Self::Access(one) => ("access", one),
        };
        let unit_name = match self {
            Self::Name(_, other) => Some(other.name.as_str()),
            _ => None,
        };
        let slots = match self {
            Self::Slots(_, slots) => slots.as_slice(),
            _ => &[],
        };
        json!({
            "what": what,
            "person": one.id.0,
            "name": one.name.as_str(),
            "unit_name": unit_name,
            "slots": slots,
        })
    }
}
