//! Whether somebody is enrolled already: the mean of an enrolment's pictures against the mean of each person's templates.
//!
//! Owns the rule, which a unit's enrolment and `threshold eval identify` both run. Refuses to decide: how near is near enough is
//! `threshold_policy::again`'s.
//! What a picture has by chance goes out of a mean of several, and people who look alike are told apart better by means than by
//! their nearest two pictures: `eval identify` measures both, and docs/evaluation-identify.md has its tables ("second identities").
//!
//! Means of many are nearer to each other than two pictures are, whoever is on them. So that one threshold serves, a distance of
//! means is told *as of one*: as that of one picture and one template would be. Half of the squared distance of two strangers who
//! look alike is the pictures' own, and of that 1/k is left in a mean of k. How well one threshold serves stands in the same tables: the
//! false alarms at the T of a unit, which is one for every number of pictures.

use super::{Candidate, Index, SearchError};
use crate::engine::Embedding;
use threshold_record::{Metric, PersonId, Score, Threshold};

/// The part of a squared distance between pictures of two people who look alike that is the pictures' own, not the people's.
const OF_PICTURES: f64 = 0.5;

/// The mean of some pictures of one person. Holding one proves that there was one at least, and that they were of one length.
#[derive(Clone, Debug, PartialEq)]
pub struct Mean {
    embedding: Embedding,
    pictures: u32,
}

impl Mean {
    /// Of these pictures; `None` without any, and if they differ in length.
    pub fn of<'a>(pictures: impl IntoIterator<Item = &'a Embedding>) -> Option<Self> {
        let mut pictures = pictures.into_iter();
        let mut sum = pictures.next()?.0.clone();
        let mut count = 1u32;
        for picture in pictures {
            if picture.0.len() != sum.len() {
                return None;
            }
            sum.iter_mut().zip(&picture.0).for_each(|(sum, component)| *sum += component);
            count += 1;
        }
        sum.iter_mut().for_each(|component| *component /= count as f32);
        Some(Self { embedding: Embedding(sum), pictures: count })
    }

    /// One that was made elsewhere, of so many pictures; `None` if it was made of none.
    #[must_use]
    pub fn made(embedding: Embedding, pictures: u32) -> Option<Self> {
        (pictures > 0).then_some(Self { embedding, pictures })
    }

    /// The mean, not made unit.
    #[must_use]
    pub fn embedding(&self) -> &Embedding {
        &self.embedding
    }

    /// Pictures that it was made of.
    #[must_use]
    pub fn pictures(&self) -> u32 {
        self.pictures
    }
}

/// The part of a squared distance of one picture and one template that is left between means of so many.
fn of_means(pictures: u32, templates: u32) -> f64 {
    let left = (1.0 / f64::from(pictures) + 1.0 / f64::from(templates)) / 2.0;
    1.0 - OF_PICTURES + OF_PICTURES * left
}

/// The score of two means as of one picture and one template each.
fn score_as_of_one(metric: Metric, squared: f64, pictures: u32, templates: u32) -> Score {
    let squared = squared / of_means(pictures, templates);
    metric.score(match metric {
        Metric::SquaredL2 => squared as f32,
        Metric::L2 => squared.sqrt() as f32,
    })
}

impl Index {
    /// Whose templates' mean is nearest to these pictures' mean, but for one person's who is not asked for; the score as of one
    /// picture and one template, the slot the person's first. `None` in a gallery of nobody else.
    ///
    /// Reads every template once: with 100,000 of 512 components some tenths of a second, which an enrolment has.
    ///
    /// # Errors
    /// [`SearchError::Length`] if the pictures are of another length than the templates.
    pub fn nearest_by_means(
        &self,
        mean: &Mean,
        but: Option<PersonId>,
    ) -> Result<Option<Candidate>, SearchError> {
        if self.is_empty() {
            return Ok(None);
        }
        let pictures = &mean.embedding.0;
        if pictures.len() != self.embedding_len() {
            let (expected, found) = (self.embedding_len(), pictures.len());
            return Err(SearchError::Length { expected, found });
        }
        let mut nearest: Option<Candidate> = None;
        self.each_mean(but, |owner, sum, count| {
            let apart = squared_apart(sum, count, pictures, f64::INFINITY);
            let score = score_as_of_one(self.metric(), apart, mean.pictures, count);
            // Equal scores go to the lower person, as in a search.
            if nearest.is_none_or(|nearest| score > nearest.score) {
                let (person, slot) = owner;
                nearest = Some(Candidate { person, slot, score });
            }
        });
        Ok(nearest)
    }

    /// Everybody's mean, to find who may be one person among people who came together.
    #[must_use]
    pub fn means(&self) -> Means {
        let mut people = Vec::new();
        self.each_mean(None, |(person, _), sum, count| {
            let components = sum.iter().map(|sum| sum / count as f32).collect();
            people.push((person, Mean { embedding: Embedding(components), pictures: count }));
        });
        Means { metric: self.metric(), people }
    }

    /// The sum of each person's templates in order of the people, with their first template's owner and their number; without one
    /// person's.
    fn each_mean(&self, but: Option<PersonId>, mut with: impl FnMut((PersonId, u8), &[f32], u32)) {
        // A person's templates need not stand together.
        let mut order: Vec<usize> =
            (0..self.len()).filter(|&it| Some(self.owner(it).0) != but).collect();
        order.sort_unstable_by_key(|&template| self.owner(template));
        let mut sum = vec![0.0f32; self.embedding_len()];
        for of_person in order.chunk_by(|&one, &next| self.owner(one).0 == self.owner(next).0) {
            sum.fill(0.0);
            for &template in of_person {
                let (scale, _) = self.scale_and_norm(template);
                let components = self.vector(template).map(|step| f32::from(step) * scale);
                sum.iter_mut().zip(components).for_each(|(sum, component)| *sum += component);
            }
            with(self.owner(of_person[0]), &sum, of_person.len() as u32);
        }
    }
}

/// The means of everybody in a gallery, in order of the people.
#[derive(Clone, Debug)]
pub struct Means {
    metric: Metric,
    people: Vec<(PersonId, Mean)>,
}

/// Two people whose means are near, with their score as of one picture and one template each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NearPair {
    /// The two, the lower id first.
    pub people: [PersonId; 2],
    /// How alike.
    pub score: Score,
}

impl Means {
    /// The people.
    pub fn people(&self) -> impl Iterator<Item = PersonId> {
        self.people.iter().map(|(person, _)| *person)
    }

    /// Those of higher ids than a person, as far as `with` wants them, whose means a threshold accepts with that person's, in order of
    /// the ids. Asked of everybody it gives each pair once. Reads all of those means, a stranger's until the distance is beyond the
    /// threshold.
    pub fn near(
        &self,
        person: PersonId,
        threshold: Threshold,
        with: impl Fn(PersonId) -> bool,
    ) -> Vec<NearPair> {
        let Ok(at) = self.people.binary_search_by_key(&person, |(person, _)| *person) else {
            return Vec::new();
        };
        let (_, one) = &self.people[at];
        let pair = |(other, mean): &(PersonId, Mean)| {
            let most = squared_within(self.metric, threshold, one.pictures, mean.pictures);
            let apart = squared_apart(&mean.embedding.0, 1, &one.embedding.0, most);
            let score = score_as_of_one(self.metric, apart, one.pictures, mean.pictures);
            threshold.accepts(score).then_some(NearPair { people: [person, *other], score })
        };
        let others = self.people[at + 1..].iter().filter(|(other, _)| with(*other));
        others.filter_map(pair).collect()
    }
}

/// Components between two looks at whether a distance is beyond what is asked for.
const STRIDE: usize = 64;

/// The squared distance of a mean, as a sum and its count, from another; some value beyond `most` if it is that far.
fn squared_apart(sum: &[f32], count: u32, other: &[f32], most: f64) -> f64 {
    let count = count as f32;
    let mut apart = 0.0;
    for (sum, other) in sum.chunks(STRIDE).zip(other.chunks(STRIDE)) {
        let both = sum.iter().zip(other);
        apart += both.map(|(sum, other)| f64::from(sum / count - other).powi(2)).sum::<f64>();
        if apart > most {
            break;
        }
    }
    apart
}

/// The squared distance of means from which on none is accepted, and a little more.
fn squared_within(metric: Metric, threshold: Threshold, pictures: u32, templates: u32) -> f64 {
    let distance = f64::from(metric.distance(threshold.0));
    let as_of_one = match metric {
        Metric::SquaredL2 => distance,
        Metric::L2 => distance.powi(2),
    };
    // What is rounded on the way is below one part in a million.
    as_of_one * of_means(pictures, templates) * (1.0 + 1e-5) + 1e-9
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::{distance, quantise};
    use super::*;
    use threshold_record::{ModelTag, Template};

    fn embedding(components: [f32; 4]) -> Embedding {
        Embedding(components.to_vec())
    }

    fn template(person: u32, slot: u8, components: [f32; 4]) -> Template {
        let (scale, vector) = quantise(&embedding(components));
        let vector = vector.into_iter().collect();
        let (person, model) = (PersonId(person), ModelTag([0; 8]));
        Template { person, slot, quality: 90, model, scale, vector }
    }

    #[test]
    fn of_one_picture_and_one_template_it_is_their_own_distance() {
        for metric in [Metric::L2, Metric::SquaredL2] {
            let templates = [template(7, 3, [1.0, 0.0, 0.0, 0.0])];
            let index = Index::new(metric, &templates).unwrap();
            let picture = embedding([0.6, 0.8, 0.0, 0.0]);
            let mean = Mean::of([&picture]).unwrap();
            let found = index.nearest_by_means(&mean, None).unwrap().unwrap();
            let own = distance(metric, &picture, &embedding([1.0, 0.0, 0.0, 0.0]));
            assert_eq!((found.person, found.slot), (PersonId(7), 3));
            assert!((found.score.0 - metric.score(own).0).abs() < 1e-2, "{metric:?} {found:?}");
        }
    }

    #[test]
    fn what_pictures_have_by_chance_goes_out_of_their_means() {
        // Person 1 has one template that is nearer to each picture than any of person 2's, whose mean is the pictures' own.
        let templates = [
            template(2, 0, [0.8, 0.6, 0.0, 0.0]),
            template(1, 0, [0.8, 0.0, 0.6, 0.0]),
            template(2, 1, [0.8, -0.6, 0.0, 0.0]),
        ];
        let index = Index::new(Metric::SquaredL2, &templates).unwrap();
        let pictures = [embedding([0.8, 0.0, 0.0, 0.6]), embedding([0.8, 0.0, 0.0, -0.6])];
        for picture in &pictures {
            let best = index.search(picture).unwrap().best.unwrap();
            assert!((best.score.0 - Metric::SquaredL2.score(0.72).0).abs() < 1e-2, "{best:?}");
        }
        let mean = Mean::of(&pictures).unwrap();
        assert_eq!(mean.pictures(), 2);
        let found = index.nearest_by_means(&mean, None).unwrap().unwrap();
        assert_eq!(found.person, PersonId(2));
        assert!(found.score.0 > Metric::SquaredL2.score(0.01).0, "{found:?}");
        // Without her it is the other one: 0.36 apart, of which 2 and 1 pictures are told as of one each.
        let other = index.nearest_by_means(&mean, Some(PersonId(2))).unwrap().unwrap();
        assert_eq!(other.person, PersonId(1));
        let as_of_one = Metric::SquaredL2.score(0.36 / 0.875);
        assert!((other.score.0 - as_of_one.0).abs() < 1e-2, "{other:?}");
        assert_eq!(
            Index::new(Metric::L2, &templates[1..2])
                .unwrap()
                .nearest_by_means(&mean, Some(PersonId(1))),
            Ok(None)
        );
    }

    #[test]
    fn people_who_came_together_are_held_against_each_other_as_an_enrolment_is() {
        let mut state = 7u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 40) as f32 / (1u64 << 24) as f32 - 0.5
        };
        for metric in [Metric::L2, Metric::SquaredL2] {
            // Two templates each, of 200 components so that a stranger is not read to the end.
            let templates: Vec<Template> = (0..24)
                .map(|at| {
                    let (scale, vector) = quantise(&Embedding((0..200).map(|_| next()).collect()));
                    let vector = vector.into_iter().collect();
                    let (person, model) = (PersonId(at / 2 + 1), ModelTag([0; 8]));
                    Template { person, slot: (at % 2) as u8, quality: 90, model, scale, vector }
                })
                .collect();
            let index = Index::new(metric, &templates).unwrap();
            let means = index.means();
            assert_eq!(means.people().count(), 12);
            let nearest = |(person, mean): &(PersonId, Mean)| {
                index.nearest_by_means(mean, Some(*person)).unwrap().unwrap()
            };
            let scores: Vec<f32> = means.people.iter().map(|one| nearest(one).score.0).collect();
            let best = scores.iter().copied().fold(f32::MIN, f32::max);
            // At a little below the best score it is the pair that a search finds, and nothing else twice.
            let pairs = |threshold: f32| -> Vec<NearPair> {
                let threshold = Threshold(Score(threshold));
                means.people().flat_map(|person| means.near(person, threshold, |_| true)).collect()
            };
            let found = pairs(best - 1e-5);
            assert_eq!(found.len(), 1, "{metric:?} {found:?}");
            assert!(
                (found[0].score.0 - best).abs() < 1e-6 && found[0].people[0] < found[0].people[1]
            );
            assert_eq!(pairs(best + 1e-5), []);
            assert_eq!(pairs(-1000.0).len(), 12 * 11 / 2, "everybody with everybody, once");
            let all = Threshold(Score(-1000.0));
            assert_eq!(means.near(PersonId(3), all, |other| other.0 % 2 == 0).len(), 5);
        }
        let nobody = Index::new(Metric::L2, &[]).unwrap().means();
        assert_eq!(nobody.near(PersonId(1), Threshold(Score(0.0)), |_| true), []);
    }

    #[test]
    fn what_cannot_be_compared_is_refused() {
        assert_eq!(Mean::of(&[]), None);
        assert_eq!(Mean::of(&[embedding([1.0; 4]), Embedding(vec![1.0; 3])]), None);
        assert_eq!(Mean::made(embedding([1.0; 4]), 0), None);
        let index = Index::new(Metric::L2, &[template(1, 0, [1.0; 4])]).unwrap();
        let short = Mean::made(Embedding(vec![1.0; 3]), 1).unwrap();
        let refused = index.nearest_by_means(&short, None);
        assert_eq!(refused, Err(SearchError::Length { expected: 4, found: 3 }));
        let nobody = Index::new(Metric::L2, &[]).unwrap();
        assert_eq!(nobody.nearest_by_means(&short, None), Ok(None));
    }
}
