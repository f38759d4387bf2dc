//! Open-set identification: who of a gallery stands there, or nobody of it.
//!
//! Owns the draws of galleries, the visits, and FNIR where FPIR is so much. Refuses to decide: the caller brings the
//! decision, so that what is measured is what a door does, k of n and margin included.
//! A search here is one *visit*: one frame or several, and one decision. FPIR counts visits of people who are not in the
//! gallery and are admitted as somebody; FNIR counts visits of people who are in it and are not admitted as themselves.
//! Both depend on the number of people in the gallery and on the threshold, so every figure carries both.
//!
//! A draw takes a gallery at random; everybody else is a stranger and comes once, everybody in it too.
//! Intervals are a bootstrap over people: an admission of stranger s as person g counts as often as s was drawn times as
//! often as g was. The draws share their people, so the spread over draws alone would be too narrow.

use super::bootstrap::{Interval, SEED, SplitMix64, resamples};
use super::embeddings::Subject;
use crate::engine::Embedding;
use crate::search::{Candidates, Index, SearchError, quantise};
use serde::Serialize;
use threshold_record::{MAX_SLOTS, Metric, ModelTag, PersonId, Score, Template};

/// Where a visit's frames come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Frames {
    /// One picture, one frame.
    One,
    /// One picture and what was made of it: they agree more than a visit's frames do.
    Augmented,
    /// So many other pictures of the person, of other days: they agree less than a visit's frames do.
    Pictures(usize),
}

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// People in a gallery: N.
    pub people: usize,
    /// Templates of each.
    pub templates: usize,
    /// A visit's frames.
    pub frames: Frames,
    /// Pictures that a person must have to be drawn into a gallery; whoever has none left for a visit there does not come.
    pub least_enrolled: usize,
    /// Pictures that a stranger must have.
    pub least_stranger: usize,
    /// Galleries drawn.
    pub draws: usize,
}

/// Why a plan cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentifyError {
    /// Too few people have enough pictures.
    #[error(
        "{found} people have {least} pictures or more, a gallery of {people} with strangers beside it needs more"
    )]
    TooFewPeople {
        /// People asked for.
        people: usize,
        /// Pictures that each needs.
        least: usize,
        /// People who have them.
        found: usize,
    },
    /// More templates than a person may have, or none.
    #[error("{templates} templates of each person: a person has 1 to {MAX_SLOTS}")]
    Templates {
        /// What was asked for.
        templates: usize,
    },
    /// The embeddings cannot be searched.
    #[error("the embeddings cannot be searched: {0}")]
    Search(#[from] SearchError),
}

/// A visitor is admitted as a person at every threshold above `low`, up to `high`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Admitted {
    visitor: u32,
    person: u32,
    low: f32,
    high: f32,
}

impl Admitted {
    /// Whether a threshold a hair above `score` admits.
    fn above(&self, score: f32) -> bool {
        self.low <= score && score < self.high
    }

    /// Whether that very threshold admits.
    fn at(&self, threshold: f32) -> bool {
        self.low < threshold && threshold <= self.high
    }
}

/// What the draws of a plan gave, at every threshold.
#[derive(Clone, Debug)]
pub struct Searches {
    /// What was drawn.
    pub plan: Plan,
    subjects: usize,
    /// Visits of each subject as a stranger, and as one of the gallery.
    stranger_visits: Vec<u32>,
    enrolled_visits: Vec<u32>,
    /// Strangers admitted, the highest first.
    false_admissions: Vec<Admitted>,
    /// People of the gallery admitted as themselves.
    true_admissions: Vec<Admitted>,
}

/// FNIR where FPIR is so much.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FnirAtFpir {
    /// Part of the strangers' visits admitted, at most.
    pub fpir: f64,
    /// Part of the enrolled people's visits that do not end in their admission.
    pub fnir: Interval,
    /// The score above which it holds.
    pub threshold: Interval,
    /// Strangers' visits admitted.
    pub admitted: usize,
}

impl Searches {
    /// Runs a plan, each frame searched by itself. `decide` says whom a visit of these frames admits at a threshold.
    ///
    /// # Errors
    /// [`IdentifyError`] if there are too few people.
    pub fn run(
        metric: Metric,
        subjects: &[Subject],
        plan: Plan,
        decide: impl Fn(&[Candidates], Score) -> Option<PersonId>,
    ) -> Result<Self, IdentifyError> {
        let each = |index: &Index, frames: &[&Embedding]| {
            frames.iter().map(|frame| index.search(frame)).collect()
        };
        Self::run_by(metric, subjects, plan, each, decide)
    }

    /// Runs a plan. `look` says what a gallery has for the frames of a visit, `decide` whom that admits at a threshold.
    ///
    /// # Errors
    /// [`IdentifyError`] if there are too few people.
    pub fn run_by(
        metric: Metric,
        subjects: &[Subject],
        plan: Plan,
        look: impl Fn(&Index, &[&Embedding]) -> Result<Vec<Candidates>, SearchError>,
        decide: impl Fn(&[Candidates], Score) -> Option<PersonId>,
    ) -> Result<Self, IdentifyError> {
        if !(1..=usize::from(MAX_SLOTS)).contains(&plan.templates) {
            return Err(IdentifyError::Templates { templates: plan.templates });
        }
        let with = |least: usize| -> Vec<usize> {
            (0..subjects.len()).filter(|&at| subjects[at].pictures.len() >= least).collect()
        };
        let mut eligible = with(plan.least_enrolled);
        let strangers = with(plan.least_stranger);
        let enough = eligible.len() >= plan.people && strangers.len() > plan.people;
        if plan.people == 0 || !enough {
            let (people, least, found) = (plan.people, plan.least_enrolled, eligible.len());
            return Err(IdentifyError::TooFewPeople { people, least, found });
        }
        let mut all = Self {
            plan,
            subjects: subjects.len(),
            stranger_visits: vec![0; subjects.len()],
            enrolled_visits: vec![0; subjects.len()],
            false_admissions: Vec::new(),
            true_admissions: Vec::new(),
        };
        let mut random = SplitMix64(SEED);
        for _ in 0..plan.draws {
            random.shuffle(&mut eligible);
            let gallery = &eligible[..plan.people];
            let mut templates = Vec::new();
            let mut enrolled = vec![false; subjects.len()];
            let mut visits = Vec::new();
            for &at in gallery {
                enrolled[at] = true;
                let mut pictures: Vec<&[Embedding]> = frames_of(&subjects[at]).collect();
                random.shuffle(&mut pictures);
                let (first, rest) = pictures.split_at(plan.templates.min(pictures.len()));
                templates.extend(
                    first.iter().enumerate().map(|(slot, frames)| template(at, slot, &frames[0])),
                );
                if rest.len() >= plan.frames.pictures() {
                    visits.push((at, plan.frames.of(rest)));
                }
            }
            for &at in strangers.iter().filter(|&&at| !enrolled[at]) {
                let mut pictures: Vec<&[Embedding]> = frames_of(&subjects[at]).collect();
                random.shuffle(&mut pictures);
                visits.push((at, plan.frames.of(&pictures)));
            }
            let index = Index::new(metric, &templates)?;
            for (at, frames) in visits {
                all.visit(at, enrolled[at], &look(&index, &frames)?, &decide);
            }
        }
        all.false_admissions.sort_unstable_by(|a, b| b.high.total_cmp(&a.high));
        Ok(all)
    }

    /// Visits of strangers.
    #[must_use]
    pub fn stranger_searches(&self) -> u64 {
        self.stranger_visits.iter().map(|&n| u64::from(n)).sum()
    }

    /// Visits of people of the gallery.
    #[must_use]
    pub fn enrolled_searches(&self) -> u64 {
        self.enrolled_visits.iter().map(|&n| u64::from(n)).sum()
    }

    /// Asks for the decision at every threshold at which it may change: the frames' best scores.
    fn visit(
        &mut self,
        at: usize,
        enrolled: bool,
        frames: &[Candidates],
        decide: &impl Fn(&[Candidates], Score) -> Option<PersonId>,
    ) {
        let (visits, admissions) = match enrolled {
            true => (&mut self.enrolled_visits, &mut self.true_admissions),
            false => (&mut self.stranger_visits, &mut self.false_admissions),
        };
        visits[at] += 1;
        let mut scores: Vec<f32> =
            frames.iter().filter_map(|frame| frame.best.map(|best| best.score.0)).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        scores.dedup();
        let mut last: Option<Admitted> = None;
        for (i, &high) in scores.iter().enumerate() {
            let low = scores.get(i + 1).copied().unwrap_or(f32::NEG_INFINITY);
            let admitted = decide(frames, Score(high)).filter(|person| {
                // Somebody of the gallery who is admitted as another person is not identified.
                !enrolled || *person == id_of(at)
            });
            let Some(person) = admitted else {
                admissions.extend(last.take());
                continue;
            };
            match &mut last {
                Some(last) if last.person == person.0 => last.low = low,
                _ => {
                    admissions.extend(last.take());
                    last = Some(Admitted { visitor: at as u32, person: person.0, low, high });
                }
            }
        }
        admissions.extend(last);
    }

    /// FNIR where at most so many of the strangers' visits are admitted.
    #[must_use]
    pub fn fnir_at(&self, fpir: f64) -> FnirAtFpir {
        // Every admission begins at its `high` and ends at its `low`, from the strictest threshold on.
        let mut edges: Vec<(f32, bool, &Admitted)> = Vec::new();
        for one in &self.false_admissions {
            edges.push((one.high, true, one));
            if one.low.is_finite() {
                edges.push((one.low, false, one));
            }
        }
        edges.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let both = |drawn: &[u32]| {
            let threshold = self.threshold(&edges, drawn, fpir);
            (f64::from(threshold), self.fnir(drawn, |one| one.above(threshold)))
        };
        let (threshold, fnir) = both(&vec![1; self.subjects]);
        let (thresholds, fnirs) = resamples(self.subjects)
            .map(|drawn| both(&drawn))
            .filter(|(_, fnir)| fnir.is_finite())
            .unzip();
        let admitted = self.false_admissions.iter().filter(|one| one.above(threshold as f32));
        FnirAtFpir {
            fpir,
            fnir: Interval::of_rate(fnir, fnirs, of_whom(&self.enrolled_visits)),
            threshold: Interval::of(threshold, thresholds),
            admitted: admitted.count(),
        }
    }

    /// FPIR at a threshold.
    #[must_use]
    pub fn fpir(&self, threshold: Score) -> Interval {
        let admitted: Vec<&Admitted> =
            self.false_admissions.iter().filter(|one| one.at(threshold.0)).collect();
        let rate = |drawn: &[u32]| {
            let sum: u64 = admitted.iter().map(|one| pair(one, drawn)).sum();
            sum as f64 / self.weight(&self.stranger_visits, drawn)
        };
        Interval::of_rate(
            rate(&vec![1; self.subjects]),
            resamples(self.subjects).map(|d| rate(&d)).collect(),
            of_whom(&self.stranger_visits),
        )
    }

    /// FNIR at a threshold.
    #[must_use]
    pub fn fnir_of(&self, threshold: Score) -> Interval {
        let rate = |drawn: &[u32]| self.fnir(drawn, |one| one.at(threshold.0));
        let resampled = resamples(self.subjects).map(|drawn| rate(&drawn));
        Interval::of_rate(
            rate(&vec![1; self.subjects]),
            resampled.filter(|rate| rate.is_finite()).collect(),
            of_whom(&self.enrolled_visits),
        )
    }

    /// The score such that every threshold above it admits at most so many of the strangers' visits.
    fn threshold(&self, edges: &[(f32, bool, &Admitted)], drawn: &[u32], fpir: f64) -> f32 {
        let most = fpir * self.weight(&self.stranger_visits, drawn);
        let mut admitted = 0u64;
        for group in edges.chunk_by(|a, b| a.0 == b.0) {
            for (_, begins, one) in group {
                match begins {
                    true => admitted += pair(one, drawn),
                    false => admitted -= pair(one, drawn),
                }
            }
            if admitted as f64 > most {
                return group[0].0;
            }
        }
        f32::NEG_INFINITY
    }

    fn fnir(&self, drawn: &[u32], admits: impl Fn(&Admitted) -> bool) -> f64 {
        let admitted = self.true_admissions.iter().filter(|one| admits(one));
        let admitted: u64 = admitted.map(|one| u64::from(drawn[one.visitor as usize])).sum();
        1.0 - admitted as f64 / self.weight(&self.enrolled_visits, drawn)
    }

    fn weight(&self, visits: &[u32], drawn: &[u32]) -> f64 {
        visits.iter().zip(drawn).map(|(&n, &m)| u64::from(n) * u64::from(m)).sum::<u64>() as f64
    }
}

/// People who came at all.
fn of_whom(visits: &[u32]) -> usize {
    visits.iter().filter(|&&visits| visits > 0).count()
}

/// How often a false admission counts in a resample.
fn pair(one: &Admitted, drawn: &[u32]) -> u64 {
    let person = (one.person as usize).saturating_sub(1);
    u64::from(drawn[one.visitor as usize]) * u64::from(drawn[person])
}

/// Person 0 is nobody.
fn id_of(at: usize) -> PersonId {
    PersonId(at as u32 + 1)
}

fn frames_of(subject: &Subject) -> impl Iterator<Item = &[Embedding]> {
    subject.pictures.iter().map(|(_, frames)| frames.as_slice())
}

impl Frames {
    /// Pictures that a visit takes.
    fn pictures(self) -> usize {
        match self {
            Self::One | Self::Augmented => 1,
            Self::Pictures(n) => n,
        }
    }

    /// The frames of a visit from a person's pictures, in the order in which they were drawn.
    fn of<'a>(self, pictures: &[&'a [Embedding]]) -> Vec<&'a Embedding> {
        match self {
            Self::One => pictures.first().and_then(|frames| frames.first()).into_iter().collect(),
            Self::Augmented => {
                pictures.first().map(|frames| frames.iter().collect()).unwrap_or_default()
            }
            Self::Pictures(n) => {
                pictures.iter().take(n).filter_map(|frames| frames.first()).collect()
            }
        }
    }
}

/// A template as enrolment makes it.
fn template(at: usize, slot: usize, embedding: &Embedding) -> Template {
    let (scale, vector) = quantise(embedding);
    Template {
        person: id_of(at),
        slot: slot as u8,
        quality: 100,
        model: ModelTag([0; 8]),
        scale,
        vector: vector.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::embeddings::made_up;
    use super::*;

    /// The plainest decision: the first frame's best, at the threshold.
    fn first(frames: &[Candidates], threshold: Score) -> Option<PersonId> {
        frames.first()?.best.filter(|best| best.score.0 >= threshold.0).map(|best| best.person)
    }

    const PLAN: Plan = Plan {
        people: 10,
        templates: 1,
        frames: Frames::One,
        least_enrolled: 2,
        least_stranger: 1,
        draws: 60,
    };

    #[test]
    fn fpir_is_what_brute_force_counts_and_the_threshold_keeps_it() {
        let subjects = made_up(60, 3, 0.5);
        let all = Searches::run(Metric::SquaredL2, &subjects, PLAN, first).unwrap();
        assert_eq!((all.stranger_searches(), all.enrolled_searches()), (60 * 50, 60 * 10));
        for fpir in [0.01, 0.1, 0.5] {
            let point = all.fnir_at(fpir);
            let most = (fpir * 3000.0) as usize;
            assert!(point.admitted <= most && point.admitted + 1 >= most, "{point:?}");
            assert!(
                point.fnir.low <= point.fnir.at && point.fnir.at <= point.fnir.high,
                "{point:?}"
            );
            let above = f32::from_bits((point.threshold.at as f32).to_bits() + 1);
            let at = all.fpir(Score(above));
            assert!((at.at * 3000.0 - point.admitted as f64).abs() < 1e-6, "{at:?} {point:?}");
        }
        // A looser FPIR never costs identifications.
        assert!(all.fnir_at(0.1).fnir.at <= all.fnir_at(0.01).fnir.at);
    }

    #[test]
    fn more_templates_of_each_person_lose_fewer_visits() {
        let subjects = made_up(80, 5, 0.9);
        let fnir = |templates: usize| {
            let plan = Plan { templates, least_enrolled: 4, ..PLAN };
            let all = Searches::run(Metric::SquaredL2, &subjects, plan, first).unwrap();
            all.fnir_at(0.05).fnir.at
        };
        assert!(fnir(3) < fnir(1), "{} {}", fnir(3), fnir(1));
    }

    #[test]
    fn a_decision_that_a_looser_threshold_takes_back_is_counted_where_it_holds() {
        let subjects = made_up(40, 3, 0.5);
        // As a second person who is accepted too takes an admission back: one frame alone must reach the threshold.
        let alone = |frames: &[Candidates], threshold: Score| {
            let best = frames.iter().filter_map(|frame| frame.best);
            let mut reaching = best.filter(|best| best.score.0 >= threshold.0);
            let first = reaching.next()?;
            reaching.next().is_none().then_some(first.person)
        };
        let plan = Plan { frames: Frames::Pictures(2), least_enrolled: 3, ..PLAN };
        let all = Searches::run(Metric::SquaredL2, &subjects, plan, alone).unwrap();
        assert_eq!(all.fpir(Score(-1.0)).at, 0.0);
        assert!(all.fpir(Score(0.5)).at > 0.0);
        assert_eq!(all.fpir(Score(1.1)).at, 0.0);
    }

    #[test]
    fn plans_that_ask_for_too_much_are_refused() {
        let subjects = made_up(12, 2, 0.5);
        let refused = |plan: Plan| Searches::run(Metric::L2, &subjects, plan, first).unwrap_err();
        let error = refused(Plan { people: 12, ..PLAN });
        assert_eq!(error, IdentifyError::TooFewPeople { people: 12, least: 2, found: 12 });
        assert!(matches!(refused(Plan { people: 0, ..PLAN }), IdentifyError::TooFewPeople { .. }));
        let error = refused(Plan { least_enrolled: 3, ..PLAN });
        assert_eq!(error, IdentifyError::TooFewPeople { people: 10, least: 3, found: 0 });
        let error = refused(Plan { templates: 9, ..PLAN });
        assert_eq!(error, IdentifyError::Templates { templates: 9 });
    }
}
