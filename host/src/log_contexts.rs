//! What the entries of a log file refer to, kept beside it: the records of model and policy that they name, and how many people
//! were enrolled up to which entry.
//!
//! Owns the file `<log>.contexts`, JSON: `contexts`, each with `number`, `kind` and its `bytes` as the unit has them, and
//! `gallery`, each with `upto`, `people` and `templates` as a pull found them behind entry `upto`.
//! Refuses to guess: what a unit has lost is not there, and how many people were enrolled between two pulls is what the later
//! one found.

use crate::error::HostError;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use threshold_policy::rule::Settled;
use threshold_record::ModelContext;
use threshold_record::context::ContextKind;
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetContext, GetInfo};
use threshold_wire::message::{ContextGet, Nothing};

/// What a log file's entries refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogContexts {
    contexts: Vec<Record>,
    gallery: Vec<Enrolled>,
}

/// A context record as the unit has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    number: u16,
    kind: String,
    bytes: Vec<u8>,
}

/// How many were enrolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// Behind this entry.
    pub upto: u64,
    /// People.
    pub people: u32,
    /// Templates of them.
    pub templates: u32,
}

impl LogContexts {
    /// Reads what is kept beside a log file; `None` if nothing is.
    ///
    /// # Errors
    /// [`HostError::DataSet`] for another file, [`HostError::File`] if the disk refuses.
    pub fn beside(log: &Path) -> Result<Option<Self>, HostError> {
        let path = path_of(log);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            read => read.map_err(HostError::file(&path))?,
        };
        let read = serde_json::from_str(&text).map_err(|error| HostError::DataSet {
            path: path.display().to_string(),
            line: error.line(),
            what: error.to_string(),
        });
        read.map(Some)
    }

    /// Keeps what a unit has of the records that a file's entries name, and how many people are enrolled behind its last entry.
    ///
    /// # Errors
    /// What session and disk say.
    pub fn keep<T: Transport>(
        log: &Path,
        named: &BTreeSet<u16>,
        last: u64,
        session: &mut Session<T>,
    ) -> anyhow::Result<()> {
        let before = Self::beside(log)?.unwrap_or_default();
        let mut kept = before.clone();
        let is_there = |number: &u16| before.contexts.iter().any(|one| one.number == *number);
        for &number in named.iter().filter(|number| **number != 0 && !is_there(number)) {
            match session.call::<GetContext>(&ContextGet { number }) {
                Ok(found) => kept.contexts.push(Record {
                    number,
                    kind: found.kind.text().to_owned(),
                    bytes: found.bytes.to_vec(),
                }),
                Err(SessionError::Refused(RequestError::UnknownContext { .. })) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if let Some(gallery) = session.call::<GetInfo>(&Nothing {})?.gallery {
            kept.enrolled(Enrolled {
                upto: last,
                people: gallery.people,
                templates: gallery.templates,
            });
        }
        let path = path_of(log);
        // A file that says nothing tells that a pull was there and the unit knew no more.
        if kept != before || !path.exists() {
            let fresh = path.with_extension("contexts.tmp");
            let written = std::fs::write(&fresh, serde_json::to_vec(&kept)?);
            written
                .and_then(|()| std::fs::rename(&fresh, &path))
                .map_err(HostError::file(&path))?;
        }
        Ok(())
    }

    /// Takes in what a pull found.
    fn enrolled(&mut self, found: Enrolled) {
        match self.gallery.last_mut() {
            Some(last) if (last.people, last.templates) == (found.people, found.templates) => {
                last.upto = found.upto;
            }
            _ => self.gallery.push(found),
        }
    }

    /// How many were enrolled when an entry was written, as far as pulls told.
    #[must_use]
    pub fn enrolled_at(&self, sequence: u64) -> Option<Enrolled> {
        let later = self.gallery.iter().find(|one| one.upto >= sequence);
        later.or(self.gallery.last()).copied()
    }

    /// The policy of a context record.
    #[must_use]
    pub fn policy(&self, number: u16) -> Option<Settled> {
        Settled::from_context(self.bytes(number, ContextKind::Policy)?).ok()
    }

    /// The model of a context record.
    #[must_use]
    pub fn model(&self, number: u16) -> Option<ModelContext> {
        ModelContext::from_bytes(self.bytes(number, ContextKind::Model)?).ok()
    }

    fn bytes(&self, number: u16, kind: ContextKind) -> Option<&[u8]> {
        let found = self.contexts.iter().find(|one| one.number == number)?;
        (found.kind == kind.text()).then_some(&found.bytes)
    }

    /// Records as a unit would have them, for tests.
    #[cfg(test)]
    pub(crate) fn made(
        model: (u16, &ModelContext),
        policy: (u16, &Settled),
        gallery: Vec<Enrolled>,
    ) -> Self {
        let record = |number, kind: ContextKind, bytes: &[u8]| Record {
            number,
            kind: kind.text().to_owned(),
            bytes: bytes.to_vec(),
        };
        let model = (model.0, model.1.to_bytes().unwrap_or_default());
        let policy = (policy.0, policy.1.to_context().unwrap_or_default());
        Self {
            contexts: vec![
                record(model.0, ContextKind::Model, &model.1),
                record(policy.0, ContextKind::Policy, &policy.1),
            ],
            gallery,
        }
    }
}

fn path_of(log: &Path) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(".contexts");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::FakeUnit;

    #[test]
    fn what_entries_name_is_kept_once_and_what_the_unit_has_lost_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.jsonl");
        assert_eq!(LogContexts::beside(&log).unwrap(), None);
        let mut unit = FakeUnit::new();
        unit.add_model_context();
        unit.add_person("Ann", 1);
        let mut session = unit.session();
        LogContexts::keep(&log, &[0, 1, 9].into(), 40, &mut session).unwrap();
        let kept = LogContexts::beside(&log).unwrap().unwrap();
        assert_eq!(kept.model(1).unwrap().name.as_str(), "facenet");
        assert!(kept.policy(1).is_none() && kept.model(9).is_none());
        assert_eq!(kept.enrolled_at(3).map(|found| (found.upto, found.people)), Some((40, 1)));
        // The record is not asked for again, and an unchanged gallery is one line.
        session.unit().contexts.clear();
        LogContexts::keep(&log, &[0, 1, 9].into(), 60, &mut session).unwrap();
        session.unit().add_person("Bob", 1);
        LogContexts::keep(&log, &[1].into(), 70, &mut session).unwrap();
        let kept = LogContexts::beside(&log).unwrap().unwrap();
        assert!(kept.model(1).is_some());
        let people = |sequence| kept.enrolled_at(sequence).map(|found| found.people);
        assert_eq!((people(60), people(61), people(99)), (Some(1), Some(2), Some(2)));
        std::fs::write(path_of(&log), "{}").unwrap();
        assert!(LogContexts::beside(&log).unwrap_err().to_string().contains("log.jsonl.contexts"));
    }
}
