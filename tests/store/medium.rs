//! Media and folders that go wrong under a real file system: each is a fault that says what to do, and never a panic or a
//! store that begins anew.

use crate::process::{orders, real_folder, started_again, tell};
use crate::{MODEL, OBJECTS, entry, name, template};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use threshold_record::{Cause, EntryKind, LogEntry, PersonId, Presentation, Reason, WallTime};
use threshold_store::{FlashFault, Object, RESERVE_BYTES, Store, StoreError};
use threshold_tests::skipped;

/// The one place where a store is opened here.
fn open(folder: &Path) -> Result<Store, StoreError> {
    let (mut store, _) = Store::open_folder(folder)?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

/// Puts something into every object.
fn furnish(folder: &Path) -> Store {
    let mut store = open(folder).unwrap();
    for (at, text) in ["Ada", "Grace", "Emmy"].into_iter().enumerate() {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, at as i8)).unwrap();
    }
    store.remove_person(PersonId(2)).unwrap();
    for mark in 1..=5 {
        store.commit(entry(mark)).unwrap();
    }
    store.save_lockout([1, 0, 0, 0]).unwrap();
    store
}

/// The fault of the flash behind an error.
fn fault(error: &StoreError) -> Option<FlashFault> {
    match error {
        StoreError::Flash(error) => Some(error.fault),
        _ => None,
    }
}

/// An error's text names its remedy behind a semicolon.
fn check_remedy(error: &StoreError, remedy: &str) {
    let text = error.to_string();
    assert!(text.split_once("; ").is_some_and(|(_, after)| after.starts_with(remedy)), "{text}");
}

#[test]
fn the_other_process_opens_a_store_and_says_what_became_of_it() {
    let Some((folder, work)) = orders() else { return };
    let outcome = open(&folder).and_then(|mut store| {
        for mark in 0..work as u32 {
            store.commit(entry(mark))?;
        }
        Ok(store)
    });
    match &outcome {
        Ok(_) => tell("open"),
        Err(error) => tell(&format!("{:?} {error}", fault(error))),
    }
    // Whoever closes the pipe lets the store go.
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// The other process that opens a folder, commits so many entries and waits.
fn other(before: &[&str], folder: &Path, work: u64) -> Command {
    let test = "medium::the_other_process_opens_a_store_and_says_what_became_of_it";
    let mut command = started_again(before, test, folder, work);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// All that the other process says.
fn said(mut command: Command) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap();
    String::from_utf8(done.stderr).unwrap().trim().to_owned()
}

#[test]
fn a_store_that_another_process_has_open_is_refused_and_left_as_it_is() {
    let folder = real_folder();
    drop(furnish(folder.path()));
    let mut process = other(&[], folder.path(), 0).spawn().unwrap();
    let mut first = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut first).unwrap();
    assert_eq!(first, "open\n");
    let there = contents(folder.path());
    let error = open(folder.path()).err().unwrap();
    assert_eq!(fault(&error), Some(FlashFault::Busy));
    check_remedy(&error, "stop the other threshold-edge that uses this data folder");
    assert_eq!(contents(folder.path()), there);
    drop(process.stdin.take());
    assert!(process.wait().unwrap().success());
    open(folder.path()).unwrap();
}

fn contents(folder: &Path) -> Vec<(std::ffi::OsString, Vec<u8>)> {
    let files = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let mut files: Vec<_> =
        files.map(|file| (file.file_name(), fs::read(file.path()).unwrap())).collect();
    files.sort();
    files
}

/// The words before a command that give it a file system of its own; `None` where that is not allowed.
fn with_mounts_of_its_own<'a>(mount: &'a str, path: &'a str) -> Option<Vec<&'a str>> {
    let words = vec!["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, path];
    let able = Command::new(words[0]).args(&words[1..]).arg("true").output();
    able.is_ok_and(|done| done.status.success()).then_some(words)
}

#[test]
fn a_read_only_medium_is_a_fault_that_says_so() {
    let folder = real_folder();
    drop(furnish(folder.path()));
    let there = contents(folder.path());
    // Permissions do not bind the superuser, who runs tests in a container.
    let mount = "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"";
    let path = folder.path().to_str().unwrap();
    let Some(before) = with_mounts_of_its_own(mount, path) else {
        return skipped("a read-only medium", "this machine lets nobody mount one");
    };
    let text = said(other(&before, folder.path(), 0));
    assert!(text.starts_with("Some(ReadOnly) cannot "), "{text}");
    assert!(text.ends_with(
        "; make the data folder writable for the user that runs the unit, and the medium not read-only"
    ), "{text}");
    assert_eq!(contents(folder.path()), there);
    open(folder.path()).unwrap();
}

#[test]
fn a_file_that_may_not_grow_is_a_full_medium_and_every_acknowledged_entry_stays() {
    let folder = real_folder();
    let head = furnish(folder.path()).log_head();
    // The largest file that the process may write stands for the space that is left: 16 blocks of 512 bytes.
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 16; exec \"$0\" \"$@\""];
    let text = said(other(&limited, folder.path(), 1000));
    assert!(text.starts_with("Some(Full) cannot "), "{text}");
    assert!(text.ends_with("; free space on the medium of the data folder"), "{text}");
    let store = open(folder.path()).unwrap();
    assert!(store.log_head() > head, "{} entries", store.log_head());
    for (entry, sequence) in store.log_page(1, 2000).unwrap().iter().zip(1..) {
        let mark = if sequence > head { sequence - head - 1 } else { sequence };
        assert_eq!((entry.sequence, u64::from(entry.person.0)), (sequence, mark));
    }
}

#[test]
fn the_other_process_fills_its_medium_and_goes_on_once_there_is_space() {
    let Some((folder, _)) = orders() else { return };
    // What somebody else keeps there, and then takes away: far less than the last segment, which a start would copy.
    let other_files = folder.join("other files");
    fs::write(&other_files, vec![1; 32 << 10]).unwrap();
    let folder = folder.join("data");
    let mut store = furnish(&folder);
    let mut head = store.log_head();
    let full = loop {
        match store.commit(entry(head as u32 + 1)) {
            Ok(entry) => head = entry.sequence,
            Err(error) => break error,
        }
    };
    assert_eq!(fault(&full), Some(FlashFault::Full), "{full}");
    check_remedy(&full, "free space on the medium");
    let mut marks = 1..100;
    let (mark, refused) = marks
        .find_map(|mark| {
            let put = store.put_template(template(PersonId(1), 1, mark));
            Some((mark, put.err()?))
        })
        .unwrap();
    assert_eq!(fault(&refused), Some(FlashFault::Full), "{refused}");
    let gallery = store.gallery().unwrap().clone();
    assert!(gallery.templates().all(|held| held.vector[1] != mark));
    drop(store);
    if let Err(error) = open(&folder) {
        assert_eq!(fault(&error), Some(FlashFault::Full), "{error}");
    }
    fs::remove_file(other_files).unwrap();
    let mut store = open(&folder).unwrap();
    assert_eq!(store.log_head(), head, "what was acknowledged, and nothing else");
    assert_eq!(store.gallery(), Some(&gallery));
    assert_eq!(store.commit(entry(1)).unwrap().sequence, head + 1);
    store.put_template(template(PersonId(1), 1, 9)).unwrap();
    tell("went on");
}

#[test]
fn a_full_medium_is_a_fault_and_the_store_goes_on_once_there_is_space() {
    let folder = real_folder();
    let path = folder.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=256k tmpfs \"$0\" && exec \"$@\"";
    let Some(before) = with_mounts_of_its_own(mount, path) else {
        return skipped("a full medium", "this machine lets nobody mount a small one");
    };
    let test = "medium::the_other_process_fills_its_medium_and_goes_on_once_there_is_space";
    assert_eq!(said(started_again(&before, test, folder.path(), 0)), "went on");
}

#[test]
fn the_other_process_has_room_in_its_reserve_on_a_full_medium() {
    let Some((folder, _)) = orders() else { return };
    let path = folder.join("data");
    let mut store = furnish(&path);
    store.make_reserve().unwrap();
    assert_eq!(fs::metadata(path.join("store.reserve")).unwrap().len(), RESERVE_BYTES as u64);
    let mut other_files = fs::File::create(folder.join("other files")).unwrap();
    while other_files.write_all(&[1; 4096]).is_ok() {}
    let full = loop {
        if let Err(error) = store.commit(entry(1)) {
            break error;
        }
    };
    assert!(full.is_full(), "{full}");
    let head = store.log_head();
    store.take_reserve().unwrap();
    for mark in 1..=100 {
        store.save_lockout([1, 1, 0, 0]).unwrap();
        store.commit(entry(mark)).unwrap();
        store.save_lockout([1, 0, 0, 0]).unwrap();
    }
    let error = store.make_reserve().unwrap_err();
    assert!(error.is_full() && store.has_reserve() == Ok(false), "{error}");
    drop(store);
    let mut store = open(&path).unwrap();
    assert_eq!(store.log_head(), head + 100);
    drop(other_files);
    fs::remove_file(folder.join("other files")).unwrap();
    store.make_reserve().unwrap();
    assert_eq!(store.has_reserve(), Ok(true));
    tell("went on");
}

#[test]
fn a_reserve_is_room_for_a_hundred_admissions_on_a_full_medium() {
    let folder = real_folder();
    let path = folder.path().to_str().unwrap();
    let mount = "mount -t tmpfs -o size=2m tmpfs \"$0\" && exec \"$@\"";
    let Some(before) = with_mounts_of_its_own(mount, path) else {
        return skipped("a reserve on a full medium", "this machine lets nobody mount a small one");
    };
    let test = "medium::the_other_process_has_room_in_its_reserve_on_a_full_medium";
    assert_eq!(said(started_again(&before, test, folder.path(), 0)), "went on");
}

#[test]
fn a_folder_that_was_moved_away_takes_what_is_appended_and_is_a_fault_of_the_rest() {
    let folder = real_folder();
    let path = folder.path().join("data");
    let mut store = furnish(&path);
    fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    let error = store.remove_person(PersonId(1)).expect_err("a removal without a folder");
    assert_eq!(fault(&error), Some(FlashFault::Io), "{error}");
    check_remedy(&error, "check the medium");
    // The open segments are where the folder went, and so is what comes into them; but nothing comes on top of a removal that may be
    // half there.
    let head = store.commit(entry(9)).unwrap().sequence;
    let error = store.add_person(name("Lise")).expect_err("a change behind a removal in dispute");
    assert_eq!(fault(&error), Some(FlashFault::Io), "{error}");
    store.save_lockout([1, 1, 0, 0]).unwrap();
    drop(store);
    fs::rename(folder.path().join("elsewhere"), &path).unwrap();
    let mut store = open(&path).unwrap();
    assert_eq!((store.gallery().unwrap().n_people(), store.log_head()), (2, head));
    assert_eq!(store.lockout(), [1, 1, 0, 0]);
    store.add_person(name("Lise")).unwrap();
}

#[test]
fn an_entry_is_not_acknowledged_once_its_folder_was_deleted() {
    let folder = real_folder();
    let path = folder.path().join("data");
    let mut store = furnish(&path);
    fs::remove_dir_all(&path).unwrap();
    // The open file takes the bytes and the sync, and both go with it: only its count of names tells.
    let error = store.commit(entry(9)).expect_err("an entry that nobody will ever read");
    assert_eq!(fault(&error), Some(FlashFault::Io), "{error}");
    check_remedy(&error, "check the medium");
}

#[test]
fn no_file_that_was_zero_filled_truncated_emptied_or_taken_away_is_accepted() {
    let folder = real_folder();
    drop(furnish(folder.path()));
    for object in OBJECTS {
        let path = folder.path().join(object.name());
        let sound = fs::read(&path).unwrap();
        let half = sound.len() / 2;
        let zeros_behind_half = [&sound[..half], &vec![0; sound.len() - half]].concat();
        for (what, bytes) in [
            ("zero-filled", Some(vec![0; sound.len()])),
            ("zero-filled from its middle", Some(zeros_behind_half)),
            ("truncated", Some(sound[..half].to_vec())),
            ("emptied", Some(Vec::new())),
            ("taken away", None),
        ] {
            match bytes {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let there = contents(folder.path());
            let error = open(folder.path()).err();
            let error = error.unwrap_or_else(|| panic!("{object} {what} is accepted"));
            assert!(!matches!(error, StoreError::Flash(_)), "{object} {what}: {error}");
            let text = error.to_string();
            let remedies = ["; restore the ", "; put the unit's own flash and key together again"];
            assert!(remedies.iter().any(|remedy| text.contains(remedy)), "{object} {what}: {text}");
            let start = Object::Anchor.name();
            let but_the_count = |files: Vec<(std::ffi::OsString, Vec<u8>)>| {
                let others = files.into_iter().filter(|(name, _)| *name != *start);
                others.collect::<Vec<_>>()
            };
            assert_eq!(
                but_the_count(contents(folder.path())),
                but_the_count(there),
                "{object} {what}: nothing is written over what may still be saved"
            );
            fs::write(&path, &sound).unwrap();
        }
    }
    open(folder.path()).unwrap();
}

#[test]
fn an_older_gallery_put_back_is_a_fault() {
    let folder = real_folder();
    let mut store = furnish(folder.path());
    let of_gallery = |all: Vec<(std::ffi::OsString, Vec<u8>)>| {
        let segments = all.into_iter().filter(|(name, _)| {
            let named = name.to_str().and_then(Object::segment_named);
            matches!(named, Some(Object::GallerySegment(_)))
        });
        segments.collect::<Vec<_>>()
    };
    let put = |files: &[(std::ffi::OsString, Vec<u8>)]| {
        for (name, _) in of_gallery(contents(folder.path())) {
            fs::remove_file(folder.path().join(name)).unwrap();
        }
        files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    };
    let older = of_gallery(contents(folder.path()));
    store.put_template(template(PersonId(1), 1, 5)).unwrap();
    // As a unit does after each change; the log carries how far the gallery had come.
    store.commit(entry(6)).unwrap();
    drop(store);
    let newer = of_gallery(contents(folder.path()));
    put(&older);
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::RolledBack { .. }), "{error}");
    check_remedy(&error, "restore the newest backup");
    put(&newer);
    assert_eq!(open(folder.path()).unwrap().gallery().unwrap().n_templates(), 3);
}

#[test]
fn a_clock_that_falls_back_orders_nothing() {
    let folder = real_folder();
    let times = [1_800_000_000_000, 0, 1, (1 << 47) - 1, 42];
    for (unix_ms, boot) in times.into_iter().zip(1..) {
        let mut store = open(folder.path()).unwrap();
        assert_eq!(store.boot(), boot);
        let wall = WallTime { unix_ms, trusted: false };
        let entry = LogEntry { wall, boot, ..entry(boot) };
        assert_eq!(store.commit(entry).unwrap().sequence, u64::from(boot));
        assert_eq!(open(folder.path()).err().as_ref().and_then(fault), Some(FlashFault::Busy));
    }
    let store = open(folder.path()).unwrap();
    let page = store.log_page(1, 9).unwrap();
    let found: Vec<(u64, u32, u64, bool)> = page
        .iter()
        .map(|entry| (entry.sequence, entry.boot, entry.wall.unix_ms, entry.wall.trusted))
        .collect();
    let expected = times.into_iter().zip(1..).map(|(time, at)| (u64::from(at), at, time, false));
    assert_eq!(found, expected.collect::<Vec<_>>());
}

#[test]
fn a_log_that_a_later_version_wrote_entries_into_is_opened_read_and_gone_on_with() {
    let folder = real_folder();
    let mut store = open(folder.path()).unwrap();
    store.commit(entry(1)).unwrap();
    let later = LogEntry {
        kind: EntryKind::Later(200),
        reason: Reason::Later(201),
        cause: Cause::Later(202),
        presentation: Presentation::Later(203),
        ..entry(2)
    };
    let later = store.commit(later).unwrap();
    drop(store);
    let mut store = open(folder.path()).unwrap();
    assert_eq!(store.log_page(1, 9).unwrap().get(1), Some(&later));
    assert_eq!(store.commit(entry(3)).unwrap().sequence, 3);
}
