//! Who may sign: the release key vouches for a build key, and takes back others.
//!
//! Owns the file KEYS and what a unit remembers of it. Refuses a list that is older than one that the unit has seen, since
//! that one may have revoked the key of this one.

use crate::BundleError;
use crate::signed::Signed;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// The name of the member.
pub(crate) const KEYS: &str = "KEYS";

/// The most keys that can be revoked.
const MAX_REVOKED: usize = 256;

/// Which build key the release key vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The format's version, 1.
    pub format: u32,
    /// Grows with every list that the release key signs.
    pub serial: u64,
    /// The public build key, Ed25519, in hex.
    pub build_key: String,
    /// Build keys that are revoked, in hex.
    pub revoked: Vec<String>,
}

/// Whom a unit believes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The public release key, Ed25519.
    pub release_key: [u8; 32],
    /// Serial of the newest list of keys that the unit has seen; 0 for none.
    pub serial: u64,
}

impl Trust {
    /// Whom a unit on a developer's bench believes.
    #[must_use]
    pub fn development() -> Self {
        Self { release_key: development_key().verifying_key().to_bytes(), serial: 0 }
    }
}

/// The key that stands for both, release and build, on a developer's bench: everybody has it, and no unit at a door
/// believes it.
#[must_use]
pub fn development_key() -> SigningKey {
    SigningKey::from_bytes(&blake3::derive_key("threshold development key, trusted by nobody", b""))
}

impl Keys {
    /// A list that names a build key.
    #[must_use]
    pub fn of(build_key: &SigningKey, serial: u64) -> Self {
        let build_key = hex(build_key.verifying_key().as_bytes());
        Self { format: 1, serial, build_key, revoked: Vec::new() }
    }

    /// The text and the release key's signature under it.
    ///
    /// # Errors
    /// [`BundleError::Text`] if a key is none.
    pub fn sign(&self, release_key: &SigningKey) -> Result<(String, [u8; 64]), BundleError> {
        self.signed(release_key)
    }

    /// The list of a text, if the release key signed it.
    ///
    /// # Errors
    /// [`BundleError`].
    pub(crate) fn verified(
        bytes: &[u8],
        signature: &[u8; 64],
        trust: &Trust,
    ) -> Result<Self, BundleError> {
        let everybodys = development_key().verifying_key().to_bytes();
        let keys = match Self::opened(bytes, signature, &trust.release_key) {
            Err(BundleError::Signature { .. }) if signs(&everybodys, bytes, signature) => {
                return Err(BundleError::Development);
            }
            opened => opened?,
        };
        // A release key that vouches for it by mistake would let everybody sign.
        if keys.build_key() == everybodys && trust.release_key != everybodys {
            return Err(BundleError::Development);
        }
        if keys.serial < trust.serial || keys.revoked.contains(&keys.build_key) {
            return Err(BundleError::KeyRevoked { serial: keys.serial, known: trust.serial });
        }
        Ok(keys)
    }

    /// The public build key.
    pub(crate) fn build_key(&self) -> [u8; 32] {
        from_hex(&self.build_key).unwrap_or_default()
    }
}

impl Signed for Keys {
    const MEMBER: &'static str = KEYS;
    const TITLE: &'static str = "# threshold build key\n";
    const SIGNER: &'static str = "release";

    fn check(&self) -> Result<(), BundleError> {
        if self.format != 1 {
            return Err(Self::fault(format!("it is of format {}", self.format)));
        }
        if self.revoked.len() > MAX_REVOKED {
            return Err(Self::fault(format!("it revokes more than {MAX_REVOKED} keys")));
        }
        let mut all = self.revoked.iter().chain([&self.build_key]);
        match all.find(|key| from_hex(key).is_none()) {
            Some(key) => Err(Self::fault(format!("{key:?} is no key"))),
            None => Ok(()),
        }
    }
}

/// True if the key signed the bytes.
pub(crate) fn signs(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(bytes, &Signature::from_bytes(signature)).is_ok())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// 32 bytes of 64 small hex digits: one value has one text.
#[must_use]
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let small = |digit: &u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(digit);
    (digits.len() == 64 && digits.iter().all(small)).then_some(())?;
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
