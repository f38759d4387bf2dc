//! A device that runs the kernels: what the engine asks of it, and nothing about how.
//!
//! Owns the trait and the plain description of a step. Two bodies: `cuda` on a GPU, `emulator` on the processor, with
//! the same kernel sources. Refuses to know what a kernel computes: launchers do.

use bytemuck::{Pod, Zeroable};

#[cfg(all(test, feature = "emulator"))]
mod contract;
#[cfg(feature = "cuda")]
pub mod cuda;
#[cfg(feature = "emulator")]
pub mod emulator;
mod error;
#[cfg(all(test, feature = "emulator"))]
pub(crate) mod failing;
pub mod paper;
mod program;

pub use error::DeviceError;
pub(crate) use program::Program;

/// Where something lies in the device's memory, or in host memory that the device sees; a field of kernels' parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(transparent)]
pub struct Address(pub u64);

impl Address {
    /// The address so many bytes further on.
    #[must_use]
    pub fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// A stretch of device memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Region {
    /// Where it begins.
    pub at: Address,
    /// Its bytes.
    pub len: usize,
}

impl Region {
    /// Its address, if it holds that many bytes.
    ///
    /// # Panics
    /// If it does not: a bug of the caller, which made the buffer for this kernel.
    #[must_use]
    pub fn holding(self, bytes: usize) -> Address {
        assert!(self.len >= bytes, "a region of {} bytes for {bytes}", self.len);
        self.at
    }

    /// Its first `len` bytes, and the rest.
    ///
    /// # Panics
    /// If it is shorter.
    #[must_use]
    pub fn split_at(self, len: usize) -> (Self, Self) {
        let at = self.holding(len);
        (Self { at, len }, Self { at: at.offset(len), len: self.len - len })
    }
}

/// One kernel with its grid and parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// The kernel's name in the sources.
    pub kernel: &'static str,
    /// Blocks.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block.
    pub shared_bytes: u32,
    /// The bytes of the kernel's one parameter, a struct.
    pub params: Vec<u8>,
    /// Whether it may begin before a launch that is recorded right before it has ended. The kernel then waits by itself before
    /// it touches what an earlier one writes, in every block, so that it ends after all before it. A device that cannot do
    /// that, or runs steps one by one, begins it afterwards.
    pub overlaps: bool,
}

/// What a device does in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Runs a kernel.
    Launch(Launch),
    /// Copies from staging to device memory.
    Upload {
        /// In staging.
        from: Address,
        /// In device memory.
        to: Address,
        /// Bytes.
        len: usize,
    },
    /// Copies from device memory to staging.
    Download {
        /// In device memory.
        from: Address,
        /// In staging.
        to: Address,
        /// Bytes.
        len: usize,
    },
    /// Sets bytes to zero.
    Clear {
        /// In device memory.
        at: Address,
        /// Bytes.
        len: usize,
    },
}

/// A device with its memory and its queue of work. Every call but [`Device::begin`] returns when its work is done.
pub trait Device {
    /// Device memory, freed on drop.
    type Buffer;
    /// Host memory that the device reads, writes and copies without another copy in between.
    type Staging: AsRef<[u8]> + AsMut<[u8]>;
    /// Recorded steps, launched as one.
    type Graph;

    /// What it is, for reports.
    fn name(&self) -> String;

    /// Multiprocessors: kernels that walk over their work with a fixed grid take a few blocks for each.
    fn multiprocessors(&self) -> u32;

    /// So much memory, all zero.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    fn alloc(&self, len: usize) -> Result<Self::Buffer, DeviceError>;

    /// So much staging, all zero.
    ///
    /// # Errors
    /// [`DeviceError::OutOfMemory`].
    fn staging(&self, len: usize) -> Result<Self::Staging, DeviceError>;

    /// Where a buffer begins.
    fn address(&self, buffer: &Self::Buffer) -> Address;

    /// Where staging begins, for [`Step::Upload`], [`Step::Download`] and kernels that read or write it where it lies.
    fn staging_address(&self, staging: &Self::Staging) -> Address;

    /// Copies bytes into a buffer, from its byte `at` on.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if they do not fit.
    fn write(&self, to: &mut Self::Buffer, at: usize, bytes: &[u8]) -> Result<(), DeviceError>;

    /// Copies bytes out of a buffer, from its byte `at` on.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if it does not hold so many.
    fn read(&self, from: &Self::Buffer, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError>;

    /// Runs steps in order.
    ///
    /// # Errors
    /// [`DeviceError`] if a kernel is unknown or the device refuses or faults.
    ///
    /// # Safety
    /// Every address in the steps is valid for what its step reads and writes until this returns.
    unsafe fn run(&self, steps: &[Step]) -> Result<(), DeviceError>;

    /// Runs steps in order and gives each one's time in microseconds, by the device's clock.
    ///
    /// # Errors
    /// As [`Device::run`].
    ///
    /// # Safety
    /// As [`Device::run`].
    unsafe fn time_us(&self, steps: &[Step]) -> Result<Vec<f32>, DeviceError>;

    /// Records steps, to be launched as one.
    ///
    /// # Errors
    /// As [`Device::run`].
    ///
    /// # Safety
    /// Every address in the steps stays valid, for what its step reads and writes, until the graph is dropped.
    unsafe fn record(&self, steps: Vec<Step>) -> Result<Self::Graph, DeviceError>;

    /// Launches a graph and does not wait for its end: another one that is begun meanwhile may run beside it. A graph that is
    /// dropped before it was finished has ended by then, or never ran.
    ///
    /// # Errors
    /// As [`Device::run`]; nothing of it is under way then.
    ///
    /// # Safety
    /// Until [`Device::finish`] returns or the graph is dropped, it is not begun again, and nobody but its own steps writes what
    /// they read or touches what they write.
    unsafe fn begin(&self, graph: &mut Self::Graph) -> Result<(), DeviceError>;

    /// Waits for the end of a graph that was begun; does nothing for one that was not.
    ///
    /// # Errors
    /// As [`Device::run`].
    fn finish(&self, graph: &mut Self::Graph) -> Result<(), DeviceError>;

    /// Launches a graph and waits for its end.
    ///
    /// # Errors
    /// As [`Device::run`].
    fn replay(&self, graph: &mut Self::Graph) -> Result<(), DeviceError> {
        // SAFETY: nothing happens until it is finished; that its addresses are valid is the promise of who recorded it.
        unsafe { self.begin(graph) }?;
        self.finish(graph)
    }
}

/// The bytes `at..at + len`, if a buffer of `buffer` bytes has them.
#[cfg(any(feature = "cuda", feature = "emulator"))]
fn within(at: usize, len: usize, buffer: usize) -> Result<std::ops::Range<usize>, DeviceError> {
    match at.checked_add(len) {
        Some(end) if end <= buffer => Ok(at..end),
        _ => Err(DeviceError::OutOfRange { at, len, buffer }),
    }
}
