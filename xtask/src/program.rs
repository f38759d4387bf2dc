//! Starting other programs: aloud, or quietly with the output shown only when it failed.

use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read, Write};
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

/// Runs tests aloud; how many checks they said they skipped.
///
/// # Errors
/// If one failed, or none ran: a name that is no test's would pass.
pub(crate) fn run_tests(command: &mut Command) -> Result<usize> {
    run_listening(command)?.skipped()
}

/// Runs tests aloud, and gives the figures that they told.
///
/// # Errors
/// If a test failed, or told none: a name that is no test's would pass.
pub(crate) fn figures(command: &mut Command) -> Result<Vec<String>> {
    run_listening(command)?.figures()
}

/// What follows in the lines that begin so.
pub(crate) fn after<'a>(text: &'a str, beginning: &str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.strip_prefix(beginning))
}

/// What a command wrote, and how one would type it.
struct Said {
    shown: String,
    out: String,
    err: String,
}

impl Said {
    /// Checks that were skipped, of tests of which some passed, by the closing lines of the harness.
    fn skipped(&self) -> Result<usize> {
        let counts =
            after(&self.out, "test result: ok. ").filter_map(|line| line.split(' ').next());
        if counts.filter_map(|count| count.parse::<usize>().ok()).sum::<usize>() == 0 {
            bail!("{}: no test ran", self.shown);
        }
        Ok(after(&self.err, "skipped: ").count())
    }

    /// The figures that were told.
    fn figures(&self) -> Result<Vec<String>> {
        let figures: Vec<String> = after(&self.err, "figure: ").map(str::to_owned).collect();
        if figures.is_empty() {
            bail!("{}: no figure was told", self.shown);
        }
        Ok(figures)
    }
}

/// Runs with the terminal's own streams, and listens.
fn run_listening(command: &mut Command) -> Result<Said> {
    let shown = shown(command);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().with_context(|| format!("{shown} did not start"))?;
    let (out, err) = (running.stdout.take(), running.stderr.take());
    let (out, err) = std::thread::scope(|scope| {
        let out = scope.spawn(|| passed_on(out, &mut std::io::stdout()));
        let err = passed_on(err, &mut std::io::stderr());
        (out.join(), err)
    });
    let status = running.wait().with_context(|| shown.clone())?;
    if !status.success() {
        bail!("{shown} failed ({status})");
    }
    let at = || format!("{shown}: what it wrote");
    let out = out.ok().with_context(at)?.with_context(at)?;
    let err = err.with_context(at)?;
    Ok(Said { shown, out, err })
}

/// Writes on what is read, line by line, and gives all of it.
fn passed_on(from: Option<impl Read>, to: &mut impl Write) -> std::io::Result<String> {
    let mut all = String::new();
    for line in from.into_iter().flat_map(|from| BufReader::new(from).split(b'\n')) {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        // Whoever reads along may be gone; the tests are not.
        let _ = writeln!(to, "{line}");
        all.push_str(&line);
        all.push('\n');
    }
    Ok(all)
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn saying(out: &str, err: &str) -> Said {
        Said { shown: "cargo test".to_owned(), out: out.to_owned(), err: err.to_owned() }
    }

    #[test]
    fn tests_of_which_none_ran_fail_and_skipped_checks_are_counted() {
        let two = "running 0 tests\n\ntest result: ok. 0 passed; 0 failed\n..\ntest result: ok. 2 passed; 0 failed\n";
        let skipped = ".\nskipped: a (b)\nnot skipped: c\nskipped: d (e)\n";
        assert_eq!(saying(two, skipped).skipped().unwrap(), 2);
        let none = saying("test result: ok. 0 passed; 0 failed; 9 filtered out\n", "");
        assert_eq!(none.skipped().unwrap_err().to_string(), "cargo test: no test ran");
        assert!(saying("", "").skipped().is_err());
    }

    #[test]
    fn figures_are_those_that_were_told_and_none_is_a_failure() {
        let told = saying("figure: not this", "figure: one\nother\nfigure: two\n");
        assert_eq!(told.figures().unwrap(), ["one", "two"]);
        assert!(saying("test result: ok. 1 passed", "").figures().is_err());
    }

    #[test]
    fn what_is_read_is_passed_on_line_by_line() {
        let mut to = Vec::new();
        let all = passed_on(Some(&b"one\ntwo"[..]), &mut to).unwrap();
        assert_eq!((all.as_str(), to.as_slice()), ("one\ntwo\n", &b"one\ntwo\n"[..]));
    }
}
