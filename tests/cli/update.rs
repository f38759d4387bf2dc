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

/// A bundle of a developer's, with this program and dlib's network.
fn bundle(folder: &Path, version: &str, counter: u64, program: &Path) -> PathBuf {
    bundle_with(folder, (version, counter), program, "dlib-resnet29.pack")
}

/// The same with another embedder's pack.
fn bundle_with(
    folder: &Path,
    (version, counter): (&str, u64),
    program: &Path,
    embedder: &str,
) -> PathBuf {
    let packs = threshold_tests::packs().unwrap();
    let pack = |name: &str| packs.path().join(name);
    let notes = folder.join(format!("{version}.notes"));
    std::fs::write(&notes, version).unwrap();
    let source = |name: &str, kind, path| Source { name: name.to_owned(), kind, path };
    let sources = [
        source("threshold-edge", FileKind::Program, program.to_owned()),
        source(&format!("packs/{embedder}"), FileKind::Pack, pack(embedder)),
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

/// Makes a paired unit that does not run start from slots from now on, beginning with this bundle.
fn installed(unit: &mut Unit, first: &Path) -> Service {
    unit.kill();
    let folder = unit.folder.path();
    let key = development_key().verifying_key().to_bytes();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let maker = format!("compatible = \"bench\"\nrelease_key = \"{key}\"\n");
    std::fs::write(folder.join("maker.toml"), maker).unwrap();
    assert_eq!(run(launcher(folder, "install").arg(first)).status, 0);
    Service::start(folder)
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
    let edge = binaries().join("threshold-edge");
    let first = bundle(&folder, "1.0", 1, &edge);
    let service = installed(&mut unit, &first);
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

#[test]
fn a_version_of_another_model_comes_with_everybodys_templates_and_whoever_is_removed_is_in_neither()
{
    let test = "an update that changes the model";
    let Some(photos) = stock(test) else { return };
    let facenet = threshold_tests::packs().and_then(|packs| packs.named("facenet").ok());
    let Some(facenet) = facenet.map(|pack| format!("{}.pack", pack.meta.name)) else {
        return threshold_tests::skipped(test, "no pack of FaceNet");
    };
    let mut unit = paired(&["--dev-button", "button", "--model", "dlib"]);
    let folder = unit.folder.path().to_owned();
    assert_eq!(ada(&unit, &["vault", "init"]).status, 0);
    for (name, photo) in [("Ann", "obama.jpg"), ("Bob", "biden.jpg")] {
        let photo = photos.join(photo).display().to_string();
        let enrolled =
            ada(&unit, &["--model", "dlib", "enrol", name, "--photo", &photo, "--vault"]);
        assert_eq!(enrolled.status, 0, "{enrolled:?}");
    }
    let edge = binaries().join("threshold-edge");
    let first = bundle(&folder, "1.0", 1, &edge);
    let service = installed(&mut unit, &first);
    let confirmed = ada(&unit, &["--wait=60", "confirm"]);
    assert_eq!(confirmed.status, 0, "{confirmed:?}");

    let second = bundle_with(&folder, ("2.0", 1), &edge, &facenet).display().to_string();
    let alone = ada(&unit, &["flash", &second]);
    let (error, remedy) = alone.error();
    assert!(
        error.contains("another embedding model") || remedy.contains("--gallery"),
        "{error} {remedy}"
    );
    let facenet = ["--json", "--model", "facenet"];
    let made = ada(&unit, &[&facenet[..], &["vault", "re-embed"]].concat());
    assert_eq!(made.json()["templates"], 2, "{made:?}");
    let out = ["vault", "export", "--out", "new.gallery"];
    assert_eq!(ada(&unit, &[&facenet[..], &out].concat()).json()["templates"], 2);
    let flashed = ada(&unit, &["--json", "flash", &second, "--gallery", "new.gallery"]);
    let told = flashed.json();
    assert_eq!(told["result"], "confirmed", "{flashed:?}");
    let staged = &told["gallery"];
    assert_eq!((&staged["people"], &staged["without"]), (&2.into(), &0.into()), "{told}");

    // Both know the people by templates of their own, and whoever leaves now is gone from both.
    let people = || {
        let listed = ada(&unit, &["--json", "--wait=60", "gallery", "list"]).json();
        let of = |person: &serde_json::Value| {
            (person["name"].as_str().unwrap().to_owned(), person["templates"].as_u64().unwrap())
        };
        listed["people"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(people(), [("Ann".to_owned(), 1), ("Bob".to_owned(), 1)]);
    let removed = ada(&unit, &["gallery", "remove", "Bob"]);
    assert_eq!(removed.status, 0, "{removed:?}");
    let back = ada(&unit, &["revert"]);
    assert_eq!(back.status, 0, "{back:?}");
    // It answers before it starts anew, and may do so in the middle of a question.
    let begun = Instant::now();
    loop {
        let asked = ada(&unit, &["--json", "--wait=60", "slots"]);
        if asked.status == 0 && asked.json()["slots"][0]["running"] == true {
            assert_eq!(asked.json()["slots"][0]["version"], "1.0", "{asked:?}");
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{asked:?}");
    }
    assert_eq!(people(), [("Ann".to_owned(), 1)]);
    drop(service);
}
