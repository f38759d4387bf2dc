//! A frame as the camera gave it: the pixel formats of V4L2 that a unit takes, and the way from YUV to RGB.
//!
//! Owns the conversion, in integers, so that every engine has the same bytes: `kernels/cuda/frame.cuh` says it again for the
//! GPU; and the pixels one by one, for whoever needs few of them. Refuses to guess: matrix and range are the driver's to report, and BT.601 limited where it reports none.

use crate::frame::Frame;

/// How a frame's bytes are laid out; the names are V4L2's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Three bytes a pixel: red, green, blue.
    Rgb24,
    /// One byte a pixel.
    Grey,
    /// Two pixels in four bytes: Y U Y V.
    Yuyv,
    /// Two pixels in four bytes: U Y V Y.
    Uyvy,
    /// A plane of Y, then one of U V for each 2 x 2 pixels.
    Nv12,
}

impl PixelFormat {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Rgb24, Self::Grey, Self::Yuyv, Self::Uyvy, Self::Nv12];

    /// The fewest bytes from one row to the next.
    #[must_use]
    pub const fn stride(self, width: usize) -> usize {
        match self {
            Self::Rgb24 => width * 3,
            Self::Grey => width,
            Self::Yuyv | Self::Uyvy => width.div_ceil(2) * 4,
            Self::Nv12 => width.next_multiple_of(2),
        }
    }

    /// Bytes of a frame whose rows are `stride` bytes apart.
    #[must_use]
    pub const fn len(self, height: usize, stride: usize) -> usize {
        match self {
            Self::Nv12 => (height + height.div_ceil(2)) * stride,
            _ => height * stride,
        }
    }
}

/// Which weights of red and blue make luma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Matrix {
    /// ITU-R BT.601: 0.299 and 0.114.
    #[default]
    Bt601,
    /// ITU-R BT.709: 0.2126 and 0.0722.
    Bt709,
}

/// Which bytes are black and white.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Range {
    /// Luma 16 to 235, chroma 16 to 240.
    #[default]
    Limited,
    /// 0 to 255.
    Full,
}

/// How a camera's YUV becomes RGB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Colour {
    /// The matrix.
    pub matrix: Matrix,
    /// The range.
    pub range: Range,
}

/// The conversion in 1/65536: `red = y_gain (Y - y_offset) + v_to_red (V - 128)`, and so on, rounded and clamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    /// Black.
    pub y_offset: i32,
    /// Factor of luma.
    pub y_gain: i32,
    /// Factor of V in red.
    pub v_to_red: i32,
    /// Factor of U in green, negative.
    pub u_to_green: i32,
    /// Factor of V in green, negative.
    pub v_to_green: i32,
    /// Factor of U in blue.
    pub u_to_blue: i32,
}

impl Colour {
    /// Its factors (ITU-R BT.601-7, section 2.5; BT.709-6, item 3).
    #[must_use]
    pub fn conversion(self) -> Conversion {
        let (red, blue) = match self.matrix {
            Matrix::Bt601 => (0.299, 0.114),
            Matrix::Bt709 => (0.2126, 0.0722),
        };
        let green = 1.0 - red - blue;
        let (y_offset, luma, chroma) = match self.range {
            Range::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            Range::Full => (0, 1.0, 1.0),
        };
        let fixed = |factor: f64| (factor * 65536.0).round() as i32;
        Conversion {
            y_offset,
            y_gain: fixed(luma),
            v_to_red: fixed(2.0 * (1.0 - red) * chroma),
            u_to_green: fixed(-2.0 * (1.0 - blue) * blue / green * chroma),
            v_to_green: fixed(-2.0 * (1.0 - red) * red / green * chroma),
            u_to_blue: fixed(2.0 * (1.0 - blue) * chroma),
        }
    }
}

impl Conversion {
    /// One pixel.
    #[must_use]
    pub fn rgb(&self, y: u8, u: u8, v: u8) -> [u8; 3] {
        self.with_chroma(y, self.chroma(u, v))
    }

    /// What a sample of chroma adds to red, green and blue of its pixels.
    fn chroma(&self, u: u8, v: u8) -> [i32; 3] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        [v * self.v_to_red, u * self.u_to_green + v * self.v_to_green, u * self.u_to_blue]
    }

    fn with_chroma(&self, y: u8, chroma: [i32; 3]) -> [u8; 3] {
        let luma = (i32::from(y) - self.y_offset) * self.y_gain + 32768;
        chroma.map(|chroma| ((luma + chroma) >> 16).clamp(0, 255) as u8)
    }

    /// A row of pixels, of which each two share a sample of chroma. The last pair of an odd width is half a one.
    fn row(&self, rgb: &mut [u8], mut pairs: impl Iterator<Item = ([u8; 2], [u8; 2])>) {
        let (whole, half) = rgb.as_chunks_mut();
        for (pixels, ([first, second], [u, v])) in whole.iter_mut().zip(&mut pairs) {
            let chroma = self.chroma(u, v);
            let ([r, g, b], [r2, g2, b2]) =
                (self.with_chroma(first, chroma), self.with_chroma(second, chroma));
            *pixels = [r, g, b, r2, g2, b2];
        }
        if let ([r, g, b], Some(([last, _], [u, v]))) = (half, pairs.next()) {
            [*r, *g, *b] = self.rgb(last, u, v);
        }
    }
}

/// Bytes that are not a frame of that format and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawFrameError {
    /// No pixels.
    #[error("a frame of {width} x {height} has no pixels; check the camera's format")]
    Empty {
        /// Columns.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Rows that are nearer to each other than they are long.
    #[error("rows {found} bytes apart, {format:?} needs {needed}; check the camera's format")]
    Stride {
        /// The format.
        format: PixelFormat,
        /// The fewest.
        needed: usize,
        /// What was said.
        found: usize,
    },
    /// A frame that ends too early.
    #[error("{found} bytes of a frame, {format:?} needs {needed}; the camera sent a part of it")]
    TooShort {
        /// The format.
        format: PixelFormat,
        /// The fewest.
        needed: usize,
        /// What there was.
        found: usize,
    },
}

/// How a frame's bytes are to be read. Holding one proves that there are pixels and that a row fits its stride.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    format: PixelFormat,
    width: usize,
    height: usize,
    stride: usize,
    colour: Colour,
}

impl PixelLayout {
    /// Rows that are `stride` bytes apart.
    ///
    /// # Errors
    /// [`RawFrameError`] if there are no pixels, or a row does not fit its stride.
    pub fn new(
        format: PixelFormat,
        [width, height]: [usize; 2],
        stride: usize,
        colour: Colour,
    ) -> Result<Self, RawFrameError> {
        if width == 0 || height == 0 {
            return Err(RawFrameError::Empty { width, height });
        }
        let needed = format.stride(width);
        if stride < needed {
            return Err(RawFrameError::Stride { format, needed, found: stride });
        }
        Ok(Self { format, width, height, stride, colour })
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// True if the bytes are the RGB, without anything between the rows.
    pub(crate) fn is_rgb(&self) -> bool {
        self.format == PixelFormat::Rgb24 && self.stride == self.width * 3
    }

    /// As many of the bytes as the size needs.
    pub(crate) fn of<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], RawFrameError> {
        let (format, needed) = (self.format, self.format.len(self.height, self.stride));
        let found = bytes.len();
        bytes.get(..needed).ok_or(RawFrameError::TooShort { format, needed, found })
    }
}

/// Bytes of a camera with what they mean. Holding one proves that there are as many as the size needs.
#[derive(Clone, Copy, Debug)]
pub struct RawFrame<'a> {
    layout: PixelLayout,
    bytes: &'a [u8],
}

impl<'a> RawFrame<'a> {
    /// A frame whose rows are `stride` bytes apart; bytes behind the last row are left alone.
    ///
    /// # Errors
    /// [`RawFrameError`] if the frame is empty, a row does not fit its stride, or bytes are missing.
    pub fn new(
        format: PixelFormat,
        size: [usize; 2],
        stride: usize,
        colour: Colour,
        bytes: &'a [u8],
    ) -> Result<Self, RawFrameError> {
        let layout = PixelLayout::new(format, size, stride, colour)?;
        Ok(Self { layout, bytes: layout.of(bytes)? })
    }

    /// A frame's bytes as they came.
    #[must_use]
    pub fn of(frame: &'a Frame) -> Self {
        let (layout, bytes) = frame.as_it_came();
        Self { layout, bytes }
    }

    /// Its layout.
    #[must_use]
    pub fn format(&self) -> PixelFormat {
        self.layout.format
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.layout.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.layout.height
    }

    /// Bytes from row to row.
    #[must_use]
    pub fn stride(&self) -> usize {
        self.layout.stride
    }

    /// How it becomes RGB.
    #[must_use]
    pub fn colour(&self) -> Colour {
        self.layout.colour
    }

    /// The bytes, as many as the size needs.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes row by row, those of chroma behind those of luma, without what lies between the rows.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> {
        let len = self.format().stride(self.width());
        self.bytes.chunks_exact(self.stride()).map(move |row| &row[..len])
    }

    /// Its pixels, for whoever reads few of them.
    #[must_use]
    pub fn pixels(&self) -> Pixels<'a> {
        Pixels { frame: *self, conversion: self.colour().conversion() }
    }

    /// The same as RGB; chroma is taken from the nearest sample.
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        let mut rgb = Vec::new();
        self.write_rgb(&mut rgb);
        // As many bytes as the size needs, by construction, and neither side is zero.
        Frame::from_rgb(self.width(), self.height(), rgb)
            .unwrap_or_else(|fault| unreachable!("{fault}"))
    }

    /// Makes `rgb` the frame's RGB, as [`RawFrame::to_frame`] has it; nothing is allocated if it held a frame of that size.
    pub(crate) fn write_rgb(&self, rgb: &mut Vec<u8>) {
        let PixelLayout { format, width, height, stride, colour } = self.layout;
        let conversion = colour.conversion();
        rgb.resize(width * height * 3, 0);
        for (y, out) in rgb.chunks_exact_mut(width * 3).enumerate() {
            let row = &self.bytes[y * stride..][..format.stride(width)];
            match format {
                PixelFormat::Rgb24 => out.copy_from_slice(row),
                PixelFormat::Grey => {
                    for (pixel, &grey) in out.chunks_exact_mut(3).zip(row) {
                        pixel.fill(grey);
                    }
                }
                PixelFormat::Yuyv => {
                    conversion.row(out, fours(row).map(|[a, u, b, v]| ([a, b], [u, v])));
                }
                PixelFormat::Uyvy => {
                    conversion.row(out, fours(row).map(|[u, a, v, b]| ([a, b], [u, v])));
                }
                PixelFormat::Nv12 => {
                    let chroma = &self.bytes[(height + y / 2) * stride..];
                    conversion.row(out, twos(row).zip(twos(chroma)));
                }
            }
        }
    }
}

/// A frame's pixels one by one: what few of them take is no way to RGB for all.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    frame: RawFrame<'a>,
    conversion: Conversion,
}

impl Pixels<'_> {
    /// Red, green and blue of a pixel, as [`RawFrame::to_frame`] has them.
    ///
    /// # Panics
    /// If it lies outside the frame.
    #[must_use]
    pub fn at(&self, x: usize, y: usize) -> [u8; 3] {
        let RawFrame { layout: PixelLayout { format, width, height, stride, .. }, bytes } =
            self.frame;
        assert!(x < width && y < height, "pixel {x}, {y} of {width} x {height}");
        let row = &bytes[y * stride..];
        let four = || &row[x / 2 * 4..][..4];
        match format {
            PixelFormat::Rgb24 => [row[3 * x], row[3 * x + 1], row[3 * x + 2]],
            PixelFormat::Grey => [row[x]; 3],
            PixelFormat::Yuyv => self.conversion.rgb(four()[x % 2 * 2], four()[1], four()[3]),
            PixelFormat::Uyvy => self.conversion.rgb(four()[x % 2 * 2 + 1], four()[0], four()[2]),
            PixelFormat::Nv12 => {
                let chroma = &bytes[(height + y / 2) * stride + x / 2 * 2..];
                self.conversion.rgb(row[x], chroma[0], chroma[1])
            }
        }
    }

    /// The mean of the green channel over one pixel in `step` across and down of a rectangle; 0 if there is none.
    ///
    /// # Panics
    /// If the rectangle reaches beyond the frame, or a step is 0.
    #[must_use]
    pub fn mean_green(&self, [xs, ys]: [std::ops::Range<usize>; 2], step: [usize; 2]) -> u8 {
        let (mut sum, mut count) = (0u64, 0u64);
        let RawFrame { layout: PixelLayout { format, width, stride, .. }, bytes } = self.frame;
        for y in ys.step_by(step[1]) {
            let xs = xs.clone().step_by(step[0]);
            count += xs.len() as u64;
            sum += match format {
                PixelFormat::Rgb24 => {
                    let row = &bytes[y * stride..][..3 * width];
                    xs.map(|x| u64::from(row[3 * x + 1])).sum::<u64>()
                }
                _ => xs.map(|x| u64::from(self.at(x, y)[1])).sum(),
            };
        }
        sum.checked_div(count).map_or(0, |mean| mean as u8)
    }
}

fn fours(row: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    row.as_chunks().0.iter().copied()
}

fn twos(row: &[u8]) -> impl Iterator<Item = [u8; 2]> {
    row.as_chunks().0.iter().copied()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn the_mean_of_the_green_channel_is_that_of_its_pixels_in_every_format() {
        for format in PixelFormat::ALL {
            let stride = format.stride(8) + 3;
            let bytes: Vec<u8> =
                (0..format.len(6, stride)).map(|i| (i * i * 7 + i * 31) as u8).collect();
            let raw = RawFrame::new(format, [8, 6], stride, Colour::default(), &bytes).unwrap();
            let pixels = raw.pixels();
            let mut greens = Vec::new();
            for y in [1, 3, 5] {
                greens.extend([2, 5].map(|x| u32::from(pixels.at(x, y)[1])));
            }
            let mean = greens.iter().sum::<u32>() / 6;
            assert_eq!(u32::from(pixels.mean_green([2..8, 1..6], [3, 2])), mean, "{format:?}");
            assert_eq!(pixels.mean_green([3..3, 1..6], [1, 1]), 0);
        }
    }

    #[test]
    fn black_white_and_the_colour_bars_come_out() {
        let check = |matrix, range, yuv: [u8; 3], expected: [u8; 3]| {
            let conversion = Colour { matrix, range }.conversion();
            assert_eq!(
                conversion.rgb(yuv[0], yuv[1], yuv[2]),
                expected,
                "{matrix:?} {range:?} {yuv:?}"
            );
        };
        for matrix in [Matrix::Bt601, Matrix::Bt709] {
            check(matrix, Range::Limited, [16, 128, 128], [0; 3]);
            check(matrix, Range::Limited, [235, 128, 128], [255; 3]);
            check(matrix, Range::Limited, [0, 128, 128], [0; 3]);
            check(matrix, Range::Limited, [255, 128, 128], [255; 3]);
            check(matrix, Range::Full, [0, 128, 128], [0; 3]);
            check(matrix, Range::Full, [77, 128, 128], [77; 3]);
            check(matrix, Range::Full, [255, 128, 128], [255; 3]);
        }
        // Pure red, green and blue of full range, rounded to bytes.
        check(Matrix::Bt601, Range::Full, [76, 85, 255], [254, 0, 0]);
        check(Matrix::Bt601, Range::Limited, [82, 90, 240], [255, 1, 0]);
        check(Matrix::Bt709, Range::Limited, [63, 102, 240], [255, 1, 0]);
        check(Matrix::Bt709, Range::Limited, [32, 240, 118], [1, 0, 255]);
    }

    #[test]
    fn every_format_gives_the_same_grey_frame_whatever_the_stride() {
        let (width, height) = (5, 3);
        let grey = |x: usize, y: usize| (40 * x + 11 * y) as u8;
        for format in PixelFormat::ALL {
            for extra in [0, 1, 7] {
                let stride = format.stride(width) + extra;
                // Bytes that are not a pixel's are no grey, and chroma is none.
                let mut bytes = vec![128; format.len(height, stride) + 3];
                for y in 0..height {
                    for x in 0..width {
                        let at = y * stride;
                        match format {
                            PixelFormat::Rgb24 => bytes[at + 3 * x..][..3].fill(grey(x, y)),
                            PixelFormat::Grey | PixelFormat::Nv12 => bytes[at + x] = grey(x, y),
                            PixelFormat::Yuyv => bytes[at + 2 * x] = grey(x, y),
                            PixelFormat::Uyvy => bytes[at + 2 * x + 1] = grey(x, y),
                        }
                    }
                }
                let colour = Colour { range: Range::Full, ..Colour::default() };
                let raw = RawFrame::new(format, [width, height], stride, colour, &bytes).unwrap();
                let frame = raw.to_frame();
                for y in 0..height {
                    for x in 0..width {
                        let pixel = &frame.rgb()[(y * width + x) * 3..][..3];
                        assert_eq!(
                            pixel,
                            [grey(x, y); 3],
                            "{format:?}, {extra} bytes more, {x} {y}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn pixels_one_by_one_are_those_of_the_whole_and_rows_leave_out_what_lies_between_them() {
        for (format, [width, height]) in
            PixelFormat::ALL.into_iter().flat_map(|f| [(f, [5, 3]), (f, [8, 6]), (f, [1, 1])])
        {
            let stride = format.stride(width) + 3;
            let bytes: Vec<u8> =
                (0..format.len(height, stride)).map(|i| (i * i * 7 + i * 31) as u8).collect();
            for (matrix, range) in [(Matrix::Bt601, Range::Limited), (Matrix::Bt709, Range::Full)] {
                let colour = Colour { matrix, range };
                let raw = RawFrame::new(format, [width, height], stride, colour, &bytes).unwrap();
                let (frame, pixels) = (raw.to_frame(), raw.pixels());
                for (i, pixel) in frame.rgb().chunks_exact(3).enumerate() {
                    assert_eq!(pixels.at(i % width, i / width), pixel, "{format:?} pixel {i}");
                }
            }
            let raw =
                RawFrame::new(format, [width, height], stride, Colour::default(), &bytes).unwrap();
            let packed = raw.rows().collect::<Vec<_>>().concat();
            let stride = format.stride(width);
            assert_eq!(packed.len(), format.len(height, stride));
            let packed =
                RawFrame::new(format, [width, height], stride, Colour::default(), &packed).unwrap();
            assert_eq!(packed.to_frame(), raw.to_frame(), "{format:?}");
        }
    }

    #[test]
    fn bytes_that_are_too_few_are_no_frame() {
        for format in PixelFormat::ALL {
            let stride = format.stride(6);
            let len = format.len(5, stride);
            let new = |stride, bytes: &[u8]| {
                RawFrame::new(format, [6, 5], stride, Colour::default(), bytes).is_ok()
            };
            assert!(new(stride, &vec![0; len]));
            assert!(!new(stride, &vec![0; len - 1]));
            assert!(!new(stride - 1, &vec![0; len]));
            assert!(RawFrame::new(format, [0, 5], stride, Colour::default(), &[0; 99]).is_err());
        }
    }
}
