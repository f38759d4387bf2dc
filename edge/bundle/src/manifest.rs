//! The manifest: what a bundle is, for whom, and what is in it.
//!
//! Owns the names that files may have: one folder deep at most, small letters, and no way out of a slot.

use crate::BundleError;
use crate::keys::from_hex;
use crate::signed::Signed;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The name of the member.
pub(crate) const MANIFEST: &str = "MANIFEST";

/// Limits that a bundle keeps, so that a unit knows what it may have to hold before it reads on.
const MAX_FILES: usize = 256;
/// The largest bundle's files together: twice what one with FaceNet in half precision takes.
const MAX_BYTES: u64 = 256 << 20;
const MAX_NAME: usize = 64;

/// The longest bundle: its files, a block and less than a block of filling for each, and what stands before and behind them.
pub const MAX_BUNDLE_BYTES: u64 = MAX_BYTES + 2 * 512 * MAX_FILES as u64 + (1 << 18);

/// What a bundle is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The format's version, 1.
    pub format: u32,
    /// The boards that it runs on, as `jetson-orin`.
    pub compatible: String,
    /// The version, for people.
    pub version: String,
    /// The security counter: once a unit has confirmed one, it runs none below.
    pub counter: u64,
    /// The files, in the order of the bundle.
    #[serde(rename = "file")]
    pub files: Vec<FileEntry>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Where it goes in its slot.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// Its length.
    pub bytes: u64,
    /// Its BLAKE3, in hex.
    pub blake3: String,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileKind {
    /// A program, which may be executed.
    Program,
    /// An image of the kernels.
    Kernels,
    /// A model pack.
    Pack,
    /// A file of the system's: units, rules.
    System,
    /// A list: licences, what it was built from.
    List,
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.bytes))
    }
}

impl Signed for Manifest {
    const MEMBER: &'static str = MANIFEST;
    const TITLE: &'static str = "# threshold bundle\n";
    const SIGNER: &'static str = "build";

    fn check(&self) -> Result<(), BundleError> {
        let fault = |what: String| Err(Self::fault(what));
        if self.format != 1 {
            return fault(format!("it is of format {}", self.format));
        }
        for (what, word) in [("compatible", &self.compatible), ("version", &self.version)] {
            if !is_word(word) {
                return fault(format!("{what} is {word:?}"));
            }
        }
        if self.files.is_empty() || self.files.len() > MAX_FILES {
            return fault(format!("it has {} files, 1 to {MAX_FILES} may be", self.files.len()));
        }
        if self.total_bytes() > MAX_BYTES {
            return fault(format!("its files have more than {MAX_BYTES} bytes"));
        }
        let mut names = BTreeSet::new();
        for file in &self.files {
            if !is_name(&file.name) {
                return fault(format!("a file is named {:?}", file.name));
            }
            if !names.insert(&file.name) {
                return fault(format!("{:?} is in it twice", file.name));
            }
            let folder = file.name.split_once('/').map(|(folder, _)| folder);
            if folder.is_some_and(|folder| self.files.iter().any(|other| other.name == folder)) {
                return fault(format!("{:?} lies in a file", file.name));
            }
            if from_hex(&file.blake3).is_none() {
                return fault(format!("{:?} has no BLAKE3", file.name));
            }
        }
        Ok(())
    }
}

impl FileEntry {
    /// Its BLAKE3.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        from_hex(&self.blake3).unwrap_or_default()
    }
}

/// A word of small letters, digits, dots, dashes and underscores, which begins with a letter or a digit.
fn is_word(word: &str) -> bool {
    let inner =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    let first = word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && word.len() <= MAX_NAME && word.bytes().all(inner)
}

/// A file's name, one folder deep at most; the bundle's own members are in capitals, so that none is named so.
fn is_name(name: &str) -> bool {
    let mut parts = name.split('/');
    let named = parts.next().is_some_and(is_word) && parts.next().is_none_or(is_word);
    named && parts.next().is_none() && name.len() <= MAX_NAME
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leads_out_of_its_slot() {
        for name in
            ["threshold-edge", "kernels/detect.sm_87.cubin", "packs/facenet.safetensors", "0"]
        {
            assert!(is_name(name), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "",
            "/",
            ".",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "/etc/passwd",
            "a//b",
            "a/",
            "a/b/c",
            ".a",
            "-a",
            "a\\b",
            "a b",
            "a\0",
            "é",
            "A",
            "MANIFEST",
            "KEYS.sig",
            &long,
        ] {
            assert!(!is_name(name), "{name:?}");
        }
    }
}
