//! This test binary started again, as another process that has a store open.
//!
//! A test that is to run in the other process asks for its orders first, and without any is over at once.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const FOLDER: &str = "THRESHOLD_OTHER_PROCESS_FOLDER";
const SEED: &str = "THRESHOLD_OTHER_PROCESS_SEED";

/// A folder on the file system of the build, which is a real one where a folder for temporary files may be memory.
pub(crate) fn real_folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// The command that runs one test of this binary on a folder; `before` are words in front of it, such as a shell's.
pub(crate) fn started_again(before: &[&str], test: &str, folder: &Path, seed: u64) -> Command {
    let mut words: Vec<OsString> = before.iter().map(Into::into).collect();
    words.push(std::env::current_exe().unwrap().into());
    words.extend(["--exact", test, "--nocapture"].map(Into::into));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env(FOLDER, folder).env(SEED, seed.to_string());
    command
}

/// Folder and seed, if this is the other process.
pub(crate) fn orders() -> Option<(PathBuf, u64)> {
    let seed = std::env::var(SEED).ok()?.parse().ok()?;
    Some((std::env::var_os(FOLDER)?.into(), seed))
}

/// Tells whoever started this process a line, in one write. On standard error, since the test harness writes to the other
/// one, and past the harness, which would keep it to itself.
pub(crate) fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
}
