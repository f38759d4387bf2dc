//! What the unit answers of its configuration: what it runs with, and an owner's change of it for the next start.
//!
//! Refuses whatever `config::Held` refuses, before anything is written.

use super::answers::{journal, refused};
use crate::config::Held;
use crate::state::{NotSet, State};
use threshold_record::{Cause, KeyTag};
use threshold_wire::RequestError;
use threshold_wire::config::{ConfigGot, ConfigSet};

/// The configuration, without what stays at the unit.
pub(super) fn get(state: &State) -> Result<ConfigGot, RequestError> {
    let got = state.config().and_then(Held::got);
    got.ok_or(RequestError::NotReady { part: Cause::Config })
}

/// Sets keys, all of them or none.
pub(super) fn set(
    state: &mut State,
    set: &ConfigSet,
    by: KeyTag,
) -> Result<ConfigGot, RequestError> {
    journal(state)?;
    get(state)?;
    state.settle_config(&set.changes, by).map_err(|not| match not {
        NotSet::Refused(why) => RequestError::BadConfig(why),
        NotSet::Store(error) => refused(state, &error),
    })?;
    get(state)
}
