//! The relay at rest although no unit runs: a process that was killed outright within a pulse leaves its line active on most chips, and
//! what starts next may end before it takes the line, by a configuration that is wrong or for want of a version.
//!
//! Owns what it reads of the unit's configuration: the chip and the relay of `[door]`, whatever else is wrong there. Refuses to guess
//! them: with a level turned over it would release the door. So `[door]` has to be TOML where all of the file is not, and the relay's
//! table has to be what the unit takes. Refuses to raise any line.

use gpiocdev::Request;
use gpiocdev::line::Value;
use gpiocdev::request::Config;
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the kernel calls this user of the line.
const CONSUMER: &str = "threshold-launch";

/// The unit's configuration, as far as it is of interest here.
#[derive(Debug, Default, Deserialize)]
struct Unit {
    #[serde(default)]
    door: Door,
}

#[derive(Debug, Default, Deserialize)]
struct Door {
    chip: Option<PathBuf>,
    relay: Option<Line>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    line: u32,
    #[serde(default)]
    active_low: bool,
}

/// Drives the relay of that configuration inactive; what is to be said of it.
///
/// # Errors
/// In words, with what helps: what the line is then nobody knows.
pub fn rest(config: &Path) -> Result<String, String> {
    let text = match std::fs::read_to_string(config) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Ok(format!("{} is not there: no relay", config.display()));
        }
        Err(error) => return Err(format!("{}: {error}", config.display())),
    };
    let Some((chip, line)) =
        relay(&text).map_err(|what| format!("{}: {what}", config.display()))?
    else {
        return Ok("no relay in [door]".to_owned());
    };
    let said = |error| format!("relay: line {} of {}: {error}", line.line, chip.display());
    let held = inactive(&chip, line).map_err(said)?;
    match held.lone_value().map_err(said)? {
        Value::Inactive => {
            Ok(format!("relay: line {} of {} is inactive", line.line, chip.display()))
        }
        Value::Active => Err(format!(
            "relay: line {} of {} was driven inactive and reads back active; check what else drives it",
            line.line,
            chip.display()
        )),
    }
}

/// The line, driven inactive; the kernel sets the level in the same step in which the line becomes an output.
fn inactive(chip: &Path, line: Line) -> gpiocdev::Result<Request> {
    let mut config = Config::default();
    config.on_chip(chip).with_line(line.line);
    if line.active_low {
        config.as_active_low();
    }
    config.as_output(Value::Inactive);
    Request::from_config(config).with_consumer(CONSUMER).request()
}

/// The relay of a configuration's text, with its chip; nothing if it has none.
fn relay(text: &str) -> Result<Option<(PathBuf, Line)>, String> {
    let read = |text: &str| toml::from_str::<Unit>(text);
    let unit = read(text).or_else(|error| {
        // What is no TOML elsewhere says nothing of the wiring.
        read(&door_of(text)).map_err(|_| format!("[door]: {}", error.message()))
    })?;
    match (unit.door.relay, unit.door.chip) {
        (None, _) => Ok(None),
        (Some(line), Some(chip)) if !chip.as_os_str().is_empty() => Ok(Some((chip, line))),
        (Some(_), _) => Err("relay in [door] has a line but no chip".to_owned()),
    }
}

/// The lines of `[door]` and of the tables in it.
fn door_of(text: &str) -> String {
    let mut inside = false;
    let mut door = String::new();
    for line in text.lines() {
        if let Some(header) = line.trim_start().strip_prefix('[') {
            let name = header.split([']', '#']).next().unwrap_or_default().trim();
            inside = name == "door" || name.starts_with("door.");
        }
        if inside {
            door.extend([line, "\n"]);
        }
    }
    door
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOOR: &str =
        "[door]\nchip = \"/dev/gpiochip0\"\nrelay = { line = 7, active_low = true }\n";

    fn found(text: &str) -> Option<(PathBuf, Line)> {
        relay(text).expect(text)
    }

    #[test]
    fn the_relay_is_found_whatever_else_is_wrong() {
        let right = Some(("/dev/gpiochip0".into(), Line { line: 7, active_low: true }));
        for text in [
            DOOR.to_owned(),
            // What the unit refuses.
            format!("{DOOR}relay_pulse_ms = 1\nrelais = 3\n[camera]\nfps = \"many\"\n[nothing]\n"),
            // What is no TOML at all.
            format!("[camera]\nsource = /dev/video0\n\n{DOOR}\n[reader\nd0 = {{ line = \n"),
            "[link]\nserial =\n[door] # the strike\nchip = \"/dev/gpiochip0\"\n[door.relay]\nline = 7\nactive_low = true\n"
                .to_owned(),
        ] {
            assert_eq!(found(&text), right, "{text}");
        }
        let high = Line { line: 3, active_low: false };
        let text = "[door]\nchip = \"/dev/gpiochip1\"\nrelay = { line = 3 }";
        assert_eq!(found(text), Some(("/dev/gpiochip1".into(), high)));
        for text in [
            "",
            "[camera]\nfps = 10\n",
            "[door]\nchip = \"/dev/gpiochip0\"\n#relay = { line = 3 }\n",
        ] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    /// A level that is turned over would release the door.
    #[test]
    fn a_wiring_that_is_not_certain_is_refused() {
        for (relay_is, told) in [
            ("relay = { line = 7, active_lo = true }", "unknown field"),
            ("relay = { line = 7, active_low = tru }", "[door]"),
            ("relay = { line = 7, active_low = \"yes\" }", "invalid type"),
            ("relay = { active_low = true }", "missing field"),
            ("relay = 7", "[door]"),
            ("relay = { line = -1 }", "[door]"),
        ] {
            let text =
                format!("[camera]\nfps = 10\n[door]\nchip = \"/dev/gpiochip0\"\n{relay_is}\n");
            let said = relay(&text).expect_err(relay_is);
            assert!(said.contains(told), "{relay_is}: {said}");
        }
        let said = relay("[door]\nrelay = { line = 7 }\n").expect_err("no chip");
        assert!(said.contains("no chip"), "{said}");
    }
}
