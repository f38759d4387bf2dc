//! Files with a gallery in them: written for one key, private, whole or not at all.
//!
//! Owns the rule that templates lie on no disk in the clear: a file is always an envelope (`threshold_wire::gallery::envelope`),
//! for the administrator's own key or for one unit's. Refuses to write over anything else, and a file that somebody else
//! made for the administrator's key.

use crate::error::HostError;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use threshold_record::KeyId;
use threshold_wire::gallery::content::Content;
use threshold_wire::gallery::{GalleryFault, MAX_GALLERY_BYTES, envelope};
use threshold_wire::session::SecretKey;

/// Refuses a place at which something else stands than a gallery file; asked before anything is pulled.
///
/// # Errors
/// [`HostError::NoGalleryFile`], [`HostError::File`].
pub fn check_place(path: &Path) -> Result<(), HostError> {
    let mut start = [0; 8];
    let opened = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    match opened {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Ok(()) if envelope::is_sealed(&start) => Ok(()),
        Ok(()) => Err(HostError::NoGalleryFile { path: path.to_path_buf() }),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(HostError::NoGalleryFile { path: path.to_path_buf() })
        }
        Err(error) => Err(HostError::file(path)(error)),
    }
}

/// Seals a content for a recipient into a file that only this user may read; on the disk when it returns.
///
/// # Errors
/// [`HostError::File`], and a recipient's key that is none.
pub fn write(
    path: &Path,
    sender: &SecretKey,
    recipient: &[u8; 32],
    content: &[u8],
) -> anyhow::Result<()> {
    let bytes = envelope::seal(sender, recipient, content)?;
    check_place(path)?;
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".tmp");
    let fresh = PathBuf::from(fresh);
    let written = (|| {
        // One that an earlier run left may have other rights.
        match std::fs::remove_file(&fresh) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create_new(true).mode(0o600).open(&fresh)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, path)
    })();
    written.map_err(HostError::file(path))?;
    Ok(crate::kept::sync_folder(path)?)
}

/// The bytes of a gallery file, and whom it is for.
///
/// # Errors
/// [`GalleryFault`] if it is none, [`HostError::File`].
pub fn read(path: &Path) -> anyhow::Result<(Vec<u8>, KeyId)> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(HostError::file(path))?;
    let read = file.take(MAX_GALLERY_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(HostError::file(path))?;
    let recipient = envelope::recipient(&bytes)?;
    Ok((bytes, recipient))
}

/// What is in a file that the administrator sealed for the own key.
///
/// # Errors
/// [`GalleryFault`].
pub fn open(secret: &SecretKey, bytes: &[u8]) -> Result<Content, GalleryFault> {
    let (sender, content) = envelope::open(secret, bytes)?;
    if sender != *secret.public() {
        return Err(GalleryFault::UnknownSender { sender: KeyId::of(&sender) });
    }
    Content::read(content)
}
