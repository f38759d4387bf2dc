//! Further frames of a picture: what a camera would have seen a moment earlier or later.
//!
//! Owns the changes: a small shift, another brightness, a blur. They stand in for the frames of a visit where a person has
//! too few pictures, and every table that rests on them says so.
//! Refuses to pass for a camera: pose, expression and light from another side do not change, so frames made here agree
//! with each other more than a visit's do, and what k of n gains on them is a lower bound.

use crate::frame::{Frame, FrameSizeError};

/// What one further frame is changed by.
struct Change {
    /// Columns and rows to the right and down, in thousandths of the width.
    shift: [i32; 2],
    /// Brightness, in 256ths.
    gain: u32,
    /// Passes of a 3 x 3 binomial filter, each a blur of 0.7 px.
    blurs: usize,
}

const CHANGES: [Change; 4] = [
    Change { shift: [20, -12], gain: 218, blurs: 0 },
    Change { shift: [-24, 16], gain: 256, blurs: 2 },
    Change { shift: [8, 24], gain: 294, blurs: 1 },
    Change { shift: [-12, -20], gain: 192, blurs: 3 },
];

/// Frames that a picture gives: itself and those made of it.
pub const FRAMES_MAX: usize = 1 + CHANGES.len();

/// Frame `idx` of a picture; 0 is the picture itself, and there is none from [`FRAMES_MAX`] on.
///
/// # Errors
/// [`FrameSizeError`] for a picture that is no frame; does not happen with one that was read.
pub fn frame_of(picture: &Frame, idx: usize) -> Result<Option<Frame>, FrameSizeError> {
    let change = match idx.checked_sub(1) {
        None => return Ok(Some(picture.clone())),
        Some(made) => CHANGES.get(made),
    };
    let Some(change) = change else { return Ok(None) };
    let (width, height) = (picture.width(), picture.height());
    let mut rgb = shifted(picture, change);
    for _ in 0..change.blurs {
        rgb = blurred(&rgb, width, height);
    }
    Frame::from_rgb(width, height, rgb).map(Some)
}

/// Shifted and brightened; what comes in at an edge is the edge's own pixel.
fn shifted(picture: &Frame, change: &Change) -> Vec<u8> {
    let (width, height) = (picture.width(), picture.height());
    let [dx, dy] = change.shift.map(|part| part as isize * width as isize / 1000);
    let from =
        |at: usize, by: isize, len: usize| at.saturating_add_signed(-by).min(len.saturating_sub(1));
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let row = from(y, dy, height) * width;
        for x in 0..width {
            let pixel = (row + from(x, dx, width)) * 3;
            let values = picture.rgb().get(pixel..pixel + 3).unwrap_or_default();
            rgb.extend(
                values.iter().map(|&v| ((u32::from(v) * change.gain + 128) >> 8).min(255) as u8),
            );
        }
    }
    rgb
}

/// One pass of the binomial filter 1 2 1 along columns and rows.
fn blurred(rgb: &[u8], width: usize, height: usize) -> Vec<u8> {
    let at = |x: usize, y: usize, c: usize| u32::from(rgb[(y * width + x) * 3 + c]);
    let mut out = Vec::with_capacity(rgb.len());
    for y in 0..height {
        let (up, down) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            for c in 0..3 {
                let row = |y: usize| at(left, y, c) + 2 * at(x, y, c) + at(right, y, c);
                out.push(((row(up) + 2 * row(y) + row(down) + 8) / 16) as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn further_frames_are_the_picture_shifted_brightened_and_blurred() {
        let mut rgb = vec![0; 100 * 80 * 3];
        rgb[(40 * 100 + 50) * 3] = 200;
        let picture = Frame::from_rgb(100, 80, rgb).unwrap();
        assert_eq!(frame_of(&picture, 0).unwrap().unwrap().rgb(), picture.rgb());
        assert!(frame_of(&picture, FRAMES_MAX).unwrap().is_none());
        let first = frame_of(&picture, 1).unwrap().unwrap();
        // 20 and -12 thousandths of 100 px: 2 to the right, 1 up; 200 * 218 / 256.
        assert_eq!(first.rgb()[(39 * 100 + 52) * 3], 170);
        let second = frame_of(&picture, 2).unwrap().unwrap();
        let sum: u32 = second.rgb().iter().map(|&v| u32::from(v)).sum();
        assert!((180..=220).contains(&sum), "a blur keeps the light: {sum}");
        assert!(second.rgb().iter().all(|&v| v < 60), "and spreads it");
    }
}
