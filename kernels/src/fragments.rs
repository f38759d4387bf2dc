//! Weights in the order in which a warp's lanes take them: fragments of `mma.sync.m16n8k16`'s second factor.
//!
//! ```text
//! layer:     [tile of 8 outputs][step of 16 inputs][lane 0..32][2 words]     output and inputs beyond the last are zero
//! a word:    two halves, inputs k and k + 1;  lane l, word w: output l / 4, k = 2 (l % 4) + 8 w
//! bias, slope:  f32 for every output of every tile
//! ```
//! (PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point types".) A warp so reads 256 bytes in a row for each
//! step, and a run of steps is a run of bytes. All layers of a network lie in one buffer.

use crate::device::{Address, Device, DeviceError};
use crate::launch::Layer;
use half::f16;

/// Outputs of a tile, and inputs of a step.
const TILE: usize = 8;
pub(crate) const STEP: usize = 16;
/// What every part begins on.
const ALIGN: usize = 16;

/// The bytes of a buffer of layers.
#[derive(Debug, Default)]
pub(crate) struct Fragments(Vec<u8>);

impl Fragments {
    /// Adds a layer of `out` outputs over `inputs` inputs, whose weights `value(output, input)` gives. Its addresses count
    /// from the buffer's start.
    pub(crate) fn layer(
        &mut self,
        (out, inputs): (usize, usize),
        value: impl Fn(usize, usize) -> f32,
        bias: &[f32],
        slope: &[f32],
    ) -> Layer {
        // Two tiles where there are more outputs than one holds: the cascade reads its activations' rows in steps of 16.
        let outputs = if out > TILE { out.next_multiple_of(STEP) } else { TILE };
        let weights = self.begin();
        self.0.reserve(outputs * inputs.next_multiple_of(STEP) * size_of::<f16>());
        for tile in 0..outputs / TILE {
            for step in 0..inputs.div_ceil(STEP) {
                for lane in 0..32 {
                    let o = tile * TILE + lane / 4;
                    for word in 0..2 {
                        let k = step * STEP + 2 * (lane % 4) + 8 * word;
                        for k in [k, k + 1] {
                            let there = o < out && k < inputs;
                            let half = f16::from_f32(if there { value(o, k) } else { 0.0 });
                            self.0.extend(half.to_le_bytes());
                        }
                    }
                }
            }
        }
        let [bias, slope] = [bias, slope].map(|values| {
            let start = self.begin();
            for o in 0..outputs {
                self.0.extend(values.get(o).copied().unwrap_or(0.0).to_le_bytes());
            }
            start
        });
        Layer { weights, bias, slope }
    }

    /// Copies the bytes to a device and tells the layers where they lie there.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no room.
    pub(crate) fn upload<'a, D: Device>(
        self,
        device: &D,
        layers: impl Iterator<Item = &'a mut Layer>,
    ) -> Result<Uploaded<D>, DeviceError> {
        let mut buffer = device.alloc(self.0.len())?;
        device.write(&mut buffer, 0, &self.0)?;
        let start = device.address(&buffer);
        for layer in layers {
            for address in [&mut layer.weights, &mut layer.bias, &mut layer.slope] {
                *address = start.offset(address.0 as usize);
            }
        }
        Ok(Uploaded { buffer, len: self.0.len(), hash: blake3::hash(&self.0) })
    }

    fn begin(&mut self) -> Address {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        Address(self.0.len() as u64)
    }
}

/// Weights on a device, whose layers' addresses are good as long as this lives.
pub(crate) struct Uploaded<D: Device> {
    buffer: D::Buffer,
    len: usize,
    hash: blake3::Hash,
}

impl<D: Device> Uploaded<D> {
    /// Reads them back: they are what was copied.
    ///
    /// # Errors
    /// [`DeviceError::Corrupt`] if they are not.
    pub(crate) fn verify(&self, device: &D) -> Result<(), DeviceError> {
        let mut bytes = vec![0; self.len];
        device.read(&self.buffer, 0, &mut bytes)?;
        if blake3::hash(&bytes) == self.hash { Ok(()) } else { Err(DeviceError::Corrupt) }
    }

    /// Changes a byte, as failing memory would: for the test that such a change is found.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(crate) fn flip(&mut self, device: &D, at: usize) -> Result<(), DeviceError> {
        let mut byte = [0];
        device.read(&self.buffer, at % self.len, &mut byte)?;
        device.write(&mut self.buffer, at % self.len, &[!byte[0]])
    }
}
