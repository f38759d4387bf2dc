//! Drives the real binaries: builds them once, runs a command line, keeps a unit on a pseudo-terminal.
//!
//! Refuses to leave anything behind: a unit is killed with its value, and every file is in a folder of the test's own.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use threshold_record::{EntryKind, LogEntry};
use threshold_store::Store;

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
    /// What a process left.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The JSON document on stdout.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error and its remedy, if that is all that was said, with status 2.
    pub(crate) fn error(&self) -> (&str, &str) {
        let mut lines = self.stderr.lines();
        let error = lines.next().and_then(|line| line.strip_prefix("error: "));
        let remedy = lines.next().and_then(|line| line.strip_prefix("try: "));
        assert!(lines.next().is_none() && self.status == 2 && self.stdout.is_empty(), "{self:?}");
        (error.unwrap_or_else(|| panic!("{self:?}")), remedy.unwrap_or_else(|| panic!("{self:?}")))
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
        // The whole workspace, as the test was built: a selection of packages would unify features anew.
        cargo.args(["build", "--quiet", "--bins"]);
        if cfg!(feature = "parquet") {
            cargo.args(["--features", "threshold-host/parquet"]);
        }
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

/// A `threshold` command that sees nothing of the caller's settings but where the packs are.
pub(crate) fn threshold(args: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("threshold"));
    command.env_remove("THRESHOLD_UNIT").args(args).stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    Ran::of(command.output().unwrap())
}

/// Copies a program or a script to where it is started from. Another process writes it: while this one had it open for writing, a child
/// that another test's thread starts would hold that open too, and nobody could run it ("text file busy").
pub(crate) fn place_program(from: &Path, to: &Path) {
    let status = Command::new("install").args(["-m", "755"]).args([from, to]).status().unwrap();
    assert!(status.success(), "{} was not placed", to.display());
}

/// Packs and photos; a test without them says aloud that it is skipped.
pub(crate) fn stock(test: &str) -> Option<PathBuf> {
    let photos = threshold_tests::packs().and_then(|_| threshold_tests::photos());
    if photos.is_none() {
        threshold_tests::skipped(test, "no packs or photos; cargo xtask setup fetches them");
    }
    photos
}

/// A unit on a pseudo-terminal in a folder of its own.
pub(crate) struct Unit {
    pub(crate) folder: tempfile::TempDir,
    process: Child,
}

impl Unit {
    /// Starts a unit on empty data with these options besides, and waits until it has started. Its camera is a folder unless
    /// the options name another.
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("camera")).unwrap();
        let process = Self::spawn(folder.path(), options);
        let mut unit = Self { folder, process };
        unit.wait();
        unit
    }

    fn spawn(folder: &Path, options: &[&str]) -> Child {
        let log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(folder.join("unit.log"))
            .unwrap();
        let camera = match options.contains(&"--camera") {
            true => &[][..],
            false => &["--camera", "camera"],
        };
        Command::new(binaries().join("threshold-edge"))
            .args(["run", "--serial", "pty:door", "--data", "data"])
            .args(camera)
            .args(options)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        loop {
            let ran = self.run(&["--json", "--wait=30", "info"]);
            if ran.status == 0 && ran.json()["state"] != "starting" {
                return;
            }
            let ended = self.process.try_wait().unwrap();
            assert!(ended.is_none(), "{ended:?}: {}", self.said());
            assert!(begun.elapsed() < Duration::from_secs(90), "{ran:?}: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Pulls the plug.
    pub(crate) fn kill(&mut self) {
        let _ = self.process.kill();
        self.process.wait().unwrap();
        // The system gives the terminal's name away again, maybe to the unit of another test, and the link that the killed
        // unit leaves would lead there until the next start replaces it.
        let _ = std::fs::remove_file(self.folder.path().join("door"));
    }

    /// Waits until it ends by itself; gives its exit status.
    pub(crate) fn until_ended(&mut self) -> Option<i32> {
        self.process.wait().unwrap().code()
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&mut self, options: &[&str]) {
        self.process = Self::spawn(self.folder.path(), options);
        self.wait();
    }

    /// Everything that the unit said.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("unit.log")).unwrap_or_default()
    }

    /// A `threshold` command at this unit.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = threshold(&["--unit", "door"]);
        command.args(args).current_dir(self.folder.path());
        command
    }

    /// Runs `threshold` at this unit.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.command(args))
    }

    /// Commissions the unit, without which it stays locked for everybody. The recovery key that is made lies in the unit's folder.
    pub(crate) fn commission(&self) -> Ran {
        let ran = self.run(&["commission", "--out", "recovery.key"]);
        assert_eq!(ran.status, 0, "{ran:?}");
        ran
    }

    /// Commissions the unit if it is not, and acknowledges that a photo opens the door, without which it stays locked as well.
    pub(crate) fn acknowledge(&self) {
        if self.run(&["--json", "info"]).json()["commission"]["state"] != "holds" {
            self.commission();
        }
        let ran = self.run(&["policy", "acknowledge", "--photo-opens-this-door"]);
        assert_eq!(ran.status, 0, "{ran:?}");
    }

    /// Shows a picture to the camera, and gives the decision on it.
    pub(crate) fn show(&self, picture: &Path, as_name: &str) -> serde_json::Value {
        let head = self.run(&["--json", "info"]).json()["log_head"].as_u64().unwrap();
        std::fs::copy(picture, self.folder.path().join("arriving")).unwrap();
        let place = self.folder.path().join("camera").join(as_name);
        std::fs::rename(self.folder.path().join("arriving"), place).unwrap();
        let mut from = head + 1;
        loop {
            let from_text = from.to_string();
            let ran = self.run(&["--json", "log", "follow", "--from", &from_text, "--count", "1"]);
            assert_eq!(ran.status, 0, "{ran:?}");
            let entry = ran.json();
            if entry["kind"] == "decision" {
                return entry;
            }
            from += 1;
        }
    }
}

impl Drop for Unit {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes so many entries into the log of a unit that does not run.
pub(crate) fn fill_log(unit: &Unit, entries: u32) {
    let (mut log, _) = Store::open_folder(&unit.folder.path().join("data")).unwrap();
    for _ in 0..entries {
        log.append(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    log.sync().unwrap();
}
