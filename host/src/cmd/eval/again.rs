//! How often somebody who is enrolled a second time, under another name, is found: part of `eval identify`.
//!
//! Owns the cases and their table. An enrolment is stopped by any of its pictures that is as near to somebody enrolled as the
//! threshold says; a *false alarm* is one of somebody who is not enrolled yet. Rates count enrolments.

use super::identify::Table;
use super::verify::share;
use serde::Serialize;
use threshold_models::eval::bootstrap::Interval;
use threshold_models::eval::embeddings::Subject;
use threshold_models::eval::identify::{Frames, IdentifyError, Plan, Searches};
use threshold_models::search::{Candidate, Candidates};
use threshold_record::{Metric, PersonId, Score};

/// People who are enrolled already.
const PEOPLE: usize = 100;

/// The part of the enrolments of new people that may be stopped.
const FALSE_ALARMS: f64 = 0.005;

/// Second enrolments found, at so many templates of everybody and pictures of the one who is enrolled.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Again {
    people: usize,
    templates: usize,
    pictures: usize,
    enrolments: u64,
    false_alarms: usize,
    false_alarm_rate: f64,
    threshold_distance: f32,
    caught: Interval,
}

/// Cases for which there are too few people with enough pictures are left out.
pub(super) fn measure(
    metric: Metric,
    subjects: &[Subject],
    draws: usize,
) -> Result<Vec<Again>, IdentifyError> {
    let mut all = Vec::new();
    for pictures in 1..=3 {
        let plan = Plan {
            people: PEOPLE,
            templates: pictures,
            frames: Frames::Pictures(pictures),
            least_enrolled: 2 * pictures,
            least_stranger: pictures,
            draws,
        };
        let searches = match Searches::run(metric, subjects, plan, stopped) {
            Err(IdentifyError::TooFewPeople { .. }) => continue,
            searches => searches?,
        };
        let found = searches.fnir_at(FALSE_ALARMS);
        let Interval { at, low, high } = found.fnir;
        all.push(Again {
            people: PEOPLE,
            templates: pictures,
            pictures,
            enrolments: searches.stranger_searches(),
            false_alarms: found.admitted,
            false_alarm_rate: FALSE_ALARMS,
            threshold_distance: metric.distance(Score(found.threshold.at as f32)),
            caught: Interval { at: 1.0 - at, low: 1.0 - high, high: 1.0 - low },
        });
    }
    Ok(all)
}

/// Whom an enrolment with these pictures is taken for.
fn stopped(pictures: &[Candidates], threshold: Score) -> Option<PersonId> {
    let best = pictures.iter().filter_map(|picture| picture.best);
    let nearest = best.max_by(|a, b| a.score.0.total_cmp(&b.score.0));
    nearest.filter(|Candidate { score, .. }| score.0 >= threshold.0).map(|one| one.person)
}

/// What the table is of.
pub(super) const WHAT: &str =
    "second identities: enrolments of somebody who is enrolled already, under another name";

pub(super) fn table(all: &[Again], metric: Metric) -> Table {
    let row = |one: &Again| {
        let [caught, interval] = share(one.caught);
        vec![
            one.people.to_string(),
            one.templates.to_string(),
            one.pictures.to_string(),
            format!("{} of {}", one.false_alarms, one.enrolments),
            format!("{:.3}", one.threshold_distance),
            caught,
            interval,
        ]
    };
    let threshold = format!("T, {}", metric.unit());
    let head = ["N", "templates", "pictures", "false alarms", &threshold, "caught", "95 %"];
    (head.map(str::to_owned).to_vec(), all.iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_picture_that_is_near_enough_stops_an_enrolment() {
        let one = |person: u32, score: f32| Candidates {
            best: Some(Candidate { person: PersonId(person), slot: 0, score: Score(score) }),
            runner_up: None,
        };
        let found = |pictures: &[Candidates]| stopped(pictures, Score(0.5)).map(|person| person.0);
        assert_eq!(found(&[one(1, 0.2), one(2, 0.7), one(3, 0.6)]), Some(2));
        assert_eq!(found(&[one(1, 0.2)]), None);
        assert_eq!(found(&[]), None);
    }
}
