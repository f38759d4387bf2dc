//! How the loop fares: counts since the start, and the times of the last calls of each stage.
//!
//! Owns memory of a fixed size, so that a frame's figures allocate nothing. Refuses anything of a person; the log has that.

use crate::heat::Level;
use std::time::Duration;
use threshold_record::Reason;
use threshold_wire::stats::{self as wire, DecisionCount, StageTime};

/// Calls of a stage that are kept: 20 s of a camera of 25 frames a second.
const KEPT: usize = 512;

/// Reasons that are counted; a reason's code is its place.
const REASONS: usize = wire::DECISION_KINDS;

/// What the loop did since the start.
#[derive(Debug)]
pub struct Stats {
    frames: u64,
    dropped: u64,
    searched: u64,
    visits: u64,
    decisions: [u64; REASONS],
    detect: Times,
    embed: Times,
    frame: Times,
}

/// What one frame took.
#[derive(Clone, Copy, Debug, Default)]
pub struct FrameCost {
    /// Detection; `None` if no face was looked for, or if the engine did all in one go.
    pub detect: Option<Duration>,
    /// Embedding and search, or all of one go; `None` if nobody was compared.
    pub embed: Option<Duration>,
    /// All of it: from the bytes that the camera gave to what the frame led to.
    pub whole: Duration,
}

impl Default for Stats {
    fn default() -> Self {
        let times = Times { last_us: [0; KEPT], calls: 0 };
        Self {
            frames: 0,
            dropped: 0,
            searched: 0,
            visits: 0,
            decisions: [0; REASONS],
            detect: times,
            embed: times,
            frame: times,
        }
    }
}

impl Stats {
    /// A frame is done; the camera dropped so many since the start.
    pub fn frame(&mut self, cost: FrameCost, dropped: u64) {
        self.frames += 1;
        self.dropped = dropped;
        self.searched += u64::from(cost.detect.is_some() || cost.embed.is_some());
        self.frame.add(cost.whole);
        for (times, took) in [(&mut self.detect, cost.detect), (&mut self.embed, cost.embed)] {
            if let Some(took) = took {
                times.add(took);
            }
        }
    }

    /// A visit begins.
    pub fn visit(&mut self) {
        self.visits += 1;
    }

    /// A visit ended so.
    pub fn decision(&mut self, reason: Reason) {
        if let Some(count) = self.decisions.get_mut(usize::from(reason.code())) {
            *count += 1;
        }
    }

    /// What the administrator is told.
    #[must_use]
    pub fn told(&self, uptime_ms: u64, temperature_mc: Option<i32>, heat: Level) -> wire::Stats {
        let counted = (0..).zip(&self.decisions).filter(|&(_, &count)| count > 0);
        wire::Stats {
            uptime_ms,
            frames: self.frames,
            dropped: self.dropped,
            searched: self.searched,
            visits: self.visits,
            decisions: counted.map(|(reason, &count)| DecisionCount { reason, count }).collect(),
            detect: self.detect.stage(),
            embed: self.embed.stage(),
            frame: self.frame.stage(),
            resident_bytes: resident_bytes(),
            temperature_mc,
            heat: heat.into(),
        }
    }
}

/// The times of the last calls of a stage.
#[derive(Clone, Copy, Debug)]
struct Times {
    last_us: [u32; KEPT],
    calls: u64,
}

impl Times {
    fn add(&mut self, took: Duration) {
        let place = (self.calls % KEPT as u64) as usize;
        if let Some(place) = self.last_us.get_mut(place) {
            *place = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
        }
        self.calls += 1;
    }

    fn stage(&self) -> StageTime {
        let mut sorted = self.last_us;
        let calls = self.calls.min(KEPT as u64) as usize;
        let Some(kept) = sorted.get_mut(..calls).filter(|kept| !kept.is_empty()) else {
            return StageTime::default();
        };
        kept.sort_unstable();
        // The smallest time that so many in a hundred calls stay within.
        let share = |percent: usize| {
            kept.get((calls * percent).div_ceil(100).saturating_sub(1)).copied().unwrap_or(0)
        };
        StageTime { calls: calls as u32, p50_us: share(50), p95_us: share(95) }
    }
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_last_calls_and_none_are_no_figures() {
        let mut stats = Stats::default();
        assert_eq!(stats.told(0, None, Level::Normal).detect, StageTime::default());
        let cost = |us| FrameCost {
            detect: Some(Duration::from_micros(us)),
            embed: None,
            whole: Duration::from_micros(2 * us),
        };
        for us in 1..=100 {
            stats.frame(cost(us), 3);
        }
        let told = stats.told(5, Some(61_500), Level::Throttled);
        assert_eq!(told.detect, StageTime { calls: 100, p50_us: 50, p95_us: 95 });
        assert_eq!(told.frame, StageTime { calls: 100, p50_us: 100, p95_us: 190 });
        assert_eq!((told.frames, told.searched, told.dropped, told.uptime_ms), (100, 100, 3, 5));
        assert_eq!((told.temperature_mc, told.heat), (Some(61_500), wire::HeatState::Throttled));
        assert_eq!(told.embed, StageTime::default());
        for _ in 0..KEPT {
            stats.frame(cost(7), 3);
        }
        assert_eq!(
            stats.told(5, Some(61_500), Level::Throttled).detect,
            StageTime { calls: KEPT as u32, p50_us: 7, p95_us: 7 }
        );
    }

    #[test]
    fn decisions_are_counted_by_reason() {
        let mut stats = Stats::default();
        for reason in [Reason::Matched, Reason::Unknown, Reason::Matched] {
            stats.decision(reason);
        }
        let counts = stats.told(0, None, Level::Normal).decisions;
        let counts: Vec<_> = counts.iter().map(|it| (it.reason, it.count)).collect();
        assert_eq!(counts, [(Reason::Matched.code(), 2), (Reason::Unknown.code(), 1)]);
    }
}
