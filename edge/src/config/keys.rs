//! `[keys]`: what keeps the unit's secret.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threshold_store::{FileKeys, KEY_FILE, KeyProvider};
use threshold_tpm::{SEALED_FILE, TpmKeys};

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeysConfig {
    /// What keeps the secret.
    pub keeper: KeeperKind,
    /// The TPM's device with the kernel's resource manager, or the socket of a software TPM.
    pub tpm: PathBuf,
}

/// What keeps the secret.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum KeeperKind {
    /// A file in the data folder: whoever copies the medium has it.
    #[default]
    File,
    /// A TPM 2.0, which alone opens the file in the data folder.
    Tpm,
}

impl Default for KeysConfig {
    fn default() -> Self {
        Self { keeper: KeeperKind::File, tpm: PathBuf::from("/dev/tpmrm0") }
    }
}

impl KeysConfig {
    /// The keeper of a data folder's secret; nothing is opened yet.
    #[must_use]
    pub fn of(&self, data: &Path) -> Arc<dyn KeyProvider> {
        match self.keeper {
            KeeperKind::File => Arc::new(FileKeys::at(&data.join(KEY_FILE))),
            KeeperKind::Tpm => Arc::new(TpmKeys::at(&self.tpm, &data.join(SEALED_FILE))),
        }
    }
}
