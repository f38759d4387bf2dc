//! The vault's key, and the sealing of its rows.
//!
//! ```text
//! sealed:  0 nonce [24], random | 24 ciphertext | n tag [16]      XChaCha20-Poly1305
//! bound:   0 "threshold vault 1" [17] | 17 vault id [16] | 33 kind u8 | 34 person u32 | 38 crop u64 | 46 slot u8
//!         47 model id [32]                                        little endian; what a kind has not is 0
//! ```
//! What a row is sealed with names the row, so that one put in another's place does not open. Refuses a nonce of the
//! caller's: none can be used twice.
//! What this does not keep: whoever may write the file can leave out whole people or what the vault demands, or put an older copy of a
//! row in its place.

use super::VaultError;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use threshold_record::ModelId;
use zeroize::Zeroizing;

/// A vault's key; its bytes are overwritten when it goes.
pub type VaultKey = Zeroizing<[u8; 32]>;

/// A name of a key, which says nothing of it.
pub(super) type KeyName = [u8; 8];

const DOMAIN: &[u8; 17] = b"threshold vault 1";
const NONCE: usize = 24;

/// Which row a payload is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    Person {
        person: u32,
    },
    Crop {
        person: u32,
        crop: u64,
        slot: u8,
    },
    Template {
        person: u32,
        crop: u64,
        slot: u8,
        model: ModelId,
    },
    /// What the vault demands of whoever is taken in.
    Demands,
}

impl Row {
    fn bound(self, vault: &[u8; 16]) -> Vec<u8> {
        let (kind, person, crop, slot, model) = match self {
            Self::Person { person } => (1, person, 0, 0, [0; 32]),
            Self::Crop { person, crop, slot } => (2, person, crop, slot, [0; 32]),
            Self::Template { person, crop, slot, model } => (3, person, crop, slot, model.0),
            Self::Demands => (4, 0, 0, 0, [0; 32]),
        };
        let mut bytes = Vec::from(DOMAIN);
        bytes.extend_from_slice(vault);
        bytes.push(kind);
        bytes.extend_from_slice(&person.to_le_bytes());
        bytes.extend_from_slice(&crop.to_le_bytes());
        bytes.push(slot);
        bytes.extend_from_slice(&model);
        bytes
    }

    /// The row in words, for whoever reads that it does not open.
    pub(super) fn words(self) -> String {
        match self {
            Self::Person { person } => format!("the record of person {person} does not open"),
            Self::Crop { person, slot, .. } => {
                format!("crop {slot} of person {person} does not open")
            }
            Self::Template { person, slot, model, .. } => {
                format!("template {slot} of person {person} by model {} does not open", model.tag())
            }
            Self::Demands => "what it demands does not open".to_owned(),
        }
    }
}

/// Seals and opens the rows of one vault.
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    vault: [u8; 16],
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("vault", &self.vault).finish_non_exhaustive()
    }
}

impl Seal {
    pub(super) fn new(key: &VaultKey, vault: [u8; 16]) -> Self {
        Self { cipher: XChaCha20Poly1305::new((&**key).into()), vault }
    }

    pub(super) fn seal(&self, row: Row, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let nonce: [u8; NONCE] = random()?;
        let payload = Payload { msg: plain, aad: &row.bound(&self.vault) };
        // It fails for payloads longer than any crop alone.
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.map_err(|_| VaultError::Crop("it is too long".to_owned()))?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// `None` if it is not what was sealed for this row.
    pub(super) fn open(&self, row: Row, sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
        let payload = Payload { msg: sealed, aad: &row.bound(&self.vault) };
        self.cipher.decrypt(&XNonce::from(*nonce), payload).ok()
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| VaultError::NoRandom(error.to_string()))?;
    Ok(bytes)
}

/// The name by which a vault knows its key again.
pub(super) fn name_of(key: &VaultKey) -> KeyName {
    let hash = Zeroizing::new(blake3::derive_key("threshold vault 2026 name of a key", &**key));
    let mut name = KeyName::default();
    name.copy_from_slice(&hash[..8]);
    name
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_row_opens_in_its_own_place_alone() {
        let key = VaultKey::new([7; 32]);
        let seal = Seal::new(&key, [1; 16]);
        let model = ModelId([9; 32]);
        let rows = [
            Row::Person { person: 1 },
            Row::Person { person: 2 },
            Row::Crop { person: 1, crop: 1, slot: 0 },
            Row::Crop { person: 1, crop: 1, slot: 1 },
            Row::Crop { person: 1, crop: 2, slot: 0 },
            Row::Crop { person: 2, crop: 1, slot: 0 },
            Row::Template { person: 1, crop: 1, slot: 0, model },
            Row::Template { person: 1, crop: 1, slot: 0, model: ModelId([8; 32]) },
            Row::Demands,
        ];
        for row in rows {
            let sealed = seal.seal(row, b"payload").unwrap();
            for other in rows {
                let opened = seal.open(other, &sealed);
                assert_eq!(opened.is_some(), row == other, "{row:?} in the place of {other:?}");
            }
            assert_eq!(Seal::new(&key, [2; 16]).open(row, &sealed), None, "another vault");
            assert_eq!(Seal::new(&VaultKey::new([8; 32]), [1; 16]).open(row, &sealed), None);
            for at in 0..sealed.len() {
                let mut bad = sealed.clone();
                bad[at] ^= 1;
                assert_eq!(seal.open(row, &bad), None, "byte {at}");
                assert_eq!(seal.open(row, &sealed[..at]), None, "cut at {at}");
            }
        }
        let (a, b) = (seal.seal(rows[0], b"").unwrap(), seal.seal(rows[0], b"").unwrap());
        assert_ne!(a[..NONCE], b[..NONCE], "no nonce comes twice");
    }
}
