//! `cargo xtask soak train --stage ablation`: what hard sample mining and augmentation bring a small run of P-Net, by three seeds.
//!
//! Owns the runs and their table. Refuses to choose: all have the same balanced set, and the last epoch counts.

use super::{Stage, children_cpu_minutes, configured, emptied, spliced};
use crate::program::run_aloud;
use crate::repository::root;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

const NAME: &str = "What mining and augmentation bring";
const SEEDS: [u64; 3] = [1, 2, 3];
/// What is left out, and what of the configuration says so.
const VARIANTS: [(&str, [&str; 2]); 4] = [
    ("nothing", ["", ""]),
    ("hard sample mining", ["hard_share = 0.7", "hard_share = 1.0"]),
    ("augmentation", ["mirror = true\nturn_deg = 15.0\ncontrast = 0.25\nbrightness = 16.0", ""]),
    ("windows mined by the installed cascade", ["mined = 0.5", "mined = 0.0"]),
];
const EPOCHS: u32 = 5;
const STEPS: u32 = 120;

/// Runs all and writes the section.
///
/// # Errors
/// If a run failed.
pub(super) fn run(program: &Path) -> Result<()> {
    let folder = emptied("soak-train-ablation")?;
    let before = children_cpu_minutes()?;
    let mut plan = Stage::Proposal.plan();
    (plan.epochs, plan.steps) = (EPOCHS, STEPS);
    let text = plan.configuration();
    let mut section = dated()?;
    let _ = write!(
        section,
        "\nP-Net as above but for {EPOCHS} epochs of {STEPS} batches, with one thing left out, by seeds 1, 2 and 3: the last \
         epoch on the same balanced set. *Less*: how much the mean lies below that of the runs with everything, with the standard error of \
         the difference of two means of three.\n\n\
         | left out | all | faces | drawn windows | mined windows | less |\n| --- | --- | --- | --- | --- | --- |\n",
    );
    let mut whole: Option<Spread> = None;
    for (what, [old, new]) in VARIANTS {
        let text = text.replacen(old, new, 1);
        let mut rows = Vec::new();
        for seed in SEEDS {
            let folder = folder.join(format!("{}-{seed}", what.replace(' ', "-")));
            fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
            let config =
                configured(&folder, &text.replacen("seed = 1", &format!("seed = {seed}"), 1))?;
            let mut train = Command::new(program);
            run_aloud(
                train
                    .arg("mtcnn")
                    .arg("--config")
                    .arg(&config)
                    .arg("--run")
                    .arg(folder.join("run")),
            )?;
            let told = fs::read_to_string(folder.join("run/run.json")).context("run.json")?;
            let told: Value = serde_json::from_str(&told).context("run.json")?;
            let last = told["epochs"].as_array().and_then(|epochs| epochs.last());
            rows.push(last.context("run.json has no epoch")?["accuracy"].clone());
        }
        let share = |key: &str| {
            let told: Vec<String> = rows
                .iter()
                .map(|row| format!("{:.2}", 100.0 * row[key].as_f64().unwrap_or(f64::NAN)))
                .collect();
            told.join(", ")
        };
        let all = Spread::of(rows.iter().filter_map(|row| row["all"].as_f64()))
            .context("run.json has no accuracy")?;
        let less = whole.as_ref().map_or_else(String::new, |whole| {
            let error = (all.error.powi(2) + whole.error.powi(2)).sqrt();
            format!("{:.2} ± {:.2} points", 100.0 * (whole.mean - all.mean), 100.0 * error)
        });
        let [faces, drawn, mined] = ["faces", "random", "mined"].map(share);
        let _ = writeln!(
            section,
            "| {what} | {} % | {faces} % | {drawn} % | {mined} % | {less} |",
            share("all")
        );
        whole.get_or_insert(all);
    }
    let _ = writeln!(section, "\nProcessor time: {:.1} minutes.", children_cpu_minutes()? - before);
    let path = root().join("docs/soak-train.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|_| undated_head("train"));
    fs::write(&path, spliced(&page, NAME, &section)).context("writing docs/soak-train.md")?;
    println!("written: docs/soak-train.md, {NAME}");
    Ok(())
}

/// A mean with its standard error.
#[derive(Debug, PartialEq)]
struct Spread {
    mean: f64,
    error: f64,
}

impl Spread {
    /// Of two values or more.
    fn of(values: impl Iterator<Item = f64>) -> Result<Self> {
        let values: Vec<f64> = values.collect();
        let n = values.len() as f64;
        if values.len() < 2 {
            bail!("{n} values have no spread");
        }
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Ok(Self { mean, error: (squares / (n - 1.0) / n).sqrt() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn every_variant_leaves_something_out_of_the_configuration() {
        let text = Stage::Proposal.plan().configuration();
        for (what, [old, new]) in &VARIANTS[1..] {
            assert!(text.contains(old), "{what}");
            assert_ne!(text.replacen(old, new, 1), text, "{what}");
        }
        assert!(text.contains("seed = 1"));
    }

    #[test]
    fn a_spread_is_the_mean_and_its_standard_error() {
        let spread = Spread::of([1.0, 2.0, 3.0].into_iter()).unwrap();
        assert_eq!(spread.mean, 2.0);
        assert!((spread.error - (1.0f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!(Spread::of([1.0].into_iter()).is_err());
    }
}
