//! The instruction sets: which there are, which this processor has, and the kernels built for each.
//!
//! Tile sizes follow the registers: N vectors of channels x M pixels of sums, N of weights and one broadcast must fit
//! into 32 (AVX-512, NEON) or 16 (AVX2, SSE2). At least 8 sums keep two multiply-add units of latency 4 busy.

use std::ops::Range;

use super::conv::{ConvTask, tiles};
use super::planes::{self, RowOp};
use super::pooling::{self, PoolTask};
use super::vector::{Portable, Vector};
use super::winograd::{self, WinogradTask};

/// An instruction set that the kernels are built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Simd {
    /// Whatever the compiler makes for every processor of this architecture.
    Portable,
    /// x86-64 with AVX2 and FMA: 8 lanes, 16 registers.
    Avx2,
    /// x86-64 with AVX-512F: 16 lanes, 32 registers.
    Avx512,
    /// aarch64: 4 lanes, 32 registers.
    Neon,
}

impl Simd {
    /// The widest instruction set of this processor.
    #[must_use]
    pub fn detect() -> Self {
        Self::available().last().copied().unwrap_or(Self::Portable)
    }

    /// All that this processor can run, the widest last.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut all = vec![Self::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                all.push(Self::Avx2);
                if is_x86_feature_detected!("avx512f") {
                    all.push(Self::Avx512);
                }
            }
        }
        #[cfg(target_arch = "aarch64")]
        all.push(Self::Neon);
        all
    }

    /// This instruction set, or the widest one below it that this processor has.
    pub(super) fn or_available(self) -> Self {
        if Self::available().contains(&self) { self } else { Self::detect() }
    }

    /// Floats in a vector.
    pub(super) const fn lanes(self) -> usize {
        match self {
            Self::Portable => Portable::LANES,
            Self::Avx2 => 8,
            Self::Avx512 => 16,
            Self::Neon => 4,
        }
    }

    /// Vectors that a panel of weights may have, widest first, always ending in 1.
    pub(super) const fn panel_vectors(self) -> &'static [usize] {
        match self {
            Self::Portable | Self::Avx2 => &[2, 1],
            Self::Avx512 | Self::Neon => &[4, 2, 1],
        }
    }

    /// Whether there are 32 vector registers, or only 16.
    pub(super) const fn is_wide(self) -> bool {
        matches!(self, Self::Avx512 | Self::Neon)
    }

    /// Fills `values` from the input of some tiles.
    ///
    /// # Safety
    /// As for [`WinogradTask::run`].
    pub(super) unsafe fn winograd_forward(
        self,
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        values: &mut [f32],
    ) {
        // SAFETY: handed on.
        unsafe {
            match self {
                Self::Portable => winograd::forward::<Portable>(task, tiles, values),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::forward_avx2(task, tiles, values),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::forward_avx512(task, tiles, values),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::forward_neon(task, tiles, values),
                #[allow(unreachable_patterns, reason = "the sets of other architectures")]
                _ => unreachable!("`or_available` has removed the sets of other architectures"),
            }
        }
    }

    /// Writes the output of some tiles from `products`.
    ///
    /// # Safety
    /// As for [`WinogradTask::run`].
    pub(super) unsafe fn winograd_back(
        self,
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        products: &[f32],
    ) {
        // SAFETY: handed on.
        unsafe {
            match self {
                Self::Portable => winograd::back::<Portable>(task, tiles, products),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::back_avx2(task, tiles, products),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::back_avx512(task, tiles, products),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::back_neon(task, tiles, products),
                #[allow(unreachable_patterns, reason = "the sets of other architectures")]
                _ => unreachable!("`or_available` has removed the sets of other architectures"),
            }
        }
    }

    /// Does something to rows.
    ///
    /// # Safety
    /// This processor has the instruction set, and the row's layer is ordered for it.
    pub(super) unsafe fn rows(self, op: RowOp<'_>) {
        // SAFETY: handed on.
        unsafe {
            match self {
                Self::Portable => planes::apply::<Portable, false>(op),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::rows_avx2(op),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::rows_avx512(op),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::rows_neon(op),
                #[allow(unreachable_patterns, reason = "the sets of other architectures")]
                _ => unreachable!("`or_available` has removed the sets of other architectures"),
            }
        }
    }

    /// Computes `pixels` of the panel numbered `panel`.
    ///
    /// # Safety
    /// This processor has the instruction set, and the task's weights are packed for it; `pixels` lie below
    /// [`ConvTask::pixels`]; nobody else writes these channels of these pixels, nor the task's inputs, meanwhile.
    pub(super) unsafe fn conv(self, task: &ConvTask<'_>, panel: usize, pixels: Range<usize>) {
        // SAFETY: handed on.
        unsafe {
            match self {
                Self::Portable => conv_portable(task, panel, pixels),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::conv_avx2(task, panel, pixels),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::conv_avx512(task, panel, pixels),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::conv_neon(task, panel, pixels),
                #[allow(unreachable_patterns, reason = "the sets of other architectures")]
                _ => unreachable!("`or_available` has removed the sets of other architectures"),
            }
        }
    }

    /// Computes `rows` of a pool.
    ///
    /// # Safety
    /// This processor has the instruction set; `rows` lie below [`PoolTask::rows`]; nobody else writes these rows'
    /// channels, nor the input, meanwhile.
    pub(super) unsafe fn pool(self, task: &PoolTask, rows: Range<usize>) {
        // SAFETY: handed on.
        unsafe {
            match self {
                Self::Portable => pooling::rows::<Portable>(task, rows),
                #[cfg(target_arch = "x86_64")]
                Self::Avx2 => x86::pool_avx2(task, rows),
                #[cfg(target_arch = "x86_64")]
                Self::Avx512 => x86::pool_avx512(task, rows),
                #[cfg(target_arch = "aarch64")]
                Self::Neon => neon::pool_neon(task, rows),
                #[allow(unreachable_patterns, reason = "the sets of other architectures")]
                _ => unreachable!("`or_available` has removed the sets of other architectures"),
            }
        }
    }
}

/// # Safety
/// As for [`Simd::conv`].
unsafe fn conv_portable(task: &ConvTask<'_>, panel: usize, pixels: Range<usize>) {
    let panel = &task.panels()[panel];
    // SAFETY: handed on; a panel of another number of vectors is not packed for this set.
    unsafe {
        match panel.vectors {
            2 => tiles::<Portable, 4, 2, 2>(task, panel, pixels),
            _ => tiles::<Portable, 8, 4, 1>(task, panel, pixels),
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::super::x86::{Avx2, Avx512};
    use super::*;

    /// # Safety
    /// As for [`Simd::conv`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn conv_avx512(task: &ConvTask<'_>, panel: usize, pixels: Range<usize>) {
        let panel = &task.panels()[panel];
        // SAFETY: handed on; a panel of another number of vectors is not packed for this set.
        unsafe {
            match panel.vectors {
                4 => tiles::<Avx512, 6, 3, 4>(task, panel, pixels),
                2 => tiles::<Avx512, 12, 6, 2>(task, panel, pixels),
                _ => tiles::<Avx512, 12, 6, 1>(task, panel, pixels),
            }
        }
    }

    /// # Safety
    /// As for [`Simd::conv`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn conv_avx2(task: &ConvTask<'_>, panel: usize, pixels: Range<usize>) {
        let panel = &task.panels()[panel];
        // SAFETY: handed on; a panel of another number of vectors is not packed for this set.
        unsafe {
            match panel.vectors {
                2 => tiles::<Avx2, 6, 3, 2>(task, panel, pixels),
                _ => tiles::<Avx2, 12, 6, 1>(task, panel, pixels),
            }
        }
    }

    /// # Safety
    /// As for [`Simd::pool`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn pool_avx512(task: &PoolTask, rows: Range<usize>) {
        // SAFETY: handed on.
        unsafe { pooling::rows::<Avx512>(task, rows) }
    }

    /// # Safety
    /// As for [`Simd::pool`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn pool_avx2(task: &PoolTask, rows: Range<usize>) {
        // SAFETY: handed on.
        unsafe { pooling::rows::<Avx2>(task, rows) }
    }

    /// # Safety
    /// As for [`Simd::rows`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn rows_avx512(op: RowOp<'_>) {
        // SAFETY: handed on.
        unsafe { planes::apply::<Avx512, true>(op) }
    }

    /// # Safety
    /// As for [`Simd::winograd_forward`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn forward_avx512(
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        values: &mut [f32],
    ) {
        // SAFETY: handed on.
        unsafe { winograd::forward::<Avx512>(task, tiles, values) }
    }

    /// # Safety
    /// As for [`Simd::winograd_back`].
    #[target_feature(enable = "avx512f")]
    pub(super) unsafe fn back_avx512(
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        products: &[f32],
    ) {
        // SAFETY: handed on.
        unsafe { winograd::back::<Avx512>(task, tiles, products) }
    }

    /// # Safety
    /// As for [`Simd::rows`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn rows_avx2(op: RowOp<'_>) {
        // SAFETY: handed on.
        unsafe { planes::apply::<Avx2, false>(op) }
    }

    /// # Safety
    /// As for [`Simd::winograd_forward`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn forward_avx2(
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        values: &mut [f32],
    ) {
        // SAFETY: handed on.
        unsafe { winograd::forward::<Avx2>(task, tiles, values) }
    }

    /// # Safety
    /// As for [`Simd::winograd_back`].
    #[target_feature(enable = "avx2,fma")]
    pub(super) unsafe fn back_avx2(task: &WinogradTask<'_>, tiles: Range<usize>, products: &[f32]) {
        // SAFETY: handed on.
        unsafe { winograd::back::<Avx2>(task, tiles, products) }
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::super::neon::Neon;
    use super::*;

    /// # Safety
    /// As for [`Simd::conv`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn conv_neon(task: &ConvTask<'_>, panel: usize, pixels: Range<usize>) {
        let panel = &task.panels()[panel];
        // SAFETY: handed on; a panel of another number of vectors is not packed for this set.
        unsafe {
            match panel.vectors {
                4 => tiles::<Neon, 6, 3, 4>(task, panel, pixels),
                2 => tiles::<Neon, 12, 6, 2>(task, panel, pixels),
                _ => tiles::<Neon, 12, 6, 1>(task, panel, pixels),
            }
        }
    }

    /// # Safety
    /// As for [`Simd::pool`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn pool_neon(task: &PoolTask, rows: Range<usize>) {
        // SAFETY: handed on.
        unsafe { pooling::rows::<Neon>(task, rows) }
    }

    /// # Safety
    /// As for [`Simd::rows`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn rows_neon(op: RowOp<'_>) {
        // SAFETY: handed on.
        unsafe { planes::apply::<Neon, true>(op) }
    }

    /// # Safety
    /// As for [`Simd::winograd_forward`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn forward_neon(
        task: &WinogradTask<'_>,
        tiles: Range<usize>,
        values: &mut [f32],
    ) {
        // SAFETY: handed on.
        unsafe { winograd::forward::<Neon>(task, tiles, values) }
    }

    /// # Safety
    /// As for [`Simd::winograd_back`].
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn back_neon(task: &WinogradTask<'_>, tiles: Range<usize>, products: &[f32]) {
        // SAFETY: handed on.
        unsafe { winograd::back::<Neon>(task, tiles, products) }
    }
}
