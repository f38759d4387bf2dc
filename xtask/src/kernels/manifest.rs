//! `target/kernels/manifest.json`: which images there are, what they were made from, and what their kernels need.
//!
//! ```text
//! { "format": 1,
//!   "recipe": HASH,                      compilers, options and targets
//!   "headers": HASH,                     what kernels/cuda holds beside the ops
//!   "ops": { "pnet": {
//!     "source": HASH,                    pnet.cu
//!     "images": { "sm_87": {
//!       "file": "sm_87/pnet.cubin",      from this file's folder
//!       "hash": HASH,
//!       "compiler": "NVRTC 12.6.85",
//!       "kernels": { "pnet_conv1": { "registers": 40, "shared_bytes": 0, "local_bytes": 0,
//!                                    "spill_store_bytes": 0, "spill_load_bytes": 0 } } } } } } }
//! ```
//!
//! Hashes are BLAKE3 in hex. Equal sources give an equal file: it holds no time and no path of a machine.
//! An op that did not compile is absent.

use super::figures::Kernels;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The layout above.
const FORMAT: u32 = 1;

/// The manifest's name in the folder of images.
const NAME: &str = "manifest.json";

/// What the folder of images holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    recipe: String,
    headers: String,
    pub(super) ops: BTreeMap<String, Op>,
}

/// One source file and its images by target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Op {
    pub(super) source: String,
    pub(super) images: BTreeMap<String, Image>,
}

/// One file that a device loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Image {
    pub(super) file: String,
    pub(super) hash: String,
    pub(super) compiler: String,
    pub(super) kernels: Kernels,
}

impl Manifest {
    /// One without ops.
    pub(super) fn new(recipe: String, headers: String) -> Self {
        Self { format: FORMAT, recipe, headers, ops: BTreeMap::new() }
    }

    /// The manifest of a folder; `None` if there is none that this version wrote.
    pub(super) fn of_folder(folder: &Path) -> Option<Self> {
        let manifest: Self = serde_json::from_slice(&fs::read(folder.join(NAME)).ok()?).ok()?;
        (manifest.format == FORMAT).then_some(manifest)
    }

    /// Writes it whole or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let partial = folder.join("manifest.partial");
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&partial, text)
            .and_then(|()| fs::rename(&partial, folder.join(NAME)))
            .with_context(|| format!("writing {}", folder.join(NAME).display()))
    }

    /// The op that need not be compiled again: same recipe, headers and source, and every image lies there unchanged.
    pub(super) fn kept(
        &self,
        wanted: &Self,
        name: &str,
        source: &str,
        folder: &Path,
    ) -> Option<Op> {
        let op = self.ops.get(name)?;
        let same = (&self.recipe, &self.headers, op.source.as_str())
            == (&wanted.recipe, &wanted.headers, source);
        let whole = || {
            op.images.values().all(|image| {
                fs::read(folder.join(&image.file)).is_ok_and(|bytes| hash(&bytes) == image.hash)
            })
        };
        (same && whole()).then(|| op.clone())
    }

    /// What of it was made of something else than `wanted` says, whose ops have no images: the recipe, the headers, or an op.
    pub(super) fn stale(&self, wanted: &Self) -> Option<String> {
        if self.recipe != wanted.recipe {
            return Some("a compiler or an option".to_owned());
        }
        if self.headers != wanted.headers {
            return Some("a header".to_owned());
        }
        let source = |of: &Self, name: &str| of.ops.get(name).map(|op| op.source.clone());
        let mut names = self.ops.keys().chain(wanted.ops.keys());
        names
            .find(|name| source(self, name) != source(wanted, name))
            .map(|name| format!("{name}.cu"))
    }

    /// Kernels that two ops define, which a device could not tell apart, each with the ops.
    pub(super) fn clashes(&self) -> Vec<String> {
        let mut owner = BTreeMap::new();
        let mut clashes = Vec::new();
        for (op, made) in &self.ops {
            let Some(image) = made.images.values().next() else { continue };
            for kernel in image.kernels.keys() {
                if let Some(other) = owner.insert(kernel, op) {
                    clashes.push(format!("kernel {kernel} is in {other}.cu and in {op}.cu"));
                }
            }
        }
        clashes
    }

    /// What each kernel needs on each target.
    pub(super) fn table(&self) -> String {
        let mut table = format!(
            "{:<32} {:<10} {:>9} {:>13} {:>6} {:>6}\n",
            "kernel", "target", "registers", "static shared", "local", "spills"
        );
        for image in self.ops.values().flat_map(|op| &op.images) {
            for (kernel, figures) in &image.1.kernels {
                let spills = figures.spill_store_bytes + figures.spill_load_bytes;
                // Writing into a text does not fail.
                let _ = writeln!(
                    table,
                    "{kernel:<32} {:<10} {:>9} {:>13} {:>6} {spills:>6}",
                    image.0, figures.registers, figures.shared_bytes, figures.local_bytes
                );
            }
        }
        table
    }
}

/// BLAKE3 in hex.
pub(super) fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// BLAKE3 in hex over parts, each with its length, so that no part runs into the next.
pub(super) fn hash_of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::super::figures::Figures;
    use super::*;

    fn op(source: &str, kernel: &str, bytes: &[u8]) -> Op {
        let image = Image {
            file: format!("{kernel}.cubin"),
            hash: hash(bytes),
            compiler: "NVRTC".to_owned(),
            kernels: Kernels::from([(kernel.to_owned(), Figures::default())]),
        };
        Op { source: source.to_owned(), images: BTreeMap::from([("sm_87".to_owned(), image)]) }
    }

    fn manifest(recipe: &str, headers: &str, ops: &[(&str, Op)]) -> Manifest {
        let mut manifest = Manifest::new(recipe.to_owned(), headers.to_owned());
        manifest.ops = ops.iter().map(|(name, op)| ((*name).to_owned(), op.clone())).collect();
        manifest
    }

    /// A folder of this test's own, with an image.
    fn folder(test: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("threshold-{test}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("pnet.cubin"), b"image").unwrap();
        folder
    }

    #[test]
    fn a_manifest_reads_back_as_written_and_none_of_another_format_is_read() {
        let folder = folder("manifest");
        assert!(Manifest::of_folder(&folder).is_none());
        let written = manifest("r", "h", &[("pnet", op("s", "pnet", b"image"))]);
        written.write(&folder).unwrap();
        assert_eq!(Manifest::of_folder(&folder).unwrap(), written);
        Manifest { format: FORMAT + 1, ..written }.write(&folder).unwrap();
        assert!(Manifest::of_folder(&folder).is_none());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn an_op_is_kept_only_if_nothing_changed() {
        let folder = folder("kept");
        let before = manifest("r", "h", &[("pnet", op("s", "pnet", b"image"))]);
        let kept = |recipe, headers, name, source| {
            before.kept(&manifest(recipe, headers, &[]), name, source, &folder).is_some()
        };
        assert!(kept("r", "h", "pnet", "s"));
        assert!(!kept("other", "h", "pnet", "s"));
        assert!(!kept("r", "other", "pnet", "s"));
        assert!(!kept("r", "h", "rnet", "s"));
        assert!(!kept("r", "h", "pnet", "other"));
        fs::write(folder.join("pnet.cubin"), b"damaged").unwrap();
        assert!(!kept("r", "h", "pnet", "s"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn images_of_other_sources_are_stale() {
        let op = |source: &str| op(source, "pnet", b"image");
        let built = manifest("r", "h", &[("pnet", op("s"))]);
        let stale = |recipe, headers, ops: &[(&str, Op)]| {
            built.stale(&manifest(recipe, headers, ops)).unwrap_or_default()
        };
        assert_eq!(stale("r", "h", &[("pnet", op("s"))]), "");
        assert_eq!(stale("other", "h", &[("pnet", op("s"))]), "a compiler or an option");
        assert_eq!(stale("r", "other", &[("pnet", op("s"))]), "a header");
        assert_eq!(stale("r", "h", &[("pnet", op("other"))]), "pnet.cu");
        assert_eq!(stale("r", "h", &[("pnet", op("s")), ("rnet", op("s"))]), "rnet.cu");
        assert_eq!(stale("r", "h", &[]), "pnet.cu");
    }

    #[test]
    fn one_name_in_two_ops_is_a_clash() {
        let two = [("pnet", op("s", "conv", b"")), ("rnet", op("t", "conv", b""))];
        let clashes = manifest("r", "h", &two).clashes();
        assert_eq!(clashes, ["kernel conv is in pnet.cu and in rnet.cu"]);
        assert!(manifest("r", "h", &two[..1]).clashes().is_empty());
    }
}
