//! What to do about an error: one line for each, in one table.
//!
//! Owns every "try: ..." of this program. Errors of the libraries below carry their advice as the end of their text,
//! behind the last semicolon; it is cut off there, so that it stands in the remedy's line and nowhere else.
//! Refuses to repeat the error: a remedy names the next step, as a command where there is one.

use crate::causes::cause_help;
use crate::cmd::flash::FlashError;
use crate::cmd::flash::first::FirstError;
use crate::cmd::model::FACENET_AT;
use crate::error::HostError;
use crate::session::SessionError;
use crate::vault::VaultError;
use std::io::ErrorKind;
use threshold_bundle::BundleError;
use threshold_models::engine::EngineError;
use threshold_models::import::{FetchError, ImportError};
use threshold_models::pack::PackError;
use threshold_models::picture::PictureError;
use threshold_record::{ContextError, EnrolmentEnd, EntryError, NameError, Setting};
use threshold_store::{ChainError, ReceiptError};
use threshold_wire::gallery::GalleryFault;
use threshold_wire::pairing::CodeError;
use threshold_wire::update::UpdateRefusal;
use threshold_wire::{CallError, Mismatch, RequestError};

/// One part of an error's chain.
type Part<'a> = &'a (dyn std::error::Error + 'static);

/// The remedy of an error: that of the outermost part that has one, since it knows most of what was meant.
#[must_use]
pub fn of(error: &anyhow::Error) -> String {
    let of_part = |part: Part<'_>| {
        None.or_else(|| part.downcast_ref().and_then(of_host))
            .or_else(|| part.downcast_ref().and_then(of_session))
            .or_else(|| part.downcast_ref().and_then(of_pack))
            .or_else(|| split(part).map(|(_, remedy)| remedy))
            .or_else(|| part.downcast_ref().map(of_engine))
            .or_else(|| part.downcast_ref().and_then(of_bundle))
            .or_else(|| part.downcast_ref().map(|_: &EntryError| SAME_BUILD.to_owned()))
            .or_else(|| part.downcast_ref().and_then(of_io))
    };
    error
        .chain()
        .find_map(of_part)
        .unwrap_or_else(|| "threshold --help, and docs/ for the data formats".to_owned())
}

/// An error in one line, outermost part first, without its remedy and without a part that is said already.
#[must_use]
pub fn without(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for part in error.chain() {
        let cut = split(part);
        // The text of a part that advises has all of its sources' in it.
        let is_last = cut.is_some();
        let said = cut.map_or_else(|| part.to_string(), |(said, _)| said);
        if text.is_empty() {
            text = said;
        } else if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        if is_last {
            break;
        }
    }
    text
}

/// Text and advice of an error whose text ends with advice.
fn split(part: Part<'_>) -> Option<(String, String)> {
    let advises = part.is::<PackError>()
        || part.is::<ImportError>()
        || part.is::<FetchError>()
        || part.is::<PictureError>()
        || part.is::<NameError>()
        || part.is::<ContextError>()
        || part.is::<CallError>()
        || part.is::<CodeError>()
        || part.is::<ChainError>()
        || part.is::<ReceiptError>()
        || part.is::<Mismatch>()
        || part.is::<RequestError>()
        || part.is::<GalleryFault>()
        || part.is::<UpdateRefusal>()
        || part.is::<FlashError>()
        || part.is::<FirstError>()
        || part.is::<VaultError>()
        || matches!(
            part.downcast_ref(),
            Some(
                SessionError::Call(_)
                    | SessionError::Mismatch(_)
                    | SessionError::Refused(_)
                    | SessionError::Handshake(_)
                    | SessionError::Seal(_)
                    | SessionError::Bulk(_)
                    | SessionError::Gallery(_)
                    | SessionError::Update(_)
            )
        )
        || matches!(part.downcast_ref(), Some(EngineError::NoEmbedder));
    let text = part.to_string();
    let (said, advice) = text.rsplit_once("; ").filter(|_| advises)?;
    Some((said.to_owned(), advice.to_owned()))
}

const SAME_BUILD: &str = "install the same build on host and unit";

fn of_session(error: &SessionError) -> Option<String> {
    match error {
        SessionError::Line(error) => of_host(error),
        SessionError::TooLong(_) => Some(SAME_BUILD.to_owned()),
        SessionError::Call(_)
        | SessionError::Mismatch(_)
        | SessionError::Refused(_)
        | SessionError::Handshake(_)
        | SessionError::Seal(_)
        | SessionError::Bulk(_)
        | SessionError::Gallery(_)
        | SessionError::Update(_) => None,
    }
}

/// No package registry carries FaceNet's weights, so that fetching packs does not help by itself.
fn of_pack(error: &PackError) -> Option<String> {
    match error {
        PackError::NotFound { what, .. } if what == "pack named facenet" => Some(format!(
            "threshold model import <file>, with the file of {FACENET_AT}; or leave --model out, for dlib's network"
        )),
        _ => None,
    }
}

/// A bundle's errors have their advice behind a semicolon or a colon.
fn of_bundle(error: &BundleError) -> Option<String> {
    let text = error.to_string();
    let advice = text.rsplit_once("; ").or_else(|| text.rsplit_once(": "));
    advice.map(|(_, advice)| advice.to_owned())
}

fn of_engine(error: &EngineError) -> String {
    match error {
        EngineError::CascadeOption { min, max, .. } => format!("a value from {min} to {max}"),
        _ => "threshold model info tests the pack; threshold model fetch makes it again".to_owned(),
    }
}

fn of_host(error: &HostError) -> Option<String> {
    use HostError as E;
    Some(match error {
        E::NoUnit { ports } => format!("--unit <port> or THRESHOLD_UNIT; {}", there(ports)),
        E::Site { .. } => "a table [units] with a line name = \"port\" for each unit".to_owned(),
        E::OtherUnit { .. } => {
            "plug the cables in as the site file says, or correct its names; a unit's name is that of its --name".to_owned()
        }
        E::OtherEnd { .. } => {
            "plug the first one in there again and repeat the command; what it did before the cut stands".to_owned()
        }
        E::FollowsForEver => {
            "--count=<entries> for each of them, or one threshold log follow for each unit".to_owned()
        }
        E::OneFileForAll { .. } => {
            "a name with {unit} in it, as in log-{unit}.jsonl, or one unit alone".to_owned()
        }
        E::UnitsLeft { .. } => {
            "the lines above say what to do about each; the others are done".to_owned()
        }
        E::Keychain { .. } => {
            "chmod 600 on your own file, put a copy of it back, or --keys <folder> with another, and pair again".to_owned()
        }
        E::NoSuchAdministrator { .. } => {
            "threshold administrators list, and give more digits of the key".to_owned()
        }
        E::NoCode => {
            "threshold pair again, and type the code on the label inside the unit's housing".to_owned()
        }
        E::NoRecoveryKey => {
            "--recovery-key <file>, or type the key on the paper that was written when the unit was commissioned".to_owned()
        }
        E::RecoveryKeyWanted { .. } => {
            "threshold commission --recovery-key, with the key on the paper; without it the unit has to be opened and installed anew".to_owned()
        }
        E::RecoveryKeyNowhere => "--out <file> for the key, or leave --json out".to_owned(),
        E::NoTrainer { program } => format!(
            "cargo build --release -p threshold-train, which makes it, and lay it at {program}"
        ),
        E::TrainerFailed { .. } => "the lines above say what it found".to_owned(),
        E::NoGpuEngine => {
            "--engine cpu, or cargo build --release -p threshold-host --features cuda".to_owned()
        }
        E::NoSimd { here, .. } => format!("--simd with one of {here}, or without --simd"),
        E::NoDistributions { .. } => {
            "--model facenet or --model dlib, whose distances were measured".to_owned()
        }
        E::PortMissing { port, .. } if port.starts_with("pty:") => {
            format!("--unit {}: pty: is for the unit's own --serial", &port["pty:".len()..])
        }
        E::PortMissing { ports, .. } => {
            format!("plug the unit in, or --wait; {}", there(ports))
        }
        E::SeveralPorts { .. } => "usb:<vid>:<pid>:<serial> of one of them".to_owned(),
        E::PortBusy { .. } => {
            "close the other program (a second `threshold`, a terminal, ModemManager), or --wait".to_owned()
        }
        E::PortDenied { port } => {
            format!("add this user to the group of {port} (`ls -l {port}`; often dialout) and log in again")
        }
        E::PortOpen { .. } => "name a serial port, not another file".to_owned(),
        E::OpenLine { .. } => {
            "threshold pair over this port, or check that it leads to the unit that you mean".to_owned()
        }
        E::ServerAway { .. } => {
            "check the server's name and port, and that its program (ser2net) runs; --wait until it does".to_owned()
        }
        E::ServerRefuses { .. } => {
            "let the server's port take telnet with RFC 2217 and the line at 115200 8N1, or name it tcp:<host>:<port> if it gives bare bytes"
                .to_owned()
        }
        E::Silent { .. } => {
            "check that the unit is on and that this is its port, then the cable; --wait if it is starting".to_owned()
        }
        E::Noisy { .. } => {
            "check the cable and its ground, and that both ends run at one speed; is this port a unit?".to_owned()
        }
        E::Gone { .. } => {
            "plug it in again and repeat the command; nothing is half done, a log pull goes on where it stopped"
                .to_owned()
        }
        E::NoModel { found, folder, .. } if found.is_empty() => {
            format!("cargo xtask setup, or threshold model fetch: {folder} holds no packs")
        }
        E::NoModel { found, .. } => {
            format!("one of {}; threshold model list tells more", found.join(", "))
        }
        E::FolderForPicture { .. } => "name the picture itself".to_owned(),
        E::PicturesLeft { .. } => {
            "the lines above say what to do about each; the others are done".to_owned()
        }
        E::NoFace { .. } => {
            "a photo with the whole face in view; --min-face <px> for smaller ones".to_owned()
        }
        E::ManyFaces { .. } => "cut the photo down to the one person".to_owned(),
        E::PoorFace { cause, .. } => {
            cause_help(*cause).unwrap_or("another photo of that person").to_owned()
        }
        E::MatchesOther { other: Some(other), .. } => format!(
            "enrol the photo under that name if it is {other}, another photo if not; --force for twins"
        ),
        E::MatchesOther { other: None, .. } => {
            "have an owner repeat the command, who is told who that is; another photo if it is nobody's, --force for twins"
                .to_owned()
        }
        E::UnlikePhotos { .. } => {
            "leave out whichever is somebody else's; --force if all are that person's".to_owned()
        }
        E::UnlikeOwn { .. } => {
            "another name if it is somebody else; --force if it is that person".to_owned()
        }
        E::NotEnrolled { end, cause, other } => match (end, other) {
            (EnrolmentEnd::SomebodyElse, Some(other)) => format!(
                "enrol under that name if it is {other}; --force for twins"
            ),
            (EnrolmentEnd::SomebodyElse, None) => {
                "an owner who tries it is told who that is; --force for twins".to_owned()
            }
            (EnrolmentEnd::Cancelled, _) => "the same command again, to begin anew".to_owned(),
            (EnrolmentEnd::LineGone, _) => {
                "check the cable, then the same command again".to_owned()
            }
            _ => cause_help(*cause)
                .unwrap_or("the same command again; the person follows what is said")
                .to_owned(),
        },
        E::BadZone { .. } => SAME_BUILD.to_owned(),
        E::BadTime { .. } => "a time from 1970 on and before the year 9999".to_owned(),
        E::BadHours { .. } => {
            "days and hours in turn, as threshold schedule set office mon-fri 07:00-19:00 sat 08:00-12:00".to_owned()
        }
        E::NoSuchSchedule { .. } => {
            "threshold schedule list shows which it has; threshold schedule set makes one, as an owner".to_owned()
        }
        E::NoSuchSetting { .. } => {
            let keys: Vec<&str> = Setting::ALL.iter().map(|setting| setting.text()).collect();
            format!(
                "one of {}; wiring, places and engine are changed in the file at the unit itself",
                keys.join(", ")
            )
        }
        E::BadSetting { .. } => "threshold config set unit.name=north camera.fps=15".to_owned(),
        E::BadConfig { .. } => "a file as threshold config get prints it".to_owned(),
        E::CredentialsFull { .. } => {
            "--clear-credentials beside those that the person shall have from now on".to_owned()
        }
        E::BadName { .. } => "another name; # and a number is how gallery commands name an id".to_owned(),
        E::NoSuchPerson { name, .. } if name.parse::<u32>().is_ok() => {
            format!("\"#{name}\", with the quotes, for the person with that id")
        }
        E::NoSuchPerson { near, .. } => match near.first() {
            Some(name) => format!("{name:?}, or threshold gallery list"),
            None => "threshold gallery list".to_owned(),
        },
        E::SlotsFull { name, .. } => {
            format!(
                "--replace FILE lets the most redundant go and keeps it; or threshold gallery remove {name:?}, then enrol with the best photos"
            )
        }
        E::BadReplaced { .. } => {
            "pull the gallery and check it with threshold gallery verify; then report it".to_owned()
        }
        E::ReplacedThere { .. } => {
            "another name: what lies there may be what you will want back".to_owned()
        }
        E::NotReplaced { .. } => {
            "the file that --replace wrote for that person at this unit; photos otherwise".to_owned()
        }
        E::ModelNotHere { folder, .. } => {
            format!("threshold model fetch, or copy the unit's pack into {folder}; --packs for another folder")
        }
        E::WrongModel { .. } => "leave --model out: the unit's own model is taken".to_owned(),
        E::LogOverwritten { last, .. } => {
            format!("keep what was read, pull the rest with --from {} into another file, and pull more often", last + 1)
        }
        E::LogGap { .. } => {
            "pull again; if the gap stays, the unit lost entries: keep the file and report it".to_owned()
        }
        E::LogShort { .. } | E::LogRestarted { .. } => {
            "threshold info: is it the same unit, and does it report a fault?".to_owned()
        }
        E::LogEntry { .. } => SAME_BUILD.to_owned(),
        E::LogFile { path, .. } => format!("another --out, or move {path} away"),
        E::FileBusy { .. } => "wait until that one has ended, and try again".to_owned(),
        E::NoParquet { .. } => {
            "a file ending in .jsonl or .csv, or a threshold that is built with cargo build --release -p threshold-host --features parquet"
                .to_owned()
        }
        E::LogFileKind { .. } => "--out log.jsonl or --out log.csv".to_owned(),
        E::LogFileAhead { .. } => {
            "the file is of another unit, or the unit's log was reset: another --out".to_owned()
        }
        E::OtherIdentity { unit } => format!(
            "is this the unit that was paired? If it was wiped on purpose, hold its button and threshold pair again; if not, take {unit} for tampered with"
        ),
        E::UnitForgot { unit } => format!(
            "if {unit} was wiped, or its owner revoked you, on purpose: hold its button and threshold pair again; if not, take it for tampered \
             with, and keep what was kept of its log"
        ),
        E::NotPaired { .. } => {
            "the name of a unit, as threshold info shows it; hold its button and threshold pair first".to_owned()
        }
        E::NoGalleryFile { .. } => "another --out, or move that file away".to_owned(),
        E::GalleryOfOtherModel { .. } => {
            "start the unit with that model's pack, or enrol everybody with the unit's: no template can be converted".to_owned()
        }
        E::OtherUnitToWipe { unit, .. } => {
            format!("--unit with the port of the one that is meant, or --yes-wipe {unit:?}")
        }
        E::KeptForeign { path } => {
            format!("move {} away and pull again; keep it if it is another unit's", path.display())
        }
        E::KeptBad { path, .. } => format!(
            "find out who changed it, keep it or a copy of before as evidence; move {} away, and pull again",
            path.display()
        ),
        E::UnitRolledBack { .. } | E::UnitDiffers { .. } => {
            "take the unit for tampered with: threshold log verify tells more; keep the file as evidence, then wipe and pair the unit again".to_owned()
        }
        E::OtherReceipt { .. } => {
            "threshold gallery list: is the person gone? and threshold log verify: is it the unit that was paired?".to_owned()
        }
        E::KeptUnsigned { .. } => {
            "threshold log pull, which goes on where it was cut off and asks for the signature; the unit may have overwritten what would vouch for them".to_owned()
        }
        E::NoEntries { .. } => "pull the log first: threshold log pull --out FILE".to_owned(),
        E::NothingKept { .. } => "threshold pair, if it is not paired, and threshold log pull".to_owned(),
        E::NoEntry { .. } => "threshold log pull shows the entries that are there".to_owned(),
        E::FixedSize { .. } => "leave --size out; it is for pnet".to_owned(),
        E::TooManyFaces { .. } => {
            "part of the folder at a time, or --min-face <px> with a larger one".to_owned()
        }
        E::NoPictures { .. } => "a folder that holds pictures, or name the files".to_owned(),
        E::DataSet { .. } => "check that the file is the one that the option names, in its standard form".to_owned(),
        // Its source is an I/O error, which has its own remedy.
        E::File { .. } => return None,
    })
}

fn of_io(error: &std::io::Error) -> Option<String> {
    Some(match error.kind() {
        ErrorKind::NotFound => "check the path: nothing is there".to_owned(),
        ErrorKind::PermissionDenied => "a path that this user may use".to_owned(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some space on that disk, then repeat the command: it goes on where it stopped"
                .to_owned()
        }
        ErrorKind::IsADirectory => "the name of a file, not of a folder".to_owned(),
        ErrorKind::NotADirectory => "the name of a folder".to_owned(),
        _ => return None,
    })
}

/// The ports that are there, in words.
fn there(ports: &[String]) -> String {
    if ports.is_empty() {
        "no serial port is there now".to_owned()
    } else {
        format!("ports there now: {}", ports.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(error: impl Into<anyhow::Error>, said: &str, remedy: &str) {
        let error = error.into();
        assert_eq!((without(&error).as_str(), of(&error).as_str()), (said, remedy));
    }

    #[test]
    fn a_file_fault_takes_the_remedy_of_its_cause() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let error = anyhow::Error::new(HostError::File { path: "log.csv".into(), source: full });
        assert!(of(&error.context("log pull")).starts_with("free some space"));
    }

    #[test]
    fn a_chain_says_no_part_twice() {
        let inner = anyhow::anyhow!("disk full");
        let outer = inner.context("cannot write x: disk full").context("log pull");
        assert_eq!(without(&outer), "log pull: cannot write x: disk full");
    }

    #[test]
    fn an_unplugged_unit_is_not_taken_for_a_closed_pipe() {
        let source = std::io::Error::from(ErrorKind::BrokenPipe);
        let error = SessionError::Line(HostError::Gone { port: "p".to_owned(), source });
        assert!(of(&error.into()).starts_with("plug it in again"));
    }

    #[test]
    fn advice_at_the_end_of_a_text_is_said_once_as_the_remedy() {
        check(
            SessionError::Refused(RequestError::GalleryFull { capacity: 9 }),
            "the gallery is full with 9 templates",
            "remove people who no longer come",
        );
        check(NameError::Empty, "the name is empty", "give at least one letter");
        let fault = PackError::Io {
            path: "x.pack".into(),
            source: std::io::Error::from(ErrorKind::NotFound),
        };
        check(
            FetchError::from(ImportError::from(fault)),
            "x.pack: entity not found",
            "check the path and its permissions",
        );
        check(
            PackError::NoFolder,
            "no folder for packs",
            "set THRESHOLD_PACKS or HOME, or name one with --packs",
        );
        let error = anyhow::Error::new(SessionError::Call(CallError::NotAnAnswer));
        check(
            error.context("1 of 2 photos are enrolled"),
            "1 of 2 photos are enrolled: the line sends back what is written to it",
            "is this port a unit, and is its echo off?",
        );
    }

    #[test]
    fn what_was_nearly_right_is_told_how_to_be_right() {
        check(
            HostError::PortMissing { port: "pty:/tmp/door".to_owned(), ports: vec![] },
            "there is no port pty:/tmp/door",
            "--unit /tmp/door: pty: is for the unit's own --serial",
        );
        check(
            HostError::NoSuchPerson { name: "7".to_owned(), near: vec![] },
            "nobody named \"7\" is enrolled",
            "\"#7\", with the quotes, for the person with that id",
        );
        let found = ["dlib", "mtcnn"].map(str::to_owned).to_vec();
        check(
            HostError::NoModel { typed: "bogus".to_owned(), folder: "packs".to_owned(), found },
            "there is no model bogus: neither a pack in packs nor a file",
            "one of dlib, mtcnn; threshold model list tells more",
        );
        let what = "pack named facenet".to_owned();
        let error = PackError::NotFound { what, dir: "packs".into(), broken: vec![] };
        assert!(of(&error.into()).contains("the file of https://"));
    }

    #[test]
    fn a_size_that_a_network_does_not_take_is_left_out() {
        let error = HostError::FixedSize { network: "rnet".into(), input: "24x24".into() };
        check(error, "rnet takes 24x24 and no other size", "leave --size out; it is for pnet");
    }

    #[test]
    fn ports_that_are_there_are_named() {
        let error = HostError::NoUnit { ports: vec!["/dev/ttyUSB0".to_owned()] };
        assert!(of(&error.into()).contains("/dev/ttyUSB0"));
    }
}
