//! The detections: `cuda/place.cu`.

use super::{BOX_BYTES, Found, ONE_BLOCK, ONET_ANSWERS, ONET_MAX, Region, Status, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `PLACE_SHARED`.
const SHARED_BYTES: u32 = 16_672;

/// Bytes of a frame's result: the status, then the detections.
pub const RESULT_BYTES: usize = size_of::<Status>() + ONET_MAX * size_of::<Found>();

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    boxes: Address,
    answers: Address,
    masks: Address,
    result: Address,
    found: Address,
    status: Address,
    threshold: f32,
    overlap: f32,
}

const _: () = assert!(size_of::<Params>() == 56);

/// Passes, regresses, suppresses and orders O-Net's proposals. The result may lie in memory of the host that the device sees;
/// `found` has the detections once more, for kernels.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn place(
    [threshold, overlap]: [f32; 2],
    [boxes, answers, masks, result, found, status]: [Region; 6],
) -> Step {
    let params = Params {
        boxes: boxes.holding(ONET_MAX * BOX_BYTES),
        answers: answers.holding(ONET_MAX * ONET_ANSWERS * size_of::<f32>()),
        masks: masks.holding(ONET_MAX * ONET_MAX / 8),
        result: result.holding(RESULT_BYTES),
        found: found.holding(ONET_MAX * size_of::<Found>()),
        status: status.holding(size_of::<Status>()),
        threshold,
        overlap,
    };
    step("place", 1, ONE_BLOCK, SHARED_BYTES, &params)
}
