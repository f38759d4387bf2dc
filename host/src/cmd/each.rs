//! One command at several units, one after the other, and a table of how each went.

use super::{Answer, run};
use crate::args::Command;
use crate::meant::Meant;
use crate::remedy;
use crate::say::{plain, table};
use serde_json::json;

/// Runs the command at each unit that is meant. One that fails does not keep it from the others.
///
/// # Errors
/// If stdout is closed; [`crate::error::HostError::UnitsLeft`] if it failed at some of them.
pub(super) fn each(meant: &Meant, command: &Command) -> anyhow::Result<Answer> {
    let targets = meant.targets();
    let (mut rows, mut values, mut failed, mut no) = (Vec::new(), Vec::new(), 0, false);
    for target in &targets {
        let begins = json!({ "at": target.title(), "port": target.port });
        meant.say.result(&begins, || format!("== {} ({})", target.title(), target.port))?;
        let (word, error) = match run(&meant.of(target), command) {
            Ok(Answer::Yes) => ("done", None),
            Ok(Answer::No) => {
                no = true;
                ("no", None)
            }
            Err(error) => {
                failed += 1;
                meant.say.error(&error);
                ("failed", Some(remedy::without(&error)))
            }
        };
        values.push(json!({ "at": target.title(), "result": word, "error": error }));
        rows.push(vec![
            target.title().to_owned(),
            word.to_owned(),
            plain(&error.unwrap_or_default()),
        ]);
    }
    meant.say.result(&json!({ "units": values }), || {
        format!("\n{}", table(&["unit", "result", ""], &rows))
    })?;
    match failed {
        0 if no => Ok(Answer::No),
        0 => Ok(Answer::Yes),
        _ => Err(crate::error::HostError::UnitsLeft { failed, all: targets.len() }.into()),
    }
}
