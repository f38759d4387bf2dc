//! Grouping all pictures of a group of people by a threshold, as `cluster` does, and how right that is.
//!
//! Owns the counts: a pair of pictures counts, of one person or of two, in one group or in two. *Precision* is the part of the
//! pairs in one group that show one person, *recall* the part of the pairs of one person that are in one group, F their harmonic
//! mean.
//! Refuses a figure without its interval: a few much-photographed people have most of the pairs, so people are resampled.

use super::bootstrap::{Interval, resamples};
use super::embeddings::Subject;
use crate::cluster;
use crate::engine::Embedding;
use serde::Serialize;
use std::collections::BTreeMap;
use threshold_record::Metric;

/// The figures of one model on one group of people.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupsResult {
    /// Unit of the threshold.
    pub metric: &'static str,
    /// Mean distance up to which two groups are one.
    pub threshold: f32,
    /// People.
    pub people: usize,
    /// Pictures.
    pub pictures: usize,
    /// Groups that were found.
    pub groups: usize,
    /// Pairs of pictures of one person.
    pub genuine: u64,
    /// Pairs of pictures in one group.
    pub grouped: u64,
    /// Pairs that are both.
    pub right: u64,
    /// Part of the grouped pairs that are right.
    pub precision: Interval,
    /// Part of the genuine pairs that are grouped.
    pub recall: Interval,
    /// Harmonic mean of both.
    pub f_measure: Interval,
}

/// Groups every picture's own embedding. Nothing without two pictures of one person.
#[must_use]
pub fn group(metric: Metric, threshold: f32, subjects: &[Subject]) -> Option<GroupsResult> {
    let mut people = Vec::new();
    let mut embeddings: Vec<Embedding> = Vec::new();
    for (person, subject) in subjects.iter().enumerate() {
        for (_, frames) in &subject.pictures {
            people.push(person);
            embeddings.push(frames.first()?.clone());
        }
    }
    let groups = cluster::groups(metric, threshold, &embeddings);
    let counts = Counts::of(&people, &groups, subjects.len());
    let whole = counts.weighted(&vec![1; subjects.len()]);
    (whole.genuine > 0).then_some(())?;
    let resampled: Vec<Pairs> = resamples(subjects.len())
        .map(|drawn| counts.weighted(&drawn))
        .filter(|pairs| pairs.genuine > 0)
        .collect();
    // Of the people with two pictures: whoever has one alone is in no genuine pair.
    let with_pairs = subjects.iter().filter(|one| one.pictures.len() > 1).count();
    let interval = |of: fn(&Pairs) -> f64| {
        Interval::of_rate(of(&whole), resampled.iter().map(of).collect(), with_pairs)
    };
    Some(GroupsResult {
        metric: metric.unit(),
        threshold,
        people: subjects.len(),
        pictures: people.len(),
        groups: groups.iter().max().map_or(0, |last| last + 1),
        genuine: whole.genuine,
        grouped: whole.grouped,
        right: whole.right,
        precision: interval(Pairs::precision),
        recall: interval(Pairs::recall),
        f_measure: interval(Pairs::f_measure),
    })
}

/// How many pictures of whom are in each group.
struct Counts {
    groups: Vec<BTreeMap<usize, u64>>,
    pictures: Vec<u64>,
}

/// Pairs of pictures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Pairs {
    genuine: u64,
    grouped: u64,
    right: u64,
}

impl Counts {
    fn of(people: &[usize], groups: &[usize], n_people: usize) -> Self {
        let n_groups = groups.iter().max().map_or(0, |last| last + 1);
        let mut counts =
            Self { groups: vec![BTreeMap::new(); n_groups], pictures: vec![0; n_people] };
        for (&person, &group) in people.iter().zip(groups) {
            *counts.groups[group].entry(person).or_default() += 1;
            counts.pictures[person] += 1;
        }
        counts
    }

    /// Each person as often as drawn; a person drawn twice is nobody else's double.
    fn weighted(&self, drawn: &[u32]) -> Pairs {
        let pairs = |n: u64| n * n.saturating_sub(1) / 2;
        let weight = |person: usize| u64::from(drawn[person]);
        let genuine =
            self.pictures.iter().enumerate().map(|(person, &n)| pairs(n) * weight(person)).sum();
        let mut all = Pairs { genuine, ..Pairs::default() };
        for group in &self.groups {
            let right: u64 = group.iter().map(|(&person, &n)| pairs(n) * weight(person)).sum();
            let weighted = |(&person, &n): (&usize, &u64)| n * weight(person);
            let (sum, squares) = group
                .iter()
                .map(weighted)
                .fold((0, 0), |(sum, squares), n| (sum + n, squares + n * n));
            all.right += right;
            // Every two people of the group, as often as both were drawn.
            all.grouped += right + (sum * sum - squares) / 2;
        }
        all
    }
}

impl Pairs {
    fn precision(&self) -> f64 {
        if self.grouped == 0 { 1.0 } else { self.right as f64 / self.grouped as f64 }
    }

    fn recall(&self) -> f64 {
        self.right as f64 / self.genuine as f64
    }

    fn f_measure(&self) -> f64 {
        2.0 * self.right as f64 / (self.grouped + self.genuine) as f64
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::embeddings::made_up;
    use super::*;

    #[test]
    fn pairs_are_counted_as_they_are() {
        // Ann in two groups, one of which is Bob's too.
        let people = [0, 0, 0, 1, 1, 2];
        let groups = [0, 0, 1, 1, 1, 2];
        let counts = Counts::of(&people, &groups, 3);
        let pairs = counts.weighted(&[1, 1, 1]);
        assert_eq!(pairs, Pairs { genuine: 4, grouped: 4, right: 2 });
        assert_eq!((pairs.precision(), pairs.recall(), pairs.f_measure()), (0.5, 0.5, 0.5));
        assert_eq!(counts.weighted(&[0, 1, 1]), Pairs { genuine: 1, grouped: 1, right: 1 });
        assert_eq!(counts.weighted(&[2, 1, 0]), Pairs { genuine: 7, grouped: 7, right: 3 });
    }

    #[test]
    fn people_who_are_far_apart_are_grouped_without_a_fault() {
        let subjects = made_up(30, 4, 0.05);
        let result = group(Metric::SquaredL2, 0.4, &subjects).unwrap();
        assert_eq!((result.people, result.pictures, result.genuine), (30, 120, 180));
        assert!(result.f_measure.at > 0.95, "{result:?}");
        assert!(result.f_measure.low <= result.f_measure.at);
        assert_eq!(group(Metric::SquaredL2, 0.4, &made_up(9, 1, 0.1)), None);
    }
}
