//! The tombstones: ids of people who were removed. They belong to no gallery, no slot and no model, and are applied
//! to whatever gallery is loaded, so that an older gallery resurrects nobody (safety rule 4).
//!
//! ```text
//! 0 magic "THRTMB\r\n" | 8 version u16 (1) | 10 reserved u16 | 12 count u32 | 16 ids u32 each, rising | crc32 of all before
//! ```

use crate::bytes::Reader;
use crate::error::StoreError;
use crate::flash::Object;
use std::collections::BTreeSet;
use threshold_record::PersonId;

const MAGIC: [u8; 8] = *b"THRTMB\r\n";
const VERSION: u16 = 1;

/// 16 million removals: more than ids that a unit gives out in its life.
pub(crate) const MAX_BYTES: u64 = 64 << 20;

/// The ids that are never used again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstones(pub(crate) BTreeSet<PersonId>);

impl Tombstones {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(20 + 4 * self.0.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&[0; 2]);
        bytes.extend_from_slice(&(self.0.len() as u32).to_le_bytes());
        for person in &self.0 {
            bytes.extend_from_slice(&person.0.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, StoreError> {
        let mut reader = Reader::new(Object::Tombstones, bytes);
        reader.magic(&MAGIC)?;
        reader.version(VERSION)?;
        let mut reader = reader.hashed(|covered| crc32fast::hash(covered).to_le_bytes())?;
        reader.zero(2)?;
        let count = reader.u32()? as usize;
        if reader.left() != 4 * count {
            return Err(reader.damaged("the count of ids"));
        }
        let ids = (0..count).map(|_| reader.u32().map(PersonId)).collect::<Result<_, _>>()?;
        Ok(Self(ids))
    }

    /// The highest id; nobody if nobody was removed.
    pub(crate) fn last_id(&self) -> PersonId {
        self.0.last().copied().unwrap_or(PersonId::NOBODY)
    }
}
