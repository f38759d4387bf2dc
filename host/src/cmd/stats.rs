//! `threshold stats`: how the unit's loop fares.
//!
//! Owns the words. Refuses to judge: the figures of another machine or another load are other figures.

use super::Answer;
use crate::meant::Meant;
use crate::say::table;
use crate::session::Session;
use serde_json::{Map, Value, json};
use std::time::Duration;
use threshold_record::Reason;
use threshold_wire::endpoints::GetStats;
use threshold_wire::message::Nothing;
use threshold_wire::stats::{HeatState, StageTime, Stats};

/// Shows the figures.
///
/// # Errors
/// A unit that does not answer, or a line without an administrator's session.
pub fn run(meant: &Meant) -> anyhow::Result<Answer> {
    let mut session = Session::open(meant)?;
    let stats = session.call::<GetStats>(&Nothing {})?;
    meant.say.result(&value(&stats), || text(&stats))?;
    Ok(Answer::Yes)
}

/// The stable word of a reason.
fn reason(code: u8) -> String {
    Reason::from_code(code).to_string()
}

fn ms(us: u32) -> f64 {
    f64::from(us) / 1e3
}

fn celsius(temperature_mc: i32) -> f64 {
    f64::from(temperature_mc) / 1e3
}

/// The stable word for what follows from a unit's temperature.
pub(super) fn heat_word(heat: HeatState) -> &'static str {
    match heat {
        HeatState::Normal => "normal",
        HeatState::Throttled => "throttled",
        HeatState::Critical => "critical",
    }
}

/// What follows from it, with what helps; `None` if nothing does.
pub(super) fn heat_words(heat: HeatState) -> Option<&'static str> {
    match heat {
        HeatState::Normal => None,
        HeatState::Throttled => Some(
            "the unit is hot, and searches two frames a second for faces at most: shade it, let air to it, or keep the place cooler",
        ),
        HeatState::Critical => Some(
            "the unit is too hot to compute, and the door stays locked: shade it, let air to it, or keep the place cooler",
        ),
    }
}

fn stage_value(stage: StageTime) -> Option<Value> {
    let StageTime { calls, p50_us, p95_us } = stage;
    (calls > 0).then(|| json!({ "calls": calls, "p50_ms": ms(p50_us), "p95_ms": ms(p95_us) }))
}

fn value(stats: &Stats) -> Value {
    let decisions = stats.decisions.iter().map(|it| (reason(it.reason), json!(it.count)));
    json!({
        "uptime_ms": stats.uptime_ms,
        "frames": stats.frames,
        "frames_dropped": stats.dropped,
        "frames_searched": stats.searched,
        "visits": stats.visits,
        "decisions": decisions.collect::<Map<_, _>>(),
        "detect": stage_value(stats.detect),
        "embed": stage_value(stats.embed),
        "frame": stage_value(stats.frame),
        "resident_bytes": stats.resident_bytes,
        "temperature_c": stats.temperature_mc.map(celsius),
        "heat": heat_word(stats.heat),
    })
}

fn text(stats: &Stats) -> String {
    let mut lines = Vec::new();
    let mut row = |head: &str, text: String| lines.push(format!("{head:<13}{text}"));
    let uptime = Duration::from_secs(stats.uptime_ms / 1000);
    row("running", humantime::format_duration(uptime).to_string());
    row(
        "frames",
        format!(
            "{}, of which {} were searched for faces and {} more came too late to be taken",
            stats.frames, stats.searched, stats.dropped
        ),
    );
    row("visits", stats.visits.to_string());
    let decisions = stats.decisions.iter().map(|it| format!("{} {}", it.count, reason(it.reason)));
    let decisions = decisions.collect::<Vec<_>>().join(", ");
    row("decisions", if decisions.is_empty() { "none".to_owned() } else { decisions });
    let untold = || "the unit's system does not tell".to_owned();
    let memory = |bytes| indicatif::HumanBytes(bytes).to_string();
    row("memory", stats.resident_bytes.map_or_else(untold, memory));
    let warmth = |mc| format!("{:.1} °C", celsius(mc));
    row("temperature", stats.temperature_mc.map_or_else(untold, warmth));
    if let Some(words) = heat_words(stats.heat) {
        row("heat", words.to_owned());
    }
    let stages = [("detect", stats.detect), ("embed", stats.embed), ("frame", stats.frame)];
    let rows = stages.into_iter().map(|(name, stage)| {
        let time = |us| if stage.calls > 0 { format!("{:.2}", ms(us)) } else { "-".to_owned() };
        vec![name.to_owned(), stage.calls.to_string(), time(stage.p50_us), time(stage.p95_us)]
    });
    lines.push(table(&["stage", "calls", "p50 ms", "p95 ms"], &rows.collect::<Vec<_>>()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_wire::stats::DecisionCount;

    fn stats() -> Stats {
        let decisions = [(0, 3), (2, 1), (250, 2)];
        Stats {
            uptime_ms: 61_000,
            frames: 900,
            dropped: 4,
            searched: 90,
            visits: 6,
            decisions: decisions
                .map(|(reason, count)| DecisionCount { reason, count })
                .into_iter()
                .collect(),
            detect: StageTime { calls: 90, p50_us: 11_520, p95_us: 20_004 },
            embed: StageTime::default(),
            frame: StageTime { calls: 512, p50_us: 130, p95_us: 30_000 },
            resident_bytes: Some(200 << 20),
            temperature_mc: None,
            heat: HeatState::Throttled,
        }
    }

    #[test]
    fn figures_are_told_with_their_units_and_what_is_not_known_is_no_zero() {
        let value = value(&stats());
        assert_eq!(value["decisions"], json!({ "matched": 3, "unknown": 1, "code_250": 2 }));
        assert_eq!(value["detect"], json!({ "calls": 90, "p50_ms": 11.52, "p95_ms": 20.004 }));
        assert_eq!(value["heat"], "throttled");
        assert_eq!((&value["embed"], &value["temperature_c"]), (&Value::Null, &Value::Null));
        let text = text(&stats());
        for expected in [
            "running      1m 1s",
            "900, of which 90 were searched for faces and 4 more came too late",
            "3 matched, 1 unknown, 2 code_250",
            "200.00 MiB",
            "temperature  the unit's system does not tell",
            "heat         the unit is hot, and searches two frames a second",
        ] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }
}
