//! Floats on cache-line boundaries, so that a 64-byte vector never straddles two lines.

use std::ops::{Deref, DerefMut};
use std::slice;

const LINE: usize = 16;

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// A run of floats that begins on a 64-byte boundary; its length is a multiple of 16.
#[derive(Clone, Debug, Default)]
pub(super) struct Aligned {
    lines: Vec<Line>,
}

impl Aligned {
    /// At least `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        Self { lines: vec![Line([0.0; LINE]); len.div_ceil(LINE)] }
    }

    /// These values, zeros behind them.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut all = Self::zeros(values.len());
        all[..values.len()].copy_from_slice(values);
        all
    }

    /// Makes room for `len` floats; what was there may be lost.
    pub(super) fn reserve(&mut self, len: usize) {
        if self.len() < len {
            // Freed first: both at once would double the peak.
            self.lines = Vec::new();
            *self = Self::zeros(len);
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `Line` is `repr(C)` around 16 floats and 64 bytes large, so `n` lines are `16 n` floats in a row, all
        // initialised; the borrow of `self` keeps them alive and unchanged.
        unsafe { slice::from_raw_parts(self.lines.as_ptr().cast(), self.lines.len() * LINE) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe {
            slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.lines.len() * LINE)
        }
    }
}
