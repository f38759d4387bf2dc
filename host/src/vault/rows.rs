//! The rows of a vault's file: how they are written within a transaction, and read when it is opened.
//!
//! Refuses a file that is not a vault of this version, or that would run something: a trigger, a view.

use super::seal::{KeyName, Row, Seal};
use super::{
    APPLICATION, Added, Addition, BUSY, Dates, Held, Quantised, Source, VERSION, VERSION_DEMANDING,
    VaultError,
};
use crate::error::HostError;
use crate::say::hex;
use jiff::civil::Date;
use rusqlite::{Connection, Transaction, params};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use threshold_record::{MAX_SLOTS, ModelId, Name, PersonId};

/// A person's record, as it is sealed.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    name: String,
    consent: Option<String>,
    keep_until: Option<String>,
    photos: Vec<String>,
}

/// The table of a vault that demands something, with one row.
const DEMANDS: &str = "CREATE TABLE demands (sealed BLOB NOT NULL) STRICT;";
/// What is sealed in it: a day of consent of everybody.
const CONSENT: &[u8] = b"consent";

/// Writes rows within a transaction.
pub(super) struct Writer<'a> {
    pub(super) file: &'a Transaction<'a>,
    pub(super) seal: &'a Seal,
    pub(super) path: &'a Path,
    /// The vault demands a consent.
    pub(super) consent: bool,
}

impl Writer<'_> {
    /// Adds to somebody who may be there, or under an id if one is given; gives the person as it is then.
    pub(super) fn add(
        &self,
        model: ModelId,
        addition: &Addition,
        there: Option<(PersonId, Held)>,
        new_id: Option<PersonId>,
    ) -> Result<Result<(Added, PersonId, Held), VaultError>, VaultError> {
        let sqlite = VaultError::sqlite(self.path);
        let mut added = Added::default();
        let name = addition.name.clone();
        let (there, mut held) = match there {
            Some((id, held)) => (Some(id), held),
            None => (None, Held { name, dates: Dates::default(), photos: Vec::new() }),
        };
        let dates = addition.dates.or(held.dates);
        added.dates = there.is_some() && dates != held.dates;
        held.dates = dates;
        let photo = addition.photo.as_ref().filter(|photo| !held.photos.contains(&photo.digest));
        if photo.is_some() && self.consent && held.dates.consent.is_none() {
            let (name, path) = (addition.name.as_str().to_owned(), self.path.to_path_buf());
            return Ok(Err(VaultError::ConsentDemanded { name, path }));
        }
        if photo.is_some() && held.photos.len() >= usize::from(MAX_SLOTS) {
            let name = addition.name.as_str().to_owned();
            return Ok(Err(VaultError::Full { name, max: MAX_SLOTS }));
        }
        let id = match there {
            Some(id) => id,
            None => {
                added.person = true;
                // Without an id the next that was never used.
                let insert = "INSERT INTO people (id, sealed) VALUES (?1, x'')";
                self.file.execute(insert, [new_id.map(|id| id.0)]).map_err(&sqlite)?;
                PersonId(u32::try_from(self.file.last_insert_rowid()).unwrap_or_default())
            }
        };
        if let Some(Source { digest, crop, template }) = photo {
            added.crop = true;
            let slot = held.photos.len() as u8;
            let insert = "INSERT INTO crops (person, slot, sealed) VALUES (?1, ?2, x'')";
            self.file.execute(insert, params![id.0, slot]).map_err(&sqlite)?;
            let crop_id = self.file.last_insert_rowid();
            let row = Row::Crop { person: id.0, crop: crop_id as u64, slot };
            let sealed = self.seal.seal(row, &crop.to_bytes()?)?;
            let update = "UPDATE crops SET sealed = ?2 WHERE id = ?1";
            self.one(update, params![crop_id, sealed])?;
            self.put_template(model, id, crop_id, slot, crop.quality, template)?;
            held.photos.push(*digest);
        }
        if added != Added::default() {
            let sealed = self.seal.seal(Row::Person { person: id.0 }, &record_of(&held))?;
            let update = "UPDATE people SET sealed = ?2 WHERE id = ?1";
            self.one(update, params![id.0, sealed])?;
        }
        Ok(Ok((added, id, held)))
    }

    pub(super) fn put_template(
        &self,
        model: ModelId,
        person: PersonId,
        crop: i64,
        slot: u8,
        quality: u8,
        (scale, vector): &Quantised,
    ) -> Result<(), VaultError> {
        let mut plain = vec![quality];
        plain.extend_from_slice(&scale.to_le_bytes());
        plain.extend(vector.iter().map(|&component| component as u8));
        let row = Row::Template { person: person.0, crop: crop as u64, slot, model };
        let sealed = self.seal.seal(row, &plain)?;
        let insert = "INSERT OR REPLACE INTO templates VALUES (?1, ?2, ?3)";
        let put = self.file.execute(insert, params![crop, model.0, sealed]);
        put.map(drop).map_err(VaultError::sqlite(self.path))
    }

    /// Demands a consent of everybody, or no more. A vault that does is of a version that a program which would not ask refuses.
    pub(super) fn demand_consent(&self, demanded: bool) -> Result<(), VaultError> {
        let sqlite = VaultError::sqlite(self.path);
        self.file.execute_batch("DROP TABLE IF EXISTS demands").map_err(&sqlite)?;
        if demanded {
            self.file.execute_batch(DEMANDS).map_err(&sqlite)?;
            let sealed = self.seal.seal(Row::Demands, CONSENT)?;
            self.one("INSERT INTO demands VALUES (?1)", [sealed])?;
        }
        let version = if demanded { VERSION_DEMANDING } else { VERSION };
        self.file.pragma_update(None, "user_version", version).map_err(&sqlite)
    }

    pub(super) fn changed(&self) -> Result<(), VaultError> {
        self.one("UPDATE vault SET generation = generation + 1", [])
    }

    /// Runs a statement that is to change one row: of a row that is gone nothing would be kept, and nobody would know.
    pub(super) fn one(
        &self,
        statement: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<(), VaultError> {
        let changed = self.file.execute(statement, parameters);
        match changed.map_err(VaultError::sqlite(self.path))? {
            1 => Ok(()),
            rows => {
                let what = format!("{rows} rows are there of one");
                Err(VaultError::Damaged { path: self.path.to_path_buf(), what })
            }
        }
    }
}

/// Makes an empty file that this user alone may use: SQLite would make one by the user's umask.
pub(super) fn claim(path: &Path) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            Err(VaultError::There { path: path.to_path_buf() }.into())
        }
        made => Ok(made.map(drop).map_err(HostError::file(path))?),
    }
}

/// Id and name of the key, of a file that is a vault of this version.
pub(super) fn head(file: &Connection, path: &Path) -> Result<([u8; 16], KeyName), VaultError> {
    let sqlite = VaultError::sqlite(path);
    file.busy_timeout(BUSY).map_err(&sqlite)?;
    let number = |name| file.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    if number("application_id").map_err(&sqlite)? != APPLICATION {
        return Err(VaultError::NotAVault { path: path.to_path_buf() });
    }
    let found = number("user_version").map_err(&sqlite)?;
    if found != VERSION && found != VERSION_DEMANDING {
        let path = path.to_path_buf();
        return Err(VaultError::Version { path, found, supported: VERSION_DEMANDING });
    }
    // What is removed is overwritten, and a file that somebody made runs nothing here.
    for (name, value) in [("foreign_keys", 1), ("secure_delete", 1), ("trusted_schema", 0)] {
        file.pragma_update(None, name, value).map_err(&sqlite)?;
    }
    let foreign = "SELECT count(*) FROM sqlite_schema WHERE type IN ('trigger', 'view')";
    let foreign = file.query_row(foreign, [], |row| row.get::<_, i64>(0)).map_err(&sqlite)?;
    if foreign != 0 {
        let what = "it has triggers or views".to_owned();
        return Err(VaultError::Damaged { path: path.to_path_buf(), what });
    }
    let head = "SELECT id, key FROM vault";
    file.query_row(head, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(&sqlite)
}

/// Whether a vault demands a consent.
///
/// # Errors
/// [`VaultError::Damaged`] if its version says that it demands something, and what that is does not open.
pub(super) fn demands_consent(
    file: &Connection,
    seal: &Seal,
    path: &Path,
) -> Result<bool, VaultError> {
    let sqlite = VaultError::sqlite(path);
    let version = file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0));
    if version.map_err(&sqlite)? != VERSION_DEMANDING {
        return Ok(false);
    }
    let sealed = file.query_row("SELECT sealed FROM demands", [], |row| row.get::<_, Vec<u8>>(0));
    let opened = sealed.ok().and_then(|sealed| seal.open(Row::Demands, &sealed));
    match opened.as_deref() == Some(CONSENT) {
        true => Ok(true),
        false => {
            let what = Row::Demands.words();
            Err(VaultError::Damaged { path: path.to_path_buf(), what })
        }
    }
}

pub(super) fn people(
    file: &Connection,
    seal: &Seal,
    path: &Path,
) -> Result<BTreeMap<PersonId, Held>, VaultError> {
    let sealed = (|| {
        let mut found = file.prepare("SELECT id, sealed FROM people ORDER BY id")?;
        let rows = found.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect::<rusqlite::Result<Vec<(u32, Vec<u8>)>>>()
    })();
    let sealed = sealed.map_err(VaultError::sqlite(path))?;
    let open = |(person, sealed): (u32, Vec<u8>)| {
        let row = Row::Person { person };
        let held = seal.open(row, &sealed).and_then(|plain| held_of(&plain));
        let damaged = || VaultError::Damaged { path: path.to_path_buf(), what: row.words() };
        Ok((PersonId(person), held.ok_or_else(damaged)?))
    };
    sealed.into_iter().map(open).collect()
}

fn record_of(held: &Held) -> Vec<u8> {
    let day = |date: Option<Date>| date.map(|date| date.to_string());
    let record = Record {
        name: held.name.as_str().to_owned(),
        consent: day(held.dates.consent),
        keep_until: day(held.dates.keep_until),
        photos: held.photos.iter().map(|digest| hex(digest)).collect(),
    };
    // Text alone cannot fail to be written.
    serde_json::to_vec(&record).unwrap_or_default()
}

fn held_of(plain: &[u8]) -> Option<Held> {
    let record: Record = serde_json::from_slice(plain).ok()?;
    let day = |text: Option<String>| match text {
        None => Some(None),
        Some(text) => text.parse::<Date>().ok().map(Some),
    };
    let photos = record
        .photos
        .iter()
        .map(|text| blake3::Hash::from_hex(text).ok().map(|hash| *hash.as_bytes()));
    Some(Held {
        name: Name::new(&record.name).ok()?,
        dates: Dates { consent: day(record.consent)?, keep_until: day(record.keep_until)? },
        photos: photos.collect::<Option<Vec<_>>>()?,
    })
}
