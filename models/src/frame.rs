//! A frame: one captured picture with its sequence and instant.
//!
//! Owns the bytes as they came, a picture's RGB or a camera's own format, and their RGB, which is made when somebody asks for it
//! and is then kept: what nobody reads nobody converts, and what two read is converted once. The memory of both goes round.

use crate::raw::{Colour, PixelFormat, PixelLayout, RawFrame, RawFrameError};
use std::sync::{Mutex, OnceLock, PoisonError};

/// One picture, rows top to bottom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Number given by the camera, growing; 0 for a lone picture.
    pub sequence: u64,
    /// Milliseconds on the camera's monotonic clock; 0 for a lone picture.
    pub captured_at_ms: u64,
    layout: PixelLayout,
    /// At least as many as the layout needs.
    bytes: Vec<u8>,
    converted: Converted,
}

/// What a frame is kept in: the next one of its size takes the same memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffers {
    /// The bytes as they came.
    pub bytes: Vec<u8>,
    /// Where their RGB goes if somebody asks for it; what it holds means nothing.
    pub rgb: Vec<u8>,
}

/// The RGB of bytes that are none, once somebody asked for it.
#[derive(Debug, Default)]
struct Converted {
    rgb: OnceLock<Vec<u8>>,
    /// The memory that it is made in.
    spare: Mutex<Vec<u8>>,
}

impl Clone for Converted {
    fn clone(&self) -> Self {
        Self { rgb: self.rgb.clone(), spare: Mutex::default() }
    }
}

impl PartialEq for Converted {
    /// It follows from the bytes, whether it was made by now or not.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Converted {}

/// The bytes given are not those of a frame of that size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {width} x {height} takes {} bytes, got {len}", width * height * 3)]
pub struct FrameSizeError {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Bytes given.
    pub len: usize,
}

impl Frame {
    /// A lone picture from `height * width * 3` bytes, HWC, RGB.
    ///
    /// # Errors
    /// [`FrameSizeError`] if the length does not fit the size.
    pub fn from_rgb(width: usize, height: usize, rgb: Vec<u8>) -> Result<Self, FrameSizeError> {
        let wrong = FrameSizeError { width, height, len: rgb.len() };
        let (size, stride) = ([width, height], width * 3);
        let layout = PixelLayout::new(PixelFormat::Rgb24, size, stride, Colour::default());
        match layout {
            Ok(layout) if rgb.len() == height * stride => Ok(Self::new(layout, rgb, Vec::new())),
            _ => Err(wrong),
        }
    }

    /// A picture as a camera gave it; bytes behind the last row are left alone.
    ///
    /// # Errors
    /// [`RawFrameError::TooShort`] if bytes are missing.
    pub fn from_camera(layout: PixelLayout, buffers: Buffers) -> Result<Self, RawFrameError> {
        layout.of(&buffers.bytes)?;
        Ok(Self::new(layout, buffers.bytes, buffers.rgb))
    }

    fn new(layout: PixelLayout, bytes: Vec<u8>, spare: Vec<u8>) -> Self {
        let converted = Converted { rgb: OnceLock::new(), spare: Mutex::new(spare) };
        Self { sequence: 0, captured_at_ms: 0, layout, bytes, converted }
    }

    /// Its memory, for the next one.
    #[must_use]
    pub fn into_buffers(self) -> Buffers {
        let Converted { rgb, spare } = self.converted;
        let spare = spare.into_inner().unwrap_or_else(PoisonError::into_inner);
        Buffers { bytes: self.bytes, rgb: rgb.into_inner().unwrap_or(spare) }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> usize {
        self.layout.width()
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> usize {
        self.layout.height()
    }

    /// The bytes as RGB, 8 bits a channel, HWC, without padding: `height * width * 3`. A camera's are converted at the first call.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        let (layout, bytes) = self.as_it_came();
        if layout.is_rgb() {
            return bytes;
        }
        self.converted.rgb.get_or_init(|| {
            let spare = &mut *self.converted.spare.lock().unwrap_or_else(PoisonError::into_inner);
            let mut rgb = std::mem::take(spare);
            RawFrame::of(self).write_rgb(&mut rgb);
            rgb
        })
    }

    /// True if the bytes are RGB as they came, or somebody asked for that.
    #[must_use]
    pub fn is_converted(&self) -> bool {
        self.layout.is_rgb() || self.converted.rgb.get().is_some()
    }

    /// The layout and as many bytes as it needs.
    pub(crate) fn as_it_came(&self) -> (PixelLayout, &[u8]) {
        // As many as were found to be there when the frame was made.
        let bytes = self.layout.of(&self.bytes).unwrap_or_else(|fault| unreachable!("{fault}"));
        (self.layout, bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn a_cameras_bytes_are_converted_when_somebody_asks_once_and_in_memory_that_goes_round() {
        for format in PixelFormat::ALL {
            let stride = format.stride(6) + 2;
            let layout = PixelLayout::new(format, [6, 4], stride, Colour::default()).unwrap();
            let mut buffers = Buffers::default();
            let mut places = Vec::new();
            for round in 0..5u8 {
                buffers.bytes.clear();
                // Longer than a frame, as a driver's buffers are.
                buffers.bytes.extend((0..200).map(|i: u8| i.wrapping_mul(29) ^ round));
                let raw = RawFrame::new(format, [6, 4], stride, Colour::default(), &buffers.bytes);
                let expected = raw.unwrap().to_frame();
                let frame = Frame::from_camera(layout, buffers).unwrap();
                assert!(!frame.is_converted());
                assert_eq!(RawFrame::of(&frame).format(), format);
                let twin = frame.clone();
                assert_eq!(frame.rgb(), expected.rgb());
                assert!(std::ptr::eq(frame.rgb(), frame.rgb()) && frame.is_converted());
                assert_eq!((&twin, twin.rgb()), (&frame, expected.rgb()));
                buffers = frame.into_buffers();
                places.push((buffers.bytes.as_ptr(), buffers.rgb.as_ptr()));
            }
            assert!(places[1..].iter().all(|place| *place == places[0]), "{format:?}");
            // Of a frame that nobody read both come back too.
            let buffers = Frame::from_camera(layout, buffers).unwrap().into_buffers();
            assert_eq!((buffers.bytes.as_ptr(), buffers.rgb.as_ptr()), places[0]);
        }
    }

    #[test]
    fn bytes_that_are_not_a_frame_are_refused() {
        for (size, len) in [([0, 4], 0), ([4, 0], 0), ([4, 2], 23), ([4, 2], 25)] {
            let [width, height] = size;
            let fault = Frame::from_rgb(width, height, vec![0; len]).unwrap_err();
            assert_eq!(fault, FrameSizeError { width, height, len });
        }
        let layout = PixelLayout::new(PixelFormat::Nv12, [4, 2], 4, Colour::default()).unwrap();
        let buffers = Buffers { bytes: vec![0; 11], rgb: Vec::new() };
        assert!(matches!(
            Frame::from_camera(layout, buffers),
            Err(RawFrameError::TooShort { needed: 12, found: 11, .. })
        ));
    }
}
