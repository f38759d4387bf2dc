//! P-Net over every level: `cuda/pnet.cu`.

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
