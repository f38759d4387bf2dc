//! Times and hours as people type and read them: local time at the unit, and a week's hours.
//!
//! Owns the forms. Where a clock shows an hour twice, or leaves one out, the stricter of the two times is meant: the later one of
//! a begin, the earlier one of an end. Refuses a zone of its own: the unit says in which one it stands.

use crate::error::HostError;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use threshold_record::access::DAY_MINUTES;
use threshold_record::{Interval, MAX_INTERVALS};

/// The days of the week as they are typed, Monday first.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A local time as typed: a day, or a day and a minute of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    at: DateTime,
    /// A day alone.
    whole_day: bool,
}

/// The zone of a unit.
#[derive(Clone, Debug)]
pub struct Local(TimeZone);

/// A local time as `2026-12-01` or `2027-01-31T18:00`.
///
/// # Errors
/// In words.
pub fn local_time(typed: &str) -> Result<LocalTime, String> {
    let error = || "a time is typed as 2027-01-31, or 2027-01-31T18:00".to_owned();
    let (date, time) =
        typed.split_once('T').map_or((typed, None), |(date, time)| (date, Some(time)));
    let date: jiff::civil::Date = date.parse().map_err(|_| error())?;
    let minute = match time {
        None => 0,
        Some(time) => minute_of_day(time).filter(|&at| at < DAY_MINUTES).ok_or_else(error)?,
    };
    let at = Time::midnight() + i64::from(minute).minutes();
    Ok(LocalTime { at: date.to_datetime(at), whole_day: time.is_none() })
}

impl Local {
    /// The zone of a POSIX TZ rule.
    ///
    /// # Errors
    /// [`HostError::BadZone`] for one that cannot be read.
    pub fn of(rule: &str) -> Result<Self, HostError> {
        let zone = TimeZone::posix(rule);
        zone.map(Self).map_err(|_| HostError::BadZone { rule: rule.to_owned() })
    }

    /// The first second of a validity, since 1970; a day alone is meant from its begin.
    ///
    /// # Errors
    /// [`HostError::BadTime`] for a time before 1970 or past what a calendar shows.
    pub fn begin(&self, typed: LocalTime) -> Result<u64, HostError> {
        let at = self.0.to_ambiguous_timestamp(typed.at);
        seconds(at.later().ok(), typed)
    }

    /// The first second that is no more within a validity, since 1970; a day alone is meant to its end.
    ///
    /// # Errors
    /// [`HostError::BadTime`] for a time before 1970 or past what a calendar shows.
    pub fn end(&self, typed: LocalTime) -> Result<u64, HostError> {
        let at = match typed.whole_day {
            true => typed.at.checked_add(1.day()).ok(),
            false => Some(typed.at),
        };
        seconds(at.and_then(|at| self.0.to_ambiguous_timestamp(at).earlier().ok()), typed)
    }

    /// A time to be read: to the minute, or to the second where it lies between two.
    #[must_use]
    pub fn text(&self, unix_s: u64) -> String {
        let at = i64::try_from(unix_s).ok().and_then(|at| Timestamp::from_second(at).ok());
        let Some(at) = at else { return format!("second {unix_s}") };
        let local = self.0.to_datetime(at);
        let form = if local.second() == 0 { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
        local.strftime(form).to_string()
    }
}

fn seconds(at: Option<Timestamp>, typed: LocalTime) -> Result<u64, HostError> {
    let at = at.and_then(|at| u64::try_from(at.as_second()).ok());
    at.ok_or_else(|| HostError::BadTime { typed: typed.at.to_string() })
}

/// The intervals of words as `mon-fri 07:00-19:00 sat 08:00-12:00`.
///
/// # Errors
/// [`HostError::BadHours`] names the word that cannot be read.
pub fn hours(words: &[String]) -> Result<heapless::Vec<Interval, MAX_INTERVALS>, HostError> {
    let mut intervals = heapless::Vec::new();
    let bad = |what: &str| HostError::BadHours { what: what.to_owned() };
    for pair in words.chunks(2) {
        let [typed_days, span] = pair else {
            return Err(bad(&format!("{} has no hours", pair.concat())));
        };
        let days = days(typed_days).ok_or_else(|| bad(&format!("{typed_days:?} is no day")))?;
        let (from, to) = span.split_once('-').unwrap_or((span, ""));
        let ends = (minute_of_day(from), minute_of_day(to));
        let fits = |&(from, to): &(u16, u16)| from < DAY_MINUTES && to > 0 && from != to;
        let (from, to) = match ends {
            (Some(from), Some(to)) if fits(&(from, to)) => (from, to),
            _ => return Err(bad(&format!("{span:?} are no hours"))),
        };
        let full = |_| bad(&format!("more than {MAX_INTERVALS} intervals"));
        intervals.push(Interval { days, from, to }).map_err(full)?;
    }
    Ok(intervals)
}

/// The intervals in the form in which they are typed.
#[must_use]
pub fn hours_text(intervals: &[Interval]) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let each = |interval: &Interval| {
        format!("{} {}-{}", days_text(interval.days), clock(interval.from), clock(interval.to))
    };
    intervals.iter().map(each).collect::<Vec<_>>().join(" ")
}

/// The days of `daily`, or of days and ranges with commas, as `mon-wed,fri`.
fn days(typed: &str) -> Option<u8> {
    if typed == "daily" {
        return Some(Interval::EVERY_DAY);
    }
    let day = |typed: &str| DAYS.iter().position(|day| *day == typed);
    typed.split(',').try_fold(0, |days, part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        // From Saturday to Monday goes over the week's end.
        let span = (last + 7 - first) % 7;
        Some((0..=span).fold(days, |days, more| days | 1 << ((first + more) % 7)))
    })
}

fn days_text(days: u8) -> String {
    if days == Interval::EVERY_DAY {
        return "daily".to_owned();
    }
    let mut parts = Vec::new();
    let mut day = 0;
    while day < 7 {
        let len = (day..7).take_while(|day| days >> day & 1 == 1).count();
        match len {
            0 => {}
            1 => parts.push(DAYS[day].to_owned()),
            _ => parts.push(format!("{}-{}", DAYS[day], DAYS[day + len - 1])),
        }
        day += len.max(1);
    }
    parts.join(",")
}

/// The minute of the day of `07:00`, up to `24:00`.
fn minute_of_day(typed: &str) -> Option<u16> {
    let (hours, minutes) = typed.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let minutes = number(minutes).filter(|&minutes| minutes < 60)?;
    Some(number(hours)? * 60 + minutes).filter(|&at| at <= DAY_MINUTES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn utc(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_second().try_into().unwrap()
    }

    #[test]
    fn a_time_is_local_at_the_unit_and_the_stricter_one_where_two_are_meant() {
        let berlin = Local::of("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let begin = |typed: &str| berlin.begin(local_time(typed).unwrap()).unwrap();
        let end = |typed: &str| berlin.end(local_time(typed).unwrap()).unwrap();
        for (found, expected) in [
            (begin("2026-12-01"), "2026-11-30T23:00:00Z"),
            (end("2027-01-31T18:00"), "2027-01-31T17:00:00Z"),
            (end("2027-06-30"), "2027-06-30T22:00:00Z"),
            // Twice: 2:30 in summer and again in winter.
            (begin("2027-10-31T02:30"), "2027-10-31T01:30:00Z"),
            (end("2027-10-31T02:30"), "2027-10-31T00:30:00Z"),
            // Never: 2:30 is left out.
            (begin("2027-03-28T02:30"), "2027-03-28T01:30:00Z"),
            (end("2027-03-28T02:30"), "2027-03-28T00:30:00Z"),
        ] {
            assert_eq!(found, utc(expected), "{expected}");
        }
        assert_eq!(berlin.text(utc("2027-06-30T22:00:00Z")), "2027-07-01 00:00");
        assert_eq!(berlin.text(utc("2027-06-30T22:00:01Z")), "2027-07-01 00:00:01");
        for typed in ["", "31.1.2027", "2027-02-30", "2027-01-31T24:00", "2027-01-31T1:00", "now"] {
            assert!(local_time(typed).is_err(), "{typed}");
        }
        assert!(berlin.begin(local_time("1960-01-01").unwrap()).is_err());
        assert!(berlin.end(local_time("9999-12-31").unwrap()).is_err());
        assert!(Local::of("nowhere at all").is_err());
    }

    #[test]
    fn hours_read_as_they_are_written() {
        let words = |typed: &str| typed.split(' ').map(str::to_owned).collect::<Vec<_>>();
        for typed in [
            "mon-fri 07:00-19:00",
            "mon-fri 07:00-19:00 sat 08:00-12:00",
            "daily 00:00-24:00",
            "tue,thu-sat 22:00-06:00",
        ] {
            assert_eq!(hours_text(&hours(&words(typed)).unwrap()), typed);
        }
        assert_eq!(
            hours_text(&hours(&words("sat-mon 01:00-02:00")).unwrap()),
            "mon,sat-sun 01:00-02:00"
        );
        for typed in [
            "mon",
            "mon-fri 07:00-19:00 sat",
            "monday 07:00-19:00",
            "mon 07:00",
            "mon 7:00-19:00",
            "mon 24:00-01:00",
            "mon 07:00-07:00",
            "mon 07:00-24:01",
            "mon 07:00-00:00",
            "07:00-19:00 mon",
        ] {
            assert!(hours(&words(typed)).is_err(), "{typed}");
        }
        let many = ["mon 07:00-08:00"; 15].join(" ");
        assert!(hours(&words(&many)).is_err());
    }
}
