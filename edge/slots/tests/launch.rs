//! The real launcher on a real file system, with shell scripts as the unit's program: it becomes the version that is to run, says why,
//! and is killed with SIGKILL at random instants of everything that it does.
//!
//! What this shows is the order of its system calls, and what stands half done in the folder. A loss of what the kernel was given it
//! cannot show; that is the simulator's (`tests/update/power.rs`).
//! 200 kills a round; `THRESHOLD_KILLS` sets another number.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say so at once")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use threshold_bundle::{FileKind, Keys, Manifest, Source, development_key, write};
use threshold_slots::{Maker, Slot, Slots, TRIAL_BOOTS};

const BOARD: &str = "bench";

/// One test at a time: a process that another thread forks holds this process's locks until it has become another program.
static ALONE: Mutex<()> = Mutex::new(());

/// A unit's folders.
struct Unit {
    folder: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

impl Unit {
    fn new() -> Self {
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        // On the file system of the build, which is a real one where a folder for temporary files may be memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let key: String = Maker::development(BOARD)
            .release_key
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let maker = format!("compatible = \"{BOARD}\"\nrelease_key = \"{key}\"\n");
        std::fs::write(folder.path().join("maker.toml"), maker).unwrap();
        Self { folder, _alone: alone }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A bundle whose program says its version, its process, its slot and what it was given.
    fn bundle(&self, version: u32, counter: u64) -> PathBuf {
        let program =
            format!("#!/bin/sh\necho \"{version} $$ $THRESHOLD_SLOT $THRESHOLD_PACKS $*\"\n");
        let pack = vec![version as u8; 3_000_000];
        let file = |name: &str, kind, bytes: &[u8]| {
            let path = self.path(&name.replace('/', "-"));
            std::fs::write(&path, bytes).unwrap();
            Source { name: name.to_owned(), kind, path }
        };
        let sources = [
            file("threshold-edge", FileKind::Program, program.as_bytes()),
            file("packs/model", FileKind::Pack, &pack),
        ];
        let manifest = Manifest {
            format: 1,
            compatible: BOARD.to_owned(),
            version: version.to_string(),
            counter,
            files: Vec::new(),
        };
        let path = self.path(&format!("{version}.bundle"));
        let out = std::fs::File::create(&path).unwrap();
        write(out, manifest, &sources, &Keys::development().unwrap(), &development_key()).unwrap();
        path
    }

    fn launcher(&self, what: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threshold-launch"));
        command.arg(what).arg("--slots").arg(self.path("slots"));
        command.arg("--maker").arg(self.path("maker.toml"));
        command
    }

    fn install(&self, bundle: &Path) -> Output {
        self.launcher("install").arg(bundle).output().unwrap()
    }

    /// Starts the unit; the version that ran, and everything that was said.
    fn start(&self) -> (u32, String) {
        let output = self.launcher("run").args(["--", "run", "--data", "x"]).output().unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(output.status.success(), "{}: {said}", output.status);
        (said.split(' ').next().unwrap().parse().unwrap(), said)
    }

    fn slots(&self, running: Option<Slot>) -> Slots {
        Slots::open(&self.path("slots"), Maker::development(BOARD), running).unwrap()
    }

    fn confirm(&self) {
        let trial = self.slots(None).status().unwrap().trial.unwrap();
        self.slots(Some(trial.slot)).confirm().unwrap();
    }
}

#[test]
fn the_launcher_becomes_the_version_that_is_to_run_and_says_why() {
    let unit = Unit::new();
    let empty = unit.launcher("run").arg("--").output().unwrap();
    assert_eq!(empty.status.code(), Some(2));
    let said = String::from_utf8(empty.stderr).unwrap();
    assert!(said.contains("no version may be started, and the door stays locked"), "{said}");

    let installed = unit.install(&unit.bundle(1, 1));
    assert!(installed.status.success(), "{installed:?}");
    let mut child = unit.launcher("run");
    let child = child
        .args(["--", "run", "--slots", "kept"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let process = child.id();
    let ran = String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    let slot = unit.path("slots/a").canonicalize().unwrap();
    let slot = slot.display();
    assert_eq!(ran, format!("1 {process} {slot} {slot}/packs run --slots kept\n"));
    unit.confirm();

    unit.install(&unit.bundle(2, 2));
    let status = unit.launcher("status").output().unwrap();
    let said = String::from_utf8(status.stdout).unwrap();
    assert!(said.contains("slot a: version 1, security counter 1: current"), "{said}");
    assert!(
        said.contains("slot b: version 2, security counter 2: on trial, 3 starts left"),
        "{said}"
    );
    for _ in 0..TRIAL_BOOTS {
        let (version, said) = unit.start();
        assert_eq!(version, 2, "{said}");
        assert!(said.contains("version 2 in slot b: on trial"), "{said}");
        assert!(said.contains("insecure: this unit takes versions"), "{said}");
    }
    let (version, said) = unit.start();
    assert_eq!(version, 1, "{said}");
    assert!(said.contains("the version in slot b was not confirmed in its starts"), "{said}");
}

#[test]
fn a_command_other_than_run_counts_no_start_and_writes_nothing() {
    let unit = Unit::new();
    unit.install(&unit.bundle(1, 1));
    unit.start();
    unit.confirm();
    unit.install(&unit.bundle(2, 2));
    let command = || {
        let ran = unit.launcher("run").args(["--", "label", "x"]).output().unwrap();
        String::from_utf8(ran.stdout).unwrap().split(' ').next().unwrap().to_owned()
    };
    let state = || std::fs::read(unit.path("slots/state.0")).unwrap();
    for left in (0..TRIAL_BOOTS).rev() {
        let before = state();
        for _ in 0..=TRIAL_BOOTS {
            assert_eq!(command(), "2");
        }
        assert!(state() == before, "{left}: a command wrote");
        assert_eq!(unit.start().0, 2, "{left}");
        assert_eq!(unit.slots(None).status().unwrap().trial.unwrap().left, left);
    }
    let before = state();
    assert_eq!(command(), "1", "what the next start will be");
    assert!(state() == before, "a command went back");
    assert_eq!(unit.start().0, 1);
}

#[test]
fn installing_where_there_is_none_does_nothing_to_a_unit_that_has_a_version() {
    let unit = Unit::new();
    let bundles = [unit.bundle(1, 1), unit.bundle(2, 1)];
    let first = |bundle: &Path| {
        let ran = unit.launcher("install").arg("--if-none").arg(bundle).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
    };
    first(&bundles[0]);
    assert_eq!(unit.start().0, 1);
    first(&bundles[1]);
    assert_eq!(unit.start().0, 1);
    std::fs::write(unit.path("slots/a/packs/model"), "damaged").unwrap();
    first(&bundles[1]);
    assert_eq!(unit.start().0, 2, "a damaged version is none");
}

#[test]
fn nothing_is_written_into_another_users_folder() {
    let unit = Unit::new();
    let folder = unit.path("slots");
    std::fs::create_dir(&folder).unwrap();
    // Who is not root finds such a folder at the root.
    let other = match std::os::unix::fs::chown(&folder, Some(12_345), None) {
        Ok(()) => folder,
        Err(_) => PathBuf::from("/"),
    };
    for what in ["install", "run", "revert", "status"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_threshold-launch"));
        command.arg(what).arg("--slots").arg(&other).arg("--maker").arg(unit.path("maker.toml"));
        if what == "install" {
            command.arg(unit.bundle(1, 1));
        }
        let ran = command.output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(2), "{what}: {said}");
        assert!(
            said.contains("belongs to user") && said.contains("runuser -u threshold"),
            "{said}"
        );
    }
    assert!(!other.join("lock").exists() && !other.join("state.0").exists());
}

#[test]
fn a_version_whose_program_may_not_be_executed_is_not_chosen() {
    let unit = Unit::new();
    for version in [1, 2] {
        unit.install(&unit.bundle(version, 1));
        assert_eq!(unit.start().0, version);
        unit.confirm();
    }
    let program = unit.path("slots/b/threshold-edge");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (version, said) = unit.start();
    assert_eq!(version, 1, "{said}");
    assert!(said.contains("slot b may not be started: threshold-edge is damaged"), "{said}");
}

#[test]
fn two_processes_never_work_on_the_same_slots() {
    let unit = Unit::new();
    unit.install(&unit.bundle(1, 1));
    let held = unit.slots(None);
    for what in ["run", "status", "revert"] {
        let refused = unit.launcher(what).output().unwrap();
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains("another process uses the slots"), "{what}: {said}");
    }
    drop(held);
    assert_eq!(unit.start().0, 1);
}

#[test]
fn whatever_is_typed_wrong_starts_nothing() {
    let unit = Unit::new();
    for words in [&[][..], &["start"], &["install"], &["status", "x"], &["run", "--slots"]] {
        let ran =
            Command::new(env!("CARGO_BIN_EXE_threshold-launch")).args(words).output().unwrap();
        assert_eq!(ran.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8(ran.stderr).unwrap().contains("usage:"), "{words:?}");
    }
    for text in ["", "compatible = \"a\"", "compatible = \"a\"\nrelease_key = \"12\""] {
        std::fs::write(unit.path("maker.toml"), text).unwrap();
        let ran = unit.launcher("run").output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains("does not say who made the unit"), "{said}");
        // What is gone or changed dpkg leaves so.
        let path = unit.path("maker.toml").display().to_string();
        let helps = format!(
            "; put the one of the unit's package back, which dpkg does not do by itself: sudo rm -f {path} && \
             sudo dpkg -i --force-confmiss PACKAGE"
        );
        assert!(said.contains(&helps), "{said}");
    }
}

#[test]
fn a_launcher_that_is_killed_anywhere_leaves_the_version_before_or_the_version_after() {
    let kills = std::env::var("THRESHOLD_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    let unit = Unit::new();
    let bundles = [unit.bundle(1, 1), unit.bundle(2, 1)];
    unit.install(&bundles[0]);
    assert_eq!(unit.start().0, 1);
    unit.confirm();
    let mut current = 1;
    // The longest that is waited with a kill, so that about every other installation is whole before it, however loaded the machine is.
    let mut longest = Duration::from_millis(50);
    let mut lots = Lots(7);
    let (mut trials, mut installed) = (TRIAL_BOOTS, 0);
    for kill in 0..kills {
        let other = 3 - current;
        let installs = lots.below(3) > 0;
        let mut command = unit.launcher(if installs { "install" } else { "run" });
        match installs {
            true => command.arg(&bundles[other as usize - 1]),
            false => command.args(["--", "run"]),
        };
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_micros(lots.below(longest.as_micros() as u64)));
        let ended = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        match (installs, ended) {
            (true, true) => longest -= longest / 20,
            (true, false) => longest += longest / 20,
            (false, _) => {}
        }
        let left = unit.slots(None).status().unwrap().trial.map_or(0, |trial| trial.left);
        // An installation gives a trial its starts; nothing else does.
        assert!(
            left <= trials || (installs && left == TRIAL_BOOTS),
            "kill {kill}: {left}, {trials}"
        );
        let (version, said) = unit.start();
        assert!(version == current || version == other, "kill {kill}: {said}");
        trials = unit.slots(None).status().unwrap().trial.map_or(0, |trial| trial.left);
        if version == other {
            assert!(left > trials, "kill {kill}: a start of a trial is counted: {said}");
            installed += 1;
            if lots.below(2) == 0 {
                unit.confirm();
                (current, trials) = (other, 0);
            }
        }
    }
    assert!(kills < 200 || installed > 10, "{installed} installations were whole before a kill");
}

/// SplitMix64: small, seeded, the same everywhere.
struct Lots(u64);

impl Lots {
    fn below(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below.max(1)
    }
}

#[test]
fn a_relay_is_looked_for_without_any_version_and_whatever_the_configuration_says_besides() {
    let unit = Unit::new();
    let lock = |text: &str| {
        std::fs::write(unit.path("unit.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_threshold-launch"));
        command.args(["lock", "--config"]).arg(unit.path("unit.toml")).output().unwrap()
    };
    let nothing = lock("[camera]\nfps = \"many\"\n");
    assert!(nothing.status.success(), "{nothing:?}");
    // A file is no chip; it is the line of that chip that was asked for.
    std::fs::write(unit.path("gpiochip0"), "").unwrap();
    let chip = unit.path("gpiochip0").display().to_string();
    let asked = lock(&format!("fps = many\n[door]\nchip = {chip:?}\nrelay = {{ line = 7 }}\n"));
    let said = String::from_utf8_lossy(&asked.stderr).into_owned();
    assert_eq!(asked.status.code(), Some(2));
    assert!(said.contains(&format!("relay: line 7 of {chip}: ")), "{said}");
    let turned = lock("[door]\nchip = \"c\"\nrelay = { line = 7, active_lo = true }\n");
    assert_eq!(turned.status.code(), Some(2));
    // No file is no unit yet.
    let mut command = Command::new(env!("CARGO_BIN_EXE_threshold-launch"));
    let none = command.args(["lock", "--config"]).arg(unit.path("none.toml")).output().unwrap();
    assert!(none.status.success(), "{none:?}");
}
