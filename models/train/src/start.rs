//! What a network's parameters are before the first step.
//!
//! Owns the rule: weights as He et al. 2015 have them for ReLU (uniform, variance 2 / inputs), biases zero, slopes of
//! PReLU a quarter. Refuses the machine's entropy.

use crate::random::Random;
use threshold_models::graph::Graph;
use threshold_models::tensor::{Tensor, Tensors};

/// PReLU's slope before the first step (He et al. 2015).
const SLOPE: f32 = 0.25;

/// What the draw is for, beside the seed.
const STREAM: u64 = 0x7374_6172;

/// The parameters that a network starts from, by seed.
#[must_use]
pub fn parameters(graph: &Graph, seed: u64) -> Tensors {
    let specs = graph.weights().enumerate();
    specs
        .map(|(i, spec)| {
            let len = spec.len();
            let inputs = len / spec.shape[0].max(1);
            let data = if spec.name.ends_with(".slope") {
                vec![SLOPE; len]
            } else if spec.name.ends_with(".bias") {
                vec![0.0; len]
            } else {
                let mut random = Random::of(&[seed, STREAM, i as u64]);
                let bound = (6.0 / inputs as f32).sqrt();
                (0..len).map(|_| random.between(-bound, bound)).collect()
            };
            (spec.name, Tensor { shape: spec.shape, data })
        })
        .collect()
}
