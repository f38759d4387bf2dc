//! What the compilers link into the programs of an image beside the packages: Rust's standard library into both, the C library and the
//! compiler's own into the launcher, which is static.
//!
//! Owns their entries for the bill of materials and the list of licences, with the texts that the toolchain and Debian bring; where one
//! does not lie on this machine, the entry has the licence's name (SPDX) and where the source is. Refuses to go into Rust's standard
//! library: the packages in it are those of the toolchain's `COPYRIGHT-library.html`.

use crate::program::output;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The package of the C library that the launcher is linked to, and how those of the compiler's own begin.
const LIBC: &str = "libc6-dev-arm64-cross";
const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// Debian's texts of licences and of packages.
const COMMON: &str = "/usr/share/common-licenses";
const DOCS: &str = "/usr/share/doc";

/// A part that no package of cargo's is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Runtime {
    /// Its name.
    pub(super) name: &'static str,
    /// Its version; empty if nobody on this machine says.
    pub(super) version: String,
    /// Its licence, as SPDX writes it.
    pub(super) licence: &'static str,
    /// Where its source is.
    pub(super) source: &'static str,
    /// True if it is in the unit's binary; the launcher has every part.
    pub(super) in_unit: bool,
    /// The texts of it that lie on this machine.
    pub(super) texts: Vec<String>,
}

/// All of them.
///
/// # Errors
/// If the compiler of Rust does not say its version.
pub(super) fn all() -> Result<Vec<Runtime>> {
    let said = output(Command::new("rustc").arg("-vV"))?;
    let release = said.lines().find_map(|line| line.strip_prefix("release: "));
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let of_rust = Path::new(sysroot.trim()).join("share/doc/rust/licenses");
    let libc = output(Command::new("dpkg-query").args(["-W", "-f=${Version}", LIBC]));
    let gcc = output(Command::new(COMPILER).arg("-dumpfullversion")).unwrap_or_default();
    let major = gcc.split('.').next().unwrap_or_default().trim();
    let texts =
        |files: &[String]| files.iter().filter_map(|file| fs::read_to_string(file).ok()).collect();
    let rust = |name: &str| of_rust.join(name).display().to_string();
    Ok(vec![
        Runtime {
            name: "rust-std",
            version: release.context("rustc does not say its release")?.to_owned(),
            licence: "MIT OR Apache-2.0",
            source: "https://github.com/rust-lang/rust, folder library; the packages in it: COPYRIGHT-library.html of the toolchain",
            in_unit: true,
            texts: texts(&[rust("Apache-2.0.txt"), rust("MIT.txt")]),
        },
        Runtime {
            name: "glibc",
            version: libc.unwrap_or_default().trim().to_owned(),
            licence: "LGPL-2.1-or-later",
            source: "the GNU C Library, and Debian's source package cross-toolchain-base; the launcher's own source is \
                     edge/slots, and cargo xtask image links it to another one",
            in_unit: false,
            texts: texts(&[format!("{DOCS}/{LIBC}/copyright"), format!("{COMMON}/LGPL-2.1")]),
        },
        Runtime {
            name: "libgcc",
            version: gcc.trim().to_owned(),
            licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
            source: "the GNU Compiler Collection, folder libgcc, and Debian's source packages gcc-*-cross",
            in_unit: false,
            texts: texts(&[
                format!("{DOCS}/libgcc-{major}-dev-arm64-cross/copyright"),
                format!("{COMMON}/GPL-3"),
            ]),
        },
    ])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn rust_s_standard_library_has_the_version_of_its_compiler_and_the_launcher_a_c_library() {
        let all = all().unwrap();
        let of = |name: &str| all.iter().find(|runtime| runtime.name == name).unwrap();
        assert!(of("rust-std").version.starts_with("1.") && of("rust-std").in_unit);
        assert!(of("glibc").licence.starts_with("LGPL-2.1") && !of("glibc").in_unit);
        assert!(of("libgcc").licence.contains("GCC-exception"));
        assert!(all.iter().all(|runtime| !runtime.source.is_empty()));
    }
}
