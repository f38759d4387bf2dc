//! P-Net, R-Net and O-Net from facenet-pytorch's three torch tables.
//!
//! Owns their naming: `conv1.weight`, `prelu1.weight`, `dense5_2.bias`; our names put the stage in front and hang the
//! slope on the layer that it follows.

use super::error::ImportError;
use super::fold;
use super::torch::StateDict;
use crate::graph::{Graph, Op};
use crate::net;
use crate::tensor::Tensors;

/// The detector's stages: file name without `.pt`, and the tensor that only this stage has.
pub(super) const STAGES: [(&str, &str); 3] =
    [("pnet", "conv4_1.weight"), ("rnet", "dense5_1.weight"), ("onet", "dense6_1.weight")];

/// Adds one stage's tensors to the detector's.
pub(super) fn add_stage(
    tensors: &mut Tensors,
    stage: usize,
    table: &mut StateDict<'_>,
) -> Result<(), ImportError> {
    let graph = match stage {
        0 => net::pnet(12, 12),
        1 => net::rnet(),
        _ => net::onet(),
    };
    for spec in graph.weights() {
        let (stem, kind) = spec.name.rsplit_once('.').unwrap_or((&spec.name, ""));
        let layer = stem.split_once('.').map_or(stem, |(_, layer)| layer);
        let mut get = |name: &str, shape: &[usize]| table.floats(graph.name(), name, shape);
        let data = match (kind, spec.shape.as_slice()) {
            ("slope", shape) => get(
                &format!("prelu{}.weight", layer.trim_start_matches(char::is_alphabetic)),
                shape,
            )?,
            ("weight", &[cout, kh, kw, cin]) => {
                let oihw = [cout, cin, kh, kw];
                net::ohwi_from_oihw(&get(&format!("{layer}.weight"), &oihw)?, oihw)
            }
            ("weight", shape) => {
                let weight = get(&format!("{layer}.weight"), shape)?;
                net::dense_hwc_from_whc(&weight, flattened(&graph, stem))
            }
            (kind, shape) => get(&format!("{layer}.{kind}"), shape)?,
        };
        fold::insert(tensors, spec.name.clone(), spec.shape, data)?;
    }
    Ok(())
}

/// Height, width and channels that a dense layer flattens.
fn flattened(graph: &Graph, layer: &str) -> [usize; 3] {
    let dense = graph.nodes().iter().find(|n| n.name == layer && matches!(n.op, Op::Dense { .. }));
    let shape = dense.map(|node| graph.shape(node.inputs[0]));
    shape.map_or([1, 1, 1], |shape| [shape.h, shape.w, shape.c])
}
