//! The digest of the gallery's live records, which changes with each by one addition.
//!
//! Each record counts with the keyed BLAKE3 of its part and its generation, as four words, little endian; the digest is their
//! sum, word by word, modulo 2^64. So a record comes and goes without the others being read, and in any order.
//! What a record says is authenticated by its seal, and a part is written under one generation only once; hence part and
//! generation stand for it. The digest is never outside a seal, so that nobody can look for sets of equal sums.

use crate::gallery::record::Part;

/// The sum over a set of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest([u64; 4]);

/// The key under which a store's records are summed.
#[derive(Clone)]
pub(crate) struct SetKey([u8; 32]);

impl SetKey {
    /// The key of a store, by its id, which stands nowhere outside the key ring.
    pub(crate) fn of(store_id: [u8; 16]) -> Self {
        Self(blake3::derive_key("Threshold store 2026 gallery digest", &store_id))
    }

    /// What a record counts for.
    pub(crate) fn of_record(&self, part: Part, generation: u64) -> Digest {
        let mut bytes = [0; 13];
        bytes[..8].copy_from_slice(&generation.to_le_bytes());
        bytes[8..12].copy_from_slice(&part.person.0.to_le_bytes());
        bytes[12] = part.place;
        Digest::from_bytes(*blake3::keyed_hash(&self.0, &bytes).as_bytes())
    }
}

impl std::fmt::Debug for SetKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetKey")
    }
}

impl Digest {
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
        let mut words = [0; 4];
        for (word, bytes) in words.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        Self(words)
    }

    pub(crate) fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (word, bytes) in self.0.iter().zip(bytes.as_chunks_mut().0) {
            *bytes = word.to_le_bytes();
        }
        bytes
    }

    /// Takes a record into the set.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word = word.wrapping_add(other));
    }

    /// Takes a record out of the set.
    pub(crate) fn take(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word = word.wrapping_sub(other));
    }
}
