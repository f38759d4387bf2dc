//! The file body of [`Flash`]: one folder, one file for each object.
//!
//! `replace` writes `<name>.tmp`, syncs it, renames it over the object and syncs the folder: a rename is atomic, but
//! neither the new name nor the new bytes are durable without their own sync. Of several objects all names share the last one. A name that was taken away is gone for
//! good once the folder is synced. The folder is locked, so that two processes never write one store.
//! A leftover `.tmp` is a replace that was cut off; it is taken away when the folder is opened.
//! Of the segments only the one that was last made or appended to is kept open, so that a long log needs few handles.
//! It stands here and not in `edge` because tests of every crate use it.

use crate::flash::{Flash, FlashError, FlashFault, Object, Operation, Place, Series};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A folder that holds a store. While it lives, no other process can open the same folder.
#[derive(Debug)]
pub struct FileFlash {
    folder: PathBuf,
    directory: File,
    _lock: File,
    open: BTreeMap<Object, File>,
    segments: BTreeSet<(Series, u32)>,
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
                    place: Place::Folder,
                    detail: format!("{} is in use", folder.display()),
                });
            }
            Err(TryLockError::Error(error)) => return Err(fail(error)),
        }
        let segments = take_stock(folder).map_err(fail)?;
        let open = BTreeMap::new();
        let mut flash = Self { folder: folder.to_owned(), directory, _lock: lock, open, segments };
        for object in Object::FIXED.into_iter().chain([Object::Commission]) {
            flash.reopen(object).map_err(|error| flash_error(object, Operation::Open, &error))?;
        }
        Ok(flash)
    }

    fn path(&self, object: Object) -> PathBuf {
        self.folder.join(object.name())
    }

    /// Opens an object's file if it is there.
    fn reopen(&mut self, object: Object) -> io::Result<()> {
        let opened = options().read(true).append(true).open(self.path(object));
        if let Some((series, _)) = object.part() {
            self.open.retain(|held, _| held.part().is_none_or(|(other, _)| other != series));
        }
        match opened {
            Ok(file) => {
                self.open.insert(object, file);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn is_there(&self, object: Object) -> bool {
        match object.part() {
            Some(part) => self.segments.contains(&part),
            None => self.open.contains_key(&object),
        }
    }

    /// Does something with an object's file; `None` if it is not there.
    fn with<T>(
        &self,
        object: Object,
        look: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<Option<T>> {
        match self.open.get(&object) {
            Some(file) => look(file).map(Some),
            None if self.is_there(object) => look(&File::open(self.path(object))?).map(Some),
            None => Ok(None),
        }
    }

    fn try_append(&mut self, object: Object, bytes: &[u8]) -> io::Result<()> {
        if !self.open.contains_key(&object) {
            self.reopen(object)?;
        }
        match self.open.get_mut(&object) {
            Some(file) => file.write_all(bytes),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn try_remove(&mut self, object: Object) -> io::Result<()> {
        if !self.is_there(object) {
            return Ok(());
        }
        match std::fs::remove_file(self.path(object)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // It counts as there until that is durable, so that whoever asks again after a failure has it synced.
        self.directory.sync_all()?;
        self.open.remove(&object);
        if let Some(part) = object.part() {
            self.segments.remove(&part);
        }
        Ok(())
    }

    /// Replaces each of some objects: all new files are durable before the first name is given away, and one sync of the folder makes
    /// all names durable. Gives the object at which it failed.
    fn try_replace(&mut self, objects: &[(Object, &[u8])]) -> Result<(), (Object, io::Error)> {
        let temporary =
            |flash: &Self, object: Object| flash.folder.join(format!("{}.tmp", object.name()));
        for (at, &(object, bytes)) in objects.iter().enumerate() {
            let written = (|| {
                let path = temporary(self, object);
                let mut file = options().write(true).create(true).truncate(true).open(path)?;
                file.write_all(bytes)?;
                file.sync_all()
            })();
            if let Err(error) = written {
                for &(object, _) in &objects[..=at] {
                    // Gives the space back; if even that fails the next replace overwrites it.
                    let _ = std::fs::remove_file(temporary(self, object));
                }
                return Err((object, error));
            }
        }
        let mut last = Object::Anchor;
        for &(object, _) in objects {
            last = object;
            let renamed = std::fs::rename(temporary(self, object), self.path(object));
            renamed.map_err(|error| (object, error))?;
            if let Some(part) = object.part() {
                self.segments.insert(part);
            }
            self.reopen(object).map_err(|error| (object, error))?;
        }
        self.directory.sync_all().map_err(|error| (last, error))
    }
}

impl Flash for FileFlash {
    fn segments(&self, of: Series) -> Vec<u32> {
        let parts = self.segments.range((of, 0)..=(of, u32::MAX));
        parts.map(|&(_, number)| number).collect()
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        self.with(object, |file| file.metadata().map(|meta| meta.len()))
            .map_err(|e| flash_error(object, Operation::Read, &e))
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        self.with(object, |file| read_at(file, offset, into))
            .map(|read| read.unwrap_or(0))
            .map_err(|e| flash_error(object, Operation::Read, &e))
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.try_append(object, bytes).map_err(|e| flash_error(object, Operation::Append, &e))
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.with(object, sync).map(|_| ()).map_err(|e| flash_error(object, Operation::Sync, &e))
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.replace_all(&[(object, bytes)])
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        self.try_replace(objects)
            .map_err(|(object, error)| flash_error(object, Operation::Replace, &error))
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.try_remove(object).map_err(|e| flash_error(object, Operation::Remove, &e))
    }
}

/// How the names of the store's files begin.
const OWN: [&str; 3] = ["gallery.", "store.", "events."];

/// The segments of a folder. Takes away what a replace that was cut off left; the next replace of that object would
/// overwrite it, but a segment's may never come.
fn take_stock(folder: &Path) -> io::Result<BTreeSet<(Series, u32)>> {
    let mut segments = BTreeSet::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(part) = Object::segment_named(name).and_then(Object::part) {
            segments.insert(part);
        } else if name.ends_with(".tmp") && OWN.iter().any(|own| name.starts_with(own)) {
            std::fs::remove_file(folder.join(name))?;
        }
    }
    Ok(segments)
}

/// Makes a file's bytes durable. A file without a name takes them too, and then they are gone with the process.
fn sync(file: &File) -> io::Result<()> {
    file.sync_data()?;
    match file.metadata()?.nlink() {
        0 => Err(io::Error::new(ErrorKind::NotFound, "the file was deleted while it was open")),
        _ => Ok(()),
    }
}

fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match file.read_at(&mut into[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(count) => read += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
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
    FlashError { object, operation, fault, place: Place::Folder, detail: error.to_string() }
}
