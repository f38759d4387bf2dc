//! `threshold-edge store`: looks at a data folder, checks it, and tries a start, without changing a byte.

use crate::binary::{Ran, binaries, run};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use threshold_edge::storage::Storage;
use threshold_record::{EntryKind, LogEntry, ModelId, Name, PersonId, Template};
use threshold_store::{CellsError, FileKeys, KEY_FILE, Store, StoreError};
use threshold_wire::pairing::PairingCode;

const MODEL: ModelId = ModelId([7; 32]);

fn store(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(binaries().join("threshold-edge"));
    command.arg("store").args(args).arg("data").current_dir(folder);
    run(&mut command)
}

/// A folder with the store of a unit that ran.
fn furnished() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    furnish(Store::open_folder(&folder.path().join("data")).unwrap().0);
    folder
}

fn furnish(mut store: Store) {
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
}

/// The store that a folder's unit has on a device beside it.
fn on_device(folder: &Path) -> Result<Store, StoreError> {
    let (data, device) = (folder.join("data"), folder.join("device"));
    let storage = Storage::open(&data, Some(&device))?;
    let (keys, size) = (FileKeys::at(&data.join(KEY_FILE)), storage.size());
    Ok(Store::open_sized(Box::new(storage), Arc::new(keys), size)?.0)
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

#[test]
fn a_store_on_a_device_is_formatted_once_looked_at_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("device");
    std::fs::File::create(&device).unwrap().set_len(32 << 20).unwrap();
    let edge = |args: &[&str]| {
        let mut command = Command::new(binaries().join("threshold-edge"));
        run(command.arg("store").args(args).current_dir(folder.path()))
    };
    let before = std::fs::read(&device).unwrap();
    let unsure = "everything on device would be erased; type its name twice, or --yes";
    check(&edge(&["format", "device"]), 2, &[unsure]);
    check(&edge(&["format", "device", "devices"]), 2, &[unsure]);
    std::fs::create_dir(folder.path().join("data")).unwrap();
    let typed = ["data", "--device", "device"];
    let plain = edge(&[&["inspect"][..], &typed].concat());
    check(&plain, 2, &["the device of the store: it was never formatted for a store"]);
    assert_eq!(plain.stderr.matches("never formatted").count(), 1, "{plain:?}");
    assert!(before == std::fs::read(&device).unwrap());
    check(&edge(&["format", "device", "device"]), 0, &["device is formatted, 33554432 bytes"]);
    check(&edge(&[&["verify"][..], &typed].concat()), 2, &["device holds no unit's store"]);
    furnish(on_device(folder.path()).unwrap());
    let before = std::fs::read(&device).unwrap();
    let inspected = edge(&[&["inspect"][..], &typed].concat());
    let cells = " of 254 cells of 131072 bytes are free, 0 are bad";
    check(&inspected, 0, &["entries 1 to 20", "1 people with 1 templates", "device: ", cells]);
    check(&edge(&[&["verify"][..], &typed].concat()), 0, &["20 entries, 1 to 20", "1 people"]);
    check(&edge(&[&["repair", "--dry-run"][..], &typed].concat()), 0, &["would write"]);
    check(&edge(&["format", "device", "--yes"]), 2, &["type --erase-store if that is meant"]);
    assert!(before == std::fs::read(&device).unwrap(), "looking changes nothing");
    check(&edge(&[&["repair"][..], &typed].concat()), 0, &["the next start finds nothing to mend"]);
    assert_eq!(on_device(folder.path()).unwrap().log_head(), 20);
    let store = on_device(folder.path()).unwrap();
    check(&edge(&[&["inspect"][..], &typed].concat()), 2, &["is in use"]);
    drop(store);
    // Without the device nothing of another unit is made in the folder, by a label or a start either.
    let before = files(folder.path());
    let label = |args: &[&str]| {
        let mut command = Command::new(binaries().join("threshold-edge"));
        run(command.arg("label").args(args).current_dir(folder.path()))
    };
    let elsewhere = "holds a unit's secret (unit.key) and no store, so that its store is on a device; name that";
    check(&label(&["data"]), 2, &[elsewhere]);
    check(&edge(&["repair", "data"]), 2, &[elsewhere]);
    let error = Storage::open(&folder.path().join("data"), None).unwrap_err();
    assert_eq!(error, CellsError::Elsewhere { secret: "unit.key" }.into());
    assert_eq!(files(folder.path()), before);
    let code = PairingCode::of_bytes(*on_device(folder.path()).unwrap().pairing_code()).text();
    let ran = label(&typed);
    assert_eq!((ran.status, ran.stdout.contains(&*code)), (0, true), "{ran:?}");
    // What a program before this one made there is moved away, and the device goes on.
    for file in ["store.keys", "store.anchor", "events.00000001.log"] {
        std::fs::write(folder.path().join("data").join(file), "of another").unwrap();
    }
    let both = "to go on with the device, move store.*, events.* and gallery.* out of the folder";
    check(&label(&typed), 2, &[both, "so wipe neither"]);
    for file in ["store.keys", "store.anchor", "events.00000001.log"] {
        std::fs::remove_file(folder.path().join("data").join(file)).unwrap();
    }
    assert_eq!(on_device(folder.path()).unwrap().log_head(), 20);
    check(&edge(&["format", "device", "--yes", "--erase-store"]), 0, &["is formatted"]);
    assert_eq!(on_device(folder.path()).unwrap().log_head(), 0);
}
