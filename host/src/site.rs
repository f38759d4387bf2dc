//! The units of a site: a TOML file that names each and the port that it is reached by, so that one command goes to many.
//!
//! ```toml
//! [units]
//! front = "usb:0403:6001:A50285BI"
//! gate  = "rfc2217:basement:7001"
//! ```
//!
//! A unit's name here is the unit's own: one that calls itself otherwise is refused, so that a cable in the wrong socket
//! changes nobody else's door. Refuses to hold keys: those are the keychain's.

use crate::error::HostError;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// The name that stands for every unit of the site.
const ALL: &str = "all";

/// The units of a site, by name, with their ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Name and port.
    pub units: BTreeMap<String, String>,
}

/// A unit that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The unit's own name; `None` if a port was typed, whoever is there.
    pub name: Option<String>,
    /// The port.
    pub port: String,
}

impl Target {
    /// What to call it before it has said its name.
    #[must_use]
    pub fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.port)
    }
}

impl Site {
    /// The site of a file.
    ///
    /// # Errors
    /// [`HostError::Site`] with the line.
    pub fn read(path: &Path) -> Result<Self, HostError> {
        let fault = |what: String| HostError::Site { path: path.display().to_string(), what };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        toml::from_str(&text).map_err(|error| fault(error.to_string()))
    }

    /// The units that are meant by what was typed: names of this site and ports, with commas between them, or `all`.
    /// Each is meant once.
    #[must_use]
    pub fn meant(&self, typed: &str) -> Vec<Target> {
        let mut targets: Vec<Target> = Vec::new();
        let mut take = |target: Target| {
            if !targets.iter().any(|known| known.port == target.port) {
                targets.push(target);
            }
        };
        let of = |(name, port): (&String, &String)| Target {
            name: Some(name.clone()),
            port: port.clone(),
        };
        for word in typed.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match self.units.get_key_value(word) {
                Some(unit) => take(of(unit)),
                None if word == ALL && !self.units.is_empty() => {
                    self.units.iter().map(of).for_each(&mut take);
                }
                None => take(Target { name: None, port: word.to_owned() }),
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn names_ports_and_all_are_meant_once_each() {
        let site: Site =
            toml::from_str("[units]\nfront = '/dev/ttyUSB0'\ngate = 'tcp:g:1'").unwrap();
        let check = |typed: &str, ports: &[&str]| {
            let meant = site.meant(typed);
            let found: Vec<&str> = meant.iter().map(|target| target.port.as_str()).collect();
            assert_eq!(found, ports, "{typed}");
        };
        check("gate", &["tcp:g:1"]);
        check("gate, front,gate", &["tcp:g:1", "/dev/ttyUSB0"]);
        check("all", &["/dev/ttyUSB0", "tcp:g:1"]);
        check("/dev/ttyUSB7,front", &["/dev/ttyUSB7", "/dev/ttyUSB0"]);
        check(" ,", &[]);
        // Without a site everything is a port.
        assert_eq!(Site::default().meant("all")[0], Target { name: None, port: "all".to_owned() });
    }
}
