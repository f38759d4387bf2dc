//! The lock-out: counters, their durable bytes, and what pulling the plug is worth. What a unit makes of attacks is `attacks`'.

use crate::rig::{Rig, Show};
use crate::settings;
use threshold_policy::{LockedOut, Lockout, Policy};
use threshold_tests::lots::Lots;

/// Three attempts, then a minute.
const MINUTE_MS: u64 = 60_000;

/// Attacks in a row that lock out.
const K: u8 = 3;

fn fail(lockout: &mut Lockout, now_ms: u64) -> Result<(), LockedOut> {
    lockout.open_attempt(&settings(), now_ms)?;
    lockout.fail(&settings(), now_ms);
    Ok(())
}

#[test]
fn the_last_attempt_allowed_locks_out_for_the_whole_time() {
    let mut lockout = Lockout::default();
    assert_eq!((lockout.failures(), lockout.standing(0)), (0, Ok(())));
    for attempt in 1..=3 {
        assert_eq!(fail(&mut lockout, 1000), Ok(()));
        assert_eq!(lockout.failures(), attempt);
    }
    let left = |now_ms: u64| lockout.standing(now_ms).err().and_then(LockedOut::remaining_ms);
    assert_eq!(left(1000), Some(MINUTE_MS));
    assert_eq!(left(1001), Some(MINUTE_MS - 1));
    assert_eq!(left(1000 + MINUTE_MS - 1), Some(1));
    assert_eq!(left(1000 + MINUTE_MS), None);
    assert_eq!(left(u64::MAX), None);
}

#[test]
fn nothing_is_counted_while_a_lock_out_lasts_and_it_is_not_prolonged() {
    let mut lockout = Lockout::default();
    (0..3).for_each(|_| fail(&mut lockout, 0).unwrap());
    let locked = lockout;
    for now_ms in [0, 1, 30_000, MINUTE_MS - 1] {
        let expected = Err(LockedOut::Failures { remaining_ms: MINUTE_MS - now_ms });
        assert_eq!(lockout.open_attempt(&settings(), now_ms), expected);
        lockout.fail(&settings(), now_ms);
        assert_eq!(lockout, locked);
    }
}

#[test]
fn after_a_lock_out_the_count_starts_again() {
    let mut lockout = Lockout::default();
    (0..3).for_each(|_| fail(&mut lockout, 0).unwrap());
    assert_eq!(lockout.open_attempt(&settings(), MINUTE_MS), Ok(()));
    assert_eq!(lockout.failures(), 1);
    lockout.fail(&settings(), MINUTE_MS);
    fail(&mut lockout, MINUTE_MS).unwrap();
    fail(&mut lockout, MINUTE_MS).unwrap();
    assert_eq!(lockout.standing(MINUTE_MS), Err(LockedOut::Failures { remaining_ms: MINUTE_MS }));
}

#[test]
fn an_admission_clears_the_count() {
    let mut lockout = Lockout::default();
    for _ in 0..50 {
        fail(&mut lockout, 0).unwrap();
        fail(&mut lockout, 0).unwrap();
        lockout.open_attempt(&settings(), 0).unwrap();
        assert_eq!(lockout.failures(), 3);
        lockout.pass();
        assert_eq!(lockout, Lockout::default());
    }
}

#[test]
fn an_attempt_that_was_never_ended_is_a_failed_one() {
    let mut lockout = Lockout::default();
    for _ in 0..3 {
        assert_eq!(lockout.open_attempt(&settings(), 0), Ok(()));
    }
    let locked = Err(LockedOut::Failures { remaining_ms: MINUTE_MS });
    assert_eq!(lockout.open_attempt(&settings(), 0), locked);
}

#[test]
fn the_message_names_the_seconds_left() {
    for (remaining_ms, seconds) in [(1, 1), (1000, 1), (1001, 2), (60_000, 60)] {
        let text = LockedOut::Failures { remaining_ms }.to_string();
        let expected =
            format!("locked out for another {seconds} s after too many failed attempts; wait");
        assert_eq!(text, expected);
    }
}

#[test]
fn the_durable_form_is_version_failures_locked_zero() {
    let mut lockout = Lockout::default();
    assert_eq!(lockout.to_bytes(), [1, 0, 0, 0]);
    lockout.open_attempt(&settings(), 0).unwrap();
    assert_eq!(lockout.to_bytes(), [1, 1, 0, 0], "open counts as failed before it is scored");
    lockout.fail(&settings(), 0);
    assert_eq!(lockout.to_bytes(), [1, 1, 0, 0]);
    fail(&mut lockout, 0).unwrap();
    lockout.open_attempt(&settings(), 0).unwrap();
    assert_eq!(lockout.to_bytes(), [1, 3, 0, 0]);
    lockout.fail(&settings(), 0);
    assert_eq!(lockout.to_bytes(), [1, 3, 1, 0]);
}

#[test]
fn a_start_takes_up_the_count_where_it_stood() {
    for failures in 0..3 {
        let mut lockout = Lockout::restore([1, failures, 0, 0], &settings(), K, 0);
        assert_eq!((lockout.failures(), lockout.standing(0)), (failures, Ok(())));
        for _ in failures..3 {
            fail(&mut lockout, 0).unwrap();
        }
        assert!(lockout.standing(0).is_err());
    }
}

#[test]
fn a_start_during_a_lock_out_starts_it_again_in_full() {
    // Counted out but not yet marked, as when the plug is pulled in the last attempt; marked; and more failures than
    // these settings allow.
    for bytes in [[1, 3, 0, 0], [1, 3, 1, 0], [1, 9, 0, 0], [1, 0, 1, 0]] {
        for now_ms in [0, 5, 1_000_000] {
            let mut lockout = Lockout::restore(bytes, &settings(), K, now_ms);
            assert_eq!(
                lockout.standing(now_ms),
                Err(LockedOut::Failures { remaining_ms: MINUTE_MS })
            );
            assert_eq!(lockout.to_bytes()[2], 1, "the lock-out is durable from the first save on");
            let end = now_ms + MINUTE_MS;
            assert!(lockout.open_attempt(&settings(), end - 1).is_err());
            assert_eq!(lockout.open_attempt(&settings(), end), Ok(()));
            assert_eq!(lockout.failures(), 1);
        }
    }
}

#[test]
fn damaged_bytes_are_a_lock_out_and_never_fresh_attempts() {
    let sound = |bytes: [u8; 4]| bytes[0] == 1 && bytes[2] <= 2;
    for at in 0..4 {
        for value in 0..=255 {
            let mut bytes = [1, 1, 0, 0];
            bytes[at] = value;
            let lockout = Lockout::restore(bytes, &settings(), K, 7);
            let locked = lockout.standing(7).is_err();
            if sound(bytes) {
                let expected = bytes[1] >= 3 || bytes[2] >= 1 || bytes[3] >= K;
                assert_eq!(locked, expected, "{bytes:?}");
                assert_eq!(lockout.needs_unlocking(), bytes[2] == 2 || bytes[3] >= K, "{bytes:?}");
            } else {
                assert!(locked, "{bytes:?}");
            }
        }
    }
    // Flash that was erased, filled, or of another version.
    for bytes in [[0; 4], [255; 4], [2, 0, 0, 0], [0, 0, 1, 0], [1, 0, 3, 0]] {
        let lockout = Lockout::restore(bytes, &settings(), K, 0);
        assert_eq!(
            lockout.standing(0),
            Err(LockedOut::Failures { remaining_ms: MINUTE_MS }),
            "{bytes:?}"
        );
    }
}

#[test]
fn attacks_in_a_row_lock_out_until_an_administrator_unlocks() {
    let policy = Policy { attempts: 200, ..settings() };
    let mut lockout = Lockout::default();
    // Neither somebody else's refusal nor a start nor a day between them begins a new row; an admission does.
    for round in 0..3 {
        for spoofs in 1..K {
            lockout.open_attempt(&policy, 0).unwrap();
            lockout.spoofed(K);
            lockout.fail(&policy, 0);
            lockout = Lockout::restore(lockout.to_bytes(), &policy, K, 86_400_000);
            fail_one(&mut lockout, &policy);
            assert_eq!((lockout.spoofs(), lockout.standing(0)), (spoofs, Ok(())), "{round}");
        }
        lockout.open_attempt(&policy, 0).unwrap();
        lockout.pass();
        assert_eq!(lockout, Lockout::default());
    }
    for _ in 0..K {
        lockout.open_attempt(&policy, 0).unwrap();
        lockout.spoofed(K);
        lockout.fail(&policy, 0);
    }
    for now_ms in [0, MINUTE_MS, u64::MAX] {
        assert_eq!(lockout.standing(now_ms), Err(LockedOut::Spoofs));
        assert_eq!(lockout.open_attempt(&policy, now_ms), Err(LockedOut::Spoofs));
        assert!(lockout.needs_unlocking());
        // No start ends it, not with another setting either, and nothing that could be taken for an admission.
        let bytes = lockout.to_bytes();
        assert_eq!(bytes, [1, K, 2, K]);
        assert_eq!(Lockout::restore(bytes, &policy, 10, now_ms), lockout);
        lockout.pass();
        lockout.take_back();
        assert_eq!(lockout.standing(now_ms), Err(LockedOut::Spoofs));
        lockout = Lockout::restore(bytes, &policy, K, now_ms);
    }
    let words = LockedOut::Spoofs.to_string();
    assert!(words.contains("threshold unlock") && LockedOut::Spoofs.remaining_ms().is_none());
}

#[test]
fn a_lock_out_whose_time_is_over_is_not_begun_again_by_a_start() {
    let mut rig = Rig::new();
    rig.enrol("Ada", 1);
    let locked = |rig: &Rig| rig.shared.lock().lockout().is_err();
    while !locked(&rig) {
        rig.visit(Show::Face(9), 60);
    }
    // Pulled while it lasts, and after its end before an idle unit looked: it begins again.
    rig.clock.advance(MINUTE_MS);
    assert!(!locked(&rig));
    let restarted = Rig::on(&rig.flash.copy());
    assert!(locked(&restarted));
    rig.show(&[Show::Nobody]);
    let mut rig = Rig::on(&rig.flash.copy());
    assert!(!locked(&rig));
    rig.visit(Show::Face(1), 3);
    assert_eq!(rig.pulses(), 1);
}

fn fail_one(lockout: &mut Lockout, policy: &Policy) {
    lockout.open_attempt(policy, 0).unwrap();
    lockout.fail(policy, 0);
}

#[test]
fn failed_attempts_and_attacks_are_counted_each_by_itself() {
    let mut lockout = Lockout::default();
    for _ in 0..2 {
        lockout.open_attempt(&settings(), 0).unwrap();
        lockout.spoofed(K);
        lockout.fail(&settings(), 0);
    }
    fail(&mut lockout, 0).unwrap();
    // Three failed attempts: a minute. What was counted of attacks is not over with that.
    assert_eq!(lockout.standing(0), Err(LockedOut::Failures { remaining_ms: MINUTE_MS }));
    assert_eq!(lockout.to_bytes(), [1, 3, 1, 2]);
    lockout.open_attempt(&settings(), MINUTE_MS).unwrap();
    assert_eq!((lockout.failures(), lockout.spoofs()), (1, 2));
    lockout.spoofed(K);
    assert_eq!(lockout.standing(MINUTE_MS), Err(LockedOut::Spoofs));
    // The bytes of a count that was reached and not marked, as with a setting that was lowered meanwhile.
    let lowered = Lockout::restore([1, 0, 0, 2], &settings(), 2, 0);
    assert_eq!(lowered.standing(u64::MAX), Err(LockedOut::Spoofs));
}

#[test]
fn the_clock_at_its_end_does_not_wrap_into_fresh_attempts() {
    let mut lockout = Lockout::default();
    let late = u64::MAX - 10;
    (0..3).for_each(|_| fail(&mut lockout, late).unwrap());
    assert_eq!(lockout.standing(late), Err(LockedOut::Failures { remaining_ms: 10 }));
    let most = Policy { attempts: 254, lockout_s: u16::MAX, ..settings() };
    let mut lockout = Lockout::default();
    for _ in 0..254 {
        lockout.open_attempt(&most, 0).unwrap();
        lockout.fail(&most, 0);
    }
    assert_eq!(lockout.standing(0), Err(LockedOut::Failures { remaining_ms: 65_535_000 }));
}

/// A stranger who may try, wait, and pull the plug at any moment. The unit saves the opened attempt before it scores.
///
/// Covers 2,000 strangers of 200 acts each against a count of our own: between two lock-outs that were waited through in
/// one piece, exactly as many attempts are scored as the settings allow, wherever the plug was pulled.
#[test]
fn pulling_the_plug_buys_no_fresh_attempt() {
    let policy = settings();
    let allowed = u32::from(policy.attempts);
    let (mut pulled_while_scoring, mut lock_outs, mut lapses) = (0, 0, 0);
    for seed in 0..2000 {
        let mut lots = Lots(seed);
        let mut durable = Lockout::default().to_bytes();
        let mut lockout = Lockout::restore(durable, &policy, K, 0);
        // `since_ms`: the later of this process's start and the last failure.
        let (mut now_ms, mut since_ms, mut scored) = (0, 0, 0);
        for act in 0..200 {
            let what = format!("seed {seed}, act {act}");
            let kind = lots.below(6);
            if kind == 0 {
                now_ms += lots.below(80_000);
                // An idle unit saves that a lock-out is over.
                if lots.below(2) == 0 && lockout.lapse(now_ms) {
                    assert_eq!(scored, allowed, "{what}: nothing had locked out");
                    assert!(now_ms - since_ms >= MINUTE_MS, "{what}: not waited through");
                    durable = lockout.to_bytes();
                    (scored, lock_outs, lapses) = (0, lock_outs + 1, lapses + 1);
                }
                continue;
            }
            let mut pull = kind == 1;
            if kind > 1 {
                if let Err(locked) = lockout.open_attempt(&policy, now_ms) {
                    assert_eq!(scored, allowed, "{what}: locked out for nothing");
                    let expected = Some(since_ms + MINUTE_MS - now_ms);
                    assert_eq!(locked.remaining_ms(), expected, "{what}");
                    continue;
                }
                if scored == allowed {
                    assert!(now_ms - since_ms >= MINUTE_MS, "{what}: not waited through");
                    (scored, lock_outs) = (0, lock_outs + 1);
                }
                durable = lockout.to_bytes();
                scored += 1;
                // Pulled while the probe is scored, or after the refusal and before it is saved, or not at all.
                pull = kind < 4;
                pulled_while_scoring += u32::from(kind == 2);
                if kind > 2 {
                    lockout.fail(&policy, now_ms);
                    since_ms = now_ms;
                }
                if !pull {
                    durable = lockout.to_bytes();
                }
            }
            if pull {
                (now_ms, since_ms) = (0, 0);
                lockout = Lockout::restore(durable, &policy, K, now_ms);
            }
        }
    }
    assert!(
        pulled_while_scoring > 10_000 && lock_outs > 1000 && lapses > 100,
        "{pulled_while_scoring}, {lock_outs}, {lapses}"
    );
}
