//! The command line as meant: options resolved into what commands work with.
//!
//! Owns the defaults that depend on the machine: threads, the packs folder, the port.
//! Refuses to open anything; a command opens what it needs, so that `detect` needs no unit and `info` no packs.

use crate::args::Options;
use crate::error::HostError;
use crate::keychain::Keychain;
use crate::say::Say;
use crate::session::ports_there;
use crate::site::{Site, Target};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which embedding model is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// FaceNet's Inception-ResNet-v1.
    FaceNet,
    /// dlib's ResNet-29.
    Dlib,
    /// A pack file.
    File(PathBuf),
}

/// Options with their machine-dependent defaults filled in.
#[derive(Clone, Debug)]
pub struct Meant {
    /// Where results and warnings go.
    pub say: Say,
    /// How long to wait for the unit to be there; `None`: not at all.
    pub wait: Option<Duration>,
    /// The packs folder that was typed or set; `None`: the cache's.
    pub packs: Option<PathBuf>,
    /// The administrator's keys.
    pub keychain: Keychain,
    /// The model that was typed.
    pub model: Option<Choice>,
    /// Threads for the networks, 1 or more.
    pub threads: usize,
    /// The units that are meant, none if none was named.
    targets: Vec<Target>,
    /// It is one of several.
    several: bool,
}

/// What stands for a unit's name in the name of a file.
const UNIT: &str = "{unit}";

impl Meant {
    /// What the options mean on this machine.
    ///
    /// # Errors
    /// [`HostError::Site`] if the site's file is not one.
    pub fn by(typed: &Options) -> Result<Self, HostError> {
        // An empty variable means that there is none.
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let site = typed.site.clone().or_else(|| set("THRESHOLD_SITE").map(PathBuf::from));
        let site = site.as_deref().map(Site::read).transpose()?.unwrap_or_default();
        let unit = typed.unit.clone().or_else(|| set("THRESHOLD_UNIT")).unwrap_or_default();
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Self {
            say: Say::new(typed.json),
            wait: typed.wait.map(Duration::from_secs),
            packs: typed.packs.clone(),
            keychain: Keychain::meant(typed.keys.as_deref()),
            model: typed.model.as_deref().map(|model| match model {
                "facenet" => Choice::FaceNet,
                "dlib" => Choice::Dlib,
                file => Choice::File(PathBuf::from(file)),
            }),
            threads: typed.threads.map_or(processors, usize::from),
            targets: site.meant(&unit),
            several: false,
        })
    }

    /// The units that are meant.
    #[must_use]
    pub fn targets(&self) -> Vec<Target> {
        self.targets.clone()
    }

    /// The same with that unit alone.
    #[must_use]
    pub fn of(&self, target: &Target) -> Self {
        Self { targets: vec![target.clone()], several: self.targets.len() > 1, ..self.clone() }
    }

    /// The file that a unit's part of the output goes to: `{unit}` in its name stands for the unit's.
    ///
    /// # Errors
    /// [`HostError::OneFileForAll`] if several units would write into one.
    pub fn out(&self, typed: &Path) -> Result<PathBuf, HostError> {
        let name = typed.to_string_lossy();
        if self.several && !name.contains(UNIT) {
            return Err(HostError::OneFileForAll { file: name.into_owned() });
        }
        // A port's name may have slashes.
        let unit = self.targets.first().map_or("unit", Target::title).replace(['/', ':'], "_");
        Ok(if name.contains(UNIT) {
            PathBuf::from(name.replace(UNIT, &unit))
        } else {
            typed.to_path_buf()
        })
    }

    /// The unit.
    ///
    /// # Errors
    /// [`HostError::NoUnit`] if none was named.
    pub fn unit(&self) -> Result<&Target, HostError> {
        self.targets.first().ok_or_else(|| HostError::NoUnit { ports: ports_there() })
    }
}
