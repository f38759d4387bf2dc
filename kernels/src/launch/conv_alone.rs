//! One convolution of the cascade alone, for tests: `cuda/conv_alone.cu`.

use super::{Layer, Region, step};
use crate::device::{Address, Step};
use bytemuck::{Pod, Zeroable};

/// As `CONV_ALONE_SHARED`.
const SHARED_BYTES: u32 = 65_536;

/// A convolution as its network calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvAlone {
    /// The layer's name.
    pub name: &'static str,
    /// Rows, columns and channels of the input; a first layer's pixels have four values.
    pub input: [usize; 3],
    /// Rows, columns and channels of the output, padded as the next layer reads them.
    pub output: [usize; 3],
    /// Rows, and columns, of a window.
    pub kernel: usize,
}

const fn of(name: &'static str, kernel: usize, input: [usize; 3], channels: usize) -> ConvAlone {
    let output = [input[0] - kernel + 1, input[1] - kernel + 1, channels];
    ConvAlone { name, input, output, kernel }
}

/// All of them, in the kernel's order.
pub const CONVS_ALONE: [ConvAlone; 8] = [
    of("pnet.conv2", 3, [20, 20, 16], 16),
    of("rnet.conv1", 3, [24, 24, 4], 32),
    of("rnet.conv2", 3, [11, 11, 32], 48),
    of("rnet.conv3", 2, [4, 4, 48], 64),
    of("onet.conv1", 3, [9, 48, 4], 32),
    of("onet.conv2", 3, [7, 23, 32], 64),
    of("onet.conv3", 3, [10, 10, 64], 64),
    of("onet.conv4", 2, [4, 4, 64], 128),
];

#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct Params {
    x: Address,
    y: Address,
    layer: Layer,
    which: u32,
    unused: u32,
}

const _: () = assert!(size_of::<Params>() == 48);

/// Runs one of [`CONVS_ALONE`], by its place.
///
/// # Panics
/// If there is none of that place or a region is too short.
#[must_use]
pub fn conv_alone(which: usize, layer: Layer, x: Region, y: Region) -> Step {
    let ConvAlone { input, output, .. } = CONVS_ALONE[which];
    let bytes = |shape: [usize; 3]| shape.iter().product::<usize>() * 2;
    let params = Params {
        x: x.holding(bytes(input)),
        y: y.holding(bytes(output)),
        layer,
        which: which as u32,
        unused: 0,
    };
    step("conv_alone", 1, 256, SHARED_BYTES, &params)
}
