//! Waiting for a unit that is not there yet: `--wait`.
//!
//! Owns which errors may pass with time, and that a command goes on after a cut with the unit that it began with. Refuses to wait
//! for what time does not mend: a port that this user may not open, a unit of another version.

use super::SessionError;
use crate::error::HostError;
use std::time::{Duration, Instant};
use threshold_record::KeyId;
use threshold_wire::bulk::BulkError;

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Cuts of a line that one command goes through: more is no line.
const MOST_CUTS: u32 = 1000;

/// Time as it passes; a test's passes at once.
pub trait Clock {
    /// Time on a clock that never goes back.
    fn now(&self) -> Duration;
    /// Lets time pass.
    fn sleep(&mut self, time: Duration);
}

/// This machine's time.
pub struct Machine(Instant);

impl Machine {
    /// Time from now on.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "a default that reads the clock surprises")]
    pub fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Machine {
    fn now(&self) -> Duration {
        self.0.elapsed()
    }

    fn sleep(&mut self, time: Duration) {
        std::thread::sleep(time);
    }
}

/// Opens until it works, the wait is over, or an error comes that waiting does not mend.
///
/// # Errors
/// The last try's.
pub fn until_there<S>(
    wait: Option<Duration>,
    clock: &mut dyn Clock,
    open: impl FnMut() -> Result<S, SessionError>,
) -> Result<S, SessionError> {
    until_open(wait, clock, may_pass, open)
}

/// Opens until it works, the wait is over, or an error comes that does not pass.
fn until_open<S>(
    wait: Option<Duration>,
    clock: &mut dyn Clock,
    passes: fn(&SessionError) -> bool,
    mut open: impl FnMut() -> Result<S, SessionError>,
) -> Result<S, SessionError> {
    let start = clock.now();
    loop {
        let error = match open() {
            Ok(session) => return Ok(session),
            Err(error) => error,
        };
        let left = wait.unwrap_or_default().saturating_sub(clock.now() - start);
        if left.is_zero() || !passes(&error) {
            return Err(error);
        }
        clock.sleep(PAUSE.min(left));
    }
}

/// An error of a session, or one that may have one within.
pub trait OfSession: From<SessionError> {
    /// The session's error.
    fn of_session(&self) -> Option<&SessionError>;
}

impl OfSession for SessionError {
    fn of_session(&self) -> Option<&SessionError> {
        Some(self)
    }
}

impl OfSession for anyhow::Error {
    fn of_session(&self) -> Option<&SessionError> {
        self.downcast_ref()
    }
}

/// Who is at the other end of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The line's port.
    pub port: String,
    /// What the unit calls itself.
    pub unit: String,
    /// Its key; `None` in the open, where nothing but the name tells one unit from another.
    pub key: Option<[u8; 32]>,
}

impl End {
    /// Refuses to go on with another one.
    fn check(&self, first: &Self) -> Result<(), HostError> {
        match (&self.unit, &self.key) == (&first.unit, &first.key) {
            true => Ok(()),
            false => Err(HostError::OtherEnd {
                port: self.port.clone(),
                first: first.words(),
                now: self.words(),
            }),
        }
    }

    fn words(&self) -> String {
        match &self.key {
            Some(key) => format!("{} (key {})", self.unit, KeyId::of(key)),
            None => format!("{} (in the open)", self.unit),
        }
    }
}

/// What is opened over a line to somebody.
pub trait ToSomebody {
    /// Who is there.
    fn end(&self) -> End;
}

/// Works on what `open` opens, and opens it again each time the line is cut in between, also while it is opened, if somebody waits.
/// Gives what it opened last too. Once the wait is over since a cut, no other try begins.
///
/// # Errors
/// The last try's; [`HostError::OtherEnd`] if another unit is there after a cut, or the same one otherwise sealed.
pub fn through_cuts<S: ToSomebody, R, E: OfSession>(
    wait: Option<Duration>,
    clock: &mut dyn Clock,
    mut open: impl FnMut() -> Result<S, SessionError>,
    mut work: impl FnMut(&mut S) -> Result<R, E>,
) -> Result<(S, R), E> {
    let mut opened = until_open(wait, clock, is_cut, &mut open)?;
    let first = opened.end();
    let mut left = MOST_CUTS;
    loop {
        match work(&mut opened) {
            Ok(done) => return Ok((opened, done)),
            Err(error) if wait.is_some() && left > 0 && error.of_session().is_some_and(is_cut) => {
                left -= 1;
                // The port is held by whoever has it open.
                drop(opened);
                opened = until_open(wait, clock, is_cut, &mut open)?;
                opened.end().check(&first).map_err(SessionError::from)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// The line went away, or the unit began anew, in the middle of something.
fn is_cut(error: &SessionError) -> bool {
    may_pass(error)
        || matches!(
            error,
            SessionError::Seal(_)
                | SessionError::Bulk(
                    BulkError::Dead { .. } | BulkError::TooNoisy { .. } | BulkError::Forgotten
                )
        )
}

fn may_pass(error: &SessionError) -> bool {
    use HostError as E;
    matches!(
        error,
        SessionError::Line(
            E::PortMissing { .. }
                | E::ServerAway { .. }
                | E::PortBusy { .. }
                | E::Silent { .. }
                | E::Noisy { .. }
                | E::Gone { .. }
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Virtual(Duration);

    impl Clock for Virtual {
        fn now(&self) -> Duration {
            self.0
        }

        fn sleep(&mut self, time: Duration) {
            self.0 += time;
        }
    }

    fn missing() -> SessionError {
        HostError::PortMissing { port: "p".to_owned(), ports: vec![] }.into()
    }

    fn busy() -> SessionError {
        HostError::PortBusy { port: "p".to_owned() }.into()
    }

    fn denied() -> SessionError {
        HostError::PortDenied { port: "p".to_owned() }.into()
    }

    /// Tries until `there` tries have failed; gives whether it worked, the tries and the time they took.
    fn check(wait: Option<u64>, there: usize, error: fn() -> SessionError) -> (bool, usize, u64) {
        let mut clock = Virtual(Duration::ZERO);
        let mut tries = 0;
        let result = until_there(wait.map(Duration::from_secs), &mut clock, || {
            tries += 1;
            if tries > there { Ok(()) } else { Err(error()) }
        });
        (result.is_ok(), tries, clock.0.as_millis() as u64)
    }

    #[test]
    fn without_wait_there_is_one_try() {
        assert_eq!(check(None, 1, missing), (false, 1, 0));
    }

    #[test]
    fn a_port_that_comes_or_becomes_free_is_waited_for_and_no_longer_than_told() {
        assert_eq!(check(Some(60), 25, missing), (true, 26, 2500));
        assert_eq!(check(Some(60), 3, busy), (true, 4, 300));
        assert_eq!(check(Some(1), 1000, missing), (false, 11, 1000));
    }

    #[test]
    fn what_time_does_not_mend_is_not_waited_for() {
        assert_eq!(check(Some(60), 1, denied), (false, 1, 0));
    }

    fn dead() -> SessionError {
        SessionError::Bulk(BulkError::Dead { silent_ms: 4000 })
    }

    fn mismatch() -> SessionError {
        SessionError::Bulk(BulkError::Mismatch)
    }

    /// What was opened at which try, to whom.
    struct Opened(u32, &'static str, Option<[u8; 32]>);

    impl ToSomebody for Opened {
        fn end(&self) -> End {
            let Self(_, unit, key) = *self;
            End { port: "p".to_owned(), unit: unit.to_owned(), key }
        }
    }

    const WAIT: Option<Duration> = Some(Duration::from_secs(60));

    fn now() -> Virtual {
        Virtual(Duration::ZERO)
    }

    #[test]
    fn a_line_that_was_cut_is_opened_again_for_whoever_waits_and_for_nothing_else() {
        let check = |wait, error: fn() -> SessionError| {
            let mut opened = 0;
            let mut cuts = 3;
            let outcome = through_cuts(
                wait,
                &mut now(),
                || {
                    opened += 1;
                    Ok(Opened(opened, "door", None))
                },
                |Opened(number, ..)| {
                    cuts -= 1;
                    if cuts > 0 { Err(error()) } else { Ok(*number) }
                },
            );
            (outcome.ok().map(|(last, done)| (last.0, done)), opened)
        };
        assert_eq!(check(WAIT, dead), (Some((3, 3)), 3));
        assert_eq!(check(None, dead), (None, 1));
        assert_eq!(check(WAIT, busy), (Some((3, 3)), 3));
        assert_eq!(check(WAIT, denied), (None, 1));
        assert_eq!(check(WAIT, mismatch), (None, 1));
        let door = || Ok(Opened(1, "door", None));
        let mut dead_once = Some(anyhow::Error::from(dead()));
        let within = through_cuts(WAIT, &mut now(), door, |_| dead_once.take().map_or(Ok(()), Err));
        assert!(within.is_ok(), "a cut within another error is one");
        let never = through_cuts(WAIT, &mut now(), door, |_| Err::<(), _>(dead()));
        assert!(never.is_err(), "a line that is cut for ever is none");
    }

    #[test]
    fn a_cut_while_the_line_is_opened_is_one_too_for_as_long_as_somebody_waits() {
        // The first try that fails, how many fail from there, with what; gives how it ended and the tries.
        let check = |wait, fails: std::ops::Range<u32>, error: fn() -> SessionError| {
            let (mut opened, mut cut) = (0, Some(dead()));
            let outcome = through_cuts(
                wait,
                &mut now(),
                || {
                    opened += 1;
                    match fails.contains(&opened) {
                        true => Err(error()),
                        false => Ok(Opened(opened, "door", None)),
                    }
                },
                |_| cut.take().map_or(Ok(()), Err),
            );
            (outcome.is_ok(), opened)
        };
        assert_eq!(check(WAIT, 1..3, dead), (true, 4));
        assert_eq!(check(WAIT, 2..5, dead), (true, 5));
        assert_eq!(check(WAIT, 2..5, denied), (false, 2));
        assert_eq!(check(None, 1..3, dead), (false, 1));
        // A second of tries every 100 ms.
        assert_eq!(check(Some(Duration::from_secs(1)), 2..1000, missing), (false, 12));
    }

    #[test]
    fn after_a_cut_another_unit_at_the_port_is_an_error_and_gets_no_work() {
        let check = |first: (&'static str, Option<u8>), then: (&'static str, Option<u8>)| {
            let (mut opened, mut worked) = (0, 0);
            let outcome = through_cuts(
                WAIT,
                &mut now(),
                || {
                    opened += 1;
                    let (unit, key) = if opened == 1 { first } else { then };
                    Ok(Opened(opened, unit, key.map(|byte| [byte; 32])))
                },
                |_| {
                    worked += 1;
                    if worked == 1 { Err(dead()) } else { Ok(()) }
                },
            );
            (outcome.map(drop).map_err(|error| error.to_string()), worked)
        };
        for same in [("north", None), ("north", Some(1))] {
            assert_eq!(check(same, same), (Ok(()), 2));
        }
        let (text, worked) = check(("north", None), ("south", None));
        let expected = "the line was cut, and on p is south (in the open) now; the command began with north (in the open)";
        assert_eq!((text, worked), (Err(expected.to_owned()), 1));
        for then in [("north", None), ("north", Some(2)), ("south", Some(1))] {
            let (text, worked) = check(("north", Some(1)), then);
            let text = text.err().unwrap_or_default();
            assert!(text.contains("the command began with north (key "), "{then:?}: {text}");
            assert_eq!(worked, 1);
        }
    }
}
