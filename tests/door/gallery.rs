//! The gallery in bulk between the host's real session and units' real desks: pulled, sealed, pushed, compared, cut off.

use crate::keys::{Bench, BenchLine, administrator, key, refused};
use crate::rig::{LEN, MODEL, Rig, Show, axis, template};
use crate::rule;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use threshold_edge::service::Desk;
use threshold_host::cmd::gallery::compare::{Difference, differences};
use threshold_host::cmd::gallery::copy::listing;
use threshold_host::cmd::gallery::push::{Pushed, Pushing, Source, push_into};
use threshold_host::gallery_file;
use threshold_host::say::Say;
use threshold_host::session::bulk::Part;
use threshold_host::session::{Session, SessionError};
use threshold_models::search::quantise;
use threshold_record::{
    EntryKind, KeyId, LogEntry, ModelId, Name, Person, PersonId, Reason, Role, Template,
};
use threshold_store::{MockFlash, Object};
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::bulk::{BulkError, Content as Whole, Window};
use threshold_wire::endpoints::{
    AcknowledgePhoto, ApplyGallery, PutPerson, PutTemplate, RemovePerson, SearchAgain,
    SearchGallery, SetRole, StartPush,
};
use threshold_wire::gallery::content::{self, Content, Origin, Told};
use threshold_wire::gallery::{
    GalleryApply, GalleryFault, MAX_GALLERY, MAX_GALLERY_BYTES, Why, envelope,
};
use threshold_wire::message::{
    GalleryAgain, GallerySearch, GallerySearchDone, IfThere, Nothing, PersonPut, PersonRemove,
    PullWhat, PushRequest, PushWhat, TemplatePut,
};
use threshold_wire::speed::BASE;

/// A unit of its own keys, with an owner, an enroller and a viewer.
fn unit(number: u8) -> Bench {
    let flash = MockFlash::new();
    // Each unit draws from another place.
    flash.keys().random(&mut vec![0; usize::from(number)]).unwrap();
    of(Rig::on(&flash))
}

fn of(mut rig: Rig) -> Bench {
    rig.desk = Desk::new(rig.shared.clone(), false);
    let bench = Bench::of(rig);
    bench.store(|store| {
        for (byte, role) in [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)] {
            store.put_administrator(administrator(byte, role)).unwrap();
        }
    });
    bench.rig.borrow().commission();
    bench
}

fn enrol(bench: &Bench, text: &str, numbers: &[usize]) -> PersonId {
    let mut session = bench.session(2);
    let put = PersonPut { name: Name::new(text).unwrap(), if_there: IfThere::Use };
    let person = session.call::<PutPerson>(&put).unwrap().person;
    for (slot, &number) in numbers.iter().enumerate() {
        let template = template(person, slot as u8, number);
        session.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    }
    person
}

fn pull(session: &mut Session<BenchLine>) -> Result<Vec<u8>, SessionError> {
    session.pull_gallery(PullWhat::Gallery, &mut Part::default(), &mut |_, _| {})
}

fn pulled(bench: &Bench) -> Content {
    Content::read(pull(&mut bench.session(1)).unwrap()).unwrap()
}

fn push(bench: &Bench, source: Source<'_>) -> Result<Pushed, SessionError> {
    push_into(&mut bench.session(2), Say::new(true), Path::new("file"), source)
}

/// Pushes bytes as they are, as no honest host would, and has them applied.
fn push_raw(session: &mut Session<BenchLine>, bytes: &[u8]) -> Result<(), SessionError> {
    let transfer = session.push_gallery(bytes, &mut |_, _| {})?;
    while !session.call::<ApplyGallery>(&GalleryApply { transfer })?.done {}
    Ok(())
}

/// Everything that a change of the gallery would change.
fn state(bench: &Bench) -> (Option<Vec<u8>>, u64, usize) {
    let bytes = bench.rig.borrow().flash.bytes(Object::GallerySegment(1));
    let number = bench.rig.borrow().shared.lock().index_number();
    let enrolled = bench.rig.borrow().log();
    let enrolled = enrolled.iter().filter(|entry| entry.kind == EntryKind::Enrolled).count();
    (bytes, number, enrolled)
}

fn told(people: &[(Person, Vec<Template>)]) -> impl Iterator<Item = Told<'_>> {
    people.iter().map(|(person, templates)| Told { person, access: None, templates })
}

fn content_of(people: &[(Person, Vec<Template>)]) -> Vec<u8> {
    let origin = Origin { model: MODEL, store_id: [9; 16], generation: 5 };
    content::write(&origin, [].iter(), told(people)).unwrap()
}

fn person(id: u32, text: &str) -> Person {
    Person::new(PersonId(id), text).unwrap()
}

/// People with three templates each, by lot.
fn crowd(count: u32) -> Vec<(Person, Vec<Template>)> {
    let mut lots = Lots(3);
    let mut one = |id: u32| {
        let vector = |lots: &mut Lots| -> heapless::Vec<i8, 512> {
            lots.bytes(LEN).iter().map(|&byte| (byte as i8).max(-127)).collect()
        };
        let each = (0..3)
            .map(|slot| Template { vector: vector(&mut lots), ..template(PersonId(id), slot, 0) });
        (person(id, &format!("Person {id}")), each.collect())
    };
    (1..=count).map(&mut one).collect()
}

fn scores(bench: &Bench) -> Vec<String> {
    let search = |number| {
        let (scale, vector) = quantise(&axis(number));
        let search = GallerySearch { model: MODEL, scale, vector: vector.into_iter().collect() };
        format!("{:?}", bench.session(1).call::<SearchGallery>(&search).unwrap())
    };
    (0..12).map(search).collect()
}

#[test]
fn whom_a_face_resembles_a_unit_tells_an_owner_and_to_an_enroller_how_much_alone() {
    let bench = unit(0);
    let (ann, bob) = (enrol(&bench, "Ann", &[1]), enrol(&bench, "Bob", &[2]));
    let (scale, vector) = quantise(&axis(1));
    let vector: heapless::Vec<i8, 512> = vector.into_iter().collect();
    let search = GallerySearch { model: MODEL, scale, vector: vector.clone() };
    let again =
        |but| GalleryAgain { model: MODEL, pictures: 1, but, scale, vector: vector.clone() };
    let told = |key: u8| {
        let mut session = bench.session(key);
        let GallerySearchDone { best, runner_up } = session.call::<SearchGallery>(&search).unwrap();
        let nearest = |session: &mut Session<BenchLine>, but| {
            session.call::<SearchAgain>(&again(but)).unwrap().nearest
        };
        let (any, other) = (nearest(&mut session, None), nearest(&mut session, Some(ann)));
        [best, runner_up, any, other].map(Option::unwrap)
    };
    let (owners, enrollers) = (told(1), told(2));
    assert_eq!(owners.map(|it| it.person), [ann, bob, ann, bob]);
    assert_eq!(enrollers.map(|it| it.person), [PersonId::NOBODY; 4]);
    assert_eq!(owners.map(|it| it.score), enrollers.map(|it| it.score));
    assert!(owners[2].score > owners[3].score, "the own one is told by who is left without it");
}

#[test]
fn a_gallery_goes_from_one_unit_to_another_by_a_sealed_file_and_scores_alike_there() {
    let (a, b) = (unit(0), unit(1));
    let ada = enrol(&a, "Ada", &[1, 2]);
    let gone = enrol(&a, "Grace", &[3]);
    enrol(&a, "Emmy", &[4, 5, 6]);
    enrol(&a, "Nobody's photo", &[]);
    a.session(2).call::<RemovePerson>(&PersonRemove { person: gone }).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gallery");
    let bytes = pull(&mut a.session(1)).unwrap();
    let read = *a.rig.borrow().log().last().unwrap();
    let by = administrator(1, Role::Owner).key_id().tag();
    assert_eq!((read.kind, read.by), (EntryKind::GalleryRead, by));
    gallery_file::write(&path, &key(1), key(1).public(), &bytes).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let (sealed, recipient) = gallery_file::read(&path).unwrap();
    assert_eq!(recipient, key(1).key_id());
    assert!(!sealed.windows(4).any(|found| found == b"Emmy"), "a name lies there in the clear");
    let file = gallery_file::open(&key(1), &sealed).unwrap();
    let theirs = gallery_file::open(&key(2), &sealed).unwrap_err();
    assert!(matches!(theirs, GalleryFault::ForAnother { .. }));

    b.session(1).call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    let pushed = push(&b, Source::Open(&file)).unwrap();
    let counts = (pushed.added, pushed.changed, pushed.equal, pushed.templates);
    assert_eq!((counts, pushed.left_out.len()), ((3, 0, 0, 5), 0));
    assert_eq!(scores(&b), scores(&a));
    let entries = b.rig.borrow().log();
    let enrolled: Vec<_> = entries.iter().filter(|one| one.kind == EntryKind::Enrolled).collect();
    let by = administrator(2, Role::Enroller).key_id().tag();
    assert_eq!(enrolled.iter().map(|one| one.person.0).collect::<Vec<_>>(), [1, 3, 4]);
    assert!(enrolled.iter().all(|one| one.by == by));
    // What came is durable, and the door opens to whom it was given.
    let flash = b.rig.borrow().flash.copy();
    flash.cut_power(1);
    flash.power_on();
    let mut again = Rig::on(&flash);
    again.visit(Show::Face(2), 3);
    let decision = again.decisions()[0];
    assert_eq!((decision.person, decision.reason), (ada, Reason::Matched));

    // Once more, and nothing is sent; one template differs, and one is.
    let before = state(&b);
    let pushed = push(&b, Source::Open(&file)).unwrap();
    assert_eq!((pushed.sent, pushed.equal, pushed.added, pushed.changed), (0, 3, 0, 0));
    assert_eq!(state(&b), before);
    let other = TemplatePut { model: MODEL, template: template(ada, 1, 9) };
    b.session(2).call::<PutTemplate>(&other).unwrap();
    let pushed = push(&b, Source::Open(&file)).unwrap();
    let counts = (pushed.equal, pushed.added, pushed.changed, pushed.templates);
    assert_eq!(counts, (2, 0, 1, 1));
    assert!(pushed.sent < 300, "{} bytes for one template", pushed.sent);
    assert_eq!(scores(&b), scores(&a));
}

#[test]
fn two_galleries_are_compared_without_a_template_on_the_line() {
    let (a, b) = (unit(0), unit(1));
    for (text, numbers) in [("Ada", &[1, 2][..]), ("Grace", &[3]), ("Emmy", &[4])] {
        enrol(&a, text, numbers);
    }
    let file = pulled(&a);
    let ours = threshold_wire::gallery::listing::Listing::of(&file);
    let of = |bench: &Bench| listing(&mut bench.session(1), Say::new(true)).unwrap();
    assert_eq!((differences(&ours, &of(&a)), of(&a).digest()), (vec![], ours.digest()));
    for (text, numbers) in [("Ada", &[1, 7, 8][..]), ("Gracie", &[3])] {
        enrol(&b, text, numbers);
    }
    let extra = crowd(9).split_off(8);
    push_raw(&mut b.session(2), &content_of(&extra)).unwrap();
    let found = differences(&ours, &of(&b));
    assert_eq!(
        found,
        [
            Difference::Slots(person(1, "Ada"), vec![1, 2]),
            Difference::Name(person(2, "Grace"), person(2, "Gracie")),
            Difference::File(person(3, "Emmy")),
            Difference::Unit(person(9, "Person 9")),
        ]
    );
    assert_ne!(of(&b).digest(), ours.digest());
}

#[test]
fn an_export_is_taken_by_its_unit_from_an_enroller_and_by_no_other() {
    let (a, b, c) = (unit(0), unit(1), unit(2));
    enrol(&a, "Ada", &[1, 2]);
    let bytes = pull(&mut a.session(1)).unwrap();
    let for_b = |sender: u8| envelope::seal(&key(sender), &b.unit_key(), &bytes).unwrap();
    let (before_b, before_c) = (state(&b), state(&c));
    let refused_by = |bench: &Bench, bytes: &[u8]| match push(bench, Source::Sealed(bytes)) {
        Err(SessionError::Refused(RequestError::BadGallery(fault))) => fault,
        other => panic!("{other:?}"),
    };
    let sealed_for = KeyId::of(&b.unit_key());
    let own = KeyId::of(&c.unit_key());
    assert_eq!(refused_by(&c, &for_b(1)), GalleryFault::ForAnother { sealed_for, own });
    // By a viewer, and by somebody whom the unit does not know.
    for sender in [3, 9] {
        let fault = GalleryFault::UnknownSender { sender: key(sender).key_id() };
        assert_eq!(refused_by(&b, &for_b(sender)), fault);
    }
    let mut changed = for_b(1);
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(refused_by(&b, &changed), GalleryFault::Forged);
    assert_eq!((state(&b), state(&c)), (before_b, before_c));
    let pushed = push(&b, Source::Sealed(&for_b(1))).unwrap();
    assert_eq!((pushed.added, pushed.templates), (1, 2));
    assert_eq!(scores(&b), scores(&a));
    let pushed = push(&b, Source::Sealed(&for_b(2))).unwrap();
    assert_eq!((pushed.added, pushed.equal, pushed.templates), (0, 1, 0));
}

#[test]
fn whoever_was_removed_stays_removed_and_nobody_gets_anothers_id_or_name() {
    let unit = unit(0);
    let ada = enrol(&unit, "Ada", &[1]);
    enrol(&unit, "Grace", &[2]);
    let file = pulled(&unit);
    unit.session(2).call::<RemovePerson>(&PersonRemove { person: ada }).unwrap();
    let pushed = push(&unit, Source::Open(&file)).unwrap();
    let left: Vec<_> = pushed.left_out.iter().map(|left| (left.name.as_str(), left.why)).collect();
    assert_eq!((left, pushed.equal, pushed.added), (vec![("Ada", Why::Removed)], 1, 0));
    // Forty more who may not come, so that the answers take several calls, and one who may.
    let mut people = vec![(person(2, "Mallory"), vec![template(PersonId(2), 0, 5)])];
    people.extend((3..43).map(|id| (person(id, &format!("n {id}")), vec![])));
    people.push((person(50, "Grace"), vec![]));
    people.push((person(51, "Emmy"), vec![template(PersonId(51), 0, 6)]));
    let taken: Vec<_> = (3..43).map(|id| (person(id, &format!("m {id}")), vec![])).collect();
    push_raw(&mut unit.session(2), &content_of(&taken)).unwrap();
    let content = Content::read(content_of(&people)).unwrap();
    let pushed = push(&unit, Source::Open(&content)).unwrap();
    assert_eq!((pushed.added, pushed.templates, pushed.left_out.len()), (1, 1, 42));
    let mut whys = pushed.left_out.iter().map(|left| left.why);
    assert_eq!(whys.next(), Some(Why::OtherName));
    assert_eq!(whys.next_back(), Some(Why::OtherId { holder: PersonId(2) }));
    assert!(whys.all(|why| why == Why::OtherName));
    // An id that comes from elsewhere is given to nobody here.
    assert_eq!(enrol(&unit, "Fresh", &[7]), PersonId(52));
}

#[test]
fn templates_are_for_enrollers_and_owners_and_a_role_taken_away_ends_a_pull() {
    let unit = unit(0);
    let people = crowd(100);
    push_raw(&mut unit.session(2), &content_of(&people)).unwrap();
    let mut viewer = unit.session(3);
    let denied = RequestError::RoleTooLow { least: Role::Enroller, role: Role::Viewer };
    for what in [PullWhat::Gallery, PullWhat::Listing] {
        let refused = refused(viewer.pull_gallery(what, &mut Part::default(), &mut |_, _| {}));
        assert_eq!(refused, denied);
    }
    assert_eq!(refused(viewer.push_gallery(&content_of(&people), &mut |_, _| {})), denied);
    let apply = GalleryApply { transfer: 1 };
    assert_eq!(refused(viewer.call::<ApplyGallery>(&apply)), denied);
    // Of what another one pushed nothing is applied by somebody else.
    let transfer = unit.session(2).push_gallery(&content_of(&crowd(101)), &mut |_, _| {}).unwrap();
    let unknown = refused(unit.session(1).call::<ApplyGallery>(&GalleryApply { transfer }));
    assert_eq!(unknown, RequestError::UnknownPush);

    let mut session = unit.session(2);
    let mut told = 0;
    let demote = threshold_wire::administration::AdministratorRole {
        key: administrator(2, Role::Enroller).key_id(),
        role: Role::Viewer,
    };
    let outcome = session.pull_gallery(PullWhat::Gallery, &mut Part::default(), &mut |_, _| {
        told += 1;
        if told == 20 {
            unit.store(|store| store.set_role(demote.key, demote.role).unwrap());
        }
    });
    assert!(matches!(outcome, Err(SessionError::Bulk(BulkError::Dead { .. }))), "{outcome:?}");
    unit.session(1)
        .call::<SetRole>(&threshold_wire::administration::AdministratorRole {
            role: Role::Enroller,
            ..demote
        })
        .unwrap();
    assert!(pull(&mut unit.session(2)).is_ok());
}

#[test]
fn transfers_that_are_cut_go_on_where_they_stopped_both_ways() {
    let (a, b) = (unit(0), unit(1));
    let people = crowd(200);
    let bytes = content_of(&people);
    // The unit falls silent after so many frames, again and again.
    let (mut tries, mut first) = (0, Vec::new());
    let transfer = loop {
        let mut session = a.session(2);
        *a.passes.borrow_mut() = 8;
        let mut began = None;
        let outcome = session.push_gallery(&bytes, &mut |there, _| {
            began.get_or_insert(there);
        });
        *a.passes.borrow_mut() = usize::MAX;
        first.push(began.unwrap());
        tries += 1;
        match outcome {
            Ok(transfer) => break transfer,
            Err(SessionError::Bulk(BulkError::Dead { .. })) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(tries > 2 && first.is_sorted() && first[1] > 10_000, "{first:?}");
    let before = state(&a);
    assert_eq!(before.2, 0, "nothing of it counts before it is applied");
    let mut session = a.session(2);
    while !session.call::<ApplyGallery>(&GalleryApply { transfer }).unwrap().done {}
    assert_eq!(a.store(|store| store.gallery().unwrap().n_templates()), 600);
    // Applied, it is gone.
    let again = refused(session.call::<ApplyGallery>(&GalleryApply { transfer }));
    assert_eq!(again, RequestError::UnknownPush);

    let (mut part, mut first) = (Part::default(), Vec::new());
    let mut read = 0;
    let pulled = loop {
        let mut session = a.session(1);
        *a.passes.borrow_mut() = 60;
        let mut began = None;
        let outcome = session.pull_gallery(PullWhat::Gallery, &mut part, &mut |there, _| {
            began.get_or_insert(there);
        });
        *a.passes.borrow_mut() = usize::MAX;
        first.extend(began);
        read += 1;
        match outcome {
            Ok(bytes) => break bytes,
            Err(SessionError::Bulk(BulkError::Dead { .. })) => {}
            other => panic!("{other:?}"),
        }
    };
    assert!(read > 2 && first.is_sorted() && first[1] > 20_000, "{first:?}");
    let entries = a.rig.borrow().log();
    let reads = entries.iter().filter(|entry| entry.kind == EntryKind::GalleryRead).count();
    assert_eq!(reads, 1, "one copy was taken, however often the line was cut");
    let pulled = Content::read(pulled).unwrap();
    assert_eq!(push(&b, Source::Open(&pulled)).unwrap().added, 200);

    // A gallery that changed in between is taken from its beginning, and is whole.
    let mut session = a.session(1);
    *a.passes.borrow_mut() = 60;
    assert!(session.pull_gallery(PullWhat::Gallery, &mut part, &mut |_, _| {}).is_err());
    *a.passes.borrow_mut() = usize::MAX;
    enrol(&a, "Ada", &[1]);
    let mut session = a.session(1);
    let bytes = session.pull_gallery(PullWhat::Gallery, &mut part, &mut |_, _| {}).unwrap();
    assert_eq!(Content::read(bytes).unwrap().people, 201);
}

#[test]
fn a_push_that_was_left_half_applied_or_for_long_is_taken_anew() {
    let unit = unit(0);
    let bytes = content_of(&crowd(1000));
    let mut session = unit.session(2);
    let transfer = session.push_gallery(&bytes, &mut |_, _| {}).unwrap();
    let applied = session.call::<ApplyGallery>(&GalleryApply { transfer }).unwrap();
    assert!(!applied.done && applied.added > 100, "{applied:?}");
    // Whoever was put is there, also over a start, and no more of it than was told.
    let people = |bench: &Bench| bench.store(|store| store.gallery().unwrap().n_people());
    assert_eq!(people(&unit), applied.added as usize);
    let transfer = unit.session(2).push_gallery(&bytes, &mut |_, _| {}).unwrap();
    let mut session = unit.session(2);
    let mut last = session.call::<ApplyGallery>(&GalleryApply { transfer }).unwrap();
    while !last.done {
        last = session.call::<ApplyGallery>(&GalleryApply { transfer }).unwrap();
    }
    assert_eq!((last.equal, last.added), (applied.added, 1000 - applied.added));
    assert_eq!(people(&unit), 1000);

    let bytes = content_of(&crowd(300));
    let begin = || {
        *unit.passes.borrow_mut() = 8;
        let mut began = None;
        let outcome = unit.session(2).push_gallery(&bytes, &mut |there, _| {
            began.get_or_insert(there);
        });
        *unit.passes.borrow_mut() = usize::MAX;
        assert!(outcome.is_err());
        began.unwrap()
    };
    assert!(begin() == 0 && begin() > 10_000);
    unit.rig.borrow().clock.advance(10 * 60_000);
    assert_eq!(begin(), 0, "what nobody asks for is not kept for ever");
}

#[test]
fn a_push_goes_on_over_starts_of_the_unit_with_who_is_missing_and_counts_everybody_once() {
    let people = crowd(4_000);
    let whole = content_of(&people);
    let content = Content::read(whole.clone()).unwrap();
    let mut unit = unit(0);
    let removed = enrol(&unit, "Grace", &[9]);
    let remove = PersonRemove { person: removed };
    unit.session(2).call::<RemovePerson>(&remove).unwrap();
    // One template of somebody who is there already.
    let there = content_of(&[(person(7, "Person 7"), people[6].1[..1].to_vec())]);
    push_raw(&mut unit.session(2), &there).unwrap();
    let mut pushing = Pushing::of(Path::new("file"), Source::Open(&content));
    let people_there = |unit: &Bench| unit.store(|store| store.gallery().unwrap().n_people());
    let before_all = people_there(&unit);
    let (mut starts, mut most) = (0, 0);
    // The line goes with the power after so many frames of the unit: in the listing, in a part, between two batches, ever later. At
    // the first speed a part is 230 KB of 1.7 MB.
    loop {
        *unit.speed.borrow_mut() = BASE;
        let mut session = unit.session(2);
        *unit.passes.borrow_mut() = 4 + 90 * starts;
        let before = people_there(&unit);
        let outcome = pushing.go(&mut session, Say::new(true));
        *unit.passes.borrow_mut() = usize::MAX;
        drop(session);
        most = most.max(people_there(&unit) - before);
        if let Err(error) = outcome {
            assert!(matches!(error, SessionError::Bulk(_) | SessionError::Line(_)), "{error}");
            // Whoever gives up here is told who is there.
            let (text, pushed) = (pushing.cut_short(&error), pushing.pushed());
            let known = format!("{} people added and {} changed", pushed.added, pushed.changed);
            let says = |words: &str| text.as_ref().is_some_and(|text| text.contains(words));
            assert_eq!(says(&known), pushed.added + pushed.changed > 0, "{text:?}");
            let unsaid = people_there(&unit) - before_all - pushed.added as usize;
            assert!(unsaid == 0 || says("that were sent last may be there"), "{unsaid}: {text:?}");
        } else {
            break;
        }
        let flash = unit.rig.borrow().flash.copy();
        flash.cut_power(starts as u64);
        flash.power_on();
        drop(unit);
        let mut rig = Rig::on(&flash);
        rig.desk = Desk::new(rig.shared.clone(), false);
        unit = Bench::of(rig);
        starts += 1;
    }
    assert!(starts > 4 && most > 100, "{starts} starts, {most} people at once");
    let pushed = pushing.pushed();
    let left: Vec<_> = pushed.left_out.iter().map(|left| (left.person, left.why)).collect();
    assert_eq!(left, [(removed, Why::Removed)]);
    let counts = (pushed.added, pushed.changed, pushed.equal, pushed.templates);
    assert_eq!(counts, (3_998, 1, 0, 3 * 3_998 + 2));
    assert_eq!(people_there(&unit), 3_999);
    let held = unit.store(|store| store.gallery().unwrap().n_templates());
    assert_eq!(held, 3 * 3_999);
    // Each start cost a part at most: no person's templates came twice in a part that was answered for.
    assert!(pushed.sent < whole.len() as u64 + 2_000, "{} of {}", pushed.sent, whole.len());
    let enrolled = unit.rig.borrow().log();
    let is_of_push =
        |entry: &&LogEntry| entry.kind == EntryKind::Enrolled && entry.person != removed;
    // Person 7 twice, and everybody else.
    assert_eq!(enrolled.iter().filter(is_of_push).count(), 2 + 3_998);
}

#[test]
fn a_sealed_file_counts_everybody_once_however_often_it_is_cut() {
    let people = crowd(1_200);
    let mut unit = unit(0);
    let sealed = envelope::seal(&key(1), &unit.unit_key(), &content_of(&people)).unwrap();
    let removed = enrol(&unit, "Grace", &[9]);
    unit.session(2).call::<RemovePerson>(&PersonRemove { person: removed }).unwrap();
    // Of person 7 one template is there already, person 8 is there, and so is somebody who is not in the file.
    let somebody = (person(9_000, "Somebody"), vec![]);
    let there = [(people[6].0.clone(), people[6].1[..1].to_vec()), people[7].clone(), somebody];
    push_raw(&mut unit.session(2), &content_of(&there)).unwrap();
    let people_there = |unit: &Bench| unit.store(|store| store.gallery().unwrap().n_people());
    let mut pushing = Pushing::of(Path::new("file"), Source::Sealed(&sealed));
    // Cut in the listing, in the file, between the batches of which the unit tells, in the last listing; twice with the power.
    let mut cuts = Vec::new();
    for passes in (2..).step_by(5) {
        let mut session = unit.session(2);
        *unit.passes.borrow_mut() = passes;
        let outcome = pushing.go(&mut session, Say::new(true));
        *unit.passes.borrow_mut() = usize::MAX;
        drop(session);
        let Err(error) = outcome else { break };
        assert!(matches!(error, SessionError::Bulk(_) | SessionError::Line(_)), "{error}");
        cuts.push(people_there(&unit));
        let text = pushing.cut_short(&error).unwrap_or_default();
        assert_eq!(text.contains("all of it is in"), pushing.pushed().generation > 0, "{text}");
        if cuts.len() % 4 == 2 {
            let flash = unit.rig.borrow().flash.copy();
            flash.cut_power(passes as u64);
            flash.power_on();
            drop(unit);
            let mut rig = Rig::on(&flash);
            rig.desk = Desk::new(rig.shared.clone(), false);
            unit = Bench::of(rig);
        }
    }
    assert!(cuts.iter().any(|&there| there > 3 && there < 1_201), "{cuts:?}");
    let pushed = pushing.pushed();
    let left: Vec<_> = pushed.left_out.iter().map(|left| (left.person, left.why)).collect();
    assert_eq!(left, [(removed, Why::Removed)]);
    let counts = (pushed.added, pushed.changed, pushed.equal, pushed.templates);
    assert_eq!(counts, (1_197, 1, 1, 3 * 1_197 + 2), "{cuts:?}");
    assert_eq!(people_there(&unit), 1_200);
}

#[test]
fn a_gallery_that_would_not_hold_a_file_takes_nothing_of_it() {
    let unit = unit(0);
    let nobodys = |ids: std::ops::Range<u32>| -> Vec<_> {
        ids.map(|id| (person(id, &format!("n {id}")), vec![])).collect()
    };
    push_raw(&mut unit.session(2), &content_of(&nobodys(1..3))).unwrap();
    let before = state(&unit);
    let content = Content::read(content_of(&nobodys(3..MAX_GALLERY + 2))).unwrap();
    let full = push(&unit, Source::Open(&content));
    assert_eq!(refused(full), RequestError::GalleryFull { capacity: MAX_GALLERY });
    assert_eq!(state(&unit), before);
}

#[test]
fn a_thousand_people_are_put_in_few_batches_with_one_index_each() {
    let unit = unit(0);
    let bytes = content_of(&crowd(1000));
    let (before, writes) = (state(&unit).1, unit.rig.borrow().flash.writes());
    let mut session = unit.session(2);
    let transfer = session.push_gallery(&bytes, &mut |_, _| {}).unwrap();
    let mut calls = 0;
    while !session.call::<ApplyGallery>(&GalleryApply { transfer }).unwrap().done {
        calls += 1;
    }
    let (_, after, enrolled) = state(&unit);
    assert!(calls < 4 && after - before <= 4, "{calls} calls, {} indices", after - before);
    assert_eq!(enrolled, 1000);
    let writes = unit.rig.borrow().flash.writes() - writes;
    assert!(writes < 60, "{writes} writes");
    assert_eq!(unit.store(|store| store.gallery().unwrap().n_people()), 1000);
}

#[test]
fn a_visit_under_way_is_decided_by_the_threshold_of_the_gallery_that_was_pushed() {
    let unit = of(rule::rig());
    unit.session(1).call::<AcknowledgePhoto>(&Nothing {}).unwrap();
    enrol(&unit, "Ada", &[1]);
    // At one person a face halfway to another axis would count.
    unit.rig.borrow_mut().show(&[Show::Arrival, Show::Between(1, 127), Show::Between(1, 127)]);
    let people: Vec<_> = (2..11u32)
        .map(|id| (person(id, &format!("n {id}")), vec![template(PersonId(id), 0, id as usize)]))
        .collect();
    push_raw(&mut unit.session(2), &content_of(&people)).unwrap();
    unit.rig.borrow_mut().show(&[Show::Between(1, 127), Show::Departure]);
    let rig = unit.rig.borrow();
    assert_eq!((rig.decisions()[0].reason, rig.pulses()), (Reason::Unknown, 0));
}

#[test]
fn a_hostile_file_changes_nothing() {
    let unit = unit(0);
    enrol(&unit, "Ada", &[1]);
    let before = state(&unit);
    let mut session = unit.session(2);
    let mut check = |what: &str, bytes: &[u8]| {
        let refused = refused(push_raw(&mut session, bytes));
        let expected = matches!(
            refused,
            RequestError::BadGallery(_) | RequestError::GalleryOfOtherModel { .. }
        );
        assert!(expected, "{what}: {refused:?}");
        assert_eq!(state(&unit), before, "{what}");
    };
    let sound = content_of(&crowd(3));
    for at in (0..sound.len()).step_by(13).chain([sound.len() - 1]) {
        let mut flipped = sound.clone();
        flipped[at] ^= 1 << (at % 8);
        check(&format!("byte {at} changed"), &flipped);
    }
    for cut in [0, 1, 75, 76, 77, 100, sound.len() - 33, sound.len() - 1] {
        check(&format!("cut at {cut}"), &sound[..cut]);
    }
    let mended = |mut bytes: Vec<u8>| {
        bytes.truncate(bytes.len() - 32);
        let hash = blake3::hash(&bytes);
        [bytes, hash.as_bytes().to_vec()].concat()
    };
    let with = |at: usize, new: &[u8]| {
        let mut bytes = sound.clone();
        bytes[at..at + new.len()].copy_from_slice(new);
        mended(bytes)
    };
    check("too many people", &with(68, &u32::MAX.to_le_bytes()));
    check("more people than there are", &with(68, &4u32.to_le_bytes()));
    check("another model", &with(12, &[9; 32]));
    check("templates of another length", &with(10, &512u16.to_le_bytes()));
    let record = (sound.len() - 77 - 32) / 3;
    check("an id twice", &with(77 + record, &1u32.to_le_bytes()));
    check("nobody", &with(77, &0u32.to_le_bytes()));
    check("an id that would use up the others", &with(77 + 2 * record, &u32::MAX.to_le_bytes()));
    check("a name twice", &with(77 + record + 5, b"Person 1"));
    check("a name that moves the cursor", &with(82, b"\x1b[2Jabcd"));
    let mut long = crowd(1);
    long[0].1.iter_mut().for_each(|held| held.vector.push(1).unwrap());
    check("129 components", &content_of(&long));
    let other = Origin { model: ModelId([1; 32]), store_id: [9; 16], generation: 5 };
    let bytes = content::write(&other, [].iter(), std::iter::empty()).unwrap();
    check("an empty gallery of another model", &bytes);
    check("an envelope of nothing", &envelope::seal(&key(1), &unit.unit_key(), b"").unwrap());

    // Announced and never sent, or more than fits.
    let window = Window::of_baud(115_200);
    let mut start = |len| {
        let content = Whole { len, hash: [7; 32] };
        session.call::<StartPush>(&PushRequest { what: PushWhat::Gallery, content, window })
    };
    let huge = refused(start(MAX_GALLERY_BYTES + 1));
    assert!(matches!(huge, RequestError::BadGallery(GalleryFault::TooLong { .. })));
    let accepted = start(MAX_GALLERY_BYTES).unwrap();
    let apply = GalleryApply { transfer: accepted.transfer };
    assert_eq!(refused(session.call::<ApplyGallery>(&apply)), RequestError::UnknownPush);
    assert_eq!(state(&unit), before);
}

#[test]
fn a_gallery_of_another_model_is_refused_with_its_counts_before_anything_is_sent() {
    let unit = unit(0);
    let origin = Origin { model: ModelId([1; 32]), store_id: [9; 16], generation: 5 };
    let mut people = crowd(2);
    let tag = origin.model.tag();
    people.iter_mut().flat_map(|(_, held)| held).for_each(|held| held.model = tag);
    let bytes = content::write(&origin, [].iter(), told(&people)).unwrap();
    let content = Content::read(bytes.clone()).unwrap();
    let error = anyhow::Error::new(push(&unit, Source::Open(&content)).unwrap_err());
    let text = threshold_host::remedy::without(&error);
    assert!(text.contains("6 templates of 2 people made by model 0101"), "{text}");
    assert!(threshold_host::remedy::of(&error).contains("that model's pack"));
    let refused = refused(push_raw(&mut unit.session(2), &bytes));
    let (unit, file, people, templates) = (MODEL, origin.model, 2, 6);
    let expected = RequestError::GalleryOfOtherModel { unit, file, people, templates };
    assert_eq!(refused, expected);
}

#[test]
fn a_file_is_written_over_nothing_but_a_gallery_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("letters");
    std::fs::write(&path, "dear Ada").unwrap();
    let sound = content_of(&crowd(1));
    let refused = gallery_file::write(&path, &key(1), key(1).public(), &sound).unwrap_err();
    assert!(refused.to_string().contains("is no gallery file"), "{refused}");
    assert_eq!(std::fs::read(&path).unwrap(), b"dear Ada");
    assert!(gallery_file::read(&path).is_err());
    std::fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        gallery_file::write(&path, &key(1), key(1).public(), &sound).unwrap();
    }
    // One that somebody else made for this key is nobody's word.
    let forged = envelope::seal(&key(9), key(1).public(), &sound).unwrap();
    let unknown = GalleryFault::UnknownSender { sender: key(9).key_id() };
    assert_eq!(gallery_file::open(&key(1), &forged).unwrap_err(), unknown);
}
