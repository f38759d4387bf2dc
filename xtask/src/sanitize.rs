//! `cargo xtask sanitize`: the emulator and the kernels' sources watched by AddressSanitizer and by UBSan.
//!
//! Owns the watched libraries, in `target/sanitize`; the tests are those of package `tests`, as they were built, with the
//! libraries that two variables name. Whole detections and embeddings, which the others are the parts of, are watched in the soak alone.

use crate::program::{cargo, host_triple, run_tests, said};
use crate::repository::root;
use crate::{ci, libclang};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A sanitizer: its name for g++, and its run-time library where it must come before all others.
const SANITIZERS: [(&str, Option<&str>); 2] =
    [("address", Some("libasan.so")), ("undefined", None)];
/// What is watched: the product's kernels and the planted ones, with the variable that names each library
/// (`kernels/src/device/emulator.rs`).
const LIBRARIES: [(&str, &str); 2] =
    [("cuda", "THRESHOLD_EMULATOR"), ("emulator/planted", "THRESHOLD_PLANTED")];
/// Parts of the names of the tests that run whole networks.
const WHOLE: [&str; 11] = [
    "by_turns",
    "detection",
    "facenet",
    "large_batch_says",
    "photos_faces",
    "golden_vectors",
    "papers_networks",
    "recognised",
    "recognitions_under_way",
    "room_for",
    "whole_frames",
];
/// Leaks are the tests' own: a process that ends frees nothing.
const ASAN_OPTIONS: &str = "detect_leaks=0";

/// Which tests are watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All but those that run whole networks, whose parts they are.
    Parts,
    /// Those that run whole networks.
    Whole,
}

impl Extent {
    /// How long all of them may take under one sanitizer, seconds; several times what they take.
    const fn limit_s(self) -> u32 {
        match self {
            Self::Parts => 900,
            Self::Whole => 7_200,
        }
    }
}

/// Runs the kernels' tests under both sanitizers; how many checks were skipped.
///
/// # Errors
/// If g++ does not compile a library, a test fails, or they take too long.
pub(crate) fn run(extent: Extent) -> Result<usize> {
    libclang::provide()?;
    let out = root().join("target/sanitize");
    fs::create_dir_all(&out).with_context(|| format!("making {}", out.display()))?;
    let triple = host_triple()?.to_uppercase().replace('-', "_");
    let mut skipped = 0;
    for (sanitizer, preloaded) in SANITIZERS {
        println!("== {sanitizer}");
        if extent == Extent::Parts {
            println!(
                "skipped: whole detections and embeddings under this sanitizer (their parts are watched; cargo xtask soak kernels)"
            );
            skipped += 1;
        }
        let mut tests = cargo(&["test", "--quiet", "--locked", "--test", "kernels"]);
        tests.args(ci::ASKED_FOR).arg("--");
        for name in WHOLE {
            match extent {
                Extent::Parts => tests.args(["--skip", name]),
                Extent::Whole => tests.arg(name),
            };
        }
        let limit = format!("timeout {}", extent.limit_s());
        let mut runner = limit.clone();
        for (folder, variable) in LIBRARIES {
            tests.env(variable, library(&out, sanitizer, folder)?);
        }
        if let Some(preloaded) = preloaded {
            let path = said(Command::new("g++").arg(format!("-print-file-name={preloaded}")))?;
            // For the tests alone: cargo and rustc are not watched.
            runner = format!("{limit} env LD_PRELOAD={path} ASAN_OPTIONS={ASAN_OPTIONS}");
        }
        tests.env(format!("CARGO_TARGET_{triple}_RUNNER"), runner);
        skipped += run_tests(&mut tests)
            .with_context(|| format!("{sanitizer} sanitizer (status 124: beyond {limit})"))?;
    }
    Ok(skipped)
}

/// The emulator with a folder's kernels, watched; compiled anew each time, which takes seconds.
fn library(out: &Path, sanitizer: &str, folder: &str) -> Result<PathBuf> {
    let kernels = root().join("kernels");
    let flags =
        fs::read_to_string(kernels.join("emulator/flags.txt")).context("emulator/flags.txt")?;
    let library = out.join(format!("{}-{sanitizer}.so", folder.replace('/', "-")));
    let mut command = Command::new("g++");
    command.current_dir(&kernels).args(flags.lines());
    command.args(["-g", &format!("-fsanitize={sanitizer}"), "-fno-sanitize-recover=all"]);
    command.arg("-o").arg(&library).args(sources(&kernels, "emulator", "cpp")?);
    command.args(["-x", "c++"]).args(sources(&kernels, folder, "cu")?);
    let done = command.output().context("g++ did not start; install g++ 12 or later")?;
    match done.status.success() {
        true => Ok(library),
        false => bail!("g++ -fsanitize={sanitizer}:\n{}", String::from_utf8_lossy(&done.stderr)),
    }
}

/// A folder's files of one kind, in order, from the crate's folder on, so that reports name them so.
fn sources(kernels: &Path, folder: &str, kind: &str) -> Result<Vec<PathBuf>> {
    let listed = fs::read_dir(kernels.join(folder)).with_context(|| format!("reading {folder}"))?;
    let mut found = Vec::new();
    for entry in listed {
        let name = PathBuf::from(entry?.file_name());
        if name.extension().is_some_and(|extension| extension == kind) {
            found.push(Path::new(folder).join(name));
        }
    }
    found.sort();
    Ok(found)
}
