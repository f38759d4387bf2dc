//! Landmarks against a reference's: the normalised mean error.
//!
//! Owns the matching of faces and the error: the mean distance of the five points, over the distance of the
//! reference's eyes. Refuses to call one side true: faces that only one of the two found are counted apart.

use super::{Reference, overlap};
use crate::engine::{BBox, Detection};
use serde::Serialize;

/// The figures over all pictures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LandmarksResult {
    /// Pictures compared.
    pub pictures: usize,
    /// Faces found by both.
    pub faces: usize,
    /// Faces of the reference that were not found.
    pub missing: usize,
    /// Faces found that the reference does not have.
    pub extra: usize,
    /// Mean error over the faces, as a part of the distance of the eyes.
    pub mean_error: f64,
    /// Median error.
    pub median_error: f64,
    /// Largest error.
    pub max_error: f64,
    /// The picture of the largest error.
    pub worst_picture: String,
    /// Largest distance of a landmark from the reference's, pixels.
    pub max_px: f64,
}

/// Collects the comparison picture by picture.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    result: LandmarksResult,
    errors: Vec<f64>,
}

/// Boxes that overlap less than this are not of one face.
const MIN_OVERLAP: f32 = 0.5;

impl Comparison {
    /// Compares the faces of one picture, each of the reference's with the found one that overlaps it most.
    pub fn add(&mut self, picture: &str, reference: &Reference, found: &[Detection]) {
        self.result.pictures += 1;
        let mut free: Vec<&Detection> = found.iter().collect();
        for (&[x1, y1, x2, y2], expected) in reference.boxes.iter().zip(&reference.landmarks) {
            let bbox = BBox { x1, y1, x2, y2 };
            let overlap_of = |i: usize| overlap(&bbox, &free[i].bbox);
            let best = (0..free.len())
                .filter(|&i| overlap_of(i) >= MIN_OVERLAP)
                .max_by(|&a, &b| overlap_of(a).total_cmp(&overlap_of(b)));
            let Some(best) = best else {
                self.result.missing += 1;
                continue;
            };
            let face = free.swap_remove(best);
            let distance = |a: &[f32; 2], b: &[f32; 2]| f64::from((a[0] - b[0]).hypot(a[1] - b[1]));
            let offsets: Vec<f64> =
                expected.iter().zip(&face.landmarks).map(|(a, b)| distance(a, b)).collect();
            let eyes = distance(&expected[0], &expected[1]);
            let error = offsets.iter().sum::<f64>() / 5.0 / eyes;
            let result = &mut self.result;
            result.max_px = offsets.iter().copied().fold(result.max_px, f64::max);
            if self.errors.is_empty() || error > result.max_error {
                result.max_error = error;
                result.worst_picture = picture.to_owned();
            }
            self.errors.push(error);
        }
        self.result.extra += free.len();
    }

    /// The figures of all pictures so far.
    #[must_use]
    pub fn finish(mut self) -> LandmarksResult {
        self.errors.sort_unstable_by(f64::total_cmp);
        let n = self.errors.len();
        if n > 0 {
            self.result.mean_error = self.errors.iter().sum::<f64>() / n as f64;
            self.result.median_error = (self.errors[(n - 1) / 2] + self.errors[n / 2]) / 2.0;
        }
        LandmarksResult { faces: n, ..self.result }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Landmarks;

    const POINTS: Landmarks =
        [[20.0, 30.0], [60.0, 30.0], [40.0, 50.0], [25.0, 70.0], [55.0, 70.0]];

    fn face(shift: f32, moved: f32) -> Detection {
        let bbox = BBox { x1: shift, y1: 0.0, x2: shift + 80.0, y2: 100.0 };
        let mut landmarks = POINTS.map(|[x, y]| [x + shift, y]);
        landmarks[0][1] += moved;
        Detection { bbox, landmarks, score: 1.0 }
    }

    fn reference(shifts: &[f32]) -> Reference {
        let faces: Vec<Detection> = shifts.iter().map(|&shift| face(shift, 0.0)).collect();
        Reference {
            wh: [1000, 100],
            boxes: faces.iter().map(|f| [f.bbox.x1, f.bbox.y1, f.bbox.x2, f.bbox.y2]).collect(),
            scores: faces.iter().map(|face| face.score).collect(),
            landmarks: faces.iter().map(|face| face.landmarks).collect(),
        }
    }

    #[test]
    fn errors_are_parts_of_the_distance_of_the_eyes() {
        let mut comparison = Comparison::default();
        // One point of five off by 4 px, eyes 40 px apart: 4 / 5 / 40.
        comparison.add("a", &reference(&[0.0]), &[face(0.0, 4.0)]);
        comparison.add("b", &reference(&[0.0, 200.0]), &[face(200.0, 0.0), face(500.0, 0.0)]);
        let result = comparison.finish();
        assert_eq!((result.pictures, result.faces, result.missing, result.extra), (2, 2, 1, 1));
        assert!((result.max_error - 0.02).abs() < 1e-6 && (result.mean_error - 0.01).abs() < 1e-6);
        assert!((result.median_error - 0.01).abs() < 1e-6 && (result.max_px - 4.0).abs() < 1e-6);
        assert_eq!(result.worst_picture, "a");
    }

    #[test]
    fn nothing_compared_is_no_error() {
        assert_eq!(Comparison::default().finish(), LandmarksResult::default());
    }
}
