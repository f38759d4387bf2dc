//! Kernels that the driver has loaded, by name.
//!
//! Owns the modules, the leave to use more than 48 KB of shared memory, and the checks of a launch that the driver would not
//! make: it reads as many bytes of parameters as the kernel has, however long ours are.

use super::driver::{Context, check, words};
use super::images::{Image, Images};
use crate::device::{DeviceError, Launch};
use crate::launch::OVERLAPPING;
use cudarc::driver::sys::{
    self, CUdevice_attribute_enum as DeviceAttribute, CUfunction_attribute_enum as Attribute,
    CUresult,
};
use std::collections::BTreeMap;
use std::ffi::{CString, c_int};
use std::ptr::null_mut;
use std::sync::Arc;

/// The compute capability, 10 major + minor, since which launches overlap.
const OVERLAP_SINCE: u32 = 90;

/// A kernel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kernel {
    pub(super) handle: sys::CUfunction,
    /// Bytes of its one parameter.
    params: usize,
    /// The most dynamic shared memory that a block may ask for.
    shared_bytes: u32,
}

/// All kernels of one set of images.
#[derive(Debug)]
pub(super) struct Kernels {
    /// Whether the device lets a launch begin before the one before it has ended.
    pub(super) overlap: bool,
    by_name: BTreeMap<String, Kernel>,
    modules: Vec<sys::CUmodule>,
    context: Arc<Context>,
}

// SAFETY: modules and kernels are never changed once they are loaded, and the driver takes them from any thread.
unsafe impl Send for Kernels {}
// SAFETY: as above.
unsafe impl Sync for Kernels {}

impl Kernels {
    /// Loads all images.
    ///
    /// # Errors
    /// [`DeviceError::NotLoaded`] for an image that the driver does not take, with its file.
    pub(super) fn load(context: &Arc<Context>, images: &Images) -> Result<Self, DeviceError> {
        context.enter()?;
        let optin = DeviceAttribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
        let most_shared = context.attribute(optin)?;
        // PTX is for a capability below that, and its kernels do not wait by themselves.
        let overlap = images.are_of_the_device() && context.capability()? >= OVERLAP_SINCE;
        let context = Arc::clone(context);
        let mut all = Self { overlap, by_name: BTreeMap::new(), modules: Vec::new(), context };
        for image in &images.all {
            all.load_image(image, most_shared)?;
        }
        Ok(all)
    }

    fn load_image(&mut self, image: &Image, most_shared: u32) -> Result<(), DeviceError> {
        let refused =
            |message: String| DeviceError::NotLoaded { file: image.file.clone(), message };
        let mut module = null_mut();
        // SAFETY: `module` is written; the bytes are an image that our compilers made, since its hash is the manifest's, whole
        // as its header says, or text that ends with a zero byte.
        match unsafe { sys::cuModuleLoadData(&mut module, image.bytes.as_ptr().cast()) } {
            CUresult::CUDA_SUCCESS => self.modules.push(module),
            code => return Err(refused(words(code))),
        }
        for name in &image.kernels {
            let text = CString::new(name.as_str()).map_err(|error| refused(error.to_string()))?;
            let mut handle = null_mut();
            // SAFETY: `handle` is written; the module is loaded, the name ends with a zero byte.
            match unsafe { sys::cuModuleGetFunction(&mut handle, module, text.as_ptr()) } {
                CUresult::CUDA_SUCCESS => {}
                code => return Err(refused(format!("kernel {name}: {}", words(code)))),
            }
            let params = one_param(handle)
                .ok_or_else(|| refused(format!("kernel {name} has not one parameter")))?;
            let shared_bytes = allow_shared(handle, most_shared)?;
            if self.overlap && OVERLAPPING.contains(&name.as_str()) {
                prefer_shared(handle)?;
            }
            self.by_name.insert(name.clone(), Kernel { handle, params, shared_bytes });
        }
        Ok(())
    }

    /// The kernel of a launch that it can take.
    ///
    /// # Errors
    /// [`DeviceError::UnknownKernel`]; [`DeviceError::Refused`] for parameters of another length, and for more shared memory
    /// than the device has.
    pub(super) fn of(&self, launch: &Launch) -> Result<Kernel, DeviceError> {
        let name = || launch.kernel.to_owned();
        let kernel = *self
            .by_name
            .get(launch.kernel)
            .ok_or_else(|| DeviceError::UnknownKernel { name: name() })?;
        let refused = |message| Err(DeviceError::Refused { kernel: name(), message });
        if launch.params.len() != kernel.params {
            let (given, wanted) = (launch.params.len(), kernel.params);
            return refused(format!("{given} bytes of parameters, its image wants {wanted}"));
        }
        if launch.shared_bytes > kernel.shared_bytes {
            let (asked, most) = (launch.shared_bytes, kernel.shared_bytes);
            return refused(format!("{asked} bytes of shared memory, the device has {most}"));
        }
        Ok(kernel)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            for &module in &self.modules {
                // SAFETY: loaded in this context and unloaded once; graphs of its kernels hold this value.
                let _ = unsafe { sys::cuModuleUnload(module) };
            }
        }
    }
}

/// The bytes of a kernel's parameter, if it has exactly one.
fn one_param(kernel: sys::CUfunction) -> Option<usize> {
    let (mut offset, mut bytes) = (0, 0);
    // SAFETY: the kernel is loaded; both are written.
    let first = unsafe { sys::cuFuncGetParamInfo(kernel, 0, &mut offset, &mut bytes) };
    let (mut after, mut unused) = (0, 0);
    // SAFETY: as above; a number too high is an error and nothing worse.
    let second = unsafe { sys::cuFuncGetParamInfo(kernel, 1, &mut after, &mut unused) };
    (first == CUresult::CUDA_SUCCESS && offset == 0 && second != CUresult::CUDA_SUCCESS)
        .then_some(bytes)
}

/// Lets a kernel's blocks use all shared memory that they could have, and says how much that is. Above 48 KB a kernel must
/// ask; what a launch takes is still its own.
fn allow_shared(kernel: sys::CUfunction, most: u32) -> Result<u32, DeviceError> {
    let mut own: c_int = 0;
    let attribute = Attribute::CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES;
    // SAFETY: the kernel is loaded; `own` is written.
    let code = unsafe { sys::cuFuncGetAttribute(&mut own, attribute, kernel) };
    check("cuFuncGetAttribute", code)?;
    let left = most.saturating_sub(u32::try_from(own).unwrap_or(0));
    let attribute = Attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    // SAFETY: the kernel is loaded.
    let code = unsafe { sys::cuFuncSetAttribute(kernel, attribute, left as c_int) };
    check("cuFuncSetAttribute", code)?;
    Ok(left)
}

/// All shared memory that a multiprocessor can have, whatever a launch takes of it: between launches that want different parts
/// it is emptied to be divided anew, and they could not overlap. Where they cannot anyway, the first cache keeps its part.
fn prefer_shared(kernel: sys::CUfunction) -> Result<(), DeviceError> {
    let attribute = Attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT;
    // SAFETY: the kernel is loaded; 100 is a percentage.
    check("cuFuncSetAttribute", unsafe { sys::cuFuncSetAttribute(kernel, attribute, 100) })
}
