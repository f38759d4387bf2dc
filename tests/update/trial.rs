//! A version on trial, from its start to its confirmation or to the version before, on the unit's own state, journal and store.
//!
//! Both versions are this program here: what a later one does differently with the same store no test can know. That going back
//! brings back nobody rests on the store lying outside the slots, which is what is shown.

use crate::rig::Factory;
use std::io::Cursor;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use threshold_edge::notices::Notices;
use threshold_edge::service::probe;
use threshold_edge::state::{
    EmbedderFacts, Ending, Identity, LINGER_MS, ReaderStanding, RecoveryRecord, Shared, State,
};
use threshold_edge::trial::{self, DEADLINE, GIVE_UP, SETTLE, Trial};
use threshold_edge::update::Before;
use threshold_edge::zone::Zone;
use threshold_edge::{start, unit::Clock};
use threshold_policy::Policy;
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{
    Cause, Distributions, EntryKind, KeyTag, Metric, ModelId, Name, PersonId, Quantile, WallTime,
};
use threshold_slots::mock::MockMedium;
use threshold_slots::{Slot, Slots, TRIAL_BOOTS};
use threshold_store::{MockFlash, Store};
use threshold_wire::message::{Armed, EngineState};
use threshold_wire::recovery::{Asked, RecoveryKey};

/// Time between two rounds of the loop.
const ROUND_MS: u64 = 50;

#[derive(Debug, Default)]
struct BenchClock(AtomicU64);

impl Clock for BenchClock {
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn wall(&self) -> WallTime {
        WallTime { unix_ms: 1_700_000_000_000 + self.monotonic_ms(), trusted: false }
    }
}

/// Distances of a model that takes nobody for anybody else.
fn far_apart() -> Distributions {
    let exact = |at: f32| Quantile { at, low: at, high: at };
    Distributions {
        impostor: std::array::from_fn(|knot| exact(1.9 - 0.01 * knot as f32)),
        tail: exact(4.0),
        genuine: std::array::from_fn(|knot| exact(0.01 * knot as f32)),
        templates: INDEPENDENT,
    }
}

/// What outlives a start.
struct Unit {
    factory: Factory,
    flash: MockFlash,
    medium: MockMedium,
    /// How it stood when the version was installed.
    before: Before,
}

/// One start of it.
struct Started {
    clock: Arc<BenchClock>,
    shared: Shared,
    slots: Mutex<Slots>,
    trial: Trial,
    answers: bool,
}

impl Unit {
    /// A unit that runs version 1, with version 2 on trial from the next start.
    fn updated() -> Self {
        let factory = Factory::new();
        let medium = factory.confirmed();
        factory.slots(&medium, None).told().unwrap();
        let mut slots = factory.slots(&medium, Some(Slot::A));
        slots.install(&mut Cursor::new(factory.version(2, 2))).unwrap();
        Self { factory, flash: MockFlash::new(), medium, before: Before::default() }
    }

    /// Starts it as the launcher and `run` do; the version that runs.
    fn start(&self) -> (String, Started) {
        let choice = self.factory.slots(&self.medium, None).choose().unwrap();
        let mut slots = self.factory.slots(&self.medium, Some(choice.slot));
        let clock = Arc::new(BenchClock::default());
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let notices = Notices::to(Box::new(std::io::sink()));
        let open = |_| Store::open(Box::new(self.flash.clone()), self.flash.keys());
        let journal = start::begin(open, &as_clock, &notices).journal;
        let zone = Zone::default();
        let identity =
            Identity { unit: "bench".to_owned(), build: "0.0.0", insecure_link: true, zone };
        let record = RecoveryRecord::open(Ok(Box::new(self.flash.clone())));
        let state = State::starting(identity, as_clock, notices.clone(), journal, record);
        let shared = Shared::new(state);
        let trial = Trial::of(Some(&slots), self.before, &notices);
        trial::tell(&mut slots, &shared, &notices);
        {
            let mut state = shared.lock();
            let facts = EmbedderFacts {
                id: ModelId([7; 32]),
                name: "axes".to_owned(),
                metric: Metric::SquaredL2,
                crop: "none".to_owned(),
                embedding_len: 128,
                distributions: Some(far_apart()),
            };
            state.set_embedder(facts, Policy::for_model(Metric::SquaredL2, 1.14));
            start::contexts(&mut state, "bench=1");
            start::load_gallery(&mut state, false);
            state.start_done();
        }
        let slots = Mutex::new(slots);
        (choice.manifest.version, Started { clock, shared, slots, trial, answers: true })
    }

    /// Kinds of all entries that tell of versions.
    fn told(&self) -> Vec<EntryKind> {
        let (store, _) = Store::open(Box::new(self.flash.copy()), self.flash.keys()).unwrap();
        let page = store.log_page(1, 1000).unwrap();
        let of_versions = [EntryKind::Updated, EntryKind::UpdateConfirmed, EntryKind::Reverted];
        page.iter().map(|entry| entry.kind).filter(|kind| of_versions.contains(kind)).collect()
    }
}

impl Started {
    /// Lets the loop go round for so long, or until the process ends.
    fn go_on(&mut self, ms: u64) -> Option<Ending> {
        for _ in 0..ms / ROUND_MS {
            self.clock.0.fetch_add(ROUND_MS, Ordering::SeqCst);
            let answers = || self.answers && probe::answers(&self.shared);
            self.trial.look(|| self.slots.try_lock().ok(), &self.shared, answers);
            let ending = self.shared.lock().ending();
            if ending.is_some() {
                return ending;
            }
        }
        None
    }

    /// Gives it what arms it: the commission, and the acknowledgement of what a photo does.
    fn arm(&self) {
        let key = RecoveryKey::of_bytes(*b"the owner's key!");
        let (unit, nonce) = ([0; 32], [0; 32]);
        let asked = Asked { unit, administrator: None, nonce, key: key.public(), successor: None };
        let proven = asked.proven(&key.sign(&asked)).unwrap();
        let mut state = self.shared.lock();
        state.give_authority(proven, None, KeyTag::NOBODY).unwrap();
        state.acknowledge_photo(KeyTag::NOBODY).unwrap();
    }

    fn enrol(&self, name: &str) {
        let mut state = self.shared.lock();
        let store = state.journal_mut().unwrap().store_mut();
        store.add_person(Name::new(name).unwrap()).unwrap();
        state.gallery_changed();
    }

    fn remove_all(&self) {
        let mut state = self.shared.lock();
        let store = state.journal_mut().unwrap().store_mut();
        let gallery = store.gallery().unwrap();
        let people: Vec<PersonId> = gallery.members().map(|member| member.person.id).collect();
        people.into_iter().for_each(|person| drop(store.remove_person(person).unwrap()));
        state.gallery_changed();
    }

    fn is_confirmed(&self) -> bool {
        let status = self.slots.lock().unwrap().status().unwrap();
        status.trial.is_none() && status.current == status.running
    }
}

/// A unit that was armed, with nobody enrolled.
const ARMED: Before = Before { armed: true, people: 0, removed: None, device: false };

const SETTLE_MS: u64 = SETTLE.as_millis() as u64;
const GIVE_UP_MS: u64 = GIVE_UP.as_millis() as u64;
const DEADLINE_MS: u64 = DEADLINE.as_millis() as u64;

#[test]
fn a_version_that_stays_in_order_confirms_itself_and_says_so_in_the_log() {
    let unit = Unit::updated();
    let (version, mut started) = unit.start();
    assert_eq!(version, "2");
    // Nobody acknowledged what a photo does: the unit is not armed, and in order.
    assert!(matches!(started.shared.lock().armed(), Armed::Refuses(_)));
    assert_eq!(started.go_on(SETTLE_MS - ROUND_MS), None);
    assert!(!started.is_confirmed(), "not before it has settled");
    assert_eq!(started.go_on(3 * ROUND_MS), None);
    assert!(started.is_confirmed());
    assert_eq!(unit.told(), [EntryKind::Updated, EntryKind::UpdateConfirmed]);
    assert_eq!(started.go_on(10 * GIVE_UP_MS), None, "the process goes on");
    drop(started);
    assert_eq!(unit.start().0, "2");
    assert_eq!(unit.told(), [EntryKind::Updated, EntryKind::UpdateConfirmed], "told once each");
}

#[test]
fn a_version_with_a_part_at_fault_is_gone_back_from_within_three_starts() {
    for part in [Cause::Camera, Cause::Model, Cause::Gallery] {
        let unit = Unit::updated();
        for boot in 0..TRIAL_BOOTS {
            let (version, mut started) = unit.start();
            assert_eq!(version, "2", "{part:?}, start {boot}");
            started.shared.lock().fail(part, "as the test says");
            let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
            assert_eq!(ending, Some(Ending::GoBack), "{part:?}, start {boot}");
            assert!(!started.is_confirmed());
        }
        let (version, mut started) = unit.start();
        assert_eq!(version, "1", "{part:?}");
        assert_eq!(started.go_on(10 * GIVE_UP_MS), None);
        assert_eq!(unit.told(), [EntryKind::Updated, EntryKind::Reverted]);
        let status = started.slots.lock().unwrap().status().unwrap();
        assert_eq!(status.counter, 1, "the counter did not advance");
    }
}

#[test]
fn a_fault_that_mends_begins_the_time_anew_and_a_version_that_does_not_answer_is_not_in_order() {
    let unit = Unit::updated();
    let (_, mut started) = unit.start();
    for _ in 0..5 {
        started.shared.lock().fail(Cause::Camera, "as the test says");
        assert_eq!(started.go_on(GIVE_UP_MS - 2 * ROUND_MS), None);
        started.shared.lock().mend(Cause::Camera);
        assert_eq!(started.go_on(SETTLE_MS - ROUND_MS), None);
        assert!(!started.is_confirmed());
    }
    started.answers = false;
    assert_eq!(started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS), Some(Ending::GoBack));
    assert!(!started.is_confirmed());
}

#[test]
fn a_version_whose_camera_comes_and_goes_is_given_up_at_the_deadline() {
    let unit = Unit::updated();
    let (_, mut started) = unit.start();
    let mut ending = None;
    let mut gone_ms = 0;
    while ending.is_none() && gone_ms < 2 * DEADLINE_MS {
        started.shared.lock().fail(Cause::Camera, "as the test says");
        ending = started.go_on(SETTLE_MS / 3);
        started.shared.lock().mend(Cause::Camera);
        ending = ending.or_else(|| started.go_on(SETTLE_MS - ROUND_MS));
        gone_ms += SETTLE_MS / 3 + SETTLE_MS;
    }
    assert_eq!(ending, Some(Ending::GoBack));
    assert!(gone_ms >= DEADLINE_MS && !started.is_confirmed());
}

#[test]
fn a_version_stays_and_says_why_if_a_file_of_the_one_before_is_damaged() {
    let unit = Unit::updated();
    let (_, mut started) = unit.start();
    unit.medium.set_file(Slot::A, "threshold-edge", Some(b"damaged".to_vec()));
    started.shared.lock().fail(Cause::Camera, "as the test says");
    assert_eq!(started.go_on(DEADLINE_MS + 2 * GIVE_UP_MS), None, "the launcher would not go back");
    started.shared.lock().mend(Cause::Camera);
    assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
    assert!(started.is_confirmed());
}

#[test]
fn a_reader_that_cannot_be_had_is_a_fault_of_the_version_in_every_mode() {
    for failed in [true, false] {
        let unit = Unit::updated();
        let (_, mut started) = unit.start();
        if failed {
            let reader = ReaderStanding::Failed("no such line; check [reader]".to_owned());
            started.shared.lock().set_reader(reader);
        }
        let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
        assert_eq!(ending, failed.then_some(Ending::GoBack));
        assert_eq!(started.is_confirmed(), !failed);
    }
}

#[test]
fn a_version_at_which_the_processor_takes_the_place_of_the_device_is_gone_back_from() {
    for (before, engine, stays) in [
        (true, EngineState::FellBack, false),
        (true, EngineState::Device, true),
        // Its owner configured it so.
        (true, EngineState::Processor, true),
        (false, EngineState::FellBack, true),
    ] {
        let before = Before { device: before, ..Before::default() };
        let unit = Unit { before, ..Unit::updated() };
        let (_, mut started) = unit.start();
        started.shared.lock().set_engine(engine);
        let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
        assert_eq!(ending, (!stays).then_some(Ending::GoBack), "{before:?} {engine:?}");
        assert_eq!(started.is_confirmed(), stays, "{before:?} {engine:?}");
    }
}

/// What such a version does not find is here what nobody gave the unit: its commission.
#[test]
fn a_version_at_which_a_unit_that_was_armed_is_not_is_gone_back_from() {
    let unit = Unit { before: ARMED, ..Unit::updated() };
    for _ in 0..TRIAL_BOOTS {
        let (version, mut started) = unit.start();
        assert_eq!(version, "2");
        assert!(matches!(started.shared.lock().armed(), Armed::Refuses(_)));
        let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
        assert_eq!((ending, started.is_confirmed()), (Some(Ending::GoBack), false));
    }
    assert_eq!(unit.start().0, "1");
}

#[test]
fn a_version_at_which_a_unit_that_was_armed_is_so_again_is_confirmed() {
    let unit = Unit { before: ARMED, ..Unit::updated() };
    let (_, mut started) = unit.start();
    started.arm();
    assert_eq!(started.shared.lock().armed(), Armed::EmptyGallery);
    assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
    assert!(started.is_confirmed());
}

#[test]
fn attacks_at_the_door_send_no_version_back() {
    let unit = Unit { before: ARMED, ..Unit::updated() };
    {
        let (mut store, _) = Store::open(Box::new(unit.flash.clone()), unit.flash.keys()).unwrap();
        store.save_lockout([1, 3, 2, 3]).unwrap();
    }
    let (_, mut started) = unit.start();
    started.arm();
    assert_eq!(started.shared.lock().armed(), Armed::Refuses(Cause::Spoofs));
    assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
    assert!(started.is_confirmed());
}

/// What such a version does with the gallery is here what nobody did: nobody was enrolled.
#[test]
fn a_version_that_finds_fewer_people_than_there_were_is_gone_back_from_and_one_that_finds_all_is_not()
 {
    let people = |people| Unit { before: Before { people, ..ARMED }, ..Unit::updated() };
    let unit = people(2);
    for boot in 0..TRIAL_BOOTS {
        let (version, mut started) = unit.start();
        assert_eq!(version, "2");
        started.arm();
        if boot > 0 {
            started.enrol("Ada");
        }
        let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
        assert_eq!((ending, started.is_confirmed()), (Some(Ending::GoBack), false), "start {boot}");
        started.remove_all();
    }
    assert_eq!(unit.start().0, "1");
    for had in [0, 1, 2] {
        let unit = people(had);
        let (_, mut started) = unit.start();
        started.arm();
        started.enrol("Ada");
        started.enrol("Grace");
        assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
        assert!(started.is_confirmed(), "it had {had}");
    }
}

#[test]
fn a_version_during_whose_trial_people_are_removed_is_confirmed_and_one_that_lost_others_is_not() {
    let people = |people| {
        let before = Before { people, removed: Some(1), ..ARMED };
        let unit = Unit { before, ..Unit::updated() };
        // Somebody was removed before it was installed, who is not counted twice.
        let (_, started) = unit.start();
        started.enrol("Emmy");
        started.remove_all();
        started.enrol("Ada");
        started.enrol("Grace");
        started.remove_all();
        started.enrol("Eve");
        drop(started);
        unit
    };
    let unit = people(3);
    let (_, mut started) = unit.start();
    started.arm();
    assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
    assert!(started.is_confirmed(), "Ada and Grace were removed since");
    let unit = people(4);
    let (_, mut started) = unit.start();
    started.arm();
    let ending = started.go_on(GIVE_UP_MS + LINGER_MS + 3 * ROUND_MS);
    assert_eq!((ending, started.is_confirmed()), (Some(Ending::GoBack), false));
}

#[test]
fn while_somebody_works_on_the_slots_the_loop_does_not_wait() {
    let unit = Unit::updated();
    let (_, mut started) = unit.start();
    for _ in 0..2 * SETTLE_MS / ROUND_MS {
        started.clock.0.fetch_add(ROUND_MS, Ordering::SeqCst);
        started.trial.look(|| None, &started.shared, || true);
    }
    assert!(!started.is_confirmed());
    started.go_on(ROUND_MS);
    assert!(started.is_confirmed());
}

#[test]
fn a_first_version_with_a_part_at_fault_stays_and_is_confirmed_once_that_is_mended() {
    let (factory, medium) = (Factory::new(), MockMedium::new());
    factory.slots(&medium, None).install(&mut Cursor::new(factory.version(1, 1))).unwrap();
    let unit = Unit { factory, flash: MockFlash::new(), medium, before: Before::default() };
    let (_, mut started) = unit.start();
    started.shared.lock().fail(Cause::Camera, "as the test says");
    assert_eq!(started.go_on(20 * GIVE_UP_MS), None, "there is nothing to go back to");
    started.shared.lock().mend(Cause::Camera);
    assert_eq!(started.go_on(SETTLE_MS + 3 * ROUND_MS), None);
    assert!(started.is_confirmed());
}

#[test]
fn an_event_that_the_power_kept_from_the_log_is_told_at_the_next_start() {
    let unit = Unit::updated();
    let (_, mut started) = unit.start();
    started.go_on(SETTLE_MS - 2 * ROUND_MS);
    // Confirmed, and then the power goes.
    started.slots.lock().unwrap().confirm().unwrap();
    drop(started);
    assert_eq!(unit.told(), [EntryKind::Updated]);
    drop(unit.start());
    assert_eq!(unit.told(), [EntryKind::Updated, EntryKind::UpdateConfirmed]);
}

#[test]
fn who_was_removed_by_the_version_on_trial_stays_removed_after_going_back_and_the_log_goes_on() {
    let unit = Unit::updated();
    let name = |text: &str| Name::new(text).unwrap();
    let with_store = |started: &Started, act: &dyn Fn(&mut Store)| {
        act(started.shared.lock().journal_mut().unwrap().store_mut());
    };
    let people = |started: &Started| {
        let state = started.shared.lock();
        let gallery = state.journal().unwrap().store().gallery().unwrap();
        gallery.members().map(|member| member.person.id).collect::<Vec<_>>()
    };
    let (_, started) = unit.start();
    with_store(&started, &|store| {
        assert_eq!(store.add_person(name("Ada")).unwrap(), PersonId(1));
        assert_eq!(store.add_person(name("Grace")).unwrap(), PersonId(2));
    });
    drop(started);
    let (version, started) = unit.start();
    assert_eq!(version, "2");
    with_store(&started, &|store| drop(store.remove_person(PersonId(1)).unwrap()));
    assert_eq!(started.slots.lock().unwrap().revert().unwrap(), Slot::A);
    drop(started);
    let (version, started) = unit.start();
    assert_eq!(version, "1");
    assert_eq!(people(&started), [PersonId(2)]);
    with_store(&started, &|store| {
        assert_eq!(store.add_person(name("Ada")).unwrap(), PersonId(3), "an id is used once");
    });
    assert_eq!(unit.told(), [EntryKind::Updated, EntryKind::Reverted]);
}
