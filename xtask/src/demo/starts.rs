//! How long a start takes, from the process until the unit is armed: the release build, the real packs, the processor's engine, and a
//! gallery with people.
//!
//! Owns the gate. What the main thread waited for a processor that other work had is taken off, and the quickest of a few starts counts:
//! a start that became slow is slow each time. Both times are told.

use super::door::Unit;
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a start may take on the reference machine, which has two processors (DESIGN, budgets).
const MOST: Duration = Duration::from_secs(2);

/// Starts of which the quickest counts.
const STARTS: usize = 3;

/// What a start took.
#[derive(Clone, Copy, Debug)]
struct Took {
    /// Until the unit said that it is armed.
    wall: Duration,
    /// Of that, what its main thread waited for a processor.
    waited: Duration,
}

impl Took {
    fn own(self) -> Duration {
        self.wall.saturating_sub(self.waited)
    }
}

/// Starts the unit a few times and judges the quickest.
///
/// # Errors
/// If it is not armed, or not in time.
pub(super) fn in_time(edge: &Path, arguments: &[&str], log: &Path) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        starts.push(start(edge, arguments, log)?);
    }
    let words = judged(&starts)?;
    println!("{words}");
    Ok(())
}

fn start(edge: &Path, arguments: &[&str], log: &Path) -> Result<Took> {
    let begun = Instant::now();
    let mut unit = Unit::start(edge, arguments, log)?;
    // At the start of a line: "not armed" is none.
    unit.wait_until_it_says("\narmed")?;
    let (wall, waited) = (begun.elapsed(), unit.waited().unwrap_or_default());
    Ok(Took { wall, waited })
}

/// What is to be said of the starts.
fn judged(starts: &[Took]) -> Result<String> {
    let quickest = starts.iter().min_by_key(|took| took.own()).copied();
    let Some(quickest) = quickest else { return Ok("no start was measured".to_owned()) };
    let words = format!(
        "armed {:.2} s after its process started, {:.2} s of which other work had its processor; the quickest of {} starts, and {} s \
         may be left without that",
        quickest.wall.as_secs_f64(),
        quickest.waited.as_secs_f64(),
        starts.len(),
        MOST.as_secs()
    );
    ensure!(quickest.own() <= MOST, "the unit was {words}");
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quickest_start_counts_without_what_other_work_took() {
        let took = |wall_ms, waited_ms| Took {
            wall: Duration::from_millis(wall_ms),
            waited: Duration::from_millis(waited_ms),
        };
        for (starts, in_time) in [
            (vec![took(600, 10)], true),
            (vec![took(2_000, 0)], true),
            (vec![took(2_001, 0)], false),
            (vec![took(5_000, 3_100), took(9_000, 100)], true),
            (vec![took(5_000, 2_900), took(2_500, 400)], false),
        ] {
            assert_eq!(judged(&starts).is_ok(), in_time, "{starts:?}");
        }
    }
}
