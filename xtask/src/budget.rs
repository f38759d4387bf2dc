//! The minutes that continuous integration may take, by group, and the table of what it took.
//!
//! The budget is for two cores.
//! A group over its minutes is said loudly; only the total fails, because a cold cache or a loaded machine moves
//! time between groups, while the sum is what a person waits for. Beside it stand the seconds of its processes on a processor, which
//! other work on the machine hardly moves: by them one table is held against another.

use anyhow::{Result, bail};
use std::fs;
use std::time::{Duration, Instant};

/// A group of checks with its minutes. Groups whose code does not exist yet have no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// Set-up, formatting, lints, documentation, builds.
    Build,
    /// Parity, packs, the evaluation subsets.
    Models,
    /// The CUDA images and the emulator.
    Kernels,
    /// The flash formats.
    Store,
    /// The serial link and both of its ends.
    Link,
    /// The door unit driven as a user drives it.
    Unit,
    /// What a unit is updated by.
    Update,
    /// Training, with the build of its framework, which nothing else waits for.
    Training,
}

impl Group {
    const ALL: [Self; 8] = [
        Self::Build,
        Self::Models,
        Self::Kernels,
        Self::Store,
        Self::Link,
        Self::Unit,
        Self::Update,
        Self::Training,
    ];

    /// The name in the table.
    const fn name(self) -> &'static str {
        match self {
            Self::Build => "set-up, build, lint",
            Self::Models => "models and evaluation",
            Self::Kernels => "kernels and emulator",
            Self::Store => "store",
            Self::Link => "link",
            Self::Unit => "virtual unit",
            Self::Update => "update",
            Self::Training => "training",
        }
    }

    /// Its share of the 57 minutes that the finished product's checks may take.
    const fn minutes(self) -> u64 {
        match self {
            Self::Build => 20,
            Self::Models => 5,
            Self::Kernels => 8,
            Self::Store | Self::Link | Self::Update => 4,
            Self::Unit => 6,
            Self::Training => 3,
        }
    }
}

/// What was run, group by group, and how long it took.
#[derive(Default)]
pub(crate) struct Ledger {
    steps: Vec<Step>,
    skipped: usize,
}

/// A step that was run.
struct Step {
    group: Group,
    name: &'static str,
    took: Duration,
    /// What its processes computed, on all processors together.
    computed: Duration,
    failure: Option<String>,
}

impl Ledger {
    /// Runs one step; its failure is kept, so that the later steps still tell what they find.
    pub(crate) fn step(
        &mut self,
        group: Group,
        name: &'static str,
        work: impl FnOnce() -> Result<()>,
    ) -> bool {
        println!("== {name}");
        let (start, before) = (Instant::now(), children_computed());
        let failure = work().err().map(|error| format!("{error:#}"));
        if let Some(failure) = &failure {
            eprintln!("FAILED {name}: {failure}");
        }
        let passed = failure.is_none();
        let (took, computed) = (start.elapsed(), children_computed().saturating_sub(before));
        self.steps.push(Step { group, name, took, computed, failure });
        passed
    }

    /// Counts checks that did not run.
    pub(crate) fn skip(&mut self, count: usize) {
        self.skipped += count;
    }

    /// The table's line about what did not run: nobody shall think that it has passed.
    fn skips(&self) -> String {
        match self.skipped {
            0 => "no check was skipped".to_owned(),
            count => format!(
                "checks skipped, which say nothing: {count}; the lines `skipped:` above tell which and why"
            ),
        }
    }

    /// Prints the table.
    ///
    /// # Errors
    /// If a step failed, or all groups together took longer than their minutes.
    pub(crate) fn close(self) -> Result<()> {
        println!("\n{:<44} {:>8} {:>10} {:>8}", "group / step", "seconds", "computed", "budget");
        let (mut used, mut allowed) = (Duration::ZERO, Duration::ZERO);
        let seconds = |name: &str, took: Duration, computed: Duration| {
            format!("{name:<44} {:>8.1} {:>10.1}", took.as_secs_f64(), computed.as_secs_f64())
        };
        for group in Group::ALL {
            let of_group: Vec<_> = self.steps.iter().filter(|step| step.group == group).collect();
            if of_group.is_empty() {
                continue;
            }
            let took: Duration = of_group.iter().map(|step| step.took).sum();
            let computed: Duration = of_group.iter().map(|step| step.computed).sum();
            let budget = Duration::from_secs(group.minutes() * 60);
            let over = if took > budget { "  OVER ITS BUDGET" } else { "" };
            println!("{} {:>8}{over}", seconds(group.name(), took, computed), budget.as_secs());
            for step in of_group {
                let mark = if step.failure.is_some() { "  FAILED" } else { "" };
                println!(
                    "{}{mark}",
                    seconds(&format!("  {}", step.name), step.took, step.computed)
                );
            }
            used += took;
            allowed += budget;
        }
        let computed = self.steps.iter().map(|step| step.computed).sum();
        println!("{} {:>8}", seconds("all", used, computed), allowed.as_secs());
        println!("{}", self.skips());
        let failed: Vec<&str> =
            self.steps.iter().filter(|step| step.failure.is_some()).map(|step| step.name).collect();
        if !failed.is_empty() {
            bail!("failed: {}", failed.join(", "));
        }
        if used > allowed {
            bail!(
                "passed, but took {:.0} s of {} s; make the slowest step above faster or move it to soak",
                used.as_secs_f64(),
                allowed.as_secs()
            );
        }
        println!("passed");
        Ok(())
    }
}

/// What this process's ended children computed so far, and theirs; zero where the kernel does not tell.
fn children_computed() -> Duration {
    of_children(&fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Fields 16 and 17 of `/proc/self/stat` (proc(5)), in ticks of a hundredth of a second.
fn of_children(stat: &str) -> Duration {
    // The second field is a name in brackets, which may hold anything; the third comes after its last bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields).split_ascii_whitespace();
    let ticks = fields.skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum::<u64>();
    Duration::from_millis(10 * ticks)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_failed_step_fails_the_run_and_the_later_steps_still_run() {
        let mut ledger = Ledger::default();
        assert!(!ledger.step(Group::Build, "first", || bail!("broken")));
        let mut ran = false;
        assert!(ledger.step(Group::Store, "second", || {
            ran = true;
            Ok(())
        }));
        assert!(ran);
        assert_eq!(ledger.close().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn a_step_is_charged_what_its_processes_computed() {
        let mut ledger = Ledger::default();
        ledger.step(Group::Build, "works", || {
            let script = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
            assert!(std::process::Command::new("sh").args(["-c", script]).status()?.success());
            Ok(())
        });
        // Other tests' processes end meanwhile and are in it too.
        assert!(ledger.steps[0].computed > Duration::from_millis(30));
    }

    #[test]
    fn the_kernels_line_is_read_whatever_the_program_is_called() {
        let stat = "7 (a) 1 2 (b) S 4 5 6 7 8 9 10 11 12 13 14 15 1600 17 18 19";
        assert_eq!(of_children(stat), Duration::from_millis(10 * (1600 + 17)));
        assert_eq!(of_children(""), Duration::ZERO);
    }

    #[test]
    fn what_was_skipped_is_not_said_to_have_passed() {
        let mut ledger = Ledger::default();
        ledger.skip(0);
        assert_eq!(ledger.skips(), "no check was skipped");
        ledger.skip(3);
        ledger.skip(1);
        assert!(ledger.skips().starts_with("checks skipped, which say nothing: 4;"));
    }

    #[test]
    fn only_the_total_over_its_minutes_fails() {
        let mut ledger = Ledger::default();
        let step = |group, name, minutes: u64| {
            let took = Duration::from_secs(minutes * 60);
            Step { group, name, took, computed: took, failure: None }
        };
        ledger.steps.push(step(Group::Store, "slow", 5));
        ledger.steps.push(step(Group::Build, "quick", 1));
        assert!(ledger.close().is_ok());
        let mut ledger = Ledger::default();
        ledger.steps.push(step(Group::Store, "slow", 5));
        assert!(
            ledger.close().unwrap_err().to_string().starts_with("passed, but took 300 s of 240 s")
        );
    }
}
