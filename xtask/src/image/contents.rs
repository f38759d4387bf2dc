//! What goes into an image, each file with its name in a slot.
//!
//! Owns the slot's folders: `kernels`, `packs`, `system`, `about`, and the programs above them. Refuses images of kernels
//! that are not those of their manifest, or of other sources than lie here; where none were built, an image has none, and that is said.

use super::about::Materials;
use super::stage;
use crate::repository::root;
use crate::setup::Setup;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use threshold_bundle::{FileKind, Source};
use threshold_models::pack::{PackDir, PackEntry};

/// The kernels' targets that a unit may have: Orin, Thor, and what is newer by PTX.
const TARGETS: [&str; 3] = ["sm_87", "sm_110", "compute_80"];

/// What systemd and udev get, of `edge/system`.
const SYSTEM: [&str; 7] = [
    "sysusers.conf",
    "threshold-edge.service",
    "threshold-first.service",
    "udev.rules",
    "unit.toml",
    "usb-gadget",
    "usb-gadget.service",
];

/// An embedder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Model {
    /// dlib's ResNet-29, which every set-up has.
    Dlib,
    /// FaceNet's Inception-ResNet-v1, whose weights no registry carries.
    Facenet,
}

impl Model {
    /// Its name, and how its pack's file begins.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Dlib => "dlib",
            Self::Facenet => "facenet",
        }
    }

    /// The best that is there: FaceNet's if its pack is.
    pub(super) fn best(setup: &Setup) -> Result<Self> {
        let dir = PackDir::open(&setup.packs)?;
        Ok(if pack(&dir, Self::Facenet.name()).is_ok() { Self::Facenet } else { Self::Dlib })
    }
}

/// True where kernels were built.
pub(super) fn has_kernels() -> bool {
    root().join("target/kernels/manifest.json").exists()
}

/// The kernels' images with a manifest of their own; none where none were built.
///
/// # Errors
/// If an image is not what the manifest says, or not of the sources that lie here.
pub(super) fn kernels(folder: &Path) -> Result<Vec<Source>> {
    if !has_kernels() {
        return Ok(Vec::new());
    }
    crate::kernels::refuse_stale()?;
    let built = root().join("target/kernels");
    let text = fs::read(built.join("manifest.json")).context("the kernels' manifest")?;
    let mut manifest: Value = serde_json::from_slice(&text).context("the kernels' manifest")?;
    let ops = manifest["ops"].as_object_mut().context("the kernels' manifest has no ops")?;
    let mut sources = Vec::new();
    for (op, made) in ops {
        let images =
            made["images"].as_object_mut().with_context(|| format!("{op} has no images"))?;
        images.retain(|target, _| TARGETS.contains(&target.as_str()));
        ensure!(
            images.len() == TARGETS.len(),
            "the kernels lack a target of {op}: cargo xtask kernels"
        );
        for (target, image) in images {
            let file = image["file"].as_str().with_context(|| format!("{op} has no file"))?;
            let path = built.join(file);
            let bytes = fs::read(&path).with_context(|| format!("{file}: cargo xtask kernels"))?;
            let hash = blake3::hash(&bytes).to_hex();
            ensure!(
                image["hash"].as_str() == Some(&hash),
                "{file} is not the one of its manifest: cargo xtask kernels"
            );
            // A slot's folders hold no folders.
            let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
            let name = format!("{op}.{target}.{extension}");
            sources.push(source(&format!("kernels/{name}"), FileKind::Kernels, path));
            image["file"] = name.into();
        }
    }
    let text = serde_json::to_string_pretty(&manifest)? + "\n";
    let path = stage(folder, "kernels-manifest.json", text.as_bytes())?;
    sources.push(source("kernels/manifest.json", FileKind::Kernels, path));
    Ok(sources)
}

/// The packs, the detector's and the embedder's, and what the image says of itself.
///
/// # Errors
/// If a pack is missing.
pub(super) fn packs_and_lists(
    setup: &Setup,
    model: Model,
    materials: &Materials,
    folder: &Path,
) -> Result<Vec<Source>> {
    let dir = PackDir::open(&setup.packs)?;
    let packs = [pack(&dir, "mtcnn")?, pack(&dir, model.name())?];
    let mut sources: Vec<Source> = packs
        .iter()
        .map(|pack| {
            let name = pack.path.file_name().unwrap_or_default().to_string_lossy();
            source(&format!("packs/{name}"), FileKind::Pack, pack.path.clone())
        })
        .collect();
    for (name, text) in
        [("sbom.cdx.json", materials.bill(&packs)?), ("licences.txt", materials.licences(&packs)?)]
    {
        let path = stage(folder, name, text.as_bytes())?;
        sources.push(source(&format!("about/{name}"), FileKind::List, path));
    }
    Ok(sources)
}

/// The files for systemd and udev.
pub(super) fn system() -> Vec<Source> {
    let folder = root().join("edge/system");
    let of = |name: &&str| source(&format!("system/{name}"), FileKind::System, folder.join(name));
    SYSTEM.iter().map(of).collect()
}

/// A program at the top of the slot.
pub(super) fn program(name: &str, path: PathBuf) -> Source {
    source(name, FileKind::Program, path)
}

fn source(name: &str, kind: FileKind, path: PathBuf) -> Source {
    Source { name: name.to_owned(), kind, path }
}

/// The one pack whose file begins so.
fn pack<'a>(dir: &'a PackDir, begins: &str) -> Result<&'a PackEntry> {
    let of = |entry: &&PackEntry| {
        entry.path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begins))
    };
    let found = dir.entries().iter().find(of);
    found.with_context(|| {
        format!("no pack of {begins} in {}: cargo xtask setup", dir.path().display())
    })
}
