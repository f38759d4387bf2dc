//! `[reader]`: what reads badges and numbers, two Wiegand lines of one GPIO chip.
//!
//! Both lines or none. Refuses a line that another function has. What a credential is good for is the owner's mode and no
//! configuration.

use super::{DoorConfig, LineConfig};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// `[reader]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReaderConfig {
    /// The GPIO chip, as in `/dev/gpiochip0`; empty if nobody named it.
    pub chip: PathBuf,
    /// Input: a pulse is a bit 0.
    pub d0: Option<LineConfig>,
    /// Input: a pulse is a bit 1.
    pub d1: Option<LineConfig>,
    /// How its keypad sends a key.
    pub keypad: KeypadKind,
}

/// How a keypad sends a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum KeypadKind {
    /// There is none.
    #[default]
    #[serde(rename = "none")]
    None,
    /// In 4 bits.
    #[serde(rename = "4-bit")]
    FourBit,
    /// In 8 bits, the upper half the complement of the lower.
    #[serde(rename = "8-bit")]
    EightBit,
}

impl ReaderConfig {
    /// Both lines, if they are configured.
    #[must_use]
    pub fn lines(&self) -> Option<(LineConfig, LineConfig)> {
        self.d0.zip(self.d1)
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// In words, with the keys.
    pub fn check(&self, door: &DoorConfig) -> anyhow::Result<()> {
        match (self.d0, self.d1) {
            (None, None) => return Ok(()),
            (Some(_), None) => {
                bail!("d0 in [reader] has a line and d1 has none: a reader has both")
            }
            (None, Some(_)) => {
                bail!("d1 in [reader] has a line and d0 has none: a reader has both")
            }
            (Some(d0), Some(d1)) if d0.line == d1.line => {
                bail!("d0 and d1 in [reader] both have line {}: give each its own", d0.line)
            }
            (Some(_), Some(_)) => {}
        }
        if self.chip.as_os_str().is_empty() {
            bail!("d0 in [reader] has a line but no chip: write chip = \"/dev/gpiochip0\" there");
        }
        for (key, line) in [("d0", self.d0), ("d1", self.d1)] {
            let Some(LineConfig { line, .. }) = line else { continue };
            if line > DoorConfig::MAX_LINE {
                bail!("{key} in [reader] has line {line}: it may be 0 to {}", DoorConfig::MAX_LINE);
            }
            let taken = door.lines().find(|(_, of)| of.line == line && door.chip == self.chip);
            if let Some((other, _)) = taken {
                bail!(
                    "{key} in [reader] and {other} in [door] both have line {line}: give each its own"
                );
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ReaderConfig, String> {
        let config: ReaderConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        let relay = Some(LineConfig { line: 5, active_low: false });
        let door = DoorConfig { chip: "/dev/gpiochip0".into(), relay, ..DoorConfig::default() };
        config.check(&door).map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_reader_has_both_lines_or_there_is_none() {
        assert_eq!(read(""), Ok(ReaderConfig::default()));
        let lines = "d0 = { line = 1, active_low = true }\nd1 = { line = 2, active_low = true }\n";
        let config = read(&format!("chip = \"/dev/gpiochip0\"\n{lines}keypad = \"4-bit\""));
        let config = config.expect("a whole reader");
        assert_eq!(config.lines().map(|(d0, d1)| (d0.line, d1.line)), Some((1, 2)));
        assert_eq!(config.keypad, KeypadKind::FourBit);
        // Line 5 of another chip is another line.
        assert!(read("chip = \"/dev/gpiochip1\"\nd0 = { line = 5 }\nd1 = { line = 2 }").is_ok());
    }

    #[test]
    fn what_cannot_be_wired_is_refused_with_its_keys() {
        for (text, told) in [
            ("d0 = { line = 1 }", "d0 in [reader] has a line and d1 has none"),
            ("d1 = { line = 1 }", "d1 in [reader] has a line and d0 has none"),
            ("d0 = { line = 1 }\nd1 = { line = 1 }", "both have line 1"),
            ("d0 = { line = 5 }\nd1 = { line = 1 }", "d0 in [reader] and relay in [door] both"),
            ("d0 = { line = 1 }\nd1 = { line = 1024 }", "d1 in [reader] has line 1024"),
            ("keypad = \"6-bit\"", "unknown variant `6-bit`"),
            ("d2 = { line = 1 }", "unknown field `d2`"),
        ] {
            let said = read(&format!("chip = \"/dev/gpiochip0\"\n{text}")).expect_err(text);
            assert!(said.contains(told), "{text}: {said}");
        }
        let said = read("d0 = { line = 1 }\nd1 = { line = 2 }").expect_err("no chip");
        assert!(said.contains("has a line but no chip"), "{said}");
    }
}
