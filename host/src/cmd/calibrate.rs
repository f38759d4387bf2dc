//! `threshold calibrate`: what the unit's own gallery and its recorded strangers say of its threshold, and an owner's word that puts
//! it in force or takes it away.
//!
//! Owns the words and the names. Refuses to derive: the unit does, with its own index and log, and no picture is kept or asked for.

use super::{Answer, round, rule};
use crate::args;
use crate::causes::{cause_help, cause_words};
use crate::meant::Meant;
use crate::people::People;
use crate::session::Session;
use crate::session::port::Transport;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use threshold_record::{Cause, Metric, PersonId, Threshold};
use threshold_wire::calibrate::{CalibrateAsk, CalibrateStep, CalibrateTold, PairTold};
use threshold_wire::endpoints::{Calibrate, GetPolicy};
use threshold_wire::message::Nothing;

/// Between two looks.
const POLL: Duration = Duration::from_millis(200);

/// How long nothing may move: the unit works on it only while nobody stands before it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Shows what the unit's records say, and puts it in force or takes that away.
///
/// # Errors
/// A unit that does not answer, has no model or no gallery, or says no.
pub(super) fn run(meant: &Meant, typed: &args::Calibrate) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let metric = rule::model(&mut session)?.metric;
    let except = typed.except.iter().copied().collect();
    let mut ask = CalibrateAsk { step: CalibrateStep::Begin, except };
    if typed.drop {
        ask.step = CalibrateStep::Drop;
        session.call::<Calibrate>(&ask)?;
        let policy = session.call::<GetPolicy>(&Nothing {})?;
        return rule::show(meant, &policy, metric);
    }
    let mut told = wait(&mut session, &mut ask)?;
    let may = told.derived.is_some_and(|derived| derived.refusal.is_none());
    if typed.apply && may {
        ask.step = CalibrateStep::Apply;
        told = session.call::<Calibrate>(&ask)?;
    }
    let people = People::read(&mut session)?;
    let policy = session.call::<GetPolicy>(&Nothing {})?;
    let asked = told.derived.and_then(|derived| derived.asked);
    // One that is above what is asked stays, and of nobody's scores the floor is what is in force of a calibration.
    let in_force =
        policy.calibration.is_some_and(|held| held.threshold.0 >= asked.unwrap_or(policy.floor).0);
    let name = |person| people.name_of(person).unwrap_or_else(|| format!("#{}", person.0));
    meant
        .say
        .result(&value(&told, in_force, metric, &name), || text(&told, in_force, metric, &name))?;
    let done = if typed.apply { in_force } else { may };
    Ok(if done { Answer::Yes } else { Answer::No })
}

/// Has the unit begin and waits until all is known, or until nothing has moved for too long.
fn wait<T: Transport>(
    session: &mut Session<T>,
    ask: &mut CalibrateAsk,
) -> anyhow::Result<CalibrateTold> {
    let mut told = session.call::<Calibrate>(ask)?;
    ask.step = CalibrateStep::Look;
    let mut moved = Instant::now();
    while told.derived.is_none() && moved.elapsed() < PATIENCE {
        std::thread::sleep(POLL);
        let next = session.call::<Calibrate>(ask)?;
        if (next.compared, next.unread) != (told.compared, told.unread) {
            moved = Instant::now();
        }
        told = next;
    }
    Ok(told)
}

fn pair_value(pair: &PairTold, name: &impl Fn(PersonId) -> String) -> Value {
    let alike = Some(pair.alike).filter(|&alike| alike != Cause::None).map(Cause::text);
    json!({
        "person": pair.person.0,
        "name": name(pair.person),
        "other": pair.other.0,
        "other_name": name(pair.other),
        "score": round(pair.score.0),
        "alike": alike,
    })
}

fn value(
    told: &CalibrateTold,
    in_force: bool,
    metric: Metric,
    name: &impl Fn(PersonId) -> String,
) -> Value {
    let strangers = told.strangers.as_ref().map(|all| {
        let stranger = |one: &threshold_wire::calibrate::StrangerTold| {
            json!({
                "sequence": one.sequence,
                "person": one.person.0,
                "name": name(one.person),
                "score": round(one.score.0),
            })
        };
        json!({
            "visits": all.visits,
            "comparable": all.comparable,
            "retries_left_out": all.retries,
            "quantiles": all.quantiles.map(|scores| scores.map(|score| round(score.0))),
            "highest": all.highest.iter().map(stranger).collect::<Vec<_>>(),
            "above_threshold": all.above,
            "fpir_high": all.rate_high,
        })
    });
    let derived = told.derived.map(|derived| {
        json!({
            "asked_score": derived.asked.map(|asked| round(asked.0.0)),
            "target_shown": derived.shown,
            "score_threshold": round(derived.threshold.0.0),
            "distance_threshold": round(metric.distance(derived.threshold.0)),
            "forecast": derived.forecast.map(rule::forecast_value),
            "why_not": derived.refusal.map(Cause::text),
        })
    });
    json!({
        "people": told.people,
        "templates": told.templates,
        "templates_compared": told.compared,
        "entries_unread": told.unread,
        "people_without_template": told.without_template,
        "near_twins": told.near_twins,
        "same_face": told.same_face,
        "pairs": told.pairs.iter().map(|pair| pair_value(pair, name)).collect::<Vec<_>>(),
        "strangers": strangers,
        "target_fpir": told.target,
        "score_threshold": round(told.threshold.0.0),
        "score_shipped": round(told.shipped.0.0),
        "calibrated": derived,
        "in_force": in_force,
    })
}

fn text(
    told: &CalibrateTold,
    in_force: bool,
    metric: Metric,
    name: &impl Fn(PersonId) -> String,
) -> String {
    let mut lines = Vec::new();
    let mut row = |head: &str, text: String| lines.push(format!("{head:<10}{text}"));
    row("gallery", format!("{} people with {} templates", told.people, told.templates));
    if told.without_template > 0 {
        row(
            "",
            format!("{} have no template: nobody is compared with them", told.without_template),
        );
    }
    match told.pairs.first() {
        Some(first) => row(
            "enrolled",
            format!(
                "the two most alike people score {:.4}, {} and {}",
                first.score.0,
                name(first.person),
                name(first.other)
            ),
        ),
        None => row("enrolled", "no two people to compare".to_owned()),
    }
    for pair in told.pairs.iter().filter(|pair| pair.alike != Cause::None) {
        let (one, other, score) = (name(pair.person), name(pair.other), pair.score.0);
        row(
            "twins",
            match pair.alike {
                Cause::SameFace => format!(
                    "{one} and {other} have the same face here (score {score:.4}): a face alone admits neither, a badge or \
                     number does (1:1); if they are one person, remove one of them"
                ),
                _ => format!(
                    "{one} and {other} are near twins (score {score:.4}): a face has to be nearer to one of them by the margin"
                ),
            },
        );
    }
    let shown = told.pairs.iter().filter(|pair| pair.alike != Cause::None).count() as u32;
    if told.near_twins > 2 * shown {
        row("", format!("{} people in all have a near twin", told.near_twins));
    }
    if let Some(all) = &told.strangers {
        row(
            "strangers",
            format!(
                "{} recorded, {} of them since somebody was last enrolled; {} refusals left out, whose person was recognised \
                 within a minute",
                all.visits, all.comparable, all.retries
            ),
        );
        if let Some([half, tenth, hundredth]) = all.quantiles {
            row(
                "",
                format!(
                    "half score up to {:.3}, nine of ten up to {:.3}, 99 of 100 up to {:.3}",
                    half.0, tenth.0, hundredth.0
                ),
            );
        }
        for one in &all.highest {
            let (sequence, score) = (one.sequence, one.score.0);
            row("", format!("entry {sequence}: {score:.4} with {}", name(one.person)));
        }
        row(
            "rate",
            format!(
                "{} of {} reached the threshold in a frame: at most {:.1e} do (95 %), which says nothing of those who were \
                 admitted",
                all.above, all.comparable, all.rate_high
            ),
        );
    }
    row("shipped", score(told.shipped, metric));
    let Some(derived) = told.derived else {
        let unread = told.unread.unwrap_or(0);
        row(
            "waits",
            format!(
                "{} of {} templates are compared, {unread} entries unread: the unit works on it while nobody stands before it; \
                 ask again",
                told.compared, told.templates
            ),
        );
        return lines.join("\n");
    };
    row(
        "asked",
        match (derived.asked, derived.shown, told.target) {
            (None, ..) => "nothing: no stranger is recorded".to_owned(),
            (Some(asked), true, Some(target)) => {
                format!("{}: the strangers show that {target:e} is kept", score(asked, metric))
            }
            (Some(asked), _, Some(target)) => format!(
                "{}: above all of them; too few to show that {target:e} is kept, which takes {:.0} at least",
                score(asked, metric),
                3.0 / target
            ),
            (Some(asked), _, None) => format!("{}: above all of them", score(asked, metric)),
        },
    );
    row(
        "threshold",
        format!(
            "{}, never below the shipped one nor one in force, which --drop takes away",
            score(derived.threshold, metric)
        ),
    );
    if let Some(forecast) = derived.forecast {
        row(
            "forecast",
            format!(
                "{:.1e} of strangers' visits admitted at most; {:.0} % of enrolled people's refused",
                forecast.fpir_high,
                100.0 * forecast.fnir
            ),
        );
    }
    match (derived.refusal, in_force) {
        (Some(why), _) => {
            row("refuses", format!("to be put in force: {}", cause_words(why)));
            row(
                "helps",
                "threshold why on the entries above; --except leaves out one that was no stranger's; --drop takes away what is in force"
                    .to_owned(),
            );
        }
        (None, true) => row("in force", "yes".to_owned()),
        (None, false) => row("in force", "no; --apply puts it in force".to_owned()),
    }
    if told.same_face > 0
        && let Some(help) = cause_help(Cause::SameFace)
    {
        row("helps", help.to_owned());
    }
    lines.join("\n")
}

fn score(Threshold(score): Threshold, metric: Metric) -> String {
    format!("score {score} or more, distance {:.3} {}", metric.distance(score), metric.unit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_record::Score;
    use threshold_wire::calibrate::{DerivedTold, StrangerTold, StrangersTold};

    fn told() -> CalibrateTold {
        let pair = |score, alike| PairTold {
            person: PersonId(1),
            other: PersonId(2),
            score: Score(score),
            alike,
        };
        let stranger = StrangerTold { sequence: 77, person: PersonId(3), score: Score(0.61) };
        CalibrateTold {
            compared: 4,
            templates: 4,
            unread: Some(0),
            threshold: Threshold(Score(0.6)),
            shipped: Threshold(Score(0.6)),
            target: Some(1e-3),
            people: 4,
            without_template: 1,
            near_twins: 2,
            same_face: 2,
            pairs: [pair(0.99, Cause::SameFace), pair(0.58, Cause::NearTwins)]
                .into_iter()
                .collect(),
            strangers: Some(StrangersTold {
                visits: 9,
                comparable: 8,
                retries: 2,
                quantiles: None,
                highest: [stranger].into_iter().collect(),
                above: 1,
                rate_high: 0.47,
            }),
            derived: Some(DerivedTold {
                asked: Some(Threshold(Score(0.62))),
                shown: false,
                threshold: Threshold(Score(0.62)),
                forecast: None,
                refusal: None,
            }),
        }
    }

    fn name(person: PersonId) -> String {
        ["nobody", "Ada", "Grace", "Emmy"][person.0 as usize].to_owned()
    }

    #[test]
    fn twins_strangers_and_what_they_ask_for_are_said_by_name_and_entry() {
        let text = text(&told(), false, Metric::L2, &name);
        for part in [
            "1 have no template",
            "Ada and Grace have the same face here (score 0.9900)",
            "near twins (score 0.5800)",
            "9 recorded, 8 of them since",
            "entry 77: 0.6100 with Emmy",
            "too few to show that 1e-3 is kept, which takes 3000 at least",
            "score 0.620 or more",
            "--apply puts it in force",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let value = value(&told(), true, Metric::L2, &name);
        assert_eq!(value["pairs"][0]["alike"], "same_face");
        assert_eq!(value["strangers"]["highest"][0]["name"], "Emmy");
        assert_eq!(
            (&value["calibrated"]["asked_score"], &value["in_force"]),
            (&json!(0.62), &json!(true))
        );
    }

    #[test]
    fn a_unit_that_is_not_done_says_how_far_it_is_and_one_that_refuses_says_why() {
        let waits = CalibrateTold { derived: None, compared: 3, unread: Some(500), ..told() };
        let said = text(&waits, false, Metric::L2, &name);
        assert!(said.contains("3 of 4 templates are compared, 500 entries unread"), "{said}");
        let mut refused = told();
        refused.derived = refused
            .derived
            .map(|derived| DerivedTold { refusal: Some(Cause::TooManyRefusals), ..derived });
        let said = text(&refused, false, Metric::L2, &name);
        assert!(
            said.contains("most of the enrolled people's visits") && said.contains("--except"),
            "{said}"
        );
        let empty = CalibrateTold { pairs: heapless::Vec::new(), strangers: None, ..told() };
        assert!(text(&empty, false, Metric::L2, &name).contains("no two people to compare"));
    }
}
