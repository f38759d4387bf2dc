//! `threshold eval identify`: people and strangers before a gallery, by the decision that a door makes.
//!
//! Owns the rows of the table, the page and the door's decision over a visit. The draws are
//! `threshold_models::eval::identify`'s; how FPIR grows with the gallery is `growth`'s.

use super::again::Again;
use super::forecast::{Extrapolated, extrapolate};
use super::growth::{self, Growth};
use super::parts::{self, Part};
use super::verify::{half_of, share, title_of};
use super::{again, embed, page};
use crate::cmd::door_distance;
use crate::engines::Engines;
use crate::meant::Meant;
use crate::report::plot::PlotError;
use crate::say::table;
use crate::{args, report};
use maud::{Markup, html};
use serde::Serialize;
use serde_json::json;
use threshold_models::eval::bootstrap::N_RESAMPLES;
use threshold_models::eval::embeddings::{About, Subject};
use threshold_models::eval::identify::{FnirAtFpir, Frames, Plan, Searches};
use threshold_models::eval::split::Half;
use threshold_models::eval::verify::verify;
use threshold_models::search::Candidates;
use threshold_policy::{
    Candidate, Evidence, Observation, Outcome, Policy, Standing, Verdict, decide,
};
use threshold_record::{Cause, Decision, Metric, Mode, PersonId, Presentation, Score, Threshold};

/// The rates of strangers admitted that are reported.
pub(super) const FPIRS: [f64; 2] = [0.01, 0.003];

/// Galleries for which there are too few people: from the comparisons of all with all.
const LARGER: [usize; 2] = [1000, 3000];

/// k of n and margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Rule {
    pub(super) needed: u8,
    pub(super) window: u8,
    pub(super) margin: f32,
}

/// One frame decides, no margin: the search alone.
pub(super) const LONE: Rule = Rule { needed: 1, window: 1, margin: 0.0 };

impl Rule {
    /// The rule of a unit's default policy.
    pub(super) fn of_door(metric: Metric) -> Self {
        // The threshold is left open, so its distance does not matter here.
        let policy = Policy::for_model(metric, 1.0);
        Self { needed: policy.frames_needed, window: policy.frames_window, margin: policy.margin }
    }

    /// Whom a door with this rule admits at the end of a visit of these frames, every one good enough to compare.
    pub(super) fn admits(
        self,
        metric: Metric,
        frames: &[Candidates],
        threshold: Score,
    ) -> Option<PersonId> {
        admitted(self.outcome(metric, frames, threshold)?.decision())
    }

    /// What becomes of such a visit; it always ends.
    pub(super) fn outcome(
        self,
        metric: Metric,
        frames: &[Candidates],
        threshold: Score,
    ) -> Option<Outcome> {
        let policy = Policy {
            threshold: Threshold(threshold),
            margin: self.margin,
            frames_needed: self.needed,
            frames_window: self.window,
            ..Policy::for_model(metric, 1.0)
        };
        let standing = Standing {
            armed: Ok(()),
            fault: None,
            lockout: Ok(()),
            people: 1,
            mode: Mode::Identify,
            nearest: &[],
        };
        let mut evidence = Evidence::begin(0);
        for (frame, at_ms) in frames.iter().zip(1..) {
            evidence.observe(observation(frame, at_ms));
            if let Verdict::Decided(outcome) = decide(&policy, &evidence, &standing, |_| Ok(())) {
                return Some(outcome);
            }
        }
        evidence.close();
        match decide(&policy, &evidence, &standing, |_| Ok(())) {
            Verdict::Decided(outcome) => Some(outcome),
            Verdict::Pending => None,
        }
    }
}

fn admitted(decision: Decision) -> Option<PersonId> {
    match decision {
        Decision::Admit(person) => Some(person),
        Decision::Refuse(_) => None,
    }
}

fn observation(frame: &Candidates, at_ms: u64) -> Observation {
    let candidate = |one: threshold_models::search::Candidate| Candidate {
        person: one.person,
        score: one.score,
    };
    Observation {
        at_ms,
        quality: 100,
        cause: Cause::None,
        presentation: Presentation::NotAssessed,
        best: frame.best.map(candidate),
        runner_up: frame.runner_up.map(candidate),
    }
}

/// A row of the table: what is drawn and how it is decided.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    pub(super) plan: Plan,
    pub(super) rule: Rule,
}

/// The rows: the search alone and a door's default for each size of gallery, then what each part of the decision is worth
/// on a gallery of 30 people with enough pictures.
pub(super) fn rows(metric: Metric, frames: usize, draws: usize) -> Vec<Row> {
    let door = Rule::of_door(metric);
    let plan = |people: usize| Plan {
        people,
        templates: 1,
        frames: Frames::One,
        least_enrolled: 2,
        least_stranger: 1,
        draws,
    };
    let mut rows: Vec<Row> =
        [10, 100, 300].map(|people| Row { plan: plan(people), rule: LONE }).to_vec();
    let margin = Rule { margin: door.margin, ..LONE };
    let several = Rule { margin: 0.0, ..door };
    // With a picture for each of three templates and one to come with; the same people in every row.
    let one = Plan { least_enrolled: 4, ..plan(30) };
    let three = Plan { templates: 3, ..one };
    rows.extend([(one, LONE), (one, margin), (three, LONE), (three, margin)].map(Row::of));
    // Three other pictures are three frames; a stranger needs as many.
    let pictures = |plan: Plan| Plan { frames: Frames::Pictures(3), least_stranger: 3, ..plan };
    let two = Rule { needed: 2, window: 3, margin: 0.0 };
    let both = Rule { margin: door.margin, ..two };
    let lone = Plan { least_stranger: 3, ..one };
    rows.extend([(lone, LONE), (pictures(one), two), (pictures(one), both)].map(Row::of));
    if frames >= usize::from(door.window) {
        let made = |plan: Plan| Plan { frames: Frames::Augmented, ..plan };
        rows.extend([10, 100, 300].map(|people| Row { plan: made(plan(people)), rule: door }));
        let kinds = [(made(one), several), (made(one), door), (made(three), door)];
        rows.extend(kinds.map(Row::of));
    }
    rows
}

impl Row {
    fn of((plan, rule): (Plan, Rule)) -> Self {
        Self { plan, rule }
    }
}

/// What a row gave.
#[derive(Serialize)]
pub(super) struct Found {
    #[serde(flatten)]
    pub(super) row: Row,
    pub(super) stranger_searches: u64,
    pub(super) enrolled_searches: u64,
    pub(super) points: Vec<FnirAtFpir>,
}

pub(super) fn run(meant: &Meant, typed: &args::Identify) -> anyhow::Result<()> {
    let embeddings = embed::read(&typed.embeddings)?;
    let half = half_of(typed.half);
    let subjects = embeddings.subjects(half);
    let about = &embeddings.about;
    let rows = rows(about.metric, about.frames, typed.draws as usize);
    let bar = meant.say.bar(rows.len() as u64, "rows");
    let found = crate::parallel::over(
        &rows,
        meant.threads,
        || Ok(()),
        |(), row| {
            let found = measure(about.metric, &subjects, *row);
            bar.inc(1);
            found
        },
    )?;
    bar.finish_and_clear();
    let all = verify(about.metric, &subjects);
    let beyond: Vec<Extrapolated> = match &all {
        None => vec![],
        Some(all) => {
            let at = |people| {
                FPIRS.map(|fpir| extrapolate(about.metric, &all.distributions, people, fpir))
            };
            LARGER.into_iter().flat_map(at).collect()
        }
    };
    let distributions = all.as_ref().map(|all| &all.distributions);
    let growth = growth::measure(about.metric, &subjects, distributions, typed.draws as usize)?;
    // What enrolment knows of the model's distances was measured on the fit half.
    let fitted = verify(about.metric, &embeddings.subjects(Half::Fit));
    let fitted = fitted.as_ref().map(|fitted| &fitted.distributions);
    let floor = floor_of(meant, about);
    let again = again::measure(about.metric, &subjects, fitted, floor, typed.draws as usize)?;
    let parts = parts::parts(&found);
    let mut value = json!({
        "model": about.model,
        "model_name": about.model_name,
        "metric": about.metric.unit(),
        "pictures_digest": about.pictures_digest,
        "half": half,
        "people": subjects.len(),
        "rows": found,
        "parts": parts,
        "extrapolated": beyond,
        "fpir_by_people": growth,
        "second_identities": again,
    });
    let (people, growth, again, found) = (subjects.len(), &growth, &again[..], &found[..]);
    let told = Told { about, half, people, found, parts: &parts, beyond: &beyond, growth, again };
    page::write(&typed.page, &mut value, &told.title(), || told.body(typed))?;
    meant.say.result(&value, || told.text())?;
    Ok(())
}

/// The distance that the model's floor is, if its pack is here.
fn floor_of(meant: &Meant, about: &About) -> Option<f32> {
    let engines = Engines::open(meant).ok()?;
    let mut packs = engines.packs().embedders();
    let pack = packs.find(|entry| entry.id().is_ok_and(|id| id.to_string() == about.model))?;
    pack.meta.embedder.as_ref().map(door_distance)
}

fn measure(metric: Metric, subjects: &[Subject], row: Row) -> anyhow::Result<Found> {
    let decide = |frames: &[Candidates], threshold| row.rule.admits(metric, frames, threshold);
    let searches = Searches::run(metric, subjects, row.plan, decide)?;
    Ok(Found {
        row,
        stranger_searches: searches.stranger_searches(),
        enrolled_searches: searches.enrolled_searches(),
        points: FPIRS.map(|fpir| searches.fnir_at(fpir)).to_vec(),
    })
}

/// A result in words.
struct Told<'a> {
    about: &'a About,
    half: Half,
    people: usize,
    found: &'a [Found],
    parts: &'a [Part],
    beyond: &'a [Extrapolated],
    growth: &'a Growth,
    again: &'a [Again],
}

/// The head of a table and its rows.
pub(super) type Table = (Vec<String>, Vec<Vec<String>>);

impl Told<'_> {
    fn title(&self) -> String {
        title_of("identification, open set", self.about)
    }

    /// What was drawn.
    fn lines(&self) -> [String; 2] {
        let draws = self.found.first().map_or(0, |one| one.row.plan.draws);
        [
            format!(
                "{} half, {} people, {draws} draws of galleries; rates count searches, one a visit",
                self.half.name(),
                self.people
            ),
            format!(
                "intervals: {N_RESAMPLES} bootstrap resamples of people; a rate of 0 or 1 ends at Clopper and Pearson's bound of so many \
                 people"
            ),
        ]
    }

    fn rows(&self) -> Table {
        let mut lines = Vec::new();
        for one in self.found {
            let Row { plan, rule } = one.row;
            for point in &one.points {
                let [fnir, interval] = share(point.fnir);
                lines.push(vec![
                    plan.people.to_string(),
                    plan.templates.to_string(),
                    words(plan.frames, rule),
                    format!("{}", rule.margin),
                    format!("{}", point.fpir),
                    format!("{} of {}", point.admitted, one.stranger_searches),
                    format!("{:.3}", self.about.metric.distance(Score(point.threshold.at as f32))),
                    fnir,
                    interval,
                ]);
            }
        }
        let threshold = format!("T, {}", self.about.metric.unit());
        let head =
            ["N", "templates", "frames", "margin", "FPIR", "admitted", &threshold, "FNIR", "95 %"];
        (head.map(str::to_owned).to_vec(), lines)
    }

    /// The galleries that were not drawn.
    fn beyond(&self) -> Table {
        let row = |one: &Extrapolated| {
            let [fnir, interval] = share(one.fnir);
            let basis = if one.beyond_measured_fmr { "extrapolated" } else { "measured" };
            vec![
                one.people.to_string(),
                one.fpir.to_string(),
                format!("{:.1e}, {basis}", one.fmr),
                format!("{:.3}", one.threshold_distance),
                fnir,
                interval,
            ]
        };
        let threshold = format!("T, {}", self.about.metric.unit());
        let head = ["N", "FPIR", "FMR of comparisons", &threshold, "FNIR", "95 %"];
        (head.map(str::to_owned).to_vec(), self.beyond.iter().map(row).collect())
    }

    fn text(&self) -> String {
        let set = |(head, rows): Table| {
            table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
        };
        format!(
            "{}\n{}\n{}\n{}\n{}\n{BEYOND}\n{}\n{}\n{}\n{}",
            self.title(),
            self.lines().join("\n"),
            set(self.rows()),
            parts::WHAT,
            set(parts::table(self.parts)),
            set(self.beyond()),
            self.growth.text(self.about.metric),
            again::WHAT,
            set(again::table(self.again, self.about.metric)),
        )
    }

    fn body(&self, typed: &args::Identify) -> Result<Markup, PlotError> {
        let set = |(head, rows): Table| {
            report::table(&head.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
        };
        Ok(html! {
            (page::origin(typed.page.html.as_deref(), &self.lines()))
            h2 { "FNIR at FPIR" }
            p { "Part of the visits of enrolled people that are not admitted as themselves (FNIR), where so many of the strangers' "
                "visits are admitted (FPIR), with N people in the gallery." }
            (set(self.rows()))
            h2 { "What each part is worth" }
            p { (parts::WHAT) }
            (set(parts::table(self.parts)))
            (self.growth.section(self.about.metric)?)
            h2 { "Larger galleries" }
            p { (BEYOND) }
            (set(self.beyond()))
            h2 { "Second identities" }
            p { (again::WHAT) "; a false alarm is one of somebody new." }
            (set(again::table(self.again, self.about.metric)))
        })
    }
}

/// What the figures of galleries that were not drawn are.
const BEYOND: &str = "extrapolated, not drawn: FPIR = 1 - (1 - FMR)^N, FNIR = FNMR of comparisons at T; 1 template, 1 frame";

pub(super) fn words(frames: Frames, rule: Rule) -> String {
    let Rule { needed, window, .. } = rule;
    match frames {
        Frames::One => "1".to_owned(),
        Frames::Augmented => format!("{needed} of {window}, augmented"),
        Frames::Pictures(n) => format!("{needed} of {n}, other pictures"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(person: u32, score: f32, other: f32) -> Candidates {
        let one = |person: u32, score: f32| threshold_models::search::Candidate {
            person: PersonId(person),
            slot: 0,
            score: Score(score),
        };
        Candidates { best: Some(one(person, score)), runner_up: Some(one(9, other)) }
    }

    #[test]
    fn a_visit_is_decided_as_at_the_door() {
        let two_of_three = Rule { needed: 2, window: 3, margin: 0.1 };
        let check = |rule: Rule, frames: &[Candidates], expected: Option<u32>| {
            let found = rule.admits(Metric::L2, frames, Score(0.5));
            assert_eq!(found, expected.map(PersonId), "{frames:?}");
        };
        let (sure, unsure, low) = (frame(1, 0.8, 0.2), frame(1, 0.8, 0.75), frame(1, 0.4, 0.2));
        check(LONE, &[sure], Some(1));
        check(LONE, &[unsure], Some(1));
        check(LONE, &[low], None);
        check(LONE, &[], None);
        check(two_of_three, &[sure], None);
        check(two_of_three, &[sure, low, sure], Some(1));
        check(two_of_three, &[sure, unsure, low], None);
        check(two_of_three, &[sure, frame(2, 0.8, 0.2), sure], None);
    }

    #[test]
    fn rows_with_made_frames_need_embeddings_of_them() {
        let made = |frames: usize| {
            let all = rows(Metric::L2, frames, 50);
            all.iter().filter(|row| row.plan.frames == Frames::Augmented).count()
        };
        assert_eq!(made(1), 0);
        assert!(made(5) > 3);
    }
}
