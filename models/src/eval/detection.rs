//! Average precision of a detector on WIDER FACE.
//!
//! Owns the text form of its ground truth, the matching of boxes and the precision over recall.
//! A detection is right if its box overlaps a face by an IoU of 0.5 or more; each face is found once.
//! For "faces of 40 px or more", smaller faces and those flagged invalid are neither asked for nor held against a
//! detector that finds them, and a lone detection below that size is not held against it either.
//! Size is the box's height, as in WIDER FACE's own evaluation.

use super::{ParseError, overlap};
use crate::engine::{BBox, Detection};
use serde::Serialize;
use std::collections::BTreeMap;

/// A face of the ground truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrueFace {
    /// Its box.
    pub bbox: BBox,
    /// True if it is flagged invalid, or its box is empty: nobody can be asked to find it.
    pub invalid: bool,
}

/// A picture of the ground truth.
#[derive(Clone, Debug, PartialEq)]
pub struct TruePicture {
    /// Path relative to the folder of pictures.
    pub path: String,
    /// Its faces.
    pub faces: Vec<TrueFace>,
}

/// A detector's box and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// The box.
    pub bbox: BBox,
    /// Higher is surer.
    pub score: f32,
}

impl From<&Detection> for Scored {
    fn from(detection: &Detection) -> Self {
        Self { bbox: detection.bbox, score: detection.score }
    }
}

/// Reads WIDER FACE's text form: a path, the number of faces, and for each face a line
/// `x y w h blur expression illumination invalid occlusion pose`; none is written as 0 and one line of zeros.
///
/// # Errors
/// [`ParseError`] at the first line that is not of that form.
pub fn parse_wider(text: &str) -> Result<Vec<TruePicture>, ParseError> {
    let mut lines = text.lines().map(str::trim).enumerate().peekable();
    let fail = |line: usize, expected, found: &str| ParseError {
        line: line + 1,
        expected,
        found: found.to_owned(),
    };
    let mut pictures = Vec::new();
    while let Some((at, path)) = lines.next() {
        if path.is_empty() {
            continue;
        }
        if path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(fail(at, "a path within the folder", path));
        }
        let (at, count) = lines.next().unwrap_or((at + 1, ""));
        let n_faces: usize = count.parse().map_err(|_| fail(at, "the number of faces", count))?;
        let mut faces = Vec::new();
        for i in 0..n_faces {
            let (at, line) = lines.next().unwrap_or((at + 1 + i, ""));
            faces.push(face_of(line).ok_or_else(|| fail(at, "ten numbers of a face", line))?);
        }
        if n_faces == 0 && lines.peek().is_some_and(|(_, line)| face_of(line).is_some()) {
            lines.next();
        }
        pictures.push(TruePicture { path: path.to_owned(), faces });
    }
    Ok(pictures)
}

fn face_of(line: &str) -> Option<TrueFace> {
    let fields: Option<Vec<f32>> =
        line.split_whitespace().map(|field| field.parse().ok()).collect();
    let [x, y, width, height, _, _, _, invalid, ..] = fields?[..] else { return None };
    let bbox = BBox { x1: x, y1: y, x2: x + width, y2: y + height };
    Some(TrueFace { bbox, invalid: invalid != 0.0 || width <= 0.0 || height <= 0.0 })
}

/// The figures for faces of one size and above.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SizeResult {
    /// Least height of a face that is asked for, pixels.
    pub min_px: f32,
    /// Such faces.
    pub faces: usize,
    /// Area under precision over recall, 0..1: precision made monotone, every recall step counted.
    pub average_precision: f64,
    /// Part of the faces found at any score.
    pub recall: f64,
    /// Part of the counted detections that are right, at any score.
    pub precision: f64,
}

/// The figures of one detector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DetectionResult {
    /// Pictures judged.
    pub pictures: usize,
    /// Detections given.
    pub detections: usize,
    /// For each size asked for.
    pub sizes: Vec<SizeResult>,
}

/// The sizes that are asked for.
pub const SIZES_PX: [f32; 3] = [20.0, 40.0, 80.0];

/// Judges detections by picture; a picture that is not in the map has none.
#[must_use]
pub fn evaluate(
    truth: &[TruePicture],
    found: &BTreeMap<String, Vec<Scored>>,
    sizes_px: &[f32],
) -> DetectionResult {
    let of = |picture: &TruePicture| found.get(&picture.path).map_or(&[][..], Vec::as_slice);
    let sizes = sizes_px
        .iter()
        .map(|&min_px| {
            let mut judged = Vec::new();
            let mut n_faces = 0;
            for picture in truth {
                n_faces += judge(picture, of(picture), min_px, &mut judged);
            }
            summarise(judged, n_faces, min_px)
        })
        .collect();
    let detections = truth.iter().map(|picture| of(picture).len()).sum();
    DetectionResult { pictures: truth.len(), detections, sizes }
}

const MIN_OVERLAP: f32 = 0.5;

fn height(bbox: &BBox) -> f32 {
    bbox.y2 - bbox.y1
}

/// Appends score and rightness of each detection that counts; gives the number of faces that are asked for.
fn judge(
    picture: &TruePicture,
    found: &[Scored],
    min_px: f32,
    judged: &mut Vec<(f32, bool)>,
) -> usize {
    let asked = |face: &TrueFace| !face.invalid && height(&face.bbox) >= min_px;
    let mut order: Vec<&Scored> = found.iter().collect();
    // Stable: equal scores keep the detector's own order.
    order.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut taken = vec![false; picture.faces.len()];
    for detection in order {
        let overlaps = |face: &TrueFace| overlap(&face.bbox, &detection.bbox);
        // The best face that is still free, those asked for before the others.
        let best = (0..picture.faces.len())
            .filter(|&i| !taken[i] && overlaps(&picture.faces[i]) >= MIN_OVERLAP)
            .max_by(|&a, &b| {
                let (a, b) = (&picture.faces[a], &picture.faces[b]);
                asked(a).cmp(&asked(b)).then(overlaps(a).total_cmp(&overlaps(b)))
            });
        match best {
            Some(i) if asked(&picture.faces[i]) => {
                taken[i] = true;
                judged.push((detection.score, true));
            }
            // A face that nobody asked for may be found as often as it likes.
            Some(_) => {}
            None if height(&detection.bbox) < min_px => {}
            None => judged.push((detection.score, false)),
        }
    }
    picture.faces.iter().filter(|face| asked(face)).count()
}

/// Precision over recall, one point for each score that occurs, so that the order within a score does not matter.
fn summarise(mut judged: Vec<(f32, bool)>, n_faces: usize, min_px: f32) -> SizeResult {
    judged.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut points = Vec::new();
    let (mut n_right, mut n_judged) = (0usize, 0usize);
    for group in judged.chunk_by(|a, b| a.0 == b.0) {
        n_right += group.iter().filter(|(_, right)| *right).count();
        n_judged += group.len();
        points.push((n_right as f64 / n_faces.max(1) as f64, n_right as f64 / n_judged as f64));
    }
    let (recall, precision) = points.last().copied().unwrap_or((0.0, 0.0));
    let mut average_precision = 0.0;
    let mut best_precision = 0.0f64;
    for i in (0..points.len()).rev() {
        best_precision = best_precision.max(points[i].1);
        let before = if i == 0 { 0.0 } else { points[i - 1].0 };
        average_precision += (points[i].0 - before) * best_precision;
    }
    SizeResult { min_px, faces: n_faces, average_precision, recall, precision }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    const TEXT: &str = "a/one.jpg\n2\n0 0 100 100 0 0 0 0 0 0 \n200 0 30 30 0 0 0 0 0 0\n\
                        a/none.jpg\n0\n0 0 0 0 0 0 0 0 0 0\nb/bad.jpg\n1\n10 10 90 90 2 0 0 1 2 0\n";

    #[test]
    fn ground_truth_reads_in_widers_form() {
        let truth = parse_wider(TEXT).unwrap();
        assert_eq!(truth.len(), 3);
        assert_eq!(truth[0].faces[1].bbox, BBox { x1: 200.0, y1: 0.0, x2: 230.0, y2: 30.0 });
        assert!(truth[1].faces.is_empty() && truth[2].faces[0].invalid);
        let check = |text: &str, line: usize| {
            assert_eq!(parse_wider(text).unwrap_err().line, line, "{text:?}");
        };
        check("a.jpg\nmany\n", 2);
        check("a.jpg\n1\n0 0 1\n", 3);
        check("a.jpg\n2\n0 0 9 9 0 0 0 0 0 0\n", 4);
        check("../a.jpg\n0\n", 1);
    }

    fn scored(edges: [f32; 4], score: f32) -> Scored {
        Scored { bbox: BBox { x1: edges[0], y1: edges[1], x2: edges[2], y2: edges[3] }, score }
    }

    #[test]
    fn precision_over_recall_is_as_counted_by_hand() {
        let truth = parse_wider(TEXT).unwrap();
        let large = scored([0.0, 0.0, 100.0, 100.0], 0.8);
        let small = scored([200.0, 0.0, 230.0, 30.0], 0.6);
        let wrong = scored([400.0, 0.0, 500.0, 100.0], 0.7);
        let check = |one: &[Scored], none: &[Scored], bad: &[Scored], expected: [f64; 2]| {
            let found = BTreeMap::from([
                ("a/one.jpg".to_owned(), one.to_vec()),
                ("a/none.jpg".to_owned(), none.to_vec()),
                ("b/bad.jpg".to_owned(), bad.to_vec()),
            ]);
            let result = evaluate(&truth, &found, &[20.0, 40.0]);
            for (size, expected) in result.sizes.iter().zip(expected) {
                let error = (size.average_precision - expected).abs();
                assert!(error < 1e-9, "{size:?}, expected {expected}");
            }
        };
        check(&[large, small], &[], &[], [1.0, 1.0]);
        check(&[large], &[], &[], [0.5, 1.0]);
        check(&[], &[], &[], [0.0, 0.0]);
        // One wrong between two right: half at precision 1, half at 2/3; the small face is not asked for at 40.
        check(&[large, small], &[wrong], &[], [0.5 + 0.5 * 2.0 / 3.0, 1.0]);
        // A face found twice is wrong once, here below the first.
        check(&[large, scored([2.0, 0.0, 100.0, 100.0], 0.75)], &[], &[], [0.5, 1.0]);
        // The invalid face is neither right nor wrong.
        check(&[large], &[], &[scored([10.0, 10.0, 100.0, 100.0], 0.9)], [0.5, 1.0]);
        // A wrong box before all.
        check(&[large], &[scored([0.0, 0.0, 90.0, 90.0], 0.9)], &[], [0.25, 0.5]);
        // A lone small box is held against the detector only where small faces are asked for.
        check(&[large], &[scored([0.0, 0.0, 30.0, 30.0], 0.9)], &[], [0.25, 1.0]);
    }

    #[test]
    fn equal_scores_are_one_point() {
        let truth = parse_wider("a.jpg\n1\n0 0 100 100 0 0 0 0 0 0\n").unwrap();
        let right = scored([0.0, 0.0, 100.0, 100.0], 1.0);
        let wrong = scored([300.0, 0.0, 400.0, 100.0], 1.0);
        for order in [vec![right, wrong], vec![wrong, right]] {
            let found = BTreeMap::from([("a.jpg".to_owned(), order)]);
            let size = evaluate(&truth, &found, &[20.0]).sizes[0];
            assert_eq!((size.average_precision, size.recall, size.precision), (0.5, 1.0, 0.5));
        }
    }
}
