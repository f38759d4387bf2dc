//! R-Net's boxes: `cuda/propose.cu`.

use super::overlap::MASK_BYTES;
use super::{BOX_BYTES, ONE_BLOCK, PNET_MAX, RNET_MAX, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `PROPOSE_SHARED`.
const SHARED_BYTES: u32 = 18_576;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    sorted: Address,
    boxes: Address,
    regs: Address,
    level_masks: Address,
    all_masks: Address,
    out: Address,
    status: Address,
    frame_width: u32,
    frame_height: u32,
}

const _: () = assert!(size_of::<Params>() == 64);

/// Suppresses, regresses and squares P-Net's proposals; `regs` are those of `cells` cells.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn propose(
    [width, height]: [usize; 2],
    cells: usize,
    [sorted, boxes, regs]: [Region; 3],
    [level_masks, all_masks]: [Region; 2],
    out: Region,
    status: Region,
) -> Step {
    let params = Params {
        sorted: sorted.holding(PNET_MAX * size_of::<u64>()),
        boxes: boxes.holding(PNET_MAX * BOX_BYTES),
        regs: regs.holding(cells * size_of::<[f32; 4]>()),
        level_masks: level_masks.holding(MASK_BYTES),
        all_masks: all_masks.holding(MASK_BYTES),
        out: out.holding(RNET_MAX * BOX_BYTES),
        status: status.holding(size_of::<Status>()),
        frame_width: width as u32,
        frame_height: height as u32,
    };
    step("propose", 1, ONE_BLOCK, SHARED_BYTES, &params)
}
