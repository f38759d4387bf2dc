//! redb with its immediate durability, which is its default.

use crate::work::{Bench, Enrolment, sum};
use anyhow::Result;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;
use threshold_record::{LogEntry, Template};

const PEOPLE: TableDefinition<'_, u32, &str> = TableDefinition::new("people");
/// Quality, scale and components by person and slot.
const TEMPLATES: TableDefinition<'_, (u32, u8), &[u8]> = TableDefinition::new("templates");
const LOG: TableDefinition<'_, u64, &[u8; LogEntry::LEN]> = TableDefinition::new("log");

pub(crate) struct Redb {
    database: Database,
    last_person: u32,
    head: u64,
}

impl Redb {
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        let database = Database::create(folder.join("store.redb"))?;
        let write = database.begin_write()?;
        let last_person = write.open_table(PEOPLE)?.last()?.map_or(0, |(id, _)| id.value());
        let head = write.open_table(LOG)?.last()?.map_or(0, |(sequence, _)| sequence.value());
        write.open_table(TEMPLATES)?;
        write.commit()?;
        Ok(Self { database, last_person, head })
    }

    /// All people in one transaction.
    pub(crate) fn fill(&mut self, people: &[Enrolment]) -> Result<()> {
        self.put(people)
    }

    fn put(&mut self, people: &[Enrolment]) -> Result<()> {
        let write = self.database.begin_write()?;
        {
            let (mut names, mut templates) =
                (write.open_table(PEOPLE)?, write.open_table(TEMPLATES)?);
            for one in people {
                self.last_person += 1;
                names.insert(self.last_person, one.name.as_str())?;
                for template in &one.templates {
                    templates.insert((self.last_person, template.slot), &bytes_of(template)[..])?;
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// Quality, scale, components.
pub(crate) fn bytes_of(template: &Template) -> Vec<u8> {
    let mut bytes = vec![template.quality];
    bytes.extend(template.scale.to_le_bytes());
    bytes.extend(template.vector.iter().map(|&component| component as u8));
    bytes
}

/// The components behind quality and scale, in memory of their own as a gallery has them.
pub(crate) fn vector_of(bytes: &[u8]) -> Vec<i8> {
    bytes.iter().skip(5).map(|&byte| byte as i8).collect()
}

impl Bench for Redb {
    fn enrol(&mut self, enrolment: &Enrolment) -> Result<()> {
        self.put(std::slice::from_ref(enrolment))
    }

    fn append(&mut self, entries: &[LogEntry]) -> Result<()> {
        let write = self.database.begin_write()?;
        {
            let mut log = write.open_table(LOG)?;
            for entry in entries {
                self.head += 1;
                let entry = LogEntry { sequence: self.head, ..*entry };
                log.insert(self.head, &entry.to_bytes())?;
            }
        }
        Ok(write.commit()?)
    }

    fn load(&mut self) -> Result<(usize, i64)> {
        let read = self.database.begin_read()?;
        let templates = read.open_table(TEMPLATES)?;
        let mut gallery = Vec::new();
        for held in templates.iter()? {
            let (key, bytes) = held?;
            gallery.push((key.value(), vector_of(bytes.value())));
        }
        Ok((gallery.len(), gallery.iter().map(|(_, vector)| sum(vector)).sum()))
    }
}
