//! The versions that the board's unit runs one after another: what its package brings, and the bundles that it is updated by.
//!
//! Owns their numbers. All are made by the code that makes images, signed with the developer's key, of one build: a later version is the
//! same program under a higher number, so that what is tried is the update. Refuses FaceNet, which takes 25 s a face on this processor.

use super::aarch64::Toolchain;
use super::unit::guest;
use crate::image::{Ingredients, Model};
use crate::setup::Setup;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use threshold_bundle::{FileKind, Source};

/// The version of the package, and its security counter.
pub(super) const FIRST: (&str, u64) = ("1.0.0", 1);

/// A newer one, below which nothing is taken once it was confirmed.
pub(super) const NEWER: (&str, u64) = ("1.1.0", 2);

/// One that ends as soon as it starts.
pub(super) const BROKEN: (&str, u64) = ("1.2.0", 2);

/// One whose detector is damaged; only its own test of itself finds that.
pub(super) const DAMAGED: (&str, u64) = ("1.3.0", 2);

/// The detector's pack in a slot.
const DETECTOR: &str = "packs/mtcnn.pack";

/// The files.
pub(super) struct Versions {
    /// What makes a machine a unit, with [`FIRST`] inside.
    pub(super) package: PathBuf,
    /// The bundle of [`FIRST`].
    pub(super) first: PathBuf,
    /// The bundle of [`NEWER`].
    pub(super) newer: PathBuf,
    /// The bundle of [`BROKEN`].
    pub(super) broken: PathBuf,
    /// What further bundles are made of.
    ingredients: Ingredients,
    folder: PathBuf,
}

impl Versions {
    /// Makes them in a folder.
    ///
    /// # Errors
    /// If a part is missing or does not build.
    pub(super) fn make(toolchain: &Toolchain, stock: &Setup, folder: &Path) -> Result<Self> {
        let folder = folder.join("versions");
        let ingredients = Ingredients::gather(toolchain, stock, Model::Dlib, None, &folder)?;
        let file = |name: &str, ending: &str| folder.join(name).with_extension(ending);
        let [first, newer, broken] = ["first", "newer", "broken"].map(|name| file(name, "bundle"));
        let package = file("first", "deb");
        ingredients.pack(&first, FIRST.0, FIRST.1, &ingredients.sources)?;
        ingredients.package(&package, FIRST.0, &first)?;
        ingredients.pack(&newer, NEWER.0, NEWER.1, &ingredients.sources)?;
        let program = folder.join("broken");
        toolchain.compile(&guest().join("broken.c"), &program)?;
        let name = "threshold-edge".to_owned();
        let alone = [Source { name, kind: FileKind::Program, path: program }];
        ingredients.pack(&broken, BROKEN.0, BROKEN.1, &alone)?;
        Ok(Self { package, first, newer, broken, ingredients, folder })
    }

    /// The bundle of [`DAMAGED`]: the middle of the detector's pack, where its weights are, is another.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn damaged(&self) -> Result<PathBuf> {
        let mut sources = self.ingredients.sources.clone();
        let pack = sources.iter_mut().find(|source| source.name == DETECTOR);
        let pack = pack.with_context(|| format!("the bundle has no {DETECTOR}"))?;
        let mut bytes = fs::read(&pack.path).with_context(|| pack.path.display().to_string())?;
        let middle = bytes.len() / 2;
        bytes[middle..][..4096].fill(0x3c);
        pack.path = self.folder.join("damaged.pack");
        fs::write(&pack.path, bytes).context("writing a damaged pack")?;
        self.bundle("damaged", DAMAGED, &sources)
    }

    /// A bundle of what [`NEWER`] has, under that number.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn numbered(&self, version: &str) -> Result<PathBuf> {
        self.bundle("numbered", (version, NEWER.1), &self.ingredients.sources)
    }

    fn bundle(&self, name: &str, of: (&str, u64), sources: &[Source]) -> Result<PathBuf> {
        let bundle = self.folder.join(name).with_extension("bundle");
        self.ingredients.pack(&bundle, of.0, of.1, sources)?;
        Ok(bundle)
    }
}
