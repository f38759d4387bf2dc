//! A vector of floats: what the kernels are written in, and its body for any processor.
//!
//! Kernels are generic functions that are always inlined into one function for each instruction set, which carries
//! `#[target_feature]`: only there do these operations become single instructions.

/// A register full of floats.
///
/// # Safety
/// Every function here may be called only on a processor that has the type's instruction set, which the owner of the
/// `#[target_feature]` function ensures; pointers must be valid for as many floats as the function names.
pub(super) unsafe trait Vector: Copy {
    /// Floats in one vector, a power of two.
    const LANES: usize;

    /// All lanes `x`.
    unsafe fn splat(x: f32) -> Self;
    /// `LANES` floats from `from`, of any alignment.
    unsafe fn load(from: *const f32) -> Self;
    /// `n < LANES` floats from `from`, the other lanes zero.
    unsafe fn load_part(from: *const f32, n: usize) -> Self;
    /// `LANES` floats to `to`, of any alignment.
    unsafe fn store(self, to: *mut f32);
    /// The first `n < LANES` lanes to `to`; nothing behind them is touched.
    unsafe fn store_part(self, to: *mut f32, n: usize);
    /// `self + a * b`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * other`.
    unsafe fn mul(self, other: Self) -> Self;
    /// The larger; `other` where either is not a number, so that `zero.max(x)` keeps a fault in sight.
    unsafe fn max(self, other: Self) -> Self;
    /// The smaller; `other` where either is not a number.
    unsafe fn min(self, other: Self) -> Self;
}

/// Four floats without any instruction set of their own: what every processor can do, and the compiler knows four
/// lanes well.
#[derive(Clone, Copy)]
pub(super) struct Portable([f32; 4]);

impl Portable {
    #[inline(always)]
    fn zip(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }
}

// SAFETY: no instruction set is asked for; pointers are read and written only as far as the trait says.
unsafe impl Vector for Portable {
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        Self([x; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for four floats; an array of floats asks for no more alignment than a float.
        Self(unsafe { from.cast::<[f32; 4]>().read() })
    }

    #[inline(always)]
    unsafe fn load_part(from: *const f32, n: usize) -> Self {
        let mut lanes = [0.0; 4];
        for (i, lane) in lanes.iter_mut().enumerate().take(n) {
            // SAFETY: `i < n`, and the caller vouches for `n` floats.
            *lane = unsafe { *from.add(i) };
        }
        Self(lanes)
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for four floats.
        unsafe { to.cast::<[f32; 4]>().write(self.0) }
    }

    #[inline(always)]
    unsafe fn store_part(self, to: *mut f32, n: usize) {
        for (i, lane) in self.0.iter().enumerate().take(n) {
            // SAFETY: `i < n`, and the caller vouches for `n` floats.
            unsafe { *to.add(i) = *lane }
        }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        // Not `mul_add`: without the instruction it is a call of some hundred cycles.
        Self(std::array::from_fn(|i| self.0[i] + a.0[i] * b.0[i]))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| a - b)
    }

    #[inline(always)]
    unsafe fn mul(self, other: Self) -> Self {
        self.zip(other, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn max(self, other: Self) -> Self {
        self.zip(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn min(self, other: Self) -> Self {
        self.zip(other, |a, b| if a < b { a } else { b })
    }
}
