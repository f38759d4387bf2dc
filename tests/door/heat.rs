//! A unit that gets hot: it does less and says so, then is at fault, and goes on by itself.

use crate::rig::{Rig, Show};
use tempfile::TempDir;
use threshold_record::{Cause, EntryKind, Reason};
use threshold_wire::endpoints::{GetInfo, GetStats};
use threshold_wire::message::{Armed, Nothing};
use threshold_wire::stats::HeatState;

/// A unit at which Ada, number 1, is enrolled, with one thermal zone.
struct Hot {
    rig: Rig,
    zones: TempDir,
}

impl Hot {
    fn new() -> Self {
        let zones = tempfile::tempdir().unwrap();
        let mut rig = Rig::new().kept_cool_by(zones.path());
        rig.enrol("Ada", 1);
        let mut hot = Self { rig, zones };
        hot.is(60, 2);
        hot
    }

    /// It is that hot for so many seconds, in which nobody comes.
    fn is(&mut self, celsius: i32, seconds: usize) {
        let zone = self.zones.path().join("thermal_zone0");
        std::fs::create_dir_all(&zone).unwrap();
        std::fs::write(zone.join("temp"), format!("{}\n", celsius * 1000)).unwrap();
        for _ in 0..seconds {
            self.rig.clock.advance(1_000);
            self.rig.show(&[Show::Nothing]);
        }
    }

    fn heat(&mut self) -> HeatState {
        let heat = self.rig.call::<GetInfo>(&Nothing {}).unwrap().heat;
        assert_eq!(self.rig.call::<GetStats>(&Nothing {}).unwrap().heat, heat);
        heat
    }

    fn searched(&mut self) -> u64 {
        self.rig.call::<GetStats>(&Nothing {}).unwrap().searched
    }

    /// Entries of a kind, by the degrees in them.
    fn entries(&self, kind: EntryKind) -> Vec<u32> {
        let of_kind = self.rig.log().into_iter().filter(|entry| entry.kind == kind);
        of_kind.map(|entry| entry.runner_up.0).collect()
    }

    /// Frames that are searched of a visit of a stranger of 2 s.
    fn searched_of_a_visit(&mut self) -> u64 {
        let before = self.searched();
        self.rig.visit(Show::Face(9), 50);
        self.searched() - before
    }
}

#[test]
fn a_hot_unit_searches_two_frames_a_second_says_so_and_lets_people_in() {
    let mut hot = Hot::new();
    assert_eq!((hot.heat(), hot.searched_of_a_visit()), (HeatState::Normal, 50));
    hot.is(95, 7);
    assert_eq!(hot.heat(), HeatState::Throttled);
    assert_eq!(hot.rig.call::<GetStats>(&Nothing {}).unwrap().temperature_mc, Some(95_000));
    assert!(hot.rig.notices().contains("heat: the unit is 95 °C hot, and searches two frames"));
    assert!(hot.rig.shared.lock().status().contains("hot"));
    assert_eq!(hot.rig.shared.lock().armed(), Armed::Armed);
    let searched = hot.searched_of_a_visit();
    assert!((4..=5).contains(&searched), "{searched} frames of 2 s");
    assert_eq!(hot.rig.decisions().last().unwrap().reason, Reason::Unknown);
    // Ada, announced and not: as many frames have to agree, which takes longer.
    hot.rig.visit(Show::Face(1), 50);
    assert_eq!(hot.rig.pulses(), 1);
    hot.rig.clock.advance(20_000);
    hot.rig.show(&[Show::Nothing]);
    hot.rig.show(&[Show::Face(1); 50]);
    assert_eq!(hot.rig.pulses(), 2);
    // Whoever leaves is gone within a second and a half, and the next one is somebody new.
    hot.rig.clock.advance(20_000);
    hot.rig.show(&[Show::Nothing]);
    let before = hot.rig.decisions().len();
    hot.rig.show(&[Show::Face(9); 25]);
    hot.rig.show(&[Show::Nobody; 45]);
    assert_eq!(hot.rig.decisions().len(), before + 1);
    hot.rig.clock.advance(1_000);
    hot.rig.show(&[Show::Nobody; 30]);
    hot.rig.show(&[Show::Face(1); 50]);
    assert_eq!(hot.rig.pulses(), 3);
    // 5 degrees and a minute cooler it is as it was.
    hot.is(86, 200);
    assert_eq!(hot.heat(), HeatState::Throttled);
    hot.is(84, 62);
    assert_eq!((hot.heat(), hot.searched_of_a_visit()), (HeatState::Normal, 50));
    assert_eq!(hot.entries(EntryKind::Throttled), [95]);
    assert_eq!(hot.entries(EntryKind::ThrottleEnded), [84]);
}

#[test]
fn a_slow_processor_that_is_hot_computes_half_of_the_time_and_still_decides() {
    let mut hot = Hot::new();
    hot.rig.detect_ms.store(1_500, std::sync::atomic::Ordering::SeqCst);
    let busy = |hot: &mut Hot| {
        let (before, begun_ms) = (hot.searched(), hot.rig.shared.lock().clock().monotonic_ms());
        hot.rig.show(&[Show::Dark; 200]);
        let took_ms = hot.rig.shared.lock().clock().monotonic_ms() - begun_ms;
        (hot.searched() - before) as f64 * 1_500.0 / took_ms as f64
    };
    let share = busy(&mut hot);
    assert!(share > 0.9, "{share}");
    hot.is(95, 7);
    let share = busy(&mut hot);
    assert!((0.4..0.55).contains(&share), "{share}");
    hot.rig.clock.advance(20_000);
    hot.rig.show(&[Show::Nothing]);
    let pulses = hot.rig.pulses();
    hot.rig.show(&[Show::Face(1); 250]);
    assert!(hot.rig.pulses() > pulses, "a rest is no absence");
}

#[test]
fn a_unit_that_is_too_hot_is_at_fault_and_locked_until_it_is_cooler() {
    let mut hot = Hot::new();
    hot.is(104, 7);
    assert_eq!(hot.heat(), HeatState::Critical);
    assert_eq!(hot.rig.shared.lock().armed(), Armed::Fault(Cause::Heat));
    assert!(hot.rig.shared.lock().status().contains("shade it"));
    assert_eq!(hot.searched_of_a_visit(), 0);
    hot.rig.visit(Show::Face(1), 20);
    let entry = *hot.rig.decisions().last().unwrap();
    assert_eq!((entry.reason, entry.cause), (Reason::Fault, Cause::Heat));
    hot.rig.show(&[Show::Face(1); 20]);
    assert_eq!(hot.rig.pulses(), 0);
    // Cooler than the fault's limit alone ends nothing.
    hot.is(95, 100);
    assert_eq!(hot.heat(), HeatState::Critical);
    hot.is(88, 62);
    assert_eq!((hot.heat(), hot.rig.shared.lock().armed()), (HeatState::Throttled, Armed::Armed));
    hot.rig.visit(Show::Face(1), 50);
    assert_eq!(hot.rig.pulses(), 1);
    hot.is(40, 62);
    assert_eq!(hot.heat(), HeatState::Normal);
}

#[test]
fn a_unit_without_a_sensor_says_so_once_and_does_as_before() {
    let zones = tempfile::tempdir().unwrap();
    let mut rig = Rig::new().kept_cool_by(zones.path());
    for _ in 0..30 {
        rig.clock.advance(1_000);
        rig.show(&[Show::Nothing]);
    }
    assert_eq!(rig.notices().matches("no thermal zone tells a temperature").count(), 1);
    let told = rig.call::<GetStats>(&Nothing {}).unwrap();
    assert_eq!((told.temperature_mc, told.heat), (None, HeatState::Normal));
}
