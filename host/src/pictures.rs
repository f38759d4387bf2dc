//! Pictures on the administrator's disk: which files are meant, and reading one.
//!
//! Owns the search of folders. Decoding, orientation and limits are `threshold_models::picture`'s, so that host and
//! unit see the same pixels.

use crate::error::HostError;
use std::path::{Path, PathBuf};

/// The endings that are looked for in a folder; a file named on the command line may have any.
const ENDINGS: [&str; 3] = ["jpg", "jpeg", "png"];

/// The pictures that paths name: files as they are, there or not, folders with all pictures below, in the order of their
/// names.
///
/// # Errors
/// [`HostError::NoPictures`] for a folder without pictures, [`HostError::File`] for one that cannot be listed.
pub fn named(paths: &[PathBuf]) -> Result<Vec<PathBuf>, HostError> {
    let mut pictures = Vec::new();
    for path in paths {
        if path.is_dir() {
            let below = below(path)?;
            if below.is_empty() {
                let path = path.display().to_string();
                return Err(HostError::NoPictures { path, looked_for: "*.jpg, *.jpeg, *.png" });
            }
            pictures.extend(below);
        } else {
            pictures.push(path.clone());
        }
    }
    Ok(pictures)
}

/// Checks that a path that was typed for a folder is one.
///
/// # Errors
/// [`HostError::File`].
pub fn folder(path: &Path) -> Result<(), HostError> {
    let meta = std::fs::metadata(path).map_err(HostError::file(path))?;
    let not_a_folder = std::io::Error::from(std::io::ErrorKind::NotADirectory);
    if meta.is_dir() { Ok(()) } else { Err(HostError::file(path)(not_a_folder)) }
}

fn below(folder: &Path) -> Result<Vec<PathBuf>, HostError> {
    let mut pictures = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).map_err(HostError::file(&folder))? {
            let entry = entry.map_err(HostError::file(&folder))?;
            let path = entry.path();
            // `file_type` does not follow links, so a link to a folder above cannot make a ring.
            if entry.file_type().map_err(HostError::file(&path))?.is_dir() {
                folders.push(path);
            } else if has_ending(&path) {
                pictures.push(path);
            }
        }
    }
    pictures.sort();
    Ok(pictures)
}

fn has_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_folder_stands_for_all_pictures_below_in_order() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("b")).unwrap();
        for name in ["z.JPG", "b/c.png", "a.jpeg", "notes.txt"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let found = named(&[folder.path().to_path_buf()]).unwrap();
        let expected = ["a.jpeg", "b/c.png", "z.JPG"].map(|name| folder.path().join(name));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_without_pictures_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = named(&[folder.path().to_path_buf()]).unwrap_err();
        assert!(matches!(error, HostError::NoPictures { .. }), "{error}");
    }
}
