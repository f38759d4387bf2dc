//! Evaluations with the administrator's tool: the commands, their figures, and what must hold.
//!
//! One table serves both `ci`, which takes a subset, and `soak`, which takes everything.

use crate::program::{output, shown};
use crate::repository::root;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How much of the data to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// What fits continuous integration: 600 pairs of LFW, 200 pictures for landmarks, all of the WIDER subset.
    Subset,
    /// Everything that is there.
    Full,
}

/// What is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evaluation {
    /// Verification on LFW with a model.
    Lfw(Model),
    /// Average precision on WIDER FACE beside the reference cascade's.
    Detection,
    /// Landmarks against the reference cascade's.
    Landmarks,
}

/// An embedding model, as the tool's `--model` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Model {
    FaceNet,
    Dlib,
}

impl Model {
    const fn option(self) -> &'static str {
        match self {
            Self::FaceNet => "facenet",
            Self::Dlib => "dlib",
        }
    }

    /// Accuracy on LFW that must be reached: what the reference pipeline reaches with the same crop, less what one
    /// pair in a fold is worth.
    const fn accuracy(self) -> f64 {
        match self {
            Self::FaceNet => 0.993,
            Self::Dlib => 0.988,
        }
    }
}

/// Every evaluation.
pub(crate) const ALL: [Evaluation; 4] = [
    Evaluation::Lfw(Model::FaceNet),
    Evaluation::Lfw(Model::Dlib),
    Evaluation::Detection,
    Evaluation::Landmarks,
];

/// Furthest that the average precision may lie below the reference's, as a share.
const PRECISION_SLACK: f64 = 0.001;

/// Largest normalised mean error of the landmarks, as a share.
const LANDMARK_ERROR: f64 = 0.001;

/// Names and numbers, in the order of the tables.
type Values = Vec<(String, f64)>;

/// What an evaluation gave.
pub(crate) struct Figures {
    /// The command, with data folders shortened.
    pub(crate) command: String,
    /// Names and values.
    pub(crate) values: Values,
    /// What missed its figure; empty if all was reached.
    pub(crate) missed: Vec<String>,
}

impl Evaluation {
    /// The name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Lfw(Model::FaceNet) => "LFW, FaceNet",
            Self::Lfw(Model::Dlib) => "LFW, dlib",
            Self::Detection => "WIDER, average precision",
            Self::Landmarks => "landmarks",
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// If the tool failed or printed something else than its documented keys.
    pub(crate) fn run(self, packs: &Path, shared: &Path, extent: Extent) -> Result<Figures> {
        let mut command = Command::new(root().join("target/release/threshold"));
        command.args(["--json", "--packs"]).arg(packs).args(self.arguments(extent, shared));
        let printed = output(&mut command)?;
        let json: Value = serde_json::from_str(&printed)
            .with_context(|| format!("{} printed no JSON", shown(&command)))?;
        let (values, missed) = self.judge(&json)?;
        let command = shown(&command)
            .replace(&packs.display().to_string(), "$PACKS")
            .replace(&shared.display().to_string(), "../shared");
        Ok(Figures { command, values, missed })
    }

    fn arguments(self, extent: Extent, shared: &Path) -> Vec<PathBuf> {
        let at = |path: &str| shared.join(path);
        let word = PathBuf::from;
        let mut arguments = match self {
            Self::Lfw(model) => vec![
                word("--model"),
                word(model.option()),
                word("eval"),
                word("lfw"),
                word("--images"),
                at("lfw-dev/images"),
                word("--pairs"),
                at("lfw-dev/pairs.txt"),
            ],
            Self::Detection => vec![
                word("eval"),
                word("detection"),
                word("--images"),
                at("wider-dev/images"),
                word("--gt"),
                at("wider-dev/gt.txt"),
                word("--detections"),
                at("golden/wider-dev.json"),
            ],
            Self::Landmarks => vec![
                word("eval"),
                word("landmarks"),
                word("--images"),
                at("lfw-dev/images"),
                word("--reference"),
                at("golden/lfw-dev.json"),
            ],
        };
        if extent == Extent::Subset {
            arguments.extend(match self {
                Self::Lfw(..) => vec![word("--limit-pairs"), word("600")],
                Self::Detection => vec![],
                Self::Landmarks => vec![word("--limit"), word("200")],
            });
        }
        arguments
    }

    /// The figures in what the tool printed, and which of them are not reached.
    fn judge(self, json: &Value) -> Result<(Values, Vec<String>)> {
        let number = |path: &str| {
            json.pointer(path)
                .and_then(Value::as_f64)
                .with_context(|| format!("no {path} in {json}"))
        };
        let mut values = Vec::new();
        let mut missed = Vec::new();
        match self {
            Self::Lfw(model) => {
                let wanted = model.accuracy();
                for key in ["accuracy", "sd", "threshold", "tar_at_far"] {
                    for (name, value) in numbers(key, &json[key]) {
                        values.push((name, value));
                    }
                }
                let accuracy = number("/accuracy")?;
                if accuracy < wanted {
                    missed.push(format!("accuracy {accuracy:.4}, wanted {wanted}"));
                }
            }
            Self::Detection => {
                let of = |who: &str| -> Result<Values> {
                    let found = numbers(who, &json[who]);
                    ensure!(!found.is_empty(), "no {who} in {json}");
                    Ok(found)
                };
                let (ours, theirs) = (of("average_precision")?, of("reference_average_precision")?);
                for ((name, own), (_, reference)) in ours.iter().zip(&theirs) {
                    if own + PRECISION_SLACK < *reference {
                        missed.push(format!("{name} {own:.4}, reference {reference:.4}"));
                    }
                }
                values.extend(ours);
                values.extend(theirs);
            }
            Self::Landmarks => {
                let error = number("/normalised_mean_error")?;
                values.push(("normalised_mean_error".to_owned(), error));
                if error > LANDMARK_ERROR {
                    missed.push(format!(
                        "normalised mean error {error:.5}, allowed {LANDMARK_ERROR}"
                    ));
                }
            }
        }
        Ok((values, missed))
    }
}

/// The numbers under a key, with their path as name.
fn numbers(name: &str, value: &Value) -> Values {
    match value {
        Value::Number(number) => {
            number.as_f64().map(|n| (name.to_owned(), n)).into_iter().collect()
        }
        Value::Object(keys) => {
            keys.iter().flat_map(|(key, value)| numbers(&format!("{name}.{key}"), value)).collect()
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(index, value)| numbers(&format!("{name}.{index}"), value))
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use serde_json::json;

    fn check(evaluation: Evaluation, json: Value, missed: usize) {
        assert_eq!(evaluation.judge(&json).unwrap().1.len(), missed, "{json}");
    }

    #[test]
    fn figures_below_what_is_wanted_are_missed() {
        let lfw = |accuracy: f64| json!({"accuracy": accuracy, "sd": 0.003, "threshold": 1.14});
        check(Evaluation::Lfw(Model::FaceNet), lfw(0.9937), 0);
        check(Evaluation::Lfw(Model::FaceNet), lfw(0.9929), 1);
        check(Evaluation::Lfw(Model::Dlib), lfw(0.9929), 0);
        let precision = |ours: f64| {
            json!({"average_precision": {"20": 0.7, "40": ours},
                   "reference_average_precision": {"20": 0.7, "40": 0.8}})
        };
        check(Evaluation::Detection, precision(0.7995), 0);
        check(Evaluation::Detection, precision(0.7985), 1);
        check(Evaluation::Landmarks, json!({"normalised_mean_error": 0.0009}), 0);
        check(Evaluation::Landmarks, json!({"normalised_mean_error": 0.0011}), 1);
    }

    #[test]
    fn output_without_the_documented_keys_is_an_error() {
        assert!(Evaluation::Lfw(Model::Dlib).judge(&json!({})).is_err());
        assert!(Evaluation::Detection.judge(&json!({"average_precision": {}})).is_err());
        assert!(Evaluation::Landmarks.judge(&json!({"error": 1})).is_err());
    }
}
