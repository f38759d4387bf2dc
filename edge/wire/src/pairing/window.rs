//! The pairing window: open for a while after the button inside the housing, and for a few attempts.
//!
//! Owns the time and the count. Refuses to look at a clock or a button: both are handed in, so that every case is a test.

use crate::handshake::HandshakeRefusal;

/// How long a window stays open: to walk from the button to the laptop and type the code.
pub const WINDOW_MS: u64 = 120_000;

/// Wrong codes before a window closes: five in 2^128 are no guess, and a typing error is no walk.
pub const WINDOW_ATTEMPTS: u8 = 5;

/// Whether a unit pairs now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairingWindow(Option<Open>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    since_ms: u64,
    left: u8,
}

impl PairingWindow {
    /// A closed window, as at every start.
    #[must_use]
    pub const fn closed() -> Self {
        Self(None)
    }

    /// Somebody holds the button. `now_ms` is of a clock that never goes back.
    pub fn button(&mut self, now_ms: u64) {
        self.0 = Some(Open { since_ms: now_ms, left: WINDOW_ATTEMPTS });
    }

    /// The housing was closed, or somebody was paired: one press pairs one administrator.
    pub fn close(&mut self) {
        self.0 = None;
    }

    /// Milliseconds that the window stays open.
    ///
    /// # Errors
    /// [`HandshakeRefusal::WindowClosed`].
    pub fn check(&mut self, now_ms: u64) -> Result<u64, HandshakeRefusal> {
        let left_ms =
            self.0.and_then(|open| WINDOW_MS.checked_sub(now_ms.checked_sub(open.since_ms)?));
        match left_ms {
            Some(left_ms) if left_ms > 0 => Ok(left_ms),
            _ => {
                self.close();
                Err(HandshakeRefusal::WindowClosed)
            }
        }
    }

    /// Counts a wrong code; the last one closes the window.
    pub fn wrong_code(&mut self) -> HandshakeRefusal {
        let left = self.0.as_mut().map_or(0, |open| {
            open.left = open.left.saturating_sub(1);
            open.left
        });
        if left == 0 {
            self.close();
        }
        HandshakeRefusal::WrongCode { left }
    }
}
