//! The dense layers of R-Net and O-Net: `cuda/heads.cu`.

use super::{
    Layer, ONET_ANSWERS, ONET_FEATURES, ONET_MAX, RNET_ANSWERS, RNET_FEATURES, RNET_MAX, Region,
    Status, step,
};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// Proposals of a block.
const ROWS: usize = 16;
/// As `HEADS_BLOCK`.
const BLOCK: u32 = 512;
const RNET_SHARED_BYTES: u32 = 23_040;
const ONET_SHARED_BYTES: u32 = 45_568;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    features: Address,
    answers: Address,
    status: Address,
    layers: [Layer; 2],
}

const _: () = assert!(size_of::<Params>() == 72);

/// R-Net's answers of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn rnet_heads(layers: [Layer; 2], [features, answers, status]: [Region; 3]) -> Step {
    let params = Params {
        features: features.holding(RNET_MAX * RNET_FEATURES * 2),
        answers: answers.holding(RNET_MAX * RNET_ANSWERS * size_of::<f32>()),
        status: status.holding(size_of::<Status>()),
        layers,
    };
    step("rnet_heads", RNET_MAX / ROWS, BLOCK, RNET_SHARED_BYTES, &params)
}

/// O-Net's answers of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn onet_heads(layers: [Layer; 2], [features, answers, status]: [Region; 3]) -> Step {
    let params = Params {
        features: features.holding(ONET_MAX * ONET_FEATURES * 2),
        answers: answers.holding(ONET_MAX * ONET_ANSWERS * size_of::<f32>()),
        status: status.holding(size_of::<Status>()),
        layers,
    };
    step("onet_heads", ONET_MAX / ROWS, BLOCK, ONET_SHARED_BYTES, &params)
}
