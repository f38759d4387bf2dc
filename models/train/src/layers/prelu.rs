//! What follows the products of most of the cascade's layers, in one pass: a bias of each channel, then PReLU.
//!
//! ```text
//! v = x + bias            out = v if v > 0, else slope * v
//! ```
//! Of separate operations each value is read and written once for every one of them, forwards and backwards; these two took the
//! larger part of a step. Sums over a batch run item by item, so that no number of threads changes a bit.

use super::{Element, dense, each};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// PReLU of `x` (..., C) and a bias, with a slope for each channel.
///
/// # Errors
/// If `bias` or `slope` is not C long.
pub fn prelu(x: &Tensor, bias: &Tensor, slope: &Tensor) -> Result<Tensor> {
    let channels = x.dims().last().copied().unwrap_or(0);
    if channels == 0 || bias.dims() != [channels] || slope.dims() != [channels] {
        bail!(
            "a bias and a slope for each of {channels} channels: {:?}, {:?}",
            bias.dims(),
            slope.dims()
        );
    }
    let (bias, slope) = (bias.contiguous()?, slope.contiguous()?);
    x.contiguous()?.apply_op3(&bias, &slope, Forward)
}

/// From x, bias and slope.
struct Forward;
/// From x, the result's gradient and both constants (2, C): x's gradient.
struct OfX;
/// From the same: the constants' gradients, (2, C).
struct OfConstants;

impl CustomOp3 for Forward {
    fn name(&self) -> &'static str {
        "bias and PReLU"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
        slope: &CpuStorage,
        slope_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let layouts = [x_layout, bias_layout, slope_layout];
        Ok((both([x, bias, slope], layouts, &Pass::Forward)?, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        bias: &Tensor,
        slope: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let constants = Tensor::stack(&[bias.detach(), slope.detach()], 0)?;
        let (x, gradient) = (x.detach().contiguous()?, gradient.contiguous()?);
        let of_x = x.apply_op3(&gradient, &constants, OfX)?;
        let of_constants = x.apply_op3(&gradient, &constants, OfConstants)?;
        Ok((Some(of_x), Some(of_constants.get(0)?), Some(of_constants.get(1)?)))
    }
}

impl CustomOp3 for OfX {
    fn name(&self) -> &'static str {
        "PReLU's gradient of x"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        constants: &CpuStorage,
        constants_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let layouts = [x_layout, gradient_layout, constants_layout];
        Ok((both([x, gradient, constants], layouts, &Pass::OfX)?, x_layout.shape().clone()))
    }
}

impl CustomOp3 for OfConstants {
    fn name(&self) -> &'static str {
        "PReLU's gradient of bias and slope"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
        constants: &CpuStorage,
        constants_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let layouts = [x_layout, gradient_layout, constants_layout];
        let items = x_layout.dims().first().copied().unwrap_or(1);
        let sums = both([x, gradient, constants], layouts, &Pass::OfConstants { items })?;
        Ok((sums, constants_layout.shape().clone()))
    }
}

/// Which of the three passes over the values.
enum Pass {
    Forward,
    OfX,
    OfConstants { items: usize },
}

/// A pass in either precision.
fn both(values: [&CpuStorage; 3], layouts: [&Layout; 3], pass: &Pass) -> Result<CpuStorage> {
    let [a, b, c] = layouts;
    Ok(match values {
        [CpuStorage::F32(x), CpuStorage::F32(y), CpuStorage::F32(z)] => {
            f32::storage(pass.run(dense(x, a)?, dense(y, b)?, dense(z, c)?))
        }
        [CpuStorage::F64(x), CpuStorage::F64(y), CpuStorage::F64(z)] => {
            f64::storage(pass.run(dense(x, a)?, dense(y, b)?, dense(z, c)?))
        }
        _ => bail!("bias and PReLU take f32 or f64"),
    })
}

/// Positions that a thread takes at a time.
const POSITIONS: usize = 256;

impl Pass {
    fn run<T: Element>(&self, x: &[T], y: &[T], z: &[T]) -> Vec<T> {
        match *self {
            Self::Forward => forward(x, y, z),
            Self::OfX => of_x(x, y, z.split_at(z.len() / 2)),
            Self::OfConstants { items } => of_constants(x, y, z.split_at(z.len() / 2), items),
        }
    }
}

/// Fills values, so many positions at a time; `body` gets a position's place in the whole and its values.
fn fill<T: Element>(n: usize, channels: usize, body: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut out = vec![T::zero(); n];
    let run = POSITIONS * channels;
    let whole = n / run * run;
    let (runs, rest) = out.split_at_mut(whole);
    let part = |first: usize, values: &mut [T]| {
        for (at, values) in values.chunks_exact_mut(channels).enumerate() {
            body(first + at * channels, values);
        }
    };
    each(runs, run, |i, values| part(i * run, values));
    part(whole, rest);
    out
}

fn forward<T: Element>(x: &[T], bias: &[T], slope: &[T]) -> Vec<T> {
    fill(x.len(), bias.len(), |at, out| {
        let constants = bias.iter().zip(slope);
        for ((out, &x), (&bias, &slope)) in out.iter_mut().zip(&x[at..]).zip(constants) {
            let value = x + bias;
            *out = if value > T::zero() { value } else { value * slope };
        }
    })
}

fn of_x<T: Element>(x: &[T], gradient: &[T], (bias, slope): (&[T], &[T])) -> Vec<T> {
    fill(x.len(), bias.len(), |at, out| {
        let constants = bias.iter().zip(slope);
        let values = x[at..].iter().zip(&gradient[at..]);
        for ((out, (&x, &gradient)), (&bias, &slope)) in out.iter_mut().zip(values).zip(constants) {
            *out = if x + bias > T::zero() { gradient } else { gradient * slope };
        }
    })
}

fn of_constants<T: Element>(
    x: &[T],
    gradient: &[T],
    (bias, slope): (&[T], &[T]),
    items: usize,
) -> Vec<T> {
    let channels = bias.len();
    let len = x.len() / items.max(1);
    let mut sums = vec![T::zero(); items * 2 * channels];
    each(&mut sums, 2 * channels, |item, sums| {
        let (of_bias, of_slope) = sums.split_at_mut(channels);
        let positions = x[item * len..][..len].chunks_exact(channels);
        for (x, gradient) in positions.zip(gradient[item * len..][..len].chunks_exact(channels)) {
            for c in 0..channels {
                let value = x[c] + bias[c];
                let below = if value > T::zero() { T::zero() } else { value };
                let share = if value > T::zero() { gradient[c] } else { gradient[c] * slope[c] };
                of_bias[c] += share;
                of_slope[c] += gradient[c] * below;
            }
        }
    });
    let mut all = vec![T::zero(); 2 * channels];
    for item in sums.chunks_exact(2 * channels) {
        all.iter_mut().zip(item).for_each(|(all, &sum)| *all += sum);
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::testing::{check, variable};
    use super::*;

    #[test]
    fn gradients_are_the_finite_differences() {
        for shape in [&[3, 7, 5, 4][..], &[2, 6], &[40, 3, 3, 2]] {
            let channels = shape[shape.len() - 1];
            let (x, bias) = (variable(shape, 3), variable(&[channels], 4));
            let slope = variable(&[channels], 5);
            let cubes = || prelu(&x, &bias, &slope)?.powf(3.0)?.sum_all();
            check("bias and PReLU", &[&x, &bias, &slope], cubes);
        }
    }

    #[test]
    fn values_are_those_of_the_formula_in_runs_and_beyond_them() {
        let x = variable(&[5, 20, 17, 3], 6);
        let (bias, slope) = (variable(&[3], 7), variable(&[3], 8));
        let plain = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let found = plain(&prelu(&x, &bias, &slope).unwrap());
        let (x, bias, slope) = (plain(&x), plain(&bias), plain(&slope));
        assert!(x.len() > 5 * POSITIONS * 3, "several runs and a rest");
        for (i, (found, x)) in found.iter().zip(x).enumerate() {
            let value = x + bias[i % 3];
            assert_eq!(*found, if value > 0.0 { value } else { value * slope[i % 3] }, "{i}");
        }
    }

    #[test]
    fn another_number_of_channels_is_refused() {
        let (x, bias) = (variable(&[2, 4], 1), variable(&[3], 2));
        assert!(prelu(&x, &bias, &bias).is_err());
    }
}
