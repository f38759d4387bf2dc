//! Where a unit's store lies: in its data folder, or on a device that is named beside it.
//!
//! Owns that the data folder is this process's alone in either case, since the secret, what an owner set and staged updates lie there, and
//! that a store is on one of the two, or a unit would begin anew by a line in a file that came or went: a folder that holds one beside a
//! device is refused, and so is a folder without a device that holds a secret and no store, whose store is on one. The secret is the
//! mark: a ring is made before its secret is kept, and goes after it.
//! Refuses to format a device by itself.

use anyhow::bail;
use std::path::Path;
use threshold_store::cells::{Fill, Medium, format, is_formatted};
use threshold_store::{
    Cells, CellsError, FileFlash, Flash, FlashError, KEY_FILE, Object, Place, Series, StoreError,
    StoreSize,
};
use threshold_tpm::SEALED_FILE;

/// The body of a unit's flash.
#[derive(Debug)]
pub enum Storage {
    /// The folder holds everything.
    Folder(FileFlash),
    /// The folder, and the device that holds the store.
    Device(FileFlash, Box<Cells<Box<dyn Medium>>>),
}

impl Storage {
    /// Opens the folder, and the device if one is named.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(folder: &Path, device: Option<&Path>) -> Result<Self, StoreError> {
        let path = folder;
        let folder = FileFlash::open(path)?;
        let Some(device) = device else {
            let secret = [KEY_FILE, SEALED_FILE].into_iter().find(|file| path.join(file).exists());
            return match secret {
                Some(secret) if is_empty(&folder)? => Err(CellsError::Elsewhere { secret }.into()),
                _ => Ok(Self::Folder(folder)),
            };
        };
        if let Some(object) = [Object::Keys, Object::Anchor]
            .into_iter()
            .find_map(|object| folder.len(object).map(|len| len.map(|_| object)).transpose())
        {
            return Err(CellsError::FolderToo { object: object? }.into());
        }
        let cells = threshold_mtd::open(device).and_then(Cells::open)?;
        Ok(Self::Device(folder, Box::new(cells)))
    }

    /// How large the store's parts may grow there.
    #[must_use]
    pub fn size(&self) -> StoreSize {
        match self {
            Self::Folder(_) => StoreSize::default(),
            Self::Device(_, cells) => cells.log_size().into(),
        }
    }

    /// How full the device is; `None` of a folder.
    #[must_use]
    pub fn fill(&self) -> Option<Fill> {
        match self {
            Self::Folder(_) => None,
            Self::Device(_, cells) => Some(cells.fill()),
        }
    }

    fn flash(&self) -> &dyn Flash {
        match self {
            Self::Folder(folder) => folder,
            Self::Device(_, cells) => cells.as_ref(),
        }
    }

    fn flash_mut(&mut self) -> &mut dyn Flash {
        match self {
            Self::Folder(folder) => folder,
            Self::Device(_, cells) => cells.as_mut(),
        }
    }
}

/// True if a folder holds no store, and none that is being wiped.
fn is_empty(folder: &FileFlash) -> Result<bool, FlashError> {
    for object in Object::FIXED.into_iter().filter(|&object| object != Object::Reserve) {
        if folder.len(object)?.is_some() {
            return Ok(false);
        }
    }
    Ok(Series::ALL.into_iter().all(|series| folder.segments(series).is_empty()))
}

/// Formats a device, and gives its bytes. One that holds a store is erased only if that is said.
///
/// # Errors
/// In words; [`CellsError`].
pub fn format_device(device: &Path, erases_store: bool) -> anyhow::Result<u64> {
    let mut medium = threshold_mtd::to_format(device)?;
    if is_formatted(&medium).map_err(CellsError::from)? && !erases_store {
        bail!(
            "{} holds a store, whose gallery and log would be gone; type --erase-store if that is meant",
            device.display()
        );
    }
    format(&mut medium)?;
    Ok(medium.shape().bytes())
}

impl Flash for Storage {
    fn segments(&self, of: Series) -> Vec<u32> {
        self.flash().segments(of)
    }

    fn len(&self, object: Object) -> Result<Option<u64>, FlashError> {
        self.flash().len(object)
    }

    fn taken(&self, object: Object, more: usize) -> Option<u64> {
        self.flash().taken(object, more)
    }

    fn place(&self) -> Place {
        self.flash().place()
    }

    fn medium_bytes(&self) -> Option<u64> {
        self.flash().medium_bytes()
    }

    fn read(&self, object: Object, offset: u64, into: &mut [u8]) -> Result<usize, FlashError> {
        self.flash().read(object, offset, into)
    }

    fn append(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash_mut().append(object, bytes)
    }

    fn sync(&mut self, object: Object) -> Result<(), FlashError> {
        self.flash_mut().sync(object)
    }

    fn replace(&mut self, object: Object, bytes: &[u8]) -> Result<(), FlashError> {
        self.flash_mut().replace(object, bytes)
    }

    fn replace_all(&mut self, objects: &[(Object, &[u8])]) -> Result<(), FlashError> {
        self.flash_mut().replace_all(objects)
    }

    fn remove(&mut self, object: Object) -> Result<(), FlashError> {
        self.flash_mut().remove(object)
    }
}
