//! `[door]`: what the unit moves and feels, each a line of one GPIO chip.
//!
//! Every line may be missing; without a relay the lock only tells. Refuses two functions on one line, a pulse that is
//! not bounded, and lines without a chip.

use anyhow::bail;
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `[door]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DoorConfig {
    /// The GPIO chip, as in `/dev/gpiochip0`; empty if nobody named it.
    pub chip: PathBuf,
    /// Output: active while the lock is released.
    pub relay: Option<LineConfig>,
    /// Input: active while somebody inside asks to leave. It masks the alarm of a forced door and moves nothing.
    pub request_to_exit: Option<LineConfig>,
    /// Input: active while the door is open.
    pub contact: Option<LineConfig>,
    /// Input: active while the housing is open.
    pub tamper: Option<LineConfig>,
    /// Input: active while the button inside the housing is pressed.
    pub button: Option<LineConfig>,
    /// Output: active while the green LED is lit.
    pub granted_led: Option<LineConfig>,
    /// Output: active while the red LED is lit.
    pub refused_led: Option<LineConfig>,
    /// Output: active while the buzzer sounds.
    pub buzzer: Option<LineConfig>,
    /// How long one admission releases the lock, milliseconds.
    pub relay_pulse_ms: u64,
    /// How long the door may stand open before that is told, seconds.
    pub held_open_s: u64,
}

/// One line of the chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Its number on the chip, from 0.
    pub line: u32,
    /// Active means a low level.
    #[serde(default)]
    pub active_low: bool,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            chip: PathBuf::new(),
            relay: None,
            request_to_exit: None,
            contact: None,
            tamper: None,
            button: None,
            granted_led: None,
            refused_led: None,
            buzzer: None,
            // Time to push a door open after a look at the green LED.
            relay_pulse_ms: 3_000,
            // Somebody who holds the door for the next one needs less.
            held_open_s: 30,
        }
    }
}

impl DoorConfig {
    /// The pulses that a relay may have, milliseconds: a strike needs time to move, and nobody needs a door released for longer.
    pub const RELAY_PULSE_MS: RangeInclusive<u64> = 500..=10_000;
    /// How long the door may be allowed to stand open, seconds.
    pub const HELD_OPEN_S: RangeInclusive<u64> = 1..=3_600;
    /// Highest number that a line may have: more lines than any chip has.
    pub const MAX_LINE: u32 = 1_023;

    /// Every function that has a line, by its key.
    pub fn lines(&self) -> impl Iterator<Item = (&'static str, LineConfig)> {
        [
            ("relay", self.relay),
            ("request_to_exit", self.request_to_exit),
            ("contact", self.contact),
            ("tamper", self.tamper),
            ("button", self.button),
            ("granted_led", self.granted_led),
            ("refused_led", self.refused_led),
            ("buzzer", self.buzzer),
        ]
        .into_iter()
        .filter_map(|(key, line)| Some((key, line?)))
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// In words, with the keys.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut seen: Vec<(&str, u32)> = Vec::new();
        for (key, LineConfig { line, .. }) in self.lines() {
            if line > Self::MAX_LINE {
                bail!("{key} in [door] has line {line}: it may be 0 to {}", Self::MAX_LINE);
            }
            if let Some((other, _)) = seen.iter().find(|(_, taken)| *taken == line) {
                bail!("{other} and {key} in [door] both have line {line}: give each its own");
            }
            seen.push((key, line));
        }
        if let Some((key, _)) = seen.first()
            && self.chip.as_os_str().is_empty()
        {
            bail!("{key} in [door] has a line but no chip: write chip = \"/dev/gpiochip0\" there");
        }
        for (key, value, range) in [
            ("relay_pulse_ms", self.relay_pulse_ms, Self::RELAY_PULSE_MS),
            ("held_open_s", self.held_open_s, Self::HELD_OPEN_S),
        ] {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                bail!("{key} in [door] is {value}: it may be {least} to {most}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DoorConfig, String> {
        let config: DoorConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    #[test]
    fn a_door_may_have_every_line_or_none() {
        assert_eq!(read(""), Ok(DoorConfig::default()));
        let all = "chip = \"/dev/gpiochip0\"\n\
                   relay = { line = 0 }\n\
                   request_to_exit = { line = 3 }\n\
                   contact = { line = 1 }\n\
                   tamper = { line = 2 }\n\
                   button = { line = 4, active_low = true }\n\
                   granted_led = { line = 5 }\n\
                   refused_led = { line = 6 }\n\
                   buzzer = { line = 7 }\n\
                   relay_pulse_ms = 500\n\
                   held_open_s = 60\n";
        let config = read(all).expect("a whole door");
        assert_eq!(config.lines().count(), 8);
        assert_eq!(config.button, Some(LineConfig { line: 4, active_low: true }));
    }

    #[test]
    fn what_cannot_be_wired_is_refused_with_its_keys() {
        let chip = "chip = \"/dev/gpiochip0\"\n";
        for (text, told) in [
            (
                "relay = { line = 4 }\ncontact = { line = 4 }",
                "relay and contact in [door] both have line 4",
            ),
            ("relay_pulse_ms = 499", "relay_pulse_ms in [door] is 499: it may be 500 to 10000"),
            ("relay_pulse_ms = 10001", "it may be 500 to 10000"),
            ("relay_pulse_ms = -1", "invalid value"),
            ("held_open_s = 0", "held_open_s in [door] is 0: it may be 1 to 3600"),
            ("relay = { line = 1024 }", "relay in [door] has line 1024: it may be 0 to 1023"),
            ("relay = 4", "invalid type"),
            ("relay = { line = 4, active_hi = true }", "unknown field `active_hi`"),
            ("relais = { line = 4 }", "unknown field `relais`"),
        ] {
            let said = read(&format!("{chip}{text}")).expect_err(text);
            assert!(said.contains(told), "{text}: {said}");
        }
        let said = read("relay = { line = 4 }").expect_err("no chip");
        assert!(said.contains("relay in [door] has a line but no chip"), "{said}");
    }
}
