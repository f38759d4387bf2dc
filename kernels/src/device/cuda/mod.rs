//! A GPU as a device, through the driver that is found at run time.
//!
//! Owns the order of opening: driver, version, device, images. A program with this in it starts on a machine without CUDA
//! and is told so. Refuses to compile: the one compiler is the driver's, and only for PTX.
//!
//! | file | what |
//! | --- | --- |
//! | `driver` | the driver's codes, the context |
//! | `images` | the folder of images, and which of them suit |
//! | `kernels` | loaded images, checked launches |
//! | `memory` | buffers and staging |
//! | `queue` | streams, graphs, events, and whose fault it was |

mod driver;
mod images;
mod kernels;
mod memory;
mod queue;

pub use memory::{Buffer, Free, Staging};
pub use queue::Graph;

use super::{Address, Device, DeviceError, Step, within};
use cudarc::driver::sys::CUdevice_attribute_enum as Attribute;
use driver::Context;
use images::Images;
use kernels::Kernels;
use queue::{Event, Queue, names};
use std::path::Path;
use std::slice::from_ref;
use std::sync::Arc;

/// A GPU with our kernels loaded.
#[derive(Debug)]
pub struct Cuda {
    name: String,
    multiprocessors: u32,
    queue: Queue,
    kernels: Arc<Kernels>,
    context: Arc<Context>,
}

impl Cuda {
    /// The GPU with that number, as `nvidia-smi` counts, with its kernels from a folder that `cargo xtask kernels` wrote.
    ///
    /// # Errors
    /// [`DeviceError::NoDriver`], [`DeviceError::OldDriver`], [`DeviceError::NoDevice`]; [`DeviceError::Unreadable`],
    /// [`DeviceError::NoImage`] and [`DeviceError::Damaged`] of the folder; [`DeviceError::NotLoaded`] and
    /// [`DeviceError::Driver`] if the driver refuses what should work.
    pub fn open(ordinal: usize, images: &Path) -> Result<Self, DeviceError> {
        let context = Arc::new(Context::open(ordinal)?);
        let images = Images::read(images, context.capability()?)?;
        let kernels = Arc::new(Kernels::load(&context, &images)?);
        let queue = Queue::new(&context)?;
        let multiprocessors =
            context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
        let name = format!("{} with {} kernels", context.name()?, images.target);
        Ok(Self { name, multiprocessors, queue, kernels, context })
    }

    /// The same card with the same kernels and a queue of its own; no image is read or loaded again.
    ///
    /// # Errors
    /// [`DeviceError::Driver`] if the driver gives no queue.
    pub fn another(&self) -> Result<Self, DeviceError> {
        Ok(Self {
            name: self.name.clone(),
            multiprocessors: self.multiprocessors,
            queue: Queue::new(&self.context)?,
            kernels: Arc::clone(&self.kernels),
            context: Arc::clone(&self.context),
        })
    }

    /// What tells its free memory.
    #[must_use]
    pub fn free(&self) -> Free {
        Free(Arc::clone(&self.context))
    }

    /// # Safety
    /// As [`Device::run`], of one step.
    unsafe fn step(&self, step: &Step) -> Result<(), DeviceError> {
        self.queue.complete(&names(from_ref(step)), || {
            // SAFETY: handed on.
            unsafe { self.queue.put(&self.kernels, step) }
        })
    }
}

impl Device for Cuda {
    type Buffer = Buffer;
    type Staging = Staging;
    type Graph = Graph;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    fn alloc(&self, len: usize) -> Result<Buffer, DeviceError> {
        let buffer = Buffer::new(&self.context, len)?;
        if len > 0 {
            // SAFETY: the buffer is that long and lives.
            unsafe { self.step(&Step::Clear { at: self.address(&buffer), len }) }?;
        }
        Ok(buffer)
    }

    fn staging(&self, len: usize) -> Result<Staging, DeviceError> {
        Staging::new(&self.context, len)
    }

    fn address(&self, buffer: &Buffer) -> Address {
        Address(buffer.start)
    }

    fn staging_address(&self, staging: &Staging) -> Address {
        Address(staging.start())
    }

    fn write(&self, to: &mut Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        let range = within(at, bytes.len(), to.len)?;
        if range.is_empty() {
            return Ok(());
        }
        self.context.enter()?;
        let from = Address(bytes.as_ptr() as u64);
        let to = self.address(to).offset(range.start);
        // SAFETY: both are `range` long and live. The driver copies from memory that is not pinned, too.
        unsafe { self.step(&Step::Upload { from, to, len: range.len() }) }
    }

    fn read(&self, from: &Buffer, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let range = within(at, bytes.len(), from.len)?;
        if range.is_empty() {
            return Ok(());
        }
        self.context.enter()?;
        let from = self.address(from).offset(range.start);
        let to = Address(bytes.as_mut_ptr() as u64);
        // SAFETY: as in `write`; nobody else holds `bytes`.
        unsafe { self.step(&Step::Download { from, to, len: range.len() }) }
    }

    /// Waits after every step, so that a fault has its kernel's name: what is to be fast is recorded.
    unsafe fn run(&self, steps: &[Step]) -> Result<(), DeviceError> {
        self.context.enter()?;
        for step in steps {
            // SAFETY: handed on.
            unsafe { self.step(step) }?;
        }
        Ok(())
    }

    /// Marks before and after every step, all put into the stream at once. A step shorter than the host takes for the next
    /// (a few microseconds) counts that.
    unsafe fn time_us(&self, steps: &[Step]) -> Result<Vec<f32>, DeviceError> {
        self.context.enter()?;
        let marks = (0..=steps.len()).map(|_| Event::new()).collect::<Result<Vec<_>, _>>()?;
        self.queue.complete(&names(steps), || {
            marks[0].put(&self.queue)?;
            for (step, mark) in steps.iter().zip(&marks[1..]) {
                // SAFETY: handed on.
                unsafe { self.queue.put(&self.kernels, step) }?;
                mark.put(&self.queue)?;
            }
            Ok(())
        })?;
        marks.windows(2).map(|pair| pair[0].us_until(&pair[1])).collect()
    }

    unsafe fn record(&self, steps: Vec<Step>) -> Result<Graph, DeviceError> {
        self.context.enter()?;
        // SAFETY: handed on.
        unsafe { self.queue.record(&self.kernels, &steps) }
    }

    unsafe fn begin(&self, graph: &mut Graph) -> Result<(), DeviceError> {
        self.context.enter()?;
        graph.begin()
    }

    fn finish(&self, graph: &mut Graph) -> Result<(), DeviceError> {
        self.context.enter()?;
        graph.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_machine_without_a_driver_a_device_or_images_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        let error = Cuda::open(0, &folder.path().join("missing")).unwrap_err();
        match &error {
            DeviceError::NoDriver => {
                let remedy = "install NVIDIA's driver, or use the CPU engine";
                assert!(error.to_string().ends_with(remedy), "{error}");
            }
            // A driver without a device, as in a container that was given none.
            DeviceError::NoDevice { ordinal: 0, found: 0 } => {}
            DeviceError::Unreadable { file, .. } => assert!(file.contains("missing"), "{file}"),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn an_engine_on_a_gpu_may_change_threads() {
        fn may<T: Send>() {}
        may::<Cuda>();
        may::<Buffer>();
        may::<Staging>();
        may::<Graph>();
    }
}
