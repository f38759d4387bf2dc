//! Capture: where the unit's frames come from.
//!
//! Owns which kind of camera a source is: a folder is a replay, anything else a V4L2 device, which may be plugged in later.

mod replay;
mod v4l2;

pub use replay::Replay;
pub use v4l2::V4l2Camera;

use crate::config::CameraConfig;
use crate::notices::Notices;
use crate::unit::{Camera, CameraFault, Clock};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

/// The camera that the configuration names.
///
/// # Errors
/// [`CameraFault`] if it can never be one. A device that is not there is no error: it is a fault of the camera until it is
/// plugged in.
pub fn open(
    config: &CameraConfig,
    clock: Arc<dyn Clock>,
    notices: &Notices,
) -> Result<Box<dyn Camera>, CameraFault> {
    match is_device(&config.source) {
        true => Ok(Box::new(V4l2Camera::open(config, clock, notices)?)),
        false => Ok(Box::new(Replay::open(&config.source, clock)?)),
    }
}

/// What the log's context of a configuration says of the camera.
#[must_use]
pub fn words(config: &CameraConfig) -> String {
    match is_device(&config.source) {
        true => format!(
            "v4l2 {}\ncamera_wish={} x {} px, {} a second",
            config.source.display(),
            config.width_px,
            config.height_px,
            config.fps
        ),
        false => "replay".to_owned(),
    }
}

/// True for a character device, and for a name among the devices that nothing has yet: a camera that is not plugged in.
fn is_device(source: &Path) -> bool {
    match std::fs::metadata(source) {
        Ok(found) => found.file_type().is_char_device(),
        Err(_) => source.starts_with("/dev"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn a_folder_is_a_replay_and_a_device_is_one_even_before_it_is_plugged_in() {
        let folder = tempfile::tempdir().unwrap();
        for (source, device) in [
            (folder.path(), false),
            (&folder.path().join("nothing"), false),
            (Path::new("/dev/null"), true),
            (Path::new("/dev/video-that-is-not-there"), true),
            (Path::new("/dev/v4l/by-id/usb-none"), true),
        ] {
            assert_eq!(is_device(source), device, "{}", source.display());
        }
    }
}
