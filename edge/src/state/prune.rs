//! Pruning the log, which waits for a log that is in order.

use super::State;
use threshold_record::{EntryKind, KeyTag, LogEntry};
use threshold_store::{Proof, Pruned, StoreError};

impl State {
    /// Lets go of the oldest entries up to what is proven, and none from `before` on; durable on return, with the entry that says so.
    /// `None` if there is nothing that may go.
    ///
    /// # Errors
    /// [`StoreError`]: [`StoreError::LogStopped`] while the store is at fault or the log is owed an entry, for nothing that could
    /// tell what happened goes then.
    pub fn prune_log(
        &mut self,
        proof: &Proof,
        before: u64,
        by: KeyTag,
    ) -> Result<Option<Pruned>, StoreError> {
        if self.store_fault().is_some() || !self.owes_nothing() {
            return Err(StoreError::LogStopped);
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::Pruned) };
        // The segments are removed by and by, when nobody is there.
        self.untidy = true;
        self.name_again()?.prune(proof, before, entry)
    }
}
