//! `threshold log report`: a log that was pulled, as one page for people: how the door was used, what it refused and why, and
//! how each person's scores move.
//!
//! Owns the reading of the file and the writing of the page: `tally` counts, `forecast` says what was to be expected, `plot` draws,
//! `page` sets. Needs no unit.
//! Refuses to say what a log cannot tell: whoever was let in wrongly stands in it as the person for whom he was taken.

mod forecast;
mod page;
mod plot;
mod tally;

use crate::cmd::Answer;
use crate::engines::Engines;
use crate::error::HostError;
use crate::log_contexts::LogContexts;
use crate::log_file;
use crate::meant::Meant;
use crate::{args, report, say};
use forecast::Outlook;
use serde_json::Value;
use serde_json::json;
use tally::{Someone, Tally, Trend};
use threshold_record::{Distributions, ModelId};

/// Reads the file, writes the page.
///
/// # Errors
/// [`HostError::LogFileKind`] or [`HostError::LogFile`] for a file that is no log, [`HostError::NoEntries`] for one without
/// entries, [`HostError::File`] if the disk refuses.
pub fn run(meant: &Meant, typed: &args::LogReport) -> anyhow::Result<Answer> {
    let contexts = LogContexts::beside(&typed.file)?;
    let mut tally = Tally::of(contexts);
    log_file::read(&typed.file, &mut |row| tally.take(&row))?;
    if tally.entries == 0 {
        return Err(HostError::NoEntries { path: typed.file.clone() }.into());
    }
    let title = typed.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let outlook = forecast::outlook(&tally, &measured(meant));
    let page = page::page(&say::plain(&title), &tally, outlook.as_ref())?;
    report::write(&typed.out, &page)?;
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
        "forecast": outlook.as_ref().map(Outlook::told),
        "drift": tally.drifts().map(|(id, someone, trend)| drift(id, someone, &trend)).collect::<Vec<_>>(),
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

/// How distances fall by the packs that are here.
fn measured(meant: &Meant) -> impl Fn(ModelId) -> Option<Distributions> + use<> {
    let engines = Engines::open(meant).ok();
    move |id| {
        let mut packs = engines.as_ref()?.packs().embedders();
        let found = packs.find(|entry| entry.id().is_ok_and(|found| found == id))?;
        found.meta.scores().map(|scores| scores.distributions)
    }
}

/// How somebody's scores move.
fn drift(person: u32, someone: &Someone, trend: &Trend) -> Value {
    json!({
        "person": person,
        "name": someone.name,
        "change_30_days": trend.slope,
        "low": trend.slope - 2.0 * trend.error,
        "high": trend.slope + 2.0 * trend.error,
        "days_left": trend.days_left,
        "sinks": trend.sinks(),
    })
}
