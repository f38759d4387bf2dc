//! `threshold log report`: a log that was pulled, as one page for people: how the door was used, what it refused and why, and
//! how each person's scores move.
//!
//! Owns the reading of the file and the writing of the page: `tally` counts, `plot` draws, `page` sets. Needs no unit.
//! Refuses to say what a log cannot tell: whoever was let in wrongly stands in it as the person for whom he was taken.

mod page;
mod plot;
mod tally;

use crate::cmd::Answer;
use crate::error::HostError;
use crate::log_file;
use crate::meant::Meant;
use crate::{args, say};
use serde_json::json;
use tally::Tally;

/// Reads the file, writes the page.
///
/// # Errors
/// [`HostError::LogFileKind`] or [`HostError::LogFile`] for a file that is no log, [`HostError::NoEntries`] for one without
/// entries, [`HostError::File`] if the disk refuses.
pub fn run(meant: &Meant, typed: &args::LogReport) -> anyhow::Result<Answer> {
    let mut tally = Tally::default();
    log_file::read(&typed.file, &mut |row| tally.take(&row))?;
    if tally.entries == 0 {
        return Err(HostError::NoEntries { path: typed.file.clone() }.into());
    }
    let title = typed.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let page = page::page(&say::plain(&title), &tally)?;
    std::fs::write(&typed.out, page).map_err(HostError::file(&typed.out))?;
    let sinking: Vec<_> = tally.sinking().collect();
    let value = json!({
        "out": typed.out.display().to_string(),
        "entries": tally.entries,
        "first": tally.first,
        "last": tally.last,
        "admitted": tally.admitted,
        "refused": tally.refused(),
        "untrusted_times": tally.untrusted,
        "people": tally.people.len(),
        "sinking": sinking.iter().map(|(id, someone)| json!({ "person": id, "name": someone.name })).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        let sinking = match sinking.len() {
            0 => String::new(),
            count => format!("; the scores of {count} sink towards the threshold"),
        };
        format!(
            "{}: {} admitted, {} refused in {} entries{sinking}",
            typed.out.display(),
            tally.admitted,
            tally.refused(),
            tally.entries
        )
    })?;
    Ok(Answer::Yes)
}
