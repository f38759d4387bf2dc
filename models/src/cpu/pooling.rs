//! Pools over windows, a vector of channels at a time.

use std::ops::Range;

use super::place::Place;
use super::vector::Vector;
use crate::graph::{Pool, PoolKind};

/// One pool over one batch. Holding one proves that both places fit the pool.
pub(super) struct PoolTask {
    pool: Pool,
    x: Place,
    y: Place,
}

impl PoolTask {
    /// Ties a pool to its places.
    ///
    /// # Panics
    /// If they do not fit each other.
    pub(super) fn new(pool: Pool, x: Place, y: Place) -> Self {
        let (from, to) = (x.view.shape, y.view.shape);
        assert!(x.n == y.n && from.c == to.c);
        // Every window has at least one row and one column inside the input.
        let begins = |out: usize| ((out - 1) * pool.stride).saturating_sub(pool.pad);
        assert!(begins(to.h) < from.h && begins(to.w) < from.w && pool.kernel > pool.pad);
        Self { pool, x, y }
    }

    /// Rows of the output, all items.
    pub(super) fn rows(&self) -> usize {
        self.y.n * self.y.view.shape.h
    }
}

/// The part of a window that lies inside `0..n`.
#[inline(always)]
fn window(pool: &Pool, out: usize, n: usize) -> Range<usize> {
    let begin = out * pool.stride;
    begin.saturating_sub(pool.pad)..(begin + pool.kernel - pool.pad).min(n)
}

/// Computes `rows` of the output.
///
/// # Safety
/// The processor has `V`'s instruction set; `rows` lie below [`PoolTask::rows`]; nobody else writes these rows'
/// channels, nor the input, meanwhile.
#[inline(always)]
pub(super) unsafe fn rows<V: Vector>(task: &PoolTask, rows: Range<usize>) {
    let (from, to) = (&task.x.view, &task.y.view);
    for row in rows {
        let (item, oy) = (row / to.shape.h, row % to.shape.h);
        let ys = window(&task.pool, oy, from.shape.h);
        let x = task.x.start.wrapping_add(item * from.item());
        let y = task.y.start.wrapping_add(row * to.shape.w * to.stride);
        for ox in 0..to.shape.w {
            let xs = window(&task.pool, ox, from.shape.w);
            let mut channel = 0;
            while channel < to.shape.c {
                let lanes = (to.shape.c - channel).min(V::LANES);
                // SAFETY: `ys` and `xs` lie inside the input, `lanes` channels from `channel` on inside the pixel, in
                // both views, which lie inside their buffers.
                unsafe {
                    let at = |y: usize, xx: usize| {
                        x.add((y * from.shape.w + xx) * from.stride + channel).cast_const()
                    };
                    let value = one::<V>(task.pool.kind, ys.clone(), xs.clone(), at, lanes);
                    let to = y.add(ox * to.stride + channel);
                    match lanes == V::LANES {
                        true => value.store(to),
                        false => value.store_part(to, lanes),
                    }
                }
                channel += V::LANES;
            }
        }
    }
}

/// One vector of one window.
///
/// # Safety
/// `at` gives addresses of `lanes` floats for all positions of the window.
#[inline(always)]
unsafe fn one<V: Vector>(
    kind: PoolKind,
    ys: Range<usize>,
    xs: Range<usize>,
    at: impl Fn(usize, usize) -> *const f32,
    lanes: usize,
) -> V {
    let positions = ys.len() * xs.len();
    // SAFETY: the caller's promise.
    unsafe {
        let mut all = match kind {
            PoolKind::Max => V::splat(f32::NEG_INFINITY),
            PoolKind::Average => V::splat(0.0),
        };
        for y in ys {
            for x in xs.clone() {
                let value = match lanes == V::LANES {
                    true => V::load(at(y, x)),
                    false => V::load_part(at(y, x), lanes),
                };
                all = match kind {
                    PoolKind::Max => all.max(value),
                    PoolKind::Average => all.add(value),
                };
            }
        }
        match kind {
            PoolKind::Max => all,
            PoolKind::Average => all.mul(V::splat(1.0 / positions as f32)),
        }
    }
}
