//! Whom a door controller is told of, and by which card; and that a controller which holds the lock leaves nobody admitted of whom it
//! could not be told.

use crate::rig::{Rig, Show};
use threshold_edge::config::{CardFormat, ControllerConfig, LineConfig, LockHolder};
use threshold_edge::unit::Sign;
use threshold_record::{Access, Cause, Credential, EntryKind, PersonId, Reason};
use threshold_wire::access::{AccessGet, AccessSet};
use threshold_wire::endpoints::{GetAccess, SetAccess};

const BADGE: Credential = Credential::Wiegand26 { facility: 12, card: 345 };
const LONG: Credential = Credential::Wiegand34 { facility: 12, card: 346 };
const NUMBER: Credential = Credential::Keypad { digits: 4, number: 42 };

/// A controller that takes cards of 26 bits.
fn controller(lock: LockHolder) -> ControllerConfig {
    let line = |line| Some(LineConfig { line, active_low: true });
    let (d0, d1, format) = (line(1), line(2), Some(CardFormat::Bits26));
    let lock = Some(lock);
    ControllerConfig { d0, d1, format, lock, ..ControllerConfig::default() }
}

fn give(rig: &mut Rig, person: PersonId, credentials: &[Credential]) {
    let was = rig.call::<GetAccess>(&AccessGet { person }).unwrap().access;
    let credentials = credentials.iter().copied().collect();
    let access = Access { credentials, ..Access::default() };
    rig.call::<SetAccess>(&AccessSet { person, was, access }).unwrap();
}

/// What the visit of that face ended with.
fn comes(rig: &mut Rig, face: usize) -> (Reason, Cause) {
    rig.visit(Show::Face(face), 3);
    let entry = *rig.decisions().last().unwrap();
    (entry.reason, entry.cause)
}

const OPENS: (Reason, Cause) = (Reason::Matched, Cause::None);
const NO_CARD: (Reason, Cause) = (Reason::Schedule, Cause::NoCard);

#[test]
fn a_permit_has_the_card_that_the_controller_takes() {
    let mut rig = Rig::new();
    let (ada, grace) = (rig.enrol("Ada", 1), rig.enrol("Grace", 2));
    give(&mut rig, ada, &[NUMBER, LONG, BADGE]);
    assert_eq!(comes(&mut rig, 1), OPENS);
    assert_eq!(rig.cards(), [None], "there is no controller");
    rig.shared.lock().set_controller(controller(LockHolder::Unit));
    assert_eq!(comes(&mut rig, 1), OPENS);
    // The unit holds the lock: it opens, and the permit says that there is no card to tell.
    give(&mut rig, grace, &[Credential::Wiegand34 { facility: 12, card: 347 }]);
    assert_eq!(comes(&mut rig, 2), OPENS);
    assert_eq!(rig.cards(), [None, Some(BADGE), None]);
}

#[test]
fn whoever_has_no_card_stays_out_where_the_controller_holds_the_lock() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    rig.shared.lock().set_controller(controller(LockHolder::Controller));
    for credentials in [&[][..], &[NUMBER], &[LONG], &[NUMBER, LONG]] {
        give(&mut rig, ada, credentials);
        rig.signs();
        assert_eq!(comes(&mut rig, 1), NO_CARD, "{credentials:?}");
        assert!(rig.signs().contains(&Sign::Refused(Reason::Schedule, Cause::NoCard)));
        assert_eq!(rig.decisions().last().unwrap().person, ada);
    }
    assert_eq!((rig.pulses(), rig.shared.lock().lockout()), (0, Ok(())));
    give(&mut rig, ada, &[BADGE]);
    assert_eq!(comes(&mut rig, 1), OPENS);
    assert_eq!(rig.cards(), [Some(BADGE)]);
    // A face that is nobody's is told as that, card or no card.
    assert_eq!(comes(&mut rig, 3).0, Reason::Unknown);
}

#[test]
fn an_admission_that_the_lock_could_not_tell_of_is_in_the_log_behind_it() {
    let mut rig = Rig::new();
    let ada = rig.enrol("Ada", 1);
    give(&mut rig, ada, &[BADGE]);
    rig.shared.lock().set_controller(controller(LockHolder::Controller));
    *rig.jammed.lock().unwrap() = true;
    rig.signs();
    assert_eq!(comes(&mut rig, 1), OPENS, "as it was decided");
    assert!(rig.signs().contains(&Sign::Refused(Reason::Fault, Cause::Lock)));
    let log = rig.log();
    let at = |kind| log.iter().rposition(|entry| entry.kind == kind);
    let untold = at(EntryKind::NotSent).expect("it was not told");
    assert_eq!((log[untold].person, log[untold].cause), (ada, Cause::Controller));
    assert!(at(EntryKind::Decision) < Some(untold));
    assert_eq!(log.iter().filter(|entry| entry.kind == EntryKind::NotSent).count(), 1);
}
