//! `threshold eval cluster`: how right `threshold cluster` groups the pictures of a data set.
//!
//! Owns the table and the page. The counting is `threshold_models::eval::groups`'s; the threshold is that of `cluster`, of the pack that
//! made the embeddings.

use super::verify::{half_of, share, title_of, with_origin};
use super::{embed, page};
use crate::args;
use crate::cmd::door_distance;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use threshold_models::eval::bootstrap::N_RESAMPLES;
use threshold_models::eval::groups::{GroupsResult, group};
use threshold_models::eval::split::Half;
use threshold_models::pack::Pack;

pub(super) fn run(meant: &Meant, typed: &args::EvalCluster) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.of.embeddings)?;
    let about = &embeddings.about;
    let half = half_of(typed.of.half);
    let engines = Engines::open(meant)?;
    let made_by = |id: &str| id == about.model;
    let mut packs = engines.packs().embedders();
    let pack = packs.find(|entry| entry.id().is_ok_and(|id| made_by(&id.to_string())));
    let path = || typed.of.embeddings.display().to_string();
    let wrong = |what: String| HostError::DataSet { path: path(), line: 0, what };
    let pack =
        pack.ok_or_else(|| wrong(format!("the pack of {} is not here", about.model_name)))?;
    let threshold = door_distance(Pack::read(&pack.path)?.embedder()?);
    let result = group(about.metric, threshold, &embeddings.subjects(half));
    let result = result.ok_or_else(|| {
        wrong(format!("the {} half holds no two pictures of one person", half.name()))
    })?;
    let mut value = with_origin(serde_json::to_value(&result)?, about, half);
    let (title, lines) = (title_of("grouping", about), lines(&result, half));
    let rows = rows(&result);
    page::write(&typed.page, &mut value, &title, || {
        Ok(page::tabled(&typed.page, &lines, &FIGURES, &rows))
    })?;
    meant
        .say
        .result(&value, || format!("{title}\n{}\n{}", lines.join("\n"), table(&FIGURES, &rows)))?;
    Ok(())
}

/// What was grouped.
fn lines(result: &GroupsResult, half: Half) -> [String; 3] {
    [
        format!(
            "{} half: {} people, {} pictures; {} groups at {:.3} {}",
            half.name(),
            result.people,
            result.pictures,
            result.groups,
            result.threshold,
            result.metric
        ),
        format!(
            "of {} pairs in one group {} show one person, of {} pairs of one person",
            result.grouped, result.right, result.genuine
        ),
        format!(
            "rates count pairs of pictures; intervals: {N_RESAMPLES} bootstrap resamples of people"
        ),
    ]
}

const FIGURES: [&str; 3] = ["figure", "value", "95 %"];

fn rows(result: &GroupsResult) -> Vec<Vec<String>> {
    let figures =
        [("precision", result.precision), ("recall", result.recall), ("F", result.f_measure)];
    let row = |(name, rate): (&str, _)| {
        let [at, interval] = share(rate);
        vec![name.to_owned(), at, interval]
    };
    figures.map(row).to_vec()
}
