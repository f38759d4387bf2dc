//! The pyramid: which levels a frame has, and the area resize that makes levels and crops.
//!
//! Owns the levels' scales and sizes, and the resize: the mean over an integer window, as torch's `area` mode.
//! Refuses to interpolate: a window is whole pixels, and neighbouring windows may share one.
//! The sums are integers, so they are exact up to 2^24 and the mean is the reference's bit for bit.

use crate::frame::Frame;
use std::ops::AddAssign;

/// Side of P-Net's window, and so the smallest level, in pixels.
pub const WINDOW_PX: usize = 12;

/// One rescaled frame of the pyramid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Level pixels for one frame pixel.
    pub scale: f64,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The levels of a frame of `width x height`, the largest first; none if the frame is smaller than the face asked for.
///
/// `min_face_px` must be above 0 and `factor` within 0..1, both exclusive.
pub fn levels(
    width: usize,
    height: usize,
    min_face_px: f64,
    factor: f64,
) -> impl Iterator<Item = Level> {
    let mut scale = WINDOW_PX as f64 / min_face_px;
    // Both run on by multiplication, as in the reference: a power of the factor rounds otherwise.
    let mut shorter = width.min(height) as f64 * scale;
    std::iter::from_fn(move || {
        (shorter >= WINDOW_PX as f64).then(|| {
            let level = Level {
                scale,
                height: (height as f64 * scale + 1.0) as usize,
                width: (width as f64 * scale + 1.0) as usize,
            };
            scale *= factor;
            shorter *= factor;
            level
        })
    })
}

/// A rectangle of whole frame pixels, inside the frame: `x..x + width`, `y..y + height`, neither empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rect {
    /// First column.
    pub x: usize,
    /// First row.
    pub y: usize,
    /// Columns, at least 1.
    pub width: usize,
    /// Rows, at least 1.
    pub height: usize,
}

impl Rect {
    /// The whole frame.
    #[must_use]
    pub fn of(frame: &Frame) -> Self {
        Self { x: 0, y: 0, width: frame.width(), height: frame.height() }
    }
}

/// What becomes of a mean grey level 0..255: `(mean - offset) * scale`, in f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grey {
    /// Subtracted first.
    pub offset: f32,
    /// Multiplied then.
    pub scale: f32,
}

impl Grey {
    /// The grey level itself.
    pub const RAW: Self = Self { offset: 0.0, scale: 1.0 };
    /// What the three networks of the cascade take; the scale is a power of two, so it rounds nothing.
    pub const CASCADE: Self = Self { offset: 127.5, scale: 0.007_812_5 };
}

/// The area resize with its buffers; a warm one does not allocate.
#[derive(Clone, Debug, Default)]
pub struct AreaResize {
    /// For each output column, the first and the end of its window, in samples of a source row.
    windows: Vec<[u32; 2]>,
    /// For each output sample, the columns of its window.
    n_columns: Vec<f32>,
    /// Column sums of one output row; u16 holds 257 rows of 255.
    sums_u16: Vec<u16>,
    /// The same where a window is higher than that.
    sums_u32: Vec<u32>,
    /// Sums of one output row's windows.
    totals: Vec<i32>,
}

/// Pixels of 255 that an i32 can hold the sum of. The smallest level has 12 px a side, so a frame would need 70,000.
const MAX_WINDOW_PX: usize = i32::MAX as usize / 255;
/// Rows of 255 that a u16 can hold the sum of.
const MAX_U16_ROWS: usize = 257;

impl AreaResize {
    /// Resizes `rect` of `frame` to `out`, which holds `out_height * out_width * 3` values, HWC.
    ///
    /// # Panics
    /// If `out` is of another length, or as [`AreaResize::run_rows`].
    pub fn run(
        &mut self,
        frame: &Frame,
        rect: Rect,
        (out_height, out_width): (usize, usize),
        grey: Grey,
        out: &mut [f32],
    ) {
        assert_eq!(out.len(), out_height * out_width * 3);
        self.run_rows(frame, rect, (out_height, out_width), 0, grey, out);
    }

    /// The same for the output's rows from `first_row` on, as many as `out` holds.
    ///
    /// # Panics
    /// If the rectangle is empty or leaves the frame, `out` is not whole rows of the output, or a window has 8 million
    /// pixels.
    pub fn run_rows(
        &mut self,
        frame: &Frame,
        rect: Rect,
        (out_height, out_width): (usize, usize),
        first_row: usize,
        grey: Grey,
        out: &mut [f32],
    ) {
        assert!(rect.width > 0 && rect.height > 0, "empty rectangle");
        assert!(rect.x + rect.width <= frame.width() && rect.y + rect.height <= frame.height());
        let row = out_width * 3;
        assert!(out.len().is_multiple_of(row) && first_row + out.len() / row <= out_height);
        let side = |n_in: usize, n_out: usize| n_in.div_ceil(n_out.max(1)) + 1;
        assert!(side(rect.width, out_width) * side(rect.height, out_height) <= MAX_WINDOW_PX);
        self.windows.clear();
        self.windows.extend((0..out_width).map(|x| {
            let (first, end) = window(x, rect.width, out_width);
            [first as u32 * 3, end as u32 * 3]
        }));
        self.n_columns.clear();
        let columns = self.windows.iter().map(|[first, end]| ((end - first) / 3) as f32);
        self.n_columns.extend(columns.flat_map(|columns| [columns; 3]));
        self.totals.resize(out_width * 3, 0);
        for (y, out_row) in (first_row..).zip(out.chunks_exact_mut(row)) {
            let (first, end) = window(y, rect.height, out_height);
            let rows = (rect.y + first..rect.y + end).map(|row| {
                let start = (row * frame.width() + rect.x) * 3;
                &frame.rgb()[start..start + rect.width * 3]
            });
            let n_rows = end - first;
            if n_rows <= MAX_U16_ROWS {
                sum_rows(rows, &mut self.sums_u16);
                sum_columns(&self.sums_u16, &self.windows, &mut self.totals);
            } else {
                sum_rows(rows, &mut self.sums_u32);
                sum_columns(&self.sums_u32, &self.windows, &mut self.totals);
            }
            // First by the rows and then by the columns, as torch does; a pass of its own, since divisions of many
            // samples at once cost a quarter.
            let n_rows = n_rows as f32;
            for ((value, &total), columns) in
                out_row.iter_mut().zip(&self.totals).zip(&self.n_columns)
            {
                *value = (total as f32 / n_rows / columns - grey.offset) * grey.scale;
            }
        }
    }
}

/// First and end of output cell `i`'s window: `floor(i in / out) .. ceil((i + 1) in / out)`.
fn window(i: usize, n_in: usize, n_out: usize) -> (usize, usize) {
    (i * n_in / n_out, ((i + 1) * n_in).div_ceil(n_out))
}

/// Adds up rows of bytes, sample by sample.
fn sum_rows<'a, A>(mut rows: impl Iterator<Item = &'a [u8]>, sums: &mut Vec<A>)
where
    A: Copy + From<u8> + AddAssign,
{
    sums.clear();
    if let Some(row) = rows.next() {
        sums.extend(row.iter().map(|&sample| A::from(sample)));
    }
    for row in rows {
        for (sum, &sample) in sums.iter_mut().zip(row) {
            *sum += A::from(sample);
        }
    }
}

/// Adds up each window of column sums; a total stays below 2^31 ([`MAX_WINDOW_PX`]).
fn sum_columns<A: Copy + Into<u32>>(sums: &[A], windows: &[[u32; 2]], totals: &mut [i32]) {
    for (pixel, &[first, end]) in totals.as_chunks_mut::<3>().0.iter_mut().zip(windows) {
        let mut total = [0u32; 3];
        for sample in sums[first as usize..end as usize].as_chunks::<3>().0 {
            for (total, &sum) in total.iter_mut().zip(sample) {
                *total += sum.into();
            }
        }
        *pixel = total.map(|total| total as i32);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn levels_shrink_until_the_window_no_longer_fits() {
        let sizes: Vec<_> = levels(640, 480, 40.0, 0.709).map(|l| [l.height, l.width]).collect();
        assert_eq!(sizes[..2], [[145, 193], [103, 137]]);
        assert_eq!(sizes.last(), Some(&[13, 18]));
        assert_eq!(levels(39, 640, 40.0, 0.709).count(), 0);
        assert_eq!(levels(40, 40, 40.0, 0.709).count(), 1);
    }

    #[test]
    fn means_are_taken_over_whole_pixels() {
        let rgb = (0..5u8).flat_map(|x| [x * 10, 100, 200 - x]).collect::<Vec<_>>().repeat(2);
        let frame = Frame::from_rgb(5, 2, rgb).unwrap();
        let mut out = [0.0; 6];
        AreaResize::default().run(&frame, Rect::of(&frame), (1, 2), Grey::RAW, &mut out);
        // Five columns to two: windows 0..3 and 2..5 share the middle one.
        assert_eq!(out, [10.0, 100.0, 199.0, 30.0, 100.0, 197.0]);
    }

    #[test]
    fn rows_in_parts_are_the_rows_of_the_whole() {
        let rgb = (0..37 * 23 * 3).map(|i| (i * 31 % 251) as u8).collect();
        let frame = Frame::from_rgb(37, 23, rgb).unwrap();
        let (rect, size) = (Rect { x: 2, y: 1, width: 33, height: 21 }, (9, 13));
        let mut whole = vec![0.0; 9 * 13 * 3];
        AreaResize::default().run(&frame, rect, size, Grey::CASCADE, &mut whole);
        for rows in 1..9 {
            let (mut resize, mut parts) = (AreaResize::default(), vec![0.0; whole.len()]);
            for (i, part) in parts.chunks_mut(rows * 13 * 3).enumerate() {
                resize.run_rows(&frame, rect, size, i * rows, Grey::CASCADE, part);
            }
            assert_eq!(parts, whole, "{rows} rows at a time");
        }
    }

    #[test]
    fn high_windows_do_not_overflow() {
        let frame = Frame::from_rgb(2, 1000, vec![255; 6000]).unwrap();
        let mut out = [0.0; 3];
        AreaResize::default().run(&frame, Rect::of(&frame), (1, 1), Grey::RAW, &mut out);
        assert_eq!(out, [255.0; 3]);
    }
}
