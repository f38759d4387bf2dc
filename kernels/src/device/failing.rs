//! A device that is lost when a test says so, and may come back; or leaves a kernel out.

use super::emulator::{Emulator, Memory, Recorded};
use super::{Address, Device, DeviceError, Step};
use std::cell::Cell;

/// The emulator, which may be lost.
pub(crate) struct Failing {
    device: Emulator,
    /// While it is, every call fails and does nothing.
    pub(crate) is_lost: Cell<bool>,
    /// A kernel of what is recorded that does nothing.
    pub(crate) left_out: Cell<Option<&'static str>>,
}

impl Failing {
    pub(crate) fn new(device: Emulator) -> Self {
        Self { device, is_lost: Cell::new(false), left_out: Cell::new(None) }
    }

    fn is_left_out(&self, step: &Step) -> bool {
        matches!(step, Step::Launch(launch) if Some(launch.kernel) == self.left_out.get())
    }

    fn there(&self) -> Result<&Emulator, DeviceError> {
        match self.is_lost.get() {
            false => Ok(&self.device),
            true => Err(DeviceError::Driver { call: "any", code: 999, message: "lost".to_owned() }),
        }
    }
}

impl Device for &Failing {
    type Buffer = Memory;
    type Staging = Memory;
    type Graph = Recorded;

    fn name(&self) -> String {
        self.device.name()
    }

    fn multiprocessors(&self) -> u32 {
        self.device.multiprocessors()
    }

    fn alloc(&self, len: usize) -> Result<Memory, DeviceError> {
        self.there()?.alloc(len)
    }

    fn staging(&self, len: usize) -> Result<Memory, DeviceError> {
        self.there()?.staging(len)
    }

    fn address(&self, buffer: &Memory) -> Address {
        self.device.address(buffer)
    }

    fn staging_address(&self, staging: &Memory) -> Address {
        self.device.staging_address(staging)
    }

    fn write(&self, to: &mut Memory, at: usize, bytes: &[u8]) -> Result<(), DeviceError> {
        self.there()?.write(to, at, bytes)
    }

    fn read(&self, from: &Memory, at: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        self.there()?.read(from, at, bytes)
    }

    unsafe fn run(&self, steps: &[Step]) -> Result<(), DeviceError> {
        // SAFETY: handed on; so below.
        unsafe { self.there()?.run(steps) }
    }

    unsafe fn time_us(&self, steps: &[Step]) -> Result<Vec<f32>, DeviceError> {
        // SAFETY: as above.
        unsafe { self.there()?.time_us(steps) }
    }

    unsafe fn record(&self, mut steps: Vec<Step>) -> Result<Recorded, DeviceError> {
        steps.retain(|step| !self.is_left_out(step));
        // SAFETY: as above.
        unsafe { self.there()?.record(steps) }
    }

    unsafe fn begin(&self, graph: &mut Recorded) -> Result<(), DeviceError> {
        // SAFETY: as above.
        unsafe { self.there()?.begin(graph) }
    }

    fn finish(&self, graph: &mut Recorded) -> Result<(), DeviceError> {
        self.there()?.finish(graph)
    }
}
