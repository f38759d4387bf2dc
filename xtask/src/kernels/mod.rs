//! `cargo xtask kernels`: every op of `kernels/cuda` as images that a device loads, in `target/kernels`.
//!
//! One image per op and target (`sm_87/pnet.cubin`), not one per target: names of device functions then need not be
//! unique across ops, an op that changed is compiled alone, and an image that does not load is named. Kernels' names
//! are unique all the same, so that the engine finds a kernel by its name alone.
//! A cubin is loaded as it lies; the PTX is text, to which a loader adds the zero byte that the driver looks for.
//! Refuses warnings and spills. A plain `cargo build` needs nothing of this, and no compiler comes to the unit.

mod compile;
pub(crate) mod count;
mod figures;
mod manifest;
mod sdk;

use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use manifest::{Manifest, Op, hash, hash_of_parts};
use sdk::Sdk;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

/// What else there is to do with the kernels than to compile them.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Asked {
    /// What a frame and an embedding cost: launches, bytes, multiply-adds, registers, shared memory, blocks that fit.
    Count,
}

/// A kernel that spills; it must be refused, else the check of all others says nothing.
const PLANTED: &str = "src/kernels/planted/spills.cu";

/// Compiles what changed, writes the manifest, prints the table.
///
/// # Errors
/// If the compilers cannot be had, an op does not compile without a warning, a kernel spills, or two ops have a
/// kernel of the same name.
pub(crate) fn run() -> Result<()> {
    let out = root().join("target/kernels");
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let (sources, headers) = sources(&compile::headers())?;
    let before = Manifest::of_folder(&out);
    let mut manifest = Manifest::new(compile::recipe(), headers);
    let mut changed = Vec::new();
    for source in sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let digest = hash(&read(&source)?);
        let kept = before.as_ref().and_then(|before| before.kept(&manifest, &name, &digest, &out));
        match kept {
            Some(op) => drop(manifest.ops.insert(name, op)),
            None => changed.push((name, source)),
        }
    }
    let n_kept = manifest.ops.len();
    let mut failures = Vec::new();
    let n_changed = changed.len();
    if n_changed > 0 {
        let sdk = Sdk::install()?;
        refuses_the_planted_spill(&sdk, &out)?;
        for (name, made) in compile_all(&sdk, changed, &out) {
            match made {
                Ok(op) => drop(manifest.ops.insert(name, op)),
                Err(error) => failures.push(format!("{name}.cu: {error:#}")),
            }
        }
    }
    failures.extend(manifest.clashes());
    remove_others(&manifest, &out)?;
    manifest.write(&out)?;
    print!("{}", manifest.table());
    println!(
        "kernels: {n_changed} ops compiled, {n_kept} unchanged, in {}",
        out.strip_prefix(root()).unwrap_or(&out).display()
    );
    if !failures.is_empty() {
        bail!("{} failures:\n{}", failures.len(), failures.join("\n"));
    }
    Ok(())
}

/// Refuses the images of `target/kernels` if they were made of other sources than lie here, or otherwise.
///
/// # Errors
/// If they were, or no manifest of this version says what they were made of.
pub(crate) fn refuse_stale() -> Result<()> {
    let built = Manifest::of_folder(&root().join("target/kernels"));
    let built =
        built.context("target/kernels has no manifest of this version: cargo xtask kernels")?;
    let (sources, headers) = sources(&compile::headers())?;
    let mut wanted = Manifest::new(compile::recipe(), headers);
    for source in sources {
        let name = source.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let op = Op { source: hash(&read(&source)?), images: BTreeMap::new() };
        wanted.ops.insert(name, op);
    }
    match built.stale(&wanted) {
        Some(what) => {
            bail!("the kernels' images were made before {what} changed: cargo xtask kernels")
        }
        None => Ok(()),
    }
}

/// The ops' sources in order, and a digest of all that they may include.
fn sources(folder: &Path) -> Result<(Vec<PathBuf>, String)> {
    let listed = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let mut files: Vec<PathBuf> =
        listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.sort();
    let (sources, headers): (Vec<PathBuf>, Vec<PathBuf>) =
        files.into_iter().partition(|path| path.extension().is_some_and(|kind| kind == "cu"));
    if sources.is_empty() {
        bail!("{} holds no .cu file", folder.display());
    }
    let mut parts = Vec::new();
    for header in headers {
        parts.push(header.file_name().unwrap_or_default().to_string_lossy().into_owned().into());
        parts.push(read(&header)?);
    }
    Ok((sources, hash_of_parts(parts.iter().map(Vec::as_slice))))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// Compiles on all processors; the order of the results is that of completion.
fn compile_all(
    sdk: &Sdk,
    changed: Vec<(String, PathBuf)>,
    out: &Path,
) -> Vec<(String, Result<Op>)> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from).min(changed.len());
    let waiting = Mutex::new(changed);
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.pop());
    let work = || {
        let mut made = Vec::new();
        while let Some((name, source)) = next() {
            let op = compile::op(sdk, &source, out);
            made.push((name, op));
        }
        made
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..n_threads).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
            .collect()
    })
}

/// Compiles the planted kernel and wants it refused on every target.
fn refuses_the_planted_spill(sdk: &Sdk, out: &Path) -> Result<()> {
    let planted = Path::new(env!("CARGO_MANIFEST_DIR")).join(PLANTED);
    let Err(error) = compile::op(sdk, &planted, out) else {
        bail!("the planted kernel spills and was not refused: no figure can be trusted");
    };
    let said = error.to_string();
    match compile::targets().all(|target| said.contains(&format!("planted spills on {target}: "))) {
        true => Ok(()),
        false => {
            Err(error.context("the planted kernel was not refused for a spill on every target"))
        }
    }
}

/// Removes images that the manifest does not name: of ops that are gone, that failed, that were planted.
fn remove_others(manifest: &Manifest, out: &Path) -> Result<()> {
    let images = manifest.ops.values().flat_map(|op| op.images.values());
    let named: BTreeSet<PathBuf> = images.map(|image| out.join(&image.file)).collect();
    let list = |folder: &Path| -> Result<Vec<PathBuf>> {
        let listed = fs::read_dir(folder).with_context(|| format!("{}", folder.display()))?;
        Ok(listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?)
    };
    for folder in list(out)?.iter().filter(|path| path.is_dir()) {
        for file in list(folder)?.iter().filter(|path| !named.contains(*path)) {
            fs::remove_file(file).with_context(|| format!("removing {}", file.display()))?;
        }
    }
    Ok(())
}
