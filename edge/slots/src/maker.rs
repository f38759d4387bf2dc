//! Who made the unit and for which board: what every bundle and every slot is held against.
//!
//! A file that the unit's package brings and that the unit's own user cannot write, so that no update changes whom the unit believes:
//!
//! ```toml
//! compatible = "jetson-orin"      # the board, as bundles name it
//! release_key = "64 hex digits"   # the public release key, Ed25519
//! ```
//! A unit whose file names the development key is a developer's: everybody can make what it takes. One whose file names another
//! refuses what that key signed.

use crate::SlotError;
use serde::Deserialize;
use std::path::Path;
use threshold_bundle::{Trust, development_key, from_hex};

/// The release key and the board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker {
    /// The board, as bundles name it.
    pub compatible: String,
    /// The public release key, Ed25519.
    pub release_key: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Typed {
    compatible: String,
    release_key: String,
}

impl Maker {
    /// The maker of a developer's bench.
    #[must_use]
    pub fn development(compatible: &str) -> Self {
        let release_key = Trust::development().release_key;
        Self { compatible: compatible.to_owned(), release_key }
    }

    /// True if everybody can make what this unit takes.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.release_key == development_key().verifying_key().to_bytes()
    }

    /// Reads the file.
    ///
    /// # Errors
    /// [`SlotError::Maker`].
    pub fn read(path: &Path) -> Result<Self, SlotError> {
        let fault = |what: String| SlotError::Maker { path: path.display().to_string(), what };
        let text = std::fs::read_to_string(path).map_err(|error| fault(error.to_string()))?;
        let typed: Typed = toml::from_str(&text).map_err(|error| fault(error.to_string()))?;
        let release_key = from_hex(&typed.release_key)
            .ok_or_else(|| fault("release_key is not 64 small hex digits".to_owned()))?;
        Ok(Self { compatible: typed.compatible, release_key })
    }
}
