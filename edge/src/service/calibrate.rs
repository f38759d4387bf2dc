//! What the unit answers of a calibration: how far it is, what it says, and an owner's word for it.
//!
//! Owns the message. Refuses to derive: the state does, with `policy::calibrate`.

use super::answers::{gallery, refused};
use super::policy;
use crate::state::{State, Stranger, Strangers};
use threshold_policy::calibrate::highest_rate;
use threshold_policy::{Alike, Nearest};
use threshold_record::{Cause, KeyTag, Score, ThresholdRule};
use threshold_wire::RequestError;
use threshold_wire::calibrate::{
    CalibrateAsk, CalibrateStep, CalibrateTold, DerivedTold, PairTold, StrangerTold, StrangersTold,
};

/// Does a step of a calibration, and says how far it is.
pub(super) fn answer(
    state: &mut State,
    ask: &CalibrateAsk,
    by: KeyTag,
) -> Result<CalibrateTold, RequestError> {
    policy::get(state)?;
    gallery(state)?;
    match ask.step {
        CalibrateStep::Begin => state.read_strangers(),
        CalibrateStep::Look => {}
        CalibrateStep::Apply => {
            if let Some(would_be) = state.would_be(&ask.except, by) {
                state.calibrate(&would_be, by).map_err(|error| refused(state, &error))?;
            }
        }
        CalibrateStep::Drop => {
            state.drop_calibration(by).map_err(|error| refused(state, &error))?
        }
    }
    told(state, &ask.except, by)
}

fn told(state: &State, except: &[u64], by: KeyTag) -> Result<CalibrateTold, RequestError> {
    let not_ready = RequestError::NotReady { part: Cause::Policy };
    let (Some(settled), Some(shipped)) = (state.settled(), state.shipped()) else {
        return Err(not_ready);
    };
    let (people, templates) = state.gallery_size();
    let (compared, is_done) = state.templates_compared();
    let in_force = state.policy();
    let mut nearest: Vec<Nearest> = state.nearest().to_vec();
    nearest.sort_by(|a, b| b.score.0.total_cmp(&a.score.0));
    let alike = |one: &Nearest| in_force.alike(one.score);
    let count =
        |of: &dyn Fn(Alike) -> bool| nearest.iter().filter(|one| of(alike(one))).count() as u32;
    let pair = |one: &Nearest| PairTold {
        person: one.person,
        other: one.other,
        score: one.score,
        alike: match alike(one) {
            Alike::SameFace => Cause::SameFace,
            Alike::NearTwins => Cause::NearTwins,
            Alike::Apart => Cause::None,
        },
    };
    // A pair stands there once, by whoever has the lower id, where each is the other's most alike.
    let is_mutual = |one: &&Nearest| {
        let back = |other: &Nearest| other.person == one.other && other.other == one.person;
        one.person < one.other || !state.nearest().iter().any(back)
    };
    let pairs = nearest.iter().filter(is_mutual).map(pair);
    let strangers = state.strangers().filter(|strangers| strangers.unread == 0);
    let would_be = state.would_be(except, by);
    Ok(CalibrateTold {
        compared: if is_done { templates } else { compared.min(templates) },
        templates,
        unread: state.strangers().map(|strangers| strangers.unread),
        threshold: in_force.threshold,
        shipped: shipped.policy.threshold,
        target: match settled.rule {
            ThresholdRule::Target { fpir } => Some(fpir),
            ThresholdRule::Fixed { .. } => None,
        },
        people,
        without_template: without_template(state)?,
        near_twins: count(&|alike| alike != Alike::Apart),
        same_face: count(&|alike| alike == Alike::SameFace),
        pairs: pairs.take(threshold_wire::calibrate::TWINS_TOLD).collect(),
        strangers: strangers
            .map(|all| strangers_told(all, except, in_force.threshold.0, state.grew_since(all))),
        derived: would_be.map(|would_be| DerivedTold {
            asked: would_be.asked.map(|asked| asked.threshold),
            shown: would_be.asked.is_some_and(|asked| asked.shown),
            threshold: would_be.derived.policy.threshold,
            forecast: would_be.derived.forecast.map(policy::told),
            refusal: would_be.refusal,
        }),
    })
}

fn without_template(state: &State) -> Result<u32, RequestError> {
    let bare = gallery(state)?.members().filter(|member| member.templates.is_empty());
    Ok(bare.count() as u32)
}

fn strangers_told(all: &Strangers, except: &[u64], in_force: Score, grew: bool) -> StrangersTold {
    let counted: Vec<&Stranger> =
        all.strangers.iter().filter(|one| !except.contains(&one.sequence)).collect();
    let comparable: Vec<Score> =
        counted.iter().filter(|one| one.comparable && !grew).map(|one| one.score).collect();
    let n = comparable.len();
    let above = comparable.iter().filter(|&&score| score >= in_force).count() as u32;
    // Highest first: so many of them lie above the quantile.
    let quantile = |part: f64| comparable.get((n as f64 * part) as usize).copied();
    let quantiles = match (quantile(0.5), quantile(0.1), quantile(0.01)) {
        (Some(half), Some(tenth), Some(hundredth)) => Some([half, tenth, hundredth]),
        _ => None,
    };
    let told = |one: &&Stranger| StrangerTold {
        sequence: one.sequence,
        person: one.person,
        score: one.score,
    };
    StrangersTold {
        visits: counted.len() as u32,
        comparable: n as u32,
        retries: all.retries,
        quantiles,
        highest: counted.iter().take(threshold_wire::calibrate::STRANGERS_TOLD).map(told).collect(),
        above,
        rate_high: highest_rate(above, n as u32),
    }
}
