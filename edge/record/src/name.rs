//! Names of people: text that can be printed anywhere without misleading its reader.
//!
//! Owns the check. Refuses what a terminal, a report or a spreadsheet would show as something else: control
//! characters, line separators, bidi overrides and marks, invisible characters, blanks at the ends.
//! A name is never part of a path, a query or a command, so quotes and slashes are only letters here.

use core::fmt;
use heapless::String;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// The longest name of a person, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 64;

/// A person's name. Holding one proves that it is 1 to 64 bytes of UTF-8 that print as themselves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema)]
#[serde(try_from = "String<MAX_NAME_BYTES>")]
pub struct Name(String<MAX_NAME_BYTES>);

/// Why a text cannot be a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// There is no text.
    #[error("the name is empty; give at least one letter")]
    Empty,
    /// The text is longer than a name may be.
    #[error("the name has {len} bytes of UTF-8; at most {max} fit, so shorten it")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// The text begins or ends with a blank.
    #[error("the name begins or ends with a blank; remove the blank")]
    Padded,
    /// A character that is invisible, or changes how the rest is shown.
    #[error(
        "the name has U+{code:04X} at byte {at}, which is invisible or changes how the rest is shown; remove it"
    )]
    Character {
        /// Its code point.
        code: u32,
        /// Its offset in bytes.
        at: usize,
    },
}

impl Name {
    /// The name that a text spells.
    ///
    /// # Errors
    /// [`NameError`] if it is empty, too long, padded, or has a character that does not print as itself.
    pub fn new(text: &str) -> Result<Self, NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some((at, bad)) = text.char_indices().find(|&(_, character)| misleads(character)) {
            return Err(NameError::Character { code: u32::from(bad), at });
        }
        if text.trim() != text {
            return Err(NameError::Padded);
        }
        String::try_from(text)
            .map(Self)
            .map_err(|_| NameError::TooLong { len: text.len(), max: MAX_NAME_BYTES })
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String<MAX_NAME_BYTES>> for Name {
    type Error = NameError;

    fn try_from(text: String<MAX_NAME_BYTES>) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl core::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// True for a character that does not print as itself: a terminal, a report or a spreadsheet shows something else.
/// The joiners U+200C and U+200D print: Persian and Indic names need them.
#[must_use]
pub fn misleads(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{061c}'                // Arabic letter mark
            | '\u{115f}' | '\u{1160}' // Hangul fillers
            | '\u{180e}'              // Mongolian vowel separator
            | '\u{200b}'              // zero-width space
            | '\u{200e}' | '\u{200f}' // left-to-right and right-to-left mark
            | '\u{2028}'..='\u{202e}' // line and paragraph separator, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
            | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{feff}'              // byte order mark
            | '\u{fff9}'..='\u{fffb}' // interlinear annotation
            | '\u{e0000}'..='\u{e007f}' // tags
        )
}
