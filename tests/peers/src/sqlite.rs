//! SQLite with a write-ahead log, durable at each commit.

use crate::redb_side::{bytes_of, vector_of};
use crate::work::{Bench, Enrolment, sum};
use anyhow::Result;
use rusqlite::{Connection, params};
use std::path::Path;
use threshold_record::LogEntry;

pub(crate) struct Sqlite {
    connection: Connection,
}

impl Sqlite {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("store.sqlite"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE IF NOT EXISTS people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
             CREATE TABLE IF NOT EXISTS templates (person INTEGER, slot INTEGER, template BLOB NOT NULL,
                 PRIMARY KEY (person, slot)) WITHOUT ROWID;
             CREATE TABLE IF NOT EXISTS log (sequence INTEGER PRIMARY KEY, entry BLOB NOT NULL);",
        )?;
        Ok(Self { connection })
    }

    /// All people in one transaction.
    pub(crate) fn fill(&mut self, people: &[Enrolment]) -> Result<()> {
        self.put(people)
    }

    fn put(&mut self, people: &[Enrolment]) -> Result<()> {
        let write = self.connection.transaction()?;
        {
            let mut name = write.prepare_cached("INSERT INTO people (name) VALUES (?1)")?;
            let mut template = write.prepare_cached("INSERT INTO templates VALUES (?1, ?2, ?3)")?;
            for one in people {
                let id = name.insert(params![one.name.as_str()])?;
                for held in &one.templates {
                    template.execute(params![id, held.slot, bytes_of(held)])?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

impl Bench for Sqlite {
    fn enrol(&mut self, enrolment: &Enrolment) -> Result<()> {
        self.put(std::slice::from_ref(enrolment))
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        let write = self.connection.transaction()?;
        {
            let mut log = write.prepare_cached("INSERT INTO log (entry) VALUES (?1)")?;
            for entry in entries {
                log.execute(params![&entry.to_bytes()[..]])?;
            }
        }
        Ok(write.commit()?)
    }

    fn load(&mut self) -> Result<(usize, i64)> {
        let mut select = self.connection.prepare("SELECT person, slot, template FROM templates")?;
        let mut rows = select.query([])?;
        let mut gallery = Vec::new();
        while let Some(row) = rows.next()? {
            let key: (u32, u8) = (row.get(0)?, row.get(1)?);
            gallery.push((key, vector_of(row.get_ref(2)?.as_blob()?)));
        }
        Ok((gallery.len(), gallery.iter().map(|(_, vector)| sum(vector)).sum()))
    }
}
