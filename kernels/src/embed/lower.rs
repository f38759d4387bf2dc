//! A plan's levels as launches.
//!
//! Owns which layer of the kernels does what step of a plan, and the rooms that it needs. Refuses a network whose channels do
//! not come in eights, or that ends in something else than one f32 output of its last step: no embedder does.

use super::division::{Work, choose, choose_for_teams};
use super::weights::Weights;
use crate::device::{Clusters, Device, Program, Region};
use crate::engine::KernelError;
use crate::launch::{
    Division, EIGHT, LEVEL_MOST, LayerOp, LevelStep, Operand, TOWER_STEPS, TOWER_TILES,
};
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

/// Most multiplications of a level that is left to a cluster for each item: more takes a whole device.
const OF_CLUSTER: usize = 16_000_000;

/// At most [`LEVEL_MOST`] steps of a level: which of the plan, and what they do.
pub(super) struct Level {
    pub(super) steps: Range<usize>,
    pub(super) layers: Vec<LevelStep>,
}

/// A launch.
pub(super) enum Run {
    /// Of one level, by the whole device.
    Level(Level),
    /// Of some in a row, each item by a cluster.
    Tower(Vec<Level>),
}

impl Run {
    pub(super) fn levels(&self) -> &[Level] {
        match self {
            Self::Level(level) => std::slice::from_ref(level),
            Self::Tower(levels) => levels,
        }
    }
}

/// A network's launches, and where its values lie.
pub(super) struct Lowered {
    pub(super) runs: Vec<Run>,
    /// Of each buffer of the plan, item by item: each has room of its own, since clusters go on as fast as they can.
    pub(super) regions: Vec<Region>,
    /// Of the network's f32 output, dense.
    pub(super) output: Region,
}

/// Lowers a network over `n` items, whose input lies in a region. With `fixed`, every convolution is divided so, as far as
/// its sum has steps to split.
pub(super) fn lower<D: Device>(
    program: &mut Program<D>,
    device: &D,
    (plan, weights, fixed): (&Plan, &Weights<D>, Option<Division>),
    (n, input): (usize, Region),
) -> Result<Lowered, KernelError> {
    let (_, output) = plan.outputs[0];
    let mut regions = vec![input];
    for &len in plan.buffers.iter().skip(INPUT + 1) {
        regions.push(program.take(device, n * len * size_of::<u16>())?);
    }
    let output = program.take(device, n * output.shape.len() * size_of::<f32>())?;
    let multiprocessors = device.multiprocessors();
    // Clusters that come one after the other would each wait for the one before.
    let clusters = device.clusters().filter(|clusters| n <= clusters.at_once as usize);
    let mut runs: Vec<Run> = Vec::new();
    for level in &plan.levels {
        for first in level.clone().step_by(LEVEL_MOST) {
            let steps = first..level.end.min(first + LEVEL_MOST);
            let products = plan.steps[steps.clone()].iter().map(|step| match step.kind {
                Kind::Conv { conv, .. } => work(conv, step, n).products(),
                _ => 0,
            });
            let products: usize = products.sum();
            let clusters = clusters.filter(|_| products <= n * OF_CLUSTER);
            let lowerer = Lowerer {
                n,
                multiprocessors,
                clusters,
                products,
                regions: &regions,
                output,
                fixed,
            };
            let layers = steps.clone().map(|at| lowerer.step(at, plan, weights)).collect();
            let level = Level { steps, layers };
            match (clusters, runs.last_mut()) {
                (None, _) => runs.push(Run::Level(level)),
                (Some(_), Some(Run::Tower(levels))) if has_room(levels, &level) => {
                    levels.push(level);
                }
                (Some(_), _) => runs.push(Run::Tower(vec![level])),
            }
        }
    }
    place_scratch(program, device, n, &mut runs)?;
    Ok(Lowered { runs, regions, output })
}

/// Whether a tower of these levels holds another.
fn has_room(levels: &[Level], more: &Level) -> bool {
    levels.iter().map(|level| level.layers.len()).sum::<usize>() + more.layers.len() <= TOWER_STEPS
}

/// Whether a step writes f32: the last, which gives the network's output (`check`).
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
    runs: &mut [Run],
) -> Result<(), KernelError> {
    let need = |step: &LevelStep| match step.op {
        LayerOp::Conv { division, .. } => {
            let [h, w, c] = step.y.size;
            division.scratch_bytes(n * h * w, c).map(|bytes| bytes.next_multiple_of(16))
        }
        _ => [0; 2],
    };
    let levels = || runs.iter().flat_map(Run::levels);
    let most = |which: usize| {
        levels().map(|level| level.layers.iter().map(|step| need(step)[which]).sum()).max()
    };
    let most = [most(0).unwrap_or(0), most(1).unwrap_or(0)];
    let whole = [program.take(device, most[0])?, program.take(device, most[1])?];
    for run in runs {
        // A tower's sums have no splits.
        let Run::Level(level) = run else { continue };
        let mut rest = whole;
        for step in &mut level.layers {
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

struct Lowerer<'a> {
    n: usize,
    multiprocessors: u32,
    /// Those that do the level, if they do.
    clusters: Option<Clusters>,
    /// Of all convolutions of the launch.
    products: usize,
    regions: &'a [Region],
    output: Region,
    fixed: Option<Division>,
}

impl Lowerer<'_> {
    fn step<D: Device>(&self, at: usize, plan: &Plan, weights: &Weights<D>) -> LevelStep {
        let step = &plan.steps[at];
        let x = self.operand(plan, &step.inputs[0]);
        let other = step.inputs.get(1).map(|view| self.operand(plan, view));
        let y = match gives_floats(plan, at) {
            true => {
                let shape = step.output.shape;
                Operand::dense(self.output, [shape.h, shape.w, shape.c])
            }
            false => self.operand(plan, &step.output),
        };
        let negative = |act| if act == Act::Relu { 0.0 } else { 1.0 };
        let op = match step.kind {
            Kind::Conv { conv, scale } => LayerOp::Conv {
                layer: weights.layer(&step.name),
                kernel: conv.kernel,
                stride: conv.stride,
                pad: conv.pad,
                scale,
                residual: other,
                division: self.division(conv, step),
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

    fn division(&self, conv: Conv, step: &Step) -> Division {
        let work = work(conv, step, self.n);
        // Its share of the multiprocessors is as large as its share of the launch's work.
        let share = work.products() as f32 / self.products as f32;
        if let Some(clusters) = self.clusters {
            let of_item = Work { pixels: work.pixels / self.n, ..work };
            return match self.fixed.filter(|fixed| TOWER_TILES.contains(&fixed.tile)) {
                Some(fixed) => Division { splits: 1, ..fixed },
                None => choose_for_teams(of_item, clusters, share),
            };
        }
        let Some(fixed) = self.fixed else {
            return choose(work, self.multiprocessors as f32 * share);
        };
        Division { splits: fixed.splits.clamp(1, work.steps()), ..fixed }
    }

    fn operand(&self, plan: &Plan, view: &View) -> Operand {
        let region = self.regions[view.buffer];
        let size = [view.shape.h, view.shape.w, view.shape.c];
        if view.buffer == INPUT {
            let [h, w, c] = size;
            return Operand::dense(region, [h, w, c.next_multiple_of(EIGHT)]);
        }
        let (offset, item, stride) = (view.offset, plan.buffers[view.buffer], view.stride);
        Operand { region, offset, item, stride, size }
    }
}
