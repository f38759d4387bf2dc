//! `threshold slots`, `confirm` and `revert`: what a unit runs and could run, and how a trial ends.
//!
//! Works with a unit of any version. Refuses to decide which version is better.

use super::Answer;
use super::flash::{slot_value, slots, state_word};
use crate::meant::Meant;
use crate::say::{plain, table};
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_wire::endpoints::{ConfirmUpdate, RevertUpdate};
use threshold_wire::message::Nothing;
use threshold_wire::update::{Slot, UpdateEnded};

/// Shows the slots.
///
/// # Errors
/// A unit that does not answer, or runs from no slot.
pub fn run(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_to_update(meant)?;
    let unit = session.hello().unit.to_string();
    let there = slots(&mut session)?;
    let value = json!({
        "unit": unit,
        "compatible": there.compatible.as_str(),
        "counter": there.counter,
        "slots": there.slots.iter().map(slot_value).collect::<Vec<Value>>(),
    });
    meant.say.result(&value, || {
        format!(
            "{}\n{} takes bundles for {} with security counter {} or above",
            text(&there.slots),
            plain(&unit),
            there.compatible,
            there.counter
        )
    })?;
    Ok(Answer::Yes)
}

/// The table of slots.
pub(super) fn text(slots: &[Slot]) -> String {
    let rows: Vec<Vec<String>> = slots.iter().map(row).collect();
    table(&["slot", "version", "counter", "state", ""], &rows)
}

fn row(slot: &Slot) -> Vec<String> {
    let mut state = state_word(slot.state).replace('_', " ");
    if slot.trials_left > 0 {
        state += &format!(", {} starts left", slot.trials_left);
    }
    if slot.running {
        state += ", running";
    }
    vec![
        slot.name.to_string(),
        plain(&slot.version),
        slot.counter.to_string(),
        state,
        plain(&slot.said),
    ]
}

/// Confirms what runs on trial.
///
/// # Errors
/// A unit that does not answer or has nothing on trial, or an administrator who is no owner.
pub fn confirm(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_to_update(meant)?;
    let unit = session.hello().unit.to_string();
    ended(session.call::<ConfirmUpdate>(&Nothing {})?)?;
    meant.say.result(&json!({ "unit": unit }), || {
        format!(
            "{unit} keeps what it runs, and starts nothing with a lower security counter any more"
        )
    })?;
    Ok(Answer::Yes)
}

/// Goes back to what the unit ran before.
///
/// # Errors
/// The same, and a unit with nothing to go back to.
pub fn revert(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_to_update(meant)?;
    let unit = session.hello().unit.to_string();
    ended(session.call::<RevertUpdate>(&Nothing {})?)?;
    meant.say.result(&json!({ "unit": unit }), || {
        format!(
            "{unit} goes back to the version before, and starts it now (threshold slots --wait)"
        )
    })?;
    Ok(Answer::Yes)
}

fn ended(ended: UpdateEnded) -> Result<(), SessionError> {
    match ended {
        UpdateEnded::Done => Ok(()),
        UpdateEnded::Refused(refusal) => Err(refusal.into()),
    }
}
