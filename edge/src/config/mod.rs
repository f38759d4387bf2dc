//! The unit's configuration: one TOML file, in which every key may be missing, and what was typed, which goes before it.
//!
//! Owns names and defaults. Refuses to open anything: the parts do, each what its own section says. Refuses a key that it
//! does not know, since a misspelt one would leave a default in force that nobody chose.

mod camera;
mod door;

pub use camera::{CameraConfig, CameraFormat};
pub use door::{DoorConfig, LineConfig};

use crate::args;
use anyhow::{Context as _, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Everything that a unit is told before it starts.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
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
    /// What it recognises with.
    pub engine: EngineConfig,
}

/// `[unit]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UnitConfig {
    /// The name; the machine's if there is none.
    pub name: Option<String>,
    /// The folder of gallery and log; empty if nobody named it.
    pub data: PathBuf,
}

/// `[link]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// A serial device, or `pty:` and a path; empty if nobody named it.
    pub serial: String,
}

/// `[engine]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
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

impl Config {
    /// The smallest faces that may be looked for, pixels: P-Net sees 12.
    pub const MIN_FACE_PX: std::ops::RangeInclusive<u32> = 12..=4096;
    /// The threads that the networks may have.
    pub const THREADS: std::ops::RangeInclusive<u16> = 1..=64;

    /// The configuration of a file.
    ///
    /// # Errors
    /// In words, with the line, if the file cannot be read or is not such a configuration.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let named = || format!("configuration {}", path.display());
        let text = std::fs::read_to_string(path).with_context(named)?;
        toml::from_str(&text).with_context(named)
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
        replace(&mut engine.kind, &typed.engine);
        replace(&mut engine.min_face_px, &typed.min_face);
        unit.name = typed.name.clone().or(unit.name.take());
        engine.model = typed.model.clone().or(engine.model.take());
        engine.packs = typed.packs.clone().or(engine.packs.take());
        engine.kernels = typed.kernels.clone().or(engine.kernels.take());
        engine.threads = typed.threads.or(engine.threads);
        config.check()?;
        Ok(config)
    }

    /// Checks what the types cannot.
    fn check(&self) -> anyhow::Result<()> {
        for (missing, key, flag) in [
            (self.camera.source.as_os_str().is_empty(), "source in [camera]", "--camera"),
            (self.link.serial.is_empty(), "serial in [link]", "--serial"),
            (self.unit.data.as_os_str().is_empty(), "data in [unit]", "--data"),
        ] {
            if missing {
                bail!("nothing says {key}: write it into the configuration file, or type {flag}");
            }
        }
        self.camera.check()?;
        let (min_face_px, range) = (self.engine.min_face_px, Self::MIN_FACE_PX);
        if !range.contains(&min_face_px) {
            let (least, most) = (range.start(), range.end());
            bail!("min_face_px in [engine] is {min_face_px}: it may be {least} to {most}");
        }
        let range = Self::THREADS;
        if let Some(threads) = self.engine.threads.filter(|threads| !range.contains(threads)) {
            let (least, most) = (range.start(), range.end());
            bail!("threads in [engine] is {threads}: it may be {least} to {most}");
        }
        self.door.check()
    }
}

fn replace<T: Clone>(place: &mut T, typed: &Option<T>) {
    if let Some(typed) = typed {
        *place = typed.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_say_nothing_and_a_key_that_nobody_knows_is_refused_with_its_line() {
        assert_eq!(toml::from_str::<Config>(""), Ok(Config::default()));
        let wrong = toml::from_str::<Config>("[camera]\nsorce = 1\n").expect_err("a misspelt key");
        assert!(wrong.to_string().contains("line 2"), "{wrong}");
        assert!(wrong.to_string().contains("sorce"), "{wrong}");
    }
}
