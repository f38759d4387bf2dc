//! How often somebody who is enrolled a second time, under another name, is found: part of `eval identify`.
//!
//! Owns the cases and their table. What is found is what a unit's enrolment finds, by the same code: the mean of the new pictures against
//! the mean of each person's templates (`threshold_models::search`); at the threshold of 0.5 % false alarms among these very people, and
//! at the one that a unit takes (`threshold_policy::again`), which knows the fit half's distances alone.
//! Beside it stand the same enrolments by the nearest of all pairs of a picture and a template, which a door's search would find, and
//! what the model's floor would stop.
//! A *false alarm* is an enrolment of somebody who is not enrolled yet and is stopped. Rates count enrolments.

use super::forecast::policy_of;
use super::identify::{LONE, Table};
use super::verify::share;
use serde::Serialize;
use threshold_models::engine::Embedding;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::embeddings::Subject;
use threshold_models::eval::identify::{Frames, IdentifyError, Plan, Searches};
use threshold_models::search::{Candidates, Index, Mean, SearchError};
use threshold_policy::again::{self, FALSE_ALARMS};
use threshold_record::{Distributions, Metric, PersonId, Score, Threshold};

/// People who are enrolled already.
const PEOPLE: usize = 100;

/// Second enrolments found, at so many templates of everybody and pictures of the one who is enrolled.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Again {
    by: By,
    people: usize,
    templates: usize,
    pictures: usize,
    enrolments: u64,
    false_alarms: usize,
    false_alarm_rate: f64,
    threshold_distance: f32,
    caught: Interval,
    /// At the threshold that a unit takes; none if the distances could not be measured, and by what a unit does not go.
    unit: Option<AtUnit>,
    /// At the model's floor; none if its pack is not here.
    floor: Option<AtUnit>,
}

/// What an enrolment and a person are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum By {
    /// The means of the pictures and of the templates, as a unit does.
    Means,
    /// The picture and the template that are nearest.
    Nearest,
}

/// What an enrolment makes of it at a threshold.
#[derive(Clone, Copy, Debug, Serialize)]
struct AtUnit {
    threshold_distance: f32,
    false_alarms: Interval,
    caught: Interval,
}

/// Cases for which there are too few people with enough pictures are left out.
pub(super) fn measure(
    metric: Metric,
    subjects: &[Subject],
    fitted: Option<&Distributions>,
    floor: Option<f32>,
    draws: usize,
) -> Result<Vec<Again>, IdentifyError> {
    let mut all = Vec::new();
    let cases = (1..=3).flat_map(|pictures| [(pictures, By::Means), (pictures, By::Nearest)]);
    // Of one and one both are the same.
    for (pictures, by) in cases.filter(|&(pictures, by)| pictures > 1 || by == By::Means) {
        let plan = Plan {
            people: PEOPLE,
            templates: pictures,
            frames: Frames::Pictures(pictures),
            least_enrolled: pictures,
            least_stranger: pictures,
            draws,
        };
        let searches = match by {
            By::Means => Searches::run_by(metric, subjects, plan, nearest, stopped),
            By::Nearest => Searches::run(metric, subjects, plan, stopped),
        };
        let searches = match searches {
            Err(IdentifyError::TooFewPeople { .. }) => continue,
            searches => searches?,
        };
        let found = searches.fnir_at(FALSE_ALARMS);
        if !found.fnir.at.is_finite() {
            // Nobody has pictures enough to come again.
            continue;
        }
        let at = |Threshold(score)| AtUnit {
            threshold_distance: metric.distance(score),
            false_alarms: searches.fpir(score),
            caught: rest_of(searches.fnir_of(score)),
        };
        let at_unit = |known| {
            // With so many people no model's threshold is as loose as its floor.
            let floor = policy_of(metric, LONE);
            at(again::threshold(&floor, metric, Some(known), PEOPLE as u32))
        };
        all.push(Again {
            by,
            people: PEOPLE,
            templates: pictures,
            pictures,
            enrolments: searches.stranger_searches(),
            false_alarms: found.admitted,
            false_alarm_rate: FALSE_ALARMS,
            threshold_distance: metric.distance(Score(found.threshold.at as f32)),
            caught: rest_of(found.fnir),
            unit: fitted.filter(|_| by == By::Means).map(at_unit),
            floor: floor.map(|distance| at(Threshold(metric.score(distance)))),
        });
    }
    Ok(all)
}

fn rest_of(Interval { at, low, high }: Interval) -> Interval {
    Interval { at: 1.0 - at, low: 1.0 - high, high: 1.0 - low }
}

/// Who is nearest to an enrolment with these pictures.
fn nearest(index: &Index, pictures: &[&Embedding]) -> Result<Vec<Candidates>, SearchError> {
    let Some(mean) = Mean::of(pictures.iter().copied()) else { return Ok(vec![]) };
    let best = index.nearest_by_means(&mean, None)?;
    Ok(vec![Candidates { best, runner_up: None }])
}

/// Whom an enrolment is taken for: the nearest of what was found for each of its pictures, or for their mean.
fn stopped(found: &[Candidates], threshold: Score) -> Option<PersonId> {
    let best = found.iter().filter_map(|one| one.best);
    let nearest = best.max_by(|one, other| one.score.0.total_cmp(&other.score.0))?;
    Threshold(threshold).accepts(nearest.score).then_some(nearest.person)
}

/// What the table is of.
pub(super) const WHAT: &str = "second identities: enrolments of somebody who is enrolled already, under another name, by the means of \
                               pictures and templates or their nearest two; T as of one picture and one template; a unit goes by means";

pub(super) fn table(all: &[Again], metric: Metric) -> Table {
    let told = |one: Interval| share(one).join(", ");
    let row = |one: &Again| {
        let [caught, interval] = share(one.caught);
        let mut row = vec![
            match one.by {
                By::Means => "means",
                By::Nearest => "nearest",
            }
            .to_owned(),
            one.people.to_string(),
            one.templates.to_string(),
            one.pictures.to_string(),
            format!("{} of {}", one.false_alarms, one.enrolments),
            format!("{:.3}", one.threshold_distance),
            caught,
            interval,
        ];
        row.extend(match &one.unit {
            None if one.by == By::Nearest => [""; 3].map(str::to_owned),
            None => ["not measured", "", ""].map(str::to_owned),
            Some(unit) => {
                let distance = format!("{:.3}", unit.threshold_distance);
                [distance, told(unit.false_alarms), told(unit.caught)]
            }
        });
        row.push(one.floor.map_or("not here".to_owned(), |floor| told(floor.false_alarms)));
        row
    };
    let threshold = format!("T, {}", metric.unit());
    let head = [
        "by",
        "N",
        "templates",
        "pictures",
        "false alarms",
        &threshold,
        "caught",
        "95 %",
        "T of a unit",
        "its false alarms, 95 %",
        "caught, 95 %",
        "false alarms at the floor, 95 %",
    ];
    (head.map(str::to_owned).to_vec(), all.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::search::quantise;
    use threshold_record::{ModelTag, Template};

    #[test]
    fn an_enrolment_is_stopped_by_the_mean_of_its_pictures() {
        let template = |person: u32, components: [f32; 2]| {
            let (scale, vector) = quantise(&Embedding(components.to_vec()));
            let (person, model) = (PersonId(person), ModelTag([0; 8]));
            let vector = vector.into_iter().collect();
            Template { person, slot: 0, quality: 90, model, scale, vector }
        };
        let templates = [template(1, [1.0, 0.0]), template(2, [0.0, 1.0])];
        let index = Index::new(Metric::SquaredL2, &templates).unwrap();
        let pictures = [Embedding(vec![0.8, 0.6]), Embedding(vec![0.8, -0.6])];
        let found = nearest(&index, &pictures.each_ref()).unwrap();
        // 0.04 apart, of two pictures and one template.
        let score = Metric::SquaredL2.score(0.04 / 0.875).0;
        assert_eq!(stopped(&found, Score(score - 0.01)), Some(PersonId(1)));
        assert_eq!(stopped(&found, Score(score + 0.01)), None);
        assert_eq!(stopped(&nearest(&index, &[]).unwrap(), Score(0.0)), None);
        // Picture by picture it is whoever is nearest to any of them.
        let each: Vec<Candidates> =
            pictures.iter().map(|picture| index.search(picture).unwrap()).collect();
        let best = Metric::SquaredL2.score(0.4).0;
        assert_eq!(stopped(&each, Score(best - 0.01)), Some(PersonId(1)));
        assert_eq!(stopped(&each, Score(best + 0.01)), None);
    }
}
