//! A delta: what makes a bundle of the files of another one, its base, which the unit runs.
//!
//! ```text
//!  0 magic [u8; 8]  "TXDELTA1"
//!  8 base [u8; 32]  BLAKE3 of the base's MANIFEST
//! 40 the bundle's own beginning: KEYS, KEYS.sig, MANIFEST, MANIFEST.sig, headers and all
//!    then for each file of the manifest, in its order, one of
//!    0 u8           a file of the base has its BLAKE3
//!    1 u8           it is packed: prefix [u8; 32], len u64 LE, then so many bytes of a frame
//! ```
//! The prefix is the BLAKE3 of the file of the base that the frame was packed against, or zeros.
//! Both signatures stand in front, so that no frame is opened before the sizes of what it makes were signed by whom the unit
//! believes. What comes out is the bundle bit for bit, and is read as one that was sent whole.
//! Owns the format. Refuses to pack: what a frame is, its two ends know, and this crate needs no compressor.

use crate::BundleError;
use crate::keys::Trust;
use crate::manifest::{FileEntry, Manifest};
use crate::member::{BLOCK, END, filling, header};
use crate::read::{Installed, Tape};
use std::io::{self, Read, Write};

/// What every delta begins with; a bundle begins with the name of its first member.
const MAGIC: [u8; 8] = *b"TXDELTA1";

/// True for the first bytes of a delta.
#[must_use]
pub fn is_delta(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// How one file of a bundle comes to the unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// A file of the base has its BLAKE3.
    Same,
    /// Packed.
    Packed {
        /// BLAKE3 of the base's file that it was packed against, if any.
        prefix: Option<[u8; 32]>,
        /// The frame.
        frame: Vec<u8>,
    },
}

/// The files of the base, and how frames are opened.
pub trait Base {
    /// BLAKE3 of the base's MANIFEST.
    fn id(&self) -> [u8; 32];

    /// The manifest of what is made is right; its files follow.
    ///
    /// # Errors
    /// What ends the making.
    fn begin(&mut self, manifest: &Manifest) -> io::Result<()>;

    /// Copies the file of that BLAKE3 and length.
    ///
    /// # Errors
    /// What ends the making; a base without such a file is one.
    fn copy(&mut self, file: &FileEntry, out: &mut dyn Write) -> io::Result<()>;

    /// Opens a frame against the file of that BLAKE3 and writes what it makes, `file.bytes` bytes and never more.
    ///
    /// # Errors
    /// What ends the making.
    fn unpack(
        &mut self,
        frame: &mut dyn Read,
        prefix: Option<[u8; 32]>,
        file: &FileEntry,
        out: &mut dyn Write,
    ) -> io::Result<()>;
}

/// What stands in a bundle in front of its files, and each file's content; `None` if it is not that of the manifest.
#[must_use]
pub fn pieces<'a>(bundle: &'a [u8], manifest: &Manifest) -> Option<(&'a [u8], Vec<&'a [u8]>)> {
    let mut behind = bundle.len().checked_sub(END)?;
    let mut contents = Vec::new();
    for file in manifest.files.iter().rev() {
        let len = usize::try_from(file.bytes).ok()?;
        let end = behind.checked_sub(filling(file.bytes))?;
        let start = end.checked_sub(len)?;
        contents.push(bundle.get(start..end)?);
        behind = start.checked_sub(BLOCK)?;
    }
    contents.reverse();
    Some((bundle.get(..behind)?, contents))
}

/// Writes the delta of a bundle; one part for each file of its manifest.
///
/// # Errors
/// If it cannot be written, or the bundle is not that of the manifest.
pub fn write_delta(
    mut out: impl Write,
    bundle: &[u8],
    manifest: &Manifest,
    base: &[u8; 32],
    parts: &[Part],
) -> io::Result<()> {
    let pieces = pieces(bundle, manifest).filter(|_| parts.len() == manifest.files.len());
    let (head, _) = pieces.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    out.write_all(&MAGIC)?;
    out.write_all(base)?;
    out.write_all(head)?;
    for part in parts {
        match part {
            Part::Same => out.write_all(&[0])?,
            Part::Packed { prefix, frame } => {
                out.write_all(&[1])?;
                out.write_all(&prefix.unwrap_or_default())?;
                out.write_all(&(frame.len() as u64).to_le_bytes())?;
                out.write_all(frame)?;
            }
        }
    }
    out.flush()
}

/// Makes the bundle of a delta. Nothing of it is believed before it was read as a bundle.
///
/// # Errors
/// [`BundleError`]; [`BundleError::OtherBase`] if the unit does not run what it was made against.
pub fn rebuild(
    delta: impl Read,
    trust: &Trust,
    installed: &Installed,
    base: &mut dyn Base,
    mut out: impl Write,
) -> Result<Manifest, BundleError> {
    let mut tape = Tape::copying(delta);
    let mut start = [0; 40];
    tape.fill(&mut start)?;
    if !is_delta(&start) {
        return Err(tape.damaged("it is no delta"));
    }
    if start[8..] != base.id() {
        return Err(BundleError::OtherBase);
    }
    tape.copied();
    let (manifest, _) = tape.texts()?.verified(trust, installed)?;
    base.begin(&manifest)?;
    out.write_all(&tape.copied())?;
    for file in &manifest.files {
        let header = header(&file.name, Some(file.kind), file.bytes);
        out.write_all(&header.ok_or_else(|| tape.damaged("a file's name does not fit"))?)?;
        let mut tag = [0];
        tape.fill(&mut tag)?;
        match tag {
            [0] => base.copy(file, &mut out)?,
            [1] => {
                let (mut prefix, mut len) = ([0; 32], [0; 8]);
                tape.fill(&mut prefix)?;
                tape.fill(&mut len)?;
                let prefix = (prefix != [0; 32]).then_some(prefix);
                let mut frame = tape.part(u64::from_le_bytes(len));
                base.unpack(&mut frame, prefix, file, &mut out)?;
                if frame.limit() > 0 {
                    return Err(tape.damaged("something stands behind a frame"));
                }
            }
            _ => return Err(tape.damaged("a file comes in a way that is not known")),
        }
        out.write_all(&[0; BLOCK][..filling(file.bytes)])?;
    }
    out.write_all(&[0; END])?;
    out.flush()?;
    tape.ends()?;
    Ok(manifest)
}
