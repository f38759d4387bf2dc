//! `vault` and `cluster` as typed.

use super::{Page, min_face};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `vault`
#[derive(Args, Debug)]
pub struct Vault {
    /// The vault (default: vault.db in the folder of your keys)
    #[arg(long = "vault", global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What to do
    #[command(subcommand)]
    pub what: VaultCommand,
}

/// What to do with a vault.
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Make an empty vault, and its key in the folder of your keys
    Init,
    /// Take in people and photos; what is there already is passed over, so that a run that was cut off is gone on with
    Import(VaultImport),
    /// List the people with consent and retention
    List(VaultList),
    /// Say whether everybody has to have a day of consent, or settle it: then no photo is taken in without one, nobody without one is
    /// exported, and enrol asks for it too
    Consent(VaultConsent),
    /// Say who is at a unit past the day until which the data may be kept, or without a record here, and what to do about each
    Audit,
    /// Make everybody's templates by another model (--model), from what the vault keeps of the photos
    ReEmbed,
    /// Write a gallery file of everybody whose retention is not over, for threshold gallery push
    Export(VaultExport),
    /// Remove people for good, with photos and templates
    Remove(VaultRemove),
    /// Write a checked copy; it opens with the key in the folder of your keys, which it does not hold
    Backup(VaultBackup),
    /// Make a vault of a backup, once all of it was read
    Restore(VaultRestore),
}

/// `vault list`
#[derive(Args, Debug)]
pub struct VaultList {
    /// Print the roster as a CSV list with the columns that vault import takes; of photos nothing is kept, so that their column is empty, and vault
    /// import takes the days of each row
    #[arg(long, conflicts_with = "jsonl")]
    pub csv: bool,
    /// Print the roster as a line of JSON for each person, as vault import takes it from a file ending in .jsonl
    #[arg(long)]
    pub jsonl: bool,
}

/// `vault import`
#[derive(Args, Debug)]
pub struct VaultImport {
    /// A list with the columns name, photo, consent, keep_until, as CSV or (in a file ending in .jsonl) a line of JSON for each photo, or
    /// a folder with a folder of photos for each person
    #[arg(value_name = "LIST OR FOLDER")]
    pub source: PathBuf,
    /// Leave out whoever has no day of consent, in the list or in the vault
    #[arg(long)]
    pub require_consent: bool,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
}

/// `vault consent`
#[derive(Args, Debug)]
pub struct VaultConsent {
    /// Demand it from now on
    #[arg(long, conflicts_with = "drop")]
    pub demand: bool,
    /// Demand it no more
    #[arg(long)]
    pub drop: bool,
}

/// `vault export`
#[derive(Args, Debug)]
pub struct VaultExport {
    /// The name of the unit that it is for, which was paired with your key (default: your own key)
    #[arg(long = "for", value_name = "NAME")]
    pub recipient: Option<String>,
    /// The file; a gallery file that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `vault remove`
#[derive(Args, Debug)]
pub struct VaultRemove {
    /// A name, or an id as `vault list` prints it, quoted for the shell ("#7")
    #[arg(required_unless_present = "expired")]
    pub person: Option<String>,
    /// Everybody whose retention is over
    #[arg(long, conflicts_with = "person")]
    pub expired: bool,
}

/// `vault backup`
#[derive(Args, Debug)]
pub struct VaultBackup {
    /// The file, which must not be there yet
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `vault restore`
#[derive(Args, Debug)]
pub struct VaultRestore {
    /// A file that vault backup wrote
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
}

/// `cluster`
#[derive(Args, Debug)]
pub struct Cluster {
    /// A folder of pictures; with a folder for each person, people who may be one person are named
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
    /// A page; it has the groups as pictures
    #[command(flatten)]
    pub page: Page,
}
