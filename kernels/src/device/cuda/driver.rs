//! The driver: is there one, is it new enough, which devices has it, and what went wrong.
//!
//! Owns the way from the driver's codes to [`DeviceError`], and a device's primary context. Works on cudarc's raw calls and
//! not on its safe layer, which keeps errors for later, records events beside every slice and panics on a full device; the
//! raw calls panic only where the driver lacks one, so that no other than `cuDriverGetVersion` is called before the
//! version is known.
//! Codes come back as an enum of CUDA 12.6's; codes that later drivers added concern calls that are not made here.

use crate::device::DeviceError;
use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute, CUresult};
use std::ffi::{CStr, c_char, c_int};
use std::ptr::null_mut;

/// CUDA 12.6, JetPack 6's: what the kernels are compiled for.
const NEEDED: c_int = 12_060;
/// Room for a device's name.
const NAME_BYTES: usize = 256;

/// What the driver says of a call.
pub(super) fn check(call: &'static str, code: CUresult) -> Result<(), DeviceError> {
    match code {
        CUresult::CUDA_SUCCESS => Ok(()),
        _ => Err(DeviceError::Driver { call, code: code as i32, message: words(code) }),
    }
}

/// The driver's words for a code.
pub(super) fn words(code: CUresult) -> String {
    let mut text: *const c_char = null_mut();
    // SAFETY: `text` is written with a text that lives as long as the driver, or not at all.
    let known = unsafe { sys::cuGetErrorString(code, &mut text) };
    if known != CUresult::CUDA_SUCCESS || text.is_null() {
        return format!("{code:?}");
    }
    // SAFETY: as above; it ends with a zero byte.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A device and its primary context, which is released on drop.
#[derive(Debug)]
pub(super) struct Context {
    device: sys::CUdevice,
    handle: sys::CUcontext,
}

// SAFETY: the driver's calls on a context are safe from any thread; the handle is never changed.
unsafe impl Send for Context {}
// SAFETY: as above.
unsafe impl Sync for Context {}

impl Context {
    /// The context of the device with that number.
    ///
    /// # Errors
    /// [`DeviceError::NoDriver`], [`DeviceError::OldDriver`], [`DeviceError::NoDevice`] or [`DeviceError::Driver`].
    pub(super) fn open(ordinal: usize) -> Result<Self, DeviceError> {
        // SAFETY: the driver's library is loaded, as every later call does, whose initialisers are NVIDIA's.
        if !unsafe { sys::is_culib_present() } {
            return Err(DeviceError::NoDriver);
        }
        let mut found = 0;
        // SAFETY: `found` is written.
        match unsafe { sys::cuDriverGetVersion(&mut found) } {
            // The toolkit's stand-in, against which programs are linked.
            CUresult::CUDA_ERROR_STUB_LIBRARY => return Err(DeviceError::NoDriver),
            code => check("cuDriverGetVersion", code)?,
        }
        if found < NEEDED {
            return Err(DeviceError::OldDriver { found, needed: NEEDED });
        }
        let mut n_devices = 0;
        // SAFETY: no arguments to speak of.
        match unsafe { sys::cuInit(0) } {
            CUresult::CUDA_ERROR_NO_DEVICE => {}
            code => {
                check("cuInit", code)?;
                // SAFETY: `n_devices` is written.
                check("cuDeviceGetCount", unsafe { sys::cuDeviceGetCount(&mut n_devices) })?;
            }
        }
        let number = c_int::try_from(ordinal).ok().filter(|&number| number < n_devices);
        let found = usize::try_from(n_devices).unwrap_or(0);
        let number = number.ok_or(DeviceError::NoDevice { ordinal, found })?;
        let mut device = 0;
        // SAFETY: `device` is written.
        check("cuDeviceGet", unsafe { sys::cuDeviceGet(&mut device, number) })?;
        let mut handle = null_mut();
        // SAFETY: the device is one; `handle` is written.
        let code = unsafe { sys::cuDevicePrimaryCtxRetain(&mut handle, device) };
        check("cuDevicePrimaryCtxRetain", code)?;
        Ok(Self { device, handle })
    }

    /// Makes it the calling thread's, as every call that follows on this thread needs.
    pub(super) fn enter(&self) -> Result<(), DeviceError> {
        // SAFETY: the context is retained as long as this value lives.
        check("cuCtxSetCurrent", unsafe { sys::cuCtxSetCurrent(self.handle) })
    }

    /// A number that the device has about itself.
    pub(super) fn attribute(&self, attribute: Attribute) -> Result<u32, DeviceError> {
        let mut value = 0;
        // SAFETY: the device is one; `value` is written.
        let code = unsafe { sys::cuDeviceGetAttribute(&mut value, attribute, self.device) };
        check("cuDeviceGetAttribute", code)?;
        Ok(u32::try_from(value).unwrap_or(0))
    }

    /// 10 major + minor.
    pub(super) fn capability(&self) -> Result<u32, DeviceError> {
        let major = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
        let minor = self.attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
        Ok(10 * major + minor)
    }

    /// The maker's name for it.
    pub(super) fn name(&self) -> Result<String, DeviceError> {
        let mut name = [0u8; NAME_BYTES];
        // SAFETY: the room is as long as is said; the driver ends the name with a zero byte.
        let code = unsafe {
            sys::cuDeviceGetName(name.as_mut_ptr().cast(), NAME_BYTES as c_int, self.device)
        };
        check("cuDeviceGetName", code)?;
        let text = CStr::from_bytes_until_nul(&name).unwrap_or_default();
        Ok(text.to_string_lossy().into_owned())
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: retained once, and released once. What the driver says to it helps nobody any more.
        let _ = unsafe { sys::cuDevicePrimaryCtxRelease_v2(self.device) };
    }
}
