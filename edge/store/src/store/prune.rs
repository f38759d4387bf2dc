//! Pruning the log: only what whoever asks is shown to know, and never the newest entries.
//!
//! Owns the proof: a checkpoint that this unit signed, whose link is the one that the unit's own chain has at that entry. Nothing
//! behind that entry goes. It shows that whoever asks was given this history; that the entries are kept is the host's word.
//! Refuses a checkpoint of another unit or another history. One that lies before the oldest entry proves nothing that is there.

use super::Store;
use crate::chain::{Chain, ChainError, Checkpoint, Tip};
use crate::error::StoreError;
use threshold_record::LogEntry;

/// A signed checkpoint that is being compared with the log, piece by piece.
#[derive(Debug)]
pub struct Proving {
    checkpoint: Checkpoint,
    chain: Chain,
    /// How far the unit's own chain was followed.
    tip: Tip,
}

/// That a checkpoint is of the log as it is.
#[derive(Debug)]
pub struct Proof {
    upto: u64,
}

/// What a prune came to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pruned {
    /// Sequence of the oldest entry that went.
    pub first: u64,
    /// Sequence of the last entry that went.
    pub last: u64,
    /// The entry that tells of it.
    pub entry: LogEntry,
}

impl Proving {
    /// Follows the chain by so many entries. Gives the proof once it has come to the checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Chain`] if the checkpoint is of another history, or what is compared went meanwhile; a log that cannot be read.
    pub fn step(&mut self, store: &Store, entries: usize) -> Result<Option<Proof>, StoreError> {
        let (first, end) = (self.tip.head + 1, self.checkpoint.sequence);
        if self.tip.head >= end {
            return match self.tip.chain == self.checkpoint.chain {
                true => Ok(Some(Proof { upto: end })),
                false => Err(ChainError::Changed { first: end, end }.into()),
            };
        }
        let left = usize::try_from(end - self.tip.head).unwrap_or(usize::MAX);
        let page = store.log_page(first, left.min(entries.max(1)))?;
        if page.is_empty() {
            return Err(ChainError::Missing { expected: first, end }.into());
        }
        for entry in &page {
            if entry.sequence != self.tip.head + 1 {
                let (expected, found) = (self.tip.head + 1, entry.sequence);
                return Err(ChainError::OutOfOrder { expected, found }.into());
            }
            self.tip.take_entry(&self.chain, entry);
        }
        Ok(None)
    }
}

impl Store {
    /// Begins to compare a checkpoint with the log.
    ///
    /// # Errors
    /// [`StoreError::Chain`] if this unit did not sign it, or it lies behind the log's end; a flash that fails.
    pub fn prove(&self, checkpoint: &Checkpoint) -> Result<Proving, StoreError> {
        let identity = self.keyring.identity();
        checkpoint.verify(&identity)?;
        let (start, end) = (checkpoint.sequence, self.log.durable_head());
        if checkpoint.store_id != self.keyring.store_id() || start > end {
            return Err(ChainError::NotOneLog { start, end }.into());
        }
        let tip = self.log.tip_before(self.flash.as_ref(), &self.keyring, start)?;
        let chain = Chain::of(&checkpoint.store_id, &identity);
        Ok(Proving { checkpoint: *checkpoint, chain, tip: tip.unwrap_or_else(|| checkpoint.tip()) })
    }

    /// Lets go of the oldest entries, as whole segments: of none behind what is proven, none of the last `keep` of those, which is
    /// one at least, and none from `before` on. The entry that tells of it is durable before anything goes. `None` if there is nothing that may go.
    ///
    /// # Errors
    /// [`StoreError`]; it may be pruned all the same, entry and all.
    pub fn prune(
        &mut self,
        proof: &Proof,
        before: u64,
        keep: u64,
        entry: LogEntry,
    ) -> Result<Option<Pruned>, StoreError> {
        self.sync()?;
        // Counted from what is proven, so that the same proof again takes nothing more, whatever was written meanwhile.
        let upto = proof.upto.saturating_sub(keep.max(1)).min(before.saturating_sub(1));
        let first = self.log.oldest();
        let entry = self.log.prune(self.flash.as_mut(), &self.keyring, upto, entry)?;
        self.bind_log()?;
        let last = self.log.oldest().saturating_sub(1);
        Ok(entry.map(|entry| Pruned { first, last, entry }))
    }
}
