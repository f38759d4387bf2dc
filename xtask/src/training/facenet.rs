//! `cargo xtask soak facenet`: parts of the installed FaceNet by triplets to 128 values, and their sections of the page under `docs/`.
//!
//! Owns the runs of the last layer and of the last block: three seeds, kinds of negatives, each judged by the folds' pairs and by drawn
//! ones of the check half, over one file of rows for each part. Refuses to choose by the check half: every run's figure stands on the
//! page, and the gate is on all.

use super::{children_cpu_minutes, emptied, program, references, scratch, spliced};
use crate::program::run_aloud;
use crate::repository::root;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// A part of `cargo xtask soak facenet`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Network {
    /// The installed one's last layer.
    LastLayer,
    /// Its last block, and that layer.
    LastBlock,
    /// A narrowed NN2 from scratch.
    Nn2,
}

/// A section of the page, and the runs behind it.
struct Section {
    title: &'static str,
    /// What is trained, as a sentence begins.
    what: &'static str,
    /// The runs, but for seed, what a kind adds, and paths.
    configuration: &'static str,
    /// The first is what a run takes if nothing is said.
    kinds: &'static [Kind],
}

/// How negatives come about.
struct Kind {
    /// Behind "trained, ".
    name: &'static str,
    /// Its keys.
    keys: &'static str,
}

const SEMI_HARD: Kind = Kind { name: "semi-hard negatives", keys: "negatives = \"semi-hard\"\n" };

const LAYER: Section = Section {
    title: "The last layer",
    what: "The installed FaceNet's last layer alone",
    configuration: "stage = \"facenet\"
epochs = 5
steps = 50
held_back = 0.4
",
    kinds: &[
        SEMI_HARD,
        Kind { name: "hardest negatives", keys: "negatives = \"hardest\"\n" },
        Kind { name: "random negatives", keys: "negatives = \"random\"\n" },
        Kind {
            name: "semi-hard negatives of people mined every 25 steps",
            keys: "negatives = \"semi-hard\"\nmine_every = 25\n",
        },
    ],
};

const BLOCK: Section = Section {
    title: "The last block",
    what: "The installed FaceNet's last residual block and last layer",
    configuration: "stage = \"facenet\"
network = \"last-block\"
epochs = 4
steps = 25
batch_people = 30
learning_rate = 0.00001
held_back = 0.4
",
    kinds: &[
        SEMI_HARD,
        Kind {
            name: "semi-hard negatives of people mined every 25 steps",
            keys: "negatives = \"semi-hard\"\nmine_every = 25\n",
        },
    ],
};

const SEEDS: [u64; 3] = [1, 2, 3];
/// The part of the folds' pairs of unseen people that every seed must judge rightly, at a quarter of a template's size.
const KEPT: f64 = 0.99;

/// A kind's runs, by seed.
type Runs = (&'static Kind, Vec<Value>);

/// Trains one part, or all one after the other, and writes their sections.
///
/// # Errors
/// If a run failed, and then its section stays as it is; or if one missed the figure, and then the section says so. The other parts
/// are trained all the same.
pub(crate) fn run(network: Option<Network>) -> Result<()> {
    match network {
        Some(Network::LastLayer) => LAYER.run(),
        Some(Network::LastBlock) => BLOCK.run(),
        Some(Network::Nn2) => scratch::run(),
        None => LAYER.run().and(BLOCK.run()).and(scratch::run()),
    }
}

impl Section {
    fn run(&self) -> Result<()> {
        let Self { title, kinds, .. } = self;
        let (shared, program) = (references()?, program()?);
        let folder = emptied(&format!("soak-facenet/{}", title.replace(' ', "-").to_lowercase()))?;
        let before = children_cpu_minutes()?;
        let mut runs: Vec<Runs> = Vec::new();
        for kind in *kinds {
            let outcome = |&seed: &u64| self.outcome(&folder, &shared, &program, (kind, seed));
            runs.push((kind, SEEDS.iter().map(outcome).collect::<Result<_>>()?));
        }
        let minutes = children_cpu_minutes()? - before;
        let mut section = dated()?;
        let missed = self.tell(&mut section, &runs, minutes);
        if let Err(why) = &missed {
            let _ = writeln!(section, "\nMissed: {why:#}.");
        }
        let path = root().join("docs/soak-facenet.md");
        let page = std::fs::read_to_string(&path).unwrap_or_else(|_| undated_head("facenet"));
        std::fs::write(&path, spliced(&page, title, &section))
            .context("writing docs/soak-facenet.md")?;
        println!("written: docs/soak-facenet.md, {title}");
        missed
    }

    /// One run, and what it wrote down.
    fn outcome(
        &self,
        folder: &Path,
        shared: &Path,
        program: &Path,
        (kind, seed): (&Kind, u64),
    ) -> Result<Value> {
        let name = format!("{}-{seed}", kind.name.replace(' ', "-"));
        let text = format!(
            "{}seed = {seed}\n{}features = {:?}\npairs = {:?}\n\n[[people]]\nimages = {:?}\n",
            self.configuration,
            kind.keys,
            folder.join("features"),
            shared.join("lfw-dev/pairs.txt"),
            shared.join("lfw-dev/images"),
        );
        let config = folder.join(format!("{name}.toml"));
        std::fs::write(&config, text).with_context(|| config.display().to_string())?;
        let run = folder.join(&name);
        let mut train = Command::new(program);
        run_aloud(train.arg("facenet").arg("--config").arg(&config).arg("--run").arg(&run))?;
        let file = run.join("run.json");
        let text = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }

    /// The section's tables.
    fn tell(&self, page: &mut String, runs: &[Runs], minutes: f64) -> Result<()> {
        let Self { what, configuration, .. } = self;
        let first = runs.first().and_then(|(_, outcomes)| outcomes.first()).context("no run")?;
        let some = |count: &Value| count.as_u64().unwrap_or(0);
        let _ = write!(
            page,
            "\n{what}, trained by triplets to 128 values on the LFW development photos: {} people with {} photos learnt from, {} with one \
             photo that only say where faces lie, {} people held back, by whom the best epoch is chosen; {} left out.\n\
             The check half is judged once by each run, after its last epoch, by LFW's protocol: by the folds' pairs of its people ({} people, {} \
             pairs), and by drawn pairs ({} people, {} pairs), of which a person has up to ten.\n\
             Each cell of what was trained has seeds 1, 2 and 3; `spread` is the folds' population standard deviation at seed 1.\n\n\
             ```toml\n{configuration}```\n\n",
            some(&first["learn"][0]),
            some(&first["learn"][1]),
            some(&first["single"]),
            some(&first["held"][0]),
            first["skipped"].as_array().map_or(0, Vec::len),
            some(&first["check"]["counts"][0]),
            some(&first["check"]["counts"][2]),
            some(&first["drawn"]["counts"][0]),
            some(&first["drawn"]["counts"][2]),
        );
        page.push_str(
            "| embedding | values | folds' pairs | spread | drawn pairs | spread |\n| --- | --- | --- | --- | --- | --- |\n",
        );
        let mut line = |name: &str, values: u32, outcomes: &[Value], key: &str| {
            let [listed, drawn] = ["check", "drawn"].map(|pairs| cells(outcomes, pairs, key));
            let _ = writeln!(page, "| {name} | {values} | {listed} | {drawn} |");
        };
        let (_, outcomes) = &runs[0];
        line("installed", 512, outcomes, "installed");
        line("what a run starts from: principal directions", 128, outcomes, "start");
        line("random directions", 128, outcomes, "random");
        for (kind, outcomes) in runs {
            line(&format!("trained, {}", kind.name), 128, outcomes, "trained");
        }
        page.push_str("\n| trained with | triplets of a batch with a loss, first and last epoch, seed 1 | held-back people, best epoch |\n| --- | --- | --- |\n");
        for (kind, outcomes) in runs {
            let epochs = outcomes.first().and_then(|one| one["epochs"].as_array());
            let triplets = |epoch: Option<&Value>| {
                epoch.and_then(|epoch| epoch["triplets"].as_f64()).unwrap_or(f64::NAN)
            };
            let ends =
                [epochs.and_then(|e| e.first()), epochs.and_then(|e| e.last())].map(triplets);
            let best: Vec<String> = outcomes
                .iter()
                .map(|one| format!("{:.2}", one["best"].as_f64().unwrap_or(f64::NAN) * 100.0))
                .collect();
            let _ = writeln!(
                page,
                "| {} | {:.0}, {:.0} | {} % |",
                kind.name,
                ends[0],
                ends[1],
                best.join(", ")
            );
        }
        let held = |key: &str| accuracy(&first[key]) * 100.0;
        let _ = writeln!(
            page,
            "\nOn the held-back people the installed network has {:.2} %, and what a run starts from {:.2} %; the best epochs were chosen there, \
             so that their figures are a little too good.\n\
             Processor time: {minutes:.1} minutes for the photos' rows and {} runs.",
            held("installed"),
            held("start"),
            runs.iter().map(|(_, outcomes)| outcomes.len()).sum::<usize>(),
        );
        for (kind, outcomes) in runs {
            let listed = outcomes.iter().map(|one| accuracy(&one["check"]["trained"]));
            // Not a number is a miss too, so that each is asked, and not the least of them.
            let is_missed = |listed: &f64| !(listed.is_finite() && *listed >= KEPT);
            if let Some(missed) = listed.into_iter().find(is_missed) {
                bail!(
                    "{:.2} % of the folds' pairs with {} where {:.1} % were to stay",
                    missed * 100.0,
                    kind.name,
                    KEPT * 100.0
                );
            }
        }
        Ok(())
    }
}

fn accuracy(row: &Value) -> f64 {
    row["accuracy"].as_f64().unwrap_or(f64::NAN)
}

/// The seeds' percentages and the first one's spread; what does not depend on the seed is told once.
fn cells(outcomes: &[Value], pairs: &str, key: &str) -> String {
    let rows = || outcomes.iter().map(|outcome| &outcome[pairs][key]);
    let mut told: Vec<String> = rows().map(|row| format!("{:.2}", accuracy(row) * 100.0)).collect();
    if told.iter().all(|cell| *cell == told[0]) {
        told.truncate(1);
    }
    let sd = rows().next().and_then(|row| row["sd"].as_f64()).unwrap_or(f64::NAN);
    format!("{} % | {:.2}", told.join(", "), sd * 100.0)
}
