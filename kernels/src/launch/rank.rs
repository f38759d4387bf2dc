//! The best of what blocks found: `cuda/rank.cu`.

use super::search::{BLOCK, FoundTemplate, PAIR_BYTES};
use super::{Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `RANK_SHARED`.
const SHARED_BYTES: u32 = 192;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    pairs: Address,
    found: Address,
    lasts: Address,
    blocks: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 32);

/// The best template and the best of another person, for each probe, from the pairs of so many blocks; and each
/// probe's ceiling for the next best.
///
/// # Panics
/// If a region is too short.
#[must_use]
pub fn rank(n_probes: usize, blocks: usize, [pairs, found, lasts]: [Region; 3]) -> Step {
    let params = Params {
        pairs: pairs.holding(blocks * n_probes * PAIR_BYTES),
        found: found.holding(n_probes * 2 * size_of::<FoundTemplate>()),
        lasts: lasts.holding(n_probes * size_of::<u64>()),
        blocks: blocks as u32,
        unused: 0,
    };
    step("rank", n_probes, BLOCK, SHARED_BYTES, &params)
}
