//! Verification of all with all: how often one comparison accepts two people, and how often it misses one.
//!
//! Owns the comparisons of a group of people, FNMR at an FMR, the distributions that a pack ships, and the tail beyond
//! them. Refuses to hide how few: every rate carries the comparisons that it rests on.
//! FMR and FNMR count comparisons: every two pictures. The distributions that a pack ships count every two *people* once,
//! and every person's pairs once, however many pictures there are: a door meets people, and two much-photographed
//! ones who look alike would otherwise be the whole tail (of LFW's fit half, two statesmen are).
//! Every interval is a bootstrap over people, with the threshold chosen anew in each resample, so that what a few people
//! with look-alikes do to the tail is in it.
//!
//! How alike one person's templates are (`templates`) is counted at FMR 1e-4, about where a door works.
//!
//! The tail: below the distance at FMR 1e-4, the distances of impostors are taken to fall off exponentially, so that one
//! decade of FMR costs the same distance again and again (`tail`: the mean excess times ln 10). A normal tail falls
//! faster, so this errs to the stricter threshold; people who look alike are what may make it fall slower.

use super::bootstrap::{Interval, resamples};
use super::embeddings::Subject;
use super::histogram::Histogram;
use super::templates::factors;
use super::{N_WORST, WorstPair};
use crate::search::distance;
use serde::Serialize;
use threshold_record::Metric;
use threshold_record::distribution::{
    Distributions, GENUINE_FNMR, N_GENUINE, N_IMPOSTOR, Quantile, impostor_fmr,
};

/// The FMRs that are reported.
pub const FMRS: [f64; 4] = [1e-2, 1e-3, 1e-4, 1e-5];

/// One decade further than is measured.
pub const FMR_EXTRAPOLATED: f64 = 1e-6;

/// Where the tail begins.
const FMR_TAIL: f64 = 1e-4;

/// FNMR where so many of the impostors are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Part of the impostor comparisons accepted, at most.
    pub fmr: f64,
    /// True if the threshold comes from the tail.
    pub extrapolated: bool,
    /// Impostor comparisons accepted.
    pub accepted: usize,
    /// Distance below which a comparison is accepted.
    pub threshold: Interval,
    /// Part of the genuine comparisons not accepted.
    pub fnmr: Interval,
}

/// The verification figures of one model on one group of people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VerifyResult {
    /// Unit of every threshold and distance here.
    pub metric: &'static str,
    /// People.
    pub people: usize,
    /// People with two pictures or more.
    pub people_with_pairs: usize,
    /// Their pictures.
    pub pictures: usize,
    /// Comparisons of two pictures of one person.
    pub genuine: usize,
    /// Comparisons of pictures of two people.
    pub impostor: usize,
    /// At each FMR, the loosest first.
    pub points: Vec<Point>,
    /// At each half decade of FMR that is measured, the loosest first: the curve.
    pub det: Vec<Point>,
    /// How the distances lie.
    pub histogram: Histogram,
    /// What a pack ships of them: every two people count once.
    pub distributions: Distributions,
    /// The nearest impostors: distance and the two pictures.
    pub nearest_impostors: Vec<WorstPair>,
    /// The furthest genuine pairs.
    pub furthest_genuine: Vec<WorstPair>,
}

/// A pair of people, by their places, and the distance of two of their pictures.
#[derive(Clone, Copy)]
struct Comparison {
    distance: f32,
    people: [u16; 2],
    pictures: [u16; 2],
}

/// Compares every picture with every other. Nothing if there are too few for a rate of 1e-4 or no genuine pair, or
/// more than 65,535 people.
#[must_use]
pub fn verify(metric: Metric, subjects: &[Subject]) -> Option<VerifyResult> {
    let (genuine, impostor) = compare(metric, subjects)?;
    let pictures: Vec<u64> = subjects.iter().map(|one| one.pictures.len() as u64).collect();
    let curves = |of_people: bool| {
        let all =
            Weighted { of_people, genuine: &genuine, impostor: &impostor, pictures: &pictures };
        let whole = all.curve(&vec![1; subjects.len()]);
        let resampled = resamples(subjects.len()).map(|drawn| all.curve(&drawn));
        whole.is_whole().then(|| (whole, resampled.filter(Curve::is_whole).collect::<Vec<_>>()))
    };
    let (of_comparisons, of_people) = (curves(false)?, curves(true)?);
    let interval = |curves: &(Curve, Vec<Curve>), of: &dyn Fn(&Curve) -> f64| {
        Interval::of(of(&curves.0), curves.1.iter().map(of).collect())
    };
    let people_with_pairs = pictures.iter().filter(|&&n| n > 1).count();
    let point = |fmr: f64| {
        let (extrapolated, knot) = (fmr < FMRS[3] * 0.99, knot_of(fmr));
        let threshold = interval(&of_comparisons, &|curve| match extrapolated {
            false => curve.impostor[knot].into(),
            true => f64::from(curve.impostor[N_IMPOSTOR - 1]) - curve.tail,
        });
        let fnmr_of = |curve: &Curve| match extrapolated {
            false => curve.fnmr[knot],
            true => curve.fnmr_beyond,
        };
        let (whole, resampled) = &of_comparisons;
        let resampled = resampled.iter().map(fnmr_of).collect();
        let fnmr = Interval::of_rate(fnmr_of(whole), resampled, people_with_pairs);
        let below = |one: &&Comparison| f64::from(one.distance) < threshold.at;
        let accepted = impostor.iter().take_while(below).count();
        Point { fmr, extrapolated, accepted, threshold, fnmr }
    };
    let quantile = |of: &dyn Fn(&Curve) -> f64| {
        let Interval { at, low, high } = interval(&of_people, of);
        Quantile { at: at as f32, low: low as f32, high: high as f32 }
    };
    let named = |one: &Comparison| {
        let path = |side: usize| {
            let subject = &subjects[usize::from(one.people[side])];
            subject.pictures[usize::from(one.pictures[side])].0.clone()
        };
        (one.distance, path(0), path(1))
    };
    Some(VerifyResult {
        metric: metric.unit(),
        people: subjects.len(),
        people_with_pairs,
        pictures: pictures.iter().sum::<u64>() as usize,
        genuine: genuine.len(),
        impostor: impostor.len(),
        points: FMRS.into_iter().chain([FMR_EXTRAPOLATED]).map(point).collect(),
        det: (0..N_IMPOSTOR).map(impostor_fmr).map(point).collect(),
        histogram: Histogram::of(&distances(&genuine), &distances(&impostor)),
        distributions: Distributions {
            impostor: std::array::from_fn(|knot| quantile(&|curve| curve.impostor[knot].into())),
            tail: quantile(&|curve| curve.tail),
            genuine: std::array::from_fn(|i| quantile(&|curve| curve.genuine[i].into())),
            templates: factors(metric, subjects, of_people.0.impostor[knot_of(FMR_TAIL)]),
        },
        nearest_impostors: impostor.iter().take(N_WORST).map(named).collect(),
        furthest_genuine: genuine.iter().rev().take(N_WORST).map(named).collect(),
    })
}

fn distances(all: &[Comparison]) -> Vec<f64> {
    all.iter().map(|one| one.distance.into()).collect()
}

/// The knot at a power of ten, or half of one.
fn knot_of(fmr: f64) -> usize {
    (0..N_IMPOSTOR).find(|&knot| impostor_fmr(knot) <= fmr * 1.01).unwrap_or(N_IMPOSTOR - 1)
}

/// Genuine and impostor comparisons, each by ascending distance.
fn compare(metric: Metric, subjects: &[Subject]) -> Option<(Vec<Comparison>, Vec<Comparison>)> {
    let place = |at: usize| u16::try_from(at).ok();
    let mut faces = Vec::new();
    for (person, subject) in subjects.iter().enumerate() {
        for (picture, (_, frames)) in subject.pictures.iter().enumerate() {
            faces.push((place(person)?, place(picture)?, frames.first()?));
        }
    }
    let (mut genuine, mut impostor) = (Vec::new(), Vec::new());
    for (i, a) in faces.iter().enumerate() {
        for b in &faces[i + 1..] {
            let one = Comparison {
                distance: distance(metric, a.2, b.2),
                people: [a.0, b.0],
                pictures: [a.1, b.1],
            };
            if a.0 == b.0 { genuine.push(one) } else { impostor.push(one) }
        }
    }
    if genuine.is_empty() || impostor.is_empty() {
        return None;
    }
    for kind in [&mut genuine, &mut impostor] {
        kind.sort_unstable_by(|a, b| a.distance.total_cmp(&b.distance));
    }
    Some((genuine, impostor))
}

/// The comparisons, to be counted with a weight for each person.
struct Weighted<'a> {
    /// True to count every two people once, however many pictures they have; false to count every two pictures.
    of_people: bool,
    genuine: &'a [Comparison],
    impostor: &'a [Comparison],
    pictures: &'a [u64],
}

/// What one resample gave.
struct Curve {
    /// Distance at each knot of FMR.
    impostor: [f32; N_IMPOSTOR],
    /// FNMR at each.
    fnmr: [f64; N_IMPOSTOR],
    /// Distance of one decade of FMR beyond the last knot.
    tail: f64,
    /// FNMR one decade beyond.
    fnmr_beyond: f64,
    /// Distance at each FNMR of [`GENUINE_FNMR`].
    genuine: [f32; N_GENUINE],
}

impl Curve {
    /// False if a resample drew nobody with two pictures, or nobody but one person.
    fn is_whole(&self) -> bool {
        self.tail.is_finite() && self.fnmr[0].is_finite()
    }
}

impl Weighted<'_> {
    fn curve(&self, drawn: &[u32]) -> Curve {
        let weight = |one: &Comparison| {
            let [a, b] = one.people.map(usize::from);
            let (n, m) = (self.pictures[a], self.pictures[b]);
            let (drawn, pairs) = match a == b {
                true => (f64::from(drawn[a]), n * (n - 1) / 2),
                false => (f64::from(drawn[a]) * f64::from(drawn[b]), n * m),
            };
            if self.of_people { drawn / pairs as f64 } else { drawn }
        };
        // Two drawn copies of one person are not two people.
        let size = |n: u64| if self.of_people { 1.0 } else { n as f64 };
        let sizes = || self.pictures.iter().zip(drawn).map(|(&n, &m)| size(n) * f64::from(m));
        let total = (sizes().sum::<f64>().powi(2) - sizes().map(|n| n * n).sum::<f64>()) / 2.0;
        let mut impostor = [f32::NAN; N_IMPOSTOR];
        let mut tail = Excess::default();
        // From the last knot, which is the nearest, to the first.
        let mut knots = (0..N_IMPOSTOR).rev().peekable();
        let mut accepted = 0.0;
        for one in self.impostor {
            let weight = weight(one);
            if weight == 0.0 {
                continue;
            }
            accepted += weight;
            while let Some(&knot) = knots.peek()
                && accepted > impostor_fmr(knot) * total
            {
                impostor[knot] = one.distance;
                knots.next();
            }
            if knots.peek().is_none() {
                break;
            }
            if accepted <= FMR_TAIL * total {
                tail.add(one.distance, weight);
            }
        }
        let genuine_total: f64 = self.genuine.iter().map(weight).sum();
        let missed = |threshold: f64| {
            let from = self.genuine.partition_point(|one| f64::from(one.distance) < threshold);
            self.genuine[from..].iter().map(weight).sum::<f64>() / genuine_total
        };
        let mut genuine = [f32::NAN; N_GENUINE];
        let mut steps = (0..N_GENUINE).rev().peekable();
        let mut beyond = 0.0;
        for one in self.genuine.iter().rev() {
            beyond += weight(one);
            while let Some(&step) = steps.peek()
                && beyond > GENUINE_FNMR[step] * genuine_total
            {
                genuine[step] = one.distance;
                steps.next();
            }
        }
        let tail = tail.per_decade(impostor[knot_of(FMR_TAIL)]);
        let last = f64::from(impostor[N_IMPOSTOR - 1]);
        Curve {
            impostor,
            fnmr: impostor.map(|threshold| missed(threshold.into())),
            tail,
            fnmr_beyond: missed(last - tail),
            genuine,
        }
    }
}

/// The mean excess of distances below a threshold.
#[derive(Default)]
struct Excess {
    sum: f64,
    weight: f64,
}

impl Excess {
    fn add(&mut self, distance: f32, weight: f64) {
        self.sum += f64::from(distance) * weight;
        self.weight += weight;
    }

    /// The greatest likelihood of an exponential fall below the threshold.
    fn per_decade(&self, threshold: f32) -> f64 {
        (f64::from(threshold) - self.sum / self.weight) * std::f64::consts::LN_10
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::embeddings::made_up;
    use super::*;

    #[test]
    fn rates_are_what_counting_all_pairs_gives() {
        let subjects = made_up(80, 3, 0.8);
        let result = verify(Metric::SquaredL2, &subjects).unwrap();
        assert_eq!((result.people, result.pictures, result.genuine), (80, 240, 80 * 3));
        assert_eq!(result.impostor, 240 * 239 / 2 - 240);
        let all: Vec<(usize, &crate::engine::Embedding)> = subjects
            .iter()
            .enumerate()
            .flat_map(|(person, one)| one.pictures.iter().map(move |(_, f)| (person, &f[0])))
            .collect();
        let below = |same: bool, threshold: f64| {
            let mut count = 0;
            for (i, a) in all.iter().enumerate() {
                for b in &all[i + 1..] {
                    let near = f64::from(distance(Metric::SquaredL2, a.1, b.1)) < threshold;
                    count += usize::from((a.0 == b.0) == same && near);
                }
            }
            count
        };
        for point in result.points.iter().filter(|point| !point.extrapolated) {
            assert_eq!(point.accepted, (point.fmr * result.impostor as f64) as usize, "{point:?}");
            assert_eq!(below(false, point.threshold.at), point.accepted);
            let missed = 1.0 - below(true, point.threshold.at) as f64 / result.genuine as f64;
            assert!((missed - point.fnmr.at).abs() < 1e-9, "{point:?}");
            assert!(point.fnmr.low <= missed && missed <= point.fnmr.high, "{point:?}");
            assert!(point.threshold.low < point.threshold.high, "{point:?}");
        }
        let beyond = result.points[4];
        assert!(beyond.extrapolated && beyond.threshold.at < result.points[3].threshold.at);
        assert!(result.distributions.is_sound(), "{:?}", result.distributions);
        // The curve goes through the points, and the histogram has every comparison once.
        let measured = result.points.iter().filter(|point| !point.extrapolated);
        assert!(measured.clone().all(|point| result.det.contains(point)), "{:?}", result.det);
        assert_eq!(result.det.len(), N_IMPOSTOR);
        assert!(result.det.is_sorted_by(|a, b| a.fmr > b.fmr && a.fnmr.at <= b.fnmr.at));
        assert_eq!(result.histogram.genuine.iter().sum::<u64>(), result.genuine as u64);
        assert_eq!(result.histogram.impostor.iter().sum::<u64>(), result.impostor as u64);
        let [nearest, ..] = &result.nearest_impostors[..] else { panic!("no pairs") };
        assert_ne!(nearest.1.split('/').next(), nearest.2.split('/').next());
    }

    #[test]
    fn an_exponential_tail_is_fitted_as_it_is() {
        // Below 1 with a mean excess of 0.1: a decade is 0.23.
        let mut excess = Excess::default();
        for i in 0..1000 {
            let part = (f64::from(i) + 0.5) / 1000.0;
            excess.add((1.0 + 0.1 * part.ln()) as f32, 1.0);
        }
        assert!((excess.per_decade(1.0) - 0.2303).abs() < 1e-3, "{}", excess.per_decade(1.0));
    }

    #[test]
    fn people_are_resampled_and_not_pairs() {
        // One person of forty looks like another: with one of them left out of a resample, all their pairs are.
        let mut subjects = made_up(40, 4, 0.3);
        subjects[1].pictures = subjects[0].pictures.clone();
        let result = verify(Metric::SquaredL2, &subjects).unwrap();
        let point = result.points[1];
        assert!(point.threshold.at < 0.25, "the twins' pairs are the nearest: {point:?}");
        assert!(point.threshold.high > 0.5, "and they are gone from some resamples: {point:?}");
    }

    #[test]
    fn too_few_pictures_give_no_rate() {
        assert!(verify(Metric::L2, &made_up(5, 2, 0.5)).is_none());
        assert!(verify(Metric::L2, &made_up(300, 1, 0.5)).is_none());
        assert!(verify(Metric::L2, &[]).is_none());
    }
}
