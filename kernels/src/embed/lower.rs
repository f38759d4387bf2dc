//! A plan's levels as launches.
//!
//! Owns which layer of the kernels does what step of a plan, and the rooms that it needs. Refuses a network whose channels do
//! not come in eights, or that ends in something else than one f32 output of its last step: no embedder does.

use super::division::{Work, choose};
use super::weights::{Ordered, Weights};
use crate::device::{Device, Program, Region};
use crate::engine::KernelError;
use crate::launch::{Counted, Division, EIGHT, LEVEL_MOST, LayerOp, LevelStep, Operand};
use std::ops::Range;
use threshold_models::graph::{Act, Conv, PoolKind};
use threshold_models::plan::{INPUT, Kind, Plan, Step, View};

/// Channels of a pixel of the input, and as many as it has on the device.
pub(super) fn channels(plan: &Plan) -> (usize, usize) {
    let read = plan.steps.iter().flat_map(|step| &step.inputs).find(|view| view.buffer == INPUT);
    let c = read.map_or(EIGHT, |view| view.shape.c);
    (c, c.next_multiple_of(EIGHT))
}

/// Halves of the input for one item on the device.
pub(super) fn input_len(plan: &Plan) -> usize {
    let (c, padded) = channels(plan);
    plan.buffers[INPUT] / c * padded
}

/// A network's launches, and where its values lie.
pub(super) struct Lowered {
    /// One for each run of at most [`LEVEL_MOST`] steps of a level: which steps of the plan, and what they do.
    pub(super) launches: Vec<(Range<usize>, Vec<LevelStep>)>,
    /// Of each buffer of the plan.
    pub(super) regions: Vec<Region>,
}

/// Lowers a network over `n` items, or as many of them as are counted, whose input lies in a region. With `fixed`, every convolution is divided so, as far as
/// its sum has steps to split.
pub(super) fn lower<D: Device>(
    program: &mut Program<D>,
    device: &D,
    (plan, weights, fixed): (&Plan, &Weights<D>, Option<Division>),
    (n, counted, input): (usize, Option<Counted>, Region),
) -> Result<Lowered, KernelError> {
    let (_, output) = plan.outputs[0];
    let mut regions = vec![input];
    for (buffer, &len) in plan.buffers.iter().enumerate().skip(INPUT + 1) {
        let element = if buffer == output.buffer { size_of::<f32>() } else { size_of::<u16>() };
        regions.push(program.take(device, n * len * element)?);
    }
    let multiprocessors = device.multiprocessors();
    let mut launches = Vec::new();
    for level in &plan.levels {
        for first in level.clone().step_by(LEVEL_MOST) {
            let steps = first..level.end.min(first + LEVEL_MOST);
            let products = plan.steps[steps.clone()].iter().map(|step| match step.kind {
                Kind::Conv { conv, .. } => work(conv, step, n).products(),
                _ => 0,
            });
            let products = products.sum();
            let lowerer =
                Lowerer { n, counted, multiprocessors, products, regions: &regions, fixed };
            let lower = |at| lowerer.step(at, plan, weights);
            launches.push((steps.clone(), steps.map(lower).collect::<Vec<_>>()));
        }
    }
    place_scratch(program, device, n, &mut launches)?;
    Ok(Lowered { launches, regions })
}

/// Whether a step writes f32: the last, which gives the network's output (`check`). Another's view may be equal, since buffers
/// are used again.
pub(super) fn gives_floats(plan: &Plan, step: usize) -> bool {
    step + 1 == plan.steps.len()
}

/// Refuses a network that the kernels do not run.
pub(super) fn check(plan: &Plan) -> Result<(), KernelError> {
    let refuse = |step: &str, why| {
        Err(KernelError::Network { network: plan.name, step: step.to_owned(), why })
    };
    for (at, step) in plan.steps.iter().enumerate() {
        if step.kind == Kind::Softmax {
            return refuse(&step.name, "a softmax is not among the embedders' kernels");
        }
        if step.kind == Kind::L2Norm && !gives_floats(plan, at) {
            return refuse(&step.name, "a unit vector is not the network's output");
        }
        let views = step.inputs.iter().chain([&step.output]).filter(|view| view.buffer != INPUT);
        let mut lens = views.flat_map(|view| [view.offset, view.stride, view.shape.c]);
        if lens.any(|len| len % EIGHT != 0) {
            return refuse(&step.name, "channels do not come in eights");
        }
    }
    let last =
        plan.steps.last().filter(|step| matches!(step.kind, Kind::Conv { .. } | Kind::L2Norm));
    match (last, plan.outputs.as_slice()) {
        (Some(step), [(_, output)]) if step.output == *output => Ok(()),
        _ => refuse("the last", "it must be the one output, of a layer or a unit vector"),
    }
}

/// Rooms for the splits' sums. Launches come one after the other, so that they share one, and the layers of a launch lie in it
/// one behind the other.
fn place_scratch<D: Device>(
    program: &mut Program<D>,
    device: &D,
    n: usize,
    launches: &mut [(Range<usize>, Vec<LevelStep>)],
) -> Result<(), KernelError> {
    let need = |step: &LevelStep| match step.op {
        LayerOp::Conv { divisions, .. } => {
            let [h, w, c] = step.y.size;
            let [many, few] = divisions.map(|division| division.scratch_bytes(n * h * w, c));
            [0, 1].map(|which| many[which].max(few[which]).next_multiple_of(16))
        }
        _ => [0; 2],
    };
    let most = |which: usize| {
        launches.iter().map(|(_, level)| level.iter().map(|step| need(step)[which]).sum()).max()
    };
    let most = [most(0).unwrap_or(0), most(1).unwrap_or(0)];
    let whole = [program.take(device, most[0])?, program.take(device, most[1])?];
    for (_, level) in launches {
        let mut rest = whole;
        for step in level {
            let bytes = need(step);
            if let LayerOp::Conv { scratch, .. } = &mut step.op {
                for ((own, rest), bytes) in scratch.iter_mut().zip(&mut rest).zip(bytes) {
                    (*own, *rest) = rest.split_at(bytes);
                }
            }
        }
    }
    Ok(())
}

/// A convolution's, over `n` items.
fn work(conv: Conv, step: &Step, n: usize) -> Work {
    let View { shape: y, .. } = step.output;
    let c = step.inputs[0].shape.c.next_multiple_of(EIGHT);
    Work { pixels: n * y.h * y.w, channels: y.c, terms: conv.kernel[0] * conv.kernel[1] * c }
}

/// Items up to which tiles are direct. With eight, all of FaceNet took 461 us with them on an H200 and 454 without
/// (`RESULTS.md`).
const DIRECT_ITEMS: usize = 4;

struct Lowerer<'a> {
    n: usize,
    counted: Option<Counted>,
    multiprocessors: u32,
    /// Of all convolutions of the launch.
    products: usize,
    regions: &'a [Region],
    fixed: Option<Division>,
}

impl Lowerer<'_> {
    fn step<D: Device>(&self, at: usize, plan: &Plan, weights: &Weights<D>) -> LevelStep {
        let step = &plan.steps[at];
        let x = self.operand(&step.inputs[0]);
        let other = step.inputs.get(1).map(|view| self.operand(view));
        let y = self.operand(&step.output);
        let negative = |act| if act == Act::Relu { 0.0 } else { 1.0 };
        let Ordered { layer, chunks } = weights.layer(&step.name);
        let op = match step.kind {
            Kind::Conv { conv, scale } => LayerOp::Conv {
                layer,
                chunks,
                kernel: conv.kernel,
                stride: conv.stride,
                pad: conv.pad,
                scale,
                residual: other,
                divisions: self.divisions(conv, step),
                scratch: [Region::default(); 2],
                floats: gives_floats(plan, at),
            },
            Kind::Pool(pool) => LayerOp::Pool {
                largest: pool.kind == PoolKind::Max,
                kernel: [pool.kernel; 2],
                stride: pool.stride,
                pad: [pool.pad; 2],
            },
            Kind::GlobalAverage => {
                let [h, w, _] = x.size;
                LayerOp::Pool { largest: false, kernel: [h, w], stride: 1, pad: [0; 2] }
            }
            Kind::Add { act } => LayerOp::Add { other, negative: negative(act) },
            // `check` refused a softmax.
            Kind::Copy | Kind::Softmax => LayerOp::Add { other: None, negative: 1.0 },
            Kind::LocalNorm(norm) => LayerOp::LocalNorm(norm),
            Kind::Maxout { pieces } => LayerOp::Maxout(pieces),
            Kind::L2Norm => LayerOp::Unit,
        };
        LevelStep { op, x, y }
    }

    fn divisions(&self, conv: Conv, step: &Step) -> [Division; 2] {
        // Few are one, mostly.
        let few = self.counted.map_or(self.n, |_| 1);
        [self.n, few].map(|items| {
            let (all, work) = (work(conv, step, self.n), work(conv, step, items));
            // Its share of the multiprocessors is as large as its share of the launch's work.
            let share = all.products() as f32 / self.products as f32;
            self.fixed.and_then(|fixed| fixed.of(work.steps())).unwrap_or_else(|| {
                choose(work, self.multiprocessors as f32 * share, |division| {
                    // Of counted items mostly few are there, and blocks that take all of a multiprocessor keep the next level from it.
                    let is_large = self.counted.is_some() && division.is_large();
                    !is_large && (items <= DIRECT_ITEMS || !division.is_direct())
                })
            })
        })
    }

    fn operand(&self, view: &View) -> Operand {
        let region = self.regions[view.buffer];
        let size = [view.shape.h, view.shape.w, view.shape.c];
        if view.buffer == INPUT {
            let [h, w, c] = size;
            return Operand::dense(region, [h, w, c.next_multiple_of(EIGHT)]);
        }
        let (offset, item, stride) = (view.offset, view.item(), view.stride);
        Operand { region, offset, item, stride, size }
    }
}
