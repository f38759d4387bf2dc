//! What whoever stands at the door is shown, visit by visit.

use crate::rig::{Rig, Show};
use threshold_edge::unit::Sign;
use threshold_record::{Cause, Reason};
use threshold_store::MockFlash;

#[test]
fn each_visit_is_shown_as_it_goes() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    for (show, shown) in [
        (Show::Face(1), &[Sign::Look, Sign::Granted, Sign::Idle][..]),
        (Show::Face(9), &[Sign::Look, Sign::Refused(Reason::Unknown, Cause::None), Sign::Idle]),
        (Show::Dark, &[Sign::Look, Sign::Refused(Reason::Quality, Cause::TooDark), Sign::Idle]),
        (Show::Nobody, &[Sign::Refused(Reason::Quality, Cause::NoFace), Sign::Idle]),
        // The same again is shown again.
        (Show::Nobody, &[Sign::Refused(Reason::Quality, Cause::NoFace), Sign::Idle]),
    ] {
        rig.show(&[Show::Nothing]);
        rig.signs();
        rig.visit(show, 5);
        assert_eq!(rig.signs(), shown, "{show:?}");
    }
}

#[test]
fn green_is_shown_only_after_the_lock_took_its_pulse() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    rig.visit(Show::Face(1), 5);
    let told = std::mem::take(&mut rig.told.lock().unwrap().signs);
    let granted: Vec<_> = told.iter().filter(|(sign, _)| *sign == Sign::Granted).collect();
    assert_eq!(granted, [&(Sign::Granted, 1)]);

    *rig.jammed.lock().unwrap() = true;
    rig.visit(Show::Face(1), 5);
    let shown = rig.signs();
    assert!(shown.contains(&Sign::Refused(Reason::Fault, Cause::Lock)), "{shown:?}");
    assert!(!shown.contains(&Sign::Granted), "{shown:?}");
    assert_eq!(shown.last(), Some(&Sign::Fault), "a unit at fault says so while nobody is there");
}

#[test]
fn an_admission_that_was_not_written_down_is_shown_as_a_refusal() {
    let flash = MockFlash::new();
    let mut rig = Rig::on(&flash);
    rig.enrol("Ada", 1);
    rig.show(&[Show::Arrival, Show::Face(1)]);
    flash.set_capacity(Some(0));
    rig.show(&[Show::Face(1); 5]);
    assert!(rig.signs().iter().all(|sign| *sign != Sign::Granted));
    assert_eq!(rig.pulses(), 0);
}
