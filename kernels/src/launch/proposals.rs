//! P-Net's proposals in order: `cuda/proposals.cu`.

use super::{BOX_BYTES, Levels, ONE_BLOCK, PNET_MAX, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `PROPOSALS_SHARED`.
const SHARED_BYTES: u32 = 66_592;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    levels: Address,
    keys: Address,
    sorted: Address,
    boxes: Address,
    level_of_box: Address,
    status: Address,
    n_levels: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 56);

/// Sorts the best [`PNET_MAX`] keys and gives each its box and level.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn proposals(
    levels: &Levels,
    [table, keys]: [Region; 2],
    [sorted, boxes, level_of_box]: [Region; 3],
    status: Region,
) -> Step {
    let params = Params {
        levels: table.holding(levels.bytes().len()),
        keys: keys.holding(levels.cells() * size_of::<u64>()),
        sorted: sorted.holding(PNET_MAX * size_of::<u64>()),
        boxes: boxes.holding(PNET_MAX * BOX_BYTES),
        level_of_box: level_of_box.holding(PNET_MAX * size_of::<u32>()),
        status: status.holding(size_of::<Status>()),
        n_levels: levels.len() as u32,
        unused: 0,
    };
    step("proposals", 1, ONE_BLOCK, SHARED_BYTES, &params)
}
