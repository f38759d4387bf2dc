//! Reboot and wipe: who may, what is written down, that the process ends, and what is there afterwards.

use crate::keys::{Bench, administrator, refused};
use crate::rig::{PULSE_MS, Rig, Show, TICK_MS};
use threshold_edge::state::{Ending, LINGER_MS, WAIT_MS};
use threshold_record::{EntryKind, Role};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, ListGallery, Reboot, WipeUnit};
use threshold_wire::message::{Armed, GalleryPageRequest, Nothing, Wipe};

fn ending(bench: &Bench) -> Option<Ending> {
    bench.rig.borrow().shared.lock().ending()
}

#[test]
fn an_owner_makes_the_unit_start_again_and_the_log_says_so_first() {
    let bench = Bench::new(&[administrator(1, Role::Owner), administrator(2, Role::Enroller)]);
    let denied = RequestError::RoleTooLow { least: Role::Owner, role: Role::Enroller };
    assert_eq!(refused(bench.session(2).call::<Reboot>(&Nothing {})), denied);
    let wipe = Wipe { unit: "bench".try_into().unwrap() };
    assert_eq!(refused(bench.session(2).call::<WipeUnit>(&wipe)), denied);
    bench.rig.borrow().clock.advance(2 * LINGER_MS);
    assert_eq!(ending(&bench), None);
    bench.session(1).call::<Reboot>(&Nothing {}).unwrap();
    let last = *bench.rig.borrow().log().last().unwrap();
    let by = administrator(1, Role::Owner).key_id().tag();
    assert_eq!((last.kind, last.by), (EntryKind::Reboot, by));
    // Long enough for an answer that was lost to be asked for again.
    assert_eq!(ending(&bench), None);
    bench.rig.borrow().clock.advance(LINGER_MS);
    assert_eq!(ending(&bench), Some(Ending::Reboot));
}

#[test]
fn a_wipe_takes_the_units_own_name_and_leaves_nothing() {
    let bench = Bench::new(&[administrator(1, Role::Owner)]);
    let mut session = bench.session(1);
    let other = Wipe { unit: "other".try_into().unwrap() };
    let unit = "bench".try_into().unwrap();
    assert_eq!(refused(session.call::<WipeUnit>(&other)), RequestError::OtherUnit { unit });
    assert!(bench.roster().len() == 1 && ending(&bench).is_none());

    // An answer that is lost is given again, although nobody is known any more.
    *bench.lose.borrow_mut() = 1;
    let identity = bench.store(|store| store.identity());
    session.call::<WipeUnit>(&Wipe { unit: "bench".try_into().unwrap() }).unwrap();
    let flash = bench.rig.borrow().flash.clone();
    assert!(flash.bytes(threshold_store::Object::Keys).is_none());
    assert!(flash.bytes(threshold_store::Object::GallerySegment(1)).is_none());
    // Until it ends it decides nothing and obeys nobody.
    bench.rig.borrow_mut().visit(Show::Face(1), 3);
    assert_eq!(bench.rig.borrow().pulses(), 0);
    let page = GalleryPageRequest { after: threshold_record::PersonId::NOBODY };
    assert!(session.call::<ListGallery>(&page).is_err());
    bench.rig.borrow().clock.advance(LINGER_MS);
    assert_eq!(ending(&bench), Some(Ending::Wiped));

    let mut rig = Rig::on(&flash);
    let info = rig.call::<GetInfo>(&Nothing {}).unwrap();
    assert_eq!((info.armed, info.boot), (Armed::EmptyGallery, 1));
    let bench = Bench::of(rig);
    assert_ne!(bench.store(|store| store.identity()), identity);
    assert_eq!(bench.roster(), []);
}

#[test]
fn the_end_waits_for_the_visit_that_is_open_and_for_its_pulse() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.show(&[Show::Arrival]);
    rig.shared.lock().end(Ending::Reboot);
    // Somebody who comes up to the door while the unit would have ended.
    let before = LINGER_MS / TICK_MS + 5;
    let mut shows = vec![Show::Nothing; before as usize];
    shows.extend([Show::Face(1); 3]);
    let (ending, took_ms) = rig.go_round(&shows);
    assert_eq!((ending, rig.pulses()), (Some(Ending::Reboot), 1));
    let admitted_ms = (before + 3) * TICK_MS;
    assert!((admitted_ms + PULSE_MS..=admitted_ms + PULSE_MS + TICK_MS).contains(&took_ms));
}

#[test]
fn the_end_waits_for_no_longer_than_its_bound_and_a_wipe_for_nobody() {
    let mut rig = Rig::new();
    rig.show(&[Show::Arrival]);
    rig.shared.lock().end(Ending::Reboot);
    let due_ms = LINGER_MS + WAIT_MS;
    let (ending, took_ms) = rig.go_round(&[]);
    assert_eq!(ending, Some(Ending::Reboot));
    assert!((due_ms..=due_ms + TICK_MS).contains(&took_ms), "{took_ms}");

    let mut rig = Rig::new();
    rig.show(&[Show::Arrival]);
    rig.shared.lock().end(Ending::Reboot);
    rig.shared.lock().wipe().unwrap();
    let (ending, took_ms) = rig.go_round(&[]);
    assert_eq!(ending, Some(Ending::Wiped));
    assert!((LINGER_MS..=LINGER_MS + TICK_MS).contains(&took_ms), "{took_ms}");
}
