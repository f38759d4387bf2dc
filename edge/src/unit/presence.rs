//! Whether a frame is worth a look for faces while nobody is there: detection is what an idle unit's power goes into.
//!
//! Owns a coarse picture of the last frame that was looked at. A frame is looked at if any part of it differs from that, and
//! anyway twice a second, so that whoever does not stir, or looks like the wall, is seen within half a second.
//! Refuses to say that somebody is there: detection does, and during a visit nobody asks here.

use threshold_models::frame::Frame;
use threshold_models::raw::{Pixels, RawFrame};

/// Longest time between two looks, milliseconds.
const LOOK_MS: u64 = 500;

/// Cells across and down: of 1280 x 720 each is 40 x 30 pixels, so that the smallest face looked for by default, 80 pixels,
/// fills at least two of them whole.
const CELLS: (usize, usize) = (32, 24);

/// Samples across a cell, and down: with a noise of 5 levels a pixel, the mean of a cell has one of 0.6.
const SAMPLES: usize = 8;

/// How much a cell's mean must have changed, of 255 levels. Ten times that noise; skin and hair before a wall give several times
/// as much.
const LEVELS: u8 = 6;

/// What the last look showed.
#[derive(Debug)]
pub(super) struct Presence {
    means: [u8; CELLS.0 * CELLS.1],
    looked_ms: Option<u64>,
}

impl Presence {
    /// Nothing was looked at.
    pub(super) fn new() -> Self {
        Self { means: [0; CELLS.0 * CELLS.1], looked_ms: None }
    }

    /// True if faces are to be looked for in this frame; it is what later ones are compared with then.
    pub(super) fn asks_for_a_look(&mut self, frame: &Frame) -> bool {
        let mut means = [0; CELLS.0 * CELLS.1];
        // One pixel in fifteen of 1280 x 720: no reason to make all of them RGB.
        let (size, pixels) = ([frame.width(), frame.height()], RawFrame::of(frame).pixels());
        for (place, mean) in means.iter_mut().enumerate() {
            *mean = cell_mean(&pixels, size, [place % CELLS.0, place / CELLS.0]);
        }
        let at_ms = frame.captured_at_ms;
        // A clock that went back is no reason to wait.
        let long = self.looked_ms.is_none_or(|looked_ms| looked_ms.abs_diff(at_ms) >= LOOK_MS);
        let stirs = means.iter().zip(&self.means).any(|(a, b)| a.abs_diff(*b) >= LEVELS);
        if long || stirs {
            (self.means, self.looked_ms) = (means, Some(at_ms));
        }
        long || stirs
    }
}

/// Mean of the green channel, which is most of the luma, over samples of a cell.
fn cell_mean(pixels: &Pixels<'_>, [width, height]: [usize; 2], [column, row]: [usize; 2]) -> u8 {
    let range = |nth: usize, cells: usize, px: usize| {
        let (from, to) = (nth * px / cells, ((nth + 1) * px / cells).min(px));
        (from..to.max(from + 1).min(px), ((to - from) / SAMPLES).max(1))
    };
    let ((xs, x_step), (ys, y_step)) = (range(column, CELLS.0, width), range(row, CELLS.1, height));
    pixels.mean_green([xs, ys], [x_step, y_step])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    /// A wall with noise of some levels, and a patch of another level on it.
    fn wall(at_ms: u64, noise: u8, patch: Option<(usize, usize, usize, u8)>) -> Frame {
        let (width, height) = (640, 480);
        let mut state = at_ms as u32 | 1;
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in 0..height {
            for x in 0..width {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let noise = (state >> 24) as u8 % (2 * noise + 1);
                let level = match patch {
                    Some((left, top, side, level))
                        if (left..left + side).contains(&x) && (top..top + side).contains(&y) =>
                    {
                        level
                    }
                    _ => 110,
                };
                rgb.extend([level + noise; 3]);
            }
        }
        let mut frame = Frame::from_rgb(width, height, rgb).unwrap();
        frame.captured_at_ms = at_ms;
        frame
    }

    #[test]
    fn a_still_wall_with_noise_is_looked_at_twice_a_second() {
        let mut presence = Presence::new();
        let looks = (0..100).filter(|i| presence.asks_for_a_look(&wall(i * 40, 8, None)));
        // Every 520 ms of the 4 s, since a frame comes every 40 ms.
        assert_eq!(looks.count(), 8);
    }

    #[test]
    fn a_face_anywhere_is_looked_at_at_once_and_so_is_its_going() {
        for (left, top) in [(0, 0), (600, 0), (0, 440), (613, 451), (301, 203)] {
            let mut presence = Presence::new();
            assert!(presence.asks_for_a_look(&wall(0, 8, None)));
            assert!(!presence.asks_for_a_look(&wall(40, 8, None)));
            // 30 levels off the wall, 40 pixels, or what of it is in the frame.
            let face = Some((left, top, 40, 140));
            assert!(presence.asks_for_a_look(&wall(80, 8, face)), "{left} {top}");
            assert!(!presence.asks_for_a_look(&wall(120, 8, face)));
            assert!(presence.asks_for_a_look(&wall(160, 8, None)));
        }
    }

    #[test]
    fn who_comes_slowly_is_compared_with_the_last_look_and_not_with_the_last_frame() {
        let mut presence = Presence::new();
        assert!(presence.asks_for_a_look(&wall(0, 0, None)));
        let slowly = |i: u64| wall(i * 20, 0, Some((200, 200, 80, 110 + i as u8)));
        let first = (1..).find(|&i| presence.asks_for_a_look(&slowly(i)));
        assert_eq!(first, Some(u64::from(LEVELS)));
    }

    #[test]
    fn any_size_of_frame_and_a_clock_that_goes_back_are_taken() {
        let mut presence = Presence::new();
        for (width, height, at_ms) in [(1, 1, 5_000), (7, 3, 4_000), (33, 25, 0), (1280, 2, 900)] {
            let rgb = vec![7; width * height * 3];
            let mut frame = Frame::from_rgb(width, height, rgb).unwrap();
            frame.captured_at_ms = at_ms;
            assert!(presence.asks_for_a_look(&frame));
        }
    }
}
