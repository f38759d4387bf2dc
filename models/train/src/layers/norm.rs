//! Batch norm (Ioffe and Szegedy 2015), as it is while a network is trained: every channel by the batch's own mean and variance.
//!
//! ```text
//! h = (x - mean) / sqrt(variance + 1e-5)            out = scale * h + bias
//! ```
//! Owns the pass and its gradients. Packs have it folded into the layer before it; that is `trainable`'s.
//! Sums run through the whole batch in order, in f64, so that no number of threads changes a bit.

use super::{Element, dense};
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Added to a variance: torchvision's.
const EPSILON: f64 = 1e-5;

/// `x` (..., C) normed over all but its channels, then scaled and moved by channel.
///
/// # Errors
/// If `scale` or `bias` is not C long.
pub fn norm(x: &Tensor, scale: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let channels = x.dims().last().copied().unwrap_or(0);
    if channels == 0 || bias.dims() != [channels] || scale.dims() != [channels] {
        bail!(
            "a scale and a bias for each of {channels} channels: {:?}, {:?}",
            scale.dims(),
            bias.dims()
        );
    }
    x.contiguous()?.apply_op3(&scale.contiguous()?, &bias.contiguous()?, Pass::Forward)
}

/// Mean and one over the deviation of every channel of `x` (..., C), as [`norm`] has them.
///
/// # Errors
/// If `x` is neither f32 nor f64.
pub fn moments(x: &Tensor) -> Result<Vec<[f64; 2]>> {
    let channels = x.dims().last().copied().unwrap_or(0);
    let x = x.to_dtype(candle_core::DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    Ok(moments_of(&x, channels))
}

/// Which pass: from x, scale and bias; from x, the result's gradient and the scale to the gradients of x, or of scale and bias
/// (2, C).
#[derive(Clone, Copy)]
enum Pass {
    Forward,
    OfX,
    OfConstants,
}

impl CustomOp3 for Pass {
    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        z: &CpuStorage,
        z_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = match (x, y, z) {
            (CpuStorage::F32(x), CpuStorage::F32(y), CpuStorage::F32(z)) => {
                let [y, z] = [dense(y, y_layout)?, dense(z, z_layout)?];
                f32::storage(self.run(dense(x, x_layout)?, y, z, x_layout))
            }
            (CpuStorage::F64(x), CpuStorage::F64(y), CpuStorage::F64(z)) => {
                let [y, z] = [dense(y, y_layout)?, dense(z, z_layout)?];
                f64::storage(self.run(dense(x, x_layout)?, y, z, x_layout))
            }
            _ => bail!("batch norm takes f32 or f64"),
        };
        let shape = match self {
            Self::Forward | Self::OfX => x_layout.shape().clone(),
            Self::OfConstants => (2, z_layout.shape().elem_count()).into(),
        };
        Ok((out, shape))
    }

    fn bwd(
        &self,
        x: &Tensor,
        scale: &Tensor,
        _: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x, scale, gradient) = (x.detach(), scale.detach(), gradient.contiguous()?);
        let of_x = x.apply_op3(&gradient, &scale, Self::OfX)?;
        let of_constants = x.apply_op3(&gradient, &scale, Self::OfConstants)?;
        Ok((Some(of_x), Some(of_constants.get(0)?), Some(of_constants.get(1)?)))
    }
}

impl Pass {
    fn run<T: Element>(self, x: &[T], y: &[T], z: &[T], layout: &Layout) -> Vec<T> {
        let channels = layout.dims().last().copied().unwrap_or(1);
        let moments = moments_of(x, channels);
        match self {
            Self::Forward => {
                let constants = moments.iter().zip(y).zip(z);
                let line = |((&[mean, part], &scale), &bias): ((&[f64; 2], &T), &T)| {
                    let factor = scale.to_f64() * part;
                    [T::from_f64(factor), T::from_f64(bias.to_f64() - mean * factor)]
                };
                let lines: Vec<[T; 2]> = constants.map(line).collect();
                let mut out = Vec::with_capacity(x.len());
                for row in x.chunks_exact(channels) {
                    out.extend(row.iter().zip(&lines).map(|(&x, &[factor, add])| x * factor + add));
                }
                out
            }
            Self::OfX => {
                let sums = sums(x, y, &moments);
                let n = (x.len() / channels) as f64;
                // scale * part * (g - mean g - h * mean (g h)), as g times one number, x times another, and a third.
                let line = |((&[mean, part], &[by_scale, by_bias]), &scale): (
                    (&[f64; 2], &[f64; 2]),
                    &T,
                )| {
                    let factor = scale.to_f64() * part;
                    let of_x = -factor * by_scale / n * part;
                    [factor, of_x, -factor * by_bias / n - of_x * mean].map(T::from_f64)
                };
                let lines: Vec<[T; 3]> = moments.iter().zip(&sums).zip(z).map(line).collect();
                let mut out = Vec::with_capacity(x.len());
                for (row, gradient) in x.chunks_exact(channels).zip(y.chunks_exact(channels)) {
                    let values = row.iter().zip(gradient).zip(&lines);
                    out.extend(values.map(|((&x, &g), &[a, b, c])| g * a + x * b + c));
                }
                out
            }
            Self::OfConstants => {
                let sums = sums(x, y, &moments);
                let of = |i: usize| sums.iter().map(move |sum| T::from_f64(sum[i]));
                of(0).chain(of(1)).collect()
            }
        }
    }
}

/// By channel: sum of the gradient times h, and of the gradient.
fn sums<T: Element>(x: &[T], gradient: &[T], moments: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; moments.len()];
    let rows = x.chunks_exact(moments.len()).zip(gradient.chunks_exact(moments.len()));
    for (row, gradient) in rows {
        let values = row.iter().zip(gradient).zip(moments);
        for ([by_scale, by_bias], ((x, g), [mean, part])) in sums.iter_mut().zip(values) {
            *by_scale += g.to_f64() * (x.to_f64() - mean) * part;
            *by_bias += g.to_f64();
        }
    }
    sums
}

fn moments_of<T: Element>(x: &[T], channels: usize) -> Vec<[f64; 2]> {
    let n = (x.len() / channels.max(1)).max(1) as f64;
    let mut means = vec![0.0; channels];
    for row in x.chunks_exact(channels.max(1)) {
        means.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.to_f64());
    }
    means.iter_mut().for_each(|mean| *mean /= n);
    let mut squares = vec![0.0; channels];
    for row in x.chunks_exact(channels.max(1)) {
        let values = row.iter().zip(&means);
        squares
            .iter_mut()
            .zip(values)
            .for_each(|(sum, (x, mean))| *sum += (x.to_f64() - mean).powi(2));
    }
    let parts = squares.into_iter().map(|sum| 1.0 / (sum / n + EPSILON).sqrt());
    means.into_iter().zip(parts).map(|(mean, part)| [mean, part]).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::testing::{check, variable};
    use super::*;

    #[test]
    fn gradients_are_the_finite_differences() {
        for shape in [vec![2, 3, 2, 4], vec![5, 3]] {
            let channels = shape[shape.len() - 1];
            let x = variable(&shape, 1);
            let (scale, bias) = (variable(&[channels], 2), variable(&[channels], 3));
            check("norm", &[&x, &scale, &bias], || {
                // Cubes: the squares' sum is nearly fixed by the norm.
                let out = norm(&x, &scale, &bias)?;
                (out.sqr()? * out)?.sum_all()
            });
        }
    }

    #[test]
    fn every_channel_has_no_mean_and_a_variance_of_one() {
        let x = variable(&[3, 2, 2, 2], 4);
        let (one, zero) = (x.ones_like().unwrap(), x.zeros_like().unwrap());
        let constants = |of: Tensor| of.flatten_all().unwrap().narrow(0, 0, 2).unwrap();
        let out = norm(&x, &constants(one), &constants(zero)).unwrap();
        for [mean, part] in moments(&out).unwrap() {
            assert!(mean.abs() < 1e-6 && (part - 1.0).abs() < 1e-3, "{mean} {part}");
        }
        assert!(norm(&x, &variable(&[3], 1), &variable(&[3], 2)).is_err());
    }
}
