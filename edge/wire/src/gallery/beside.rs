//! Another model's templates of the same people, beside the gallery: what a version of that model compares with.
//!
//! Owns the messages by which a unit takes them out of a gallery that was pushed, before an update, and tells of them. They go with
//! their person; name, limits and credentials are the gallery's and not theirs.

use super::{LEFT_OUT, LeftOut};
use crate::update::UpdateRefusal;
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};
use threshold_record::ModelId;

/// Puts the templates of a gallery that was pushed beside the unit's, one batch of people at each call, until it is done. The first
/// call drops what lay there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryStage {
    /// The push.
    pub transfer: u8,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
#[allow(clippy::large_enum_variant, reason = "one at a time, and there is no heap to box it on")]
pub enum GalleryStageTold {
    /// So far.
    Staged(GalleryStaged),
    /// Nothing: what lay beside the gallery still does.
    Refused(UpdateRefusal),
}

/// How far it is staged, all calls together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryStaged {
    /// The model of these templates.
    pub model: ModelId,
    /// People who have some.
    pub people: u32,
    /// The templates.
    pub templates: u32,
    /// Who was left out since the call before.
    pub left_out: Vec<LeftOut, LEFT_OUT>,
    /// People of the gallery whom a version of that model would not know, as it is now.
    pub without: u32,
    /// True if nobody is left to stage; call again otherwise.
    pub done: bool,
}

/// What lies beside the gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct GalleryBeside {
    /// The model of the templates.
    pub model: ModelId,
    /// People who have some.
    pub people: u32,
    /// The templates.
    pub templates: u32,
    /// People who have templates in the gallery and none beside it.
    pub without: u32,
}

/// Whether something lies beside the gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct BesideTold {
    /// What; `None` if nothing does.
    pub beside: Option<GalleryBeside>,
}
