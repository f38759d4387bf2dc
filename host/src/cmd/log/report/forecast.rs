//! What the policies in force let expect of a log's visits, beside what was seen.
//!
//! Owns the grouping of visits by what they were decided with, and the sums over the groups. The arithmetic is
//! `threshold_policy::forecast`'s. Refuses to call a visit right or wrong: whoever was let in for somebody else stands in the
//! log as that person.

use super::tally::{DAY_MS, Tally, Visits};
use serde::Serialize;
use threshold_policy::Policy;
use threshold_policy::forecast::{Range, Site, forecast};
use threshold_record::{Distributions, ModelId, Score, Threshold};

/// The distributions of a model, where its pack is here.
pub(super) type Known<'a> = &'a dyn Fn(ModelId) -> Option<Distributions>;

/// What visits were decided with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Door {
    /// Context record of the model.
    pub(super) model: u16,
    /// Context record of the policy.
    pub(super) policy: u16,
    /// Bits of the threshold in force.
    pub(super) threshold: u64,
    /// People enrolled; 0 if no pull told.
    pub(super) people: u32,
    /// Templates of them.
    pub(super) templates: u32,
    /// Compared with one person alone, whom a credential named (1:1).
    pub(super) one: bool,
}

/// What was to be expected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outlook {
    /// Days from the first entry with a time to the last one.
    pub(super) days: f64,
    /// Visits that the forecast is of: those admitted, and those refused since nobody or more than one resembled enough.
    pub(super) visits: Visits,
    /// Such visits of which it says nothing, and why.
    pub(super) left_out: Option<(u64, &'static str)>,
    /// Strangers let in, a month.
    pub(super) admissions: Range,
    /// Enrolled people refused for their score, a day.
    pub(super) refusals: Range,
}

const NOTHING: Range = Range { at: 0.0, low: 0.0, high: 0.0 };

/// The forecast of a log's visits; `None` if its times span less than a day.
pub(super) fn outlook(tally: &Tally, known: Known<'_>) -> Option<Outlook> {
    let (first, last) = tally.times?;
    let days = (last - first) as f64 / DAY_MS as f64;
    if days < 1.0 {
        return None;
    }
    let mut found = Outlook {
        days,
        visits: Visits::default(),
        left_out: None,
        admissions: NOTHING,
        refusals: NOTHING,
    };
    for (door, visits) in &tally.doors {
        match of_door(tally, door, *visits, days, known) {
            Ok((admissions, refusals)) => {
                found.visits.admitted += visits.admitted;
                found.visits.refused += visits.refused;
                found.admissions = sum(found.admissions, admissions);
                found.refusals = sum(found.refusals, refusals);
            }
            Err(why) => {
                let before = found.left_out.map_or(0, |(count, _)| count);
                found.left_out = Some((before + visits.admitted + visits.refused, why));
            }
        }
    }
    Some(found)
}

fn sum(a: Range, b: Range) -> Range {
    Range { at: a.at + b.at, low: a.low + b.low, high: a.high + b.high }
}

/// Strangers admitted a month and people refused a day, or why nothing can be said.
fn of_door(
    tally: &Tally,
    door: &Door,
    visits: Visits,
    days: f64,
    known: Known<'_>,
) -> Result<(Range, Range), &'static str> {
    let contexts = tally
        .contexts
        .as_ref()
        .ok_or("what the entries refer to is not beside the file; threshold log pull writes it")?;
    let gone = "the unit had lost the record of their model or policy before it was pulled";
    let model = contexts.model(door.model).ok_or(gone)?;
    let settled = contexts.policy(door.policy).ok_or(gone)?;
    let known = known(model.id).ok_or(
        "the pack of their model is not here, or nobody measured it; threshold model list",
    )?;
    if door.people == 0 {
        return Err("how many people were enrolled is not known");
    }
    let threshold = Threshold(Score(f64::from_bits(door.threshold) as f32));
    let policy = Policy { threshold, ..settled.policy };
    let site = Site {
        people: if door.one { 1 } else { door.people },
        templates_each: f64::from(door.templates) / f64::from(door.people),
        // Whoever resembled nobody enough is taken for a stranger, and whoever was let in for the person.
        strangers_a_day: visits.refused as f64 / days,
        visits_a_day: visits.admitted as f64 / days,
    };
    let expected = forecast(&policy, model.metric, &known, &site);
    Ok((expected.false_admissions_a_month, expected.false_refusals_a_day))
}

/// An outlook as JSON has it.
#[derive(Serialize)]
pub(super) struct Told {
    days: f64,
    visits: u64,
    left_out: u64,
    left_out_why: Option<&'static str>,
    false_admissions_a_month: [f64; 3],
    false_refusals_a_day: [f64; 3],
    refused_for_score_a_day: f64,
}

impl Outlook {
    /// Visits that were refused since nobody or more than one resembled enough, a day: strangers, and people who were not
    /// recognised.
    pub(super) fn refused_a_day(&self) -> f64 {
        self.visits.refused as f64 / self.days
    }

    pub(super) fn told(&self) -> Told {
        let ends = |Range { at, low, high }: Range| [at, low, high];
        Told {
            days: self.days,
            visits: self.visits.admitted + self.visits.refused,
            left_out: self.left_out.map_or(0, |(count, _)| count),
            left_out_why: self.left_out.map(|(_, why)| why),
            false_admissions_a_month: ends(self.admissions),
            false_refusals_a_day: ends(self.refusals),
            refused_for_score_a_day: self.refused_a_day(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::log_contexts::{Enrolled, LogContexts};
    use crate::log_file::Row;
    use threshold_models::import::description;
    use threshold_models::pack::Network;
    use threshold_policy::rule::Settled;
    use threshold_record::{EntryKind, LogEntry, Metric, ModelContext, PersonId, Reason, WallTime};

    const ID: ModelId = ModelId([7; 32]);

    fn policy() -> Policy {
        Policy::for_model(Metric::L2, 0.6)
    }

    fn measured(_: ModelId) -> Option<Distributions> {
        description(Network::DlibResnet29).scores().map(|scores| scores.distributions)
    }

    /// 30 days of ten visits each, two of them of strangers, with 10 people enrolled and from day 15 on 100.
    fn tally(contexts: bool, claimed: bool) -> Tally {
        let model = ModelContext { id: ID, name: "dlib".try_into().unwrap(), metric: Metric::L2 };
        let settled = Settled::by_default(policy());
        let gallery = [(150, 10), (299, 100)];
        let gallery = gallery.map(|(upto, people)| Enrolled { upto, people, templates: people });
        let made = LogContexts::made((1, &model), (2, &settled), gallery.to_vec());
        let mut tally = Tally::of(contexts.then_some(made));
        let mut sequence = 0;
        for n in 0..=300u64 {
            let mut entry = LogEntry {
                sequence: n + 1,
                wall: WallTime { unix_ms: 1_790_000_000_000 + n * DAY_MS / 10, trusted: true },
                person: PersonId(7),
                reason: if n % 10 < 2 { Reason::Unknown } else { Reason::Matched },
                best_score: Score(0.9),
                threshold: Score(0.55),
                context_model: 1,
                context_policy: 2,
                ..LogEntry::of(EntryKind::Claim)
            };
            sequence += u64::from(claimed);
            if claimed {
                tally.take(&Row::of(&LogEntry { sequence, ..entry }, &|_| None));
            }
            sequence += 1;
            (entry.kind, entry.sequence) = (EntryKind::Decision, sequence);
            tally.take(&Row::of(&entry, &|_| None));
        }
        tally
    }

    #[test]
    fn the_forecast_is_the_policys_for_each_gallery_that_there_was() {
        let tally = tally(true, false);
        let found = outlook(&tally, &measured).unwrap();
        assert!((found.days - 30.0).abs() < 1e-9 && found.left_out.is_none(), "{found:?}");
        assert_eq!((found.visits.admitted, found.visits.refused), (240, 61));
        assert!((found.refused_a_day() - 61.0 / 30.0).abs() < 1e-9);
        let at = |people: u32, strangers: f64, visits: f64| {
            let site = Site {
                people,
                templates_each: 1.0,
                strangers_a_day: strangers / 30.0,
                visits_a_day: visits / 30.0,
            };
            let policy = Policy { threshold: Threshold(Score(0.55)), ..policy() };
            forecast(&policy, Metric::L2, &measured(ID).unwrap(), &site)
        };
        let (ten, hundred) = (at(10, 30.0, 120.0), at(100, 31.0, 120.0));
        let close = |found: f64, a: f64, b: f64| assert!((found - a - b).abs() < 1e-9 * found);
        let [a, b] = [ten, hundred].map(|one| one.false_admissions_a_month);
        close(found.admissions.at, a.at, b.at);
        close(found.admissions.high, a.high, b.high);
        assert!(b.at > 5.0 * a.at, "more people, more chances: {a:?} {b:?}");
        let [a, b] = [ten, hundred].map(|one| one.false_refusals_a_day);
        close(found.refusals.at, a.at, b.at);
    }

    #[test]
    fn visits_with_a_credential_are_compared_with_one_person() {
        let everybody = outlook(&tally(true, false), &measured).unwrap();
        let one = outlook(&tally(true, true), &measured).unwrap();
        assert_eq!(one.visits, everybody.visits);
        assert!(one.admissions.at < everybody.admissions.at / 10.0, "{one:?} {everybody:?}");
    }

    #[test]
    fn a_credential_of_nobodys_is_no_comparison() {
        let mut tally = tally(true, false);
        let before = tally.doors.clone();
        let mut entry = LogEntry::of(EntryKind::Claim);
        (entry.sequence, entry.reason) = (302, Reason::Unknown);
        entry.wall = WallTime { unix_ms: 1_790_000_000_000, trusted: true };
        tally.take(&Row::of(&entry, &|_| None));
        (entry.kind, entry.sequence) = (EntryKind::Decision, 303);
        entry.cause = threshold_record::Cause::UnknownCredential;
        tally.take(&Row::of(&entry, &|_| None));
        assert_eq!(tally.doors, before);
        assert_eq!(tally.refused(), 62);
    }

    #[test]
    fn what_cannot_be_forecast_is_counted_and_said() {
        let why =
            |tally: &Tally, known: Known<'_>| outlook(tally, known).unwrap().left_out.unwrap();
        let (count, text) = why(&tally(false, false), &measured);
        assert!(count == 301 && text.contains("threshold log pull"), "{text}");
        let (count, text) = why(&tally(true, false), &|_| None);
        assert!(count == 301 && text.contains("threshold model list"), "{text}");
        let mut lost = tally(true, false);
        lost.contexts = Some(LogContexts::default());
        assert!(why(&lost, &measured).1.contains("lost the record"));
        let mut short = tally(true, false);
        short.times = Some((0, DAY_MS - 1));
        assert_eq!(outlook(&short, &measured), None);
    }
}
