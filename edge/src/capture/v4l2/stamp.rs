//! A driver's time stamp on the unit's clock.
//!
//! Pure: the instants come in. A stamp that cannot be one of the same clock counts as none.

use std::time::Duration;

/// The oldest stamp that is believed: a buffer waits for a fraction of that, and a stamp of another clock is off by hours.
const OLDEST: Duration = Duration::from_secs(5);

/// When a frame was captured, on the unit's clock: `now_ms` less the frame's age, and never before the frame before it.
///
/// `stamped` and `now` are of the kernel's monotonic clock; without a stamp the frame is captured now.
pub(super) fn captured_at_ms(
    now_ms: u64,
    now: Duration,
    stamped: Option<Duration>,
    last_ms: u64,
) -> u64 {
    let age = stamped
        .and_then(|stamped| now.checked_sub(stamped))
        .filter(|age| *age <= OLDEST)
        .unwrap_or_default();
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    now_ms.saturating_sub(age_ms).max(last_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_lies_as_far_back_as_the_frame_is_old_and_never_goes_back() {
        let now = Duration::from_millis(1_000_000);
        for (now_ms, stamped, last_ms, expected) in [
            (500, Some(1_000_000), 0, 500),
            (500, Some(999_960), 0, 460),
            (500, Some(999_960), 480, 480),
            // Of another clock: the future, or long ago.
            (500, Some(1_000_001), 0, 500),
            (500, Some(0), 0, 500),
            (50_000, Some(995_000), 0, 45_000),
            (50_000, Some(994_999), 0, 50_000),
            (500, None, 0, 500),
            // Captured before this program began.
            (10, Some(999_960), 0, 0),
        ] {
            let stamped = stamped.map(Duration::from_millis);
            let found = captured_at_ms(now_ms, now, stamped, last_ms);
            assert_eq!(found, expected, "{now_ms} {stamped:?} {last_ms}");
        }
    }
}
