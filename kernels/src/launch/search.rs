//! What the three kernels of a search share: `cuda/search.cuh`.
//!
//! Owns the shape of a gallery on a device, from which every length follows.

use bytemuck::{Pod, Zeroable};
use threshold_record::{MAX_EMBEDDING_LEN, Metric};

/// Threads of a block that scans or ranks, and its warps.
pub(super) const BLOCK: u32 = 256;
pub(super) const WARPS: usize = BLOCK as usize / 32;
/// Templates of a tile, which a warp scans at once.
pub const TILE: usize = 32;
/// Bytes that a lane loads at once.
pub const CHUNK_BYTES: usize = 16;
/// A vector's chunks are a multiple of this; `CHUNKS` of `scan.cu`. No embedding that a template may hold is lengthened by it
/// unless its length is no multiple of 128 (of 64 in halves).
const CHUNKS: usize = 8;
/// Bytes of what a block tells of a probe; `Pair` of `search.cuh`.
pub const PAIR_BYTES: usize = 24;
/// [`FoundTemplate::place`] of none.
pub const NO_TEMPLATE: u32 = u32::MAX;

/// What a gallery's vectors are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// i8 with a scale, as templates are stored.
    Int8,
    /// IEEE half precision.
    Half,
}

/// What a score needs of one vector besides the product of both; `Side` of `search.cuh`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct Side {
    /// Size of a component's step; 0 if the vector cannot be compared.
    pub scale: f32,
    /// Sum of the squared components, in steps.
    pub norm: f32,
}

/// A template's place in the order of person and slot, and its score; `FoundTemplate` of `rank.cu`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
#[repr(C)]
pub struct FoundTemplate {
    /// Its place, or [`NO_TEMPLATE`].
    pub place: u32,
    /// Its score.
    pub score: f32,
}

/// A gallery's shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GalleryShape {
    /// Of what vectors are made.
    pub element: Element,
    /// How scores are taken.
    pub metric: Metric,
    /// Components of a vector, at most [`MAX_EMBEDDING_LEN`]: no int8 sum reaches 2^24 then, and f32 holds it.
    pub len: usize,
    /// Templates.
    pub n: usize,
}

impl GalleryShape {
    /// Components of a chunk of a template.
    fn chunk_len(&self) -> usize {
        match self.element {
            Element::Int8 => CHUNK_BYTES,
            Element::Half => CHUNK_BYTES / 2,
        }
    }

    /// Bytes of a chunk of a probe: halves are widened to f32.
    fn probe_chunk_bytes(&self) -> usize {
        match self.element {
            Element::Int8 => CHUNK_BYTES,
            Element::Half => 2 * CHUNK_BYTES,
        }
    }

    /// Chunks of a vector; components behind its last one are zero.
    #[must_use]
    pub fn chunks(&self) -> usize {
        assert!(self.len <= MAX_EMBEDDING_LEN, "vectors of {} components", self.len);
        self.len.div_ceil(self.chunk_len()).next_multiple_of(CHUNKS)
    }

    /// Tiles of all templates; behind the last template are zeros.
    #[must_use]
    pub fn tiles(&self) -> usize {
        self.n.div_ceil(TILE)
    }

    /// Bytes of a tile's vectors.
    #[must_use]
    pub fn tile_bytes(&self) -> usize {
        TILE * self.chunks() * CHUNK_BYTES
    }

    /// Bytes of a batch of probes as `quantise` writes them.
    #[must_use]
    pub fn probe_bytes(&self, n_probes: usize) -> usize {
        n_probes * self.chunks() * self.probe_chunk_bytes()
    }

    /// Blocks that scan on so many multiprocessors: no more than there are tiles for, and one at least.
    #[must_use]
    pub fn blocks(&self, multiprocessors: u32) -> usize {
        const BLOCKS_EACH: usize = 4;
        self.tiles().div_ceil(WARPS).clamp(1, BLOCKS_EACH * multiprocessors.max(1) as usize)
    }
}

const _: () = assert!(size_of::<Side>() == 8 && size_of::<FoundTemplate>() == 8);
