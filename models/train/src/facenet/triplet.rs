//! The triplet loss (the paper's eq. 5 to 7), and over which triplets of a batch it is taken (eq. 8).
//!
//! ```text
//! loss = mean over the triplets of [ |a - p|^2 - |a - n|^2 + margin ]+        a, p of one person, n of another, all unit
//! ```
//! Owns both. Every anchor goes with every positive; the anchor and its positive change places as well. Eq. 6 sums; here
//! it is the mean, so that a learning rate means the same whatever a batch gives.
//! Only triplets with a loss count: the others have no gradient, and would only make the mean smaller.

use crate::random::Random;
use candle_core::{DType, Device, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Which negative goes with an anchor and its positive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Negatives {
    /// The nearest of those further than the positive, if it lies inside the margin (eq. 8).
    #[default]
    SemiHard,
    /// The nearest of all. Taken from the start, it can draw all embeddings into one point.
    Hardest,
    /// Any.
    Random,
}

/// Places in a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triplet {
    /// Whom the others are compared with.
    pub anchor: usize,
    /// Another photo of the same person.
    pub positive: usize,
    /// A photo of somebody else.
    pub negative: usize,
}

/// The triplets of a batch that have a loss: `distances` are squared, n x n; `people` says whose photo each is.
///
/// Of equally near negatives the first is taken.
#[must_use]
pub fn select(
    distances: &[f32],
    people: &[usize],
    negatives: Negatives,
    margin: f32,
    random: &mut Random,
) -> Vec<Triplet> {
    let n = people.len();
    let mut triplets = Vec::new();
    for (anchor, row) in distances.chunks_exact(n.max(1)).enumerate() {
        let others: Vec<usize> = (0..n).filter(|&i| people[i] != people[anchor]).collect();
        for positive in (0..n).filter(|&i| i != anchor && people[i] == people[anchor]) {
            let nearest = |from: f32| {
                let further = others.iter().copied().filter(|&i| row[i] > from);
                further.min_by(|&a, &b| row[a].total_cmp(&row[b]))
            };
            let negative = match negatives {
                Negatives::SemiHard => nearest(row[positive]),
                Negatives::Hardest => nearest(f32::NEG_INFINITY),
                Negatives::Random => others.get(random.below(others.len())).copied(),
            };
            let Some(negative) = negative else { continue };
            if row[negative] < row[positive] + margin {
                triplets.push(Triplet { anchor, positive, negative });
            }
        }
    }
    triplets
}

/// Squared distances of all rows of `embeddings` (N, D) from each other, N x N, each exact to its last bits: a product
/// of all with all would lose those of the nearest.
#[must_use]
pub fn squared_distances(embeddings: &[f32], len: usize) -> Vec<f32> {
    let rows = || embeddings.chunks_exact(len);
    let distance = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum();
    rows().flat_map(|a| rows().map(move |b| distance(a, b))).collect()
}

/// The mean loss of these triplets over unit `embeddings` (N, D); 0 without any.
///
/// # Errors
/// If a place lies outside the batch.
pub fn loss(embeddings: &Tensor, triplets: &[Triplet], margin: f32) -> Result<Tensor> {
    if triplets.is_empty() {
        return Tensor::zeros((), embeddings.dtype(), &Device::Cpu);
    }
    let rows = |place: fn(&Triplet) -> usize| {
        let places: Vec<u32> = triplets.iter().map(|triplet| place(triplet) as u32).collect();
        embeddings.index_select(&Tensor::new(places, &Device::Cpu)?, 0)
    };
    let anchors = rows(|triplet| triplet.anchor)?;
    let from = |others: Tensor| (&anchors - others)?.sqr()?.sum(1);
    let positives = from(rows(|triplet| triplet.positive)?)?;
    let negatives = from(rows(|triplet| triplet.negative)?)?;
    ((positives - negatives)? + f64::from(margin))?.relu()?.mean_all()
}

/// Mean squared distance of photos of different people: 2 where faces point anywhere, 0 where all have become one point.
#[must_use]
pub fn spread(distances: &[f32], people: &[usize]) -> f32 {
    let n = people.len();
    let pairs = distances.iter().enumerate();
    let (count, sum) = pairs
        .filter(|(at, _)| people[at / n] != people[at % n])
        .fold((0u32, 0.0), |(count, sum), (_, &distance)| (count + 1, sum + f64::from(distance)));
    (sum / f64::from(count.max(1))) as f32
}

/// The embeddings as plain values.
pub(crate) fn values(embeddings: &Tensor) -> Result<Vec<f32>> {
    embeddings.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::layers::testing::{check, variable};
    use candle_core::Var;

    fn unit(x: &Var) -> Result<Tensor> {
        x.broadcast_div(&x.sqr()?.sum_keepdim(1)?.sqrt()?)
    }

    /// A batch of so many photos of people, drawn: values, distances, people.
    fn drawn(seed: u64, people: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let x = variable(&[people.len(), 4], seed);
        let plain = values(&unit(&x).unwrap()).unwrap();
        let distances = squared_distances(&plain, 4);
        (plain, distances)
    }

    #[test]
    fn gradients_are_the_finite_differences() {
        let people = [0, 0, 0, 1, 1, 2, 2, 2, 3];
        for (seed, negatives) in
            [(1, Negatives::SemiHard), (2, Negatives::Hardest), (3, Negatives::Random)]
        {
            let x = variable(&[people.len(), 4], seed);
            let (_, distances) = drawn(seed, &people);
            let triplets = select(&distances, &people, negatives, 0.4, &mut Random::of(&[seed]));
            assert!(triplets.len() > 3, "{triplets:?}");
            check("triplets", &[&x], || loss(&unit(&x)?, &triplets, 0.4));
        }
    }

    #[test]
    fn the_loss_is_that_of_the_papers_formula() {
        let x = Tensor::new(&[[1.0f64, 0.0], [0.0, 1.0], [-1.0, 0.0]], &Device::Cpu).unwrap();
        let of = |[anchor, positive, negative]: [usize; 3]| Triplet { anchor, positive, negative };
        let found =
            |triplets: &[Triplet]| loss(&x, triplets, 0.2).unwrap().to_scalar::<f64>().unwrap();
        // 2 - 4 + 0.2 is below zero, 4 - 2 + 0.2 is not.
        assert_eq!(found(&[of([0, 1, 2])]), 0.0);
        assert!((found(&[of([0, 2, 1])]) - 2.2).abs() < 1e-6);
        assert!((found(&[of([0, 1, 2]), of([0, 2, 1])]) - 1.1).abs() < 1e-6);
        assert_eq!(found(&[]), 0.0);
    }

    #[test]
    fn negatives_are_those_of_a_plain_search() {
        let people = [4, 4, 4, 7, 7, 1, 9, 9, 9, 9, 2];
        let n = people.len();
        for seed in 0..20 {
            let (_, d) = drawn(seed, &people);
            let at = |a: usize, b: usize| d[a * n + b];
            for (negatives, margin) in
                [(Negatives::SemiHard, 0.2), (Negatives::SemiHard, 1.0), (Negatives::Hardest, 0.2)]
            {
                let mut expected = Vec::new();
                for a in 0..n {
                    for p in 0..n {
                        if a == p || people[a] != people[p] {
                            continue;
                        }
                        let mut best: Option<usize> = None;
                        for i in 0..n {
                            let semi = at(a, i) > at(a, p) && at(a, i) < at(a, p) + margin;
                            let fits = match negatives {
                                Negatives::SemiHard => semi,
                                _ => true,
                            };
                            let other = people[i] != people[a];
                            if other && fits && best.is_none_or(|best| at(a, i) < at(a, best)) {
                                best = Some(i);
                            }
                        }
                        let best = best.filter(|&i| at(a, i) < at(a, p) + margin);
                        expected.extend(best.map(|negative| Triplet {
                            anchor: a,
                            positive: p,
                            negative,
                        }));
                    }
                }
                let found = select(&d, &people, negatives, margin, &mut Random::of(&[seed]));
                assert_eq!(found, expected, "seed {seed} {negatives:?}");
            }
            let any = select(&d, &people, Negatives::Random, 9.0, &mut Random::of(&[seed]));
            assert_eq!(any.len(), 3 * 2 + 2 + 4 * 3);
            assert!(any.iter().all(|t| people[t.negative] != people[t.anchor]));
        }
    }

    #[test]
    fn a_batch_of_one_person_has_no_triplet_and_no_loss() {
        let (_, distances) = drawn(1, &[5, 5]);
        for negatives in [Negatives::SemiHard, Negatives::Hardest, Negatives::Random] {
            let mut random = Random::of(&[1]);
            assert_eq!(select(&distances, &[5, 5], negatives, 0.2, &mut random), []);
        }
    }

    #[test]
    fn the_spread_tells_a_point_from_embeddings_that_point_anywhere() {
        assert_eq!(spread(&squared_distances(&[1.0, 0.0, 1.0, 0.0], 2), &[0, 1]), 0.0);
        assert_eq!(spread(&squared_distances(&[1.0, 0.0, 0.0, 1.0], 2), &[0, 1]), 2.0);
        let same = squared_distances(&[1.0, 0.0, 0.0, 1.0], 2);
        assert_eq!(spread(&same, &[3, 3]), 0.0);
    }
}
