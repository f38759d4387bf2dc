//! The owner's recovery key: how it is spelt, and what it signs.
//!
//! ```text
//! signed: "Threshold commission 1" | unit's signing key [32] | administrator's key of the link [32], zero over a line that is obeyed
//!         without a session | nonce [32] | recovery key [32] | its successor [32], zero for none
//! ```
//! The key is 128 random bits on paper, spelt like a pairing code; the Ed25519 key pair (RFC 8032) is derived from them, since
//! that is as hard to guess and half as long to type. The unit knows the public half only.
//! What is signed names the unit and who asks, so that a challenge of one unit serves at no other, and one that was got by one
//! administrator not through another's hands.
//! Refuses a key of small order, a signature that is not the one of its message (`verify_strict`), and a default key.

use crate::commission::{Signature, Signed};
use crate::pairing::{CodeError, CodeText, Spelling, read, spell};
use crate::session::{KeyError, fill_random};
use core::fmt;
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use threshold_record::KeyId;

const PURPOSE: &[u8; 22] = b"Threshold commission 1";
const LEN: usize = PURPOSE.len() + 5 * 32;

/// An owner's recovery key. Its debug text does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryKey {
    code: [u8; 16],
    pair: SigningKey,
}

impl RecoveryKey {
    /// A key that nobody else has.
    ///
    /// # Errors
    /// [`KeyError::NoRandom`].
    pub fn random() -> Result<Self, KeyError> {
        let mut code = [0; 16];
        fill_random(&mut code)?;
        Ok(Self::of_bytes(code))
    }

    /// The key of the bytes that stand on the paper.
    #[must_use]
    pub fn of_bytes(code: [u8; 16]) -> Self {
        let seed = blake3::derive_key("threshold 2026 Ed25519 seed of a recovery key", &code);
        Self { code, pair: SigningKey::from_bytes(&seed) }
    }

    /// The key as it stands on the paper.
    #[must_use]
    pub fn text(&self) -> CodeText {
        spell(&self.code, Spelling::Recovery)
    }

    /// The key of a text.
    ///
    /// # Errors
    /// [`CodeError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        read(text, Spelling::Recovery).map(Self::of_bytes)
    }

    /// The public half, which a unit keeps.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        self.pair.verifying_key().to_bytes()
    }

    /// The public half's short name.
    #[must_use]
    pub fn key_id(&self) -> KeyId {
        KeyId::of_recovery_key(&self.public())
    }

    /// The public half with its signature under what is asked.
    #[must_use]
    pub fn sign(&self, asked: &Asked) -> Signed {
        let signature = self.pair.sign(&asked.bytes()).to_bytes();
        Signed { key: self.public(), signature: Signature::from_array(signature) }
    }
}

impl fmt::Debug for RecoveryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecoveryKey").field("id", &self.key_id()).finish_non_exhaustive()
    }
}

/// What a recovery key is asked to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The unit's public signing key.
    pub unit: [u8; 32],
    /// The public key of the administrator whose session it is; `None` over a line that is obeyed without one.
    pub administrator: Option<[u8; 32]>,
    /// The challenge's random bytes.
    pub nonce: [u8; 32],
    /// The recovery key.
    pub key: [u8; 32],
    /// The one that is to take its place.
    pub successor: Option<[u8; 32]>,
}

impl Asked {
    fn bytes(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let (purpose, fields) = bytes.split_at_mut(PURPOSE.len());
        purpose.copy_from_slice(PURPOSE);
        let told = [
            self.unit,
            self.administrator.unwrap_or_default(),
            self.nonce,
            self.key,
            self.successor.unwrap_or_default(),
        ];
        for (place, field) in fields.chunks_exact_mut(32).zip(&told) {
            place.copy_from_slice(field);
        }
        bytes
    }

    /// The recovery key, if it signed this.
    #[must_use]
    pub fn proven(&self, signed: &Signed) -> Option<Proven> {
        let signature = signed.signature.as_slice().try_into().ok()?;
        let key = VerifyingKey::from_bytes(&signed.key).ok()?;
        // Strict: no key of small order, and one signature for one message.
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        key.verify_strict(&self.bytes(), &signature).ok()?;
        Some(Proven(signed.key))
    }
}

/// A recovery key, public. Holding one proves that whoever asks has the secret half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven([u8; 32]);

impl Proven {
    /// The public key.
    #[must_use]
    pub fn key(&self) -> &[u8; 32] {
        &self.0
    }
}

/// Random bytes for a challenge.
///
/// # Errors
/// [`KeyError::NoRandom`].
pub fn nonce() -> Result<[u8; 32], KeyError> {
    let mut nonce = [0; 32];
    fill_random(&mut nonce)?;
    Ok(nonce)
}
