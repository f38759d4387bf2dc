//! `threshold clock show | set`: the unit's wall clock beside this machine's.
//!
//! Owns the words for what a unit's time is worth, which `info` takes too. Refuses to guess a time zone: times are UTC.

use super::Answer;
use crate::args::Clock;
use crate::explain::wall;
use crate::meant::Meant;
use crate::session::Session;
use serde_json::json;
use std::time::{SystemTime, UNIX_EPOCH};
use threshold_record::WallTime;
use threshold_wire::clock::{ClockInfo, ClockSet};
use threshold_wire::endpoints::{GetClock, SetClock};
use threshold_wire::message::Nothing;

/// Shows the clock, or sets it to this machine's.
///
/// # Errors
/// A unit that does not answer or says no.
pub fn run(meant: &Meant, typed: Clock) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let (before, clock, here_ms) = match typed {
        Clock::Show => (None, session.call::<GetClock>(&Nothing {})?, here_ms()),
        Clock::Set => {
            let before = session.call::<GetClock>(&Nothing {})?;
            let unix_ms = here_ms();
            (Some(before), session.call::<SetClock>(&ClockSet { unix_ms })?, unix_ms)
        }
    };
    let ClockInfo { wall: now, latest_ms } = clock;
    let ahead_ms = now.unix_ms.cast_signed() - here_ms.cast_signed();
    let value = json!({
        "wall": { "unix_ms": now.unix_ms, "trusted": now.trusted },
        "latest_unix_ms": latest_ms,
        "ahead_ms": ahead_ms,
        "before": before.map(|before| json!({
            "unix_ms": before.wall.unix_ms, "trusted": before.wall.trusted,
        })),
    });
    meant.say.result(&value, || text(before.as_ref(), &clock, ahead_ms))?;
    Ok(Answer::Yes)
}

/// This machine's time, milliseconds since 1970.
fn here_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// What the unit's time is worth, with the time.
pub(super) fn words(now: WallTime) -> String {
    if now.trusted {
        return wall(now);
    }
    format!(
        "not set since this start, so its times are not trusted; threshold clock set, after each start of a unit without a \
         clock of its own (RTC). It says {}",
        wall(now)
    )
}

fn text(before: Option<&ClockInfo>, clock: &ClockInfo, ahead_ms: i64) -> String {
    let mut lines = vec![format!("clock     {}", words(clock.wall))];
    if let Some(before) = before {
        let trusted = if before.wall.trusted { "" } else { ", not set" };
        lines.push(format!("before    {}{trusted}", wall(before.wall)));
    }
    let (seconds, way) =
        (ahead_ms.unsigned_abs() as f64 / 1e3, if ahead_ms < 0 { "behind" } else { "ahead of" });
    lines.push(format!("here      {seconds:.1} s {way} this machine's"));
    if clock.latest_ms > 0 {
        let latest = WallTime { unix_ms: clock.latest_ms, trusted: true };
        lines.push(format!("not below {}, which its log has seen", wall(latest)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_nobody_set_is_called_so_and_a_step_shows_both_ends() {
        let set = ClockInfo {
            wall: WallTime { unix_ms: 1_800_000_000_000, trusted: true },
            latest_ms: 1_790_000_000_000,
        };
        let not_set = ClockInfo { wall: WallTime { unix_ms: 0, trusted: false }, latest_ms: 0 };
        let said = text(None, &not_set, -1_500);
        for part in ["not set since this start", "threshold clock set", "1.5 s behind"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let said = text(Some(&not_set), &set, 0);
        let parts =
            ["clock     2027-01-15T08:00:00.000Z", "before    1970", ", not set", "2026-09-21"];
        for part in parts {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}
