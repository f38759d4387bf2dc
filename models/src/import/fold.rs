//! From a file's layers to the engine's: order of dimensions, batch norm folded into the layer before it.
//!
//! Owns the arithmetic of folding, in f64, rounded once. Refuses to know file formats: an importer hands over layers.

use super::error::ImportError;
use crate::graph::{Graph, WeightSpec};
use crate::tensor::{Tensor, Tensors};

/// A normalisation at inference: `gamma * (x - mean) / sqrt(variance + epsilon) + beta`, for each channel.
#[derive(Clone, Debug)]
pub(super) struct Norm {
    pub(super) gamma: Vec<f32>,
    pub(super) beta: Vec<f32>,
    pub(super) mean: Vec<f32>,
    pub(super) variance: Vec<f32>,
    pub(super) epsilon: f64,
}

/// A layer as its file has it, in the engine's order of dimensions (`[cout, kh, kw, cin]` or `[out, in]`).
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) norm: Option<Norm>,
}

impl Layer {
    /// Weight and bias after folding.
    fn folded(self, name: &str) -> Result<(Vec<f32>, Vec<f32>), ImportError> {
        let Self { mut weight, bias, norm } = self;
        let Some(norm) = norm else { return Ok((weight, bias.unwrap_or_default())) };
        let channels = norm.beta.len();
        let row = weight.len() / channels.max(1);
        let mut folded = Vec::with_capacity(channels);
        for (o, row) in weight.chunks_exact_mut(row.max(1)).enumerate() {
            let variance = f64::from(norm.variance[o]) + norm.epsilon;
            // Written so that a NaN is refused too.
            if !(variance > 0.0 && variance.is_finite()) {
                return Err(ImportError::Value { name: name.to_owned(), value: norm.variance[o] });
            }
            let scale = f64::from(norm.gamma[o]) / variance.sqrt();
            for value in row {
                *value = (f64::from(*value) * scale) as f32;
            }
            let before = f64::from(bias.as_ref().map_or(0.0, |bias| bias[o]));
            let after = (before - f64::from(norm.mean[o])) * scale + f64::from(norm.beta[o]);
            folded.push(after as f32);
        }
        Ok((weight, folded))
    }
}

/// All tensors of a graph without slopes; `layer(name, shape, has_bias)` reads one layer of the file.
pub(super) fn tensors<F>(graph: &Graph, mut layer: F) -> Result<Tensors, ImportError>
where
    F: FnMut(&str, &[usize], bool) -> Result<Layer, ImportError>,
{
    let specs: Vec<WeightSpec> = graph.weights().collect();
    let mut tensors = Tensors::new();
    for spec in &specs {
        let Some(name) = spec.name.strip_suffix(".weight") else { continue };
        let bias_name = format!("{name}.bias");
        let has_bias = specs.iter().any(|other| other.name == bias_name);
        let (weight, bias) = layer(name, &spec.shape, has_bias)?.folded(name)?;
        insert(&mut tensors, spec.name.clone(), spec.shape.clone(), weight)?;
        if has_bias {
            insert(&mut tensors, bias_name, vec![spec.shape[0]], bias)?;
        }
    }
    Ok(tensors)
}

/// Adds a tensor whose values are all finite.
pub(super) fn insert(
    tensors: &mut Tensors,
    name: String,
    shape: Vec<usize>,
    data: Vec<f32>,
) -> Result<(), ImportError> {
    if let Some(&value) = data.iter().find(|value| !value.is_finite()) {
        return Err(ImportError::Value { name, value });
    }
    tensors.insert(name, Tensor { shape, data });
    Ok(())
}

/// Turns TensorFlow's order (`[kh, kw, cin, cout]`, or `[in, out]` as one row of taps) into ours.
pub(super) fn output_first(weight: &[f32], cout: usize) -> Vec<f32> {
    let taps = weight.len() / cout.max(1);
    let column = |o: usize| (0..taps).map(move |tap| weight[tap * cout + o]);
    (0..cout).flat_map(column).collect()
}
