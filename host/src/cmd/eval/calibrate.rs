//! `threshold eval calibrate`: what a calibration does at a door of people whom it never saw.
//!
//! Owns the simulated doors and the table. A door's gallery and the strangers that it records are of the fit half, the strangers that
//! are counted then of the check half; scores, decisions and what is recorded are those of a unit, admissions of strangers left out
//! as a log does, and the threshold is what `policy::calibrate` asks for.

use super::embed;
use super::identify::Rule;
use super::verify::title_of;
use crate::args;
use crate::cmd::policy::scores_of;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use serde::Serialize;
use serde_json::json;
use threshold_models::engine::Embedding;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::embeddings::{About, Subject};
use threshold_models::eval::split::Half;
use threshold_models::pack::PackMeta;
use threshold_models::search::{Index, quantise};
use threshold_policy::calibrate::{asked, highest_rate};
use threshold_policy::forecast::Site;
use threshold_policy::rule::{Measured, derive};
use threshold_policy::{Outcome, Policy};
use threshold_record::{
    Cause, Decision, Metric, ModelId, ModelTag, PersonId, Reason, Score, Template, Threshold,
    ThresholdRule,
};

/// What the owner settled: the default target, a looser one, and the floor at the owner's own risk.
const RULES: [Option<f64>; 3] = [Some(1e-3), Some(0.01), None];

/// People of a door.
const PEOPLE: [usize; 2] = [10, 30];

/// A row of the table.
#[derive(Clone, Copy, Debug, Serialize)]
struct Row {
    people: usize,
    /// `None` for a threshold fixed at the floor.
    target_fpir: Option<f64>,
    doors: usize,
    /// Strangers whom a door recorded, on average.
    recorded: f64,
    /// Doors whose threshold the calibration raised.
    raised: usize,
    /// Thresholds on average, as distances.
    distance_before: f32,
    distance_after: f32,
    visits: u64,
    fpir_before: Interval,
    fpir_after: Interval,
    fnir_before: f64,
    fnir_after: f64,
}

/// A data set and the model that embedded it.
struct Evaluated<'a> {
    metric: Metric,
    rule: Rule,
    /// Whether a visit's frames were made of one picture, or are other pictures of the person.
    augmented: bool,
    meta: &'a PackMeta,
    floor: Policy,
    fit: Vec<Subject>,
    check: Vec<Subject>,
}

pub(super) fn run(meant: &Meant, typed: &args::EvalCalibrate) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.embeddings)?;
    let about = &embeddings.about;
    let engines = Engines::open(meant)?;
    let entry = engines.packs().embedders().find(|one| one.meta.name == about.model_name);
    let folder = engines.packs().path().display().to_string();
    let not_here = || HostError::ModelNotHere {
        unit: about.model.clone(),
        folder: folder.clone(),
        found: "none".to_owned(),
    };
    let entry = entry.ok_or_else(&not_here)?;
    if entry.id()?.to_string() != about.model {
        return Err(not_here().into());
    }
    let meta = &entry.meta;
    let metric = about.metric;
    let door = Rule::of_door(metric);
    let augmented = about.frames >= usize::from(door.window);
    // Without frames made of it a visit is of three pictures, of other days: two must agree.
    let rule = if augmented { door } else { Rule { needed: 2, window: 3, ..door } };
    let evaluated = Evaluated {
        metric,
        rule,
        augmented,
        meta,
        floor: Policy {
            margin: rule.margin,
            frames_needed: rule.needed,
            frames_window: rule.window,
            frames_limit: rule.window.into(),
            ..Policy::for_model(
                metric,
                meta.embedder.as_ref().map_or(0.0, |it| it.threshold_distance),
            )
        },
        fit: embeddings.subjects(Half::Fit),
        check: embeddings.subjects(Half::Check),
    };
    let cases: Vec<(usize, Option<f64>)> =
        RULES.iter().flat_map(|&fpir| PEOPLE.map(|people| (people, fpir))).collect();
    let bar = meant.say.bar(cases.len() as u64, "cases");
    let rows = crate::parallel::over(
        &cases,
        meant.threads,
        || Ok(()),
        |(), &(people, fpir)| {
            let row = evaluated.row(people, fpir, typed.doors as usize);
            bar.inc(1);
            row
        },
    )?;
    bar.finish_and_clear();
    let value = json!({
        "model": about.model,
        "model_name": about.model_name,
        "metric": metric.unit(),
        "pictures_digest": about.pictures_digest,
        "rule": rule,
        "rows": rows,
    });
    meant.say.result(&value, || text(about, rule, &rows))?;
    Ok(())
}

impl Evaluated<'_> {
    fn row(&self, people: usize, fpir: Option<f64>, most: usize) -> anyhow::Result<Row> {
        let scores = scores_of(self.meta)?;
        let id = ModelId([0; 32]);
        let model =
            Measured { id, metric: self.metric, distributions: Some(&scores.distributions) };
        let rule = match fpir {
            Some(fpir) => ThresholdRule::Target { fpir },
            None => ThresholdRule::Fixed { model: id, threshold: self.floor.threshold },
        };
        let site = Site {
            people: people as u32,
            templates_each: 1.0,
            strangers_a_day: 0.0,
            visits_a_day: 0.0,
        };
        let before = derive(&rule, &self.floor, &model, &site).policy.threshold;
        let strangers: Vec<Vec<&Embedding>> =
            self.check.iter().filter_map(|one| self.visit(one, 0)).collect();
        let mut admitted = [vec![0u32; strangers.len()], vec![0u32; strangers.len()]];
        let (mut recorded, mut raised, mut after_sum) = (0usize, 0, 0.0);
        let (mut refused, mut enrolled) = ([0u32; 2], 0u32);
        // Whoever is enrolled has pictures to come with; no two doors share anybody.
        let may = (0..self.fit.len()).filter(|&at| self.visit(&self.fit[at], 1).is_some());
        let may: Vec<usize> = may.collect();
        let galleries: Vec<&[usize]> = may.chunks_exact(people).take(most).collect();
        let doors = galleries.len();
        for gallery in galleries {
            let index = Index::new(self.metric, &self.templates(gallery))?;
            let mut heard = Vec::new();
            for at in (0..self.fit.len()).filter(|at| !gallery.contains(at)) {
                let visit = self.visit(&self.fit[at], 0);
                let outcome = visit.and_then(|frames| self.decided(&index, &frames, before));
                heard.extend(outcome.as_ref().and_then(heard_of));
            }
            heard.sort_by(|a, b| b.0.total_cmp(&a.0));
            recorded += heard.len();
            let asked = asked(&heard, fpir).map_or(before, |asked| asked.threshold);
            let after = if asked.0 > before.0 { asked } else { before };
            raised += usize::from(after > before);
            after_sum += f64::from(self.metric.distance(after.0));
            for (side, threshold) in [before, after].into_iter().enumerate() {
                for (at, frames) in strangers.iter().enumerate() {
                    let found = self.decided(&index, frames, threshold);
                    let is_admitted = found.is_some_and(|it| person_of(&it).is_some());
                    admitted[side][at] += u32::from(is_admitted);
                }
                for (n, &at) in (0u32..).zip(gallery) {
                    let visit = self.visit(&self.fit[at], 1).unwrap_or_default();
                    let found = self.decided(&index, &visit, threshold);
                    let own = Some(PersonId(n + 1));
                    refused[side] += u32::from(found.and_then(|it| person_of(&it)) != own);
                }
            }
            enrolled += gallery.len() as u32;
        }
        let fpir_of = |counts: &[u32]| spread(counts, doors);
        let of_doors = |sum: f64| sum / doors.max(1) as f64;
        let part = |n: u32| f64::from(n) / f64::from(enrolled.max(1));
        Ok(Row {
            people,
            target_fpir: fpir,
            doors,
            recorded: of_doors(recorded as f64),
            raised,
            distance_before: self.metric.distance(before.0),
            distance_after: of_doors(after_sum) as f32,
            visits: (strangers.len() * doors) as u64,
            fpir_before: fpir_of(&admitted[0]),
            fpir_after: fpir_of(&admitted[1]),
            fnir_before: part(refused[0]),
            fnir_after: part(refused[1]),
        })
    }

    /// One template of each, of the first picture.
    fn templates(&self, gallery: &[usize]) -> Vec<Template> {
        let first = |(n, &at): (u32, &usize)| {
            let embedding = self.fit[at].pictures.first()?.1.first()?;
            let (scale, vector) = quantise(embedding);
            let vector = vector.into_iter().collect();
            let person = PersonId(n + 1);
            Some(Template { person, slot: 0, quality: 100, model: ModelTag([0; 8]), scale, vector })
        };
        (0u32..).zip(gallery).filter_map(first).collect()
    }

    /// The frames of a person's visit after so many pictures; `None` of somebody who has too few.
    fn visit<'s>(&self, subject: &'s Subject, skip: usize) -> Option<Vec<&'s Embedding>> {
        let window = usize::from(self.rule.window);
        let pictures = subject.pictures.get(skip..)?;
        let frames: Vec<&Embedding> = match self.augmented {
            true => pictures.first()?.1.iter().take(window).collect(),
            false => {
                pictures.iter().filter_map(|(_, frames)| frames.first()).take(window).collect()
            }
        };
        (self.augmented || frames.len() == window).then_some(frames)
    }

    fn decided(
        &self,
        index: &Index,
        frames: &[&Embedding],
        threshold: Threshold,
    ) -> Option<Outcome> {
        let found: Vec<_> = frames.iter().filter_map(|frame| index.search(frame).ok()).collect();
        self.rule.outcome(self.metric, &found, threshold.0)
    }
}

/// The part of their visits in which strangers were admitted, with 1.96 standard errors of the mean over strangers; with none
/// admitted the upper end is the rate that so many strangers do not contradict.
fn spread(counts: &[u32], doors: usize) -> Interval {
    let n = counts.len().max(1) as f64;
    let rate = |&count: &u32| f64::from(count) / doors.max(1) as f64;
    let at = counts.iter().map(rate).sum::<f64>() / n;
    if at == 0.0 {
        return Interval { at, low: 0.0, high: highest_rate(0, counts.len() as u32) };
    }
    let squares = counts.iter().map(|count| (rate(count) - at).powi(2)).sum::<f64>();
    let error = 1.96 * (squares / n / n).sqrt();
    Interval { at, low: (at - error).max(0.0), high: at + error }
}

fn person_of(outcome: &Outcome) -> Option<PersonId> {
    match outcome.decision() {
        Decision::Admit(person) => Some(person),
        Decision::Refuse(_) => None,
    }
}

/// What a unit's calibration hears of a stranger's visit: nothing of one who was admitted.
fn heard_of(outcome: &Outcome) -> Option<Score> {
    let entry = outcome.entry();
    let unknown = matches!(entry.reason, Reason::Unknown | Reason::TooFewFrames);
    (unknown && entry.cause == Cause::None)
        .then_some(Score::from_fixed(entry.best_score.to_fixed()))
}

fn text(about: &About, rule: Rule, rows: &[Row]) -> String {
    let what = if rule == Rule::of_door(about.metric) { "augmented frames" } else { "pictures" };
    let share = |rate: f64| format!("{:.1} %", 100.0 * rate);
    let interval = |one: &Interval| format!("{:.5} ({:.5} to {:.5})", one.at, one.low, one.high);
    let row = |one: &Row| {
        vec![
            one.people.to_string(),
            one.target_fpir.map_or_else(|| "floor".to_owned(), |fpir| format!("{fpir}")),
            format!("{:.0}", one.recorded),
            format!("{} of {}", one.raised, one.doors),
            one.visits.to_string(),
            format!("{:.3}", one.distance_before),
            format!("{:.3}", one.distance_after),
            interval(&one.fpir_before),
            interval(&one.fpir_after),
            share(one.fnir_before),
            share(one.fnir_after),
        ]
    };
    let (before, after) = ("T before".to_owned(), format!("after, {}", about.metric.unit()));
    let head = [
        "N",
        "target",
        "recorded",
        "raised",
        "visits",
        &before,
        &after,
        "FPIR before",
        "after",
        "FNIR before",
        "after",
    ];
    let rows: Vec<Vec<String>> = rows.iter().map(row).collect();
    format!(
        "{}\ngalleries and recorded strangers of the fit half, visits of strangers of the check half; {} of {} {} \
         agree\nintervals: 1.96 standard errors over those strangers; of none admitted, Clopper and Pearson's bound of so many \
         strangers\n{}",
        title_of("calibration of simulated doors", about),
        rule.needed,
        rule.window,
        what,
        table(&head, &rows),
    )
}
