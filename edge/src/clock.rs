//! The machine's clock, as the loop's [`Clock`].

use crate::unit::Clock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use threshold_record::WallTime;

/// Time since this value was made, and the machine's wall clock.
///
/// The wall clock is never trusted: a door has no network, and nothing sets its clock over the line yet.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // 47 bits hold the milliseconds until the year 6429.
        let unix_ms = u64::try_from(since.as_millis()).unwrap_or(0) & ((1 << 47) - 1);
        WallTime { unix_ms, trusted: false }
    }
}
