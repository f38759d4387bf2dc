//! The receipt of a removal: the unit's signature that a person's templates are gone from it.
//!
//! ```text
//! 0 version u16 (1) | 2 reserved u16, zero | 4 person u32 | 8 store id [16] | 24 gallery's generation u64 | 32 log entry u64
//! 40 Ed25519 signature [64] of "Threshold removal receipt 1" and bytes 0 to 40
//! ```
//! The log entry of the removal says when. What the receipt vouches for: the id is in the tombstones, the gallery of that
//! generation and every later one have nobody of it, and no object of the store holds the templates any more. It says nothing of
//! backups, of what a host keeps, of blocks that a file system freed (in a folder a removal is new files in place of old ones), and of
//! what a device keeps below the pages that were overwritten: all those are sealed, and go for good with the unit's secret. A change of the data key does not take them from whoever finds an overwritten key ring and has the secret.

use crate::bytes::array;
use crate::keyring::{Keyring, is_signed};
use threshold_record::PersonId;

const VERSION: u16 = 1;
const SIGNED: usize = 40;
const PURPOSE: &[u8] = b"Threshold removal receipt 1";

/// Why bytes are not the unit's receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Written by a later version.
    #[error("a receipt of version {found}, this program reads up to 1; update this program")]
    Version {
        /// What the bytes say.
        found: u16,
    },
    /// Not signed by that unit, or changed afterwards.
    #[error(
        "the receipt of the removal of person {} is not signed by this unit; ask whether this is the unit that was paired, and \
         list its gallery", person.0
    )]
    NotSigned {
        /// Whom it is about.
        person: PersonId,
    },
}

/// A signed receipt of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Who was removed.
    pub person: PersonId,
    /// The store's id.
    pub store_id: [u8; 16],
    /// The gallery's generation without that person.
    pub generation: u64,
    /// Sequence of the log entry that says so; 0 if it could not be written.
    pub entry: u64,
    /// The unit's signature.
    pub signature: [u8; 64],
}

impl Receipt {
    /// Bytes of a receipt.
    pub const LEN: usize = SIGNED + 64;

    pub(crate) fn sign(keyring: &Keyring, person: PersonId, generation: u64, entry: u64) -> Self {
        let store_id = keyring.store_id();
        let mut receipt = Self { person, store_id, generation, entry, signature: [0; 64] };
        receipt.signature = keyring.sign(&receipt.signed());
        receipt
    }

    /// Its bytes; see the file's header.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &VERSION.to_le_bytes());
        put(4, &self.person.0.to_le_bytes());
        put(8, &self.store_id);
        put(24, &self.generation.to_le_bytes());
        put(32, &self.entry.to_le_bytes());
        put(SIGNED, &self.signature);
        bytes
    }

    /// The receipt of bytes. Holding one proves nothing before [`Receipt::verify`].
    ///
    /// # Errors
    /// [`ReceiptError::Version`].
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, ReceiptError> {
        let found = u16::from_le_bytes(array(bytes, 0));
        if found != VERSION {
            return Err(ReceiptError::Version { found });
        }
        Ok(Self {
            person: PersonId(u32::from_le_bytes(array(bytes, 4))),
            store_id: array(bytes, 8),
            generation: u64::from_le_bytes(array(bytes, 24)),
            entry: u64::from_le_bytes(array(bytes, 32)),
            signature: array(bytes, SIGNED),
        })
    }

    /// Checks that the unit of this public key signed it.
    ///
    /// # Errors
    /// [`ReceiptError::NotSigned`].
    pub fn verify(&self, identity: &[u8; 32]) -> Result<(), ReceiptError> {
        match is_signed(identity, &self.signed(), &self.signature) {
            true => Ok(()),
            false => Err(ReceiptError::NotSigned { person: self.person }),
        }
    }

    fn signed(&self) -> Vec<u8> {
        [PURPOSE, &self.to_bytes()[..SIGNED]].concat()
    }
}
