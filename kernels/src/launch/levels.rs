//! What a row of levels costs at least, as a launch each or in one: `cuda/levels.cu`.

use super::{Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

const THREADS: usize = 128;
/// Bytes of one of a thread's values.
const VALUE_BYTES: usize = 16;
/// From the counter of a level to the next one's.
const COUNTER_BYTES: usize = 32 * size_of::<u32>();
/// `LEVEL_SHARED`.
const SHARED_BYTES: u32 = 8208;

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    values: [Address; 2],
    tickets: Address,
    done: Address,
    level: u32,
    levels: u32,
    blocks: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 48);

/// Bytes of a level's values, of which a row needs two regions.
#[must_use]
pub fn level_bytes(blocks: usize) -> usize {
    blocks * THREADS * VALUE_BYTES
}

/// Bytes of the counters of levels in one launch, zero before and after.
#[must_use]
pub fn levels_counters_bytes(levels: usize) -> usize {
    2 * size_of::<u32>() + levels * COUNTER_BYTES
}

/// A row of so many levels of so many blocks: a launch for each.
///
/// # Panics
/// If a region is shorter than [`level_bytes`].
#[must_use]
pub fn level_by_level(levels: usize, blocks: usize, values: [Region; 2]) -> Vec<Step> {
    let one = |level| {
        let params = params(levels, blocks, values, None);
        step("level", blocks, THREADS as u32, SHARED_BYTES, &Params { level, ..params })
    };
    (0..levels as u32).map(one).collect()
}

/// The same row in one launch of `grid` blocks, which wait for counters.
///
/// # Panics
/// If a region is shorter than [`level_bytes`] or [`levels_counters_bytes`].
#[must_use]
pub fn levels_in_one(
    (levels, blocks): (usize, usize),
    grid: usize,
    values: [Region; 2],
    counters: Region,
) -> Step {
    let params = params(levels, blocks, values, Some(counters));
    step("levels", grid, THREADS as u32, SHARED_BYTES, &params)
}

fn params(levels: usize, blocks: usize, values: [Region; 2], counters: Option<Region>) -> Params {
    let [tickets, done] = counters.map_or([Address::default(); 2], |counters| {
        let start = counters.holding(levels_counters_bytes(levels));
        [start, start.offset(2 * size_of::<u32>())]
    });
    Params {
        values: values.map(|region| region.holding(level_bytes(blocks))),
        tickets,
        done,
        level: 0,
        levels: levels as u32,
        blocks: blocks as u32,
        unused: 0,
    }
}
