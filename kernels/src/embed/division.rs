//! How a convolution is divided among blocks: the tile and the splits that a simple model of a multiprocessor expects to be
//! the quickest.
//!
//! Owns the model. Its numbers are expectations from the instruction set's throughput and not yet measured on a card; any
//! choice gives the same embedding but for the order in which sums are rounded.

use crate::launch::{Division, SUM_STEP, TILES, Tile};

/// Parts of a sum that are tried.
const SPLITS: [usize; 8] = [1, 2, 3, 4, 6, 8, 12, 16];

// Cycles of one multiprocessor.
/// Blocks that it holds: their registers allow no third (`layers` in the manifest of `cargo xtask kernels`).
const RESIDENT: usize = 2;
/// From a block's start to its first product, and from its last to its end.
const BLOCK: usize = 1200;
/// Least time of a step of the sum, however small the tile: copies and products in a row, each waiting for the one before.
const STEP: usize = 250;
/// Fused multiply-adds of halves a cycle, as much of the peak of 1,024 as mma.sync reaches.
const PRODUCTS: usize = 700;
/// Bytes a cycle from the second cache.
const BYTES: usize = 64;
/// For the last split to know that it is.
const JOIN: usize = 1500;

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
    let splits = SPLITS.into_iter().filter(|&splits| splits <= work.steps());
    let all = splits.flat_map(|splits| (0..TILES.len()).map(move |tile| Division { tile, splits }));
    all.min_by_key(|&division| cycles(work, division, multiprocessors.max(1)))
        .unwrap_or(Division { tile: 0, splits: 1 })
}

fn cycles(work: Work, division: Division, multiprocessors: usize) -> usize {
    let Tile { pixels, channels, .. } = TILES[division.tile];
    let each = division.blocks(work.pixels, work.channels).div_ceil(multiprocessors);
    let (waves, at_once) = (each.div_ceil(RESIDENT), each.min(RESIDENT));
    let steps = work.steps().div_ceil(division.splits);
    let products = pixels * channels * SUM_STEP / PRODUCTS;
    let bytes = (pixels + channels) * SUM_STEP * 2 / BYTES;
    let wave = BLOCK + steps * STEP.max(at_once * products.max(bytes));
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
    fn few_pixels_are_split_and_many_are_not() {
        // FaceNet's block17 with one face, and its second layer with 32.
        let one = choose(Work { pixels: 64, channels: 128, terms: 896 }, 132);
        assert!(one.splits > 1, "{one:?}");
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
