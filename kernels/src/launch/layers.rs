//! A level of an embedder, up to four layers in one launch: `cuda/layers.cu`.

use super::{Layer, Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};
use threshold_models::graph::LocalNorm;

/// Most layers of one launch; `LEVEL_MOST`.
pub const LEVEL_MOST: usize = 4;
/// Channels that lie together, 16 bytes; every count, offset and distance of channels is a multiple.
pub const EIGHT: usize = 8;

const THREADS: usize = 128;
/// Most output pixels of a convolution, a tile's rows beyond them included, since the kernel divides them in f32; `Divisor`.
const PIXELS_MOST: usize = (1 << 21) - 128;
/// Values of the sum that a convolution takes at a time; `PRODUCT_K`.
pub(crate) const SUM_STEP: usize = 64;

/// A tile that a block of a convolution makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Output pixels, of all items.
    pub pixels: usize,
    /// Output channels.
    pub channels: usize,
    /// Steps of the sum in a stage, each multiplied by warps of its own; of a direct tile, those that all warps have at a time.
    pub steps: usize,
    /// Stages of its ring; none of a direct tile.
    pub stages: usize,
}

impl Tile {
    /// Whether pixels come right into registers (`cuda/direct.cuh`): there are no stages, nor splits.
    pub(crate) const fn is_direct(self) -> bool {
        self.stages == 0
    }

    /// Of a direct tile, for a sum of so many steps: the body of the kernel that holds all of it, by how many times 32 terms each
    /// warp has under way; none if none does. `cuda/layers.cu` chooses likewise.
    fn ahead(self, steps: usize) -> Option<usize> {
        let bodies: &[usize] = if self.channels == 16 { &[3, 7, 14] } else { &[3] };
        bodies.iter().copied().find(|ahead| 2 * ahead >= steps)
    }

    const fn stage_bytes(self) -> usize {
        self.steps * (self.pixels + self.channels) * SUM_STEP * size_of::<u16>()
    }

    /// Bytes of shared memory for a sum of so many steps; as many stages as are used, so that more blocks fit, those of the
    /// level that follows among them.
    fn shared_bytes(self, steps: usize, splits: usize) -> u32 {
        if self.is_direct() {
            // All weights, and each warp's sums.
            let terms = 2 * SUM_STEP * self.ahead(steps).unwrap_or_default();
            let sums = THREADS / 32 * self.pixels * (self.channels + 4) * size_of::<f32>();
            return (terms * self.channels * size_of::<u16>() + sums) as u32;
        }
        let stages = steps.div_ceil(self.steps).div_ceil(splits).clamp(1, self.stages);
        (stages * self.stage_bytes()) as u32
    }
}

/// The tiles there are, in the order of `cuda/layers.cu`'s switch.
pub const TILES: [Tile; 10] = [
    Tile { pixels: 128, channels: 64, steps: 1, stages: 3 },
    Tile { pixels: 64, channels: 64, steps: 1, stages: 4 },
    Tile { pixels: 32, channels: 32, steps: 4, stages: 3 },
    Tile { pixels: 64, channels: 32, steps: 1, stages: 4 },
    Tile { pixels: 32, channels: 32, steps: 1, stages: 6 },
    Tile { pixels: 16, channels: 64, steps: 1, stages: 6 },
    Tile { pixels: 16, channels: 32, steps: 4, stages: 4 },
    Tile { pixels: 16, channels: 16, steps: 4, stages: 6 },
    Tile { pixels: 8, channels: 16, steps: 2, stages: 0 },
    Tile { pixels: 8, channels: 32, steps: 2, stages: 0 },
];

/// The first of the direct ones, which are the last.
pub(crate) const FIRST_DIRECT: usize = 8;

/// Whether there is a direct tile for a sum of so many terms.
pub(crate) fn may_be_direct(terms: usize) -> bool {
    let steps = terms.div_ceil(SUM_STEP);
    TILES.iter().any(|tile| tile.is_direct() && tile.ahead(steps).is_some())
}

/// Shared memory of a multiprocessor of compute capability 9.0, and what each block takes of it for itself.
const SHARED_MOST: usize = 228 << 10;
const SHARED_OF_BLOCK: usize = 1 << 10;

/// So many of them, the first, are not in the kernel `layers_small`.
const LARGE_TILES: usize = 3;

/// How a convolution is divided among blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Division {
    /// Which of [`TILES`].
    pub tile: usize,
    /// Parts of the sum that blocks of their own make, 1 or more; none of more than the sum has steps of 64.
    pub splits: usize,
}

impl Division {
    /// Blocks for so many pixels of so many channels.
    #[must_use]
    pub fn blocks(self, pixels: usize, channels: usize) -> usize {
        self.tiles(pixels, channels) * self.splits
    }

    /// The same of a sum of so many steps, with no more splits than it has; none if its tile does not hold such a sum.
    #[must_use]
    pub fn of(self, steps: usize) -> Option<Self> {
        let tile = TILES[self.tile];
        let most = match tile.is_direct() {
            true => usize::from(tile.ahead(steps).is_some()),
            false => steps,
        };
        (most > 0).then(|| Self { splits: self.splits.clamp(1, most), ..self })
    }

    /// Bytes of the splits' sums, and of the counters of those that have come.
    #[must_use]
    pub fn scratch_bytes(self, pixels: usize, channels: usize) -> [usize; 2] {
        let tiles = self.tiles(pixels, channels);
        let Tile { pixels, channels, .. } = TILES[self.tile];
        let sums = pixels * channels * size_of::<f32>();
        if self.splits > 1 {
            [tiles * self.splits * sums, tiles * size_of::<u32>()]
        } else {
            [0; 2]
        }
    }

    /// Whether the kernel `layers_small` lacks its tile.
    pub(crate) fn is_large(self) -> bool {
        self.tile < LARGE_TILES
    }

    /// Blocks that a multiprocessor holds, for a sum of so many steps: neither its registers (`layers` and `layers_small` in the
    /// manifest of `cargo xtask kernels`) nor an H200's shared memory allow more.
    pub(crate) fn resident(self, steps: usize) -> usize {
        let by_registers = if self.is_large() { 2 } else { 4 };
        let shared = TILES[self.tile].shared_bytes(steps, self.splits) as usize + SHARED_OF_BLOCK;
        by_registers.min(SHARED_MOST / shared)
    }

    /// Whether its tile is direct.
    pub(crate) fn is_direct(self) -> bool {
        TILES[self.tile].is_direct()
    }

    fn tiles(self, pixels: usize, channels: usize) -> usize {
        let tile = TILES[self.tile];
        pixels.div_ceil(tile.pixels) * channels.div_ceil(tile.channels)
    }
}

/// A value of several items in device memory: channel c of pixel (y, x) of item i stands at
/// `offset + i * item + (y * w + x) * stride + c`, counted in its elements.
#[derive(Clone, Copy, Debug)]
pub struct Operand {
    /// Where the buffer lies.
    pub region: Region,
    /// The first pixel's first channel.
    pub offset: usize,
    /// From item to item.
    pub item: usize,
    /// From pixel to pixel.
    pub stride: usize,
    /// Rows, columns and channels.
    pub size: [usize; 3],
}

impl Operand {
    /// Dense rows of pixels, one item after the other.
    #[must_use]
    pub fn dense(region: Region, size: [usize; 3]) -> Self {
        let [h, w, c] = size;
        Self { region, offset: 0, item: h * w * c, stride: c, size }
    }

    fn plane(&self, n: usize, element: usize) -> Plane {
        let [h, w, c] = self.size;
        let even = [c, self.offset, self.item, self.stride].iter().all(|len| len % EIGHT == 0);
        assert!(even && n * h * w * c > 0, "{self:?} is not of channels in eights");
        let end = self.offset + (n - 1) * self.item + (h * w - 1) * self.stride + c;
        assert!(i32::try_from(end).is_ok(), "{self:?} is longer than the kernel counts");
        let start = Address(self.region.holding(end * element).0).offset(self.offset * element);
        let [item, stride, h, w, c] = [self.item, self.stride, h, w, c].map(|len| len as u32);
        Plane { start, item, stride, h, w, c, unused: 0 }
    }
}

/// What a layer does with its input.
#[derive(Clone, Copy, Debug)]
pub enum LayerOp {
    /// act(residual + scale * (conv(x) + bias)).
    Conv {
        /// Weights, in the order of `fragments` by kernel row, column, and input channel.
        layer: Layer,
        /// The weights once more, by 32 terms of the sum (`Fragments::chunks`), for direct tiles.
        chunks: Address,
        /// Rows and columns of the kernel.
        kernel: [usize; 2],
        /// Step.
        stride: usize,
        /// Zeros above and beside the input.
        pad: [usize; 2],
        /// Factor of the sum.
        scale: f32,
        /// Added before the activation.
        residual: Option<Operand>,
        /// How it is divided: for all items, and where few of them are counted.
        divisions: [Division; 2],
        /// Room for [`Division::scratch_bytes`] of each; the second zero before and after.
        scratch: [Region; 2],
        /// Whether the output is f32.
        floats: bool,
    },
    /// The largest value of windows, or the mean of what lies in the input.
    Pool {
        /// Which.
        largest: bool,
        /// Rows and columns of the window.
        kernel: [usize; 2],
        /// Step.
        stride: usize,
        /// Rows and columns outside the input.
        pad: [usize; 2],
    },
    /// The sum with another value, each extended with zeros; a copy without one.
    Add {
        /// The other.
        other: Option<Operand>,
        /// Factor of negative sums: 0 for ReLU, 1 for none.
        negative: f32,
    },
    /// Local response normalisation.
    LocalNorm(LocalNorm),
    /// The largest of each so many neighbouring channels.
    Maxout(usize),
    /// Unit length over channels; the output is f32.
    Unit,
}

/// A layer of a level.
#[derive(Clone, Copy, Debug)]
pub struct LevelStep {
    /// What is done.
    pub op: LayerOp,
    /// With what.
    pub x: Operand,
    /// Where to.
    pub y: Operand,
}

/// `Plane` of `layer.cuh`.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Plane {
    start: Address,
    item: u32,
    stride: u32,
    h: u32,
    w: u32,
    c: u32,
    unused: u32,
}

/// `LayerStep` of `layer.cuh`.
#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct LayerStep {
    x: Plane,
    second: Plane,
    y: Plane,
    layer: Layer,
    chunks: Address,
    partial: Address,
    arrived: Address,
    kind: u32,
    tile: [u32; 2],
    splits: [u32; 2],
    unused: u32,
    kernel: [u32; 2],
    stride: u32,
    pad: [u32; 2],
    floats: u32,
    size: u32,
    scale: f32,
    negative: f32,
    alpha: f32,
    beta: f32,
    k: f32,
}

#[derive(Clone, Copy, Default, Pod, Zeroable)]
#[repr(C)]
struct Params {
    count: Address,
    n_steps: u32,
    n: u32,
    few: u32,
    unused: u32,
    ends: [[u32; LEVEL_MOST]; 2],
    steps: [LayerStep; LEVEL_MOST],
}

const _: () = assert!(size_of::<LayerStep>() == 216 && size_of::<Params>() == 920);

/// Items that are counted on the device.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Their number, a u32 that no launch writes which the one that reads it may overlap.
    pub count: Region,
    /// So many at most are few, for which convolutions have a division of their own.
    pub few: usize,
}

/// Layers that read and write nothing that another of them writes, for `n` items, or as many of them as are counted: grids are
/// made for `n`, and blocks without work end at once.
///
/// # Panics
/// If there are none or more than [`LEVEL_MOST`], if a region is too short, or if channels are not in eights.
#[must_use]
pub fn layers(n: usize, level: &[LevelStep], counted: Option<Counted>) -> Step {
    assert!((1..=LEVEL_MOST).contains(&level.len()), "{} layers in a launch", level.len());
    let mut params = Params { n_steps: level.len() as u32, n: n as u32, ..Params::default() };
    let mut items = [n, n];
    if let Some(Counted { count, few }) = counted {
        params.count = count.holding(size_of::<u32>());
        params.few = few as u32;
        items[1] = few;
    }
    for (to, from) in params.steps.iter_mut().zip(level) {
        *to = from.mirrored(n);
    }
    let blocks = [0, 1].map(|which| {
        let mut blocks = 0;
        for (end, step) in params.ends[which].iter_mut().zip(level) {
            blocks += step.blocks(items[which], which);
            *end = blocks as u32;
        }
        blocks
    });
    let divisions = || {
        level.iter().flat_map(|step| match step.op {
            LayerOp::Conv { kernel, divisions, .. } => {
                let terms = kernel[0] * kernel[1] * step.x.size[2];
                divisions.map(|division| Some((division, terms.div_ceil(SUM_STEP))))
            }
            _ => [None; 2],
        })
    };
    let shared = divisions()
        .flatten()
        .map(|(Division { tile, splits }, steps)| TILES[tile].shared_bytes(steps, splits));
    let shared = shared.max().unwrap_or(0);
    let is_large = divisions().flatten().any(|(division, _)| division.is_large());
    let kernel = if is_large { "layers" } else { "layers_small" };
    step(kernel, blocks[0].max(blocks[1]), THREADS as u32, shared, &params)
}

impl LevelStep {
    /// Blocks for so many items, by one of its divisions.
    fn blocks(&self, items: usize, which: usize) -> usize {
        let [h, w, c] = self.y.size;
        match self.op {
            LayerOp::Conv { divisions, .. } => divisions[which].blocks(items * h * w, c),
            LayerOp::Unit => (items * h * w).div_ceil(THREADS / 32),
            _ => (items * h * w * c / EIGHT).div_ceil(THREADS),
        }
    }

    fn mirrored(&self, n: usize) -> LayerStep {
        let Self { op, x, y } = self;
        let [h, w, c] = y.size;
        let in_f32 = matches!(op, LayerOp::Conv { floats: true, .. } | LayerOp::Unit);
        let element = if in_f32 { size_of::<f32>() } else { size_of::<u16>() };
        let mut step =
            LayerStep { x: x.plane(n, 2), y: y.plane(n, element), ..LayerStep::default() };
        let pair = |pair: [usize; 2]| pair.map(|value| value as u32);
        match *op {
            LayerOp::Conv {
                layer,
                chunks,
                kernel,
                stride,
                pad,
                scale,
                residual,
                divisions,
                scratch,
                floats,
            } => {
                let steps = (kernel[0] * kernel[1] * x.size[2]).div_ceil(SUM_STEP);
                for division in divisions {
                    assert_eq!(division.of(steps), Some(division), "of {steps} steps");
                    let [sums, counters] = division.scratch_bytes(n * h * w, c);
                    step.partial = scratch[0].holding(sums);
                    step.arrived = scratch[1].holding(counters);
                }
                assert!(n * h * w <= PIXELS_MOST, "{n} times {h} x {w} pixels");
                if let Some(residual) = residual {
                    assert_eq!(residual.size, y.size, "a residual is as large as the output");
                    step.second = residual.plane(n, 2);
                }
                (step.layer, step.chunks) = (layer, chunks);
                (step.kernel, step.stride, step.pad) = (pair(kernel), stride as u32, pair(pad));
                step.tile = divisions.map(|division| division.tile as u32);
                step.splits = divisions.map(|division| division.splits as u32);
                (step.scale, step.floats) = (scale, u32::from(floats));
            }
            LayerOp::Pool { largest, kernel, stride, pad } => {
                assert_eq!(x.size[2], c, "a pool keeps its channels");
                step.kind = if largest { 1 } else { 2 };
                (step.kernel, step.stride, step.pad) = (pair(kernel), stride as u32, pair(pad));
            }
            LayerOp::Add { other, negative } => {
                (step.kind, step.negative) = (3, negative);
                step.second = other.map_or_else(Plane::default, |other| other.plane(n, 2));
            }
            LayerOp::LocalNorm(LocalNorm { size, alpha, beta, k }) => {
                assert_eq!(x.size, y.size, "a norm keeps its size");
                (step.kind, step.size) = (4, size as u32);
                (step.alpha, step.beta, step.k) = (alpha, beta, k);
            }
            LayerOp::Maxout(pieces) => {
                assert_eq!(x.size, [h, w, c * pieces], "so many pieces to a value");
                (step.kind, step.size) = (5, pieces as u32);
            }
            LayerOp::Unit => {
                assert_eq!(x.size, y.size, "a unit vector is as long");
                step.kind = 6;
            }
        }
        step
    }
}
