//! The operations of a graph, and the shapes they work on.
//!
//! Owns what each operation means, in a sentence that every engine is held to. Refuses to know which value it reads:
//! that is the graph's.

use std::fmt;

/// Height, width and channels of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Values in one item.
    #[must_use]
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Whether an item has no value at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Positions in one item.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.h * self.w
    }
}

/// What follows the sum of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    None,
    /// Negative values become zero.
    Relu,
    /// Negative values are multiplied by the channel's slope (weight `<layer>.slope`).
    PRelu,
}

/// A convolution as written in a definition; rows first in every pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Channels that come out.
    pub cout: usize,
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Step, the same in both directions.
    pub stride: usize,
    /// Zeros around the input, rows and columns, the same on both sides.
    pub pad: [usize; 2],
    /// Whether there is a `<layer>.bias`.
    pub bias: bool,
    /// What follows the sum (and the residual, if one is added).
    pub act: Act,
}

impl Conv {
    /// A kernel of `kh` x `kw` with bias, stride 1, no padding, no activation.
    #[must_use]
    pub const fn new(cout: usize, kh: usize, kw: usize) -> Self {
        Self { cout, kernel: [kh, kw], stride: 1, pad: [0, 0], bias: true, act: Act::None }
    }

    /// The same with another step.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same with padding that keeps height and width at stride 1 (odd kernels).
    #[must_use]
    pub const fn same(self) -> Self {
        Self { pad: [self.kernel[0] / 2, self.kernel[1] / 2], ..self }
    }

    /// The same with another activation.
    #[must_use]
    pub const fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }
}

/// What a pool takes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest value.
    Max,
    /// The mean of the values inside the input.
    Average,
}

/// A pool over square windows; windows are clipped to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Largest value or mean.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Rows and columns outside the input that windows may cover, on each side.
    pub pad: usize,
    /// Whether a last window that sticks out of the input counts (torch's `ceil_mode`).
    pub ceil: bool,
}

impl Pool {
    /// Windows of `kernel`, `stride` apart, all inside the input.
    #[must_use]
    pub const fn new(kind: PoolKind, kernel: usize, stride: usize) -> Self {
        Self { kind, kernel, stride, pad: 0, ceil: false }
    }

    /// The same, but a last window that sticks out counts.
    #[must_use]
    pub const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    /// Windows along a side of `n` values.
    pub(super) fn side(&self, n: usize) -> usize {
        let room = n + 2 * self.pad - self.kernel;
        let up = if self.ceil { room.div_ceil(self.stride) } else { room / self.stride };
        // torch: the last window must begin inside the input or its left padding.
        if self.ceil && up * self.stride >= n + self.pad { up } else { up + 1 }
    }
}

/// Local response normalisation across channels: x / (k + alpha / size * sum of x^2 over `size` neighbouring
/// channels)^beta, the channel itself in their middle (torch's `LocalResponseNorm`, the "rnorm" of Zeiler and Fergus).
///
/// Channel c sees channels c - size / 2 to c + (size - 1) / 2; those that are not there count as zeros.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LocalNorm {
    /// Neighbouring channels in the sum, 1 or more.
    pub size: usize,
    /// Factor of their mean square.
    pub alpha: f32,
    /// Power of the divisor.
    pub beta: f32,
    /// Added, so that a dark place is not blown up.
    pub k: f32,
}

impl LocalNorm {
    /// Five channels, alpha 1e-4, beta 0.75, k 1: what Caffe's models and torch's default say, for papers that give no
    /// numbers.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 }
    }
}

impl Default for LocalNorm {
    fn default() -> Self {
        Self::new()
    }
}

/// One operation. Inputs stand in the [`super::Node`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The network's input.
    Input,
    /// A layer `<name>.weight` `[cout, kh, kw, cin]`. With a second input, the residual: act(residual + scale * sum).
    Conv {
        /// The convolution.
        conv: Conv,
        /// Factor of the sum where a residual is added; 1 otherwise.
        scale: f32,
    },
    /// A layer `<name>.weight` `[out, h * w * cin]`, the input flattened in the order H, W, C.
    Dense {
        /// Values that come out.
        out: usize,
        /// Whether there is a `<name>.bias`.
        bias: bool,
        /// What follows the sum.
        act: Act,
    },
    /// Largest value or mean over windows.
    Pool(Pool),
    /// The mean over all positions, for each channel.
    GlobalAverage,
    /// The inputs' channels one after the other.
    Concat,
    /// The sum of two inputs, each extended with zeros at the end of rows, columns and channels to the larger of both
    /// (dlib's `add_prev`), then the activation.
    Add {
        /// What follows the sum; `PRelu` is refused here, since a sum has no weights.
        act: Act,
    },
    /// Local response normalisation across the channels of each position.
    LocalNorm(LocalNorm),
    /// The largest of each `pieces` neighbouring channels, at each position (Goodfellow et al. 2013).
    Maxout {
        /// Channels of which one comes out.
        pieces: usize,
    },
    /// exp(x) / sum of exp over the channels of each position.
    Softmax,
    /// x / max(|x|, 1e-12) over the channels of each position.
    L2Norm,
}

impl fmt::Display for Op {
    /// As a table of layers has it: `conv 3x3/2`, `max pool 3x3/2`, `dense 128`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Input => f.write_str("input"),
            Self::Conv { conv: Conv { kernel: [kh, kw], stride, .. }, .. } => {
                write!(f, "conv {kh}x{kw}/{stride}")
            }
            Self::Dense { out, .. } => write!(f, "dense {out}"),
            Self::Pool(Pool { kind, kernel, stride, .. }) => {
                let kind = if kind == PoolKind::Max { "max" } else { "average" };
                write!(f, "{kind} pool {kernel}x{kernel}/{stride}")
            }
            Self::GlobalAverage => f.write_str("global average"),
            Self::Concat => f.write_str("concat"),
            Self::Add { .. } => f.write_str("add"),
            Self::LocalNorm(LocalNorm { size, .. }) => write!(f, "local norm {size}"),
            Self::Maxout { pieces } => write!(f, "maxout {pieces}"),
            Self::Softmax => f.write_str("softmax"),
            Self::L2Norm => f.write_str("L2 norm"),
        }
    }
}
