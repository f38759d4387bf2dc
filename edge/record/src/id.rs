//! Identifiers: people, models. None of them is a path, and none can be read as one.

use core::fmt;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// A person in the gallery; 0 means nobody. Never used again after the person's removal.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Schema,
)]
pub struct PersonId(pub u32);

impl PersonId {
    /// The id that stands for nobody in a log entry.
    pub const NOBODY: Self = Self(0);

    /// True for the id that stands for nobody.
    #[must_use]
    pub const fn is_nobody(self) -> bool {
        self.0 == 0
    }
}

/// The BLAKE3 hash of a pack's bytes: two units with one model id compute the same embeddings.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
pub struct ModelId(pub [u8; 32]);

impl ModelId {
    /// The first eight bytes, which every template carries.
    #[must_use]
    pub fn tag(self) -> ModelTag {
        let mut tag = [0; 8];
        tag.copy_from_slice(&self.0[..8]);
        ModelTag(tag)
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelId({self})")
    }
}

/// The first eight bytes of a [`ModelId`]: enough to refuse a template of another model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
pub struct ModelTag(pub [u8; 8]);

impl fmt::Display for ModelTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ModelTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ModelTag({self})")
    }
}
