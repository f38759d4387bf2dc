//! With feature `emulator`: compiles the emulator and the kernels' sources, as C++, into one shared library, and tells the
//! crate where it lies. Without it, nothing.
//!
//! A library of its own and not linked in, so that the same tests can run with one that a sanitizer watches.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What the kernels' sources need: no contraction, so that the bits are those of the Rust; words read as halves.
const FLAGS: [&str; 10] = [
    "-std=c++17",
    "-O2",
    "-fPIC",
    "-shared",
    "-pthread",
    "-ffp-contract=off",
    "-fno-strict-aliasing",
    "-ftls-model=initial-exec",
    "-Wall",
    "-Wno-unknown-pragmas",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMULATOR").is_none() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    let library = out.join("libthreshold-emulator.so");
    let mut command = Command::new("g++");
    command.args(FLAGS);
    // The library runs where it is built.
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c") {
        command.args(["-mavx2", "-mf16c"]);
    }
    command.arg("-o").arg(&library);
    for source in sources(Path::new("emulator"), "cpp") {
        command.arg(source);
    }
    command.args(["-x", "c++"]);
    for source in sources(Path::new("cuda"), "cu") {
        command.arg(source);
    }
    match command.output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            panic!("g++ did not compile the emulator:\n{}", String::from_utf8_lossy(&done.stderr))
        }
        Err(error) => panic!(
            "g++ did not start ({error}); install g++ 12 or later, or build without feature `emulator`"
        ),
    }
    println!("cargo::rustc-env=THRESHOLD_EMULATOR_LIBRARY={}", library.display());
}

/// The files of a folder with that ending, in name order; all of the folder is watched.
fn sources(folder: &Path, ending: &str) -> Vec<PathBuf> {
    println!("cargo::rerun-if-changed={}", folder.display());
    let entries = std::fs::read_dir(folder).expect("the crate's own folder");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|found| found == ending));
    found.sort();
    found
}
