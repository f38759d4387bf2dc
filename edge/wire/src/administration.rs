//! The messages about administrators: who they are, who goes, who may what.
//!
//! Owns no way to add one: that is the pairing's, which proves that somebody stands at the unit.

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{Administrator, KeyId, Name, Role};

/// Administrators in one page.
pub const ADMINISTRATOR_PAGE: usize = 8;

/// Asks for administrators in the order of their coming.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorPageRequest {
    /// The page starts after this one; `None` for the first page.
    pub after: Option<KeyId>,
}

/// Administrators in the order of their coming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorPage {
    /// The administrators, with their public keys.
    pub administrators: Vec<Administrator, ADMINISTRATOR_PAGE>,
    /// True if more follow.
    pub more: bool,
    /// Who asks; `None` over a line that is obeyed without a session.
    pub you: Option<KeyId>,
}

/// Takes an administrator out and revokes the key for ever. Anybody may revoke the own key, an owner every key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorRevoke {
    /// Whose key.
    pub key: KeyId,
}

/// The key is revoked, durably; a session of it hears this and nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorRevoked {
    /// Who had it.
    pub name: Name,
}

/// Gives an administrator a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorRole {
    /// Whose key.
    pub key: KeyId,
    /// What the administrator may ask from now on.
    pub role: Role,
}

/// The administrator has the role, durably.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct AdministratorRoleSet {
    /// Whose key it is.
    pub name: Name,
}
