//! A picture of one shade: a covered lens, or no light.
//!
//! It is a notice and no fault: an unlit corridor looks like that every night, and nobody is admitted by such a picture.
//! One without any noise repeats itself, which is a fault of its own (`freeze`).

use threshold_models::frame::Frame;
use threshold_models::raw::RawFrame;

/// Tiles a side; the mean of each hides the noise of a sensor in the dark.
const TILES: usize = 8;

/// Every so many columns and rows one pixel is looked at.
const STEP: usize = 8;

/// The most that the tiles' means of one shade differ by, levels: a covered lens is darker towards its edges.
const SPREAD: u32 = 8;

/// One shade for so long is told.
const TOLD_MS: u64 = 10_000;

/// Whether there is anything in the picture.
#[derive(Debug, Default)]
pub(super) struct Shade {
    since_ms: Option<u64>,
    told: bool,
}

impl Shade {
    /// Looks at a frame; true once for each time that it stays of one shade.
    pub(super) fn look(&mut self, frame: &Frame) -> bool {
        if !is_one(frame) {
            *self = Self::default();
            return false;
        }
        let since_ms = *self.since_ms.get_or_insert(frame.captured_at_ms);
        let due = frame.captured_at_ms.saturating_sub(since_ms) >= TOLD_MS;
        due && !std::mem::replace(&mut self.told, due)
    }
}

/// Whether all tiles have about the same mean of green, which is most of what a sensor sees.
fn is_one(frame: &Frame) -> bool {
    let (width, height) = (frame.width(), frame.height());
    let pixels = RawFrame::of(frame).pixels();
    let mut tiles = [(0_u32, 0_u32); TILES * TILES];
    for y in (0..height).step_by(STEP) {
        for x in (0..width).step_by(STEP) {
            let tile = &mut tiles[y * TILES / height * TILES + x * TILES / width];
            let [_, green, _] = pixels.at(x, y);
            *tile = (tile.0 + u32::from(green), tile.1 + 1);
        }
    }
    let means = || tiles.iter().filter_map(|&(sum, count)| sum.checked_div(count));
    let (least, most) = (means().min().unwrap_or(0), means().max().unwrap_or(0));
    most - least <= SPREAD
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    /// A frame of that size whose grey levels are a function of the place.
    fn frame(width: usize, height: usize, grey: impl Fn(usize, usize) -> usize) -> Frame {
        let mut rgb = Vec::new();
        for y in 0..height {
            for x in 0..width {
                rgb.extend([grey(x, y) as u8; 3]);
            }
        }
        Frame::from_rgb(width, height, rgb).unwrap()
    }

    #[test]
    fn noise_is_of_one_shade_and_anything_large_is_not() {
        // Noise of 0 to 30 levels, without a period that the steps meet.
        let noise = |x: usize, y: usize| (x * x * 31 + y * y * 17 + x * y * 7) % 31;
        for (grey, expected) in [
            (Box::new(|_, _| 16_usize) as Box<dyn Fn(usize, usize) -> usize>, true),
            (Box::new(noise), true),
            (Box::new(move |x, y| noise(x, y) + if x > 480 { 40 } else { 0 }), false),
            (Box::new(|x, _| x / 8), false),
        ] {
            assert_eq!(is_one(&frame(640, 480, grey)), expected);
        }
        for (width, height) in [(1, 1), (3, 9), (64, 64)] {
            assert!(is_one(&frame(width, height, |_, _| 200)));
        }
    }

    #[test]
    fn one_shade_is_told_once_until_there_is_something_again() {
        let mut shade = Shade::default();
        let mut told = Vec::new();
        for second in 0..40 {
            let mut frame = frame(64, 64, |x, _| if second == 20 { x * 3 } else { 9 });
            frame.captured_at_ms = second * 1000;
            if shade.look(&frame) {
                told.push(second);
            }
        }
        assert_eq!(told, [10, 31]);
    }
}
