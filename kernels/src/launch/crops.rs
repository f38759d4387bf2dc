//! R-Net's and O-Net's convolutions over crops: `cuda/rnet.cu`, `cuda/onet.cu`.

use super::{
    BOX_BYTES, Layer, ONET_FEATURES, ONET_MAX, PictureView, RNET_FEATURES, RNET_MAX, Region,
    Status, step,
};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `CROP_BLOCK` and `RNET_SHARED`.
const RNET_BLOCK: u32 = 384;
const RNET_SHARED_BYTES: u32 = 80_656;
/// As `POOL1_BLOCK` and `POOL1_SHARED`.
const POOL1_BLOCK: u32 = 352;
const POOL1_SHARED_BYTES: u32 = 29_216;
/// As `POOL2_BLOCK` and `POOL2_SHARED`.
const POOL2_BLOCK: u32 = 448;
const POOL2_SHARED_BYTES: u32 = 64_864;
/// As `FEATURES_BLOCK` and `FEATURES_SHARED`.
const FEATURES_BLOCK: u32 = 512;
const FEATURES_SHARED_BYTES: u32 = 99_648;
/// Blocks for each multiprocessor: as many as their registers let live at once.
const RNET_BLOCKS_EACH: u32 = 2;
const POOL1_BLOCKS_EACH: u32 = 2;
const POOL2_BLOCKS_EACH: u32 = 2;
const FEATURES_BLOCKS_EACH: u32 = 1;
/// Bytes of a feature: a half.
const FEATURE_BYTES: usize = 2;
/// Bytes of O-Net's first pool of all crops.
pub const ONET_POOL1_BYTES: usize = ONET_MAX * 23 * 23 * 32 * FEATURE_BYTES;
/// The same of its second.
pub const ONET_POOL2_BYTES: usize = ONET_MAX * 10 * 10 * 64 * FEATURE_BYTES;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct RNetParams {
    picture: PictureView,
    boxes: Address,
    features: Address,
    status: Address,
    convs: [Layer; 3],
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct ONetParams {
    picture: PictureView,
    boxes: Address,
    pool1: Address,
    pool2: Address,
    features: Address,
    status: Address,
    convs: [Layer; 4],
}

const _: () = assert!(size_of::<RNetParams>() == 120 && size_of::<ONetParams>() == 160);

/// R-Net's features of each crop.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn rnet(
    multiprocessors: u32,
    picture: PictureView,
    convs: [Layer; 3],
    [boxes, features, status]: [Region; 3],
) -> Step {
    let params = RNetParams {
        picture,
        boxes: boxes.holding(RNET_MAX * BOX_BYTES),
        features: features.holding(RNET_MAX * RNET_FEATURES * FEATURE_BYTES),
        status: status.holding(size_of::<Status>()),
        convs,
    };
    let grid = (RNET_BLOCKS_EACH * multiprocessors) as usize;
    step("rnet", grid, RNET_BLOCK, RNET_SHARED_BYTES, &params)
}

/// O-Net's features of each crop, by way of its pools.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn onet(
    multiprocessors: u32,
    picture: PictureView,
    convs: [Layer; 4],
    [boxes, pool1, pool2, features, status]: [Region; 5],
) -> [Step; 3] {
    let params = ONetParams {
        picture,
        boxes: boxes.holding(ONET_MAX * BOX_BYTES),
        pool1: pool1.holding(ONET_POOL1_BYTES),
        pool2: pool2.holding(ONET_POOL2_BYTES),
        features: features.holding(ONET_MAX * ONET_FEATURES * FEATURE_BYTES),
        status: status.holding(size_of::<Status>()),
        convs,
    };
    [
        ("onet_pool1", POOL1_BLOCKS_EACH, POOL1_BLOCK, POOL1_SHARED_BYTES),
        ("onet_pool2", POOL2_BLOCKS_EACH, POOL2_BLOCK, POOL2_SHARED_BYTES),
        ("onet_features", FEATURES_BLOCKS_EACH, FEATURES_BLOCK, FEATURES_SHARED_BYTES),
    ]
    .map(|(kernel, blocks_each, block, shared_bytes)| {
        step(kernel, (blocks_each * multiprocessors) as usize, block, shared_bytes, &params)
    })
}
