//! The digest of the gallery's live records, which changes with each change by two additions.
//!
//! Each person counts with the keyed BLAKE3 of the id and of the place and the generation of each of the person's records, as
//! four words, little endian; the digest is their sum, word by word, modulo 2^64. So a record comes and goes without those of
//! other people being read.
//! What a record says is authenticated by its seal, and a part is written under one generation only once; hence part and
//! generation stand for it. The digest is never outside a seal, so that nobody can look for sets of equal sums.
//! By person and not by record, since at 100,000 records the hashes alone would be a sixth of the time to load them.

use crate::gallery::record::{MAX_PARTS, Part};
use threshold_record::PersonId;

/// The sum over a set of people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest([u64; 4]);

/// The key under which a store's people are summed.
#[derive(Clone)]
pub(crate) struct SetKey([u8; 32]);

impl SetKey {
    /// The key of a store, by its id, which stands nowhere outside the key ring.
    pub(crate) fn of(store_id: [u8; 16]) -> Self {
        Self(blake3::derive_key("Threshold store 2026 gallery digest", &store_id))
    }

    /// What a person of these records counts for: each with its place and its generation, in order of the places. Nobody counts
    /// nothing.
    pub(crate) fn of_person(&self, person: PersonId, records: &[(Part, u64)]) -> Digest {
        if records.is_empty() {
            return Digest::default();
        }
        // What a person has of one model fits into two of the hash's blocks, and of two models into three.
        let mut bytes = heapless::Vec::<u8, { 4 + MAX_PARTS * 9 }>::new();
        let mut fits = bytes.extend_from_slice(&person.0.to_le_bytes()).is_ok();
        for (part, generation) in records {
            fits &= bytes.push(part.place).is_ok();
            fits &= bytes.extend_from_slice(&generation.to_le_bytes()).is_ok();
        }
        debug_assert!(fits, "more parts than an id has places");
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

    /// Takes a person into the set.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word = word.wrapping_add(other));
    }

    /// Takes a person out of the set.
    pub(crate) fn take(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, other)| *word = word.wrapping_sub(other));
    }
}
