//! What a log comes to: counts by day, hour, reason and person, and the trend of each person's scores.
//!
//! Owns the counting, one pass over the rows. Refuses to place an entry in time whose clock had not been set: such entries
//! count in the sums and stand in no plot over time.

use super::forecast::Door;
use crate::log_contexts::LogContexts;
use crate::log_file::Row;
use std::collections::BTreeMap;

/// The last day of the year 9999, since 1970: no later time can be written, and no unit's clock says one.
pub(super) const LAST_DAY: u64 = 2_932_896;

/// Milliseconds of a day.
pub(super) const DAY_MS: u64 = 86_400_000;

/// Bars of the scores' histogram.
pub(super) const SCORE_BARS: usize = 48;

/// Faults and acts that the page lists; the newest are kept.
const LISTED: usize = 100;

/// Admitted and refused visits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Visits {
    /// Let in.
    pub(super) admitted: u64,
    /// Not let in.
    pub(super) refused: u64,
}

impl Visits {
    fn count(&mut self, admitted: bool) {
        if admitted {
            self.admitted += 1;
        } else {
            self.refused += 1;
        }
    }
}

/// One admission of a person at a time that is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    /// Days since 1970-01-01 UTC.
    pub(super) day: f64,
    /// The score.
    pub(super) score: f64,
    /// The threshold in force.
    pub(super) threshold: f64,
}

/// A person as the log knows one.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Someone {
    /// The name in the newest entry that has one; empty if none has.
    pub(super) name: String,
    /// Visits that let the person in.
    pub(super) admitted: u64,
    /// Refused visits whose best candidate the person was; somebody else may have stood there.
    pub(super) refused: u64,
    /// The lowest score above the threshold by which the person was let in.
    pub(super) least_margin: Option<f64>,
    /// The admissions, in the log's order, since the newest change of the model.
    pub(super) points: Vec<Point>,
    model: u16,
}

/// The straight line through a person's scores (least squares).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trend {
    /// Change of the score in 30 days.
    pub(super) slope: f64,
    /// Its standard error.
    pub(super) error: f64,
    /// Days from the last admission until the line meets the threshold; `None` if it does not go there.
    pub(super) days_left: Option<f64>,
}

impl Trend {
    /// Admissions that a trend needs at least, and days that they must span.
    pub(super) const POINTS: usize = 10;
    /// Days that they must span.
    pub(super) const SPAN_DAYS: f64 = 7.0;
    /// A line that meets the threshold sooner than this is worth a look.
    pub(super) const SOON_DAYS: f64 = 90.0;

    /// True if the score sinks, beyond twice the error of the slope, and will meet the threshold soon.
    #[must_use]
    pub(super) fn sinks(&self) -> bool {
        self.slope + 2.0 * self.error < 0.0
            && self.days_left.is_some_and(|days| days < Self::SOON_DAYS)
    }
}

impl Someone {
    /// The trend of the scores; `None` for too few admissions, or within too short a time.
    #[must_use]
    pub(super) fn trend(&self) -> Option<Trend> {
        let (first, last) = (self.points.first()?, self.points.last()?);
        let n = self.points.len() as f64;
        if self.points.len() < Trend::POINTS || last.day - first.day < Trend::SPAN_DAYS {
            return None;
        }
        let mean = |of: &dyn Fn(&Point) -> f64| self.points.iter().map(of).sum::<f64>() / n;
        let (day, score) = (mean(&|point| point.day), mean(&|point| point.score));
        let spread: f64 = self.points.iter().map(|point| (point.day - day).powi(2)).sum();
        let together: f64 =
            self.points.iter().map(|point| (point.day - day) * (point.score - score)).sum();
        let slope = together / spread;
        let left: f64 = self
            .points
            .iter()
            .map(|point| (point.score - score - slope * (point.day - day)).powi(2))
            .sum();
        let error = (left / (n - 2.0) / spread).sqrt();
        let now = score + slope * (last.day - day) - last.threshold;
        let days_left = (slope < 0.0).then(|| (now / -slope).max(0.0));
        Some(Trend { slope: 30.0 * slope, error: 30.0 * error, days_left })
    }
}

/// A listed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    /// The entry.
    pub(super) sequence: u64,
    /// Milliseconds since 1970 UTC; `None` if the clock had not been set.
    pub(super) unix_ms: Option<u64>,
    /// The entry's kind.
    pub(super) kind: String,
    /// What lies behind it, or who did it.
    pub(super) what: String,
}

/// What a log comes to.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// What the entries refer to, as far as it is known.
    pub(super) contexts: Option<LogContexts>,
    /// Visits that were decided by scores, with a time that is known, by what they were decided with.
    pub(super) doors: BTreeMap<Door, Visits>,
    /// The first and the last known time, milliseconds since 1970 UTC.
    pub(super) times: Option<(u64, u64)>,
    /// A credential named somebody, whose visit is not decided yet.
    claimed: bool,
    /// Entries.
    pub(super) entries: u64,
    /// The first sequence.
    pub(super) first: u64,
    /// The last one.
    pub(super) last: u64,
    /// Visits that let somebody in.
    pub(super) admitted: u64,
    /// Refused visits by reason and cause.
    pub(super) refusals: BTreeMap<(String, String), u64>,
    /// Entries from before the clock was set.
    pub(super) untrusted: u64,
    /// Visits by day since 1970-01-01 UTC.
    pub(super) days: BTreeMap<u64, Visits>,
    /// Visits by hour of the day, UTC.
    pub(super) hours: [Visits; 24],
    /// Everybody who was ever the best candidate.
    pub(super) people: BTreeMap<u32, Someone>,
    /// Best scores of those who were let in.
    pub(super) admitted_scores: Vec<f32>,
    /// Best scores of those whom nobody resembled enough.
    pub(super) unknown_scores: Vec<f32>,
    /// Times from the first sight of a face to an admission, in milliseconds.
    pub(super) admission_ms: Vec<f32>,
    /// The threshold of the newest decision.
    pub(super) threshold: Option<f64>,
    /// Every entry that is no decision, by kind.
    pub(super) others: BTreeMap<String, u64>,
    /// The newest faults, openings of the housing and the door, and acts of administrators.
    pub(super) events: std::collections::VecDeque<Event>,
}

impl Tally {
    /// Nothing yet, of a log whose entries refer to these.
    pub(super) fn of(contexts: Option<LogContexts>) -> Self {
        Self { contexts, ..Self::default() }
    }

    /// Counts a row; rows come in the log's order.
    pub(super) fn take(&mut self, row: &Row) {
        if self.entries == 0 {
            self.first = row.sequence;
        }
        self.entries += 1;
        self.last = row.sequence;
        self.untrusted += u64::from(unix_ms(row).is_none());
        if let Some(now) = unix_ms(row) {
            let (first, last) = self.times.unwrap_or((now, now));
            self.times = Some((first.min(now), last.max(now)));
        }
        if row.decision.is_empty() {
            self.take_other(row);
        } else {
            self.take_decision(row, row.decision == "admit");
        }
    }

    fn take_other(&mut self, row: &Row) {
        match row.kind.as_str() {
            // Of nobody's credential the visit ends at once.
            "claim" => self.claimed = row.person != 0,
            "boot" => self.claimed = false,
            _ => {}
        }
        *self.others.entry(row.kind.clone()).or_default() += 1;
        let what = match (row.by.as_str(), row.cause.as_str()) {
            ("", "none") if is_routine(&row.kind) => return,
            ("", "none") => String::new(),
            ("", cause) => cause.to_owned(),
            (by, _) => match row.person_name.as_str() {
                "" => format!("by {by}"),
                name => format!("{name}, by {by}"),
            },
        };
        if self.events.len() == LISTED {
            self.events.pop_front();
        }
        let unix_ms = unix_ms(row);
        let kind = row.kind.clone();
        self.events.push_back(Event { sequence: row.sequence, unix_ms, kind, what });
    }

    fn take_decision(&mut self, row: &Row, admitted: bool) {
        let reason = row.reason.clone().unwrap_or_default();
        let one = std::mem::take(&mut self.claimed);
        // Whoever showed a credential of nobody's was compared with nobody; of too few frames some were compared if there is a score.
        let compared = admitted
            || matches!(&*reason, "unknown" | "ambiguous") && row.cause != "unknown_credential"
            || reason == "too_few_frames" && row.best_score.is_some();
        if compared && unix_ms(row).is_some() {
            self.doors.entry(self.door(row, one)).or_default().count(admitted);
        }
        self.threshold = row.threshold.or(self.threshold);
        if let Some(unix_ms) = unix_ms(row) {
            self.days.entry(unix_ms / DAY_MS).or_default().count(admitted);
            let hour = unix_ms % DAY_MS / 3_600_000;
            self.hours[hour as usize % 24].count(admitted);
        }
        if admitted {
            self.admitted += 1;
            self.admission_ms.push(row.total_ms as f32);
        } else {
            *self.refusals.entry((reason.clone(), row.cause.clone())).or_default() += 1;
        }
        if row.person == 0 {
            return;
        }
        let score = row.best_score.unwrap_or_default();
        match (admitted, reason.as_str()) {
            (true, _) => self.admitted_scores.push(score as f32),
            (false, "unknown") => self.unknown_scores.push(score as f32),
            _ => {}
        }
        let someone = self.people.entry(row.person).or_default();
        if !row.person_name.is_empty() {
            someone.name.clone_from(&row.person_name);
        }
        if !admitted {
            someone.refused += 1;
            return;
        }
        someone.admitted += 1;
        let threshold = row.threshold.unwrap_or_default();
        let margin = score - threshold;
        someone.least_margin = Some(someone.least_margin.map_or(margin, |least| least.min(margin)));
        if someone.model != row.context_model {
            // Scores of two models are on two scales.
            someone.model = row.context_model;
            someone.points.clear();
        }
        if let Some(unix_ms) = unix_ms(row) {
            let day = unix_ms as f64 / DAY_MS as f64;
            someone.points.push(Point { day, score, threshold });
        }
    }

    /// What a visit was decided with.
    fn door(&self, row: &Row, one: bool) -> Door {
        let enrolled = self.contexts.as_ref().and_then(|known| known.enrolled_at(row.sequence));
        Door {
            model: row.context_model,
            policy: row.context_policy,
            threshold: row.threshold.unwrap_or_default().to_bits(),
            people: enrolled.map_or(0, |enrolled| enrolled.people),
            templates: enrolled.map_or(0, |enrolled| enrolled.templates),
            one,
        }
    }

    /// Visits that let nobody in.
    #[must_use]
    pub(super) fn refused(&self) -> u64 {
        self.refusals.values().sum()
    }

    /// Everybody whose scores have a trend.
    pub(super) fn drifts(&self) -> impl Iterator<Item = (u32, &Someone, Trend)> {
        self.people.iter().filter_map(|(&id, someone)| Some((id, someone, someone.trend()?)))
    }

    /// Whose scores sink towards the threshold.
    pub(super) fn sinking(&self) -> impl Iterator<Item = (u32, &Someone)> {
        let sinks = |someone: &Someone| someone.trend().is_some_and(|trend| trend.sinks());
        self.people
            .iter()
            .filter(move |(_, someone)| sinks(someone))
            .map(|(&id, someone)| (id, someone))
    }
}

/// When a row was written; `None` if the clock had not been set, or says what no clock does.
fn unix_ms(row: &Row) -> Option<u64> {
    let is_known = row.wall_trusted && row.wall_unix_ms / DAY_MS <= LAST_DAY;
    is_known.then_some(row.wall_unix_ms)
}

/// True for what happens every day and is counted only.
fn is_routine(kind: &str) -> bool {
    matches!(
        kind,
        "boot" | "armed" | "exit_requested" | "door_closed" | "log_read" | "gallery_read"
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_record::{EntryKind, LogEntry, PersonId, Reason, Score, WallTime};

    /// An admission on a day, with a score.
    fn admission(sequence: u64, day: f64, score: f32, model: u16) -> Row {
        let unix_ms = (day * DAY_MS as f64) as u64;
        let entry = LogEntry {
            sequence,
            wall: WallTime { unix_ms, trusted: true },
            person: PersonId(7),
            best_score: Score(score),
            threshold: Score(0.5),
            context_model: model,
            reason: Reason::Matched,
            ..LogEntry::of(EntryKind::Decision)
        };
        Row::of(&entry, &|_| Some("Ann".to_owned()))
    }

    fn scores(of_day: impl Fn(f64) -> f32) -> Someone {
        let mut tally = Tally::default();
        for n in 0..60u32 {
            let day = 20_000.0 + f64::from(n) / 2.0;
            tally.take(&admission(1 + u64::from(n), day, of_day(f64::from(n) / 2.0), 1));
        }
        tally.people[&7].clone()
    }

    #[test]
    fn a_score_that_sinks_to_the_threshold_within_weeks_is_told() {
        let trend = scores(|day| 0.9 - 0.01 * day as f32).trend().unwrap();
        assert!((trend.slope + 0.3).abs() < 1e-3, "{trend:?}");
        // 0.9 - 0.295 = 0.605 at the end, 0.105 above the threshold, 0.01 a day.
        assert!((trend.days_left.unwrap() - 10.5).abs() < 0.1, "{trend:?}");
        assert!(trend.sinks());
    }

    #[test]
    fn a_score_that_scatters_or_rises_or_stays_far_away_is_not() {
        let noise = |day: f64| ((day * 2.0) as u32).wrapping_mul(2_654_435_761) >> 8;
        for of_day in [
            &(|day: f64| 0.8 + (noise(day) % 1000) as f32 / 5000.0) as &dyn Fn(f64) -> f32,
            &|day| 0.6 + 0.001 * day as f32,
            &|day| 0.9 - 0.0001 * day as f32,
        ] {
            let someone = scores(of_day);
            assert!(!someone.trend().unwrap().sinks(), "{:?}", someone.trend());
        }
    }

    #[test]
    fn a_trend_takes_enough_admissions_of_one_model() {
        let mut tally = Tally::default();
        for n in 0..30u32 {
            let model = if n < 25 { 1 } else { 2 };
            tally.take(&admission(1 + u64::from(n), 20_000.0 + f64::from(n), 0.9, model));
        }
        let someone = &tally.people[&7];
        assert_eq!((someone.points.len(), someone.trend()), (5, None));
        assert_eq!(someone.admitted, 30);
    }

    #[test]
    fn every_visit_is_counted_once_and_no_unset_clock_makes_a_day() {
        let mut tally = Tally::default();
        tally.take(&admission(4, 20_000.5, 0.8, 1));
        let mut entry = LogEntry::of(EntryKind::Decision);
        entry.reason = Reason::Unknown;
        entry.sequence = 5;
        tally.take(&Row::of(&entry, &|_| None));
        entry.kind = EntryKind::Boot;
        entry.sequence = 6;
        tally.take(&Row::of(&entry, &|_| None));
        assert_eq!((tally.entries, tally.first, tally.last), (3, 4, 6));
        assert_eq!((tally.admitted, tally.refused(), tally.untrusted), (1, 1, 2));
        assert_eq!(tally.days.len(), 1);
        assert_eq!(tally.hours[12], Visits { admitted: 1, refused: 0 });
        assert_eq!(tally.others["boot"], 1);
        assert!(tally.events.is_empty());
    }
}
