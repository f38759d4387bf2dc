//! Drives the real binaries: builds them once, runs a command line, and compares what a user sees with a transcript.
//!
//! Owns the transcripts' form: the command after `$`, stdout as it is, stderr with `! ` in front, the exit status.
//! `THRESHOLD_BLESS=1 cargo test -p threshold-tests --test cli` writes the transcripts anew.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What a finished command left.
#[derive(Clone, Debug)]
pub(crate) struct Ran {
    /// Exit status.
    pub(crate) status: i32,
    /// All of stdout.
    pub(crate) stdout: String,
    /// All of stderr.
    pub(crate) stderr: String,
}

impl Ran {
    /// The JSON document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// The folder with the binaries of this test's own profile, freshly built.
pub(crate) fn binaries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // target/<profile>/deps/cli-<hash>
        let exe = std::env::current_exe().unwrap();
        let folder = exe.parent().and_then(Path::parent).unwrap().to_path_buf();
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["build", "--quiet", "-p", "threshold-host", "-p", "threshold-edge"]);
        cargo.arg("--target-dir").arg(folder.parent().unwrap());
        if folder.ends_with("release") {
            cargo.arg("--release");
        }
        // Built anyway, so that an old binary is never what is tested.
        let status = cargo.current_dir(threshold_tests::workspace_root()).status().unwrap();
        assert!(status.success(), "the binaries do not build");
        folder
    })
}

/// A `threshold` command that sees nothing of the caller's settings.
pub(crate) fn threshold(args: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("threshold"));
    for name in ["THRESHOLD_UNIT", "THRESHOLD_PACKS", "THRESHOLD_CACHE"] {
        command.env_remove(name);
    }
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap();
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Runs `threshold` with arguments in a folder, and compares what is seen with `transcripts/<name>.txt`.
/// The folder's path is written as `<folder>`.
pub(crate) fn transcript(name: &str, folder: &Path, lines: &[&[&str]]) {
    let mut seen = String::new();
    for args in lines {
        let ran = run(threshold(args).current_dir(folder));
        let shown: Vec<String> = args.iter().map(|arg| shell(arg)).collect();
        seen += &format!("$ threshold {}\n{}", shown.join(" "), ran.stdout);
        ran.stderr.lines().for_each(|line| seen += &format!("! {line}\n"));
        seen += &format!("[{}]\n", ran.status);
    }
    compare(name, &seen.replace(&folder.display().to_string(), "<folder>"));
}

fn compare(name: &str, seen: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("cli/transcripts/{name}.txt"));
    if std::env::var_os("THRESHOLD_BLESS").is_some() {
        std::fs::write(&path, seen).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(golden == seen, "{} differs (THRESHOLD_BLESS=1 accepts it):\n{seen}", path.display());
}

fn shell(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=<>#".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) { arg.to_owned() } else { format!("{arg:?}") }
}
