//! What is typed at a keypad, key by key, until it is a number. Pure: keys and times come in.
//!
//! `*` forgets what was typed, `#` ends it. Refuses to go on with what somebody left, after a pause, and a number of more
//! digits than a credential has: it is none, not its first digits.

use crate::wiegand::Key;
use threshold_record::Credential;

/// After so long without a key what was typed is forgotten, microseconds. Counted from the last key: of a number that is
/// typed slowly the last digits alone would be another's.
const TYPING_US: u64 = 10_000_000;

/// The digits so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Typing {
    digits: heapless::String<{ Credential::MAX_DIGITS }>,
    /// When the last key was pressed.
    last_us: u64,
    /// More digits came than fit.
    too_long: bool,
}

impl Typing {
    /// A key was pressed; the number, if it is whole with that.
    pub(super) fn key(&mut self, key: Key, at_us: u64) -> Option<Credential> {
        if at_us.saturating_sub(self.last_us) > TYPING_US {
            self.forget();
        }
        self.last_us = at_us;
        match key {
            Key::Digit(digit) => {
                self.too_long |= self.digits.push(char::from(b'0' + digit)).is_err();
                None
            }
            Key::Clear => {
                self.forget();
                None
            }
            Key::Enter => {
                let typed = Credential::keypad(&self.digits).filter(|_| !self.too_long);
                self.forget();
                typed
            }
        }
    }

    /// Forgets what was typed: a badge was read.
    pub(super) fn forget(&mut self) {
        self.digits.clear();
        self.too_long = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    fn typed(keys: &str, gap_us: u64) -> Vec<String> {
        let mut typing = Typing::default();
        let keys = keys.chars().enumerate().filter_map(|(at, key)| {
            let key = match key {
                '*' => Key::Clear,
                '#' => Key::Enter,
                digit => Key::Digit(digit as u8 - b'0'),
            };
            typing.key(key, 5 + at as u64 * gap_us)
        });
        keys.map(|credential| credential.to_string()).collect()
    }

    #[test]
    fn a_number_is_typed_cleared_and_entered() {
        for (keys, numbers) in [
            ("0042#", &["keypad:0042"][..]),
            ("12345678#", &["keypad:12345678"]),
            ("1#2#", &["keypad:1", "keypad:2"]),
            ("99*42#", &["keypad:42"]),
            ("#", &[]),
            ("##*#", &[]),
            ("1234", &[]),
            // Too long is no number, and neither its first nor its last digits are one.
            ("123456789#", &[]),
            ("123456789*1#", &["keypad:1"]),
            ("12345678901234567890#7#", &["keypad:7"]),
        ] {
            assert_eq!(typed(keys, SECOND / 10), numbers, "{keys}");
        }
    }

    #[test]
    fn what_was_left_is_forgotten_and_a_slow_number_stays_whole() {
        assert_eq!(typed("12345678#", 9 * SECOND), ["keypad:12345678"]);
        assert_eq!(typed("1234#", 11 * SECOND), [""; 0]);
        let mut typing = Typing::default();
        let keys = [(Key::Digit(1), 0), (Key::Digit(2), 11 * SECOND), (Key::Enter, 12 * SECOND)];
        let last = keys.into_iter().filter_map(|(key, at_us)| typing.key(key, at_us)).last();
        assert_eq!(last, Credential::keypad("2"));
        typing.key(Key::Digit(1), 13 * SECOND);
        typing.forget();
        assert_eq!(typing.key(Key::Enter, 14 * SECOND), None);
    }
}
