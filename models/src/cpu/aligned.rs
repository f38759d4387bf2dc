//! Floats on cache-line boundaries, so that a 64-byte vector never straddles two lines; long runs in large pages.

use std::ops::{Deref, DerefMut};
use std::slice;

use super::pages::prefer_large;

/// A run of floats that begins on a 64-byte boundary; its length is a multiple of [`Aligned::LINE`].
#[derive(Debug, Default)]
pub(super) struct Aligned {
    /// Longer by a line than the run, which begins at the first boundary within. Integers of 16 bytes, since a vector of
    /// zeros of them is asked of the system as zeros, and not a page of it touched.
    store: Vec<u128>,
    len: usize,
}

/// Floats of a `u128`.
const QUAD: usize = size_of::<u128>() / size_of::<f32>();

impl Aligned {
    /// Floats of a cache line.
    pub(super) const LINE: usize = 16;

    /// At least `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        let len = len.next_multiple_of(Self::LINE);
        let mut store = vec![0; (len + Self::LINE) / QUAD];
        prefer_large(&mut store);
        Self { store, len }
    }

    /// These values, zeros behind them.
    pub(super) fn of(values: &[f32]) -> Self {
        let mut all = Self::zeros(values.len());
        all[..values.len()].copy_from_slice(values);
        all
    }

    /// Makes room for `len` floats; what was there may be lost.
    pub(super) fn reserve(&mut self, len: usize) {
        if self.len < len {
            // Freed first: both at once would double the peak.
            self.store = Vec::new();
            *self = Self::zeros(len);
        }
    }

    /// Quads before the first boundary; an empty store has none.
    fn skipped(&self) -> usize {
        let line = Self::LINE * size_of::<f32>();
        (self.store.as_ptr().addr().wrapping_neg() % line) / size_of::<u128>()
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        // Not the store's clone: it may begin at another distance from a boundary.
        Self::of(self)
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        let run = self.store.get(self.skipped()..).unwrap_or(&[]);
        // SAFETY: a line is 4 quads, of which at most 3 are skipped, so that `len` floats lie in what is left (`zeros` made
        // the store longer than the run by a line, and the default has neither); a quad is four initialised floats in a
        // row; the borrow of `self` keeps them alive and unchanged.
        unsafe { slice::from_raw_parts(run.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        let skipped = self.skipped();
        let run = self.store.get_mut(skipped..).unwrap_or(&mut []);
        // SAFETY: as in `deref`, and the borrow is exclusive.
        unsafe { slice::from_raw_parts_mut(run.as_mut_ptr().cast(), self.len) }
    }
}
