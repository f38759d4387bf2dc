//! Bootstrap over subjects: intervals for rates whose comparisons share people.
//!
//! Owns the seeded generator, the resampling of people, and the interval. Refuses to resample comparisons: a million
//! pairs of a thousand people know as much as a thousand people do, and an interval over pairs would be far too narrow.
//! Refuses an interval without a width where nothing happened: each resample of people of whom none was ever admitted has none either,
//! and that is what the bootstrap cannot know. Its end is Clopper and Pearson's bound then ([`Interval::of_rate`]).
//! A resample draws as many people as there are, with replacement; a comparison of two people then counts as often as
//! the product of how often they were drawn, one of a person with themself as often as that person was.

use serde::Serialize;

/// Resamples: the ends of a 95 % interval then rest on 25 of them each.
pub const N_RESAMPLES: usize = 1000;

/// The seed of every interval, so that two runs print the same one.
pub(super) const SEED: u64 = 0x5EED;

/// What [`Interval::of_rate`] leaves out where a rate is 0 or 1: one case in twenty, on the one side that there is.
const BEYOND: f64 = 0.05;

/// A figure with its 95 % interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Interval {
    /// The figure over everybody.
    pub at: f64,
    /// Lower end: 2.5 % of the resamples lie below.
    pub low: f64,
    /// Upper end: 2.5 % of the resamples lie above.
    pub high: f64,
}

impl Interval {
    /// The interval of a figure and what its resamples gave; without resamples it has no width.
    #[must_use]
    pub fn of(at: f64, mut resampled: Vec<f64>) -> Self {
        if resampled.is_empty() {
            return Self { at, low: at, high: at };
        }
        resampled.sort_unstable_by(f64::total_cmp);
        let n = resampled.len();
        Self { at, low: resampled[n / 40], high: resampled[n - 1 - n / 40] }
    }

    /// That of a rate which so many people's visits or pairs make. Where it is 0 its upper end is at least the highest rate at which
    /// none of so many people would have done it in one case of twenty (Clopper and Pearson: 1 - 0.05^(1/n), of many people 3 / n);
    /// where it is 1, its lower end at most one less that. People and not visits are counted, since one's visits are alike. Of nobody it
    /// is from 0 to 1.
    #[must_use]
    pub fn of_rate(at: f64, resampled: Vec<f64>, people: usize) -> Self {
        let Self { at, mut low, mut high } = Self::of(at, resampled);
        let unseen = 1.0 - BEYOND.powf(1.0 / people as f64);
        if at == 0.0 {
            high = high.max(unseen);
        } else if at == 1.0 {
            low = low.min(1.0 - unseen);
        }
        Self { at, low, high }
    }
}

/// How often each person is drawn in each resample; the same for the same number of people.
pub(super) fn resamples(people: usize) -> impl Iterator<Item = Vec<u32>> {
    let mut random = SplitMix64(SEED);
    (0..N_RESAMPLES).map(move |_| {
        let mut drawn = vec![0; people];
        for _ in 0..people {
            drawn[random.below(people)] += 1;
        }
        drawn
    })
}

/// Steele, Lea and Flood's generator.
#[derive(Clone, Debug)]
pub(super) struct SplitMix64(pub(super) u64);

impl SplitMix64 {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0. The bias of the remainder is below 2^-40 for the counts here.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// As many values, drawn with replacement.
    pub(super) fn resample(&mut self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|_| values[self.below(values.len())]).collect()
    }

    /// Fisher and Yates' shuffle.
    pub(super) fn shuffle<T>(&mut self, values: &mut [T]) {
        for last in (1..values.len()).rev() {
            values.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resample_draws_as_many_people_as_there_are() {
        let all: Vec<Vec<u32>> = resamples(40).collect();
        assert_eq!(all.len(), N_RESAMPLES);
        assert!(all.iter().all(|drawn| drawn.iter().sum::<u32>() == 40));
        assert_ne!(all[0], all[1]);
        let again: Vec<Vec<u32>> = resamples(40).collect();
        assert_eq!(all, again, "seeded");
        // A person is left out of a resample with probability (1 - 1/40)^40 = 0.363.
        let left_out = all.iter().flatten().filter(|&&drawn| drawn == 0).count() as f64 / 40_000.0;
        assert!((left_out - 0.363).abs() < 0.01, "{left_out}");
    }

    #[test]
    fn the_interval_leaves_a_fortieth_on_either_side() {
        let values: Vec<f64> = (0..1000).rev().map(f64::from).collect();
        assert_eq!(Interval::of(7.0, values), Interval { at: 7.0, low: 25.0, high: 974.0 });
        assert_eq!(Interval::of(0.5, vec![]), Interval { at: 0.5, low: 0.5, high: 0.5 });
    }

    #[test]
    fn a_rate_of_nothing_has_an_end_that_its_people_allow() {
        // The rule of three: 3 / n, here of 187 people who never did it.
        let none = Interval::of_rate(0.0, vec![0.0; 1000], 187);
        assert!((none.high - 0.01589).abs() < 5e-6 && none.low == 0.0, "{none:?}");
        assert!((none.high * 187.0 - 3.0).abs() < 0.03);
        let all = Interval::of_rate(1.0, vec![1.0; 1000], 187);
        assert!((all.low - (1.0 - none.high)).abs() < 1e-12 && all.high == 1.0, "{all:?}");
        // What resamples show beyond it stays, and a rate in between is the bootstrap's alone.
        assert_eq!(Interval::of_rate(0.0, vec![0.3; 100], 187).high, 0.3);
        let between: Vec<f64> = (0..1000).map(|n| f64::from(n) / 1000.0).collect();
        assert_eq!(Interval::of_rate(0.5, between.clone(), 2), Interval::of(0.5, between));
        assert_eq!(Interval::of_rate(0.0, vec![], 0), Interval { at: 0.0, low: 0.0, high: 1.0 });
        assert!((Interval::of_rate(1.0, vec![], 1).low - 0.05).abs() < 1e-12);
    }
}
