//! How alike the templates of one person are: as how many independent comparisons the best of them errs.
//!
//! Owns the counting and its interval. A stranger who is near one picture of somebody is near others of them too, so the best of
//! t templates is reached more often than one of them, but less than t times as often. What is counted is that factor, from 1 to t.
//! Refuses to guess what too few people have: each template beyond is taken as a comparison of its own, which errs to the
//! stricter threshold. And refuses to let a threshold rest on the factor, whose high end is t itself: it is counted at
//! one FMR alone, and nothing is known of it at the lower ones where the strictest doors work.
//! Of a person with more pictures than t every choice of t of them counts, without drawing; every two people count once, as in the
//! distributions that a pack ships.

use super::bootstrap::{Interval, resamples};
use super::embeddings::Subject;
use crate::search::distance;
use threshold_record::Metric;
use threshold_record::distribution::{N_TEMPLATES, Quantile};

/// The fewest people with so many pictures for a factor that is measured.
const LEAST_PEOPLE: usize = 30;

/// A person of the gallery and a picture of another one, which is near some of the person's.
#[derive(Clone, Copy)]
struct Near {
    enrolled: usize,
    /// The person's pictures.
    pictures: usize,
    /// Those of them that are near.
    near: usize,
    other: usize,
    /// The other person's pictures, of which this is one.
    others: usize,
}

impl Near {
    /// How often a choice of `t` of the pictures has one that is near.
    fn best_of(&self, t: usize) -> f64 {
        let far = self.pictures - self.near;
        let none = (0..t)
            .map(|i| far.saturating_sub(i) as f64 / (self.pictures - i) as f64)
            .product::<f64>();
        1.0 - none
    }
}

/// The factors for 2 templates, 3 and so on, of comparisons that accept below a distance.
#[must_use]
pub(super) fn factors(
    metric: Metric,
    subjects: &[Subject],
    threshold: f32,
) -> [Quantile; N_TEMPLATES] {
    let near = near(metric, subjects, threshold);
    let drawn: Vec<Vec<u32>> = resamples(subjects.len()).collect();
    let everybody = vec![1; subjects.len()];
    let mut before = Interval { at: 1.0, low: 1.0, high: 1.0 };
    std::array::from_fn(|place| {
        let t = place + 2;
        let of = |drawn: &[u32]| factor(&near, t, drawn);
        let enough = subjects.iter().filter(|one| one.pictures.len() >= t).count() >= LEAST_PEOPLE;
        let found = of(&everybody).filter(|_| enough);
        let Interval { at, low, .. } = match found {
            Some(at) => Interval::of(at, drawn.iter().filter_map(|drawn| of(drawn)).collect()),
            None => Interval { at: before.at + 1.0, low: before.low + 1.0, high: t as f64 },
        };
        // More templates are never reached less often; what differs is who has so many pictures.
        before = Interval { at: at.max(before.at), low: low.max(before.low), high: t as f64 };
        let Interval { at, low, high } = before;
        Quantile { at: at as f32, low: low as f32, high: high as f32 }
    })
}

/// How much oftener the best of `t` is near than one alone; `None` where nobody is.
fn factor(near: &[Near], t: usize, drawn: &[u32]) -> Option<f64> {
    let (mut best, mut one) = (0.0, 0.0);
    for found in near.iter().filter(|found| found.pictures >= t) {
        let people = f64::from(drawn[found.enrolled]) * f64::from(drawn[found.other]);
        let weight = people / found.others as f64;
        best += weight * found.best_of(t);
        one += weight * found.best_of(1);
    }
    (one > 0.0).then(|| best / one)
}

fn near(metric: Metric, subjects: &[Subject], threshold: f32) -> Vec<Near> {
    let mut all = Vec::new();
    for (enrolled, person) in subjects.iter().enumerate() {
        if person.pictures.len() < 2 {
            continue;
        }
        let templates: Vec<_> =
            person.pictures.iter().filter_map(|(_, frames)| frames.first()).collect();
        for (other, stranger) in subjects.iter().enumerate().filter(|&(other, _)| other != enrolled)
        {
            for probe in stranger.pictures.iter().filter_map(|(_, frames)| frames.first()) {
                let is_near = |template: &&&_| distance(metric, template, probe) < threshold;
                let near = templates.iter().filter(is_near).count();
                if near > 0 {
                    let (pictures, others) = (templates.len(), stranger.pictures.len());
                    all.push(Near { enrolled, pictures, near, other, others });
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::super::embeddings::made_up;
    use super::*;

    #[test]
    fn the_best_of_some_pictures_is_counted_over_every_choice_of_them() {
        let near = |pictures, near| Near { enrolled: 0, pictures, near, other: 1, others: 1 };
        // Of 4 pictures with 1 near: half of the pairs have it, three of four triples, and all of it.
        assert_eq!([1, 2, 3, 4].map(|t| near(4, 1).best_of(t)), [0.25, 0.5, 0.75, 1.0]);
        assert_eq!([1, 2, 3].map(|t| near(4, 2).best_of(t)), [0.5, 1.0 - 1.0 / 6.0, 1.0]);
        assert_eq!(near(3, 3).best_of(1), 1.0);
    }

    #[test]
    fn factors_lie_between_one_and_the_templates_and_grow() {
        // Pictures that hardly differ err together, others nearly alone.
        let factors = |noise: f32| factors(Metric::SquaredL2, &made_up(80, 4, noise), 1.2);
        let (alike, unlike) = (factors(0.05), factors(0.9));
        for found in [alike, unlike] {
            for (one, t) in found.iter().zip(2..) {
                assert!(1.0 <= one.low && one.low <= one.at && one.at <= one.high, "{found:?}");
                assert_eq!(one.high, t as f32, "{found:?}");
            }
            assert!(found.is_sorted_by(|a, b| a.at <= b.at), "{found:?}");
        }
        assert!(alike[1].at + 0.3 < unlike[1].at, "{alike:?} {unlike:?}");
        // Nobody has five pictures.
        assert!((unlike[3].at - unlike[2].at - 1.0).abs() < 1e-6, "{unlike:?}");
    }
}
