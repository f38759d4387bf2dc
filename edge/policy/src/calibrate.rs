//! Calibration: what a unit's own gallery and recorded strangers say of its threshold.
//!
//! Owns which recorded visits count as strangers', the threshold that they ask for, what is in force of a calibration, and which
//! enrolled people are near twins. Pure: no clock, no allocation, no gallery, no log.
//! Refuses to lower anything: what is in force raises the floor that a rule is derived from, so that the threshold is never below
//! what the shipped distributions give (`rule::derive`).
//!
//! What recorded strangers can and cannot say:
//! - A stranger who was admitted stands in the log as somebody's admission. So only scores of those who were kept out are there, and
//!   with one frame that decides none above the threshold: a calibration finds that the threshold is too low where frames reached it
//!   and too few agreed, never by an admission.
//! - Some who were kept out are enrolled. A refusal that lies within [`RETRY_MS`] of a visit in which the same person was
//!   recognised is theirs and left out. Those who gave up stay in: they raise the threshold, which errs on the side of the door, and
//!   an owner may leave out single entries. Of a stranger who resembles somebody and comes with them the score is lost, which errs
//!   on the other side.
//! - A visit compared with fewer templates than there are now says too little of the rate, so that only visits since somebody was last
//!   enrolled count for it; the highest score counts from all.
//! - An entry has the best frame's score, and a visit is admitted by several, so that the score is high rather than low.

use crate::Policy;
use serde::{Deserialize, Serialize};
use threshold_record::{KeyTag, ModelId, PersonId, Score, Threshold};

/// A refusal so near to a visit in which the same person was recognised is taken for that person's.
pub const RETRY_MS: u64 = 60_000;

/// The confidence of every bound here, one-sided.
pub const CONFIDENCE: f64 = 0.95;

/// Scores above a threshold that are counted at most: the sum of the binomial stays within an f64's range up to there.
pub const ALLOWED_MOST: usize = 200;

/// A step of the scores that the log keeps.
const STEP: f32 = 1.0 / Score::FIXED_ONE;

/// A visit that the log tells of, as far as it is of interest here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visit {
    /// Its entry.
    pub sequence: u64,
    /// The start in which it was.
    pub boot: u32,
    /// When, monotonic milliseconds of that start.
    pub at_ms: u64,
    /// The most alike person.
    pub person: PersonId,
    /// How alike.
    pub score: Score,
    /// True if the person was recognised, be it that the person could not enter then; false if whoever it was stayed unknown.
    pub recognised: bool,
}

/// True if the visit counts as a stranger's, among the visits of a log in the order of their entries.
#[must_use]
pub fn is_stranger(visits: &[Visit], at: usize) -> bool {
    let Some(one) = visits.get(at).filter(|one| !one.recognised) else { return false };
    let near =
        |other: &&Visit| other.boot == one.boot && other.at_ms.abs_diff(one.at_ms) <= RETRY_MS;
    let is_theirs = |other: &Visit| other.recognised && other.person == one.person;
    let (before, after) = (visits.get(..at), visits.get(at + 1..));
    let before = before.unwrap_or(&[]).iter().rev().take_while(near).any(is_theirs);
    let after = after.unwrap_or(&[]).iter().take_while(near).any(is_theirs);
    !before && !after
}

/// `base^n`.
fn power(mut base: f64, mut n: u32) -> f64 {
    let mut power = 1.0;
    while n > 0 {
        if n & 1 == 1 {
            power *= base;
        }
        base *= base;
        n >>= 1;
    }
    power
}

/// The probability of `k` or fewer of `n` at a rate between 0 and 1. With `k` up to [`ALLOWED_MOST`], and up to half of `n`, a first
/// term that an f64 cannot hold belongs to a sum that is as good as nothing; above that the others are counted.
fn at_most(k: u32, n: u32, rate: f64) -> f64 {
    if k < n && k > n / 2 {
        return 1.0 - at_most(n - k - 1, n, 1.0 - rate);
    }
    let mut term = power(1.0 - rate, n);
    let mut sum = term;
    for i in 0..k.min(n) {
        term *= f64::from(n - i) / f64::from(i + 1) * rate / (1.0 - rate);
        sum += term;
    }
    sum
}

/// The highest rate that `k` of `n` do not contradict, at [`CONFIDENCE`]: Clopper and Pearson's bound, which is 3 / n with none of
/// many. 1 where nothing can be said: of nobody, of all, and of more than [`ALLOWED_MOST`].
#[must_use]
pub fn highest_rate(k: u32, n: u32) -> f64 {
    if k >= n || k as usize > ALLOWED_MOST {
        return 1.0;
    }
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        match at_most(k, n, middle) > 1.0 - CONFIDENCE {
            true => low = middle,
            false => high = middle,
        }
    }
    high
}

/// What strangers' scores ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asked {
    /// The threshold: a step above the first score that it has to keep out.
    pub threshold: Threshold,
    /// Of the scores so many may lie above.
    pub allowed: u32,
    /// True if there are enough of them to show that the target is kept; otherwise the threshold lies above all of them, and the
    /// shipped distributions are all that speaks for it.
    pub shown: bool,
}

/// The threshold that strangers ask for, whose scores come highest first: the lowest at which so few of them lie above that the
/// target is kept at [`CONFIDENCE`], or above all of them where they are too few for that, or there is no target. `None` of nobody.
#[must_use]
pub fn asked(scores: &[Score], fpir: Option<f64>) -> Option<Asked> {
    let n = u32::try_from(scores.len()).unwrap_or(u32::MAX);
    let keeps = |k: u32| fpir.is_some_and(|fpir| at_most(k, n, fpir) <= 1.0 - CONFIDENCE);
    let mut allowed = 0;
    while (allowed as usize) < ALLOWED_MOST && allowed + 1 < n && keeps(allowed + 1) {
        allowed += 1;
    }
    let first = scores.get(allowed as usize)?;
    let threshold = Threshold(Score(first.0 + STEP));
    Some(Asked { threshold, allowed, shown: keeps(allowed) })
}

/// A calibration that an owner put in force.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// The model whose scores it is on; of another model it says nothing.
    pub model: ModelId,
    /// Who put it in force.
    pub by: KeyTag,
    /// The threshold of 1:N is not below this.
    pub threshold: Threshold,
    /// People, templates and the newest person of the gallery that it was made with.
    pub people: u32,
    /// Templates of them.
    pub templates: u32,
    /// The highest id.
    pub newest: PersonId,
    /// Visits of strangers that it rests on.
    pub strangers: u32,
}

impl Calibrated {
    /// The policy that a rule of 1:N is derived from: the floor, or the calibration's threshold if that is above it. A NaN raises
    /// nothing.
    #[must_use]
    pub fn floor(this: Option<&Self>, floor: &Policy, model: ModelId) -> Policy {
        let above = |one: &&Self| one.model == model && one.threshold.0 > floor.threshold.0;
        let threshold = this.filter(above).map_or(floor.threshold, |one| one.threshold);
        Policy { threshold, ..*floor }
    }

    /// True if the gallery grew since: strangers were compared with fewer then.
    #[must_use]
    pub fn is_stale(&self, people: u32, templates: u32, newest: PersonId) -> bool {
        people > self.people || templates > self.templates || newest > self.newest
    }
}

/// A person of the gallery and the most alike other one, by their own templates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Nearest {
    /// Who.
    pub person: PersonId,
    /// The most alike other person.
    pub other: PersonId,
    /// How alike their most alike templates are.
    pub score: Score,
}

/// How alike two enrolled people are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alike {
    /// As two people are.
    Apart,
    /// Within the margin of the threshold or above: what tells them apart is the margin.
    NearTwins,
    /// So alike that even the one's own template shown to the camera is not told from the other's by the margin.
    SameFace,
}

impl Policy {
    /// How alike two people are whose most alike templates have this score. A score that is no number is taken for the worst.
    #[must_use]
    pub fn alike(&self, score: Score) -> Alike {
        let apart = score.0 < self.threshold.0.0 - self.margin;
        match () {
            // The template's own score is 1.
            () if score.0.is_nan() || score.0 > 1.0 - self.margin => Alike::SameFace,
            () if apart => Alike::Apart,
            () => Alike::NearTwins,
        }
    }

    /// How alike the person and the most alike other one are; `nearest` is in order of the people.
    #[must_use]
    pub fn alike_of(&self, nearest: &[Nearest], person: PersonId) -> Alike {
        of(nearest, person).map_or(Alike::Apart, |one| self.alike(one.score))
    }

    /// How alike two people are, where one is the most alike of the other.
    #[must_use]
    pub fn alike_both(&self, nearest: &[Nearest], a: PersonId, b: PersonId) -> Alike {
        let one = of(nearest, a).filter(|one| one.other == b);
        let one = one.or_else(|| of(nearest, b).filter(|one| one.other == a));
        one.map_or(Alike::Apart, |one| self.alike(one.score))
    }
}

fn of(nearest: &[Nearest], person: PersonId) -> Option<&Nearest> {
    let at = nearest.binary_search_by_key(&person, |one| one.person).ok()?;
    nearest.get(at)
}
