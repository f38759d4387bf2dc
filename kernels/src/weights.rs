//! The cascade's weights: which layer becomes which run of fragments.
//!
//! Owns what the cascade's kernels expect of each layer: first layers over pixels of four values, heads one below the other.
//! The order within a layer is that of `fragments`, how weights are rounded that of `rounding`.

use crate::device::{Device, DeviceError};
use crate::fragments::{Fragments, STEP, Uploaded};
use crate::launch::Layer;
use crate::rounding;
use threshold_models::engine::EngineError;
use threshold_models::graph::{Graph, WeightSpec};
use threshold_models::net;
use threshold_models::tensor::TensorSource;

/// Channels of a frame.
const COLOURS: usize = 3;

/// The cascade's weights as bytes for one buffer, and where in it each layer lies.
#[derive(Debug, Default)]
pub struct Packed {
    fragments: Fragments,
    /// P-Net's conv1, conv2, conv3 and both heads.
    pub pnet: [Layer; 4],
    /// R-Net's conv1, conv2 and conv3.
    pub rnet: [Layer; 3],
    /// O-Net's conv1 to conv4.
    pub onet: [Layer; 4],
    /// R-Net's dense layer, then its heads.
    pub rnet_heads: [Layer; 2],
    /// O-Net's.
    pub onet_heads: [Layer; 2],
}

impl Packed {
    /// Orders a detector's weights. The layers' addresses count from the buffer's start until they are uploaded.
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn of(tensors: &dyn TensorSource) -> Result<Self, EngineError> {
        let mut packed = Self::default();
        let mut packer = Packer { tensors, fragments: Fragments::default(), specs: Vec::new() };
        packer.specs_of(&net::pnet(net::PNET_CELL_PX, net::PNET_CELL_PX));
        packer.specs_of(&net::rnet());
        packer.specs_of(&net::onet());
        packed.pnet = [
            packer.conv("pnet.conv1")?,
            packer.conv("pnet.conv2")?,
            packer.conv("pnet.conv3")?,
            packer.heads(&["pnet.conv4_1", "pnet.conv4_2"])?,
        ];
        packed.rnet =
            [packer.conv("rnet.conv1")?, packer.conv("rnet.conv2")?, packer.conv("rnet.conv3")?];
        packed.onet = [
            packer.conv("onet.conv1")?,
            packer.conv("onet.conv2")?,
            packer.conv("onet.conv3")?,
            packer.conv("onet.conv4")?,
        ];
        packed.rnet_heads =
            [packer.rows(&["rnet.dense4"])?, packer.heads(&["rnet.dense5_1", "rnet.dense5_2"])?];
        packed.onet_heads = [
            packer.rows(&["onet.dense5"])?,
            packer.rows(&["onet.dense6_1", "onet.dense6_2", "onet.dense6_3"])?,
        ];
        packed.fragments = packer.fragments;
        Ok(packed)
    }

    /// Copies the bytes to a device; the layers are at their addresses there then, and the bytes here are gone.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no room.
    pub(crate) fn upload<D: Device>(
        mut self,
        device: &D,
    ) -> Result<(Self, Uploaded<D>), DeviceError> {
        let fragments = std::mem::take(&mut self.fragments);
        let layers = self.pnet.iter_mut().chain(&mut self.rnet).chain(&mut self.onet);
        let layers = layers.chain(&mut self.rnet_heads).chain(&mut self.onet_heads);
        let buffer = fragments.upload(device, layers.flat_map(Layer::addresses))?;
        Ok((self, buffer))
    }
}

struct Packer<'a> {
    tensors: &'a dyn TensorSource,
    fragments: Fragments,
    specs: Vec<WeightSpec>,
}

impl Packer<'_> {
    fn specs_of(&mut self, graph: &Graph) {
        self.specs.extend(graph.weights());
    }

    /// A layer's tensor with its shape; nothing if the network has none of that name.
    fn tensor(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>), EngineError> {
        let Some(spec) = self.specs.iter().find(|spec| spec.name == name) else {
            return Ok((vec![0], vec![]));
        };
        let values = self.tensors.find(name, &spec.shape)?.widened(&mut Vec::new()).to_vec();
        Ok((spec.shape.clone(), values))
    }

    /// A convolution (weights `[out, kh, kw, in]`). A first layer has a step for each kernel row: four places of four values.
    fn conv(&mut self, name: &str) -> Result<Layer, EngineError> {
        let (shape, mut weight) = self.tensor(&format!("{name}.weight"))?;
        let &[out, kh, kw, cin] = shape.as_slice() else { return Ok(Layer::default()) };
        let windows = kh * kw * cin;
        let bias = self.tensor(&format!("{name}.bias"))?.1;
        let slope = self.tensor(&format!("{name}.slope"))?.1;
        if cin == COLOURS {
            let windows: Vec<_> = weight.chunks_exact(windows).map(rounding::first_layer).collect();
            let value = |o: usize, k: usize| windows[o][k];
            return Ok(self.fragments.layer((out, rounding::FIRST_LAYER), value, &bias, &slope));
        }
        weight.chunks_exact_mut(windows).for_each(|one| rounding::window(one, [kh, kw], cin));
        let step = cin.next_multiple_of(STEP);
        // P-Net's 10 channels are a step of 16.
        let value = |o: usize, k: usize| {
            let (tap, c) = (k / step, k % step);
            if c < cin { weight[o * windows + tap * cin + c] } else { 0.0 }
        };
        Ok(self.fragments.layer((out, kh * kw * step), value, &bias, &slope))
    }

    /// Dense layers, or 1 x 1 convolutions, one below the other.
    fn rows(&mut self, names: &[&str]) -> Result<Layer, EngineError> {
        let Rows { out, inputs, weight, bias, slope } = self.below(names)?;
        Ok(self.fragments.layer((out, inputs), |o, k| weight[o * inputs + k], &bias, &slope))
    }

    /// The same in two halves a weight: a run of steps with what is nearest, then one with what that leaves.
    fn heads(&mut self, names: &[&str]) -> Result<Layer, EngineError> {
        let Rows { out, inputs, weight, bias, slope } = self.below(names)?;
        let value = |o: usize, k: usize| {
            let weight = weight[o * inputs + k % inputs];
            if k < inputs { weight } else { rounding::rest(weight) }
        };
        Ok(self.fragments.layer((out, 2 * inputs), value, &bias, &slope))
    }

    fn below(&self, names: &[&str]) -> Result<Rows, EngineError> {
        let (mut weight, mut bias, mut slope, mut out) = (vec![], vec![], vec![], 0);
        for name in names {
            let (shape, values) = self.tensor(&format!("{name}.weight"))?;
            out += shape[0];
            weight.extend(values);
            bias.extend(self.tensor(&format!("{name}.bias"))?.1);
            slope.extend(self.tensor(&format!("{name}.slope"))?.1);
        }
        let inputs = weight.len() / out.max(1);
        Ok(Rows { out, inputs, weight, bias, slope })
    }
}

/// Layers one below the other: weights `[out, inputs]`.
struct Rows {
    out: usize,
    inputs: usize,
    weight: Vec<f32>,
    bias: Vec<f32>,
    slope: Vec<f32>,
}
