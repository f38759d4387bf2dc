//! The command line as meant: options resolved into what commands work with.
//!
//! Owns the defaults that depend on the machine: threads, the packs folder, the port.
//! Refuses to open anything; a command opens what it needs, so that `detect` needs no unit and `info` no packs.

use crate::args::Options;
use crate::error::HostError;
use crate::keychain::Keychain;
use crate::say::Say;
use crate::session::ports_there;
use std::path::PathBuf;
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
    unit: Option<String>,
}

impl Meant {
    /// What the options mean on this machine.
    #[must_use]
    pub fn by(typed: &Options) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
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
            // An empty variable means that there is none.
            unit: typed
                .unit
                .clone()
                .or_else(|| std::env::var("THRESHOLD_UNIT").ok())
                .filter(|unit| !unit.is_empty()),
        }
    }

    /// The unit's port.
    ///
    /// # Errors
    /// [`HostError::NoUnit`] if none was named.
    pub fn unit(&self) -> Result<&str, HostError> {
        self.unit.as_deref().ok_or_else(|| HostError::NoUnit { ports: ports_there() })
    }
}
