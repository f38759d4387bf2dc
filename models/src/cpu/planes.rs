//! Rows in planes: what P-Net's layers do to one row, its pixels across the lanes of a vector.
//!
//! ```text
//! row:    [channel][room] floats; a pixel's channels lie `room` apart, the room behind the last pixel is slack
//! tile:   C output channels x X vectors of pixels, all sums in registers
//! sum:    for kernel row, input channel, kernel column: X loads, C broadcast weights, X * C multiply-adds
//! ```
//! P-Net has 10, 16, 32 and 6 channels: with channels across the lanes half of a wide vector would be empty.
//! Every output is summed in the same order wherever it stands, so strips, threads and widths give the same bits.

use super::aligned::Aligned;
use super::conv::activate;
use super::vector::Vector;
use crate::graph::Act;

/// Slack behind a row's last pixel: what the widest vector and a kernel of three columns may read beyond it.
const SLACK: usize = 32;

/// Floats from one channel of a row to the next, for rows of `width` pixels.
pub(super) const fn room(width: usize) -> usize {
    width.next_multiple_of(16) + SLACK
}

/// A layer of `kernel x kernel` without padding, its weights in the order of the sums.
#[derive(Clone, Debug)]
pub(super) struct PlaneLayer {
    cin: usize,
    cout: usize,
    kernel: usize,
    /// Output channels of a tile; divides `cout`.
    tile: usize,
    /// `[cout / tile][kernel row][cin][kernel column][tile]`
    weights: Aligned,
    bias: Aligned,
    /// Empty where nothing follows the sum.
    slope: Aligned,
}

impl PlaneLayer {
    /// Orders `weight` (`[cout, kernel, kernel, cin]`) for tiles of `tile` channels; `slope` is empty or of `cout`.
    ///
    /// # Panics
    /// If the lengths do not fit each other: the caller has checked the tensors' shapes.
    pub(super) fn new(
        [cout, kernel, cin]: [usize; 3],
        tile: usize,
        weight: &[f32],
        bias: &[f32],
        slope: &[f32],
    ) -> Self {
        assert!(cout % tile == 0 && weight.len() == cout * kernel * kernel * cin);
        assert!(bias.len() == cout && (slope.is_empty() || slope.len() == cout));
        let mut ordered = Vec::with_capacity(weight.len());
        for first in (0..cout).step_by(tile) {
            for ky in 0..kernel {
                for ci in 0..cin {
                    for kx in 0..kernel {
                        let of = |c: usize| weight[((c * kernel + ky) * kernel + kx) * cin + ci];
                        ordered.extend((first..first + tile).map(of));
                    }
                }
            }
        }
        let [weights, bias, slope] = [&ordered[..], bias, slope].map(Aligned::of);
        Self { cin, cout, kernel, tile, weights, bias, slope }
    }
}

/// One row of one layer. Holding one proves that all that is read and written lies inside the slices.
pub(super) struct RowTask<'a> {
    layer: &'a PlaneLayer,
    /// The rows under the kernel, the first `kernel` of them.
    rows: [&'a [f32]; 3],
    room: usize,
    out: &'a mut [f32],
    /// Pixels to compute; as many as whole vectors hold are written.
    width: usize,
}

impl<'a> RowTask<'a> {
    /// Ties a layer to the rows it reads and writes, all of that `room`; `width` is the output's.
    ///
    /// # Panics
    /// If they do not fit each other.
    pub(super) fn new(
        layer: &'a PlaneLayer,
        rows: [&'a [f32]; 3],
        room: usize,
        out: &'a mut [f32],
        width: usize,
    ) -> Self {
        assert!(layer.kernel <= 3 && width.next_multiple_of(16) + layer.kernel <= room);
        assert!(rows[..layer.kernel].iter().all(|row| row.len() >= layer.cin * room));
        assert!(out.len() >= layer.cout * room);
        Self { layer, rows, room, out, width }
    }
}

/// What is done to rows.
pub(super) enum RowOp<'a> {
    /// A layer.
    Conv(RowTask<'a>),
    /// Interleaved pixels of three channels to planes of that room.
    Planes(&'a [f32], usize, &'a mut [f32]),
    /// Two rows of `width` pixels to one of half as many, the largest of each 2 x 2; an odd last column stands alone.
    Pool {
        /// The two rows, one channel after the other, and their room.
        rows: [&'a [f32]; 2],
        /// Pixels of a row.
        width: usize,
        /// Their room.
        room: usize,
        /// Where the pooled row goes, and its room.
        out: (&'a mut [f32], usize),
    },
    /// The probability of the second of two classes from their scores: softmax.
    Face(&'a [f32], &'a [f32], &'a mut [f32]),
}

/// Does it, with `WIDE` where there are 32 registers and else 16.
///
/// # Safety
/// The processor has `V`'s instruction set.
#[inline(always)]
pub(super) unsafe fn apply<V: Vector, const WIDE: bool>(op: RowOp<'_>) {
    match op {
        // SAFETY: handed on.
        RowOp::Conv(task) => unsafe { conv::<V, WIDE>(task) },
        RowOp::Planes(pixels, room, out) => {
            let (red, rest) = out.split_at_mut(room);
            let (green, blue) = rest.split_at_mut(room);
            for (i, pixel) in pixels.as_chunks::<3>().0.iter().enumerate() {
                (red[i], green[i], blue[i]) = (pixel[0], pixel[1], pixel[2]);
            }
        }
        RowOp::Pool { rows, width, room, out } => pool(rows, (width, room), out),
        RowOp::Face(no, yes, out) => {
            for ((out, no), yes) in out.iter_mut().zip(no).zip(yes) {
                *out = 1.0 / (1.0 + exp(no - yes));
            }
        }
    }
}

/// Channels of a tile for a layer of `cout`, on a set with 32 registers (`wide`) or 16: one that [`apply`] knows.
pub(super) const fn tile(cout: usize, wide: bool) -> usize {
    match cout {
        10 => 5,
        6 => 6,
        _ if wide => 8,
        _ => 4,
    }
}

/// # Safety
/// As for [`apply`].
#[inline(always)]
unsafe fn conv<V: Vector, const WIDE: bool>(task: RowTask<'_>) {
    // SAFETY: handed on. Sums, pixels and one weight fit the registers: 5 * 4 + 4 + 1 of 32, 4 * 3 + 3 + 1 of 16.
    unsafe {
        match (task.layer.tile, task.layer.kernel, WIDE) {
            (5, 3, true) => tiles::<V, 4, 5, 3>(task),
            (6, 1, true) => tiles::<V, 4, 6, 1>(task),
            (8, 3, true) => tiles::<V, 3, 8, 3>(task),
            (5, 3, false) => tiles::<V, 2, 5, 3>(task),
            (6, 1, false) => tiles::<V, 2, 6, 1>(task),
            (4, 3, false) => tiles::<V, 3, 4, 3>(task),
            (tile, kernel, _) => unreachable!("no layer has tiles of {tile}, kernel {kernel}"),
        }
    }
}

/// # Safety
/// As for [`apply`]; the layer's tile is `C`, its kernel `K`.
#[inline(always)]
unsafe fn tiles<V: Vector, const X: usize, const C: usize, const K: usize>(task: RowTask<'_>) {
    let vectors = task.width.div_ceil(V::LANES);
    let RowTask { layer, rows, room, out, .. } = task;
    let rows = rows.map(<[f32]>::as_ptr);
    let out = out.as_mut_ptr();
    for channel in (0..layer.cout).step_by(C) {
        let mut vector = 0;
        while vector < vectors {
            let x = vector * V::LANES;
            // SAFETY: `RowTask::new` has proved that whole vectors and a kernel's columns behind `width` lie inside the
            // room of each channel, in the rows and in the output.
            unsafe {
                if vector + X <= vectors {
                    block::<V, X, C, K>(layer, rows, room, out, (channel, x));
                    vector += X;
                } else {
                    block::<V, 1, C, K>(layer, rows, room, out, (channel, x));
                    vector += 1;
                }
            }
        }
    }
}

/// `C` channels of `X` vectors of pixels from pixel `x` on.
///
/// # Safety
/// As for [`tiles`]; `X` vectors from `x` on lie inside the rows.
#[inline(always)]
unsafe fn block<V: Vector, const X: usize, const C: usize, const K: usize>(
    layer: &PlaneLayer,
    rows: [*const f32; 3],
    room: usize,
    out: *mut f32,
    (channel, x): (usize, usize),
) {
    let mut weight = layer.weights.as_ptr().wrapping_add(channel * layer.cin * K * K);
    // SAFETY: the caller's promises; bias, slope and weights are as long as the layer's channels (`PlaneLayer::new`).
    unsafe {
        let mut sums = [[V::splat(0.0); X]; C];
        for (c, sums) in sums.iter_mut().enumerate() {
            *sums = [V::splat(*layer.bias.as_ptr().add(channel + c)); X];
        }
        for row in rows.iter().take(K) {
            add_row::<V, X, C, K>(&mut sums, row.add(x), room, layer.cin, weight);
            weight = weight.add(layer.cin * K * C);
        }
        for (c, sums) in sums.iter().enumerate() {
            let to = out.add((channel + c) * room + x);
            for (j, &sum) in sums.iter().enumerate() {
                let value = match layer.slope.get(channel + c) {
                    Some(&slope) => activate(sum, Act::PRelu, V::splat(slope)),
                    None => sum,
                };
                value.store(to.add(j * V::LANES));
            }
        }
    }
}

/// Adds one kernel row of all input channels.
///
/// # Safety
/// As for [`block`]; `weight` holds `cin * K * C` floats.
#[inline(always)]
unsafe fn add_row<V: Vector, const X: usize, const C: usize, const K: usize>(
    sums: &mut [[V; X]; C],
    row: *const f32,
    room: usize,
    cin: usize,
    weight: *const f32,
) {
    // A copy by value: sums behind a reference would be stored at every step, which halves the speed.
    let mut local = *sums;
    for ci in 0..cin {
        // SAFETY: `ci < cin`; see above.
        unsafe {
            let (from, weight) = (row.add(ci * room), weight.add(ci * K * C));
            for kx in 0..K {
                let mut pixels = [V::splat(0.0); X];
                for (j, pixels) in pixels.iter_mut().enumerate() {
                    *pixels = V::load(from.add(kx + j * V::LANES));
                }
                for (c, sums) in local.iter_mut().enumerate() {
                    let w = V::splat(*weight.add(kx * C + c));
                    for (sum, &pixels) in sums.iter_mut().zip(&pixels) {
                        *sum = sum.add_product(pixels, w);
                    }
                }
            }
        }
    }
    *sums = local;
}

#[inline(always)]
fn pool(rows: [&[f32]; 2], (width, room): (usize, usize), (out, out_room): (&mut [f32], usize)) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let channels = rows.map(|row| row.chunks_exact(room));
    let [above, below] = channels;
    for ((above, below), out) in above.zip(below).zip(out.chunks_exact_mut(out_room)) {
        let (above, below) = (above[..width].as_chunks::<2>(), below[..width].as_chunks::<2>());
        for ((out, a), b) in out.iter_mut().zip(above.0).zip(below.0) {
            *out = larger(larger(a[0], b[0]), larger(a[1], b[1]));
        }
        if let ([a], [b]) = (above.1, below.1) {
            out[width / 2] = larger(*a, *b);
        }
    }
}

/// e to the power of `x`, to 2 units in the last place between -87 and 88 and clamped there; not a number stays that.
/// Cody and Waite's reduction and a polynomial, in operations that vectorise, which a call of the C library does not.
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    /// Adding it leaves the nearest integer in the low bits of the mantissa.
    const MAGIC: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = if x > 88.0 { 88.0 } else { x };
    let x = if x < -87.0 { -87.0 } else { x };
    let shifted = x * LOG2_E + MAGIC;
    let n = shifted - MAGIC;
    let r = x - n * LN2_HIGH - n * LN2_LOW;
    // Cephes expf.
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 0.166_666_65;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    let power = (shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127)) << 23;
    p * f32::from_bits(power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_the_librarys_to_a_few_bits() {
        for i in -8_700..=8_800 {
            let x = i as f32 / 100.0;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "exp({x}) = {found}, not {expected}");
        }
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) > 0.0 && exp(f32::INFINITY) < f32::MAX);
    }

    #[test]
    fn a_pool_takes_the_largest_of_four_and_an_odd_column_alone() {
        let rows = [[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, -1.0, 9.0]];
        let mut out = [0.0; 3];
        pool([&rows[0], &rows[1]], (3, 4), (&mut out, 3));
        assert_eq!(out[..2], [5.0, 2.0]);
    }
}
