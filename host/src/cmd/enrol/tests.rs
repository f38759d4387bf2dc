//! Tests of an enrolment from photos against a unit in this process.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::session::fake::{FakeUnit, Fault, store_fault};
use threshold_models::engine::{BBox, Detection, Embedding};
use threshold_models::quality::Quality;
use threshold_record::{Administrator, Role, Score, Template};
use threshold_wire::Call;
use threshold_wire::message::{GallerySearchDone, Resembled};
use threshold_wire::session::SecretKey;

/// A photo whose embedding points along one axis.
fn photo(name: &str, axis: usize) -> Photo {
    let mut embedding = vec![0.0; 512];
    embedding[axis] = 1.0;
    let face = Detection { bbox: BBox::default(), landmarks: [[0.0; 2]; 5], score: 1.0 };
    Photo {
        path: name.into(),
        face,
        quality: Quality { percent: 90, cause: Cause::None },
        embedding: Embedding(embedding),
    }
}

fn enrolment(name: &str, n_photos: usize) -> Enrolment {
    Enrolment {
        name: Name::new(name).unwrap(),
        photos: (0..n_photos).map(|n| photo(&format!("{n}.jpg"), 0)).collect(),
        model: FakeUnit::new().info().model.unwrap(),
        force: false,
    }
}

fn say() -> Say {
    Say::new(true)
}

fn resembles(person: PersonId, score: f32) -> Option<Resembled> {
    Some(Resembled { person, score: Score(score) })
}

/// A unit that has Ann with templates in these slots, and finds her in her photos.
fn with_ann(slots: u8) -> FakeUnit {
    let mut unit = FakeUnit::new();
    let ann = unit.add_person("Ann", slots);
    unit.found = GallerySearchDone { best: resembles(ann, 0.9), runner_up: None };
    unit
}

#[test]
fn photos_unlike_each_other_or_unlike_those_enrolled_change_nothing_unless_forced() {
    let tried = |others: usize, found: f32, force: bool| {
        let mut unit = with_ann(1);
        unit.found.best = resembles(PersonId(1), found);
        let mut enrolment = Enrolment { force, ..enrolment("Ann", 1) };
        enrolment.photos.extend((0..others).map(|n| photo("bob.jpg", n + 1)));
        let mut session = unit.session();
        let done = enrolment
            .check_pairs(say())
            .and_then(|()| enrolment.carry_out(&mut session, say(), None));
        (
            done.map(|done| done.slots).map_err(|error| error.to_string()),
            session.unit().people[0].slots,
        )
    };
    assert_eq!(tried(0, 0.9, false), (Ok(vec![1]), 0b11));
    let (error, slots) = tried(1, 0.9, false);
    assert!(error.unwrap_err().starts_with("0.jpg and bob.jpg hardly show one person"));
    assert_eq!((slots, tried(1, 0.9, true).1), (1, 0b111));
    let (error, slots) = tried(0, 0.1, false);
    assert_eq!(error.unwrap_err(), "0.jpg hardly resembles Ann, who is enrolled already");
    assert_eq!((slots, tried(0, 0.1, true).1), (1, 0b11));
}

#[test]
fn a_new_person_gets_a_template_for_each_photo() {
    let mut session = FakeUnit::new().session();
    let enrolment = enrolment("Ann", 2);
    let done = enrolment.carry_out(&mut session, say(), None).unwrap();
    let person = PersonId(1);
    let (slots, there) = (vec![0, 1], vec![]);
    let not_needed = vec![];
    let expected = Enrolled { person, added: true, slots, there, not_needed, generation: 4 };
    assert_eq!(done, expected);
    assert_eq!(session.unit().people[0].slots, 0b11);
    let value = enrolment.value(&done);
    assert_eq!(value["templates"][1], json!({"photo": "1.jpg", "slot": 1, "quality": 90}));
}

#[test]
fn an_enrolled_person_gets_the_free_slots() {
    let unit = with_ann(0b1011);
    let mut session = unit.session();
    let done = enrolment("Ann", 2).carry_out(&mut session, say(), None).unwrap();
    assert_eq!((done.added, done.slots), (false, vec![2, 4]));
}

#[test]
fn too_many_photos_are_refused_before_anything_is_pushed() {
    let check = |slots: u8, n_photos: usize, expected: &str| {
        let mut unit = FakeUnit::new();
        unit.add_person("Ann", slots);
        let mut session = unit.session();
        let error = enrolment("Ann", n_photos).carry_out(&mut session, say(), None).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(session.unit().people[0].slots, slots);
    };
    check(0b0111_1111, 2, "Ann has 7 templates and the unit keeps 8 a person, 2 more do not fit");
    check(0, 9, "Ann has 0 templates and the unit keeps 8 a person, 9 more do not fit");
}

#[test]
fn photos_of_whoever_is_full_take_the_place_of_the_most_redundant_and_those_are_kept_first() {
    let folder = tempfile::tempdir().unwrap();
    let held = |slot: u8| Template {
        person: PersonId(1),
        slot,
        quality: 50,
        model: FakeUnit::new().info().model.unwrap().id.tag(),
        scale: 0.01,
        vector: std::iter::repeat_n(slot as i8 + 1, 512).collect(),
    };
    let enrolled = |used: u8, photos: usize, redundant: Vec<Option<Template>>| {
        let mut unit = with_ann(used);
        unit.redundant = redundant.into();
        let mut session = unit.session();
        let mut replaced = replaced::tests::replaced(folder.path());
        let enrolment = enrolment("Ann", photos);
        let done = enrolment.carry_out(&mut session, say(), Some(&mut replaced)).unwrap();
        (enrolment.text(&done), enrolment.value(&done), replaced.value(), done)
    };
    // One free slot, one that is replaced, and one photo that tells less than everything else.
    let (text, value, replaced, done) = enrolled(0b1111_0111, 3, vec![Some(held(5)), None]);
    assert_eq!((done.slots, replaced["slots"].clone()), (vec![3, 5], json!([5])));
    assert_eq!(value["not_needed"], json!(["2.jpg"]));
    assert!(text.ends_with("tells the least beside the others  2.jpg"), "{text}");
    let (text, value, replaced, done) = enrolled(0xff, 1, vec![None]);
    assert!(text.starts_with("Ann (#1) keeps the templates that are there"), "{text}");
    assert_eq!((done.slots.len(), replaced["file"].clone()), (0, Value::Null));
    assert_eq!(value["templates"], json!([]));
}

#[test]
fn a_template_that_cannot_be_the_persons_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut unit = with_ann(0xff);
    let mut odd = replaced::tests::template(8, 1);
    odd.slot = 8;
    unit.redundant = [Some(odd)].into();
    let mut session = unit.session();
    let mut replaced = replaced::tests::replaced(folder.path());
    let error = enrolment("Ann", 1).carry_out(&mut session, say(), Some(&mut replaced));
    let said = format!("{:#}", error.unwrap_err());
    assert!(said.contains("cannot be Ann's"), "{said}");
    assert!(!session.unit().obeyed.contains(&"gallery/template/put"));
    assert!(replaced.text().is_none());
}

#[test]
fn a_face_of_somebody_else_changes_nothing_unless_forced() {
    let unit = |best: f32, ann_best: bool| {
        let mut unit = FakeUnit::new();
        let bob = unit.add_person("Bob", 1);
        let ann = unit.add_person("Ann", 1);
        let (bob, ann) = (resembles(bob, best), resembles(ann, 0.9));
        let (best, runner_up) = if ann_best { (ann, bob) } else { (bob, ann) };
        unit.found = GallerySearchDone { best, runner_up };
        unit
    };
    let check = |unit: FakeUnit, force: bool, enrolled: bool| {
        let mut session = unit.session();
        let enrolment = Enrolment { force, ..enrolment("Ann", 1) };
        let result = enrolment.carry_out(&mut session, say(), None);
        assert_eq!(result.is_ok(), enrolled, "{result:?}");
        if let Err(error) = result {
            let text = "0.jpg: this face matches Bob (#1), who is enrolled already: ";
            assert!(error.to_string().starts_with(text), "{error}");
        }
        assert_eq!(session.unit().people[1].slots == 0b11, enrolled);
    };
    check(unit(0.95, false), false, false);
    check(unit(0.5, true), false, false);
    check(unit(0.95, false), true, true);
    check(unit(0.42, true), false, true);
}

#[test]
fn whom_a_face_resembles_is_told_to_an_owner_and_to_nobody_else() {
    let key = |byte: u8| SecretKey::of_bytes([byte; 32]).unwrap();
    let refused = |role: Role| {
        let mut unit = FakeUnit::new();
        let bob = unit.add_person("Bob", 1);
        unit.found = GallerySearchDone { best: resembles(bob, 0.9), runner_up: None };
        let (whose, name) = (*key(1).public(), Name::new("Ada").unwrap());
        unit.keys = Some((key(2), Administrator { key: whose, name, role }));
        let mut session = unit.session();
        session.secure(&key(1), key(2).public()).unwrap();
        assert_eq!(session.is_owners(), role == Role::Owner);
        let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
        assert_eq!(session.unit().people.len(), 1, "nobody came");
        format!("{error}; {}", crate::remedy::of(&error))
    };
    let said = refused(Role::Owner);
    assert!(said.starts_with("0.jpg: this face matches Bob (#1), who is enrolled"), "{said}");
    assert!(said.contains("under that name if it is Bob (#1)"), "{said}");
    let said = refused(Role::Enroller);
    assert!(said.starts_with("0.jpg: this face matches somebody who is enrolled"), "{said}");
    assert!(said.contains("have an owner repeat the command"), "{said}");
    assert!(!said.contains("Bob") && !said.contains("#1"), "{said}");
}

#[test]
fn an_enroller_who_is_told_scores_alone_adds_photos_to_somebody_as_an_owner_does() {
    let key = |byte: u8| SecretKey::of_bytes([byte; 32]).unwrap();
    let added = |role: Role, [ann, bob]: [f32; 2], photo: Enrolment| {
        let mut unit = FakeUnit::new();
        let ids = [unit.add_person("Ann", 1), unit.add_person("Bob", 1)];
        let [ann, bob] = [resembles(ids[0], ann), resembles(ids[1], bob)];
        let ann_first = ann.unwrap().score > bob.unwrap().score;
        let (best, runner_up) = if ann_first { (ann, bob) } else { (bob, ann) };
        unit.found = GallerySearchDone { best, runner_up };
        let (whose, name) = (*key(1).public(), Name::new("Ada").unwrap());
        unit.keys = Some((key(2), Administrator { key: whose, name, role }));
        let mut session = unit.session();
        session.secure(&key(1), key(2).public()).unwrap();
        let (people, there) = (People::read(&mut session).unwrap(), photo.name.clone());
        let there = people.named(&there);
        photo
            .check_against_gallery(&mut session, say(), &people, there, &photo.photos[0])
            .map_err(|error| error.to_string())
    };
    for role in [Role::Owner, Role::Enroller] {
        let ann = || enrolment("Ann", 1);
        assert_eq!(added(role, [0.9, 0.1], ann()), Ok(false), "{role:?}: another photo of hers");
        assert_eq!(added(role, [0.99, 0.1], ann()), Ok(true), "{role:?}: the same photo");
        let unlike = "0.jpg hardly resembles Ann, who is enrolled already";
        assert_eq!(added(role, [0.1, 0.0], ann()), Err(unlike.into()), "{role:?}: like nobody");
        assert_eq!(added(role, [0.1, 0.9], ann()), Err(unlike.into()), "{role:?}: like Bob");
        let forced = Enrolment { force: true, ..ann() };
        assert_eq!(added(role, [0.1, 0.99], forced), Ok(false), "{role:?}: his photo");
        assert_eq!(added(role, [0.1, 0.99], enrolment("Eve", 1)), Ok(false), "{role:?}: new");
    }
}

#[test]
fn the_vault_keeps_before_the_unit_takes_and_after_everything_is_checked() {
    let kept_with = |unit: FakeUnit, n_photos: usize, fails: bool| {
        let (mut session, mut kept) = (unit.session(), 0);
        let enrolment = enrolment("Ann", n_photos);
        let ids = Ids { held: Default::default(), next: PersonId(5) };
        let done = enrolment.keep_and_carry_out(&mut session, say(), &ids, &mut |_| {
            kept += 1;
            if fails { Err(anyhow::anyhow!("no room")) } else { Ok(()) }
        });
        let slots = session.unit().people.iter().map(|one| one.slots).max().unwrap_or(0);
        (done.map(|done| (done.slots.len(), done.there.len())).ok(), kept, slots)
    };
    assert_eq!(kept_with(FakeUnit::new(), 2, false), (Some((2, 0)), 1, 0b11));
    assert_eq!(kept_with(FakeUnit::new(), 2, true), (None, 1, 0), "the unit has nothing");
    let refuses = || {
        let mut unit = FakeUnit::new();
        unit.refused = Some(store_fault());
        unit
    };
    assert_eq!(kept_with(refuses(), 2, false), (None, 1, 0), "the vault alone has it");
    let resembled = |person: &str, score: f32| {
        let mut unit = FakeUnit::new();
        let id = unit.add_person(person, 1);
        unit.found = GallerySearchDone { best: resembles(id, score), runner_up: None };
        unit
    };
    // Somebody else's face: neither half; a photo that the unit has is passed over.
    assert_eq!(kept_with(resembled("Bob", 0.9), 1, false), (None, 0, 1));
    assert_eq!(kept_with(resembled("Ann", 0.99), 2, false), (Some((0, 2)), 1, 1));
    assert_eq!(kept_with(resembled("Ann", 0.9), 8, false), (None, 0, 1), "no room");
}

#[test]
fn a_person_who_got_no_template_is_taken_out_again() {
    let mut unit = FakeUnit::new();
    unit.refused = Some(store_fault());
    let mut session = unit.session();
    let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
    let said = error.downcast_ref::<SessionError>().and_then(SessionError::refusal);
    assert_eq!(said, Some(&store_fault()));
    assert!(session.unit().people.is_empty());
}

#[test]
fn a_person_who_was_there_stays_when_templates_are_refused() {
    let mut unit = FakeUnit::new();
    unit.add_person("Ann", 0);
    unit.refused = Some(store_fault());
    let mut session = unit.session();
    enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
    assert_eq!(session.unit().people.len(), 1);
}

#[test]
fn a_fault_in_the_middle_says_how_many_photos_are_enrolled() {
    let mut unit = FakeUnit::new();
    unit.meanwhile = Some(|unit, call| {
        if matches!(call, Call::PutTemplate(put) if put.template.slot == 1) {
            unit.refused = Some(store_fault());
        }
    });
    let mut session = unit.session();
    let error = enrolment("Ann", 3).carry_out(&mut session, say(), None).unwrap_err();
    assert!(error.to_string().starts_with("1 of 3 photos are enrolled"), "{error}");
    assert_eq!(session.unit().people[0].slots, 1);
}

#[test]
fn a_line_that_goes_leaves_nobody_to_tell_and_says_so_at_once() {
    let mut session = FakeUnit::new().session();
    // The reading, the two searches and the person still arrive.
    session.unit().fault = Fault::GoneAfter(4);
    let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
    assert!(error.to_string().contains("was unplugged"), "{error}");
    session.unit().fault = Fault::None;
    let done = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap();
    assert_eq!((done.added, done.slots), (false, vec![0]));
}

#[test]
fn photos_of_two_people_are_noticed() {
    let mut enrolment = enrolment("Ann", 2);
    enrolment.photos.push(photo("bob.jpg", 1));
    let pairs: Vec<_> = enrolment.pairs().map(|pair| pair.2).collect();
    assert_eq!(pairs, [0.0, 2.0, 2.0]);
    assert_eq!(pairs.iter().filter(|&&distance| enrolment.unlike(distance)).count(), 2);
}
