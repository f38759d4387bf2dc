//! Faces cut out of the picture, as an embedder's input: `cuda/cut.cu`.

use super::{EIGHT, Found, PictureView, Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::crop::CropRule;
use threshold_models::pack::Preprocessing;

const THREADS: u32 = 128;

#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Params {
    picture: PictureView,
    faces: Address,
    crops: Address,
    count: Address,
    size: u32,
    rule: u32,
    margin: f32,
    points: [[f32; 2]; 5],
    weights: [f32; 5],
    mean: [f32; 3],
    scale: f32,
}

const _: () = assert!(size_of::<Params>() == 136);

/// Bytes of a face's crop: pixels of eight halves.
#[must_use]
pub fn crop_bytes(rule: &CropRule) -> usize {
    rule.size_px() * rule.size_px() * EIGHT * 2
}

/// Cuts `n` faces ([`Found`]s) out of a picture by a pack's rule, or as many of them as `count`, a u32, says.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn cut(
    n: usize,
    picture: PictureView,
    (rule, preprocessing): (&CropRule, Preprocessing),
    [faces, crops]: [Region; 2],
    count: Option<Region>,
) -> Step {
    let size = rule.size_px();
    let mut params = Params {
        picture,
        faces: faces.holding(n * size_of::<Found>()),
        crops: crops.holding(n * crop_bytes(rule)),
        count: count.map_or_else(Address::default, |count| count.holding(size_of::<u32>())),
        size: size as u32,
        mean: preprocessing.mean,
        scale: preprocessing.scale,
        ..Params::default()
    };
    match *rule {
        CropRule::SquaredBox { margin_px, .. } => params.margin = margin_px,
        CropRule::Similarity { points_px, weights, .. } => {
            params.rule = 1;
            (params.points, params.weights) = (points_px, weights);
        }
    }
    step("cut", n * (size * size).div_ceil(THREADS as usize), THREADS, 0, &params)
}
