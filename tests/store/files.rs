//! The file body, on a real file system.

use crate::{MODEL, entry, name, template};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use threshold_store::{FileFlash, Flash, FlashFault, Object, Series, Store, StoreError};

#[test]
fn a_store_in_a_folder_is_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data/unit");
    for start in 1..=3 {
        let (mut store, cut) = Store::open_folder(&path).unwrap();
        assert_eq!((store.boot(), cut), (start, None));
        store.load_gallery(MODEL).unwrap();
        assert_eq!(store.gallery().unwrap().n_people() as u32, start - 1);
        let id = store.add_person(name(&format!("person {start}"))).unwrap();
        store.put_template(template(id, 0, start as i8)).unwrap();
        store.commit(entry(start)).unwrap();
        assert_eq!(store.log_head(), u64::from(start));
        assert_eq!(store.log_page(1, 9).unwrap().len() as u32, start);
    }
}

#[test]
fn two_processes_cannot_open_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = FileFlash::open(folder.path()).unwrap();
    let error = FileFlash::open(folder.path()).unwrap_err();
    assert_eq!(error.fault, FlashFault::Busy);
    assert!(
        error.to_string().ends_with("stop the other threshold-edge that uses this data folder")
    );
    drop(first);
    FileFlash::open(folder.path()).unwrap();
}

#[test]
fn a_replace_that_was_cut_off_leaves_the_old_object() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_folder(folder.path()).unwrap();
    store.load_gallery(MODEL).unwrap();
    store.add_person(name("Ada")).unwrap();
    drop(store);
    // As this version names it, and as those before did.
    let left = ["gallery.tombstones.tmp", "gallery.tmp"].map(|name| folder.path().join(name));
    left.iter().for_each(|left| fs::write(left, b"half a snapsh").unwrap());
    let (mut store, _) = Store::open_folder(folder.path()).unwrap();
    assert!(left.iter().all(|left| !left.exists()));
    assert_eq!(store.load_gallery(MODEL).unwrap().n_people(), 1);
    store.add_person(name("Grace")).unwrap();
}

#[test]
fn nobody_else_may_read_the_files() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = Store::open_folder(folder.path()).unwrap();
    store.load_gallery(MODEL).unwrap();
    let id = store.add_person(name("Ada")).unwrap();
    store.remove_person(id).unwrap();
    for object in crate::OBJECTS {
        let mode = fs::metadata(folder.path().join(object.name())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{object}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let error = FileFlash::open(&file.join("data")).unwrap_err().to_string();
    assert!(error.contains("file/data: "), "{error}");
    assert!(error.contains("; check the medium"), "{error}");
}

#[test]
fn a_file_body_reads_what_was_appended_replaced_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut flash = FileFlash::open(folder.path()).unwrap();
    let log = Object::Segment(1);
    assert_eq!(flash.len(log).unwrap(), None);
    assert_eq!(flash.read_all(log, 9).unwrap(), None);
    assert!(flash.append(log, b"hello").is_err(), "it is not there");
    flash.replace(log, b"hello").unwrap();
    flash.append(log, b" there").unwrap();
    flash.sync(log).unwrap();
    assert_eq!(flash.read_all(log, 99).unwrap().unwrap(), b"hello there");
    let mut part = [0; 9];
    assert_eq!(flash.read(log, 6, &mut part).unwrap(), 5);
    flash.replace(log, b"other").unwrap();
    assert_eq!(flash.len(log).unwrap(), Some(5));
    flash.append(log, b".").unwrap();
    assert_eq!(flash.read_all(log, 9).unwrap().unwrap(), b"other.");
    assert_eq!(flash.read_all(log, 3).unwrap().unwrap(), b"othe");
    flash.replace(Object::Segment(20), b"a later one").unwrap();
    assert_eq!(flash.segments(Series::Log), [1, 20]);
    assert_eq!(flash.len(log).unwrap(), Some(6), "read although another is open");
    drop(flash);
    let mut flash = FileFlash::open(folder.path()).unwrap();
    flash.remove(log).unwrap();
    flash.remove(log).unwrap();
    assert_eq!((flash.len(log).unwrap(), flash.segments(Series::Log)), (None, vec![20]));
}

#[test]
fn of_several_objects_that_are_replaced_at_once_all_are_or_none_where_one_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut flash = FileFlash::open(folder.path()).unwrap();
    let (first, second) = (Object::Tombstones, Object::GallerySegment(7));
    flash.replace_all(&[(first, b"one"), (second, b"two")]).unwrap();
    assert_eq!(flash.segments(Series::Gallery), [7]);
    // Nothing can be written where a folder stands.
    let in_the_way = folder.path().join("gallery.00000007.seg.tmp");
    fs::create_dir(&in_the_way).unwrap();
    let error = flash.replace_all(&[(first, b"three"), (second, b"four")]).unwrap_err();
    assert_eq!(error.object, second);
    assert_eq!(flash.read_all(first, 9).unwrap().unwrap(), b"one");
    assert!(!folder.path().join("gallery.tombstones.tmp").exists(), "its room is given back");
    fs::remove_dir(&in_the_way).unwrap();
    flash.replace_all(&[(first, b"three"), (second, b"four")]).unwrap();
    flash.append(second, b"teen").unwrap();
    drop(flash);
    let flash = FileFlash::open(folder.path()).unwrap();
    assert_eq!(flash.read_all(first, 9).unwrap().unwrap(), b"three");
    assert_eq!(flash.read_all(second, 9).unwrap().unwrap(), b"fourteen");
}

#[test]
fn a_zero_filled_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open_folder(folder.path()).unwrap());
    for object in [Object::Segment(1), Object::Anchor] {
        let path = folder.path().join(object.name());
        let sound = fs::read(&path).unwrap();
        fs::write(&path, vec![0; 4096]).unwrap();
        let error = Store::open_folder(folder.path()).err().unwrap();
        assert!(matches!(error, StoreError::Damaged { .. }), "{object}: {error}");
        fs::write(&path, sound).unwrap();
    }
}
