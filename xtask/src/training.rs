//! `cargo xtask soak train`: the cascade's three networks from scratch on the development sets, and their page under `docs/`.
//!
//! Owns the configuration of each run and the figures it is held to. Refuses to train: it drives `threshold-train` as a
//! user does, in the profile that tests build, whose dependencies are optimised. A stage is a run and a section of the page of
//! its own, so that one can be asked for alone; the others' sections stay as they are.

mod ablation;
mod cascade;
pub(crate) mod facenet;
mod scratch;

use crate::program::{cargo, run_aloud};
use crate::repository::{root, shared};
use crate::setup;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A network of the cascade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// P-Net, 20 processor minutes.
    #[value(name = "p-net")]
    Proposal,
    /// R-Net, 60 processor minutes.
    #[value(name = "r-net")]
    Refinement,
    /// O-Net, 60 processor minutes.
    #[value(name = "o-net")]
    Output,
}

/// A part of `cargo xtask soak train`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// One network's run.
    Stage(Stage),
    /// The three together, of runs that are there.
    Cascade,
    /// Small runs with one thing left out.
    Ablation,
}

impl ValueEnum for Part {
    fn value_variants<'a>() -> &'a [Self] {
        &[
            Self::Stage(Stage::Proposal),
            Self::Stage(Stage::Refinement),
            Self::Stage(Stage::Output),
            Self::Cascade,
            Self::Ablation,
        ]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Stage(stage) => stage.to_possible_value(),
            Self::Cascade => Some(
                PossibleValue::new("cascade").help("The three together, of runs that are there"),
            ),
            Self::Ablation => Some(
                PossibleValue::new("ablation").help("Small runs of P-Net with one thing left out"),
            ),
        }
    }
}

/// How a stage is trained and what it is held to.
struct Plan {
    /// As the page calls it.
    name: &'static str,
    /// As `run.toml` calls it, and its folder's name.
    stage: &'static str,
    /// The paper's Table 1: part of its own validation set.
    paper: f64,
    /// Processor minutes that the run may take, reading and labelling included.
    minutes: f64,
    /// Epochs and batches of each.
    epochs: u32,
    /// See `epochs`.
    steps: u32,
    /// Samples of a batch.
    batch: u32,
    /// Samples for their landmarks in a batch, of 5 others; only O-Net has the output.
    landmarks: u32,
}

impl Stage {
    fn plan(self) -> Plan {
        match self {
            Self::Proposal => Plan {
                name: "P-Net",
                stage: "pnet",
                paper: 0.937,
                minutes: 20.0,
                epochs: 45,
                steps: 250,
                batch: 384,
                landmarks: 0,
            },
            Self::Refinement => Plan {
                name: "R-Net",
                stage: "rnet",
                paper: 0.945,
                minutes: 60.0,
                epochs: 20,
                steps: 150,
                batch: 256,
                landmarks: 0,
            },
            Self::Output => Plan {
                name: "O-Net",
                stage: "onet",
                paper: 0.935,
                minutes: 60.0,
                epochs: 20,
                steps: 50,
                batch: 256,
                landmarks: 1,
            },
        }
    }
}

impl Plan {
    /// The run, but for its sets.
    fn configuration(&self) -> String {
        let Self { stage, epochs, steps, batch, landmarks, .. } = self;
        format!(
            "stage = \"{stage}\"
seed = 1
epochs = {epochs}
steps = {steps}
batch = {batch}
learning_rate = 0.003
hard_share = 0.7
mined = 0.5
min_face_px = 20.0
held_back = 0.2
validation = 4000

[mix]
negative = 2
positive = 2
part = 1
landmarks = {landmarks}

[augment]
mirror = true
turn_deg = 15.0
contrast = 0.25
brightness = 16.0
"
        )
    }
}

/// Trains one stage, or all one after the other, and then judges the three together; writes their sections of the page.
///
/// # Errors
/// If a run failed or missed a figure; its section is written in either case, and the next stage is trained.
pub(crate) fn run(part: Option<Part>) -> Result<()> {
    let program = program()?;
    let mut missed = Vec::new();
    let stages = match part {
        None => Stage::value_variants().to_vec(),
        Some(Part::Stage(stage)) => vec![stage],
        Some(Part::Cascade | Part::Ablation) => Vec::new(),
    };
    for stage in stages {
        let plan = stage.plan();
        if let Err(why) = train(&plan, &program) {
            missed.push(format!("{}: {why:#}", plan.name));
        }
    }
    if matches!(part, None | Some(Part::Cascade))
        && let Err(why) = cascade::run(&program)
    {
        missed.push(format!("the cascade: {why:#}"));
    }
    if matches!(part, None | Some(Part::Ablation))
        && let Err(why) = ablation::run(&program)
    {
        missed.push(format!("the small runs: {why:#}"));
    }
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}

/// Builds the program and gives its place.
fn program() -> Result<PathBuf> {
    setup::setup()?;
    let package = ["--quiet", "--locked", "--package", "threshold-train"];
    run_aloud(cargo(&["build"]).args(package))?;
    Ok(root().join("target/debug/threshold-train"))
}

/// The folder of references.
fn references() -> Result<PathBuf> {
    shared().context(
        "no folder of references: set THRESHOLD_SHARED, or lay it beside the repository as ../shared",
    )
}

/// An empty folder under `target`.
fn emptied(name: &str) -> Result<PathBuf> {
    let folder = root().join("target").join(name);
    let at = || format!("target/{name}");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(at)?;
    }
    std::fs::create_dir_all(&folder).with_context(at)?;
    Ok(folder)
}

/// The file of a run's configuration with the development sets.
fn configured(folder: &Path, configuration: &str) -> Result<PathBuf> {
    let shared = references()?;
    let sets = format!(
        "\n[[wider]]\nlist = {list:?}\nimages = {images:?}\n\n[[people]]\nimages = {people:?}\nlimit = 300\n",
        list = shared.join("wider-dev/gt.txt"),
        images = shared.join("wider-dev/images"),
        people = shared.join("lfw-dev/images"),
    );
    let config = folder.join("run.toml");
    std::fs::write(&config, format!("{configuration}{sets}"))
        .with_context(|| config.display().to_string())?;
    Ok(config)
}

fn train(plan: &Plan, program: &Path) -> Result<()> {
    let folder = emptied(&format!("soak-train/{}", plan.stage))?;
    let config = configured(&folder, &plan.configuration())?;
    let before = children_cpu_minutes()?;
    let mut train = std::process::Command::new(program);
    train.arg("mtcnn").arg("--config").arg(&config).arg("--run").arg(folder.join("run"));
    let done = run_aloud(&mut train);
    let minutes = children_cpu_minutes()? - before;
    let mut section = dated()?;
    let outcome = folder.join("run/run.json");
    let missed = done.and_then(|()| tell(&mut section, plan, &outcome, minutes));
    if let Err(why) = &missed {
        let _ = writeln!(section, "\nMissed: {why:#}.");
    }
    let path = root().join("docs/soak-train.md");
    let page = std::fs::read_to_string(&path).unwrap_or_else(|_| undated_head("train"));
    std::fs::write(&path, spliced(&page, plan.name, &section))
        .context("writing docs/soak-train.md")?;
    println!("written: docs/soak-train.md, {}", plan.name);
    missed
}

/// A page with this section in place of the one of its title, or behind the others.
fn spliced(page: &str, title: &str, section: &str) -> String {
    let mut parts = page.split("\n## ");
    let mut made = parts.next().unwrap_or_default().trim_end().to_owned();
    let mut sections: Vec<String> = parts.map(|part| part.trim_end().to_owned()).collect();
    let section = format!("{title}\n\n{}", section.trim_end());
    let heading = format!("{title}\n");
    match sections.iter_mut().find(|part| part.starts_with(&heading)) {
        Some(there) => *there = section,
        None => sections.push(section),
    }
    for section in sections {
        let _ = write!(made, "\n\n## {section}");
    }
    made.push('\n');
    made
}

/// A stage's table, from what the run wrote down.
fn tell(section: &mut String, plan: &Plan, outcome: &Path, minutes: f64) -> Result<()> {
    let Plan { name, paper, minutes: allowed, .. } = plan;
    let text = std::fs::read_to_string(outcome).context("the run wrote no run.json")?;
    let outcome: Value = serde_json::from_str(&text).context("run.json")?;
    let count = |key: &str, i: usize| outcome[key][i].as_u64().unwrap_or(0);
    let before = match plan.stage {
        "pnet" => {
            "These are what the installed P-Net made of its own mistakes, moved by its regression and squared as R-Net gets them: \
             windows that it did not itself judge, near those that it did."
        }
        _ => {
            "These are what the installed stage before it handed on, so that the installed column meets its own cascade's mistakes \
             there."
        }
    };
    let _ = write!(
        section,
        "\n{name} from scratch, {} pictures to learn from, {} held back (whole people, whole pictures); labels of LFW, landmarks \
         and mined windows are the installed cascade's.\nThe balanced set has {} windows: half faces (IoU above 0.65), \
         a quarter drawn windows without one (half of these anywhere, half about a face and of its size, with an IoU below 0.3), and \
         {} without one that the installed cascade passed on. {before}\n\n\
         ```toml\n{}```\n\n\
         | network | all | faces | drawn windows | mined windows |\n| --- | --- | --- | --- | --- |\n",
        count("pictures", 0),
        count("pictures", 1),
        count("validation", 0),
        count("validation", 1),
        plan.configuration(),
    );
    let epochs = outcome["epochs"].as_array().context("run.json has no epochs")?;
    let all = |row: &Value| row["accuracy"]["all"].as_f64().unwrap_or(0.0);
    let best = epochs.iter().max_by(|a, b| all(a).total_cmp(&all(b))).context("no epoch")?;
    let last = epochs.last().context("no epoch")?;
    let rows = [
        ("trained, best epoch", &best["accuracy"]),
        ("trained, last epoch", &last["accuracy"]),
        ("untrained", &outcome["untrained"]),
        ("installed (facenet-pytorch)", &outcome["installed"]),
    ];
    for (network, row) in rows {
        let share = |key: &str| row[key].as_f64().unwrap_or(f64::NAN) * 100.0;
        let _ = writeln!(
            section,
            "| {network} | {:.2} % | {:.2} % | {:.2} % | {:.2} % |",
            share("all"),
            share("faces"),
            share("random"),
            share("mined")
        );
    }
    let _ = writeln!(
        section,
        "\nThe best epoch is chosen by this very set, so that its figure is a little too good; the last one's is not chosen.\n\
         Processor time: {minutes:.1} minutes of {allowed} allowed, reading, labelling and validation included.\n\
         The paper's Table 1 has {:.1} % for {name}, on a validation set of its own.",
        paper * 100.0
    );
    let reached = all(last);
    if reached < *paper {
        bail!("{:.2} % where the paper has {:.1} %", reached * 100.0, paper * 100.0);
    }
    if minutes > *allowed {
        bail!("{minutes:.1} processor minutes, {allowed} allowed");
    }
    Ok(())
}

/// Processor minutes of all children that have ended.
fn children_cpu_minutes() -> Result<f64> {
    // Fields 16 and 17 of proc(5)'s stat, counted behind the name in brackets, in hundredths of a second.
    let text = std::fs::read_to_string("/proc/self/stat").context("/proc/self/stat")?;
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(13).take(2);
    let sum: f64 = ticks.filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(sum / 100.0 / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stages_section_takes_the_place_of_its_own_and_leaves_the_others() {
        let page = spliced("# Soak: train\n\nWritten.\n", "P-Net", "one\n\ntable\n");
        assert_eq!(page, "# Soak: train\n\nWritten.\n\n## P-Net\n\none\n\ntable\n");
        let page = spliced(&page, "R-Net", "two\n");
        let page = spliced(&page, "P-Net", "three");
        assert_eq!(page, "# Soak: train\n\nWritten.\n\n## P-Net\n\nthree\n\n## R-Net\n\ntwo\n");
    }
}
