//! The host's vault: the roster of people with consent and retention, a source crop of each photo, and the templates made of it.
//!
//! ```text
//! vault       id [16] | name of its key [8] | generation          one row
//! people      id | sealed: JSON of name, dates, digests of the photos by slot
//! crops       id | person | slot | sealed: a source crop (`crop`)
//! templates   crop | model id [32] | sealed: quality u8 | scale f32 | components i8
//! demands     sealed: "consent"                                  one row, only in version 2
//! ```
//! An SQLite file of which only ids and counts are in the clear (`seal`); its key lies in the keychain. It is what a new model's
//! templates are made from without asking anybody back.
//! Ids are never used again, as at a unit, but for somebody whom a unit has under one already, so that both mean one person by it.
//! Each transaction is whole or not there: a run that was cut off is gone on with.
//! One run at a time writes: it holds `<vault>.lock` from opening to its end, since it goes by the people whom it read then.
//! Refuses a file with a row that does not open, two people of one name, and to hold a photo: what is kept is the face and what is around it.

pub mod crop;
mod error;
mod rows;
mod seal;
pub mod source;

pub use error::VaultError;
pub use seal::VaultKey;

use crate::error::HostError;
use crate::keychain::Keychain;
use crate::people::id_of;
use crop::SourceCrop;
use jiff::civil::Date;
use rows::{Writer, claim, demands_consent, head, people};
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior, params};
use seal::{Row, Seal};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use threshold_record::{ModelId, Name, PersonId, Template};

/// SQLite's mark of whose file it is: "THRV".
const APPLICATION: i64 = 0x5448_5256;
/// The version of the tables.
const VERSION: i64 = 1;
/// That of a vault which demands a consent: a program that would not ask for one refuses it.
const VERSION_DEMANDING: i64 = 2;
/// How long another run may hold the file.
const BUSY: Duration = Duration::from_secs(5);
/// Endings of the files in which SQLite keeps what a file's next use is to write into it.
const JOURNALS: [&str; 3] = ["-journal", "-wal", "-shm"];
/// Bytes of a template before its components.
const TEMPLATE_HEAD: usize = 1 + 4;

const TABLES: &str = "
CREATE TABLE vault (id BLOB NOT NULL, key BLOB NOT NULL, generation INTEGER NOT NULL) STRICT;
CREATE TABLE people (id INTEGER PRIMARY KEY AUTOINCREMENT, sealed BLOB NOT NULL) STRICT;
CREATE TABLE crops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    person INTEGER NOT NULL REFERENCES people ON DELETE CASCADE,
    slot INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    UNIQUE (person, slot)
) STRICT;
CREATE TABLE templates (
    crop INTEGER NOT NULL REFERENCES crops ON DELETE CASCADE,
    model BLOB NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (crop, model)
) STRICT, WITHOUT ROWID;
";

/// BLAKE3 of a photo's bytes: the same file twice is one photo.
pub type PhotoDigest = [u8; 32];

/// Somebody in the vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The name.
    pub name: Name,
    /// What is to be kept of consent and retention.
    pub dates: Dates,
    /// The photos by slot.
    pub photos: Vec<PhotoDigest>,
}

/// When somebody consented, and until when the data may be kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dates {
    /// The day of the consent; `None` if none is recorded.
    pub consent: Option<Date>,
    /// The last day on which the data may be kept; `None` for no limit.
    pub keep_until: Option<Date>,
}

impl Dates {
    /// Whether the data should be gone on a day.
    #[must_use]
    pub fn is_over(&self, today: Date) -> bool {
        self.keep_until.is_some_and(|last| last < today)
    }

    /// What two rows of one list say together: the latest consent, and the retention that ends first.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let ends = [self.keep_until, other.keep_until];
        Self {
            consent: self.consent.max(other.consent),
            keep_until: ends.into_iter().flatten().min(),
        }
    }

    /// These where they are given, else the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            consent: self.consent.or(other.consent),
            keep_until: self.keep_until.or(other.keep_until),
        }
    }
}

/// What is to be added: somebody's dates, and a photo unless it is there already.
#[derive(Clone, Debug)]
pub struct Addition {
    /// Whose; a new name is a new person.
    pub name: Name,
    /// Where one is given it takes the place of what is kept.
    pub dates: Dates,
    /// The photo.
    pub photo: Option<Source>,
}

/// A photo as the vault takes it.
#[derive(Clone, Debug)]
pub struct Source {
    /// Of the photo's bytes.
    pub digest: PhotoDigest,
    /// The face.
    pub crop: SourceCrop,
    /// The template of that crop.
    pub template: Quantised,
}

/// What `quantise` gives.
pub type Quantised = (f32, Vec<i8>);

/// What came of an addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// The person is new.
    pub person: bool,
    /// The crop is new.
    pub crop: bool,
    /// The person was there, with other dates.
    pub dates: bool,
}

/// A crop as it lies in the file; `Opener` opens it, in whichever thread.
#[derive(Clone, Debug)]
pub struct SealedCrop {
    id: i64,
    person: PersonId,
    slot: u8,
    sealed: Vec<u8>,
}

/// Opens crops, without the file.
#[derive(Debug)]
pub struct Opener<'a> {
    seal: &'a Seal,
    path: &'a Path,
}

/// Crops, and for each model how many of them have a template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Crops.
    pub crops: usize,
    /// Templates by model.
    pub templates: BTreeMap<ModelId, usize>,
}

/// An open vault. Holding one proves that its key is here and that every person's record opened.
#[derive(Debug)]
pub struct Vault {
    path: PathBuf,
    file: Connection,
    seal: Seal,
    id: [u8; 16],
    people: BTreeMap<PersonId, Held>,
    names: BTreeMap<Name, PersonId>,
    /// A day of consent is demanded of everybody.
    consent: bool,
    /// What the people above were read at.
    known: u64,
    /// Held for as long as this may write; `None` where it may not.
    lock: Option<File>,
}

impl Vault {
    /// Makes an empty vault with a key of its own, which is in the keychain before the vault is there.
    ///
    /// # Errors
    /// [`VaultError::There`], what SQLite says, and a keychain that cannot be written.
    pub fn create(path: &Path, keychain: &Keychain) -> anyhow::Result<Self> {
        let id = seal::random()?;
        let key = VaultKey::new(seal::random()?);
        if is_taken(path) {
            return Err(VaultError::There { path: path.to_path_buf() }.into());
        }
        nothing_beside(path)?;
        keychain.keep_vault_key(&id, &key)?;
        let lock = lock(path)?;
        if path.exists() && !is_taken(path) {
            std::fs::remove_file(path).map_err(HostError::file(path))?;
        }
        claim(path)?;
        let made = (|| -> rusqlite::Result<()> {
            let mut file = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
            let transaction = file.transaction()?;
            transaction.execute_batch(TABLES)?;
            let name = seal::name_of(&key);
            transaction.execute("INSERT INTO vault VALUES (?1, ?2, 0)", params![id, name])?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()
        })();
        if let Err(error) = made {
            // Half a vault would be in the way of the next try.
            let _ = std::fs::remove_file(path);
            return Err(VaultError::sqlite(path)(error).into());
        }
        Self::open_with(path, keychain, Some(lock))
    }

    /// Opens a vault, and keeps other runs from writing it and from opening it so.
    ///
    /// # Errors
    /// [`VaultError`], [`VaultError::Busy`] while another run has it, and a keychain that cannot be read.
    pub fn open(path: &Path, keychain: &Keychain) -> anyhow::Result<Self> {
        is_there(path)?;
        Self::open_with(path, keychain, Some(lock(path)?))
    }

    /// Opens a vault, to read it alone; another run may write it meanwhile.
    ///
    /// # Errors
    /// As [`Vault::open`], and never busy for long.
    pub fn open_to_read(path: &Path, keychain: &Keychain) -> anyhow::Result<Self> {
        is_there(path)?;
        Self::open_with(path, keychain, None)
    }

    fn open_with(path: &Path, keychain: &Keychain, lock: Option<File>) -> anyhow::Result<Self> {
        let there = path.to_path_buf();
        let sqlite = VaultError::sqlite(path);
        // To read as well: what a run that was cut off left half written is taken back first. SQLite itself goes down to reading
        // where the system lets it do no more.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let file = Connection::open_with_flags(path, flags).map_err(&sqlite)?;
        let (id, key_name) = head(&file, path)?;
        let key_file = keychain.vault_key_file(&id);
        let Some(key) = keychain.vault_key(&id)? else {
            return Err(VaultError::NoKey { path: there, key_file }.into());
        };
        if seal::name_of(&key) != key_name {
            return Err(VaultError::WrongKey { path: there, key_file }.into());
        }
        let seal = Seal::new(&key, id);
        // Read before the people: an older one is refused at the first write.
        let known = generation(&file, path)?;
        let people = people(&file, &seal, path)?;
        let consent = demands_consent(&file, &seal, path)?;
        let mut names = BTreeMap::new();
        for (id, held) in &people {
            if let Some(PersonId(other)) = names.insert(held.name.clone(), *id) {
                let what = format!("persons {other} and {} have one name", id.0);
                return Err(VaultError::Damaged { path: there, what }.into());
            }
        }
        Ok(Self { path: there, file, seal, id, people, names, consent, known, lock })
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its id, by which the keychain knows its key.
    #[must_use]
    pub fn id(&self) -> &[u8; 16] {
        &self.id
    }

    /// Everybody.
    #[must_use]
    pub fn people(&self) -> &BTreeMap<PersonId, Held> {
        &self.people
    }

    /// The person of a name, or of an id as #7.
    ///
    /// # Errors
    /// [`VaultError::NoSuchPerson`].
    pub fn find(&self, typed: &str) -> Result<(PersonId, &Held), VaultError> {
        let by_name = || Name::new(typed).ok().and_then(|name| self.names.get(&name).copied());
        let id = id_of(typed).or_else(by_name);
        let found = id.and_then(|id| Some((id, self.people.get(&id)?)));
        found.ok_or_else(|| VaultError::NoSuchPerson { typed: typed.to_owned() })
    }

    /// The person of exactly this name.
    #[must_use]
    pub fn named(&self, name: &Name) -> Option<&Held> {
        self.people.get(self.names.get(name)?)
    }

    /// The id of the person of exactly this name.
    #[must_use]
    pub fn id_of(&self, name: &Name) -> Option<PersonId> {
        self.names.get(name).copied()
    }

    /// An id above all that were ever used here.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn next_id(&self) -> Result<PersonId, VaultError> {
        let query = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'people'";
        let last = self.file.query_row(query, [], |row| row.get::<_, u32>(0));
        Ok(PersonId(last.map_err(VaultError::sqlite(&self.path))?.saturating_add(1)))
    }

    /// Whether a day of consent is demanded of everybody of whom a photo is to be kept, exported or enrolled.
    #[must_use]
    pub fn demands_consent(&self) -> bool {
        self.consent
    }

    /// Demands it, or no more. Whoever is in it without a consent stays in it.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn demand_consent(&mut self, demanded: bool) -> Result<(), VaultError> {
        let Self { file, seal, path, known, lock, consent, .. } = self;
        let transaction = begin(file, path, *known, lock.as_ref())?;
        let writer = Writer { file: &transaction, seal, path, consent: *consent };
        writer.demand_consent(demanded)?;
        writer.changed()?;
        transaction.commit().map_err(VaultError::sqlite(path))?;
        (*known, *consent) = (*known + 1, demanded);
        Ok(())
    }

    /// Checks that somebody may be taken in or enrolled with these days beside those that are kept.
    ///
    /// # Errors
    /// [`VaultError::ConsentDemanded`].
    pub fn check_consent(&self, name: &Name, given: Dates) -> Result<(), VaultError> {
        let held = self.named(name).map(|held| held.dates).unwrap_or_default();
        match self.consent && given.or(held).consent.is_none() {
            false => Ok(()),
            true => {
                let (name, path) = (name.as_str().to_owned(), self.path.clone());
                Err(VaultError::ConsentDemanded { name, path })
            }
        }
    }

    /// Grows with every change.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn generation(&self) -> Result<u64, VaultError> {
        generation(&self.file, &self.path)
    }

    /// Adds people, photos and dates: all of them, or none if something fails. An addition that does not fit is left out with
    /// its own error.
    ///
    /// # Errors
    /// [`VaultError`] of the whole.
    pub fn add(
        &mut self,
        model: ModelId,
        additions: &[Addition],
    ) -> Result<Vec<Result<Added, VaultError>>, VaultError> {
        self.add_under(None, model, additions)
    }

    /// The same of one person, who if new has the id that a unit has settled.
    ///
    /// # Errors
    /// [`VaultError`] of the whole; SQLite's for an id that is somebody else's.
    pub fn add_under(
        &mut self,
        new_id: Option<PersonId>,
        model: ModelId,
        additions: &[Addition],
    ) -> Result<Vec<Result<Added, VaultError>>, VaultError> {
        let Self { file, seal, people, names, path, known, lock, consent, .. } = self;
        let transaction = begin(file, path, *known, lock.as_ref())?;
        let writer = Writer { file: &transaction, seal, path, consent: *consent };
        // Only what is committed is known afterwards.
        let mut changed: BTreeMap<Name, (PersonId, Held)> = BTreeMap::new();
        let mut answers = Vec::with_capacity(additions.len());
        for addition in additions {
            let before = changed.get(&addition.name).cloned();
            let before = before.or_else(|| {
                let id = *names.get(&addition.name)?;
                Some((id, people.get(&id)?.clone()))
            });
            answers.push(match writer.add(model, addition, before, new_id)? {
                Ok((added, id, held)) => {
                    changed.insert(addition.name.clone(), (id, held));
                    Ok(added)
                }
                Err(error) => Err(error),
            });
        }
        writer.changed()?;
        transaction.commit().map_err(VaultError::sqlite(path))?;
        *known += 1;
        for (name, (id, held)) in changed {
            names.insert(name, id);
            people.insert(id, held);
        }
        Ok(answers)
    }

    /// Crops without a template of the model behind a crop, in order, so many at most.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn without_template(
        &self,
        model: ModelId,
        after: Option<&SealedCrop>,
        most: usize,
    ) -> Result<Vec<SealedCrop>, VaultError> {
        self.crops(
            "SELECT id, person, slot, sealed FROM crops WHERE id > ?1 AND NOT EXISTS \
             (SELECT 1 FROM templates WHERE crop = crops.id AND model = ?2) ORDER BY id LIMIT ?3",
            params![after.map_or(0, |crop| crop.id), model.0, most as i64],
        )
    }

    fn crops(
        &self,
        query: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<SealedCrop>, VaultError> {
        let crops = (|| -> rusqlite::Result<Vec<SealedCrop>> {
            let mut found = self.file.prepare(query)?;
            let crops = found.query_map(parameters, |row| {
                let (person, sealed) = (PersonId(row.get(1)?), row.get(3)?);
                Ok(SealedCrop { id: row.get(0)?, person, slot: row.get(2)?, sealed })
            })?;
            crops.collect()
        })();
        crops.map_err(VaultError::sqlite(&self.path))
    }

    /// What opens crops in other threads.
    #[must_use]
    pub fn opener(&self) -> Opener<'_> {
        Opener { seal: &self.seal, path: &self.path }
    }

    /// Keeps templates of crops, all of them or none.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn put_templates(
        &mut self,
        model: ModelId,
        made: &[(&SealedCrop, u8, Quantised)],
    ) -> Result<(), VaultError> {
        let Self { file, seal, path, known, lock, consent, .. } = self;
        let transaction = begin(file, path, *known, lock.as_ref())?;
        let writer = Writer { file: &transaction, seal, path, consent: *consent };
        for (crop, quality, template) in made {
            writer.put_template(model, crop.person, crop.id, crop.slot, *quality, template)?;
        }
        writer.changed()?;
        transaction.commit().map_err(VaultError::sqlite(path))?;
        *known += 1;
        Ok(())
    }

    /// How many crops and templates there are.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn counts(&self) -> Result<Counts, VaultError> {
        let sqlite = VaultError::sqlite(&self.path);
        let counted = (|| {
            let crops: i64 =
                self.file.query_row("SELECT count(*) FROM crops", [], |row| row.get(0))?;
            let query = "SELECT model, count(*) FROM templates GROUP BY model";
            let mut found = self.file.prepare(query)?;
            let models = found.query_map([], |row| {
                let count: i64 = row.get(1)?;
                Ok((ModelId(row.get(0)?), count as usize))
            })?;
            Ok(Counts { crops: crops as usize, templates: models.collect::<Result<_, _>>()? })
        })();
        counted.map_err(sqlite)
    }

    /// Everybody's templates by a model, in order of persons and slots.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] for one that does not open, and what SQLite says.
    pub fn templates(&self, model: ModelId) -> Result<Vec<Template>, VaultError> {
        let query = "SELECT crop, person, slot, templates.sealed FROM templates JOIN crops ON crop = id \
                     WHERE model = ?1 ORDER BY person, slot";
        let rows = self.crops(query, params![model.0])?;
        rows.iter().map(|row| self.template(model, row)).collect()
    }

    fn template(&self, model: ModelId, row: &SealedCrop) -> Result<Template, VaultError> {
        let SealedCrop { id, person, slot, ref sealed } = *row;
        let place = Row::Template { person: person.0, crop: id as u64, slot, model };
        let read = || {
            let plain = self.seal.open(place, sealed)?;
            let (head, components) = plain.split_first_chunk::<TEMPLATE_HEAD>()?;
            let scale = f32::from_le_bytes([head[1], head[2], head[3], head[4]]);
            let mut vector = heapless::Vec::new();
            for &component in components {
                vector.push(component as i8).ok()?;
            }
            let quality = head[0];
            let template = Template { person, slot, quality, model: model.tag(), scale, vector };
            template.check().is_ok().then_some(template)
        };
        read().ok_or_else(|| self.damaged(place.words()))
    }

    /// Removes people with all that is kept of them.
    ///
    /// # Errors
    /// What SQLite says.
    pub fn remove(&mut self, people: &[PersonId]) -> Result<(), VaultError> {
        let Self { file, seal, path, known, lock, consent, .. } = self;
        let transaction = begin(file, path, *known, lock.as_ref())?;
        let writer = Writer { file: &transaction, seal, path, consent: *consent };
        for person in people {
            writer.one("DELETE FROM people WHERE id = ?1", [person.0])?;
        }
        writer.changed()?;
        transaction.commit().map_err(VaultError::sqlite(path))?;
        *known += 1;
        self.people.retain(|id, _| !people.contains(id));
        self.names.retain(|_, id| !people.contains(id));
        Ok(())
    }

    /// Reads all of it: SQLite's own structure, and that every row opens and every person has the crops that the record names.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] names the first that is not right.
    pub fn check(&self) -> Result<(), VaultError> {
        let sqlite = VaultError::sqlite(&self.path);
        let said = self.file.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let said: String = said.map_err(&sqlite)?;
        if said != "ok" {
            return Err(self.damaged(said));
        }
        let mut slots: BTreeMap<PersonId, usize> = BTreeMap::new();
        let mut after = 0;
        // One at a time: all of them may be more than memory holds.
        let query = "SELECT id, person, slot, sealed FROM crops WHERE id > ?1 ORDER BY id LIMIT 1";
        while let Some(crop) = self.crops(query, params![after])?.pop() {
            self.opener().open(&crop)?;
            after = crop.id;
            *slots.entry(crop.person).or_default() += 1;
        }
        for (id, held) in &self.people {
            let found = slots.remove(id).unwrap_or_default();
            if found != held.photos.len() {
                let wanted = held.photos.len();
                let what = format!("person {} has {found} crops and should have {wanted}", id.0);
                return Err(self.damaged(what));
            }
        }
        for &model in self.counts()?.templates.keys() {
            self.templates(model)?;
        }
        Ok(())
    }

    /// Writes a whole copy to another place, at which nothing may be, and reads it again.
    ///
    /// # Errors
    /// [`VaultError`], and a keychain that cannot be read.
    pub fn copy_to(&self, to: &Path, keychain: &Keychain) -> anyhow::Result<()> {
        if is_taken(to) {
            return Err(VaultError::There { path: to.to_path_buf() }.into());
        }
        nothing_beside(to)?;
        let fresh = beside(to, ".tmp");
        let copied = (|| -> anyhow::Result<()> {
            // What a copy that was cut off left, and what SQLite would take for the new one's journal.
            for left in
                std::iter::once(fresh.clone()).chain(JOURNALS.map(|end| beside(&fresh, end)))
            {
                match std::fs::remove_file(&left) {
                    Err(error) if error.kind() != ErrorKind::NotFound => {
                        return Err(HostError::file(&left)(error).into());
                    }
                    _ => {}
                }
            }
            claim(&fresh)?;
            let name = fresh.to_str().ok_or_else(|| VaultError::Sqlite {
                path: fresh.clone(),
                what: "the name is no UTF-8".to_owned(),
            })?;
            let written = self.file.execute("VACUUM INTO ?1", [name]);
            written.map_err(VaultError::sqlite(&fresh))?;
            // Of which nobody knows that it can be read, a copy is none.
            Self::open_to_read(&fresh, keychain)?.check()?;
            let synced = File::open(&fresh).and_then(|file| file.sync_all());
            synced.and_then(|()| std::fs::rename(&fresh, to)).map_err(HostError::file(to))?;
            Ok(crate::kept::sync_folder(to)?)
        })();
        if copied.is_err() {
            let _ = std::fs::remove_file(&fresh);
        }
        copied
    }

    fn damaged(&self, what: String) -> VaultError {
        VaultError::Damaged { path: self.path.clone(), what }
    }
}

/// Whether something is at a place; an empty file is nothing: making a vault was cut off.
fn is_taken(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() || meta.len() > 0)
}

/// Checks that a path may be a vault's.
fn is_there(path: &Path) -> Result<(), VaultError> {
    let there = path.to_path_buf();
    match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(VaultError::NotThere { path: there })
        }
        Ok(meta) if !meta.is_file() => Err(VaultError::NotAVault { path: there }),
        Ok(meta) if meta.len() == 0 => Err(VaultError::NotThere { path: there }),
        _ => Ok(()),
    }
}

/// Keeps every other run from writing the vault of a path, which need not be there yet, until the answer is dropped. The file
/// stays: whoever deleted it would let two others lock two files.
///
/// # Errors
/// [`VaultError::Busy`], and a folder that cannot be written.
pub fn lock(path: &Path) -> anyhow::Result<File> {
    // By whichever link it is reached, it is one vault.
    let whole = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let held = beside(&whole, ".lock");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(&held).map_err(HostError::file(&held))?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Err(VaultError::Busy { path: path.to_path_buf() }.into()),
        // Where the disk knows no locks, the generation tells whether somebody else wrote.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(file),
    }
}

fn generation(file: &Connection, path: &Path) -> Result<u64, VaultError> {
    let found = file.query_row("SELECT generation FROM vault", [], |row| row.get(0));
    let found: i64 = found.map_err(VaultError::sqlite(path))?;
    Ok(u64::try_from(found).unwrap_or_default())
}

/// Begins to write, as the only one, what follows from the people as they were read.
///
/// # Errors
/// [`VaultError::Busy`] if another run writes or has written, or if this one opened the vault to read it.
fn begin<'a>(
    file: &'a mut Connection,
    path: &Path,
    known: u64,
    lock: Option<&File>,
) -> Result<Transaction<'a>, VaultError> {
    let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate);
    let transaction = transaction.map_err(VaultError::sqlite(path))?;
    if lock.is_none() || generation(&transaction, path)? != known {
        return Err(VaultError::Busy { path: path.to_path_buf() });
    }
    Ok(transaction)
}

/// A file's name with an ending behind it.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

/// Checks that no journal waits for a vault that is to be put at a place: the first use would write pages of another file over
/// it.
///
/// # Errors
/// [`VaultError::Leftover`].
fn nothing_beside(path: &Path) -> Result<(), VaultError> {
    // A link counts, wherever it leads.
    let left =
        |ending: &str| Some(beside(path, ending)).filter(|left| left.symlink_metadata().is_ok());
    match JOURNALS.into_iter().find_map(left) {
        Some(left) => Err(VaultError::Leftover { path: path.to_path_buf(), left }),
        None => Ok(()),
    }
}

impl SealedCrop {
    /// Whose it is.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.person
    }
}

impl Opener<'_> {
    /// A crop as it was kept.
    ///
    /// # Errors
    /// [`VaultError::Damaged`].
    pub fn open(&self, crop: &SealedCrop) -> Result<SourceCrop, VaultError> {
        let row = Row::Crop { person: crop.person.0, crop: crop.id as u64, slot: crop.slot };
        let opened = self.seal.open(row, &crop.sealed);
        opened
            .and_then(|bytes| SourceCrop::from_bytes(&bytes))
            .ok_or_else(|| VaultError::Damaged { path: self.path.to_path_buf(), what: row.words() })
    }
}

#[cfg(test)]
mod tests;
