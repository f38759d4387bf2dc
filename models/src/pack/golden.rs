//! Golden vectors: synthetic inputs and what a pack's weights make of them, the unit's self-test before it arms.
//!
//! Owns the comparison. Refuses to compute: an engine lends its arithmetic, and [`crate::synthetic`] makes the inputs.
//!
//! Expected values come from the reference executor (f64 sums over the pack's own rounded weights), rounded to
//! multiples of 2^-20, so that every machine writes the same pack.

use super::error::PackError;
use super::{Network, Pack, PackMeta};
use crate::engine::EngineError;
use crate::graph::{Graph, Shape};
use crate::net;
use crate::synthetic;
use crate::tensor::max_abs_diff;
use serde::{Deserialize, Serialize};

/// How far an f32 engine's outputs may lie from a golden vector, where its values reach beyond 1 as a part of the largest:
/// engines that sum in another order differ by less than
/// 5e-6, a flipped exponent or high mantissa bit of a weight that these inputs reach by more.
pub const GOLDEN_TOLERANCE_F32: f32 = 2e-5;

/// The same for an engine of half-precision values with f32 sums: the kernels on the emulator differ by 8e-5 (FaceNet) and
/// 1.9e-4 (dlib), and a card adds in another order.
pub const GOLDEN_TOLERANCE_F16: f32 = 1e-3;

/// One input and its outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Golden {
    /// Which of the network's graphs, in the order of [`Network::graphs`].
    pub stage: usize,
    /// The input's seed.
    pub seed: u64,
    /// The input's height and width; fixed but for P-Net.
    pub size: [usize; 2],
    /// Expected values, one list for each of the graph's outputs, in its order.
    pub outputs: Vec<Vec<f32>>,
}

impl Golden {
    /// The graph that this input is for.
    ///
    /// # Panics
    /// If the description was not checked; that of a [`Pack`] is.
    #[must_use]
    pub fn graph(&self, network: Network) -> Graph {
        let [h, w] = self.size;
        if network == Network::Mtcnn && self.stage == 0 {
            return net::pnet(h, w);
        }
        network.graphs().swap_remove(self.stage)
    }

    /// The input, H, W, C.
    #[must_use]
    pub fn input(&self, graph: &Graph) -> Vec<f32> {
        synthetic::input(self.seed, graph.shape(graph.input()))
    }

    pub(super) fn fault(&self, network: Network) -> Option<String> {
        let graphs = network.graphs();
        let Some(fixed) = graphs.get(self.stage) else {
            return Some(format!("a golden vector is for stage {}", self.stage));
        };
        let Shape { h, w, .. } = fixed.shape(fixed.input());
        let any_size = network == Network::Mtcnn && self.stage == 0;
        let fits = if any_size {
            self.size.iter().all(|side| (12..=64).contains(side))
        } else {
            self.size == [h, w]
        };
        if !fits {
            return Some(format!("a golden vector is for an input of {:?}", self.size));
        }
        let graph = self.graph(network);
        let lens = graph.outputs().iter().map(|&(_, value)| graph.shape(value).len());
        if !lens.eq(self.outputs.iter().map(Vec::len)) {
            return Some("a golden vector has another length than the network's output".to_owned());
        }
        let finite = self.outputs.iter().flatten().all(|value| value.is_finite());
        (!finite).then(|| "a golden vector is not finite".to_owned())
    }
}

impl PackMeta {
    /// Runs the golden vectors through an engine: `run(stage, graph, input)` gives the graph's outputs in its order.
    ///
    /// # Errors
    /// [`PackError::SelfTest`] with the largest difference, or what the engine failed with; [`PackError::Meta`] if a
    /// network has no golden vector.
    pub fn self_test<F>(&self, tolerance: f32, mut run: F) -> Result<(), PackError>
    where
        F: FnMut(usize, &Graph, &[f32]) -> Result<Vec<Vec<f32>>, EngineError>,
    {
        // A pack without golden vectors would pass whatever its weights are.
        for (stage, graph) in self.network.graphs().iter().enumerate() {
            if !self.golden.iter().any(|golden| golden.stage == stage) {
                let fault = format!("it has no golden vector for {}", graph.name());
                return Err(PackError::Meta { fault });
            }
        }
        for golden in &self.golden {
            let graph = golden.graph(self.network);
            let outputs = run(golden.stage, &graph, &golden.input(&graph))?;
            let same_len = outputs.len() == golden.outputs.len();
            let pairs = outputs.iter().zip(&golden.outputs);
            let difference = pairs.map(|(found, golden)| far(found, golden)).fold(0.0, f32::max);
            if !same_len || difference > tolerance {
                return Err(PackError::SelfTest {
                    name: self.name.clone(),
                    network: graph.name(),
                    difference,
                    tolerance,
                });
            }
        }
        Ok(())
    }
}

/// The largest difference of an output from its golden values; where those reach beyond 1, as a part of the largest,
/// since rounding grows with it.
fn far(found: &[f32], golden: &[f32]) -> f32 {
    let largest = golden.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    max_abs_diff(found, golden) / largest
}

impl Pack {
    /// [`PackMeta::self_test`] of a whole pack.
    ///
    /// # Errors
    /// As there.
    pub fn self_test<F>(&self, tolerance: f32, run: F) -> Result<(), PackError>
    where
        F: FnMut(usize, &Graph, &[f32]) -> Result<Vec<Vec<f32>>, EngineError>,
    {
        self.meta.self_test(tolerance, run)
    }
}
