//! Wheels of PyPI by pinned version and hash, unpacked into a folder of the cache through pip.
//!
//! Owns that such a folder is whole, because it gets its name last. Refuses what has another hash, and to fetch what is there.

use crate::program::{python, run_quietly};
use anyhow::{Context as _, Result};
use std::fs;
use std::path::Path;

/// Provides a folder with what the requirements ask for, one a line with its hashes; `advice` says what to do where pip cannot.
///
/// # Errors
/// If pip cannot fetch it, or the cache cannot be written.
pub(crate) fn provide(
    folder: &Path,
    what: &str,
    requirements: &str,
    advice: &'static str,
) -> Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    println!("set-up: fetching {what} through pip into {}", folder.display());
    let partial = folder.with_file_name(format!("partial-{}", std::process::id()));
    let fetched = fetch(&partial, requirements, advice);
    // Somebody else may have fetched the same meanwhile; theirs is as good.
    let named = fetched.and_then(|()| match fs::rename(&partial, folder) {
        Err(error) if !folder.is_dir() => Err(error.into()),
        _ => Ok(()),
    });
    if partial.is_dir() {
        fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
    }
    named
}

/// Installs all of them into a new folder.
fn fetch(folder: &Path, requirements: &str, advice: &'static str) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let wanted = folder.join("wanted.txt");
    fs::write(&wanted, requirements).with_context(|| format!("writing {}", wanted.display()))?;
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"])
        .args(["--retries", "2", "--timeout", "60", "--no-cache-dir", "--no-compile", "--no-deps"])
        .args(["--only-binary=:all:", "--require-hashes", "--requirement"])
        .arg(&wanted)
        .arg("--target")
        .arg(folder);
    run_quietly(&mut pip).context(advice)
}
