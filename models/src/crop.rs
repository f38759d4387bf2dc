//! Crops: the patch of a frame that an embedder sees.
//!
//! Owns the two crop rules and their resampling. Refuses to normalise: values are grey levels 0..255, and what an
//! embedder subtracts and divides stands in its pack.
//! Pixel coordinates have a pixel's value at its whole number, as the detector's landmarks do.

use crate::engine::{BBox, Detection, Landmarks};
use crate::frame::Frame;

use serde::{Deserialize, Serialize};

/// How a face becomes an embedder's input; part of the pack, so that unit and host crop alike.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CropRule {
    /// The detection's box squared about its centre, grown by `margin_px` in the crop's scale
    /// (facenet-pytorch's `extract_face` rule), resized by exact area means (as `cv2.INTER_AREA`).
    SquaredBox {
        /// Side of the crop in pixels.
        size_px: usize,
        /// Margin in crop pixels, both sides together.
        margin_px: f32,
    },
    /// A similarity transform that lays the five landmarks on `points_px`, weighted, bilinear.
    Similarity {
        /// Side of the crop in pixels.
        size_px: usize,
        /// Where the landmarks go: subject's right eye (left in the picture), other eye, nose, mouth corners.
        points_px: [[f32; 2]; 5],
        /// Weight of each landmark in the least squares.
        weights: [f32; 5],
    },
}

impl CropRule {
    /// Side of the crop in pixels.
    #[must_use]
    pub fn size_px(&self) -> usize {
        match *self {
            Self::SquaredBox { size_px, .. } | Self::Similarity { size_px, .. } => size_px,
        }
    }

    /// The same patch of a frame with another side.
    #[must_use]
    pub fn of_size(&self, side_px: usize) -> Self {
        let part = side_px as f32 / self.size_px() as f32;
        match *self {
            Self::SquaredBox { margin_px, .. } => {
                Self::SquaredBox { size_px: side_px, margin_px: margin_px * part }
            }
            Self::Similarity { points_px, weights, .. } => {
                // A pixel's value lies at its whole number, so that its middle is half a pixel on.
                let moved = |at: f32| (at + 0.5) * part - 0.5;
                let points_px = points_px.map(|point| point.map(moved));
                Self::Similarity { size_px: side_px, points_px, weights }
            }
        }
    }

    /// Values of one crop: `size_px * size_px * 3`.
    #[must_use]
    pub fn len(&self) -> usize {
        self.size_px() * self.size_px() * 3
    }

    /// True for a rule that yields no pixel; no pack has one.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Cuts a face out of its frame: `out` becomes [`CropRule::len`] grey levels 0..255, HWC.
///
/// A squared box is clipped to the frame and what is left is stretched, as the reference does; of a box wholly outside,
/// the nearest pixel is taken. A similarity crop is black outside the frame, as dlib's is, and all black if the
/// landmarks fall together or are not numbers.
///
/// # Panics
/// If `out` is of another length.
pub fn crop(frame: &Frame, detection: &Detection, rule: &CropRule, out: &mut [f32]) {
    assert_eq!(out.len(), rule.len(), "a crop buffer is as long as its rule says");
    match rule {
        CropRule::SquaredBox { size_px, margin_px } => {
            let square = squared_about_centre(&detection.bbox);
            let edges = with_margin(&square, *size_px, *margin_px, frame.width(), frame.height());
            resize_area(frame, edges, (*size_px, *size_px), out);
        }
        CropRule::Similarity { size_px, points_px, weights } => {
            match Similarity::fit(&detection.landmarks, points_px, weights) {
                Some(transform) => sample(frame, &transform, *size_px, out),
                None => out.fill(0.0),
            }
        }
    }
}

/// The square whose side is the longer one of the box.
fn squared_about_centre(bbox: &BBox) -> BBox {
    let half = (bbox.x2 - bbox.x1).max(bbox.y2 - bbox.y1) / 2.0;
    let (x, y) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
    BBox { x1: x - half, y1: y - half, x2: x + half, y2: y + half }
}

/// Whole pixels `[x1, y1, x2, y2)` of a box with its margin, within the frame and at least one pixel.
///
/// `margin_px` counts in the crop, so that of the crop's side `size_px - margin_px` is the box itself.
fn with_margin(
    bbox: &BBox,
    size_px: usize,
    margin_px: f32,
    width: usize,
    height: usize,
) -> [usize; 4] {
    let grown = |low: f32, high: f32, limit: usize| {
        let margin = margin_px * (high - low) / (size_px as f32 - margin_px) / 2.0;
        // `as` truncates as the reference's int() does, and saturates below at 0.
        let first = ((low - margin).max(0.0) as usize).min(limit - 1);
        let end = ((high + margin).min(limit as f32) as usize).max(first + 1);
        (first, end)
    };
    let (x1, x2) = grown(bbox.x1, bbox.x2, width);
    let (y1, y2) = grown(bbox.y1, bbox.y2, height);
    [x1, y1, x2, y2]
}

/// Resizes the whole pixels `[x1, y1, x2, y2)` of a frame by exact area means: each output cell is the mean over its
/// own rectangle of the source, parts of pixels counted as parts. `out` is `height x width x 3`, 0..255.
///
/// Equal to `cv2.INTER_AREA` but for its rounding, where both axes shrink or both grow. Torch's area mode, which the
/// cascade takes, counts whole pixels only; enlarging by it gives steps.
///
/// # Panics
/// If the rectangle is empty or leaves the frame, or `out` is of another length.
pub fn resize_area(
    frame: &Frame,
    [x1, y1, x2, y2]: [usize; 4],
    (height, width): (usize, usize),
    out: &mut [f32],
) {
    assert!(x1 < x2 && y1 < y2 && x2 <= frame.width() && y2 <= frame.height());
    assert_eq!(out.len(), height * width * 3);
    let columns: Vec<Span> = (0..width).map(|x| Span::of(x, x2 - x1, width)).collect();
    let row_len = (x2 - x1) * 3;
    let mut mean_row = vec![0.0; row_len];
    for (y, out_row) in out.chunks_exact_mut(width * 3).enumerate() {
        mean_row.fill(0.0);
        let rows = Span::of(y, y2 - y1, height);
        for (row, weight) in rows.weights() {
            let start = ((y1 + row) * frame.width() + x1) * 3;
            for (mean, &sample) in mean_row.iter_mut().zip(&frame.rgb()[start..start + row_len]) {
                *mean += weight * f32::from(sample);
            }
        }
        for (pixel, columns) in out_row.chunks_exact_mut(3).zip(&columns) {
            pixel.fill(0.0);
            for (column, weight) in columns.weights() {
                for (value, mean) in pixel.iter_mut().zip(&mean_row[column * 3..]) {
                    *value += weight * mean;
                }
            }
        }
    }
}

/// The source cells under one output cell along an axis, and how much each counts; the weights add up to 1.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: usize,
    end: usize,
    first_weight: f32,
    inner_weight: f32,
    last_weight: f32,
}

impl Span {
    /// Output cell `i` of `n_out` covers `i n_in / n_out .. (i + 1) n_in / n_out`; in units of `1 / n_out` that is whole
    /// numbers, so nothing is lost to rounding.
    fn of(i: usize, n_in: usize, n_out: usize) -> Self {
        let (low, high) = (i * n_in, (i + 1) * n_in);
        let (first, end) = (low / n_out, high.div_ceil(n_out));
        let part = |covered: usize| covered as f32 / n_in as f32;
        let single = end - first == 1;
        Self {
            first,
            end,
            first_weight: part(if single { high - low } else { (first + 1) * n_out - low }),
            inner_weight: part(n_out),
            last_weight: part(if single { high - low } else { high - (end - 1) * n_out }),
        }
    }

    fn weights(self) -> impl Iterator<Item = (usize, f32)> {
        (self.first..self.end).map(move |cell| {
            let weight = if cell == self.first {
                self.first_weight
            } else if cell + 1 == self.end {
                self.last_weight
            } else {
                self.inner_weight
            };
            (cell, weight)
        })
    }
}

/// A turn, a scale and a shift of the plane: `z -> turn * z + shift` over complex numbers `[x, y]`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Similarity {
    turn: [f32; 2],
    shift: [f32; 2],
}

impl Similarity {
    /// The transform from crop to frame whose inverse lays the landmarks nearest to `points`, by weighted least squares
    /// measured in crop pixels; `None` if there is none.
    ///
    /// Measured in frame pixels instead, a face whose landmarks fit badly is cut larger: 98.67 % on LFW's dev folds with
    /// dlib's network, and 98.83 % this way.
    fn fit(landmarks: &Landmarks, points: &Landmarks, weights: &[f32; 5]) -> Option<Self> {
        let total: f32 = weights.iter().sum();
        let centre = |of: &Landmarks| {
            [0, 1].map(|axis| {
                of.iter().zip(weights).map(|(point, weight)| point[axis] * weight).sum::<f32>()
                    / total
            })
        };
        let (from, to) = (centre(points), centre(landmarks));
        let (mut real, mut imaginary, mut spread) = (0.0, 0.0, 0.0);
        for ((point, landmark), weight) in points.iter().zip(landmarks).zip(weights) {
            let [px, py] = [point[0] - from[0], point[1] - from[1]];
            let [qx, qy] = [landmark[0] - to[0], landmark[1] - to[1]];
            real += weight * (px * qx + py * qy);
            imaginary += weight * (px * qy - py * qx);
            spread += weight * (qx * qx + qy * qy);
        }
        // The inverse of the least-squares transform (real - i imaginary) / spread.
        let stretch = spread / (real * real + imaginary * imaginary);
        let turn = [real * stretch, imaginary * stretch];
        let [x, y] = rotated(turn, from);
        let shift = [to[0] - x, to[1] - y];
        let scale = turn[0].hypot(turn[1]);
        (scale > 1e-6 && scale.is_finite() && shift.iter().all(|value| value.is_finite()))
            .then_some(Self { turn, shift })
    }

    /// Frame pixels for one crop pixel.
    fn scale(&self) -> f32 {
        self.turn[0].hypot(self.turn[1])
    }

    fn apply(&self, point: [f32; 2]) -> [f32; 2] {
        let [x, y] = rotated(self.turn, point);
        [x + self.shift[0], y + self.shift[1]]
    }
}

/// The product of two complex numbers.
fn rotated(turn: [f32; 2], point: [f32; 2]) -> [f32; 2] {
    [turn[0] * point[0] - turn[1] * point[1], turn[0] * point[1] + turn[1] * point[0]]
}

/// Samples the frame under a square crop, bilinearly.
///
/// Where the frame is 1.5 times as fine as the crop or more, each value is the mean of a grid of samples, since a lone
/// one would skip pixels and let noise through.
fn sample(frame: &Frame, transform: &Similarity, size_px: usize, out: &mut [f32]) {
    let n_grid = (transform.scale().round() as usize).clamp(1, 64);
    let part = 1.0 / (n_grid * n_grid) as f32;
    let offset = |i: usize| (i as f32 + 0.5) / n_grid as f32 - 0.5;
    for (i, pixel) in out.chunks_exact_mut(3).enumerate() {
        let (x, y) = ((i % size_px) as f32, (i / size_px) as f32);
        pixel.fill(0.0);
        for cell in 0..n_grid * n_grid {
            let at = transform.apply([x + offset(cell % n_grid), y + offset(cell / n_grid)]);
            for (value, sample) in pixel.iter_mut().zip(bilinear(frame, at)) {
                *value += sample * part;
            }
        }
    }
}

/// The frame's value between pixels; black outside.
fn bilinear(frame: &Frame, [x, y]: [f32; 2]) -> [f32; 3] {
    let (left, top) = (x.floor(), y.floor());
    let (right_part, lower_part) = (x - left, y - top);
    let mut value = [0.0; 3];
    for (dy, row_weight) in [(0, 1.0 - lower_part), (1, lower_part)] {
        for (dx, column_weight) in [(0, 1.0 - right_part), (1, right_part)] {
            let (column, row) = (left as i64 + dx, top as i64 + dy);
            let inside = (0..frame.width() as i64).contains(&column)
                && (0..frame.height() as i64).contains(&row);
            if !inside {
                continue;
            }
            let start = (row as usize * frame.width() + column as usize) * 3;
            for (value, &sample) in value.iter_mut().zip(&frame.rgb()[start..start + 3]) {
                *value += row_weight * column_weight * f32::from(sample);
            }
        }
    }
    value
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    /// Grey level = x + 10 y in all channels.
    fn ramp(width: usize, height: usize) -> Frame {
        let rgb =
            (0..width * height).flat_map(|i| [(i % width + 10 * (i / width)) as u8; 3]).collect();
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn margins_are_those_of_extract_face() {
        let check = |edges: [f32; 4], expected: [usize; 4]| {
            let bbox = BBox { x1: edges[0], y1: edges[1], x2: edges[2], y2: edges[3] };
            assert_eq!(with_margin(&bbox, 160, 32.0, 200, 150), expected, "{edges:?}");
        };
        // A margin of 32 of 160 is a quarter of the box, an eighth on each side.
        check([40.0, 40.0, 120.0, 120.0], [30, 30, 130, 130]);
        check([40.9, 40.9, 120.9, 120.9], [30, 30, 130, 130]);
        check([-10.0, 5.0, 70.0, 85.0], [0, 0, 80, 95]);
        check([150.0, 100.0, 230.0, 180.0], [140, 90, 200, 150]);
        check([300.0, 300.0, 310.0, 310.0], [199, 149, 200, 150]);
    }

    #[test]
    fn area_means_count_parts_of_pixels() {
        let frame = ramp(3, 1);
        let mut out = [0.0; 6];
        resize_area(&frame, [0, 0, 3, 1], (1, 2), &mut out);
        // 0..1.5 covers pixel 0 and half of pixel 1.
        assert!((out[0] - 1.0 / 3.0).abs() < 1e-6 && (out[3] - 5.0 / 3.0).abs() < 1e-6, "{out:?}");
        let mut out = [0.0; 12];
        resize_area(&frame, [0, 0, 3, 1], (1, 4), &mut out);
        let expected = [0.0, 2.0 / 3.0, 4.0 / 3.0, 2.0];
        for (found, expected) in out.iter().step_by(3).zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{out:?}");
        }
    }

    #[test]
    fn a_similarity_brings_the_landmarks_to_their_points() {
        let points = [[2.0, 2.0], [6.0, 2.0], [4.0, 4.0], [2.0, 6.0], [6.0, 6.0]];
        // The points turned by a quarter, doubled and shifted.
        let landmarks = points.map(|[x, y]| [20.0 - 2.0 * y, 5.0 + 2.0 * x]);
        let transform =
            Similarity::fit(&landmarks, &points, &[1.0, 1.0, 0.25, 0.25, 0.25]).unwrap();
        for (point, landmark) in points.iter().zip(landmarks) {
            let [x, y] = transform.apply(*point);
            assert!((x - landmark[0]).abs() < 1e-4 && (y - landmark[1]).abs() < 1e-4);
        }
        assert!((transform.scale() - 2.0).abs() < 1e-5);
        assert_eq!(Similarity::fit(&[[3.0, 3.0]; 5], &points, &[1.0; 5]), None);
        assert_eq!(Similarity::fit(&[[f32::NAN, 3.0]; 5], &points, &[1.0; 5]), None);
    }

    #[test]
    fn a_crop_of_half_the_side_is_the_same_patch() {
        let rgb = (0..100 * 100).flat_map(|i| [(i % 100 + i / 100) as u8; 3]).collect();
        let frame = Frame::from_rgb(100, 100, rgb).unwrap();
        let points_px = [[26.0, 30.0], [54.0, 30.0], [40.0, 46.0], [28.0, 60.0], [52.0, 60.0]];
        let face = Detection {
            bbox: BBox { x1: 20.0, y1: 22.0, x2: 70.0, y2: 72.0 },
            landmarks: points_px.map(|point| point.map(|at| at * 0.8 + 10.0)),
            score: 1.0,
        };
        let weights = [1.0; 5];
        for rule in [
            CropRule::SquaredBox { size_px: 80, margin_px: 16.0 },
            CropRule::Similarity { size_px: 80, points_px, weights },
        ] {
            let half = rule.of_size(40);
            let [mut large, mut small] = [&rule, &half].map(|rule| vec![0.0; rule.len()]);
            crop(&frame, &face, &rule, &mut large);
            crop(&frame, &face, &half, &mut small);
            let at = |y: usize, x: usize| large[(y * 80 + x) * 3];
            for (i, pixel) in small.chunks_exact(3).enumerate() {
                let (y, x) = (i / 40 * 2, i % 40 * 2);
                let mean = (at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4.0;
                assert!((pixel[0] - mean).abs() < 0.01, "{rule:?}: {} {mean}", pixel[0]);
            }
        }
    }

    #[test]
    fn an_upright_face_at_its_own_size_is_copied() {
        let frame = ramp(20, 12);
        let points = [[2.0, 2.0], [6.0, 2.0], [4.0, 4.0], [2.0, 6.0], [6.0, 6.0]];
        let landmarks = points.map(|[x, y]| [x + 3.0, y + 1.0]);
        let detection = Detection { bbox: BBox::default(), landmarks, score: 1.0 };
        let rule = CropRule::Similarity { size_px: 8, points_px: points, weights: [1.0; 5] };
        let mut out = vec![0.0; rule.len()];
        crop(&frame, &detection, &rule, &mut out);
        for (i, pixel) in out.chunks_exact(3).enumerate() {
            let expected = (i % 8 + 3 + 10 * (i / 8 + 1)) as f32;
            assert!((pixel[0] - expected).abs() < 1e-3, "pixel {i}: {pixel:?}");
        }
    }
}
