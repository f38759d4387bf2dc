//! Waiting for a unit that is not there yet: `--wait`.
//!
//! Owns which errors may pass with time. Refuses to wait for what does not: a port that this user may not open, a unit
//! of another version.

use super::SessionError;
use crate::error::HostError;
use std::time::{Duration, Instant};

/// Time between two tries.
const PAUSE: Duration = Duration::from_millis(100);

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
}
