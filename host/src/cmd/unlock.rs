//! `threshold unlock`: an administrator ends a unit's lock-out, and its counts of failed attempts and attacks begin anew.
//!
//! Owns the words. Refuses to say that it was right: what happened at the door is in the log.

use super::Answer;
use crate::meant::Meant;
use crate::session::Session;
use serde_json::json;
use threshold_wire::endpoints::Unlock;
use threshold_wire::message::Nothing;

/// Ends it; the answer is no if none lasted.
///
/// # Errors
/// A unit that does not answer, or an administrator who is no enroller.
pub(super) fn run(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let unit = session.hello().unit.to_string();
    let was_locked = session.call::<Unlock>(&Nothing {})?.was_locked;
    let value = json!({ "unit": unit, "was_locked": was_locked });
    meant.say.result(&value, || match was_locked {
        true => format!("{unit} is no longer locked out; its log has who ended that"),
        false => format!("{unit} was not locked out; its counts begin anew"),
    })?;
    Ok(if was_locked { Answer::Yes } else { Answer::No })
}
