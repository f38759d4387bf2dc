//! `threshold policy reserve`: how often a unit's door admits while the medium of its log is full, for its owner.
//!
//! Owns the words. Refuses to count: the unit does.

use super::Answer;
use crate::causes::FREE_SPACE;
use crate::meant::Meant;
use crate::session::Session;
use serde_json::json;
use threshold_wire::endpoints::SetReserve;
use threshold_wire::policy::{ReserveAsk, ReserveStanding};

/// Settles it, or shows it; the answer is no while what is settled cannot be kept.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub fn run(meant: &Meant, admissions: Option<u8>) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let told = session.call::<SetReserve>(&ReserveAsk { admissions })?;
    let (word, left, text) = match told.standing {
        ReserveStanding::None => {
            ("none", None, "while the medium is full the door stays locked".to_owned())
        }
        ReserveStanding::Whole => (
            "whole",
            None,
            format!("while the medium is full the door admits {} times at most", told.admissions),
        ),
        ReserveStanding::Missing => {
            ("missing", None, format!("the reserve is not held back: {FREE_SPACE}"))
        }
        ReserveStanding::Open { left } => (
            "open",
            Some(left),
            format!("the medium is full, and the door admits {left} times more: {FREE_SPACE}"),
        ),
    };
    let value = json!({ "admissions": told.admissions, "standing": word, "left": left });
    meant.say.result(&value, || format!("reserve   {text}"))?;
    let kept = matches!(told.standing, ReserveStanding::None | ReserveStanding::Whole);
    Ok(if kept { Answer::Yes } else { Answer::No })
}
