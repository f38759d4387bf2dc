//! A program: steps with the buffers that they touch, recorded once and run often.
//!
//! Owns every buffer whose address its steps hold, but for what whoever made it keeps alive longer: weights, a gallery, a room. The only place
//! besides the devices that needs `unsafe`, and for one reason: that ownership.

use super::{Device, DeviceError, Region, Step};

/// Steps, their buffers, and the staging through which bytes go in and come out.
pub(crate) struct Program<D: Device> {
    // Before the buffers that its steps point into, since fields are dropped in this order.
    graph: Option<D::Graph>,
    steps: Vec<Step>,
    input: D::Staging,
    output: D::Staging,
    buffers: Vec<(Region, D::Buffer)>,
    /// Begun, and not finished.
    is_running: bool,
}

impl<D: Device> Program<D> {
    /// A program without steps, for so many bytes of input and output.
    pub(crate) fn new(
        device: &D,
        input_len: usize,
        output_len: usize,
    ) -> Result<Self, DeviceError> {
        let (input, output) = (device.staging(input_len)?, device.staging(output_len)?);
        let (steps, buffers) = (Vec::new(), Vec::new());
        Ok(Self { graph: None, steps, input, output, buffers, is_running: false })
    }

    /// A buffer of zeros.
    pub(crate) fn take(&mut self, device: &D, len: usize) -> Result<Region, DeviceError> {
        let buffer = device.alloc(len)?;
        let region = Region { at: device.address(&buffer), len };
        self.buffers.push((region, buffer));
        Ok(region)
    }

    /// A buffer of these bytes.
    pub(crate) fn take_filled(&mut self, device: &D, bytes: &[u8]) -> Result<Region, DeviceError> {
        let mut buffer = device.alloc(bytes.len())?;
        device.write(&mut buffer, 0, bytes)?;
        let region = Region { at: device.address(&buffer), len: bytes.len() };
        self.buffers.push((region, buffer));
        Ok(region)
    }

    /// Adds a step. Its addresses are those of this program's regions, or of what outlives it: weights, a gallery, the room of
    /// a detection.
    pub(crate) fn push(&mut self, step: Step) {
        self.steps.push(step);
    }

    /// Its steps, for another program that does them as well.
    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The output's bytes after a run of its steps.
    ///
    /// # Panics
    /// While it runs.
    pub(crate) fn output(&self) -> &[u8] {
        assert!(!self.is_running, "the output of a program that runs");
        self.output.as_ref()
    }

    /// Adds the copy of the input to a region.
    pub(crate) fn push_input(&mut self, device: &D, to: Region) {
        let (from, len) = (device.staging_address(&self.input), self.input.as_ref().len());
        self.steps.push(Step::Upload { from, to: to.holding(len), len });
    }

    /// The input's staging, for kernels that read it where it lies.
    pub(crate) fn input_region(&self, device: &D) -> Region {
        Region { at: device.staging_address(&self.input), len: self.input.as_ref().len() }
    }

    /// The output's staging, for a kernel that writes there.
    pub(crate) fn output_region(&self, device: &D) -> Region {
        Region { at: device.staging_address(&self.output), len: self.output.as_ref().len() }
    }

    /// Adds the copy of a region to the output, from its byte `at` on.
    ///
    /// # Panics
    /// If the output is shorter.
    pub(crate) fn push_output(&mut self, device: &D, from: Region, at: usize) {
        let (to, len) = (device.staging_address(&self.output).offset(at), from.len);
        assert!(at + len <= self.output.as_ref().len(), "{len} bytes of output at {at}");
        self.steps.push(Step::Download { from: from.at, to, len });
    }

    /// Records the steps, to be launched as one; none may be added then.
    pub(crate) fn record(&mut self, device: &D) -> Result<(), DeviceError> {
        // SAFETY: launchers checked every region against what their kernels touch, and the regions are of buffers that live
        // in this program, behind the graph, or of weights that outlive it (`push`).
        self.graph = Some(unsafe { device.record(self.steps.clone()) }?);
        Ok(())
    }

    /// Runs the steps over an input as long as the staging; the output's bytes.
    pub(crate) fn run(&mut self, device: &D, input: &[u8]) -> Result<&[u8], DeviceError> {
        self.input().copy_from_slice(input);
        self.run_filled(device)
    }

    /// The staging of the input, for [`Program::begin`] and [`Program::run_filled`]; what is not written keeps what it held.
    ///
    /// # Panics
    /// While it runs.
    pub(crate) fn input(&mut self) -> &mut [u8] {
        assert!(!self.is_running, "the input of a program that runs");
        self.input.as_mut()
    }

    /// Runs the steps over what [`Program::input`] was given; the output's bytes.
    pub(crate) fn run_filled(&mut self, device: &D) -> Result<&[u8], DeviceError> {
        self.begin(device)?;
        self.finish(device)
    }

    /// Begins the recorded steps over what [`Program::input`] was given; what is not recorded has run when this returns. Programs
    /// that share buffers do not run at a time: a place has one room, and runs that or one of the chains behind it.
    ///
    /// # Panics
    /// While it runs.
    pub(crate) fn begin(&mut self, device: &D) -> Result<(), DeviceError> {
        assert!(!self.is_running, "a program that runs is begun");
        match &mut self.graph {
            // SAFETY: until it has ended this program gives neither its staging nor its buffers to anybody, and programs that
            // share them do not run (above).
            Some(graph) => unsafe { device.begin(graph) }?,
            // SAFETY: as in `record`.
            None => unsafe { device.run(&self.steps) }?,
        }
        self.is_running = true;
        Ok(())
    }

    /// Waits for what was begun; the output's bytes.
    pub(crate) fn finish(&mut self, device: &D) -> Result<&[u8], DeviceError> {
        let was_running = std::mem::take(&mut self.is_running);
        if let Some(graph) = self.graph.as_mut().filter(|_| was_running) {
            device.finish(graph)?;
        }
        Ok(self.output.as_ref())
    }

    /// Runs the step that was added last, alone.
    pub(crate) fn run_last(&mut self, device: &D) -> Result<(), DeviceError> {
        let last = &self.steps[self.steps.len().saturating_sub(1)..];
        // SAFETY: as in `record`.
        unsafe { device.run(last) }
    }

    /// The same step by step, with each one's time in microseconds.
    pub(crate) fn time_us(&mut self, device: &D) -> Result<Vec<(&'static str, f32)>, DeviceError> {
        // SAFETY: as in `record`.
        let times = unsafe { device.time_us(&self.steps) }?;
        let name = |step: &Step| match step {
            Step::Launch(launch) => launch.kernel,
            Step::Upload { .. } => "upload",
            Step::Clear { .. } => "clear",
            Step::Download { .. } => "download",
        };
        Ok(self.steps.iter().map(name).zip(times).collect())
    }

    /// What a region of this program holds now.
    ///
    /// # Panics
    /// If it is no region of this program, and while it runs.
    pub(crate) fn read(&self, device: &D, region: Region) -> Result<Vec<u8>, DeviceError> {
        assert!(!self.is_running, "a region of a program that runs");
        let mut bytes = vec![0; region.len];
        let found = self.buffers.iter().find(|(own, _)| own.at == region.at);
        let (_, buffer) =
            found.unwrap_or_else(|| panic!("{region:?} is no region of this program"));
        device.read(buffer, 0, &mut bytes)?;
        Ok(bytes)
    }
}
