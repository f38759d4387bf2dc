//! Who was removed stays removed, whatever older file is put back (safety rules 4 and 5).

use crate::{MODEL, entry, name, open, template};
use threshold_record::{ModelId, PersonId};
use threshold_store::{MockFlash, Object, Store, StoreError};

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
fn an_older_gallery_with_its_older_anchor_still_resurrects_nobody() {
    let store = put_back(&[Object::GallerySegment(1), Object::Anchor]).unwrap();
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
