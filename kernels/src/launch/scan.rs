//! The scan of a gallery: `cuda/scan.cu`.

use super::search::{BLOCK, Element, GalleryShape, PAIR_BYTES, Side, TILE, WARPS};
use super::{Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_record::Metric;

/// The kernels by the number of probes that they scan for at once.
const INT8: [(usize, &str); 5] = [
    (1, "scan_int8_1"),
    (4, "scan_int8_4"),
    (8, "scan_int8_8"),
    (16, "scan_int8_16"),
    (32, "scan_int8_32"),
];
/// 32 probes of f32 and their sums are more than the shared memory of all targets holds.
const HALF: [(usize, &str); 4] =
    [(1, "scan_half_1"), (4, "scan_half_4"), (8, "scan_half_8"), (16, "scan_half_16")];

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    vectors: Address,
    sides: Address,
    persons: Address,
    probes: Address,
    probe_sides: Address,
    ceilings: Address,
    pairs: Address,
    n: u32,
    chunks: u32,
    metric: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 72);

fn kernels(element: Element) -> &'static [(usize, &'static str)] {
    match element {
        Element::Int8 => &INT8,
        Element::Half => &HALF,
    }
}

/// The size of the batch that `n_probes` probes are scanned in: at least so many, or the largest.
#[must_use]
pub fn batch_of(element: Element, n_probes: usize) -> usize {
    let sizes = kernels(element).iter().map(|(size, _)| *size);
    sizes.clone().find(|&size| size >= n_probes).or(sizes.max()).unwrap_or(1)
}

/// As `shared_of`.
fn shared_bytes(shape: &GalleryShape, n_probes: usize) -> u32 {
    let sums = n_probes * (TILE + TILE / n_probes) * size_of::<f32>();
    let of_warp = sums + TILE * size_of::<Side>() + n_probes * PAIR_BYTES;
    let floors = n_probes * size_of::<u32>();
    (shape.probe_bytes(n_probes) + WARPS * of_warp + floors) as u32
}

/// What each block finds for each probe of a batch, below the probe's ceiling if that is not 0. The vectors are tiles of [`TILE`] templates, chunk by chunk; places go by
/// person and slot.
///
/// # Panics
/// If a region is too short, no kernel takes batches of this size, or there are more templates than places.
#[must_use]
pub fn scan(
    shape: &GalleryShape,
    n_probes: usize,
    blocks: usize,
    [vectors, sides, persons]: [Region; 3],
    [probes, probe_sides, ceilings, pairs]: [Region; 4],
) -> Step {
    assert!(u32::try_from(shape.n).is_ok_and(|n| n < 1 << 31), "{} templates", shape.n);
    let kernel = kernels(shape.element).iter().find(|(size, _)| *size == n_probes);
    let Some((_, kernel)) = kernel else { panic!("no kernel for batches of {n_probes}") };
    let params = Params {
        vectors: vectors.holding(shape.tiles() * shape.tile_bytes()),
        sides: sides.holding(shape.n * size_of::<Side>()),
        persons: persons.holding(shape.n * size_of::<u32>()),
        probes: probes.holding(shape.probe_bytes(n_probes)),
        probe_sides: probe_sides.holding(n_probes * size_of::<Side>()),
        ceilings: ceilings.holding(n_probes * size_of::<u64>()),
        pairs: pairs.holding(blocks * n_probes * PAIR_BYTES),
        n: shape.n as u32,
        chunks: shape.chunks() as u32,
        metric: match shape.metric {
            Metric::SquaredL2 => 0,
            Metric::L2 => 1,
        },
        unused: 0,
    };
    step(kernel, blocks, BLOCK, shared_bytes(shape, n_probes), &params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_is_what_the_kernel_says_and_every_target_has() {
        let shape = |element| GalleryShape { element, metric: Metric::L2, len: 512, n: 0 };
        assert_eq!(shared_bytes(&shape(Element::Int8), 32), 58_496);
        assert_eq!(shared_bytes(&shape(Element::Half), 16), 55_360);
    }

    #[test]
    fn a_batch_is_the_least_that_holds_the_probes_or_the_largest() {
        for (n, int8, half) in
            [(0, 1, 1), (1, 1, 1), (2, 4, 4), (9, 16, 16), (17, 32, 16), (99, 32, 16)]
        {
            assert_eq!(batch_of(Element::Int8, n), int8, "{n}");
            assert_eq!(batch_of(Element::Half, n), half, "{n}");
        }
    }
}
