//! R-Net's and O-Net's convolutions over crops: `cuda/rnet.cu`, `cuda/onet.cu`.

use super::{
    BOX_BYTES, Layer, ONET_FEATURES, ONET_MAX, PictureView, RNET_FEATURES, RNET_MAX, Region,
    Status, step,
};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `RNET_SHARED` and `ONET_SHARED`.
const RNET_SHARED_BYTES: u32 = 54_816;
const ONET_SHARED_BYTES: u32 = 93_888;
/// As `CROP_BLOCK` of each.
const RNET_BLOCK: u32 = 384;
const ONET_BLOCK: u32 = 512;
/// Blocks for each multiprocessor: as many as their registers let live at once.
const RNET_BLOCKS_EACH: u32 = 2;
const ONET_BLOCKS_EACH: u32 = 1;
/// Bytes of a feature: a half.
const FEATURE_BYTES: usize = 2;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    picture: PictureView,
    boxes: Address,
    features: Address,
    status: Address,
    /// R-Net has three.
    convs: [Layer; 4],
}

const _: () = assert!(size_of::<Params>() == 144);

/// R-Net's features of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn rnet(
    multiprocessors: u32,
    picture: PictureView,
    [conv1, conv2, conv3]: [Layer; 3],
    [boxes, features, status]: [Region; 3],
) -> Step {
    let params = Params {
        picture,
        boxes: boxes.holding(RNET_MAX * BOX_BYTES),
        features: features.holding(RNET_MAX * RNET_FEATURES * FEATURE_BYTES),
        status: status.holding(size_of::<Status>()),
        convs: [conv1, conv2, conv3, Layer::default()],
    };
    let grid = (RNET_BLOCKS_EACH * multiprocessors) as usize;
    step("rnet", grid, RNET_BLOCK, RNET_SHARED_BYTES, &params)
}

/// O-Net's features of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn onet(
    multiprocessors: u32,
    picture: PictureView,
    convs: [Layer; 4],
    [boxes, features, status]: [Region; 3],
) -> Step {
    let params = Params {
        picture,
        boxes: boxes.holding(ONET_MAX * BOX_BYTES),
        features: features.holding(ONET_MAX * ONET_FEATURES * FEATURE_BYTES),
        status: status.holding(size_of::<Status>()),
        convs,
    };
    let grid = (ONET_BLOCKS_EACH * multiprocessors) as usize;
    step("onet", grid, ONET_BLOCK, ONET_SHARED_BYTES, &params)
}
