//! A small file of a keeper's: written whole under its name or not at all, and for the unit's user alone.

use super::KeyError;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The file; it need not be there yet.
#[derive(Clone, Debug)]
pub struct KeptFile {
    path: PathBuf,
}

impl KeptFile {
    /// The one of this name.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if it is there, or what a cut left of it before it had its name.
    #[must_use]
    pub fn leaves_something(&self) -> bool {
        [&self.path, &self.beside()].iter().any(|path| path.symlink_metadata().is_ok())
    }

    /// Its bytes; `None` if it is not there.
    ///
    /// # Errors
    /// [`KeyError::NotASecret`] for more than `max` bytes, [`KeyError::Exposed`] if others may read it, and of the system.
    pub fn read(&self, max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|error| self.fail(&error))?,
        };
        let meta = file.metadata().map_err(|error| self.fail(&error))?;
        let mode = meta.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Exposed { path: self.path.clone(), mode });
        }
        if meta.len() > max {
            return Err(KeyError::NotASecret { path: self.path.clone(), found: meta.len() });
        }
        // No byte more: a vector that grows leaves its secret behind.
        let mut bytes = Zeroizing::new(vec![0; meta.len() as usize]);
        file.read_exact(&mut bytes).map_err(|error| self.fail(&error))?;
        Ok(Some(bytes))
    }

    /// Writes it; durable on return.
    ///
    /// # Errors
    /// [`KeyError::Io`], also if there is one already.
    pub fn write_new(&self, bytes: &[u8]) -> Result<(), KeyError> {
        // Written beside it and linked into place, so that a file of this name is whole, and one that is there stays.
        let beside = self.beside();
        let made = (|| {
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            std::fs::hard_link(&beside, &self.path)?;
            std::fs::remove_file(&beside)?;
            self.sync_folder()
        })();
        made.map_err(|error| self.fail(&error))
    }

    /// Takes it away, if it is there; durable on return.
    ///
    /// # Errors
    /// [`KeyError::Io`].
    pub fn remove(&self) -> Result<(), KeyError> {
        let remove = |path| match std::fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed,
        };
        // A power cut may have left it under its other name.
        let removed = remove(self.beside()).and_then(|()| remove(self.path.clone()));
        removed.and_then(|()| self.sync_folder()).map_err(|error| self.fail(&error))
    }

    /// Where it is written before it has its name.
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
