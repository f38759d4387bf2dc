//! How a convolution is divided among blocks: the tile and the splits that a model of a multiprocessor expects to be the
//! quickest.
//!
//! Owns the model. Its times are fitted to every division of every level of FaceNet with one face and with eight on an H200
//! (`run.sh bench` of the folder `embed` times them): not to the times as such, but so that what it chooses is quick. Of
//! another card only their proportions are assumed. Any choice gives the same embedding but for the order in which sums are
//! rounded.

use crate::launch::{Division, FIRST_DIRECT, SUM_STEP, TILES, Tile};

/// Parts of a sum that are tried.
const SPLITS: [usize; 5] = [1, 2, 4, 8, 16];

// Nanoseconds. Some grow with a block's results, and are then for so many.
const RESULTS: f32 = 4096.0;
/// From a block's start to its first product, and from its last to its end.
const BLOCK: f32 = 725.0;
const BLOCK_RESULTS: f32 = 290.0;
/// And what of a block's beginning and end keeps the multiprocessor's other blocks from theirs.
const BUSY: f32 = 275.0;
const BUSY_RESULTS: f32 = 110.0;
/// For a split to write its sums.
const SPLIT_RESULTS: f32 = 285.0;
/// For the last split to know that it is, and to read a split's sums.
const JOIN: f32 = 1240.0;
const JOIN_RESULTS: f32 = 375.0;
/// A stage of each of [`TILES`]: of a block alone, since one thing waits for another in it; and as each of several blocks that
/// a multiprocessor has at once, which wait beside each other.
const STAGES: [[f32; 2]; TILES.len()] = [
    [1000.0, 730.0],
    [550.0, 375.0],
    [595.0, 495.0],
    [425.0, 265.0],
    [280.0, 135.0],
    [280.0, 100.0],
    [400.0, 250.0],
    [270.0, 210.0],
    DIRECT[0].each,
    DIRECT[1].each,
];

/// A direct tile's block.
struct Direct {
    /// What it takes besides its sum, alone; and of that what keeps the others.
    block: [f32; 2],
    /// 128 terms of its sum, likewise.
    each: [f32; 2],
}
/// Of 16 channels and of 32.
const DIRECT: [Direct; 2] = [
    Direct { block: [795.0, 180.0], each: [95.0, 70.0] },
    Direct { block: [710.0, 235.0], each: [160.0, 55.0] },
];

/// A division that needs the kernel `layers` must be quicker by so much than one that `layers_small` has: the next level finds
/// less room beside it, and another kernel's code may have to come from memory. Not fitted to anything.
const LARGE: f32 = 1.03;

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

    /// Multiplications of two halves.
    pub(crate) fn products(self) -> usize {
        self.pixels * self.channels * self.terms
    }
}

/// The division of `work` among so many multiprocessors, or such a share of them, of those that `may` be.
pub(crate) fn choose(
    work: Work,
    multiprocessors: f32,
    may: impl Fn(&Division) -> bool,
) -> Division {
    let of_tile = |tile: usize| {
        let stages = work.steps().div_ceil(TILES[tile].steps);
        SPLITS
            .into_iter()
            .filter(move |&splits| splits <= stages)
            .map(move |splits| Division { tile, splits })
            .filter(move |division| division.of(work.steps()) == Some(*division))
    };
    let time = |division: &Division| {
        let large = if division.is_large() { LARGE } else { 1.0 };
        large * nanoseconds(work, *division, multiprocessors)
    };
    (0..TILES.len())
        .flat_map(of_tile)
        .filter(may)
        .min_by(|a, b| time(a).total_cmp(&time(b)))
        .unwrap_or(Division { tile: 0, splits: 1 })
}

fn nanoseconds(work: Work, division: Division, multiprocessors: f32) -> f32 {
    let Tile { pixels, channels, steps, .. } = TILES[division.tile];
    let [alone, busy] = STAGES[division.tile];
    let stages = work.steps().div_ceil(steps).div_ceil(division.splits) as f32;
    let results = (pixels * channels) as f32 / RESULTS;
    let each = (division.blocks(work.pixels, work.channels) as f32 / multiprocessors).max(1.0);
    let waves = (each.ceil() / division.resident(work.steps()) as f32).ceil();
    let (split, join) = if division.splits > 1 {
        (SPLIT_RESULTS * results, JOIN + JOIN_RESULTS * division.splits as f32 * results)
    } else {
        (0.0, 0.0)
    };
    let [block, keeps] = match division.tile.checked_sub(FIRST_DIRECT) {
        Some(direct) => DIRECT[direct].block,
        None => [BLOCK + BLOCK_RESULTS * results, BUSY + BUSY_RESULTS * results],
    };
    // Either one thing after another takes longest, or all that a multiprocessor has to do.
    let in_a_row = waves * (block + stages * alone);
    let in_all = block + each * (keeps + split + stages * busy);
    in_a_row.max(in_all) + join
}

#[cfg(test)]
mod tests {
    use super::*;

    const H200: f32 = 132.0;

    #[test]
    fn few_pixels_are_shared_by_warps_long_sums_are_split_and_many_pixels_are_neither() {
        // FaceNet's block17 with one face, a dense layer over a picture, and FaceNet's third layer with 32 faces.
        let one = choose(Work { pixels: 64, channels: 128, terms: 896 }, H200, |_| true);
        assert!(one.splits == 1 && TILES[one.tile].steps > 1, "{one:?}");
        let long = choose(Work { pixels: 1, channels: 128, terms: 20_000 }, H200, |_| true);
        assert!(long.splits > 1, "{long:?}");
        let many = Work { pixels: 32 * 77 * 77, channels: 64, terms: 288 };
        // Whatever the card.
        for multiprocessors in [1.0, 8.0, 16.0, H200] {
            let many = choose(many, multiprocessors, |_| true);
            assert!(many.splits == 1 && TILES[many.tile].pixels >= 64, "{many:?}");
        }
    }

    #[test]
    fn a_sum_of_one_step_is_not_split() {
        for terms in [8, 64] {
            assert_eq!(choose(Work { pixels: 1, channels: 8, terms }, H200, |_| true).splits, 1);
        }
    }

    #[test]
    fn a_share_of_a_multiprocessor_has_a_division_too() {
        let small = choose(Work { pixels: 9, channels: 192, terms: 64 }, 0.1, |_| true);
        assert_eq!(small.splits, 1);
    }

    #[test]
    fn levels_are_divided_as_was_quickest() {
        // Tile and splits that were quickest on an H200, with eight faces and with one, where others took a fifth as long again.
        for ([pixels, channels, terms], tile, splits) in [
            ([8 * 79 * 79, 32, 72], [64, 32], 1),
            ([8 * 17 * 17, 192, 1728], [64, 64], 2),
            ([8 * 8 * 8, 128, 896], [16, 32], 1),
            ([3 * 3, 192, 576], [8, 16], 1),
        ] {
            let division = choose(Work { pixels, channels, terms }, H200, |_| true);
            let Tile { pixels, channels, .. } = TILES[division.tile];
            assert_eq!(([pixels, channels], division.splits), (tile, splits));
        }
    }
}
