//! `cargo xtask image`: from a build to what is carried to a unit, a signed bundle and a Debian package with it inside.
//!
//! ```text
//! target/image/threshold-VERSION-aarch64-MODEL.bundle    what a unit is updated by (edge/bundle)
//! target/image/threshold-VERSION-aarch64-MODEL.deb       what a machine becomes a unit by, once
//! ```
//! Owns the figures that both must keep: size, the binary's protection, no secrets, equal bytes from equal sources. Refuses
//! to leave a bundle that its own reader does not take. Without a build key both are named, and are, a developer's.

mod about;
mod binary;
mod contents;
mod deb;
mod key;

pub(crate) use contents::Model;

use crate::repository::root;
use crate::setup::{self, Setup};
use crate::vm::{TARGET, Target, Toolchain};
use about::Materials;
use anyhow::{Context as _, Result, bail, ensure};
use key::Signer;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use threshold_bundle::{Installed, Manifest, Nowhere, Source};

/// The most that a bundle may take, so that it passes a line of 3 Mbaud within ten minutes.
const MAX_BUNDLE_BYTES: u64 = 120_000_000;

/// The boards that the bundle is for.
const COMPATIBLE: &str = "aarch64";

/// The security counter: counted up, by hand, with each version that mends a hole which units must not go back to.
const SECURITY_COUNTER: u64 = 1;

/// What an image is made of.
#[derive(clap::Args)]
pub(crate) struct Image {
    /// The architecture.
    #[arg(long, value_enum)]
    target: Target,
    /// The embedder whose pack goes in.
    #[arg(long, value_enum, default_value = "dlib")]
    model: Model,
    /// The build key, as `openssl genpkey -algorithm ed25519` makes it, with KEYS, KEYS.sig and release.pub beside it (docs/bundle.md);
    /// without it the image is a developer's, which no unit at a door takes.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// `cargo xtask image`.
///
/// # Errors
/// If a part is missing or breaks a limit.
pub(crate) fn run(image: &Image) -> Result<()> {
    let Target::Aarch64 = image.target;
    let (toolchain, setup) = (Toolchain::find()?, setup::setup()?);
    let made = make(&toolchain, &setup, image.model, image.key.as_deref())?;
    for file in [&made.bundle, &made.deb] {
        println!("image: {}", file.strip_prefix(root()).unwrap_or(file).display());
    }
    Ok(())
}

/// What was made.
pub(crate) struct Made {
    /// The signed bundle.
    pub(crate) bundle: PathBuf,
    /// The Debian package.
    pub(crate) deb: PathBuf,
}

/// Builds, packs, checks, and says the figures.
///
/// # Errors
/// As [`run`].
pub(crate) fn make(
    toolchain: &Toolchain,
    setup: &Setup,
    model: Model,
    key: Option<&Path>,
) -> Result<Made> {
    let signer = Signer::of(key)?;
    let folder = root().join("target/image");
    let staged = folder.join("staged");
    fs::create_dir_all(&staged).with_context(|| format!("making {}", staged.display()))?;
    let edge = staged.join("threshold-edge");
    toolchain.strip(&toolchain.build()?, &edge)?;
    let launcher = edge.clone();
    let figures = binary::check(&edge, &toolchain.places())?;
    let (major, minor) = figures.glibc;
    println!(
        "image: threshold-edge {:.1} MB, PIE, full RELRO, NX, glibc {major}.{minor} or later, linked to {}",
        figures.bytes as f64 / 1e6,
        figures.libraries.join(", ")
    );
    let materials = Materials::of_unit(TARGET, Toolchain::FEATURES)?;
    let mut sources = vec![contents::program("threshold-edge", edge)];
    let kernels = contents::kernels(&staged)?;
    if kernels.is_empty() {
        println!("image: no kernels for a GPU: cargo xtask kernels");
    }
    println!("image: {} images of kernels, {} packages", kernels.len(), materials.len());
    sources.extend(kernels);
    sources.extend(contents::packs_and_lists(setup, model, &materials, &staged)?);
    sources.extend(contents::system());
    no_secrets(&sources, &signer)?;

    let development = if signer.is_development { "-development" } else { "" };
    let version = format!("{}{development}", env!("CARGO_PKG_VERSION"));
    let stem = format!("threshold-{version}-aarch64-{}", model.name());
    let bundle = folder.join(format!("{stem}.bundle"));
    pack(&bundle, &version, &sources, &signer)?;
    let bytes = fs::metadata(&bundle)?.len();
    ensure!(
        bytes <= MAX_BUNDLE_BYTES,
        "the bundle has {bytes} bytes, more than {MAX_BUNDLE_BYTES}"
    );
    println!("image: bundle {:.1} MB of {} files", bytes as f64 / 1e6, sources.len());
    let deb = folder.join(format!("{stem}.deb"));
    let parts = deb::Parts {
        version: &version,
        bundle: &bundle,
        sources: &sources,
        release_key: signer.trust.release_key,
        compatible: COMPATIBLE,
        glibc: figures.glibc,
        launcher: &launcher,
    };
    deb::build(&deb, &parts)?;
    println!("image: package {:.1} MB", fs::metadata(&deb)?.len() as f64 / 1e6);
    Ok(Made { bundle, deb })
}

/// Writes the bundle beside its place, reads it back as a unit would, and only then puts it there.
fn pack(bundle: &Path, version: &str, sources: &[Source], signer: &Signer) -> Result<()> {
    let manifest = Manifest {
        format: 1,
        compatible: COMPATIBLE.to_owned(),
        version: version.to_owned(),
        counter: SECURITY_COUNTER,
        files: Vec::new(),
    };
    let partial = bundle.with_extension("partial");
    let out = File::create(&partial).with_context(|| partial.display().to_string())?;
    threshold_bundle::write(BufWriter::new(out), manifest, sources, &signer.keys, &signer.build)?;
    let installed = Installed { compatible: COMPATIBLE.to_owned(), counter: SECURITY_COUNTER };
    let written = BufReader::new(File::open(&partial)?);
    threshold_bundle::read(written, &signer.trust, &installed, &mut Nowhere)?;
    fs::rename(&partial, bundle).with_context(|| bundle.display().to_string())
}

/// Refuses what must never leave the machine: a private key in any form that a tool writes, and the key that signs.
fn no_secrets(sources: &[Source], signer: &Signer) -> Result<()> {
    let seed = signer.build.to_bytes();
    for source in sources {
        let bytes = fs::read(&source.path).with_context(|| source.path.display().to_string())?;
        let pem = ["PRIVATE KEY-----", "OPENSSH PRIVATE KEY", "AGE-SECRET-KEY-"];
        if pem.iter().any(|mark| binary::holds(&bytes, mark.as_bytes())) {
            bail!("{} holds a private key", source.name);
        }
        // The developer's is no secret, and a program may know it in order to refuse it.
        if !signer.is_development && binary::holds(&bytes, &seed) {
            bail!("{} holds the build key", source.name);
        }
    }
    Ok(())
}

/// Writes a file that was made for the image; its path.
fn stage(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
