//! Who was removed stays removed, whatever older file is put back (safety rules 4 and 5).

use crate::{MODEL, entry, name, open, template};
use threshold_record::{ModelId, PersonId};
use threshold_store::{MockFlash, Object, Receipt, Store, StoreError};

/// Ada and Grace are enrolled, a copy is taken, then Grace is removed.
fn removed() -> (MockFlash, MockFlash) {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for text in ["Ada", "Grace"] {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, 1)).unwrap();
    }
    store.commit(entry(1)).unwrap();
    let before = flash.copy();
    store.remove_person(PersonId(2)).unwrap();
    store.commit(entry(2)).unwrap();
    store.save_lockout([1, 3, 0, 0]).unwrap();
    drop(store);
    // A start writes the anchor, which has seen all of that then.
    open(&flash);
    (flash, before)
}

fn put_back(objects: &[Object]) -> Result<Store, StoreError> {
    let (flash, before) = removed();
    for &object in objects {
        flash.set_bytes(object, before.bytes(object));
    }
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys())?;
    store.load_gallery(MODEL)?;
    Ok(store)
}

#[test]
fn an_older_object_put_back_is_a_fault() {
    for (objects, blamed) in [
        (&[Object::GallerySegment(1)][..], Object::GallerySegment(1)),
        (&[Object::Segment(1)], Object::Segment(1)),
        (&[Object::Tombstones], Object::Tombstones),
        (&[Object::GallerySegment(1), Object::Tombstones], Object::Tombstones),
        (&[Object::GallerySegment(1), Object::Segment(1)], Object::Segment(1)),
        (&[Object::GallerySegment(1), Object::Tombstones, Object::Segment(1)], Object::Tombstones),
    ] {
        match put_back(objects) {
            Err(StoreError::RolledBack { object, .. }) => assert_eq!(object, blamed, "{objects:?}"),
            Err(other) => panic!("{objects:?}: {other}"),
            Ok(_) => panic!("{objects:?} was taken"),
        }
    }
}

#[test]
fn an_older_gallery_with_its_older_anchor_is_a_fault_by_what_the_log_says() {
    for (objects, blamed) in [
        (&[Object::GallerySegment(1), Object::Anchor][..], Object::GallerySegment(1)),
        (&[Object::Tombstones, Object::Anchor], Object::Tombstones),
        (&[Object::GallerySegment(1), Object::Tombstones, Object::Anchor], Object::Tombstones),
    ] {
        let error = put_back(objects).err().unwrap();
        assert!(
            matches!(error, StoreError::RolledBack { object, .. } if object == blamed),
            "{error}"
        );
    }
}

#[test]
fn tombstones_outlive_an_older_gallery_anchor_and_log() {
    // What a medium does that loses its last writes; only the tombstones are newer.
    let store = put_back(&[Object::GallerySegment(1), Object::Anchor, Object::Segment(1)]).unwrap();
    let people: Vec<&str> =
        store.gallery().unwrap().members().map(|member| member.person.name.as_str()).collect();
    assert_eq!(people, ["Ada"]);
}

#[test]
fn an_older_anchor_alone_does_not_lower_what_is_asked_later() {
    let mut store = put_back(&[Object::Anchor]).unwrap();
    assert_eq!(store.add_person(name("Emmy")).unwrap(), PersonId(3));
}

#[test]
fn a_removal_of_which_only_one_half_reached_the_flash_is_ended_by_the_next_start() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for text in ["Ada", "Grace"] {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, 1)).unwrap();
    }
    let (grace, before) = (PersonId(2), flash.copy());
    store.remove_person(grace).unwrap();
    drop(store);
    for older in [Object::Tombstones, Object::GallerySegment(1)] {
        let flash = flash.copy();
        flash.set_bytes(older, before.bytes(older));
        let mut store = open(&flash);
        assert!(store.was_removed(grace), "{older}");
        assert_eq!(store.gallery().unwrap().n_people(), 1);
        // What is asked from here on is asked of the gallery without her, and of her tombstone.
        let entry = store.commit(entry(1)).unwrap();
        while store.tidy_up().unwrap() {}
        assert!(store.receipt(grace, entry.sequence).is_some(), "{older}");
        drop(store);
        let mut store = open(&flash);
        assert!(store.was_removed(grace), "{older}");
        assert_eq!(store.add_person(name("Grace")).unwrap(), PersonId(3));
    }
}

#[test]
fn ids_are_never_used_again() {
    let (flash, _) = removed();
    let mut store = open(&flash);
    let emmy = store.add_person(name("Emmy")).unwrap();
    assert_eq!(emmy, PersonId(3));
    store.remove_person(emmy).unwrap();
    drop(store);
    // The same name again is another person.
    assert_eq!(open(&flash).add_person(name("Emmy")).unwrap(), PersonId(4));
}

#[test]
fn another_model_keeps_names_ids_and_tombstones() {
    let (flash, _) = removed();
    let other = ModelId([8; 32]);
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    assert!(matches!(store.load_gallery(other), Err(StoreError::OtherModel { .. })));
    let generation = open(&flash).gallery().unwrap().generation();
    assert_eq!(store.load_gallery_discarding_templates(other).unwrap(), 1);
    let gallery = store.gallery().unwrap();
    assert_eq!((gallery.n_people(), gallery.n_templates()), (1, 0));
    assert_eq!(gallery.generation(), generation + 1);
    assert_eq!(
        store.put_template(template(PersonId(1), 0, 1)).unwrap_err().to_string(),
        "a template of model 0707070707070707, the gallery is of model 0808080808080808; enrol with the unit's pack"
    );
    drop(store);
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    store.load_gallery(other).unwrap();
    assert_eq!(store.add_person(name("Grace")).unwrap(), PersonId(3));
}

#[test]
fn a_receipt_is_signed_once_nothing_is_left_and_says_who_and_where() {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    let id = store.add_person(name("Ada")).unwrap();
    store.put_template(template(id, 0, 1)).unwrap();
    assert_eq!(store.receipt(id, 1), None, "nobody was removed");
    store.remove_person(id).unwrap();
    let entry = store.commit(entry(2)).unwrap();
    while store.tidy_up().unwrap() {}
    let receipt = store.receipt(id, entry.sequence).unwrap();
    let generation = store.gallery().unwrap().generation();
    assert_eq!((receipt.person, receipt.entry, receipt.generation), (id, 1, generation));
    receipt.verify(&store.identity()).unwrap();
    let bytes = receipt.to_bytes();
    assert_eq!(Receipt::from_bytes(&bytes), Ok(receipt));
    for at in 2..Receipt::LEN {
        let mut changed = bytes;
        changed[at] ^= 1;
        let changed = Receipt::from_bytes(&changed).unwrap();
        // Bytes 2 and 3 are reserved, and read as nothing.
        assert!(changed == receipt || changed.verify(&store.identity()).is_err(), "byte {at}");
    }
    let another = MockFlash::new();
    // A mock's keys follow from its seed, so that another unit's come later in its lots.
    another.keys().random(&mut [0; 7]).unwrap();
    assert!(receipt.verify(&open(&another).identity()).is_err(), "another unit's");
    assert_eq!(store.receipt(PersonId(99), 1), None);
}
