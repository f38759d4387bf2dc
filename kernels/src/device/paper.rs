//! A device on paper: it keeps the steps that are recorded, and neither holds nor computes anything.
//!
//! For whoever counts what an engine would do on a card that is not there: launches, blocks, threads, shared memory. All that is
//! read from it is zero, so that an engine's frame has no face.

use super::{Address, Device, DeviceError, Step};
use std::cell::{Cell, RefCell};

/// One with so many multiprocessors, among which launchers divide work.
#[derive(Debug)]
pub struct Paper {
    multiprocessors: u32,
    next: Cell<u64>,
    recorded: RefCell<Vec<Vec<Step>>>,
}

/// Memory that is nothing but an address.
#[derive(Debug)]
pub struct PaperBuffer(Address);

/// Staging with its address; the bytes are the host's own.
#[derive(Debug)]
pub struct PaperStaging(Address, Vec<u8>);

impl AsRef<[u8]> for PaperStaging {
    fn as_ref(&self) -> &[u8] {
        &self.1
    }
}

impl AsMut<[u8]> for PaperStaging {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.1
    }
}

impl Paper {
    /// A sheet without steps.
    #[must_use]
    pub fn new(multiprocessors: u32) -> Self {
        Self { multiprocessors, next: Cell::new(256), recorded: RefCell::default() }
    }

    /// The steps of each recording so far, in order.
    #[must_use]
    pub fn recorded(&self) -> Vec<Vec<Step>> {
        self.recorded.borrow().clone()
    }

    /// An address that nothing else has, as aligned as a device's.
    fn place(&self, len: usize) -> Address {
        let at = self.next.get();
        self.next.set(at + (len as u64).next_multiple_of(256).max(256));
        Address(at)
    }
}

impl Device for &Paper {
    type Buffer = PaperBuffer;
    type Staging = PaperStaging;
    type Graph = ();

    fn name(&self) -> String {
        format!("paper of {} multiprocessors", self.multiprocessors)
    }

    fn multiprocessors(&self) -> u32 {
        self.multiprocessors
    }

    fn alloc(&self, len: usize) -> Result<PaperBuffer, DeviceError> {
        Ok(PaperBuffer(self.place(len)))
    }

    fn staging(&self, len: usize) -> Result<PaperStaging, DeviceError> {
        Ok(PaperStaging(self.place(len), vec![0; len]))
    }

    fn address(&self, buffer: &PaperBuffer) -> Address {
        buffer.0
    }

    fn staging_address(&self, staging: &PaperStaging) -> Address {
        staging.0
    }

    fn write(&self, _: &mut PaperBuffer, _: usize, _: &[u8]) -> Result<(), DeviceError> {
        Ok(())
    }

    fn read(&self, _: &PaperBuffer, _: usize, bytes: &mut [u8]) -> Result<(), DeviceError> {
        bytes.fill(0);
        Ok(())
    }

    // Nothing below touches an address, so that the callers' promises are not needed.

    unsafe fn run(&self, _: &[Step]) -> Result<(), DeviceError> {
        Ok(())
    }

    unsafe fn time_us(&self, steps: &[Step]) -> Result<Vec<f32>, DeviceError> {
        Ok(vec![0.0; steps.len()])
    }

    unsafe fn record(&self, steps: Vec<Step>) -> Result<(), DeviceError> {
        self.recorded.borrow_mut().push(steps);
        Ok(())
    }

    unsafe fn begin(&self, (): &mut ()) -> Result<(), DeviceError> {
        Ok(())
    }

    fn finish(&self, (): &mut ()) -> Result<(), DeviceError> {
        Ok(())
    }
}
