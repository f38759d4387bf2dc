//! Tests of the vault as a file: what comes back, what was cut off, what somebody changed.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use threshold_models::engine::{BBox, Detection};
use threshold_models::frame::Frame;

const MODEL: ModelId = ModelId([5; 32]);
const OTHER: ModelId = ModelId([6; 32]);

struct Place {
    folder: tempfile::TempDir,
    keychain: Keychain,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keychain = Keychain::meant(Some(&folder.path().join("keys")));
        Self { folder, keychain }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vault.db")
    }

    /// As a run beside the one that has it.
    fn open(&self) -> Vault {
        Vault::open_to_read(&self.path(), &self.keychain).unwrap()
    }

    fn error(&self) -> String {
        Vault::open(&self.path(), &self.keychain).unwrap_err().to_string()
    }

    /// Ann with three crops and Bob with one.
    fn filled(&self) -> Vault {
        let mut vault = Vault::create(&self.path(), &self.keychain).unwrap();
        let rows = [addition("Ann", 1), addition("Bob", 2), addition("Ann", 3), addition("Ann", 4)];
        let added = vault.add(MODEL, &rows).unwrap();
        assert!(added.iter().all(|added| added.as_ref().is_ok_and(|added| added.crop)));
        vault
    }

    fn sqlite(&self, statement: &str) {
        Connection::open(self.path()).unwrap().execute_batch(statement).unwrap();
    }
}

fn addition(name: &str, photo: u8) -> Addition {
    let rgb = (0..40 * 30 * 3).map(|i| (i % 251) as u8 ^ photo).collect();
    let bbox = BBox { x1: 10.0, y1: 8.0, x2: 22.0, y2: 23.5 };
    let face = Detection { bbox, landmarks: [[12.0, 12.5]; 5], score: 0.99 };
    let frame = Frame::from_rgb(40, 30, rgb).unwrap();
    Addition {
        name: Name::new(name).unwrap(),
        dates: Dates::default(),
        photo: Some(Source {
            digest: [photo; 32],
            crop: SourceCrop::cut(&frame, &face, 80).unwrap(),
            template: (0.01, vec![photo as i8; 128]),
        }),
    }
}

fn slots(vault: &Vault, model: ModelId) -> Vec<(u32, u8, i8)> {
    let templates = vault.templates(model).unwrap();
    templates.iter().map(|held| (held.person.0, held.slot, held.vector[0])).collect()
}

#[test]
fn people_crops_and_templates_come_back() {
    let place = Place::new();
    drop(place.filled());
    let vault = place.open();
    assert_eq!(slots(&vault, MODEL), [(1, 0, 1), (1, 1, 3), (1, 2, 4), (2, 0, 2)]);
    let all = vault.without_template(OTHER, None, 9).unwrap();
    let opened: Vec<_> = all.iter().map(|crop| vault.opener().open(crop).unwrap()).collect();
    let expected = [1, 2, 3, 4].map(|photo| addition("Ann", photo));
    for (opened, expected) in opened.iter().zip(expected) {
        assert_eq!(*opened, expected.photo.unwrap().crop);
    }
    assert_eq!(vault.find("Ann").unwrap().0, vault.find("#1").unwrap().0);
    assert!(vault.find("Carol").is_err() && vault.find("#9").is_err());
    vault.check().unwrap();
}

fn named(name: &str) -> Addition {
    Addition { name: Name::new(name).unwrap(), dates: Dates::default(), photo: None }
}

#[test]
fn a_photo_that_is_there_is_passed_over_and_dates_take_the_place_of_older_ones() {
    let place = Place::new();
    let mut vault = place.filled();
    let mut again = addition("Ann", 3);
    again.dates.consent = Some("2026-01-02".parse().unwrap());
    let added = vault.add(MODEL, &[again.clone(), again]).unwrap();
    let added: Vec<Added> = added.into_iter().map(Result::unwrap).collect();
    assert_eq!(added[0], Added { person: false, crop: false, dates: true });
    assert_eq!(added[1], Added::default());
    let mut other = named("Ann");
    other.dates.keep_until = Some("2027-01-31".parse().unwrap());
    vault.add(MODEL, &[other]).unwrap();
    let vault = place.open();
    let ann = vault.find("Ann").unwrap().1;
    assert_eq!(ann.photos.len(), 3);
    assert_eq!(ann.dates.consent, Some("2026-01-02".parse().unwrap()));
    assert!(ann.dates.is_over("2027-02-01".parse().unwrap()));
    assert!(!ann.dates.is_over("2027-01-31".parse().unwrap()));
}

#[test]
fn a_vault_that_demands_a_consent_takes_no_photo_without_one_and_older_programs_refuse_it() {
    let place = Place::new();
    let mut vault = place.filled();
    assert!(!vault.demands_consent());
    vault.demand_consent(true).unwrap();
    let version = || {
        let file = Connection::open(place.path()).unwrap();
        file.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0)).unwrap()
    };
    assert_eq!(version(), 2, "a program that reads version 1 alone would not ask");
    let mut consenting = addition("Cid", 6);
    consenting.dates.consent = Some("2026-01-02".parse().unwrap());
    let rows = [addition("Ann", 5), consenting, named("Dan")];
    let added = vault.add(MODEL, &rows).unwrap();
    let refused = added[0].as_ref().unwrap_err().to_string();
    assert!(refused.starts_with("no consent of Ann is recorded, and the vault "), "{refused}");
    assert!(added[1].as_ref().is_ok_and(|added| added.crop), "{added:?}");
    assert!(added[2].as_ref().is_ok_and(|added| added.person), "a name alone is no photo");
    // With the consent of an earlier row it is taken; it holds in another run and in a copy.
    drop(vault);
    let mut vault = Vault::open(&place.path(), &place.keychain).unwrap();
    assert!(vault.demands_consent());
    assert_eq!(vault.find("Ann").unwrap().1.photos.len(), 3);
    let ann = Name::new("Ann").unwrap();
    assert!(vault.check_consent(&ann, Dates::default()).is_err());
    let given = Dates { consent: Some("2026-01-03".parse().unwrap()), keep_until: None };
    vault.check_consent(&ann, given).unwrap();
    vault.add(MODEL, &[Addition { dates: given, ..named("Ann") }, addition("Ann", 5)]).unwrap();
    assert_eq!(vault.find("Ann").unwrap().1.photos.len(), 4);
    vault.check_consent(&ann, Dates::default()).unwrap();
    let copy = place.folder.path().join("copy.db");
    vault.copy_to(&copy, &place.keychain).unwrap();
    assert!(Vault::open_to_read(&copy, &place.keychain).unwrap().demands_consent());
    // Another's word for it does not open.
    place.sqlite("UPDATE demands SET sealed = x'00'");
    assert!(place.error().contains("is used by another run"), "{}", place.error());
    drop(vault);
    assert!(place.error().contains("what it demands does not open"), "{}", place.error());
    let mut vault = Vault::open(&copy, &place.keychain).unwrap();
    vault.demand_consent(false).unwrap();
    vault.add(MODEL, &[addition("Bob", 7)]).unwrap().pop().unwrap().unwrap();
    drop(vault);
    assert!(!Vault::open(&copy, &place.keychain).unwrap().demands_consent());
}

#[test]
fn a_person_has_as_many_crops_as_a_unit_has_slots() {
    let place = Place::new();
    let mut vault = Vault::create(&place.path(), &place.keychain).unwrap();
    let rows: Vec<Addition> = (1..11).map(|photo| addition("Ann", photo)).collect();
    let added = vault.add(MODEL, &rows).unwrap();
    let fit = added.iter().filter(|added| added.is_ok()).count();
    assert_eq!(fit, 8);
    let full = added[8].as_ref().unwrap_err().to_string();
    assert!(full.starts_with("Ann has 8 crops, and no more fit"), "{full}");
    place.open().check().unwrap();
}

#[test]
fn whoever_is_removed_is_gone_and_nobody_gets_the_id() {
    let place = Place::new();
    let mut vault = place.filled();
    vault.remove(&[PersonId(2)]).unwrap();
    vault.add(MODEL, &[addition("Carol", 9)]).unwrap();
    let vault = place.open();
    assert_eq!(vault.find("Carol").unwrap().0, PersonId(3));
    assert!(vault.find("Bob").is_err());
    assert_eq!(slots(&vault, MODEL).len(), 4);
    vault.check().unwrap();
}

#[test]
fn a_row_in_anothers_place_does_not_open() {
    for (statement, told) in [
        (
            "UPDATE people SET sealed = (SELECT sealed FROM people WHERE id = 2) WHERE id = 1",
            "person 1 does not open",
        ),
        ("UPDATE people SET id = 7 WHERE id = 2", "person 7 does not open"),
        (
            "UPDATE crops SET sealed = (SELECT sealed FROM crops WHERE id = 2) WHERE id = 1",
            "crop 0 of person 1",
        ),
        ("UPDATE crops SET person = 1, slot = 3 WHERE id = 2", "crop 3 of person 1"),
        (
            "UPDATE templates SET sealed = (SELECT sealed FROM templates WHERE crop = 2) WHERE crop = 1",
            "template 0 of person 1",
        ),
        ("UPDATE templates SET model = zeroblob(32) WHERE crop = 1", "template 0 of person 1"),
        ("DELETE FROM crops WHERE id = 4", "person 1 has 2 crops and should have 3"),
        ("UPDATE crops SET sealed = substr(sealed, 1, 40) WHERE id = 1", "crop 0 of person 1"),
        (
            "CREATE TRIGGER t AFTER INSERT ON people BEGIN DELETE FROM people; END",
            "it has triggers or views",
        ),
        ("UPDATE vault SET id = x'00'", "Cannot read 16 byte value"),
    ] {
        let place = Place::new();
        drop(place.filled());
        place.sqlite(&format!("PRAGMA foreign_keys = OFF; {statement}"));
        let read = Vault::open(&place.path(), &place.keychain);
        let error = read.and_then(|vault| Ok(vault.check()?)).unwrap_err();
        let damaged = error.downcast_ref::<VaultError>();
        assert!(matches!(damaged, Some(VaultError::Damaged { .. })), "{statement}: {error}");
        assert!(error.to_string().contains(told), "{statement}: {error}");
    }
}

#[test]
fn files_that_are_no_vault_of_ours_are_told_apart() {
    let place = Place::new();
    assert!(place.error().starts_with("there is no vault"));
    // What an init that was cut off leaves is not in the way of the next.
    std::fs::write(place.path(), "").unwrap();
    assert!(place.error().starts_with("there is no vault"), "{}", place.error());
    drop(Vault::create(&place.path(), &place.keychain).unwrap());
    std::fs::write(
        place.path(),
        "something else, longer than the header of a file of SQLite's is".repeat(9),
    )
    .unwrap();
    assert!(place.error().contains("is no vault"), "{}", place.error());
    std::fs::remove_file(place.path()).unwrap();
    place.sqlite("CREATE TABLE vault (id BLOB)");
    assert!(place.error().contains("is no vault"), "{}", place.error());
    std::fs::remove_file(place.path()).unwrap();

    let vault = place.filled();
    let key_file = place.keychain.vault_key_file(vault.id());
    drop(vault);
    let there = Vault::create(&place.path(), &place.keychain).unwrap_err().to_string();
    assert!(there.contains("is there already"), "{there}");
    place.sqlite("PRAGMA user_version = 3");
    let later = place.error();
    assert!(later.contains("version 3, and this program reads version 2; install"), "{later}");
    // A vault that says it demands something, and does not say what.
    place.sqlite("PRAGMA user_version = 2");
    assert!(place.error().contains("what it demands does not open"), "{}", place.error());
    place.sqlite("PRAGMA user_version = 1");
    let right = std::fs::read(&key_file).unwrap();
    std::fs::write(&key_file, [9; 32]).unwrap();
    assert!(place.error().contains("is not the key that"), "{}", place.error());
    std::fs::write(&key_file, [9; 31]).unwrap();
    assert!(place.error().contains("not a key of 32 bytes"), "{}", place.error());
    std::fs::remove_file(&key_file).unwrap();
    assert!(place.error().contains("is not in the keychain"), "{}", place.error());
    place.keychain.keep_vault_key(right[..16].try_into().unwrap(), &[0; 32]).unwrap();
    place.keychain.keep_vault_key(&vault_id(&place), right[..].try_into().unwrap()).unwrap();
    place.open().check().unwrap();
}

fn vault_id(place: &Place) -> [u8; 16] {
    let file = Connection::open(place.path()).unwrap();
    file.query_row("SELECT id FROM vault", [], |row| row.get(0)).unwrap()
}

#[test]
fn files_are_for_their_user_alone_and_hold_no_name_in_the_clear() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = Place::new();
    let vault = place.filled();
    vault.copy_to(&place.folder.path().join("backup"), &place.keychain).unwrap();
    for name in ["vault.db", "backup"] {
        let path = place.folder.path().join(name);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(3).any(|window| window == b"Ann"), "{name}");
        assert!(!bytes.windows(4).any(|window| window == b"IHDR"), "{name}");
    }
    let again = vault.copy_to(&place.folder.path().join("backup"), &place.keychain);
    assert!(again.unwrap_err().to_string().contains("is there already"));
    assert!(!place.folder.path().join("backup.tmp").exists());
}

#[test]
fn no_vault_is_put_beside_the_journal_of_another() {
    let place = Place::new();
    let vault = place.filled();
    let at = |name: &str| place.folder.path().join(name);
    for ending in ["-journal", "-wal", "-shm"] {
        let (to, left) = (at("other.db"), at(&format!("other.db{ending}")));
        std::fs::write(&left, "pages of another file").unwrap();
        let made = Vault::create(&to, &place.keychain).map(drop);
        for refused in [vault.copy_to(&to, &place.keychain), made] {
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(&format!("other.db{ending} is left of another")), "{refused}");
        }
        assert!(!to.exists() && left.exists());
        std::fs::remove_file(left).unwrap();
    }
    // Those of a copy that was cut off are ours.
    for name in ["other.db.tmp", "other.db.tmp-journal"] {
        std::fs::write(at(name), "cut off").unwrap();
    }
    vault.copy_to(&at("other.db"), &place.keychain).unwrap();
    assert!(!at("other.db.tmp-journal").exists());
    Vault::open(&at("other.db"), &place.keychain).unwrap().check().unwrap();
}

#[test]
fn a_full_disk_takes_nothing_back_and_is_gone_on_with() {
    let place = Place::new();
    let mut vault = place.filled();
    let pages: i64 = vault.file.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    vault.file.pragma_update(None, "max_page_count", pages).unwrap();
    let rows: Vec<Addition> = (10..17).map(|photo| addition("Carol", photo)).collect();
    let full = vault.add(MODEL, &rows).unwrap_err();
    assert!(matches!(full, VaultError::Write { .. }), "{full}");
    assert!(full.to_string().contains("free some space"), "{full}");
    assert!(vault.find("Carol").is_err());
    vault.check().unwrap();
    vault.file.pragma_update(None, "max_page_count", pages + 999).unwrap();
    vault.add(MODEL, &rows).unwrap();
    assert_eq!(vault.find("Carol").unwrap().1.photos.len(), 7);
    place.open().check().unwrap();
}

#[test]
fn another_run_that_writes_is_waited_for_and_named() {
    let place = Place::new();
    let mut vault = place.filled();
    vault.file.busy_timeout(Duration::ZERO).unwrap();
    let mut other = Connection::open(place.path()).unwrap();
    let held = other.transaction_with_behavior(rusqlite::TransactionBehavior::Exclusive).unwrap();
    let busy = vault.add(MODEL, &[addition("Carol", 9)]).unwrap_err();
    assert!(matches!(busy, VaultError::Busy { .. }), "{busy}");
    drop(held);
    vault.add(MODEL, &[addition("Carol", 9)]).unwrap();
}

#[test]
fn one_run_at_a_time_has_a_vault_to_write_and_others_may_read() {
    let place = Place::new();
    let mut vault = place.filled();
    let link = place.folder.path().join("link.db");
    std::os::unix::fs::symlink(place.path(), &link).unwrap();
    for path in [place.path(), link] {
        let busy = Vault::open(&path, &place.keychain).unwrap_err().to_string();
        assert!(busy.contains("is used by another run of this program; wait until"), "{busy}");
    }
    let mut reader = place.open();
    let refused = reader.add(MODEL, &[addition("Carol", 9)]).unwrap_err();
    assert!(matches!(refused, VaultError::Busy { .. }), "{refused}");
    vault.add(MODEL, &[addition("Carol", 9)]).unwrap();
    drop(vault);
    Vault::open(&place.path(), &place.keychain).unwrap();
}

#[test]
fn nothing_is_written_by_people_who_are_not_as_they_were_read() {
    let place = Place::new();
    let mut vault = place.filled();
    // As on a disk that knows no locks.
    let mut other = place.open();
    other.lock = Some(File::open(place.path()).unwrap());
    other.add(MODEL, &[addition("Carol", 9)]).unwrap();
    let crops = vault.without_template(OTHER, None, 1).unwrap();
    let template = (0.01, vec![1; 128]);
    let refused = [
        vault.add(MODEL, &[addition("Carol", 8)]).map(drop),
        vault.remove(&[PersonId(1)]),
        vault.put_templates(OTHER, &[(&crops[0], 80, template)]),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(VaultError::Busy { .. })), "{refused:?}");
    }
    place.open().check().unwrap();
    // Whoever is not there is not removed.
    let gone = other.remove(&[PersonId(9)]).unwrap_err().to_string();
    assert!(gone.contains("0 rows are there of one"), "{gone}");
}

#[test]
fn two_people_of_one_name_are_refused() {
    let place = Place::new();
    let mut vault = place.filled();
    vault.names.remove(&Name::new("Ann").unwrap());
    vault.add(MODEL, &[addition("Ann", 9)]).unwrap();
    drop(vault);
    assert!(place.error().contains("persons 1 and 3 have one name"), "{}", place.error());
}

#[test]
fn a_vault_that_a_run_left_half_written_is_copied_as_it_was_before() {
    let place = Place::new();
    let vault = place.filled();
    let cut = place.folder.path().join("cut.db");
    // With a cache of one page the half of it is on the disk, with the journal that takes it back.
    vault.file.pragma_update(None, "cache_size", 1).unwrap();
    vault.file.execute_batch("BEGIN; UPDATE crops SET sealed = zeroblob(90000)").unwrap();
    for ending in ["", "-journal"] {
        std::fs::copy(beside(&place.path(), ending), beside(&cut, ending)).unwrap();
    }
    let open_only = Connection::open_with_flags(&cut, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let read = open_only.query_row("SELECT count(*) FROM people", [], |row| row.get::<_, i64>(0));
    let told = VaultError::sqlite(&cut)(read.unwrap_err());
    assert!(matches!(told, VaultError::CutOff { .. }), "{told}");
    drop(open_only);
    let backup = place.folder.path().join("backup.db");
    Vault::open_to_read(&cut, &place.keychain).unwrap().copy_to(&backup, &place.keychain).unwrap();
    assert_eq!(slots(&Vault::open(&backup, &place.keychain).unwrap(), MODEL).len(), 4);
}
