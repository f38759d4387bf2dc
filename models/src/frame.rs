//! A frame: one captured picture with its sequence and instant.

/// One RGB picture, 8 bits a channel, rows top to bottom, without padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Number given by the camera, growing; 0 for a lone picture.
    pub sequence: u64,
    /// Milliseconds on the camera's monotonic clock; 0 for a lone picture.
    pub captured_at_ms: u64,
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

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
        if width == 0 || height == 0 || rgb.len() != width * height * 3 {
            return Err(FrameSizeError { width, height, len: rgb.len() });
        }
        Ok(Self { sequence: 0, captured_at_ms: 0, width, height, rgb })
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

    /// The bytes, HWC.
    #[must_use]
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }
}
