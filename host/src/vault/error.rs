//! What can go wrong with a vault. Each text ends with what to do, behind the last semicolon, where `remedy` finds it.

use jiff::civil::Date;
use rusqlite::ErrorCode;
use rusqlite::ffi::{SQLITE_READONLY_RECOVERY, SQLITE_READONLY_ROLLBACK};
use std::path::{Path, PathBuf};
use threshold_record::ModelId;

/// A fault of a vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Nothing is there.
    #[error(
        "there is no vault {}; threshold vault init makes one, --vault <file> names another",
        path.display()
    )]
    NotThere {
        /// The file.
        path: PathBuf,
    },
    /// Something is in the way.
    #[error("{} is there already; name another file, or move that one away", path.display())]
    There {
        /// The file.
        path: PathBuf,
    },
    /// A journal of an older vault at that place.
    #[error(
        "{} is left of another vault, and would be written into {}; move it to where that vault is now, or delete it if that one \
         is gone",
        left.display(),
        path.display()
    )]
    Leftover {
        /// Where a vault is to be.
        path: PathBuf,
        /// The journal.
        left: PathBuf,
    },
    /// Another file.
    #[error("{} is no vault; name one that threshold vault init or backup made", path.display())]
    NotAVault {
        /// The file.
        path: PathBuf,
    },
    /// A later program made it.
    #[error(
        "{} is a vault of version {found}, and this program reads version {supported}; install the build that made it",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// What it says.
        found: i64,
        /// What is read.
        supported: i64,
    },
    /// Its key is not in the keychain.
    #[error(
        "the key of {} is not in the keychain; put a copy of {} back, or --keys with the folder that has it",
        path.display(),
        key_file.display()
    )]
    NoKey {
        /// The vault.
        path: PathBuf,
        /// Where its key should be.
        key_file: PathBuf,
    },
    /// Another key lies under its name.
    #[error(
        "{} is not the key that {} is sealed with; put a copy of the right one there, or --keys with the folder that has it",
        key_file.display(),
        path.display()
    )]
    WrongKey {
        /// The vault.
        path: PathBuf,
        /// The file with the other key.
        key_file: PathBuf,
    },
    /// A row does not open, or the file's own structure does not hold.
    #[error("{} is damaged: {what}; threshold vault restore <backup>, under another name", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        what: String,
    },
    /// Another run writes it.
    #[error("{} is used by another run of this program; wait until that one has ended", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
    },
    /// A run was cut off while it wrote, and nothing can be written to take that back.
    #[error(
        "the last run that wrote {} was cut off, and what it left half written cannot be taken back without the right to write; make \
         the file and its folder writable, or copy it with the -journal beside it to where you may write",
        path.display()
    )]
    CutOff {
        /// The file.
        path: PathBuf,
    },
    /// No room, or a disk that fails.
    #[error(
        "{} cannot be written ({what}); free some space on that disk, then repeat the command: it goes on where it stopped",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        what: String,
    },
    /// Anything else that SQLite says.
    #[error("{}: {what}; check the path and its permissions", path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        what: String,
    },
    /// A crop that cannot be kept.
    #[error("the face cannot be cut out of its photo ({0}); another photo of that person")]
    Crop(String),
    /// The person has as many crops as a unit takes templates.
    #[error("{name} has {max} crops, and no more fit; leave the photo out")]
    Full {
        /// Who.
        name: String,
        /// How many fit.
        max: u8,
    },
    /// A row of a list of people that cannot be used.
    #[error("{what}; correct that row and import the list again: the good rows are in then")]
    Row {
        /// What is wrong.
        what: String,
    },
    /// Somebody without a consent, where one is demanded.
    #[error(
        "no consent of {name} is recorded; write its day into the column consent of the list, or leave --require-consent out"
    )]
    NoConsent {
        /// Who.
        name: String,
    },
    /// Somebody without a consent, of whom the vault demands one.
    #[error(
        "no consent of {name} is recorded, and the vault {} demands one of everybody; --vault --consent <its day> in enrol, the column \
         consent in a list for vault import, or as whoever answers for it threshold vault consent --drop",
        path.display()
    )]
    ConsentDemanded {
        /// Who.
        name: String,
        /// The vault.
        path: PathBuf,
    },
    /// Somebody whose data should be gone.
    #[error(
        "the data of {name} may be kept until {until}, which is over; threshold vault remove --expired, and a later keep_until only \
         of whoever consents anew"
    )]
    Over {
        /// Who.
        name: String,
        /// The last day.
        until: Date,
    },
    /// A consent that was not given yet.
    #[error("the consent of {day} is in the future; the day on which it was given")]
    Later {
        /// The day.
        day: Date,
    },
    /// More photos than fit beside those that are there.
    #[error(
        "{name} has {held} crops in the vault, which holds {max} of a person: {wanted} more do not fit; fewer photos"
    )]
    NoRoom {
        /// Who.
        name: String,
        /// Crops that are there.
        held: usize,
        /// Crops that were to be kept.
        wanted: usize,
        /// How many fit.
        max: u8,
    },
    /// Kept here, and not at the unit.
    #[error(
        "{name} is in the vault {} with these photos, and not with all of them at the unit: {why}; {advice}, then repeat the command: \
         what is there already is passed over",
        path.display()
    )]
    Half {
        /// Who.
        name: String,
        /// The vault.
        path: PathBuf,
        /// What the unit's half failed with.
        why: String,
        /// What to do about it.
        advice: String,
    },
    /// A person's folder of which the name is no text: two of them could be taken for one.
    #[error("the name of the folder {path:?} is no UTF-8; rename it to the person's name")]
    FolderName {
        /// The folder.
        path: PathBuf,
    },
    /// The list itself.
    #[error(
        "{}: {what}; a list with the columns name and photo, and consent and keep_until if you have them (CSV, or lines of JSON in a .jsonl file), or a folder with a \
         folder of photos for each person",
        path.display()
    )]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Nobody of that name or id.
    #[error("the vault has nobody named {typed:?}; threshold vault list")]
    NoSuchPerson {
        /// As typed.
        typed: String,
    },
    /// A row without a photo, of somebody whom the vault does not have: a roster's row changes the days of those who are there.
    #[error("it names no photo, and {name} is not in the vault; name a photo in the row")]
    NoPhoto {
        /// Whose.
        name: String,
    },
    /// Unit and vault know somebody by two ids.
    #[error(
        "{name} is #{at_unit} at the unit and #{in_vault} in the vault, so that what is removed under the one id stays under the other; \
         threshold gallery remove {name:?}, then repeat the command"
    )]
    TwoIds {
        /// Who.
        name: String,
        /// The unit's id.
        at_unit: u32,
        /// The vault's id.
        in_vault: u32,
    },
    /// Unit and vault mean two people by one id, and somebody who is at the unit is not in the vault.
    #[error(
        "#{id} is {name} at the unit and {holder} in the vault; threshold gallery remove {name:?}, then repeat the command with all photos"
    )]
    HeldInVault {
        /// The id.
        id: u32,
        /// Who has it at the unit.
        name: String,
        /// Who has it in the vault.
        holder: String,
    },
    /// The same, and somebody who is in the vault is not at the unit.
    #[error(
        "#{id} is {name} in the vault and {holder} at the unit; threshold vault remove {name:?}, then repeat the command with all photos"
    )]
    HeldAtUnit {
        /// The id.
        id: u32,
        /// Who has it in the vault.
        name: String,
        /// Who has it at the unit.
        holder: String,
    },
    /// Somebody who is in the vault was removed from the unit.
    #[error(
        "{name} (#{id} in the vault) was removed from this unit and stays removed under that id; to enrol {name} anew all the same, \
         threshold vault remove {name:?} and repeat the command with all photos"
    )]
    RemovedAtUnit {
        /// Who.
        name: String,
        /// The id.
        id: u32,
    },
    /// The unit says an id that was not asked for, or one that no vault can have.
    #[error(
        "the unit has {name} under #{id}, which was not asked for, and the vault takes it under no other; threshold-edge on that unit is no build of ours"
    )]
    OtherId {
        /// Who.
        name: String,
        /// The id.
        id: u32,
    },
    /// Somebody has no template of the model.
    #[error(
        "{crops} crops of {people} people have no template by model {model}; threshold vault re-embed with that --model"
    )]
    NotEmbedded {
        /// Crops without one.
        crops: usize,
        /// Of how many people.
        people: usize,
        /// Which.
        model: ModelId,
    },
    /// Nobody is left to export.
    #[error("the vault has nobody to export; threshold vault import adds people")]
    Nobody,
    /// The system gives no random bytes.
    #[error("the system gives no random bytes ({0}); try again")]
    NoRandom(String),
}

impl VaultError {
    /// A function that tells what an error of SQLite means for a file, for `map_err`.
    pub fn sqlite(path: &Path) -> impl Fn(rusqlite::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |error| {
            let path = path.clone();
            let what = error.to_string();
            if let Some(SQLITE_READONLY_ROLLBACK | SQLITE_READONLY_RECOVERY) =
                error.sqlite_error().map(|error| error.extended_code)
            {
                return Self::CutOff { path };
            }
            match error.sqlite_error_code() {
                Some(ErrorCode::NotADatabase) => Self::NotAVault { path },
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation) => {
                    Self::Damaged { path, what }
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
                // A limit of the system on files comes as a failure of writing, a full disk as what it is.
                Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
                    Self::Write { path, what }
                }
                Some(_) => Self::Sqlite { path, what },
                // A column of another type than this program writes.
                None => Self::Damaged { path, what },
            }
        }
    }
}
