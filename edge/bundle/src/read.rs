//! Reading a bundle: in one pass, nothing believed before its signature.

use crate::BundleError;
use crate::keys::{KEYS, Keys, Trust};
use crate::manifest::{FileEntry, MANIFEST, Manifest};
use crate::member::{BLOCK, END, filling, header};
use crate::texts::Texts;
use std::io::Read;

/// The longest text of a bundle's own: 256 files of a manifest, 256 revoked keys.
const MAX_TEXT: u64 = 1 << 16;

/// What a bundle is held against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installed {
    /// What the unit is.
    pub compatible: String,
    /// The least security counter that it takes.
    pub counter: u64,
}

/// Takes a bundle's files as they are read. What it has taken counts only once [`read`] has returned without an error.
pub trait Sink {
    /// The texts that bind what follows are right; for whoever keeps them beside the files.
    ///
    /// # Errors
    /// What ends the reading.
    fn texts(&mut self, _texts: &Texts) -> std::io::Result<()> {
        Ok(())
    }

    /// The manifest is right; its files follow.
    ///
    /// # Errors
    /// What ends the reading.
    fn begin(&mut self, manifest: &Manifest) -> std::io::Result<()>;

    /// A file begins.
    ///
    /// # Errors
    /// What ends the reading.
    fn file(&mut self, file: &FileEntry) -> std::io::Result<()>;

    /// More bytes of it, all together as many as its entry says.
    ///
    /// # Errors
    /// What ends the reading.
    fn bytes(&mut self, bytes: &[u8]) -> std::io::Result<()>;
}

/// Keeps nothing: for whoever only checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nowhere;

impl Sink for Nowhere {
    fn begin(&mut self, _: &Manifest) -> std::io::Result<()> {
        Ok(())
    }

    fn file(&mut self, _: &FileEntry) -> std::io::Result<()> {
        Ok(())
    }

    fn bytes(&mut self, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

/// Reads a bundle to its end, and hands its files to the sink. In memory stand 64 KiB of each text and one buffer.
///
/// # Errors
/// [`BundleError`] if any of it is not as its signers made it, or not for this unit.
pub fn read(
    bytes: impl Read,
    trust: &Trust,
    installed: &Installed,
    sink: &mut dyn Sink,
) -> Result<(Manifest, Keys), BundleError> {
    let mut tape = Tape { bytes, at: 0, copy: None };
    let texts = tape.texts()?;
    let (manifest, keys) = texts.verified(trust, installed)?;
    sink.texts(&texts)?;
    sink.begin(&manifest)?;
    for file in &manifest.files {
        tape.header(&file.name, |_| header(&file.name, Some(file.kind), file.bytes))?;
        sink.file(file)?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 1 << 16];
        let mut left = file.bytes;
        while left > 0 {
            let len = left.min(buffer.len() as u64) as usize;
            let part = &mut buffer[..len];
            tape.fill(part)?;
            hasher.update(part);
            sink.bytes(part)?;
            left -= len as u64;
        }
        if hasher.finalize().as_bytes() != &file.hash() {
            return Err(tape.damaged("a file is not the one of the manifest"));
        }
        tape.zeros(filling(file.bytes))?;
    }
    tape.zeros(END)?;
    tape.ends()?;
    Ok((manifest, keys))
}

/// BLAKE3 of a bundle's MANIFEST, which names the bundle; nothing of it is checked.
///
/// # Errors
/// [`BundleError`] if it does not begin as a bundle.
pub fn id(bytes: impl Read) -> Result<[u8; 32], BundleError> {
    let texts = Tape { bytes, at: 0, copy: None }.texts()?;
    Ok(*blake3::hash(&texts.manifest).as_bytes())
}

/// The bundle as it goes by.
pub(crate) struct Tape<R> {
    bytes: R,
    at: u64,
    /// What went by, if it is kept.
    copy: Option<Vec<u8>>,
}

impl<R: Read> Tape<R> {
    /// A tape of which what goes by is kept, until it is asked for.
    pub(crate) fn copying(bytes: R) -> Self {
        Self { bytes, at: 0, copy: Some(Vec::new()) }
    }

    /// What went by since this was asked for last.
    pub(crate) fn copied(&mut self) -> Vec<u8> {
        self.copy.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The texts in front, of which nothing is believed yet.
    pub(crate) fn texts(&mut self) -> Result<Texts, BundleError> {
        Ok(Texts {
            keys: self.text(KEYS)?,
            keys_signature: self.signature(KEYS)?,
            manifest: self.text(MANIFEST)?,
            manifest_signature: self.signature(MANIFEST)?,
        })
    }

    /// The next bytes, as a reader of their own.
    pub(crate) fn part(&mut self, len: u64) -> std::io::Take<&mut R> {
        self.at = self.at.saturating_add(len);
        self.bytes.by_ref().take(len)
    }

    /// Nothing may follow.
    pub(crate) fn ends(&mut self) -> Result<(), BundleError> {
        match self.bytes.read(&mut [0])? {
            0 => Ok(()),
            _ => Err(self.damaged("something stands behind its end")),
        }
    }

    pub(crate) fn damaged(&self, what: &'static str) -> BundleError {
        BundleError::Damaged { at: self.at, what }
    }

    pub(crate) fn fill(&mut self, into: &mut [u8]) -> Result<(), BundleError> {
        match self.bytes.read_exact(into) {
            Ok(()) => {
                self.at += into.len() as u64;
                if let Some(copy) = &mut self.copy {
                    copy.extend_from_slice(into);
                }
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(self.damaged("it ends too early"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn zeros(&mut self, count: usize) -> Result<(), BundleError> {
        let mut zeros = [0; END];
        let zeros = &mut zeros[..count];
        self.fill(zeros)?;
        match zeros.iter().all(|&byte| byte == 0) {
            true => Ok(()),
            false => Err(self.damaged("its filling is not empty")),
        }
    }

    /// Reads a header, which must be the one that was expected for the length that it says; gives that length.
    fn header(
        &mut self,
        name: &str,
        expected: impl FnOnce(u64) -> Option<[u8; BLOCK]>,
    ) -> Result<u64, BundleError> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        let mut said = tar::Header::new_ustar();
        said.as_mut_bytes().copy_from_slice(&block);
        let bytes = said.size().map_err(|_| self.damaged("it is no bundle"))?;
        if said.path_bytes().as_ref() != name.as_bytes() {
            return Err(self.damaged("it is no bundle, or a part of it is missing or out of place"));
        }
        match expected(bytes) {
            Some(expected) if expected == block => Ok(bytes),
            _ => Err(self.damaged("a part's header is not as it is written")),
        }
    }

    fn text(&mut self, name: &str) -> Result<Vec<u8>, BundleError> {
        let bytes = self.header(name, |bytes| header(name, None, bytes))?;
        if bytes > MAX_TEXT {
            return Err(self.damaged("a text is too long"));
        }
        let mut text = vec![0; bytes as usize];
        self.fill(&mut text)?;
        self.zeros(filling(bytes))?;
        Ok(text)
    }

    fn signature(&mut self, of: &str) -> Result<[u8; 64], BundleError> {
        let name = format!("{of}.sig");
        let mut signature = [0; 64];
        self.header(&name, |_| header(&name, None, signature.len() as u64))?;
        self.fill(&mut signature)?;
        self.zeros(filling(signature.len() as u64))?;
        Ok(signature)
    }
}
