//! Probes as templates are stored: `cuda/quantise.cu`.

use super::search::{Element, GalleryShape, Side};
use super::{Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `QUANTISE_BLOCK` and `QUANTISE_SHARED`.
const BLOCK: u32 = 128;
const SHARED_BYTES: u32 = 16;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    embeddings: Address,
    probes: Address,
    sides: Address,
    len: u32,
    chunks: u32,
}

const _: () = assert!(size_of::<Params>() == 32);

/// Quantises, or rounds to half, so many embeddings of f32, one behind the other.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn quantise(
    shape: &GalleryShape,
    n_probes: usize,
    [embeddings, probes, sides]: [Region; 3],
) -> Step {
    let params = Params {
        embeddings: embeddings.holding(n_probes * shape.len * size_of::<f32>()),
        probes: probes.holding(shape.probe_bytes(n_probes)),
        sides: sides.holding(n_probes * size_of::<Side>()),
        len: shape.len as u32,
        chunks: shape.chunks() as u32,
    };
    match shape.element {
        Element::Int8 => step("quantise_int8", n_probes, BLOCK, SHARED_BYTES, &params),
        Element::Half => {
            let shared_bytes = SHARED_BYTES + shape.probe_bytes(1) as u32;
            step("quantise_half", n_probes, BLOCK, shared_bytes, &params)
        }
    }
}
