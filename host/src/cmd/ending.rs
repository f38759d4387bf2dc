//! `threshold reboot` and `threshold wipe`: an owner ends the unit's process, to start again or to forget everything.
//!
//! Owns what is said of what is lost. Refuses to wipe without the unit's name typed once more.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use crate::session::Session;
use serde_json::json;
use threshold_wire::cut;
use threshold_wire::endpoints::{Reboot, WipeUnit};
use threshold_wire::message::{Nothing, Wipe};

/// Makes the unit start again.
///
/// # Errors
/// A unit that does not answer, or an administrator who is no owner.
pub fn reboot(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let unit = session.hello().unit.to_string();
    session.call::<Reboot>(&Nothing {})?;
    meant.say.result(&json!({ "unit": unit }), || {
        format!(
            "{unit} writes that down and ends its process with status 75; what looks after its service starts it again \
             (threshold info --wait)"
        )
    })?;
    Ok(Answer::Yes)
}

/// Wipes the unit.
///
/// # Errors
/// The same, and a unit of another name than was typed.
pub fn wipe(meant: &Meant, typed: &args::Wipe) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let unit = session.hello().unit.to_string();
    if unit != typed.yes_wipe {
        return Err(HostError::OtherUnitToWipe { unit, typed: typed.yes_wipe.clone() }.into());
    }
    session.call::<WipeUnit>(&Wipe { unit: cut(&unit) })?;
    let kept = meant.keychain.identity(&unit)?.map(|key| meant.keychain.kept(&key, "log"));
    let kept = kept.filter(|path| path.exists()).map(|path| path.display().to_string());
    let value = json!({ "unit": unit, "kept_log": kept });
    meant.say.result(&value, || {
        let log = kept.map_or("nothing of its log is kept here".to_owned(), |path| {
            format!("what was pulled of its log stays in {path}")
        });
        format!(
            "{unit} is wiped: its secret is forgotten, so that nobody reads its people, its log and its keys any more, and no entry of \
             this can tell of it; {log}\nit starts again as a new unit with another identity, which this keychain does not know: hold its \
             button and threshold pair, then threshold commission --recovery-key, then threshold gallery push\n\
             it keeps the record of its recovery key, and moves no lock before that key commissions it"
        )
    })?;
    Ok(Answer::Yes)
}
