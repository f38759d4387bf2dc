//! `[display]`: what shows a line of text to whoever stands at the door.

use super::LinkConfig;
use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// `[display]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DisplayConfig {
    /// A device that takes text, as `/dev/lcd` of the kernel's character displays or a serial line; no display if there is none.
    pub device: Option<PathBuf>,
    /// The speed of a serial line, bits a second; the device is no serial line, or has its speed already, if there is none.
    pub baud: Option<u32>,
}

impl DisplayConfig {
    /// The speeds that displays are sold with, bits a second.
    pub const BAUDS: [u32; 8] = [1_200, 2_400, 4_800, 9_600, 19_200, 38_400, 57_600, 115_200];

    /// Checks what the types cannot.
    pub(super) fn check(&self, link: &LinkConfig) -> anyhow::Result<()> {
        let Some(device) = &self.device else {
            match self.baud {
                Some(_) => {
                    bail!("baud in [display] has no device: write device = \"/dev/ttyS1\" there")
                }
                None => return Ok(()),
            }
        };
        if device.as_os_str().is_empty() {
            bail!("device in [display] is empty: name one, or leave the key out");
        }
        if device == Path::new(&link.serial) {
            bail!("device in [display] is the line of [link]: a display needs one of its own");
        }
        match self.baud {
            Some(baud) if !Self::BAUDS.contains(&baud) => {
                let bauds = Self::BAUDS.map(|baud| baud.to_string()).join(", ");
                bail!("baud in [display] is {baud}: it may be {bauds}");
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::check;

    #[test]
    fn what_a_display_cannot_be_is_refused_with_its_line() {
        for (text, line, key) in [
            ("[display]\nbaud = 9600\n", 2, "baud"),
            ("[display]\ndevice = \"/dev/ttyS1\"\nbaud = 9601\n", 3, "baud"),
            ("[display]\ndevice = \"\"\n", 2, "device"),
            ("[link]\nserial = \"/dev/ttyS1\"\n[display]\ndevice = \"/dev/ttyS1\"\n", 4, "device"),
        ] {
            let problems = check::read(text).err().unwrap_or_default();
            let found: Vec<_> = problems.iter().map(|problem| problem.line).collect();
            assert_eq!(found, [line], "{text}: {problems:?}");
            assert!(problems.iter().all(|problem| problem.what.starts_with(key)), "{problems:?}");
        }
        for right in
            ["[display]\ndevice = \"/dev/lcd\"\n", "[display]\ndevice = \"a\"\nbaud = 9600\n"]
        {
            assert!(check::read(right).is_ok(), "{right}");
        }
    }
}
