//! Who comes first: the order of candidates, and the rankings that a scan fills.
//!
//! Owns candidates and their order. Refuses to know where scores come from.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use threshold_record::{PersonId, Score};

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

/// What a scan of the gallery fills.
pub(super) trait Ranking {
    /// The score below which no candidate changes the ranking any more; `None` while every one may.
    fn floor(&self) -> Option<Score>;

    /// Takes a candidate into account.
    fn offer(&mut self, candidate: Candidate);
}

impl Ranking for Candidates {
    fn floor(&self) -> Option<Score> {
        self.runner_up.map(|runner_up| runner_up.score)
    }

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

/// The best candidate of one person, and the best of anybody else.
pub(super) struct Claimed {
    person: PersonId,
    found: Candidates,
}

impl Claimed {
    pub(super) fn new(person: PersonId) -> Self {
        Self { person, found: Candidates::default() }
    }

    /// The person's candidate as the best, the other one as the runner-up, whichever is more alike.
    pub(super) fn into_candidates(self) -> Candidates {
        self.found
    }
}

impl Ranking for Claimed {
    fn floor(&self) -> Option<Score> {
        let Candidates { best: Some(best), runner_up: Some(other) } = self.found else {
            return None;
        };
        Some(if beats(&best, &other) { other.score } else { best.score })
    }

    fn offer(&mut self, candidate: Candidate) {
        let Candidates { best, runner_up } = &mut self.found;
        let place = if candidate.person == self.person { best } else { runner_up };
        if place.is_none_or(|held| beats(&candidate, &held)) {
            *place = Some(candidate);
        }
    }
}

/// The best candidates, up to a number of them.
pub(super) struct Top {
    n: usize,
    /// The worst one on top.
    best: BinaryHeap<Reverse<Ranked>>,
}

impl Top {
    pub(super) fn new(n: usize) -> Self {
        Self { n, best: BinaryHeap::with_capacity(n) }
    }

    /// The candidates, the best first.
    pub(super) fn into_candidates(self) -> Vec<Candidate> {
        self.best
            .into_sorted_vec()
            .into_iter()
            .map(|Reverse(Ranked(candidate))| candidate)
            .collect()
    }
}

impl Ranking for Top {
    fn floor(&self) -> Option<Score> {
        let worst = self.best.peek().filter(|_| self.best.len() == self.n);
        worst.map(|Reverse(Ranked(worst))| worst.score)
    }

    fn offer(&mut self, candidate: Candidate) {
        if self.best.len() < self.n {
            self.best.push(Reverse(Ranked(candidate)));
        } else if let Some(mut worst) = self.best.peek_mut()
            && beats(&candidate, &worst.0.0)
        {
            *worst = Reverse(Ranked(candidate));
        }
    }
}

/// A candidate in the order of [`compare`].
struct Ranked(Candidate);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked {}

fn beats(a: &Candidate, b: &Candidate) -> bool {
    compare(a, b).is_gt()
}

/// A total order, the better one greater, so that the answer does not depend on the order of the templates.
fn compare(a: &Candidate, b: &Candidate) -> Ordering {
    let by_score = a.score.0.total_cmp(&b.score.0);
    by_score.then(b.person.cmp(&a.person)).then(b.slot.cmp(&a.slot))
}
