//! The gallery as a content: what a whole one is in bulk and in a file, and what a unit says to one that it was sent.
//!
//! Owns the two contents (`content` has the templates, `listing` only their digests), the `envelope` that a content lies
//! in wherever it lies on a disk, and the messages that a unit applies one by. A person is an id with a name: ids are kept, so
//! that whoever was removed from a unit stays removed, whichever file comes later. `beside` is what an update to another model brings.
//! Refuses a content of which one byte is not right; nothing of it is taken then.

pub mod beside;
#[cfg(feature = "session")]
pub mod content;
#[cfg(feature = "session")]
pub mod envelope;
#[cfg(feature = "session")]
pub mod listing;

use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::{KeyId, Name, PersonId};

/// The most people that a content has, and the most templates: as many as a unit's gallery.
pub const MAX_GALLERY: u32 = 100_000;

/// The longest content, in its envelope or not: the most people with the longest names, templates and
/// limits take 64 MB.
pub const MAX_GALLERY_BYTES: u64 = 64 << 20;

/// The highest id that a content may have: half of all, so that no file uses up the ids of a unit.
pub const MAX_PERSON: PersonId = PersonId(u32::MAX / 2);

/// People who were left out, in one answer.
pub const LEFT_OUT: usize = 16;

/// Applies a gallery that was pushed, one batch of people at each call, until it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryApply {
    /// The push.
    pub transfer: u8,
}

/// How far the gallery is applied, all calls together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryApplied {
    /// People who were added.
    pub added: u32,
    /// People who were there and got templates.
    pub changed: u32,
    /// People who were there with all of that.
    pub equal: u32,
    /// Templates that were written.
    pub templates: u32,
    /// Who was left out since the call before.
    pub left_out: Vec<LeftOut, LEFT_OUT>,
    /// The gallery's generation.
    pub generation: u64,
    /// True if nobody is left to apply; call again otherwise.
    pub done: bool,
}

/// Somebody of the content who is not in the gallery by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct LeftOut {
    /// The id in the content.
    pub person: PersonId,
    /// The name in the content.
    pub name: Name,
    /// Why.
    pub why: Why,
}

/// Why somebody was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub enum Why {
    /// The person was removed from the unit, and stays removed.
    Removed,
    /// The id is somebody else's at the unit.
    OtherName,
    /// The name is somebody else's at the unit.
    OtherId {
        /// Whose.
        holder: PersonId,
    },
    /// Other limits or credentials hold of the person at the unit, and stay.
    OtherAccess,
    /// The person's schedule is not at the unit under that name with those hours.
    NoSchedule,
    /// A credential of the person is somebody else's at the unit.
    OtherClaim {
        /// Whose.
        holder: PersonId,
    },
    /// Nobody of that id is at the unit, and what goes beside its gallery adds nobody.
    NotThere,
}

/// What is wrong with a content, or with its envelope. Nothing of it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum GalleryFault {
    /// It does not begin like one.
    #[error("this is no gallery file; name one that threshold gallery pull or export wrote")]
    NotAGallery,
    /// A later program wrote it.
    #[error(
        "the gallery file has format {found}, this program reads up to {supported}; install the build that wrote it"
    )]
    Version {
        /// What it says.
        found: u16,
        /// The newest that is read.
        supported: u16,
    },
    /// It was changed, or is cut off.
    #[error("the gallery file is damaged at byte {at}; take another copy of it, or pull it again")]
    Damaged {
        /// The first byte that does not fit, counted without the envelope.
        at: u32,
    },
    /// It does not open with the key that it was sealed for.
    #[error(
        "the gallery file does not open: it was changed or is cut off; take another copy of it, or pull it again"
    )]
    Forged,
    /// It was sealed for somebody else.
    #[error(
        "the gallery file is sealed for key {sealed_for}, and this is key {own}; export it for this one"
    )]
    ForAnother {
        /// The key that opens it.
        sealed_for: KeyId,
        /// The key that is here.
        own: KeyId,
    },
    /// Nobody vouches for it who may change the gallery.
    #[error(
        "the gallery file was sealed by key {sender}, whose owner may not change this gallery; have it exported by an enroller of this unit"
    )]
    UnknownSender {
        /// Who sealed it.
        sender: KeyId,
    },
    /// It is longer than the largest gallery.
    #[error(
        "a gallery file of {len} bytes, and at most {max} are taken; name one that threshold gallery pull or export wrote"
    )]
    TooLong {
        /// Its length.
        len: u64,
        /// The longest.
        max: u64,
    },
}
