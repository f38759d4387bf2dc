//! Tests of the area `cascade`; each file is one subject.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod crops;
mod parity;
mod scalar;
mod stages;

use std::path::Path;
use threshold_models::frame::Frame;

/// A picture of the goldens as a frame.
fn frame(path: &Path) -> Frame {
    let picture = image::open(path).unwrap().into_rgb8();
    let (width, height) = picture.dimensions();
    Frame::from_rgb(width as usize, height as usize, picture.into_raw()).unwrap()
}
