//! `cargo xtask soak train --stage cascade`: what the three trained networks find together, beside the installed cascade.
//!
//! Owns the comparison: a pack of the three runs' best networks, judged by `threshold eval detection` as a user judges it, on WIDER's
//! pictures that no run learnt from and on all of them. Refuses to train: the runs are those that the three stages left under
//! `target/soak-train`.

use super::{Stage, references, spliced};
use crate::program::{cargo, output, run_aloud};
use crate::repository::root;
use crate::soak::{dated, undated_head};
use anyhow::{Context as _, Result};
use clap::ValueEnum as _;
use serde_json::Value;
use std::collections::HashSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use threshold_models::pack::PackDir;

const NAME: &str = "The cascade";

/// Makes the pack, judges both cascades and writes the section.
///
/// # Errors
/// If a run is missing or a program failed.
pub(super) fn run(program: &Path) -> Result<()> {
    let shared = references()?;
    run_aloud(cargo(&["build"]).args(["--quiet", "--locked", "--package", "threshold-host"]))?;
    let trained = root().join("target/soak-train");
    let mut pack = Command::new(program);
    pack.args(["pack", "--licence", "trained on development data, for a test"]);
    let mut held: Option<HashSet<String>> = None;
    for stage in Stage::value_variants() {
        let plan = stage.plan();
        let run = trained.join(plan.stage).join("run");
        let told = fs::read_to_string(run.join("run.json")).with_context(|| {
            format!("no run of {}: train it first, `cargo xtask soak train` does all", plan.name)
        })?;
        let told: Value = serde_json::from_str(&told).with_context(|| run.display().to_string())?;
        // What one run held back another may have learnt from; those of the same configuration hold back the same.
        if let Some(names) = told["held"].as_array() {
            let names: HashSet<_> =
                names.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            held = Some(match held {
                Some(before) => before.intersection(&names).cloned().collect(),
                None => names,
            });
        }
        pack.arg(run);
    }
    let packs = super::emptied("soak-train-packs")?;
    run_aloud(pack.arg("--out").arg(packs.join("mtcnn-trained.pack")))?;
    let images = shared.join("wider-dev/images");
    let list = shared.join("wider-dev/gt.txt");
    let text = fs::read_to_string(&list).context("WIDER's list")?;
    let held = held.context("the runs do not say what they held back")?;
    let unseen = packs.join("unseen.txt");
    let (kept, n) = of_pictures(&text, &held);
    fs::write(&unseen, kept).with_context(|| unseen.display().to_string())?;

    let installed = PackDir::locate(None)?;
    let mut section = dated()?;
    let _ = write!(
        section,
        "\nThe three runs' best networks as a pack (`threshold train pack`), beside the installed cascade, both by `threshold eval detection`: \
         faces of WIDER's development pictures. *Unseen*: the {n} pictures that no run learnt from. \
         The others were learnt from, so that all together flatter the trained one; the installed one was trained by others, on WIDER too.\n\n\
         | cascade | pictures | detections | faces of | average precision | recall | precision |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (pictures, list) in [("unseen", &unseen), ("all", &list)] {
        for (cascade, packs) in [("trained", packs.as_path()), ("installed", installed.as_path())] {
            let mut eval = Command::new(root().join("target/debug/threshold"));
            eval.args(["--json", "--packs"]).arg(packs).args(["eval", "detection", "--images"]);
            let told = output(eval.arg(&images).arg("--gt").arg(list))?;
            let told: Value = serde_json::from_str(&told).context("threshold eval detection")?;
            for size in told["sizes"].as_array().into_iter().flatten() {
                let part = |key: &str| 100.0 * size[key].as_f64().unwrap_or(f64::NAN);
                let _ = writeln!(
                    section,
                    "| {cascade} | {pictures} | {} | {} px and more: {} | {:.1} % | {:.1} % | {:.1} % |",
                    told["detections"],
                    size["min_px"],
                    size["faces"],
                    part("average_precision"),
                    part("recall"),
                    part("precision"),
                );
            }
        }
    }
    let path = root().join("docs/soak-train.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|_| undated_head("train"));
    fs::write(&path, spliced(&page, NAME, &section)).context("writing docs/soak-train.md")?;
    println!("written: docs/soak-train.md, {NAME}");
    Ok(())
}

/// The entries of a list in WIDER's form whose pictures are among these, and how many they are.
fn of_pictures(list: &str, names: &HashSet<String>) -> (String, usize) {
    let (mut kept, mut n, mut keeps) = (String::new(), 0, false);
    for line in list.lines() {
        if Path::new(line).extension().is_some() && !line.contains(char::is_whitespace) {
            keeps = names.contains(line);
            n += usize::from(keeps);
        }
        if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    (kept, n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_the_pictures_that_are_named_with_their_boxes() {
        let list = "a/1.jpg\n1\n2 3 4 5 0 0 0 0 0 0 \nb/2.jpg\n0\n0 0 0 0 0 0 0 0 0 0 \na/3.jpg\n1\n6 7 8 9 0 0 0 0 0 0 \n";
        let names = ["a/1.jpg", "a/3.jpg", "c/4.jpg"].map(str::to_owned).into();
        let kept = "a/1.jpg\n1\n2 3 4 5 0 0 0 0 0 0 \na/3.jpg\n1\n6 7 8 9 0 0 0 0 0 0 \n";
        assert_eq!(of_pictures(list, &names), (kept.to_owned(), 2));
    }
}
