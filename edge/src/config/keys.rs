//! `[keys]`: what keeps the unit's secret.
//!
//! Owns what holds of both keepers of a data folder: a move of the secret that was cut off leaves it with both, so that who forgets it
//! forgets both, and no plain one stays beside one that a TPM keeps.

use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_store::keys::Secret;
use threshold_store::{Counter, FileKeys, KEY_FILE, Keeper, KeyError, KeyProvider};
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
    pub fn of(&self, data: &Path) -> Arc<FolderKeys> {
        let file = FileKeys::at(&data.join(KEY_FILE));
        let tpm = TpmKeys::at(&self.tpm, &data.join(SEALED_FILE));
        Arc::new(FolderKeys { keeper: self.keeper, file, tpm })
    }
}

/// The keeper of a data folder's secret, which knows of the folder's other one.
#[derive(Debug)]
pub struct FolderKeys {
    keeper: KeeperKind,
    file: FileKeys,
    tpm: TpmKeys,
}

impl FolderKeys {
    fn own(&self) -> &dyn KeyProvider {
        match self.keeper {
            KeeperKind::File => &self.file,
            KeeperKind::Tpm => &self.tpm,
        }
    }

    /// Waits until the TPM may be opened, if it keeps the secret: at a boot its driver, and who may use it, may come later than this
    /// program. One that does not come in time, or before the unit shall stop, is the fault that opening the store tells.
    pub fn await_tpm(&self, patience: Duration, stops: impl Fn() -> bool) {
        let end = Instant::now() + patience;
        let is_to_come = || {
            let opened = OpenOptions::new().read(true).write(true).open(self.tpm.device());
            opened.is_err_and(|error| {
                matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied)
            })
        };
        while self.keeper == KeeperKind::Tpm && Instant::now() < end && !stops() && is_to_come() {
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Forgets the secret in this keeper alone.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn forget_here(&self) -> Result<(), KeyError> {
        self.own().forget()
    }

    /// Takes away what a cut left of a plain secret beside one that the TPM keeps. To be called once the store opened.
    ///
    /// # Errors
    /// [`KeyError::OtherBeside`] if it is another secret; of the keepers.
    pub fn drop_plain(&self) -> Result<(), KeyError> {
        if self.keeper != KeeperKind::Tpm || !self.file.file().leaves_something() {
            return Ok(());
        }
        let other = || KeyError::OtherBeside { path: self.file.file().path().to_path_buf() };
        match self.file.secret() {
            // Without its name it is nobody's secret: it is never read.
            Ok(None) => {}
            Ok(plain) if plain == self.tpm.secret()? => {}
            Ok(Some(_)) | Err(KeyError::NotASecret { .. }) => return Err(other()),
            Err(error) => return Err(error),
        }
        self.file.forget()
    }
}

impl KeyProvider for FolderKeys {
    fn keeper(&self) -> Keeper {
        self.own().keeper()
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        self.own().secret()
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        self.own().keep(secret)
    }

    /// In both keepers of the folder. A TPM of which no sealed file is here is another unit's.
    fn forget(&self) -> Result<(), KeyError> {
        let forgotten = self.own().forget();
        let beside = match self.keeper {
            KeeperKind::Tpm => self.file.forget(),
            KeeperKind::File if self.tpm.file().leaves_something() => self.tpm.forget(),
            KeeperKind::File => Ok(()),
        };
        forgotten.and(beside)
    }

    fn counter(&self) -> Result<Option<Counter>, KeyError> {
        self.own().counter()
    }

    fn count_to(&self, to: u64) -> Result<(), KeyError> {
        self.own().count_to(to)
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        self.own().random(into)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_start_waits_for_a_tpm_that_comes_and_no_longer_than_it_may_for_one_that_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let tpm = folder.path().join("tpmrm0");
        let keys = |keeper| KeysConfig { keeper, tpm: tpm.clone() }.of(folder.path());
        let waited = |keeper, patience_ms, stops: bool| {
            let begun = Instant::now();
            keys(keeper).await_tpm(Duration::from_millis(patience_ms), || stops);
            begun.elapsed()
        };
        assert!(waited(KeeperKind::Tpm, 250, false) >= Duration::from_millis(250));
        assert!(waited(KeeperKind::Tpm, 60_000, true) < Duration::from_secs(30), "it shall stop");
        assert!(waited(KeeperKind::File, 60_000, false) < Duration::from_secs(30));
        let comes = std::thread::spawn({
            let tpm = tpm.clone();
            move || {
                std::thread::sleep(Duration::from_millis(150));
                std::fs::write(tpm, "").unwrap();
            }
        });
        assert!(waited(KeeperKind::Tpm, 60_000, false) < Duration::from_secs(30));
        comes.join().unwrap();
        assert!(tpm.exists());
    }
}
