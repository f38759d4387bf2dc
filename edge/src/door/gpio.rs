//! The lines of a GPIO chip, over the kernel's character device.
//!
//! Owns the words of what may be wrong with a chip, and how an input is cleared of its bounces: by the kernel, or by
//! looking at it every few milliseconds where the chip has no interrupts. Refuses to guess another chip or line.

use super::bounce::Bounce;
use super::lines::{Chip, Edge, Inputs, LineFault, Output};
use crate::config::LineConfig;
use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EdgeKind, EventClock, Value, Values};
use gpiocdev::request::Config;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What the kernel calls the user of our lines.
pub(crate) const CONSUMER: &str = "threshold";

/// A level that lasts for less is a bounce: contacts of doors and buttons bounce for 1 to 10 ms, and nobody opens and
/// closes a door in so short a time.
const BOUNCE: Duration = Duration::from_millis(30);

/// Time between two looks at inputs of a chip without interrupts.
const LOOK: Duration = Duration::from_millis(10);

/// A chip of the kernel's.
#[derive(Debug)]
pub(crate) struct GpioChip {
    path: PathBuf,
    /// The section of the configuration that names it.
    section: &'static str,
}

impl GpioChip {
    /// The chip at a path, as in `/dev/gpiochip0`.
    ///
    /// # Errors
    /// [`LineFault`] if this user cannot use it.
    pub(crate) fn open(path: &Path, section: &'static str) -> Result<Self, LineFault> {
        match std::fs::OpenOptions::new().read(true).write(true).open(path) {
            Ok(_) => Ok(Self { path: path.to_path_buf(), section }),
            Err(error) => Err(LineFault(refusal(path, section, &error))),
        }
    }

    /// Why a line of it cannot be had, in words.
    pub(crate) fn said(&self, key: &str, line: u32, error: &gpiocdev::Error) -> LineFault {
        let (chip, section) = (self.path.display(), self.section);
        let info = gpiocdev::Chip::from_path(&self.path)
            .and_then(|chip| Ok((chip.info()?.num_lines, chip.line_info(line))));
        LineFault(match info {
            Ok((count, _)) if line >= count => format!(
                "{key}: {chip} has no line {line}, its last one is {}; correct [{section}] in the configuration",
                count.saturating_sub(1)
            ),
            Ok((_, Ok(info))) if info.used => {
                let by = if info.consumer.is_empty() { "the kernel" } else { &info.consumer };
                format!(
                    "{key}: line {line} of {chip} is in use by {by:?}; stop that, or wire and configure another line"
                )
            }
            _ => format!("{key}: line {line} of {chip}: {error}"),
        })
    }

    /// A request for lines of it that begins with this.
    pub(crate) fn config(&self) -> Config {
        let mut config = Config::default();
        config.on_chip(&self.path);
        config
    }

    fn request(&self, config: Config) -> gpiocdev::Result<Request> {
        Request::from_config(config).with_consumer(CONSUMER).request()
    }
}

impl Chip for GpioChip {
    fn output(&self, key: &'static str, line: LineConfig) -> Result<Box<dyn Output>, LineFault> {
        let mut config = self.config();
        config.with_line(line.line);
        if line.active_low {
            config.as_active_low();
        }
        // The kernel sets the level in the same step in which the line becomes an output.
        config.as_output(Value::Inactive);
        let request = self.request(config).map_err(|error| self.said(key, line.line, &error))?;
        Ok(Box::new(GpioOutput { request, key }))
    }

    fn inputs(&self, lines: &[(&'static str, LineConfig)]) -> Result<Box<dyn Inputs>, LineFault> {
        let mut config = self.config();
        for (_, line) in lines {
            config.with_line(line.line).as_input();
            if line.active_low {
                config.as_active_low();
            }
        }
        let mut edges = config.clone();
        for (_, line) in lines {
            edges
                .with_line(line.line)
                .with_edge_detection(EdgeDetection::BothEdges)
                .with_event_clock(EventClock::Monotonic)
                .with_debounce_period(BOUNCE);
        }
        if let Ok(request) = self.request(edges) {
            return Ok(Box::new(GpioEdges { request }));
        }
        // No interrupts; or a line that cannot be had, which the second request tells.
        let request = self.request(config).map_err(|error| {
            let told = lines.iter().map(|(key, line)| self.said(key, line.line, &error));
            // The line that is at fault has better words than the others.
            let mut told: Vec<LineFault> = told.collect();
            told.sort_by_key(|fault| fault.0.contains(&error.to_string()));
            told.into_iter().next().unwrap_or_else(|| LineFault(error.to_string()))
        })?;
        let bounce = |(line, active)| (line, Bounce::at(active));
        let bounces = levels(&request)?.into_iter().map(bounce).collect();
        Ok(Box::new(GpioLooks { request, bounces, begun: Instant::now() }))
    }
}

/// Why a chip cannot be opened, and what helps.
fn refusal(path: &Path, section: &str, error: &std::io::Error) -> String {
    let chip = path.display();
    match error.kind() {
        ErrorKind::NotFound => format!(
            "{chip} is not there; `ls /dev/gpiochip*` shows the chips of this machine, and chip in [{section}] names one"
        ),
        ErrorKind::PermissionDenied => {
            let group = std::fs::metadata(path).map(|meta| group_name(meta.gid()));
            let group = group.unwrap_or_else(|_| "its group".to_owned());
            format!(
                "{chip}: this user may not use it; it belongs to group {group}: put the unit's user into that group, and \
                 give the group read and write (a udev rule with GROUP and MODE=\"0660\")"
            )
        }
        _ => format!("{chip}: {error}"),
    }
}

/// The name of a group, or its number if no name is written down.
fn group_name(gid: u32) -> String {
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let named = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == gid.to_string()).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| gid.to_string())
}

struct GpioOutput {
    request: Request,
    key: &'static str,
}

impl Output for GpioOutput {
    fn set(&self, active: bool) -> Result<(), LineFault> {
        let value = if active { Value::Active } else { Value::Inactive };
        self.request.set_lone_value(value).map_err(|error| gone(self.key, &error))
    }

    fn get(&self) -> Result<bool, LineFault> {
        let value = self.request.lone_value().map_err(|error| gone(self.key, &error))?;
        Ok(value == Value::Active)
    }
}

/// A line that was ours and fails.
fn gone(key: &str, error: &gpiocdev::Error) -> LineFault {
    LineFault(format!(
        "{key}: the line fails ({error}); check that the GPIO chip is there, and start the unit again"
    ))
}

fn levels(request: &Request) -> Result<Vec<(u32, bool)>, LineFault> {
    // Empty, it is filled with all lines of the request.
    let mut values = Values::default();
    request.values(&mut values).map_err(|error| gone("inputs", &error))?;
    Ok(values.iter().map(|value| (value.offset, value.value == Value::Active)).collect())
}

/// Inputs whose edges the kernel tells, without their bounces.
struct GpioEdges {
    request: Request,
}

impl Inputs for GpioEdges {
    fn levels(&self) -> Result<Vec<(u32, bool)>, LineFault> {
        levels(&self.request)
    }

    fn next(&mut self, patience: Duration) -> Result<Option<Edge>, LineFault> {
        let failed = |error| gone("inputs", &error);
        if !self.request.wait_edge_event(patience).map_err(failed)? {
            return Ok(None);
        }
        let event = self.request.read_edge_event().map_err(failed)?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::try_from(now).unwrap_or_default();
        let age = now.saturating_sub(Duration::from_nanos(event.timestamp_ns));
        Ok(Some(Edge { line: event.offset, active: event.kind == EdgeKind::Rising, age }))
    }
}

/// Inputs that are looked at.
struct GpioLooks {
    request: Request,
    bounces: Vec<(u32, Bounce)>,
    begun: Instant,
}

impl Inputs for GpioLooks {
    fn levels(&self) -> Result<Vec<(u32, bool)>, LineFault> {
        Ok(self.bounces.iter().map(|(line, bounce)| (*line, bounce.is_active())).collect())
    }

    fn next(&mut self, patience: Duration) -> Result<Option<Edge>, LineFault> {
        let begun = Instant::now();
        loop {
            let now = self.begun.elapsed();
            for (line, active) in levels(&self.request)? {
                let bounce = self.bounces.iter_mut().find(|(of, _)| *of == line);
                if let Some((_, bounce)) = bounce
                    && let Some(active) = bounce.look(active, now, BOUNCE)
                {
                    return Ok(Some(Edge { line, active, age: BOUNCE }));
                }
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(LOOK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chip_that_cannot_be_used_is_named_with_what_helps() {
        let folder = tempfile::tempdir().expect("a folder");
        let missing = folder.path().join("gpiochip9");
        let said = GpioChip::open(&missing, "door").expect_err("no chip").0;
        assert!(said.contains("gpiochip9 is not there; `ls /dev/gpiochip*`"), "{said}");
        // A file is no chip: it opens, and the first line that is asked of it is refused.
        let file = folder.path().join("gpiochip0");
        std::fs::write(&file, "").expect("a file");
        let chip = GpioChip::open(&file, "door").expect("it opens");
        let line = LineConfig { line: 3, active_low: false };
        let said = chip.output("relay", line).err().expect("no chip").0;
        assert!(said.starts_with("relay: line 3 of "), "{said}");
        let said = chip.inputs(&[("contact", line)]).err().expect("no chip").0;
        assert!(said.starts_with("contact: line 3 of "), "{said}");
    }

    #[test]
    fn a_chip_of_another_group_is_told_with_the_group() {
        let denied = std::io::Error::from(ErrorKind::PermissionDenied);
        let said = refusal(Path::new("/"), "door", &denied);
        assert!(said.contains("belongs to group root: put the unit's user into"), "{said}");
        assert_eq!(group_name(4_000_000_000), "4000000000");
    }
}
