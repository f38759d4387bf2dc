//! `threshold policy acknowledge | withdraw`: an owner's word that a photo opens this door, without which a unit lets nobody in.
//!
//! Owns the words of what is acknowledged. Refuses to send an acknowledgement that was not typed: there is no question to
//! answer, and no default.

use super::{Answer, rule};
use crate::args::Acknowledge;
use crate::meant::Meant;
use crate::session::Session;
use serde_json::json;
use threshold_wire::endpoints::{AcknowledgePhoto, WithdrawPhoto};
use threshold_wire::message::Nothing;

/// What an owner acknowledges.
const WORDS: &str = "\
A photo opens this door.
The unit does not tell a living face from a picture of one: presentation-attack detection is not installed.
Whoever holds a photo of an enrolled person before the camera, on paper or on a telephone, is let in like that person.
Such photos are found on the internet. The log will show an admission of that person, and no more.
Until an owner acknowledges this the unit lets nobody in; whoever owns it answers for what is behind the door.";

/// Says what is acknowledged and, if that was typed, acknowledges it.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub fn run(meant: &Meant, typed: Acknowledge) -> anyhow::Result<Answer> {
    if !typed.photo_opens_this_door {
        let value = json!({ "words": WORDS });
        let how = "threshold policy acknowledge --photo-opens-this-door";
        meant.say.result(&value, || {
            format!(
                "{WORDS}\nnothing is acknowledged yet; if you own the unit and accept this: {how}"
            )
        })?;
        return Ok(Answer::No);
    }
    let mut session = Session::open_started(meant)?;
    let model = rule::model(&mut session)?;
    let policy = session.call::<AcknowledgePhoto>(&Nothing {})?;
    rule::show(meant, &policy, model.metric)
}

/// Takes it back.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub fn withdraw(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let model = rule::model(&mut session)?;
    let policy = session.call::<WithdrawPhoto>(&Nothing {})?;
    rule::show(meant, &policy, model.metric)?;
    Ok(Answer::Yes)
}
