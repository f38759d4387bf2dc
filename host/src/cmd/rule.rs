//! `threshold policy show | set | passback | mode`: how a unit's threshold comes about, what that means for who is enrolled, and an owner's
//! change of it.
//!
//! Owns the words, which `info` takes too. Refuses to derive: the unit does, and says what came of it.

use super::{Answer, round};
use crate::args;
use crate::causes::{cause_help, cause_words};
use crate::meant::Meant;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use serde_json::{Value, json};
use threshold_policy::forecast::{Admissions, DAYS_A_MONTH, Site, Target};
use threshold_record::{Cause, Metric, Mode, ModelId, Score, Threshold, ThresholdRule};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, GetPolicy, SetMode, SetPassback, SetPolicy};
use threshold_wire::message::{ModelInfo, Nothing};
use threshold_wire::policy::{ModeSet, PassbackSet, PolicyForecast, PolicyInfo, PolicySet};

/// Shows the policy, or settles another.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub fn run(meant: &Meant, typed: Option<&args::PolicySet>) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let model = model(&mut session)?;
    let policy = match typed {
        None => session.call::<GetPolicy>(&Nothing {})?,
        Some(typed) => {
            if let Some(asked) = InMonths::of(typed) {
                meant.say.note(&asked.derivation());
            }
            session.call::<SetPolicy>(&PolicySet { rule: rule_of(typed, model.id) })?
        }
    };
    show(meant, &policy, model.metric)
}

/// The rule that was typed.
fn rule_of(typed: &args::PolicySet, model: ModelId) -> ThresholdRule {
    if let Some(score) = typed.threshold {
        return ThresholdRule::Fixed { model, threshold: Threshold(Score(score)) };
    }
    let in_months = InMonths::of(typed).map(|asked| asked.fpir());
    // The command line takes one of the three.
    typed.target.or(in_months).map_or(ThresholdRule::DEFAULT, |fpir| ThresholdRule::Target { fpir })
}

/// A target in months, which the unit is given as a part of the visits: who comes to a door, the administrator knows.
#[derive(Clone, Copy, Debug)]
struct InMonths {
    months: f64,
    strangers_a_day: f64,
}

impl InMonths {
    fn of(typed: &args::PolicySet) -> Option<Self> {
        let (months, strangers_a_day) = (typed.months?, typed.strangers_per_day?);
        Some(Self { months, strangers_a_day })
    }

    /// The part of the visits in two digits, rounded down, as the unit then shows it.
    fn fpir(self) -> f64 {
        let Self { months, strangers_a_day } = self;
        let site = Site { people: 1, templates_each: 1.0, strangers_a_day, visits_a_day: 0.0 };
        let admissions = Admissions::OneInMonths(months);
        let fpir = Target { admissions, fnir: Target::FNIR }.fpir(&site);
        let exponent = fpir.log10().floor() as i32 - 1;
        let digits = (fpir / 10f64.powi(exponent)).floor();
        format!("{digits}e{exponent}").parse().unwrap_or(fpir)
    }

    fn derivation(self) -> String {
        let Self { months, strangers_a_day } = self;
        let visits = months * DAYS_A_MONTH * strangers_a_day;
        let fpir = self.fpir();
        let looser = match fpir >= ThresholdRule::FPIR_MOST {
            true => ", the loosest target that a unit takes",
            false => "",
        };
        format!(
            "one false admission in {months} months at {strangers_a_day} strangers a day is one in {visits:.0} of their visits: \
             target FPIR {fpir:e}{looser}"
        )
    }
}

/// Settles after how many minutes the same person is admitted again.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub fn passback(meant: &Meant, minutes: u16) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let model = model(&mut session)?;
    let policy = session.call::<SetPassback>(&PassbackSet { minutes })?;
    show(meant, &policy, model.metric)
}

/// Settles with whom a face is compared.
///
/// # Errors
/// A unit that does not answer, has no model, or says no.
pub(super) fn set_mode(meant: &Meant, typed: args::ModeName) -> anyhow::Result<Answer> {
    let mut session = Session::open_started(meant)?;
    let model = model(&mut session)?;
    let mode = match typed {
        args::ModeName::Identify => Mode::Identify,
        args::ModeName::Verify => Mode::Verify,
        args::ModeName::Both => Mode::Both,
    };
    let policy = session.call::<SetMode>(&ModeSet { mode })?;
    show(meant, &policy, model.metric)
}

/// True if there is a way in at the unit: the mode's, or in both one of them.
fn arms(policy: &PolicyInfo) -> bool {
    let (identifies, verifies) = (policy.refusal.is_none(), policy.one.refusal.is_none());
    match policy.mode {
        Mode::Identify => identifies,
        Mode::Verify => verifies,
        Mode::Both => identifies || verifies,
    }
}

/// Prints the policy; the answer is no if the unit compares nobody with it.
pub(super) fn show(meant: &Meant, policy: &PolicyInfo, metric: Metric) -> anyhow::Result<Answer> {
    meant.say.result(&value(policy, metric), || {
        let rows = rows(policy, metric);
        let line = |(head, text): (&str, String)| format!("{head:<10}{text}");
        rows.into_iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(if arms(policy) { Answer::Yes } else { Answer::No })
}

/// The unit's model, whose scores a policy is on.
pub(super) fn model<T: Transport>(session: &mut Session<T>) -> Result<ModelInfo, SessionError> {
    let model = session.call::<GetInfo>(&Nothing {})?.model;
    let not_ready = RequestError::NotReady { part: Cause::Model };
    model.ok_or(SessionError::Refused(not_ready))
}

/// The policy in JSON.
pub(super) fn value(policy: &PolicyInfo, metric: Metric) -> Value {
    let (target, fixed) = match policy.rule {
        ThresholdRule::Target { fpir } => (Some(fpir), None),
        ThresholdRule::Fixed { threshold, .. } => (None, Some(round(threshold.0.0))),
    };
    let PolicyInfo { floor: Threshold(floor), threshold: Threshold(score), .. } = *policy;
    json!({
        "target_fpir": target,
        "fixed_score": fixed,
        "people": policy.people,
        "templates": policy.templates,
        "score_threshold": round(score.0),
        "distance_threshold": round(metric.distance(score)),
        "score_floor": round(floor.0),
        "forecast": policy.forecast.map(forecast_value),
        "mode": policy.mode.text(),
        "one_to_one": {
            "templates": policy.one.templates,
            "score_threshold": round(policy.one.threshold.0.0),
            "distance_threshold": round(metric.distance(policy.one.threshold.0)),
            "forecast": policy.one.forecast.map(forecast_value),
            "why": policy.one.refusal.map(Cause::text),
        },
        "arms": arms(policy),
        "why": policy.refusal.map(|refusal| refusal.why.text()),
        "people_at_most": policy.refusal.map(|refusal| refusal.people_at_most),
        "passback_min": policy.passback_min,
        "calibration": policy.calibration.map(|held| json!({
            "score_threshold": round(held.threshold.0.0),
            "people": held.people,
            "templates": held.templates,
            "strangers": held.strangers,
            "stale": held.stale,
            "by": (!held.by.is_nobody()).then(|| held.by.to_string()),
        })),
        "photo_acknowledged": policy.photo.is_some(),
        "photo_acknowledged_by": policy.photo.filter(|by| !by.is_nobody()).map(|by| by.to_string()),
    })
}

pub(super) fn forecast_value(forecast: PolicyForecast) -> Value {
    json!({
        "fpir": forecast.fpir,
        "fpir_high": forecast.fpir_high,
        "fnir": forecast.fnir,
        "fnir_high": forecast.fnir_high,
    })
}

/// The policy in words, with what each says at the head of its line.
pub(super) fn rows(policy: &PolicyInfo, metric: Metric) -> Vec<(&'static str, String)> {
    let PolicyInfo { threshold: Threshold(score), floor: Threshold(floor), .. } = *policy;
    let mut rows = vec![
        (
            "policy",
            match policy.rule {
                ThresholdRule::Target { fpir } => {
                    format!("at most {fpir:e} of strangers' visits admitted (target FPIR)")
                }
                ThresholdRule::Fixed { .. } => {
                    "a fixed threshold, at the owner's risk: no target is kept".to_owned()
                }
            },
        ),
        (
            "threshold",
            format!(
                "score {score} or more, distance {:.3} {}; never below score {floor}",
                metric.distance(score),
                metric.unit()
            ),
        ),
        ("forecast", forecast(policy)),
    ];
    if let Some(held) = policy.calibration {
        let stale = match held.stale {
            true => "; the gallery grew since, threshold calibrate says what it comes to now",
            false => "",
        };
        rows.push((
            "calibrated",
            format!(
                "score {} or more, by {} strangers at {} people with {} templates{stale}",
                held.threshold.0, held.strangers, held.people, held.templates
            ),
        ));
    }
    if policy.passback_min > 0 {
        let minutes = policy.passback_min;
        rows.push(("passback", format!("the same person is admitted again after {minutes} min")));
    }
    if policy.mode.verifies() {
        rows.push(("mode", mode(policy.mode).to_owned()));
        rows.push(("1:1", one(policy, metric)));
    }
    if let Some(by) = policy.photo {
        let who = match by.is_nobody() {
            true => "whoever is on this line, which is not authenticated, acknowledged".to_owned(),
            false => format!("administrator {by} acknowledged"),
        };
        rows.push(("photo", format!("{who} that a photo opens this door")));
    }
    if let Some(refusal) = policy.refusal.filter(|_| policy.mode.identifies()) {
        let why = cause_words(refusal.why);
        rows.push(("refuses", format!("to compare one face with everybody (1:N): {why}")));
        let mut help = Vec::new();
        if refusal.people_at_most > 0 {
            help.push(format!("have at most {} people", refusal.people_at_most));
        }
        help.extend(cause_help(refusal.why).map(str::to_owned));
        rows.push(("helps", help.join("; ")));
    }
    if let Some(why) = policy.one.refusal.filter(|_| policy.mode.verifies()) {
        let said = cause_words(why);
        rows.push((
            "refuses",
            format!("to compare a face with whom a credential names (1:1): {said}"),
        ));
        rows.extend(cause_help(why).map(|help| ("helps", help.to_owned())));
    }
    rows
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Identify => "a face is compared with everybody (1:N)",
        Mode::Verify => {
            "a face is compared with the one whom a badge or number names (1:1); a face alone opens nothing"
        }
        Mode::Both => {
            "a face is compared with the one whom a badge or number names (1:1), and without one with everybody (1:N)"
        }
    }
}

/// What holds where a face is compared with one person.
fn one(policy: &PolicyInfo, metric: Metric) -> String {
    let Threshold(score) = policy.one.threshold;
    let expected = policy.one.forecast.map_or("nobody measured this model".to_owned(), |forecast| {
        format!(
            "{:.1e} of those with somebody else's credential admitted, {:.1e} at most; {:.0} % of the people themselves \
             refused, {:.0} % at most",
            forecast.fpir,
            forecast.fpir_high,
            100.0 * forecast.fnir,
            100.0 * forecast.fnir_high
        )
    });
    format!(
        "score {score} or more, distance {:.3} {}, against the most templates of one person ({}): {expected}",
        metric.distance(score),
        metric.unit(),
        policy.one.templates
    )
}

fn forecast(policy: &PolicyInfo) -> String {
    let at = format!("at {} people with {} templates", policy.people, policy.templates);
    let Some(forecast) = policy.forecast else {
        return format!("none {at}: nobody measured this model");
    };
    let PolicyForecast { fpir, fpir_high, fnir, fnir_high } = forecast;
    format!(
        "{at}: {fpir:.1e} of strangers' visits admitted (FPIR), {fpir_high:.1e} at the high end of the people that the model was measured \
         on, more with others (threshold policy forecast); {:.0} % of enrolled people's refused (FNIR), {:.0} % at the high end",
        100.0 * fnir,
        100.0 * fnir_high
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_record::KeyTag;
    use threshold_wire::policy::{CalibrationHeld, OnePolicy, PolicyRefusal};

    const ARMED: PolicyInfo = PolicyInfo {
        rule: ThresholdRule::DEFAULT,
        floor: Threshold(Score(0.473)),
        threshold: Threshold(Score(0.539)),
        people: 10,
        templates: 12,
        forecast: Some(PolicyForecast { fpir: 6e-4, fpir_high: 1e-3, fnir: 0.36, fnir_high: 0.42 }),
        refusal: None,
        photo: Some(KeyTag([0x1a; 4])),
        passback_min: 15,
        mode: Mode::Identify,
        one: OnePolicy {
            templates: 2,
            threshold: Threshold(Score(0.473)),
            forecast: Some(PolicyForecast {
                fpir: 3e-4,
                fpir_high: 9e-4,
                fnir: 0.11,
                fnir_high: 0.13,
            }),
            refusal: None,
        },
        calibration: None,
    };

    fn said(policy: &PolicyInfo) -> String {
        rows(policy, Metric::L2)
            .into_iter()
            .map(|(head, text)| format!("{head} {text}\n"))
            .collect()
    }

    #[test]
    fn what_is_settled_and_what_it_means_is_said_with_its_numbers() {
        let text = said(&ARMED);
        for part in [
            "1e-3",
            "score 0.539",
            "distance 0.461 L2",
            "10 people",
            "6.0e-4",
            "36 %",
            "1a1a1a1a acknowl",
            "after 15 min",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(value(&ARMED, Metric::L2)["arms"], true);
    }

    #[test]
    fn a_target_in_months_becomes_a_part_of_the_visits_and_says_how() {
        let asked = InMonths { months: 12.0, strangers_a_day: 20.0 };
        assert_eq!(asked.fpir(), 1.3e-4, "1 in 7305");
        let said = asked.derivation();
        assert!(said.contains("12 months at 20 strangers a day is one in 7305"), "{said}");
        assert!(said.ends_with("target FPIR 1.3e-4"), "{said}");
        let typed = args::PolicySet {
            target: None,
            months: Some(12.0),
            strangers_per_day: Some(20.0),
            threshold: None,
            accept_risk: false,
        };
        let rule = rule_of(&typed, ModelId([7; 32]));
        assert_eq!(rule, ThresholdRule::Target { fpir: asked.fpir() });
        let loose = InMonths { months: 0.1, strangers_a_day: 1.0 };
        assert_eq!(loose.fpir(), ThresholdRule::FPIR_MOST);
        assert!(loose.derivation().contains("the loosest target"), "{}", loose.derivation());
    }

    #[test]
    fn a_refusal_names_its_reason_and_what_helps() {
        let refusal = PolicyRefusal { why: Cause::TooManyRefusals, people_at_most: 23 };
        let refusing = PolicyInfo { refusal: Some(refusal), ..ARMED };
        let text = said(&refusing);
        for part in ["(1:N)", "at most 23 people", "--accept-risk", "another model"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(value(&refusing, Metric::L2)["why"], "too_many_refusals");
    }

    #[test]
    fn a_calibration_is_said_with_what_it_rests_on_and_whether_it_is_stale() {
        assert!(!said(&ARMED).contains("calibrated"), "{}", said(&ARMED));
        let held = CalibrationHeld {
            by: KeyTag([0x1a; 4]),
            threshold: Threshold(Score(0.55)),
            people: 9,
            templates: 11,
            strangers: 412,
            stale: false,
        };
        let of =
            |stale| PolicyInfo { calibration: Some(CalibrationHeld { stale, ..held }), ..ARMED };
        let text = said(&of(false));
        assert!(
            text.contains("calibrated score 0.550 or more, by 412 strangers at 9 people"),
            "{text}"
        );
        assert!(!text.contains("grew") && said(&of(true)).contains("the gallery grew since"));
        assert_eq!(value(&of(true), Metric::L2)["calibration"]["stale"], true);
    }

    #[test]
    fn the_mode_and_the_threshold_of_one_person_are_said_where_they_count() {
        assert!(!said(&ARMED).contains("1:1"), "{}", said(&ARMED));
        let refusal = Some(PolicyRefusal { why: Cause::TooManyRefusals, people_at_most: 23 });
        let verify = PolicyInfo { mode: Mode::Verify, refusal, ..ARMED };
        let text = said(&verify);
        for part in ["a face alone opens nothing", "distance 0.527 L2", "3.0e-4", "11 %"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("refuses"), "too many people are no reason against 1:1: {text}");
        let value_of = value(&verify, Metric::L2);
        assert_eq!((&value_of["mode"], &value_of["arms"]), (&json!("verify"), &json!(true)));
        let one = OnePolicy { refusal: Some(Cause::Reader), ..ARMED.one };
        for (mode, refusal, is_armed) in [
            (Mode::Identify, None, true),
            (Mode::Verify, None, false),
            (Mode::Both, None, true),
            (Mode::Both, refusal, false),
        ] {
            let policy = PolicyInfo { mode, refusal, one, ..ARMED };
            assert_eq!(value(&policy, Metric::L2)["arms"], is_armed, "{mode:?}");
            let text = said(&policy);
            assert_eq!(text.contains("[reader]"), mode != Mode::Identify, "{text}");
        }
    }

    #[test]
    fn a_fixed_threshold_is_named_for_what_it_is() {
        let rule = ThresholdRule::Fixed { model: ModelId([7; 32]), threshold: ARMED.threshold };
        let fixed = PolicyInfo { rule, forecast: None, ..ARMED };
        let text = said(&fixed);
        assert!(text.contains("at the owner's risk") && text.contains("nobody measured"), "{text}");
        assert_eq!(value(&fixed, Metric::L2)["target_fpir"], Value::Null);
    }
}
