//! The stream that steps go through, graphs recorded from it, each with a stream of its own to run in, and events that time them.
//!
//! Owns the translation of steps into the driver's calls, and the blame: a fault in a kernel shows only when the device is
//! waited for, and is then every later call's answer too. Refuses to leave work behind: whatever goes wrong, what was begun
//! has ended when a call returns or the graph is dropped, since the caller's buffers live no longer than that.

use super::driver::{Context, check, words};
use super::kernels::Kernels;
use crate::device::{DeviceError, Launch, Step};
use cudarc::driver::sys::{
    self, CUevent_flags_enum as EventFlag, CUlaunchAttributeID_enum as AttributeId, CUresult,
    CUstream_flags_enum as StreamFlag, CUstreamCaptureMode_enum as CaptureMode,
};
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

/// A stream, destroyed on drop.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) stream: sys::CUstream,
    context: Arc<Context>,
}

// SAFETY: a stream is used by whoever holds it; that two threads do not at once, a recording in between, is why it is not
// `Sync`.
unsafe impl Send for Queue {}

impl Queue {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self, DeviceError> {
        context.enter()?;
        let mut stream = null_mut();
        let flag = StreamFlag::CU_STREAM_NON_BLOCKING as u32;
        // SAFETY: `stream` is written; the context is entered.
        check("cuStreamCreate", unsafe { sys::cuStreamCreate(&mut stream, flag) })?;
        Ok(Self { stream, context: Arc::clone(context) })
    }

    /// Waits for all work; a fault is blamed on these kernels.
    pub(super) fn finish(&self, kernels: &[&'static str]) -> Result<(), DeviceError> {
        // SAFETY: the stream is this value's.
        let code = unsafe { sys::cuStreamSynchronize(self.stream) };
        blame("cuStreamSynchronize", code, kernels)
    }

    /// What `begin` puts into the stream, to its end.
    ///
    /// # Errors
    /// Those of waiting before those of `begin`: a kernel's fault is also the answer to whatever is put in after it, which is
    /// not to blame.
    pub(super) fn complete(
        &self,
        kernels: &[&'static str],
        begin: impl FnOnce() -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        let begun = begin();
        let ended = self.finish(kernels);
        ended.and(begun)
    }

    /// Puts a step into the stream, behind the end of all before it.
    ///
    /// # Safety
    /// Its addresses are valid until the stream was waited for; while it is recorded, as long as the graph is replayed.
    pub(super) unsafe fn put(&self, kernels: &Kernels, step: &Step) -> Result<(), DeviceError> {
        match *step {
            Step::Launch(ref launch) => {
                // SAFETY: handed on.
                unsafe { self.launch(kernels, launch, false) }
            }
            Step::Upload { from, to, len } => {
                let from = from.0 as *const c_void;
                // SAFETY: both are valid for `len` bytes (caller).
                let code = unsafe { sys::cuMemcpyHtoDAsync_v2(to.0, from, len, self.stream) };
                check("cuMemcpyHtoDAsync", code)
            }
            Step::Download { from, to, len } => {
                let to = to.0 as *mut c_void;
                // SAFETY: both are valid for `len` bytes (caller).
                let code = unsafe { sys::cuMemcpyDtoHAsync_v2(to, from.0, len, self.stream) };
                check("cuMemcpyDtoHAsync", code)
            }
            Step::Clear { at, len } => {
                // SAFETY: valid for `len` bytes (caller).
                let code = unsafe { sys::cuMemsetD8Async(at.0, 0, len, self.stream) };
                check("cuMemsetD8Async", code)
            }
        }
    }

    /// With `early`, it may begin before the launch put in right before it has ended.
    ///
    /// # Safety
    /// As [`Queue::put`], of one launch; an early one is of a kernel that waits by itself ([`Launch::overlaps`]).
    unsafe fn launch(
        &self,
        kernels: &Kernels,
        launch: &Launch,
        early: bool,
    ) -> Result<(), DeviceError> {
        let kernel = kernels.of(launch)?;
        let (grid, block) = (launch.grid, launch.block);
        // The driver copies the parameters and the attribute within the call and does not write them.
        let mut params = [launch.params.as_ptr().cast_mut().cast::<c_void>()];
        let mut overlap = sys::CUlaunchAttribute {
            id: AttributeId::CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION,
            pad: [0; 4],
            value: sys::CUlaunchAttributeValue { pad: [0; 64] },
        };
        overlap.value.programmaticStreamSerializationAllowed = 1;
        let config = sys::CUlaunchConfig {
            gridDimX: grid[0],
            gridDimY: grid[1],
            gridDimZ: grid[2],
            blockDimX: block[0],
            blockDimY: block[1],
            blockDimZ: block[2],
            sharedMemBytes: launch.shared_bytes,
            hStream: self.stream,
            attrs: &mut overlap,
            numAttrs: u32::from(early && kernels.overlap),
        };
        // SAFETY: the kernel is loaded and has one parameter of so many bytes; what it points to is the caller's promise.
        let code = unsafe {
            sys::cuLaunchKernelEx(&config, kernel.handle, params.as_mut_ptr(), null_mut())
        };
        match code {
            CUresult::CUDA_SUCCESS => Ok(()),
            code => {
                Err(DeviceError::Refused { kernel: launch.kernel.to_owned(), message: words(code) })
            }
        }
    }

    /// Records steps instead of doing them. A launch right behind another overlaps it, if its kernel may.
    ///
    /// # Safety
    /// Their addresses are valid as long as the graph is replayed.
    pub(super) unsafe fn record(
        &self,
        kernels: &Arc<Kernels>,
        steps: &[Step],
    ) -> Result<Graph, DeviceError> {
        // Before the recording, in which nothing may be made.
        let queue = Self::new(&self.context)?;
        let mode = CaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // SAFETY: the stream is this value's; nothing is allocated until the recording ends.
        let code = unsafe { sys::cuStreamBeginCapture_v2(self.stream, mode) };
        check("cuStreamBeginCapture", code)?;
        let mut behind_launch = false;
        let put = steps.iter().try_for_each(|step| {
            let early = behind_launch;
            behind_launch = matches!(step, Step::Launch(_));
            match step {
                // SAFETY: handed on; that it waits by itself is what `overlaps` says.
                Step::Launch(launch) => unsafe {
                    self.launch(kernels, launch, early && launch.overlaps)
                },
                // SAFETY: handed on.
                _ => unsafe { self.put(kernels, step) },
            }
        });
        let mut template = null_mut();
        // SAFETY: the recording begun above ends, also after an error; `template` is written.
        let ended = unsafe { sys::cuStreamEndCapture(self.stream, &mut template) };
        let exec = put.and(check("cuStreamEndCapture", ended)).and_then(|()| {
            let mut exec = null_mut();
            // SAFETY: the template is whole; `exec` is written.
            let code = unsafe { sys::cuGraphInstantiateWithFlags(&mut exec, template, 0) };
            check("cuGraphInstantiate", code).map(|()| exec)
        });
        if !template.is_null() {
            // SAFETY: made above, and what was made of it does not need it.
            let _ = unsafe { sys::cuGraphDestroy(template) };
        }
        let exec = exec?;
        Ok(Graph { exec, names: names(steps), queue, _kernels: Arc::clone(kernels) })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.context.enter().is_ok() {
            // SAFETY: made by this value and destroyed once; no work is left in it.
            let _ = unsafe { sys::cuStreamDestroy_v2(self.stream) };
        }
    }
}

/// Recorded steps, launched as one in a stream of their own: two graphs that are under way at a time run beside each other.
#[derive(Debug)]
pub struct Graph {
    exec: sys::CUgraphExec,
    names: Vec<&'static str>,
    queue: Queue,
    /// Whose kernels it launches.
    _kernels: Arc<Kernels>,
}

// SAFETY: it is used by whoever holds it.
unsafe impl Send for Graph {}

impl Graph {
    /// Launches it; what cannot be launched has ended.
    pub(super) fn begin(&mut self) -> Result<(), DeviceError> {
        // SAFETY: whoever recorded the steps promised that their addresses stay valid.
        let code = unsafe { sys::cuGraphLaunch(self.exec, self.queue.stream) };
        let begun = check("cuGraphLaunch", code);
        if begun.is_err() {
            self.finish()?;
        }
        begun
    }

    /// Waits for its end.
    pub(super) fn finish(&mut self) -> Result<(), DeviceError> {
        self.queue.finish(&self.names)
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        if self.queue.context.enter().is_ok() {
            // One that was begun and not finished; its buffers may go now.
            let _ = self.finish();
            // SAFETY: made with this value and destroyed once; every launch of it was waited for.
            let _ = unsafe { sys::cuGraphExecDestroy(self.exec) };
        }
    }
}

/// A mark in the stream with the device's time.
#[derive(Debug)]
pub(super) struct Event {
    handle: sys::CUevent,
}

impl Event {
    /// In the entered context.
    pub(super) fn new() -> Result<Self, DeviceError> {
        let mut handle = null_mut();
        // SAFETY: `handle` is written.
        let code = unsafe { sys::cuEventCreate(&mut handle, EventFlag::CU_EVENT_DEFAULT as u32) };
        check("cuEventCreate", code)?;
        Ok(Self { handle })
    }

    /// Puts it into the stream.
    pub(super) fn put(&self, queue: &Queue) -> Result<(), DeviceError> {
        // SAFETY: both live.
        check("cuEventRecord", unsafe { sys::cuEventRecord(self.handle, queue.stream) })
    }

    /// Microseconds from this to another, once both were waited for.
    pub(super) fn us_until(&self, later: &Self) -> Result<f32, DeviceError> {
        let mut ms = 0.0;
        // SAFETY: both live; `ms` is written.
        let code = unsafe { sys::cuEventElapsedTime(&mut ms, self.handle, later.handle) };
        check("cuEventElapsedTime", code)?;
        Ok(ms * 1e3)
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        // SAFETY: made by this value and destroyed once.
        let _ = unsafe { sys::cuEventDestroy_v2(self.handle) };
    }
}

/// The kernels that steps launch, each once.
pub(super) fn names(steps: &[Step]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for step in steps {
        if let Step::Launch(launch) = step
            && !names.contains(&launch.kernel)
        {
            names.push(launch.kernel);
        }
    }
    names
}

/// As [`check`], with a kernel's fault told of the kernels that may have it.
fn blame(call: &'static str, code: CUresult, kernels: &[&str]) -> Result<(), DeviceError> {
    match fault_of(code, kernels) {
        Some(kernel) => Err(DeviceError::Refused { kernel, message: words(code) }),
        None => check(call, code),
    }
}

/// The kernels that a fault may be of; none if the code is no fault of a kernel.
fn fault_of(code: CUresult, kernels: &[&str]) -> Option<String> {
    let of_a_kernel = matches!(
        code,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS
            | CUresult::CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
            | CUresult::CUDA_ERROR_LAUNCH_TIMEOUT
            | CUresult::CUDA_ERROR_ASSERT
            | CUresult::CUDA_ERROR_HARDWARE_STACK_ERROR
            | CUresult::CUDA_ERROR_ILLEGAL_INSTRUCTION
            | CUresult::CUDA_ERROR_MISALIGNED_ADDRESS
            | CUresult::CUDA_ERROR_INVALID_ADDRESS_SPACE
            | CUresult::CUDA_ERROR_INVALID_PC
            | CUresult::CUDA_ERROR_LAUNCH_FAILED
    );
    match kernels {
        [] => None,
        [kernel] => of_a_kernel.then(|| (*kernel).to_owned()),
        several => of_a_kernel.then(|| format!("(one of {})", several.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_blamed_on_the_kernels_that_may_have_it_and_on_none_for_another_code() {
        let step = |kernel| {
            let (grid, block) = ([1; 3], [32, 1, 1]);
            Step::Launch(Launch {
                kernel,
                grid,
                block,
                shared_bytes: 0,
                params: Vec::new(),
                overlaps: false,
            })
        };
        let clear = Step::Clear { at: crate::device::Address(0), len: 0 };
        let kernels = names(&[step("pnet"), clear, step("rnet"), step("pnet")]);
        assert_eq!(kernels, ["pnet", "rnet"]);
        let fault = CUresult::CUDA_ERROR_ILLEGAL_ADDRESS;
        for (code, kernels, expected) in [
            (fault, &kernels[..], Some("(one of pnet, rnet)")),
            (fault, &kernels[..1], Some("pnet")),
            (fault, &[], None),
            (CUresult::CUDA_ERROR_INVALID_VALUE, &kernels[..], None),
        ] {
            let blamed = fault_of(code, kernels);
            assert_eq!(blamed.as_deref(), expected, "{code:?}, {kernels:?}");
        }
    }
}
