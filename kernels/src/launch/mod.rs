//! Launchers: one file for each kernel, with its parameters as the kernel sees them and the grid that it wants.
//!
//! Owns the mirror images of the kernels' structs; both sides assert their size. Refuses regions that are too short for what
//! the kernel will touch: a launcher checks every length against the shapes, so that a [`Step`] that it gives is sound as
//! long as its buffers live.

mod ceilings;
mod conv_alone;
mod crops;
mod cut;
mod heads;
mod ingest;
mod layers;
mod levels;
mod overlap;
mod place;
mod pnet;
mod proposals;
mod propose;
mod pyramid;
mod quality;
mod quantise;
mod rank;
mod refine;
mod scan;
mod search;

pub use ceilings::{MULTIPLIED, copy, multiply};
pub use conv_alone::{CONVS_ALONE, ConvAlone, conv_alone};
pub use crops::{ONET_POOL1_BYTES, ONET_POOL2_BYTES, onet, rnet};
pub use cut::{crop_bytes, cut};
pub use heads::{ONET_HIDDEN_BYTES, onet_heads, rnet_heads};
pub use ingest::{CHUNK_OF_INPUT, ingest};
pub use layers::{
    Counted, Division, EIGHT, LEVEL_MOST, LayerOp, LevelStep, Operand, TILES, Tile, layers,
};
pub(crate) use layers::{FIRST_DIRECT, SUM_STEP, may_be_direct};
pub use levels::{level_by_level, level_bytes, levels_counters_bytes, levels_in_one};
pub use overlap::overlap;
pub use place::{RESULT_BYTES, place};
pub use pnet::{
    PNET_ALONE_CELLS, PNET_ALONE_CONV2, PNET_ALONE_PIXELS, PNET_ALONE_POOL, pnet, pnet_alone,
};
pub use proposals::proposals;
pub use propose::propose;
pub use pyramid::{Levels, pyramid};
pub use quality::{Measured, quality};
pub use quantise::quantise;
pub use rank::rank;
pub use refine::refine;
pub use scan::{batch_of, scan};
pub use search::{
    CHUNK_BYTES, Element, FoundTemplate, GalleryShape, NO_TEMPLATE, PAIR_BYTES, Side, TILE,
};

pub use crate::device::Region;
use crate::device::{Address, Launch, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::engine::Detection;

/// Most proposals that enter the first suppression; `PNET_MAX` of `status.cuh`.
pub const PNET_MAX: usize = 8192;
/// Most crops of R-Net.
pub const RNET_MAX: usize = 2048;
/// Most crops of O-Net, and most detections.
pub const ONET_MAX: usize = 512;
/// Values of R-Net's convolutions for one crop.
pub const RNET_FEATURES: usize = 576;
/// Values of O-Net's convolutions for one crop.
pub const ONET_FEATURES: usize = 1152;
/// Values of R-Net's heads for one crop: two logits, four regressions, two zeros.
pub const RNET_ANSWERS: usize = 8;
/// Values of O-Net's heads for one crop: two logits, four regressions, ten landmarks.
pub const ONET_ANSWERS: usize = 16;
/// Threads of the kernels that do a whole frame's part in one block; `ONE_BLOCK` of `suppress.cuh`.
const ONE_BLOCK: u32 = 512;
/// Kernels that keep the contract of [`Launch::overlaps`].
pub(crate) const OVERLAPPING: &[&str] = &[
    "ingest",
    "columns",
    "pyramid",
    "pnet",
    "proposals",
    "overlap",
    "propose",
    "rnet",
    "rnet_heads",
    "refine",
    "onet_pool1",
    "onet_pool2",
    "onet_features",
    "onet_hidden",
    "onet_heads",
    "place",
    "quality",
    "layers",
    "layers_small",
    "level",
    "quantise_int8",
    "quantise_half",
    "scan_int8_1",
    "scan_int8_4",
    "scan_int8_8",
    "scan_int8_16",
    "scan_int8_32",
    "scan_half_1",
    "scan_half_4",
    "scan_half_8",
    "scan_half_16",
    "rank",
];
/// Bytes of a box: four f32.
pub const BOX_BYTES: usize = 16;

/// A layer's weights (`weights.rs`); `Layer` of `conv.cuh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Layer {
    /// Fragments.
    pub weights: Address,
    /// f32.
    pub bias: Address,
    /// f32, the slopes of PReLU.
    pub slope: Address,
}

impl Layer {
    /// All of its addresses.
    pub(crate) fn addresses(&mut self) -> [&mut Address; 3] {
        [&mut self.weights, &mut self.bias, &mut self.slope]
    }
}

/// The frame as sums in device memory; `PictureView` of `picture.cuh`.
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
#[repr(C)]
pub struct PictureView {
    sums: Address,
    width: u32,
    height: u32,
    pitch: u32,
    unused: u32,
}

impl PictureView {
    /// Bytes of a picture of that width and height.
    #[must_use]
    pub fn bytes([width, height]: [usize; 2]) -> usize {
        (height + 1) * Self::pitch(width) * size_of::<u64>()
    }

    /// A picture of that width and height in a region.
    ///
    /// # Panics
    /// If the region is shorter.
    #[must_use]
    pub fn of([width, height]: [usize; 2], region: Region) -> Self {
        Self {
            sums: region.holding(Self::bytes([width, height])),
            width: width as u32,
            height: height as u32,
            pitch: Self::pitch(width) as u32,
            unused: 0,
        }
    }

    /// Entries from row to row: one more than pixels, and eights of them.
    fn pitch(width: usize) -> usize {
        (width + 1).next_multiple_of(8)
    }
}

/// What the kernels tell; `Status` of `status.cuh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub struct Status {
    /// Cells at or above P-Net's threshold.
    pub pnet_found: u32,
    /// Of these, those that entered the suppression.
    pub pnet_kept: u32,
    /// Proposals left by the suppression.
    pub rnet_found: u32,
    /// Of these, R-Net's crops.
    pub rnet_kept: u32,
    /// Proposals left by R-Net and the suppression.
    pub onet_found: u32,
    /// Of these, O-Net's crops.
    pub onet_kept: u32,
    /// Detections.
    pub detections: u32,
    /// Networks that gave a value that is not finite: bits 0, 1, 2.
    pub faults: u32,
}

impl Status {
    /// Where the number of detections lies in a region that has a status.
    ///
    /// # Panics
    /// If the region is shorter.
    #[must_use]
    pub fn detections_in(status: Region) -> Region {
        let (_, behind) = status.split_at(std::mem::offset_of!(Self, detections));
        behind.split_at(size_of::<u32>()).0
    }
}

/// A detection; `Found` of `status.cuh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Found {
    /// x1, y1, x2, y2 in frame pixels.
    pub bbox: [f32; 4],
    /// x and y of each point.
    pub landmarks: [[f32; 2]; 5],
    /// O-Net's probability.
    pub score: f32,
    unused: u32,
}

impl From<&Detection> for Found {
    fn from(&Detection { bbox, landmarks, score }: &Detection) -> Self {
        let bbox = [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
        Self { bbox, landmarks, score, unused: 0 }
    }
}

fn step<P: Pod>(
    kernel: &'static str,
    grid: usize,
    block: u32,
    shared_bytes: u32,
    params: &P,
) -> Step {
    Step::Launch(Launch {
        kernel,
        grid: [grid as u32, 1, 1],
        block: [block, 1, 1],
        shared_bytes,
        params: bytemuck::bytes_of(params).to_vec(),
        overlaps: OVERLAPPING.contains(&kernel),
    })
}

const _: () = assert!(size_of::<Layer>() == 24 && size_of::<PictureView>() == 24);
const _: () = assert!(size_of::<Status>() == 32 && size_of::<Found>() == 64);
