//! An update to another model with everybody's templates by it: staged over the line, tried, confirmed or gone back from.

use crate::keys::Bench;
use crate::rig::{LEN, Show, template};
use crate::update::{BOARD, Files, Unit, files, owner_tag};
use threshold_bundle::FileKind;
use threshold_edge::update::staging::KEPT_MS;
use threshold_host::cmd::flash::gallery::{StagedThere, stage};
use threshold_host::session::SessionError;
use threshold_record::{EntryKind, LogEntry, ModelId, Name, Person, PersonId, Role, Template};
use threshold_slots::Slot;
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::endpoints::{ConfirmUpdate, GetBeside, RemovePerson, RevertUpdate};
use threshold_wire::gallery::Why;
use threshold_wire::gallery::beside::GalleryBeside;
use threshold_wire::gallery::content::{self, Origin, Told};
use threshold_wire::message::{Nothing, PersonRemove};
use threshold_wire::update::{UpdateApply, UpdateEnded, UpdateRefusal};

/// By the new model everybody's face is another axis.
const MOVED: usize = 50;

fn model_of(files: &Files) -> ModelId {
    let pack = files.iter().find(|(_, kind, _)| *kind == FileKind::Pack).unwrap();
    ModelId(*blake3::hash(&pack.2).as_bytes())
}

/// A version of another model.
fn others(version: u8) -> Files {
    let mut files = files(version);
    files[1] = ("packs/other.safetensors", FileKind::Pack, Lots(5).bytes(1000));
    files
}

fn by(model: ModelId, person: PersonId, number: usize) -> Template {
    Template { model: model.tag(), ..template(person, 0, number) }
}

/// A unit of the first model, with people of these names, whose faces are 1, 2 and so on.
fn unit_with(names: &[&str]) -> (Unit, [ModelId; 2], Vec<Person>) {
    let mut unit = Unit::running(&files(1));
    let models = [model_of(&files(1)), model_of(&others(2))];
    start(&mut unit, Slot::A, models[0]);
    let mut people = Vec::new();
    for (at, text) in names.iter().enumerate() {
        people.push(enrol(&unit, models[0], text, at + 1));
    }
    (unit, models, people)
}

fn enrol(unit: &Unit, model: ModelId, text: &str, number: usize) -> Person {
    let name = Name::new(text).unwrap();
    let id = unit.bench.store(|store| {
        let id = store.add_person(name.clone()).unwrap();
        store.put_template(by(model, id, number)).unwrap();
        id
    });
    unit.bench.rig.borrow().shared.lock().gallery_changed();
    Person { id, name }
}

fn start(unit: &mut Unit, slot: Slot, model: ModelId) {
    unit.start_as(slot, model);
    let rig = unit.bench.rig.borrow();
    rig.commission();
    rig.shared.lock().acknowledge_photo(owner_tag()).unwrap();
}

/// A gallery of that model with a template of each, and of a stranger to the unit.
fn gallery(model: ModelId, people: &[Person]) -> Vec<u8> {
    let stranger = Person { id: PersonId(900), name: Name::new("Zoe").unwrap() };
    let all = people.iter().cloned().chain([stranger]);
    let all: Vec<_> = all
        .map(|person| (vec![by(model, person.id, person.id.0 as usize % LEN + MOVED)], person))
        .collect();
    let told = all.iter().map(|(templates, person)| Told { person, access: None, templates });
    let origin = Origin { model, store_id: [9; 16], generation: 5 };
    content::write(&origin, std::iter::empty(), told).unwrap()
}

fn put_beside(bench: &Bench, by: u8, bytes: &[u8]) -> Result<StagedThere, SessionError> {
    let mut session = bench.session(by);
    let transfer = session.push_gallery(bytes, &mut |_, _| {})?;
    stage(&mut session, transfer)
}

fn refusal(staged: Result<StagedThere, SessionError>) -> UpdateRefusal {
    match staged {
        Err(SessionError::Update(refusal)) => *refusal,
        other => panic!("{other:?}"),
    }
}

fn beside(unit: &Unit) -> Option<GalleryBeside> {
    unit.bench.session(3).call::<GetBeside>(&Nothing {}).unwrap().beside
}

fn other_version(unit: &Unit, version: u8, counter: u64) -> Vec<u8> {
    unit.factory.bundle(BOARD, &format!("{version}.0"), counter, &others(version))
}

/// What comes of a visit with that face.
fn visit(unit: &Unit, face: usize) -> LogEntry {
    let mut rig = unit.bench.rig.borrow_mut();
    rig.visit(Show::Face(face), 5);
    // Nobody waits for a lock-out here.
    rig.clock.advance(3_600_000);
    *rig.decisions().last().unwrap()
}

/// True if that face opens the door, as that person.
fn opens(unit: &Unit, face: usize, person: &Person) -> bool {
    let before = unit.bench.rig.borrow().pulses();
    let entry = visit(unit, face);
    let pulsed = unit.bench.rig.borrow().pulses() > before;
    pulsed && entry.person == person.id
}

/// The loop looks whether what lies beside the gallery is needed, after so long, and idles.
fn look(unit: &Unit, ms: u64) {
    let mut rig = unit.bench.rig.borrow_mut();
    rig.clock.advance(ms);
    let updates = rig.shared.lock().updates().cloned().unwrap();
    updates.look_beside(&rig.shared);
    rig.show(&[Show::Nothing; 20]);
}

fn ended(ended: UpdateEnded) {
    assert_eq!(ended, UpdateEnded::Done);
}

#[test]
fn both_versions_have_a_gallery_of_their_model_and_whoever_was_removed_is_in_neither() {
    let (mut unit, [first, other], people) = unit_with(&["Ada", "Grace", "Eve"]);
    let [ada, grace, eve] = [&people[0], &people[1], &people[2]];
    assert!(opens(&unit, 1, ada));
    let bundle = other_version(&unit, 2, 3);
    let refused = unit.flash(&bundle, 0).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::RE_ENROL);
    assert!(refused.text.contains("no template of 3 people; send"), "{refused}");
    // A gallery that lacks somebody is counted, and goes with the owner's word alone.
    let staged = put_beside(&unit.bench, 1, &gallery(other, &people[..2])).unwrap();
    assert_eq!((staged.model, staged.people, staged.templates, staged.without), (other, 2, 2, 1));
    assert_eq!(staged.left_out.len(), 1);
    assert_eq!(staged.left_out[0].why, Why::NotThere, "Zoe is not at the unit");
    let refused = unit.flash(&bundle, 0).unwrap_err();
    assert!(refused.text.contains("no template of 1 people; send"), "{refused}");
    let staged = put_beside(&unit.bench, 1, &gallery(other, &people)).unwrap();
    assert_eq!((staged.people, staged.without), (3, 0));
    assert_eq!(unit.kinds(EntryKind::GalleryStaged), [owner_tag(); 2]);
    assert!(opens(&unit, 1, ada) && !opens(&unit, 1 + MOVED, ada), "nothing changes meanwhile");
    unit.flash(&bundle, 0).unwrap();

    start(&mut unit, Slot::B, other);
    assert!(opens(&unit, 1 + MOVED, ada) && !opens(&unit, 1, ada));
    let refused = refusal(put_beside(&unit.bench, 1, &gallery(first, &people)));
    assert_eq!(refused.code, UpdateRefusal::NOT_BESIDE, "the way back is not written over");
    assert!(refused.text.contains("; "), "{refused}");
    unit.owner().call::<RemovePerson>(&PersonRemove { person: grace.id }).unwrap();
    let late = enrol(&unit, other, "Late", 30);
    look(&unit, KEPT_MS);
    let there = GalleryBeside { model: first, people: 2, templates: 2, without: 1 };
    assert_eq!(beside(&unit), Some(there), "Late would be unknown to the version before");
    ended(unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap());

    start(&mut unit, Slot::A, first);
    assert!(opens(&unit, 1, ada) && opens(&unit, 3, eve));
    assert!(!opens(&unit, 2, grace) && !opens(&unit, 2 + MOVED, grace), "she was removed");
    assert!(!opens(&unit, 30, &late), "he was enrolled by the other model alone");
    // Nor is she there if the other version is started once more.
    start(&mut unit, Slot::B, other);
    assert!(opens(&unit, 3 + MOVED, eve) && opens(&unit, 30, &late));
    assert!(!opens(&unit, 2 + MOVED, grace));
}

#[test]
fn the_gallery_of_before_goes_once_its_version_may_not_be_started_any_more() {
    let (mut unit, [first, other], people) = unit_with(&["Ada"]);
    put_beside(&unit.bench, 1, &gallery(other, &people)).unwrap();
    unit.flash(&other_version(&unit, 2, 4), 0).unwrap();
    start(&mut unit, Slot::B, other);
    look(&unit, 60_000);
    assert_eq!(beside(&unit).map(|held| held.model), Some(first), "it is on trial");
    ended(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap());
    look(&unit, 60_000);
    assert_eq!(beside(&unit), None, "its counter keeps the version before from starting");
    assert!(opens(&unit, 1 + MOVED, &people[0]));
}

#[test]
fn a_version_that_may_still_be_gone_back_to_keeps_its_gallery_until_its_slot_is_filled_anew() {
    let (mut unit, [first, other], people) = unit_with(&["Ada"]);
    put_beside(&unit.bench, 1, &gallery(other, &people)).unwrap();
    unit.flash(&other_version(&unit, 2, 3), 0).unwrap();
    start(&mut unit, Slot::B, other);
    ended(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap());
    look(&unit, 60_000);
    assert_eq!(beside(&unit).map(|held| held.model), Some(first), "threshold revert may ask");
    ended(unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap());
    start(&mut unit, Slot::A, first);
    assert!(opens(&unit, 1, &people[0]));
    look(&unit, 60_000);
    assert_eq!(beside(&unit).map(|held| held.model), Some(other));
    // The next update takes the slot of the version of the other model.
    unit.flash(&unit.factory.bundle(BOARD, "3.0", 3, &files(3)), 0).unwrap();
    start(&mut unit, Slot::B, first);
    look(&unit, 60_000);
    assert_eq!(beside(&unit), None);
    assert!(opens(&unit, 1, &people[0]));
}

#[test]
fn what_was_staged_for_a_version_that_nobody_installs_goes_after_a_while_and_at_a_start() {
    let (mut unit, [first, other], people) = unit_with(&["Ada"]);
    let staged = |unit: &Unit| {
        put_beside(&unit.bench, 1, &gallery(other, &people)).unwrap();
    };
    staged(&unit);
    look(&unit, KEPT_MS - 1_000);
    assert!(beside(&unit).is_some());
    look(&unit, 60_000);
    assert_eq!(beside(&unit), None);
    staged(&unit);
    start(&mut unit, Slot::A, first);
    look(&unit, 0);
    assert_eq!(beside(&unit), None);
    assert!(opens(&unit, 1, &people[0]));
    // A bundle that was on its way at the start may be the one that it is for.
    staged(&unit);
    std::fs::create_dir_all(unit.pushed().parent().unwrap()).unwrap();
    std::fs::write(unit.pushed(), [1; 100]).unwrap();
    start(&mut unit, Slot::A, first);
    look(&unit, 20_000);
    assert!(beside(&unit).is_some());
    look(&unit, KEPT_MS);
    assert_eq!(beside(&unit), None);
}

#[test]
fn a_gallery_that_cannot_lie_beside_the_units_is_refused_and_nothing_is_written() {
    let (unit, [first, other], people) = unit_with(&["Ada"]);
    let generation = || unit.bench.store(|store| store.gallery().unwrap().generation());
    let before = generation();
    for byte in [2, 3] {
        let refused = put_beside(&unit.bench, byte, &gallery(other, &people));
        let Err(SessionError::Refused(RequestError::RoleTooLow { least, .. })) = refused else {
            panic!("{refused:?}")
        };
        assert!(least.reaches(Role::Enroller));
    }
    let refused = refusal(put_beside(&unit.bench, 1, &gallery(first, &people)));
    assert_eq!(refused.code, UpdateRefusal::NOT_BESIDE);
    assert!(refused.text.contains("; "), "{refused}");
    let mut damaged = gallery(other, &people);
    damaged[20] ^= 1;
    let refused = put_beside(&unit.bench, 1, &damaged);
    assert!(matches!(refused, Err(SessionError::Refused(RequestError::BadGallery(_)))));
    assert_eq!((generation(), beside(&unit)), (before, None));
    assert_eq!(unit.kinds(EntryKind::GalleryStaged), []);
    // With the owner's word the version is installed without, as ever.
    unit.flash(&other_version(&unit, 2, 3), UpdateApply::RE_ENROL).unwrap();
}

#[test]
fn a_unit_that_runs_from_no_slot_has_no_version_to_stage_for() {
    let bench = Bench::new(&[crate::keys::administrator(1, Role::Owner)]);
    let refused = refusal(put_beside(&bench, 1, &gallery(ModelId([3; 32]), &[])));
    assert_eq!(refused.code, UpdateRefusal::NO_SLOTS);
}
