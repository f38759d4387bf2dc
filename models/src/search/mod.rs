//! Gallery search: which templates a probe is most alike to.
//!
//! Owns the index over templates and the scan of it; `score`, `rank`, `means` and `redundant` own what their names say.
//! Refuses to decide: it ranks candidates; whether the best is good enough is `policy`'s.
//! Dot products are exact i32 sums, so that every engine and every SIMD width gives the same score, bit for bit.
//!
//! A search takes about as long as reading the vectors from memory: the products come from [`crate::cpu`]'s kernels a block
//! at a time, and a template that certainly lies below the ranking's floor is not scored.

#[cfg(test)]
mod against_scalar;
mod means;
mod rank;
mod redundant;
mod score;

use crate::cpu::{Probe, Rows, Simd};
use crate::engine::Embedding;
use rank::{Claimed, Ranking, Top};
use score::{Floor, dot, quantise_into};
use std::sync::atomic::{AtomicU64, Ordering};
use threshold_record::{MAX_EMBEDDING_LEN, Metric, ModelTag, PersonId, Template};

pub use means::{Mean, Means, NearPair};
pub use rank::{Candidate, Candidates};
pub use redundant::most_redundant;
pub use score::{LOWEST, distance, quantise, score};

/// Templates whose products are taken at once. The fewer, the less the stream of vectors pauses while they are looked
/// through: with 64 a search of 128-D took about a tenth longer, with 256 a fifth.
const BLOCK: usize = 16;

/// Why templates or a probe cannot be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// A vector is of another length than the gallery's.
    #[error("a vector of {found} components among vectors of {expected}")]
    Length {
        /// The gallery's length.
        expected: usize,
        /// The odd one's.
        found: usize,
    },
    /// A template belongs to another model than the first one.
    #[error("a template of model {found} among templates of model {expected}")]
    Model {
        /// The first template's model.
        expected: ModelTag,
        /// The odd one's.
        found: ModelTag,
    },
}

/// Indices that were made in this process.
static MADE: AtomicU64 = AtomicU64::new(0);

/// The templates of a gallery, laid out for a scan: what every template is asked for apart from what few are.
#[derive(Clone, Debug)]
pub struct Index {
    number: u64,
    model: Option<ModelTag>,
    metric: Metric,
    len: usize,
    vectors: Rows,
    /// Each vector's sum of squared components.
    norms: Vec<i32>,
    scales: Vec<f32>,
    /// Whose template, and which of theirs.
    owners: Vec<(PersonId, u8)>,
}

impl Index {
    /// An index over templates of one model.
    ///
    /// # Errors
    /// [`SearchError`] if the templates differ in length or model.
    pub fn new<'a>(
        metric: Metric,
        templates: impl IntoIterator<Item = &'a Template>,
    ) -> Result<Self, SearchError> {
        let mut templates = templates.into_iter().peekable();
        let len = templates.peek().map_or(0, |first| first.vector.len());
        let mut index = Self {
            number: MADE.fetch_add(1, Ordering::Relaxed),
            model: None,
            metric,
            len,
            vectors: Rows::new(Simd::detect(), len),
            norms: Vec::new(),
            scales: Vec::new(),
            owners: Vec::new(),
        };
        for template in templates {
            let expected = *index.model.get_or_insert(template.model);
            if template.model != expected {
                return Err(SearchError::Model { expected, found: template.model });
            }
            if template.vector.len() != len {
                return Err(SearchError::Length { expected: len, found: template.vector.len() });
            }
            index.vectors.push(&template.vector);
            index.norms.push(dot(&template.vector, &template.vector));
            index.scales.push(template.scale);
            index.owners.push((template.person, template.slot));
        }
        Ok(index)
    }

    /// The same index, searched with this instruction set, or with the widest one if the processor has not got it.
    #[must_use]
    pub fn with_simd(mut self, simd: Simd) -> Self {
        self.vectors.set_simd(simd);
        self
    }

    /// Number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owners.len()
    }

    /// True if there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owners.is_empty()
    }

    /// Its number, which no index with other templates has in this process: what was made of one tells by it whether it is
    /// still of this one.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Whose templates they are; `None` without any.
    #[must_use]
    pub fn model(&self) -> Option<ModelTag> {
        self.model
    }

    /// How they are compared.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Components of a vector; 0 without a template.
    #[must_use]
    pub fn embedding_len(&self) -> usize {
        self.len
    }

    /// Whose a template is, and which of theirs.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn owner(&self, template: usize) -> (PersonId, u8) {
        self.owners[template]
    }

    /// A template's scale and its vector's sum of squared components.
    ///
    /// # Panics
    /// If there are not so many.
    #[must_use]
    pub fn scale_and_norm(&self, template: usize) -> (f32, i32) {
        (self.scales[template], self.norms[template])
    }

    /// A template's vector.
    ///
    /// # Panics
    /// If there are not so many.
    pub fn vector(&self, template: usize) -> impl Iterator<Item = i8> {
        self.vectors.components(template).take(self.len)
    }

    /// The best candidate and the best of another person. Equal scores go to the lower person, then the lower slot.
    ///
    /// Allocates nothing.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the probe is of another length than the templates.
    pub fn search(&self, probe: &Embedding) -> Result<Candidates, SearchError> {
        let mut found = Candidates::default();
        self.scan(&mut found, probe)?;
        Ok(found)
    }

    /// The best candidate of one person (1:1), as `best` if there is a template of that person, and the best one of anybody
    /// else as `runner_up`, whichever is more alike.
    ///
    /// Allocates nothing.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the probe is of another length than the templates.
    pub fn verify(&self, probe: &Embedding, person: PersonId) -> Result<Candidates, SearchError> {
        let mut found = Claimed::new(person);
        self.scan(&mut found, probe)?;
        Ok(found.into_candidates())
    }

    /// The best `n` candidates, the best first, in the order of [`Index::search`]; fewer if there are fewer templates.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the probe is of another length than the templates.
    pub fn top(&self, probe: &Embedding, n: usize) -> Result<Vec<Candidate>, SearchError> {
        let mut found = Top::new(n.min(self.len()));
        self.scan(&mut found, probe)?;
        Ok(found.into_candidates())
    }

    /// Offers the ranking every template that may change it.
    fn scan(&self, ranking: &mut impl Ranking, probe: &Embedding) -> Result<(), SearchError> {
        if self.is_empty() {
            return Ok(());
        }
        if probe.0.len() != self.len {
            return Err(SearchError::Length { expected: self.len, found: probe.0.len() });
        }
        if self.len == 0 {
            return Ok(());
        }
        let mut components = [0; MAX_EMBEDDING_LEN];
        let components = &mut components[..self.len];
        let scale = quantise_into(components, probe);
        let of_probe = (scale, dot(components, components));
        let probe = Probe::new(components);
        let mut floor = Floor::new(self.metric, ranking.floor(), of_probe);
        for first in (0..self.len()).step_by(BLOCK) {
            let mut products = [0; BLOCK];
            let products = &mut products[..BLOCK.min(self.len() - first)];
            self.vectors.products(products, &probe, first);
            let rest = self.norms[first..].iter().zip(&self.scales[first..]);
            for (i, (&product, (&norm, &scale))) in products.iter().zip(rest).enumerate() {
                if floor.excludes(product, (scale, norm)) {
                    continue;
                }
                let (person, slot) = self.owners[first + i];
                let score = score(self.metric, product, of_probe, (scale, norm));
                ranking.offer(Candidate { person, slot, score });
                floor = Floor::new(self.metric, ranking.floor(), of_probe);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    /// Embeddings of a seeded xorshift, bell-shaped as a network's are; unit if asked for.
    fn embeddings(n: usize, len: usize, unit: bool) -> Vec<Embedding> {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut uniform = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n)
            .map(|_| {
                let mut values: Vec<f32> =
                    (0..len).map(|_| (0..4).map(|_| uniform()).sum::<f32>() * 0.2).collect();
                if unit {
                    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
                    values.iter_mut().for_each(|value| *value /= norm);
                }
                Embedding(values)
            })
            .collect()
    }

    fn template(person: u32, slot: u8, embedding: &Embedding) -> Template {
        let (scale, vector) = quantise(embedding);
        against_scalar::template(person, slot, scale, &vector)
    }

    /// The score in f64 without quantisation.
    fn exact(metric: Metric, a: &Embedding, b: &Embedding) -> f64 {
        let pairs = || a.0.iter().zip(&b.0).map(|(&a, &b)| (f64::from(a), f64::from(b)));
        let squared: f64 = pairs().map(|(a, b)| (a - b) * (a - b)).sum();
        match metric {
            Metric::SquaredL2 => 1.0 - squared / 2.0,
            Metric::L2 => 1.0 - squared.sqrt(),
        }
    }

    #[test]
    fn quantised_scores_stay_near_the_exact_ones() {
        // DESIGN's figures are for a cosine; an L2 of vectors 1.3 long is as much coarser.
        let cases = [
            (Metric::SquaredL2, 512, true, 8e-4, 4e-3),
            (Metric::SquaredL2, 128, true, 8e-4, 4e-3),
            (Metric::L2, 128, false, 1.2e-3, 6e-3),
        ];
        for (metric, len, unit, max_rms, max_error) in cases {
            let all = embeddings(60, len, unit);
            let (mut worst, mut squares, mut n) = (0.0f64, 0.0, 0);
            for (i, probe) in all.iter().enumerate() {
                let (scale, vector) = quantise(probe);
                for other in &all[i..] {
                    let (other_scale, other_vector) = quantise(other);
                    let a = (scale, dot(&vector, &vector));
                    let b = (other_scale, dot(&other_vector, &other_vector));
                    let found = score(metric, dot(&vector, &other_vector), a, b);
                    let error = (f64::from(found.0) - exact(metric, probe, other)).abs();
                    (worst, squares, n) = (worst.max(error), squares + error * error, n + 1);
                }
            }
            let rms = (squares / f64::from(n)).sqrt();
            assert!(rms < max_rms && worst < max_error, "{metric:?}: rms {rms}, worst {worst}");
        }
    }

    #[test]
    fn searches_find_what_brute_force_finds() {
        for (metric, len, unit) in [(Metric::SquaredL2, 512, true), (Metric::L2, 128, false)] {
            let all = embeddings(150, len, unit);
            let person = |i: usize| (i as u32 * 7) % 40 + 1;
            let templates: Vec<_> =
                (0..120).map(|i| template(person(i), i as u8, &all[i])).collect();
            let index = Index::new(metric, &templates).unwrap();
            for probe in &all[100..] {
                let found = index.search(probe).unwrap();
                let (best, runner_up) = (found.best.unwrap(), found.runner_up.unwrap());
                let of = |i: usize| exact(metric, probe, &all[i]);
                let expected = (0..120).max_by(|&a, &b| of(a).total_cmp(&of(b))).unwrap();
                let other = (0..120).filter(|&i| person(i) != best.person.0);
                let expected_other = other.max_by(|&a, &b| of(a).total_cmp(&of(b))).unwrap();
                // Where two templates lie within the rounding of each other, either may come first.
                assert!(of(expected) - of(usize::from(best.slot)) < 2e-3);
                assert!(of(expected_other) - of(usize::from(runner_up.slot)) < 2e-3);
                assert_ne!(best.person, runner_up.person);
            }
        }
    }

    #[test]
    fn the_runner_up_is_another_person_in_whatever_order() {
        let one = Embedding(vec![1.0, 0.0, 0.0]);
        let near = Embedding(vec![0.9, 0.1, 0.0]);
        let far = Embedding(vec![0.0, 1.0, 0.0]);
        let mut templates = vec![
            template(1, 0, &one),
            template(1, 1, &near),
            template(2, 0, &near),
            template(3, 0, &far),
        ];
        for _ in 0..4 {
            templates.rotate_left(1);
            let index = Index::new(Metric::SquaredL2, &templates).unwrap();
            let found = index.search(&one).unwrap();
            assert_eq!(found.best.map(|c| (c.person.0, c.slot)), Some((1, 0)));
            assert_eq!(found.runner_up.map(|c| (c.person.0, c.slot)), Some((2, 0)));
            let tied = index.search(&near).unwrap();
            assert_eq!(tied.best.map(|c| (c.person.0, c.slot)), Some((1, 1)), "ties: lower person");
            assert_eq!(tied.runner_up.map(|c| c.person.0), Some(2));
        }
        let lone = Index::new(Metric::SquaredL2, &templates[..1]).unwrap();
        assert_eq!(lone.search(&one).unwrap().runner_up, None);
        let empty = Index::new(Metric::SquaredL2, []).unwrap();
        assert_eq!(empty.search(&one).unwrap(), Candidates::default());
    }

    #[test]
    fn vectors_that_cannot_be_compared_score_below_any_threshold() {
        for bad in [0.0, f32::NAN, f32::INFINITY, f32::MIN_POSITIVE] {
            let probe = Embedding(vec![bad, 0.0, 0.0]);
            for metric in [Metric::SquaredL2, Metric::L2] {
                let index = Index::new(metric, &[template(1, 0, &probe)]).unwrap();
                let best = index.search(&probe).unwrap().best.unwrap();
                assert_eq!(best.score, LOWEST, "{bad} {metric:?}");
            }
        }
    }

    #[test]
    fn odd_templates_and_probes_are_refused() {
        let short = template(1, 0, &Embedding(vec![1.0, 0.0]));
        let long = template(2, 0, &Embedding(vec![1.0, 0.0, 0.0]));
        let other = Template { model: ModelTag([8; 8]), ..short.clone() };
        let length = Index::new(Metric::L2, [&short, &long]).map(|index| index.len());
        assert_eq!(length, Err(SearchError::Length { expected: 2, found: 3 }));
        assert!(matches!(Index::new(Metric::L2, [&short, &other]), Err(SearchError::Model { .. })));
        let index = Index::new(Metric::L2, [&short]).unwrap();
        let probe = Embedding(vec![1.0; 3]);
        assert_eq!(index.search(&probe), Err(SearchError::Length { expected: 2, found: 3 }));
    }
}
