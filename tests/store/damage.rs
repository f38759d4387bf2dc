//! Damaged, foreign, truncated and zero-filled objects, and what the user reads then.

use crate::forge::{Stolen, pieces};
use crate::{MODEL, entry, name, open, template};
use threshold_record::{ContextKind, ModelId, PersonId};
use threshold_store::{MockFlash, Object, Store, StoreError};

/// A store with something in every object.
fn furnished() -> MockFlash {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for (at, text) in ["Ada", "Grace", "Emmy"].into_iter().enumerate() {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, at as i8)).unwrap();
    }
    store.remove_person(PersonId(2)).unwrap();
    store.context_number(ContextKind::Config, b"a=1").unwrap();
    for mark in 1..=5 {
        store.commit(entry(mark)).unwrap();
    }
    store.save_lockout([1, 0, 0, 0]).unwrap();
    drop(store);
    // A start writes the anchor, which has seen all of that then.
    open(&flash);
    flash
}

fn reopen(flash: &MockFlash, model: ModelId) -> Result<(), StoreError> {
    let (mut store, cut) = Store::open(Box::new(flash.clone()), flash.keys())?;
    assert_eq!(cut, None, "what was acknowledged is no torn tail");
    store.load_gallery(model).map(|_| ())
}

/// Does something to an object of a furnished store and opens it again.
fn after(object: Object, spoil: impl FnOnce(&mut Vec<u8>)) -> Result<(), StoreError> {
    let flash = furnished();
    let mut bytes = flash.bytes(object).unwrap();
    spoil(&mut bytes);
    flash.set_bytes(object, Some(bytes));
    reopen_quietly(&flash)
}

/// A log that lost its last entries is cut first and then found to be too short, so the cut itself says nothing.
fn reopen_quietly(flash: &MockFlash) -> Result<(), StoreError> {
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys())?;
    store.load_gallery(MODEL).map(|_| ())
}

#[test]
fn no_flipped_bit_of_any_object_goes_unseen() {
    let flash = furnished();
    for object in crate::OBJECTS {
        let sound = flash.bytes(object).unwrap();
        for at in 0..sound.len() * 8 {
            let copy = flash.copy();
            let mut bytes = sound.clone();
            bytes[at / 8] ^= 1 << (at % 8);
            copy.set_bytes(object, Some(bytes));
            assert!(reopen_quietly(&copy).is_err(), "{object}: bit {at}");
        }
    }
}

#[test]
fn no_truncated_or_zero_filled_object_is_taken() {
    let flash = furnished();
    for object in crate::OBJECTS {
        let sound = flash.bytes(object).unwrap();
        for len in 0..sound.len() {
            let copy = flash.copy();
            copy.set_bytes(object, Some(sound[..len].to_vec()));
            assert!(reopen_quietly(&copy).is_err(), "{object}: cut to {len}");
            let mut bytes = sound.clone();
            bytes[len..].fill(0);
            // A tail of zeros may be what stood there.
            if bytes != sound {
                copy.set_bytes(object, Some(bytes));
                assert!(reopen_quietly(&copy).is_err(), "{object}: zeros from {len}");
            }
        }
        let copy = flash.copy();
        copy.set_bytes(object, None);
        assert!(reopen_quietly(&copy).is_err(), "{object}: missing");
    }
}

#[test]
fn arbitrary_bytes_are_refused_and_never_panic() {
    let mut lots = threshold_tests::lots::Lots(3);
    let flash = furnished();
    for object in crate::OBJECTS {
        for round in 0..2000 {
            let copy = flash.copy();
            let len = lots.below(300) as usize;
            let mut bytes = lots.bytes(len);
            if round % 2 == 0 {
                let sound = copy.bytes(object).unwrap();
                let keep = lots.below(sound.len() as u64) as usize;
                bytes = [&sound[..keep], &bytes].concat();
            }
            copy.set_bytes(object, Some(bytes));
            assert!(reopen_quietly(&copy).is_err(), "{object}, round {round}");
        }
    }
}

#[test]
fn each_fault_says_what_where_and_what_to_do() {
    let whole = "restore the newest backup of the whole data folder, or move the folder away, start the unit and enrol again";
    let restore = "restore the data folder from a backup, or move the whole folder away, start the unit and enrol again";
    let check = |outcome: Result<(), StoreError>, expected: String| {
        assert_eq!(outcome.unwrap_err().to_string(), expected);
    };
    check(
        after(Object::GallerySegment(1), |bytes| bytes[70] ^= 1),
        format!(
            "gallery.00000001.seg is damaged at byte 24 (a batch that was durable is not whole); {restore}"
        ),
    );
    check(
        after(Object::GallerySegment(1), |bytes| bytes[8] = 4),
        "gallery.00000001.seg has format 4, this program reads up to 3; start the newer threshold-edge that wrote it".into(),
    );
    check(
        after(Object::GallerySegment(1), |bytes| bytes.fill(0)),
        format!("gallery.00000001.seg is damaged at byte 0 (not a file of this kind); {restore}"),
    );
    // A head of 24 + 40 + 224 bytes, then batches of 64 and their records: context, entry and state, then entries of 67.
    check(
        after(Object::Segment(1), |bytes| bytes[288 + 64 + 9 + 67 + 35 + 40] ^= 1),
        format!(
            "events.00000001.log is damaged at byte 463 (a batch that was durable is not whole); {restore}"
        ),
    );
    check(
        after(Object::Segment(1), |bytes| bytes.truncate(463 + 2 * 131)),
        format!(
            "events.00000001.log stands at 3, but this unit had reached 5: an older file was put back or the file is gone; {whole}"
        ),
    );
    let without = |object| {
        let flash = furnished();
        flash.set_bytes(object, None);
        reopen(&flash, MODEL)
    };
    check(
        without(Object::Segment(1)),
        format!(
            "events.00000001.log stands at 0, but this unit had reached 5: an older file was put back or the file is gone; {whole}"
        ),
    );
    check(
        without(Object::Anchor),
        format!(
            "store.anchor is missing beside events.00000001.log, so that nobody can tell whether that is the newest; {whole}"
        ),
    );
    check(
        without(Object::GallerySegment(1)),
        format!(
            "gallery.00000001.seg stands at 0, but this unit had reached 7: an older file was put back or the file is gone; {whole}"
        ),
    );
    let (ours, other) = ("07".repeat(32), "08".repeat(32));
    check(
        reopen(&furnished(), ModelId([8; 32])),
        format!(
            "the gallery holds 2 templates of 2 people made by model {ours}, this unit compares with model {other}; start the \
             unit with the pack of the gallery's model, or with --discard-templates to keep the names and enrol everybody again"
        ),
    );
}

#[test]
fn a_damaged_gallery_still_lets_the_unit_log() {
    let flash = furnished();
    let mut bytes = flash.bytes(Object::GallerySegment(1)).unwrap();
    bytes[100] ^= 1;
    flash.set_bytes(Object::GallerySegment(1), Some(bytes));
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    assert!(store.load_gallery(MODEL).is_err());
    assert!(store.gallery().is_none());
    assert_eq!(store.add_person(name("Ada")), Err(StoreError::NoGallery));
    assert_eq!(store.commit(entry(9)).unwrap().sequence, 6);
    // Nothing of that has lowered what the anchor asks of the gallery.
    drop(store);
    assert!(reopen(&flash, MODEL).is_err());
}

#[test]
fn a_log_of_a_later_version_is_not_cut() {
    let flash = furnished();
    let mut bytes = flash.bytes(Object::Segment(1)).unwrap();
    // An entry that says version 2, sealed by the unit.
    let batch = pieces(&bytes)[2].clone();
    Stolen::from(&flash).change(1, &mut bytes, batch, |content| content[8 + 3 + 24] = 2);
    flash.set_bytes(Object::Segment(1), Some(bytes.clone()));
    assert!(matches!(reopen(&flash, MODEL), Err(StoreError::Version { .. })));
    assert_eq!(flash.bytes(Object::Segment(1)), Some(bytes));
}
