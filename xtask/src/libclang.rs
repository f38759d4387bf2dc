//! libclang, with which bindgen reads the kernel's camera headers when the unit is built (crate `v4l`).
//!
//! A machine that has it, as Debian's libclang-dev, is left alone. Else it comes from PyPI by pinned version and hash into
//! the cache folder, and `target/libclang` leads there; `.cargo/config.toml` makes a plain `cargo build` look in it.
//! That library comes without the compiler's own headers (`stddef.h`); gcc's stand in for them.
//! Refuses to install what is there: a second look takes a moment.

use crate::program::output;
use crate::repository::root;
use crate::wheels;
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_models::pack::cache_dir;

/// The version of the wheel, and of libclang in it.
const VERSION: &str = "18.1.1";

/// The headers' folder has the first number of the version for a name.
const HEADERS: &str = "lib/clang/18/include";

/// SHA-256 of the wheels for x86-64 and aarch64, 25 and 24 MB to fetch.
const HASHES: [&str; 2] = [
    "c533091d8a3bbf7460a00cb6c1a71da93bffe148f172c7d03b1c31fbf8aa2a0b",
    "54dda940a4a0491a9d1532bf071ea3ef26e6dbaf03b5000ed94dd7174e8f9592",
];

/// Sees to it that the unit can be built here.
///
/// # Errors
/// If libclang is missing and cannot be had, with what to install instead.
pub(crate) fn provide() -> Result<()> {
    if std::env::var_os("LIBCLANG_PATH").is_some() || is_installed() {
        return Ok(());
    }
    let place = root().join("target/libclang");
    // The number in the name lets it go before an older one of the system's that has no headers.
    let library = place.join("lib").join(format!("libclang.so.{VERSION}"));
    if !(library.is_file() && place.join(HEADERS).join("stddef.h").is_file()) {
        let fetched = fetched()?;
        link(&fetched, &library)?;
        link(&compiler_headers()?, &place.join(HEADERS))?;
    }
    let folder = place.join("lib");
    let looked_in = std::env::var_os("LIBRARY_PATH").unwrap_or_default();
    if !looked_in.is_empty() && !std::env::split_paths(&looked_in).any(|path| path == folder) {
        println!(
            "LIBRARY_PATH is set, so that a cargo of your own does not look into {0}: add that folder to it, or set LIBCLANG_PATH to it",
            folder.display()
        );
    }
    Ok(())
}

/// Whether the system has libclang with its headers, where Debian and others put them.
fn is_installed() -> bool {
    let versions = entries(Path::new("/usr/lib"))
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("llvm-"))
        })
        .map(|version| version.join("lib"));
    versions.chain(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from)).any(|folder| {
        let library = entries(&folder).iter().any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("libclang.so")
                || name.starts_with("libclang-1") && name.contains(".so")
        });
        library
            && entries(&folder.join("clang"))
                .iter()
                .any(|version| version.join("include/stddef.h").is_file())
    })
}

/// What a folder holds; nothing if it is none.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(folder).into_iter().flatten();
    found.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

/// The library in the cache folder, after fetching it if it is not there.
fn fetched() -> Result<PathBuf> {
    let folder = cache_dir()?.join("libclang").join(VERSION);
    let hashes = HASHES.map(|hash| format!(" --hash=sha256:{hash}")).concat();
    let requirements = format!("libclang=={VERSION}{hashes}\n");
    let advice = "pip could not fetch libclang, which the camera's bindings are made with: install your system's (apt-get install \
                  libclang-dev), or Python 3 with pip, and check pip's index (python3 -m pip config list)";
    wheels::provide(&folder, "libclang", &requirements, advice)?;
    let library = folder.join("clang/native/libclang.so");
    if !library.is_file() {
        bail!("{} is missing: remove {} and try again", library.display(), folder.display());
    }
    Ok(library)
}

/// The folder of gcc's own headers.
fn compiler_headers() -> Result<PathBuf> {
    let said = output(Command::new("gcc").arg("-print-file-name=include"))
        .context("gcc says where its headers are: install gcc")?;
    let folder = PathBuf::from(said.trim());
    if !folder.join("stddef.h").is_file() {
        bail!("gcc's headers are not in {}: install gcc's C compiler", folder.display());
    }
    Ok(folder)
}

/// Makes a link, in the place of an older one.
fn link(to: &Path, at: &Path) -> Result<()> {
    let named = || format!("linking {} to {}", at.display(), to.display());
    if let Some(folder) = at.parent() {
        fs::create_dir_all(folder).with_context(named)?;
    }
    match fs::remove_file(at) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(error).with_context(named);
        }
        _ => {}
    }
    symlink(to, at).with_context(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pins_are_whole_and_the_headers_stand_where_that_version_looks() {
        assert!(HASHES.iter().all(|hash| hash.len() == 64));
        let first = VERSION.split('.').next();
        assert_eq!(HEADERS.split('/').nth(2), first);
    }
}
