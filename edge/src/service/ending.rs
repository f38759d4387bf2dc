//! What ends the unit's process: to start again, or to be wiped.
//!
//! Owns what is written down before. Refuses to wipe another unit than the one that was named, and to start again while the entry of a
//! change that holds is owed.

use super::answers::journal;
use crate::state::{Ending, State};
use threshold_record::{Cause, EntryKind, KeyTag, LogEntry};
use threshold_wire::message::{Nothing, Wipe};
use threshold_wire::{RequestError, cut};

/// Starts the unit again. A log that takes no entry is no reason not to, since a start may mend it; but one that is owed an entry is:
/// the next start would open the door to whoever was enrolled without it.
pub(super) fn reboot(state: &mut State, by: KeyTag) -> Result<Nothing, RequestError> {
    journal(state)?;
    state.write(LogEntry { by, ..LogEntry::of(EntryKind::Reboot) });
    if !state.owes_nothing() {
        return Err(RequestError::StoreFault { part: Cause::Store });
    }
    state.end(Ending::Reboot);
    Ok(Nothing {})
}

/// Wipes the unit. No entry of that outlives it.
pub(super) fn wipe(state: &mut State, wipe: &Wipe) -> Result<Nothing, RequestError> {
    journal(state)?;
    let unit = cut(&state.identity().unit);
    if wipe.unit != unit {
        return Err(RequestError::OtherUnit { unit });
    }
    match state.wipe() {
        Ok(()) => Ok(Nothing {}),
        Err(error) => {
            state.store_failed(&error);
            Err(RequestError::StoreFault { part: Cause::Store })
        }
    }
}
