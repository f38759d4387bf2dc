//! What to do about an error: one line for each, in one table.
//!
//! Owns every "try: ..." of this program.
//! Refuses to repeat the error: a remedy names the next step, as a command where there is one.

use crate::error::{HostError, cause_help};
use std::io::ErrorKind;

/// The remedy of an error: that of the innermost part that has one.
#[must_use]
pub fn of(error: &anyhow::Error) -> String {
    let parts: Vec<_> = error.chain().collect();
    parts
        .iter()
        .rev()
        .find_map(|part| {
            None.or_else(|| part.downcast_ref().and_then(of_host))
                .or_else(|| part.downcast_ref().and_then(of_io))
        })
        .unwrap_or_else(|| "threshold --help, and docs/ for the data formats".to_owned())
}

fn of_host(error: &HostError) -> Option<String> {
    use HostError as E;
    Some(match error {
        E::NoUnit { ports } => format!("--unit <port> or THRESHOLD_UNIT; {}", there(ports)),
        E::PortMissing { ports, .. } => {
            format!("plug the unit in, or --wait; {}", there(ports))
        }
        E::PortBusy { .. } => {
            "close the other program (a second `threshold`, a terminal, ModemManager), or --wait".to_owned()
        }
        E::PortDenied { port } => {
            format!("add this user to the group of {port} (`ls -l {port}`; often dialout) and log in again")
        }
        E::PortOpen { .. } => "name a serial port, not another file".to_owned(),
        E::Silent { .. } => {
            "check that the unit is on and that this is its port, then the cable; --wait if it is starting".to_owned()
        }
        E::Gone { .. } => {
            "plug it in again and repeat the command; nothing is half done, a log pull goes on where it stopped"
                .to_owned()
        }
        E::NoFace { .. } => {
            "a photo with the whole face in view; --min-face <px> for smaller ones".to_owned()
        }
        E::ManyFaces { .. } => "cut the photo down to the one person".to_owned(),
        E::PoorFace { cause, .. } => {
            cause_help(*cause).unwrap_or("another photo of that person").to_owned()
        }
        E::MatchesOther { name, .. } => format!(
            "enrol the photo as {name:?} if it is that person, another photo if not; --force for twins"
        ),
        E::BadName { .. } => "a name of 1 to 64 bytes without control characters".to_owned(),
        E::AmbiguousName { ids, .. } => match ids.first() {
            Some(id) => format!("the id instead of the name: #{}", id.0),
            None => "threshold gallery list".to_owned(),
        },
        E::NoSuchPerson { near, .. } => match near.first() {
            Some(name) => format!("{name:?}, or threshold gallery list"),
            None => "threshold gallery list".to_owned(),
        },
        E::SlotsFull { name, .. } => {
            format!("threshold gallery remove {name:?}, then enrol with the best photos")
        }
        E::ModelNotHere { folder, .. } => {
            format!("threshold model fetch, or copy the unit's pack into {folder}; --packs for another folder")
        }
        E::WrongModel { .. } => "leave --model out: the unit's own model is taken".to_owned(),
        E::NoPack { .. } => "cargo xtask setup, or threshold model fetch; --packs for another folder".to_owned(),
        E::LogGap { .. } => {
            "pull again; if the gap stays, the unit lost entries: keep the file and report it".to_owned()
        }
        E::LogFile { path, .. } => format!("another --out, or move {path} away"),
        E::LogFileKind { .. } => "--out log.jsonl or --out log.csv".to_owned(),
        E::LogFileAhead { .. } => {
            "the file is of another unit, or the unit's log was reset: another --out".to_owned()
        }
        E::NoEntry { .. } => "threshold log pull shows the entries that are there".to_owned(),
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
        ErrorKind::BrokenPipe => "leave the reading program open until this one ends".to_owned(),
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

    #[test]
    fn innermost_part_with_a_remedy_decides() {
        let full = std::io::Error::from(ErrorKind::StorageFull);
        let error = anyhow::Error::new(HostError::File { path: "log.csv".into(), source: full });
        assert!(of(&error.context("log pull")).starts_with("free some space"));
    }

    #[test]
    fn ports_that_are_there_are_named() {
        let error = HostError::NoUnit { ports: vec!["/dev/ttyUSB0".to_owned()] };
        assert!(of(&error.into()).contains("/dev/ttyUSB0"));
    }
}
