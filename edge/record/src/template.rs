//! People and their templates, as the gallery keeps them and the wire carries them.

use crate::{ModelTag, Name, NameError, PersonId};
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The longest embedding that a template holds (FaceNet: 512, dlib and the paper: 128).
pub const MAX_EMBEDDING_LEN: usize = 512;

/// The shortest embedding that a template holds.
pub const MIN_EMBEDDING_LEN: usize = 128;

/// Templates of one person: enough for glasses, beard and seasons, few enough that one person does not
/// fill the gallery.
pub const MAX_SLOTS: u8 = 8;

/// A person in the gallery.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Person {
    /// Who; never [`PersonId::NOBODY`].
    pub id: PersonId,
    /// What the administrator typed.
    pub name: Name,
}

impl Person {
    /// A person of a checked name.
    ///
    /// # Errors
    /// [`NameError`] if the text cannot be a name.
    pub fn new(id: PersonId, name: &str) -> Result<Self, NameError> {
        Ok(Self { id, name: Name::new(name)? })
    }
}

/// A stored embedding: int8 components with one scale, and the model that it belongs to.
///
/// component = vector\[i\] * scale. About 150 bytes on flash for 128-D, 535 for 512-D.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Schema)]
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

/// Why a template is not fit to be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum TemplateError {
    /// The person is nobody.
    #[error("the template belongs to nobody (person 0)")]
    Nobody,
    /// The slot is past the last.
    #[error("slot {slot}: a person has slots 0 to {}", MAX_SLOTS - 1)]
    Slot {
        /// What was given.
        slot: u8,
    },
    /// The quality is no percentage.
    #[error("quality {quality} is above 100 percent")]
    Quality {
        /// What was given.
        quality: u8,
    },
    /// The embedding is too short.
    #[error(
        "an embedding of {len} components; {MIN_EMBEDDING_LEN} to {MAX_EMBEDDING_LEN} are read"
    )]
    Length {
        /// Components given.
        len: u16,
    },
    /// The scale is no finite number above zero.
    #[error("the template's scale is no finite number above zero")]
    Scale,
    /// A component is -128, which the quantiser never writes.
    #[error("component {index} is -128; components are -127 to 127")]
    Component {
        /// Where, from 0.
        index: u16,
    },
    /// Every component is zero, so that it would compare alike with everybody.
    #[error("every component of the template is zero")]
    Zero,
}

impl Template {
    /// Checks what the gallery relies on: a person, a slot, a length and numbers that compare.
    ///
    /// # Errors
    /// [`TemplateError`] names the first thing wrong.
    pub fn check(&self) -> Result<(), TemplateError> {
        if self.person.is_nobody() {
            return Err(TemplateError::Nobody);
        }
        if self.slot >= MAX_SLOTS {
            return Err(TemplateError::Slot { slot: self.slot });
        }
        if self.quality > 100 {
            return Err(TemplateError::Quality { quality: self.quality });
        }
        if self.vector.len() < MIN_EMBEDDING_LEN {
            return Err(TemplateError::Length { len: self.vector.len() as u16 });
        }
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return Err(TemplateError::Scale);
        }
        // First whether there is one at all, for which many components are looked at at once.
        if self.vector.contains(&i8::MIN) {
            let index = self.vector.iter().position(|&component| component == i8::MIN);
            return Err(TemplateError::Component { index: index.unwrap_or(0) as u16 });
        }
        if self.vector.iter().all(|&component| component == 0) {
            return Err(TemplateError::Zero);
        }
        Ok(())
    }
}
