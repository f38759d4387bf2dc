//! P-Net over every level: `cuda/pnet.cu`, and its own layers alone, for tests: `cuda/pnet_alone.cu`.

use super::{Layer, Levels, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `PNET_SHARED`.
const SHARED_BYTES: u32 = 48_864;
/// As `PNET_THREADS`.
const THREADS: u32 = 512;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    levels: Address,
    pixels: Address,
    layers: [Layer; 4],
    keys: Address,
    regs: Address,
    status: Address,
    n_levels: u32,
    threshold: f32,
}

const _: () = assert!(size_of::<Params>() == 144);

/// Finds the cells that score `threshold` or more: their keys in any order, their regressions by cell.
///
/// # Panics
/// If a region is too short, or there is no level.
#[must_use]
pub fn pnet(
    levels: &Levels,
    [table, pixels]: [Region; 2],
    layers: [Layer; 4],
    threshold: f32,
    [keys, regs, status]: [Region; 3],
) -> Step {
    assert!(!levels.is_empty());
    let params = Params {
        levels: table.holding(levels.bytes().len()),
        pixels: pixels.holding(levels.pixel_bytes()),
        layers,
        keys: keys.holding(levels.cells() * size_of::<u64>()),
        regs: regs.holding(levels.cells() * size_of::<[f32; 4]>()),
        status: status.holding(size_of::<Status>()),
        n_levels: levels.len() as u32,
        threshold,
    };
    step("pnet", levels.pnet_blocks(), THREADS, SHARED_BYTES, &params)
}

/// Columns, and rows, of what a block of P-Net reads, pools, and reads of conv2.
pub const PNET_ALONE_PIXELS: usize = 42;
/// See [`PNET_ALONE_PIXELS`].
pub const PNET_ALONE_POOL: usize = 20;
/// See [`PNET_ALONE_PIXELS`].
pub const PNET_ALONE_CONV2: usize = 18;
/// Columns, and rows, of the cells of a block of P-Net.
pub const PNET_ALONE_CELLS: usize = 16;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct AloneParams {
    pixels: Address,
    pool: Address,
    conv2: Address,
    answers: Address,
    layers: [Layer; 3],
    conv_size: [u32; 2],
}

const _: () = assert!(size_of::<AloneParams>() == 112);

/// Conv1 with its pool over one tile's pixels, and conv3 with both heads over one tile of conv2.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn pnet_alone(
    [conv1, _, conv3, heads]: [Layer; 4],
    conv_size: [u32; 2],
    [pixels, pool, conv2, answers]: [Region; 4],
) -> Step {
    let params = AloneParams {
        pixels: pixels.holding(PNET_ALONE_PIXELS.pow(2) * 8),
        pool: pool.holding(PNET_ALONE_POOL.pow(2) * 32),
        conv2: conv2.holding(PNET_ALONE_CONV2.pow(2) * 32),
        answers: answers.holding(PNET_ALONE_CELLS.pow(2) * 32),
        layers: [conv1, conv3, heads],
        conv_size,
    };
    step("pnet_alone", 1, THREADS, SHARED_BYTES, &params)
}
