//! `[controller]`: the door controller of a site that is told of each admission by the person's card number, on two Wiegand lines
//! of one GPIO chip.
//!
//! Both lines or none. Owns who holds the lock then, which nobody is to guess from what is wired, and which of a person's cards
//! the controller takes. Refuses a line that another function has, and a unit that holds no lock beside a controller that holds none.

use super::{DoorConfig, LineConfig, ReaderConfig};
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use threshold_record::{Access, Credential};

/// `[controller]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ControllerConfig {
    /// The GPIO chip, as in `/dev/gpiochip0`; empty if nobody named it.
    pub chip: PathBuf,
    /// Output: a pulse is a bit 0.
    pub d0: Option<LineConfig>,
    /// Output: a pulse is a bit 1.
    pub d1: Option<LineConfig>,
    /// Who holds the lock; the controller if nobody said.
    pub lock: Option<LockHolder>,
    /// The only cards that it takes, without which there is no controller: one that takes both lengths may take the first bits of a
    /// torn word for another card.
    pub format: Option<CardFormat>,
    /// The only facility code that it takes; every one if there is none.
    pub facility: Option<u16>,
}

/// Who releases the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LockHolder {
    /// The controller, by its own rules; the unit has no relay.
    #[default]
    Controller,
    /// The unit, by its relay; the controller is told.
    Unit,
}

/// Cards of one length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub enum CardFormat {
    /// `w26`.
    #[serde(rename = "26-bit")]
    Bits26,
    /// `w34`.
    #[serde(rename = "34-bit")]
    Bits34,
}

impl ControllerConfig {
    /// Both lines, if they are configured.
    #[must_use]
    pub fn lines(&self) -> Option<(LineConfig, LineConfig)> {
        self.d0.zip(self.d1)
    }

    /// Who holds the lock, if there is a controller.
    #[must_use]
    pub fn holder(&self) -> LockHolder {
        self.lock.unwrap_or_default()
    }

    /// True if there is a controller, and it holds the lock.
    #[must_use]
    pub fn holds_lock(&self) -> bool {
        self.lines().is_some() && self.holder() == LockHolder::Controller
    }

    /// The card of a person that the controller is told of: the first one that it takes.
    #[must_use]
    pub fn card_of(&self, access: &Access) -> Option<Credential> {
        let is_taken = |card: &&Credential| {
            let (format, facility) = match **card {
                Credential::Wiegand26 { facility, .. } => (CardFormat::Bits26, u16::from(facility)),
                Credential::Wiegand34 { facility, .. } => (CardFormat::Bits34, facility),
                Credential::Keypad { .. } => return false,
            };
            self.format.is_none_or(|taken| taken == format)
                && self.facility.is_none_or(|taken| taken == facility)
        };
        access.credentials.iter().find(is_taken).copied()
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// In words, with the keys.
    pub fn check(&self, door: &DoorConfig, reader: &ReaderConfig) -> anyhow::Result<()> {
        match (self.d0, self.d1) {
            (None, None) => return self.check_absent(),
            (Some(_), None) => {
                bail!("d0 in [controller] has a line and d1 has none: a controller has both")
            }
            (None, Some(_)) => {
                bail!("d1 in [controller] has a line and d0 has none: a controller has both")
            }
            (Some(d0), Some(d1)) if d0.line == d1.line => {
                bail!("d0 and d1 in [controller] both have line {}: give each its own", d0.line)
            }
            (Some(_), Some(_)) => {}
        }
        if self.chip.as_os_str().is_empty() {
            bail!(
                "d0 in [controller] has a line but no chip: write chip = \"/dev/gpiochip0\" there"
            );
        }
        for (key, line) in [("d0", self.d0), ("d1", self.d1)] {
            let Some(LineConfig { line, .. }) = line else { continue };
            if line > DoorConfig::MAX_LINE {
                let most = DoorConfig::MAX_LINE;
                bail!("{key} in [controller] has line {line}: it may be 0 to {most}");
            }
            let of_door = door.lines().filter(|_| door.chip == self.chip);
            let of_door = of_door.map(|(other, of)| (other, "door", of.line));
            let of_reader = [("d0", reader.d0), ("d1", reader.d1)].into_iter();
            let of_reader = of_reader.filter(|_| reader.chip == self.chip);
            let of_reader = of_reader.filter_map(|(other, of)| Some((other, "reader", of?.line)));
            let taken = of_door.chain(of_reader).find(|(_, _, of)| *of == line);
            if let Some((other, section, _)) = taken {
                bail!(
                    "{key} in [controller] and {other} in [{section}] both have line {line}: give each its own"
                );
            }
        }
        if self.format.is_none() {
            bail!(
                "[controller] has no format: set controller and unit to cards of one length, and write format = \"26-bit\" or \"34-bit\""
            );
        }
        match (self.holder(), door.relay) {
            (LockHolder::Controller, Some(_)) => bail!(
                "lock in [controller] is \"controller\", and [door] has a relay: take the relay away, or write lock = \"unit\""
            ),
            (LockHolder::Unit, None) => bail!(
                "lock in [controller] is \"unit\", and [door] has no relay: name its line, or write lock = \"controller\""
            ),
            _ => {}
        }
        let felt = [("contact", door.contact), ("request_to_exit", door.request_to_exit)];
        if let Some((key, _)) = felt.iter().find(|(_, line)| line.is_some() && self.holds_lock()) {
            bail!(
                "lock in [controller] is \"controller\", and [door] has {key}: the unit cannot tell that the controller opened; wire it to \
                 the controller and take {key} away, or write lock = \"unit\""
            );
        }
        if let (Some(CardFormat::Bits26), Some(facility @ 256..)) = (self.format, self.facility) {
            bail!(
                "facility in [controller] is {facility}: cards of 26 bits have 0 to 255; write format = \"34-bit\", or another facility"
            );
        }
        Ok(())
    }

    /// Without lines there is no controller, whatever else is said of one.
    fn check_absent(&self) -> anyhow::Result<()> {
        let said = [
            ("chip", !self.chip.as_os_str().is_empty()),
            ("lock", self.lock.is_some()),
            ("format", self.format.is_some()),
            ("facility", self.facility.is_some()),
        ];
        if let Some((key, _)) = said.iter().find(|(_, said)| *said) {
            bail!(
                "[controller] has {key} and no lines, so that no controller would be told: name d0 and d1, or take {key} away"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, relay: bool) -> Result<ControllerConfig, String> {
        read_with(text, relay, DoorConfig::default())
    }

    fn read_with(text: &str, relay: bool, door: DoorConfig) -> Result<ControllerConfig, String> {
        let config: ControllerConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        let line = |line| Some(LineConfig { line, active_low: false });
        let door = DoorConfig {
            chip: "/dev/gpiochip0".into(),
            relay: line(5).filter(|_| relay),
            tamper: line(6),
            ..door
        };
        let reader = ReaderConfig {
            chip: "/dev/gpiochip1".into(),
            d0: line(7),
            d1: line(8),
            ..ReaderConfig::default()
        };
        config.check(&door, &reader).map_err(|error| error.to_string())?;
        Ok(config)
    }

    const LINES: &str =
        "d0 = { line = 1, active_low = true }\nd1 = { line = 2 }\nformat = \"26-bit\"\n";

    #[test]
    fn a_controller_has_both_lines_or_there_is_none() {
        assert_eq!(read("", true), Ok(ControllerConfig::default()));
        assert!(!ControllerConfig::default().holds_lock(), "there is none");
        let config =
            read(&format!("chip = \"/dev/gpiochip0\"\n{LINES}"), false).expect("a whole one");
        assert_eq!(config.lines().map(|(d0, d1)| (d0.line, d1.line)), Some((1, 2)));
        assert!(config.holds_lock(), "unless it is said otherwise");
        let said = format!("chip = \"/dev/gpiochip0\"\n{LINES}lock = \"unit\"\nfacility = 255");
        let config = read(&said, true).expect("a whole one");
        assert!(!config.holds_lock());
        // The door's and the reader's lines of another chip are other lines.
        assert!(
            read("chip = \"/dev/gpiochip0\"\nd0 = { line = 7 }\nd1 = { line = 8 }\nformat = \"34-bit\"", false).is_ok()
        );
        assert!(
            read("chip = \"/dev/gpiochip1\"\nd0 = { line = 5 }\nd1 = { line = 6 }\nformat = \"34-bit\"", false).is_ok()
        );
    }

    #[test]
    fn what_cannot_be_wired_or_held_is_refused_with_its_keys() {
        for (relay, text, told) in [
            (false, "d0 = { line = 1 }", "d0 in [controller] has a line and d1 has none"),
            (false, "d1 = { line = 1 }", "d1 in [controller] has a line and d0 has none"),
            (false, "d0 = { line = 1 }\nd1 = { line = 1 }", "both have line 1"),
            (
                false,
                "d0 = { line = 6 }\nd1 = { line = 1 }",
                "d0 in [controller] and tamper in [door] both",
            ),
            (false, "d0 = { line = 1 }\nd1 = { line = 1024 }", "d1 in [controller] has line 1024"),
            (false, "lock = \"nobody\"", "unknown variant `nobody`"),
            (false, "format = \"37-bit\"", "unknown variant `37-bit`"),
            (false, "d2 = { line = 1 }", "unknown field `d2`"),
            (true, LINES, "lock in [controller] is \"controller\", and [door] has a relay"),
            (
                false,
                "d0 = { line = 1 }\nd1 = { line = 2 }\nlock = \"unit\"\nformat = \"26-bit\"",
                "lock in [controller] is \"unit\", and",
            ),
            (
                false,
                "d0 = { line = 1 }\nd1 = { line = 2 }",
                "[controller] has no format: set controller and unit to cards of one length",
            ),
            (
                false,
                "d0 = { line = 1 }\nd1 = { line = 2 }\nformat = \"26-bit\"\nfacility = 256",
                "facility in [controller] is 256",
            ),
        ] {
            let said = read(&format!("chip = \"/dev/gpiochip0\"\n{text}"), relay).expect_err(text);
            assert!(said.contains(told), "{text}: {said}");
        }
        let said = read(LINES, false).expect_err("no chip");
        assert!(said.contains("has a line but no chip"), "{said}");
        let of_reader = "chip = \"/dev/gpiochip1\"\nd0 = { line = 1 }\nd1 = { line = 7 }";
        let said = read(of_reader, false).expect_err("the reader has it");
        assert!(said.contains("d1 in [controller] and d0 in [reader] both have line 7"), "{said}");
    }

    #[test]
    fn what_is_said_of_a_controller_without_lines_is_refused() {
        for text in [
            "chip = \"/dev/gpiochip0\"",
            "lock = \"controller\"",
            "lock = \"unit\"",
            "format = \"26-bit\"",
            "facility = 1",
        ] {
            let said = read(text, true).expect_err(text);
            let key = text.split(' ').next().expect("a key");
            let told = format!("[controller] has {key} and no lines");
            assert!(said.contains(&told) && said.contains("name d0 and d1"), "{text}: {said}");
        }
    }

    #[test]
    fn contact_and_request_to_exit_are_of_whoever_holds_the_lock() {
        let line = Some(LineConfig { line: 9, active_low: false });
        let contact = DoorConfig { contact: line, ..DoorConfig::default() };
        let exit = DoorConfig { request_to_exit: line, ..DoorConfig::default() };
        let text = format!("chip = \"/dev/gpiochip0\"\n{LINES}");
        for (door, key) in [(contact, "contact"), (exit, "request_to_exit")] {
            let said = read_with(&text, false, door.clone()).expect_err(key);
            assert!(said.contains(&format!("take {key} away")), "{said}");
            let by_unit = format!("{text}lock = \"unit\"");
            assert!(read_with(&by_unit, true, door.clone()).is_ok(), "{key}");
            assert!(read_with("", false, door).is_ok(), "there is no controller");
        }
    }

    #[test]
    fn the_first_card_that_the_controller_takes_is_told() {
        let number = Credential::Keypad { digits: 4, number: 42 };
        let long = Credential::Wiegand34 { facility: 9, card: 1 };
        let other = Credential::Wiegand26 { facility: 8, card: 2 };
        let own = Credential::Wiegand26 { facility: 9, card: 3 };
        let mut access = Access::default();
        access.credentials.extend([number, long, other, own]);
        for (format, facility, told) in [
            (None, None, Some(long)),
            (Some(CardFormat::Bits34), None, Some(long)),
            (Some(CardFormat::Bits26), None, Some(other)),
            (Some(CardFormat::Bits26), Some(9), Some(own)),
            (None, Some(8), Some(other)),
            (None, Some(7), None),
        ] {
            let config = ControllerConfig { format, facility, ..ControllerConfig::default() };
            assert_eq!(config.card_of(&access), told, "{format:?} {facility:?}");
        }
        access.credentials.truncate(1);
        assert_eq!(ControllerConfig::default().card_of(&access), None, "a number is no card");
    }
}
