//! What a reader or a keypad at the door gives: a number that names a person, and proves nothing.
//!
//! Owns its form in flash, on the wire and as people type it. Refuses to be a secret: a badge can be copied and a number
//! overheard, so that a credential says only with whom a face is compared (1:1), and a face decides.

use core::fmt;
use core::str::FromStr;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// A claim to be somebody.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema,
)]
pub enum Credential {
    /// A badge of 26 bits (Wiegand H10301): facility 0 to 255, card 0 to 65,535.
    Wiegand26 {
        /// Facility code.
        facility: u8,
        /// Card number.
        card: u16,
    },
    /// A badge of 34 bits: facility and card 0 to 65,535.
    Wiegand34 {
        /// Facility code.
        facility: u16,
        /// Card number.
        card: u16,
    },
    /// A number typed at a keypad, of 1 to 8 digits; leading zeros count.
    Keypad {
        /// How many digits were typed.
        digits: u8,
        /// Their value.
        number: u32,
    },
}

/// A text that is no credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialError;

impl fmt::Display for CredentialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a credential is w26:FACILITY:CARD (0 to 255, 0 to 65535), w34:FACILITY:CARD (0 to 65535 both) \
             or keypad:DIGITS (1 to 8 digits)",
        )
    }
}

impl core::error::Error for CredentialError {}

impl Credential {
    /// The most digits that a keypad gives.
    pub const MAX_DIGITS: usize = 8;

    /// What was typed at a keypad; `None` unless it is 1 to [`Self::MAX_DIGITS`] decimal digits.
    #[must_use]
    pub fn keypad(typed: &str) -> Option<Self> {
        let fits = !typed.is_empty()
            && typed.len() <= Self::MAX_DIGITS
            && typed.bytes().all(|byte| byte.is_ascii_digit());
        fits.then(|| typed.parse().ok())
            .flatten()
            .map(|number| Self::Keypad { digits: typed.len() as u8, number })
    }

    /// True if a reader or a keypad could give it; one that came over flash or wire need not be.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        match *self {
            Self::Wiegand26 { .. } | Self::Wiegand34 { .. } => true,
            Self::Keypad { digits, number } => {
                digits >= 1
                    && digits as usize <= Self::MAX_DIGITS
                    && number < 10u32.pow(digits as u32)
            }
        }
    }
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Wiegand26 { facility, card } => write!(f, "w26:{facility}:{card}"),
            Self::Wiegand34 { facility, card } => write!(f, "w34:{facility}:{card}"),
            Self::Keypad { digits, number } => {
                write!(f, "keypad:{number:0width$}", width = usize::from(digits))
            }
        }
    }
}

impl FromStr for Credential {
    type Err = CredentialError;

    fn from_str(text: &str) -> Result<Self, CredentialError> {
        let (form, rest) = text.split_once(':').ok_or(CredentialError)?;
        if form == "keypad" {
            return Self::keypad(rest).ok_or(CredentialError);
        }
        let (facility, card) = rest.split_once(':').ok_or(CredentialError)?;
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse::<u16>().ok()).flatten().ok_or(CredentialError)
        };
        let (facility, card) = (number(facility)?, number(card)?);
        match form {
            "w26" => {
                let facility = u8::try_from(facility).map_err(|_| CredentialError)?;
                Ok(Self::Wiegand26 { facility, card })
            }
            "w34" => Ok(Self::Wiegand34 { facility, card }),
            _ => Err(CredentialError),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn a_credential_reads_what_it_writes() {
        for text in
            ["w26:255:65535", "w26:0:1", "w34:65535:65535", "keypad:0042", "keypad:99999999"]
        {
            let read: Option<Credential> = text.parse().ok();
            assert_eq!(read.map(|read| read.to_string()).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [
            "",
            "w26",
            "w26:256:1",
            "w26:1:65536",
            "w26:+1:2",
            "w34:1",
            "w27:1:2",
            "keypad:",
            "keypad:123456789",
            "keypad:12a",
            "keypad:-1",
        ] {
            assert_eq!(text.parse::<Credential>(), Err(CredentialError), "{text:?}");
        }
        assert_ne!(Credential::keypad("042"), Credential::keypad("42"));
    }
}
