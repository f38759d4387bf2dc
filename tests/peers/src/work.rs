//! What is done: the pieces of work, the people and entries that they are done with, and what a side must be able to do.

use crate::{ours::Ours, redb_side::Redb, sqlite::Sqlite};
use anyhow::{Context as _, Result};
use std::path::Path;
use threshold_record::{EntryKind, LogEntry, ModelId, Name, PersonId, Template};

/// The model of every gallery.
pub(crate) const MODEL: ModelId = ModelId([7; 32]);

/// Entries that are appended before one sync.
pub(crate) const BATCH: u32 = 20;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Redb,
    Sqlite,
}

impl Side {
    pub(crate) const ALL: [Self; 3] = [Self::Ours, Self::Redb, Self::Sqlite];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Redb => "redb",
            Self::Sqlite => "SQLite",
        }
    }

    /// Opens its store in a folder that is there.
    pub(crate) fn open(self, folder: &Path) -> Result<Box<dyn Bench>> {
        Ok(match self {
            Self::Ours => Box::new(Ours::open(folder)?),
            Self::Redb => Box::new(Redb::open(folder)?),
            Self::Sqlite => Box::new(Sqlite::open(folder)?),
        })
    }

    /// Puts a gallery into an empty folder.
    pub(crate) fn fill(self, folder: &Path, people: &[Enrolment]) -> Result<()> {
        match self {
            Self::Ours => Ours::fill(folder, people),
            Self::Redb => Redb::open(folder)?.fill(people),
            Self::Sqlite => Sqlite::open(folder)?.fill(people),
        }
    }
}

/// A piece of work whose cost is that of one durable act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// A person and a template.
    Enrol,
    /// One entry.
    Commit,
    /// [`BATCH`] entries appended, then one sync.
    Batch,
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Enrol, Self::Commit, Self::Batch];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Commit => "commit",
            Self::Batch => "batch",
        }
    }

    /// Does it for the `nth` time.
    pub(crate) fn once(self, bench: &mut dyn Bench, nth: u32) -> Result<()> {
        match self {
            Self::Enrol => bench.enrol(&enrolment(1_000_000 + nth, 1, 512)?),
            Self::Commit => bench.append(&[entry(nth)]),
            Self::Batch => {
                let entries: Vec<LogEntry> = (0..BATCH).map(|at| entry(BATCH * nth + at)).collect();
                bench.append(&entries)
            }
        }
    }
}

/// What each side does; durable on return.
pub(crate) trait Bench {
    /// A person with templates.
    fn enrol(&mut self, enrolment: &Enrolment) -> Result<()>;
    /// Entries, durable together.
    fn append(&mut self, entries: &[LogEntry]) -> Result<()>;
    /// The sum of all components of all templates read into memory, and their count: the boot's work.
    fn load(&mut self) -> Result<(usize, i64)>;
}

/// Somebody to enrol; the ids of the templates are those that the side gives.
#[derive(Clone, Debug)]
pub(crate) struct Enrolment {
    pub(crate) name: Name,
    pub(crate) templates: Vec<Template>,
}

/// The person of a number, with templates whose components follow from it.
pub(crate) fn enrolment(number: u32, templates: u8, dimensions: usize) -> Result<Enrolment> {
    let name = Name::new(&format!("person {number}")).ok().context("a name")?;
    let mut lots = u64::from(number) + 1;
    let templates = (0..templates).map(|slot| {
        let vector = (0..dimensions).map(|_| {
            // xorshift, so that nothing here can be compressed.
            lots ^= lots << 13;
            lots ^= lots >> 7;
            lots ^= lots << 17;
            (lots % 255) as i32 as i8
        });
        let vector = vector.map(|component| component.max(-127)).collect();
        let person = PersonId(number);
        Template { person, slot, quality: 80, model: MODEL.tag(), scale: 0.01, vector }
    });
    Ok(Enrolment { name, templates: templates.collect() })
}

/// The decision of a number.
pub(crate) fn entry(number: u32) -> LogEntry {
    LogEntry { person: PersonId(number), ..LogEntry::of(EntryKind::Decision) }
}

/// The sum of a template's components.
pub(crate) fn sum(vector: &[i8]) -> i64 {
    vector.iter().map(|&component| i64::from(component)).sum()
}
