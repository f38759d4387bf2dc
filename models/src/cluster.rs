//! Groups of embeddings that are one person's, by the model's threshold.
//!
//! Owns the linkage: average, of squared distances. Two groups become one as long as the mean over all pairs between them is within
//! the threshold. Complete linkage, where every pair has to be, takes a much-photographed person apart at the first unlike
//! photo: on the fit half of LFW's dev folds (dlib's network, L2 0.527, the loosest threshold of a unit) its F is 0.80, and that of
//! the average 0.84. Single linkage joins everybody by a chain of look-alikes.
//! The mean over all pairs follows from each group's sum and its mean of squared lengths, so that no table of pairs is kept: memory
//! is that of the embeddings, and the time at most about three passes over all pairs of them.
//! Refuses to say who anybody is. Ties go to whoever comes first, so that an order gives one answer.

use crate::engine::Embedding;
use threshold_record::Metric;

/// A group that may still grow.
#[derive(Clone)]
struct Group {
    /// The place of its first embedding, which names it.
    first: usize,
    n: f32,
    mean: Vec<f32>,
    /// Mean of the squared lengths.
    squares: f32,
}

impl Group {
    /// The mean of the squared distances of all pairs between two groups.
    fn apart(&self, other: &Self) -> f32 {
        self.squares + other.squares - 2.0 * dot(&self.mean, &other.mean)
    }

    fn join(&mut self, other: &Self) {
        let n = self.n + other.n;
        let (own, theirs) = (self.n / n, other.n / n);
        for (mean, other) in self.mean.iter_mut().zip(&other.mean) {
            *mean = *mean * own + other * theirs;
        }
        self.squares = self.squares * own + other.squares * theirs;
        self.first = self.first.min(other.first);
        self.n = n;
    }
}

/// The group of each embedding, numbered in the order in which groups first come.
///
/// By the nearest-neighbour chain: a mean over pairs never comes nearer by joining others, so two groups that are each
/// other's nearest are joined at once, and one whose nearest is beyond the threshold is done.
///
/// # Panics
/// If the embeddings differ in length: they are of one model.
#[must_use]
pub fn groups(metric: Metric, threshold_distance: f32, embeddings: &[Embedding]) -> Vec<usize> {
    let limit = match metric {
        Metric::SquaredL2 => threshold_distance,
        Metric::L2 => threshold_distance * threshold_distance,
    };
    let len = embeddings.first().map_or(0, |first| first.0.len());
    let group = |(first, embedding): (usize, &Embedding)| {
        assert_eq!(embedding.0.len(), len, "embeddings of one model are of one length");
        let (mean, squares) = (embedding.0.clone(), dot(&embedding.0, &embedding.0));
        Group { first, n: 1.0, mean, squares }
    };
    let mut open: Vec<Group> = embeddings.iter().enumerate().map(group).collect();
    // Whom a place was joined to; at last each place's own group's first.
    let mut joined: Vec<usize> = (0..embeddings.len()).collect();
    let mut chain: Vec<Group> = Vec::new();
    while let Some(top) = chain.pop().or_else(|| open.pop()) {
        let before = chain.last().map(|before| (before.apart(&top), before.first));
        let mut nearest: Option<(f32, usize, usize)> = None;
        for (place, other) in open.iter().enumerate() {
            let apart = top.apart(other);
            let nearer =
                nearest.is_none_or(|(least, first, _)| (apart, other.first) < (least, first));
            if apart <= limit && nearer {
                nearest = Some((apart, other.first, place));
            }
        }
        match (before, nearest) {
            // The one before in the chain is the nearest, as this one is its nearest.
            (Some((apart, _)), nearest) if nearest.is_none_or(|(least, ..)| apart <= least) => {
                if let Some(mut before) = chain.pop() {
                    joined[before.first.max(top.first)] = before.first.min(top.first);
                    before.join(&top);
                    open.push(before);
                }
            }
            (_, Some((_, _, place))) => {
                let next = open.swap_remove(place);
                chain.push(top);
                chain.push(next);
            }
            // Nobody is within the threshold, and nobody will be.
            (_, None) => {}
        }
    }
    let mut number = vec![usize::MAX; embeddings.len()];
    let mut n_groups = 0;
    for place in 0..embeddings.len() {
        // What a place was joined to comes before it, and has its number.
        number[place] = if joined[place] == place {
            n_groups += 1;
            n_groups - 1
        } else {
            number[joined[place]]
        };
    }
    number
}

/// Eight sums side by side, so that the processor adds eight at a time.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; 8];
    let (a_chunks, a_rest) = a.as_chunks::<8>();
    let (b_chunks, b_rest) = b.as_chunks::<8>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::distance;

    /// People about their own directions, by a seeded generator.
    fn embeddings(people: usize, each: usize, noise: f32, unit: bool) -> Vec<Embedding> {
        let mut state = 3u64;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        };
        let mut made = Vec::new();
        for _ in 0..people {
            let mean: Vec<f32> = (0..19).map(|_| next()).collect();
            for _ in 0..each {
                let values: Vec<f32> = mean.iter().map(|value| value + noise * next()).collect();
                let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
                let scale = if unit { norm } else { 3.0 };
                made.push(Embedding(values.iter().map(|value| value / scale).collect()));
            }
        }
        // Not person after person.
        let n = made.len();
        (0..n).map(|i| made[i * 7 % n].clone()).collect()
    }

    /// The definition: join the nearest two groups until none are within the threshold.
    fn by_definition(metric: Metric, threshold: f32, all: &[Embedding]) -> Vec<usize> {
        let squared = |a: usize, b: usize| {
            let apart = f64::from(distance(metric, &all[a], &all[b]));
            if metric == Metric::L2 { apart * apart } else { apart }
        };
        let limit = f64::from(threshold);
        let limit = if metric == Metric::L2 { limit * limit } else { limit };
        let mut groups: Vec<Vec<usize>> = (0..all.len()).map(|place| vec![place]).collect();
        loop {
            let mut least = (f64::MAX, 0, 0);
            for a in 0..groups.len() {
                for b in a + 1..groups.len() {
                    let pairs =
                        groups[a].iter().flat_map(|&a| groups[b].iter().map(move |&b| (a, b)));
                    let sum: f64 = pairs.map(|(a, b)| squared(a, b)).sum();
                    let mean = sum / (groups[a].len() * groups[b].len()) as f64;
                    if mean < least.0 {
                        least = (mean, a, b);
                    }
                }
            }
            if least.0 > limit {
                break;
            }
            let other = groups.remove(least.2);
            groups[least.1].extend(other);
        }
        let mut of = vec![0; all.len()];
        groups.sort_by_key(|group| group.iter().min().copied());
        for (number, group) in groups.iter().enumerate() {
            group.iter().for_each(|&place| of[place] = number);
        }
        of
    }

    #[test]
    fn groups_are_those_of_the_definition() {
        for (metric, unit) in [(Metric::SquaredL2, true), (Metric::L2, false)] {
            for (noise, threshold) in [(0.3, 0.5), (0.6, 0.7), (0.9, 0.9), (0.9, 1.3), (0.0, 0.1)] {
                let all = embeddings(8, 5, noise, unit);
                let expected = by_definition(metric, threshold, &all);
                assert_eq!(groups(metric, threshold, &all), expected, "{metric:?} {noise}");
            }
        }
    }

    #[test]
    fn people_are_told_apart_and_a_threshold_of_everything_joins_all() {
        let all = embeddings(6, 5, 0.2, true);
        let found = groups(Metric::SquaredL2, 0.5, &all);
        assert_eq!(found.iter().max(), Some(&5));
        assert!(groups(Metric::SquaredL2, 4.0, &all).iter().all(|&group| group == 0));
        assert_eq!(groups(Metric::SquaredL2, -1.0, &all), (0..30).collect::<Vec<_>>());
        assert_eq!(groups(Metric::L2, 1.0, &[]), Vec::<usize>::new());
        assert_eq!(groups(Metric::L2, 1.0, &all[..1]), [0]);
    }
}
