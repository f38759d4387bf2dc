//! Pruning the log over the line.
//!
//! Owns the course: the checkpoint is compared with the unit's own chain in small pages, so that the loop at the door never waits for
//! more than one, and only then anything goes. Refuses what is not proven, and tells whoever asks for entries that were pruned.

use super::answers::{journal, refused};
use super::pull::PAGE_ENTRIES;
use crate::state::{Shared, State};
use threshold_record::KeyTag;
use threshold_store::{Checkpoint, Proof, Pruned, StoreError};
use threshold_wire::RequestError;
use threshold_wire::trust::{LogPrune, LogPruned};

/// Lets go of the oldest entries that whoever asks was shown to know.
pub(super) fn prune(
    shared: &Shared,
    asked: &LogPrune,
    by: KeyTag,
) -> Result<LogPruned, RequestError> {
    let bytes = asked.checkpoint.as_slice().try_into().map_err(|_| RequestError::NotOfThisLog)?;
    let checkpoint = Checkpoint::from_bytes(bytes).map_err(|_| RequestError::NotOfThisLog)?;
    let proof = prove(shared, &checkpoint)?;
    let mut state = shared.lock();
    let pruned = state.prune_log(&proof, asked.before, by);
    let pruned = pruned.map_err(|error| refused(&mut state, &error))?;
    let oldest = journal(&state)?.store().log_oldest();
    Ok(match pruned {
        Some(Pruned { first, last, entry }) => {
            LogPruned { entries: (last + 1).saturating_sub(first), oldest, entry: entry.sequence }
        }
        None => LogPruned { entries: 0, oldest, entry: 0 },
    })
}

fn prove(shared: &Shared, checkpoint: &Checkpoint) -> Result<Proof, RequestError> {
    let mut proving = None;
    loop {
        let mut state = shared.lock();
        let store = journal(&state)?.store();
        let step = match &mut proving {
            None => store.prove(checkpoint).map(|begun| {
                proving = Some(begun);
                None
            }),
            Some(proving) => proving.step(store, PAGE_ENTRIES),
        };
        match step {
            Ok(Some(proof)) => return Ok(proof),
            Ok(None) => {}
            Err(StoreError::Chain(_)) => return Err(RequestError::NotOfThisLog),
            Err(error) => return Err(refused(&mut state, &error)),
        }
    }
}

/// Refuses entries that were pruned to whoever asks for them by number; 0 and 1 mean the oldest that is there.
pub(super) fn check_there(state: &State, from: u64) -> Result<(), RequestError> {
    let first = journal(state)?.store().log_pruned();
    match (2..first).contains(&from) {
        true => Err(RequestError::LogPruned { first }),
        false => Ok(()),
    }
}
