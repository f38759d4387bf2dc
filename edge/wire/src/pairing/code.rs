//! The pairing code: 128 random bits, spelt so that somebody can read them off a plate and type them. A recovery key is spelt
//! the same way.
//!
//! ```text
//! 26 symbols of Crockford's base 32, the first of 3 bits, then a check symbol: the number modulo 37, of a recovery key one more
//! in groups of three: 7ZZ-ZZZ-ZZZ-ZZZ-ZZZ-ZZZ-ZZZ-ZZZ-ZZK
//! ```
//! Reading forgives case, blanks, hyphens, `O` for 0, `I` and `L` for 1, and finds any one wrong symbol and any two that
//! changed places. Refuses a code of another length, and the one kind in place of the other.

use core::fmt;
use heapless::{String, Vec};

/// The digits, then the check symbols that no digit is.
const SYMBOLS: &[u8; 37] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ*~$=U";

/// Digits of 128 bits.
const DIGITS: usize = 26;

/// Symbols of a group.
const GROUP: usize = 3;

/// A code as it is printed.
pub type CodeText = String<{ DIGITS + 1 + (DIGITS + 1) / GROUP - 1 }>;

/// A unit's pairing code. Its debug text does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PairingCode([u8; 16]);

/// Why a text is no pairing code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Too short or too long.
    #[error("a code has {wanted} letters and digits, this has {found}; type all of it", wanted = DIGITS + 1)]
    Length {
        /// Symbols given.
        found: usize,
    },
    /// A character that no code has.
    #[error("no code has {character:?} (place {place}); read the code again")]
    Symbol {
        /// The character.
        character: char,
        /// Which symbol, from 1.
        place: usize,
    },
    /// The first symbol holds three bits.
    #[error("a code begins with 0 to 7; read the first letter again")]
    First,
    /// The check symbol does not fit.
    #[error(
        "the code has a wrong letter or two that changed places; compare it with the plate or the paper"
    )]
    Check,
    /// A recovery key where a pairing code belongs.
    #[error(
        "this is a recovery key and no pairing code; type the code on the label inside the unit's housing"
    )]
    RecoveryKey,
    /// A pairing code where a recovery key belongs.
    #[error(
        "this is a pairing code and no recovery key; type the key that was shown when a unit was commissioned"
    )]
    PairingCode,
}

/// What a code stands for; its number counts into the check symbol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// A pairing code.
    Pairing = 0,
    /// A recovery key.
    Recovery = 1,
}

impl PairingCode {
    /// The code of 16 bytes.
    #[must_use]
    pub const fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, to be kept where nobody else reads them.
    #[must_use]
    pub const fn secret(&self) -> &[u8; 16] {
        &self.0
    }

    /// The pre-shared key of the pairing's handshake. The code is random, so that it needs no stretching.
    #[must_use]
    pub fn psk(&self) -> [u8; 32] {
        blake3::derive_key("threshold 2026 pre-shared key of a pairing code", &self.0)
    }

    /// The code as it stands on the plate.
    #[must_use]
    pub fn text(&self) -> CodeText {
        spell(&self.0, Spelling::Pairing)
    }

    /// The code of a text.
    ///
    /// # Errors
    /// [`CodeError`] says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CodeError> {
        read(text, Spelling::Pairing).map(Self)
    }
}

/// The text of 128 bits.
pub(crate) fn spell(bytes: &[u8; 16], spelling: Spelling) -> CodeText {
    let number = u128::from_be_bytes(*bytes);
    let digits = (0..DIGITS).rev().map(|digit| (number >> (5 * digit)) as usize & 31);
    let mut text = CodeText::new();
    for (place, symbol) in digits.chain([check(number, spelling)]).enumerate() {
        if place > 0 && place % GROUP == 0 {
            let _ = text.push('-');
        }
        let _ = text.push(char::from(SYMBOLS.get(symbol).copied().unwrap_or(b'0')));
    }
    text
}

/// The 128 bits of a text.
pub(crate) fn read(text: &str, spelling: Spelling) -> Result<[u8; 16], CodeError> {
    let typed = || {
        text.chars().filter(|c| !c.is_whitespace() && !matches!(c, '-' | '\u{2010}'..='\u{2015}'))
    };
    let found = typed().count();
    if found != DIGITS + 1 {
        return Err(CodeError::Length { found });
    }
    let mut symbols: Vec<u8, { DIGITS + 1 }> = Vec::new();
    for (at, character) in typed().enumerate() {
        let meant = match character.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        let symbol = SYMBOLS.iter().position(|&symbol| char::from(symbol) == meant);
        let wrong = CodeError::Symbol { character, place: at + 1 };
        let symbol = symbol.filter(|&symbol| symbol < 32 || at == DIGITS).ok_or(wrong)?;
        symbols.push(symbol as u8).map_err(|_| wrong)?;
    }
    let (found, digits) = symbols.split_last().ok_or(CodeError::Check)?;
    if digits.first().is_some_and(|&first| first > 7) {
        return Err(CodeError::First);
    }
    let number = digits.iter().fold(0u128, |number, &digit| number << 5 | u128::from(digit));
    let is = |spelling| check(number, spelling) == usize::from(*found);
    match spelling {
        _ if is(spelling) => Ok(number.to_be_bytes()),
        Spelling::Pairing if is(Spelling::Recovery) => Err(CodeError::RecoveryKey),
        Spelling::Recovery if is(Spelling::Pairing) => Err(CodeError::PairingCode),
        _ => Err(CodeError::Check),
    }
}

fn check(number: u128, spelling: Spelling) -> usize {
    ((number % 37) as usize + spelling as usize) % 37
}

impl fmt::Debug for PairingCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PairingCode")
    }
}
