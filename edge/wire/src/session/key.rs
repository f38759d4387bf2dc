//! Secret keys: X25519, made here, printed nowhere.
//!
//! Refuses a default: a key is random or was kept by its owner.

use alloc::boxed::Box;
use core::fmt;
use snow::params::DHChoice;
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::Dh;
use threshold_record::KeyId;

/// Why there is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The system gives no random numbers.
    #[error("the system gives no random numbers; without them no key can be made")]
    NoRandom,
    /// A public key to which every secret gives the same answer.
    #[error("the public key is of no use: it gives the same secret to everybody")]
    Weak,
}

/// The secret key of a unit or an administrator, and its public half.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey {
    secret: [u8; 32],
    public: [u8; 32],
}

impl SecretKey {
    /// A key that nobody else has.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = [0; 32];
        fill_random(&mut secret)?;
        Self::of_bytes(secret)
    }

    /// The key of bytes that its owner kept.
    ///
    /// # Errors
    /// Never with the curve that is built in.
    pub fn of_bytes(secret: [u8; 32]) -> Result<Self, KeyError> {
        let mut curve = curve()?;
        curve.set(&secret);
        let public = curve.pubkey().try_into().map_err(|_| KeyError::NoRandom)?;
        Ok(Self { secret, public })
    }

    /// The secret bytes, to be kept where nobody else reads them.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.secret
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// The public half's short name.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.public)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretKey").field("id", &self.key_id()).finish_non_exhaustive()
    }
}

/// Refuses the points of small order: an administrator with such a key could be played by anybody.
pub(crate) fn check_public(public: &[u8; 32]) -> Result<(), KeyError> {
    let mut curve = curve()?;
    curve.set(&[1; 32]);
    let mut shared = [0; 32];
    curve.dh(public, &mut shared).map_err(|_| KeyError::Weak)?;
    if shared == [0; 32] { Err(KeyError::Weak) } else { Ok(()) }
}

/// Fills with bytes that nobody can foretell.
pub(crate) fn fill_random(into: &mut [u8]) -> Result<(), KeyError> {
    let mut random = DefaultResolver.resolve_rng().ok_or(KeyError::NoRandom)?;
    random.try_fill_bytes(into).map_err(|_| KeyError::NoRandom)
}

fn curve() -> Result<Box<dyn Dh>, KeyError> {
    DefaultResolver.resolve_dh(&DHChoice::Curve25519).ok_or(KeyError::NoRandom)
}
