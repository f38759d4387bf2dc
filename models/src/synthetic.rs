//! Values that follow from a seed alone: inputs of golden vectors, and weights for networks whose own are not at hand.
//!
//! The values of seed `s`: value `i` (row-major, from 0) is `u / 2^23 - 1` with `u` the upper 24 bits of
//! `mix(s + (i + 1) * 0x9E3779B97F4A7C15)`, where `mix` is splitmix64's finaliser: uniform in [-1, 1), the range that
//! normalised pixels have. Packs hold what networks make of them, so this rule never changes.

use crate::graph::{Graph, Shape, WeightSpec};
use crate::tensor::{Tensor, Tensors};

/// A network's input (H, W, C) of a seed.
#[must_use]
pub fn input(seed: u64, shape: Shape) -> Vec<f32> {
    (1..=shape.len() as u64).map(|i| uniform(seed.wrapping_add(i.wrapping_mul(GAMMA)))).collect()
}

/// Weights: deterministic, and such that values keep their range from layer to layer (uniform, variance 2 / inputs). What the
/// networks then say means nothing; how long they take does.
#[must_use]
pub fn weights<'a>(graphs: impl IntoIterator<Item = &'a Graph>) -> Tensors {
    let specs = graphs.into_iter().flat_map(Graph::weights).enumerate();
    let tensor = |(seed, spec): (usize, WeightSpec)| {
        let inputs = spec.len() / spec.shape[0];
        let bound = (6.0 / inputs as f32).sqrt().min(0.25);
        let mut data = input(seed as u64, Shape { h: 1, w: 1, c: spec.len() });
        data.iter_mut().for_each(|value| *value *= bound);
        (spec.name, Tensor { shape: spec.shape, data })
    };
    specs.map(tensor).collect()
}

const GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

fn uniform(state: u64) -> f32 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    let z = z ^ (z >> 31);
    (z >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}
