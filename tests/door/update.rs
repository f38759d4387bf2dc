//! The update over the line, between the host's real session and the unit's real desk: a bundle or a delta is pushed, cut off, gone
//! on with, installed, tried, and whatever must not be is refused before a slot is touched.
#![allow(clippy::result_large_err, reason = "a test looks at one refusal at a time")]

use crate::keys::{Bench, BenchLine, administrator, key};
use crate::rig::{MODEL, Rig};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use threshold_bundle::{
    FileKind, Installed, Keys, Manifest, Part, SigningKey, Source, Trust, development_key, id,
    write, write_delta,
};
use threshold_edge::service::Desk;
use threshold_edge::state::{Ending, LINGER_MS};
use threshold_edge::update::staging::KEPT_MS;
use threshold_edge::update::{Before, Updates};
use threshold_host::cmd::flash::delta;
use threshold_host::cmd::flash::file::BundleFile;
use threshold_host::session::{Session, SessionError};
use threshold_record::{EntryKind, KeyTag, ModelId, Name, Role};
use threshold_slots::{Folder, Maker, Slot, Slots};
use threshold_store::{LogSize, MockFlash, Object, Place};
use threshold_tests::forged::renamed;
use threshold_tests::lots::Lots;
use threshold_wire::bulk::{BulkError, Content, Window};
use threshold_wire::call::{self, Message, read_answer};
use threshold_wire::endpoints::{
    ApplyUpdate, ConfirmUpdate, GetSlots, OpenSession, PushUpdate, PutPerson, PutTemplate,
    RevertUpdate, SayHello,
};
use threshold_wire::message::{Armed, EngineState, IfThere, Nothing, PersonPut, TemplatePut};
use threshold_wire::session::{Inside, Opening};
use threshold_wire::update::{
    SlotState, Slots as Told, SlotsTold, UpdateApplied, UpdateApply, UpdateEnded, UpdatePush,
    UpdatePushed, UpdateRefusal,
};
use threshold_wire::{Arrived, Decoder, Endpoint, Frame, Hello, HelloRequest};

pub(crate) const BOARD: &str = "bench";

/// Who makes versions.
pub(crate) struct Factory {
    release: SigningKey,
    build: SigningKey,
}

pub(crate) type Files = Vec<(&'static str, FileKind, Vec<u8>)>;

impl Factory {
    fn new(byte: u8) -> Self {
        let key = |byte| SigningKey::from_bytes(&[byte; 32]);
        Self { release: key(byte), build: key(byte + 1) }
    }

    fn trust(&self) -> Trust {
        Trust { release_key: self.release.verifying_key().to_bytes(), serial: 0 }
    }

    fn maker(&self) -> Maker {
        Maker { compatible: BOARD.to_owned(), release_key: self.trust().release_key }
    }

    pub(crate) fn bundle(
        &self,
        board: &str,
        version: &str,
        counter: u64,
        files: &Files,
    ) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let source = |(at, (name, kind, bytes)): (usize, &(&str, FileKind, Vec<u8>))| {
            let path = folder.path().join(at.to_string());
            std::fs::write(&path, bytes).unwrap();
            Source { name: (*name).to_owned(), kind: *kind, path }
        };
        let sources: Vec<Source> = files.iter().enumerate().map(source).collect();
        let (compatible, version) = (board.to_owned(), version.to_owned());
        let manifest = Manifest { format: 1, compatible, version, counter, files: Vec::new() };
        let keys = Keys::of(&self.build, 1).sign(&self.release).unwrap();
        let mut out = Vec::new();
        write(&mut out, manifest, &sources, &keys, &self.build).unwrap();
        out
    }
}

/// A program of which a version changes a few bytes, a pack that stays, and a list.
pub(crate) fn files(version: u8) -> Files {
    let mut lots = Lots(1);
    let mut program = lots.bytes(300_000);
    program[150_000..150_010].fill(version);
    vec![
        ("threshold-edge", FileKind::Program, program),
        ("packs/dlib.safetensors", FileKind::Pack, lots.bytes(400_000)),
        ("licences", FileKind::List, vec![version; 100]),
    ]
}

/// A unit that runs version 1, of counter 3, from slot a.
pub(crate) struct Unit {
    pub(crate) bench: Bench,
    pub(crate) factory: Factory,
    folder: tempfile::TempDir,
    flash: MockFlash,
}

impl Unit {
    fn new() -> Self {
        Self::running(&files(1))
    }

    pub(crate) fn running(files: &Files) -> Self {
        let (factory, folder) = (Factory::new(7), tempfile::tempdir().unwrap());
        let slots = folder.path().join("slots");
        let first = factory.bundle(BOARD, "1.0", 3, files);
        let mut fresh = Slots::open(&slots, factory.maker(), None).unwrap();
        fresh.install(&mut Cursor::new(first)).unwrap();
        drop(fresh);
        let mut started = Slots::open(&slots, factory.maker(), Some(Slot::A)).unwrap();
        started.confirm().unwrap();
        started.told().unwrap();
        drop(started);
        let flash = MockFlash::new();
        let mut unit = Self { bench: Bench::of(Rig::on(&flash)), factory, folder, flash };
        unit.start(Slot::A);
        unit.bench.store(|store| {
            for (byte, role) in [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)] {
                store.put_administrator(administrator(byte, role)).unwrap();
            }
        });
        unit
    }

    /// Starts the unit from that slot.
    fn start(&mut self, slot: Slot) {
        self.start_as(slot, MODEL);
    }

    /// The same, of a version of that model.
    pub(crate) fn start_as(&mut self, slot: Slot, model: ModelId) {
        // The program before lets go of its files and its slots.
        self.bench = Bench::of(Rig::on(&MockFlash::new()));
        let mut rig = Rig::of_model(&self.flash, model);
        let slots = Slots::open(&self.slots(), self.factory.maker(), Some(slot)).unwrap();
        let updates = Updates::of(slots, self.slots(), slot, &self.folder.path().join("data"));
        rig.shared.lock().set_updates(updates);
        rig.desk = Desk::new(rig.shared.clone(), false);
        self.bench = Bench::of(rig);
    }

    fn slots(&self) -> PathBuf {
        self.folder.path().join("slots")
    }

    /// The content that comes, or has come.
    pub(crate) fn pushed(&self) -> std::path::PathBuf {
        self.folder.path().join("data/update/pushed")
    }

    pub(crate) fn owner(&self) -> Session<BenchLine> {
        self.bench.session(1)
    }

    fn version(&self, version: u8, counter: u64) -> Vec<u8> {
        self.factory.bundle(BOARD, &format!("{version}.0"), counter, &files(version))
    }

    fn read(&self, bytes: Vec<u8>) -> BundleFile {
        let any = Installed { compatible: BOARD.to_owned(), counter: 0 };
        BundleFile::of(Path::new("bundle"), bytes, &self.factory.trust(), &any).unwrap()
    }

    /// What changed from version 1 to this one.
    fn delta(&self, version: u8) -> Vec<u8> {
        let (new, old) = (self.read(self.version(version, 3)), self.read(self.version(1, 3)));
        delta::of(&new, &old).unwrap()
    }

    /// Every byte of both slots and of their state.
    fn touched(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn walk(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, into),
                    false => drop(into.insert(path.clone(), std::fs::read(&path).unwrap())),
                }
            }
        }
        let mut all = BTreeMap::new();
        walk(&self.slots(), &mut all);
        all
    }

    pub(crate) fn told(&self) -> Told {
        match self.bench.session(3).call::<GetSlots>(&Nothing {}).unwrap() {
            SlotsTold::Told(told) => told,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn kinds(&self, kind: EntryKind) -> Vec<KeyTag> {
        let log = self.bench.rig.borrow().log();
        log.iter().filter(|entry| entry.kind == kind).map(|entry| entry.by).collect()
    }

    fn ending(&self) -> Option<Ending> {
        self.bench.rig.borrow().clock.advance(LINGER_MS);
        self.bench.rig.borrow().shared.lock().ending()
    }

    /// What lies where a bundle comes to.
    fn staged(&self) -> Vec<String> {
        let folder = std::fs::read_dir(self.folder.path().join("data/update"));
        let names = folder.into_iter().flatten();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Its owner commissions it, and acknowledges what a photo does.
    fn arm(&self) {
        let rig = self.bench.rig.borrow();
        rig.commission();
        let mut state = rig.shared.lock();
        state.acknowledge_photo(owner_tag()).unwrap();
        assert_eq!(state.armed(), Armed::EmptyGallery);
    }

    /// What a trial of the running version is told of the unit before.
    fn before(&self) -> Before {
        self.bench.rig.borrow().shared.lock().updates().unwrap().before()
    }

    fn was_armed(&self) -> bool {
        self.before().armed
    }

    /// Pushes a content and has it installed.
    pub(crate) fn flash(&self, bytes: &[u8], accepts: u32) -> Result<(), UpdateRefusal> {
        let mut session = self.owner();
        let hash = session.push_update(bytes, &mut |_, _| {}).map_err(refusal)?;
        apply(&mut session, UpdateApply { hash, accepts })
    }
}

/// Asks until it is decided: the thread that installs runs in real time.
fn apply(session: &mut Session<BenchLine>, asked: UpdateApply) -> Result<(), UpdateRefusal> {
    loop {
        match session.call::<ApplyUpdate>(&asked).unwrap() {
            UpdateApplied::Working { percent } => assert!(percent < 100),
            UpdateApplied::Installed => return Ok(()),
            UpdateApplied::Refused(refusal) => return Err(refusal),
        }
        std::thread::yield_now();
    }
}

#[track_caller]
fn refusal(error: SessionError) -> UpdateRefusal {
    match error {
        SessionError::Update(refusal) => {
            assert!(refusal.text.contains("; "), "no remedy: {refusal}");
            *refusal
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn owner_tag() -> KeyTag {
    administrator(1, Role::Owner).key_id().tag()
}

#[test]
fn a_bundle_is_installed_tried_and_confirmed_and_each_act_says_whose_it_was() {
    let mut unit = Unit::new();
    let before = unit.told();
    assert_eq!((before.compatible.as_str(), before.counter, before.people), (BOARD, 3, 0));
    assert_eq!((before.slots[0].version.as_str(), before.slots[0].running), ("1.0", true));
    assert_eq!(SlotState::of(before.slots[1].state), Some(SlotState::Empty));
    let bundle = unit.version(2, 4);
    unit.arm();
    unit.flash(&bundle, 0).unwrap();
    assert_eq!(unit.kinds(EntryKind::Updated), [owner_tag()]);
    let told = unit.told();
    let tried = &told.slots[1];
    assert_eq!((tried.version.as_str(), tried.counter, tried.trials_left), ("2.0", 4, 3));
    assert_eq!(SlotState::of(tried.state), Some(SlotState::Trial));
    assert_eq!(tried.bundle, id(&bundle[..]).unwrap());
    assert_eq!(unit.ending(), Some(Ending::Reboot));
    assert_eq!(unit.staged(), ["armed", "people", "removed"], "what the trial is told of the unit");

    unit.start(Slot::B);
    assert!(unit.was_armed());
    assert!(!unit.told().slots[1].said.is_empty(), "a trial says how it stands");
    assert_eq!(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    assert_eq!(unit.kinds(EntryKind::UpdateConfirmed), [owner_tag()]);
    let told = unit.told();
    assert_eq!((told.counter, SlotState::of(told.slots[1].state)), (4, Some(SlotState::Confirmed)));
    // Its counter is above that of the version before.
    assert_eq!(SlotState::of(told.slots[0].state), Some(SlotState::TooOld));
    for ended in [
        unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap(),
        unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap(),
    ] {
        let UpdateEnded::Refused(refused) = ended else { panic!("{ended:?}") };
        assert_eq!(refused.code, UpdateRefusal::NO_TRIAL, "{refused}");
    }
    assert_eq!(unit.ending(), None);
}

#[test]
fn an_owner_ends_a_trial_by_going_back() {
    let mut unit = Unit::new();
    unit.flash(&unit.version(2, 3), 0).unwrap();
    unit.start(Slot::B);
    // What would be written over is the way back.
    let refused = unit.flash(&unit.version(3, 3), 0).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::NO_TRIAL, "{refused}");
    assert_eq!(unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    assert_eq!(unit.kinds(EntryKind::Reverted), [owner_tag()]);
    // Asked once more before it has started again, it goes back to the same version, and takes no other one.
    assert_eq!(unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    let touched = unit.touched();
    let refused = unit.flash(&unit.version(3, 3), 0).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::BUSY, "{refused}");
    assert!(refused.text.contains("about to start again"), "{refused}");
    assert_eq!(unit.touched(), touched);
    assert_eq!(unit.ending(), Some(Ending::Reboot));
    unit.start(Slot::A);
    let told = unit.told();
    assert!(told.slots[0].running);
    assert_eq!(SlotState::of(told.slots[1].state), Some(SlotState::Failed));
}

#[test]
fn what_is_refused_in_a_trial_leaves_what_the_trial_is_held_against() {
    let mut unit = Unit::new();
    unit.arm();
    unit.flash(&unit.version(2, 3), 0).unwrap();
    unit.start(Slot::B);
    let before = unit.before();
    assert!(before.armed && before.people == 0, "{before:?}");
    unit.bench.store(|store| {
        let person = store.add_person(Name::new("Ada").unwrap()).unwrap();
        store.put_template(crate::rig::template(person, 0, 1)).unwrap();
    });
    // Another version, and the one on trial once more, as a host pushes it whose line was cut.
    for version in [3, 2] {
        let bundle = unit.version(version, 3);
        let refused = unit.flash(&bundle, UpdateApply::RE_ENROL).unwrap_err();
        assert_eq!(refused.code, UpdateRefusal::NO_TRIAL, "{refused}");
        unit.start(Slot::B);
        assert_eq!(unit.before(), before, "after version {version} was refused");
    }
}

#[test]
fn what_was_pushed_is_not_installed_once_the_owner_had_the_unit_go_back() {
    let mut unit = Unit::new();
    unit.flash(&unit.version(2, 3), 0).unwrap();
    unit.start(Slot::B);
    assert_eq!(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    // Both versions are confirmed, so that the slots alone would take another one.
    let hash = unit.owner().push_update(&unit.version(3, 3), &mut |_, _| {}).unwrap();
    let asked = UpdateApply { hash, accepts: 0 };
    assert_eq!(unit.owner().call::<RevertUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    let touched = unit.touched();
    let refused = apply(&mut unit.owner(), asked).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::BUSY, "{refused}");
    assert_eq!(unit.touched(), touched);
    unit.start(Slot::A);
    assert!(unit.told().slots[0].running);
    // Here he has it go back while the bundle is read: the thread that installs waits for the slots first.
    let updates = unit.bench.rig.borrow().shared.lock().updates().unwrap().clone();
    let mut slots = updates.slots();
    let begun = unit.owner().call::<ApplyUpdate>(&asked).unwrap();
    assert_eq!(begun, UpdateApplied::Working { percent: 0 });
    assert_eq!(slots.revert().unwrap(), Slot::B);
    slots.told().unwrap();
    let touched = unit.touched();
    unit.bench.rig.borrow().shared.lock().end(Ending::Reboot);
    drop(slots);
    drop(updates);
    let refused = apply(&mut unit.owner(), asked).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::BUSY, "{refused}");
    assert_eq!(unit.touched(), touched);
    unit.start(Slot::B);
    apply(&mut unit.owner(), asked).unwrap();
}

#[test]
fn a_rightly_signed_name_that_leads_out_of_the_slot_is_refused_before_one_is_touched() {
    let unit = Unit::new();
    let mut named = files(2);
    named.push(("aaaa", FileKind::List, b"x".to_vec()));
    let bundle = unit.factory.bundle(BOARD, "2.0", 3, &named);
    let touched = unit.touched();
    let forged = renamed(&bundle, "aaaa", "../a", &unit.factory.build);
    let refused = unit.flash(&forged, 0).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::BAD_BUNDLE, "{refused}");
    assert_eq!((unit.touched(), unit.staged()), (touched, Vec::new()));
    unit.flash(&bundle, 0).unwrap();
}

#[test]
fn that_a_unit_was_armed_is_noted_for_the_version_that_was_installed_then_and_for_no_other() {
    let mut unit = Unit::new();
    assert!(!unit.was_armed());
    unit.arm();
    unit.flash(&unit.version(2, 3), 0).unwrap();
    assert!(!unit.was_armed(), "of the version that runs nothing is noted");
    unit.start(Slot::B);
    assert!(unit.was_armed());
    assert_eq!(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    // An owner who takes his word back has a unit that is not armed, and so has whoever wipes it.
    unit.bench.rig.borrow().shared.lock().withdraw_photo(owner_tag()).unwrap();
    unit.flash(&unit.version(3, 3), 0).unwrap();
    assert_eq!(unit.staged(), ["people", "removed"]);
    unit.start(Slot::A);
    assert!(!unit.was_armed());
    assert_eq!(unit.owner().call::<ConfirmUpdate>(&Nothing {}).unwrap(), UpdateEnded::Done);
    unit.arm();
    unit.flash(&unit.version(4, 3), 0).unwrap();
    unit.start(Slot::B);
    assert!(unit.was_armed());
    unit.bench.rig.borrow().shared.lock().wipe().unwrap();
    assert!(!unit.was_armed());
    assert_eq!(unit.staged(), [""; 0]);
}

#[test]
fn how_many_people_a_unit_has_is_noted_for_the_version_that_is_installed() {
    let mut unit = Unit::new();
    unit.bench.store(|store| {
        for text in ["Ada", "Grace"] {
            store.add_person(Name::new(text).unwrap()).unwrap();
        }
    });
    unit.flash(&unit.version(2, 3), UpdateApply::RE_ENROL).unwrap();
    assert_eq!(unit.before(), Before::default(), "of the version that runs nothing is noted");
    unit.start(Slot::B);
    assert_eq!(unit.before(), Before { people: 2, removed: Some(0), ..Before::default() });
}

#[test]
fn that_a_device_computes_is_noted_for_the_version_that_is_installed() {
    for (engine, device) in [(EngineState::Device, true), (EngineState::FellBack, false)] {
        let mut unit = Unit::new();
        unit.bench.rig.borrow().shared.lock().set_engine(engine);
        unit.flash(&unit.version(2, 3), UpdateApply::RE_ENROL).unwrap();
        unit.start(Slot::B);
        assert_eq!(unit.before().device, device);
    }
}

#[test]
fn nothing_stays_where_a_bundle_comes_to_that_nobody_goes_on_with() {
    let mut unit = Unit::new();
    let pushed = ["progress", "pushed"];
    let push = |unit: &Unit, bytes: &[u8]| {
        unit.owner().push_update(bytes, &mut |_, _| {}).unwrap();
        assert_eq!(unit.staged(), pushed);
    };
    let pass = |unit: &Unit, ms: u64| {
        let mut rig = unit.bench.rig.borrow_mut();
        rig.clock.advance(ms);
        rig.desk.poll(|_| ());
    };
    let (good, delta) = (unit.version(2, 3), unit.delta(2));
    // A refusal that the same bytes get whatever happens.
    let stranger = Factory::new(70).bundle(BOARD, "2.0", 3, &files(2));
    assert_eq!(unit.flash(&stranger, 0).unwrap_err().code, UpdateRefusal::BAD_BUNDLE);
    assert_eq!(unit.staged(), [""; 0]);
    // One that the owner may mend; what was made of the delta is made again.
    unit.bench.store(|store| {
        let person = store.add_person(threshold_record::Name::new("Ada").unwrap()).unwrap();
        store.put_template(crate::rig::template(person, 0, 1)).unwrap();
    });
    assert_eq!(unit.flash(&delta, 0).unwrap_err().code, UpdateRefusal::RE_ENROL);
    assert_eq!(unit.staged(), pushed);
    // Nobody asks again.
    pass(&unit, KEPT_MS - 1_000);
    assert_eq!(unit.staged(), pushed);
    pass(&unit, 1_000);
    assert_eq!(unit.staged(), [""; 0]);
    // Nobody has it installed at all.
    push(&unit, &good);
    pass(&unit, KEPT_MS);
    assert_eq!(unit.staged(), [""; 0]);
    // A start keeps what came just now, and that alone.
    push(&unit, &good);
    let folder = unit.folder.path().join("data/update");
    std::fs::write(folder.join("bundle"), [0; 100]).unwrap();
    unit.start(Slot::A);
    assert_eq!(unit.staged(), pushed);
    let content = std::fs::File::options().write(true).open(folder.join("pushed")).unwrap();
    let old = std::time::SystemTime::now() - std::time::Duration::from_millis(KEPT_MS);
    content.set_modified(old).unwrap();
    unit.start(Slot::A);
    assert_eq!(unit.staged(), [""; 0]);
}

#[test]
fn what_the_log_may_still_take_is_all_but_what_it_has() {
    let unit = Unit::new();
    let most = LogSize::default().most_bytes();
    assert_eq!(most, 421 << 20);
    let held = || {
        let bytes = unit.flash.bytes(Object::Segment(1)).unwrap();
        (bytes.len() as u64, unit.bench.store(|store| store.log_may_grow_bytes()))
    };
    let (before, left) = held();
    assert_eq!(before + left, most);
    drop(unit.owner());
    unit.bench.rig.borrow_mut().visit(crate::rig::Show::Nobody, 3);
    let (after, left) = held();
    assert!(after > before && after + left == most);
}

#[test]
fn a_store_on_a_device_of_its_own_takes_no_room_of_the_data_folder_from_an_update() {
    let unit = Unit::new();
    let kept = || Updates::store_bytes(&unit.bench.rig.borrow().shared.lock());
    assert!(kept() > 400 << 20);
    unit.flash.set_place(Place::Device);
    assert_eq!(kept(), 0);
}

#[test]
fn what_the_unit_does_not_take_touches_no_slot() {
    let unit = Unit::new();
    let good = unit.version(2, 3);
    let before = unit.touched();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let strangers = Factory::new(70);
    let developers = Factory { release: development_key(), build: development_key() };
    let [bad, older] = [UpdateRefusal::BAD_BUNDLE; 2];
    for (what, bytes, code) in [
        // The first signature stands in the third and fourth block.
        ("another release signature", changed(3 * 512 + 5), bad),
        ("signed by somebody else", strangers.bundle(BOARD, "2.0", 3, &files(2)), bad),
        ("a developer's", developers.bundle(BOARD, "2.0", 3, &files(2)), bad),
        ("for another board", unit.factory.bundle("boat", "2.0", 3, &files(2)), bad),
        ("of a lower counter", unit.version(2, 2), older),
        ("cut off", good[..good.len() - 700].to_vec(), bad),
        ("with something behind it", [&good[..], &[0; 512]].concat(), bad),
        ("changed in a file", changed(200_000), bad),
        ("nothing of the kind", vec![7; 5_000], bad),
        ("empty but for a few bytes", vec![7; 5], UpdateRefusal::FAULT),
        ("without its program", unit.factory.bundle(BOARD, "2.0", 3, &files(2)[1..].to_vec()), bad),
    ] {
        let refused = unit.flash(&bytes, 0).unwrap_err();
        assert_eq!(refused.code, code, "{what}: {refused}");
        assert!(refused.text.contains("; "), "{what} has no remedy: {refused}");
        assert!(unit.touched() == before, "{what}");
    }
    assert_eq!(unit.kinds(EntryKind::Updated), []);
    assert_eq!(unit.ending(), None);
    // More than a bundle can be is refused before a byte comes.
    let push = |len| {
        let content = Content { len, hash: [1; 32] };
        let push = UpdatePush { content, window: Window::USB };
        unit.owner().call::<PushUpdate>(&push).unwrap()
    };
    let longest = unit.told().longest;
    let UpdatePushed::Refused(refused) = push(longest + 1) else { panic!("it was taken") };
    assert_eq!(refused.code, UpdateRefusal::NO_ROOM, "{refused}");
    // Nothing that was announced and never came is installed.
    let asked = UpdateApply { hash: [1; 32], accepts: 0 };
    assert_eq!(apply(&mut unit.owner(), asked).unwrap_err().code, UpdateRefusal::NOT_PUSHED);
    let asked = UpdateApply { hash: [1; 32], accepts: 2 };
    assert_eq!(apply(&mut unit.owner(), asked).unwrap_err().code, UpdateRefusal::UNKNOWN_BITS);
    unit.flash(&good, 0).unwrap();
}

/// A frame of runs: `blocks` times 128 KiB of one byte, with a window of so many bits.
fn runs(blocks: usize, window_log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, (window_log - 10) << 3];
    for block in 0..blocks {
        let last = u32::from(block + 1 == blocks);
        let header = last | 1 << 1 | (128 << 10) << 3;
        frame.extend_from_slice(&header.to_le_bytes()[..3]);
        frame.push(9);
    }
    frame
}

#[test]
fn a_delta_makes_the_bundle_bit_for_bit_and_none_that_lies_touches_a_slot() {
    let unit = Unit::new();
    let (whole, delta) = (unit.version(2, 3), unit.delta(2));
    assert!(delta.len() < 6_000, "{} bytes for ten that changed", delta.len());
    let before = unit.touched();
    let new = unit.read(whole.clone());
    let base = id(&unit.version(1, 3)[..]).unwrap();
    let old = unit.read(unit.version(1, 3));
    let made = |base: &[u8; 32], parts: [Part; 3]| {
        let mut delta = Vec::new();
        write_delta(&mut delta, &whole, &new.manifest, base, &parts).unwrap();
        delta
    };
    // The files in the order of their names: licences, pack, program.
    let bomb = |frame: Vec<u8>| {
        made(&base, [Part::Packed { prefix: None, frame }, Part::Same, Part::Same])
    };
    let prefixed = |prefix: [u8; 32]| {
        let part = Part::Packed { prefix: Some(prefix), frame: runs(1, 17) };
        made(&base, [part, Part::Same, Part::Same])
    };
    let mut unsigned = delta.clone();
    unsigned[40 + 3 * 512 + 5] ^= 1;
    let mut tag = delta.clone();
    *tag.last_mut().unwrap() ^= 0xff;
    let bad = UpdateRefusal::BAD_BUNDLE;
    for (what, bytes, code) in [
        (
            "made against another bundle",
            made(&[5; 32], [Part::Same, Part::Same, Part::Same]),
            UpdateRefusal::OTHER_BASE,
        ),
        ("a file that is not there", made(&base, [Part::Same, Part::Same, Part::Same]), bad),
        ("a bomb of 13 GB", bomb(runs(100_000, 17)), bad),
        ("a window of 2 GiB", bomb(runs(1, 31)), bad),
        ("no frame", bomb(vec![1, 2, 3]), bad),
        ("an empty frame", bomb(runs(1, 17)[..6].to_vec()), bad),
        ("more behind a frame", bomb([runs(1, 17), vec![0; 200_000]].concat()), bad),
        ("a prefix that is not there", prefixed([3; 32]), bad),
        ("another prefix", prefixed(old.manifest.files[0].hash()), bad),
        ("a signature that is none", unsigned, bad),
        ("cut off", delta[..delta.len() - 3].to_vec(), bad),
        ("with more behind it", [&delta[..], &[0]].concat(), bad),
        ("changed at its end", tag, bad),
    ] {
        let refused = unit.flash(&bytes, 0).unwrap_err();
        assert_eq!(refused.code, code, "{what}: {refused}");
        assert!(refused.text.contains("; "), "{what} has no remedy: {refused}");
        assert!(unit.touched() == before, "{what}");
    }
    assert_eq!(unit.kinds(EntryKind::Updated), []);
    unit.flash(&delta, 0).unwrap();
    for (name, _, bytes) in files(2) {
        let there = std::fs::read(Folder::slot(&unit.slots(), Slot::B).join(name)).unwrap();
        assert!(there == bytes, "{name}");
    }
    assert_eq!(unit.told().slots[1].bundle, new.id);
}

#[test]
fn a_push_goes_on_where_it_stopped_also_after_the_unit_started_again() {
    let mut unit = Unit::new();
    // Longer than what is synced at once.
    let mut long = files(2);
    long[1].2 = Lots(9).bytes(9 << 20);
    let bundle = unit.factory.bundle(BOARD, "2.0", 3, &long);
    let push = |unit: &Unit, passes: usize| {
        let mut session = unit.owner();
        *unit.bench.passes.borrow_mut() = passes;
        let mut began = None;
        let outcome = session.push_update(&bundle, &mut |there, _| {
            began.get_or_insert(there);
        });
        *unit.bench.passes.borrow_mut() = usize::MAX;
        (began.unwrap_or(0), outcome)
    };
    let (began, cut) = push(&unit, 100);
    assert!(matches!(cut, Err(SessionError::Bulk(BulkError::Dead { .. }))), "{cut:?}");
    assert_eq!(began, 0);
    let (again, cut) = push(&unit, 300);
    assert!(again > 100_000 && cut.is_err(), "{again}");
    // Nothing was told to the unit before its power went: what was synced is there.
    let (third, cut) = push(&unit, 20);
    assert!(third > again && cut.is_err(), "{third}");
    unit.start(Slot::A);
    let (after_start, outcome) = push(&unit, usize::MAX);
    assert!(after_start >= 4 << 20, "{after_start} of {}", bundle.len());
    let hash = outcome.unwrap();
    // It has arrived whole, which a start does not take away either.
    unit.start(Slot::A);
    apply(&mut unit.owner(), UpdateApply { hash, accepts: 0 }).unwrap();
    assert_eq!(unit.told().slots[1].version, "2.0");
}

#[test]
fn a_viewer_looks_an_owner_acts_and_nobody_else_does_either() {
    let unit = Unit::new();
    let before = unit.touched();
    let content = Content { len: 5, hash: [1; 32] };
    let push = UpdatePush { content, window: Window::USB };
    let asked = UpdateApply { hash: [1; 32], accepts: 0 };
    for byte in [2, 3] {
        assert!(matches!(
            unit.bench.session(byte).call::<GetSlots>(&Nothing {}),
            Ok(SlotsTold::Told(_))
        ));
    }
    // One line has one session at a time.
    for byte in [Some(2), Some(3), None] {
        let mut session = byte.map_or_else(|| unit.bench.greet(), |byte| unit.bench.session(byte));
        let refusals = [
            match session.call::<PushUpdate>(&push).unwrap() {
                UpdatePushed::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            },
            match session.call::<ApplyUpdate>(&asked).unwrap() {
                UpdateApplied::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            },
            match session.call::<ConfirmUpdate>(&Nothing {}).unwrap() {
                UpdateEnded::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            },
            match session.call::<RevertUpdate>(&Nothing {}).unwrap() {
                UpdateEnded::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            },
        ];
        assert!(refusals.iter().all(|refusal| refusal.code == UpdateRefusal::NOT_ALLOWED));
    }
    let told = unit.bench.greet().call::<GetSlots>(&Nothing {}).unwrap();
    assert!(matches!(told, SlotsTold::Refused(_)), "{told:?}");
    assert!(unit.touched() == before && unit.ending().is_none());
}

#[test]
fn a_unit_that_runs_from_no_slot_says_so() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let told = bench.session(1).call::<GetSlots>(&Nothing {}).unwrap();
    assert!(
        matches!(&told, SlotsTold::Refused(refusal) if refusal.code == UpdateRefusal::NO_SLOTS)
    );
}

#[test]
fn another_embedder_is_installed_only_if_the_owner_accepts_that_everybody_enrols_again() {
    let unit = Unit::new();
    let mut session = unit.owner();
    let name = threshold_record::Name::new("Ada").unwrap();
    let put = PersonPut { name, if_there: IfThere::Use };
    let person = session.call::<PutPerson>(&put).unwrap().person;
    let template = crate::rig::template(person, 0, 1);
    session.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    assert_eq!(unit.told().people, 1);
    let before = unit.touched();
    // The bench's model is no pack of any bundle.
    let refused = unit.flash(&unit.version(2, 3), 0).unwrap_err();
    assert_eq!(refused.code, UpdateRefusal::RE_ENROL);
    assert!(
        refused.text.contains("no template of 1 people; send theirs with --gallery"),
        "{refused}"
    );
    assert!(unit.touched() == before);
    unit.flash(&unit.version(2, 3), UpdateApply::RE_ENROL).unwrap();
}

/// A host of another version says hello, opens a session and reaches the frozen rows, and no other has to be known to it.
#[test]
fn a_host_of_another_version_looks_and_updates() {
    let unit = Unit::new();
    let host = HelloRequest { protocol: 900, schema: 7, build: "9.0.0".try_into().unwrap() };
    let say = |bytes: &[u8]| {
        let mut answer = Vec::new();
        let mut rig = unit.bench.rig.borrow_mut();
        rig.desk.take(bytes, |frame| answer.extend_from_slice(frame.as_bytes()));
        answer
    };
    fn read<E: Endpoint>(answer: &[u8]) -> E::Response {
        let frame_of = |frame: &Frame<'_>| read_answer::<E>(5, frame).unwrap().unwrap();
        frame_of(&Decoder::new().feed(&mut &answer[..]).unwrap().unwrap())
    }
    let asked = call::request::<SayHello>(5, &host).unwrap();
    let hello: Hello = read::<SayHello>(&say(asked.as_bytes()));
    assert!(hello.check(&host).is_err());
    let (opening, request) =
        Opening::start(&host, &hello, &key(1), &unit.bench.unit_key()).unwrap();
    let asked = call::request::<OpenSession>(5, &request).unwrap();
    let (mut session, role) = opening.finish(&read::<OpenSession>(&say(asked.as_bytes()))).unwrap();
    assert_eq!(role, Role::Owner);
    let mut ask = |message: Message| {
        let sealed = session.seal(&Inside::Message(message.frame())).unwrap();
        let answer = say(sealed.as_bytes());
        let (mut decoder, mut bytes) = (Decoder::new(), &answer[..]);
        let Some(Ok(Arrived::Sealed(sealed))) = decoder.feed_any(&mut bytes) else {
            panic!("no answer")
        };
        match session.open(&sealed).unwrap() {
            Inside::Message(frame) => frame.encode().unwrap().as_bytes().to_vec(),
            Inside::Bulk(_) => panic!("a packet"),
        }
    };
    let told = ask(call::request_message::<GetSlots>(5, &Nothing {}).unwrap());
    let told = read::<GetSlots>(&told);
    assert!(matches!(told, SlotsTold::Told(told) if told.slots[0].version == "1.0"));
    let content = Content { len: 9, hash: [2; 32] };
    let push = UpdatePush { content, window: Window::USB };
    let pushed = ask(call::request_message::<PushUpdate>(5, &push).unwrap());
    assert!(matches!(read::<PushUpdate>(&pushed), UpdatePushed::Go { .. }));
}
