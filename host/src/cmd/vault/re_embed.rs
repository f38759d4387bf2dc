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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keychain::Keychain;
    use crate::vault::crop::SourceCrop;
    use crate::vault::{Addition, Dates, Source};
    use std::sync::atomic::AtomicUsize;
    use threshold_models::engine::{BBox, Detection, Embedding, EngineError};
    use threshold_models::frame::Frame;
    use threshold_record::Name;

    const PEOPLE: usize = 1000;
    const EACH: usize = 3;
    const OLD: ModelId = ModelId([1; 32]);
    const NEW: ModelId = ModelId([2; 32]);

    /// Embeds a crop as the colour of its first pixel, and stops for good after so many.
    struct Cheap<'a> {
        left: &'a AtomicUsize,
    }

    impl Engine for Cheap<'_> {
        fn detect(&mut self, _: &Frame) -> Result<Vec<Detection>, EngineError> {
            Ok(vec![])
        }

        fn embed(&mut self, frame: &Frame, _: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
            let left = self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            left.map_err(|_| EngineError::NotFinite { network: "cheap" })?;
            let pixel = frame.rgb().iter().take(3);
            let components = pixel.map(|&value| f32::from(value) + 1.0).cycle().take(128);
            Ok(vec![Embedding(components.collect())])
        }
    }

    fn face() -> Detection {
        let bbox = BBox { x1: 2.0, y1: 2.0, x2: 8.0, y2: 8.0 };
        Detection { bbox, landmarks: [[5.0, 5.0]; 5], score: 0.99 }
    }

    /// Photo `each` of person `number`, told apart by its colour.
    fn addition(number: usize, each: usize) -> Addition {
        let colour = [(number / 250) as u8, (number % 250) as u8, each as u8 * 40];
        let rgb = colour.into_iter().cycle().take(10 * 10 * 3).collect();
        let frame = Frame::from_rgb(10, 10, rgb).unwrap();
        let mut digest = [0; 32];
        digest[..3].copy_from_slice(&colour);
        let crop = SourceCrop::cut(&frame, &face(), 80).unwrap();
        let template = (0.01, vec![1; 128]);
        Addition {
            name: Name::new(&format!("Person {number}")).unwrap(),
            dates: Dates::default(),
            photo: Some(Source { digest, crop, template }),
        }
    }

    #[test]
    fn a_thousand_people_are_re_embedded_once_each_however_often_it_is_interrupted() {
        let folder = tempfile::tempdir().unwrap();
        let keychain = Keychain::meant(Some(&folder.path().join("keys")));
        let path = folder.path().join("vault.db");
        let all_of = |number| (0..EACH).map(move |each| addition(number, each));
        let additions: Vec<Addition> = (0..PEOPLE).flat_map(all_of).collect();
        let mut vault = Vault::create(&path, &keychain).unwrap();
        assert!(vault.add(OLD, &additions).unwrap().iter().all(Result::is_ok));
        let before = vault.templates(OLD).unwrap();
        assert_eq!(before.len(), PEOPLE * EACH);
        let (mut made, mut runs) = (0, 0);
        loop {
            runs += 1;
            // Each run ends in the middle of a batch, which is lost, and the vault is opened anew.
            let left = AtomicUsize::new(700);
            let fresh = || anyhow::Ok(Cheap { left: &left });
            let ended = all(&mut vault, NEW, &BTreeSet::new(), 2, fresh, |_| ());
            drop(vault);
            vault = Vault::open(&path, &keychain).unwrap();
            let now = vault.counts().unwrap().templates.get(&NEW).copied().unwrap_or_default();
            match ended {
                Err(_) => {
                    assert_eq!(now - made, 700 / BATCH * BATCH, "whole batches, and no more");
                    made = now;
                }
                Ok((rest, _, left_out)) => {
                    assert_eq!((made + rest, left_out.len()), (now, 0));
                    break;
                }
            }
        }
        assert_eq!(runs, 5);
        let after = vault.templates(NEW).unwrap();
        let places = |of: &[threshold_record::Template]| -> Vec<(PersonId, u8)> {
            of.iter().map(|held| (held.person, held.slot)).collect()
        };
        assert_eq!(places(&after), places(&before));
        assert_eq!(vault.templates(OLD).unwrap(), before, "those of the other model stay");
        // Each is of its own crop: the colours' proportions are the first components'.
        let of = |held: &threshold_record::Template| {
            let component = |at: usize| f32::from(held.vector[at]) * held.scale - 1.0;
            [component(0), component(1), component(2)]
        };
        for (at, held) in after.iter().enumerate() {
            let (number, each) = (at / EACH, at % EACH);
            let colour = [(number / 250) as f32, (number % 250) as f32, each as f32 * 40.0];
            let near = of(held).iter().zip(colour).all(|(one, other)| (one - other).abs() < 3.0);
            assert!(near, "crop {at}: {:?}, not {colour:?}", of(held));
        }
        // Nothing is left to do.
        let none = AtomicUsize::new(0);
        let fresh = || anyhow::Ok(Cheap { left: &none });
        let done = all(&mut vault, NEW, &BTreeSet::new(), 2, fresh, |_| ()).unwrap();
        assert_eq!((done.0, done.2.len()), (0, 0));
    }
}
