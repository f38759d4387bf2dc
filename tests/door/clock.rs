//! The wall clock: an owner sets it, its times are trusted until the process ends, and none lies before what the log has seen.

use crate::keys::{Bench, administrator, key, refused};
use crate::rig::{Rig, Show};
use threshold_edge::clock::WallClock;
use threshold_edge::unit::Clock;
use threshold_record::{Cause, ContextKind, EntryKind, LogEntry, Role, WallTime};
use threshold_store::FlashFault;
use threshold_tests::lots::Lots;
use threshold_wire::RequestError;
use threshold_wire::clock::{ClockInfo, ClockSet};
use threshold_wire::endpoints::{GetClock, GetInfo, SetClock};
use threshold_wire::message::{Armed, Nothing};

/// What the bench's machine says at its start, which nobody trusts.
const MACHINE_MS: u64 = 1_700_000_000_000;
/// What owners set here.
const SET_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

fn set(rig: &mut Rig, unix_ms: u64) -> Result<ClockInfo, RequestError> {
    rig.call::<SetClock>(&ClockSet { unix_ms })
}

fn now(rig: &Rig) -> WallTime {
    rig.shared.lock().now()
}

fn last(rig: &Rig) -> LogEntry {
    *rig.log().last().unwrap()
}

#[test]
fn a_clock_that_was_set_goes_on_trusted_and_both_ends_of_the_step_are_in_the_log() {
    let mut rig = Rig::new();
    rig.clock.advance(5_000);
    let shown = rig.call::<GetClock>(&Nothing {}).unwrap();
    let untrusted = WallTime { unix_ms: MACHINE_MS + 5_000, trusted: false };
    assert_eq!(shown, ClockInfo { wall: untrusted, latest_ms: 0 });
    let trusted = |unix_ms| WallTime { unix_ms, trusted: true };
    assert_eq!(set(&mut rig, SET_MS).unwrap().wall, trusted(SET_MS));
    let log = rig.log();
    let [before, entry] = log[log.len() - 2..] else { panic!("{log:?}") };
    assert_eq!((entry.kind, entry.wall), (EntryKind::ClockSet, trusted(SET_MS)));
    let passed_ms = entry.monotonic_ms - before.monotonic_ms;
    assert_eq!(before.wall.unix_ms + passed_ms, MACHINE_MS + 5_000, "the old time of the step");
    assert!(!before.wall.trusted);
    rig.clock.advance(60_000);
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().wall, trusted(SET_MS + 60_000));
    rig.enrol("Ada", 1);
    rig.visit(Show::Face(1), 3);
    let wall = rig.decisions()[0].wall;
    assert!(wall.trusted && wall.unix_ms > SET_MS + 60_000, "{wall:?}");
    // A machine whose own clock is moved meanwhile moves nothing here: the offset is to the monotonic clock.
    assert_eq!(now(&rig).unix_ms - SET_MS, rig.clock.monotonic_ms() - 5_000);
}

#[test]
fn after_a_start_times_are_not_trusted_and_lie_behind_none_that_was() {
    let mut rig = Rig::new();
    set(&mut rig, SET_MS).unwrap();
    rig.clock.advance(86_400_000);
    rig.enrol("Ada", 1);
    let seen = last(&rig).wall.unix_ms;
    assert!(seen >= SET_MS + 86_400_000);
    let mut flash = rig.flash;
    for start in 0..4 {
        flash.cut_power(start);
        flash.power_on();
        let mut rig = Rig::on(&flash);
        let shown = rig.call::<GetClock>(&Nothing {}).unwrap();
        assert_eq!(
            shown,
            ClockInfo { wall: WallTime { unix_ms: seen, trusted: false }, latest_ms: seen }
        );
        rig.visit(Show::Face(1), 3);
        let boot = rig.shared.lock().journal().unwrap().store().boot();
        for entry in rig.log().iter().filter(|entry| entry.boot == boot) {
            assert_eq!(entry.wall, WallTime { unix_ms: seen, trusted: false });
        }
        flash = rig.flash;
    }
}

#[test]
fn what_the_log_has_seen_is_known_when_its_segments_are_gone_over() {
    let mut rig = Rig::new();
    set(&mut rig, SET_MS).unwrap();
    // Three segments of a start that never heard the time.
    let rig = Rig::on(&rig.flash);
    for _ in 0..20_000 {
        rig.shared.lock().write(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    let mut rig = Rig::on(&rig.flash);
    assert!(rig.call::<GetInfo>(&Nothing {}).unwrap().store.unwrap().log_segments >= 3);
    assert_eq!(rig.call::<GetClock>(&Nothing {}).unwrap().latest_ms, SET_MS);
}

#[test]
fn an_owner_sets_a_viewer_looks_and_the_log_names_the_key() {
    let roles = [(1, Role::Owner), (2, Role::Enroller), (3, Role::Viewer)];
    let bench = Bench::new(&roles.map(|(byte, role)| administrator(byte, role)));
    let time = ClockSet { unix_ms: SET_MS };
    for (byte, role) in &roles[1..] {
        let mut session = bench.session(*byte);
        assert!(!session.call::<GetClock>(&Nothing {}).unwrap().wall.trusted);
        let too_low = RequestError::RoleTooLow { least: Role::Owner, role: *role };
        assert_eq!(refused(session.call::<SetClock>(&time)), too_low);
    }
    for found in [
        refused(bench.greet().call::<GetClock>(&Nothing {})),
        refused(bench.greet().call::<SetClock>(&time)),
    ] {
        assert_eq!(found, RequestError::InsecureLink);
    }
    bench.session(1).call::<SetClock>(&time).unwrap();
    let entry = last(&bench.rig.borrow());
    assert_eq!((entry.kind, entry.by), (EntryKind::ClockSet, key(1).key_id().tag()));
}

#[test]
fn a_clock_goes_back_no_further_than_an_hour_and_stands_still_for_it() {
    let mut rig = Rig::new();
    for wrong in [0, MACHINE_MS, 4_102_444_800_000, u64::MAX] {
        assert_eq!(set(&mut rig, wrong), Err(RequestError::BadTime), "{wrong}");
    }
    set(&mut rig, SET_MS).unwrap();
    let entries = rig.log().len();
    assert_eq!(set(&mut rig, SET_MS - HOUR_MS - 1), Err(RequestError::BadTime));
    assert_eq!((now(&rig).unix_ms, rig.log().len()), (SET_MS, entries));
    // A minute back, as when the unit's crystal was too fast.
    set(&mut rig, SET_MS - 60_000).unwrap();
    assert_eq!(last(&rig).wall.unix_ms, SET_MS);
    rig.clock.advance(59_000);
    assert_eq!(now(&rig).unix_ms, SET_MS);
    rig.clock.advance(2_000);
    assert_eq!(now(&rig).unix_ms, SET_MS + 1_000);
    // Over a start as well.
    rig.enrol("Ada", 1);
    let mut rig = Rig::on(&rig.flash);
    assert_eq!(set(&mut rig, SET_MS - HOUR_MS), Err(RequestError::BadTime));
    assert!(!now(&rig).trusted);
    assert!(set(&mut rig, SET_MS + 5_000).unwrap().wall.trusted);
}

#[test]
fn a_clock_whose_entry_could_not_be_written_is_as_before() {
    let mut rig = Rig::new();
    rig.flash.fail_at(rig.flash.writes() + 1, FlashFault::Full);
    let error = set(&mut rig, SET_MS).unwrap_err();
    assert_eq!(error, RequestError::StoreFault { part: Cause::Store });
    assert_eq!(now(&rig), WallTime { unix_ms: MACHINE_MS, trusted: false });
    rig.visit(Show::Nobody, 1);
    assert!(rig.log().iter().all(|entry| !entry.wall.trusted));
    let rig = Rig::on(&rig.flash);
    assert_eq!(now(&rig), WallTime { unix_ms: MACHINE_MS, trusted: false });
}

#[test]
fn a_record_of_the_clock_of_a_later_version_locks_the_unit() {
    let rig = Rig::new();
    {
        let mut state = rig.shared.lock();
        let journal = state.journal_mut().unwrap();
        journal.set_context(ContextKind::Clock, &[2, 7]).unwrap();
        journal.write(LogEntry::of(EntryKind::LogRead)).unwrap();
    }
    let mut rig = Rig::on(&rig.flash);
    assert_eq!(rig.call::<GetInfo>(&Nothing {}).unwrap().armed, Armed::Fault(Cause::Store));
    assert!(rig.notices().contains("the log's record of the clock: context of version 2"));
    assert_eq!(set(&mut rig, SET_MS), Err(RequestError::NotReady { part: Cause::Store }));
}

/// Whatever is set, waited for, started again or cut off: no time lies before a trusted one that came before it in the log, and
/// none is trusted before the clock was set in that start.
#[test]
fn no_time_of_the_log_lies_before_a_trusted_one() {
    for seed in 0..30 {
        let mut lots = Lots(seed);
        let mut rig = Rig::new();
        for _ in 0..40 {
            match lots.below(6) {
                0 | 1 => drop(set(&mut rig, SET_MS + lots.below(10 * HOUR_MS))),
                2 | 3 => rig.clock.advance(lots.below(HOUR_MS)),
                4 => rig = Rig::on(&rig.flash),
                _ => {
                    let at = rig.flash.writes() + 1 + lots.below(3);
                    rig.flash.cut_power_at(at, lots.bits());
                    let _ = set(&mut rig, SET_MS + lots.below(10 * HOUR_MS));
                    rig.flash.cut_power(lots.bits());
                    rig.flash.power_on();
                    rig = Rig::on(&rig.flash);
                }
            }
            rig.shared.lock().write(LogEntry::of(EntryKind::LogRead));
        }
        let (mut latest, mut set_in) = (0, None);
        for entry in rig.log() {
            let WallTime { unix_ms, trusted } = entry.wall;
            assert!(unix_ms >= latest, "seed {seed}: {entry:?} after {latest}");
            if entry.kind == EntryKind::ClockSet {
                set_in = Some(entry.boot);
            }
            assert_eq!(trusted, set_in == Some(entry.boot), "seed {seed}: {entry:?}");
            if trusted {
                latest = unix_ms;
            }
        }
    }
}

/// A machine whose clock says something else at each look.
#[derive(Debug)]
struct Wandering(std::sync::atomic::AtomicU64);

impl Clock for Wandering {
    fn monotonic_ms(&self) -> u64 {
        7
    }

    fn wall(&self) -> WallTime {
        let unix_ms = self.0.fetch_xor(u64::MAX >> 17, std::sync::atomic::Ordering::SeqCst);
        WallTime { unix_ms, trusted: false }
    }
}

#[test]
fn once_set_the_machines_own_wall_clock_is_not_asked_any_more() {
    let machine = Wandering(12_345.into());
    let clock = WallClock::not_set(0);
    assert_ne!(clock.now(&machine), clock.now(&machine));
    let clock = clock.set(SET_MS, &machine).unwrap();
    for _ in 0..3 {
        assert_eq!(clock.now(&machine), WallTime { unix_ms: SET_MS, trusted: true });
    }
    assert_eq!(WallClock::not_set(SET_MS).latest_ms(), SET_MS);
}
