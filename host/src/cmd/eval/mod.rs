//! `threshold eval`: a model or the detector measured against a data set.
//!
//! Owns the running over pictures and the tables. The protocols are `threshold_models::eval`'s.
//! Refuses to print a rate without what it counts: pairs, faces or detections.

mod again;
mod calibrate;
mod cluster;
mod detection;
mod embed;
mod forecast;
mod growth;
mod identify;
mod lfw;
pub(super) mod page;
mod parts;
mod presentation;
mod quality;
mod verify;

use super::Answer;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::{args, parallel};
use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::Path;
use threshold_models::cpu::CpuEngine;
use threshold_models::eval::ParseError;
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
        args::Eval::Detection(typed) => detection::run(meant, typed)?,
        args::Eval::Landmarks(typed) => detection::landmarks(meant, typed)?,
        args::Eval::Quality(typed) => quality::run(meant, typed)?,
        args::Eval::Pad(typed) => presentation::run(meant, typed)?,
    }
    Ok(Answer::Yes)
}

/// Works over the pictures of a folder with one engine a worker, in the pictures' order.
fn over<R: Send, P: AsRef<Path> + Sync>(
    meant: &Meant,
    detector: &Pack,
    model: Option<&Pack>,
    min_face_px: u32,
    folder: &Path,
    pictures: &[P],
    work: impl Fn(&mut CpuEngine, &Frame) -> Result<R, threshold_models::engine::EngineError> + Sync,
) -> anyhow::Result<Vec<R>> {
    let bar = meant.say.bar(pictures.len() as u64, "pictures");
    let (workers, threads_each) = Engines::shares(meant.threads, pictures.len());
    let results = parallel::over(
        pictures,
        workers,
        || anyhow::Ok(Engines::engine(detector, model, min_face_px, threads_each)?),
        |engine, picture| {
            let picture = picture.as_ref();
            let frame = picture::read(&folder.join(picture))?;
            let result = work(engine, &frame).with_context(|| picture.display().to_string())?;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use std::collections::BTreeMap;
    use threshold_models::eval::Reference;
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
