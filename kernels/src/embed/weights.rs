//! An embedder's weights on the device: one run of fragments for each convolution and dense layer of its plan.
//!
//! Owns the order of a layer's sum: kernel row, column, input channel, the channels padded to eights with zeros.

use std::collections::BTreeMap;

use crate::device::{Address, Device};
use crate::engine::KernelError;
use crate::fragments::{Fragments, Uploaded};
use crate::launch::{EIGHT, Layer, may_be_direct};
use threshold_models::engine::EngineError;
use threshold_models::graph::{Act, Conv, Graph};
use threshold_models::plan::{Kind, Plan};
use threshold_models::tensor::TensorSource;

/// A convolution's weights: by steps of 16 terms, and once more by 32 where a direct tile may take them.
#[derive(Clone, Copy, Default)]
pub(super) struct Ordered {
    pub(super) layer: Layer,
    pub(super) chunks: Address,
}

/// Weights by the names of their steps, and the buffer that holds them.
pub(super) struct Weights<D: Device> {
    layers: BTreeMap<String, Ordered>,
    uploaded: Uploaded<D>,
}

impl<D: Device> Weights<D> {
    /// Orders the weights of a plan and copies them to the device.
    pub(super) fn new(
        device: &D,
        graph: &Graph,
        plan: &Plan,
        tensors: &dyn TensorSource,
    ) -> Result<Self, KernelError> {
        let mut fragments = Fragments::default();
        let mut layers = BTreeMap::new();
        let reader = Reader { tensors, shapes: graph.weights().collect() };
        for step in &plan.steps {
            if let Kind::Conv { conv, .. } = step.kind {
                let c = step.inputs[0].shape.c;
                layers
                    .insert(step.name.clone(), reader.layer(&mut fragments, &step.name, conv, c)?);
            }
        }
        let addresses = layers.values_mut().flat_map(|ordered: &mut Ordered| {
            ordered.layer.addresses().into_iter().chain([&mut ordered.chunks])
        });
        let uploaded = fragments.upload(device, addresses)?;
        Ok(Self { layers, uploaded })
    }

    /// The weights' bytes on the device.
    pub(super) fn uploaded(&mut self) -> &mut Uploaded<D> {
        &mut self.uploaded
    }

    /// A step's; nothing but zeros for a step without weights.
    pub(super) fn layer(&self, name: &str) -> Ordered {
        self.layers.get(name).copied().unwrap_or_default()
    }
}

struct Reader<'a> {
    tensors: &'a dyn TensorSource,
    shapes: Vec<threshold_models::graph::WeightSpec>,
}

impl Reader<'_> {
    fn layer(
        &self,
        fragments: &mut Fragments,
        name: &str,
        conv: Conv,
        c: usize,
    ) -> Result<Ordered, EngineError> {
        let [mut weight_room, mut bias_room, mut slope_room] = [const { Vec::new() }; 3];
        let weight = self.tensor(name, "weight", &mut weight_room)?;
        let bias = if conv.bias { self.tensor(name, "bias", &mut bias_room)? } else { &[] };
        let slope = match conv.act {
            Act::None => vec![1.0; conv.cout],
            Act::Relu => vec![0.0; conv.cout],
            Act::PRelu => self.tensor(name, "slope", &mut slope_room)?.to_vec(),
        };
        let (taps, padded) = (conv.kernel[0] * conv.kernel[1], c.next_multiple_of(EIGHT));
        let value = |o: usize, k: usize| {
            let (tap, channel) = (k / padded, k % padded);
            if channel < c { weight[(o * taps + tap) * c + channel] } else { 0.0 }
        };
        let shape = (conv.cout, taps * padded);
        let layer = fragments.layer(shape, value, bias, &slope);
        let is_direct = may_be_direct(taps * padded);
        let chunks = if is_direct { fragments.chunks(shape, value) } else { Address::default() };
        Ok(Ordered { layer, chunks })
    }

    fn tensor<'b>(
        &'b self,
        name: &str,
        kind: &str,
        room: &'b mut Vec<f32>,
    ) -> Result<&'b [f32], EngineError> {
        let name = format!("{name}.{kind}");
        let spec = self.shapes.iter().find(|spec| spec.name == name);
        let shape = spec.map_or(&[][..], |spec| &spec.shape);
        Ok(self.tensors.find(&name, shape)?.widened(room))
    }
}
