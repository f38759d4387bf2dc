//! A unit whose secret a TPM keeps: configured, moved there and back, and what is said when the TPM is gone.

use crate::binary::{Ran, Unit, binaries, run};
use std::path::Path;
use std::process::Command;
use threshold_record::{ModelId, Name};
use threshold_store::Store;
use threshold_tests::swtpm::Swtpm;

const MODEL: ModelId = ModelId([7; 32]);

fn edge(folder: &Path, args: &[&str]) -> Ran {
    run(Command::new(binaries().join("threshold-edge")).args(args).current_dir(folder))
}

/// The people of a folder whose secret a file keeps.
fn people(folder: &Path) -> usize {
    let (mut store, _) = Store::open_folder(&folder.join("data")).unwrap();
    store.load_gallery(MODEL).unwrap().n_people()
}

fn put_key(folder: &Path, key: &[u8]) {
    let path = folder.join("data/unit.key");
    std::fs::write(&path, key).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(path, mode).unwrap();
}

fn said(ran: &Ran, status: i32, expected: &str) {
    assert!(ran.status == status && ran.stderr.contains(expected), "{expected}: {ran:?}");
}

#[test]
fn the_secret_moves_to_a_tpm_and_back_and_nothing_else_changes() {
    let Some(tpm) = Swtpm::start("a secret that moves to a TPM") else { return };
    let (folder, socket) = (tempfile::tempdir().unwrap(), tpm.socket());
    let (path, socket) = (folder.path(), socket.to_str().unwrap());
    {
        let (mut store, _) = Store::open_folder(&path.join("data")).unwrap();
        store.load_gallery(MODEL).unwrap();
        store.add_person(Name::new("Ada").unwrap()).unwrap();
    }
    let store = |args: &[&str]| {
        let typed = [&["store"], args, &["--tpm", socket, "data"]].concat();
        edge(path, &typed)
    };
    let key = std::fs::read(path.join("data/unit.key")).unwrap();
    said(&store(&["move-secret", "--to", "tpm"]), 0, "keeper = \"tpm\" in [keys]");
    assert!(!path.join("data/unit.key").exists() && path.join("data/unit.tpm").exists());
    // What a cut left before it had its name.
    std::fs::write(path.join("data/unit.key.tmp"), &key).unwrap();
    said(&store(&["move-secret", "--to", "tpm"]), 0, "kept there already");
    assert!(!path.join("data/unit.key.tmp").exists());
    // To look makes no step of the counter.
    for args in ["inspect", "verify", "inspect"] {
        said(&store(&[args]), 0, "gallery: 1 people");
    }
    let ran = store(&["inspect"]);
    said(&ran, 0, "the secret kept by a TPM");
    said(&ran, 0, "counter: ");
    // The flash of before a start, put back.
    let old = std::fs::read(path.join("data/store.anchor")).unwrap();
    said(&store(&["repair"]), 0, "done");
    let new = std::fs::read(path.join("data/store.anchor")).unwrap();
    std::fs::write(path.join("data/store.anchor"), old).unwrap();
    said(&store(&["verify"]), 2, "put back as it once was");
    std::fs::write(path.join("data/store.anchor"), new).unwrap();
    // A move of which the end was cut off, with a start by the file after it.
    put_key(path, &key);
    assert_eq!(people(path), 1);
    said(&store(&["move-secret", "--to", "tpm"]), 0, "done");
    said(&store(&["repair"]), 0, "done");

    // A move to the file of which the end was cut off: the unit starts by the TPM as if nothing was.
    put_key(path, &key);
    said(&store(&["inspect"]), 0, "the secret kept by a TPM");
    // Of one that had begun to use the file, the TPM opens nothing more, and the same command ends it.
    assert_eq!(people(path), 1);
    said(&store(&["inspect"]), 2, "put back as it once was");
    said(&store(&["move-secret", "--to", "file"]), 0, "keeper = \"file\" in [keys]");
    assert!(!path.join("data/unit.tpm").exists());
    assert_eq!((people(path), std::fs::read(path.join("data/unit.key")).unwrap()), (1, key));
    drop(tpm);
    let lost = store(&["move-secret", "--to", "tpm"]);
    said(&lost, 2, "no TPM answers at");
    assert_eq!(people(path), 1, "a move that cannot be leaves the file");
}

#[test]
fn a_plain_secret_beside_a_sealed_one_goes_at_a_start_and_with_a_wipe_or_is_a_fault() {
    let Some(tpm) = Swtpm::start("a plain secret beside a sealed one") else { return };
    let (folder, socket) = (tempfile::tempdir().unwrap(), tpm.socket());
    let data = folder.path().join("data");
    drop(Store::open_folder(&data).unwrap());
    let key = std::fs::read(data.join("unit.key")).unwrap();
    let store = |args: &[&str]| {
        let typed = [&["store"], args, &["--tpm", socket.to_str().unwrap(), "data"]].concat();
        edge(folder.path(), &typed)
    };
    said(&store(&["move-secret", "--to", "tpm"]), 0, "done");
    put_key(folder.path(), &key);
    std::fs::write(data.join("unit.key.tmp"), &key[..9]).unwrap();
    said(&store(&["repair"]), 0, "done");
    assert!(!data.join("unit.key").exists() && !data.join("unit.key.tmp").exists());
    put_key(folder.path(), &[7; 32]);
    said(&store(&["repair"]), 2, "unit.key lies beside a secret that a TPM keeps");
    assert!(data.join("unit.key").exists(), "nobody knows whose it is");
    // A wipe that was begun, which the next start finishes.
    std::fs::write(data.join("store.wiping"), "wiping\n").unwrap();
    let ran = edge(folder.path(), &["label", "--tpm", socket.to_str().unwrap(), "data"]);
    said(&ran, 0, "");
    assert!(!data.join("unit.key").exists() && data.join("unit.tpm").exists());
}

#[test]
fn info_says_which_tpm_counter_and_a_tpm_that_is_gone_is_the_fault() {
    let Some(mut tpm) = Swtpm::start("a unit with a TPM") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("unit.toml");
    let text = format!("[keys]\nkeeper = \"tpm\"\ntpm = \"{}\"\n", tpm.socket().display());
    std::fs::write(&config, text).unwrap();
    let mut unit = Unit::start(&["--config", config.to_str().unwrap()]);
    let store = unit.run(&["--json", "info"]).json()["store"].clone();
    assert_eq!(store["secret_keeper"], "tpm", "{store}");
    assert!(store["counter"].as_u64().is_some_and(|at| at > 0), "{store}");
    let ran = unit.run(&["info"]);
    assert!(ran.stdout.contains("a TPM, whose counter stands at"), "{ran:?}");
    unit.kill();
    tpm.power_off();
    unit.restart(&["--config", config.to_str().unwrap()]);
    let info = unit.run(&["--json", "info"]).json();
    assert_eq!((&info["state"], &info["fault_cause"]), (&"fault".into(), &"keys".into()));
    assert!(unit.said().contains("no TPM answers at"), "{}", unit.said());
    assert!(info["store"].is_null());
}

#[test]
fn a_start_that_ends_for_want_of_a_camera_or_a_line_counts_none() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("there")).unwrap();
    drop(Store::open_folder(&folder.path().join("data")).unwrap());
    let anchor = || std::fs::read(folder.path().join("data/store.anchor")).unwrap();
    let before = anchor();
    for (camera, expected) in [("nowhere", "folder nowhere"), ("there", "device /nowhere/tty")] {
        let typed = ["run", "--data", "data", "--serial", "/nowhere/tty", "--camera", camera];
        said(&edge(folder.path(), &typed), 2, expected);
        assert_eq!(anchor(), before);
    }
}

#[test]
fn a_misspelt_keeper_is_told_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("unit.toml"), "[keys]\nkeper = \"tpm\"\n").unwrap();
    let ran = edge(folder.path(), &["config", "check", "unit.toml"]);
    said(&ran, 2, "[keys] has no key `keper`; did you mean `keeper`?");
    std::fs::write(folder.path().join("unit.toml"), "[keys]\nkeeper = \"tmp\"\n").unwrap();
    said(&edge(folder.path(), &["config", "check", "unit.toml"]), 2, "did you mean `tpm`?");
}
