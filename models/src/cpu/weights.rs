//! Weights as the kernels read them: packed once into panels of neighbouring output channels.
//!
//! ```text
//! panel of v vectors:  [kh][kw][cin][v * lanes]      output channels beyond the last are zero
//! ```
//! A tile's inner loop walks one panel from front to back, a few vectors for each input value. The tensors that were
//! packed are not kept.

use std::collections::BTreeMap;

use super::Simd;
use super::aligned::Aligned;
use super::winograd::Winograd;
use crate::engine::EngineError;
use crate::graph::{Act, Graph, Op};
use crate::tensor::{self, Tensors};

/// A network's weights, packed for one instruction set; shared by all who run the network.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) simd: Simd,
    pub(super) layers: BTreeMap<String, Packed>,
    /// As many zeros as the widest pixel of any layer's input: what padding reads.
    pub(super) zeros: Aligned,
}

/// A layer's weights, for the way in which it is summed.
#[derive(Clone, Debug)]
pub(super) enum Packed {
    /// As they are.
    Direct(Layer),
    /// At the points of [`Winograd`].
    Winograd(Winograd),
}

/// One layer's weights.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    /// Output channels.
    pub(super) cout: usize,
    /// Values that one output sums over: kernel rows x columns x input channels.
    pub(super) depth: usize,
    pub(super) panels: Vec<Panel>,
    pub(super) data: Aligned,
    /// One value for each output channel of each panel, zeros behind the last channel; so is `slope`.
    pub(super) bias: Aligned,
    pub(super) slope: Aligned,
}

/// A run of neighbouring output channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Panel {
    /// Its first channel.
    pub(super) channel: usize,
    /// Vectors that hold one value of each of its channels.
    pub(super) vectors: usize,
    /// Where it begins in `Layer::data`.
    pub(super) start: usize,
}

impl Weights {
    /// Packs what `graph` needs out of `tensors` (names and shapes as [`Graph::weights`] lists them).
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn prepare(graph: &Graph, tensors: &Tensors, simd: Simd) -> Result<Self, EngineError> {
        for spec in graph.weights() {
            tensor::find(tensors, &spec.name, &spec.shape)?;
        }
        let simd = simd.or_available();
        let (mut layers, mut widest) = (BTreeMap::new(), 0);
        for node in graph.nodes() {
            let (bias, act) = match node.op {
                Op::Conv { conv, .. } => (conv.bias, conv.act),
                Op::Dense { bias, act, .. } => (bias, act),
                _ => continue,
            };
            let of = |wanted: bool, kind: &str| {
                let name = format!("{}.{kind}", node.name);
                tensors.get(&name).filter(|_| wanted).map_or(&[][..], |tensor| &tensor.data)
            };
            let values = (of(true, "weight"), of(bias, "bias"), of(act == Act::PRelu, "slope"));
            let (cin, cout) = (graph.shape(node.inputs[0]).c, node.shape.c);
            let packed = match node.op {
                Op::Conv { conv, .. } if Winograd::suits(&conv, cin, node.shape) => {
                    Packed::Winograd(Winograd::pack(cout, values, simd))
                }
                _ => Packed::Direct(Layer::pack(cout, values, simd)),
            };
            layers.insert(node.name.clone(), packed);
            widest = widest.max(cin);
        }
        Ok(Self { simd, layers, zeros: Aligned::zeros(widest) })
    }

    /// Bytes that the packed weights take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let floats = |packed: &Packed| match packed {
            Packed::Direct(layer) => layer.len(),
            Packed::Winograd(layer) => layer.len(),
        };
        self.layers.values().map(floats).sum::<usize>() * size_of::<f32>()
    }
}

impl Layer {
    /// Floats that it takes.
    pub(super) fn len(&self) -> usize {
        self.data.len() + self.bias.len() + self.slope.len()
    }

    /// Packs `weight` (`[cout, depth]`); `bias` and `slope` may be empty.
    pub(super) fn pack(
        cout: usize,
        (weight, bias, slope): (&[f32], &[f32], &[f32]),
        simd: Simd,
    ) -> Self {
        let (depth, lanes) = (weight.len() / cout, simd.lanes());
        let (mut panels, mut channel, mut start) = (Vec::new(), 0, 0);
        while channel < cout {
            let needed = (cout - channel).div_ceil(lanes);
            let fits = |&&vectors: &&usize| vectors <= needed;
            let vectors = simd.panel_vectors().iter().find(fits).copied().unwrap_or(1);
            panels.push(Panel { channel, vectors, start });
            channel += vectors * lanes;
            start += vectors * lanes * depth;
        }
        let mut data = Aligned::zeros(start);
        for panel in &panels {
            let width = panel.vectors * lanes;
            for o in panel.channel..cout.min(panel.channel + width) {
                let places = data[panel.start + o - panel.channel..].iter_mut().step_by(width);
                places.zip(&weight[o * depth..][..depth]).for_each(|(to, from)| *to = *from);
            }
        }
        let padded = |values: &[f32]| {
            let mut all = Aligned::zeros(channel);
            all[..values.len()].copy_from_slice(values);
            all
        };
        Self { cout, depth, panels, data, bias: padded(bias), slope: padded(slope) }
    }
}
