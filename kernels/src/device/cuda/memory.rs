//! Memory of the device and pinned memory of the host, freed on drop.
//!
//! Owns pointers and nothing of their meaning. Staging is pinned and cached, not write-combined, since results are read back
//! through it. Under unified addressing, which every 64-bit driver has, the device sees it at the host's own address: kernels
//! read a frame and write detections there, on an integrated device (Orin, Thor) without a copy, on a card over the bus.

use super::driver::{Context, check};
use crate::device::DeviceError;
use cudarc::driver::sys::{self, CUresult};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

/// Device memory. What it holds at first is the allocator's caller's to say.
#[derive(Debug)]
pub struct Buffer {
    pub(super) start: sys::CUdeviceptr,
    pub(super) len: usize,
    context: Arc<Context>,
}

impl Buffer {
    /// So many bytes, one for none.
    pub(super) fn new(context: &Arc<Context>, len: usize) -> Result<Self, DeviceError> {
        context.enter()?;
        let mut start = 0;
        // SAFETY: `start` is written; the context is entered.
        match unsafe { sys::cuMemAlloc_v2(&mut start, len.max(1)) } {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                Err(DeviceError::OutOfMemory { asked: len, free: free_bytes() })
            }
            code => {
                check("cuMemAlloc", code)?;
                Ok(Self { start, len, context: Arc::clone(context) })
            }
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: allocated in this context and freed once. After a kernel's fault it fails, and the memory goes with the
            // context.
            let _ = unsafe { sys::cuMemFree_v2(self.start) };
        }
    }
}

/// Tells what memory a device has left, whoever holds the device.
#[derive(Clone, Debug)]
pub struct Free(pub(super) Arc<Context>);

impl Free {
    /// Bytes; 0 if the driver does not tell.
    ///
    /// # Errors
    /// [`DeviceError::Driver`] if the context cannot be entered.
    pub fn bytes(&self) -> Result<usize, DeviceError> {
        self.0.enter()?;
        Ok(free_bytes())
    }
}

/// What the device has left; 0 if it does not tell.
fn free_bytes() -> usize {
    let (mut free, mut total) = (0, 0);
    // SAFETY: both are written; the context is entered.
    let _ = unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) };
    free
}

/// Pinned host memory, all zero at first.
#[derive(Debug)]
pub struct Staging {
    start: *mut u8,
    len: usize,
    context: Arc<Context>,
}

// SAFETY: it owns its bytes, as a vector does.
unsafe impl Send for Staging {}

impl Staging {
    pub(super) fn new(context: &Arc<Context>, len: usize) -> Result<Self, DeviceError> {
        context.enter()?;
        let mut start: *mut c_void = null_mut();
        // SAFETY: `start` is written; the context is entered. No flag is set, so that the memory is cached.
        match unsafe { sys::cuMemHostAlloc(&mut start, len.max(1), 0) } {
            CUresult::CUDA_ERROR_OUT_OF_MEMORY => {
                return Err(DeviceError::OutOfMemory { asked: len, free: 0 });
            }
            code => check("cuMemHostAlloc", code)?,
        }
        // SAFETY: the allocation is that long.
        unsafe { std::ptr::write_bytes(start.cast::<u8>(), 0, len.max(1)) };
        Ok(Self { start: start.cast(), len, context: Arc::clone(context) })
    }

    /// Where it begins, for the host and the device.
    pub(super) fn start(&self) -> u64 {
        self.start as u64
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: allocated in this context and freed once; else as with a buffer.
            let _ = unsafe { sys::cuMemFreeHost(self.start.cast()) };
        }
    }
}

impl AsRef<[u8]> for Staging {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes that this value owns; the device writes them only within calls, and while a graph is
        // under way nobody asks (`Device::begin`).
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl AsMut<[u8]> for Staging {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_ref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}
