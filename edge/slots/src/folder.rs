//! The slots in a folder of a file system: the body of [`Medium`] that a unit has.
//!
//! A copy of the state is replaced by writing `<name>.tmp`, syncing it, renaming it over the copy and syncing the folder.
//! Refuses what is no plain file, since a link leads out of a slot.

use crate::medium::Medium;
use crate::{Slot, SlotError};
use rustix::fs::{Advice, fadvise};
use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The environment variable by which the launcher says from which slot a program runs: the slot's folder.
pub const SLOT_VARIABLE: &str = "THRESHOLD_SLOT";

/// The environment variable by which the launcher says who made the unit: the file of [`crate::Maker`].
pub const MAKER_VARIABLE: &str = "THRESHOLD_MAKER";

/// A folder with slots. While it lives, no other process can open the same one.
#[derive(Debug)]
pub struct Folder {
    folder: PathBuf,
    file: Option<File>,
    _lock: File,
}

impl Folder {
    /// Opens a folder, and makes it if it is not there.
    ///
    /// # Errors
    /// [`SlotError::Busy`] if another process has it open, or [`SlotError::Io`].
    pub fn open(folder: &Path) -> Result<Self, SlotError> {
        let fail = SlotError::io("open the slots' folder");
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(&fail)?;
        let lock = folder.join("lock");
        let lock = options().write(true).create(true).open(lock).map_err(&fail)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), file: None, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(SlotError::Busy),
            Err(TryLockError::Error(error)) => Err(fail(error)),
        }
    }

    /// Where a slot lies.
    #[must_use]
    pub fn slot(folder: &Path, slot: Slot) -> PathBuf {
        folder.join(slot.name())
    }

    /// The folder of slots and the slot that a program runs from, if the launcher said so ([`SLOT_VARIABLE`]) and the program lies
    /// there: a variable that somebody set for another program says nothing.
    #[must_use]
    pub fn running(said: Option<OsString>, program: &Path) -> Option<(PathBuf, Slot)> {
        let said = PathBuf::from(said?);
        let slot = Slot::named(said.file_name()?.to_str()?)?;
        let lies_there = program.parent()?.canonicalize().ok()? == said.canonicalize().ok()?;
        lies_there.then(|| Some((said.parent()?.to_owned(), slot)))?
    }

    fn state_file(&self, copy: usize) -> PathBuf {
        self.folder.join(format!("state.{copy}"))
    }

    fn file(&self, slot: Slot, name: &str) -> PathBuf {
        Self::slot(&self.folder, slot).join(name)
    }

    fn made_last(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| ErrorKind::NotFound.into())
    }
}

impl Medium for Folder {
    fn state(&self, copy: usize, max: usize) -> io::Result<Option<Vec<u8>>> {
        match File::open(self.state_file(copy)) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(max as u64).read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn set_state(&mut self, copy: usize, bytes: &[u8]) -> io::Result<()> {
        let path = self.state_file(copy);
        let temporary = self.folder.join("state.tmp");
        let mut file = options().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, &path)?;
        sync_folder(&self.folder)
    }

    fn list(&self, slot: Slot) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for (name, is_folder) in entries(&Self::slot(&self.folder, slot))? {
            match is_folder {
                true => {
                    let inner = entries(&self.file(slot, &name))?;
                    names.extend(inner.into_iter().map(|(inner, _)| format!("{name}/{inner}")));
                }
                false => names.push(name),
            }
        }
        Ok(names)
    }

    fn open(&self, slot: Slot, name: &str) -> io::Result<Box<dyn Read + '_>> {
        let path = self.file(slot, name);
        if !path.symlink_metadata()?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidData, format!("{name} is no file")));
        }
        Ok(Box::new(File::open(path)?))
    }

    fn may_execute(&self, slot: Slot, name: &str) -> io::Result<bool> {
        // The owner's bit: whoever works on the slots is their owner, and a bench may lie on a medium that executes nothing.
        Ok(self.file(slot, name).symlink_metadata()?.permissions().mode() & 0o100 != 0)
    }

    fn clear(&mut self, slot: Slot) -> io::Result<()> {
        self.file = None;
        match std::fs::remove_dir_all(Self::slot(&self.folder, slot)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        make_folder(&Self::slot(&self.folder, slot))?;
        sync_folder(&self.folder)
    }

    fn create(&mut self, slot: Slot, name: &str, is_program: bool) -> io::Result<()> {
        let path = self.file(slot, name);
        if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            make_folder(folder)?;
        }
        let mode = if is_program { 0o755 } else { 0o644 };
        let mut options = OpenOptions::new();
        self.file = Some(options.write(true).create_new(true).mode(mode).open(path)?);
        Ok(())
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.made_last()?.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.made_last()?;
        file.sync_all()?;
        // What is read next to check it shall come from the medium; a system that does not know this keeps it in memory.
        let _ = fadvise(&*file, 0, None, Advice::DontNeed);
        Ok(())
    }

    fn settle(&mut self, slot: Slot) -> io::Result<()> {
        self.file = None;
        let folder = Self::slot(&self.folder, slot);
        for (name, is_folder) in entries(&folder)? {
            if is_folder {
                sync_folder(&folder.join(name))?;
            }
        }
        sync_folder(&folder)?;
        sync_folder(&self.folder)
    }
}

/// Names in a folder, and whether each is a folder itself; none if there is no such folder.
fn entries(folder: &Path) -> io::Result<Vec<(String, bool)>> {
    let read = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        read => read?,
    };
    let entry = |entry: io::Result<std::fs::DirEntry>| {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        Ok((name, entry.file_type()?.is_dir()))
    };
    read.map(entry).collect()
}

fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o755).create(folder)
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}
