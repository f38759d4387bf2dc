//! How a convolution is divided among blocks: the tile and the splits that a simple model of a multiprocessor expects to be
//! the quickest.
//!
//! Owns the model. What a step and a join take is measured on an H200, on levels of FaceNet with one face and launches that do
//! not overlap; the rest are expectations. `run.sh bench` of the folder `embed` times every division, to fit it anew. Any
//! choice gives the same embedding but for the order in which sums are rounded.

use crate::launch::{Division, SUM_STEP, TILES, Tile};

/// Parts of a sum that are tried.
const SPLITS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

// Cycles of one multiprocessor.
/// From a block's start to its first product, and from its last to its end.
const BLOCK: usize = 1200;
/// Least time of a stage of the sum, however small the tile: copies and products in a row, each waiting for the one before.
/// Measured: 0.2 us.
const STAGE: usize = 350;
/// For warps that share a tile's steps to add their sums.
const SHARE: usize = 200;
/// Fused multiply-adds of halves a cycle, as much of the peak of 2,048 as mma.sync reaches.
const PRODUCTS: usize = 700;
/// Bytes a cycle from the second cache.
const BYTES: usize = 64;
/// For the last split to know that it is. Measured: 1.75 us.
const JOIN: usize = 3000;

/// What is to be divided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Work {
    /// Output pixels of all items.
    pub(crate) pixels: usize,
    /// Output channels.
    pub(crate) channels: usize,
    /// Terms of a sum.
    pub(crate) terms: usize,
}

impl Work {
    /// Steps of the sum, of which a split takes one at least.
    pub(crate) fn steps(self) -> usize {
        self.terms.div_ceil(SUM_STEP)
    }
}

/// The division of `work` among so many multiprocessors.
pub(crate) fn choose(work: Work, multiprocessors: usize) -> Division {
    let of_tile = |tile: usize| {
        let stages = work.steps().div_ceil(TILES[tile].steps);
        SPLITS
            .into_iter()
            .filter(move |&splits| splits <= stages)
            .map(move |splits| Division { tile, splits })
    };
    (0..TILES.len())
        .flat_map(of_tile)
        .min_by_key(|&division| cycles(work, division, multiprocessors.max(1)))
        .unwrap_or(Division { tile: 0, splits: 1 })
}

fn cycles(work: Work, division: Division, multiprocessors: usize) -> usize {
    let Tile { pixels, channels, steps, .. } = TILES[division.tile];
    let resident = division.resident();
    let each = division.blocks(work.pixels, work.channels).div_ceil(multiprocessors);
    let (waves, at_once) = (each.div_ceil(resident), each.min(resident));
    let stages = work.steps().div_ceil(steps).div_ceil(division.splits);
    let products = pixels * channels * SUM_STEP * steps / PRODUCTS;
    let bytes = (pixels + channels) * SUM_STEP * steps * 2 / BYTES;
    let share = if steps > 1 { SHARE } else { 0 };
    let wave = BLOCK + stages * STAGE.max(at_once * products.max(bytes)) + share;
    let join = if division.splits > 1 {
        JOIN + (division.splits + 1) * pixels * channels * size_of::<f32>() / BYTES
    } else {
        0
    };
    waves * wave + join
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_pixels_are_shared_by_warps_long_sums_are_split_and_many_pixels_are_neither() {
        // FaceNet's block17 with one face, a dense layer over a picture, and FaceNet's third layer with 32 faces.
        let one = choose(Work { pixels: 64, channels: 128, terms: 896 }, 132);
        assert!(one.splits == 1 && TILES[one.tile].steps > 1, "{one:?}");
        let long = choose(Work { pixels: 1, channels: 128, terms: 20_000 }, 132);
        assert!(long.splits > 1, "{long:?}");
        let many = choose(Work { pixels: 32 * 77 * 77, channels: 64, terms: 288 }, 132);
        assert_eq!(many.splits, 1);
        assert!(TILES[many.tile].pixels >= 64, "{many:?}");
    }

    #[test]
    fn a_sum_of_one_step_is_not_split() {
        for terms in [8, 64] {
            assert_eq!(choose(Work { pixels: 1, channels: 8, terms }, 132).splits, 1);
        }
    }
}
