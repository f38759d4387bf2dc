//! `threshold pair`: becomes an administrator of a unit whose button somebody holds, and keeps its key.
//!
//! Owns the asking for the code. Refuses to take it as an argument: it would stand in the shell's history.

use super::{Answer, commission};
use crate::args;
use crate::error::HostError;
use crate::keychain::KnownUnit;
use crate::meant::Meant;
use crate::say::hex;
use crate::session::Session;
use crate::trust;
use serde_json::json;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use threshold_record::{Name, Role};
use threshold_wire::commission::Commission;
use threshold_wire::endpoints::GetInfo;
use threshold_wire::message::Nothing;
use threshold_wire::pairing::PairingCode;

/// Pairs.
///
/// # Errors
/// A code that is none, a unit that does not pair now, or a keychain that cannot be written.
pub fn run(meant: &Meant, typed: &args::Pair) -> anyhow::Result<Answer> {
    let name = Name::new(&typed.name)?;
    let keychain = &meant.keychain;
    // The unit first: who stands there with the button held should not type a code for nothing.
    let mut session = Session::open_unpaired(meant)?;
    let unit = session.hello().unit.as_str().to_owned();
    let code = PairingCode::parse(&code()?)?;
    let secret = keychain.secret_or_new()?;
    let (unit_key, role) = session.pair(&secret, &code, name)?;
    if keychain.unit(&unit)?.is_some_and(|(known, _)| known != unit_key) {
        meant.say.warn(&format!(
            "another unit of the name {unit} was paired before, and its key is replaced; if it still stands, start one of the two with \
             another --name and pair it again"
        ));
    }
    keychain.keep(&unit, Some(KnownUnit::of(&unit_key, role)))?;
    // The new key is tried at once: what does not work now would surprise later.
    let role = session.secure(&secret, &unit_key)?;
    // The session is with whoever knows the code, so what it says of its signing key is believed, this once.
    let identity = trust::identity(keychain, &mut session)?.map(|identity| hex(&identity.key));
    let commission = session.call::<GetInfo>(&Nothing {})?.commission;
    let value = json!({
        "unit": unit,
        "role": role.text(),
        "key": secret.key_id().to_string(),
        "identity": identity,
    });
    meant.say.result(&value, || {
        let next = match (role, commission) {
            (Role::Owner, Commission::Holds(_)) | (Role::Viewer | Role::Enroller, _) => {
                String::new()
            }
            (Role::Owner, other) => format!("\n{unit} is {}", commission::words(other)),
        };
        format!(
            "paired with {unit} as {}; from now on what is said to it is sealed{next}",
            role.text()
        )
    })?;
    Ok(Answer::Yes)
}

/// The code, from the keyboard or whatever stands in its place.
fn code() -> anyhow::Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        let mut out = std::io::stderr().lock();
        write!(out, "the code on the label inside the unit's housing: ")?;
        out.flush()?;
    }
    let mut line = String::new();
    match input.lock().read_line(&mut line)? {
        0 => Err(HostError::NoCode.into()),
        _ => Ok(line),
    }
}
