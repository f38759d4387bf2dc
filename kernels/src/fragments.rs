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
/// Inputs of a chunk, of which a lane has 8 in a row.
const CHUNK: usize = 32;
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
        let first = |lane: usize, word: usize| 2 * (lane % 4) + 8 * word;
        let outputs = outputs(out);
        let weights = self.ordered::<STEP>((out, inputs), value, first);
        let [bias, slope] = [bias, slope].map(|values| {
            let start = self.begin();
            for o in 0..outputs {
                self.0.extend(values.get(o).copied().unwrap_or(0.0).to_le_bytes());
            }
            start
        });
        Layer { weights, bias, slope }
    }

    /// Adds weights once more, for kernels whose lanes take 16 bytes of a value at once (`cuda/direct.cuh`):
    /// `[tile of 8 outputs][chunk of 32 inputs][lane 0..32][4 words]`; lane l, word w: output l / 4, k = 8 (l % 4) + 2 w.
    pub(crate) fn chunks(
        &mut self,
        shape: (usize, usize),
        value: impl Fn(usize, usize) -> f32,
    ) -> Address {
        self.ordered::<CHUNK>(shape, value, |lane, word| 8 * (lane % 4) + 2 * word)
    }

    /// Weights in steps of `K` inputs, of which a lane has K / 8 words; `first(lane, word)` is the first of a word's two.
    fn ordered<const K: usize>(
        &mut self,
        (out, inputs): (usize, usize),
        value: impl Fn(usize, usize) -> f32,
        first: impl Fn(usize, usize) -> usize,
    ) -> Address {
        let outputs = outputs(out);
        let weights = self.begin();
        self.0.reserve(outputs * inputs.next_multiple_of(K) * size_of::<f16>());
        for tile in 0..outputs / TILE {
            for step in 0..inputs.div_ceil(K) {
                for lane in 0..32 {
                    let o = tile * TILE + lane / 4;
                    for word in 0..K / 8 {
                        let k = step * K + first(lane, word);
                        for k in [k, k + 1] {
                            let there = o < out && k < inputs;
                            let half = f16::from_f32(if there { value(o, k) } else { 0.0 });
                            self.0.extend(half.to_le_bytes());
                        }
                    }
                }
            }
        }
        weights
    }

    /// Copies the bytes to a device and makes offsets in them addresses there.
    ///
    /// # Errors
    /// [`DeviceError`] if the device has no room.
    pub(crate) fn upload<'a, D: Device>(
        self,
        device: &D,
        offsets: impl Iterator<Item = &'a mut Address>,
    ) -> Result<Uploaded<D>, DeviceError> {
        let mut buffer = device.alloc(self.0.len())?;
        device.write(&mut buffer, 0, &self.0)?;
        let start = device.address(&buffer);
        for address in offsets {
            *address = start.offset(address.0 as usize);
        }
        Ok(Uploaded { buffer, len: self.0.len(), hash: blake3::hash(&self.0) })
    }

    fn begin(&mut self) -> Address {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        Address(self.0.len() as u64)
    }
}

/// Outputs with those that nobody asked for: two tiles where there are more than one holds, since the cascade reads its
/// activations' rows in steps of 16.
fn outputs(out: usize) -> usize {
    if out > TILE { out.next_multiple_of(STEP) } else { TILE }
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
