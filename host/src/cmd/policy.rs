//! `threshold policy forecast`: what a target asks of a model at a door, and what is then to be expected.
//!
//! Owns the words. The arithmetic is `threshold_policy::forecast`'s, the distances are the pack's.
//! Refuses to ask a unit: it says what a threshold would mean; what one does, `rule` shows and
//! changes, and `acknowledge` has the owner's word for what it cannot tell.

use super::{Answer, acknowledge, reserve, rule};
use crate::args::{self, Forecast as Typed};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use serde_json::{Value, json};
use threshold_models::pack::{PackMeta, ScoreStats};
use threshold_policy::Policy;
use threshold_policy::forecast::{
    Admissions, Arming, Basis, Derivation, Forecast, Range, Site, Target, arm, judge,
};
use threshold_record::{Metric, ModelId};

/// Runs a command about the policy.
///
/// # Errors
/// A missing pack, or one whose distributions nobody measured.
pub fn run(meant: &Meant, typed: &args::Policy) -> anyhow::Result<Answer> {
    let typed = match typed {
        args::Policy::Forecast(typed) => typed,
        args::Policy::Show => return rule::run(meant, None),
        args::Policy::Set(typed) => return rule::run(meant, Some(typed)),
        args::Policy::Mode { mode } => return rule::set_mode(meant, *mode),
        args::Policy::Acknowledge(typed) => return acknowledge::run(meant, *typed),
        args::Policy::Withdraw => return acknowledge::withdraw(meant),
        args::Policy::Passback { minutes } => return rule::passback(meant, *minutes),
        args::Policy::Reserve { admissions } => return reserve::run(meant, *admissions),
    };
    let pack = Engines::open(meant)?.embedder(meant.model.as_ref())?;
    let embedder = pack.embedder()?;
    let scores = scores_of(&pack.meta)?;
    let metric = embedder.metric;
    let site = Site {
        people: typed.people,
        templates_each: f64::from(typed.templates),
        strangers_a_day: typed.strangers_per_day,
        visits_a_day: typed.visits_per_day,
    };
    let target = target(typed);
    let door = Policy::for_model(metric, embedder.threshold_distance);
    let (policy, arming) = arm(&target, &door, metric, &scores.distributions, &site);
    let as_shipped = judge(&target, &door, metric, &scores.distributions, &site);
    let told = Told { id: pack.id, meta: &pack.meta, metric, scores: &scores, target, site };
    meant.say.result(&told.value(&policy, &arming, &door, &as_shipped), || {
        told.text(&policy, &arming, &door, &as_shipped)
    })?;
    Ok(if matches!(arming, Arming::Arms(_)) { Answer::Yes } else { Answer::No })
}

/// The distributions of a pack.
pub(super) fn scores_of(meta: &PackMeta) -> Result<ScoreStats, HostError> {
    meta.scores().ok_or_else(|| HostError::NoDistributions { model: meta.name.clone() })
}

fn target(typed: &Typed) -> Target {
    let admissions = match typed.fpir {
        Some(fpir) => Admissions::Fpir(fpir),
        None => Admissions::OneInMonths(typed.months),
    };
    Target { admissions, fnir: typed.fnir.unwrap_or(Target::FNIR) }
}

struct Told<'a> {
    id: ModelId,
    meta: &'a PackMeta,
    metric: Metric,
    scores: &'a ScoreStats,
    target: Target,
    site: Site,
}

/// What to expect, whether armed or not.
fn forecast_of(arming: &Arming) -> &Forecast {
    match arming {
        Arming::Arms(forecast) | Arming::Refuses { forecast, .. } => forecast,
    }
}

impl Told<'_> {
    fn text(&self, policy: &Policy, arming: &Arming, door: &Policy, as_shipped: &Arming) -> String {
        let forecast = forecast_of(arming);
        let Self { target, site, metric, .. } = self;
        let distributions = &self.scores.distributions;
        let derivation =
            Derivation { target, policy, metric: *metric, distributions, site, forecast };
        format!(
            "policy forecast: {} (id {})\n{derivation}\n{}\n{forecast}\n\
             the floor, which an owner may fix instead, distance {:.3} {}: {}\n{}\n\
             ranges: 95 % of the distances' measurement; distances: {}",
            self.meta.name,
            self.id.tag(),
            verdict(arming),
            metric.distance(door.threshold.0),
            metric.unit(),
            verdict(as_shipped),
            forecast_of(as_shipped),
            self.scores.source,
        )
    }

    fn value(&self, policy: &Policy, arming: &Arming, door: &Policy, as_shipped: &Arming) -> Value {
        json!({
            "model": self.id.to_string(),
            "model_name": self.meta.name,
            "metric": self.metric.unit(),
            "people": self.site.people,
            "templates_each": self.site.templates_each,
            "target_fpir": self.target.fpir(&self.site),
            "target_fnir": self.target.fnir,
            "derived": side(self.metric, policy, arming),
            "default": side(self.metric, door, as_shipped),
            "source": self.scores.source,
        })
    }
}

fn verdict(arming: &Arming) -> String {
    match arming {
        Arming::Arms(_) => "arms 1:N".to_owned(),
        Arming::Refuses { why, help, .. } => {
            format!("refuses to arm 1:N: {why}; what helps: {help}")
        }
    }
}

fn side(metric: Metric, policy: &Policy, arming: &Arming) -> Value {
    let forecast = forecast_of(arming);
    let range = |Range { at, low, high }: Range| json!({"at": at, "low": low, "high": high});
    let (why, help) = match arming {
        Arming::Arms(_) => (None, None),
        Arming::Refuses { why, help, .. } => (Some(why.to_string()), Some(help)),
    };
    json!({
        "distance_threshold": super::round(metric.distance(policy.threshold.0)),
        "score_threshold": super::round(policy.threshold.0.0),
        "arms": why.is_none(),
        "why": why,
        "one_to_one_helps": help.map(|help| help.one_to_one),
        "people_at_most": help.map(|help| help.people_at_most),
        "more_templates_help": help.map(|help| help.more_templates),
        "fmr": range(forecast.fmr),
        "fpir": range(forecast.fpir),
        "fpir_other_people": range(forecast.fpir.of_other_people()),
        "fnir": range(forecast.fnir),
        "false_admissions_a_month": range(forecast.false_admissions_a_month),
        "false_refusals_a_day": range(forecast.false_refusals_a_day),
        "basis": match forecast.basis {
            Basis::Measured => "measured",
            Basis::Extrapolated => "extrapolated",
            Basis::Beyond => "beyond",
        },
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::import::description;
    use threshold_models::pack::Network;

    fn told(people: u32, network: Network) -> (Value, String) {
        let meta = description(network);
        let scores = scores_of(&meta).unwrap();
        let embedder = meta.embedder.as_ref().unwrap();
        let metric = embedder.metric;
        let site = Site { people, templates_each: 1.0, strangers_a_day: 20.0, visits_a_day: 200.0 };
        let target = Target { admissions: Admissions::OneInMonths(1.0), fnir: 0.5 };
        let door = Policy::for_model(metric, embedder.threshold_distance);
        let (policy, arming) = arm(&target, &door, metric, &scores.distributions, &site);
        let as_shipped = judge(&target, &door, metric, &scores.distributions, &site);
        let id = ModelId([7; 32]);
        let told = Told { id, meta: &meta, metric, scores: &scores, target, site };
        let value = told.value(&policy, &arming, &door, &as_shipped);
        (value, told.text(&policy, &arming, &door, &as_shipped))
    }

    #[test]
    fn a_small_office_arms_and_a_town_is_told_what_helps() {
        for network in [Network::InceptionResnetV1, Network::DlibResnet29] {
            let (value, text) = told(10, network);
            assert_eq!(value["derived"]["arms"], json!(true), "{text}");
            for part in ["arms 1:N", "at 20 strangers a day", "10 comparisons", "LFW"] {
                assert!(text.contains(part), "{part}: {text}");
            }
            let (value, text) = told(100_000, network);
            assert_eq!(value["derived"]["arms"], json!(false), "{text}");
            assert!(text.contains("refuses to arm 1:N") && text.contains("1:1"), "{text}");
            assert!(value["derived"]["people_at_most"].as_u64().unwrap() >= 10, "{value}");
        }
    }
}
