//! `cargo xtask soak facenet`: FaceNet's last layer by triplets to 128 values, and its section of the page under `docs/`.
//!
//! Owns the runs: three seeds, each kind of negatives, each judged by the folds' pairs and by drawn ones of the check half, over
//! one file of features. Refuses to choose by the check half: every run's figure stands on the page, and the gate is on all.

use super::{children_cpu_minutes, emptied, program, references, spliced};
use crate::program::run_aloud;
use crate::repository::root;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The section's title.
const TITLE: &str = "The last layer";
/// Kinds of negatives; the first is what a run takes if nothing is said.
const NEGATIVES: [&str; 3] = ["semi-hard", "hardest", "random"];
const SEEDS: [u64; 3] = [1, 2, 3];
/// The part of the folds' pairs of unseen people that every seed must judge rightly, at a quarter of a template's size.
const KEPT: f64 = 0.99;

/// The runs, but for seed, negatives and paths.
const CONFIGURATION: &str = "stage = \"facenet\"
epochs = 5
steps = 50
held_back = 0.4
";

/// Trains all and writes the section.
///
/// # Errors
/// If a run failed, and then the page stays as it is; or if one missed the figure, and then the section says so.
pub(crate) fn run() -> Result<()> {
    let shared = references()?;
    let program = program()?;
    let folder = emptied("soak-facenet")?;
    let before = children_cpu_minutes()?;
    let mut runs = Vec::new();
    for negatives in NEGATIVES {
        for seed in SEEDS {
            let listed = outcome(&folder, &shared, &program, (negatives, seed, Pairs::Listed))?;
            let drawn = outcome(&folder, &shared, &program, (negatives, seed, Pairs::Drawn))?;
            runs.push((negatives, [listed, drawn]));
        }
    }
    let minutes = children_cpu_minutes()? - before;
    let mut section = dated()?;
    let missed = tell(&mut section, &runs, minutes);
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

/// By which pairs the check half is judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pairs {
    Listed,
    Drawn,
}

/// One run, and what it wrote down.
fn outcome(
    folder: &Path,
    shared: &Path,
    program: &Path,
    (negatives, seed, pairs): (&str, u64, Pairs),
) -> Result<Value> {
    let how = if pairs == Pairs::Listed { "folds" } else { "drawn" };
    let name = format!("{negatives}-{seed}-{how}");
    let list = match pairs {
        Pairs::Listed => format!("pairs = {:?}\n", shared.join("lfw-dev/pairs.txt")),
        Pairs::Drawn => String::new(),
    };
    let text = format!(
        "{CONFIGURATION}seed = {seed}\nnegatives = \"{negatives}\"\nfeatures = {features:?}\n{list}\n[[people]]\nimages = {images:?}\n",
        features = folder.join("features"),
        images = shared.join("lfw-dev/images"),
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

/// The runs with these negatives, by seed.
fn of<'a>(
    runs: &'a [(&'static str, [Value; 2])],
    kind: &'a str,
) -> impl Iterator<Item = &'a [Value; 2]> {
    runs.iter().filter(move |(negatives, _)| *negatives == kind).map(|(_, both)| both)
}

/// The page's tables.
fn tell(page: &mut String, runs: &[(&'static str, [Value; 2])], minutes: f64) -> Result<()> {
    let (_, [first, first_drawn]) = runs.first().context("no run")?;
    let counts = |outcome: &Value| [0, 1, 2].map(|i| outcome["check"]["counts"][i].as_u64());
    let [folds, drawn] = [first, first_drawn].map(counts);
    let some = |count: Option<u64>| count.unwrap_or(0);
    let number = |key: &str, i: usize| some(first[key][i].as_u64());
    let _ = write!(
        page,
        "\nThe installed FaceNet's last layer alone, trained by triplets to 128 values on the LFW development photos: {} people with {} photos \
         learnt from, {} with one photo that only say where faces lie, {} people held back, by whom the best epoch is chosen; {} left out.\n\
         The check half is judged once by each run, after its last epoch, by LFW's protocol: by the folds' pairs of its people ({} people, {} \
         pairs), and by drawn pairs ({} people, {} pairs), of which a person has up to ten.\n\
         Each cell of a trained layer has seeds 1, 2 and 3; `spread` is the folds' population standard deviation at seed 1.\n\n\
         ```toml\n{CONFIGURATION}```\n\n",
        number("learn", 0),
        number("learn", 1),
        some(first["single"].as_u64()),
        number("held", 0),
        first["skipped"].as_array().map_or(0, Vec::len),
        some(folds[0]),
        some(folds[2]),
        some(drawn[0]),
        some(drawn[2]),
    );
    page.push_str(
        "| last layer | values | folds' pairs | spread | drawn pairs | spread |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let kept = |row: &Value| row["accuracy"].as_f64().unwrap_or(f64::NAN);
    // What does not depend on the seed is the same in each run, and told once.
    let cells = |rows: Vec<&Value>| {
        let mut told: Vec<String> =
            rows.iter().map(|row| format!("{:.2}", kept(row) * 100.0)).collect();
        if told.iter().all(|cell| *cell == told[0]) {
            told.truncate(1);
        }
        let sd = rows.first().and_then(|row| row["sd"].as_f64()).unwrap_or(f64::NAN);
        format!("{} % | {:.2}", told.join(", "), sd * 100.0)
    };
    let line = |page: &mut String, name: &str, values: u32, kind: &str, key: &str| {
        let rows = |which: usize| of(runs, kind).map(|both| &both[which]["check"][key]).collect();
        let _ = writeln!(page, "| {name} | {values} | {} | {} |", cells(rows(0)), cells(rows(1)));
    };
    line(page, "installed", 512, NEGATIVES[0], "installed");
    line(page, "what a run starts from: principal directions", 128, NEGATIVES[0], "start");
    line(page, "random directions", 128, NEGATIVES[0], "random");
    for negatives in NEGATIVES {
        let name = format!("trained, {negatives} negatives");
        line(page, &name, 128, negatives, "trained");
    }
    page.push_str("\n| negatives | triplets of a batch with a loss, last epoch, seed 1 | held-back people, best epoch |\n| --- | --- | --- |\n");
    for negatives in NEGATIVES {
        let last = of(runs, negatives).next().and_then(|[one, _]| one["epochs"].as_array()?.last());
        let triplets = last.and_then(|epoch| epoch["triplets"].as_f64()).unwrap_or(f64::NAN);
        let best: Vec<String> = of(runs, negatives)
            .map(|[one, _]| format!("{:.2}", one["best"].as_f64().unwrap_or(f64::NAN) * 100.0))
            .collect();
        let _ = writeln!(page, "| {negatives} | {triplets:.0} | {} % |", best.join(", "));
    }
    let held = |key: &str| kept(&first[key]) * 100.0;
    let _ = writeln!(
        page,
        "\nOn the held-back people the installed network has {:.2} %, and what a run starts from {:.2} %; the best epochs were chosen there, \
         so that their figures are a little too good.\n\
         Processor time: {minutes:.1} minutes for the photos' features and {} runs.",
        held("installed"),
        held("start"),
        runs.len() * 2,
    );
    // Not a number is a miss too, so that each is asked, and not the least of them.
    let listed = |run: &(&str, [Value; 2])| kept(&run.1[0]["check"]["trained"]);
    let is_kept = |run: &(&str, [Value; 2])| listed(run) >= KEPT;
    if let Some(missed) = runs.iter().find(|run| !is_kept(run)) {
        bail!(
            "{:.2} % of the folds' pairs with {} negatives where {:.1} % were to stay",
            listed(missed) * 100.0,
            missed.0,
            KEPT * 100.0
        );
    }
    Ok(())
}
