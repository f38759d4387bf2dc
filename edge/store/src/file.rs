//! The file body of [`Flash`]: one folder, one file for each object.
//!
//! `replace` writes `<name>.tmp`, syncs it, renames it over the object and syncs the folder: a rename is atomic, but
//! neither the new name nor the new bytes are durable without their own sync. The folder is locked, so that two
//! processes never write one store. A leftover `.tmp` is a replace that was cut off; the next one overwrites it.
//! It stands here and not in `edge` because tests of every crate use it.

use crate::flash::{Flash, FlashError, FlashFault, Object, Operation};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that holds a store. While it lives, no other process can open the same folder.
#[derive(Debug)]
pub struct FileFlash {
    folder: PathBuf,
    directory: File,
    _lock: File,
    open: BTreeMap<Object, OpenObject>,
}

#[derive(Debug)]
struct OpenObject {
    file: File,
    /// The file's name is not durable yet.
    fresh: bool,
}

impl FileFlash {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`FlashError`] if it cannot be made or written, or another process has it open.
    pub fn open(folder: &Path) -> Result<Self, FlashError> {
        let fail = |error: io::Error| {
            let mut error = flash_error(Object::Anchor, Operation::Open, &error);
            error.detail = format!("{}: {}", folder.display(), error.detail);
            error
        };
        std::fs::create_dir_all(folder).map_err(fail)?;
        // A folder that was just made is durable once its parent is.
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            File::open(parent).and_then(|parent| parent.sync_all()).map_err(fail)?;
        }
        let directory = File::open(folder).map_err(fail)?;
        let lock = options().write(true).create(true).open(folder.join("store.lock"));
        let lock = lock.map_err(fail)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(FlashError {
                    object: Object::Anchor,
                    operation: Operation::Open,
                    fault: FlashFault::Busy,
                    detail: format!("{} is in use", folder.display()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let mut flash =
            Self { folder: folder.to_owned(), directory, _lock: lock, open: BTreeMap::new() };
        for object in Object::ALL {
            flash.reopen(object).map_err(|error| flash_error(object, Operation::Open, &error))?;
        }
        Ok(flash)
    }

    fn path(&self, object: Object) -> PathBuf {
        self.folder.join(object.name())
    }

    /// Opens an object's file if it is there.
    fn reopen(&mut self, object: Object) -> io::Result<()> {
        match options().read(true).append(true).open(self.path(object)) {
            Ok(file) => {
                self.open.insert(object, OpenObject { file, fresh: false });
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn try_append(&mut self, object: Object, bytes: &[u8]) -> io::Result<()> {
        if !self.open.contains_key(&object) {
            let file = options().read(true).append(true).create(true).open(self.path(object))?;
            self.open.insert(object, OpenObject { file, fresh: true });
        }
        match self.open.get_mut(&object) {
            Some(open) => open.file.write_all(bytes),
            None => Ok(()),
        }
    }

    fn try_sync(&mut self, object: Object) -> io::Result<()> {
        let Some(open) = self.open.get_mut(&object) else { return Ok(()) };
        open.file.sync_data()?;
        if open.fresh {
            self.directory.sync_all()?;
            open.fresh = false;
        }
        Ok(())
    }

    fn try_replace(&mut self, object: Object, bytes: &[u8]) -> io::Result<()> {
        let (path, temporary) = (self.path(object), self.path(object).with_extension("tmp"));
        let written = (|| {
            let mut file = options().write(true).create(true).truncate(true).open(&temporary)?;
            file.write_all(bytes)?;
            file.sync_all()
        })();
        if let Err(error) = written {
            // Gives the space back; if even that fails the next replace overwrites it.
            let _ = std::fs::remove_file(&temporary);
            return Err(error);
        }
        std::fs::rename(&temporary, &path)?;
        self.directory.sync_all()?;
        self.reopen(object)
    }
}

impl Flash for FileFlash {
    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        let Some(open) = self.open.get(&object) else { return Ok(None) };
        let meta = open.file.metadata();
        meta.map(|meta| Some(meta.len())).map_err(|e| flash_error(object, Operation::Read, &e))
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        let Some(open) = self.open.get(&object) else { return Ok(0) };
        let mut read = 0;
        while read < into.len() {
            match open.file.read_at(&mut into[read..], offset + read as u64) {
                Ok(0) => break,
                Ok(count) => read += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(flash_error(object, Operation::Read, &error)),
            }
        }
        Ok(read)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.try_append(object, bytes).map_err(|e| flash_error(object, Operation::Append, &e))
    }

    fn truncate(&mut self, object: Object, len: u64) -> Result<(), FlashError> {
        let Some(open) = self.open.get(&object) else { return Ok(()) };
        open.file.set_len(len).map_err(|e| flash_error(object, Operation::Truncate, &e))
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.try_sync(object).map_err(|e| flash_error(object, Operation::Sync, &e))
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.try_replace(object, bytes).map_err(|e| flash_error(object, Operation::Replace, &e))
    }
}

/// Templates and the log are biometric and personal data: nobody but the unit's own user reads them.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

fn flash_error(object: Object, operation: Operation, error: &io::Error) -> FlashError {
    let fault = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            FlashFault::Full
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => FlashFault::ReadOnly,
        _ => FlashFault::Io,
    };
    FlashError { object, operation, fault, detail: error.to_string() }
}
