//! The pictures that the demonstration's camera sees, made from the photos that set-up fetched.

use anyhow::{Context as _, Result};
use base64::Engine as _;
use image::imageops::{self, FilterType};
use image::{DynamicImage, Rgb, RgbImage};
use std::io::Cursor;
use std::path::Path;

/// Size of the altered frame against the photo it is made from.
const ALTERED_SCALE: f32 = 0.6;

/// Brightness of the altered frame against the photo: dusk, not night.
const ALTERED_LIGHT: f32 = 0.6;

/// Longer side of the pictures in the report.
const REPORT_SIDE_PX: u32 = 360;

/// What the camera sees.
#[derive(Clone, Copy, Debug)]
pub(super) enum Picture {
    /// A photo as it is.
    Photo(&'static str),
    /// A photo made smaller and darker, and mirrored.
    Altered(&'static str),
    /// A room without anybody: walls, a floor, a door.
    EmptyRoom,
}

impl Picture {
    /// Writes the picture as a file; PNG or JPEG, as the name says.
    pub(super) fn write(self, photos: &Path, to: &Path) -> Result<()> {
        let made = match self {
            Self::Photo(name) => {
                let from = photos.join(name);
                std::fs::copy(&from, to)
                    .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
                return Ok(());
            }
            Self::Altered(name) => altered(&open(&photos.join(name))?),
            Self::EmptyRoom => empty_room(),
        };
        made.save(to).with_context(|| format!("writing {}", to.display()))
    }

    /// The ending of its file.
    pub(super) const fn ending(self) -> &'static str {
        match self {
            Self::Photo(_) => "jpg",
            Self::Altered(_) | Self::EmptyRoom => "png",
        }
    }

    /// What the report says of its origin.
    pub(super) fn origin(self) -> String {
        match self {
            Self::Photo(name) => name.to_owned(),
            Self::Altered(name) => format!("{name}, mirrored, scaled and darkened to 60 %"),
            Self::EmptyRoom => "drawn: an empty room".to_owned(),
        }
    }
}

fn open(path: &Path) -> Result<RgbImage> {
    Ok(image::open(path).with_context(|| format!("reading {}", path.display()))?.into_rgb8())
}

fn altered(photo: &RgbImage) -> RgbImage {
    let scaled = |side: u32| (side as f32 * ALTERED_SCALE) as u32;
    let (width, height) = (scaled(photo.width()), scaled(photo.height()));
    let mut frame = imageops::resize(photo, width, height, FilterType::Triangle);
    imageops::flip_horizontal_in_place(&mut frame);
    for Rgb(channels) in frame.pixels_mut() {
        *channels = channels.map(|value| (f32::from(value) * ALTERED_LIGHT) as u8);
    }
    frame
}

fn empty_room() -> RgbImage {
    RgbImage::from_fn(640, 480, |x, y| {
        let shade = (y / 12) as u8;
        match (x, y) {
            (400..520, 140..360) => Rgb([112, 86, 60]),
            (_, 360..) => Rgb([120 - shade, 110 - shade, 100 - shade]),
            _ => Rgb([196 - shade, 198 - shade, 192 - shade]),
        }
    })
}

/// A picture as a data address for the report, made small.
pub(super) fn as_data_address(path: &Path) -> Result<String> {
    let picture = DynamicImage::ImageRgb8(open(path)?);
    let small = picture.resize(REPORT_SIDE_PX, REPORT_SIDE_PX, FilterType::Triangle).into_rgb8();
    let mut bytes = Cursor::new(Vec::new());
    small.write_to(&mut bytes, image::ImageFormat::Jpeg).context("encoding a picture")?;
    let text = base64::engine::general_purpose::STANDARD.encode(bytes.into_inner());
    Ok(format!("data:image/jpeg;base64,{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_altered_frame_is_smaller_darker_and_mirrored() {
        let photo =
            RgbImage::from_fn(100, 50, |x, _| if x < 50 { Rgb([200; 3]) } else { Rgb([100; 3]) });
        let frame = altered(&photo);
        assert_eq!(frame.dimensions(), (60, 30));
        assert_eq!(frame.get_pixel(5, 5), &Rgb([60; 3]));
        assert_eq!(frame.get_pixel(55, 5), &Rgb([120; 3]));
    }
}
