//! Source crops: what a vault keeps of a photo, so that templates can be made again by any model.
//!
//! ```text
//!  0 version u8 (1) | 1 quality u8, percent
//!  2 box x1, y1, x2, y2 f32 | 18 landmarks, five of x, y f32 | 58 score f32      in pixels of the crop
//! 62 the pixels, PNG
//! ```
//! Little endian. The crop is the square about the box, grown twice and clipped to the photo, so that every crop rule finds in it
//! what it found in the photo; at most 512 px a side, and pixel for pixel the photo's where the face is no larger than 256 px.
//! PNG and not JPEG: a template made anew is then the same, byte for byte, and a photo that was lossy is not made lossy twice.

use super::VaultError;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder as _};
use threshold_models::crop::resize_area;
use threshold_models::engine::{BBox, Detection};
use threshold_models::frame::Frame;
use threshold_models::picture;

/// The longest side of a source crop.
pub const MAX_CROP_PX: usize = 512;

const VERSION: u8 = 1;
const HEAD: usize = 62;

/// A face with what is around it.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceCrop {
    /// Its pixels.
    pub frame: Frame,
    /// The face in it.
    pub face: Detection,
    /// Quality of the photo, percent.
    pub quality: u8,
}

impl SourceCrop {
    /// Cuts a face out of its photo.
    ///
    /// # Errors
    /// [`VaultError::Crop`] for a box that is none.
    pub fn cut(photo: &Frame, face: &Detection, quality: u8) -> Result<Self, VaultError> {
        let BBox { x1, y1, x2, y2 } = face.bbox;
        let side = (x2 - x1).max(y2 - y1);
        let (x, y) = ((x1 + x2) / 2.0, (y1 + y2) / 2.0);
        if !(side.is_finite() && side > 0.0 && x.is_finite() && y.is_finite()) {
            return Err(VaultError::Crop("its box has no area".to_owned()));
        }
        // `as` saturates below at 0.
        let span = |centre: f32, limit: usize| {
            let first = ((centre - side).floor() as usize).min(limit - 1);
            let end = ((centre + side).ceil() as usize).clamp(first + 1, limit);
            (first, end)
        };
        let ((left, right), (top, bottom)) = (span(x, photo.width()), span(y, photo.height()));
        let (width, height) = (right - left, bottom - top);
        let longest = width.max(height);
        let scaled = |side: usize| match longest > MAX_CROP_PX {
            true => ((side * MAX_CROP_PX + longest / 2) / longest).max(1),
            false => side,
        };
        let (out_width, out_height) = (scaled(width), scaled(height));
        let rgb = if longest > MAX_CROP_PX {
            let mut values = vec![0.0; out_width * out_height * 3];
            resize_area(photo, [left, top, right, bottom], (out_height, out_width), &mut values);
            values.into_iter().map(|value| value.round() as u8).collect()
        } else {
            let row = |y: usize| {
                let start = (y * photo.width() + left) * 3;
                &photo.rgb()[start..start + width * 3]
            };
            (top..bottom).flat_map(row).copied().collect()
        };
        let frame = Frame::from_rgb(out_width, out_height, rgb);
        let frame = frame.map_err(|error| VaultError::Crop(error.to_string()))?;
        let (sx, sy) = (out_width as f32 / width as f32, out_height as f32 / height as f32);
        let (left, top) = (left as f32, top as f32);
        let bbox = BBox {
            x1: (x1 - left) * sx,
            y1: (y1 - top) * sy,
            x2: (x2 - left) * sx,
            y2: (y2 - top) * sy,
        };
        // A box has edges between pixels, a landmark lies on one.
        let landmarks =
            face.landmarks.map(|[x, y]| [(x - left + 0.5) * sx - 0.5, (y - top + 0.5) * sy - 0.5]);
        Ok(Self { frame, face: Detection { bbox, landmarks, score: face.score }, quality })
    }

    /// Its bytes.
    ///
    /// # Errors
    /// [`VaultError::Crop`] if it cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, VaultError> {
        let BBox { x1, y1, x2, y2 } = self.face.bbox;
        let mut bytes = vec![VERSION, self.quality];
        let points = self.face.landmarks.as_flattened();
        for value in [x1, y1, x2, y2].iter().chain(points).chain([&self.face.score]) {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        let encoder =
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive);
        let (width, height) = (self.frame.width() as u32, self.frame.height() as u32);
        encoder
            .write_image(self.frame.rgb(), width, height, ExtendedColorType::Rgb8)
            .map_err(|error| VaultError::Crop(error.to_string()))?;
        Ok(bytes)
    }

    /// A crop from its bytes; `None` for others.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, png) = bytes.split_at_checked(HEAD)?;
        let (values, _) = head.get(2..)?.as_chunks();
        let values: Vec<f32> = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let [x1, y1, x2, y2, points @ .., score] = &values[..] else { return None };
        let (points, _) = points.as_chunks();
        let landmarks = points.try_into().ok()?;
        let bbox = BBox { x1: *x1, y1: *y1, x2: *x2, y2: *y2 };
        let sound = head[0] == VERSION && head[1] <= 100 && values.iter().all(|v| v.is_finite());
        let frame = picture::decode(png).ok().filter(|_| sound)?;
        Some(Self { frame, face: Detection { bbox, landmarks, score: *score }, quality: head[1] })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::crop::{CropRule, crop};

    /// A frame whose pixels all differ from their neighbours, and a face in it.
    fn face(width: usize, height: usize, edges: [f32; 4]) -> (Frame, Detection) {
        let value = |i: usize| {
            let (x, y) = (i / 3 % width, i / 3 / width);
            // Smooth, so that it may be scaled, and without a symmetry.
            (128.0
                + 60.0 * (x as f32 / 31.0).sin()
                + 60.0 * (y as f32 / 17.0 + i as f32 % 3.0).sin()) as u8
        };
        let rgb = (0..width * height * 3).map(value).collect();
        let [x1, y1, x2, y2] = edges;
        let place = |[x, y]: [f32; 2]| [x1 + x * (x2 - x1), y1 + y * (y2 - y1)];
        let landmarks =
            [[0.3, 0.4], [0.7, 0.41], [0.5, 0.6], [0.35, 0.75], [0.65, 0.76]].map(place);
        let face = Detection { bbox: BBox { x1, y1, x2, y2 }, landmarks, score: 0.9 };
        (Frame::from_rgb(width, height, rgb).unwrap(), face)
    }

    fn rules() -> [CropRule; 2] {
        // FaceNet's, and dlib's.
        let points_px =
            [[47.97, 45.79], [101.87, 45.96], [74.93, 78.26], [50.81, 104.67], [98.21, 104.73]];
        [
            CropRule::SquaredBox { size_px: 160, margin_px: 32.0 },
            CropRule::Similarity { size_px: 150, points_px, weights: [1.0, 1.0, 0.25, 0.25, 0.25] },
        ]
    }

    /// The largest difference of grey levels between what a rule takes from photo and crop.
    fn furthest(photo: &Frame, face: &Detection, kept: &SourceCrop, rule: &CropRule) -> f32 {
        let (mut a, mut b) = (vec![0.0; rule.len()], vec![0.0; rule.len()]);
        crop(photo, face, rule, &mut a);
        crop(&kept.frame, &kept.face, rule, &mut b);
        a.iter().zip(&b).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
    }

    #[test]
    fn every_rule_takes_from_the_crop_what_it_took_from_the_photo() {
        // In the middle, narrow, at an edge of the photo, and sticking out of it.
        for edges in [
            [200.0, 150.0, 320.0, 300.5],
            [300.25, 100.0, 350.0, 260.0],
            [5.0, 8.0, 120.0, 160.0],
            [520.0, 380.0, 660.0, 500.0],
        ] {
            let (photo, face) = face(640, 480, edges);
            let kept = SourceCrop::cut(&photo, &face, 80).unwrap();
            assert!(kept.frame.width().max(kept.frame.height()) <= MAX_CROP_PX);
            let again = SourceCrop::from_bytes(&kept.to_bytes().unwrap()).unwrap();
            assert_eq!(again, kept, "{edges:?}");
            for rule in rules() {
                let most = furthest(&photo, &face, &kept, &rule);
                // Places are rounded otherwise nearer to 0.
                assert!(most < 0.05, "{edges:?}: {most} grey levels, {rule:?}");
            }
        }
    }

    #[test]
    fn a_large_face_is_scaled_with_its_box_and_landmarks() {
        let (photo, face) = face(1600, 1200, [500.0, 300.0, 900.0, 800.0]);
        let kept = SourceCrop::cut(&photo, &face, 80).unwrap();
        assert_eq!((kept.frame.width(), kept.frame.height()), (512, 512));
        for rule in rules() {
            let most = furthest(&photo, &face, &kept, &rule);
            // Edges at other whole pixels: two of the photo, over which its values change by 3.5 each.
            assert!(most < 8.0, "{most} grey levels, {rule:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_crop_and_boxes_that_are_none_are_refused() {
        let (photo, mut face) = face(64, 64, [10.0, 10.0, 50.0, 50.0]);
        let bytes = SourceCrop::cut(&photo, &face, 80).unwrap().to_bytes().unwrap();
        for cut in [0, 1, HEAD - 1, HEAD, HEAD + 20, bytes.len() / 2] {
            assert_eq!(SourceCrop::from_bytes(&bytes[..cut]), None, "cut at {cut}");
        }
        for (at, value) in [(0, 2), (1, 101), (5, 0xff)] {
            let mut bad = bytes.clone();
            bad[at] = value;
            bad[4] |= if at == 5 { 0x80 } else { 0 };
            assert_eq!(SourceCrop::from_bytes(&bad), None, "byte {at}");
        }
        face.bbox.x2 = f32::NAN;
        assert!(SourceCrop::cut(&photo, &face, 80).is_err());
        face.bbox = BBox { x1: 9.0, y1: 9.0, x2: 9.0, y2: 9.0 };
        assert!(SourceCrop::cut(&photo, &face, 80).is_err());
    }
}
