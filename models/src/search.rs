//! Gallery search: which templates a probe is most alike to.
//!
//! Owns the int8 form of an embedding, the index over templates, and the score of two int8 vectors.
//! Refuses to decide: it ranks candidates; whether the best is good enough is `policy`'s.
//! Dot products are exact i32 sums, so that every engine and every SIMD width gives the same score, bit for bit.

use crate::engine::Embedding;
use threshold_record::{Metric, ModelTag, PersonId, Score, Template};

/// The score of vectors that cannot be compared: an embedding of zeros or without numbers. Below any threshold.
pub const LOWEST: Score = Score(-2.0);

/// The int8 form of an embedding: `value = vector[i] * scale`, `scale = max |value| / 127`, halves rounded away from 0.
///
/// An embedding that is all zero or holds a value that is no number gives scale 0 and zeros, which score [`LOWEST`].
#[must_use]
pub fn quantise(embedding: &Embedding) -> (f32, Vec<i8>) {
    let largest = embedding.0.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    // `max` passes over a NaN, so each value is asked; a denormal scale would divide to infinity.
    if !scale.is_normal() || embedding.0.iter().any(|value| !value.is_finite()) {
        return (0.0, vec![0; embedding.0.len()]);
    }
    let step = |value: &f32| (value / scale).round().clamp(-127.0, 127.0) as i8;
    (scale, embedding.0.iter().map(step).collect())
}

/// A gallery entry and how much the probe is like it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Whose template.
    pub person: PersonId,
    /// Which of the person's templates.
    pub slot: u8,
    /// Similarity on the model's metric.
    pub score: Score,
}

/// What a search found.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Candidates {
    /// The best candidate; `None` in an empty gallery.
    pub best: Option<Candidate>,
    /// The best candidate of another person; `None` if the gallery holds one person only.
    pub runner_up: Option<Candidate>,
}

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

/// What the score needs of a template besides its vector.
#[derive(Clone, Copy, Debug)]
struct Entry {
    person: PersonId,
    slot: u8,
    scale: f32,
    /// Sum of the squared components.
    norm: i32,
}

/// The templates of a gallery, laid out for a scan.
#[derive(Clone, Debug)]
pub struct Index {
    metric: Metric,
    len: usize,
    entries: Vec<Entry>,
    vectors: Vec<i8>,
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
        let mut index = Self { metric, len: 0, entries: Vec::new(), vectors: Vec::new() };
        let mut model = None;
        for template in templates {
            let expected = *model.get_or_insert(template.model);
            if template.model != expected {
                return Err(SearchError::Model { expected, found: template.model });
            }
            if index.entries.is_empty() {
                index.len = template.vector.len();
            } else if template.vector.len() != index.len {
                return Err(SearchError::Length {
                    expected: index.len,
                    found: template.vector.len(),
                });
            }
            index.entries.push(Entry {
                person: template.person,
                slot: template.slot,
                scale: template.scale,
                norm: dot(&template.vector, &template.vector),
            });
            index.vectors.extend_from_slice(&template.vector);
        }
        Ok(index)
    }

    /// Number of templates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is no template.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The best candidate and the best of another person. Equal scores go to the lower person, then the lower slot.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the probe is of another length than the templates.
    pub fn search(&self, probe: &Embedding) -> Result<Candidates, SearchError> {
        let mut found = Candidates::default();
        if self.is_empty() {
            return Ok(found);
        }
        if probe.0.len() != self.len {
            return Err(SearchError::Length { expected: self.len, found: probe.0.len() });
        }
        let (scale, probe) = quantise(probe);
        let norm = dot(&probe, &probe);
        for (entry, vector) in self.entries.iter().zip(self.vectors.chunks_exact(self.len.max(1))) {
            let product = dot(&probe, vector);
            let score = score(self.metric, product, (scale, norm), (entry.scale, entry.norm));
            found.offer(Candidate { person: entry.person, slot: entry.slot, score });
        }
        Ok(found)
    }
}

impl Candidates {
    fn offer(&mut self, candidate: Candidate) {
        match self.best {
            Some(best) if best.person == candidate.person => {
                if beats(&candidate, &best) {
                    self.best = Some(candidate);
                }
            }
            Some(best) if !beats(&candidate, &best) => {
                if self.runner_up.is_none_or(|runner_up| beats(&candidate, &runner_up)) {
                    self.runner_up = Some(candidate);
                }
            }
            // The best so far is of another person than the new best, so it is the new runner-up.
            best => (self.best, self.runner_up) = (Some(candidate), best),
        }
    }
}

/// A total order, so that the answer does not depend on the order of the templates.
fn beats(a: &Candidate, b: &Candidate) -> bool {
    let by_score = a.score.0.total_cmp(&b.score.0);
    by_score.then(b.person.cmp(&a.person)).then(b.slot.cmp(&a.slot)).is_gt()
}

/// The score of two int8 vectors from their dot product, and each one's scale and sum of squares.
///
/// On the unit sphere the cosine is that of the int8 vectors, so that their rounding does not change the length.
#[must_use]
pub fn score(metric: Metric, product: i32, a: (f32, i32), b: (f32, i32)) -> Score {
    let usable = |(scale, norm): (f32, i32)| norm > 0 && scale.is_finite() && scale > 0.0;
    if !usable(a) || !usable(b) {
        return LOWEST;
    }
    // f64 throughout: the sums are exact, and the difference of near equals below keeps its digits.
    let product = f64::from(product);
    let ((scale_a, norm_a), (scale_b, norm_b)) = (a, b);
    let (norm_a, norm_b) = (f64::from(norm_a), f64::from(norm_b));
    match metric {
        Metric::SquaredL2 => Score((product / (norm_a * norm_b).sqrt()) as f32),
        Metric::L2 => {
            let (scale_a, scale_b) = (f64::from(scale_a), f64::from(scale_b));
            let squared = scale_a * scale_a * norm_a + scale_b * scale_b * norm_b
                - 2.0 * scale_a * scale_b * product;
            metric.score(squared.max(0.0).sqrt() as f32)
        }
    }
}

/// The distance of two embeddings in f32, on the model's metric; what `compare` and the evaluation print.
///
/// # Panics
/// If the embeddings differ in length: they are of one model.
#[must_use]
pub fn distance(metric: Metric, a: &Embedding, b: &Embedding) -> f32 {
    assert_eq!(a.0.len(), b.0.len(), "embeddings of one model are of one length");
    let squared: f32 = a.0.iter().zip(&b.0).map(|(a, b)| (a - b) * (a - b)).sum();
    match metric {
        Metric::SquaredL2 => squared,
        Metric::L2 => squared.sqrt(),
    }
}

/// The exact dot product; 512 components of 127 stay far below i32's end.
fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
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
        Template {
            person: PersonId(person),
            slot,
            quality: 100,
            model: ModelTag([7; 8]),
            scale,
            vector: vector.as_slice().try_into().unwrap(),
        }
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
