//! Who keeps the unit's secret, outside the flash that it protects.
//!
//! Owns the trait that a security chip, a trusted world or a file implement, and the file body. Refuses a default secret:
//! each unit makes its own at its first start.
//! Terms: the *secret* is the one from which everything else of the store is unlocked; whoever has it and the flash can read
//! and forge everything, and once it is forgotten nobody can.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// A secret; its bytes are overwritten when it goes.
pub type Secret = Zeroizing<[u8; SECRET_BYTES]>;

/// What keeps a secret, for whoever asks how safe it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeper {
    /// A file beside the flash: whoever copies the medium has it. For development.
    File,
    /// Memory of this process, for tests.
    Memory,
}

/// Keeps the unit's secret and draws random bytes.
pub trait KeyProvider: Send + Sync + fmt::Debug {
    /// What keeps it.
    fn keeper(&self) -> Keeper;

    /// The secret; `None` if none was made since the last one was forgotten.
    ///
    /// # Errors
    /// [`KeyError`].
    fn secret(&self) -> Result<Option<Secret>, KeyError>;

    /// Keeps a secret from now on; durable on return.
    ///
    /// # Errors
    /// [`KeyError`], also if there is one already.
    fn keep(&self, secret: &Secret) -> Result<(), KeyError>;

    /// Forgets the secret for good: everything that it unlocks is erased by that.
    ///
    /// # Errors
    /// [`KeyError`].
    fn forget(&self) -> Result<(), KeyError>;

    /// Fills with bytes that nobody can foretell.
    ///
    /// # Errors
    /// [`KeyError`].
    fn random(&self, into: &mut [u8]) -> Result<(), KeyError>;
}

/// The secret cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The file is not a secret.
    #[error(
        "{} holds {found} bytes and no secret of {SECRET_BYTES}; put the unit's own key file back, or move the data folder away, start the unit and enrol \
         again", path.display()
    )]
    NotASecret {
        /// The file.
        path: PathBuf,
        /// Its length.
        found: u64,
    },
    /// Others may read the file.
    #[error(
        "{} may be read by others (mode {mode:o}); run chmod 600 on it, and wipe and pair the unit again if anybody may have copied it",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system refuses.
    #[error("{}: {detail}; the folder must be there, and the file for the unit's user alone", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
    /// No random bytes.
    #[error("the system gives no random bytes ({0}); start the unit again")]
    NoRandomness(String),
}

/// A secret in a file that only the unit's user may read: for development, and for boards without a keeper of their own.
/// It stops nobody who takes the medium out.
#[derive(Clone, Debug)]
pub struct FileKeys {
    path: PathBuf,
}

impl FileKeys {
    /// The secret in this file, which need not be there yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Where a secret is written before it has its name.
    fn beside(&self) -> PathBuf {
        let mut beside = self.path.clone().into_os_string();
        beside.push(".tmp");
        PathBuf::from(beside)
    }

    fn fail(&self, error: &std::io::Error) -> KeyError {
        KeyError::Io { path: self.path.clone(), detail: error.to_string() }
    }

    fn sync_folder(&self) -> std::io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl KeyProvider for FileKeys {
    fn keeper(&self) -> Keeper {
        Keeper::File
    }

    fn secret(&self) -> Result<Option<Secret>, KeyError> {
        use std::os::unix::fs::PermissionsExt as _;
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| self.fail(&error))?,
        };
        let meta = file.metadata().map_err(|error| self.fail(&error))?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: self.path.clone(), mode });
        }
        if meta.len() != SECRET_BYTES as u64 {
            return Err(KeyError::NotASecret { path: self.path.clone(), found: meta.len() });
        }
        let mut secret = Secret::default();
        file.read_exact(secret.as_mut()).map_err(|error| self.fail(&error))?;
        Ok(Some(secret))
    }

    fn keep(&self, secret: &Secret) -> Result<(), KeyError> {
        // Written beside it and linked into place, so that a file of this name is whole, and one that is there stays.
        let beside = self.beside();
        let made = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(secret.as_ref())?;
            file.sync_all()?;
            std::fs::hard_link(&beside, &self.path)?;
            std::fs::remove_file(&beside)?;
            self.sync_folder()
        })();
        made.map_err(|error| self.fail(&error))
    }

    fn forget(&self) -> Result<(), KeyError> {
        let forget = |path| match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        // A power cut may have left the secret under its other name.
        let forgotten = forget(self.beside()).and_then(|()| forget(self.path.clone()));
        forgotten.and_then(|()| self.sync_folder()).map_err(|error| self.fail(&error))
    }

    fn random(&self, into: &mut [u8]) -> Result<(), KeyError> {
        getrandom::fill(into).map_err(|error| KeyError::NoRandomness(error.to_string()))
    }
}
