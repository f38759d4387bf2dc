//! The board's first file system: a cpio archive of format newc, as the kernel's `buffer-format` page draws it.
//!
//! Owns the archive's bytes. Refuses what the board needs none of: devices (the kernel makes them), owners, times.
//!
//! ```text
//! entry: "070701" | 13 fields of 8 hexadecimal digits | name, NUL, padded to 4 | data, padded to 4
//! the last entry is named "TRAILER!!!"
//! ```

use anyhow::{Context as _, Result};
use std::path::Path;

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;

/// An archive that is written.
#[derive(Default)]
pub(super) struct Archive {
    bytes: Vec<u8>,
    count: u32,
}

impl Archive {
    /// An empty folder; the one that it is in was added before.
    pub(super) fn folder(&mut self, name: &str) {
        self.entry(name, FOLDER, &[]);
    }

    /// A file to read.
    pub(super) fn file(&mut self, name: &str, data: &[u8]) {
        self.entry(name, FILE, data);
    }

    /// A file to run.
    pub(super) fn program(&mut self, name: &str, data: &[u8]) {
        self.entry(name, PROGRAM, data);
    }

    /// A file of this machine, to run or to read as it may be here.
    pub(super) fn copy(&mut self, name: &str, from: &Path) -> Result<()> {
        let data = std::fs::read(from).with_context(|| format!("reading {}", from.display()))?;
        self.program(name, &data);
        Ok(())
    }

    /// The whole archive.
    pub(super) fn close(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, data: &[u8]) {
        self.count += 1;
        let length = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
        // inode, mode, uid, gid, links, time, length, device (4), name's length with its NUL, checksum (0 in this format)
        let fields = [
            self.count,
            mode,
            0,
            0,
            1,
            0,
            length(data.len()),
            0,
            0,
            0,
            0,
            length(name.len() + 1),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(data);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_the_bytes_that_the_format_draws() {
        let mut archive = Archive::default();
        archive.folder("bin");
        archive.program("bin/a", b"hello");
        let bytes = archive.close();
        let folder = format!("070701{:08x}{FOLDER:08x}", 1);
        assert!(bytes.starts_with(folder.as_bytes()));
        // 110 bytes of header and "bin\0", padded to 116.
        assert_eq!(&bytes[110..122], b"bin\0\0\x00070701");
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("bin/a\0hello\0\0\x00070701"));
        assert!(text.ends_with("TRAILER!!!\0\0\0\0"));
    }
}
