//! How FPIR grows with the number of people, at one threshold: drawn, and forecast beside it.
//!
//! Owns the sizes of gallery, the threshold that is held, and the plot. Refuses to draw a gallery for which there are too few
//! people; the forecast alone goes on.

use super::forecast::{plan, policy_of, site};
use super::identify::LONE;
use crate::report;
use crate::report::plot::{self, Axes, Curve, PlotError};
use crate::say::table;
use maud::{Markup, PreEscaped, html};
use serde::Serialize;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::embeddings::Subject;
use threshold_models::eval::identify::{IdentifyError, Plan, Searches};
use threshold_models::search::Candidates;
use threshold_policy::Policy;
use threshold_policy::forecast::{Range, forecast};
use threshold_record::{Distributions, Metric, Score, Threshold};

/// The threshold that is held: so many of the strangers' visits are admitted at so many people.
const HELD_AT: usize = 100;
const HELD_FPIR: f64 = 0.01;

/// Galleries that are drawn, then those that are forecast alone.
const DRAWN: [usize; 5] = [10, 30, 100, 200, 300];
const FORECAST: [usize; 2] = [1000, 3000];

/// FPIR by the number of people.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Growth {
    /// FPIR that the threshold has at `held_at` people.
    held_fpir: f64,
    held_at: usize,
    threshold_score: f32,
    threshold_distance: f32,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Point {
    people: usize,
    /// Strangers' visits; 0 where none were drawn.
    stranger_searches: u64,
    /// None where no gallery of so many could be drawn.
    fpir: Option<Interval>,
    /// What the policy forecasts; none if the distances could not be measured.
    forecast: Option<Interval>,
}

pub(super) fn measure(
    metric: Metric,
    subjects: &[Subject],
    distributions: Option<&Distributions>,
    draws: usize,
) -> anyhow::Result<Growth> {
    let plan = |people| Plan { draws, ..plan(people) };
    let search = |people| {
        let decide = |frames: &[Candidates], threshold| LONE.admits(metric, frames, threshold);
        Searches::run(metric, subjects, plan(people), decide)
    };
    // The least threshold at which no more are admitted.
    let threshold = (search(HELD_AT)?.fnir_at(HELD_FPIR).threshold.at as f32).next_up();
    let mut points = Vec::new();
    for people in DRAWN.into_iter().chain(FORECAST) {
        let searches = match DRAWN.contains(&people).then(|| search(people)) {
            None | Some(Err(IdentifyError::TooFewPeople { .. })) => None,
            Some(searches) => Some(searches?),
        };
        points.push(Point {
            people,
            stranger_searches: searches.as_ref().map_or(0, Searches::stranger_searches),
            fpir: searches.map(|searches| searches.fpir(Score(threshold))),
            forecast: distributions
                .map(|known| expected(metric, known, plan(people), Threshold(Score(threshold)))),
        });
    }
    Ok(Growth {
        held_fpir: HELD_FPIR,
        held_at: HELD_AT,
        threshold_score: threshold,
        threshold_distance: metric.distance(Score(threshold)),
        points,
    })
}

/// What the policy forecasts for a search alone.
fn expected(
    metric: Metric,
    distributions: &Distributions,
    plan: Plan,
    threshold: Threshold,
) -> Interval {
    let policy = Policy { threshold, ..policy_of(metric, LONE) };
    let Range { at, low, high } = forecast(&policy, metric, distributions, &site(plan)).fpir;
    Interval { at, low, high }
}

impl Growth {
    fn what(&self, metric: Metric) -> String {
        format!(
            "FPIR by N at distance {:.3} {}, which admits {} of the strangers' visits at N = {}; 1 template, 1 frame, no margin",
            self.threshold_distance,
            metric.unit(),
            self.held_fpir,
            self.held_at
        )
    }

    fn rows(&self) -> ([&'static str; 4], Vec<Vec<String>>) {
        let told = |one: Option<Interval>| {
            one.map_or("not drawn".to_owned(), |Interval { at, low, high }| {
                format!("{at:.5} ({low:.5} to {high:.5})")
            })
        };
        let row = |one: &Point| {
            vec![
                one.people.to_string(),
                told(one.fpir),
                one.stranger_searches.to_string(),
                one.forecast.map_or("not measured".to_owned(), |_| told(one.forecast)),
            ]
        };
        (
            ["N", "FPIR (95 %)", "strangers' visits", "FPIR forecast"],
            self.points.iter().map(row).collect(),
        )
    }

    pub(super) fn text(&self, metric: Metric) -> String {
        let (head, rows) = self.rows();
        format!("{}\n{}", self.what(metric), table(&head, &rows))
    }

    pub(super) fn section(&self, metric: Metric) -> Result<Markup, PlotError> {
        let (head, rows) = self.rows();
        let curve = |colour, of: &dyn Fn(&Point) -> Option<Interval>| Curve {
            colour,
            points: self
                .points
                .iter()
                .filter_map(|one| Some((one.people as f64, of(one)?)))
                .collect(),
        };
        let drawn = curve(plot::GREEN, &|one| one.fpir);
        let forecast = curve(plot::RED, &|one| one.forecast);
        let most = self.points.iter().map(|one| one.stranger_searches).max().unwrap_or(0).max(1);
        let axes = Axes { x: "N, people in the gallery", y: "FPIR", y_least: 1.0 / most as f64 };
        let svg = plot::curves(&axes, &[forecast, drawn])?;
        Ok(html! {
            h2 { "FPIR by N" }
            p { (self.what(metric)) ": " span.a { "drawn" } ", and " span.r { "forecast by the policy" } ", each with its 95 % band. Where "
                "no visit was admitted the band has no width, which says nothing of how few visits there were." }
            @if let Some(svg) = svg { (PreEscaped(svg)) }
            (report::table(&head, &rows))
        })
    }
}
