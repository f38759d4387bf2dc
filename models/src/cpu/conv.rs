//! Convolution as an implicit matrix product over NHWC values.
//!
//! ```text
//! tile:   M output pixels x N vectors of output channels, all sums in registers
//! run:    input values of one pixel's window that lie next to each other: a kernel row where nothing is padded, else
//!         one tap; each of the M pixels has a pointer to its own, which points to zeros outside the input
//! sum:    for run, for value in run: N vectors of weights, M broadcasts, M * N multiply-adds
//! then:   act(residual + scale * (sum + bias)), stored once
//! ```
//! No copy of the input is made (no im2col): a run's values are read where they lie.
//! The order of additions depends on the layer only, so tiles, threads and batches give the same bits.

use std::ops::Range;

use super::place::Place;
use super::vector::Vector;
use super::weights::{Layer, Panel};
use crate::graph::{Act, Conv};

/// One layer over one batch. Holding one proves that weights, places and zeros fit each other.
pub(super) struct ConvTask<'a> {
    layer: &'a Layer,
    /// The layer's panels.
    panels: &'a [f32],
    conv: Conv,
    scale: f32,
    x: Place,
    y: Place,
    residual: Option<Place>,
    zeros: &'a [f32],
    /// Values of a run.
    run_len: usize,
    /// Runs of a kernel row.
    row_runs: usize,
}

impl<'a> ConvTask<'a> {
    /// Ties a layer to its places.
    ///
    /// # Panics
    /// If they do not fit each other: a plan made from another graph than the weights.
    pub(super) fn new(
        (layer, values): (&'a Layer, &'a [f32]),
        (conv, scale): (Conv, f32),
        x: Place,
        y: Place,
        residual: Option<Place>,
        zeros: &'a [f32],
    ) -> Self {
        let ([kh, kw], cin) = (conv.kernel, x.view.shape.c);
        assert_eq!(layer.depth, kh * kw * cin);
        assert_eq!(layer.cout, y.view.shape.c);
        assert!(residual.is_none_or(|r| r.view.shape == y.view.shape && r.n == y.n));
        assert!(x.n == y.n && (conv.pad == [0, 0] || zeros.len() >= cin));
        // What the kernel reads without padding ends inside the input.
        let end = |out: usize, k: usize| (out - 1) * conv.stride + k;
        let (from, to) = (x.view.shape, y.view.shape);
        assert!(end(to.h, kh) <= from.h + 2 * conv.pad[0]);
        assert!(end(to.w, kw) <= from.w + 2 * conv.pad[1]);
        let joined = conv.pad == [0, 0] && x.view.is_dense();
        let (run_len, row_runs) = if joined { (kw * cin, 1) } else { (cin, kw) };
        let panels = &values[layer.at.clone()];
        Self { layer, panels, conv, scale, x, y, residual, zeros, run_len, row_runs }
    }

    /// Pixels of the output, all items.
    pub(super) fn pixels(&self) -> usize {
        self.y.pixels()
    }

    /// The layer's panels.
    pub(super) fn panels(&self) -> &[Panel] {
        &self.layer.panels
    }

    /// Multiply-accumulates of the whole task.
    pub(super) fn macs(&self) -> usize {
        self.pixels() * self.layer.cout * self.layer.depth
    }
}

/// Walks the output pixels in order and keeps the corner of the current one's window.
struct Corner {
    item: usize,
    oy: usize,
    ox: usize,
    /// First row and column of the window; negative in the padding.
    y: isize,
    x: isize,
    /// Where that position would lie in memory.
    at: *const f32,
}

impl Corner {
    #[inline(always)]
    fn new(task: &ConvTask<'_>, pixel: usize) -> Self {
        let shape = task.y.view.shape;
        let (item, within) = (pixel / shape.pixels(), pixel % shape.pixels());
        let (oy, ox) = (within / shape.w, within % shape.w);
        let mut corner = Self { item, oy, ox, y: 0, x: 0, at: task.x.start };
        corner.locate(task);
        corner
    }

    #[inline(always)]
    fn locate(&mut self, task: &ConvTask<'_>) {
        let (conv, view) = (&task.conv, &task.x.view);
        self.y = (self.oy * conv.stride) as isize - conv.pad[0] as isize;
        self.x = (self.ox * conv.stride) as isize - conv.pad[1] as isize;
        let pixel = self.y * view.shape.w as isize + self.x;
        let offset = (self.item * view.item()) as isize + pixel * view.stride as isize;
        self.at = task.x.start.wrapping_offset(offset);
    }

    #[inline(always)]
    fn advance(&mut self, task: &ConvTask<'_>) {
        let shape = task.y.view.shape;
        self.ox += 1;
        if self.ox < shape.w {
            self.x += task.conv.stride as isize;
            self.at = self.at.wrapping_add(task.conv.stride * task.x.view.stride);
            return;
        }
        self.ox = 0;
        self.oy += 1;
        if self.oy == shape.h {
            self.oy = 0;
            self.item += 1;
        }
        self.locate(task);
    }
}

/// Computes `pixels` of one panel in tiles of `M` pixels and `N` vectors, the last in a tile of `HALF` if that is enough.
///
/// # Safety
/// The processor has `V`'s instruction set; `panel` is one of the task's and has `N` vectors; `pixels` lie below
/// [`ConvTask::pixels`]; nobody else writes these channels of these pixels, nor the task's inputs, meanwhile.
#[inline(always)]
pub(super) unsafe fn tiles<V: Vector, const M: usize, const HALF: usize, const N: usize>(
    task: &ConvTask<'_>,
    panel: &Panel,
    pixels: Range<usize>,
) {
    let mut corner = Corner::new(task, pixels.start);
    let mut first = pixels.start;
    while first < pixels.end {
        let n = (pixels.end - first).min(M);
        // SAFETY: handed on; `n` pixels from `first` on lie inside `pixels`.
        unsafe {
            if n > HALF {
                tile::<V, M, N>(task, panel, &mut corner, first..first + n);
            } else {
                tile::<V, HALF, N>(task, panel, &mut corner, first..first + n);
            }
        }
        first += n;
    }
}

/// One tile: up to `M` pixels; missing ones repeat the last and are not stored.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
unsafe fn tile<V: Vector, const M: usize, const N: usize>(
    task: &ConvTask<'_>,
    panel: &Panel,
    corner: &mut Corner,
    pixels: Range<usize>,
) {
    let (mut at, mut ys, mut xs) = ([corner.at; M], [corner.y; M], [corner.x; M]);
    for m in 0..M {
        (at[m], ys[m], xs[m]) = (corner.at, corner.y, corner.x);
        if m + 1 < pixels.len() {
            corner.advance(task);
        }
    }
    corner.advance(task);

    let [kh, kw] = task.conv.kernel;
    let view = &task.x.view;
    let row = view.shape.w * view.stride;
    let mut weights = task.panels.as_ptr().wrapping_add(panel.start);
    let step = task.run_len * N * V::LANES;
    // SAFETY: the processor has V's instruction set (caller).
    let mut sums = [[unsafe { V::splat(0.0) }; N]; M];
    if task.conv.pad == [0, 0] {
        for ky in 0..kh {
            for run in 0..task.row_runs {
                let mut runs = at;
                for run_at in &mut runs {
                    *run_at = run_at.wrapping_add(ky * row + run * view.stride);
                }
                // SAFETY: without padding every window lies inside the input (`ConvTask::new`), and a panel holds
                // `depth` groups of N vectors, of which this run takes the next `run_len`.
                unsafe { add_run::<V, M, N>(&mut sums, &runs, task.run_len, weights) };
                weights = weights.wrapping_add(step);
            }
        }
    } else {
        for ky in 0..kh {
            for kx in 0..kw {
                let mut runs = [task.zeros.as_ptr(); M];
                for m in 0..M {
                    let (y, x) = (ys[m] + ky as isize, xs[m] + kx as isize);
                    let inside = (y as usize) < view.shape.h && (x as usize) < view.shape.w;
                    if inside {
                        runs[m] = at[m].wrapping_add(ky * row + kx * view.stride);
                    }
                }
                // SAFETY: each run is a pixel inside the input or as many zeros; weights as above.
                unsafe { add_run::<V, M, N>(&mut sums, &runs, task.run_len, weights) };
                weights = weights.wrapping_add(step);
            }
        }
    }
    // SAFETY: handed on.
    unsafe { finish::<V, M, N>(task, panel, &sums, pixels) };
}

/// Adds `len` values of each pixel's run, times their weights, to the sums.
///
/// # Safety
/// As for [`tiles`]; each run holds `len` floats, `weights` holds `len` groups of `N` vectors.
#[inline(always)]
unsafe fn add_run<V: Vector, const M: usize, const N: usize>(
    sums: &mut [[V; N]; M],
    runs: &[*const f32; M],
    len: usize,
    weights: *const f32,
) {
    // A copy by value: sums behind a reference would be stored at every step, which halves the speed.
    let mut local = *sums;
    for k in 0..len {
        // SAFETY: `k < len`; see above.
        unsafe {
            let mut w = [V::splat(0.0); N];
            for (j, w) in w.iter_mut().enumerate() {
                *w = V::load(weights.add((k * N + j) * V::LANES));
            }
            for m in 0..M {
                let value = V::splat(*runs[m].add(k));
                for j in 0..N {
                    local[m][j] = local[m][j].add_product(value, w[j]);
                }
            }
        }
    }
    *sums = local;
}

/// Bias, scale, residual and activation; stores the tile's pixels.
///
/// # Safety
/// As for [`tiles`].
#[inline(always)]
unsafe fn finish<V: Vector, const M: usize, const N: usize>(
    task: &ConvTask<'_>,
    panel: &Panel,
    sums: &[[V; N]; M],
    pixels: Range<usize>,
) {
    for j in 0..N {
        let channel = panel.channel + j * V::LANES;
        if channel >= task.layer.cout {
            return;
        }
        let lanes = (task.layer.cout - channel).min(V::LANES);
        // SAFETY: bias and slope are padded to whole panels; a pixel has `lanes` more channels from `channel` on, in the
        // output and in the residual, whose shape is the same; `m < pixels.len()` are pixels of the task.
        unsafe {
            let zero = V::splat(0.0);
            let scale = V::splat(task.scale);
            let bias = V::load(task.layer.bias.as_ptr().add(channel));
            let slope = match task.conv.act {
                Act::PRelu => V::load(task.layer.slope.as_ptr().add(channel)),
                Act::None | Act::Relu => zero,
            };
            for (m, sums) in sums.iter().enumerate() {
                // Not `take`: with a count known only at run time the sums would have to leave their registers.
                if m >= pixels.len() {
                    break;
                }
                let pixel = pixels.start + m;
                let mut value = sums[j].add(bias).mul(scale);
                if let Some(residual) = &task.residual {
                    let from = residual.start.add(pixel * residual.view.stride + channel);
                    value = value.add(match lanes == V::LANES {
                        true => V::load(from),
                        false => V::load_part(from, lanes),
                    });
                }
                value = activate(value, task.conv.act, slope);
                let to = task.y.start.add(pixel * task.y.view.stride + channel);
                match lanes == V::LANES {
                    true => value.store(to),
                    false => value.store_part(to, lanes),
                }
            }
        }
    }
}

/// What follows a sum; `slope` counts for [`Act::PRelu`] only.
///
/// # Safety
/// The processor has `V`'s instruction set.
#[inline(always)]
pub(super) unsafe fn activate<V: Vector>(value: V, act: Act, slope: V) -> V {
    // SAFETY: the caller's promise.
    unsafe {
        let zero = V::splat(0.0);
        match act {
            Act::None => value,
            Act::Relu => zero.max(value),
            Act::PRelu => zero.max(value).add_product(slope, zero.min(value)),
        }
    }
}
