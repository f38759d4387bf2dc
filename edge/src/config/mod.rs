//! The unit's configuration: one TOML file, in which every key may be missing, what an owner set over the line, which goes before it,
//! and what was typed, which goes before both.
//!
//! Owns names and defaults. Refuses to open anything: the parts do, each what its own section says. Refuses a key that it
//! does not know, since a misspelt one would leave a default in force that nobody chose.

mod camera;
mod check;
mod controller;
mod display;
mod door;
mod heat;
mod held;
mod keys;
mod presentation;
mod reader;
mod shape;

pub use camera::{CameraConfig, CameraFormat};
pub use controller::{CardFormat, ControllerConfig, LockHolder};
pub use display::DisplayConfig;
pub use door::{DoorConfig, LineConfig};
pub use heat::HeatConfig;
pub use held::{FellBack, Held};
pub use keys::{FolderKeys, KeeperKind, KeysConfig};
pub use presentation::PresentationConfig;
pub use reader::{KeypadKind, ReaderConfig};

use crate::args;
use crate::notices::Notices;
use crate::zone::{Zone, ZoneError};
use anyhow::{Context as _, anyhow, bail};
use serde::{Deserialize, Serialize};
use shape::{Shape, shape_at};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use threshold_wire::config::{DEFAULT_MARK, UNTOLD};

/// Everything that a unit is told before it starts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who it is.
    pub unit: UnitConfig,
    /// What it sees with.
    pub camera: CameraConfig,
    /// What administrators reach it by.
    pub link: LinkConfig,
    /// What it moves and feels.
    pub door: DoorConfig,
    /// What it reads badges and numbers with.
    pub reader: ReaderConfig,
    /// Whom it tells of each admission.
    pub controller: ControllerConfig,
    /// What it shows words on.
    pub display: DisplayConfig,
    /// What it recognises with.
    pub engine: EngineConfig,
    /// What keeps its secret.
    pub keys: KeysConfig,
    /// What follows from attacks.
    pub presentation: PresentationConfig,
    /// How hot it may get.
    pub heat: HeatConfig,
}

/// `[unit]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnitConfig {
    /// The name; the machine's if there is none.
    pub name: Option<String>,
    /// The folder of gallery and log; empty if nobody named it.
    pub data: PathBuf,
    /// The device that holds gallery and log in place of the folder: a partition that `threshold-edge store format` made one.
    pub store: Option<PathBuf>,
    /// The folder of the record of the recovery key, which has to outlive the other one; beside it if there is none.
    pub commission: Option<PathBuf>,
    /// The time zone of schedules, an offset from UTC or a POSIX TZ rule; UTC if there is none.
    pub timezone: Option<String>,
}

/// Where a folder is, links followed as far as it is there.
fn place(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let there = absolute.ancestors().find_map(|at| Some((at, at.canonicalize().ok()?)));
    let Some((at, real)) = there else { return absolute };
    absolute.strip_prefix(at).map_or(real.clone(), |rest| real.join(rest))
}

impl UnitConfig {
    /// The folder of the record: the one that was named, or the data folder's name with `.commission` behind it.
    ///
    /// # Errors
    /// In words, if it lies in the data folder, or that is one that has no name.
    pub fn commission(&self) -> anyhow::Result<PathBuf> {
        if let Some(named) = &self.commission {
            if place(named).starts_with(place(&self.data)) {
                bail!(
                    "the folder {} of the record of the recovery key lies in the data folder, with which it would be deleted: name another one",
                    named.display()
                );
            }
            return Ok(named.clone());
        }
        let Some(name) = self.data.file_name() else {
            bail!(
                "the data folder {} has no name, so that nothing can stand beside it: name another one, or type --commission FOLDER for \
                 the record of the recovery key",
                self.data.display()
            )
        };
        let mut beside = name.to_os_string();
        beside.push(".commission");
        Ok(self.data.with_file_name(beside))
    }

    /// The time zone.
    ///
    /// # Errors
    /// [`ZoneError`] for a text that is none.
    pub fn zone(&self) -> Result<Zone, ZoneError> {
        self.timezone.as_deref().map_or_else(|| Ok(Zone::default()), Zone::of)
    }
}

/// `[link]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// A serial device, or `pty:` and a path; empty if nobody named it.
    pub serial: String,
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineConfig {
    /// What computes.
    pub kind: EngineKind,
    /// The embedding model; `facenet` if its pack is there, else `dlib`, if there is none.
    pub model: Option<String>,
    /// The folder of model packs.
    pub packs: Option<PathBuf>,
    /// The folder of kernels for a GPU.
    pub kernels: Option<PathBuf>,
    /// Threads for the networks; all processors, at most 8, if there is none.
    pub threads: Option<u16>,
    /// The smallest face looked for, pixels.
    pub min_face_px: u32,
}

/// What computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// The processor.
    #[default]
    Cpu,
    /// An NVIDIA GPU.
    Cuda,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            kind: EngineKind::Cpu,
            model: None,
            packs: None,
            kernels: None,
            threads: None,
            // A person within 1.5 m of a 720p door camera.
            min_face_px: 80,
        }
    }
}

impl EngineConfig {
    /// The smallest faces that may be looked for, pixels: P-Net sees 12.
    pub const MIN_FACE_PX: RangeInclusive<u32> = 12..=4096;
    /// The threads that the networks may have.
    pub const THREADS: RangeInclusive<u16> = 1..=64;

    /// Checks what the types cannot.
    fn check(&self) -> anyhow::Result<()> {
        let (min_face_px, range) = (self.min_face_px, Self::MIN_FACE_PX);
        if !range.contains(&min_face_px) {
            let (least, most) = (range.start(), range.end());
            bail!("min_face_px in [engine] is {min_face_px}: it may be {least} to {most}");
        }
        let range = Self::THREADS;
        if let Some(threads) = self.threads.filter(|threads| !range.contains(threads)) {
            let (least, most) = (range.start(), range.end());
            bail!("threads in [engine] is {threads}: it may be {least} to {most}");
        }
        Ok(())
    }
}

impl Config {
    /// The configuration of a file.
    ///
    /// # Errors
    /// In words, with everything that is wrong with it and the lines, if the file cannot be read or is not such a
    /// configuration.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!("configuration {} (name a file that this user may read)", path.display())
        })?;
        check::read(&text).map_err(|problems| {
            let lines: Vec<String> =
                problems.iter().map(|problem| format!("\n  {problem}")).collect();
            anyhow!(
                "configuration {}: nothing was started{}\nput these right; `threshold-edge config check {}` tells when none is left",
                path.display(),
                lines.concat(),
                path.display()
            )
        })
    }

    /// What was typed, over what its file says.
    ///
    /// # Errors
    /// In words, if the file is wrong, or if neither names the camera, the line and the data folder.
    pub fn of(typed: &args::Run) -> anyhow::Result<Self> {
        let mut config = typed.config.as_deref().map(Self::read).transpose()?.unwrap_or_default();
        let Self { unit, camera, link, engine, .. } = &mut config;
        replace(&mut camera.source, &typed.camera);
        replace(&mut link.serial, &typed.serial);
        replace(&mut unit.data, &typed.data);
        unit.store = typed.store.clone().or(unit.store.take());
        unit.commission = typed.commission.clone().or(unit.commission.take());
        replace(&mut engine.kind, &typed.engine);
        replace(&mut engine.min_face_px, &typed.min_face);
        unit.name = typed.name.clone().or(unit.name.take());
        engine.model = typed.model.clone().or(engine.model.take());
        engine.packs = typed.packs.clone().or(engine.packs.take());
        engine.kernels = typed.kernels.clone().or(engine.kernels.take());
        engine.threads = typed.threads.or(engine.threads);
        match config.unsaid().first() {
            None => Ok(config),
            Some((key, flag)) => {
                bail!("nothing says {key}: write it into the configuration file, or type {flag}")
            }
        }
    }

    /// What a unit cannot start without and nobody said: the key, and the flag that says it too.
    fn unsaid(&self) -> Vec<(&'static str, &'static str)> {
        let needed = [
            (self.camera.source.as_os_str().is_empty(), "source in [camera]", "--camera"),
            (self.link.serial.is_empty(), "serial in [link]", "--serial"),
            (self.unit.data.as_os_str().is_empty(), "data in [unit]", "--data"),
        ];
        let unsaid = needed.into_iter().filter(|(unsaid, _, _)| *unsaid);
        unsaid.map(|(_, key, flag)| (key, flag)).collect()
    }

    /// What the types cannot refuse: the section, and in words with the key what is wrong there first.
    fn broken(&self) -> Vec<(&'static str, String)> {
        let checked = [
            ("unit", self.unit.zone().map(drop).map_err(Into::into)),
            ("camera", self.camera.check()),
            ("engine", self.engine.check()),
            ("door", self.door.check()),
            ("reader", self.reader.check(&self.door)),
            ("controller", self.controller.check(&self.door, &self.reader)),
            ("display", self.display.check(&self.link)),
            ("presentation", self.presentation.check()),
            ("heat", self.heat.check()),
        ];
        let broken = |(section, checked): (_, anyhow::Result<()>)| {
            checked.err().map(|error| (section, error.to_string()))
        };
        checked.into_iter().filter_map(broken).collect()
    }

    /// What is in force, as a file that says it: defaults too, and below each section's name the keys that nothing is said of.
    ///
    /// # Errors
    /// Never, with values that TOML can write.
    fn text(&self) -> anyhow::Result<String> {
        let said = toml::Table::try_from(self).context("no such TOML")?;
        let mut text = String::new();
        for line in toml::to_string(self).context("no such TOML")?.lines() {
            text.extend([line, "\n"]);
            let section = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            let Some(section) = section else { continue };
            let Shape::Table(keys) = shape_at::<Self>(&[section]) else { continue };
            let has = |key: &str| said.get(section).is_some_and(|table| table.get(key).is_some());
            for key in keys.iter().filter(|key| !has(key)) {
                text.extend(["# ", key, " is not set\n"]);
            }
        }
        Ok(text)
    }

    /// The same as an owner is told it over the line: without the places of this machine, and with a mark behind each default.
    ///
    /// # Errors
    /// If there is a path that is no UTF-8, which TOML cannot write.
    fn told(&self) -> anyhow::Result<String> {
        let by_default = toml::Table::try_from(Self::default()).context("no such TOML")?;
        let mut told = String::new();
        let mut section = String::new();
        for line in self.text()?.lines() {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
            }
            let said = line.split_once(" = ");
            let key = said.map(|(key, _)| key).or_else(|| {
                line.strip_prefix("# ").and_then(|rest| rest.strip_suffix(" is not set"))
            });
            let is_untold = |key: &str| UNTOLD.contains(&format!("{section}.{key}").as_str());
            if key.is_some_and(is_untold) {
                continue;
            }
            told.push_str(line);
            // A line of the door is high unless it says that it is low.
            let is_default = said.is_some_and(|(key, value)| {
                let default = by_default.get(&section).and_then(|keys| keys.get(key));
                default.is_some_and(|default| default.to_string() == value)
                    || line == "active_low = false"
            });
            told.push_str(if is_default { DEFAULT_MARK } else { "" });
            told.push('\n');
        }
        Ok(told)
    }
}

/// `threshold-edge config`: says what is wrong with a file, or what is in force. Nothing of a unit is opened.
///
/// # Errors
/// In words, if the file cannot be read or anything is wrong with it.
pub fn tell(
    typed: &args::ConfigCommand,
    notices: &Notices,
    asked_for: &Notices,
) -> anyhow::Result<()> {
    match typed {
        args::ConfigCommand::Check { file } => {
            let config = Config::read(file)?;
            for (key, flag) in config.unsaid() {
                notices.tell(&format!("nothing says {key}: type {flag} at the start"));
            }
            notices.tell(&format!("configuration {}: nothing is wrong", file.display()));
        }
        args::ConfigCommand::Show { config } => {
            let config = config.as_deref().map(Config::read).transpose()?.unwrap_or_default();
            asked_for.tell(config.text()?.trim_end());
        }
    }
    Ok(())
}

fn replace<T: Clone>(place: &mut T, typed: &Option<T>) {
    if let Some(typed) = typed {
        *place = typed.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file that is installed with the unit.
    const EXAMPLE: &str = include_str!("../../system/unit.toml");

    #[test]
    fn a_file_may_say_nothing_and_the_example_says_the_defaults() {
        assert_eq!(check::read(""), Ok(Config::default()));
        assert_eq!(check::read(EXAMPLE), Ok(Config::default()));
    }

    #[test]
    fn the_example_has_every_key_and_what_it_leaves_out_may_be_said() {
        // `#key = value` is left out, `# words` explain.
        let spoken: String = EXAMPLE
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(left_out) if !left_out.starts_with(' ') => format!("{left_out}\n"),
                _ => format!("{line}\n"),
            })
            .collect();
        let config = check::read(&spoken).unwrap_or_else(|problems| panic!("{problems:?}"));
        assert!(config.unsaid().is_empty());
        let table: toml::Table = spoken.parse().expect("it was read");
        let Shape::Table(sections) = shape_at::<Config>(&[]) else { panic!("no sections") };
        for section in sections {
            let Shape::Table(keys) = shape_at::<Config>(&[section]) else { continue };
            for key in keys {
                let there = table.get(*section).and_then(|section| section.get(*key)).is_some();
                assert!(there, "edge/system/unit.toml does not explain {key} in [{section}]");
            }
        }
    }

    #[test]
    fn what_is_in_force_is_a_file_that_says_the_same() {
        let said = "[unit]\nname = \"north\"\n[engine]\nthreads = 2\nkind = \"cuda\"\n";
        for config in [Config::default(), check::read(said).expect("it is right")] {
            let text = config.text().expect("it can be written");
            assert_eq!(check::read(&text), Ok(config.clone()), "{text}");
            assert!(text.contains("# model is not set"), "{text}");
            assert_eq!(text.contains("# threads is not set"), config.engine.threads.is_none());
        }
    }
}
