//! The frames of the benchmark: three sizes, each with 0, 1, 6 and 20 faces.

use crate::bench::mosaic::Mosaics;
use anyhow::Result;
use std::path::Path;

const SIZES: [[u32; 2]; 3] = [[640, 480], [1280, 720], [1920, 1080]];
const FACES: [u32; 4] = [0, 1, 6, 20];

/// Writes them as PNG files.
///
/// # Errors
/// If one cannot be written.
pub(super) fn write(mosaics: &Mosaics, folder: &Path) -> Result<()> {
    for size in SIZES {
        for faces in FACES {
            let name = format!("{}x{}-{faces}.png", size[0], size[1]);
            mosaics.write_grid(size, faces, &folder.join(name))?;
        }
    }
    Ok(())
}
