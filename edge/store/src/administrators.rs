//! The roster: administrators and their keys, and the keys that were revoked.
//!
//! ```text
//!  0 magic "THRADM\r\n" | 8 version u16 (1) | 10 reserved u16, zero | 12 generation u64 | 20 administrators u32 | 24 revoked u32
//! 28 each administrator  key [32] | role u8 | name length u8 | name, UTF-8
//!    each revoked        key id [8], rising
//! ```
//! Sealed as a whole, replaced with each change, which gives a new generation. A revoked key never comes back: its id is a
//! tombstone that belongs to the roster and to no administrator (safety rule 4). Refuses to revoke the last owner or to give
//! him another role, since nobody could administer the unit then but by wiping it.

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::Object;
use std::collections::BTreeSet;
use threshold_record::name::MAX_NAME_BYTES;
use threshold_record::{Administrator, KeyId, Name, Role};

const MAGIC: [u8; 8] = *b"THRADM\r\n";
const VERSION: u16 = 1;

/// Administrators that fit: a site's staff, and few enough that each is known.
pub const MAX_ADMINISTRATORS: usize = 32;
/// Revoked keys that fit: one a week for two lives of a unit.
const MAX_REVOKED: usize = 2000;
pub(crate) const MAX_BYTES: u64 =
    (28 + MAX_ADMINISTRATORS * (32 + 2 + MAX_NAME_BYTES) + MAX_REVOKED * 8) as u64;

/// A change of the roster that is against its rules; nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdministratorError {
    /// No place is left.
    #[error("the unit has {MAX_ADMINISTRATORS} administrators; revoke one who no longer needs it")]
    Full,
    /// Keys are revoked for ever, and no more fit.
    #[error("{MAX_REVOKED} keys were revoked on this unit; wipe it and pair it again")]
    RevokedFull,
    /// The key was revoked.
    #[error("key {key} was revoked and never comes back; pair with a new key")]
    Revoked {
        /// The key's id.
        key: KeyId,
    },
    /// Another administrator has that name or that key.
    #[error(
        "an administrator of that name or key is there with key {key}; give another name, or revoke that key first"
    )]
    Taken {
        /// The other's key.
        key: KeyId,
    },
    /// Nobody of that key.
    #[error("no administrator has key {key}; list the administrators to see who is there")]
    Unknown {
        /// The key's id.
        key: KeyId,
    },
    /// The unit would have no owner.
    #[error(
        "key {key} is the last owner's; make another administrator an owner first, or wipe the unit"
    )]
    LastOwner {
        /// The key's id.
        key: KeyId,
    },
}

/// The administrators of a unit. Holding one proves that names and keys are unique and none of the keys is revoked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    generation: u64,
    administrators: Vec<Administrator>,
    revoked: BTreeSet<KeyId>,
}

impl Roster {
    /// Grows with each change, never goes back; 0 if there never was an administrator.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The administrators, in order of their coming.
    #[must_use]
    pub fn administrators(&self) -> &[Administrator] {
        &self.administrators
    }

    /// The administrator of a key.
    #[must_use]
    pub fn of_key(&self, key: KeyId) -> Option<&Administrator> {
        self.administrators.iter().find(|held| held.key_id() == key)
    }

    /// True if the key was revoked.
    #[must_use]
    pub fn is_revoked(&self, key: KeyId) -> bool {
        self.revoked.contains(&key)
    }

    /// The roster at a generation.
    pub(crate) fn of_generation(self, generation: u64) -> Self {
        Self { generation, ..self }
    }

    /// The roster with one more, its generation not yet given.
    pub(crate) fn with(&self, administrator: Administrator) -> Result<Self, AdministratorError> {
        let key = administrator.key_id();
        if self.is_revoked(key) {
            return Err(AdministratorError::Revoked { key });
        }
        let same = |held: &&Administrator| held.key_id() == key || held.name == administrator.name;
        if let Some(held) = self.administrators.iter().find(same) {
            return Err(AdministratorError::Taken { key: held.key_id() });
        }
        if self.administrators.len() >= MAX_ADMINISTRATORS {
            return Err(AdministratorError::Full);
        }
        let mut roster = self.clone();
        roster.administrators.push(administrator);
        Ok(roster)
    }

    /// The roster without one, whose key is revoked; its generation not yet given.
    pub(crate) fn without(&self, key: KeyId) -> Result<Self, AdministratorError> {
        self.check_not_last_owner(key)?;
        if self.revoked.len() >= MAX_REVOKED {
            return Err(AdministratorError::RevokedFull);
        }
        let mut roster = self.clone();
        roster.administrators.retain(|held| held.key_id() != key);
        roster.revoked.insert(key);
        Ok(roster)
    }

    /// The roster in which one has another role.
    pub(crate) fn with_role(&self, key: KeyId, role: Role) -> Result<Self, AdministratorError> {
        if role != Role::Owner {
            self.check_not_last_owner(key)?;
        }
        let mut roster = self.clone();
        let mut held = roster.administrators.iter_mut();
        let there = held.find(|held| held.key_id() == key);
        there.ok_or(AdministratorError::Unknown { key })?.role = role;
        Ok(roster)
    }

    /// Refuses what would leave the unit without an owner if this one went.
    fn check_not_last_owner(&self, key: KeyId) -> Result<(), AdministratorError> {
        let there = self.of_key(key).ok_or(AdministratorError::Unknown { key })?;
        let owners = self.administrators.iter().filter(|held| held.role == Role::Owner).count();
        if there.role == Role::Owner && owners == 1 {
            return Err(AdministratorError::LastOwner { key });
        }
        Ok(())
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&self.generation.to_le_bytes());
        bytes.extend_from_slice(&(self.administrators.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&(self.revoked.len() as u32).to_le_bytes());
        for held in &self.administrators {
            bytes.extend_from_slice(&held.key);
            bytes.extend_from_slice(&[held.role.code(), held.name.len() as u8]);
            bytes.extend_from_slice(held.name.as_str().as_bytes());
        }
        for key in &self.revoked {
            bytes.extend_from_slice(&key.0);
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(Object::Administrators, bytes);
        reader.magic(&MAGIC)?;
        reader.version(VERSION)?;
        reader.zero(2)?;
        let generation = reader.count()?;
        let (administrators, revoked) = (reader.u32()?, reader.u32()?);
        let mut roster = Self::default();
        let mut held = Vec::new();
        for _ in 0..administrators {
            held.push(administrator(&mut reader)?);
        }
        for _ in 0..revoked {
            roster.revoked.insert(KeyId(reader.array()?));
        }
        for administrator in held {
            let taken = roster.with(administrator);
            roster = taken.map_err(|_| reader.damaged("administrators who do not go together"))?;
        }
        if reader.left() != 0 || roster.revoked.len() != revoked as usize {
            return Err(reader.damaged("the revoked keys"));
        }
        Ok(roster.of_generation(generation))
    }
}

fn administrator(reader: &mut Reader<'_>) -> Result<Administrator, StoreError> {
    let key = reader.array()?;
    let role = Role::from_code(reader.u8()?).ok_or(reader.damaged("a role"))?;
    let len = usize::from(reader.u8()?);
    let name = std::str::from_utf8(reader.take(len)?).map_err(|_| reader.damaged("a name"))?;
    let name = Name::new(name).map_err(|_| reader.damaged("a name"))?;
    Ok(Administrator { key, name, role })
}
