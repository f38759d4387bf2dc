//! A bundle's file, and those that are kept beside the keychain.
//!
//! Owns that a bundle is read and checked whole before anything is made of it, and which bundles stay: the last two that units were
//! confirmed with, since a delta is made against what a unit runs.

use crate::error::HostError;
use crate::say::hex;
use anyhow::Context as _;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use threshold_bundle::{Installed, MAX_BUNDLE_BYTES, Manifest, Nowhere, Trust, id, read};

/// Bundles that are kept.
const KEPT: usize = 2;

/// A bundle that was checked.
pub struct BundleFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// BLAKE3 of its MANIFEST.
    pub id: [u8; 32],
    /// What is in it.
    pub manifest: Manifest,
}

/// A file's bytes, no more than a bundle can have and one.
///
/// # Errors
/// [`HostError::File`].
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, HostError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(HostError::file(path))?;
    let read = file.take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut bytes);
    read.map_err(HostError::file(path))?;
    Ok(bytes)
}

impl BundleFile {
    /// The bundle of these bytes.
    ///
    /// # Errors
    /// [`threshold_bundle::BundleError`] if it is none, or not one that is taken.
    pub fn of(
        path: &Path,
        bytes: Vec<u8>,
        trust: &Trust,
        installed: &Installed,
    ) -> anyhow::Result<Self> {
        let said = || path.display().to_string();
        let (manifest, _) =
            read(bytes.as_slice(), trust, installed, &mut Nowhere).with_context(said)?;
        let id = id(bytes.as_slice()).with_context(said)?;
        Ok(Self { bytes, id, manifest })
    }
}

/// Where the bundle of that MANIFEST is kept.
pub(super) fn kept(folder: &Path, id: &[u8; 32]) -> PathBuf {
    folder.join(hex(id.get(..8).unwrap_or(id))).with_extension("bundle")
}

/// Keeps a bundle, and of the others the newest.
///
/// # Errors
/// The disk's.
pub(super) fn keep(folder: &Path, bundle: &BundleFile) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let path = kept(folder, &bundle.id);
    let fresh = path.with_extension("tmp");
    fs::write(&fresh, &bundle.bytes)?;
    fs::rename(&fresh, &path)?;
    let mut all: Vec<(SystemTime, PathBuf)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.path().extension().is_some_and(|ending| ending == "bundle") {
            all.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    all.sort();
    for (_, old) in all.iter().rev().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(())
}
