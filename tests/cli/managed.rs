//! The real unit under a service manager: ready when it answers, a status with its remedy, and signs of life that come from the
//! loop alone.
//!
//! The loop is made to hang as a machine's journal that takes no more would do it: the unit's stderr is a pipe that is full, and
//! the loop has something to say.

use crate::binary::{binaries, run, threshold};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use threshold_tests::{packs, skipped};

/// The manager's patience in these tests; the loop gives four signs in it.
const WATCHDOG: Duration = Duration::from_secs(2);

/// Longest wait for anything: a loaded machine builds and starts beside.
const DEADLINE: Duration = Duration::from_secs(120);

/// A service manager with one unit.
struct Manager {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
    unit: Child,
}

impl Manager {
    fn start(packs: &str, stderr: Stdio) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("camera")).unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(WATCHDOG)).unwrap();
        let unit = Command::new(binaries().join("threshold-edge"))
            .args(["run", "--camera", "camera", "--serial", "pty:door", "--data", "data"])
            .args(["--packs", packs])
            .current_dir(folder.path())
            .env("NOTIFY_SOCKET", folder.path().join("notify"))
            .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
            .stdin(Stdio::null())
            .stderr(stderr)
            .spawn()
            .unwrap();
        Self { folder, socket, unit }
    }

    /// What the unit says next; `None` if it says nothing for so long that a manager would start it again.
    fn hears(&self) -> Option<String> {
        let mut words = [0; 4096];
        let len = self.socket.recv(&mut words).ok()?;
        Some(String::from_utf8_lossy(&words[..len]).into_owned())
    }

    /// Waits for words with this line beginning.
    fn hears_of(&self, beginning: &str) -> String {
        let begun = Instant::now();
        loop {
            let words = self.hears().unwrap_or_default();
            if words.lines().any(|line| line.starts_with(beginning)) {
                return words;
            }
            assert!(begun.elapsed() < DEADLINE, "nothing was heard of {beginning}");
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.unit.kill();
        let _ = self.unit.wait();
    }
}

#[test]
fn the_unit_is_ready_when_it_answers_and_gives_signs_of_life_until_its_loop_hangs() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut manager = Manager::start("no-packs", writer.try_clone().unwrap().into());
    let ready = manager.hears_of("READY=1");
    assert!(ready.contains("STATUS=starting"), "{ready}");
    let info = run(threshold(&["--unit", "door", "info"]).current_dir(manager.path()));
    assert_eq!(info.status, 0, "who is ready answers: {info:?}");
    // The time that the start may take is over with the loop's first round.
    let first = manager.hears_of("WATCHDOG=1");
    assert!(first.contains(&format!("WATCHDOG_USEC={}", WATCHDOG.as_micros())), "{first}");
    let status = manager.hears_of("STATUS=");
    assert!(status.starts_with("STATUS=fault: model: no packs in no-packs"), "{status}");
    assert!(status.contains("threshold model fetch"), "the status has the remedy: {status}");

    // A camera that gives nothing, and then one that fails, does not hang the loop.
    std::fs::remove_dir(manager.path().join("camera")).unwrap();
    for _ in 0..5 {
        manager.hears_of("WATCHDOG=1");
    }

    // The pipe takes no more, and the loop has to say that the camera is mended by a picture, or gone again.
    let filler = std::thread::spawn(move || {
        let mut writer = writer;
        // Ends with an error when nobody can read any more.
        while writer.write_all(&[b'\n'; 4096]).is_ok() {}
    });
    let camera = manager.path().join("camera");
    let picture = Path::new(env!("CARGO_MANIFEST_DIR")).join("cli/fixtures/rotated.jpg");
    let begun = Instant::now();
    let mut there = false;
    while manager.hears().is_some() {
        // Again and again, should the pipe have taken one.
        match there {
            false => {
                std::fs::create_dir(&camera).unwrap();
                std::fs::copy(&picture, camera.join("1.jpg")).unwrap();
            }
            true => std::fs::remove_dir_all(&camera).unwrap(),
        }
        there = !there;
        assert!(begun.elapsed() < DEADLINE, "the loop hangs and gives signs of life");
    }
    assert!(manager.unit.try_wait().unwrap().is_none(), "the unit runs, and hangs");
    // A stream that nobody reads any more hangs nobody.
    drop(reader);
    filler.join().unwrap();
    manager.hears_of("WATCHDOG=1");

    let process = manager.unit.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &process]).status().unwrap().success());
    manager.hears_of("STOPPING=1");
    assert!(manager.unit.wait().unwrap().success());
}

#[test]
fn an_armed_unit_says_so_to_its_manager() {
    let Some(packs) = packs() else {
        return skipped("an armed unit under a manager", "no packs: cargo xtask setup");
    };
    let manager = Manager::start(packs.path().to_str().unwrap(), Stdio::null());
    let status = manager.hears_of("STATUS=not armed");
    assert!(status.contains("not_commissioned"), "{status}");
    let args = ["--unit", "door", "commission", "--out", "recovery.key"];
    let done = run(threshold(&args).current_dir(manager.path()));
    assert_eq!(done.status, 0, "{done:?}");
    let status = manager.hears_of("STATUS=not armed");
    assert!(status.contains("not_acknowledged"), "{status}");
    let args = ["--unit", "door", "policy", "acknowledge", "--photo-opens-this-door"];
    let done = run(threshold(&args).current_dir(manager.path()));
    assert_eq!(done.status, 0, "{done:?}");
    manager.hears_of("STATUS=armed, but nobody is enrolled");
    let stats = run(threshold(&["--unit", "door", "--json", "stats"]).current_dir(manager.path()));
    let stats = stats.json();
    assert!(stats["resident_bytes"].as_u64().unwrap() > 1 << 20, "{stats}");
    assert_eq!((&stats["frames"], &stats["detect"]), (&0.into(), &serde_json::Value::Null));
}
