//! The people of a unit's gallery: reading all of them, finding the one who is meant, names for the log.
//!
//! Owns what a typed person means: a name as it is, or an id as `#7`.
//! Refuses to guess: a name that is almost right is an error that names the near ones.

use crate::error::HostError;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::{EntryKind, LogEntry, PersonId};
use threshold_wire::RequestError;
use threshold_wire::endpoints::ListGallery;
use threshold_wire::message::{GalleryPageRequest, PersonSummary};

/// Readings that may be disturbed by changes before the gallery is called too busy.
const TRIES: usize = 16;

/// Everybody in the gallery, at one generation.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The gallery's generation.
    pub generation: u64,
    /// The people in order of their ids.
    pub people: Vec<PersonSummary>,
}

impl People {
    /// Reads the whole gallery; starts again if it changes meanwhile.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn read<T: Transport>(session: &mut Session<T>) -> Result<Self, SessionError> {
        let mut tries = 0;
        let mut all = Self::default();
        let mut after = PersonId::NOBODY;
        loop {
            let page = session.call::<ListGallery>(&GalleryPageRequest { after })?;
            let first = after.is_nobody();
            if !first && page.generation != all.generation && tries < TRIES {
                tries += 1;
                (all, after) = (Self::default(), PersonId::NOBODY);
                continue;
            }
            all.generation = page.generation;
            let before = after;
            after = page.people.last().map_or(after, |last| last.person);
            all.people.extend(page.people);
            // A unit that sends the same page for ever would be followed for ever.
            if !page.more || after <= before {
                return Ok(all);
            }
        }
    }

    /// The person who is meant, by name or by id as `#7`.
    ///
    /// # Errors
    /// [`HostError::NoSuchPerson`] with the near names, [`RequestError::UnknownPerson`] for an id.
    pub fn find(&self, typed: &str) -> anyhow::Result<&PersonSummary> {
        if let Some(id) = id_of(typed) {
            let found = self.people.iter().find(|person| person.person == id);
            return Ok(found.ok_or(RequestError::UnknownPerson { person: id })?);
        }
        self.named(typed).ok_or_else(|| {
            HostError::NoSuchPerson { name: typed.to_owned(), near: self.near(typed) }.into()
        })
    }

    /// The person of exactly that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&PersonSummary> {
        self.people.iter().find(|person| person.name.as_str() == name)
    }

    /// The name of a person.
    #[must_use]
    pub fn name_of(&self, id: PersonId) -> Option<String> {
        let found = self.people.iter().find(|person| person.person == id)?;
        Some(found.name.as_str().to_owned())
    }

    /// Names that differ from a typed one by case, an end left out, or about one letter in four; nearest first.
    fn near(&self, typed: &str) -> Vec<String> {
        let typed = typed.to_lowercase();
        let most = (typed.chars().count() / 4).max(1);
        let mut near: Vec<(usize, &str)> = self
            .people
            .iter()
            .filter_map(|person| {
                let name = person.name.to_lowercase();
                let edits = edits(&typed, &name);
                let begins = !typed.is_empty() && name.starts_with(&typed);
                (edits <= most || begins).then(|| (edits, person.name.as_str()))
            })
            .collect();
        near.sort_unstable();
        near.into_iter().map(|(_, name)| name.to_owned()).collect()
    }
}

/// The id that a text like `#7` spells.
#[must_use]
pub fn id_of(typed: &str) -> Option<PersonId> {
    typed.strip_prefix('#')?.parse().ok().map(PersonId)
}

/// Levenshtein's distance: letters put in, left out or exchanged.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, a) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, b) in b.iter().enumerate() {
            let exchanged = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = exchanged.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// Names for log entries, read again when an entry tells of somebody new.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<PersonId, String>,
    /// Ids that the gallery did not have; they never come back.
    gone: BTreeSet<PersonId>,
}

impl Names {
    /// No names yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes sure that everybody in these entries is known, or known to be gone.
    ///
    /// # Errors
    /// [`SessionError`], but for a unit that says no to the gallery: then there are no names.
    pub fn learn<T: Transport>(
        &mut self,
        session: &mut Session<T>,
        entries: &[LogEntry],
    ) -> Result<(), SessionError> {
        for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Enrolled) {
            // The entry may have been written before the person stood in the gallery.
            self.gone.remove(&entry.person);
        }
        let asked = |id: &PersonId| !id.is_nobody();
        let ids: BTreeSet<PersonId> = entries
            .iter()
            // Of those the second number is a count, and nobody; of a prune both are an entry's, of an enrolment's end it says how, of a reserve how often,
            // and of heat how hot.
            .filter(|entry| {
                let no_people = [
                    EntryKind::Pruned,
                    EntryKind::EnrolmentEnded,
                    EntryKind::ReserveOpened,
                    EntryKind::Throttled,
                    EntryKind::ThrottleEnded,
                ];
                !entry.kind.is_of_inputs() && !no_people.contains(&entry.kind)
            })
            .flat_map(|entry| [entry.person, entry.runner_up])
            .filter(asked)
            .filter(|id| !self.known.contains_key(id) && !self.gone.contains(id))
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        let people = match People::read(session) {
            Ok(all) => all.people,
            Err(error) if error.refusal().is_some() => vec![],
            Err(error) => return Err(error),
        };
        self.known.extend(people.iter().map(|one| (one.person, one.name.as_str().to_owned())));
        self.gone.extend(ids.into_iter().filter(|id| !self.known.contains_key(id)));
        Ok(())
    }

    /// The name of a person who is enrolled, or was when the names were read.
    #[must_use]
    pub fn of(&self, id: PersonId) -> Option<String> {
        self.known.get(&id).cloned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::FakeUnit;
    use threshold_wire::Call;

    fn unit(names: &[&str]) -> FakeUnit {
        let mut unit = FakeUnit::new();
        for name in names {
            unit.add_person(name, 1);
        }
        unit
    }

    #[test]
    fn a_gallery_of_several_pages_is_read_whole() {
        let names: Vec<String> = (0..50).map(|n| format!("Person {n}")).collect();
        let unit = unit(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let people = People::read(&mut unit.session()).unwrap();
        let found: Vec<&str> = people.people.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(found, names);
    }

    #[test]
    fn a_gallery_that_changes_while_it_is_read_is_read_again() {
        let names: Vec<String> = (0..20).map(|n| format!("Person {n}")).collect();
        let mut unit = unit(&names.iter().map(String::as_str).collect::<Vec<_>>());
        unit.meanwhile = Some(|unit, call| {
            // Somebody of the first page goes before the second is read.
            if matches!(call, Call::ListGallery(page) if !page.after.is_nobody())
                && unit.people.len() == 20
            {
                unit.people.remove(0);
                unit.generation += 1;
            }
        });
        let mut session = unit.session();
        let people = People::read(&mut session).unwrap();
        assert_eq!(people.people.len(), 19);
        assert_eq!(people.generation, session.unit().generation);
    }

    #[test]
    fn a_person_is_meant_by_name_or_id_and_near_names_are_offered() {
        let people = People::read(&mut unit(&["Ann", "Bob", "Annabel"]).session()).unwrap();
        assert_eq!(people.find("Bob").unwrap().person, PersonId(2));
        assert_eq!(people.find("#3").unwrap().name.as_str(), "Annabel");
        let check = |typed: &str, expected: &str| {
            let error = people.find(typed).unwrap_err();
            assert_eq!(crate::remedy::of(&error), expected, "{error}");
        };
        check("ann", "\"Ann\", or threshold gallery list");
        check("Anabel", "\"Annabel\", or threshold gallery list");
        check("Carol", "threshold gallery list");
        check("#9", "`threshold gallery list` shows who is there");
    }

    #[test]
    fn letters_put_in_left_out_and_exchanged_count_once() {
        for (a, b, expected) in
            [("", "", 0), ("ann", "ann", 0), ("ann", "an", 1), ("", "ab", 2), ("abc", "xbcd", 2)]
        {
            assert_eq!(edits(a, b), expected, "{a} {b}");
            assert_eq!(edits(b, a), expected, "{b} {a}");
        }
    }

    #[test]
    fn names_are_read_again_only_for_somebody_new() {
        let entry = |id: u32, kind: EntryKind| {
            let mut entry = LogEntry::of(kind);
            entry.person = PersonId(id);
            entry
        };
        let mut session = unit(&["Ann"]).session();
        let mut names = Names::new();
        let mut reads = |session: &mut Session<FakeUnit>, entries: &[LogEntry]| {
            session.unit().obeyed.clear();
            names.learn(session, entries).unwrap();
            (session.unit().obeyed.len(), names.of(entries[0].person))
        };
        let ann = Some("Ann".to_owned());
        assert_eq!(reads(&mut session, &[entry(1, EntryKind::Decision)]), (1, ann.clone()));
        assert_eq!(reads(&mut session, &[entry(1, EntryKind::Decision)]), (0, ann));
        assert_eq!(reads(&mut session, &[entry(2, EntryKind::Decision)]), (1, None));
        assert_eq!(reads(&mut session, &[entry(2, EntryKind::Decision)]), (0, None));
        session.unit().add_person("Bob", 1);
        let bob = Some("Bob".to_owned());
        assert_eq!(reads(&mut session, &[entry(2, EntryKind::Enrolled)]), (1, bob));
        assert_eq!(reads(&mut session, &[entry(0, EntryKind::Boot)]), (0, None));
    }
}
