//! `threshold commission`: gives a unit its relay authority with the owner's recovery key, and makes that key the first time.
//!
//! Owns the key's way to paper: it is shown, as text and as a QR code, before the unit hears of it, so that no unit knows a key that
//! nobody has. Refuses to keep it, but in a file that was asked for, and to take it as an argument: it would stand in the
//! shell's history.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::Say;
use crate::session::{Session, SessionError};
use crate::trust;
use anyhow::Context as _;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use threshold_wire::RequestError;
use threshold_wire::commission::{Commission, CommissionFinish};
use threshold_wire::endpoints::{ChallengeCommission, FinishCommission, GetInfo};
use threshold_wire::message::Nothing;
use threshold_wire::recovery::{Asked, RecoveryKey};

/// What stands for a key that is typed or made.
const NO_FILE: &str = "-";

/// Commissions.
///
/// # Errors
/// A unit that does not answer, has no model, knows another recovery key or says no; a key that is none.
pub fn run(meant: &Meant, typed: &args::Commission) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let unit = session.hello().unit.to_string();
    let identity = trust::identity(&meant.keychain, &mut session)?;
    let administrator = match session.is_sealed() {
        true => meant.keychain.secret()?.map(|secret| *secret.public()),
        false => None,
    };
    let stands = session.call::<GetInfo>(&Nothing {})?.commission;
    let known = match stands {
        Commission::Never => None,
        Commission::Holds(known) | Commission::Waits(known) => Some(known),
        Commission::Unreadable => {
            return Err(SessionError::Refused(RequestError::RecoveryRecord).into());
        }
    };
    let given =
        typed.recovery_key.as_deref().map(|from| given(from, "the recovery key")).transpose()?;
    let (key, mut made) = match (given, known) {
        (Some(key), Some(known)) if key.key_id() != known => {
            return Err(SessionError::Refused(RequestError::OtherRecoveryKey { known }).into());
        }
        (Some(key), _) => (key, false),
        (None, None) => (RecoveryKey::random()?, true),
        (None, Some(_)) if matches!(stands, Commission::Holds(_)) => {
            return told(meant, &unit, stands, None);
        }
        (None, Some(known)) => return Err(HostError::RecoveryKeyWanted { unit, known }.into()),
    };
    let successor = match typed.replace.as_deref() {
        Some(file) if file == Path::new(NO_FILE) => {
            made = true;
            Some(RecoveryKey::random()?)
        }
        Some(file) => Some(given_in(file)?),
        None => None,
    };
    if made {
        // No key is shown to an owner whose unit takes none now.
        session.call::<ChallengeCommission>(&Nothing {})?;
    }
    let kept = match made {
        true => Some(shown(meant, typed, successor.as_ref().unwrap_or(&key))?),
        false => None,
    };
    let challenge = session.call::<ChallengeCommission>(&Nothing {})?;
    if identity.is_some_and(|identity| identity.key != challenge.unit) {
        return Err(HostError::OtherIdentity { unit }.into());
    }
    let asked = Asked {
        unit: challenge.unit,
        administrator,
        nonce: challenge.nonce,
        key: key.public(),
        successor: successor.as_ref().map(RecoveryKey::public),
    };
    let finish = CommissionFinish {
        key: key.sign(&asked),
        successor: successor.as_ref().map(|successor| successor.sign(&asked)),
    };
    let done = session.call::<FinishCommission>(&finish);
    let done = if made { done.context(NOT_SURE) } else { done.map_err(anyhow::Error::from) }?;
    told(meant, &unit, done.commission, kept.flatten())
}

const NOT_SURE: &str = "whether the unit took the key that was shown is not known (threshold info)";

/// Says how the unit stands.
fn told(
    meant: &Meant,
    unit: &str,
    commission: Commission,
    kept: Option<String>,
) -> anyhow::Result<Answer> {
    let value = json!({ "unit": unit, "commission": value(commission), "file": kept });
    meant.say.result(&value, || format!("{unit} is {}", words(commission)))?;
    Ok(if matches!(commission, Commission::Holds(_)) { Answer::Yes } else { Answer::No })
}

/// How a unit stands, in words.
pub(super) fn words(commission: Commission) -> String {
    match commission {
        Commission::Never => {
            "not commissioned: it moves no lock before its owner commissions it (threshold commission)".to_owned()
        }
        Commission::Holds(key) => format!("commissioned with recovery key {key}"),
        Commission::Waits(key) => format!(
            "not commissioned: it moves no lock before recovery key {key} commissions it (threshold commission --recovery-key)"
        ),
        Commission::Unreadable => {
            "not commissioned: its record of the recovery key cannot be read, the unit's own messages say why".to_owned()
        }
    }
}

/// The same in JSON.
pub(super) fn value(commission: Commission) -> Value {
    let (state, key) = match commission {
        Commission::Never => ("never", None),
        Commission::Holds(key) => ("holds", Some(key)),
        Commission::Waits(key) => ("waits", Some(key)),
        Commission::Unreadable => ("unreadable", None),
    };
    json!({ "state": state, "recovery_key": key.map(|key| key.to_string()) })
}

/// Shows a key that was made, once; gives the file that it was written to.
fn shown(
    meant: &Meant,
    typed: &args::Commission,
    key: &RecoveryKey,
) -> anyhow::Result<Option<String>> {
    let text = key.text();
    if let Some(path) = &typed.out {
        let written = (|| {
            // A file that is there may hold the only copy of another key.
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            writeln!(file, "# Threshold recovery key {}", key.key_id())?;
            writeln!(file, "{text}")?;
            file.sync_all()
        })();
        written.map_err(HostError::file(path))?;
    }
    if meant.say.is_json() {
        // What is printed there goes to a program, and comes after the unit has heard of it.
        let path = typed.out.as_ref().ok_or(HostError::RecoveryKeyNowhere)?;
        return Ok(Some(path.display().to_string()));
    }
    let picture = picture(&text)?;
    Say::text(&format!(
        "the recovery key of this unit, {}:\n\n    {text}\n\n{picture}\n\n\
         Write it down twice and keep both far from the unit: it is shown this once, and neither this machine nor the unit keeps it.\n\
         After a wipe nobody but whoever has it gets the unit to move its lock again; without it the unit has to be opened and \
         installed anew.",
        key.key_id()
    ))?;
    Ok(typed.out.as_ref().map(|path| path.display().to_string()))
}

/// A text as a QR code of block characters, for a terminal of light letters on a dark ground.
fn picture(text: &str) -> anyhow::Result<String> {
    let code = QrCode::new(text).context("no QR code")?;
    let mut image = code.render::<Dense1x2>();
    Ok(image.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark).build())
}

/// A key that somebody has: in a file, or typed.
fn given(from: &Path, what: &str) -> anyhow::Result<RecoveryKey> {
    if from != Path::new(NO_FILE) {
        return given_in(from);
    }
    let input = std::io::stdin();
    if input.is_terminal() {
        let mut out = std::io::stderr().lock();
        write!(out, "{what}: ")?;
        out.flush()?;
    }
    let mut line = String::new();
    match input.lock().read_line(&mut line)? {
        0 => Err(HostError::NoRecoveryKey.into()),
        _ => Ok(RecoveryKey::parse(&line)?),
    }
}

/// The key in a file: its first line that says anything and is no remark.
fn given_in(file: &Path) -> anyhow::Result<RecoveryKey> {
    let text = std::fs::read_to_string(file).map_err(HostError::file(file))?;
    let mut lines = text.lines().map(str::trim);
    let line = lines.find(|line| !line.is_empty() && !line.starts_with('#'));
    let key = RecoveryKey::parse(line.ok_or(HostError::NoRecoveryKey)?);
    key.with_context(|| file.display().to_string())
}
