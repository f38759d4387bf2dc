//! What the unit answers of its clock, and an owner's setting of it.
//!
//! Refuses a time that the clock does not take: it never goes back behind what the log has seen.

use super::answers::{journal, refused};
use crate::state::State;
use threshold_record::{EntryKind, KeyTag, LogEntry};
use threshold_wire::RequestError;
use threshold_wire::clock::{ClockInfo, ClockSet};

/// The clock.
pub(super) fn get(state: &State) -> Result<ClockInfo, RequestError> {
    let journal = journal(state)?;
    Ok(ClockInfo { wall: journal.now(), latest_ms: journal.wall().latest_ms() })
}

/// Sets the clock. The entry that says who did it is durable before any other has the new time.
pub(super) fn set(
    state: &mut State,
    set: &ClockSet,
    by: KeyTag,
) -> Result<ClockInfo, RequestError> {
    let wall = journal(state)?.wall().set(set.unix_ms, state.clock());
    let wall = wall.map_err(|_| RequestError::BadTime)?;
    let entry = LogEntry { by, ..LogEntry::of(EntryKind::ClockSet) };
    state.set_wall(wall, entry).map_err(|error| refused(state, &error))?;
    get(state)
}
