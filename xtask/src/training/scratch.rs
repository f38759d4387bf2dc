//! `cargo xtask soak facenet --network nn2`: NN2 narrowed, trained from scratch, and its section of the page.
//!
//! Owns the run and the figure that it is held to. Refuses a teacher, whose knowledge would not be from scratch, and to choose by the
//! check half: the run judges it once, after its last epoch.

use super::{children_cpu_minutes, emptied, program, references, spliced};
use crate::program::run_aloud;
use crate::repository::root;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The part of the pairs of unseen people that it must judge rightly.
const KEPT: f64 = 0.7;
/// Processor minutes, the photos' crops included.
const MINUTES: f64 = 25.0;
/// The section's title.
const TITLE: &str = "NN2 narrowed, from scratch";

/// The run, but for paths.
const CONFIGURATION: &str = "stage = \"facenet\"
network = \"nn2\"
width = 16
side_px = 64
seed = 1
epochs = 14
steps = 50
batch_people = 20
batch_photos = 3
learning_rate = 0.002
average = 0.98
margin = 0.4
pretrain = { epochs = 12 }
augment = { mirror = true, shift_px = 4 }
";

/// Trains it and writes the section.
///
/// # Errors
/// If the run failed, and then the page stays as it is; or if it missed a figure, and then the section says so.
pub(crate) fn run() -> Result<()> {
    let (shared, program) = (references()?, program()?);
    let folder = emptied("soak-facenet-scratch")?;
    let before = children_cpu_minutes()?;
    let outcome = outcome(&folder, &shared, &program)?;
    let minutes = children_cpu_minutes()? - before;
    let mut section = dated()?;
    let missed = tell(&mut section, &outcome, minutes);
    if let Err(why) = &missed {
        let _ = writeln!(section, "\nMissed: {why:#}.");
    }
    let path = root().join("docs/soak-facenet.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|_| undated_head("facenet"));
    std::fs::write(&path, spliced(&page, TITLE, &section))
        .context("writing docs/soak-facenet.md")?;
    println!("written: docs/soak-facenet.md, {TITLE}");
    missed
}

/// The run, on one thread, and what it wrote down.
fn outcome(folder: &Path, shared: &Path, program: &Path) -> Result<Value> {
    let config = folder.join("run.toml");
    let images = shared.join("lfw-dev/images");
    let text = format!("{CONFIGURATION}\n[[people]]\nimages = {images:?}\n");
    std::fs::write(&config, text).with_context(|| config.display().to_string())?;
    let run = folder.join("run");
    let mut train = Command::new(program);
    train.env("RAYON_NUM_THREADS", "1").args(["--threads", "1", "facenet", "--config"]);
    run_aloud(train.arg(&config).arg("--run").arg(&run))?;
    let file = run.join("run.json");
    let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
    serde_json::from_str(&text).with_context(|| file.display().to_string())
}

/// The section's table.
fn tell(section: &mut String, outcome: &Value, minutes: f64) -> Result<()> {
    let number = |key: &str, i: usize| outcome[key][i].as_u64().unwrap_or(0);
    let counts = |i: usize| outcome["check"]["counts"][i].as_u64().unwrap_or(0);
    let _ = write!(
        section,
        "\nNN2's layers with a quarter of their channels over crops of 64 px, from weights drawn by seed, first by whose photo it is, \
         then by triplets, on the LFW development photos: {} people with {} photos learnt from, {} people with {} pairs held back, by \
         whom the configuration and the best epoch are chosen; {} left out.\n\
         The check half is judged once by the run, by its best epoch: {} people, {} photos, {} drawn pairs, of which a person has up to ten.\n\
         *Raw pixels* are the same crops less their mean, made unit.\n\n\
         ```toml\n{CONFIGURATION}```\n\n",
        number("learn", 0),
        number("learn", 1),
        number("held", 0),
        number("held", 2),
        outcome["skipped"].as_array().map_or(0, Vec::len),
        counts(0),
        counts(1),
        counts(2),
    );
    section.push_str(
        "| network | unseen people's pairs | spread over the folds | held-back people's |\n| --- | --- | --- | --- |\n",
    );
    let percent = |value: &Value| value.as_f64().unwrap_or(f64::NAN) * 100.0;
    let check = &outcome["check"];
    for (name, check, held) in [
        ("untrained", &check["start"], &outcome["start"]),
        ("raw pixels", &check["pixels"], &outcome["pixels"]),
        ("trained, best epoch", &check["trained"], &outcome["done"]),
    ] {
        let _ = writeln!(
            section,
            "| {name} | {:.2} % | {:.2} | {:.2} % |",
            percent(&check["accuracy"]),
            percent(&check["sd"]),
            percent(&held["accuracy"]),
        );
    }
    let epochs = outcome["epochs"].as_array().context("run.json has no epochs")?;
    let accuracy = |epoch: &Value| percent(&epoch["held"]["accuracy"]);
    let held: Vec<String> = epochs.iter().map(|epoch| format!("{:.1}", accuracy(epoch))).collect();
    // The first of equals, as the run has it.
    let best = epochs.iter().rev().max_by(|a, b| accuracy(a).total_cmp(&accuracy(b)));
    let best = best.context("run.json has no epoch")?;
    let of = match best["triplets"].as_f64() {
        Some(triplets) if triplets > 0.0 => "one of triplets",
        _ => "one of whose photo it is, before the triplets",
    };
    let _ = writeln!(
        section,
        "\nThe held-back people's pairs by epoch: {} %; the best, epoch {}, is {of}, and its figure a little too good, since it was chosen there.\n\
         Processor time: {minutes:.1} minutes of {MINUTES} allowed, one thread, crops and judgement included.",
        held.join(", "),
        best["epoch"],
    );
    let reached = check["trained"]["accuracy"].as_f64().unwrap_or(f64::NAN);
    // Not a number is a miss too.
    if !(reached >= KEPT && reached.is_finite()) {
        bail!("{:.2} % of the pairs where {:.0} % were to be", reached * 100.0, KEPT * 100.0);
    }
    if minutes > MINUTES {
        bail!("{minutes:.1} processor minutes, {MINUTES} allowed");
    }
    Ok(())
}
