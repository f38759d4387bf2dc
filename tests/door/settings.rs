//! The policy's settings: the check of each, the defaults of both models, and the bytes of the context record.

use crate::settings as policy;
use threshold_policy::rule::{Commission, Settled};
use threshold_policy::settings::{MAX_WINDOW, PresentationRule};
use threshold_policy::{Calibrated, Policy, PolicyError};
use threshold_record::{
    ContextError, KeyTag, Metric, Mode, ModelId, PersonId, Presentation, Score, Threshold,
    ThresholdRule,
};

fn check(policy: Policy, expected: Result<(), (PolicyError, &str)>) {
    match (policy.check(), expected) {
        (Ok(()), Ok(())) => {}
        (Err(found), Err((expected, text))) => {
            // A NaN in the error is not equal to itself; the text has it.
            if !text.contains("NaN") {
                assert_eq!(found, expected);
            }
            assert_eq!(found.to_string(), text);
        }
        (found, expected) => panic!("{found:?}, expected {expected:?}: {policy:?}"),
    }
}

#[test]
fn thresholds_and_margins_must_be_scores_that_can_be_compared() {
    let with = |threshold: f32, margin: f32| Policy {
        threshold: Threshold(Score(threshold)),
        margin,
        ..policy()
    };
    let good = [
        (0.5, 0.0),
        (0.5, 1.0),
        (0.0, 0.1),
        // dlib's and squared L2's scores may be below zero.
        (-1.0, 0.1),
        ((-2.0_f32).next_up(), 0.1),
        (1.0_f32.next_down(), 0.1),
    ];
    for (threshold, margin) in good {
        check(with(threshold, margin), Ok(()));
    }
    let bad = [
        (1.0, 0.1),
        (1.5, 0.1),
        // What cannot be compared scores this.
        (-2.0, 0.1),
        (-100.0, 0.1),
        (f32::INFINITY, 0.1),
        (f32::NEG_INFINITY, 0.1),
        (f32::NAN, 0.1),
        (0.5, f32::NAN),
        (0.5, -0.0001),
        (0.5, 1.0001),
        (0.5, f32::INFINITY),
    ];
    for (threshold, margin) in bad {
        let text = format!(
            "threshold {threshold} with margin {margin}: the threshold must be above -2 and below 1, the margin 0 to 1"
        );
        check(with(threshold, margin), Err((PolicyError::Scores { threshold, margin }, &text)));
    }
    // Minus zero is zero.
    check(with(0.5, -0.0), Ok(()));
}

#[test]
fn k_of_n_must_be_possible() {
    let with = |needed: u8, window: u8| Policy {
        frames_needed: needed,
        frames_window: window,
        frames_limit: 255,
        ..policy()
    };
    let most = MAX_WINDOW as u8;
    for (needed, window) in [(1, 1), (1, most), (most, most), (2, 3)] {
        check(with(needed, window), Ok(()));
    }
    for (needed, window) in [(0, 0), (0, 3), (4, 3), (1, 0), (1, most + 1), (255, 255)] {
        let text = format!(
            "{needed} of {window} frames: needed must be at least 1 and at most the window, the window at most 16"
        );
        check(with(needed, window), Err((PolicyError::Frames { needed, window }, &text)));
    }
}

#[test]
fn a_visit_must_be_long_enough_for_an_admission() {
    let with = |limit: u16| Policy { frames_needed: 3, frames_limit: limit, ..policy() };
    check(with(3), Ok(()));
    check(with(u16::MAX), Ok(()));
    for limit in [0, 2] {
        let text =
            format!("a limit of {limit} frames a visit is below the 3 needed; raise the limit");
        check(with(limit), Err((PolicyError::Limit { limit, needed: 3 }, &text)));
    }
}

#[test]
fn quality_and_lock_out_must_be_within_reach() {
    for quality_min in [0, 100] {
        check(Policy { quality_min, ..policy() }, Ok(()));
    }
    for quality_min in [101, 255] {
        let text =
            format!("a least quality of {quality_min} percent is out of reach; give 0 to 100");
        let policy = Policy { quality_min, ..policy() };
        check(policy, Err((PolicyError::Quality { quality_min }, &text)));
    }
    for (attempts, lockout_s) in [(1, 1), (254, u16::MAX)] {
        check(Policy { attempts, lockout_s, ..policy() }, Ok(()));
    }
    for (attempts, lockout_s) in [(0, 60), (255, 60), (3, 0), (0, 0)] {
        let text = format!(
            "{attempts} attempts and {lockout_s} s of lock-out: both must be at least 1, and attempts below 255"
        );
        let policy = Policy { attempts, lockout_s, ..policy() };
        check(policy, Err((PolicyError::Lockout { attempts, lockout_s }, &text)));
    }
}

#[test]
fn the_first_setting_that_is_wrong_is_named() {
    let all = Policy {
        margin: 2.0,
        frames_needed: 0,
        frames_limit: 0,
        quality_min: 200,
        attempts: 0,
        ..policy()
    };
    assert!(matches!(all.check(), Err(PolicyError::Scores { .. })));
    let rest = Policy { margin: 0.1, ..all };
    assert!(matches!(rest.check(), Err(PolicyError::Frames { .. })));
    let rest = Policy { frames_needed: 1, ..rest };
    assert!(matches!(rest.check(), Err(PolicyError::Limit { .. })));
    let rest = Policy { frames_limit: 1, ..rest };
    assert!(matches!(rest.check(), Err(PolicyError::Quality { .. })));
    let rest = Policy { quality_min: 1, ..rest };
    assert!(matches!(rest.check(), Err(PolicyError::Lockout { .. })));
}

#[test]
fn each_models_default_checks_and_is_stricter_than_lfw() {
    // The best distances on LFW's dev folds, and the distance asked for: 15 percent nearer.
    for (metric, best, expected) in [(Metric::SquaredL2, 1.14, 0.969), (Metric::L2, 0.62, 0.527)] {
        let policy = Policy::for_model(metric, best);
        check(policy, Ok(()));
        let asked = metric.distance(policy.threshold.0);
        assert!((asked - expected).abs() < 1e-6, "{metric:?}: {asked}");
        assert!(!policy.threshold.accepts(metric.score(best)));
        assert!(policy.frames_needed >= 3, "one frame is one accident");
        assert_eq!(policy.presentation, PresentationRule::AcceptNotAssessed);
    }
}

#[test]
fn which_presentations_count_under_which_rule() {
    use Presentation::{Live, NotAssessed, Spoof};
    for (rule, counts) in [
        (PresentationRule::AcceptNotAssessed, [(NotAssessed, true), (Live, true), (Spoof, false)]),
        (PresentationRule::RequireLive, [(NotAssessed, false), (Live, true), (Spoof, false)]),
    ] {
        let policy = Policy { presentation: rule, ..policy() };
        for (presentation, expected) in counts {
            assert_eq!(policy.counts(presentation), expected, "{rule:?}, {presentation:?}");
        }
    }
}

fn settled() -> Settled {
    Settled {
        policy: Policy { frames_limit: 300, ..policy() },
        rule: ThresholdRule::Target { fpir: 0.0009765625 },
        change: 300,
        photo: Some(KeyTag([1, 2, 3, 4])),
        commission: Some(Commission { by: KeyTag([5, 6, 7, 8]), recovery_key: [9; 32] }),
        passback_min: 300,
        mode: Mode::Verify,
        calibration: None,
        reserve: 0,
    }
}

fn calibrated() -> Calibrated {
    Calibrated {
        model: ModelId([7; 32]),
        by: KeyTag([1, 2, 3, 4]),
        threshold: Threshold(Score(0.625)),
        people: 300,
        templates: 900,
        newest: PersonId(301),
        strangers: 5000,
    }
}

#[test]
fn a_calibration_follows_the_record_of_before() {
    let without = settled().to_context().unwrap();
    let with = Settled { calibration: Some(calibrated()), ..settled() }.to_context().unwrap();
    let mut golden = without.to_vec();
    golden[0] = 5;
    golden.push(1);
    golden.extend([7; 32]); // model
    golden.extend([1, 2, 3, 4]); // by
    golden.extend([0, 0, 0x20, 0x3f]); // threshold 0.625
    golden.extend([0xac, 0x02, 0x84, 0x07, 0xad, 0x02, 0x88, 0x27]); // 300, 900, 301, 5000
    assert_eq!(&with[..], golden);
    golden[0] = 4;
    assert_eq!(Settled::from_context(&golden), Err(ContextError::Malformed));
}

#[test]
fn a_reserve_follows_the_calibration_or_that_there_is_none() {
    for calibration in [None, Some(calibrated())] {
        let without = Settled { calibration, ..settled() };
        let mut golden = without.to_context().unwrap().to_vec();
        if calibration.is_none() {
            golden.push(0);
        }
        golden[0] = 6;
        golden.push(100);
        let settled = Settled { reserve: 100, ..without };
        assert_eq!(&settled.to_context().unwrap()[..], golden);
        assert_eq!(Settled::from_context(&golden), Ok(settled));
        golden[0] = 5;
        assert_eq!(Settled::from_context(&golden), Err(ContextError::Malformed));
    }
}

#[test]
fn the_context_record_has_golden_bytes_and_comes_back() {
    let bytes = settled().to_context().unwrap();
    let mut golden = vec![
        4, // version
        0, 0, 0, 0x3f, // floor 0.5
        0, 0, 0, 0x3e, // margin 0.125
        2, 3, 0xac, 0x02, // 2 of 3, limit 300
        40, 0, // quality, presentation rule
        3, 60, // attempts, lock-out
        0, 0, 0, 0, 0, 0, 0, 0x50, 0x3f, // a target of 2^-10
        0xac, 0x02, // the 300th change
        1, 1, 2, 3, 4, // acknowledged by
        1, 5, 6, 7, 8, // commissioned by
    ];
    golden.extend([9; 32]); // with this recovery key
    golden.extend([0xac, 0x02]); // anti-passback, 300 minutes
    golden.push(1); // mode verify
    assert_eq!(&bytes[..], golden);
    let fixed = ThresholdRule::Fixed { model: ModelId([7; 32]), threshold: Threshold(Score(0.75)) };
    let policy = policy();
    for policy in [
        policy,
        Policy { presentation: PresentationRule::RequireLive, ..policy },
        Policy { lockout_s: u16::MAX, frames_limit: u16::MAX, attempts: 254, ..policy },
        Policy::for_model(Metric::L2, 0.62),
    ] {
        for (rule, photo, mode) in [
            (fixed, None, Mode::Both),
            (ThresholdRule::DEFAULT, Some(KeyTag::NOBODY), Mode::Identify),
        ] {
            let (commission, passback_min) = (None, 0);
            let change = u32::MAX;
            for calibration in [None, Some(calibrated())] {
                let settled = Settled {
                    policy,
                    rule,
                    change,
                    photo,
                    commission,
                    passback_min,
                    mode,
                    calibration,
                    reserve: 0,
                };
                let bytes = settled.to_context().unwrap();
                // A program that knows no calibration reads what has none.
                assert_eq!(bytes[0], if calibration.is_some() { 5 } else { 4 });
                assert_eq!(Settled::from_context(&bytes), Ok(settled));
            }
        }
    }
}

#[test]
fn a_context_of_version_1_is_a_policy_whose_threshold_nobody_settled() {
    let golden = [1, 0, 0, 0, 0x3f, 0, 0, 0, 0x3e, 2, 3, 0xac, 0x02, 40, 0, 3, 60];
    let found = Settled::from_context(&golden).unwrap();
    assert_eq!(found, Settled::by_default(settled().policy));
}

/// Bytes of a commission and what came with it at the end of a record, and of an acknowledgement before it.
const LATER: usize = 1 + 4 + 32 + 2 + 1;
const PHOTO: usize = 1 + 4;

/// What a record of before version 4 says of the same.
fn without_version_4() -> Settled {
    Settled { commission: None, passback_min: 0, mode: Mode::Identify, ..settled() }
}

#[test]
fn a_context_of_version_3_commissions_nothing_lets_nobody_wait_and_asks_for_no_credential() {
    let mut golden = settled().to_context().unwrap().to_vec();
    let commission = golden.split_off(golden.len() - LATER);
    golden[0] = 3;
    let found = Settled::from_context(&golden).unwrap();
    assert_eq!(found, without_version_4());
    // Under the version of before a commission is bytes left over.
    golden.extend(commission);
    assert_eq!(Settled::from_context(&golden), Err(ContextError::Malformed));
}

#[test]
fn a_context_of_version_2_is_what_was_settled_and_acknowledges_nothing() {
    let mut golden = settled().to_context().unwrap().to_vec();
    golden.truncate(golden.len() - LATER - PHOTO);
    golden[0] = 2;
    let found = Settled::from_context(&golden).unwrap();
    assert_eq!(found, Settled { photo: None, ..without_version_4() });
    // Under the version of before an acknowledgement is bytes left over.
    golden.extend([1, 1, 2, 3, 4]);
    assert_eq!(Settled::from_context(&golden), Err(ContextError::Malformed));
}

#[test]
fn a_context_of_a_later_version_or_of_other_bytes_is_refused() {
    let sound = settled().to_context().unwrap().to_vec();
    for found in [0, 7, 255] {
        let mut bytes = sound.clone();
        bytes[0] = found;
        let error = Settled::from_context(&bytes).unwrap_err();
        assert_eq!(error, ContextError::Version { found, supported: 6 });
        let expected =
            format!("context of version {found}, this program reads up to 6; update this program");
        assert_eq!(error.to_string(), expected);
    }
    for len in 0..sound.len() {
        let error = Settled::from_context(&sound[..len]).unwrap_err();
        assert_eq!(error, ContextError::Malformed, "cut to {len}");
        assert_eq!(error.to_string(), "the context's bytes do not decode; pull the log again");
    }
    let longer = [&sound[..], &[0]].concat();
    assert_eq!(Settled::from_context(&longer), Err(ContextError::Malformed));
    // A rule of presentation that version 4 does not have.
    let mut bytes = sound;
    bytes[14] = 2;
    assert_eq!(Settled::from_context(&bytes), Err(ContextError::Malformed));
}
