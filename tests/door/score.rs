//! Scores: the log's fixed-point form, distances and back, and what a threshold accepts.

use threshold_record::{Metric, Score, Threshold};

#[test]
fn every_fixed_point_score_comes_back() {
    for fixed in i16::MIN..=i16::MAX {
        assert_eq!(Score::from_fixed(fixed).to_fixed(), fixed);
    }
}

#[test]
fn a_score_is_rounded_to_the_nearest_step_and_saturated() {
    let step = 1.0 / 16384.0;
    for (score, fixed) in [
        (0.0, 0),
        (-0.0, 0),
        (1.0, 16384),
        (-1.0, -16384),
        (0.5, 8192),
        (step, 1),
        (0.49 * step, 0),
        (0.5 * step, 1),
        (-0.49 * step, 0),
        (-0.5 * step, -1),
        (1.5 * step, 2),
        (-1.5 * step, -2),
        (1.999_939, 32767),
        (2.0, 32767),
        (5.0, 32767),
        (-2.0, -32768),
        (-5.0, -32768),
        (f32::MAX, 32767),
        (f32::MIN, -32768),
        (f32::INFINITY, 32767),
        (f32::NEG_INFINITY, -32768),
        // The lowest: no number is a good score.
        (f32::NAN, -32768),
        (-f32::NAN, -32768),
        (f32::MIN_POSITIVE, 0),
    ] {
        assert_eq!(Score(score).to_fixed(), fixed, "{score}");
    }
}

#[test]
fn rounding_errs_by_half_a_step_at_most() {
    let mut lots = threshold_tests::lots::Lots(41);
    for _ in 0..50_000 {
        let score = lots.unit() * 3.9 - 1.95;
        let kept = Score::from_fixed(Score(score).to_fixed()).0;
        assert!((kept - score).abs() <= 0.5 / 16384.0 + 1e-7, "{score} became {kept}");
    }
}

#[test]
fn scores_and_distances_are_each_others_inverse_and_fall_as_the_distance_grows() {
    for (metric, distance, score, unit) in [
        (Metric::SquaredL2, 0.0, 1.0, "squared L2"),
        (Metric::SquaredL2, 1.0, 0.5, "squared L2"),
        (Metric::SquaredL2, 4.0, -1.0, "squared L2"),
        (Metric::L2, 0.0, 1.0, "L2"),
        (Metric::L2, 0.625, 0.375, "L2"),
        (Metric::L2, 3.0, -2.0, "L2"),
    ] {
        assert_eq!(metric.score(distance), Score(score));
        assert_eq!(metric.distance(Score(score)), distance);
        assert_eq!(metric.unit(), unit);
        assert!(metric.score(distance + 0.125) < metric.score(distance));
    }
}

#[test]
fn a_threshold_accepts_from_itself_on_and_no_nan() {
    let threshold = Threshold(Score(0.5));
    for (score, accepted) in [
        (0.5, true),
        (0.5_f32.next_down(), false),
        (0.5_f32.next_up(), true),
        (f32::INFINITY, true),
        (f32::NEG_INFINITY, false),
        (f32::NAN, false),
    ] {
        assert_eq!(threshold.accepts(Score(score)), accepted, "{score}");
    }
    for score in [f32::NAN, f32::INFINITY, 1.0] {
        assert!(!Threshold(Score(f32::NAN)).accepts(Score(score)));
    }
}

#[test]
fn a_score_prints_with_three_places() {
    for (score, text) in [(0.5, "0.500"), (-0.12345, "-0.123"), (0.9996, "1.000"), (1.0, "1.000")] {
        assert_eq!(Score(score).to_string(), text);
    }
}
