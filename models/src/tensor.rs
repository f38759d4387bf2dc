//! Named f32 tensors: what importers make, packs hold and engines prepack.

use std::collections::BTreeMap;

use crate::engine::EngineError;
use crate::graph::{Graph, Shape, WeightSpec};
use crate::pack::synthetic_input;

/// A dense f32 tensor, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub data: Vec<f32>,
}

/// Tensors by name, in a fixed order.
pub type Tensors = BTreeMap<String, Tensor>;

/// The tensor of that name, if it has that shape.
///
/// # Errors
/// [`EngineError::Tensor`] with the shapes if it is missing, has another shape, or holds less than its shape says.
pub fn find<'a>(
    tensors: &'a Tensors,
    name: &str,
    shape: &[usize],
) -> Result<&'a Tensor, EngineError> {
    let found = tensors.get(name);
    match found {
        Some(tensor)
            if tensor.shape == shape && tensor.data.len() == shape.iter().product::<usize>() =>
        {
            Ok(tensor)
        }
        _ => Err(EngineError::Tensor {
            name: name.to_owned(),
            expected: shape.to_vec(),
            found: found.map(|tensor| tensor.shape.clone()).unwrap_or_default(),
        }),
    }
}

/// Weights for networks whose own are not at hand: deterministic, and such that values keep their range from layer to
/// layer (uniform, variance 2 / inputs). What the networks then say means nothing; how long they take does.
#[must_use]
pub fn synthetic<'a>(graphs: impl IntoIterator<Item = &'a Graph>) -> Tensors {
    let specs = graphs.into_iter().flat_map(Graph::weights).enumerate();
    let tensor = |(seed, spec): (usize, WeightSpec)| {
        let inputs = spec.len() / spec.shape[0];
        let bound = (6.0 / inputs as f32).sqrt().min(0.25);
        let mut data = synthetic_input(seed as u64, Shape { h: 1, w: 1, c: spec.len() });
        data.iter_mut().for_each(|value| *value *= bound);
        (spec.name, Tensor { shape: spec.shape, data })
    };
    specs.map(tensor).collect()
}
