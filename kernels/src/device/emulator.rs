//! The emulator as a device: the kernels' own sources, compiled for the processor, in a shared library.
//!
//! Owns the library's C interface. Memory is the library's, so that a sanitizer that watches it sees who leaves it. Says
//! nothing of speed; its clock is the processor's.

use super::{Address, Device, DeviceError, Launch, Step, within};
use libloading::Library;
use std::ffi::{CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

/// Name other libraries, such as those that a sanitizer watches: of the product's kernels, and of the planted ones.
pub const LIBRARY_VARIABLE: &str = "THRESHOLD_EMULATOR";
/// As above.
pub const PLANTED_VARIABLE: &str = "THRESHOLD_PLANTED";

type LaunchFn = unsafe extern "C" fn(
    *const c_char,
    *const u32,
    *const u32,
    u32,
    *const c_void,
    u64,
    u64,
    u32,
    *mut c_char,
    u64,
) -> c_int;

/// What `emulator_launch` gives for a kernel that the library does not hold; 0 is done.
const UNKNOWN_KERNEL: c_int = 1;
/// What every planted kernel gets.
const PLANTED_SHARED_BYTES: u32 = 2048;
/// Room for a failure's sentence.
const MESSAGE_BYTES: usize = 512;

#[derive(Debug)]
struct Interface {
    launch: LaunchFn,
    alloc: unsafe extern "C" fn(u64) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    _library: Library,
}

/// A device that is the processor.
#[derive(Clone, Debug)]
pub struct Emulator {
    interface: Arc<Interface>,
    /// Orders blocks and threads; a result must not depend on it.
    seed: u64,
    threads: u32,
    multiprocessors: u32,
}

impl Emulator {
    /// The same as a card with so many multiprocessors, for whatever divides its work by their number.
    #[must_use]
    pub fn of_multiprocessors(self, multiprocessors: u32) -> Self {
        Self { multiprocessors, ..self }
    }

    /// The library that was built with this crate, or the one that [`LIBRARY_VARIABLE`] names.
    ///
    /// # Errors
    /// [`DeviceError::Unreadable`] if it cannot be loaded.
    pub fn new(seed: u64) -> Result<Self, DeviceError> {
        Self::named(LIBRARY_VARIABLE, env!("THRESHOLD_EMULATOR_LIBRARY"), seed)
    }

    /// The kernels with a mistake each (`emulator/planted`), which the emulator must catch; or what [`PLANTED_VARIABLE`]
    /// names.
    ///
    /// # Errors
    /// [`DeviceError::Unreadable`] if it cannot be loaded.
    pub fn planted(seed: u64) -> Result<Self, DeviceError> {
        Self::named(PLANTED_VARIABLE, env!("THRESHOLD_PLANTED_LIBRARY"), seed)
    }

    fn named(variable: &str, built: &str, seed: u64) -> Result<Self, DeviceError> {
        let path = std::env::var_os(variable).map_or_else(|| PathBuf::from(built), PathBuf::from);
        Self::open(&path, seed)
    }

    /// Runs one planted kernel over `input` halves: its `outputs` values. `wrong` chooses the version with the mistake.
    ///
    /// # Errors
    /// What the emulator caught.
    pub fn run_planted(
        &self,
        kernel: &'static str,
        threads: u32,
        input: &[u8],
        (n, outputs): (u32, usize),
        wrong: bool,
    ) -> Result<Vec<f32>, DeviceError> {
        let mut a = self.alloc(input.len())?;
        self.write(&mut a, 0, input)?;
        let out = self.alloc(outputs * size_of::<f32>())?;
        let mut params = Vec::new();
        params.extend(self.address(&a).0.to_le_bytes());
        params.extend(self.address(&out).0.to_le_bytes());
        params.extend(n.to_le_bytes());
        params.extend(u32::from(wrong).to_le_bytes());
        let (grid, block) = ([1; 3], [threads, 1, 1]);
        let (shared_bytes, overlaps) = (PLANTED_SHARED_BYTES, false);
        let launch = Launch { kernel, grid, block, shared_bytes, params, overlaps };
        // SAFETY: both buffers live until the end; the kernels of `emulator/planted` touch what the caller's numbers say, but
        // for the one that must not, whose mistake is a value behind the output, and which runs under a sanitizer only.
        unsafe { self.run(&[Step::Launch(launch)]) }?;
        let (values, _) = out.as_ref().as_chunks::<4>();
        Ok(values.iter().map(|&four| f32::from_le_bytes(four)).collect())
    }

    /// Another library with the same interface.
    ///
    /// # Errors
    /// [`DeviceError::Unreadable`] if it cannot be loaded.
    pub fn open(path: &Path, seed: u64) -> Result<Self, DeviceError> {
        let unreadable = |error: libloading::Error| DeviceError::Unreadable {
            file: path.display().to_string(),
            message: error.to_string(),
        };
        // SAFETY: the library is ours, and its initialisers only fill its own table of kernels.
        let library = unsafe { Library::new(path) }.map_err(unreadable)?;
        // SAFETY: the types are those of `emulator/entry.cpp`; so below. The pointers are used while the library is loaded,
        // since `Interface` holds it.
        let launch = *unsafe { library.get::<LaunchFn>(b"emulator_launch") }.map_err(unreadable)?;
        // SAFETY: as above.
        let alloc = *unsafe { library.get(b"emulator_alloc") }.map_err(unreadable)?;
        // SAFETY: as above.
        let free = *unsafe { library.get(b"emulator_free") }.map_err(unreadable)?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from) as u32;
        let interface = Arc::new(Interface { launch, alloc, free, _library: library });
        Ok(Self { interface, seed, threads, multiprocessors: threads })
    }

    fn alloc_bytes(&self, len: usize) -> Result<Memory, DeviceError> {
        // SAFETY: the library's own allocation, which takes any length.
        let start = unsafe { (self.interface.alloc)(len.max(1) as u64) };
        if start.is_null() {
            return Err(DeviceError::OutOfMemory { asked: len, free: 0 });
        }
        Ok(Memory { start: start.cast(), len, interface: Arc::clone(&self.interface) })
    }

    /// # Safety
    /// As [`Device::run`], of one step.
    unsafe fn step(&self, step: &Step) -> Result<(), DeviceError> {
        match *step {
            Step::Launch(ref launch) => {
                // SAFETY: handed on.
                unsafe { self.launch(launch) }
            }
            Step::Upload { from, to, len } | Step::Download { from, to, len } => {
                // SAFETY: both are valid for `len` bytes (caller), and staging and buffers are apart.
                unsafe {
                    std::ptr::copy_nonoverlapping(from.0 as *const u8, to.0 as *mut u8, len);
                }
                Ok(())
            }
            Step::Clear { at, len } => {
                // SAFETY: valid for `len` bytes (caller).
                unsafe { std::ptr::write_bytes(at.0 as *mut u8, 0, len) };
                Ok(())
            }
        }
    }

    /// # Safety
    /// As [`Device::run`], of one launch.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), DeviceError> {
        let unknown = || DeviceError::UnknownKernel { name: launch.kernel.to_owned() };
        let name = CString::new(launch.kernel).map_err(|_| unknown())?;
        let mut message = [0u8; MESSAGE_BYTES];
        // SAFETY: all pointers are to live values of the lengths given; what the parameters point to is the caller's promise.
        let code = unsafe {
            (self.interface.launch)(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.block.as_ptr(),
                launch.shared_bytes,
                launch.params.as_ptr().cast(),
                launch.params.len() as u64,
                self.seed,
                self.threads,
                message.as_mut_ptr().cast(),
                MESSAGE_BYTES as u64,
            )
        };
        match code {
            0 => Ok(()),
            UNKNOWN_KERNEL => Err(unknown()),
            _ => {
                let text: Vec<u8> = message.into_iter().take_while(|&byte| byte != 0).collect();
                Err(DeviceError::Refused {
                    kernel: launch.kernel.to_owned(),
                    message: String::from_utf8_lossy(&text).into_owned(),
                })
            }
        }
    }
}

/// Recorded steps, and whether they were begun and have not run.
#[derive(Debug)]
pub struct Recorded {
    steps: Vec<Step>,
    is_due: bool,
}

/// Memory of the library, all zero at first.
#[derive(Debug)]
pub struct Memory {
    start: *mut u8,
    len: usize,
    interface: Arc<Interface>,
}

// SAFETY: it owns its bytes, as a vector does.
unsafe impl Send for Memory {}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: `start` is this library's own allocation, freed once.
        unsafe { (self.interface.free)(self.start.cast()) };
    }
}

impl AsRef<[u8]> for Memory {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: `len` initialised bytes that this value owns; kernels write them only within calls, and while a graph is under
        // way nobody asks (`Device::begin`).
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

impl AsMut<[u8]> for Memory {
    fn as_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_ref`, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }
}

impl Device for Emulator {
    type Buffer = Memory;
    type Staging = Memory;
    type Graph = Recorded;

    fn name(&self) -> String {
        "emulator".to_owned()
    }

    fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    fn alloc(&self, len: usize) -> Result<Memory, DeviceError> {
        self.alloc_bytes(len)
    }

    fn staging(&self, len: usize) -> Result<Memory, DeviceError> {
        self.alloc_bytes(len)
    }

    fn address(&self, buffer: &Memory) -> Address {
        Address(buffer.start as u64)
    }

    fn staging_address(&self, staging: &Memory) -> Address {
        Address(staging.start as u64)
    }

    fn write(&self, to: &mut Memory, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        let range = within(at, bytes.len(), to.len)?;
        to.as_mut()[range].copy_from_slice(bytes);
        Ok(())
    }

    fn read(&self, from: &Memory, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        let range = within(at, bytes.len(), from.len)?;
        bytes.copy_from_slice(&from.as_ref()[range]);
        Ok(())
    }

    unsafe fn run(&self, steps: &[Step]) -> Result<(), DeviceError> {
        for step in steps {
            // SAFETY: handed on.
            unsafe { self.step(step) }?;
        }
        Ok(())
    }

    unsafe fn time_us(&self, steps: &[Step]) -> Result<Vec<f32>, DeviceError> {
        let mut times = Vec::with_capacity(steps.len());
        for step in steps {
            let start = Instant::now();
            // SAFETY: handed on.
            unsafe { self.step(step) }?;
            times.push(start.elapsed().as_secs_f32() * 1e6);
        }
        Ok(times)
    }

    unsafe fn record(&self, steps: Vec<Step>) -> Result<Recorded, DeviceError> {
        Ok(Recorded { steps, is_due: false })
    }

    /// Runs it at once if the seed is even, and as late as it may if it is odd: who writes to it while it is under way is found
    /// out by the one, who reads too early by the other.
    unsafe fn begin(&self, graph: &mut Recorded) -> Result<(), DeviceError> {
        graph.is_due = true;
        if self.seed.is_multiple_of(2) { self.finish(graph) } else { Ok(()) }
    }

    fn finish(&self, graph: &mut Recorded) -> Result<(), DeviceError> {
        if !std::mem::take(&mut graph.is_due) {
            return Ok(());
        }
        // SAFETY: who recorded the steps promised that their addresses stay valid, and who began them that nobody else uses what
        // lies there.
        unsafe { self.run(&graph.steps) }
    }
}
