//! `threshold eval cluster`: how right `threshold cluster` groups the pictures of a data set.
//!
//! Owns the table. The counting is `threshold_models::eval::groups`'s; the threshold is that of `cluster`, of the pack that
//! made the embeddings.

use super::embed;
use super::verify::{half_of, share, title_of, with_origin};
use crate::args;
use crate::cmd::door_distance;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use threshold_models::eval::bootstrap::N_RESAMPLES;
use threshold_models::eval::embeddings::About;
use threshold_models::eval::groups::{GroupsResult, group};
use threshold_models::eval::split::Half;
use threshold_models::pack::Pack;

pub(super) fn run(meant: &Meant, typed: &args::Halved) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.embeddings)?;
    let about = &embeddings.about;
    let half = half_of(typed.half);
    let engines = Engines::open(meant)?;
    let made_by = |id: &str| id == about.model;
    let mut packs = engines.packs().embedders();
    let pack = packs.find(|entry| entry.id().is_ok_and(|id| made_by(&id.to_string())));
    let path = || typed.embeddings.display().to_string();
    let wrong = |what: String| HostError::DataSet { path: path(), line: 0, what };
    let pack =
        pack.ok_or_else(|| wrong(format!("the pack of {} is not here", about.model_name)))?;
    let threshold = door_distance(Pack::read(&pack.path)?.embedder()?);
    let result = group(about.metric, threshold, &embeddings.subjects(half));
    let result = result.ok_or_else(|| {
        wrong(format!("the {} half holds no two pictures of one person", half.name()))
    })?;
    let value = with_origin(serde_json::to_value(&result)?, about, half);
    meant.say.result(&value, || text(&result, about, half))?;
    Ok(())
}

fn text(result: &GroupsResult, about: &About, half: Half) -> String {
    let line = |name: &str, rate| {
        let [at, interval] = share(rate);
        format!("{name:<10} {at}  (95 %: {interval})")
    };
    format!(
        "{}\n{} half: {} people, {} pictures; {} groups at {:.3} {}\n\
         of {} pairs in one group {} show one person, of {} pairs of one person\n{}\n{}\n{}\n\
         rates count pairs of pictures; intervals: {N_RESAMPLES} bootstrap resamples of people",
        title_of("grouping", about),
        half.name(),
        result.people,
        result.pictures,
        result.groups,
        result.threshold,
        result.metric,
        result.grouped,
        result.right,
        result.genuine,
        line("precision", result.precision),
        line("recall", result.recall),
        line("F", result.f_measure),
    )
}
