//! Weights in the order in which a warp's lanes take them: fragments of `mma.sync.m16n8k16`'s second factor.
//!
//! ```text
//! layer:     [tile of 8 outputs][step of 16 inputs][lane 0..32][2 words]     output and inputs beyond the last are zero
//! a word:    two halves, inputs k and k + 1;  lane l, word w: output l / 4, k = 2 (l % 4) + 8 w
//! bias, slope:  f32 for every output of every tile
//! ```
//! (PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point types".) A warp so reads 256 bytes in a row for each
//! step, straight from device memory. All layers of the cascade lie in one buffer.

use crate::device::{Address, Device, DeviceError};
use crate::launch::Layer;
use half::f16;
use threshold_models::engine::EngineError;
use threshold_models::graph::{Graph, WeightSpec};
use threshold_models::net;
use threshold_models::tensor::TensorSource;

/// Outputs of a tile, and inputs of a step.
const TILE: usize = 8;
const STEP: usize = 16;
/// Channels of a pixel of a level or crop: the fourth is zero.
const PIXEL: usize = 4;
/// What every part begins on.
const ALIGN: usize = 16;

/// The cascade's weights as bytes for one buffer, and where in it each layer lies.
#[derive(Clone, Debug, Default)]
pub struct Packed {
    /// The buffer's bytes.
    pub bytes: Vec<u8>,
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
    /// Orders a detector's weights. The layers' addresses count from the buffer's start until [`Packed::upload`].
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn of(tensors: &dyn TensorSource) -> Result<Self, EngineError> {
        let mut packed = Self::default();
        let mut packer = Packer { tensors, bytes: Vec::new(), specs: Vec::new() };
        packer.specs_of(&net::pnet(net::PNET_CELL_PX, net::PNET_CELL_PX));
        packer.specs_of(&net::rnet());
        packer.specs_of(&net::onet());
        packed.pnet = [
            packer.conv("pnet.conv1")?,
            packer.conv("pnet.conv2")?,
            packer.conv("pnet.conv3")?,
            packer.rows(&["pnet.conv4_1", "pnet.conv4_2"])?,
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
            [packer.rows(&["rnet.dense4"])?, packer.rows(&["rnet.dense5_1", "rnet.dense5_2"])?];
        packed.onet_heads = [
            packer.rows(&["onet.dense5"])?,
            packer.rows(&["onet.dense6_1", "onet.dense6_2", "onet.dense6_3"])?,
        ];
        packed.bytes = packer.bytes;
        Ok(packed)
    }

    /// Copies the bytes to a device; the layers are at their addresses there then, and the bytes here are gone.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no room.
    pub fn upload<D: Device>(mut self, device: &D) -> Result<(Self, D::Buffer), DeviceError> {
        let bytes = std::mem::take(&mut self.bytes);
        let mut buffer = device.alloc(bytes.len())?;
        device.write(&mut buffer, 0, &bytes)?;
        Ok((self.placed(device.address(&buffer)), buffer))
    }

    fn placed(mut self, start: Address) -> Self {
        let layers = self.pnet.iter_mut().chain(&mut self.rnet).chain(&mut self.onet);
        for layer in layers.chain(&mut self.rnet_heads).chain(&mut self.onet_heads) {
            for address in [&mut layer.weights, &mut layer.bias, &mut layer.slope] {
                *address = start.offset(address.0 as usize);
            }
        }
        self
    }
}

struct Packer<'a> {
    tensors: &'a dyn TensorSource,
    bytes: Vec<u8>,
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

    /// A convolution (weights `[out, kh, kw, in]`). The first layer's three channels become a step for each kernel row: four
    /// pixels of four values, the fourth of each zero.
    fn conv(&mut self, name: &str) -> Result<Layer, EngineError> {
        let (shape, weight) = self.tensor(&format!("{name}.weight"))?;
        let &[out, kh, kw, cin] = shape.as_slice() else { return Ok(Layer::default()) };
        let at = |o: usize, tap: usize, c: usize| weight[(o * kh * kw + tap) * cin + c];
        let bias = self.tensor(&format!("{name}.bias"))?.1;
        let slope = self.tensor(&format!("{name}.slope"))?.1;
        if cin < PIXEL {
            let value = |o: usize, k: usize| {
                let (row, pixel, c) = (k / STEP, k % STEP / PIXEL, k % PIXEL);
                if pixel < kw && c < cin { at(o, row * kw + pixel, c) } else { 0.0 }
            };
            // P-Net's 10 channels are read as one step of 16 by the next layer.
            return Ok(self.layer((out, kh * STEP), value, &bias, &slope));
        }
        let step = cin.next_multiple_of(STEP);
        let value = |o: usize, k: usize| {
            let (tap, c) = (k / step, k % step);
            if c < cin { at(o, tap, c) } else { 0.0 }
        };
        Ok(self.layer((out, kh * kw * step), value, &bias, &slope))
    }

    /// Dense layers, or 1 x 1 convolutions, one below the other.
    fn rows(&mut self, names: &[&str]) -> Result<Layer, EngineError> {
        let (mut weight, mut bias, mut slope, mut out) = (vec![], vec![], vec![], 0);
        for name in names {
            let (shape, values) = self.tensor(&format!("{name}.weight"))?;
            out += shape[0];
            weight.extend(values);
            bias.extend(self.tensor(&format!("{name}.bias"))?.1);
            slope.extend(self.tensor(&format!("{name}.slope"))?.1);
        }
        let inputs = weight.len() / out.max(1);
        Ok(self.layer((out, inputs), |o, k| weight[o * inputs + k], &bias, &slope))
    }

    fn layer(
        &mut self,
        (out, inputs): (usize, usize),
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
        slope: &[f32],
    ) -> Layer {
        // Two tiles at least: an activation's row is read in steps of 16.
        let outputs = if out > TILE { out.next_multiple_of(STEP) } else { TILE };
        let weights = self.begin();
        for tile in 0..outputs / TILE {
            for step in 0..inputs.div_ceil(STEP) {
                for lane in 0..32 {
                    let o = tile * TILE + lane / 4;
                    for word in 0..2 {
                        let k = step * STEP + 2 * (lane % 4) + 8 * word;
                        for k in [k, k + 1] {
                            let there = o < out && k < inputs;
                            let half = f16::from_f32(if there { value(o, k) } else { 0.0 });
                            self.bytes.extend(half.to_le_bytes());
                        }
                    }
                }
            }
        }
        let [bias, slope] = [bias, slope].map(|values| {
            let start = self.begin();
            for o in 0..outputs {
                self.bytes.extend(values.get(o).copied().unwrap_or(0.0).to_le_bytes());
            }
            start
        });
        Layer { weights, bias, slope }
    }

    fn begin(&mut self) -> Address {
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGN), 0);
        Address(self.bytes.len() as u64)
    }
}
