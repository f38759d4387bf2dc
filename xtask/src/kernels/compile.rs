//! One op through all compilers: an image for each target, and a second front end's opinion.
//!
//! | image | compiler | for |
//! | --- | --- | --- |
//! | sm_87 cubin | NVRTC 12.6 | Orin with JetPack 6 or later |
//! | sm_90 cubin | NVRTC 12.6 | H100, H200 |
//! | sm_110 cubin | nvcc 13.0 | Thor, which 12.6 does not know |
//! | compute_80 PTX | NVRTC 12.6 | every other device from Ampere on: its driver assembles it |
//!
//! nvcc's front end also reads what it makes no image of. Its warnings are errors, and so are NVRTC's, which `figures`
//! finds in the log. The PTX's figures are those of assembling it for sm_80 with nvcc's ptxas; a driver may differ.
//! Multiply and add are not fused, so that boxes have the bits of the Rust; everything else stays as the compilers have it.

use super::figures;
use super::manifest::{Image, Op, hash, hash_of_parts};
use super::sdk::{NVCC, NVRTC, PINS, Sdk};
use crate::program::{python, shown};
use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The C++ of the sources, which the emulator's compiler has too.
const STANDARD: &str = "-std=c++17";
/// Both compilers spell it so; what is fused on purpose is a tensor-core instruction.
const NOT_FUSED: &str = "--fmad=false";
/// Headers are found from the folder that compilers run in, so that no image and no message has a path of the machine.
const HEADERS: &str = "-I.";
/// What makes each compiler say its figures.
const NVRTC_FIGURES: &str = "--ptxas-options=-v";
const NVCC_FIGURES: &str = "-Xptxas=-v";
/// nvcc's warnings, its assembler's too, are errors.
const NVCC_WARNINGS: [&str; 2] = ["-Werror", "all-warnings"];

/// The targets, each with its compiler. Folders are called like them.
const BY_NVRTC: [&str; 3] = ["sm_87", "sm_90", "compute_80"];
const BY_NVCC: &str = "sm_110";
/// What nvcc only reads: the way of sources below compute capability 9; sm_110 is the other.
const READ_BY_NVCC: &str = "compute_87";
/// What the PTX is assembled for to learn its figures.
const PTX_FIGURES: &str = "sm_80";

/// The driver of NVRTC; also part of the recipe.
const NVRTC_SCRIPT: &str = include_str!("python/nvrtc.py");

/// A digest of all that makes other images of the same sources.
pub(super) fn recipe() -> String {
    let pins = PINS.iter().flat_map(|(name, version, wheel)| [*name, *version, *wheel]);
    let options =
        [STANDARD, NOT_FUSED, NVRTC_FIGURES, NVCC_FIGURES, BY_NVCC, READ_BY_NVCC, PTX_FIGURES];
    let parts = pins.chain(options).chain(NVCC_WARNINGS).chain(BY_NVRTC).chain([NVRTC_SCRIPT]);
    hash_of_parts(parts.map(str::as_bytes))
}

/// What images are made for.
pub(super) fn targets() -> impl Iterator<Item = &'static str> {
    BY_NVRTC.into_iter().chain([BY_NVCC])
}

/// Compiles one op for all targets into `out`.
///
/// # Errors
/// If a compiler refuses or warns, or a kernel spills; the message has the compiler's words.
pub(super) fn op(sdk: &Sdk, source: &Path, out: &Path) -> Result<Op> {
    let bytes = fs::read(source).with_context(|| format!("reading {}", source.display()))?;
    let name = source.file_stem().unwrap_or_default().to_string_lossy();
    let mut images = BTreeMap::new();
    for target in targets() {
        let extension = if target.starts_with("sm_") { "cubin" } else { "ptx" };
        let file = format!("{target}/{name}.{extension}");
        let path = out.join(&file);
        fs::create_dir_all(out.join(target))
            .with_context(|| format!("making {}", out.join(target).display()))?;
        let (compiler, log) = match target == BY_NVCC {
            true => (format!("nvcc {NVCC}"), nvcc(sdk, source, &path, "-cubin", target)),
            false => (format!("NVRTC {NVRTC}"), nvrtc(sdk, source, &path, target)),
        };
        let kernels = log
            .and_then(|log| figures::read(&log))
            .with_context(|| format!("{compiler}, {target}"))?;
        let image = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        images.insert(target.to_owned(), Image { file, hash: hash(&image), compiler, kernels });
    }
    figures::refuse_spills(images.iter().map(|(target, image)| (target.as_str(), &image.kernels)))?;
    let listing = out.join(format!("{name}.partial"));
    nvcc(sdk, source, &listing, "-ptx", READ_BY_NVCC)
        .with_context(|| format!("nvcc {NVCC}, {READ_BY_NVCC}"))?;
    fs::remove_file(&listing).with_context(|| format!("removing {}", listing.display()))?;
    Ok(Op { source: hash(&bytes), images })
}

/// Compiles with NVRTC and gives the assembler's log.
fn nvrtc(sdk: &Sdk, source: &Path, path: &Path, target: &str) -> Result<String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels/python/nvrtc.py");
    let mut command = python();
    command.arg("-B").arg(script).arg(sdk.nvrtc()).arg(source).arg(path);
    command.args([STANDARD, NOT_FUSED, &format!("--gpu-architecture={target}")]);
    command.arg(format!("-I{}", sdk.nvrtc_include().display())).arg(HEADERS);
    if target.starts_with("sm_") {
        return said(command.arg(NVRTC_FIGURES));
    }
    let log = said(&mut command)?;
    if !log.trim().is_empty() {
        bail!("the compiler warns:\n{log}");
    }
    let mut ptxas = Command::new(sdk.program("ptxas"));
    said(ptxas.args(["-v", "-arch", PTX_FIGURES, "-o", "/dev/null"]).arg(path))
}

/// Compiles with nvcc, warnings denied, and gives its log.
fn nvcc(sdk: &Sdk, source: &Path, path: &Path, kind: &str, target: &str) -> Result<String> {
    let mut command = Command::new(sdk.program("nvcc"));
    // Options that a developer gives nvcc elsewhere would make other images.
    command.env_remove("NVCC_PREPEND_FLAGS").env_remove("NVCC_APPEND_FLAGS");
    command.args([kind, STANDARD, NOT_FUSED, NVCC_FIGURES, "-arch", target]).args(NVCC_WARNINGS);
    said(command.arg(HEADERS).arg("-o").arg(path).arg(source))
}

/// Where the sources and their headers lie.
pub(super) fn headers() -> PathBuf {
    root().join("kernels/cuda")
}

/// Runs beside the sources and gives all that was said; an error carries it too, since several compilers speak at once.
fn said(command: &mut Command) -> Result<String> {
    let done = command
        .current_dir(headers())
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} did not start", shown(command)))?;
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if !done.status.success() {
        bail!("the compiler refuses ({}):\n{said}", done.status);
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_of_nvrtc_is_python() {
        let parse = ["-c", "import ast, sys; ast.parse(sys.argv[1])", NVRTC_SCRIPT];
        match python().args(parse).output() {
            Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
            Err(error) => println!("skipped: no Python ({error})"),
        }
    }
}
