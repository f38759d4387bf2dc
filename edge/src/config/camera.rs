//! `[camera]`: what the unit sees with.
//!
//! Owns the wishes and their ranges. What a camera makes of them is agreed by `capture::v4l2`, and told.

use anyhow::bail;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// `[camera]`; everything but the source is for a V4L2 device, and a wish: the nearest that the camera has is taken.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct CameraConfig {
    /// A V4L2 device, or a folder, in which every picture that appears is a visit; empty if nobody named it.
    pub source: PathBuf,
    /// Columns, pixels.
    pub width_px: u32,
    /// Rows, pixels.
    pub height_px: u32,
    /// Frames a second.
    pub fps: u32,
    /// The format; the one that gives size and rate with the least loss if there is none.
    pub format: Option<CameraFormat>,
    /// The exposure time, in 0.1 ms; the camera's own control if there is none.
    pub exposure: Option<i32>,
    /// The gain, in the camera's own unit; the camera's own control if there is none.
    pub gain: Option<i32>,
    /// Compensation of light from behind, in the camera's own unit; left as it is if there is none.
    pub backlight: Option<i32>,
}

/// How a camera may send its pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraFormat {
    /// Two pixels in four bytes: Y U Y V.
    Yuyv,
    /// Two pixels in four bytes: U Y V Y.
    Uyvy,
    /// A plane of Y, then one of U V for each 2 x 2 pixels.
    Nv12,
    /// One byte a pixel.
    Grey,
    /// Three bytes a pixel.
    Rgb24,
    /// A JPEG a frame.
    Mjpeg,
}

impl Default for CameraConfig {
    fn default() -> Self {
        Self {
            source: PathBuf::new(),
            // The smallest face of the default, 80 px, is a person within 1.5 m at this size.
            width_px: 1280,
            height_px: 720,
            // More than any engine takes on a processor; the frames between are dropped.
            fps: 30,
            format: None,
            exposure: None,
            gain: None,
            backlight: None,
        }
    }
}

impl CameraConfig {
    /// The sides that may be wished for, pixels: the kernels' largest frame has 8,192 a side.
    pub const SIDE_PX: RangeInclusive<u32> = 64..=8192;
    /// The rates that may be wished for: frames of one visit stand less than its absence apart.
    pub const FPS: RangeInclusive<u32> = 5..=240;

    /// Checks what the types cannot.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        for (key, value, range) in [
            ("width_px", self.width_px, Self::SIDE_PX),
            ("height_px", self.height_px, Self::SIDE_PX),
            ("fps", self.fps, Self::FPS),
        ] {
            if !range.contains(&value) {
                let (least, most) = (range.start(), range.end());
                bail!("{key} in [camera] is {value}: it may be {least} to {most}");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::config::Config;

    #[test]
    fn a_camera_is_configured_by_name_and_what_it_cannot_be_is_refused() {
        let check = |text: &str| -> Result<CameraConfig, String> {
            let config = toml::from_str::<Config>(&format!("[camera]\n{text}"))
                .map_err(|error| error.to_string())?;
            config.camera.check().map_err(|error| error.to_string())?;
            Ok(config.camera)
        };
        let camera = check("source = \"/dev/video0\"\nformat = \"mjpeg\"\nexposure = 80").unwrap();
        assert_eq!((camera.format, camera.exposure), (Some(CameraFormat::Mjpeg), Some(80)));
        assert_eq!((camera.width_px, camera.height_px, camera.gain), (1280, 720, None));
        for (text, expected) in [
            ("width_px = 20", "width_px in [camera] is 20: it may be 64 to 8192"),
            ("fps = 0", "fps in [camera] is 0: it may be 5 to 240"),
            ("format = \"h264\"", "unknown variant `h264`"),
        ] {
            let error = check(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
