//! Named tensors: what importers make, packs hold and engines put in order.
//!
//! Engines ask a [`TensorSource`] for one tensor at a time and widen it into a room of their own, so that a network's
//! weights never stand in memory twice as f32.

use std::collections::BTreeMap;

use half::f16;
use half::slice::HalfFloatSliceExt as _;

use crate::engine::EngineError;

/// A dense f32 tensor, row-major.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensor {
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
    /// `shape.product()` values.
    pub data: Vec<f32>,
}

/// The largest difference of two answers; infinite where one is no finite number or they differ in length, since a NaN is no
/// larger than any bound.
#[must_use]
pub fn max_abs_diff(found: &[f32], expected: &[f32]) -> f32 {
    let far = |(&a, &b): (&f32, &f32)| match (a - b).abs() {
        far if far.is_finite() => far,
        _ => f32::INFINITY,
    };
    match found.len() == expected.len() {
        true => found.iter().zip(expected).map(far).fold(0.0, f32::max),
        false => f32::INFINITY,
    }
}

/// Tensors by name, in a fixed order.
pub type Tensors = BTreeMap<String, Tensor>;

/// Where weights come from: [`Tensors`], or a pack's bytes.
pub trait TensorSource {
    /// The values of a tensor, row-major.
    ///
    /// # Errors
    /// [`EngineError::Tensor`] with the shapes if it is missing, has another shape, or holds less than its shape says.
    fn find(&self, name: &str, shape: &[usize]) -> Result<Values<'_>, EngineError>;
}

/// A tensor's values as they are kept.
#[derive(Clone, Copy, Debug)]
pub enum Values<'a> {
    /// Ready to use.
    F32(&'a [f32]),
    /// Little-endian f32 of a file, aligned to nothing.
    F32Bytes(&'a [[u8; 4]]),
    /// Little-endian f16 of a file, aligned to nothing.
    F16Bytes(&'a [[u8; 2]]),
}

/// Halves converted at a time: the processor widens eight in one instruction, and so many stay in its first cache.
const HALVES_AT_ONCE: usize = 2048;

impl<'a> Values<'a> {
    /// The values as f32, in `room` unless they are so already.
    #[must_use]
    pub fn widened(self, room: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Self::F32(values) => return values,
            Self::F32Bytes(bytes) => {
                room.clear();
                room.extend(bytes.iter().map(|&four| f32::from_le_bytes(four)));
            }
            Self::F16Bytes(bytes) => {
                room.resize(bytes.len(), 0.0);
                let mut halves = [f16::ZERO; HALVES_AT_ONCE];
                for (to, from) in room.chunks_mut(HALVES_AT_ONCE).zip(bytes.chunks(HALVES_AT_ONCE))
                {
                    let halves = &mut halves[..from.len()];
                    for (half, &two) in halves.iter_mut().zip(from) {
                        *half = f16::from_le_bytes(two);
                    }
                    halves.convert_to_f32_slice(to);
                }
            }
        }
        room
    }

    /// Whether none is infinite or not a number.
    #[must_use]
    pub fn all_finite(&self) -> bool {
        // Whole chunks without a way out in between, which the compiler turns into vectors.
        match self {
            Self::F32(values) => values.iter().all(|value| value.is_finite()),
            Self::F32Bytes(bytes) => bytes.iter().all(|&four| f32::from_le_bytes(four).is_finite()),
            Self::F16Bytes(bytes) => bytes.chunks(HALVES_AT_ONCE).all(|chunk| {
                let exponent = |&two: &[u8; 2]| u16::from_le_bytes(two) & F16_EXPONENT;
                chunk.iter().map(exponent).fold(0, u16::max) < F16_EXPONENT
            }),
        }
    }
}

/// An f16's exponent bits; all of them are set in what is infinite or no number (IEEE 754-2008, binary16).
const F16_EXPONENT: u16 = 0x7c00;

impl TensorSource for Tensors {
    fn find(&self, name: &str, shape: &[usize]) -> Result<Values<'_>, EngineError> {
        let found = self.get(name);
        match found {
            Some(Tensor { shape: has, data })
                if has == shape && data.len() == shape.iter().product::<usize>() =>
            {
                Ok(Values::F32(data))
            }
            _ => Err(EngineError::Tensor {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: found.map(|tensor| tensor.shape.clone()).unwrap_or_default(),
            }),
        }
    }
}
