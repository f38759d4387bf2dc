//! When a person may enter: validity, weekly hours, and the time since the last admission. Pure: the moment comes in.
//!
//! Owns the order in which they are looked at: a limit in time needs a clock that somebody set, and without one nobody whom time
//! limits enters (fail locked); then the validity, the hours, and the last admission, which no clock is needed for.
//! Refuses to look at a face: [`crate::decide()`] asks here only about somebody whom the face would admit, so that limits make
//! nobody more alike, and somebody who may not enter stays a candidate and a runner-up like anybody else.

use threshold_record::{Access, Cause, Schedule};

/// The time at which somebody asks to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970-01-01 UTC.
    pub unix_s: u64,
    /// The minute of the local week, 0 to 10,079; Monday at 00:00 is 0.
    pub minute_of_week: u16,
}

/// What is known of somebody who asks to enter.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// What holds of the person.
    pub access: &'a Access,
    /// The schedule that it names, if the unit has it.
    pub schedule: Option<&'a Schedule>,
    /// The time; `None` as long as nobody set the clock.
    pub moment: Option<Moment>,
    /// Since the person's last admission, milliseconds, at least; `None` if there was none that counts.
    pub since_admission_ms: Option<u64>,
}

/// Whether somebody may enter now, if the same person is admitted again only after so many minutes (anti-passback; 0 for at once).
///
/// # Errors
/// [`Cause::ClockNotSet`], [`Cause::NotYetValid`], [`Cause::Expired`], [`Cause::OutsideSchedule`], [`Cause::Passback`]: the first
/// that holds.
pub fn may_enter(asking: &Asking<'_>, passback_min: u16) -> Result<(), Cause> {
    let access = asking.access;
    if access.is_limited() {
        let moment = asking.moment.ok_or(Cause::ClockNotSet)?;
        if access.valid_from.is_some_and(|from| moment.unix_s < from) {
            return Err(Cause::NotYetValid);
        }
        if access.valid_until.is_some_and(|until| moment.unix_s >= until) {
            return Err(Cause::Expired);
        }
        // A schedule that the unit does not have covers nothing.
        let covers = |schedule: &Schedule| schedule.covers(moment.minute_of_week);
        if access.schedule.is_some() && !asking.schedule.is_some_and(covers) {
            return Err(Cause::OutsideSchedule);
        }
    }
    let rest_ms = u64::from(passback_min) * 60_000;
    if asking.since_admission_ms.is_some_and(|since_ms| since_ms < rest_ms) {
        return Err(Cause::Passback);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_record::{Interval, Name, ScheduleId};

    const NOON: u16 = 12 * 60;

    fn moment(unix_s: u64, minute_of_week: u16) -> Option<Moment> {
        Some(Moment { unix_s, minute_of_week })
    }

    fn office() -> Schedule {
        let hours = Interval { days: 0b1_1111, from: 7 * 60, to: 19 * 60 };
        Schedule {
            id: ScheduleId(1),
            name: Name::new("office").unwrap(),
            intervals: [hours].into_iter().collect(),
        }
    }

    #[test]
    fn the_first_limit_that_holds_refuses() {
        let office = office();
        let limited = Access {
            valid_from: Some(100),
            valid_until: Some(200),
            schedule: Some(ScheduleId(1)),
            ..Access::default()
        };
        let of = |access, schedule, moment, since_admission_ms| {
            may_enter(&Asking { access, schedule, moment, since_admission_ms }, 5)
        };
        let office = Some(&office);
        for (moment, since, expected) in [
            (None, None, Err(Cause::ClockNotSet)),
            (moment(99, NOON), None, Err(Cause::NotYetValid)),
            (moment(100, NOON), None, Ok(())),
            (moment(199, NOON), Some(300_000), Ok(())),
            (moment(200, NOON), None, Err(Cause::Expired)),
            (moment(u64::MAX, NOON), None, Err(Cause::Expired)),
            (moment(150, 6 * 60), Some(0), Err(Cause::OutsideSchedule)),
            (moment(150, NOON), Some(299_999), Err(Cause::Passback)),
        ] {
            assert_eq!(of(&limited, office, moment, since), expected, "{moment:?} {since:?}");
        }
        // A schedule that is not there covers nothing.
        assert_eq!(of(&limited, None, moment(150, NOON), None), Err(Cause::OutsideSchedule));
        // Whom nothing limits needs no clock, and waits all the same.
        let free = Access::default();
        assert_eq!(of(&free, None, None, None), Ok(()));
        assert_eq!(of(&free, None, None, Some(1)), Err(Cause::Passback));
        let asking =
            Asking { access: &free, schedule: None, moment: None, since_admission_ms: Some(0) };
        assert_eq!(may_enter(&asking, 0), Ok(()));
    }
}
