//! `cargo xtask soak facenet --network nn2`: NN2 narrowed, trained from scratch, and again by a teacher, and their sections of the page.
//!
//! Owns the runs and the figure that the first is held to: a teacher's knowledge is not from scratch. Refuses to choose by the check
//! half: a run judges it once, after its last epoch.

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
/// A run.
struct Plan {
    /// Its section's title, and its folder's name.
    title: &'static str,
    folder: &'static str,
    /// How it learns, as its section says and as its configuration says.
    learns: &'static str,
    phases: &'static str,
    /// What an epoch before the triplets is.
    before: &'static str,
    /// The part of the pairs of unseen people that it must judge rightly.
    kept: Option<f64>,
}

const PLANS: [Plan; 2] = [
    Plan {
        title: "NN2 narrowed, from scratch",
        folder: "soak-facenet-scratch",
        learns: "first by whose photo it is, then by triplets",
        phases: "epochs = 14\npretrain = { epochs = 12 }\n",
        before: "one of whose photo it is, before the triplets",
        kept: Some(KEPT),
    },
    Plan {
        title: "NN2 narrowed, by a teacher",
        folder: "soak-facenet-taught",
        learns: "by the installed FaceNet's embeddings of the same photos, those of people with one photo too",
        phases: "epochs = 30\ndistil = { epochs = 30 }\n",
        before: "the teacher's",
        kept: None,
    },
];

impl Plan {
    /// The run, but for paths.
    fn configuration(&self) -> String {
        format!(
            "stage = \"facenet\"
network = \"nn2\"
width = 16
side_px = 64
seed = 1
steps = 50
batch_people = 20
batch_photos = 3
learning_rate = 0.002
average = 0.98
margin = 0.4
augment = {{ mirror = true, shift_px = 4 }}
{}",
            self.phases
        )
    }
}

/// Trains each and writes its section.
///
/// # Errors
/// If a run failed, and then the page stays as it is; or if it missed a figure, and then its section says so.
pub(crate) fn run() -> Result<()> {
    let (shared, program) = (references()?, program()?);
    PLANS.iter().map(|plan| train(plan, &shared, &program)).fold(Ok(()), Result::and)
}

fn train(plan: &Plan, shared: &Path, program: &Path) -> Result<()> {
    let folder = emptied(plan.folder)?;
    let before = children_cpu_minutes()?;
    let outcome = outcome(plan, &folder, shared, program)?;
    let minutes = children_cpu_minutes()? - before;
    let mut section = dated()?;
    let missed = tell(&mut section, plan, &outcome, minutes);
    if let Err(why) = &missed {
        let _ = writeln!(section, "\nMissed: {why:#}.");
    }
    let path = root().join("docs/soak-facenet.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|_| undated_head("facenet"));
    std::fs::write(&path, spliced(&page, plan.title, &section))
        .context("writing docs/soak-facenet.md")?;
    println!("written: docs/soak-facenet.md, {}", plan.title);
    missed
}

/// The run, on one thread, and what it wrote down.
fn outcome(plan: &Plan, folder: &Path, shared: &Path, program: &Path) -> Result<Value> {
    let config = folder.join("run.toml");
    let images = shared.join("lfw-dev/images");
    let configuration = plan.configuration();
    let text = format!("{configuration}\n[[people]]\nimages = {images:?}\n");
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
fn tell(section: &mut String, plan: &Plan, outcome: &Value, minutes: f64) -> Result<()> {
    let number = |key: &str, i: usize| outcome[key][i].as_u64().unwrap_or(0);
    let counts = |i: usize| outcome["check"]["counts"][i].as_u64().unwrap_or(0);
    let _ = write!(
        section,
        "\nNN2's layers with a quarter of their channels over crops of 64 px, from weights drawn by seed, {}, on the LFW development photos: {} people with {} photos learnt from, {} people with {} pairs held back, by \
         whom the configuration and the best epoch are chosen; {} left out.\n\
         The check half is judged once by the run, by its best epoch: {} people, {} photos, {} drawn pairs, of which a person has up to ten.\n\
         *Raw pixels* are the same crops less their mean, made unit.\n\n\
         ```toml\n{}```\n\n",
        plan.learns,
        number("learn", 0),
        number("learn", 1),
        number("held", 0),
        number("held", 2),
        outcome["skipped"].as_array().map_or(0, Vec::len),
        counts(0),
        counts(1),
        counts(2),
        plan.configuration(),
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
        _ => plan.before,
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
    if let Some(kept) = plan.kept.filter(|&kept| reached.is_nan() || reached < kept) {
        bail!("{:.2} % of the pairs where {:.0} % were to be", reached * 100.0, kept * 100.0);
    }
    if minutes > MINUTES {
        bail!("{minutes:.1} processor minutes, {MINUTES} allowed");
    }
    Ok(())
}
