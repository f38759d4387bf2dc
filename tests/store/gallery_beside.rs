//! Two models' templates of the same people: what belongs to a person belongs to no model, and nothing is gone back to that was taken
//! back.

use crate::gallery_removal::{image, pieces};
use crate::{MODEL, name, template};
use std::collections::BTreeSet;
use threshold_record::{Access, ModelId, Person, PersonId, Template};
use threshold_store::{
    Beside, Flash, GalleryError, LogSize, Member, MockFlash, Series, Store, StoreError, StoreSize,
};

/// The model of the version that is to come.
const OTHER: ModelId = ModelId([8; 32]);

/// So that few people fill several segments.
const SIZE: StoreSize =
    StoreSize { log: LogSize { segment_bytes: 4096, segments: 2 }, gallery_segment_bytes: 2048 };

fn open(flash: &MockFlash, model: ModelId) -> Result<Store, StoreError> {
    let (mut store, _) = Store::open_sized(Box::new(flash.clone()), flash.keys(), SIZE)?;
    store.load_gallery(model)?;
    Ok(store)
}

fn by_other(person: PersonId, slot: u8, mark: i8) -> Template {
    Template { model: OTHER.tag(), ..template(person, slot, mark) }
}

fn member(store: &Store, person: PersonId, mark: i8) -> Member {
    let held = store.gallery().unwrap().member(person).unwrap().person.clone();
    Member::of(held, vec![by_other(person, 0, mark)])
}

/// Six people with a template each, of whom all but the last have one of the other model beside it.
fn staged(flash: &MockFlash) -> Vec<PersonId> {
    let mut store = open(flash, MODEL).unwrap();
    let people: Vec<PersonId> =
        (0..6).map(|at| store.add_person(name(&format!("person {at}"))).unwrap()).collect();
    for &person in &people {
        store.put_template(template(person, 0, 5)).unwrap();
    }
    store.begin_beside(OTHER).unwrap();
    for &person in &people[..5] {
        let put = [member(&store, person, 6)];
        assert_eq!(store.put_beside(&put), Ok(1));
    }
    let beside = Beside { model: OTHER, people: 5, templates: 5, without: 1 };
    assert_eq!(store.beside(), Some(beside));
    people
}

fn marks(store: &Store) -> Vec<(PersonId, Vec<i8>)> {
    let members = store.gallery().unwrap().members();
    let marks = |held: &Member| held.templates.iter().map(|held| held.vector[1]).collect();
    members.map(|held| (held.person.id, marks(held))).collect()
}

#[test]
fn each_version_opens_the_templates_of_its_model_and_another_one_finds_neither() {
    let flash = MockFlash::new();
    let people = staged(&flash);
    let of = |last: &[i8], mark| -> Vec<_> {
        let all = people.iter().map(|&person| (person, vec![mark]));
        all.take(5).chain([(people[5], last.to_vec())]).collect()
    };
    for _ in 0..2 {
        assert_eq!(marks(&open(&flash, MODEL).unwrap()), of(&[5], 5));
        assert_eq!(marks(&open(&flash, OTHER).unwrap()), of(&[], 6));
    }
    let refused = open(&flash, ModelId([9; 32])).map(drop);
    assert!(matches!(refused, Err(StoreError::OtherModel { .. })), "{refused:?}");
}

#[test]
fn whoever_is_removed_or_limited_while_the_other_model_runs_stays_so_after_going_back() {
    let flash = MockFlash::new();
    let people = staged(&flash);
    let mut store = open(&flash, OTHER).unwrap();
    store.remove_person(people[1]).unwrap();
    let limit = Access { valid_until: Some(1000), ..Access::default() };
    store.set_access(people[2], limit.clone()).unwrap();
    let fresh = store.add_person(name("came later")).unwrap();
    store.put_template(by_other(fresh, 0, 7)).unwrap();
    store.put_template(by_other(people[3], 0, 7)).unwrap();
    // The last of the first model alone, and whoever came later of the other alone.
    assert_eq!(store.beside().map(|held| (held.people, held.without)), Some((5, 1)));
    drop(store);
    let mut store = open(&flash, MODEL).unwrap();
    let there: Vec<_> = [0, 2, 3, 4, 5].map(|at| (people[at], vec![5])).to_vec();
    assert_eq!(marks(&store), [there, vec![(fresh, vec![])]].concat());
    assert_eq!(store.gallery().unwrap().member(people[2]).unwrap().access(), limit);
    assert!(store.was_removed(people[1]));
    // Nor does a file bring the person back, on either side.
    let gone = Person { id: people[1], name: name("person 1") };
    let again = Member::of(gone.clone(), vec![template(people[1], 0, 5)]);
    let used = Err(GalleryError::UsedId { person: people[1] }.into());
    assert_eq!(store.put_members(&[again]), used);
    let again = Member::of(gone, vec![by_other(people[1], 0, 5)]);
    let unknown = Err(GalleryError::UnknownPerson { person: people[1] }.into());
    assert_eq!(store.put_beside(&[again]), unknown);
}

#[test]
fn what_is_dropped_is_off_the_flash_after_cleaning_also_if_a_start_comes_between() {
    for restarted in [false, true] {
        let flash = MockFlash::new();
        let before = {
            let mut store = open(&flash, MODEL).unwrap();
            for at in 0..6 {
                let person = store.add_person(name(&format!("person {at}"))).unwrap();
                store.put_template(template(person, 0, 5)).unwrap();
            }
            while store.tidy_up().unwrap() {}
            pieces(&image(&flash))
        };
        let mut written = BTreeSet::new();
        let mut store = open(&flash, MODEL).unwrap();
        store.begin_beside(OTHER).unwrap();
        let people: Vec<_> = marks(&store).into_iter().map(|(id, _)| id).collect();
        for &person in &people {
            let here = pieces(&image(&flash));
            let put = [member(&store, person, 91)];
            store.put_beside(&put).unwrap();
            written.extend(pieces(&image(&flash)).difference(&here).copied());
        }
        assert!(written.len() > 1000 && written.is_disjoint(&before));
        store.drop_beside().unwrap();
        assert_eq!(store.beside(), None);
        if restarted {
            drop(store);
            store = open(&flash, MODEL).unwrap();
            assert_eq!(store.beside(), None);
        }
        while store.tidy_up().unwrap() {}
        let mut left = pieces(&image(&flash));
        // A segment that was begun meanwhile keeps its number, and so its header.
        for number in flash.segments(Series::Gallery) {
            let header = flash.bytes(Series::Gallery.segment(number)).unwrap();
            left = &left - &pieces(&header[..24]);
        }
        let found = written.intersection(&left).count();
        assert_eq!(found, 0, "pieces of sealed batches are left, restarted: {restarted}");
        assert_eq!(store.gallery().unwrap().n_templates(), 6);
        drop(store);
        assert!(open(&flash, OTHER).is_err(), "nothing of it is left to be opened");
    }
}

#[test]
fn an_older_copy_of_the_gallery_is_a_fault_whichever_model_opens_it() {
    let flash = MockFlash::new();
    drop(staged(&flash));
    let copy = |flash: &MockFlash| {
        let numbers = flash.segments(Series::Gallery).into_iter();
        let objects = numbers.map(|number| Series::Gallery.segment(number));
        objects.map(|object| (object, flash.bytes(object))).collect::<Vec<_>>()
    };
    // One more of the other model's, bound when the unit idles.
    let older = copy(&flash);
    let mut store = open(&flash, MODEL).unwrap();
    let put = [member(&store, marks(&store)[0].0, 7)];
    store.put_beside(&put).unwrap();
    while store.tidy_up().unwrap() {}
    drop(store);
    for model in [MODEL, OTHER] {
        let flash = flash.copy();
        for number in flash.segments(Series::Gallery) {
            flash.set_bytes(Series::Gallery.segment(number), None);
        }
        for (object, bytes) in older.clone() {
            flash.set_bytes(object, bytes);
        }
        let opened = open(&flash, model).map(drop);
        assert!(matches!(opened, Err(StoreError::RolledBack { .. })), "{opened:?}");
    }
}

#[test]
fn a_gallery_of_one_model_is_written_as_before_and_one_of_two_is_told_from_it() {
    let flash = MockFlash::new();
    let mut store = open(&flash, MODEL).unwrap();
    let person = store.add_person(name("Ada")).unwrap();
    store.put_template(template(person, 0, 5)).unwrap();
    let version = || flash.bytes(Series::Gallery.segment(1)).unwrap()[8];
    assert_eq!(version(), 2, "a program from before goes on with it");
    store.begin_beside(OTHER).unwrap();
    assert_eq!(version(), 3, "a program from before says that it is of a later version");
    store.put_template(template(person, 1, 5)).unwrap();
    assert_eq!(marks(&open(&flash, MODEL).unwrap()), [(person, vec![5, 5])]);
}

#[test]
fn what_is_no_template_of_that_model_or_of_nobody_who_is_there_is_refused_and_changes_nothing() {
    let flash = MockFlash::new();
    let mut store = open(&flash, MODEL).unwrap();
    let id = store.add_person(name("Ada")).unwrap();
    let ada = Person { id, name: name("Ada") };
    store.put_template(template(id, 0, 5)).unwrap();
    let put = |template: Template| vec![Member::of(ada.clone(), vec![template])];
    let nothing = store.put_beside(&put(by_other(id, 0, 1)));
    assert_eq!(nothing, Err(GalleryError::NothingBeside.into()));
    assert_eq!(store.begin_beside(MODEL), Err(GalleryError::SameModel.into()));
    store.begin_beside(OTHER).unwrap();
    let other_name = Member::of(Person { id, name: name("Eve") }, vec![by_other(id, 0, 1)]);
    let nobody = PersonId(id.0 + 1);
    let unknown = Member::of(Person { id: nobody, name: name("Eve") }, vec![]);
    let twice = Member::of(ada.clone(), vec![by_other(id, 0, 1), by_other(id, 0, 2)]);
    let bad = |vector_of: Template| Template { scale: 0.0, ..vector_of };
    for members in [
        vec![other_name],
        vec![unknown],
        vec![twice],
        put(template(id, 0, 1)),
        put(bad(by_other(id, 0, 1))),
        [put(by_other(id, 0, 1)), put(by_other(id, 1, 1))].concat(),
    ] {
        let refused = store.put_beside(&members);
        assert!(matches!(refused, Err(StoreError::Gallery(_))), "{refused:?}");
    }
    let empty = Beside { model: OTHER, people: 0, templates: 0, without: 1 };
    assert_eq!(store.beside(), Some(empty));
    drop(store);
    assert_eq!(open(&flash, MODEL).unwrap().beside(), Some(empty));
}
