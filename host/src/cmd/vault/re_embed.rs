//! `threshold vault re-embed`: templates of everybody by another model, made of the crops.
//!
//! Owns the batches: each is kept whole before the next begins, so that a run that was cut off is gone on with and no crop has two
//! templates by one model. The templates of other models stay: a unit may still run one, or go back to it.
//! Refuses to work on whoever's retention is over, and names them.
//! Says what it cost beside the embedding alone.

use super::{Answer, BATCH, template, today};
use crate::engines::Engines;
use crate::meant::Meant;
use crate::parallel::{self, Pool};
use crate::vault::{Quantised, Vault};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use threshold_models::engine::Engine;
use threshold_models::pack::Pack;
use threshold_record::{ModelId, PersonId};

/// What it came to.
#[derive(Clone, Debug, Default, PartialEq)]
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
    let (made, engine_ms) = all(vault, pack.id, &over, workers, fresh, |n| bar.inc(n))?;
    bar.finish_and_clear();
    let wall_ms = begun.elapsed().as_secs_f64() * 1e3;
    let done = Done { crops: counts.crops, before, made, wall_ms, engine_ms, workers, over };
    meant.say.result(&done.value(&pack), || done.text(&pack))?;
    Ok(Answer::Yes)
}

/// Gives every crop without one a template, but for those of some people; how many, and the time in the engines.
fn all<E: Engine>(
    vault: &mut Vault,
    model: ModelId,
    over: &BTreeSet<PersonId>,
    workers: usize,
    fresh: impl Fn() -> anyhow::Result<E> + Sync,
    progress: impl Fn(u64),
) -> anyhow::Result<(usize, f64)> {
    let pool = Pool::default();
    let engine_us = AtomicU64::new(0);
    let mut made = 0;
    let mut last = None;
    loop {
        let mut batch = vault.without_template(model, last.as_ref(), BATCH)?;
        if batch.is_empty() {
            break;
        }
        last = batch.last().cloned();
        batch.retain(|crop| !over.contains(&crop.person()));
        let opener = vault.opener();
        let templates: Vec<(u8, Quantised)> = parallel::over(
            &batch,
            workers,
            || anyhow::Ok(()),
            |(), crop| {
                let crop = opener.open(crop)?;
                pool.with(&fresh, |engine| {
                    let begun = Instant::now();
                    let template = template(engine, &crop.frame, &crop.face)?;
                    let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or_default();
                    engine_us.fetch_add(took, Ordering::Relaxed);
                    Ok((crop.quality, template))
                })
            },
        )?;
        let rows = batch.iter().zip(templates);
        let rows: Vec<_> = rows.map(|(crop, (quality, made))| (crop, quality, made)).collect();
        vault.put_templates(model, &rows)?;
        made += rows.len();
        progress(rows.len() as u64);
    }
    Ok((made, engine_us.into_inner() as f64 / 1e3))
}

impl Done {
    /// What all of it took, as a multiple of the embedding alone.
    fn cost(&self) -> Option<f64> {
        (self.engine_ms > 0.0).then(|| self.wall_ms * self.workers as f64 / self.engine_ms)
    }

    fn value(&self, pack: &Pack) -> Value {
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
