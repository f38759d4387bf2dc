//! 3 x 3 convolutions at step 1 by Winograd's F(2 x 2, 3 x 3): 16 products for 4 outputs where the direct sum has 36.
//!
//! ```text
//! tile:     2 x 2 output pixels, made from 4 x 4 input pixels d
//! forward:  v = B' d B for each tile and channel                   16 values, sums only
//! product:  m[p] = v[p] u[p] for each of the 16 points p           a 1 x 1 convolution of tiles, by the direct kernels
//! back:     A' m A, then act(residual + scale * (sum + bias))      4 values
//! u = G g G' stands ready in the weights
//! ```
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks" (2015), section 4.1. The coefficients are 0, 1, 1/2
//! and -1, so rounding grows by less than a factor of 3; the next larger form, F(4 x 4), is quicker and loses a digit.
//! The order of additions depends on the layer only, so tiles, threads and batches give the same bits.

use std::ops::Range;

use super::aligned::Aligned;
use super::conv::{ConvTask, activate};
use super::place::Place;
use super::simd::Simd;
use super::vector::Vector;
use super::weights::Layer;
use crate::graph::{Act, Conv, Shape};
use crate::plan::View;

/// Points of a tile.
const POINTS: usize = 16;
/// Fewer tiles than this read the weights, which are 16/9 as large, for too little: measured on dlib's 4 x 4 blocks.
const TILES_MIN: usize = 16;
/// Channels, in and out, are whole vectors of every set.
const CHANNELS_STEP: usize = 16;
/// Floats that one thread's values and products of some tiles may take: half of a core's second-level cache.
const SCRATCH_FLOATS: usize = 128 * 1024;

/// A layer's weights at the 16 points.
#[derive(Clone, Debug)]
pub(super) struct Winograd {
    points: Vec<Layer>,
    bias: Aligned,
    slope: Aligned,
}

impl Winograd {
    /// Whether a convolution from `cin` channels to `output` is done this way.
    pub(super) fn suits(conv: &Conv, cin: usize, output: Shape) -> bool {
        conv.kernel == [3, 3]
            && conv.stride == 1
            && cin.is_multiple_of(CHANNELS_STEP)
            && output.c.is_multiple_of(CHANNELS_STEP)
            && output.h.div_ceil(2) * output.w.div_ceil(2) >= TILES_MIN
    }

    /// Divides the 16 points into panels, whose values will lie from `end` on, which moves behind them.
    pub(super) fn lay(cout: usize, cin: usize, simd: Simd, end: &mut usize) -> Self {
        let points = (0..POINTS).map(|_| Layer::lay(cout, cin, simd, end)).collect();
        Self { points, bias: Aligned::zeros(cout), slope: Aligned::zeros(cout) }
    }

    /// Transforms `weight` (`[cout, 3, 3, cin]`) and packs it into all layers' `values`; `bias` and `slope` may be empty.
    ///
    /// `points` is a room that is kept from layer to layer: 4 MB of new memory for each would be cleared first.
    pub(super) fn fill(
        &mut self,
        [weight, bias, slope]: [&[f32]; 3],
        simd: Simd,
        values: &mut [f32],
        points: &mut Vec<f32>,
    ) {
        let taps = weight.len() / 9;
        let cin = taps / self.bias.len().min(taps);
        points.resize(POINTS * taps, 0.0);
        for (o, filter) in weight.chunks_exact(9 * cin).enumerate() {
            for first in (0..cin).step_by(CHANNELS_STEP) {
                let tap =
                    |y: usize, x: usize| &filter[(y * 3 + x) * cin + first..][..CHANNELS_STEP];
                let columns =
                    [0, 1, 2].map(|x| spread([tap(0, x), tap(1, x), tap(2, x)].map(wide)));
                for y in 0..4 {
                    for (x, u) in spread(columns.map(|column| column[y])).into_iter().enumerate() {
                        let to = &mut points[(4 * y + x) * taps + o * cin + first..];
                        to.iter_mut().zip(u).for_each(|(to, u)| *to = u as f32);
                    }
                }
            }
        }
        for (layer, u) in self.points.iter_mut().zip(points.chunks_exact(taps)) {
            layer.fill([u, &[], &[]], simd, values);
        }
        self.bias[..bias.len()].copy_from_slice(bias);
        self.slope[..slope.len()].copy_from_slice(slope);
    }
}

/// One tap of some neighbouring channels. In f64, so that the weights are rounded once.
type Tap = [f64; CHANNELS_STEP];

fn wide(values: &[f32]) -> Tap {
    let mut tap = [0.0; CHANNELS_STEP];
    tap.iter_mut().zip(values).for_each(|(to, &from)| *to = f64::from(from));
    tap
}

/// G g for one column: three taps to four points.
fn spread([a, b, c]: [Tap; 3]) -> [Tap; 4] {
    let (mut sum, mut difference) = ([0.0; CHANNELS_STEP], [0.0; CHANNELS_STEP]);
    for i in 0..CHANNELS_STEP {
        sum[i] = (a[i] + b[i] + c[i]) * 0.5;
        difference[i] = (a[i] - b[i] + c[i]) * 0.5;
    }
    [a, sum, difference, c]
}

/// One layer over one batch. Holding one proves that weights and places fit each other.
pub(super) struct WinogradTask<'a> {
    weights: &'a Winograd,
    /// All layers' panels.
    values: &'a [f32],
    conv: Conv,
    scale: f32,
    x: Place,
    y: Place,
    residual: Option<Place>,
    zeros: &'a [f32],
    /// Tiles of one item, rows and columns.
    grid: [usize; 2],
}

impl<'a> WinogradTask<'a> {
    /// Ties a layer to its places.
    ///
    /// # Panics
    /// If they do not fit each other: a plan made from another graph than the weights.
    pub(super) fn new(
        (weights, values): (&'a Winograd, &'a [f32]),
        (conv, scale): (Conv, f32),
        x: Place,
        y: Place,
        residual: Option<Place>,
        zeros: &'a [f32],
    ) -> Self {
        let (from, to) = (x.view.shape, y.view.shape);
        assert!(Winograd::suits(&conv, from.c, to));
        assert!(weights.points.iter().all(|u| (u.cout, u.depth) == (to.c, from.c)));
        assert!(weights.bias.is_empty() || weights.bias.len() >= to.c);
        assert!((conv.act == Act::PRelu) <= (weights.slope.len() >= to.c));
        assert!(residual.is_none_or(|r| r.view.shape == to && r.n == y.n));
        assert!(x.n == y.n && zeros.len() >= from.c);
        assert!(to.h + 2 <= from.h + 2 * conv.pad[0] && to.w + 2 <= from.w + 2 * conv.pad[1]);
        let grid = [to.h.div_ceil(2), to.w.div_ceil(2)];
        Self { weights, values, conv, scale, x, y, residual, zeros, grid }
    }

    /// Tiles of all items.
    pub(super) fn tiles(&self) -> usize {
        self.y.n * self.grid[0] * self.grid[1]
    }

    /// Multiply-accumulates of the whole task, at the points.
    pub(super) fn macs(&self) -> usize {
        self.tiles() * POINTS * self.x.view.shape.c * self.y.view.shape.c
    }

    /// Tiles that a thread takes at a time, among so many threads.
    pub(super) fn chunk(&self, threads: usize) -> usize {
        let floats = POINTS * (self.x.view.shape.c + self.y.view.shape.c);
        let cached = (SCRATCH_FLOATS / floats).max(TILES_MIN);
        let shared = self.tiles().div_ceil(threads).next_multiple_of(4);
        // As few and as equal chunks as fit.
        let share = cached.min(shared);
        self.tiles().div_ceil(self.tiles().div_ceil(share))
    }

    /// Computes `tiles` in `scratch`, which is grown as needed.
    ///
    /// # Safety
    /// This processor has the instruction set, and the weights are packed for it; `tiles` lie below
    /// [`WinogradTask::tiles`]; nobody else writes the pixels of these tiles, nor the task's inputs, meanwhile.
    pub(super) unsafe fn run(&self, simd: Simd, tiles: Range<usize>, scratch: &mut Aligned) {
        assert!(tiles.end <= self.tiles());
        let (cin, cout, n) = (self.x.view.shape.c, self.y.view.shape.c, tiles.len());
        scratch.reserve(POINTS * n * (cin + cout));
        let (values, products) = scratch.split_at_mut(POINTS * n * cin);
        // SAFETY: handed on; `values` holds what `n` tiles give.
        unsafe { simd.winograd_forward(self, tiles.clone(), values) };
        for (p, layer) in self.weights.points.iter().enumerate() {
            let place = |from: &mut [f32], c: usize| {
                let shape = Shape { h: 1, w: n, c };
                let start = from[p * n * c..][..n * c].as_mut_ptr();
                Place { start, view: View { buffer: 0, offset: 0, stride: c, shape }, n: 1 }
            };
            let (from, to) = (place(values, cin), place(products, cout));
            let one = (Conv::new(cout, 1, 1), 1.0);
            let product = ConvTask::new((layer, self.values), one, from, to, None, &[]);
            for panel in 0..product.panels().len() {
                // SAFETY: the set as promised; all pixels of a task whose places are this thread's own.
                unsafe { simd.conv(&product, panel, 0..n) };
            }
        }
        // SAFETY: handed on; `products` holds what `n` tiles need.
        unsafe { simd.winograd_back(self, tiles, products) };
    }

    /// A tile's item, and the row and column of its first output pixel.
    #[inline(always)]
    fn tile(&self, tile: usize) -> [usize; 3] {
        let [rows, columns] = self.grid;
        [tile / (rows * columns), 2 * (tile / columns % rows), 2 * (tile % columns)]
    }
}

/// Fills `values` (`[16][tiles][cin]`) from the input.
///
/// # Safety
/// As for [`WinogradTask::run`] and `V`'s set; `values` is of that length.
#[inline(always)]
pub(super) unsafe fn forward<V: Vector>(
    task: &WinogradTask<'_>,
    tiles: Range<usize>,
    values: &mut [f32],
) {
    let (view, n) = (&task.x.view, tiles.len());
    let Shape { h, w, c: cin } = view.shape;
    assert_eq!(values.len(), POINTS * n * cin);
    for (t, tile) in tiles.enumerate() {
        let [item, oy, ox] = task.tile(tile);
        let mut at = [[task.zeros.as_ptr(); 4]; 4];
        for (i, row) in at.iter_mut().enumerate() {
            for (j, at) in row.iter_mut().enumerate() {
                let (y, x) = (
                    (oy + i).wrapping_sub(task.conv.pad[0]),
                    (ox + j).wrapping_sub(task.conv.pad[1]),
                );
                if y < h && x < w {
                    *at = task.x.start.wrapping_add(item * view.item() + (y * w + x) * view.stride);
                }
            }
        }
        for c in (0..cin).step_by(V::LANES) {
            // SAFETY: each address is a pixel inside the input, or as many zeros; channels are whole vectors
            // (`Winograd::suits`), in the input and in `values`.
            unsafe {
                let mut d = [[V::splat(0.0); 4]; 4];
                for i in 0..4 {
                    for j in 0..4 {
                        d[i][j] = V::load(at[i][j].add(c));
                    }
                }
                let rows = differences(d);
                let mut columns = [[V::splat(0.0); 4]; 4];
                for i in 0..4 {
                    for j in 0..4 {
                        columns[j][i] = rows[i][j];
                    }
                }
                let v = differences(columns);
                for (j, column) in v.into_iter().enumerate() {
                    for (i, value) in column.into_iter().enumerate() {
                        let point = 4 * i + j;
                        value.store(values.as_mut_ptr().add((point * n + t) * cin + c));
                    }
                }
            }
        }
    }
}

/// B' d: four rows to four.
///
/// # Safety
/// `V`'s set.
#[inline(always)]
unsafe fn differences<V: Vector>(d: [[V; 4]; 4]) -> [[V; 4]; 4] {
    let mut out = d;
    for j in 0..4 {
        // SAFETY: the caller's promise.
        unsafe {
            out[0][j] = d[0][j].sub(d[2][j]);
            out[1][j] = d[1][j].add(d[2][j]);
            out[2][j] = d[2][j].sub(d[1][j]);
            out[3][j] = d[1][j].sub(d[3][j]);
        }
    }
    out
}

/// Writes the tiles' output pixels from `products` (`[16][tiles][cout]`).
///
/// # Safety
/// As for [`WinogradTask::run`] and `V`'s set; `products` is at least of that length.
#[inline(always)]
pub(super) unsafe fn back<V: Vector>(
    task: &WinogradTask<'_>,
    tiles: Range<usize>,
    products: &[f32],
) {
    let (view, n) = (&task.y.view, tiles.len());
    let Shape { h, w, c: cout } = view.shape;
    assert!(products.len() >= POINTS * n * cout);
    let Winograd { bias, slope, .. } = task.weights;
    for (t, tile) in tiles.enumerate() {
        let [item, oy, ox] = task.tile(tile);
        for c in (0..cout).step_by(V::LANES) {
            // SAFETY: channels are whole vectors; a pixel inside the output's shape lies inside its place, and inside the
            // residual's, whose shape is the same; bias and slope have a value for each channel.
            unsafe {
                let zero = V::splat(0.0);
                let mut m = [[zero; 4]; 4];
                for (p, m) in m.as_flattened_mut().iter_mut().enumerate() {
                    *m = V::load(products.as_ptr().add((p * n + t) * cout + c));
                }
                let mut half = [[zero; 4]; 2];
                for j in 0..4 {
                    half[0][j] = m[0][j].add(m[1][j]).add(m[2][j]);
                    half[1][j] = m[1][j].sub(m[2][j]).sub(m[3][j]);
                }
                let add = if bias.is_empty() { zero } else { V::load(bias.as_ptr().add(c)) };
                let slope = match task.conv.act {
                    Act::PRelu => V::load(slope.as_ptr().add(c)),
                    Act::None | Act::Relu => zero,
                };
                let scale = V::splat(task.scale);
                for (i, [a, b, c2, d]) in half.into_iter().enumerate() {
                    for (j, sum) in [a.add(b).add(c2), b.sub(c2).sub(d)].into_iter().enumerate() {
                        if oy + i >= h || ox + j >= w {
                            continue;
                        }
                        let pixel = (item * h + oy + i) * w + ox + j;
                        let mut value = sum.add(add).mul(scale);
                        if let Some(residual) = &task.residual {
                            let from = residual.start.add(pixel * residual.view.stride + c);
                            value = value.add(V::load(from));
                        }
                        value = activate(value, task.conv.act, slope);
                        value.store(task.y.start.add(pixel * view.stride + c));
                    }
                }
            }
        }
    }
}
