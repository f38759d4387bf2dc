//! What a card can do at most: `cuda/ceilings.cu`.

use super::{Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// Threads of a block, and bytes that one moves or writes at a time.
const BLOCK: usize = 256;
const ITEM_BYTES: usize = 16;
/// Multiply-adds of a block in a round: 8 warps, 4 products of 16 x 8 x 16.
pub const MULTIPLIED: u64 = 8 * 4 * 16 * 8 * 16;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct CopyParams {
    from: Address,
    to: Address,
    n: u64,
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct MultiplyParams {
    out: Address,
    rounds: u32,
    unused: u32,
}

const _: () = assert!(size_of::<CopyParams>() == 24 && size_of::<MultiplyParams>() == 16);

/// Copies a region to another of its length, a multiple of 16 bytes.
///
/// # Panics
/// If the other is shorter.
#[must_use]
pub fn copy(blocks: u32, from: Region, to: Region) -> Step {
    let to = to.holding(from.len);
    let params = CopyParams { from: from.at, to, n: (from.len / ITEM_BYTES) as u64 };
    step("copy", blocks as usize, BLOCK as u32, 0, &params)
}

/// Multiplies for so many rounds in every block, [`MULTIPLIED`] multiply-adds each.
///
/// # Panics
/// If the region has no 16 bytes for each thread.
#[must_use]
pub fn multiply(blocks: u32, rounds: u32, out: Region) -> Step {
    let out = out.holding(blocks as usize * BLOCK * ITEM_BYTES);
    let params = MultiplyParams { out, rounds, unused: 0 };
    step("multiply", blocks as usize, BLOCK as u32, 0, &params)
}
