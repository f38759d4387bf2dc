//! People and their templates, as the gallery keeps them and the wire carries them.

use crate::{ModelTag, PersonId};
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};

/// The longest embedding that a template holds (FaceNet: 512, dlib and the paper: 128).
pub const MAX_EMBEDDING_LEN: usize = 512;

/// The longest name of a person, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 64;

/// A person in the gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Who; never [`PersonId::NOBODY`].
    pub id: PersonId,
    /// What the administrator typed: any text without control characters.
    pub name: String<MAX_NAME_BYTES>,
}

/// A stored embedding: int8 components with one scale, and the model that it belongs to.
///
/// component = vector\[i\] * scale. About 150 bytes on flash for 128-D, 535 for 512-D.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Template {
    /// Whose face.
    pub person: PersonId,
    /// Which of the person's templates, from 0.
    pub slot: u8,
    /// Quality of the enrolment picture, percent.
    pub quality: u8,
    /// The model that made it; a template of another model is never compared.
    pub model: ModelTag,
    /// Size of one int8 step.
    pub scale: f32,
    /// The int8 components, -127 to 127.
    pub vector: Vec<i8, MAX_EMBEDDING_LEN>,
}
