//! The launcher `threshold-launch`: asks the slots which version runs now, and becomes it.
//!
//! The unit's package brings it and no update replaces it, so that whatever an update does there is a way back. Built static where the
//! target allows (`-C target-feature=+crt-static`), so that it needs nothing of the system that an update may have touched.
//! It stays the same process (exec), which is what a service manager that waits for its word asks for.
//!
//! Beside that it drives the door's relay inactive where no unit does it (`lock`): no version is needed for that.
//!
//! Owns what is typed and what is said. Refuses to start anything that [`Slots::choose`] did not choose, to work as another user than
//! the slots' owner, and to stay in memory.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use threshold_slots::{
    Folder, LAUNCHER, MAKER_VARIABLE, Maker, PROGRAM, SLOT_VARIABLE, SlotError, Slots, Status, rest,
};

/// Where the package puts what is not typed.
const SLOTS: &str = "/var/lib/threshold-slots";
const MAKER: &str = "/etc/threshold/maker.toml";
const CONFIG: &str = "/etc/threshold/unit.toml";

const USAGE: &str = "\
usage: threshold-launch run [--slots FOLDER] [--maker FILE] -- ARGUMENTS...
       threshold-launch install [--if-none] [--slots FOLDER] [--maker FILE] BUNDLE
       threshold-launch revert | status [--slots FOLDER] [--maker FILE]
       threshold-launch lock [--config FILE]
run becomes the version that is to run; ARGUMENTS that begin with run are a start, which a version on trial has three of.
The others are for a unit that does not run; install --if-none does nothing where a slot holds a version that may be started.
lock drives the relay of the unit's configuration inactive, where a unit that was killed left it active.
All of them: as the user whose folder it is (on a unit: runuser -u threshold -- /usr/lib/threshold/threshold-launch ...).
defaults: /var/lib/threshold-slots, /etc/threshold/maker.toml, /etc/threshold/unit.toml";

fn main() -> ExitCode {
    let failed = match Typed::parse(std::env::args_os().skip(1)) {
        Some(typed) => match done(&typed) {
            Ok(words) => {
                let _ = writeln!(std::io::stdout(), "{words}");
                return ExitCode::SUCCESS;
            }
            Err(error) => error,
        },
        None => USAGE.to_owned(),
    };
    tell(&failed);
    ExitCode::from(2)
}

/// What was typed.
struct Typed {
    what: String,
    slots: PathBuf,
    maker: PathBuf,
    config: PathBuf,
    if_none: bool,
    rest: Vec<OsString>,
}

impl Typed {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Self> {
        let what = words.next()?.into_string().ok()?;
        let [slots, maker, config] = [SLOTS, MAKER, CONFIG].map(PathBuf::from);
        let mut typed = Self { what, slots, maker, config, if_none: false, rest: Vec::new() };
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--slots") => typed.slots = words.next()?.into(),
                Some("--maker") => typed.maker = words.next()?.into(),
                Some("--config") if typed.what == "lock" => typed.config = words.next()?.into(),
                Some("--if-none") if typed.what == "install" => typed.if_none = true,
                Some("--") => {
                    typed.rest.extend(words.by_ref());
                }
                _ => typed.rest.push(word),
            }
        }
        let n_words = match typed.what.as_str() {
            "run" => typed.rest.len(),
            "install" => 1,
            "revert" | "status" | "lock" => 0,
            _ => return None,
        };
        (typed.rest.len() == n_words).then_some(typed)
    }
}

/// Does it; gives what is to be said of it.
fn done(typed: &Typed) -> Result<String, String> {
    if typed.what == "lock" {
        return rest(&typed.config);
    }
    let said = |error: SlotError| error.to_string();
    is_owner(&typed.slots)?;
    let maker = Maker::read(&typed.maker).map_err(said)?;
    let mut slots = Slots::open(&typed.slots, maker, None).map_err(said)?;
    match (typed.what.as_str(), typed.rest.as_slice()) {
        ("run", arguments) => Err(become_chosen(slots, typed, arguments)),
        ("install", _) if typed.if_none && slots.has_version().map_err(said)? => {
            Ok("a slot holds a version; nothing was installed".to_owned())
        }
        ("install", [bundle]) => {
            let mut file = std::fs::File::open(bundle)
                .map_err(|error| format!("{}: {error}", Path::new(bundle).display()))?;
            let manifest = slots.install(&mut file).map_err(said)?;
            Ok(format!("version {} is on trial from the next start", manifest.version))
        }
        ("revert", _) => {
            slots.revert().map_err(said).map(|slot| format!("slot {slot} runs from the next start"))
        }
        _ => slots.status().map_err(said).map(|status| words(&status)),
    }
}

/// Refuses to work on another user's folder, as root would: the unit could not read what is written there.
fn is_owner(folder: &Path) -> Result<(), String> {
    let this = rustix::process::geteuid().as_raw();
    match std::fs::metadata(folder).map(|folder| folder.uid()) {
        Ok(owner) if owner != this => Err(format!(
            "{} belongs to user {owner}, and this is user {this}, whose files the unit could not read; run it as the folder's owner \
             (on a unit: runuser -u threshold -- {LAUNCHER} ...)",
            folder.display()
        )),
        // One that is not there is made, and is then this user's own.
        _ => Ok(()),
    }
}

/// Becomes the chosen version; comes back only with what kept it from that.
fn become_chosen(mut slots: Slots, typed: &Typed, arguments: &[OsString]) -> String {
    // A label or a look at the settings is no start: three of them would end the trial of a good version.
    let is_start = arguments.first().is_some_and(|first| first == "run");
    let choice = match if is_start { slots.choose() } else { slots.look() } {
        Ok(choice) => choice,
        Err(error) => return error.to_string(),
    };
    tell(&choice.to_string());
    if slots.maker().is_development() {
        tell("insecure: this unit takes versions that are signed with a key that everybody has");
    }
    // What it says to the program holds wherever that goes.
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or(path.to_owned());
    let slot = absolute(&Folder::slot(&typed.slots, choice.slot));
    let mut program = Command::new(slot.join(PROGRAM));
    program.args(arguments).env(SLOT_VARIABLE, &slot);
    program.env(MAKER_VARIABLE, absolute(&typed.maker));
    if choice.has_packs() {
        program.env("THRESHOLD_PACKS", slot.join("packs"));
    }
    // The lock on the slots goes with this program: its file is closed on exec.
    let error = program.exec();
    format!("{} cannot be started: {error}", slot.join(PROGRAM).display())
}

/// How the slots stand, a line for each thing.
fn words(status: &Status) -> String {
    let mut lines = Vec::new();
    for slot in &status.slots {
        let place = match (status.trial, status.current) {
            (Some(trial), _) if trial.slot == slot.slot => {
                format!("on trial, {} starts left", trial.left)
            }
            (_, Some(current)) if current == slot.slot => "current".to_owned(),
            _ => "kept".to_owned(),
        };
        lines.push(match &slot.version {
            Ok((version, counter)) => {
                format!(
                    "slot {}: version {version}, security counter {counter}: {place}",
                    slot.slot
                )
            }
            Err(fault) => format!("slot {}: {fault}", slot.slot),
        });
    }
    lines
        .push(format!("security counter {}: nothing below it is started or taken", status.counter));
    lines.join("\n")
}

/// Says a line where the service's journal keeps it. A closed stream changes nothing for the door.
fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "threshold-launch: {line}");
}
