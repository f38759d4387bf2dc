//! Which proposals of P-Net overlap: `cuda/overlap.cu`.

use super::{BOX_BYTES, PNET_MAX, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// Blocks for each multiprocessor.
const BLOCKS_EACH: u32 = 4;

/// As `OVERLAP_SHARED`.
const SHARED_BYTES: u32 = 5120;

/// Bytes of one mask: a bit for each pair.
pub(crate) const MASK_BYTES: usize = PNET_MAX * PNET_MAX / 8;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    boxes: Address,
    level_of_box: Address,
    level_masks: Address,
    all_masks: Address,
    status: Address,
    level_threshold: f32,
    all_threshold: f32,
}

const _: () = assert!(size_of::<Params>() == 48);

/// Fills the masks of overlaps within a level and among all.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn overlap(
    multiprocessors: u32,
    [boxes, level_of_box]: [Region; 2],
    [level_masks, all_masks]: [Region; 2],
    [level_threshold, all_threshold]: [f32; 2],
    status: Region,
) -> Step {
    let params = Params {
        boxes: boxes.holding(PNET_MAX * BOX_BYTES),
        level_of_box: level_of_box.holding(PNET_MAX * size_of::<u32>()),
        level_masks: level_masks.holding(MASK_BYTES),
        all_masks: all_masks.holding(MASK_BYTES),
        status: status.holding(size_of::<Status>()),
        level_threshold,
        all_threshold,
    };
    step("overlap", (BLOCKS_EACH * multiprocessors) as usize, 256, SHARED_BYTES, &params)
}
