//! Waiting for a unit that is not there yet: `--wait`.
//!
//! Owns which errors may pass with time. Refuses to wait for what does not: a port that this user may not open, a unit
//! of another version.

use super::SessionError;
use crate::error::HostError;
use std::time::{Duration, Instant};
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
    mut open: impl FnMut() -> Result<S, SessionError>,
) -> Result<S, SessionError> {
    let start = clock.now();
    loop {
        let error = match open() {
            Ok(session) => return Ok(session),
            Err(error) => error,
        };
        let left = wait.unwrap_or_default().saturating_sub(clock.now() - start);
        if left.is_zero() || !may_pass(&error) {
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

/// Works on what `open` opens, and opens it again each time the line is cut in between, if `again` says that somebody waits. Gives
/// what it opened last too.
///
/// # Errors
/// The last try's.
pub fn through_cuts<S, R, E: OfSession>(
    again: bool,
    mut open: impl FnMut() -> Result<S, SessionError>,
    mut work: impl FnMut(&mut S) -> Result<R, E>,
) -> Result<(S, R), E> {
    let mut opened = open()?;
    let mut left = MOST_CUTS;
    loop {
        match work(&mut opened) {
            Ok(done) => return Ok((opened, done)),
            Err(error) if again && left > 0 && error.of_session().is_some_and(is_cut) => {
                left -= 1;
                // The port is held by whoever has it open.
                drop(opened);
                opened = open()?;
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

    #[test]
    fn a_line_that_was_cut_is_opened_again_for_whoever_waits_and_for_nothing_else() {
        let check = |again: bool, error: fn() -> SessionError| {
            let mut opened = 0;
            let mut cuts = 3;
            let outcome = through_cuts(
                again,
                || {
                    opened += 1;
                    Ok(opened)
                },
                |number| {
                    cuts -= 1;
                    if cuts > 0 { Err(error()) } else { Ok(*number) }
                },
            );
            (outcome.ok(), opened)
        };
        let dead = || SessionError::Bulk(BulkError::Dead { silent_ms: 4000 });
        assert_eq!(check(true, dead), (Some((3, 3)), 3));
        assert_eq!(check(false, dead), (None, 1));
        assert_eq!(check(true, busy), (Some((3, 3)), 3));
        assert_eq!(check(true, denied), (None, 1));
        assert_eq!(check(true, || SessionError::Bulk(BulkError::Mismatch)), (None, 1));
        let mut dead_once = Some(anyhow::Error::from(dead()));
        let within = through_cuts(true, || Ok(()), |()| dead_once.take().map_or(Ok(()), Err));
        assert!(within.is_ok(), "a cut within another error is one");
        let never = through_cuts(true, || Ok(()), |()| Err::<(), _>(dead()));
        assert!(never.is_err(), "a line that is cut for ever is none");
    }
}
