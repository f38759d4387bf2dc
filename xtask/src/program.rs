//! Starting other programs: aloud, or quietly with the output shown only when it failed.

use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The cargo that runs this task, at the root of the workspace.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // The variables that cargo sets for `cargo run` would make build scripts of the inner build run again.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    // Where LIBRARY_PATH is set to something else, the bindings' libclang is not looked for where the set-up puts it.
    let fetched = root().join("target/libclang/lib");
    let looked_in = std::env::var_os("LIBRARY_PATH").unwrap_or_default();
    let is_hidden =
        !looked_in.is_empty() && !std::env::split_paths(&looked_in).any(|path| path == fetched);
    if is_hidden && fetched.is_dir() && std::env::var_os("LIBCLANG_PATH").is_none() {
        command.env("LIBCLANG_PATH", fetched);
    }
    command.args(arguments).current_dir(root());
    command
}

/// The developer's Python: `THRESHOLD_PYTHON`, else `python3`.
pub(crate) fn python() -> Command {
    Command::new(std::env::var_os("THRESHOLD_PYTHON").unwrap_or_else(|| "python3".into()))
}

/// Runs with the terminal's own streams.
pub(crate) fn run_aloud(command: &mut Command) -> Result<()> {
    let shown = shown(command);
    let status = command.status().with_context(|| format!("{shown} did not start"))?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(())
}

/// Runs with the terminal's own streams, and counts the lines on standard error that begin so.
pub(crate) fn run_counting(command: &mut Command, beginning: &str) -> Result<usize> {
    told(command, beginning).map(|lines| lines.len())
}

/// Runs with the terminal's own streams, and gives what follows in the lines on standard error that begin so.
pub(crate) fn told(command: &mut Command, beginning: &str) -> Result<Vec<String>> {
    let shown = shown(command);
    let mut running =
        command.stderr(Stdio::piped()).spawn().with_context(|| format!("{shown} did not start"))?;
    let mut told = Vec::new();
    for line in
        running.stderr.take().into_iter().flat_map(|lines| BufReader::new(lines).split(b'\n'))
    {
        let line = line.with_context(|| format!("{shown}: its standard error"))?;
        let line = String::from_utf8_lossy(&line);
        eprintln!("{line}");
        told.extend(line.strip_prefix(beginning).map(str::to_owned));
    }
    let status = running.wait().with_context(|| shown.clone())?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    Ok(told)
}

/// Runs without a word; on failure, what it said goes to standard error.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    output(command).map(|_| ())
}

/// Runs and gives what it wrote to standard output; on failure, all that it said goes to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let shown = shown(command);
    let done =
        command.stdin(Stdio::null()).output().with_context(|| format!("{shown} did not start"))?;
    if !done.status.success() {
        eprint!("{}", String::from_utf8_lossy(&done.stdout));
        eprint!("{}", String::from_utf8_lossy(&done.stderr));
        bail!("{shown} failed ({})", done.status);
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// What a command, run at the root of the workspace, wrote in its one line.
pub(crate) fn said(command: &mut Command) -> Result<String> {
    Ok(output(command.current_dir(root()))?.trim().to_owned())
}

/// The one executable that a cargo command builds.
pub(crate) fn executable(arguments: &[&str]) -> Result<PathBuf> {
    let said = output(cargo(arguments).args(["--locked", "--quiet", "--message-format=json"]))?;
    let mut executables = said.lines().filter_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    });
    executables.next_back().context("cargo built no executable")
}

/// The machine that programs are built for here, as rustc names it.
pub(crate) fn host_triple() -> Result<String> {
    let said = said(Command::new("rustc").arg("-vV"))?;
    let triple = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(triple.context("rustc -vV names no host")?.to_owned())
}

/// The command as one would type it, with paths shortened to file names.
pub(crate) fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let mut words =
        vec![program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    words.join(" ")
}
