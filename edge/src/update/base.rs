//! The version that runs, as what a delta is opened against.
//!
//! Owns the bounds of that: no file becomes longer than its signed manifest says, and no frame takes more memory than
//! [`MAX_WINDOW_LOG`] and [`MAX_PREFIX_BYTES`] allow. Refuses a file that the slot does not have.

use super::staging;
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::path::PathBuf;
use threshold_bundle::{Base, FileEntry, Manifest};
use zstd::stream::read::Decoder;

/// The largest window that a frame may ask for, 128 MiB: the longest prefix and as long a file behind it.
pub const MAX_WINDOW_LOG: u32 = 27;

/// The longest file that stands in memory for a frame to be opened against.
pub const MAX_PREFIX_BYTES: u64 = 64 << 20;

/// The running slot.
#[derive(Debug)]
pub(super) struct Running {
    /// Where its files lie.
    pub(super) folder: PathBuf,
    /// BLAKE3 of its MANIFEST.
    pub(super) id: [u8; 32],
    /// What is in it.
    pub(super) manifest: Manifest,
    /// What stays free for the store.
    pub(super) store_bytes: u64,
    /// Where what is made goes.
    pub(super) out: PathBuf,
}

impl Running {
    fn file(&self, hash: &[u8; 32]) -> io::Result<(File, u64)> {
        let entry = self.manifest.files.iter().find(|file| file.hash() == *hash);
        let entry = entry.ok_or_else(|| fault("the running version has no such file"))?;
        Ok((File::open(self.folder.join(&entry.name))?, entry.bytes))
    }
}

impl Base for Running {
    fn id(&self) -> [u8; 32] {
        self.id
    }

    fn begin(&mut self, manifest: &Manifest) -> io::Result<()> {
        let folder = self.out.parent().unwrap_or(&self.out);
        staging::room_for(folder, manifest.total_bytes(), self.store_bytes)
            .map_err(|refused| io::Error::new(ErrorKind::StorageFull, refused))
    }

    fn copy(&mut self, file: &FileEntry, out: &mut dyn Write) -> io::Result<()> {
        let (from, _) = self.file(&file.hash())?;
        match io::copy(&mut from.take(file.bytes), out)? {
            copied if copied == file.bytes => Ok(()),
            _ => Err(fault("a file of the running version is too short")),
        }
    }

    fn unpack(
        &mut self,
        frame: &mut dyn Read,
        prefix: Option<[u8; 32]>,
        file: &FileEntry,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut before = Vec::new();
        if let Some(hash) = prefix {
            let (from, bytes) = self.file(&hash)?;
            if bytes > MAX_PREFIX_BYTES {
                return Err(fault("a frame is packed against a file that is too long"));
            }
            from.take(bytes).read_to_end(&mut before)?;
        }
        let mut opened = Decoder::with_ref_prefix(BufReader::new(frame), before.as_slice())?;
        opened.window_log_max(MAX_WINDOW_LOG)?;
        let mut opened = opened.single_frame();
        // One byte more than it should have, so that a longer one is seen without being written.
        let mut left = file.bytes;
        let mut piece = vec![0; 1 << 16];
        loop {
            let len = opened.read(&mut piece)?;
            if len == 0 {
                break;
            }
            left = left.checked_sub(len as u64).ok_or_else(|| fault("a frame makes too much"))?;
            out.write_all(piece.get(..len).unwrap_or(&[]))?;
        }
        match left {
            0 => Ok(()),
            _ => Err(fault("a frame makes too little")),
        }
    }
}

fn fault(what: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}
