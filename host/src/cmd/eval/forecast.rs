//! `threshold eval forecast`: what the policy forecasts, beside attempts simulated on people whom it never saw.
//!
//! Owns the cases and the comparison. The distances are the fit half's, beside which the shipped ones are laid; the attempts
//! are drawn from the check half, or from the fit half to tell the forecast's own error from what other people make of it, and
//! go through the search and the decision of a door.

use super::identify::{LONE, Rule};
use super::verify::{half_of, title_of};
use super::{embed, page};
use crate::args;
use crate::cmd::policy::scores_of;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::report::plot::{self, Axes, Curve, PlotError};
use crate::say::table;
use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use serde_json::json;
use threshold_models::eval::bootstrap::{Interval, N_RESAMPLES};
use threshold_models::eval::embeddings::{About, Subject};
use threshold_models::eval::identify::{Frames, Plan, Searches};
use threshold_models::eval::split::Half;
use threshold_models::eval::verify::verify;
use threshold_models::pack::ScoreStats;
use threshold_models::search::Candidates;
use threshold_policy::Policy;
use threshold_policy::forecast::{
    Admissions, Arming, Basis, Range, Site, Target, forecast, judge, threshold_for,
};
use threshold_record::{Distributions, Metric, Quantile};

/// The forecast FPIRs at which attempts are counted.
const FPIRS: [f64; 3] = [0.003, 0.01, 0.03];

/// How far a forecast may be off.
const FACTOR: f64 = 2.0;

/// A forecast beside what happened.
#[derive(Clone, Copy, Debug, Serialize)]
struct Compared {
    people: usize,
    templates: usize,
    rule: Rule,
    frames: Frames,
    threshold_distance: f32,
    forecast: f64,
    forecast_low: f64,
    forecast_high: f64,
    /// For other people than those of the fit half.
    other_people_low: f64,
    other_people_high: f64,
    attempts: u64,
    fpir: Interval,
    /// Forecast over simulated.
    ratio: f64,
    within: bool,
    /// Whether what was simulated lies where other people's is expected.
    covered: bool,
}

/// From how many people on a unit with a threshold refuses, and what happens there.
#[derive(Clone, Copy, Debug, Serialize)]
struct Refusal {
    target_fpir: f64,
    threshold_distance: f32,
    /// The largest number of people with which it arms.
    people_at_most: u32,
    /// FPIR simulated with so many.
    fpir: Interval,
    /// The first simulated number of people at which the target is missed; none up to 300.
    missed_at: Option<usize>,
}

pub(super) fn run(meant: &Meant, typed: &args::EvalForecast) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.embeddings)?;
    let about = &embeddings.about;
    let metric = about.metric;
    let scores = shipped(meant, about)?;
    let fitted = verify(metric, &embeddings.subjects(Half::Fit)).ok_or_else(|| {
        let path = typed.embeddings.display().to_string();
        let what = "the fit half has too few pictures to measure distances".to_owned();
        HostError::DataSet { path, line: 0, what }
    })?;
    let apart = apart(&scores.distributions, &fitted.distributions);
    let half = half_of(typed.half);
    let subjects = embeddings.subjects(half);
    let attempts = u64::from(typed.attempts);
    let mut compared = Vec::new();
    let cases = cases(metric, about.frames);
    let bar = meant.say.bar(cases.len() as u64, "cases");
    let found = crate::parallel::over(
        &cases,
        meant.threads,
        || Ok(()),
        |(), &(plan, rule)| {
            let one = compare(metric, &fitted.distributions, &subjects, (plan, rule), attempts);
            bar.inc(1);
            one
        },
    )?;
    bar.finish_and_clear();
    found.into_iter().for_each(|rows| compared.extend(rows));
    let refusal = refusal(metric, &fitted.distributions, &subjects, attempts / 10)?;
    let mut value = json!({
        "model": about.model,
        "model_name": about.model_name,
        "metric": metric.unit(),
        "pictures_digest": about.pictures_digest,
        "half": half,
        "shipped_apart": apart,
        "rows": compared,
        "refusal": refusal,
    });
    let told = Told { about, half, compared: &compared, refusal: &refusal, apart };
    page::write(&typed.page, &mut value, &told.title(), || told.body(typed))?;
    meant.say.result(&value, || told.text())?;
    Ok(())
}

/// The distributions of the pack that made the embeddings.
fn shipped(meant: &Meant, about: &About) -> anyhow::Result<ScoreStats> {
    let engines = Engines::open(meant)?;
    for entry in engines.packs().embedders().filter(|one| one.meta.name == about.model_name) {
        if entry.id()?.to_string() == about.model {
            return Ok(scores_of(&entry.meta)?);
        }
    }
    let folder = engines.packs().path().display().to_string();
    Err(HostError::ModelNotHere { unit: about.model.clone(), folder, found: "none".to_owned() }
        .into())
}

/// The largest difference of two tables' distances and factors.
fn apart(a: &Distributions, b: &Distributions) -> f32 {
    let all = |one: &Distributions| -> Vec<Quantile> {
        one.impostor
            .iter()
            .chain(&one.genuine)
            .chain([&one.tail])
            .chain(&one.templates)
            .copied()
            .collect()
    };
    all(a).iter().zip(&all(b)).map(|(a, b)| (a.at - b.at).abs()).fold(0.0, f32::max)
}

/// The same distances without their intervals: a threshold for a FPIR as forecast, not at its high end.
pub(super) fn central(distributions: &Distributions) -> Distributions {
    let exact = |one: Quantile| Quantile { at: one.at, low: one.at, high: one.at };
    Distributions {
        impostor: distributions.impostor.map(exact),
        tail: exact(distributions.tail),
        genuine: distributions.genuine.map(exact),
        templates: distributions.templates.map(exact),
    }
}

pub(super) fn plan(people: usize) -> Plan {
    Plan {
        people,
        templates: 1,
        frames: Frames::One,
        least_enrolled: 2,
        least_stranger: 1,
        draws: 1,
    }
}

fn cases(metric: Metric, frames: usize) -> Vec<(Plan, Rule)> {
    let mut cases = [10, 100, 300].map(|people| (plan(people), LONE)).to_vec();
    // The same people with one template and with three: what differs is the templates and not who has so many pictures.
    let much_photographed = Plan { least_enrolled: 4, ..plan(30) };
    cases.extend([1, 3].map(|templates| (Plan { templates, ..much_photographed }, LONE)));
    let door = Rule::of_door(metric);
    if frames >= usize::from(door.window) {
        cases.push((Plan { frames: Frames::Augmented, ..plan(100) }, door));
    }
    cases
}

/// A policy with a rule, whose visits are as long as those simulated.
pub(super) fn policy_of(metric: Metric, rule: Rule) -> Policy {
    Policy {
        margin: rule.margin,
        frames_needed: rule.needed,
        frames_window: rule.window,
        frames_limit: rule.window.into(),
        ..Policy::for_model(metric, 1.0)
    }
}

pub(super) fn site(plan: Plan) -> Site {
    Site {
        people: plan.people as u32,
        templates_each: plan.templates as f64,
        strangers_a_day: 1.0,
        visits_a_day: 1.0,
    }
}

/// FNIR at a FPIR for a gallery larger than can be drawn, from the comparisons of all with all.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Extrapolated {
    pub(super) people: usize,
    pub(super) fpir: f64,
    pub(super) fmr: f64,
    pub(super) threshold_distance: f32,
    pub(super) fnir: Interval,
    /// True if the FMR lies beyond what was measured too.
    pub(super) beyond_measured_fmr: bool,
}

/// The search alone, one template of each person, at the distances measured on a group of people.
pub(super) fn extrapolate(
    metric: Metric,
    distributions: &Distributions,
    people: usize,
    fpir: f64,
) -> Extrapolated {
    let target = Target { admissions: Admissions::Fpir(fpir), fnir: 1.0 };
    let (open, site) = (policy_of(metric, LONE), site(plan(people)));
    let threshold = threshold_for(&target, &open, metric, &central(distributions), &site);
    let found = forecast(&Policy { threshold, ..open }, metric, distributions, &site);
    let Range { at, low, high } = found.fnir;
    Extrapolated {
        people,
        fpir,
        fmr: found.fmr.at,
        threshold_distance: metric.distance(threshold.0),
        fnir: Interval { at, low, high },
        beyond_measured_fmr: found.basis != Basis::Measured,
    }
}

fn simulate(
    metric: Metric,
    subjects: &[Subject],
    (plan, rule): (Plan, Rule),
    attempts: u64,
) -> anyhow::Result<Searches> {
    let strangers = subjects.len().saturating_sub(plan.people).max(1) as u64;
    let plan = Plan { draws: attempts.div_ceil(strangers).max(1) as usize, ..plan };
    let decide = |frames: &[Candidates], threshold| rule.admits(metric, frames, threshold);
    Ok(Searches::run(metric, subjects, plan, decide)?)
}

fn compare(
    metric: Metric,
    distributions: &Distributions,
    subjects: &[Subject],
    (plan, rule): (Plan, Rule),
    attempts: u64,
) -> anyhow::Result<Vec<Compared>> {
    let searches = simulate(metric, subjects, (plan, rule), attempts)?;
    let at = |fpir: f64| {
        let target = Target { admissions: Admissions::Fpir(fpir), fnir: 1.0 };
        let open = policy_of(metric, rule);
        let threshold = threshold_for(&target, &open, metric, &central(distributions), &site(plan));
        let policy = Policy { threshold, ..open };
        let expected = forecast(&policy, metric, distributions, &site(plan)).fpir;
        let (Range { at, low, high }, others) = (expected, expected.of_other_people());
        let simulated = searches.fpir(threshold.0);
        let ratio = at / simulated.at;
        Compared {
            people: plan.people,
            templates: plan.templates,
            rule,
            frames: plan.frames,
            threshold_distance: metric.distance(threshold.0),
            forecast: at,
            forecast_low: low,
            forecast_high: high,
            other_people_low: others.low,
            other_people_high: others.high,
            attempts: searches.stranger_searches(),
            fpir: simulated,
            ratio,
            within: (1.0 / FACTOR..=FACTOR).contains(&ratio),
            covered: (others.low..=others.high).contains(&simulated.at),
        }
    };
    Ok(FPIRS.map(at).to_vec())
}

/// A threshold that keeps FPIR 0.01 with 100 people: up to how many a unit arms, and whether that is where it must stop.
fn refusal(
    metric: Metric,
    distributions: &Distributions,
    subjects: &[Subject],
    attempts: u64,
) -> anyhow::Result<Refusal> {
    const FPIR: f64 = 0.01;
    let target = Target { admissions: Admissions::Fpir(FPIR), fnir: 1.0 };
    let open = policy_of(metric, LONE);
    let threshold = threshold_for(&target, &open, metric, distributions, &site(plan(100)));
    let policy = Policy { threshold, ..open };
    let too_many = Site { people: 100_000, ..site(plan(100)) };
    let people_at_most = match judge(&target, &policy, metric, distributions, &too_many) {
        Arming::Arms(_) => too_many.people,
        Arming::Refuses { help, .. } => help.people_at_most,
    };
    let fpir = |people: usize| -> anyhow::Result<Interval> {
        Ok(simulate(metric, subjects, (plan(people), LONE), attempts)?.fpir(threshold.0))
    };
    let mut missed_at = None;
    for people in (100..=300).step_by(25) {
        if missed_at.is_none() && fpir(people)?.at > FPIR {
            missed_at = Some(people);
        }
    }
    Ok(Refusal {
        target_fpir: FPIR,
        threshold_distance: metric.distance(threshold.0),
        people_at_most,
        fpir: fpir((people_at_most as usize).clamp(1, 300))?,
        missed_at,
    })
}

/// Whether what was simulated is itself known to the factor: else these people cannot tell a right forecast from a wrong one.
fn is_known(one: &Compared) -> bool {
    one.fpir.low * FACTOR >= one.fpir.at && one.fpir.high <= one.fpir.at * FACTOR
}

/// Where the factor is kept, and on which side what came lies where it is not.
fn kept(compared: &[Compared]) -> String {
    let count = |of: &dyn Fn(&Compared) -> bool| compared.iter().filter(|one| of(one)).count();
    let within = |case: &&[Compared]| case.iter().all(|one| one.within);
    let named = |case: &[Compared]| {
        let frames = super::identify::words(case[0].frames, case[0].rule);
        format!("{} x {} ({frames})", case[0].people, case[0].templates)
    };
    // The rows of one case stand together, one for each FPIR.
    let whole: Vec<String> = compared.chunks(FPIRS.len()).filter(within).map(named).collect();
    format!(
        "within a factor of {FACTOR}: {} of {} rows ({} of the {} whose simulated interval lies within that factor too), all of these \
         people x templates (frames): {}; what came lies above the forecast's \
         high end, by which a unit arms, in {}, above other people's in {} and below theirs in {}",
        count(&|one| one.within),
        compared.len(),
        count(&|one| is_known(one) && one.within),
        count(&is_known),
        if whole.is_empty() { "none".to_owned() } else { whole.join(", ") },
        count(&|one| one.fpir.at > one.forecast_high),
        count(&|one| one.fpir.at > one.other_people_high),
        count(&|one| one.fpir.at < one.other_people_low),
    )
}

/// A result in words.
struct Told<'a> {
    about: &'a About,
    half: Half,
    compared: &'a [Compared],
    refusal: &'a Refusal,
    apart: f32,
}

impl Told<'_> {
    fn title(&self) -> String {
        title_of("forecast and simulated attempts", self.about)
    }

    fn lines(&self) -> [String; 2] {
        [
            format!(
                "distances of the fit half, attempts of strangers of the {} half; rates count searches, one an attempt",
                self.half.name()
            ),
            format!(
                "intervals: {N_RESAMPLES} bootstrap resamples of people; shipped distances differ from this fit half's by {:.4} \
                 at most",
                self.apart
            ),
        ]
    }

    fn rows(&self) -> ([String; 9], Vec<Vec<String>>) {
        let row = |one: &Compared| {
            vec![
                one.people.to_string(),
                one.templates.to_string(),
                super::identify::words(one.frames, one.rule),
                format!("{:.3}", one.threshold_distance),
                format!(
                    "{:.4} ({:.4} to {:.4})",
                    one.forecast, one.forecast_low, one.forecast_high
                ),
                format!(
                    "{:.4} to {:.4}{}",
                    one.other_people_low,
                    one.other_people_high,
                    if one.covered { "" } else { ", missed" }
                ),
                format!("{:.4} ({:.4} to {:.4})", one.fpir.at, one.fpir.low, one.fpir.high),
                one.attempts.to_string(),
                format!("{:.2}", one.ratio),
            ]
        };
        let threshold = format!("T, {}", self.about.metric.unit());
        let head = [
            "N",
            "templates",
            "frames",
            &threshold,
            "FPIR forecast",
            "other people's",
            "FPIR simulated",
            "attempts",
            "ratio",
        ];
        (head.map(str::to_owned), self.compared.iter().map(row).collect())
    }

    /// Where a unit refuses.
    fn refusal(&self) -> String {
        let refusal = self.refusal;
        let missed = match refusal.missed_at {
            Some(people) => format!("the target is first missed at N = {people}"),
            None => "the target is kept up to N = 300".to_owned(),
        };
        format!(
            "a unit with distance {:.3} for FPIR {} refuses above N = {}; simulated FPIR there {:.4} ({:.4} to {:.4}); {missed}",
            refusal.threshold_distance,
            refusal.target_fpir,
            refusal.people_at_most,
            refusal.fpir.at,
            refusal.fpir.low,
            refusal.fpir.high,
        )
    }

    fn text(&self) -> String {
        let (head, rows) = self.rows();
        let table = table(&head.each_ref().map(String::as_str), &rows);
        let lines = self.lines().join("\n");
        format!("{}\n{lines}\n{table}\n{}\n{}", self.title(), kept(self.compared), self.refusal())
    }

    fn body(&self, typed: &args::EvalForecast) -> Result<Markup, PlotError> {
        let (head, rows) = self.rows();
        // The rows of one case stand together, one for each FPIR.
        let plots = self.compared.chunks(FPIRS.len()).map(|case| {
            let curve = |colour, of: &dyn Fn(&Compared) -> Interval| Curve {
                colour,
                points: case.iter().map(|one| (one.threshold_distance.into(), of(one))).collect(),
            };
            let forecast = curve(plot::RED, &|one| Interval {
                at: one.forecast,
                low: one.forecast_low,
                high: one.forecast_high,
            });
            let most = case.iter().map(|one| one.attempts).max().unwrap_or(0).max(1);
            let distance = format!("T, {}", self.about.metric.unit());
            let axes = Axes { x: &distance, y: "FPIR", y_least: 1.0 / most as f64 };
            plot::curves(&axes, &[forecast, curve(plot::GREEN, &|one| one.fpir)])
        });
        let plots = plots.collect::<Result<Vec<_>, _>>()?;
        Ok(html! {
            (page::tabled(&typed.page, &self.lines(), &head.each_ref().map(String::as_str), &rows))
            p { (kept(self.compared)) "." }
            p { (self.refusal()) "." }
            h2 { "FPIR by threshold" }
            p { span.a { "Simulated" } ", and " span.r { "forecast by the policy" } ", each with its 95 % band; a ratio of "
                (FACTOR) " either way is how far a forecast may be off." }
            @for (case, svg) in self.compared.chunks(FPIRS.len()).zip(&plots) {
                @if let ([first, ..], Some(svg)) = (case, svg) {
                    h3 { "N = " (first.people) ", templates of each: " (first.templates) ", frames: "
                        (super::identify::words(first.frames, first.rule)) }
                    (PreEscaped(svg))
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_factor_is_kept_and_on_which_side_it_is_not_is_said() {
        let row = |people: usize, ratio: f64| {
            let at = 0.01;
            let fpir = at / ratio;
            let low = if people == 10 { fpir * 0.6 } else { fpir * 0.4 };
            Compared {
                people,
                templates: 1,
                rule: LONE,
                frames: Frames::One,
                threshold_distance: 0.5,
                forecast: at,
                forecast_low: 0.005,
                forecast_high: 0.02,
                other_people_low: 0.0035,
                other_people_high: 0.028,
                attempts: 1000,
                fpir: Interval { at: fpir, low, high: fpir * 1.5 },
                ratio,
                within: (1.0 / FACTOR..=FACTOR).contains(&ratio),
                covered: (0.0035..=0.028).contains(&fpir),
            }
        };
        let rows = [(10, 1.0), (10, 2.0), (10, 0.5), (30, 0.4), (30, 3.0), (30, 0.3)];
        assert_eq!(
            kept(&rows.map(|(people, ratio)| row(people, ratio))),
            "within a factor of 2: 3 of 6 rows (3 of the 3 whose simulated interval lies within that factor too), all of these \
             people x templates (frames): 10 x 1 (1); what came lies above the forecast's high end, by which a unit arms, in 2, \
             above other people's in 1 and below theirs in 1"
        );
        assert!(kept(&[row(30, 3.0)]).contains("(frames): none;"));
    }
}
