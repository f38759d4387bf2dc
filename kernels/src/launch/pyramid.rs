//! The pyramid: `cuda/pyramid.cu`, and the table of levels that it shares with P-Net.

use super::{PictureView, Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::cascade::pyramid;
use threshold_models::net::pnet_cells;

/// Threads of a block.
const BLOCK: usize = 256;
/// Cells of one side of P-Net's tile.
const TILE: usize = 16;
/// Bytes of a level's pixel: four halves.
const PIXEL_BYTES: usize = 8;

/// `Level` of `pyramid.cuh`.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
struct Level {
    scale: f32,
    width: u32,
    height: u32,
    pixel_offset: u32,
    cells_w: u32,
    cells_h: u32,
    cell_offset: u32,
    pyramid_block: u32,
    pnet_block: u32,
}

/// A frame's levels as the kernels see them.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    table: Vec<Level>,
    pixels: usize,
    cells: usize,
    pyramid_blocks: usize,
    pnet_blocks: usize,
}

impl Levels {
    /// The levels of a frame of `width x height`; none if it is smaller than the face asked for.
    #[must_use]
    pub fn new(width: usize, height: usize, min_face_px: f64, factor: f64) -> Self {
        let mut all = Self::default();
        for level in pyramid::levels(width, height, min_face_px, factor) {
            let (cells_w, cells_h) = (pnet_cells(level.width), pnet_cells(level.height));
            all.table.push(Level {
                scale: level.scale as f32,
                width: level.width as u32,
                height: level.height as u32,
                pixel_offset: all.pixels as u32,
                cells_w: cells_w as u32,
                cells_h: cells_h as u32,
                cell_offset: all.cells as u32,
                pyramid_block: all.pyramid_blocks as u32,
                pnet_block: all.pnet_blocks as u32,
            });
            all.pixels += level.width * level.height;
            all.cells += cells_w * cells_h;
            all.pyramid_blocks += (level.width * level.height).div_ceil(BLOCK);
            all.pnet_blocks += cells_w.div_ceil(TILE) * cells_h.div_ceil(TILE);
        }
        all
    }

    /// Whether a u32 counts their pixels, as the kernels do; else the table is no good.
    #[must_use]
    pub fn are_countable(&self) -> bool {
        [self.pixels, self.pyramid_blocks, self.cells].into_iter().all(|n| u32::try_from(n).is_ok())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table's bytes, for the device.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.table)
    }

    /// Bytes of all levels' pixels.
    #[must_use]
    pub fn pixel_bytes(&self) -> usize {
        self.pixels * PIXEL_BYTES
    }

    /// Cells of P-Net's maps.
    #[must_use]
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Blocks of P-Net's launch.
    pub(super) fn pnet_blocks(&self) -> usize {
        self.pnet_blocks
    }
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    picture: PictureView,
    levels: Address,
    pixels: Address,
    n_levels: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 48 && size_of::<Level>() == 36);

/// Makes every level of a picture.
///
/// # Panics
/// If a region is too short, or there is no level.
#[must_use]
pub fn pyramid(picture: PictureView, levels: &Levels, table: Region, pixels: Region) -> Step {
    assert!(!levels.is_empty());
    let params = Params {
        picture,
        levels: table.holding(levels.bytes().len()),
        pixels: pixels.holding(levels.pixel_bytes()),
        n_levels: levels.len() as u32,
        unused: 0,
    };
    step("pyramid", levels.pyramid_blocks, BLOCK as u32, 0, &params)
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_models::graph::Cost;

    #[test]
    fn a_frame_has_the_levels_and_blocks_that_the_readme_says() {
        let levels = Levels::new(1280, 720, 40.0, 0.709);
        assert_eq!((levels.len(), levels.pyramid_blocks, levels.pnet_blocks), (9, 661, 177));
        assert_eq!(levels.pixel_bytes() / 100_000, 13);
        let graphs = pyramid::levels(1280, 720, 40.0, 0.709)
            .map(|level| threshold_models::net::pnet(level.height, level.width));
        let macs: usize = graphs.map(|graph| graph.costs().sum::<Cost>().macs).sum();
        assert_eq!(macs / 1_000_000, 281);
    }
}
