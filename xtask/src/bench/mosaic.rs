//! Frames with many faces, made of the photos that set-up fetched, as PNG files that both sides read.

use super::workloads::Picture;
use anyhow::{Context as _, Result};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use std::path::Path;

/// Photos of one face each, whose upper part shows it.
const PHOTOS: [&str; 4] = ["obama.jpg", "biden.jpg", "obama2.jpg", "obama3.jpg"];

/// Size of one of the equal photos: four are as wide as the smallest frame.
const FACE_PX: [u32; 2] = [160, 160];

/// What a frame shows between photos: a wall.
const WALL: Rgb<u8> = Rgb([150, 148, 142]);

/// The photos, read.
pub(crate) struct Mosaics(Vec<RgbImage>);

impl Mosaics {
    /// Reads the photos.
    ///
    /// # Errors
    /// If one is missing.
    pub(crate) fn open(photos: &Path) -> Result<Self> {
        let open = |name: &&str| {
            let path = photos.join(name);
            let photo =
                image::open(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok(photo.into_rgb8())
        };
        Ok(Self(PHOTOS.iter().map(open).collect::<Result<_>>()?))
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, picture: Picture, path: &Path) -> Result<()> {
        let [w, h] = picture.size();
        let mut frame = RgbImage::from_pixel(w, h, WALL);
        let mut paste = |photo: &RgbImage, x: u32, y: u32| {
            imageops::replace(&mut frame, photo, x.into(), y.into());
        };
        match picture {
            Picture::Full(_) => {
                let cell = [w / 4, h / 3];
                for i in 0..12 {
                    let photo = upper_part(&self.0[i as usize % self.0.len()], cell);
                    paste(&photo, i % 4 * cell[0], i / 4 * cell[1]);
                }
            }
            Picture::Faces(n, _) => {
                let photo = upper_part(&self.0[0], FACE_PX);
                let (left, top) =
                    ((w / 4 - FACE_PX[0]) / 2, (h / 4).saturating_sub(FACE_PX[1]) / 2);
                (0..n).for_each(|i| paste(&photo, i % 4 * (w / 4) + left, i / 4 * (h / 4) + top));
            }
        }
        frame.save(path).with_context(|| format!("writing {}", path.display()))
    }
}

impl Mosaics {
    /// Writes a frame with `faces` photos side by side in as few rows as keep them square.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn write_grid(&self, [w, h]: [u32; 2], faces: u32, path: &Path) -> Result<()> {
        let mut frame = RgbImage::from_pixel(w, h, WALL);
        let columns = (1..=faces).find(|columns| columns * (columns * h).div_ceil(w) >= faces);
        if let Some(columns) = columns {
            let rows = faces.div_ceil(columns);
            let (cell, row) = (w / columns, h / rows);
            let side = cell.min(row).min(3 * FACE_PX[0] / 2);
            for i in 0..faces {
                let photo = upper_part(&self.0[i as usize % self.0.len()], [side; 2]);
                imageops::replace(
                    &mut frame,
                    &photo,
                    (i % columns * cell).into(),
                    (i / columns * row).into(),
                );
            }
        }
        frame.save(path).with_context(|| format!("writing {}", path.display()))
    }
}

/// A photo scaled until it covers a cell, less what sticks out below and at the sides.
fn upper_part(photo: &RgbImage, [w, h]: [u32; 2]) -> RgbImage {
    let scale =
        (f64::from(w) / f64::from(photo.width())).max(f64::from(h) / f64::from(photo.height()));
    let scaled = |side: u32, least: u32| ((f64::from(side) * scale).round() as u32).max(least);
    let (width, height) = (scaled(photo.width(), w), scaled(photo.height(), h));
    let photo = imageops::resize(photo, width, height, FilterType::Triangle);
    imageops::crop_imm(&photo, (width - w) / 2, 0, w, h).to_image()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_covers_its_cell_and_keeps_its_head() {
        let photo = RgbImage::from_fn(90, 300, |_, y| Rgb([if y < 90 { 200 } else { 20 }; 3]));
        for cell in [[30, 30], [60, 30], [30, 60], [181, 77]] {
            let part = upper_part(&photo, cell);
            assert_eq!(part.dimensions(), (cell[0], cell[1]));
            assert_eq!(part.get_pixel(cell[0] / 2, 0), &Rgb([200; 3]), "{cell:?}");
        }
    }
}
