//! Pools: the largest value or the mean of windows that are clipped to the input.
//!
//! Owns both and their gradients. A largest value's gradient goes to the first place that has it, row by row, as
//! elsewhere.

use super::{Element, dense, each};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, bail};
use std::ops::Range;
use threshold_models::graph::{Pool, PoolKind};

/// `x` (N, H, W, C) pooled to (N, oh, ow, C); `to` is what the graph says of oh and ow.
///
/// # Errors
/// If `x` has no four dimensions.
pub fn pool(x: &Tensor, pool: Pool, to: [usize; 2]) -> Result<Tensor> {
    let (n, h, w, c) = x.dims4()?;
    x.contiguous()?.apply_op1(Windows { pool, n, from: [h, w, c], to })
}

/// The windows of one pool.
#[derive(Clone, Copy)]
struct Windows {
    pool: Pool,
    n: usize,
    from: [usize; 3],
    to: [usize; 2],
}

/// From the result's gradient and the input to the input's gradient.
struct Back(Windows);

impl Windows {
    /// Rows and columns of a window, inside the input.
    fn window(&self, y: usize, x: usize) -> (Range<usize>, Range<usize>) {
        let Pool { kernel, stride, pad, .. } = self.pool;
        let span = |at: usize, side: usize| {
            let first = at * stride;
            first.saturating_sub(pad)..(first + kernel).saturating_sub(pad).min(side)
        };
        (span(y, self.from[0]), span(x, self.from[1]))
    }

    /// Places of a window's pixels, row by row.
    fn pixels(&self, at: usize) -> impl Iterator<Item = usize> + use<> {
        let [_, w, c] = self.from;
        let (rows, columns) = self.window(at / self.to[1], at % self.to[1]);
        rows.flat_map(move |y| columns.clone().map(move |x| (y * w + x) * c))
    }

    fn pooled<T: Element>(&self, x: &[T]) -> Vec<T> {
        let [h, w, c] = self.from;
        let [oh, ow] = self.to;
        let mut out = vec![T::zero(); self.n * oh * ow * c];
        each(&mut out, oh * ow * c, |item, out| {
            let x = &x[item * h * w * c..][..h * w * c];
            for (at, out) in out.chunks_exact_mut(c).enumerate() {
                let mut n = 0;
                for pixel in self.pixels(at) {
                    let values = out.iter_mut().zip(&x[pixel..pixel + c]);
                    match self.pool.kind {
                        _ if n == 0 => values.for_each(|(out, &value)| *out = value),
                        PoolKind::Max => values.for_each(|(out, &value)| {
                            if value > *out {
                                *out = value;
                            }
                        }),
                        PoolKind::Average => values.for_each(|(out, &value)| *out += value),
                    }
                    n += 1;
                }
                if self.pool.kind == PoolKind::Average {
                    let share = T::from_f64(1.0 / f64::from(n));
                    out.iter_mut().for_each(|out| *out *= share);
                }
            }
        });
        out
    }

    fn back<T: Element>(&self, x: &[T], gradient: &[T]) -> Vec<T> {
        let [h, w, c] = self.from;
        let [oh, ow] = self.to;
        let mut out = vec![T::zero(); self.n * h * w * c];
        each(&mut out, h * w * c, |item, out| {
            let x = &x[item * h * w * c..][..h * w * c];
            let gradient = &gradient[item * oh * ow * c..][..oh * ow * c];
            let mut largest = vec![0; c];
            for (at, gradient) in gradient.chunks_exact(c).enumerate() {
                if self.pool.kind == PoolKind::Average {
                    let share = T::from_f64(1.0 / self.pixels(at).count() as f64);
                    for pixel in self.pixels(at) {
                        let sums = out[pixel..pixel + c].iter_mut();
                        sums.zip(gradient).for_each(|(sum, &value)| *sum += value * share);
                    }
                    continue;
                }
                let Some(first) = self.pixels(at).next() else { continue };
                largest.fill(first);
                for pixel in self.pixels(at).skip(1) {
                    for (i, largest) in largest.iter_mut().enumerate() {
                        if x[pixel + i] > x[*largest + i] {
                            *largest = pixel;
                        }
                    }
                }
                for (i, (&largest, &value)) in largest.iter().zip(gradient).enumerate() {
                    out[largest + i] += value;
                }
            }
        });
        out
    }
}

impl CustomOp1 for Windows {
    fn name(&self) -> &'static str {
        "pool"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage = match x {
            CpuStorage::F32(x) => f32::storage(self.pooled(dense(x, layout)?)),
            CpuStorage::F64(x) => f64::storage(self.pooled(dense(x, layout)?)),
            _ => bail!("a pool takes f32 or f64"),
        };
        Ok((storage, (self.n, self.to[0], self.to[1], self.from[2]).into()))
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let gradient = gradient.contiguous()?;
        Ok(Some(x.detach().contiguous()?.apply_op2(&gradient, Back(*self))?))
    }
}

impl CustomOp2 for Back {
    fn name(&self) -> &'static str {
        "pool's gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let storage = match (x, gradient) {
            (CpuStorage::F32(x), CpuStorage::F32(gradient)) => {
                f32::storage(self.0.back(dense(x, x_layout)?, dense(gradient, layout)?))
            }
            (CpuStorage::F64(x), CpuStorage::F64(gradient)) => {
                f64::storage(self.0.back(dense(x, x_layout)?, dense(gradient, layout)?))
            }
            _ => bail!("a pool takes f32 or f64"),
        };
        let [h, w, c] = self.0.from;
        Ok((storage, (self.0.n, h, w, c).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{check, variable};
    use super::*;

    #[test]
    fn gradients_are_the_finite_differences() {
        let padded = Pool { pad: 1, ..Pool::new(PoolKind::Max, 3, 2) };
        for (name, kind, from, to) in [
            ("max 2/2", Pool::new(PoolKind::Max, 2, 2), [4, 6], [2, 3]),
            (
                "max 3/2, windows that stick out",
                Pool::new(PoolKind::Max, 3, 2).ceil(),
                [6, 4],
                [3, 2],
            ),
            ("max 3/2, padded", padded, [5, 6], [3, 3]),
            ("average 2/2", Pool::new(PoolKind::Average, 2, 2), [5, 4], [2, 2]),
            ("average 3/2, padded", Pool { kind: PoolKind::Average, ..padded }, [5, 5], [3, 3]),
        ] {
            let x = variable(&[2, from[0], from[1], 3], 5);
            check(name, &[&x], || pool(&x, kind, to)?.sqr()?.sum_all());
        }
    }
}
