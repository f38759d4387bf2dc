//! The layers that candle lacks or takes long over, with their gradients: convolution, pools, PReLU with
//! its bias, and batch norm, over N, H, W, C.
//!
//! candle 0.11's own convolution takes ten times its forward pass and more for its gradient on a processor (`docs/training.md`), its
//! max pool has none where windows overlap, and neither pads as the graph says. Here a convolution is the patches of its
//! input as rows, times the weights as packs hold them, so nothing is reordered between a checkpoint and a pack.
//! Everything else (other sums and activations, norms, losses) is candle's own, gradients included.
//! Refuses another device than the processor.

mod conv;
mod norm;
mod pool;
mod prelu;

pub use conv::conv;
pub use norm::{moments, norm};
pub use pool::pool;
pub use prelu::prelu;

use candle_core::{CpuStorage, Layout, Result, bail};

/// The element types that layers work in: f32 to train, f64 for gradients against finite differences.
trait Element: candle_core::WithDType {
    fn storage(values: Vec<Self>) -> CpuStorage;
}

impl Element for f32 {
    fn storage(values: Vec<Self>) -> CpuStorage {
        CpuStorage::F32(values)
    }
}

impl Element for f64 {
    fn storage(values: Vec<Self>) -> CpuStorage {
        CpuStorage::F64(values)
    }
}

/// A tensor's values in memory order.
fn dense<'a, T>(values: &'a [T], layout: &Layout) -> Result<&'a [T]> {
    match layout.contiguous_offsets() {
        Some((first, end)) => Ok(&values[first..end]),
        None => bail!("a layer's input must be contiguous"),
    }
}

/// Runs `body(i, part)` for each run of `len` values, spread over the threads that candle uses.
fn each<T: Send>(values: &mut [T], len: usize, body: impl Fn(usize, &mut [T]) + Sync) {
    let threads = candle_core::utils::get_num_threads().max(1);
    let runs = values.len() / len.max(1);
    let share = runs.div_ceil(threads).max(1);
    if threads == 1 || runs < 2 {
        values.chunks_mut(len.max(1)).enumerate().for_each(|(i, part)| body(i, part));
        return;
    }
    let body = &body;
    std::thread::scope(|scope| {
        for (t, values) in values.chunks_mut(share * len).enumerate() {
            scope.spawn(move || {
                for (i, part) in values.chunks_mut(len).enumerate() {
                    body(t * share + i, part);
                }
            });
        }
    });
}

#[cfg(test)]
pub(crate) mod testing {
    //! Gradients against finite differences.
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use crate::random::Random;
    use candle_core::{Device, Tensor, Var};

    /// A variable of random values in -1..1, f64.
    pub(crate) fn variable(shape: &[usize], seed: u64) -> Var {
        let mut random = Random::of(&[seed]);
        let n = shape.iter().product();
        let values: Vec<f64> = (0..n).map(|_| f64::from(random.between(-1.0, 1.0))).collect();
        Var::from_tensor(&Tensor::from_vec(values, shape, &Device::Cpu).unwrap()).unwrap()
    }

    /// Asserts that the gradients of a scalar by every variable are its finite differences, to 1e-3 of the largest.
    pub(crate) fn check(
        name: &str,
        variables: &[&Var],
        scalar: impl Fn() -> candle_core::Result<Tensor>,
    ) {
        const STEP: f64 = 1e-6;
        let gradients = scalar().unwrap().backward().unwrap();
        let value = || scalar().unwrap().to_scalar::<f64>().unwrap();
        for (which, variable) in variables.iter().enumerate() {
            let found =
                gradients.get(variable).unwrap().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let shape = variable.shape().clone();
            let start = variable.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let set = |values: Vec<f64>| {
                variable
                    .set(&Tensor::from_vec(values, shape.clone(), &Device::Cpu).unwrap())
                    .unwrap();
            };
            let moved = |i: usize, by: f64| {
                let mut values = start.clone();
                values[i] += by;
                set(values);
                value()
            };
            let expected: Vec<f64> = (0..start.len())
                .map(|i| (moved(i, STEP) - moved(i, -STEP)) / (2.0 * STEP))
                .collect();
            set(start);
            let largest = expected.iter().fold(0.0f64, |a, b| a.max(b.abs()));
            assert!(largest > 0.0, "{name}: variable {which} moves nothing");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(&expected) {
                let close = (found - expected).abs() <= 1e-3 * largest;
                assert!(close, "{name}: variable {which} is {found} for {expected}, of {largest}");
            }
        }
    }
}
