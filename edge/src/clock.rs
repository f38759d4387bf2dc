//! The unit's clocks: time since the start from the system's clock that counts a suspended machine's time too, and the wall clock that an owner sets.
//!
//! Owns what a wall time is worth: trusted from the moment an owner set it until the process ends, never before the latest
//! trusted time that the log has seen, and untrusted after each start. Refuses to set the machine's own clock, and to go back.

use crate::unit::Clock;
use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use threshold_record::WallTime;

/// The time since this value was made, and the machine's wall clock.
///
/// The machine's wall clock is not trusted: a door has no network, and a board may have no clock that runs while it is off.
/// Time passes while the machine sleeps, too (`CLOCK_BOOTTIME`, clock_gettime(2)): a set clock that stood still would let in whose time
/// is over.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Duration,
}

fn since_boot() -> Duration {
    let now = clock_gettime(ClockId::Boottime);
    let [seconds, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

impl SystemClock {
    /// A clock that starts at zero now.
    #[must_use]
    pub fn start() -> Self {
        Self { start: since_boot() }
    }
}

impl Clock for SystemClock {
    fn monotonic_ms(&self) -> u64 {
        u64::try_from(since_boot().saturating_sub(self.start).as_millis()).unwrap_or(u64::MAX)
    }

    fn wall(&self) -> WallTime {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // 47 bits hold the milliseconds until the year 6429.
        let unix_ms = u64::try_from(since.as_millis()).unwrap_or(0) & ((1 << 47) - 1);
        WallTime { unix_ms, trusted: false }
    }
}

/// The earliest and the latest time that a clock is set to, 2025 and 2100: before this program, and beyond the life of a unit.
/// A clock never goes back, so a host with a wrong date must not take it anywhere.
const SET_MS: std::ops::Range<u64> = 1_735_689_600_000..4_102_444_800_000;

/// How far back a clock may be set: it then stands still until the time has come to it again. A crystal that is 50 millionths
/// too fast gains half an hour in a year.
const HELD_MS: u64 = 3_600_000;

/// The time is one that the clock is not set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSettable;

/// The wall clock: the machine's until an owner sets it, then that time and what has passed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// The latest trusted time that was read, milliseconds since 1970; 0 if there was none.
    latest_ms: u64,
    /// What it was set to, and the monotonic time at that moment, milliseconds.
    set: Option<(u64, u64)>,
}

impl WallClock {
    /// A clock that was not set since this start, and whose times do not lie before the latest trusted one.
    #[must_use]
    pub fn not_set(latest_ms: u64) -> Self {
        Self { latest_ms, set: None }
    }

    /// The latest trusted time before this start, or before the clock was last set.
    #[must_use]
    pub fn latest_ms(&self) -> u64 {
        self.latest_ms
    }

    /// The time now.
    #[must_use]
    pub fn now(&self, clock: &dyn Clock) -> WallTime {
        let now = match self.set {
            Some((unix_ms, at_ms)) => {
                let passed_ms = clock.monotonic_ms().saturating_sub(at_ms);
                WallTime { unix_ms: unix_ms.saturating_add(passed_ms), trusted: true }
            }
            None => clock.wall(),
        };
        WallTime { unix_ms: now.unix_ms.max(self.latest_ms), ..now }
    }

    /// The clock set to a time, milliseconds since 1970.
    ///
    /// # Errors
    /// [`NotSettable`] for a time further back than an hour before the latest trusted one, or outside 2025 to 2099.
    pub fn set(&self, unix_ms: u64, clock: &dyn Clock) -> Result<Self, NotSettable> {
        let now = self.now(clock);
        let latest_ms = if now.trusted { now.unix_ms } else { self.latest_ms };
        if !SET_MS.contains(&unix_ms) || unix_ms < latest_ms.saturating_sub(HELD_MS) {
            return Err(NotSettable);
        }
        Ok(Self { latest_ms, set: Some((unix_ms, clock.monotonic_ms())) })
    }
}
