//! O-Net's boxes: `cuda/refine.cu`.

use super::{BOX_BYTES, ONE_BLOCK, ONET_MAX, RNET_ANSWERS, RNET_MAX, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `REFINE_SHARED`.
const SHARED_BYTES: u32 = 49_824;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    boxes: Address,
    answers: Address,
    masks: Address,
    out: Address,
    status: Address,
    frame_width: u32,
    frame_height: u32,
    threshold: f32,
    overlap: f32,
}

const _: () = assert!(size_of::<Params>() == 56);

/// Passes, suppresses, regresses and squares R-Net's proposals.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn refine(
    [width, height]: [usize; 2],
    [threshold, overlap]: [f32; 2],
    [boxes, answers, masks, out, status]: [Region; 5],
) -> Step {
    let params = Params {
        boxes: boxes.holding(RNET_MAX * BOX_BYTES),
        answers: answers.holding(RNET_MAX * RNET_ANSWERS * size_of::<f32>()),
        masks: masks.holding(RNET_MAX * RNET_MAX / 8),
        out: out.holding(ONET_MAX * BOX_BYTES),
        status: status.holding(size_of::<Status>()),
        frame_width: width as u32,
        frame_height: height as u32,
        threshold,
        overlap,
    };
    step("refine", 1, ONE_BLOCK, SHARED_BYTES, &params)
}
