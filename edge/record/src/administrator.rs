//! Administrators: who may ask what of a unit, and by which key the link knows them.
//!
//! Owns the role, the public key's short name, and the entry of the roster. Refuses to hold a secret key and to check
//! one: a session proves possession, `wire` runs it.

use crate::Name;
use crate::decision::coded;
use core::fmt;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

coded! {
    /// What an administrator may ask. Each role may all that the ones before it may.
    Role {
        /// Looks: lists, log, state.
        Viewer = 0 => "viewer",
        /// Changes the gallery too.
        Enroller = 1 => "enroller",
        /// Changes the unit too: administrators, settings, updates.
        Owner = 2 => "owner",
    }
}

impl Role {
    /// True if this role may do what at least `least` may.
    #[must_use]
    pub const fn reaches(self, least: Self) -> bool {
        self.code() >= least.code()
    }
}

/// The short name of a public key, an administrator's or a recovery key's: says which key is meant and proves nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
pub struct KeyId(pub [u8; 8]);

impl KeyId {
    /// What the key is hashed under, so that no other hash of the same bytes is a key id.
    const CONTEXT: &'static str = "threshold 2026 key id of an X25519 public key";

    /// The same for the other kind of key.
    const RECOVERY_CONTEXT: &'static str = "threshold 2026 key id of a recovery key";

    /// The first 8 bytes of BLAKE3 in its key derivation mode over an X25519 public key.
    #[must_use]
    pub fn of(public_key: &[u8; 32]) -> Self {
        Self::under(Self::CONTEXT, public_key)
    }

    /// The same over an owner's recovery key, an Ed25519 public key.
    #[must_use]
    pub fn of_recovery_key(public_key: &[u8; 32]) -> Self {
        Self::under(Self::RECOVERY_CONTEXT, public_key)
    }

    fn under(context: &str, public_key: &[u8; 32]) -> Self {
        let hash = blake3::derive_key(context, public_key);
        let mut id = [0; 8];
        id.copy_from_slice(&hash[..8]);
        Self(id)
    }

    /// Its first 4 bytes.
    #[must_use]
    pub const fn tag(self) -> KeyTag {
        let [a, b, c, d, ..] = self.0;
        KeyTag([a, b, c, d])
    }
}

/// The first 4 bytes of a [`KeyId`], by which a log entry names an administrator: among the few of a unit it tells each from
/// the others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Schema)]
pub struct KeyTag(pub [u8; 4]);

impl KeyTag {
    /// No administrator: the unit itself, or a line that it obeys without a session.
    pub const NOBODY: Self = Self([0; 4]);

    /// True for [`KeyTag::NOBODY`].
    #[must_use]
    pub const fn is_nobody(self) -> bool {
        matches!(self.0, [0, 0, 0, 0])
    }
}

impl fmt::Display for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyTag({self})")
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// An administrator of a unit, as its roster keeps one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Administrator {
    /// X25519 public key, 32 bytes; the roster has each key once.
    pub key: [u8; 32],
    /// What people call the administrator.
    pub name: Name,
    /// What the administrator may ask.
    pub role: Role,
}

impl Administrator {
    /// The short name of the key.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.key)
    }
}
