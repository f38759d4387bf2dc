//! The configuration over the line: who may read and set it, what an entry says of it, and that nothing but a start applies it.
//!
//! What may be set at all, and what comes of a file that does not load, is tested beside `edge::config::Held`.

use crate::keys::{Bench, administrator, refused};
use crate::rig::{Rig, Show};
use std::path::Path;
use tempfile::TempDir;
use threshold_edge::config::{Config, FellBack, Held};
use threshold_edge::trial::SETTLE;
use threshold_host::session::SessionError;
use threshold_record::{Cause, EntryKind, KeyTag, LogEntry, Role, Setting};
use threshold_store::FlashFault;
use threshold_wire::RequestError;
use threshold_wire::config::{Change, ConfigGot, ConfigRefused, ConfigSet};
use threshold_wire::endpoints::{GetConfig, SetConfig};
use threshold_wire::message::{Armed, Nothing};

/// A unit with an owner (1), an enroller (2) and a viewer (3), and its data folder.
struct Unit {
    bench: Bench,
    folder: TempDir,
}

impl Unit {
    fn new() -> Self {
        let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
        let unit = Self {
            bench: Bench::new(&roles.map(|(byte, role)| administrator(byte, role))),
            folder: tempfile::tempdir().unwrap(),
        };
        unit.take_config();
        unit
    }

    /// Reads the configuration as a start does.
    fn take_config(&self) {
        let (held, fell_back) = load(self.folder.path());
        self.bench.rig.borrow().shared.lock().set_config(held, fell_back.as_ref());
    }

    /// The loop goes round for as long as what was set has to prove itself.
    fn goes_round(&self) {
        let rig = self.bench.rig.borrow();
        rig.shared.lock().look_at_config();
        rig.clock.advance(SETTLE.as_millis() as u64);
        rig.shared.lock().look_at_config();
    }

    fn get(&self, byte: u8) -> Result<ConfigGot, SessionError> {
        self.bench.session(byte).call::<GetConfig>(&Nothing {})
    }

    fn set(&self, byte: u8, changes: &[(Setting, &str)]) -> Result<ConfigGot, SessionError> {
        let change = |&(setting, value): &(Setting, &str)| Change {
            setting,
            value: (!value.is_empty()).then(|| value.try_into().unwrap()),
        };
        let changes = changes.iter().map(change).collect();
        self.bench.session(byte).call::<SetConfig>(&ConfigSet { changes })
    }

    fn entries(&self) -> Vec<LogEntry> {
        let of_config = [EntryKind::ConfigSet, EntryKind::ConfigReverted];
        let log = self.bench.rig.borrow().log();
        log.into_iter().filter(|entry| of_config.contains(&entry.kind)).collect()
    }

    /// What was set, as the next start reads it.
    fn kept(&self) -> Option<String> {
        std::fs::read_to_string(self.folder.path().join("config/set.toml")).ok()
    }
}

fn load(data: &Path) -> (Held, Option<FellBack>) {
    let mut config = Config::default();
    config.unit.data = data.to_owned();
    Held::load(config, Vec::new())
}

fn owner() -> KeyTag {
    administrator(1, Role::Owner).key_id().tag()
}

const FPS: &[(Setting, &str)] = &[(Setting::Fps, "20")];

#[test]
fn nobody_but_an_owner_reads_or_sets_it() {
    let unit = Unit::new();
    for (byte, role) in [(2, Role::Enroller), (3, Role::Viewer)] {
        let no = RequestError::RoleTooLow { least: Role::Owner, role };
        assert_eq!(refused(unit.get(byte)), no);
        assert_eq!(refused(unit.set(byte, FPS)), no);
    }
    let mut stranger = unit.bench.greet();
    let no = RequestError::InsecureLink;
    assert_eq!(refused(stranger.call::<GetConfig>(&Nothing {})), no);
    let set = ConfigSet { changes: heapless::Vec::new() };
    assert_eq!(refused(stranger.call::<SetConfig>(&set)), no);
    assert_eq!((unit.entries(), unit.kept()), (Vec::new(), None));
}

#[test]
fn what_an_owner_sets_is_in_the_log_by_key_and_holds_from_the_next_start_on() {
    let unit = Unit::new();
    let got = unit.set(1, &[(Setting::HeldOpen, "60"), (Setting::Name, "\"north door\"")]).unwrap();
    let waiting: Vec<(Setting, &str)> = got
        .waiting
        .iter()
        .map(|change| (change.setting, change.value.as_deref().unwrap()))
        .collect();
    assert_eq!(waiting, [(Setting::Name, "\"north door\""), (Setting::HeldOpen, "60")]);
    assert!(got.text.contains("held_open_s = 30  # default\n"), "nothing changes in this start");
    assert_eq!(unit.get(1).unwrap(), got);
    let told: Vec<(EntryKind, u32, KeyTag)> =
        unit.entries().iter().map(|entry| (entry.kind, entry.runner_up.0, entry.by)).collect();
    let number = |setting: Setting| u32::from(setting.code());
    assert_eq!(
        told,
        [
            (EntryKind::ConfigSet, number(Setting::Name), owner()),
            (EntryKind::ConfigSet, number(Setting::HeldOpen), owner()),
        ]
    );
    // Once more, and nothing happens; what is taken back is an entry too.
    unit.set(1, &[(Setting::HeldOpen, "60")]).unwrap();
    unit.set(1, &[]).unwrap();
    assert_eq!(unit.entries().len(), 2);
    unit.take_config();
    let got = unit.get(1).unwrap();
    assert!(got.text.contains("held_open_s = 60\n") && got.waiting.is_empty(), "{}", got.text);
    let got = unit.set(1, &[(Setting::HeldOpen, "")]).unwrap();
    assert_eq!((got.set.as_slice(), got.waiting.len()), (&[Setting::Name][..], 1));
    assert_eq!(unit.entries().len(), 3);
    assert_eq!(unit.kept().unwrap(), "[unit]\nname = \"north door\"\n");
}

#[test]
fn a_value_that_the_unit_cannot_start_with_sets_nothing_and_leaves_no_entry() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    for (setting, value) in
        [(Setting::Fps, "0"), (Setting::MinFace, "x"), (Setting::Timezone, "\"Mars\"")]
    {
        let error = refused(unit.set(1, &[(Setting::Gain, "3"), (setting, value)]));
        let RequestError::BadConfig(ConfigRefused::BadValue { setting: of, .. }) = error else {
            panic!("{error:?}");
        };
        assert_eq!(of, setting);
        assert_eq!(
            (unit.entries().len(), unit.kept().as_deref()),
            (1, Some("[camera]\nfps = 20\n"))
        );
    }
}

#[test]
fn nothing_holds_whose_entry_is_not_in_the_log_or_which_the_medium_does_not_take() {
    let unit = Unit::new();
    {
        let flash = unit.bench.rig.borrow().flash.clone();
        let mut session = unit.bench.session(1);
        flash.fail_at(flash.writes() + 1, FlashFault::Io);
        let changes = [Change { setting: Setting::Fps, value: Some("20".try_into().unwrap()) }];
        let set = ConfigSet { changes: changes.into_iter().collect() };
        let no = RequestError::StoreFault { part: Cause::Store };
        assert_eq!(refused(session.call::<SetConfig>(&set)), no);
    }
    assert_eq!((unit.entries(), unit.kept()), (Vec::new(), None));
    let (held, fell_back) = load(unit.folder.path());
    assert_eq!((held.running().camera.fps, fell_back), (30, None));
    // A file where the folder shall be.
    let unit = Unit::new();
    std::fs::write(unit.folder.path().join("config"), "").unwrap();
    let no = RequestError::BadConfig(ConfigRefused::NotKept);
    assert_eq!(refused(unit.set(1, FPS)), no);
    assert_eq!(unit.entries(), []);
    assert!(unit.bench.rig.borrow().notices().contains("what an owner set is not kept"));
}

#[test]
fn what_does_not_load_at_a_start_is_an_entry_and_locks_nobody_out() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    unit.take_config();
    unit.goes_round();
    unit.set(1, &[(Setting::Fps, "25")]).unwrap();
    let path = unit.folder.path().join("config/set.toml");
    std::fs::write(path, "[door]\nrelay = { line = 4 }\n").unwrap();
    unit.take_config();
    let last = *unit.entries().last().unwrap();
    assert_eq!(
        (last.kind, last.cause, last.by),
        (EntryKind::ConfigReverted, Cause::Config, KeyTag::NOBODY)
    );
    let got = unit.get(1).unwrap();
    assert!(got.text.contains("fps = 20\n") && !got.text.contains("relay ="), "{}", got.text);
    let rig = unit.bench.rig.borrow();
    assert!(!matches!(rig.shared.lock().armed(), Armed::Fault(_)));
    assert!(rig.notices().contains("door.relay is nothing that is set over the line"));
}

#[test]
fn a_door_with_a_configuration_that_does_not_load_opens_as_before() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("config")).unwrap();
    std::fs::write(folder.path().join("config/set.toml"), "no TOML").unwrap();
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let (held, fell_back) = load(folder.path());
    rig.shared.lock().set_config(held, fell_back.as_ref());
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 1);
    let kinds: Vec<EntryKind> = rig.log().iter().map(|entry| entry.kind).collect();
    assert!(kinds.contains(&EntryKind::ConfigReverted));
}

#[test]
fn a_wipe_forgets_what_was_set() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    assert!(unit.kept().is_some());
    unit.bench.rig.borrow().shared.lock().wipe().unwrap();
    assert!(!unit.folder.path().join("config").exists());
}

#[test]
fn what_was_gone_back_from_is_cleared_by_taking_the_key_back() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    (0..4).for_each(|_| unit.take_config());
    let reverted = |unit: &Unit| unit.entries().last().unwrap().kind == EntryKind::ConfigReverted;
    assert!(reverted(&unit) && unit.kept().is_some_and(|kept| kept.contains("fps = 20")));
    unit.set(1, &[(Setting::Fps, "")]).unwrap();
    let last = *unit.entries().last().unwrap();
    assert_eq!((last.kind, last.by), (EntryKind::ConfigSet, owner()));
    assert_eq!(unit.kept().as_deref(), Some(""));
    unit.take_config();
    assert!(!reverted(&unit), "nothing is gone back from any more");
}

#[test]
fn a_wipe_that_is_cut_off_leaves_nothing_that_was_set() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    let rig = unit.bench.rig.borrow();
    rig.flash.fail_at(rig.flash.writes() + 1, FlashFault::Io);
    assert!(rig.shared.lock().wipe().is_err());
    assert!(!unit.folder.path().join("config").exists());
}

#[test]
fn what_the_unit_does_not_stay_up_with_is_gone_back_from_with_an_entry() {
    let unit = Unit::new();
    unit.set(1, FPS).unwrap();
    for _ in 0..4 {
        assert!(unit.entries().iter().all(|entry| entry.kind == EntryKind::ConfigSet));
        unit.take_config();
    }
    let last = *unit.entries().last().unwrap();
    assert_eq!((last.kind, last.cause), (EntryKind::ConfigReverted, Cause::ConfigTrial));
    assert!(unit.get(1).unwrap().text.contains("fps = 30  # default\n"));
    unit.set(1, FPS).unwrap();
    unit.take_config();
    unit.goes_round();
    assert!(unit.bench.rig.borrow().notices().contains("what was set over the line is kept"));
    (0..4).for_each(|_| unit.take_config());
    assert!(unit.get(1).unwrap().text.contains("fps = 20\n"));
}
