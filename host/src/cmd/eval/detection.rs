//! `threshold eval detection | landmarks`: the detector beside a ground truth, and its landmarks beside a reference.
//!
//! Owns the tables and their pages. The protocols are `threshold_models::eval::detection`'s and `landmarks`'s.

use super::{MIN_FACE_PX, in_file, json_of, named, over, page, percent, text_of, title};
use crate::engines::Engines;
use crate::meant::Meant;
use crate::say::table;
use crate::{args, pictures, report};
use maud::html;
use serde_json::Value;
use std::collections::BTreeMap;
use threshold_models::engine::Engine;
use threshold_models::eval::Reference;
use threshold_models::eval::detection::{
    DetectionResult, SIZES_PX, Scored, SizeResult, evaluate, parse_wider,
};
use threshold_models::eval::landmarks::{Comparison, LandmarksResult};

pub(super) fn run(meant: &Meant, typed: &args::Detection) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let truth = parse_wider(&text_of(&typed.gt)?).map_err(in_file(&typed.gt))?;
    let reference: Option<BTreeMap<String, Reference>> =
        typed.detections.as_deref().map(json_of).transpose()?;
    let detector = Engines::open(meant)?.detector()?;
    let pictures: Vec<String> = truth.iter().map(|picture| picture.path.clone()).collect();
    let found =
        over(meant, &detector, None, MIN_FACE_PX, &typed.images, &pictures, |engine, frame| {
            Ok(engine.detect(frame)?.iter().map(Scored::from).collect::<Vec<_>>())
        })?;
    let found: BTreeMap<_, _> = pictures.into_iter().zip(found).collect();
    let result = evaluate(&truth, &found, &SIZES_PX);
    let reference = reference.map(|reference| {
        let scored = |(path, one): (String, Reference)| (path, one.scored().collect());
        evaluate(&truth, &reference.into_iter().map(scored).collect(), &SIZES_PX)
    });
    let mut value = named(&result, &detector)?;
    value["reference"] = serde_json::to_value(&reference)?;
    let title = title("detection", &detector);
    let line = format!(
        "{} pictures, {} detections; a detection is right at an overlap (IoU) of 0.5 or more",
        result.pictures, result.detections
    );
    let rows = size_rows(&result, reference.as_ref());
    page::write(&typed.page, &mut value, &title, || {
        Ok(page::tabled(&typed.page, std::slice::from_ref(&line), &SIZES, &rows))
    })?;
    meant.say.result(&value, || format!("{title}\n{line}\n{}", table(&SIZES, &rows)))?;
    Ok(())
}

const SIZES: [&str; 6] = [
    "faces of",
    "detector",
    "faces",
    "average precision",
    "recall of faces",
    "precision of detections",
];

/// Each size's figures, with the reference's below them.
fn size_rows(result: &DetectionResult, reference: Option<&DetectionResult>) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    for (place, size) in result.sizes.iter().enumerate() {
        rows.push(size_row("ours", size));
        if let Some(size) = reference.and_then(|reference| reference.sizes.get(place)) {
            rows.push(size_row("reference", size));
        }
    }
    rows
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

pub(super) fn landmarks(meant: &Meant, typed: &args::Landmarks) -> anyhow::Result<()> {
    pictures::folder(&typed.images)?;
    let reference: BTreeMap<String, Reference> = json_of(&typed.reference)?;
    let detector = Engines::open(meant)?.detector()?;
    let limit = typed.limit.unwrap_or(usize::MAX);
    let pictures: Vec<String> = reference.keys().take(limit).cloned().collect();
    let found =
        over(meant, &detector, None, MIN_FACE_PX, &typed.images, &pictures, |engine, frame| {
            engine.detect(frame)
        })?;
    let mut comparison = Comparison::default();
    for (picture, found) in pictures.iter().zip(&found) {
        comparison.add(picture, &reference[picture], found);
    }
    let result = comparison.finish();
    let title = title("landmarks", &detector);
    let line = format!("{} pictures, {} faces compared", result.pictures, result.faces);
    let rows = landmark_rows(&result);
    let mut value: Value = named(&result, &detector)?;
    page::write(&typed.page, &mut value, &title, || {
        Ok(html! {
            (page::tabled(&typed.page, std::slice::from_ref(&line), &FIGURES, &rows))
            @if result.faces > 0 {
                h2 { "The largest error" }
                p.warn { (page::PICTURES_OF_PEOPLE) }
                (report::shown(&result.worst_picture, Some(&typed.images)))
            }
        })
    })?;
    meant.say.result(&value, || format!("{title}\n{line}\n{}", table(&FIGURES, &rows)))?;
    Ok(())
}

const FIGURES: [&str; 3] = ["figure", "value", "what it is"];

fn landmark_rows(result: &LandmarksResult) -> Vec<Vec<String>> {
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
    rows.map(|row| row.map(str::to_owned).to_vec()).to_vec()
}
