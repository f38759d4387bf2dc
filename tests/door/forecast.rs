//! The forecast against sums done by hand, the threshold that a target asks for, and who may not arm.

use threshold_policy::forecast::{
    Admissions, Arming, Basis, DAYS_A_MONTH, Derivation, Help, Range, Site, Target, Why, arm,
    forecast, judge,
};
use threshold_policy::{Policy, again};
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{Distributions, Metric, Quantile, Score, Threshold};

const METRIC: Metric = Metric::L2;

fn exact(at: f32) -> Quantile {
    Quantile { at, low: at, high: at }
}

/// FMR 10^-1 at 0.9, a half decade every 0.05, so 1e-5 at 0.5 and 0.1 a decade from there; half of the genuine at 0.2, one in
/// 200 at 0.8.
fn model() -> Distributions {
    Distributions {
        impostor: std::array::from_fn(|knot| exact(0.9 - 0.05 * knot as f32)),
        tail: exact(0.1),
        genuine: [0.1, 0.15, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.8].map(exact),
        templates: INDEPENDENT,
    }
}

fn policy(distance: f32) -> Policy {
    Policy { threshold: Threshold(METRIC.score(distance)), ..Policy::for_model(METRIC, 0.6) }
}

const SITE: Site =
    Site { people: 100, templates_each: 1.0, strangers_a_day: 20.0, visits_a_day: 200.0 };

#[track_caller]
fn near(found: f64, expected: f64) {
    assert!((found / expected - 1.0).abs() < 1e-4, "found {found}, expected {expected}");
}

#[test]
fn fmr_is_read_off_the_table_and_goes_on_by_the_tail() {
    let cases = [
        (0.9, 1e-1, Basis::Measured),
        (0.8, 1e-2, Basis::Measured),
        (0.775, 10f64.powf(-2.25), Basis::Measured),
        (0.501, 10f64.powf(-4.99), Basis::Measured),
        (0.45, 10f64.powf(-5.5), Basis::Extrapolated),
        (0.38, 10f64.powf(-6.2), Basis::Beyond),
        (0.1, 1e-9, Basis::Beyond),
        (0.925, 10f64.powf(-0.75), Basis::Measured),
        (2.0, 1.0, Basis::Measured),
    ];
    for (distance, fmr, basis) in cases {
        let found = forecast(&policy(distance), METRIC, &model(), &SITE);
        near(found.fmr.at, fmr);
        assert_eq!(found.basis, basis, "at {distance}");
    }
}

#[test]
fn counts_follow_from_rates_people_and_visits() {
    let found = forecast(&policy(0.6), METRIC, &model(), &SITE);
    near(found.fmr.at, 1e-4);
    near(found.fpir.at, 1.0 - (1.0 - 1e-4f64).powi(100));
    near(found.false_admissions_a_month.at, found.fpir.at * 20.0 * DAYS_A_MONTH);
    near(found.fnir.at, 0.01);
    near(found.false_refusals_a_day.at, 2.0);
    let three = forecast(&policy(0.6), METRIC, &model(), &Site { templates_each: 3.0, ..SITE });
    near(three.fpir.at, 1.0 - (1.0 - 1e-4f64).powi(300));
    // One frame that decides is as many chances as frames are looked at.
    let lone = Policy { frames_needed: 1, ..policy(0.6) };
    near(forecast(&lone, METRIC, &model(), &SITE).fpir.at, found.fpir.at * 60.0);
    // Nearer than the first knot nobody was measured.
    near(forecast(&policy(0.05), METRIC, &model(), &SITE).fnir.at, 1.0);
    near(forecast(&policy(0.175), METRIC, &model(), &SITE).fnir.at, 0.6);
    let nobody = forecast(&policy(0.6), METRIC, &model(), &Site { people: 0, ..SITE });
    assert_eq!(nobody.fpir.at, 0.0);
}

#[test]
fn intervals_of_the_distances_become_intervals_of_the_rates() {
    let wide = |one: Quantile| Quantile { low: one.at - 0.05, high: one.at + 0.05, ..one };
    let mut model = model();
    model.impostor = model.impostor.map(wide);
    model.genuine = model.genuine.map(wide);
    assert!(model.is_sound());
    let found = forecast(&policy(0.6), METRIC, &model, &SITE);
    // A half decade either way; where impostors lie nearer, more of them are accepted.
    near(found.fmr.high, 10f64.powf(-3.5));
    near(found.fmr.low, 10f64.powf(-4.5));
    assert!(found.fnir.low < found.fnir.at && found.fnir.at < found.fnir.high, "{found:?}");
}

#[test]
fn the_threshold_keeps_the_target_and_is_no_stricter_than_it_must() {
    for admissions in [Admissions::Fpir(0.003), Admissions::OneInMonths(1.0)] {
        let target = Target { admissions, fnir: 0.5 };
        let (policy, arming) = arm(&target, &policy(0.9), METRIC, &model(), &SITE);
        let Arming::Arms(found) = arming else { panic!("{arming:?}") };
        near(found.fpir.high, target.fpir(&SITE));
        assert!(found.fpir.high <= target.fpir(&SITE) * 1.000_01);
        let text = Derivation {
            target: &target,
            policy: &policy,
            metric: METRIC,
            distributions: &model(),
            site: &SITE,
            forecast: &found,
        };
        let text = text.to_string();
        for part in ["3 of 5 frames", "100 comparisons", "distance 0.", "L2"] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn templates_of_one_person_count_as_they_were_measured_to_err_together() {
    let mut known = model();
    for (place, one) in known.templates.iter_mut().enumerate() {
        let at = 1.0 + 0.5 * (place as f32 + 1.0);
        *one = Quantile { at, low: 1.0, high: at + 0.5 };
    }
    assert!(known.is_sound());
    let fpir = |templates_each: f64| {
        forecast(&policy(0.6), METRIC, &known, &Site { templates_each, ..SITE }).fpir
    };
    let of = |comparisons: i32| 1.0 - (1.0 - 1e-4f64).powi(comparisons);
    near(fpir(1.0).at, of(100));
    near(fpir(3.0).at, of(200));
    near(fpir(3.0).low, of(100));
    near(fpir(3.0).high, of(250));
    // Half of the people have one more.
    near(fpir(2.5).at, of(175));
    near(fpir(8.0).at, of(450));
    // Nobody has nine, and a ninth would count in full.
    near(fpir(9.0).at, of(550));
    let text = Derivation {
        target: &Target { admissions: Admissions::Fpir(0.01), fnir: 0.5 },
        policy: &policy(0.6),
        metric: METRIC,
        distributions: &known,
        site: &Site { templates_each: 3.0, ..SITE },
        forecast: &forecast(&policy(0.6), METRIC, &known, &SITE),
    };
    assert!(text.to_string().contains("a search is 250 comparisons"), "{text}");
    // Worse than independent is no measurement.
    known.templates[0].high = 2.1;
    assert!(!known.is_sound());
}

#[test]
fn a_unit_refuses_from_the_number_of_people_on_at_which_the_forecast_exceeds_the_target() {
    let target = Target { admissions: Admissions::Fpir(0.01), fnir: 0.05 };
    // FMR 1e-4: N people make 1 - (1 - 1e-4)^N, which passes 0.01 at 100.5.
    let at = |people: u32| judge(&target, &policy(0.6), METRIC, &model(), &Site { people, ..SITE });
    assert!(matches!(at(100), Arming::Arms(_)));
    let Arming::Refuses { why, help, .. } = at(101) else { panic!("armed at 101") };
    assert_eq!(why, Why::TooManyAdmissions);
    assert_eq!(help, Help { one_to_one: true, people_at_most: 100, more_templates: false });
    assert!(help.to_string().contains("at most 100 people"), "{help}");
}

#[test]
fn what_was_not_measured_arms_nothing() {
    // FPIR 0.001 at 10,000 people asks for FMR 1e-7, a decade further than anybody may go.
    let target = Target { admissions: Admissions::Fpir(0.001), fnir: 1.0 };
    let site = Site { people: 10_000, ..SITE };
    let (_, arming) = arm(&target, &policy(0.6), METRIC, &model(), &site);
    let Arming::Refuses { why, help, .. } = arming else { panic!("{arming:?}") };
    assert_eq!(why, Why::BeyondMeasurement);
    assert!((990..=1001).contains(&help.people_at_most), "{help:?}");
}

#[test]
fn a_model_that_refuses_too_many_people_is_refused_with_what_helps() {
    // FPIR 0.001 at 100 people is FMR 1e-5, a distance of 0.5, where two of a hundred are refused.
    let target = Target { admissions: Admissions::Fpir(0.001), fnir: 0.01 };
    let (_, arming) = arm(&target, &policy(0.6), METRIC, &model(), &SITE);
    let Arming::Refuses { why, help, .. } = arming else { panic!("{arming:?}") };
    assert_eq!(why, Why::TooManyRefusals);
    assert!(help.more_templates && help.one_to_one, "{help:?}");
    assert!((9..=10).contains(&help.people_at_most), "{help:?}");
}

#[test]
fn targets_and_thresholds_that_are_no_numbers_arm_nothing() {
    for admissions in
        [f64::NAN, -1.0].map(Admissions::Fpir).into_iter().chain([Admissions::OneInMonths(-1.0)])
    {
        let target = Target { admissions, fnir: 0.5 };
        let (_, arming) = arm(&target, &policy(0.6), METRIC, &model(), &SITE);
        assert!(matches!(arming, Arming::Refuses { .. }), "{admissions:?}");
    }
    let target = Target { admissions: Admissions::Fpir(0.01), fnir: 0.5 };
    let bad = Policy { threshold: Threshold(Score(f32::NAN)), ..policy(0.6) };
    assert!(matches!(judge(&target, &bad, METRIC, &model(), &SITE), Arming::Refuses { .. }));
    // Nobody comes, so any threshold keeps the months; the loosest FPIR is the bound.
    let site = Site { strangers_a_day: 0.0, ..SITE };
    let target = Target { admissions: Admissions::OneInMonths(12.0), fnir: 0.5 };
    let (_, arming) = arm(&target, &policy(0.9), METRIC, &model(), &site);
    let Arming::Arms(found) = arming else { panic!("{arming:?}") };
    near(found.fpir.high, 0.1);
}

#[test]
fn an_enrolment_is_somebodys_again_from_where_one_in_200_new_ones_would_be_by_chance() {
    let distance = |floor: f32, known: Option<&Distributions>, people: u32| {
        METRIC.distance(again::threshold(&policy(floor), METRIC, known, people).0)
    };
    let near = |found: f32, expected: f32| assert!((found - expected).abs() < 2e-3, "{found}");
    let model = model();
    // One in 200 among 100 people is an FMR of 5e-5: 10^-4.3.
    near(distance(0.8, Some(&model), 100), 0.57);
    near(distance(0.8, Some(&model), 1), 0.77);
    // Never looser than the floor, and the floor where nothing is known.
    near(distance(0.6, Some(&model), 1), 0.6);
    near(distance(0.6, Some(&model), 0), 0.6);
    near(distance(0.6, None, 100), 0.6);
    // No further out than was measured.
    near(distance(0.8, Some(&model), 5_000), 0.4);
    near(distance(0.8, Some(&model), 100_000), 0.4);
}

#[test]
fn other_people_differ_by_more_than_those_who_were_measured() {
    let range = Range { at: 0.01, low: 0.0025, high: 0.04 };
    let others = range.of_other_people();
    near(others.at, 0.01);
    // A quarter to the power of 3/2 is an eighth.
    near(others.low, 0.01 / 8.0);
    near(others.high, 0.08);
    let none = Range { at: 0.0, low: 0.0, high: 0.01 };
    assert_eq!(none.of_other_people(), none);
    assert_eq!(Range { at: 0.01, low: 0.0, high: 0.01 }.of_other_people().low, 0.0);
    let model = Distributions {
        impostor: model().impostor.map(|one| Quantile {
            low: one.at - 0.02,
            high: one.at + 0.02,
            ..one
        }),
        ..model()
    };
    let found = forecast(&policy(0.6), METRIC, &model, &SITE);
    let words = found.to_string();
    let others = found.fpir.of_other_people();
    assert!(others.low < found.fpir.low && found.fpir.high < others.high);
    assert!(
        words.contains(&format!("between {:.1e} and {:.1e}", others.low, others.high)),
        "{words}"
    );
}
