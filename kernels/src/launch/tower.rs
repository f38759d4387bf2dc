//! A run of an embedder's levels in one launch, each item by one cluster of blocks: `cuda/tower.cu`.

use super::layers::{LEVEL_MOST, LayerOp, LayerStep, LevelStep, TILES, mirrored};
use super::{Region, step};
use crate::device::{Address, Clusters, Step};
use bytemuck::{Pod, Zeroable};

/// Threads of a team; `TEAM_THREADS`.
const TEAM_THREADS: u32 = 128;
/// Most teams of a block; `TOWER_TEAMS`.
pub const TOWER_TEAMS: u32 = 4;
/// Shared memory of a team; `TOWER_RING`.
const RING_BYTES: u32 = 48 << 10;
/// Most shared memory of a block: what compute capability 9.0 lends.
const SHARED_MOST: u32 = 227 << 10;
/// Most steps of a table, of a level each.
pub const TOWER_STEPS: usize =
    (SHARED_MOST - TOWER_TEAMS * RING_BYTES - 16) as usize / (size_of::<LayerStep>() + 4);
/// Of [`TILES`], the first that `tower` has.
pub const TOWER_TILES: std::ops::Range<usize> = 3..TILES.len();

/// Shared memory that a block of a tower may take, its table included.
pub(crate) const TOWER_SHARED: u32 = SHARED_MOST;
/// Threads of a block with so many teams.
pub(crate) const fn tower_threads(teams: u32) -> u32 {
    teams * TEAM_THREADS
}

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    table: Address,
    count: Address,
    n_steps: u32,
    n_levels: u32,
}

const _: () = assert!(size_of::<Params>() == 24);

/// The levels of a tower as the kernel reads them.
#[derive(Clone, Debug)]
pub struct TowerTable {
    bytes: Vec<u8>,
    n_steps: usize,
    n_levels: usize,
    items: usize,
}

impl TowerTable {
    /// Levels in their order, for so many items.
    ///
    /// # Panics
    /// If they have more than [`TOWER_STEPS`] steps, a region is too short for the items, channels are not in eights, or a convolution has splits or a tile that is not
    /// of [`TOWER_TILES`].
    #[must_use]
    pub fn new(items: usize, levels: &[&[LevelStep]]) -> Self {
        let (mut steps, mut ends) = (Vec::new(), Vec::new());
        for level in levels {
            assert!((1..=LEVEL_MOST).contains(&level.len()), "{} layers in a level", level.len());
            for step in *level {
                if let LayerOp::Conv { division, .. } = step.op {
                    let of_tower = division.splits == 1 && TOWER_TILES.contains(&division.tile);
                    assert!(of_tower, "{division:?} is not of a tower");
                }
                // For all items, that their regions are long enough; the kernel moves on from the first item's.
                let _ = mirrored(step, items);
                steps.push(mirrored(step, 1));
            }
            ends.push(steps.len() as u32);
        }
        let mut bytes: Vec<u8> = bytemuck::cast_slice(&steps).to_vec();
        bytes.extend_from_slice(bytemuck::cast_slice(&ends));
        bytes.resize(bytes.len().next_multiple_of(16), 0);
        let (n_steps, n_levels) = (steps.len(), ends.len());
        assert!(n_steps <= TOWER_STEPS, "{n_steps} steps of a tower");
        Self { bytes, n_steps, n_levels, items }
    }

    /// What lies in device memory.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Runs a table that lies in a region. Of the items only as many as `count` says when a launch before has ended, if it is given:
/// a u32 that no launch writes which this one may overlap.
///
/// # Panics
/// If a region is too short, or the clusters are none that the kernel knows.
#[must_use]
pub fn tower(table: &TowerTable, at: Region, count: Option<Region>, clusters: Clusters) -> Step {
    let Clusters { blocks, teams, .. } = clusters;
    assert!((1..=TOWER_TEAMS).contains(&teams) && (1..=16).contains(&blocks), "{clusters:?}");
    let params = Params {
        table: at.holding(table.bytes.len()),
        count: count.map_or_else(Address::default, |count| count.holding(size_of::<u32>())),
        n_steps: table.n_steps as u32,
        n_levels: table.n_levels as u32,
    };
    let shared = table.bytes.len() as u32 + teams * RING_BYTES;
    let mut step =
        step("tower", table.items * blocks as usize, tower_threads(teams), shared, &params);
    if let Step::Launch(launch) = &mut step {
        launch.cluster = blocks;
    }
    step
}
