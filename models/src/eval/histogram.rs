//! How distances lie: counts in even steps, for a plot and for whoever reads the numbers.
//!
//! Owns the steps. Refuses to smooth: a bar is what was counted.

use serde::Serialize;

/// Bars from 0 to the largest distance.
pub const N_BARS: usize = 60;

/// Comparisons by distance, each kind on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Histogram {
    /// Width of a bar in distance; the first begins at 0.
    pub step: f64,
    /// Genuine comparisons in each of [`N_BARS`] bars.
    pub genuine: Vec<u64>,
    /// Impostor comparisons in each.
    pub impostor: Vec<u64>,
}

impl Histogram {
    /// Counts finite distances, none of which is below 0.
    #[must_use]
    pub fn of(genuine: &[f64], impostor: &[f64]) -> Self {
        let most = genuine.iter().chain(impostor).copied().fold(0.0, f64::max);
        let step = if most > 0.0 { most / N_BARS as f64 } else { 1.0 };
        let count = |distances: &[f64]| {
            let mut bars = vec![0; N_BARS];
            for distance in distances {
                // The largest belongs to the last bar.
                bars[((distance / step) as usize).min(N_BARS - 1)] += 1;
            }
            bars
        };
        Self { step, genuine: count(genuine), impostor: count(impostor) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_distance_is_counted_once_in_its_bar() {
        let found = Histogram::of(&[0.0, 0.05, 0.15], &[3.0, 6.0, 5.99]);
        assert!((found.step - 0.1).abs() < 1e-12);
        assert_eq!((found.genuine[0], found.genuine[1]), (2, 1));
        assert_eq!((found.impostor[30], found.impostor[N_BARS - 1]), (1, 2));
        assert_eq!(found.genuine.iter().sum::<u64>() + found.impostor.iter().sum::<u64>(), 6);
        // Pictures that are all the same have no distance at all.
        assert_eq!(Histogram::of(&[0.0], &[]).genuine[0], 1);
    }
}
