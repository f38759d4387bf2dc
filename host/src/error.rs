//! What can go wrong in the administrator's tool itself, with the facts as fields.
//!
//! Owns the faults of ports, photos, people, packs and log files that no library below has a type for.
//! Refuses to carry advice: the remedy of each stands in `remedy`.

use crate::causes::{cause_words, end_words};
use crate::kept::Bad;
use std::path::PathBuf;
use threshold_record::{Cause, EnrolmentEnd, EntryError, KeyId, ModelId, PersonId};

/// A fault that the administrator sees.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A command that talks to the unit was given no port.
    #[error("no unit is named")]
    NoUnit {
        /// The ports that are there.
        ports: Vec<String>,
    },
    /// The site's file is not one.
    #[error("site file {path}: {what}")]
    Site {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The unit at a site's port is another one.
    #[error("the unit on {port} calls itself {said}, and the site calls it {name}")]
    OtherUnit {
        /// Of the site.
        port: String,
        /// Of the site.
        name: String,
        /// The unit's.
        said: String,
    },
    /// The unit at the port is not the one that the command began with.
    #[error("the line was cut, and on {port} is {now} now; the command began with {first}")]
    OtherEnd {
        /// As it was opened.
        port: String,
        /// The first unit's name, and its key if what is said to it is sealed.
        first: String,
        /// The same of the one that is there now.
        now: String,
    },
    /// Several units are followed one after the other, and the first one for ever.
    #[error("log follow at several units would never come to the second one")]
    FollowsForEver,
    /// Several units would write into one file.
    #[error("{file} would take what several units say")]
    OneFileForAll {
        /// As typed.
        file: String,
    },
    /// A command failed at some of the units, each with an error of its own.
    #[error("the command failed at {failed} of {all} units")]
    UnitsLeft {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// The administrator's keys cannot be used.
    #[error("{path}: {what}")]
    Keychain {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// No administrator, or several, are meant.
    #[error("{who:?} names {} of the unit's administrators", if *several { "several" } else { "none" })]
    NoSuchAdministrator {
        /// As typed.
        who: String,
        /// More than one fits.
        several: bool,
    },
    /// Training was not built, or lies elsewhere.
    #[error("there is no {program}")]
    NoTrainer {
        /// Where it was looked for.
        program: String,
    },
    /// Training ended with an error, which it has said itself.
    #[error("threshold-train ended with {status}")]
    TrainerFailed {
        /// Its exit status, in words.
        status: String,
    },
    /// No code was typed.
    #[error("no pairing code was typed")]
    NoCode,
    /// No recovery key was typed, or the file has none.
    #[error("no recovery key was given")]
    NoRecoveryKey,
    /// The unit knows a recovery key, which was not given.
    #[error("{unit} moves no lock before recovery key {known} commissions it")]
    RecoveryKeyWanted {
        /// The unit.
        unit: String,
        /// Which key.
        known: KeyId,
    },
    /// A recovery key would be made that nobody sees.
    #[error("a recovery key that is made is not printed as JSON")]
    RecoveryKeyNowhere,
    /// A build without the GPU's engine.
    #[error("this build has no engine for a GPU")]
    NoGpuEngine,
    /// This processor lacks the instruction set that was asked for.
    #[error("this processor cannot run {wanted}")]
    NoSimd {
        /// As typed.
        wanted: &'static str,
        /// What it can run.
        here: String,
    },
    /// The port's device file is not there.
    #[error("there is no port {port}")]
    PortMissing {
        /// As typed.
        port: String,
        /// The ports that are there.
        ports: Vec<String>,
    },
    /// More than one port is what was typed.
    #[error("{port} is each of {}", ports.join(", "))]
    SeveralPorts {
        /// As typed.
        port: String,
        /// Those that it is.
        ports: Vec<String>,
    },
    /// Another program holds the port.
    #[error("port {port} is in use by another program")]
    PortBusy {
        /// As typed.
        port: String,
    },
    /// This user may not open the port.
    #[error("this user may not open port {port}")]
    PortDenied {
        /// As typed.
        port: String,
    },
    /// The device file is there and is no serial port, or its driver refuses.
    #[error("port {port} could not be opened as a serial port")]
    PortOpen {
        /// As typed.
        port: String,
        /// What the driver said.
        #[source]
        source: std::io::Error,
    },
    /// The terminal server was not reached.
    #[error("the terminal server of {port} was not reached")]
    ServerAway {
        /// As typed.
        port: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The terminal server was reached and does not give the port as it is needed.
    #[error("the terminal server of {port} does not give the port as it is needed: {what}")]
    ServerRefuses {
        /// As typed.
        port: String,
        /// What it does not.
        what: String,
    },
    /// Nothing but a look is said in the open to whoever may be at the other end of a line.
    #[error(
        "who answers on {port} is no unit that was paired, and would be believed at its word unsealed"
    )]
    OpenLine {
        /// As typed.
        port: String,
    },
    /// The port is open and nobody answers.
    #[error("the unit on {port} did not answer within {waited_ms} ms")]
    Silent {
        /// As typed.
        port: String,
        /// How long.
        waited_ms: u64,
    },
    /// Bytes arrive, and none of them make an answer.
    #[error(
        "what comes from {port} is broken: {broken} frames in {waited_ms} ms, none of them an answer"
    )]
    Noisy {
        /// As typed.
        port: String,
        /// How many.
        broken: u64,
        /// How long.
        waited_ms: u64,
    },
    /// The port vanished while a command ran.
    #[error("the unit on {port} was unplugged or its program ended")]
    Gone {
        /// As typed.
        port: String,
        /// What the driver said.
        #[source]
        source: std::io::Error,
    },
    /// No pack of that name is in the folder, and no file.
    #[error("there is no model {typed}: neither a pack in {folder} nor a file")]
    NoModel {
        /// As typed.
        typed: String,
        /// The packs folder.
        folder: String,
        /// The names of the packs there.
        found: Vec<String>,
    },
    /// Nobody measured how distances fall with a pack.
    #[error("nobody measured how the distances of {model} fall, so nothing can be forecast")]
    NoDistributions {
        /// The pack's name.
        model: String,
    },
    /// A folder where a picture is needed.
    #[error("{path} is a folder, not a picture")]
    FolderForPicture {
        /// As typed.
        path: String,
    },
    /// Some of the pictures were left out, each with an error of its own.
    #[error("{failed} of {all} pictures could not be worked on")]
    PicturesLeft {
        /// How many.
        failed: usize,
        /// Of how many.
        all: usize,
    },
    /// A photo for enrolment shows no face.
    #[error("{photo}: no face found (smallest looked for: {min_face_px} px)")]
    NoFace {
        /// The photo's path.
        photo: String,
        /// The smallest face looked for.
        min_face_px: u32,
    },
    /// A photo for enrolment shows several faces.
    #[error("{photo}: {count} faces found, exactly one is needed")]
    ManyFaces {
        /// The photo's path.
        photo: String,
        /// How many.
        count: usize,
    },
    /// A photo's face is not good enough to enrol.
    #[error("{photo}: the face is not good enough to enrol: {cause} (quality {percent} %)", cause = cause_words(*.cause))]
    PoorFace {
        /// The photo's path.
        photo: String,
        /// What is wrong.
        cause: Cause,
        /// The quality measure.
        percent: u8,
    },
    /// A photo resembles somebody else who is enrolled.
    #[error(
        "{photo}: this face matches {} is enrolled already: score {score:.3}, threshold {threshold:.3}",
        other.as_ref().map_or("somebody who".to_owned(), |other| format!("{other}, who"))
    )]
    MatchesOther {
        /// The photo's path.
        photo: String,
        /// The other person, as an owner is told.
        other: Option<String>,
        /// How alike.
        score: f32,
        /// What counts as the same person.
        threshold: f32,
    },
    /// Two photos under one name that are not alike: the door would open to both people.
    #[error("{photos} hardly show one person: distance {distance:.3} {unit}")]
    UnlikePhotos {
        /// The photos' paths.
        photos: String,
        /// How far apart they are.
        distance: f32,
        /// In what.
        unit: &'static str,
    },
    /// A photo unlike those that are enrolled under its name.
    #[error("{photo} hardly resembles {name}, who is enrolled already")]
    UnlikeOwn {
        /// The photo's path.
        photo: String,
        /// Under which name.
        name: String,
    },
    /// An enrolment at the door that ended without a template.
    #[error("{}: nothing is kept", end_words(*end, *cause, other.as_deref()))]
    NotEnrolled {
        /// How it ended.
        end: EnrolmentEnd,
        /// What for.
        cause: Cause,
        /// Whom the face resembles, if that was told.
        other: Option<String>,
    },
    /// A name that the gallery cannot hold.
    #[error("{what}")]
    BadName {
        /// What is wrong with it.
        what: String,
    },
    /// The unit's time zone is of a kind that this host does not know.
    #[error("the unit's time zone {rule:?} cannot be read here")]
    BadZone {
        /// What the unit said.
        rule: String,
    },
    /// A time that no limit can have.
    #[error("{typed} is no time that a person's validity may begin or end at")]
    BadTime {
        /// As typed.
        typed: String,
    },
    /// Words that are no hours of the week.
    #[error("{what}")]
    BadHours {
        /// What is wrong.
        what: String,
    },
    /// No schedule has that name.
    #[error("the unit has no schedule {name:?}")]
    NoSuchSchedule {
        /// As typed.
        name: String,
    },
    /// The configuration has no key of that name that is set over the line.
    #[error("{key:?} is no key of the configuration that is set over the line")]
    NoSuchSetting {
        /// As typed.
        key: String,
    },
    /// A key with its value is not typed as one.
    #[error("{key:?}: {what}")]
    BadSetting {
        /// As typed.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// A file is no configuration.
    #[error("configuration {path}: {what}")]
    BadConfig {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// A person has as many credentials as fit.
    #[error("a person has {max} badges and numbers at most")]
    CredentialsFull {
        /// How many fit.
        max: usize,
    },
    /// Nobody in the gallery is meant.
    #[error("nobody named {name:?} is enrolled")]
    NoSuchPerson {
        /// As typed.
        name: String,
        /// The names nearest to it.
        near: Vec<String>,
    },
    /// The person's slots are all in use.
    #[error(
        "{name} has {used} templates and the unit keeps {max} a person, {wanted} more do not fit"
    )]
    SlotsFull {
        /// The person's name.
        name: String,
        /// Templates there.
        used: usize,
        /// Templates wanted.
        wanted: usize,
        /// The unit's limit.
        max: usize,
    },
    /// The unit named a template as replaceable that cannot be the person's.
    #[error("the unit names a template that cannot be {name}'s: nothing of it was replaced")]
    BadReplaced {
        /// The person's name.
        name: String,
    },
    /// What was replaced would take the place of something else.
    #[error("{} is there already", path.display())]
    ReplacedThere {
        /// The file.
        path: PathBuf,
    },
    /// A file of replaced templates is of another person or model.
    #[error("{} holds no templates of {name} by the unit's model: {what}", path.display())]
    NotReplaced {
        /// The file.
        path: PathBuf,
        /// The person's name.
        name: String,
        /// What is in it instead.
        what: String,
    },
    /// The unit runs on a model whose pack is not here.
    #[error("the unit's model {unit} is not in {folder} (found: {found})")]
    ModelNotHere {
        /// The unit's model id.
        unit: String,
        /// The packs folder.
        folder: String,
        /// The model ids there.
        found: String,
    },
    /// `--model` names another model than the unit's.
    #[error("--model {typed} is model {here}, the unit runs model {unit}")]
    WrongModel {
        /// As typed.
        typed: String,
        /// Its id.
        here: String,
        /// The unit's id.
        unit: String,
    },
    /// The unit left entries out.
    #[error("the log has a gap: entry {expected} was due, the unit sent {found}")]
    LogGap {
        /// The sequence that was due.
        expected: u64,
        /// The sequence that came.
        found: u64,
    },
    /// The unit's log was full, or an owner had it pruned, and the oldest entries went before they were read.
    #[error("entries {first} to {last} were overwritten or pruned before they were read")]
    LogOverwritten {
        /// The sequence that was due.
        first: u64,
        /// The last one that is gone.
        last: u64,
    },
    /// The unit says that there are entries and sends none.
    #[error("the unit's log ends with {head}, and the unit sends nothing from {expected} on")]
    LogShort {
        /// The sequence that was due.
        expected: u64,
        /// The last sequence, as the unit says.
        head: u64,
    },
    /// The log ends before an entry that was there: another unit, or another log.
    #[error("the unit's log ends with {head} now, entry {seen} was read already")]
    LogRestarted {
        /// The last sequence that was read.
        seen: u64,
        /// The last sequence now.
        head: u64,
    },
    /// An entry whose bytes this program does not know.
    #[error("the log cannot be read from entry {expected} on: {source}")]
    LogEntry {
        /// The sequence that was due.
        expected: u64,
        /// What is wrong with it.
        source: EntryError,
    },
    /// A log file that is not ours, or is damaged.
    #[error("{path}, line {line}: not an entry of a log that this program wrote: {what}")]
    LogFile {
        /// The file.
        path: String,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// A log file without a single entry.
    #[error("{} holds no entry", path.display())]
    NoEntries {
        /// The file.
        path: PathBuf,
    },
    /// The unit signs with another key than the one that was kept.
    #[error("{unit} does not sign with the key that was kept when it was paired")]
    OtherIdentity {
        /// Its name.
        unit: String,
    },
    /// A unit that was paired does not know the key any more.
    #[error(
        "{unit} does not know this administrator's key, or is not the unit that was paired: it was wiped, its key was changed, another unit \
         has its name, or the key was revoked"
    )]
    UnitForgot {
        /// Its name.
        unit: String,
    },
    /// A unit that was never paired.
    #[error("no unit named {unit} was paired from here")]
    NotPaired {
        /// As typed.
        unit: String,
    },
    /// A file that is in the way.
    #[error("{} is there, and is no gallery file", path.display())]
    NoGalleryFile {
        /// The file.
        path: PathBuf,
    },
    /// The gallery was made by another model than the unit's.
    #[error(
        "{} has {templates} templates of {people} people made by model {file}, the unit compares with model {unit}", path.display()
    )]
    GalleryOfOtherModel {
        /// The file.
        path: PathBuf,
        /// People in it.
        people: u32,
        /// Templates of them.
        templates: u32,
        /// Its model.
        file: ModelId,
        /// The unit's.
        unit: ModelId,
    },
    /// Not the unit that was typed to be wiped.
    #[error("this is {unit}, and {typed} was to be wiped; nothing was done")]
    OtherUnitToWipe {
        /// The unit's name.
        unit: String,
        /// As typed.
        typed: String,
    },
    /// A file where a kept log should be, and is not this unit's.
    #[error("{} is not the kept log of this unit", path.display())]
    KeptForeign {
        /// The file.
        path: PathBuf,
    },
    /// A kept log that somebody changed.
    #[error("{}: {bad}", path.display())]
    KeptBad {
        /// The file.
        path: PathBuf,
        /// The first entry that is not as it was pulled.
        bad: Bad,
    },
    /// The unit's log ends before what was pulled from it: an older one was put back.
    #[error(
        "the unit's log was put back: it ends with entry {unit_last}, and was pulled up to entry {kept_last}"
    )]
    UnitRolledBack {
        /// The last entry that was pulled.
        kept_last: u64,
        /// The unit's last one.
        unit_last: u64,
    },
    /// The unit's log is another one than what was pulled from it.
    #[error(
        "the unit's log is another one than was pulled from it: {} differs",
        if first == last { format!("entry {first}") } else { format!("one of the entries {first} to {last}") }
    )]
    UnitDiffers {
        /// The first that may differ.
        first: u64,
        /// The last that may.
        last: u64,
    },
    /// A receipt that is not about the removal.
    #[error("the receipt that the unit sent is not of the removal of person {}", person.0)]
    OtherReceipt {
        /// Who was removed.
        person: PersonId,
    },
    /// Kept entries that the unit has not signed.
    #[error("entries from {first} on, of {last}, are not signed by the unit")]
    KeptUnsigned {
        /// The first of them.
        first: u64,
        /// The last that is kept.
        last: u64,
    },
    /// Nothing was kept yet.
    #[error("nothing of the log of {unit} is kept here")]
    NothingKept {
        /// Its name.
        unit: String,
    },
    /// Another run of this program has the file open to write it.
    #[error("{} is written by another run of this program", path.display())]
    FileBusy {
        /// The file.
        path: PathBuf,
    },
    /// A table, which only another build of this program reads and writes.
    #[error("{path}: this build of threshold has no Parquet")]
    NoParquet {
        /// As typed.
        path: String,
    },
    /// The file's name does not say its form.
    #[error("{path}: the name of a log file must end in .jsonl, .csv or .parquet")]
    LogFileKind {
        /// As typed.
        path: String,
    },
    /// The file knows more than the unit.
    #[error("{path} ends with entry {file_last}, the unit's log ends with {unit_last}")]
    LogFileAhead {
        /// The file.
        path: String,
        /// Its last sequence.
        file_last: u64,
        /// The unit's last sequence.
        unit_last: u64,
    },
    /// The wanted entry is not in the log.
    #[error("the log has no entry {wanted}: it {range}")]
    NoEntry {
        /// As typed.
        wanted: u64,
        /// `holds 1 to 9`, or `is empty`.
        range: String,
    },
    /// A size for a network that takes crops.
    #[error("{network} takes {input} and no other size")]
    FixedSize {
        /// As typed.
        network: String,
        /// Its input, width x height.
        input: String,
    },
    /// More faces than are grouped at once.
    #[error("{path} shows more than {max} faces, and no more are grouped at once")]
    TooManyFaces {
        /// The folder.
        path: String,
        /// The most.
        max: usize,
    },
    /// Nothing to work on.
    #[error("{path}: no pictures here (looked for {looked_for})")]
    NoPictures {
        /// The folder.
        path: String,
        /// File name endings.
        looked_for: &'static str,
    },
    /// A data file of an evaluation that does not read.
    #[error("{path}, line {line}: {what}")]
    DataSet {
        /// The file.
        path: String,
        /// The line, from 1; 0 if none.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// A file could not be read or written.
    #[error("{path}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

impl HostError {
    /// A function that puts a file's name on its I/O error, for `map_err`.
    pub fn file(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::File { path, source }
    }
}
