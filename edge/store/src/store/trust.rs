//! What lets others trust the store, and whom it trusts: the unit's identity, its checkpoints, and the change of its data key.

use super::Store;
use crate::chain::Checkpoint;
use crate::error::StoreError;
use crate::flash::{Flash, Object, Series};
use crate::receipt::Receipt;
use crate::sealed;
use threshold_record::PersonId;

/// What is sealed as a whole, beside the anchor.
const REPLACED: [Object; 2] = [Object::Tombstones, Object::Administrators];

impl Store {
    /// The unit's public signing key, Ed25519.
    #[must_use]
    pub fn identity(&self) -> [u8; 32] {
        self.keyring.identity()
    }

    /// The store's id, drawn at its first start: another one is another store, though the unit may be the same.
    #[must_use]
    pub fn store_id(&self) -> [u8; 16] {
        self.keyring.store_id()
    }

    /// A signed checkpoint of the last durable entry, for a host to keep.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        self.log.checkpoint(&self.keyring)
    }

    /// The signed checkpoint right before [`Store::log_oldest`], with which a host that has no earlier one begins.
    ///
    /// # Errors
    /// [`StoreError`] if the log cannot be read.
    pub fn oldest_checkpoint(&self) -> Result<Checkpoint, StoreError> {
        self.log.oldest_checkpoint(self.flash.as_ref(), &self.keyring)
    }

    /// The signed receipt that a person was removed, by which log entry. `None` if there was no such removal, or if it left something
    /// of the templates on the flash.
    #[must_use]
    pub fn receipt(&self, person: PersonId, entry: u64) -> Option<Receipt> {
        let durable = self.gallery.as_ref()?;
        let gallery = durable.gallery();
        let gone = self.tombstones.0.contains(&person) && gallery.member(person).is_none();
        (gone && !durable.owes_erasure())
            .then(|| Receipt::sign(&self.keyring, person, gallery.generation(), entry))
    }

    /// Seals everything from now on with a new data key, and what is replaced whole at once; the next batch begins a segment.
    /// The keys before go once no segment needs them: the gallery's with [`Store::tidy_up`], the log's as it goes on.
    ///
    /// # Errors
    /// [`StoreError`]; some objects may still be sealed with the key before, which then stays.
    pub fn rotate_keys(&mut self) -> Result<(), StoreError> {
        self.keyring.rotate(self.flash.as_mut())?;
        for (object, plain) in
            REPLACED.into_iter().zip([self.tombstones.to_bytes(), self.roster.to_bytes()])
        {
            if self.flash.len(object)?.is_some() {
                self.replace(object, &plain)?;
            }
        }
        self.write_anchor()?;
        self.drop_old_keys()
    }

    /// Drops the data keys with which nothing is sealed any more.
    pub(super) fn drop_old_keys(&mut self) -> Result<(), StoreError> {
        let current = self.keyring.current();
        if self.keyring.oldest() == current {
            return Ok(());
        }
        let gallery = match &self.gallery {
            Some(durable) => durable.oldest_key(),
            None if self.flash.segments(Series::Gallery).is_empty() => None,
            // What it needs is known once it is loaded.
            None => return Ok(()),
        };
        let mut oldest = self.log.oldest_key().into_iter().chain(gallery).min().unwrap_or(current);
        for object in REPLACED.into_iter().chain([Object::Anchor]) {
            let key = sealed::key(self.flash.as_ref(), object)?;
            oldest = key.map_or(oldest, |key| oldest.min(key));
        }
        self.keyring.drop_before(self.flash.as_mut(), oldest)
    }
}
