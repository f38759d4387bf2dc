//! Small pictures that stand in a page.
//!
//! Owns the scaling and the data URI. Refuses to keep a picture larger than it is shown.

use crate::error::HostError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};
use std::path::Path;
use threshold_models::crop::resize_area;
use threshold_models::picture;

/// The longest side.
pub const MAX_PX: usize = 112;

/// A picture's file, scaled down, as a data URI.
///
/// # Errors
/// A file that is not there or no picture.
pub fn of(path: &Path) -> anyhow::Result<String> {
    let frame = picture::read(path)?;
    let (width, height) = (frame.width(), frame.height());
    let longest = width.max(height).max(MAX_PX);
    let scaled = |side: usize| (side * MAX_PX / longest).max(1);
    let (out_width, out_height) = (scaled(width), scaled(height));
    let mut values = vec![0.0; out_width * out_height * 3];
    resize_area(&frame, [0, 0, width, height], (out_height, out_width), &mut values);
    let rgb: Vec<u8> = values.into_iter().map(|value| value.round() as u8).collect();
    let mut png = Vec::new();
    let (wide, high) = (out_width as u32, out_height as u32);
    let encoded = PngEncoder::new(&mut png).write_image(&rgb, wide, high, ExtendedColorType::Rgb8);
    encoded.map_err(|error| HostError::file(path)(std::io::Error::other(error)))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(png)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_picture_is_scaled_down_and_a_small_one_is_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let size = |width: u32, height: u32| {
            image::RgbImage::from_pixel(width, height, image::Rgb([9, 99, 200]))
                .save(&path)
                .unwrap();
            let uri = of(&path).unwrap();
            let png = STANDARD.decode(uri.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
            let shown = image::load_from_memory(&png).unwrap().into_rgb8();
            assert_eq!(shown.get_pixel(0, 0).0, [9, 99, 200]);
            shown.dimensions()
        };
        assert_eq!(size(448, 224), (112, 56));
        assert_eq!(size(50, 20), (50, 20));
        assert_eq!(size(3000, 1), (112, 1));
        std::fs::write(&path, "no picture").unwrap();
        assert!(of(&path).is_err());
    }
}
