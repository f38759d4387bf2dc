//! The note that a unit was armed when a version was installed, for that version's trial.
//!
//! ```text
//! <data>/update/armed    BLAKE3 of the version's MANIFEST, 32 bytes
//! ```
//! Owns that the note is of one version: whatever else runs finds none. Refuses to say how the unit stands now.

use super::staging;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

const NAME: &str = "armed";

/// Notes it for the version of that MANIFEST; durable on return.
///
/// # Errors
/// The medium's.
pub(super) fn note(folder: &Path, manifest: &[u8; 32]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let fresh = folder.join("armed.tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(manifest)?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join(NAME))?;
    File::open(folder)?.sync_all()
}

/// True if it was noted for that version.
pub(super) fn is_noted(folder: &Path, manifest: &[u8; 32]) -> bool {
    std::fs::read(folder.join(NAME)).is_ok_and(|noted| noted == manifest)
}

/// Takes the note away.
///
/// # Errors
/// The medium's.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    staging::remove(&folder.join(NAME))
}
