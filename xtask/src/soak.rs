//! The long sweeps, whose dated tables stand under `docs/`.

use crate::evaluation;
use crate::program::{cargo, run_aloud, said};
use crate::repository::{root, shared};
use crate::setup;
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

/// A group of sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// All five LFW folds with both embedders, the WIDER subset, all landmarks.
    Models,
}

/// Runs the sweeps of one group, or of all.
///
/// # Errors
/// If a sweep could not run or missed a figure; the table is written in either case.
pub(crate) fn run(group: Option<Group>) -> Result<()> {
    match group {
        None | Some(Group::Models) => models(),
    }
}

fn models() -> Result<()> {
    let shared = shared().context(
        "no folder of references: set THRESHOLD_SHARED, or lay it beside the repository as ../shared",
    )?;
    let stock = setup::setup()?;
    run_aloud(&mut cargo(&["build", "--quiet", "--release", "--locked", "-p", "threshold-host"]))?;
    let commit =
        said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let mut page = format!(
        "# Soak: models\n\nWritten by `cargo xtask soak models`.\n\nDate {date}, commit `{commit}`, \
         {processors} processors.\n`$PACKS` is the folder that `cargo xtask setup` fills.\n"
    );
    let mut missed = Vec::new();
    for evaluation in evaluation::ALL {
        println!("== {}", evaluation.name());
        let start = Instant::now();
        let figures = evaluation.run(&stock.packs, &shared)?;
        let seconds = start.elapsed().as_secs_f64();
        let _ = write!(
            page,
            "\n## {}\n\n```sh\n{}\n```\n\n| figure | value |\n| --- | --- |\n",
            evaluation.name(),
            figures.command
        );
        for (name, value) in &figures.values {
            println!("{name:<44} {value:.5}");
            let _ = writeln!(page, "| {name} | {value:.5} |");
        }
        let _ = writeln!(page, "| seconds | {seconds:.0} |");
        for miss in figures.missed {
            let _ = writeln!(page, "\nMissed: {miss}.");
            missed.push(format!("{}: {miss}", evaluation.name()));
        }
    }
    let path = root().join("docs/soak-models.md");
    std::fs::write(&path, page).context("writing docs/soak-models.md")?;
    println!("written: docs/soak-models.md");
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}
