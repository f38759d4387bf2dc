//! P-Net over a level, row by row: what one output row needs is computed once and kept until no row needs it any more.
//!
//! ```text
//! level row -> planes (4 kept) -> conv1 (2 kept) -> pool (3 kept) -> conv2 (3 kept) -> conv3 -> both heads -> softmax
//! ```
//! All that is kept of a 1920 px level is 700 KB, so that nothing leaves the core's own cache.
//! Owns the schedule of [`crate::net::pnet`] and its weights. Refuses levels smaller than P-Net's window, and threads: a
//! range of output rows is one thread's work.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Simd;
use super::aligned::Aligned;
use super::planes::{PlaneLayer, RowOp, RowTask, room, tile};
use crate::engine::EngineError;
use crate::net::{self, PNET_CELL_PX, PNET_STRIDE_PX};
use crate::tensor::TensorSource;

/// Channels of conv1, conv2 and conv3, and of both heads together: two scores, four regressions.
const CHANNELS: [usize; 4] = [10, 16, 32, 6];
/// Pooled rows above the one that an output row begins with: two kernels of three rows follow.
const POOLED_AHEAD: usize = 4;

/// P-Net's weights, ordered for one instruction set.
#[derive(Clone, Debug)]
pub(super) struct PNet {
    simd: Simd,
    conv1: PlaneLayer,
    conv2: PlaneLayer,
    conv3: PlaneLayer,
    heads: PlaneLayer,
}

/// The rows that one thread keeps; grown to the widest level met.
#[derive(Clone, Debug, Default)]
pub(super) struct PNetRows {
    planes: [Aligned; 4],
    first: [Aligned; 2],
    pooled: [Aligned; 3],
    second: [Aligned; 3],
    third: Aligned,
    heads: Aligned,
    prob: Aligned,
}

impl PNet {
    /// Orders the weights for `simd`, or for the widest set of this processor if it lacks that one.
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub(super) fn new(tensors: &dyn TensorSource, simd: Simd) -> Result<Self, EngineError> {
        let mut found = BTreeMap::new();
        for spec in net::pnet(PNET_CELL_PX, PNET_CELL_PX).weights() {
            let values = tensors.find(&spec.name, &spec.shape)?;
            found.insert(spec.name, values.widened(&mut Vec::new()).to_vec());
        }
        let simd = simd.or_available();
        // Every name below is one of those.
        let of = |name: &str| found.get(name).map_or(&[][..], Vec::as_slice);
        let layer = |name: &str, shape: [usize; 3]| {
            let [weight, bias, slope] =
                ["weight", "bias", "slope"].map(|kind| of(&format!("pnet.{name}.{kind}")));
            PlaneLayer::new(shape, tile(shape[0], simd.is_wide()), weight, bias, slope)
        };
        let [c1, c2, c3, heads] = CHANNELS;
        let joined = |kind: &str| {
            ["pnet.conv4_1", "pnet.conv4_2"].map(|head| of(&format!("{head}.{kind}"))).concat()
        };
        let (weight, bias) = (joined("weight"), joined("bias"));
        let tile = tile(heads, simd.is_wide());
        Ok(Self {
            simd,
            conv1: layer("conv1", [c1, 3, 3]),
            conv2: layer("conv2", [c2, 3, c1]),
            conv3: layer("conv3", [c3, 3, c2]),
            heads: PlaneLayer::new([heads, 1, c3], tile, &weight, &bias, &[]),
        })
    }

    /// Computes the map's `rows` of a level (`height * width * 3`, HWC); `store` takes each row's number, its
    /// probabilities, and its four planes of regressions with the floats between their beginnings.
    ///
    /// # Panics
    /// If the level is of another length or smaller than P-Net's window, or `rows` leave the map.
    pub(super) fn run(
        &self,
        kept: &mut PNetRows,
        level: &[f32],
        (height, width): (usize, usize),
        rows: Range<usize>,
        mut store: impl FnMut(usize, &[f32], &[f32], usize),
    ) {
        assert!(level.len() == height * width * 3 && width >= PNET_CELL_PX);
        assert!(height >= PNET_CELL_PX && rows.end <= net::pnet_cells(height));
        let (first_h, first_w) = (height - 2, width - 2);
        let (pooled_w, cells) = (first_w.div_ceil(2), net::pnet_cells(width));
        let (wide, half) = (room(width), room(pooled_w));
        kept.reserve(wide, half);
        let PNetRows { planes, first, pooled, second, third, heads, prob } = kept;

        let mut next_plane = PNET_STRIDE_PX * rows.start;
        for row in rows.start..rows.end + POOLED_AHEAD {
            // The pooled row's two rows; an odd last one stands alone.
            let tops = [2 * row, (2 * row + 1).min(first_h - 1)];
            for (first, top) in first.iter_mut().zip(tops) {
                while next_plane < top + 3 {
                    let pixels = &level[next_plane * width * 3..][..width * 3];
                    self.apply(RowOp::Planes(pixels, wide, &mut planes[next_plane % 4]));
                    next_plane += 1;
                }
                let under = [0, 1, 2].map(|ky| &planes[(top + ky) % 4][..]);
                self.apply(RowOp::Conv(RowTask::new(&self.conv1, under, wide, first, first_w)));
            }
            self.apply(RowOp::Pool {
                rows: [&first[0], &first[1]],
                width: first_w,
                room: wide,
                out: (&mut pooled[row % 3], half),
            });
            if row < rows.start + 2 {
                continue;
            }
            let under = [row - 2, row - 1, row].map(|row| &pooled[row % 3][..]);
            let out = &mut second[row % 3];
            self.apply(RowOp::Conv(RowTask::new(&self.conv2, under, half, out, pooled_w - 2)));
            if row < rows.start + POOLED_AHEAD {
                continue;
            }
            let under = [row - 2, row - 1, row].map(|row| &second[row % 3][..]);
            self.apply(RowOp::Conv(RowTask::new(&self.conv3, under, half, third, cells)));
            let under = [&third[..]; 3];
            self.apply(RowOp::Conv(RowTask::new(&self.heads, under, half, heads, cells)));
            let (no, yes) = (&heads[..cells], &heads[half..half + cells]);
            self.apply(RowOp::Face(no, yes, &mut prob[..cells]));
            store(row - POOLED_AHEAD, &prob[..cells], &heads[2 * half..], half);
        }
    }

    fn apply(&self, op: RowOp<'_>) {
        // SAFETY: `simd` is a set that this processor has (`PNet::new`).
        unsafe { self.simd.rows(op) }
    }
}

impl PNetRows {
    fn reserve(&mut self, wide: usize, half: usize) {
        let [c1, c2, c3, heads] = CHANNELS;
        self.planes.iter_mut().for_each(|row| row.reserve(3 * wide));
        self.first.iter_mut().for_each(|row| row.reserve(c1 * wide));
        self.pooled.iter_mut().for_each(|row| row.reserve(c1 * half));
        self.second.iter_mut().for_each(|row| row.reserve(c2 * half));
        self.third.reserve(c3 * half);
        self.heads.reserve(heads * half);
        self.prob.reserve(half);
    }
}
