//! Evaluations with the administrator's tool: the commands, their figures, and what must hold.
//!
//! One table serves both `ci`, which gates on it, and `soak`, which writes it down. Both take everything that is there:
//! all four together took under three minutes on two cores with AVX-512, LFW in f32 and in halves, and a subset would gate on less.
//!
//! Terms: *precision* is average precision of detection, *TAR* the share of genuine pairs accepted.

use crate::program::{output, shown};
use crate::repository::root;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

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
    pub(crate) const fn option(self) -> &'static str {
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

/// Most pictures of LFW in which no face is found.
const MAX_WITHOUT_FACE: usize = 2;

/// What half precision may change: the accuracy, as a share, and decisions so far from the threshold, a distance.
const HALVES_ACCURACY: f64 = 0.0005;
const HALVES_BAND: f64 = 0.002;

/// Furthest that the average precision may lie from the reference's, as a share.
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
    pub(crate) fn run(self, packs: &Path, shared: &Path) -> Result<Figures> {
        let mut command = Command::new(root().join("target/release/threshold"));
        command.args(["--json", "--packs"]).arg(packs).args(self.arguments(shared));
        let printed = output(&mut command)?;
        let json: Value = serde_json::from_str(&printed)
            .with_context(|| format!("{} printed no JSON", shown(&command)))?;
        let (values, missed) = self.judge(&json)?;
        let command = shown(&command)
            .replace(&packs.display().to_string(), "$PACKS")
            .replace(&shared.display().to_string(), "../shared");
        Ok(Figures { command, values, missed })
    }

    fn arguments(self, shared: &Path) -> Vec<PathBuf> {
        let at = |path: &str| shared.join(path);
        let word = PathBuf::from;
        match self {
            Self::Lfw(model) => vec![
                word("--model"),
                word(model.option()),
                word("eval"),
                word("lfw"),
                word("--images"),
                at("lfw-dev/images"),
                word("--pairs"),
                at("lfw-dev/pairs.txt"),
                word("--halves"),
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
        }
    }

    /// The figures in what the tool printed, and which of them are not reached.
    fn judge(self, json: &Value) -> Result<(Values, Vec<String>)> {
        let mut values = Vec::new();
        let mut missed = Vec::new();
        match self {
            Self::Lfw(model) => {
                let wanted = model.accuracy();
                let accuracy = number(json, "accuracy")?;
                for key in ["accuracy", "sd", "threshold"] {
                    values.push((key.to_owned(), number(json, key)?));
                }
                for point in array(json, "tar_at_far")? {
                    let name = format!("TAR at FAR {}", number(point, "far")?);
                    values.push((name, number(point, "tar")?));
                }
                let without_face = array(json, "without_face")?.len();
                values.push(("pictures without a face".to_owned(), without_face as f64));
                let halves = &json["halves"];
                for key in ["accuracy", "flips", "furthest", "apart"] {
                    values.push((format!("in half precision: {key}"), number(halves, key)?));
                }
                let apart = (number(halves, "accuracy")? - accuracy).abs();
                if apart > HALVES_ACCURACY || number(halves, "furthest")? > HALVES_BAND {
                    missed.push(format!("in half precision {halves}"));
                }
                if accuracy < wanted {
                    missed.push(format!("accuracy {accuracy:.4}, wanted {wanted}"));
                }
                if without_face > MAX_WITHOUT_FACE {
                    missed.push(format!(
                        "{without_face} pictures without a face, allowed {MAX_WITHOUT_FACE}"
                    ));
                }
            }
            Self::Detection => {
                let (ours, theirs) = (array(json, "sizes")?, array(&json["reference"], "sizes")?);
                ensure!(ours.len() == theirs.len(), "sizes differ from the reference's in {json}");
                for (own, reference) in ours.iter().zip(theirs) {
                    let size_px = number(own, "min_px")?;
                    let own = number(own, "average_precision")?;
                    let reference = number(reference, "average_precision")?;
                    values.push((format!("precision, faces >= {size_px} px"), own));
                    values.push((format!("the reference's, faces >= {size_px} px"), reference));
                    if (own - reference).abs() > PRECISION_SLACK {
                        missed.push(format!(
                            "precision {own:.4} at {size_px} px, the reference's {reference:.4}"
                        ));
                    }
                }
            }
            Self::Landmarks => {
                let error = number(json, "mean_error")?;
                for key in ["mean_error", "median_error", "max_px", "missing", "extra"] {
                    values.push((key.to_owned(), number(json, key)?));
                }
                if error > LANDMARK_ERROR {
                    missed.push(format!(
                        "normalised mean error {error:.5}, allowed {LANDMARK_ERROR}"
                    ));
                }
                // The error is that of faces which both found: none would be none.
                for key in ["missing", "extra"] {
                    let faces = number(json, key)?;
                    if faces != 0.0 {
                        missed.push(format!("{faces} faces {key} beside the reference"));
                    }
                }
            }
        }
        Ok((values, missed))
    }
}

fn number(json: &Value, key: &str) -> Result<f64> {
    json[key].as_f64().with_context(|| format!("no number {key} in {json}"))
}

fn array<'a>(json: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    json[key].as_array().with_context(|| format!("no list {key} in {json}"))
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
    fn figures_that_are_not_reached_are_missed() {
        let lfw_halves = |accuracy: f64, without_face: &[&str], furthest: f64| {
            json!({"accuracy": accuracy, "sd": 0.003, "threshold": 1.14, "without_face": without_face,
                   "halves": {"accuracy": accuracy, "flips": 1, "furthest": furthest, "apart": 0.001},
                   "tar_at_far": [{"far": 0.01, "tar": 0.99}]})
        };
        let lfw = |accuracy, without_face: &[&str]| lfw_halves(accuracy, without_face, 0.001);
        check(Evaluation::Lfw(Model::FaceNet), lfw_halves(0.9937, &[], 0.003), 1);
        check(Evaluation::Lfw(Model::FaceNet), lfw(0.9937, &["a", "b"]), 0);
        check(Evaluation::Lfw(Model::FaceNet), lfw(0.9929, &[]), 1);
        check(Evaluation::Lfw(Model::FaceNet), lfw(0.9929, &["a", "b", "c"]), 2);
        check(Evaluation::Lfw(Model::Dlib), lfw(0.9929, &[]), 0);
        let precision = |own: f64| {
            let sizes = |large: f64| {
                json!([{"min_px": 20.0, "average_precision": 0.7},
                       {"min_px": 40.0, "average_precision": large}])
            };
            json!({"sizes": sizes(own), "reference": {"sizes": sizes(0.8)}})
        };
        check(Evaluation::Detection, precision(0.7995), 0);
        check(Evaluation::Detection, precision(0.7985), 1);
        check(Evaluation::Detection, precision(0.8015), 1);
        let landmarks = |error: f64| json!({"mean_error": error, "median_error": error, "max_px": 1.0, "missing": 0, "extra": 0});
        check(Evaluation::Landmarks, landmarks(0.0009), 0);
        check(Evaluation::Landmarks, landmarks(0.0011), 1);
    }

    #[test]
    fn output_without_the_documented_keys_is_an_error() {
        assert!(Evaluation::Lfw(Model::Dlib).judge(&json!({})).is_err());
        assert!(Evaluation::Detection.judge(&json!({"sizes": []})).is_err());
        assert!(Evaluation::Landmarks.judge(&json!({"error": 1})).is_err());
    }
}
