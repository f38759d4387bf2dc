//! The scores of a decision on a line of text: how far the best lay from the threshold, and from the runner-up.
//!
//! Refuses to draw what was not compared: a score that is no number has no place.

use threshold_record::LogEntry;

/// Columns between the ends.
const COLUMNS: usize = 41;

/// The least span that fills the line: nearer scores are no further apart on it than they are.
const SPAN_LEAST: f32 = 0.05;

/// `0.31 |--r-----------T------b---| 0.72`, b best, r runner-up, T threshold: never on the wrong side of it. `None` without scores.
pub(super) fn scores(entry: &LogEntry) -> Option<String> {
    let (best, threshold) = (entry.best_score.0, entry.threshold.0);
    let runner_up = (!entry.runner_up.is_nobody()).then_some(entry.runner_up_score.0);
    let marks = [Some(threshold), Some(best), runner_up];
    let all = || marks.into_iter().flatten();
    if entry.person.is_nobody() || !all().all(f32::is_finite) {
        return None;
    }
    let (least, most) = (all().fold(f32::MAX, f32::min), all().fold(f32::MIN, f32::max));
    let margin = 0.1 * (most - least).max(SPAN_LEAST);
    let (low, high) = (least - margin, most + margin);
    // The ends are kept free for a mark that gives way.
    let place = |score: f32| {
        let part = (score - low) / (high - low);
        1 + (part * (COLUMNS - 3) as f32).round() as usize
    };
    let mut line = ['-'; COLUMNS];
    let bar = place(threshold);
    line[bar] = 'T';
    let mut put = |mark: char, score: f32| {
        let at = match place(score) {
            at if at != bar => at,
            at if score >= threshold => at + 1,
            at => at - 1,
        };
        line[at] = match line[at] {
            '-' => mark,
            // Best and runner-up at one place.
            _ => '*',
        };
    };
    put('b', best);
    if let Some(score) = runner_up {
        put('r', score);
    }
    let line: String = line.into_iter().collect();
    Some(format!("{low:.2} |{line}| {high:.2}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_record::{EntryKind, PersonId, Score};

    fn entry(best: f32, runner_up: Option<f32>, threshold: f32) -> LogEntry {
        LogEntry {
            person: PersonId(1),
            best_score: Score(best),
            runner_up: PersonId(if runner_up.is_some() { 2 } else { 0 }),
            runner_up_score: Score(runner_up.unwrap_or(f32::NAN)),
            threshold: Score(threshold),
            ..LogEntry::of(EntryKind::Decision)
        }
    }

    #[test]
    fn each_score_stands_on_its_side_of_the_threshold() {
        let line = scores(&entry(0.7, Some(0.3), 0.5)).unwrap();
        assert_eq!(line, "0.26 |----r---------------T---------------b----| 0.74");
        for (best, runner_up) in
            [(0.5, None), (0.4999, None), (0.5001, Some(0.5)), (0.1, Some(-0.4)), (0.9, Some(0.9))]
        {
            let line = scores(&entry(best, runner_up, 0.5)).unwrap();
            let at = |mark: char| line.find(mark);
            let bar = at('T').unwrap();
            let place = at('b').or(at('*')).unwrap();
            assert_eq!(place > bar, best >= 0.5, "{best}: {line}");
            assert_eq!(at('*').is_some(), best == 0.9 || best == 0.5001, "{line}");
            assert_eq!(
                line.len(),
                "0.26 || 0.74".len() + COLUMNS + usize::from(line.starts_with("-"))
            );
        }
    }

    #[test]
    fn what_was_not_compared_has_no_line() {
        assert_eq!(scores(&entry(f32::NAN, None, 0.5)), None);
        let nobody = LogEntry { person: PersonId::NOBODY, ..entry(0.7, None, 0.5) };
        assert_eq!(scores(&nobody), None);
    }
}
