//! The keyring: the unit's own key, its pairing code, and the administrators that it knows.
//!
//! Owns the trait, which the store implements. Refuses to hold a default: a unit without a keyring opens no session and
//! pairs nobody.

use threshold_record::Administrator;
use threshold_wire::pairing::PairingCode;
use threshold_wire::session::SecretKey;

/// What a unit needs to know who is at its line.
pub trait Keyring: std::fmt::Debug + Send {
    /// The unit's own key, made at its first start.
    fn secret(&self) -> &SecretKey;

    /// The code on the plate inside the housing.
    fn code(&self) -> &PairingCode;

    /// Everybody who is paired and not revoked.
    fn administrators(&self) -> &[Administrator];

    /// Adds an administrator, or gives a known key another name and role. Durable before it returns.
    ///
    /// # Errors
    /// What the store said; nothing was changed.
    fn keep(&mut self, administrator: Administrator) -> Result<(), KeyringError>;
}

/// The keyring could not keep an administrator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the administrator was not kept: {0}")]
pub struct KeyringError(pub String);
