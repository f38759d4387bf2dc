//! How a unit stood when a version was installed, for that version's trial: that it was armed, how many people it had and had
//! removed, and that a device computed.
//!
//! ```text
//! <data>/update/armed     BLAKE3 of the version's MANIFEST, 32 bytes; missing if the unit was not armed
//! <data>/update/device    the same; missing if the processor computed, or nothing noted that
//! <data>/update/people    BLAKE3, then u32, little endian
//! <data>/update/removed   the same; missing if nothing noted that
//! ```
//! Owns that a note is of one version: whatever else runs finds none. Refuses to say how the unit stands now.

use super::staging;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

const ARMED: &str = "armed";
const DEVICE: &str = "device";
const PEOPLE: &str = "people";
const REMOVED: &str = "removed";

/// How the unit stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Before {
    /// It was armed, but for a part at fault just then.
    pub armed: bool,
    /// People in its gallery; 0 if nobody noted that.
    pub people: u32,
    /// People who had ever been removed from it; `None` if nobody noted that.
    pub removed: Option<u32>,
    /// A device computed, and not the processor; false if nobody noted that.
    pub device: bool,
}

/// Notes it for the version of that MANIFEST; durable on return.
///
/// # Errors
/// The medium's.
pub(super) fn note(folder: &Path, manifest: &[u8; 32], before: Before) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let count = |count: u32| [manifest.as_slice(), &count.to_le_bytes()].concat();
    write(folder, PEOPLE, &count(before.people))?;
    match before.removed {
        Some(removed) => write(folder, REMOVED, &count(removed))?,
        None => staging::remove(&folder.join(REMOVED))?,
    }
    for (name, holds) in [(ARMED, before.armed), (DEVICE, before.device)] {
        match holds {
            true => write(folder, name, manifest)?,
            false => staging::remove(&folder.join(name))?,
        }
    }
    File::open(folder)?.sync_all()
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = folder.join(name).with_extension("tmp");
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&fresh, folder.join(name))
}

/// What was noted for that version.
pub(super) fn noted(folder: &Path, manifest: &[u8; 32]) -> Before {
    let holds = |name| std::fs::read(folder.join(name)).is_ok_and(|noted| noted == manifest);
    let count = |name| {
        let noted = std::fs::read(folder.join(name)).ok()?;
        Some(u32::from_le_bytes(noted.strip_prefix(manifest)?.try_into().ok()?))
    };
    let people = count(PEOPLE).unwrap_or(0);
    Before { armed: holds(ARMED), people, removed: count(REMOVED), device: holds(DEVICE) }
}

/// Takes the notes away.
///
/// # Errors
/// The medium's.
pub(super) fn forget(folder: &Path) -> io::Result<()> {
    staging::remove(&folder.join(PEOPLE))?;
    staging::remove(&folder.join(REMOVED))?;
    staging::remove(&folder.join(DEVICE))?;
    staging::remove(&folder.join(ARMED))
}
