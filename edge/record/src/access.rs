//! What holds of a person besides name and face: from when to when the person may enter, at which hours, and the numbers by
//! which the person is claimed at a reader. With the weekly schedules that such hours refer to.
//!
//! Owns the types and what makes each of them whole. Refuses to know a time zone: an interval counts minutes of the local day,
//! and whoever asks brings the local time along. Refuses to judge: `policy::access` does.

use crate::{Credential, Name};
use heapless::Vec;
use postcard_schema::Schema;
use serde::{Deserialize, Serialize};

/// Credentials of one person: a badge, its replacement, a number, and one to spare.
pub const MAX_CREDENTIALS: usize = 4;
/// Schedules of a unit: as many as an installer keeps apart.
pub const MAX_SCHEDULES: u8 = 16;
/// Intervals of a schedule: two a day, each day another.
pub const MAX_INTERVALS: usize = 14;
/// Minutes of a day.
pub const DAY_MINUTES: u16 = 24 * 60;
/// Minutes of a week, which begins on Monday at 00:00.
pub const WEEK_MINUTES: u16 = 7 * DAY_MINUTES;
/// The latest time that a limit may have, seconds since 1970: the begin of the year 9999, which a calendar shows in every zone.
pub const MAX_UNIX_S: u64 = 253_370_764_800;

/// Number of a schedule, 1 to [`MAX_SCHEDULES`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Schema,
)]
pub struct ScheduleId(pub u8);

/// What holds of a person; by default neither a limit nor a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Access {
    /// The first second at which the person may enter, since 1970-01-01 UTC; `None` for no limit.
    pub valid_from: Option<u64>,
    /// The first second at which the person may enter no more; `None` for no limit.
    pub valid_until: Option<u64>,
    /// The hours at which the person may enter; `None` for all.
    pub schedule: Option<ScheduleId>,
    /// By what the person is claimed at a reader; no two people have the same.
    pub credentials: Vec<Credential, MAX_CREDENTIALS>,
}

/// Why a person's access, or a schedule, is not whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema, thiserror::Error)]
pub enum AccessFault {
    /// The end lies not behind the begin, or past [`MAX_UNIX_S`].
    #[error("the validity ends before it begins, or in the year 9999 or later")]
    Validity,
    /// A credential stands there twice, or is none.
    #[error("a credential stands there twice, or has digits that it cannot have")]
    Credentials,
    /// No schedule has such a number.
    #[error("schedules are numbered from 1 to {MAX_SCHEDULES}")]
    Number,
    /// No interval, one without a day, or one past the end of a day.
    #[error("an interval needs a day, and a begin and an end from 00:00 to 24:00 that differ")]
    Intervals,
}

impl Access {
    /// True if something limits when the person may enter.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.valid_from.is_some() || self.valid_until.is_some() || self.schedule.is_some()
    }

    /// Checks what the gallery relies on.
    ///
    /// # Errors
    /// [`AccessFault`] names the first thing wrong.
    pub fn check(&self) -> Result<(), AccessFault> {
        let from = self.valid_from.unwrap_or(0);
        let until = self.valid_until.unwrap_or(MAX_UNIX_S);
        // Flash has 0 for a validity that ever began.
        if from >= until || until > MAX_UNIX_S || self.valid_from == Some(0) {
            return Err(AccessFault::Validity);
        }
        if let Some(ScheduleId(number)) = self.schedule
            && !(1..=MAX_SCHEDULES).contains(&number)
        {
            return Err(AccessFault::Number);
        }
        let mut rest = self.credentials.as_slice();
        while let Some((first, others)) = rest.split_first() {
            if others.contains(first) || !first.is_whole() {
                return Err(AccessFault::Credentials);
            }
            rest = others;
        }
        Ok(())
    }
}

/// Hours of some days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Interval {
    /// Bit n is set for the day n of the week, Monday being 0.
    pub days: u8,
    /// The first minute of the day that belongs to it, 0 to 1439.
    pub from: u16,
    /// The first minute that does not, 1 to 1440; not later than `from`, it is one of the next day.
    pub to: u16,
}

impl Interval {
    /// Every day of the week.
    pub const EVERY_DAY: u8 = 0x7f;

    /// True if a minute of the week lies within.
    #[must_use]
    pub fn covers(&self, minute_of_week: u16) -> bool {
        let (day, minute) = (minute_of_week / DAY_MINUTES % 7, minute_of_week % DAY_MINUTES);
        let on = |day: u16| self.days >> day & 1 == 1;
        if self.from < self.to {
            return on(day) && (self.from..self.to).contains(&minute);
        }
        // Over midnight: the evening of its own day, and the morning after.
        on(day) && minute >= self.from || on((day + 6) % 7) && minute < self.to
    }

    fn is_whole(&self) -> bool {
        self.days & Self::EVERY_DAY != 0
            && self.days & !Self::EVERY_DAY == 0
            && self.from < DAY_MINUTES
            && (1..=DAY_MINUTES).contains(&self.to)
            && self.from != self.to
    }
}

/// Hours of the week under a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Schema)]
pub struct Schedule {
    /// Which; people refer to it by that.
    pub id: ScheduleId,
    /// What administrators call it; no two schedules of a unit have one name.
    pub name: Name,
    /// When somebody of this schedule may enter; local time, at least one interval.
    pub intervals: Vec<Interval, MAX_INTERVALS>,
}

impl Schedule {
    /// True if a minute of the local week lies within one of the intervals.
    #[must_use]
    pub fn covers(&self, minute_of_week: u16) -> bool {
        self.intervals.iter().any(|interval| interval.covers(minute_of_week))
    }

    /// Checks what the gallery relies on.
    ///
    /// # Errors
    /// [`AccessFault`] names the first thing wrong.
    pub fn check(&self) -> Result<(), AccessFault> {
        if !(1..=MAX_SCHEDULES).contains(&self.id.0) {
            return Err(AccessFault::Number);
        }
        if self.intervals.is_empty() || !self.intervals.iter().all(Interval::is_whole) {
            return Err(AccessFault::Intervals);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn at(day: u16, hour: u16, minute: u16) -> u16 {
        day * DAY_MINUTES + hour * 60 + minute
    }

    #[test]
    fn an_interval_holds_its_first_minute_and_not_its_last() {
        let office = Interval { days: 0b001_1111, from: 7 * 60, to: 19 * 60 };
        for (minute, expected) in [
            (at(0, 6, 59), false),
            (at(0, 7, 0), true),
            (at(4, 18, 59), true),
            (at(4, 19, 0), false),
            (at(5, 12, 0), false),
        ] {
            assert_eq!(office.covers(minute), expected, "{minute}");
        }
        let whole = Interval { days: 1 << 6, from: 0, to: DAY_MINUTES };
        assert!(whole.covers(at(6, 0, 0)) && whole.covers(at(6, 23, 59)) && !whole.covers(0));
    }

    #[test]
    fn an_interval_over_midnight_belongs_to_the_day_it_begins_on() {
        let night = Interval { days: 1 << 6, from: 22 * 60, to: 6 * 60 };
        for (minute, expected) in [
            (at(6, 21, 59), false),
            (at(6, 22, 0), true),
            (at(0, 5, 59), true),
            (at(0, 6, 0), false),
            (at(6, 3, 0), false),
        ] {
            assert_eq!(night.covers(minute), expected, "{minute}");
        }
    }

    #[test]
    fn an_access_that_can_never_hold_is_none() {
        let access =
            |from, until| Access { valid_from: from, valid_until: until, ..Access::default() };
        for (access, expected) in [
            (Access::default(), Ok(())),
            (access(Some(5), Some(6)), Ok(())),
            (access(Some(6), Some(6)), Err(AccessFault::Validity)),
            (access(None, Some(0)), Err(AccessFault::Validity)),
            (access(None, Some(MAX_UNIX_S + 1)), Err(AccessFault::Validity)),
            (access(Some(u64::MAX), None), Err(AccessFault::Validity)),
        ] {
            assert_eq!(access.check(), expected, "{access:?}");
        }
        let badge = Credential::Wiegand26 { facility: 1, card: 2 };
        let credentials = Vec::from_slice(&[badge, badge]).unwrap();
        let twice = Access { credentials, ..Access::default() };
        assert_eq!(twice.check(), Err(AccessFault::Credentials));
        let credentials =
            Vec::from_slice(&[Credential::Keypad { digits: 2, number: 100 }]).unwrap();
        let untyped = Access { credentials, ..Access::default() };
        assert_eq!(untyped.check(), Err(AccessFault::Credentials));
    }
}
