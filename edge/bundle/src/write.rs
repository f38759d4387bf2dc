//! Making a bundle: the same files and keys give the same bytes, whoever makes it and when.

use crate::keys::{self, Keys, hex};
use crate::manifest::{FileEntry, FileKind, MANIFEST, Manifest};
use crate::member::{END, filling, header};
use crate::signed::Signed as _;
use crate::{BundleError, SigningKey};
use std::fs::File;
use std::io::{Read as _, Write};
use std::path::PathBuf;

/// A file that goes into a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its name in the slot.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Where it lies now.
    pub path: PathBuf,
}

/// Writes a bundle of these files; `manifest` says the rest, and gets them in the order of their names.
///
/// # Errors
/// [`BundleError`] if a file cannot be read, changes meanwhile, or breaks the manifest's rules.
pub fn write(
    mut out: impl Write,
    mut manifest: Manifest,
    sources: &[Source],
    signed_keys: &(String, [u8; 64]),
    build_key: &SigningKey,
) -> Result<Manifest, BundleError> {
    let mut sources: Vec<&Source> = sources.iter().collect();
    sources.sort_by(|a, b| a.name.cmp(&b.name));
    manifest.files = sources.iter().map(|source| entry(source)).collect::<Result<_, _>>()?;
    let (text, signature) = manifest.signed(build_key)?;
    let (keys, keys_signature) = signed_keys;
    member(&mut out, keys::KEYS, keys.as_bytes())?;
    member(&mut out, &format!("{}.sig", keys::KEYS), keys_signature)?;
    member(&mut out, MANIFEST, text.as_bytes())?;
    member(&mut out, &format!("{MANIFEST}.sig"), &signature)?;
    for (source, file) in sources.into_iter().zip(&manifest.files) {
        out.write_all(
            &header(&file.name, Some(file.kind), file.bytes)
                .ok_or_else(|| fault(source, "its name"))?,
        )?;
        let mut hasher = blake3::Hasher::new();
        let mut content = File::open(&source.path)?.take(file.bytes);
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = content.read(&mut buffer)?;
            if len == 0 {
                break;
            }
            hasher.update(&buffer[..len]);
            out.write_all(&buffer[..len])?;
        }
        if hasher.finalize().as_bytes() != &file.hash() {
            return Err(fault(source, "it changed while it was read"));
        }
        out.write_all(&[0; crate::member::BLOCK][..filling(file.bytes)])?;
    }
    out.write_all(&[0; END])?;
    out.flush()?;
    Ok(manifest)
}

/// What the release key says of a build key, signed.
impl Keys {
    /// A list of the development key, by the development key.
    ///
    /// # Errors
    /// None that happens: the key is one.
    pub fn development() -> Result<(String, [u8; 64]), BundleError> {
        let key = keys::development_key();
        Self::of(&key, 1).sign(&key)
    }
}

fn entry(source: &Source) -> Result<FileEntry, BundleError> {
    let said = |error: std::io::Error| fault(source, &error.to_string());
    let mut file = File::open(&source.path).map_err(said)?;
    if !file.metadata().map_err(said)?.is_file() {
        return Err(fault(source, "it is no file"));
    }
    let mut hasher = blake3::Hasher::new();
    let bytes = hasher.update_reader(&mut file).map_err(said)?.count();
    let blake3 = hex(hasher.finalize().as_bytes());
    Ok(FileEntry { name: source.name.clone(), kind: source.kind, bytes, blake3 })
}

fn fault(source: &Source, what: &str) -> BundleError {
    BundleError::Source { name: source.path.display().to_string(), what: what.to_owned() }
}

/// A member of the bundle's own.
fn member(out: &mut impl Write, name: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let len = bytes.len() as u64;
    let header = header(name, None, len).unwrap_or([0; crate::member::BLOCK]);
    out.write_all(&header)?;
    out.write_all(bytes)?;
    Ok(out.write_all(&[0; crate::member::BLOCK][..filling(len)])?)
}
