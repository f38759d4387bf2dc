//! `threshold why`: one entry of the log in plain words.
//!
//! Owns the fetching of what an entry refers to: its model's context record and the names.

use super::{Answer, log::Reader, round};
use crate::args;
use crate::error::HostError;
use crate::explain::{self, Model};
use crate::log_file::Row;
use crate::meant::Meant;
use crate::people::Names;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_record::{EntryKind, LogEntry, ModelContext, Score, context::ContextKind};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetContext, GetLogHead};
use threshold_wire::message::{ContextGet, LOG_PAGE_ENTRIES, Nothing};

/// Explains the entry.
///
/// # Errors
/// [`HostError::NoEntry`] with the range that is there, or a unit that does not answer.
pub fn run(meant: &Meant, typed: &args::Why) -> anyhow::Result<Answer> {
    let found = Found::fetch(&mut Session::open_started(meant)?, typed.sequence)?;
    meant.say.result(&found.value(), || found.text())?;
    Ok(Answer::Yes)
}

/// An entry with what it refers to.
struct Found {
    entry: LogEntry,
    /// The claim that a decision is about (1:1).
    claim: Option<u64>,
    names: Names,
    model: Option<Model>,
}

impl Found {
    fn fetch<T: Transport>(session: &mut Session<T>, wanted: u64) -> anyhow::Result<Self> {
        let head = session.call::<GetLogHead>(&Nothing {})?;
        if wanted == 0 || !(head.oldest..=head.head).contains(&wanted) {
            let range = match head.head {
                0 => "is empty".to_owned(),
                last => format!("holds {} to {last}", head.oldest),
            };
            return Err(HostError::NoEntry { wanted, range }.into());
        }
        let mut reader = Reader::of_unit(wanted);
        // A page is never empty; its first entry is the one that was due.
        let entry = reader.page(session)?.swap_remove(0);
        let model = model_of(session, entry.context_model)?;
        let claim = claim_of(session, &entry, head.oldest)?;
        Ok(Self { entry, claim, names: reader.names, model })
    }

    fn text(&self) -> String {
        let text = explain::explain(&self.entry, &|id| self.names.of(id), self.model.as_ref());
        match self.claim {
            None => text,
            Some(claim) => format!(
                "{text}\n  {:<16}with the one whom a badge or number named, and nobody else (1:1): entry {claim}",
                "compared"
            ),
        }
    }

    fn value(&self) -> Value {
        let entry = &self.entry;
        let metric = self.model.as_ref().and_then(|model| model.metric);
        let compared = metric.filter(|_| !entry.person.is_nobody());
        let distance = |score: Score| compared.map(|metric| round(metric.distance(score)));
        json!({
            "entry": Row::of(entry, &|id| self.names.of(id)),
            "model": self.model.as_ref().map(|model| json!({
                "id": model.id,
                "name": model.name,
                "metric": model.metric.map(|metric| metric.unit()),
            })),
            "claim": self.claim,
            "best_distance": distance(entry.best_score),
            "threshold_distance": distance(entry.threshold),
            "distance_unit": compared.map(|metric| metric.unit()),
            "explanation": self.text(),
        })
    }
}

/// Entries before a decision among which its claim stands: between the two there is time for a few of the door's inputs.
const CLAIM_WITHIN: u64 = LOG_PAGE_ENTRIES as u64;

/// The claim that a decision is about: the last entry before it that is of a visit, if that is a claim.
fn claim_of<T: Transport>(
    session: &mut Session<T>,
    entry: &LogEntry,
    oldest: u64,
) -> anyhow::Result<Option<u64>> {
    let from = entry.sequence.saturating_sub(CLAIM_WITHIN).max(oldest);
    if entry.kind != EntryKind::Decision || from >= entry.sequence {
        return Ok(None);
    }
    let page = Reader::of_unit(from).page(session)?;
    let before = page.iter().rev().filter(|before| before.sequence < entry.sequence);
    let of_visits = [EntryKind::Claim, EntryKind::Decision, EntryKind::Boot];
    let last = before.into_iter().find(|before| of_visits.contains(&before.kind));
    let is_of_it = |last: &&LogEntry| last.kind == EntryKind::Claim && last.person == entry.person;
    Ok(last.filter(is_of_it).map(|last| last.sequence))
}

/// The model of a context record; `None` if the entry has none or the log has lost it.
fn model_of<T: Transport>(
    session: &mut Session<T>,
    number: u16,
) -> Result<Option<Model>, anyhow::Error> {
    if number == 0 {
        return Ok(None);
    }
    let context = match session.call::<GetContext>(&ContextGet { number }) {
        Ok(context) => context,
        Err(SessionError::Refused(RequestError::UnknownContext { .. })) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if context.kind != ContextKind::Model {
        return Ok(None);
    }
    let model = ModelContext::from_bytes(&context.bytes)?;
    Ok(Some(Model {
        name: model.name.as_str().to_owned(),
        id: model.id.to_string(),
        metric: Some(model.metric),
    }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::FakeUnit;
    use threshold_record::PersonId;

    fn unit(with_context: bool) -> FakeUnit {
        let mut unit = FakeUnit::new();
        let ann = unit.add_person("Ann", 1);
        if with_context {
            unit.add_model_context();
        }
        (0..3).for_each(|_| unit.add_entry(ann));
        unit
    }

    #[test]
    fn an_entry_comes_with_names_and_its_models_distances() {
        let found = Found::fetch(&mut unit(true).session(), 2).unwrap();
        let value = found.value();
        assert_eq!(value["entry"]["sequence"], 2);
        assert_eq!(value["entry"]["person_name"], "Ann");
        assert_eq!(value["model"]["name"], "facenet");
        assert_eq!(
            (&value["best_distance"], &value["threshold_distance"]),
            (&json!(1.0), &json!(1.5))
        );
        assert!(found.text().contains("distance 1.000 squared L2"), "{}", found.text());
    }

    #[test]
    fn a_decision_about_a_claimed_person_says_so_and_names_the_claim() {
        let found = |wanted, person: Option<PersonId>| {
            let mut unit = unit(true);
            if let Some(person) = person {
                unit.entries[0].kind = EntryKind::Claim;
                unit.entries[0].person = person;
            }
            Found::fetch(&mut unit.session(), wanted).unwrap()
        };
        let ann = found(2, None).entry.person;
        assert_eq!(found(2, None).claim, None);
        let claimed = found(2, Some(ann));
        assert_eq!(claimed.value()["claim"], 1);
        assert!(claimed.text().contains("nobody else (1:1): entry 1"), "{}", claimed.text());
        // The next decision has no claim of its own, and neither has one about somebody else.
        assert_eq!(found(3, Some(ann)).claim, None);
        assert_eq!(found(2, Some(PersonId::NOBODY)).claim, None);
    }

    #[test]
    fn an_entry_whose_context_is_not_there_is_explained_by_its_scores() {
        let mut lost = unit(true);
        lost.contexts.clear();
        for unit in [unit(false), lost] {
            let found = Found::fetch(&mut unit.session(), 3).unwrap();
            assert_eq!(found.value()["model"], Value::Null);
            assert!(found.text().contains("score 0.500"), "{}", found.text());
        }
    }

    #[test]
    fn an_entry_that_is_not_there_is_an_error_with_the_range() {
        let check = |mut unit: FakeUnit, first: usize, wanted, expected: &str| {
            unit.entries.drain(..first);
            let error = Found::fetch(&mut unit.session(), wanted).err().unwrap();
            assert_eq!(error.to_string(), expected);
        };
        check(unit(true), 0, 4, "the log has no entry 4: it holds 1 to 3");
        check(unit(true), 1, 1, "the log has no entry 1: it holds 2 to 3");
        check(unit(true), 0, 0, "the log has no entry 0: it holds 1 to 3");
        check(unit(true), 3, 1, "the log has no entry 1: it is empty");
    }
}
