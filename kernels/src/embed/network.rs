//! A network on a device: its plan, its weights, and a recorded program for each size of batch.
//!
//! Owns the batch classes: a batch of n items runs in the smallest class that holds it, so that a graph of few launches is
//! recorded once and replayed.

use super::lower::{self, Lowered};
use super::weights::Weights;
use crate::device::{Device, DeviceError, Program, Region, Step};
use crate::engine::KernelError;
use crate::launch::{Counted, Division, LevelStep, layers};
use half::f16;
use std::time::Instant;
use threshold_models::engine::EngineError;
use threshold_models::graph::Graph;
use threshold_models::plan::{INPUT, Plan, View};
use threshold_models::tensor::TensorSource;

/// Items of the programs that are recorded; a larger batch runs in several.
pub(super) const CLASSES: [usize; 6] = [1, 2, 4, 8, 16, 32];

/// Of counted items so many at most are divided as one would be.
pub(super) const FEW: usize = 2;

/// The class for the next items of a batch: its place in [`CLASSES`], and how many of the items it takes.
pub(super) fn class_of(items: usize) -> (usize, usize) {
    let class = CLASSES.iter().position(|&n| n >= items).unwrap_or(CLASSES.len() - 1);
    (class, items.min(CLASSES[class]))
}

/// A network with one output, over values that the caller has: for self-tests and for tests of other networks than a pack's.
pub struct DeviceNetwork<D: Device> {
    // Before the weights, which their steps point into, since fields are dropped in this order.
    programs: [Option<Program<D>>; CLASSES.len()],
    pub(super) core: Core<D>,
}

/// What the programs of all classes share.
pub(super) struct Core<D: Device> {
    pub(super) plan: Plan,
    weights: Weights<D>,
    /// How every convolution is divided, if not as the model of `division` chooses.
    fixed: Option<Division>,
    /// Whether levels may overlap.
    overlap: bool,
}

/// A network that is timed.
pub struct Timed<'a, D: Device> {
    /// The steps of each launch, and its time in microseconds.
    pub levels: Vec<(String, f32)>,
    /// All launches, to be run as one.
    pub program: Recorded<'a, D>,
}

/// A recorded program without input.
pub struct Recorded<'a, D: Device> {
    program: Program<D>,
    _weights: &'a Weights<D>,
}

impl<D: Device> Recorded<'_, D> {
    /// Runs it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn replay(&mut self, device: &D) -> Result<(), DeviceError> {
        self.program.run(device, &[]).map(|_| ())
    }

    /// What [`DeviceNetwork::counted`] gave in the last run; of places without an item whatever lay there.
    pub fn output(&self) -> Vec<f32> {
        self.program.output().chunks_exact(4).map(bytemuck::pod_read_unaligned).collect()
    }
}

/// What a step of a network read and gave, for all items one after the other; dense.
#[derive(Clone, Debug)]
pub struct Traced {
    /// The step's name.
    pub name: String,
    /// Values of each input.
    pub inputs: Vec<Vec<f32>>,
    /// Values of the output.
    pub output: Vec<f32>,
}

impl<D: Device> Core<D> {
    pub(super) fn new(
        device: &D,
        graph: &Graph,
        tensors: &dyn TensorSource,
    ) -> Result<Self, KernelError> {
        let plan = Plan::by_levels(graph);
        lower::check(&plan)?;
        let weights = Weights::new(device, graph, &plan, tensors)?;
        Ok(Self { plan, weights, fixed: None, overlap: true })
    }

    /// Adds the network's launches for `n` items, or as many of them as are counted; where their f32 output lies then, and its bytes.
    pub(super) fn push(
        &self,
        program: &mut Program<D>,
        device: &D,
        n: usize,
        counted: Option<Counted>,
        input: Region,
    ) -> Result<Region, KernelError> {
        let lowered = self.lower(program, device, (n, counted, input))?;
        self.push_launches(program, (n, counted), &lowered);
        let output = lowered.regions[self.plan.outputs[0].1.buffer];
        Ok(output.split_at(n * self.output_bytes()).0)
    }

    fn push_launches(
        &self,
        program: &mut Program<D>,
        (n, counted): (usize, Option<Counted>),
        lowered: &Lowered,
    ) {
        for (_, level) in &lowered.launches {
            program.push(self.launch((n, counted), level));
        }
    }

    fn launch(&self, (n, counted): (usize, Option<Counted>), level: &[LevelStep]) -> Step {
        let mut step = layers(n, level, counted);
        if let Step::Launch(launch) = &mut step {
            launch.overlaps &= self.overlap;
        }
        step
    }

    fn lower(
        &self,
        program: &mut Program<D>,
        device: &D,
        items: (usize, Option<Counted>, Region),
    ) -> Result<Lowered, KernelError> {
        let network = (&self.plan, &self.weights, self.fixed);
        lower::lower(program, device, network, items)
    }

    /// Bytes of an item's output.
    pub(super) fn output_bytes(&self) -> usize {
        self.plan.outputs[0].1.shape.len() * size_of::<f32>()
    }

    /// Items as the device has them: halves, pixels padded to eights.
    fn input_bytes(&self, items: &[f32]) -> Vec<u8> {
        let (c, padded) = lower::channels(&self.plan);
        let mut bytes = Vec::new();
        for pixel in items.chunks_exact(c) {
            pixel.iter().for_each(|&value| bytes.extend(f16::from_f32(value).to_le_bytes()));
            bytes.resize(bytes.len() + (padded - c) * size_of::<f16>(), 0);
        }
        bytes
    }

    /// A view's values in the bytes of its buffer, dense.
    fn values(&self, view: &View, n: usize, (bytes, floats): (&[u8], bool)) -> Vec<f32> {
        let (input, (_, padded)) = (view.buffer == INPUT, lower::channels(&self.plan));
        let stride = if input { padded } else { view.stride };
        let cells = (0..n * view.shape.pixels())
            .flat_map(|pixel| (0..view.shape.c).map(move |c| view.offset + pixel * stride + c));
        if floats {
            let value = |cell: usize| bytemuck::pod_read_unaligned(&bytes[4 * cell..][..4]);
            return cells.map(value).collect();
        }
        cells
            .map(|cell| f16::from_le_bytes([bytes[2 * cell], bytes[2 * cell + 1]]).to_f32())
            .collect()
    }

    /// The first `n` outputs of a batch, if all of them are numbers.
    pub(super) fn outputs(&self, bytes: &[u8], n: usize) -> Result<Vec<f32>, EngineError> {
        let values: Vec<f32> = bytes[..n * self.output_bytes()]
            .chunks_exact(4)
            .map(bytemuck::pod_read_unaligned)
            .collect();
        let finite = values.iter().all(|value| value.is_finite());
        finite.then_some(values).ok_or(EngineError::NotFinite { network: self.plan.name })
    }
}

impl<D: Device> DeviceNetwork<D> {
    /// A network with these weights on a device.
    ///
    /// # Errors
    /// [`KernelError`] if a tensor is missing, the kernels do not run such a network, or the device has no room.
    pub fn new(device: &D, graph: &Graph, tensors: &dyn TensorSource) -> Result<Self, KernelError> {
        Ok(Self { programs: Default::default(), core: Core::new(device, graph, tensors)? })
    }

    /// The output for each item of `input`, N x H x W x C values that are rounded to half.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed or the output is not finite.
    ///
    /// # Panics
    /// If `input` is not a whole number of items.
    pub fn run(&mut self, device: &D, input: &[f32]) -> Result<Vec<f32>, KernelError> {
        let len = self.core.plan.buffers[INPUT];
        assert_eq!(input.len() % len, 0, "a whole number of items");
        let (mut rest, mut outputs) = (input, Vec::new());
        while !rest.is_empty() {
            let (class, n) = class_of(rest.len() / len);
            let (items, further) = rest.split_at(n * len);
            outputs.extend(self.run_class(device, class, (n, items))?);
            rest = further;
        }
        Ok(outputs)
    }

    fn run_class(
        &mut self,
        device: &D,
        class: usize,
        (n, items): (usize, &[f32]),
    ) -> Result<Vec<f32>, KernelError> {
        let (core, slot) = (&self.core, &mut self.programs[class]);
        let bytes = CLASSES[class] * lower::input_len(&core.plan) * size_of::<f16>();
        let program = match slot {
            Some(program) => program,
            None => {
                let n = CLASSES[class];
                let mut program = Program::new(device, bytes, n * core.output_bytes())?;
                let input = program.take(device, bytes)?;
                program.push_input(device, input);
                let output = core.push(&mut program, device, n, None, input)?;
                program.push_output(device, output, 0);
                program.record(device)?;
                slot.insert(program)
            }
        };
        let mut input = self.core.input_bytes(items);
        // Places of the batch that no item takes.
        input.resize(bytes, 0);
        Ok(self.core.outputs(program.run(device, &input)?, n)?)
    }

    /// Reads the weights back from the device: they are what was copied there.
    ///
    /// # Errors
    /// [`DeviceError::Corrupt`] if they are not.
    pub(super) fn verify_weights(&mut self, device: &D) -> Result<(), DeviceError> {
        self.core.weights.uploaded().verify(device)
    }

    /// Changes a byte of the weights on the device: for the test that such a change is found.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(super) fn flip_weight(&mut self, device: &D, at: usize) -> Result<(), DeviceError> {
        self.core.weights.uploaded().flip(device, at)
    }

    /// Divides every convolution so, as far as its sum has steps to split and the tile holds it, else as the model chooses: to test
    /// and to time each division there is.
    pub fn divide(&mut self, division: Option<Division>) {
        self.core.fixed = division;
        self.programs = Default::default();
    }

    /// Lets each level begin before the one before has ended, as far as the device can, or not: to time what that is worth.
    pub fn overlap(&mut self, overlap: bool) {
        self.core.overlap = overlap;
        self.programs = Default::default();
    }

    /// The network over `n` items of noise that are on the device already, recorded; and each launch's steps with its time in
    /// microseconds: of `repeats` of it in a row, recorded as well, since a lone one is over before the host looks.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed.
    pub fn timed(&self, device: &D, n: usize, repeats: usize) -> Result<Timed<'_, D>, KernelError> {
        let core = &self.core;
        let mut program = Program::new(device, 0, 0)?;
        let noise = (0..n * lower::input_len(&core.plan))
            .flat_map(|i| f16::from_f32((i * 37 % 256) as f32 / 128.0 - 1.0).to_le_bytes());
        let input = program.take_filled(device, &noise.collect::<Vec<_>>())?;
        let lowered = core.lower(&mut program, device, (n, None, input))?;
        core.push_launches(&mut program, (n, None), &lowered);
        program.record(device)?;
        program.run(device, &[])?;
        let mut levels = Vec::new();
        for (steps, level) in &lowered.launches {
            // Its steps point into `program`, which outlives it.
            let mut alone = Program::new(device, 0, 0)?;
            (0..repeats.max(1)).for_each(|_| alone.push(core.launch((n, None), level)));
            alone.record(device)?;
            alone.run(device, &[])?;
            let start = Instant::now();
            alone.run(device, &[])?;
            let us = start.elapsed().as_secs_f32() * 1e6 / repeats.max(1) as f32;
            let steps = core.plan.steps[steps.clone()].iter();
            let names: Vec<&str> = steps.map(|step| step.name.as_str()).collect();
            levels.push((names.join(" "), us));
        }
        Ok(Timed { levels, program: Recorded { program, _weights: &core.weights } })
    }

    /// The network over `items`, of which the device is told that there are `count`, as [`Counted`] says; recorded.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed.
    pub fn counted(
        &self,
        device: &D,
        items: &[f32],
        count: usize,
    ) -> Result<Recorded<'_, D>, KernelError> {
        let core = &self.core;
        let n = items.len() / core.plan.buffers[INPUT];
        let mut program = Program::new(device, 0, n * core.output_bytes())?;
        let input = program.take_filled(device, &core.input_bytes(items))?;
        let count = program.take_filled(device, &(count as u32).to_le_bytes())?;
        let counted = Counted { count, few: FEW };
        let output = core.push(&mut program, device, n, Some(counted), input)?;
        program.push_output(device, output, 0);
        program.record(device)?;
        Ok(Recorded { program, _weights: &core.weights })
    }

    /// Runs launch by launch and tells what each step read and gave: for tests, which compare every step alone.
    ///
    /// # Errors
    /// [`KernelError`] if the device failed.
    ///
    /// # Panics
    /// If `input` is not a whole number of items.
    pub fn trace(&self, device: &D, input: &[f32]) -> Result<Vec<Traced>, KernelError> {
        let core = &self.core;
        let n = input.len() / core.plan.buffers[INPUT];
        let bytes = core.input_bytes(input);
        let mut program = Program::new(device, 0, 0)?;
        let input = program.take_filled(device, &bytes)?;
        let lowered = core.lower(&mut program, device, (n, None, input))?;
        let mut traced = Vec::new();
        for (steps, level) in &lowered.launches {
            program.push(core.launch((n, None), level));
            program.run_last(device)?;
            let read = |view: &View, floats| -> Result<Vec<f32>, DeviceError> {
                let bytes = program.read(device, lowered.regions[view.buffer])?;
                Ok(core.values(view, n, (&bytes, floats)))
            };
            for at in steps.clone() {
                let step = &core.plan.steps[at];
                let inputs: Result<_, _> =
                    step.inputs.iter().map(|view| read(view, false)).collect();
                let output = read(&step.output, lower::gives_floats(&core.plan, at))?;
                traced.push(Traced { name: step.name.clone(), inputs: inputs?, output });
            }
        }
        Ok(traced)
    }
}
