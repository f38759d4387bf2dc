//! `threshold eval verify`: all pictures compared with all others.
//!
//! Owns the table; the worst pairs are told under `--json` only. The protocol is `threshold_models::eval::verify`'s.

use super::embed;
use crate::args::{self, HalfName};
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use serde_json::{Value, json};
use threshold_models::eval::bootstrap::{Interval, N_RESAMPLES};
use threshold_models::eval::embeddings::About;
use threshold_models::eval::split::Half;
use threshold_models::eval::verify::{Point, VerifyResult, verify};

pub(super) fn run(meant: &Meant, typed: &args::Verify) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.embeddings)?;
    let half = half_of(typed.half);
    let subjects = embeddings.subjects(half);
    let about = &embeddings.about;
    let result = verify(about.metric, &subjects).ok_or_else(|| HostError::DataSet {
        path: typed.embeddings.display().to_string(),
        line: 0,
        what: format!("the {} half holds no two pictures of one person and of two", half.name()),
    })?;
    let value = with_origin(serde_json::to_value(&result)?, about, half);
    meant.say.result(&value, || text(&result, about, half))?;
    Ok(())
}

/// The half of the people that is meant.
pub(super) fn half_of(name: HalfName) -> Half {
    match name {
        HalfName::Fit => Half::Fit,
        HalfName::Check => Half::Check,
    }
}

/// A result as JSON with the embeddings that it is of.
pub(super) fn with_origin(mut value: Value, about: &About, half: Half) -> Value {
    value["model"] = json!(about.model);
    value["model_name"] = json!(about.model_name);
    value["pictures_digest"] = json!(about.pictures_digest);
    value["half"] = json!(half);
    value
}

/// What a table of a file of embeddings is headed with.
pub(super) fn title_of(what: &str, about: &About) -> String {
    let tag = about.model.get(..16).unwrap_or(&about.model);
    format!("{what}: {} (id {tag})", about.model_name)
}

/// A share with its interval, in percent.
pub(super) fn share(rate: Interval) -> [String; 2] {
    let percent = |part: f64| format!("{:.2}", part * 100.0);
    [
        format!("{} %", percent(rate.at)),
        format!("{} to {} %", percent(rate.low), percent(rate.high)),
    ]
}

fn text(result: &VerifyResult, about: &About, half: Half) -> String {
    let row = |point: &Point| {
        let [fnmr, interval] = share(point.fnmr);
        let threshold = point.threshold;
        vec![
            format!("{:.0e}", point.fmr),
            point.accepted.to_string(),
            format!("{:.3} ({:.3} to {:.3})", threshold.at, threshold.low, threshold.high),
            fnmr,
            interval,
            if point.extrapolated { "extrapolated" } else { "measured" }.to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = result.points.iter().map(row).collect();
    let below = format!("T, {}", result.metric);
    let head = ["FMR", "impostors below T", &below, "FNMR", "95 %", ""];
    format!(
        "{}\n{} half: {} people, {} pictures; {} genuine comparisons of {} people, {} impostor comparisons\n\
         rates count comparisons (N = 1); intervals: {N_RESAMPLES} bootstrap resamples of people\n{}",
        title_of("verification, all with all", about),
        half.name(),
        result.people,
        result.pictures,
        result.genuine,
        result.people_with_pairs,
        result.impostor,
        table(&head, &rows),
    )
}
