//! The unit's time zone: how far its local time lies from UTC, and when that changes.
//!
//! Owns the two forms in which it is told: an offset, or a POSIX TZ rule, which says itself when daylight saving begins and ends.
//! Refuses names of places: a door without a network has no database of them that anybody keeps up to date.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::fmt;
use threshold_record::access::DAY_MINUTES;
use threshold_wire::access::ZONE_BYTES;

/// A time zone. Holding one proves that its rule can be read.
#[derive(Clone)]
pub struct Zone {
    rule: String,
    zone: TimeZone,
}

/// A text that is no time zone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "timezone in [unit] is {text:?}: it may be an offset as +01:00, or a POSIX TZ rule as CET-1CEST,M3.5.0,M10.5.0/3"
)]
pub struct ZoneError {
    text: String,
}

impl Zone {
    /// The zone that a text names.
    ///
    /// # Errors
    /// [`ZoneError`] if it is neither an offset nor a rule.
    pub fn of(text: &str) -> Result<Self, ZoneError> {
        let rule = offset(text).unwrap_or_else(|| text.to_owned());
        let error = || ZoneError { text: text.to_owned() };
        if rule.len() > ZONE_BYTES {
            return Err(error());
        }
        let zone = TimeZone::posix(&rule).map_err(|_| error())?;
        Ok(Self { rule, zone })
    }

    /// The POSIX TZ rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The minute of the local week, Monday at 00:00 being 0; `None` for a time that no calendar shows.
    #[must_use]
    pub fn minute_of_week(&self, unix_s: u64) -> Option<u16> {
        let at = Timestamp::from_second(i64::try_from(unix_s).ok()?).ok()?;
        let local = self.zone.to_datetime(at);
        let day = u16::try_from(local.weekday().to_monday_zero_offset()).ok()?;
        let (hour, minute) =
            (u16::try_from(local.hour()).ok()?, u16::try_from(local.minute()).ok()?);
        Some(day * DAY_MINUTES + hour * 60 + minute)
    }
}

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self { rule: "UTC0".to_owned(), zone: TimeZone::UTC }
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Zone({})", self.rule)
    }
}

/// The rule of an offset as `+01:00`; POSIX counts the other way round.
fn offset(text: &str) -> Option<String> {
    let (sign, rest) = text.split_at_checked(1)?;
    let against = match sign {
        "+" => "-",
        "-" => "+",
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let number = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u8>().ok()).flatten()
    };
    // The furthest that any place lies from UTC.
    let fits = number(hours)? <= 14 && number(minutes)? < 60;
    fits.then(|| format!("<{sign}{hours}{minutes}>{against}{hours}:{minutes}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    const BERLIN: &str = "CET-1CEST,M3.5.0,M10.5.0/3";

    /// A minute of the week.
    fn at(day: u16, hour: u16, minute: u16) -> Option<u16> {
        Some(day * DAY_MINUTES + hour * 60 + minute)
    }

    /// Seconds since 1970 of a time in UTC.
    fn utc(text: &str) -> u64 {
        text.parse::<Timestamp>().unwrap().as_second().try_into().unwrap()
    }

    #[test]
    fn local_time_follows_daylight_saving_to_the_second() {
        let berlin = Zone::of(BERLIN).unwrap();
        for (text, expected) in [
            // Thursday in winter, Monday in summer.
            ("2026-11-26T06:00:00Z", at(3, 7, 0)),
            ("2026-07-06T05:00:00Z", at(0, 7, 0)),
            // On the last Sunday of March 2:00 is 3:00.
            ("2027-03-28T00:59:59Z", at(6, 1, 59)),
            ("2027-03-28T01:00:00Z", at(6, 3, 0)),
            // On the last Sunday of October the hour from 2:00 comes twice.
            ("2027-10-31T00:59:59Z", at(6, 2, 59)),
            ("2027-10-31T01:00:00Z", at(6, 2, 0)),
            ("2027-10-31T02:00:00Z", at(6, 3, 0)),
            // The week turns at local midnight.
            ("2026-11-29T22:59:59Z", at(6, 23, 59)),
            ("2026-11-29T23:00:00Z", at(0, 0, 0)),
            ("1970-01-01T00:00:00Z", at(3, 1, 0)),
        ] {
            assert_eq!(berlin.minute_of_week(utc(text)), expected, "{text}");
        }
        // South of the equator summer lies over the new year.
        let sydney = Zone::of("AEST-10AEDT,M10.1.0,M4.1.0/3").unwrap();
        assert_eq!(sydney.minute_of_week(utc("2027-01-04T00:00:00Z")), at(0, 11, 0));
        assert_eq!(sydney.minute_of_week(utc("2027-07-05T00:00:00Z")), at(0, 10, 0));
        assert_eq!(berlin.minute_of_week(u64::MAX), None);
    }

    #[test]
    fn an_offset_counts_eastwards_and_a_rule_as_posix_does() {
        let noon = utc("2026-11-26T12:00:00Z");
        for (text, expected) in [
            ("+01:00", at(3, 13, 0)),
            ("-03:30", at(3, 8, 30)),
            ("+14:00", at(4, 2, 0)),
            ("UTC0", at(3, 12, 0)),
            ("<+0530>-5:30", at(3, 17, 30)),
            ("EST5", at(3, 7, 0)),
        ] {
            let zone = Zone::of(text).unwrap();
            assert_eq!(zone.minute_of_week(noon), expected, "{text}");
            // What goes over the wire is the same zone.
            assert_eq!(Zone::of(zone.rule()).unwrap().minute_of_week(noon), expected, "{text}");
        }
        assert_eq!(Zone::default().minute_of_week(noon), at(3, 12, 0));
    }

    #[test]
    fn what_is_no_zone_is_refused_with_what_would_be() {
        let long = format!("<{}>1", "A".repeat(70));
        for text in ["", "Europe/Berlin", "+1", "+15:00", "+01:60", "+0a:00", "CET-1CEST,M3", &long]
        {
            let said = Zone::of(text).unwrap_err().to_string();
            assert!(said.contains("CET-1CEST") && said.starts_with("timezone "), "{said}");
        }
    }
}
