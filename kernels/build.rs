//! With feature `emulator`: compiles the emulator and the kernels' sources, as C++, into shared libraries, and tells the crate
//! where they lie. Without it, nothing.
//!
//! Libraries and not linked in, so that the same tests can run with one that a sanitizer watches.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_EMULATOR").is_none() {
        return;
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo::rerun-if-changed=emulator");
    println!("cargo::rerun-if-changed=cuda");
    for (variable, folder) in [
        ("THRESHOLD_EMULATOR_LIBRARY", "cuda"),
        // Kernels with a mistake each, for the tests of the emulator itself.
        ("THRESHOLD_PLANTED_LIBRARY", "emulator/planted"),
    ] {
        let library = out.join(format!("{}.so", variable.to_lowercase()));
        compile(&library, folder);
        println!("cargo::rustc-env={variable}={}", library.display());
    }
}

/// One library of the emulator and a folder's kernels, with the flags of `emulator/flags.txt`, which `cargo xtask sanitize`
/// reads too: no contraction, so that the bits are those of the Rust, and words read as halves.
fn compile(library: &Path, kernels: &str) {
    let flags = std::fs::read_to_string("emulator/flags.txt").expect("the crate's own file");
    let mut command = Command::new("g++");
    command.args(flags.lines());
    // The library runs where it is built.
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("f16c") {
        command.args(["-mavx2", "-mf16c"]);
    }
    command.arg("-o").arg(library).args(sources(Path::new("emulator"), "cpp"));
    command.args(["-x", "c++"]).args(sources(Path::new(kernels), "cu"));
    match command.output() {
        Ok(done) if done.status.success() => {}
        Ok(done) => {
            panic!("g++ did not compile the emulator:\n{}", String::from_utf8_lossy(&done.stderr))
        }
        Err(error) => panic!(
            "g++ did not start ({error}); install g++ 12 or later, or build without feature `emulator`"
        ),
    }
}

/// The files of a folder with that ending, in name order.
fn sources(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the crate's own folder");
    let mut found: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.retain(|path| path.extension().is_some_and(|found| found == ending));
    found.sort();
    found
}
