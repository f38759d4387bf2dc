//! What is computed from times: medians, ratios turn by turn, and the straight line through points.

/// The middle of some numbers, or the mean of the middle two; NaN of none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[half],
        _ => f64::midpoint(values[half - 1], values[half]),
    }
}

/// The median of ours over theirs, each pair from the same turn, so that a busy machine slows both of a pair.
pub(super) fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs))
}

/// A straight line through points, by least squares.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Line {
    /// At x = 0.
    pub(crate) start: f64,
    /// Per unit of x.
    pub(crate) slope: f64,
    /// The share of the variance that the line explains: 1 if all points lie on it.
    pub(crate) r2: f64,
}

impl Line {
    /// `None` unless two points differ in x.
    pub(crate) fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
        let (mx, my) = (mean(|p| p.0), mean(|p| p.1));
        let [mut xx, mut xy, mut yy] = [0.0; 3];
        for (x, y) in points {
            xx += (x - mx) * (x - mx);
            xy += (x - mx) * (y - my);
            yy += (y - my) * (y - my);
        }
        if points.len() < 2 || xx == 0.0 {
            return None;
        }
        let slope = xy / xx;
        // Points that are all equally high lie on a line, though there is no variance to explain.
        let r2 = if yy == 0.0 { 1.0 } else { slope * xy / yy };
        Some(Self { start: my - slope * mx, slope, r2 })
    }

    /// The line's height there.
    pub(crate) fn at(self, x: f64) -> f64 {
        self.start + self.slope * x
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_two() {
        assert!(median([]).is_nan());
        for (values, middle) in [
            (&[3.0][..], 3.0),
            (&[3.0, 1.0], 2.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 100.0, 2.0], 3.0),
        ] {
            assert_eq!(median(values.iter().copied()), middle, "{values:?}");
        }
    }

    #[test]
    fn a_turn_that_was_slow_for_both_does_not_move_the_ratio() {
        let steady = ratio(&[1.0, 1.0, 1.0], &[2.0, 2.0, 2.0]);
        assert_eq!(steady, 0.5);
        assert_eq!(ratio(&[1.0, 50.0, 1.0], &[2.0, 100.0, 2.0]), steady);
        // A ratio of medians would say 10 / 12.
        assert_eq!(ratio(&[1.0, 10.0, 30.0], &[2.0, 20.0, 12.0]), 0.5);
    }

    #[test]
    fn a_line_goes_through_points_that_lie_on_one() {
        let line = Line::through(&[(1.0, 5.0), (2.0, 7.0), (4.0, 11.0)]).unwrap();
        assert_eq!((line.start, line.slope, line.r2), (3.0, 2.0, 1.0));
        assert_eq!(line.at(10.0), 23.0);
        let bent = Line::through(&[(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)]).unwrap();
        assert!(bent.r2 < 0.95, "{bent:?}");
        assert_eq!(Line::through(&[(0.0, 2.0), (1.0, 2.0)]).unwrap().r2, 1.0);
    }

    #[test]
    fn no_line_goes_through_one_point_or_points_above_each_other() {
        assert_eq!(Line::through(&[]), None);
        assert_eq!(Line::through(&[(1.0, 1.0)]), None);
        assert_eq!(Line::through(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}
