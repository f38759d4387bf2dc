//! `threshold vault re-embed`: templates of everybody by another model, made of the crops.
//!
//! Owns the batches: each is kept whole before the next begins, so that a run that was cut off is gone on with and no crop has two
//! templates by one model. The templates of other models stay: a unit may still run one, or go back to it.
//! Leaves out, and names, a crop that gives no template; nobody else waits for it.
//! Refuses to work on whoever's retention is over, and names them.
//! Says what it cost beside the embedding alone.

use super::{Answer, BATCH, template, today};
use crate::engines::Engines;
use crate::meant::Meant;
use crate::parallel::{self, Pool};
use crate::remedy;
use crate::vault::{Quantised, Vault, VaultError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use threshold_models::engine::Engine;
use threshold_models::pack::Pack;
use threshold_record::{ModelId, PersonId};

/// What it came to.
#[derive(Debug, Default)]
struct Done {
    crops: usize,
    before: usize,
    made: usize,
    wall_ms: f64,
    /// All workers together.
    engine_ms: f64,
    workers: usize,
    /// Whose retention is over.
    over: BTreeSet<PersonId>,
    /// Why a crop has none.
    left_out: Vec<anyhow::Error>,
}

pub(super) fn run(meant: &Meant, vault: &mut Vault) -> anyhow::Result<Answer> {
    let engines = Engines::open(meant)?;
    let (detector, pack) = (engines.detector()?, engines.embedder(meant.model.as_ref())?);
    let counts = vault.counts()?;
    let before = counts.templates.get(&pack.id).copied().unwrap_or_default();
    let left = counts.crops.saturating_sub(before);
    let (workers, threads_each) = Engines::shares(meant.threads, left.min(BATCH));
    let today = today();
    let over = vault.people().iter().filter(|(_, held)| held.dates.is_over(today));
    let over: BTreeSet<PersonId> = over.map(|(id, _)| *id).collect();
    for (id, held) in vault.people().iter().filter(|(id, _)| over.contains(id)) {
        meant.say.warn(&format!(
            "{} (#{}) is passed over: the data may be kept until {} and no longer; threshold vault remove --expired",
            held.name,
            id.0,
            held.dates.keep_until.map(|day| day.to_string()).unwrap_or_default()
        ));
    }
    let bar = meant.say.bar(left as u64, "re-embedding");
    let begun = Instant::now();
    // No face is looked for, so the smallest one is nobody's choice.
    let fresh = || anyhow::Ok(Engines::engine(&detector, Some(&pack), 40, threads_each)?);
    let (made, engine_ms, left_out) = all(vault, pack.id, &over, workers, fresh, |n| bar.inc(n))?;
    bar.finish_and_clear();
    for error in &left_out {
        let (said, advice) = (remedy::without(error), remedy::of(error));
        meant.say.warn(&format!("left out: {said} (try: {advice})"));
    }
    let wall_ms = begun.elapsed().as_secs_f64() * 1e3;
    let done =
        Done { crops: counts.crops, before, made, wall_ms, engine_ms, workers, over, left_out };
    meant.say.result(&done.value(&pack), || done.text(&pack))?;
    Ok(if done.left_out.is_empty() { Answer::Yes } else { Answer::No })
}

/// Gives every crop without one a template, but for those of some people; how many, the time in the engines, and why others have
/// none.
fn all<E: Engine>(
    vault: &mut Vault,
    model: ModelId,
    over: &BTreeSet<PersonId>,
    workers: usize,
    fresh: impl Fn() -> anyhow::Result<E> + Sync,
    progress: impl Fn(u64),
) -> anyhow::Result<(usize, f64, Vec<anyhow::Error>)> {
    let pool = Pool::default();
    let engine_us = AtomicU64::new(0);
    let (mut made, mut left_out) = (0, Vec::new());
    let mut last = None;
    loop {
        let mut batch = vault.without_template(model, last.as_ref(), BATCH)?;
        if batch.is_empty() {
            break;
        }
        last = batch.last().cloned();
        batch.retain(|crop| !over.contains(&crop.person()));
        let opener = vault.opener();
        let templates: Vec<anyhow::Result<(u8, Quantised)>> = parallel::over(
            &batch,
            workers,
            || anyhow::Ok(()),
            |(), crop| {
                let crop = match opener.open(crop) {
                    Ok(crop) => crop,
                    Err(error) => return Ok(Err(error.into())),
                };
                pool.with(&fresh, |engine| {
                    let begun = Instant::now();
                    let made = template(engine, &crop.frame, &crop.face);
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or_default();
                    engine_us.fetch_add(took, Ordering::Relaxed);
                    match made {
                        // The crop's fault, not the engine's.
                        Err(error) if error.is::<VaultError>() => Ok(Err(error)),
                        made => Ok(Ok((crop.quality, made?))),
                    }
                })
            },
        )?;
        let mut rows = Vec::with_capacity(batch.len());
        for (crop, template) in batch.iter().zip(templates) {
            match template {
                Ok((quality, made)) => rows.push((crop, quality, made)),
                Err(error) => left_out.push(error),
            }
        }
        vault.put_templates(model, &rows)?;
        made += rows.len();
        progress(rows.len() as u64);
    }
    Ok((made, engine_us.into_inner() as f64 / 1e3, left_out))
}

impl Done {
    /// What all of it took, as a multiple of the embedding alone.
    fn cost(&self) -> Option<f64> {
        (self.engine_ms > 0.0).then(|| self.wall_ms * self.workers as f64 / self.engine_ms)
    }

    fn value(&self, pack: &Pack) -> Value {
        let why = |error| json!({ "error": remedy::without(error), "remedy": remedy::of(error) });
        json!({
            "model": pack.id.to_string(),
            "model_name": pack.meta.name,
            "crops": self.crops,
            "templates_before": self.before,
            "templates_made": self.made,
            "templates": self.before + self.made,
            "wall_ms": self.wall_ms.round(),
            "engine_ms": self.engine_ms.round(),
            "workers": self.workers,
            "left_out": self.left_out.iter().map(why).collect::<Vec<_>>(),
            "over": self.over.iter().map(|id| id.0).collect::<Vec<_>>(),
            "cost": self.cost().map(|cost| (cost * 1e3).round() / 1e3),
        })
    }

    fn text(&self, pack: &Pack) -> String {
        let mut text = format!(
            "{} of {} crops have a template by {} now, {} of them since before",
            self.before + self.made,
            self.crops,
            pack.meta.name,
            self.before
        );
        if let Some(cost) = self.cost() {
            let seconds = self.wall_ms / 1e3;
            text += &format!("; {seconds:.1} s, {cost:.2} times what the embedding alone takes");
        }
        text
    }
}
