//! `threshold slots`, `confirm` and `revert`: what a unit runs and could run, and how a trial ends.
//!
//! Works with a unit of any version. Refuses to decide which version is better.

use super::Answer;
use super::flash::{slot_value, slots, state_word};
use crate::meant::Meant;
use crate::say::{hex, plain, table};
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_bundle::Trust;
use threshold_wire::endpoints::{ConfirmUpdate, RevertUpdate};
use threshold_wire::message::Nothing;
use threshold_wire::update::{Slot, Slots, UpdateEnded};

/// Shows the slots.
///
/// # Errors
/// A unit that does not answer, or runs from no slot.
pub fn run(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_to_update(meant)?;
    let unit = session.hello().unit.to_string();
    let there = slots(&mut session)?;
    if there.release_key == Trust::development().release_key {
        meant.say.warn(&format!(
            "INSECURE: {unit} takes versions that are signed with the development key, which everybody has, so that it is for no door \
             that matters"
        ));
    }
    meant.say.result(&value(&unit, &there), || words(&unit, &there))?;
    Ok(Answer::Yes)
}

/// What a script is told.
fn value(unit: &str, there: &Slots) -> Value {
    json!({
        "unit": unit,
        "compatible": there.compatible.as_str(),
        "counter": there.counter,
        "serial": there.serial,
        "release_key": hex(&there.release_key),
        "slots": there.slots.iter().map(slot_value).collect::<Vec<Value>>(),
    })
}

/// The same in words.
fn words(unit: &str, there: &Slots) -> String {
    format!(
        "{}\n{} takes bundles for {} with security counter {} or above, and a list of build keys with serial {} or above that this release \
         key has signed:\n  {}",
        text(&there.slots),
        plain(unit),
        plain(&there.compatible),
        there.counter,
        there.serial,
        hex(&there.release_key)
    )
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bundle_is_held_against_is_told_in_words_and_to_scripts() {
        let there = Slots {
            compatible: threshold_wire::cut("board"),
            counter: 4,
            release_key: [0xab; 32],
            serial: 7,
            longest: 1,
            model: [0; 32],
            people: 0,
            slots: std::iter::empty().collect(),
        };
        let key = "ab".repeat(32);
        let told = words("door", &there);
        assert!(
            told.contains("door takes bundles for board with security counter 4 or above"),
            "{told}"
        );
        assert!(told.contains("serial 7 or above"), "{told}");
        assert!(told.ends_with(&format!("\n  {key}")), "{told}");
        let value = value("door", &there);
        assert_eq!((&value["counter"], &value["serial"]), (&json!(4), &json!(7)));
        assert_eq!(value["release_key"], key.as_str());
    }
}
