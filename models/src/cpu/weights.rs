//! Weights as the kernels read them: packed once into panels of neighbouring output channels.
//!
//! ```text
//! panel of v vectors:  [kh][kw][cin][v * lanes]      output channels beyond the last are zero
//! ```
//! A tile's inner loop walks one panel from front to back, a few vectors for each input value. The tensors that were
//! packed are not kept.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Simd;
use super::aligned::Aligned;
use super::winograd::Winograd;
use crate::engine::EngineError;
use crate::graph::{Graph, Op};
use crate::tensor::TensorSource;

/// Tensors that a layer may have, in the order of [`Layer::fill`].
const KINDS: [&str; 3] = ["weight", "bias", "slope"];

/// A network's weights, packed for one instruction set; shared by all who run the network.
#[derive(Clone, Debug)]
pub struct Weights {
    pub(super) simd: Simd,
    pub(super) layers: BTreeMap<String, Packed>,
    /// The panels of all layers: one run of memory, so that the system can back it with large pages (`pages`).
    pub(super) values: Aligned,
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
    /// Where the panels lie in [`Weights::values`].
    pub(super) at: Range<usize>,
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
    /// Where it begins within the layer's panels.
    pub(super) start: usize,
}

impl Weights {
    /// Packs what `graph` needs out of `tensors` (names and shapes as [`Graph::weights`] lists them).
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn prepare(
        graph: &Graph,
        tensors: &dyn TensorSource,
        simd: Simd,
    ) -> Result<Self, EngineError> {
        let specs: BTreeMap<_, _> = graph.weights().map(|spec| (spec.name, spec.shape)).collect();
        let simd = simd.or_available();
        let (mut layers, mut widest, mut end) = (BTreeMap::new(), 0, 0);
        for node in graph.nodes() {
            let Some(shape) = specs.get(&format!("{}.weight", node.name)) else { continue };
            let (cin, cout) = (graph.shape(node.inputs[0]).c, node.shape.c);
            let packed = match node.op {
                Op::Conv { conv, .. } if Winograd::suits(&conv, cin, node.shape) => {
                    Packed::Winograd(Winograd::lay(cout, cin, simd, &mut end))
                }
                _ => {
                    let depth = shape.iter().product::<usize>() / cout;
                    Packed::Direct(Layer::lay(cout, depth, simd, &mut end))
                }
            };
            layers.insert(node.name.clone(), packed);
            widest = widest.max(cin);
        }
        let mut values = Aligned::zeros(end);
        let (mut rooms, mut points) = ([const { Vec::new() }; 3], Vec::new());
        for (name, packed) in &mut layers {
            let mut found = [&[][..]; 3];
            for ((found, room), kind) in found.iter_mut().zip(&mut rooms).zip(KINDS) {
                let name = format!("{name}.{kind}");
                if let Some(shape) = specs.get(&name) {
                    *found = tensors.find(&name, shape)?.widened(room);
                }
            }
            match packed {
                Packed::Direct(layer) => layer.fill(found, simd, &mut values),
                Packed::Winograd(layer) => layer.fill(found, simd, &mut values, &mut points),
            }
        }
        Ok(Self { simd, layers, values, zeros: Aligned::zeros(widest) })
    }

    /// Bytes that the packed weights take, without biases and slopes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.values.len() * size_of::<f32>()
    }
}

/// Inputs turned over at a time, so that what is written of a panel meanwhile stays in the first cache.
const FILL_DEPTH: usize = 32;
/// Output channels turned over at a time; panels are whole vectors, so this divides their width.
const FILL_CHANNELS: usize = 4;

impl Layer {
    /// Divides a layer into panels, whose values will lie from `end` on, which moves behind them.
    pub(super) fn lay(cout: usize, depth: usize, simd: Simd, end: &mut usize) -> Self {
        let lanes = simd.lanes();
        let (mut panels, mut channel, mut start) = (Vec::new(), 0, 0);
        while channel < cout {
            let needed = (cout - channel).div_ceil(lanes);
            let fits = |&&vectors: &&usize| vectors <= needed;
            let vectors = simd.panel_vectors().iter().find(fits).copied().unwrap_or(1);
            panels.push(Panel { channel, vectors, start });
            channel += vectors * lanes;
            start += vectors * lanes * depth;
        }
        let at = *end..*end + start;
        // The next layer begins on a cache line too.
        *end = at.end.next_multiple_of(Aligned::LINE);
        Self {
            cout,
            depth,
            panels,
            at,
            bias: Aligned::zeros(channel),
            slope: Aligned::zeros(channel),
        }
    }

    /// Packs `weight` (`[cout, depth]`) into all layers' `values`; `bias` and `slope` may be empty.
    pub(super) fn fill(
        &mut self,
        [weight, bias, slope]: [&[f32]; 3],
        simd: Simd,
        values: &mut [f32],
    ) {
        let values = &mut values[self.at.clone()];
        for panel in &self.panels {
            let width = panel.vectors * simd.lanes();
            let rows = &weight[panel.channel * self.depth..];
            let rows = &rows[..rows.len().min(width * self.depth)];
            let to = &mut values[panel.start..][..width * self.depth];
            for (i, to) in to.chunks_mut(FILL_DEPTH * width).enumerate() {
                let inputs = i * FILL_DEPTH..i * FILL_DEPTH + to.len() / width;
                // Four channels at a time, so that one store takes four values.
                let mut rows = rows.chunks_exact(self.depth).map(|row| &row[inputs.clone()]);
                for o in (0..width).step_by(FILL_CHANNELS) {
                    let Some(first) = rows.next() else { break };
                    // Beyond the last channel the zeros stay.
                    let next = [(); FILL_CHANNELS - 1].map(|()| rows.next());
                    let [Some(b), Some(c), Some(d)] = next else {
                        for (i, row) in [Some(first)].into_iter().chain(next).flatten().enumerate()
                        {
                            let places = to[o + i..].iter_mut().step_by(width);
                            places.zip(row).for_each(|(to, from)| *to = *from);
                        }
                        break;
                    };
                    let places = to.chunks_exact_mut(width);
                    for ((((to, a), b), c), d) in places.zip(first).zip(b).zip(c).zip(d) {
                        to[o..o + FILL_CHANNELS].copy_from_slice(&[*a, *b, *c, *d]);
                    }
                }
            }
        }
        self.bias[..bias.len()].copy_from_slice(bias);
        self.slope[..slope.len()].copy_from_slice(slope);
    }
}
