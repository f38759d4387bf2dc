//! Named f32 tensors: what importers make, packs hold and engines prepack.

use std::collections::BTreeMap;

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
