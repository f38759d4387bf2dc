//! The dense layers of R-Net and O-Net: `cuda/heads.cu`.

use super::{
    Layer, ONET_ANSWERS, ONET_FEATURES, ONET_MAX, RNET_ANSWERS, RNET_FEATURES, RNET_MAX, Region,
    Status, step,
};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// Proposals of a block.
const ROWS: usize = 16;
/// As `HEADS_BLOCK` and `ANSWERS_BLOCK`.
const BLOCK: u32 = 512;
const ANSWERS_BLOCK: u32 = 64;
/// As `RNET_HEADS_SHARED` and `HIDDEN_SHARED`.
const RNET_SHARED_BYTES: u32 = 27_392;
const HIDDEN_SHARED_BYTES: u32 = 45_312;
/// As `HIDDEN_PARTS`: blocks among which 16 proposals' hidden values are divided.
const HIDDEN_PARTS: usize = 8;
/// Tiles of 16 proposals that `onet_hidden` takes at once: more are rare, and every block reads its weights.
const HIDDEN_AT_ONCE: usize = 8;
/// Bytes of O-Net's hidden values of all crops.
pub const ONET_HIDDEN_BYTES: usize = ONET_MAX * 256 * 2;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    features: Address,
    /// O-Net's.
    hidden: Address,
    answers: Address,
    status: Address,
    layers: [Layer; 2],
}

const _: () = assert!(size_of::<Params>() == 80);

/// R-Net's answers of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn rnet_heads(layers: [Layer; 2], [features, answers, status]: [Region; 3]) -> Step {
    let params = Params {
        features: features.holding(RNET_MAX * RNET_FEATURES * 2),
        hidden: Address::default(),
        answers: answers.holding(RNET_MAX * RNET_ANSWERS * size_of::<f32>()),
        status: status.holding(size_of::<Status>()),
        layers,
    };
    step("rnet_heads", RNET_MAX / ROWS, BLOCK, RNET_SHARED_BYTES, &params)
}

/// O-Net's answers of each crop, by way of its hidden values.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn onet_heads(
    layers: [Layer; 2],
    [features, hidden, answers, status]: [Region; 4],
) -> [Step; 2] {
    let params = Params {
        features: features.holding(ONET_MAX * ONET_FEATURES * 2),
        hidden: hidden.holding(ONET_HIDDEN_BYTES),
        answers: answers.holding(ONET_MAX * ONET_ANSWERS * size_of::<f32>()),
        status: status.holding(size_of::<Status>()),
        layers,
    };
    [
        step("onet_hidden", HIDDEN_AT_ONCE * HIDDEN_PARTS, BLOCK, HIDDEN_SHARED_BYTES, &params),
        step("onet_heads", ONET_MAX / ROWS, ANSWERS_BLOCK, 0, &params),
    ]
}
