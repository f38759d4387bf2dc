//! The page of verification, identification, forecast and grouping: `docs/evaluation-identify.md`.
//!
//! Owns the commands and what must hold of the forecasts. Refuses to embed twice: what a run embedded stays below `target`
//! and is used again by the next; remove it to embed anew.

use crate::evaluation::Model;
use crate::program::{cargo, output, run_aloud};
use crate::repository::{root, shared};
use crate::{setup, soak};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// What stands on the page for each model.
const RUNS: [&[&str]; 6] = [
    &["verify"],
    &["identify"],
    &["forecast"],
    &["cluster"],
    &["identify", "--half", "fit"],
    &["forecast", "--half", "fit"],
];

/// Furthest that the shipped distances may lie from those measured anew.
const SHIPPED_APART: f64 = 0.005;

/// Runs everything and writes the page.
///
/// # Errors
/// If a command failed or a forecast missed; the page is written in the latter case.
pub(crate) fn run() -> Result<()> {
    let shared = shared().context(
        "no folder of references: set THRESHOLD_SHARED, or lay it beside the repository as ../shared",
    )?;
    let stock = setup::setup()?;
    run_aloud(&mut cargo(&["build", "--quiet", "--release", "--locked", "-p", "threshold-host"]))?;
    let mut page = soak::head("evaluation")?;
    page.push_str(INTRODUCTION);
    let mut missed = Vec::new();
    for model in [Model::FaceNet, Model::Dlib] {
        let folder = root().join("target/eval");
        std::fs::create_dir_all(&folder).context("making target/eval")?;
        let file = folder.join(format!("{}.embeddings", model.option()));
        let threshold = |arguments: &[&str]| {
            let mut command = Command::new(root().join("target/release/threshold"));
            command.arg("--packs").arg(&stock.packs).args(arguments);
            command
        };
        if file.is_file() {
            println!("kept: {}", file.display());
        } else {
            println!("== embedding with {}", model.option());
            let mut command = threshold(&["--model", model.option(), "eval", "embed"]);
            command.arg("--images").arg(shared.join("lfw-dev/images")).arg("--out").arg(&file);
            output(&mut command)?;
        }
        let _ = writeln!(page, "\n## {}", model.option());
        for run in RUNS {
            println!("== {}, {}", run.join(" "), model.option());
            let arguments = [&["eval"], run, &["--embeddings"]].concat();
            let said = output(threshold(&arguments).arg(&file))?;
            let (run, option) = (run.join(" "), model.option());
            let command = format!("threshold eval {run} --embeddings {option}.embeddings");
            let _ = writeln!(page, "\n```text\n$ {command}\n{}\n```", said.trim_end());
        }
        for miss in judge(&file, &threshold)? {
            let _ = writeln!(page, "\nMissed: {miss}.");
            missed.push(format!("{}: {miss}", model.option()));
        }
    }
    let path = root().join("docs/evaluation-identify.md");
    std::fs::write(&path, page).context("writing docs/evaluation-identify.md")?;
    println!("written: docs/evaluation-identify.md");
    match missed.is_empty() {
        true => Ok(()),
        false => bail!("{}", missed.join("; ")),
    }
}

/// The forecasts that are out of bounds: the same run once more, as JSON.
fn judge(file: &Path, threshold: &dyn Fn(&[&str]) -> Command) -> Result<Vec<String>> {
    let arguments = ["--json", "eval", "forecast", "--embeddings"];
    let printed = output(threshold(&arguments).arg(file))?;
    let json: Value = serde_json::from_str(&printed).context("eval forecast printed no JSON")?;
    missed(&json)
}

/// What of a forecast's JSON is out of bounds.
fn missed(json: &Value) -> Result<Vec<String>> {
    let mut missed = Vec::new();
    let apart = json["shipped_apart"].as_f64().context("no shipped_apart")?;
    if apart > SHIPPED_APART {
        missed.push(format!("shipped distances are {apart:.4} from those measured"));
    }
    let refusal = &json["refusal"];
    let rate = |field: &Value| field.as_f64().context("no refusal");
    let (target, come_in) = (rate(&refusal["target_fpir"])?, rate(&refusal["fpir"]["at"])?);
    if come_in > target {
        missed.push(format!(
            "a unit arms with {} people, of whose strangers {come_in:.4} come in and {target} may",
            refusal["people_at_most"]
        ));
    }
    for row in json["rows"].as_array().context("no rows")? {
        let ratio = row["ratio"].as_f64().unwrap_or(f64::INFINITY);
        if row["within"] != true {
            missed.push(format!(
                "forecast over simulated {ratio:.2} at N = {}, {} templates, {} frames, forecast FPIR {:.4}",
                row["people"],
                row["templates"],
                row["rule"]["needed"],
                row["forecast"].as_f64().unwrap_or(f64::NAN)
            ));
        }
    }
    Ok(missed)
}

const INTRODUCTION: &str = "\
The people of the LFW development folds are split by name into a fit half and a check half (`models/src/eval/split.rs`).
The distances that a forecast uses were measured on the fit half; everything below is of the check half, but for blocks with `--half fit`, which say \
how much of a difference is the forecast's own: what is left of it on the check half is that other people come.
No threshold, distance or rule was chosen by the check half, with one exception: `cluster` and rows marked floor use the packs' own \
thresholds, which are the best of LFW's folds, both halves.
Every picture is compared, one of poor quality and one without a face too: the quality gate has no part in this.
The rule by which second identities are found was chosen on the fit half alone.
`verify` counts comparisons, `identify` and `forecast` count searches: one visit, one decision, by the code that decides at the door; `cluster` \
counts pairs of pictures, grouped as `threshold cluster` groups them.
N is the number of people in the gallery, T the threshold; a row's FPIR is that of strangers' visits, its FNIR that of enrolled people's.
Frames marked as augmented were made of one picture by shift, brightness and blur, and agree more than a visit's frames do; other pictures \
are of other days, and agree less.
Every interval is a bootstrap over people; where nothing or everything happened, which no resample changes, its end is Clopper and Pearson's bound of so \
many people (one in twenty, 3 / n).
The table of what a part of the decision is worth compares rows of the same people that differ in that part alone.
It says \"not told apart\" where the one figure lies in the other's interval, which asks for more than it has to, since both are of the same people.
In none of its rows is FNIR lower with the margin, or with k of n over frames made of one picture, at the same FPIR: T is set anew for each row, the few \
strangers whom the margin keeps out let T be hardly looser, and a frame made of a picture says little that the picture does not.
With three templates, and with k of n over pictures of other days, it is lower in every row of the check half.
The margin is there for people who look alike, of whom the draws have few.
LFW is what it is: its labels hold a few errors, which count like the rest, and nobody in it poses for a door.
";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::json;

    #[test]
    fn forecasts_out_of_bounds_are_missed() {
        let refusal =
            |fpir: f64| json!({"target_fpir": 0.01, "fpir": {"at": fpir}, "people_at_most": 100});
        let check = |apart: f64, needed: u8, ratio: f64, expected: usize| {
            let within = (0.5..=2.0).contains(&ratio);
            let row = json!({"rule": {"needed": needed}, "ratio": ratio, "within": within, "templates": 1, "people": 10, "forecast": 0.01});
            let json = json!({"shipped_apart": apart, "rows": [row], "refusal": refusal(0.007)});
            assert_eq!(missed(&json).unwrap().len(), expected, "{json}");
        };
        check(0.0, 1, 1.2, 0);
        check(0.01, 1, 1.2, 1);
        check(0.0, 1, 2.1, 1);
        check(0.0, 3, 4.0, 1);
        check(0.0, 3, 0.4, 1);
        check(0.0, 3, 1.9, 0);
        let too_many = json!({"shipped_apart": 0.0, "rows": [], "refusal": refusal(0.011)});
        assert_eq!(missed(&too_many).unwrap().len(), 1);
        assert!(missed(&json!({})).is_err());
    }
}
