//! The link that leads visitors to the unit's pseudo-terminal.
//!
//! Owns the path after `pty:`: a lock beside it says that a unit serves it, and holds the name of the terminal that the
//! link was last made for, so that a link which a killed unit left is told from one of another program, even after the
//! system gave that terminal's name away again.
//! Refuses to replace or remove what it did not make: neither a file, nor a link of somebody else's.

use rustix::fs::OFlags;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Where Linux has its pseudo-terminals; a dead link to any other place was not made by a unit.
const TERMINALS: &str = "/dev/pts";

/// Longer than any terminal's name, bytes.
const LONGEST: u64 = 4096;

/// Why the path cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The path is no file's name.
    #[error("pty:{} names no file; name one after pty:, as in pty:/tmp/door", path.display())]
    NoName {
        /// The path.
        path: PathBuf,
    },
    /// Another unit serves the path.
    #[error("another unit serves {}; stop it, or name another path after pty:", path.display())]
    Served {
        /// The path.
        path: PathBuf,
    },
    /// Something else stands at the path.
    #[error("{} is there and is no link of a unit's; remove it, or name another path after pty:", path.display())]
    Taken {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(
        "pty:{}: {source}; after pty: name a path in a folder that is there and that this user may write",
        path.display()
    )]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A path that this unit serves; while it lives, no other unit can.
#[derive(Debug)]
pub struct Link {
    path: PathBuf,
    lock_path: PathBuf,
    lock: File,
    /// The terminal that the link was last made for, by this unit or by one that was killed.
    target: PathBuf,
}

impl Link {
    /// Takes the path; the link itself is made by [`Link::lead_to`].
    ///
    /// # Errors
    /// [`LinkError`].
    pub fn take(path: &Path) -> Result<Self, LinkError> {
        let fail = |source| LinkError::Io { path: path.to_path_buf(), source };
        let lock_path =
            beside(path, "lock").ok_or_else(|| LinkError::NoName { path: path.to_path_buf() })?;
        let lock = loop {
            let lock = OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .mode(0o600)
                .custom_flags(OFlags::NOFOLLOW.bits() as i32)
                .open(&lock_path)
                .map_err(fail)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LinkError::Served { path: path.to_path_buf() });
                }
                Err(TryLockError::Error(error)) => return Err(fail(error)),
            }
            // A unit that ended between the two steps took its lock's file away; a lock on that shuts nobody out.
            let id = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
            if std::fs::symlink_metadata(&lock_path).ok().map(id) == lock.metadata().ok().map(id) {
                break lock;
            }
        };
        let mut target = String::new();
        // A lock file that is no text is not ours, and says of no link that it is.
        let _ = (&lock).take(LONGEST).read_to_string(&mut target);
        let mut link =
            Self { path: path.to_path_buf(), lock_path, lock, target: PathBuf::from(target) };
        if let Ok(found) = std::fs::read_link(path)
            && found.starts_with(TERMINALS)
            && !found.exists()
        {
            link.target = found;
        }
        link.check()?;
        Ok(link)
    }

    /// Lets the link lead to this terminal.
    ///
    /// # Errors
    /// [`LinkError::Taken`] if something else stands there meanwhile, [`LinkError::Io`].
    pub fn lead_to(&mut self, terminal: &Path) -> Result<(), LinkError> {
        self.check()?;
        let fail = |source| LinkError::Io { path: self.path.clone(), source };
        let name = terminal.as_os_str().as_encoded_bytes();
        // Made beside it and renamed over it, so that the link always leads somewhere.
        let pid = std::process::id().to_string();
        let fresh = beside(&self.path, &pid).unwrap_or_default();
        if std::fs::read_link(&fresh).is_ok_and(|found| found.starts_with(TERMINALS)) {
            // What a killed unit with the same process id left.
            std::fs::remove_file(&fresh).map_err(fail)?;
        }
        match std::os::unix::fs::symlink(terminal, &fresh) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return Err(LinkError::Taken { path: fresh });
            }
            made => made.map_err(fail)?,
        }
        self.lock
            .set_len(0)
            .and_then(|()| self.lock.rewind())
            .and_then(|()| self.lock.write_all(name))
            .and_then(|()| std::fs::rename(&fresh, &self.path))
            .inspect_err(|_| drop(std::fs::remove_file(&fresh)))
            .map_err(fail)?;
        self.target = terminal.to_path_buf();
        Ok(())
    }

    /// Makes the link again if somebody removed it.
    pub fn restore(&mut self) {
        let gone = std::fs::symlink_metadata(&self.path)
            .is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if gone {
            // If that fails it is tried at the next turn; nobody could be told who does not read this already.
            let _ = self.lead_to(&self.target.clone());
        }
    }

    /// Refuses a path at which something stands that is not the link to our terminal.
    fn check(&self) -> Result<(), LinkError> {
        let taken = || LinkError::Taken { path: self.path.clone() };
        match std::fs::symlink_metadata(&self.path) {
            Ok(_) if self.leads_to_ours() => Ok(()),
            Ok(_) => Err(taken()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(source) => Err(LinkError::Io { path: self.path.clone(), source }),
        }
    }

    fn leads_to_ours(&self) -> bool {
        std::fs::read_link(&self.path).is_ok_and(|found| found == self.target)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The link would lead to nothing, or to another program's terminal.
        if self.leads_to_ours() {
            let _ = std::fs::remove_file(&self.path);
        }
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// A hidden name beside a path; `None` if the path ends in no name.
fn beside(path: &Path, ending: &str) -> Option<PathBuf> {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name()?);
    name.push(".");
    name.push(ending);
    Some(path.with_file_name(name))
}
