//! Offline mining: who lies near whom, by embeddings that are made of all photos every so many steps.
//!
//! Owns the people's means and who is nearest to somebody. A batch of people who lie near each other has the negatives that a
//! draw from all seldom brings; which of its photos go together is then chosen in the batch (`triplet`), as ever.
//! Schroff et al. 2015 name both ways, and took the other one. Refuses to draw, and to know a network.

/// Where people lay when they were mined.
#[derive(Clone, Debug, PartialEq)]
pub struct Mined {
    means: Vec<Vec<f32>>,
}

impl Mined {
    /// Of unit `embeddings` (N, `len`), person after person; `photos` says how many each has.
    #[must_use]
    pub fn of(embeddings: &[f32], len: usize, photos: impl Iterator<Item = usize>) -> Self {
        let mut rows = embeddings.chunks_exact(len);
        let mean = |n: usize| {
            let mut mean = vec![0.0; len];
            for row in rows.by_ref().take(n) {
                mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value / n as f32);
            }
            mean
        };
        Self { means: photos.map(mean).collect() }
    }

    /// This person and those who lie nearest, so many in all, the nearest first; of equally near ones the first.
    #[must_use]
    pub fn near(&self, person: usize, people: usize) -> Vec<usize> {
        let from = &self.means[person];
        let distance = |mean: &Vec<f32>| -> f32 {
            mean.iter().zip(from).map(|(a, b)| (a - b) * (a - b)).sum()
        };
        let mut others: Vec<(f32, usize)> = self.means.iter().map(distance).zip(0..).collect();
        others.retain(|&(_, other)| other != person);
        others.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let others = others.into_iter().map(|(_, other)| other);
        std::iter::once(person).chain(others).take(people).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_lie_nearest_come_first_and_nobody_twice() {
        // Three people with 2, 1 and 2 photos, at 0, 5 and 1; a fourth where the third is.
        let values = [-1.0, 1.0, 5.0, 0.5, 1.5, 1.0];
        let mined = Mined::of(&values, 1, [2, 1, 2, 1].into_iter());
        assert_eq!(mined.near(0, 4), [0, 2, 3, 1]);
        assert_eq!(mined.near(1, 3), [1, 2, 3]);
        assert_eq!(mined.near(3, 2), [3, 2]);
        assert_eq!(mined.near(3, 9), [3, 2, 0, 1]);
    }
}
