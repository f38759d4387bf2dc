//! `threshold eval`: a model or the detector measured against a data set.
//!
//! Owns the running over pictures and the tables. The protocols are `threshold_models::eval`'s.
//! Refuses to print a rate without what it counts: pairs, faces or detections.

mod calibrate;
mod cluster;
mod embed;
mod forecast;
mod growth;
mod identify;
mod lfw;
mod page;
mod verify;

use super::Answer;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use crate::{args, parallel, pictures};
use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use threshold_models::cpu::CpuEngine;
use threshold_models::engine::Engine;
use threshold_models::eval::detection::{
    self, DetectionResult, SIZES_PX, Scored, SizeResult, parse_wider,
};
use threshold_models::eval::landmarks::{Comparison, LandmarksResult};
use threshold_models::eval::{ParseError, Reference};
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;
use threshold_models::picture;

/// The cascade as the reference's figures were measured with it.
const MIN_FACE_PX: u32 = 20;

/// Runs an evaluation.
///
/// # Errors
/// A data set that cannot be read, a missing pack or picture.
pub fn run(meant: &Meant, typed: &args::Eval) -> anyhow::Result<Answer> {
    match typed {
        args::Eval::Lfw(typed) => lfw::run(meant, typed)?,
        args::Eval::Embed(typed) => embed::run(meant, typed)?,
        args::Eval::Verify(typed) => verify::run(meant, typed)?,
        args::Eval::Cluster(typed) => cluster::run(meant, typed)?,
        args::Eval::Identify(typed) => identify::run(meant, typed)?,
        args::Eval::Calibrate(typed) => calibrate::run(meant, typed)?,
        args::Eval::Forecast(typed) => forecast::run(meant, typed)?,
        args::Eval::Detection(typed) => run_detection(meant, typed)?,
        args::Eval::Landmarks(typed) => run_landmarks(meant, typed)?,
    }
    Ok(Answer::Yes)
}

fn run_detection(meant: &Meant, typed: &args::Detection) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let truth = parse_wider(&text_of(&typed.gt)?).map_err(in_file(&typed.gt))?;
    let reference: Option<BTreeMap<String, Reference>> =
        typed.detections.as_deref().map(json_of).transpose()?;
    let detector = Engines::open(meant)?.detector()?;
    let pictures: Vec<String> = truth.iter().map(|picture| picture.path.clone()).collect();
    let found = over(meant, &detector, None, &typed.images, &pictures, |engine, frame| {
        Ok(engine.detect(frame)?.iter().map(Scored::from).collect::<Vec<_>>())
    })?;
    let found: BTreeMap<_, _> = pictures.into_iter().zip(found).collect();
    let result = detection::evaluate(&truth, &found, &SIZES_PX);
    let reference = reference.map(|reference| {
        let scored = |(path, one): (String, Reference)| (path, one.scored().collect());
        detection::evaluate(&truth, &reference.into_iter().map(scored).collect(), &SIZES_PX)
    });
    let mut value = named(&result, &detector)?;
    value["reference"] = serde_json::to_value(&reference)?;
    meant.say.result(&value, || detection_text(&result, reference.as_ref(), &detector))?;
    Ok(())
}

fn run_landmarks(meant: &Meant, typed: &args::Landmarks) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let reference: BTreeMap<String, Reference> = json_of(&typed.reference)?;
    let detector = Engines::open(meant)?.detector()?;
    let limit = typed.limit.unwrap_or(usize::MAX);
    let pictures: Vec<String> = reference.keys().take(limit).cloned().collect();
    let found = over(meant, &detector, None, &typed.images, &pictures, |engine, frame| {
        engine.detect(frame)
    })?;
    let mut comparison = Comparison::default();
    for (picture, found) in pictures.iter().zip(&found) {
        comparison.add(picture, &reference[picture], found);
    }
    let result = comparison.finish();
    meant.say.result(&named(&result, &detector)?, || landmarks_text(&result, &detector))?;
    Ok(())
}

/// Works over the pictures of a folder with one engine a worker, in the pictures' order.
fn over<R: Send>(
    meant: &Meant,
    detector: &Pack,
    model: Option<&Pack>,
    folder: &Path,
    pictures: &[String],
    work: impl Fn(&mut CpuEngine, &Frame) -> Result<R, threshold_models::engine::EngineError> + Sync,
) -> anyhow::Result<Vec<R>> {
    let bar = meant.say.bar(pictures.len() as u64, "pictures");
    let (workers, threads_each) = Engines::shares(meant.threads, pictures.len());
    let results = parallel::over(
        pictures,
        workers,
        || anyhow::Ok(Engines::engine(detector, model, MIN_FACE_PX, threads_each)?),
        |engine, picture| {
            let frame = picture::read(&folder.join(picture))?;
            let result = work(engine, &frame).with_context(|| picture.clone())?;
            bar.inc(1);
            Ok(result)
        },
    )?;
    bar.finish_and_clear();
    Ok(results)
}

fn text_of(path: &Path) -> Result<String, HostError> {
    std::fs::read_to_string(path).map_err(HostError::file(path))
}

fn json_of<T: DeserializeOwned>(path: &Path) -> Result<T, HostError> {
    serde_json::from_str(&text_of(path)?).map_err(|error| HostError::DataSet {
        path: path.display().to_string(),
        line: error.line(),
        what: error.to_string(),
    })
}

fn in_file(path: &Path) -> impl FnOnce(ParseError) -> HostError + use<> {
    let path = path.display().to_string();
    move |error| HostError::DataSet {
        path,
        line: error.line,
        what: format!("{:?} where {} was expected", error.found, error.expected),
    }
}

/// A result's keys with those of the pack that it is about.
fn named(result: &impl serde::Serialize, pack: &Pack) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(result)?;
    value["model"] = json!(pack.id.to_string());
    value["model_name"] = json!(pack.meta.name);
    Ok(value)
}

fn percent(part: f64) -> String {
    format!("{:.2} %", part * 100.0)
}

fn title(what: &str, pack: &Pack) -> String {
    format!("{what}: {} (id {})", pack.meta.name, pack.id.tag())
}

fn detection_text(
    result: &DetectionResult,
    reference: Option<&DetectionResult>,
    detector: &Pack,
) -> String {
    let mut rows = Vec::new();
    for (place, size) in result.sizes.iter().enumerate() {
        rows.push(size_row("ours", size));
        if let Some(size) = reference.and_then(|reference| reference.sizes.get(place)) {
            rows.push(size_row("reference", size));
        }
    }
    format!(
        "{}\n{} pictures, {} detections; a detection is right at an overlap (IoU) of 0.5 or more\n{}",
        title("detection", detector),
        result.pictures,
        result.detections,
        table(
            &[
                "faces of",
                "detector",
                "faces",
                "average precision",
                "recall of faces",
                "precision of detections"
            ],
            &rows
        )
    )
}

fn size_row(detector: &str, size: &SizeResult) -> Vec<String> {
    vec![
        format!(">= {} px", size.min_px),
        detector.to_owned(),
        size.faces.to_string(),
        percent(size.average_precision),
        percent(size.recall),
        percent(size.precision),
    ]
}

fn landmarks_text(result: &LandmarksResult, detector: &Pack) -> String {
    let of_eyes = "of the distance of the eyes";
    let rows = [
        ["mean error", &format!("{:.5} %", result.mean_error * 100.0), of_eyes],
        ["median error", &format!("{:.5} %", result.median_error * 100.0), of_eyes],
        [
            "largest error",
            &format!("{:.5} %", result.max_error * 100.0),
            &format!("{of_eyes}, in {}", result.worst_picture),
        ],
        ["largest offset", &format!("{:.4} px", result.max_px), "of one landmark"],
        ["missing", &result.missing.to_string(), "faces of the reference that were not found"],
        ["extra", &result.extra.to_string(), "faces found that the reference does not have"],
    ];
    let rows: Vec<Vec<String>> =
        rows.map(|row| row.iter().map(|&cell| cell.to_owned()).collect()).to_vec();
    format!(
        "{}\n{} pictures, {} faces compared\n{}",
        title("landmarks", detector),
        result.pictures,
        result.faces,
        table(&["figure", "value", "what it is"], &rows)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::eval::lfw::Pairs;

    #[test]
    fn a_data_file_that_does_not_read_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pairs.txt");
        std::fs::write(&path, "1\t1\nAnn 1 2\nAnn x Bob 1\n").unwrap();
        let error = Pairs::parse(&text_of(&path).unwrap()).map_err(in_file(&path)).unwrap_err();
        let text = error.to_string();
        assert!(
            text.ends_with("pairs.txt, line 3: \"Ann x Bob 1\" where `name a name b` was expected"),
            "{text}"
        );
        let reference = folder.path().join("reference.json");
        std::fs::write(&reference, "{\"a.jpg\":\n3}").unwrap();
        let error = json_of::<BTreeMap<String, Reference>>(&reference).unwrap_err();
        assert!(matches!(error, HostError::DataSet { line: 2, .. }), "{error}");
        let error = text_of(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, HostError::File { .. }), "{error}");
    }

    #[test]
    fn rates_are_printed_as_percent() {
        assert_eq!(percent(0.99367), "99.37 %");
        assert_eq!(percent(0.001), "0.10 %");
    }
}
