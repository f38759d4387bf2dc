//! Named f32 tensors: what importers make, packs hold and engines prepack.

use std::collections::BTreeMap;

use crate::engine::EngineError;

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
