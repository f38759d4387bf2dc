//! Relay authority: whether the unit may move its lock, as far as its owner's recovery key goes (safety rule 8).
//!
//! Owns the record of the recovery key, which lies outside the store and outlives a wipe, and the commission in the log, which
//! does not. The unit has relay authority while both name the same key, and the commission is its owner's word; everything else
//! is refused, a record that is gone or damaged too.
//! ```text
//! record    commission in the log
//! none      none        never commissioned: the first owner brings a recovery key
//! K         none        wiped, or the store is gone: waits for K
//! K         K           holds
//! none      K           the record is gone: waits for K
//! K         another     a change of the key was cut off, or the record put in place by somebody: waits for K
//! damaged   K           waits for K, with a fault that names the record
//! damaged   none        nobody can commission the unit before its record is put right
//! ```
//! A recovery key is written to the record first, then its entry, then the commission with its own: a cut between leaves a unit that
//! waits for it.
//! Refuses to take a key without proof of its secret half, and another one than the unit knows.

use super::State;
use threshold_policy::rule::{self, Settled};
use threshold_record::{Cause, ContextKind, EntryKind, KeyId, KeyTag, LogEntry};
use threshold_store::{Flash, FlashError, StoreError, commission};
use threshold_wire::commission::Commission;
use threshold_wire::recovery::Proven;

/// The record of the recovery key, as it was read at the start or written since.
pub struct RecoveryRecord {
    flash: Option<Box<dyn Flash>>,
    /// The key; `None` if there is no record, in words why it cannot be read.
    key: Result<Option<[u8; 32]>, String>,
}

impl RecoveryRecord {
    /// Reads the record.
    #[must_use]
    pub fn open(opened: Result<Box<dyn Flash>, FlashError>) -> Self {
        match opened {
            Ok(flash) => {
                let key = commission::read(flash.as_ref()).map_err(|error| error.to_string());
                Self { flash: Some(flash), key }
            }
            Err(error) => Self { flash: None, key: Err(error.to_string()) },
        }
    }

    fn key(&self) -> Option<&[u8; 32]> {
        self.key.as_ref().ok()?.as_ref()
    }

    /// Why it cannot be read, with what helps.
    pub(super) fn fault(&self) -> Option<String> {
        let why = self.key.as_ref().err()?;
        Some(format!(
            "the record of the recovery key: {why}. Put the record back, or commission the unit with its recovery key"
        ))
    }

    fn write(&mut self, key: &[u8; 32]) -> Result<(), StoreError> {
        let Some(flash) = &mut self.flash else { return Err(StoreError::LogStopped) };
        let written = commission::write(flash.as_mut(), key);
        // Whether a write that failed is there is not known before it is read.
        self.key = commission::read(flash.as_ref()).map_err(|error| error.to_string());
        written
    }
}

impl std::fmt::Debug for RecoveryRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryRecord").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Why a unit was not commissioned.
#[derive(Debug)]
pub enum NotCommissioned {
    /// It knows another recovery key.
    OtherKey {
        /// Which.
        known: KeyId,
    },
    /// The record cannot be read, or could not be written.
    Record,
    /// The log did not take it.
    Store(StoreError),
}

impl State {
    /// How the unit stands.
    #[must_use]
    pub fn commission(&self) -> Commission {
        match (self.commissioned(), self.known_recovery_key(), &self.record.key) {
            (Some(given), ..) => Commission::Holds(KeyId::of_recovery_key(&given.recovery_key)),
            (None, Some(key), _) => Commission::Waits(KeyId::of_recovery_key(&key)),
            (None, None, Err(_)) => Commission::Unreadable,
            (None, None, Ok(_)) => Commission::Never,
        }
    }

    /// The commission, if it holds: without it the unit has no relay authority.
    pub(super) fn commissioned(&self) -> Option<rule::Commission> {
        self.settled.and_then(|settled| settled.commissioned(self.owner(), self.record.key()))
    }

    /// The recovery key that the unit asks for: that of the record, or without one that of its log.
    fn known_recovery_key(&self) -> Option<[u8; 32]> {
        self.record
            .key()
            .copied()
            .or_else(|| self.logged()?.commission.map(|held| held.recovery_key))
    }

    /// What is settled; without an embedder as the log has it.
    fn logged(&self) -> Option<Settled> {
        self.settled.or_else(|| {
            let bytes = self.journal.as_ref()?.store().last_context(ContextKind::Policy)?;
            Settled::from_context(bytes).ok()
        })
    }

    /// An owner gives the unit its relay authority with the recovery key, and perhaps lets another one take that one's place;
    /// nothing happens if all of it is so already.
    ///
    /// # Errors
    /// [`NotCommissioned`]; the unit then waits for the key that [`State::commission`] names.
    pub fn give_authority(
        &mut self,
        key: Proven,
        successor: Option<Proven>,
        by: KeyTag,
    ) -> Result<(), NotCommissioned> {
        let known = self.known_recovery_key();
        match known {
            Some(known) if known != *key.key() => {
                return Err(NotCommissioned::OtherKey { known: KeyId::of_recovery_key(&known) });
            }
            None if self.record.key.is_err() => return Err(NotCommissioned::Record),
            _ => {}
        }
        // Without a log nothing is commissioned, and then the record stays as it is.
        if self.settled.is_none() || self.journal.is_none() {
            return Err(NotCommissioned::Store(StoreError::LogStopped));
        }
        let recovery_key = *successor.unwrap_or(key).key();
        // The log may name the one before: a change that was cut off, or a record that somebody put in place.
        let logged = self.logged().and_then(|logged| logged.commission);
        let is_new = known != Some(recovery_key)
            || logged.is_some_and(|logged| logged.recovery_key != recovery_key);
        if !is_new && self.commissioned().is_some() && !self.settling_failed {
            return Ok(());
        }
        if self.record.key() != Some(&recovery_key)
            && let Err(error) = self.record.write(&recovery_key)
        {
            self.notices.tell(&format!("the record of the recovery key is not written: {error}"));
            self.tell_arming();
            return Err(NotCommissioned::Record);
        }
        let about = KeyId::of_recovery_key(&recovery_key).tag();
        let entry = |kind| LogEntry { by, about, ..LogEntry::of(kind) };
        let given = rule::Commission { by, recovery_key };
        let registered = match is_new {
            true => self
                .name_again()
                .and_then(|journal| journal.write(entry(EntryKind::RecoveryKeySet)))
                .map(drop),
            false => Ok(()),
        };
        let settled = registered.and_then(|()| {
            self.change_settled(entry(EntryKind::Commissioned), |settled| {
                settled.commission = Some(given)
            })
        });
        if let Err(error) = settled {
            // The record may name another key than the log now.
            self.tell_arming();
            return Err(NotCommissioned::Store(error));
        }
        self.mend(Cause::NotCommissioned);
        Ok(())
    }
}
