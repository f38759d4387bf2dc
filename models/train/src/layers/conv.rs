//! A convolution: patches of the input as rows, times the weights.
//!
//! Owns the two movements, from input to patches and from patches' gradient back. The product is candle's.

use super::{Element, dense, each};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Layout, Result, Shape, Tensor, bail};
use threshold_models::graph::Conv;

/// `x` (N, H, W, C) convolved by `weight` (cout, kh, kw, C): (N, oh, ow, cout), without bias.
///
/// # Errors
/// If a shape does not fit.
pub fn conv(x: &Tensor, weight: &Tensor, conv: &Conv) -> Result<Tensor> {
    let geometry = Geometry::new(x.dims4()?, conv)?;
    x.contiguous()?.apply_op2(&weight.contiguous()?, Product(geometry))
}

/// The sizes of one convolution.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    n: usize,
    from: [usize; 3],
    kernel: [usize; 2],
    stride: usize,
    pad: [usize; 2],
    to: [usize; 2],
}

impl Geometry {
    fn new((n, h, w, c): (usize, usize, usize, usize), conv: &Conv) -> Result<Self> {
        let Conv { kernel, stride, pad, .. } = *conv;
        let side =
            |side: usize, i: usize| Some((side + 2 * pad[i]).checked_sub(kernel[i])? / stride + 1);
        let (Some(oh), Some(ow)) = (side(h, 0), side(w, 1)) else {
            bail!("a kernel of {kernel:?} does not fit into {h} x {w}");
        };
        Ok(Self { n, from: [h, w, c], kernel, stride, pad, to: [oh, ow] })
    }

    /// Values of a patch.
    fn depth(&self) -> usize {
        self.kernel[0] * self.kernel[1] * self.from[2]
    }

    fn rows(&self) -> usize {
        self.n * self.to[0] * self.to[1]
    }

    /// Whether the patches are the input as it lies.
    fn is_plain(&self) -> bool {
        self.kernel == [1, 1] && self.stride == 1 && self.pad == [0, 0]
    }

    /// For output (y, x) of an item: each kernel row's run of values, as places in item and patch. What lies outside has
    /// none.
    fn runs(&self, y: usize, x: usize) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let Self { from: [h, w, c], kernel: [kh, kw], stride, pad, .. } = *self;
        // The first kernel column inside, and how many.
        let left = (x * stride).wrapping_sub(pad[1]);
        let first = pad[1].saturating_sub(x * stride);
        let end = kw.min((w + pad[1]).saturating_sub(x * stride));
        (0..kh).filter_map(move |ky| {
            let row = (y * stride + ky).wrapping_sub(pad[0]);
            let inside = row < h && first < end;
            inside.then(|| {
                let item = (row * w + left.wrapping_add(first)) * c;
                (item, (ky * kw + first) * c, (end - first) * c)
            })
        })
    }
}

/// The product itself; the patches are made again for its gradient, since all layers' would not fit into memory.
struct Product(Geometry);

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "conv"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match (x, weight) {
            (CpuStorage::F32(x), CpuStorage::F32(weight)) => {
                self.product(dense(x, x_layout)?, dense(weight, weight_layout)?)
            }
            (CpuStorage::F64(x), CpuStorage::F64(weight)) => {
                self.product(dense(x, x_layout)?, dense(weight, weight_layout)?)
            }
            _ => bail!("conv takes f32 or f64"),
        }
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = self.0;
        let cout = weight.dim(0)?;
        let gradient = gradient.contiguous()?.reshape((geometry.rows(), cout))?;
        let patches = match geometry.is_plain() {
            true => x.reshape((geometry.rows(), geometry.depth()))?,
            false => x.detach().contiguous()?.apply_op1(Patches(geometry))?,
        };
        let of_weight = gradient.t()?.matmul(&patches)?.reshape(weight.shape())?;
        drop(patches);
        // The first layer's input is the batch, which nobody moves.
        if !x.track_op() {
            return Ok((None, Some(of_weight)));
        }
        let flat = weight.detach().reshape((cout, geometry.depth()))?;
        let of_patches = gradient.matmul(&flat)?;
        let of_x = match geometry.is_plain() {
            true => of_patches.reshape(x.shape())?,
            false => of_patches.contiguous()?.apply_op1(Input(geometry))?,
        };
        Ok((Some(of_x), Some(of_weight)))
    }
}

impl Product {
    fn product<T: Element>(&self, x: &[T], weight: &[T]) -> Result<(CpuStorage, Shape)> {
        let geometry = self.0;
        let [oh, ow] = geometry.to;
        let depth = geometry.depth();
        let cout = weight.len() / depth.max(1);
        let patches = match geometry.is_plain() {
            true => x.to_vec(),
            false => patches(&geometry, x),
        };
        let patches = Tensor::from_vec(patches, (geometry.rows(), depth), &Device::Cpu)?;
        let weight = Tensor::from_slice(weight, (cout, depth), &Device::Cpu)?;
        let out = patches.matmul(&weight.t()?)?;
        let values = out.flatten_all()?.to_vec1::<T>()?;
        Ok((T::storage(values), (geometry.n, oh, ow, cout).into()))
    }
}

/// From input to patches: `rows x depth`, zeros where a patch sticks out.
struct Patches(Geometry);

/// From patches' gradient to the input's: the sum over the patches that a value is in.
struct Input(Geometry);

impl CustomOp1 for Patches {
    fn name(&self) -> &'static str {
        "patches"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage = match x {
            CpuStorage::F32(x) => f32::storage(patches(&self.0, dense(x, layout)?)),
            CpuStorage::F64(x) => f64::storage(patches(&self.0, dense(x, layout)?)),
            _ => bail!("conv takes f32 or f64"),
        };
        Ok((storage, (self.0.rows(), self.0.depth()).into()))
    }
}

impl CustomOp1 for Input {
    fn name(&self) -> &'static str {
        "input of patches"
    }

    fn cpu_fwd(&self, of_patches: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let storage = match of_patches {
            CpuStorage::F32(g) => f32::storage(input(&self.0, dense(g, layout)?)),
            CpuStorage::F64(g) => f64::storage(input(&self.0, dense(g, layout)?)),
            _ => bail!("conv takes f32 or f64"),
        };
        let [h, w, c] = self.0.from;
        Ok((storage, (self.0.n, h, w, c).into()))
    }
}

fn patches<T: Element>(geometry: &Geometry, x: &[T]) -> Vec<T> {
    let [h, w, c] = geometry.from;
    let [oh, ow] = geometry.to;
    let depth = geometry.depth();
    let mut out = vec![T::zero(); geometry.rows() * depth];
    each(&mut out, oh * ow * depth, |item, out| {
        let x = &x[item * h * w * c..][..h * w * c];
        for (at, patch) in out.chunks_exact_mut(depth).enumerate() {
            for (from, to, len) in geometry.runs(at / ow, at % ow) {
                patch[to..to + len].copy_from_slice(&x[from..from + len]);
            }
        }
    });
    out
}

fn input<T: Element>(geometry: &Geometry, of_patches: &[T]) -> Vec<T> {
    let [h, w, c] = geometry.from;
    let [oh, ow] = geometry.to;
    let depth = geometry.depth();
    let mut out = vec![T::zero(); geometry.n * h * w * c];
    each(&mut out, h * w * c, |item, out| {
        let rows = &of_patches[item * oh * ow * depth..][..oh * ow * depth];
        for (at, patch) in rows.chunks_exact(depth).enumerate() {
            for (to, from, len) in geometry.runs(at / ow, at % ow) {
                let sums = out[to..to + len].iter_mut();
                sums.zip(&patch[from..from + len]).for_each(|(sum, &value)| *sum += value);
            }
        }
    });
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::super::testing::{check, variable};
    use super::*;

    #[test]
    fn gradients_are_the_finite_differences() {
        for (name, conv_of, side) in [
            ("3 x 3", Conv::new(3, 3, 3), [5, 6]),
            ("2 x 2", Conv::new(4, 2, 2), [4, 4]),
            ("1 x 1", Conv::new(3, 1, 1), [3, 2]),
            ("stride 2 with rows left over", Conv::new(2, 3, 3).stride(2), [6, 8]),
            ("1 x 1 stride 2", Conv::new(2, 1, 1).stride(2), [4, 5]),
            ("padded", Conv::new(2, 3, 3).same(), [4, 3]),
            ("padded 1 x 7", Conv::new(2, 1, 7).same(), [3, 4]),
            ("padded stride 2", Conv::new(2, 7, 7).same().stride(2), [6, 7]),
        ] {
            let [kh, kw] = conv_of.kernel;
            let x = variable(&[2, side[0], side[1], 2], 1);
            let weight = variable(&[conv_of.cout, kh, kw, 2], 2);
            check(name, &[&x, &weight], || {
                // Squares, so that the gradient that comes in is not the same everywhere.
                conv(&x, &weight, &conv_of)?.sqr()?.sum_all()
            });
        }
    }

    #[test]
    fn a_kernel_larger_than_its_input_is_an_error() {
        let x = variable(&[1, 2, 2, 1], 1);
        let weight = variable(&[1, 3, 3, 1], 2);
        assert!(conv(&x, &weight, &Conv::new(1, 3, 3)).is_err());
    }
}
