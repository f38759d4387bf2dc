//! Who administers the unit, and the secrets of the link to them.

use super::Store;
use crate::administrators::Roster;
use crate::count;
use crate::error::StoreError;
use crate::flash::Object;
use crate::keys::Secret;
use threshold_record::{Administrator, KeyId, Role};

impl Store {
    /// Who may administer the unit.
    #[must_use]
    pub fn roster(&self) -> &Roster {
        &self.roster
    }

    /// Adds an administrator; durable on return.
    ///
    /// # Errors
    /// [`StoreError::Administrator`] if the roster's rules are against it; the roster is then as before.
    pub fn put_administrator(&mut self, administrator: Administrator) -> Result<(), StoreError> {
        let roster = self.roster.with(administrator)?;
        self.save_roster(roster)
    }

    /// Takes an administrator out and revokes the key for ever; durable on return.
    ///
    /// # Errors
    /// [`StoreError::Administrator`] if the roster's rules are against it; the roster is then as before.
    pub fn revoke_administrator(&mut self, key: KeyId) -> Result<(), StoreError> {
        let roster = self.roster.without(key)?;
        self.save_roster(roster)
    }

    /// Gives an administrator another role; durable on return.
    ///
    /// # Errors
    /// [`StoreError::Administrator`] if the roster's rules are against it; the roster is then as before.
    pub fn set_role(&mut self, key: KeyId, role: Role) -> Result<(), StoreError> {
        let roster = self.roster.with_role(key, role)?;
        self.save_roster(roster)
    }

    fn save_roster(&mut self, roster: Roster) -> Result<(), StoreError> {
        // A generation whose write failed is never given out again: the flash may have it, and somebody a copy.
        self.roster_given = count::after(self.roster_given)?;
        let roster = roster.of_generation(self.roster_given);
        self.replace(Object::Administrators, &roster.to_bytes())?;
        self.roster = roster;
        self.anchor.administrators = self.roster.generation();
        // The change is durable. If it cannot be bound now it is when the unit idles, and the next write of the log reports the fault.
        self.unbound = true;
        let _ = self.write_anchor();
        Ok(())
    }

    /// The unit's secret X25519 key of the link.
    #[must_use]
    pub fn link_secret(&self) -> &Secret {
        self.keyring.link()
    }

    /// The code on the label inside the housing, with which a first administrator pairs.
    #[must_use]
    pub fn pairing_code(&self) -> &[u8; 16] {
        self.keyring.pairing_code()
    }
}
