//! What stands before the board's camera: people from the photos that set-up fetched, and an empty room.
//!
//! Owns the camera's geometry and its pixels: YUYV, BT.601, limited range, as V4L2 means it where a driver says nothing
//! else.

use anyhow::{Context as _, Result};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use serde_json::Value;
use std::path::Path;

/// Width of the camera's frames.
pub(super) const WIDTH_PX: u32 = 640;

/// Height of the camera's frames.
pub(super) const HEIGHT_PX: u32 = 480;

/// Height of a face before the camera: somebody at arm's length. Large, so that the detector may look for large faces
/// only, which is what makes a frame quick on an emulated processor.
const FACE_PX: f64 = 260.0;

/// The wall behind whoever stands there.
const WALL: Rgb<u8> = Rgb([150, 152, 148]);

/// A frame with the one person of a photo, whose face is there as `threshold detect --json` told.
///
/// # Errors
/// If there is no face, or the photo cannot be read.
pub(super) fn person(photo: &Path, detected: &Value) -> Result<RgbImage> {
    let side = |index: usize| detected["pictures"][0]["faces"][0]["box"][index].as_f64();
    let [left, top, right, bottom] = [0, 1, 2, 3].map(side);
    let (left, top) = left.zip(top).context("no face was detected")?;
    let (right, bottom) = right.zip(bottom).context("no face was detected")?;
    let photo = image::open(photo).with_context(|| format!("reading {}", photo.display()))?;
    let scale = FACE_PX / (bottom - top);
    let scaled = |length: f64| (length * scale).round();
    let (width, height) = (f64::from(photo.width()), f64::from(photo.height()));
    let (width, height) = (scaled(width) as u32, scaled(height) as u32);
    let small = imageops::resize(&photo.into_rgb8(), width, height, FilterType::Triangle);
    let mut frame = empty_room();
    let x = f64::from(WIDTH_PX) / 2.0 - scaled((left + right) / 2.0);
    let y = f64::from(HEIGHT_PX) / 2.0 - scaled((top + bottom) / 2.0);
    imageops::overlay(&mut frame, &small, x as i64, y as i64);
    Ok(frame)
}

/// Nobody.
pub(super) fn empty_room() -> RgbImage {
    RgbImage::from_fn(WIDTH_PX, HEIGHT_PX, |x, y| match (x, y) {
        (_, 400..) => Rgb([104, 98, 92]),
        (440..580, 120..) => Rgb([112, 86, 60]),
        _ => WALL,
    })
}

/// The frame's bytes: two pixels in four, luma of each and the mean of their chroma.
pub(super) fn yuyv(frame: &RgbImage) -> Vec<u8> {
    let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    let pixels: Vec<[f32; 3]> = frame.pixels().map(|pixel| yuv(pixel.0)).collect();
    let (pairs, _) = pixels.as_chunks::<2>();
    pairs
        .iter()
        .flat_map(|[first, second]| {
            let mean = |channel: usize| f32::midpoint(first[channel], second[channel]);
            [byte(first[0]), byte(mean(1)), byte(second[0]), byte(mean(2))]
        })
        .collect()
}

/// BT.601, limited range: luma 16 to 235, chroma about 128 (ITU-R BT.601-7, 2.5.3).
fn yuv(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(f32::from);
    let luma = 0.299 * r + 0.587 * g + 0.114 * b;
    let (blue, red) = ((b - luma) / 1.772, (r - luma) / 1.402);
    [16.0 + luma * 219.0 / 255.0, 128.0 + blue * 224.0 / 255.0, 128.0 + red * 224.0 / 255.0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_have_the_values_that_bt_601_gives() {
        let frame = RgbImage::from_fn(2, 3, |_, y| match y {
            0 => Rgb([255, 255, 255]),
            1 => Rgb([0, 0, 0]),
            _ => Rgb([255, 0, 0]),
        });
        let expected = [235, 128, 235, 128, 16, 128, 16, 128, 81, 90, 81, 240];
        assert_eq!(yuyv(&frame), expected);
    }
}
