//! What the unit answers of its policy: what is settled and what that leads to, and an owner's change or acknowledgement of it.
//!
//! Owns the checks before a change. Refuses to derive: the state does, under the lock that a decision takes too.

use super::answers::{journal, refused};
use crate::state::State;
use threshold_policy::forecast::Forecast;
use threshold_policy::rule::{self, PASSBACK_MOST, RuleError};
use threshold_record::{Cause, KeyTag};
use threshold_wire::RequestError;
use threshold_wire::message::Unlocked;
use threshold_wire::policy::{
    CalibrationHeld, ModeSet, OnePolicy, PassbackSet, PolicyForecast, PolicyInfo, PolicyRefusal,
    PolicySet, ReserveAsk, ReserveTold,
};

/// The policy; `None` without a model, whose scores a threshold is on, and for one that cannot be read.
pub(super) fn info(state: &State) -> Option<PolicyInfo> {
    let settled = state.settled()?;
    let derived = state.derived();
    let (people, templates) = state.gallery_size();
    Some(PolicyInfo {
        rule: settled.rule,
        floor: settled.policy.threshold,
        threshold: derived.policy.threshold,
        people,
        templates,
        forecast: derived.forecast.map(told),
        refusal: state.refuses_to_identify().map(|refusal| PolicyRefusal {
            why: refusal.why,
            people_at_most: refusal.people_at_most,
        }),
        photo: state.acknowledged(),
        passback_min: settled.passback_min,
        mode: state.mode(),
        one: one(state),
        calibration: state.calibration().map(|held| CalibrationHeld {
            by: held.by,
            threshold: held.threshold,
            people: held.people,
            templates: held.templates,
            strangers: held.strangers,
            stale: state.calibration_is_stale(),
        }),
    })
}

/// What holds where a face is compared with one person.
fn one(state: &State) -> OnePolicy {
    let (templates, derived) = state.strictest_for_one();
    OnePolicy {
        templates,
        threshold: derived.policy.threshold,
        forecast: derived.forecast.map(told),
        refusal: state.refuses_to_verify(),
    }
}

pub(super) fn told(forecast: Forecast) -> PolicyForecast {
    let Forecast { fpir, fnir, .. } = forecast;
    PolicyForecast { fpir: fpir.at, fpir_high: fpir.high, fnir: fnir.at, fnir_high: fnir.high }
}

/// The policy, for a viewer.
pub(super) fn get(state: &State) -> Result<PolicyInfo, RequestError> {
    journal(state)?;
    let part = if state.embedder().is_some() { Cause::Policy } else { Cause::Model };
    info(state).ok_or(RequestError::NotReady { part })
}

/// Settles a rule; nothing happens if it is settled already.
pub(super) fn set(
    state: &mut State,
    set: &PolicySet,
    by: KeyTag,
) -> Result<PolicyInfo, RequestError> {
    get(state)?;
    let (Some(settled), Some(embedder)) = (state.settled(), state.embedder()) else {
        return Err(RequestError::NotReady { part: Cause::Model });
    };
    let unit = embedder.id;
    rule::check(&set.rule, &settled.policy, unit).map_err(|error| match error {
        RuleError::Target => RequestError::BadTarget,
        RuleError::Threshold => RequestError::BadThreshold,
        RuleError::OtherModel { of } => RequestError::WrongModel { unit, host: of },
    })?;
    if !state.has_settled(&set.rule) {
        state.settle(set.rule, by).map_err(|error| refused(state, &error))?;
    }
    get(state)
}

/// Settles after how many minutes the same person is admitted again.
pub(super) fn set_passback(
    state: &mut State,
    set: PassbackSet,
    by: KeyTag,
) -> Result<PolicyInfo, RequestError> {
    get(state)?;
    if set.minutes > PASSBACK_MOST {
        return Err(RequestError::BadPassback { most: PASSBACK_MOST });
    }
    state.settle_passback(set.minutes, by).map_err(|error| refused(state, &error))?;
    get(state)
}

/// Settles how often the door admits while the medium is full, or tells it.
pub(super) fn set_reserve(
    state: &mut State,
    ask: ReserveAsk,
    by: KeyTag,
) -> Result<ReserveTold, RequestError> {
    get(state)?;
    if let Some(admissions) = ask.admissions {
        state.settle_reserve(admissions, by).map_err(|error| match error.is_full() {
            // The log takes entries: what is missing is room beside it.
            true => RequestError::StoreFault { part: Cause::ReserveUsedUp },
            false => refused(state, &error),
        })?;
    }
    Ok(ReserveTold { admissions: state.reserve_settled(), standing: state.reserve_standing() })
}

/// An owner settles with whom a face is compared.
pub(super) fn set_mode(
    state: &mut State,
    set: ModeSet,
    by: KeyTag,
) -> Result<PolicyInfo, RequestError> {
    get(state)?;
    state.settle_mode(set.mode, by).map_err(|error| refused(state, &error))?;
    get(state)
}

/// An owner acknowledges that a photo opens this door.
pub(super) fn acknowledge(state: &mut State, by: KeyTag) -> Result<PolicyInfo, RequestError> {
    get(state)?;
    state.acknowledge_photo(by).map_err(|error| refused(state, &error))?;
    get(state)
}

/// An owner takes that back.
pub(super) fn withdraw(state: &mut State, by: KeyTag) -> Result<PolicyInfo, RequestError> {
    get(state)?;
    state.withdraw_photo(by).map_err(|error| refused(state, &error))?;
    get(state)
}

/// Ends the lock-out that lasts, and begins its counts anew.
pub(super) fn unlock(state: &mut State, by: KeyTag) -> Result<Unlocked, RequestError> {
    journal(state)?;
    let was_locked = state.unlock(by).map_err(|error| refused(state, &error))?;
    Ok(Unlocked { was_locked })
}
