//! The update with the real binaries: the launcher starts a unit from a slot, `threshold flash` sends what changed, the trial is
//! confirmed by itself, and one that does not start ends with the version before.

use crate::binary::{Ran, Unit, binaries, run, stock};
use crate::pairing::{paired, typed};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use threshold_bundle::{FileKind, Keys, Manifest, Source, development_key, write};

/// What looks after the service: starts the launcher again whenever what it became has ended.
struct Service {
    stop: Arc<AtomicBool>,
    child: Arc<Mutex<Option<Child>>>,
    keeper: Option<std::thread::JoinHandle<()>>,
}

impl Service {
    fn start(folder: &Path) -> Self {
        let (stop, child) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(None)));
        let (stopped, running, folder) = (Arc::clone(&stop), Arc::clone(&child), folder.to_owned());
        let keeper = std::thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let mut running = running.lock().unwrap();
                let ended = match running.as_mut() {
                    Some(child) => Child::try_wait(child).unwrap().is_some(),
                    None => true,
                };
                if ended {
                    *running = Some(launch(&folder));
                }
                drop(running);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        Self { stop, child, keeper: Some(keeper) }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = self.keeper.take().unwrap().join();
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn launcher(folder: &Path, what: &str) -> Command {
    let mut command = Command::new(binaries().join("threshold-launch"));
    command.arg(what).args(["--slots", "slots", "--maker", "maker.toml"]);
    command.current_dir(folder).stdin(Stdio::null());
    command
}

fn launch(folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new().append(true).create(true).open(folder.join("unit.log"));
    launcher(folder, "run")
        .args(["--", "run", "--serial", "pty:door", "--data", "data", "--camera", "camera"])
        .stderr(log.unwrap())
        .spawn()
        .unwrap()
}

/// A bundle of a developer's, with this program.
fn bundle(folder: &Path, version: &str, counter: u64, program: &Path) -> PathBuf {
    let packs = threshold_tests::packs().unwrap();
    let pack = |name: &str| packs.path().join(name);
    let notes = folder.join(format!("{version}.notes"));
    std::fs::write(&notes, version).unwrap();
    let source = |name: &str, kind, path| Source { name: name.to_owned(), kind, path };
    let sources = [
        source("threshold-edge", FileKind::Program, program.to_owned()),
        source("packs/dlib-resnet29.pack", FileKind::Pack, pack("dlib-resnet29.pack")),
        source("packs/mtcnn.pack", FileKind::Pack, pack("mtcnn.pack")),
        source("notes", FileKind::List, notes),
    ];
    let manifest = Manifest {
        format: 1,
        compatible: "bench".to_owned(),
        version: version.to_owned(),
        counter,
        files: Vec::new(),
    };
    let path = folder.join(format!("{version}.bundle"));
    let out = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    write(out, manifest, &sources, &Keys::development().unwrap(), &development_key()).unwrap();
    path
}

fn ada(unit: &Unit, args: &[&str]) -> Ran {
    typed(unit, "ada", args, "")
}

fn slots(unit: &Unit) -> serde_json::Value {
    ada(unit, &["--json", "--wait=60", "slots"]).json()
}

#[test]
fn a_unit_is_flashed_tried_and_confirmed_and_a_version_that_does_not_start_is_given_up() {
    let Some(photos) = stock("an update from end to end") else { return };
    let mut unit = paired(&["--dev-button", "button", "--model", "dlib"]);
    let folder = unit.folder.path().to_owned();
    let photo = photos.join("obama.jpg").display().to_string();
    assert_eq!(ada(&unit, &["enrol", "Ada", "--photo", &photo]).status, 0);
    // A program that no launcher started has no slots.
    assert!(ada(&unit, &["slots"]).error().0.contains("does not run from a slot"));
    unit.kill();
    let key = development_key().verifying_key().to_bytes();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let maker = format!("compatible = \"bench\"\nrelease_key = \"{key}\"\n");
    std::fs::write(folder.join("maker.toml"), maker).unwrap();
    let edge = binaries().join("threshold-edge");
    let first = bundle(&folder, "1.0", 1, &edge);
    assert_eq!(run(launcher(&folder, "install").arg(&first)).status, 0);
    let service = Service::start(&folder);
    let there = slots(&unit);
    assert_eq!(
        (&there["slots"][0]["version"], &there["slots"][0]["state"]),
        (&"1.0".into(), &"trial".into()),
        "{there}"
    );
    let second = bundle(&folder, "2.0", 2, &edge).display().to_string();
    let early = ada(&unit, &["flash", &second]);
    assert!(early.error().0.contains("1.0 is still on trial"), "{early:?}");
    let confirmed = ada(&unit, &["confirm"]);
    assert_eq!(confirmed.status, 0, "{confirmed:?}");

    // What changed is sent, and the trial confirms itself.
    let first = first.display().to_string();
    let begun = Instant::now();
    let flashed = ada(&unit, &["--json", "flash", &second, "--from", &first]);
    let told = flashed.json();
    assert_eq!(
        (&told["result"], &told["delta"], &told["slot"]),
        (&"confirmed".into(), &true.into(), &"b".into()),
        "{flashed:?}"
    );
    assert!(told["sent_bytes"].as_u64().unwrap() < 10_000, "{told}");
    assert!(begun.elapsed() < Duration::from_secs(180), "{:?}", begun.elapsed());
    let again = ada(&unit, &["--json", "flash", &second]);
    assert_eq!(again.json()["result"], "there", "{again:?}");
    assert_eq!(slots(&unit)["slots"][0]["state"], "too_old");

    // One that does not start: after its starts the unit runs the version before, and says so.
    let script = folder.join("script");
    std::fs::write(&script, "#!/bin/sh\nexit 1\n").unwrap();
    let third = bundle(&folder, "3.0", 2, &script).display().to_string();
    let refused = ada(&unit, &["flash", &third]);
    assert_eq!(refused.status, 2, "{refused:?}");
    for words in
        ["error: 3.0 was not confirmed and the unit went back to 2.0", "try: threshold log pull"]
    {
        assert!(refused.stderr.contains(words), "{refused:?}");
    }
    let there = slots(&unit);
    assert_eq!(
        (&there["slots"][1]["running"], &there["slots"][0]["state"]),
        (&true.into(), &"not_confirmed".into()),
        "{there}"
    );
    // Older than what was confirmed: refused here, and nothing is sent.
    let older = ada(&unit, &["flash", &first]);
    assert!(older.error().0.contains("security counter 1"), "{older:?}");
    let log = ada(&unit, &["--json", "log", "pull"]).stdout;
    for kind in ["updated", "update_confirmed", "reverted"] {
        assert!(log.contains(&format!("\"kind\":\"{kind}\"")), "{kind}: {log}");
    }
    // Nobody had to be enrolled again.
    assert!(ada(&unit, &["gallery", "list"]).stdout.contains("Ada"));
    drop(service);
}
