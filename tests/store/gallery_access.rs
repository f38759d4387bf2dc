//! What holds of a person, on flash: it goes with the person, is nobody else's, and an older gallery brings no longer validity back.

use crate::{MODEL, name, open, template};
use threshold_record::{
    Access, AccessFault, Credential, Interval, ModelId, Person, PersonId, Schedule, ScheduleId,
};
use threshold_store::{Flash, GalleryError, Member, MockFlash, Object, Series, Store, StoreError};

const BADGE: Credential = Credential::Wiegand26 { facility: 12, card: 345 };
const ADA: PersonId = PersonId(1);
const GRACE: PersonId = PersonId(2);

fn until(unix_s: u64) -> Access {
    Access { valid_until: Some(unix_s), ..Access::default() }
}

fn with(credential: Credential) -> Access {
    Access { credentials: [credential].into_iter().collect(), ..Access::default() }
}

fn office(number: u8) -> Schedule {
    let hours = Interval { days: Interval::EVERY_DAY, from: 60, to: 120 };
    let intervals = [hours].into_iter().collect();
    Schedule { id: ScheduleId(number), name: name("office"), intervals }
}

/// Ada and Grace, each with a template.
fn furnished() -> (MockFlash, Store) {
    let flash = MockFlash::new();
    let mut store = open(&flash);
    for text in ["Ada", "Grace"] {
        let id = store.add_person(name(text)).unwrap();
        store.put_template(template(id, 0, id.0 as i8)).unwrap();
    }
    (flash, store)
}

fn access(store: &Store, person: PersonId) -> Access {
    store.gallery().unwrap().member(person).unwrap().access()
}

/// The gallery's segments as they are.
fn segments(flash: &MockFlash) -> Vec<(Object, Option<Vec<u8>>)> {
    let objects = flash.segments(Series::Gallery).into_iter().map(Object::GallerySegment);
    objects.map(|object| (object, flash.bytes(object))).collect()
}

#[test]
fn an_older_gallery_brings_no_longer_validity_back() {
    let (flash, mut store) = furnished();
    store.set_access(ADA, until(2_000)).unwrap();
    store.save_lockout([1, 0, 0, 0]).unwrap();
    let longer = segments(&flash);
    store.set_access(ADA, until(1_000)).unwrap();
    // What the unit's entry of it does: the log tells how far the gallery has come.
    store.save_lockout([1, 1, 0, 0]).unwrap();
    drop(store);
    assert_eq!(access(&open(&flash), ADA), until(1_000));
    for (object, bytes) in longer {
        flash.set_bytes(object, bytes);
    }
    let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
    let loaded = store.load_gallery(MODEL).map(|_| ());
    assert!(matches!(loaded, Err(StoreError::RolledBack { .. })), "{loaded:?}");
    assert!(store.gallery().is_none());
}

#[test]
fn a_push_changes_nothing_that_holds_of_somebody_who_is_there() {
    let (flash, mut store) = furnished();
    store.set_access(ADA, until(1_000)).unwrap();
    let held = store.gallery().unwrap().member(ADA).unwrap().clone();
    let longer = Member { access: Some(Box::new(until(2_000))), ..held.clone() };
    let fresh = PersonId(7);
    let person = Person { id: fresh, name: name("Emmy") };
    let emmy = Member {
        access: Some(Box::new(until(3_000))),
        ..Member::of(person, vec![template(fresh, 0, 9)])
    };
    store.put_members(&[longer, emmy]).unwrap();
    store.put_members(&[Member { access: None, ..held }]).unwrap();
    for _ in 0..2 {
        assert_eq!(access(&store, ADA), until(1_000));
        assert_eq!(access(&store, fresh), until(3_000));
        store = open(&flash);
    }
}

#[test]
fn two_people_never_have_one_credential_nor_a_schedule_that_is_not_there() {
    let (flash, mut store) = furnished();
    store.set_access(ADA, with(BADGE)).unwrap();
    let taken = GalleryError::CredentialTaken { credential: BADGE, person: ADA };
    assert_eq!(store.set_access(GRACE, with(BADGE)), Err(taken.into()));
    let emmy = Person { id: PersonId(9), name: name("Emmy") };
    let emmy = Member { access: Some(Box::new(with(BADGE))), ..Member::of(emmy, Vec::new()) };
    assert_eq!(store.put_members(&[emmy]), Err(taken.into()));
    // The own one may stay.
    store.set_access(ADA, Access { valid_from: Some(5), ..with(BADGE) }).unwrap();
    let bound = Access { schedule: Some(ScheduleId(1)), ..with(BADGE) };
    let unknown = GalleryError::UnknownSchedule { id: ScheduleId(1) };
    assert_eq!(store.set_access(ADA, bound.clone()), Err(unknown.into()));
    store.put_schedule(office(1)).unwrap();
    store.set_access(ADA, bound).unwrap();
    let named = GalleryError::ScheduleNameTaken { id: ScheduleId(1) };
    assert_eq!(store.put_schedule(office(2)), Err(named.into()));
    let used = GalleryError::ScheduleInUse { id: ScheduleId(1), person: ADA };
    assert_eq!(store.remove_schedule(ScheduleId(1)), Err(used.into()));
    let never = GalleryError::BadAccess(AccessFault::Validity);
    assert_eq!(store.set_access(ADA, until(0)), Err(never.into()));
    let nobody = GalleryError::UnknownPerson { person: PersonId(77) };
    assert_eq!(store.set_access(PersonId(77), until(5)), Err(nobody.into()));
    for _ in 0..2 {
        assert_eq!(store.gallery().unwrap().claimed(BADGE), Some(ADA));
        store = open(&flash);
    }
    store.set_access(ADA, Access::default()).unwrap();
    store.remove_schedule(ScheduleId(1)).unwrap();
    store.set_access(GRACE, with(BADGE)).unwrap();
    for _ in 0..2 {
        assert_eq!(store.gallery().unwrap().claimed(BADGE), Some(GRACE));
        assert_eq!(store.gallery().unwrap().schedules().next(), None);
        store = open(&flash);
    }
}

#[test]
fn what_holds_of_a_person_goes_with_the_person() {
    let (flash, mut store) = furnished();
    store.set_access(ADA, with(BADGE)).unwrap();
    store.remove_person(ADA).unwrap();
    while store.tidy_up().unwrap() {}
    // The receipt says that nothing of the person is left on the flash.
    assert!(store.receipt(ADA, 1).is_some());
    for _ in 0..2 {
        assert_eq!(store.gallery().unwrap().claimed(BADGE), None);
        store = open(&flash);
    }
    store.set_access(GRACE, with(BADGE)).unwrap();
    assert_eq!(store.gallery().unwrap().claimed(BADGE), Some(GRACE));
}

#[test]
fn limits_and_schedules_stay_when_the_templates_of_another_model_go() {
    let (flash, mut store) = furnished();
    store.put_schedule(office(3)).unwrap();
    let access_then = Access { schedule: Some(ScheduleId(3)), ..until(1_000) };
    store.set_access(ADA, access_then.clone()).unwrap();
    drop(store);
    let other = ModelId([9; 32]);
    for dropped in [2, 0] {
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).unwrap();
        assert_eq!(store.load_gallery_discarding_templates(other), Ok(dropped));
        assert_eq!(access(&store, ADA), access_then);
        assert_eq!(store.gallery().unwrap().schedule(ScheduleId(3)), Some(&office(3)));
    }
}
