//! `cargo xtask image`: from a build to what is carried to a unit, a signed bundle and a Debian package with it inside.
//!
//! ```text
//! target/image/threshold-VERSION-aarch64-MODEL.bundle    what a unit is updated by (edge/bundle)
//! target/image/threshold-VERSION-aarch64-MODEL.deb       what a machine becomes a unit by, once
//! target/image-check/                                    what `ci` makes of both, and takes away again
//! ```
//! Owns the figures that both must keep: size, the binary's protection, no secrets, equal bytes from equal sources. Refuses
//! to leave a bundle that its own reader does not take. Without a build key both are named, and are, a developer's.

mod about;
mod binary;
mod contents;
mod deb;
mod key;
mod proof;
mod runtime;

pub(crate) use contents::Model;

use crate::apt;
use crate::program::run_quietly;
use crate::repository::root;
use crate::setup::{self, Setup};
use crate::vm::{TARGET, Target, Toolchain};
use about::Materials;
use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use binary::Linked;
use key::Signer;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_bundle::{Installed, Manifest, Nowhere, Source, Trust};

/// The most that a bundle may take, so that it passes a line of 3 Mbaud within ten minutes.
const MAX_BUNDLE_BYTES: u64 = 120_000_000;

/// Places at which a bit of the whole bundle is changed; of a small one the tests change ten thousand.
const FLIPS: u8 = 20;

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
    /// Sign an image without kernels for a GPU, where none were built.
    #[arg(long)]
    without_kernels: bool,
}

/// `cargo xtask image`.
///
/// # Errors
/// If a part is missing or breaks a limit.
pub(crate) fn run(image: &Image) -> Result<()> {
    let Target::Aarch64 = image.target;
    kernels_as_asked(image, contents::has_kernels())?;
    let (toolchain, setup) = (Toolchain::find()?, setup::setup()?);
    let folder = root().join("target/image");
    let made = make(&toolchain, &setup, image.model, image.key.as_deref(), &folder)?;
    for file in [&made.bundle, &made.deb] {
        println!("image: {}", file.strip_prefix(root()).unwrap_or(file).display());
    }
    Ok(())
}

/// Refuses to sign for a door what only lacks its kernels because nobody compiled them.
fn kernels_as_asked(image: &Image, there: bool) -> Result<()> {
    ensure!(
        there || image.key.is_none() || image.without_kernels,
        "no kernels for a GPU were built: cargo xtask kernels, or --without-kernels for an image of the processor alone"
    );
    Ok(())
}

/// What was made.
pub(crate) struct Made {
    /// The signed bundle.
    pub(crate) bundle: PathBuf,
    /// The Debian package.
    pub(crate) deb: PathBuf,
}

/// Builds, packs, checks, and says the figures, all in that folder.
///
/// # Errors
/// As [`run`].
pub(crate) fn make(
    toolchain: &Toolchain,
    setup: &Setup,
    model: Model,
    key: Option<&Path>,
    folder: &Path,
) -> Result<Made> {
    let ingredients = Ingredients::gather(toolchain, setup, model, key, folder)?;
    let development = if ingredients.signer.is_development { "-development" } else { "" };
    let version = format!("{}{development}", env!("CARGO_PKG_VERSION"));
    let stem = format!("threshold-{version}-aarch64-{}", model.name());
    let bundle = folder.join(format!("{stem}.bundle"));
    ingredients.pack(&bundle, &version, SECURITY_COUNTER, &ingredients.sources)?;
    let deb = folder.join(format!("{stem}.deb"));
    ingredients.package(&deb, &version, &bundle)?;
    Ok(Made { bundle, deb })
}

/// What an image is made of: everything built, staged and checked, and who signs it.
pub(crate) struct Ingredients {
    /// What goes into a slot.
    pub(crate) sources: Vec<Source>,
    signer: Signer,
    launcher: PathBuf,
    glibc: (u32, u32),
    folder: PathBuf,
}

impl Ingredients {
    /// Builds and stages the parts in a folder; without a build key a developer's.
    ///
    /// # Errors
    /// If a part is missing, breaks a limit or holds a secret.
    pub(crate) fn gather(
        toolchain: &Toolchain,
        setup: &Setup,
        model: Model,
        key: Option<&Path>,
        folder: &Path,
    ) -> Result<Self> {
        let signer = Signer::of(key)?;
        let staged = folder.join("staged");
        fs::create_dir_all(&staged).with_context(|| format!("making {}", staged.display()))?;
        let (edge, launcher) = (staged.join("threshold-edge"), staged.join("threshold-launch"));
        toolchain.strip(&toolchain.build()?, &edge)?;
        toolchain.strip(&toolchain.launcher()?, &launcher)?;
        let places = toolchain.places();
        let figures = binary::check(&edge, Linked::Shared)?;
        println!("image: threshold-edge {figures}");
        let launching = binary::check(&launcher, Linked::Static)?;
        println!("image: threshold-launch {launching}");
        let glibc = figures.glibc.context("the binary asks for no C library")?;
        let materials = Materials::of_image(TARGET, Toolchain::FEATURES)?;
        let mut sources = vec![contents::program("threshold-edge", edge)];
        let kernels = contents::kernels(&staged)?;
        if kernels.is_empty() {
            println!("image: no kernels for a GPU: cargo xtask kernels");
        }
        println!("image: {} images of kernels, {} packages", kernels.len(), materials.len());
        sources.extend(kernels);
        sources.extend(contents::packs_and_lists(setup, model, &materials, &staged)?);
        sources.extend(contents::system());
        let paths = sources.iter().map(|source| source.path.as_path());
        no_secrets(&paths.chain([launcher.as_path()]).collect::<Vec<_>>(), &signer, &places)?;
        Ok(Self { sources, signer, launcher, glibc, folder: folder.to_path_buf() })
    }

    /// Writes the bundle of a version with those files.
    ///
    /// # Errors
    /// If it cannot be written, is too large, or its own reader does not take it.
    pub(crate) fn pack(
        &self,
        bundle: &Path,
        version: &str,
        counter: u64,
        sources: &[Source],
    ) -> Result<()> {
        pack(bundle, version, counter, sources, &self.signer)?;
        let bytes = fs::metadata(bundle)?.len();
        ensure!(
            bytes <= MAX_BUNDLE_BYTES,
            "the bundle has {bytes} bytes, more than {MAX_BUNDLE_BYTES}"
        );
        println!("image: bundle {:.1} MB of {} files", bytes as f64 / 1e6, sources.len());
        Ok(())
    }

    /// Writes the Debian package whose first version is that bundle.
    ///
    /// # Errors
    /// If a part is missing, or `dpkg-deb` finds a fault.
    pub(crate) fn package(&self, deb: &Path, version: &str, bundle: &Path) -> Result<()> {
        let parts = deb::Parts {
            version,
            bundle,
            sources: &self.sources,
            release_key: self.signer.trust.release_key,
            compatible: COMPATIBLE,
            glibc: self.glibc,
            launcher: &self.launcher,
        };
        deb::build(deb, &self.folder.join("package"), &parts)?;
        println!("image: package {:.1} MB", fs::metadata(deb)?.len() as f64 / 1e6);
        Ok(())
    }
}

/// What `ci` wants of an image: made twice with equal bytes, installed and run. Gives how many checks were left out.
///
/// # Errors
/// If it is not so.
pub(crate) fn check(toolchain: &Toolchain) -> Result<usize> {
    let setup = setup::setup()?;
    let model = Model::best(&setup)?;
    let digest = |path: &Path| -> Result<blake3::Hash> {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        Ok(blake3::hash(&bytes))
    };
    // A folder of its own: in the other one lie images that somebody made to keep.
    let folder = root().join("target/image-check");
    let made = make(toolchain, &setup, model, None, &folder)?;
    let first = (digest(&made.bundle)?, digest(&made.deb)?);
    // Whatever was staged is made anew, so that nothing is equal only because it was kept.
    fs::remove_dir_all(&folder)?;
    let made = make(toolchain, &setup, model, None, &folder)?;
    ensure!(
        first == (digest(&made.bundle)?, digest(&made.deb)?),
        "two makings of the image have different bytes"
    );
    flipped(&fs::read(&made.bundle)?, |bytes| {
        let installed = Installed { compatible: COMPATIBLE.to_owned(), counter: 0 };
        threshold_bundle::read(bytes, &Trust::development(), &installed, &mut Nowhere).is_ok()
    })?;
    let mut skipped = lintian(&made.deb)?;
    if model != Model::Facenet {
        println!(
            "skipped: the image with FaceNet, and its size (no pack of it: cargo xtask setup)"
        );
        skipped += 1;
    }
    proof::run(&made, &folder.join("root"))?;
    Ok(skipped)
}

/// Wants the bundle taken as it is, and not with a bit changed, at each of some places.
fn flipped(bundle: &[u8], is_taken: impl Fn(&[u8]) -> bool) -> Result<()> {
    ensure!(is_taken(bundle), "the bundle is not taken as it was made");
    let mut changed = bundle.to_vec();
    for flip in 0..FLIPS {
        // The same places at each making of the same bundle, and others of another one.
        let drawn = blake3::hash(&[blake3::hash(bundle).as_bytes().as_slice(), &[flip]].concat());
        let drawn =
            drawn.as_bytes().iter().take(8).fold(0_u64, |sum, &byte| (sum << 8) | u64::from(byte));
        let place = (drawn % (bundle.len() as u64 * 8)) as usize;
        changed[place / 8] ^= 1 << (place % 8);
        ensure!(!is_taken(&changed), "the bundle is taken with bit {place} changed");
        changed[place / 8] ^= 1 << (place % 8);
    }
    println!("image: refused with a bit changed, at each of {FLIPS} places");
    Ok(())
}

/// Debian's own look at the package, where its program is installed; it has a hundred packages of its own, which `ci` does not bring.
fn lintian(deb: &Path) -> Result<usize> {
    if apt::program("lintian").is_none() {
        println!("skipped: lintian (not installed)");
        return Ok(1);
    }
    let mut lintian = Command::new("lintian");
    lintian.args(["--fail-on", "error", "--suppress-tags", deb::NOT_ASKED_OF_LINTIAN]);
    run_quietly(lintian.arg(deb))?;
    Ok(0)
}

/// Writes the bundle beside its place, reads it back as a unit would, and only then puts it there.
fn pack(
    bundle: &Path,
    version: &str,
    counter: u64,
    sources: &[Source],
    signer: &Signer,
) -> Result<()> {
    let manifest = Manifest {
        format: 1,
        compatible: COMPATIBLE.to_owned(),
        version: version.to_owned(),
        counter,
        files: Vec::new(),
    };
    let partial = bundle.with_extension("partial");
    let out = File::create(&partial).with_context(|| partial.display().to_string())?;
    threshold_bundle::write(BufWriter::new(out), manifest, sources, &signer.keys, &signer.build)?;
    let installed = Installed { compatible: COMPATIBLE.to_owned(), counter };
    let written = BufReader::new(File::open(&partial)?);
    threshold_bundle::read(written, &signer.trust, &installed, &mut Nowhere)?;
    fs::rename(&partial, bundle).with_context(|| bundle.display().to_string())
}

/// Refuses what must never leave the machine: a private key in any form that a tool writes, the key that signs, and where things lay.
fn no_secrets(files: &[&Path], signer: &Signer, places: &[&str]) -> Result<()> {
    let seed = signer.build.to_bytes();
    let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    // As it stands alone, and behind the 16 bytes of PKCS#8, which end on no third byte.
    let texts = [
        hex.to_uppercase(),
        hex,
        STANDARD_NO_PAD.encode(seed),
        STANDARD_NO_PAD.encode(&seed[2..]),
        STANDARD_NO_PAD.encode(&seed[1..]),
    ];
    for path in files {
        let bytes = fs::read(path).with_context(|| path.display().to_string())?;
        let holds = |words: &[u8]| binary::holds(&bytes, words);
        if ["PRIVATE KEY-----", "AGE-SECRET-KEY-"].iter().any(|mark| holds(mark.as_bytes())) {
            bail!("{} holds a private key", path.display());
        }
        // The developer's is no secret, and a program knows it in order to refuse it.
        let holds_seed = || {
            // The last digit depends on what stands behind.
            holds(&seed) || texts.iter().any(|text| holds(&text.as_bytes()[..text.len() - 1]))
        };
        if !signer.is_development && holds_seed() {
            bail!("{} holds the build key", path.display());
        }
        if let Some(place) = places.iter().find(|place| holds(place.as_bytes())) {
            bail!("{} names {place}, a folder of this machine", path.display());
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn an_image_is_signed_for_a_door_without_kernels_only_if_that_was_asked_for() {
        let image = |key: Option<&str>, without_kernels| Image {
            target: Target::Aarch64,
            model: Model::Dlib,
            key: key.map(PathBuf::from),
            without_kernels,
        };
        for (key, without_kernels, there, taken) in [
            (Some("build.pem"), false, false, false),
            (Some("build.pem"), true, false, true),
            (Some("build.pem"), false, true, true),
            (None, false, false, true),
        ] {
            let outcome = kernels_as_asked(&image(key, without_kernels), there);
            assert_eq!(outcome.is_ok(), taken, "{key:?} {without_kernels} {there}");
        }
    }

    #[test]
    fn a_bundle_that_is_taken_with_a_bit_changed_fails_the_check() {
        let bundle = [7; 1000];
        assert!(flipped(&bundle, |bytes| bytes == bundle).is_ok());
        assert!(flipped(&bundle, |_| true).is_err());
        assert!(flipped(&bundle, |_| false).is_err());
    }

    #[test]
    fn a_file_with_a_key_or_a_folder_of_the_machine_is_refused() {
        let path = std::env::temp_dir().join(format!("threshold-secrets-{}", std::process::id()));
        let mut signer = Signer::of(None).unwrap();
        let mut refused = |bytes: &[u8], is_development: bool| {
            signer.is_development = is_development;
            fs::write(&path, bytes).unwrap();
            no_secrets(&[&path], &signer, &["/a/place"]).err().map(|error| error.to_string())
        };
        let seed = threshold_bundle::development_key().to_bytes();
        let key = [b"elf ".as_slice(), &seed, b" elf"].concat();
        assert_eq!(refused(b"nothing of that kind", false), None);
        assert_eq!(refused(&key, true), None);
        assert!(refused(&key, false).unwrap().contains("holds the build key"));
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let behind = |bytes: &[u8]| STANDARD_NO_PAD.encode([bytes, &seed].concat());
        for text in
            [hex.to_uppercase(), hex, behind(&[]), behind(&[1]), behind(&[0; 16]), behind(&[2; 2])]
        {
            assert_eq!(refused(text.as_bytes(), true), None);
            assert!(
                refused(text.as_bytes(), false).unwrap().contains("holds the build key"),
                "{text}"
            );
        }
        let pem = ["-----BEGIN OPENSSH PRIVATE ", "KEY-----"].concat();
        assert!(refused(pem.as_bytes(), true).unwrap().contains("holds a private key"));
        assert!(refused(b"at /a/place/b.rs", true).unwrap().contains("names /a/place"));
        fs::remove_file(&path).unwrap();
    }
}
