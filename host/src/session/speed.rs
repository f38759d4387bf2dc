//! A quicker line for whoever moves much: the ladder from the top, each speed proven before anything depends on it.
//!
//! Owns the host's end. Refuses to leave a line at a speed that was not proven: unit and host go back to the first one, at
//! which the unit is found by the next command too (`threshold_wire::speed`).

use super::port::Transport;
use super::{PATIENCE, Session, SessionError};
use std::time::Duration;
use threshold_wire::bulk::Window;
use threshold_wire::endpoints::{SendEcho, SetSpeed};
use threshold_wire::message::Echo;
use threshold_wire::speed::{BASE, LADDER, QUIET_MS, SpeedSet};

/// Bytes from which on it is worth it: 9 s at the first speed, while going up takes a tenth of one, and 12 s where a cable
/// carries no other.
const WORTH_BYTES: u64 = 100_000;

/// Echoes that must all come back at once.
const PROOFS: usize = 3;

/// How long each may take, without being asked for again.
const PROOF: Duration = Duration::from_millis(250);

/// Until the other end's port has settled.
const SETTLE: Duration = Duration::from_millis(20);

/// How long a unit may take that has to find the way back first.
const BACK: Duration = Duration::from_millis(1_500);

impl<T: Transport> Session<T> {
    /// What is under way at once in a transfer over the line as it runs now.
    #[must_use]
    pub fn window(&self) -> Window {
        match self.line.transport.is_paced() {
            true => Window::of_baud(self.line.baud),
            false => Window::USB,
        }
    }

    /// Lets the line run as quickly as it can, if so many bytes are worth it; [`Session::rest`] undoes it. Gives the speed, bits
    /// a second; where nothing paces the bytes it is what transfers count their time by.
    ///
    /// # Errors
    /// [`SessionError`] if the unit is not heard any more, at the first speed either.
    pub fn hurry(&mut self, bytes: u64) -> Result<u32, SessionError> {
        if bytes >= WORTH_BYTES && self.line.baud == BASE {
            for baud in LADDER {
                if self.try_speed(baud)? {
                    break;
                }
            }
        }
        Ok(self.line.baud)
    }

    /// Lets the line run at its first speed again. A unit that does not hear this finds the way back by itself.
    pub fn rest(&mut self) {
        if self.line.baud != BASE {
            let _ = self.line.call_within::<SetSpeed>(&SpeedSet { baud: BASE }, PROOF, PROOF);
            self.line.set_speed(BASE);
        }
    }

    fn try_speed(&mut self, baud: u32) -> Result<bool, SessionError> {
        // A port that cannot is found before the unit is asked; one that cannot go back either is no port any more.
        let can = self.line.set_speed(baud);
        if !self.line.set_speed(BASE) {
            return Err(self.line.gone(std::io::ErrorKind::TimedOut.into()));
        }
        if !can {
            return Ok(false);
        }
        let settled = match self.call::<SetSpeed>(&SpeedSet { baud }) {
            // A unit of a role or a build that does not let it has its no.
            Err(SessionError::Refused(_) | SessionError::Call(_)) => return Ok(false),
            settled => settled?,
        };
        if settled.baud != baud {
            return Ok(false);
        }
        self.line.set_speed(baud);
        self.pause(SETTLE)?;
        if (0..PROOFS).all(|proof| self.is_proven(proof)) {
            return Ok(true);
        }
        self.line.set_speed(BASE);
        // The unit may have heard what was not heard from it.
        self.pause(Duration::from_millis(QUIET_MS))?;
        let echo = Echo::default();
        self.line.call_within::<SendEcho>(&echo, PATIENCE - BACK, BACK / 5)?;
        Ok(false)
    }

    /// True if an echo comes back whole, at once and without a broken frame.
    fn is_proven(&mut self, proof: usize) -> bool {
        let mut echo = Echo::default();
        // A trusted line is not sealed, and would carry plain bytes only.
        let bytes = (0..=255u8).map(|byte| byte.wrapping_mul(2 * proof as u8 + 1));
        for byte in bytes {
            if echo.bytes.push(byte).is_err() {
                break;
            }
        }
        let broken = self.line.decoder.bad_frames();
        let back = self.line.call_within::<SendEcho>(&echo, PROOF, PROOF);
        back.is_ok_and(|back| back == echo) && self.line.decoder.bad_frames() == broken
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::super::fake::{FakeUnit, Fault};
    use super::*;
    use threshold_wire::endpoints::GetInfo;
    use threshold_wire::message::Nothing;

    const MUCH: u64 = 1_000_000;

    fn session(carries: (u32, u32)) -> Session<FakeUnit> {
        let mut session = FakeUnit::new().session();
        session.unit().carries = carries;
        session
    }

    #[test]
    fn the_line_runs_at_the_quickest_speed_that_the_cable_carries_both_ways() {
        for (carries, expected) in [
            ((u32::MAX, u32::MAX), 3_000_000),
            ((1_000_000, u32::MAX), 921_600),
            ((u32::MAX, 1_000_000), 921_600),
            ((230_400, 460_800), 230_400),
            ((BASE, u32::MAX), BASE),
            ((u32::MAX, BASE), BASE),
        ] {
            let mut session = session(carries);
            assert_eq!(session.hurry(MUCH).unwrap(), expected, "{carries:?}");
            let unit = session.unit();
            assert_eq!((unit.host_baud, unit.speed.baud()), (expected, expected), "{carries:?}");
            session.call::<GetInfo>(&Nothing {}).unwrap();
            session.rest();
            let unit = session.unit();
            assert_eq!((unit.host_baud, unit.speed.baud()), (BASE, BASE), "{carries:?}");
            session.call::<GetInfo>(&Nothing {}).unwrap();
        }
    }

    #[test]
    fn a_port_that_paces_nothing_has_the_widest_window_at_any_speed() {
        let mut session = session((u32::MAX, u32::MAX));
        assert_eq!(session.window(), Window::of_baud(BASE));
        session.unit().paced = false;
        assert_eq!(session.window(), Window::USB);
        session.hurry(MUCH).unwrap();
        assert_eq!(session.window(), Window::USB);
    }

    #[test]
    fn little_is_moved_at_the_first_speed() {
        let mut session = session((u32::MAX, u32::MAX));
        assert_eq!(session.hurry(WORTH_BYTES - 1).unwrap(), BASE);
        assert!(!session.unit().obeyed.contains(&"line/speed"));
    }

    #[test]
    fn a_host_that_goes_away_leaves_a_unit_that_the_next_one_reaches() {
        let mut session = session((u32::MAX, u32::MAX));
        session.hurry(MUCH).unwrap();
        // The next program opens the port at the first speed, and its first call is repeated until it is heard.
        session.line.set_speed(BASE);
        session.call::<GetInfo>(&Nothing {}).unwrap();
        assert_eq!(session.unit().speed.baud(), BASE);
    }

    #[test]
    fn a_unit_that_goes_away_on_the_way_up_is_an_error_in_time() {
        for fault in [Fault::Silent, Fault::GoneAfter(1), Fault::GoneAfter(3)] {
            let mut session = session((u32::MAX, u32::MAX));
            session.unit().fault = fault;
            let start = session.unit().now;
            let outcome = session.hurry(MUCH);
            let took = session.unit().now - start;
            assert!(outcome.is_err() && took < Duration::from_secs(5), "{fault:?}: {took:?}");
        }
    }
}
