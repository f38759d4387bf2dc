//! `threshold-edge store`: looks at a data folder, checks it, and tries a start, without changing a byte.

use crate::binary::{Ran, binaries, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use threshold_record::{EntryKind, LogEntry, ModelId, Name, PersonId, Template};
use threshold_store::Store;

const MODEL: ModelId = ModelId([7; 32]);

fn store(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.arg("store").args(args).arg("data").current_dir(folder);
    run(&mut command)
}

/// A folder with the store of a unit that ran.
fn furnished() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_folder(&folder.path().join("data")).unwrap();
    store.load_gallery(MODEL).unwrap();
    for text in ["Ada", "Grace"] {
        let person = store.add_person(Name::new(text).unwrap()).unwrap();
        let vector = (0..128).map(|at| at as i8).collect();
        let model = MODEL.tag();
        store
            .put_template(Template { person, slot: 0, quality: 80, model, scale: 0.01, vector })
            .unwrap();
    }
    store.remove_person(PersonId(2)).unwrap();
    for _ in 0..20 {
        store.commit(LogEntry::of(EntryKind::Decision)).unwrap();
    }
    folder
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder.join("data")).unwrap().map(Result::unwrap);
    let read = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
    };
    entries.map(read).collect()
}

fn check(ran: &Ran, status: i32, expected: &[&str]) {
    assert_eq!(ran.status, status, "{ran:?}");
    for text in expected {
        assert!(ran.stderr.contains(text), "{text}: {ran:?}");
    }
}

#[test]
fn a_folder_whose_wipe_was_begun_is_left_to_the_next_start() {
    let folder = furnished();
    std::fs::write(folder.path().join("data/store.wiping"), "wiping\n").unwrap();
    let before = files(folder.path());
    for args in [&["inspect"][..], &["verify"], &["repair", "--dry-run"]] {
        check(&store(folder.path(), args), 2, &["a wipe was begun here and not finished"]);
        assert_eq!(files(folder.path()), before, "{args:?}");
    }
}

#[test]
fn a_sound_folder_is_described_and_stays_as_it_is() {
    let folder = furnished();
    let before = files(folder.path());
    let ran = store(folder.path(), &["inspect"]);
    let facts =
        ["events.00000001.log", "entries 1 to 20, 1 of 420 segments", "1 people with 1 templates"];
    check(&ran, 0, &facts);
    check(&ran, 0, &["1 people were removed", "the secret kept by a file beside it"]);
    let sound = ["20 entries, 1 to 20, in 1 segments are as", "1 people with 1 templates"];
    check(&store(folder.path(), &["verify"]), 0, &sound);
    let ran = store(folder.path(), &["repair", "--dry-run"]);
    check(&ran, 0, &["would write store.anchor"]);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_write_that_was_cut_off_is_told_tried_and_left_out() {
    let folder = furnished();
    let log = folder.path().join("data/events.00000001.log");
    let sound = std::fs::read(&log).unwrap();
    std::fs::write(&log, [&sound[..], &[9; 33]].concat()).unwrap();
    let before = files(folder.path());
    check(&store(folder.path(), &["verify"]), 0, &["33 bytes of a write that was cut off"]);
    let cut = "33 bytes behind entry 20 are of a write that was cut off";
    let ran = store(folder.path(), &["repair", "--dry-run"]);
    check(&ran, 0, &[cut, "would write events.00000001.log"]);
    assert_eq!(files(folder.path()), before, "a dry run writes nothing");
    check(&store(folder.path(), &["repair"]), 0, &[cut, "done"]);
    assert_eq!(std::fs::read(&log).unwrap(), sound);
    let ran = store(folder.path(), &["repair", "--dry-run"]);
    assert!(!ran.stderr.contains("cut off") && !ran.stderr.contains(".log,"), "{ran:?}");
}

#[test]
fn damage_is_named_by_its_entry_and_nothing_is_mended() {
    let folder = furnished();
    let log = folder.path().join("data/events.00000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    let at = bytes.len() - 300;
    bytes[at] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let before = files(folder.path());
    check(
        &store(folder.path(), &["verify"]),
        2,
        &["entry 18 is not as the unit wrote it", "damaged"],
    );
    check(&store(folder.path(), &["repair"]), 2, &["is damaged at byte", "backup"]);
    assert_eq!(files(folder.path()), before);
}

#[test]
fn a_folder_that_is_none_or_another_units_is_an_error_with_a_remedy() {
    let folder = furnished();
    let nowhere = tempfile::tempdir().unwrap();
    check(&store(nowhere.path(), &["inspect"]), 2, &["data is no folder; name the one"]);
    assert!(!nowhere.path().join("data").exists(), "nothing is made");
    std::fs::create_dir(nowhere.path().join("data")).unwrap();
    for args in [&["inspect"][..], &["verify"], &["repair"], &["repair", "--dry-run"]] {
        check(&store(nowhere.path(), args), 2, &["data holds no unit's store; name the one"]);
    }
    assert!(!nowhere.path().join("data/unit.key").exists(), "no unit is made of it");
    let other = furnished();
    let key = "data/unit.key";
    std::fs::copy(other.path().join(key), folder.path().join(key)).unwrap();
    check(&store(folder.path(), &["verify"]), 2, &["does not open with this unit's secret"]);
    std::fs::remove_file(folder.path().join(key)).unwrap();
    check(&store(folder.path(), &["inspect"]), 2, &["the unit's secret is gone"]);
}
