//! The plan: a graph as steps over few buffers, the same for every engine.
//!
//! Owns where each value lies and when its room is free again. Refuses to compute and to know an instruction set.
//!
//! Terms: a *buffer* is a run of floats for one item, reused as soon as nothing reads it any more; buffer
//! [`INPUT`] is the caller's input and is never written. A *view* is a value's place: buffer, channel offset, and the
//! distance between neighbouring pixels. A concatenation costs nothing: its parts are written straight into their
//! channels, with the joint value's pixel distance. A *level* is a run of steps that read nothing of each other's: an
//! engine may do them at the same time.

use std::fmt;
use std::ops::Range;

use crate::graph::{Act, Conv, Graph, LocalNorm, Node, Op, Pool, Shape, ValueId};

/// The buffer that holds the caller's input.
pub const INPUT: usize = 0;

/// Where a value lies in its buffer: value (y, x, c) of an item stands at `offset + (y * w + x) * stride + c`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Which buffer; [`INPUT`] is the caller's.
    pub buffer: usize,
    /// First channel's place within a pixel.
    pub offset: usize,
    /// Floats from one pixel to the next.
    pub stride: usize,
    /// Shape of one item.
    pub shape: Shape,
}

impl View {
    /// Whether the pixels follow each other without a gap.
    #[must_use]
    pub const fn is_dense(&self) -> bool {
        self.stride == self.shape.c
    }

    /// Floats from one item to the next.
    #[must_use]
    pub const fn item(&self) -> usize {
        self.stride * self.shape.pixels()
    }
}

/// What a step does with its inputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// act(residual + scale * (conv(first input) + bias)); the residual is the second input, where there is one. A
    /// dense layer is a 1 x 1 convolution over one pixel that holds all its input.
    Conv {
        /// The convolution.
        conv: Conv,
        /// Factor of the sum.
        scale: f32,
    },
    /// A pool.
    Pool(Pool),
    /// Mean over positions.
    GlobalAverage,
    /// Sum of two inputs, extended with zeros.
    Add {
        /// What follows the sum.
        act: Act,
    },
    /// The input elsewhere: a part of a concatenation that could not be written there at once.
    Copy,
    /// Local response normalisation across channels.
    LocalNorm(LocalNorm),
    /// The largest of each `pieces` neighbouring channels.
    Maxout {
        /// Channels of which one comes out.
        pieces: usize,
    },
    /// Softmax over channels.
    Softmax,
    /// Unit length over channels.
    L2Norm,
}

/// One step: reads its inputs, writes its output, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The value's name; a layer's weights go by it.
    pub name: String,
    /// What is done.
    pub kind: Kind,
    /// Where the inputs lie.
    pub inputs: Vec<View>,
    /// Where the output goes.
    pub output: View,
}

/// A network's steps and its buffers' sizes.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The network's name.
    pub name: &'static str,
    /// In the order to run.
    pub steps: Vec<Step>,
    /// The steps of each level, all of them in order. One step a level, unless made by [`Plan::by_levels`].
    pub levels: Vec<Range<usize>>,
    /// Floats of each buffer for one item; that of [`INPUT`] is the input's length.
    pub buffers: Vec<usize>,
    /// Where the outputs lie after the last step: dense, each in a buffer of its own.
    pub outputs: Vec<(&'static str, View)>,
}

impl Plan {
    /// Lowers a graph: dense layers to convolutions, concatenations to channel offsets, values to buffers. One step after
    /// the other, in few buffers.
    #[must_use]
    pub fn new(graph: &Graph) -> Self {
        let homes = homes(graph);
        Self::timed(graph, &homes, &(0..graph.nodes().len()).collect::<Vec<_>>())
    }

    /// The same with as few levels as the graph allows: each step stands in the first in which all that it reads is there.
    /// No step of a level writes where another one reads or writes, so the buffers are a few more.
    #[must_use]
    pub fn by_levels(graph: &Graph) -> Self {
        let homes = homes(graph);
        Self::timed(graph, &homes, &depths(graph, &homes))
    }

    /// The plan in which the value `id` is made at `times[id]`; values of one time are a level.
    fn timed(graph: &Graph, homes: &Homes, times: &[usize]) -> Self {
        let mut lives = lives(graph, homes, times);
        let mut buffers = vec![graph.shape(graph.input()).len()];
        let (mut steps, mut levels) = (Vec::new(), Vec::new());
        let end = times.iter().max().map_or(0, |last| last + 1);
        for time in 0..end {
            let first = steps.len();
            lives.open(time, &mut buffers);
            for (id, node) in graph.nodes().iter().enumerate().filter(|&(id, _)| times[id] == time)
            {
                lower(graph, id, node, homes, &lives, &mut steps);
            }
            lives.close(time);
            if steps.len() > first {
                levels.push(first..steps.len());
            }
        }
        let place = |id| view(graph, id, homes, &lives);
        let outputs = graph.outputs().iter().map(|&(name, id)| (name, place(id))).collect();
        Self { name: graph.name(), steps, levels, buffers, outputs }
    }

    /// Bytes of activations for one item, beside the caller's input.
    #[must_use]
    pub fn peak_bytes(&self) -> usize {
        self.buffers[INPUT + 1..].iter().sum::<usize>() * size_of::<f32>()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let Shape { h, w, c } = step.output.shape;
            let View { buffer, offset, stride, .. } = step.output;
            writeln!(f, "{:32} {h:4} x {w:4} x {c:4} -> {buffer}[{offset}/{stride}]", step.name)?;
        }
        let buffers = self.buffers.len() - 1;
        write!(f, "{} steps, {buffers} buffers, {} bytes", self.steps.len(), self.peak_bytes())
    }
}

/// Where each value lives: itself, or a concatenation's channels from an offset on.
type Homes = Vec<Option<(ValueId, usize)>>;

fn homes(graph: &Graph) -> Homes {
    let mut homes: Homes = vec![None; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        let mut offset = 0;
        for &part in node.inputs.iter().filter(|_| node.op == Op::Concat) {
            if homes[part].is_none() && may_move(graph, part) {
                homes[part] = Some((id, offset));
            }
            offset += graph.shape(part).c;
        }
    }
    homes
}

/// Whether a value may lie spread out among another's channels: not the caller's input, not an output (those are
/// handed out dense), and not what a dense layer flattens.
fn may_move(graph: &Graph, id: ValueId) -> bool {
    let flattened = |node: &Node| matches!(node.op, Op::Dense { .. }) && node.inputs.contains(&id);
    id != graph.input()
        && graph.outputs().iter().all(|&(_, output)| output != id)
        && !graph.nodes().iter().any(flattened)
}

fn home(homes: &Homes, id: ValueId) -> (ValueId, usize) {
    match homes[id] {
        None => (id, 0),
        Some((parent, offset)) => {
            let (root, above) = home(homes, parent);
            (root, above + offset)
        }
    }
}

/// For each value the longest way of steps to it from the input.
fn depths(graph: &Graph, homes: &Homes) -> Vec<usize> {
    let mut depths = vec![0; graph.nodes().len()];
    for (id, node) in graph.nodes().iter().enumerate() {
        let reads = node.inputs.iter().map(|&input| depths[input]).max();
        // A concatenation is there with the last of its parts, unless one must be copied.
        let mut offset = 0;
        let copies = node.inputs.iter().any(|&part| {
            let place = (id, offset);
            offset += graph.shape(part).c;
            homes[part] != Some(place)
        });
        let steps = node.op != Op::Concat || copies;
        depths[id] = reads.map_or(0, |depth| depth + usize::from(steps));
    }
    depths
}

/// The lives of the values that have a buffer of their own, and the buffers that are free right now.
struct Lives {
    first: Vec<usize>,
    last: Vec<usize>,
    len: Vec<usize>,
    buffer: Vec<usize>,
    free: Vec<usize>,
}

fn lives(graph: &Graph, homes: &Homes, times: &[usize]) -> Lives {
    let n = graph.nodes().len();
    let (mut first, mut last) = (vec![usize::MAX; n], vec![0; n]);
    for (id, node) in graph.nodes().iter().enumerate() {
        let (root, _) = home(homes, id);
        first[root] = first[root].min(times[id]);
        last[root] = last[root].max(times[id]);
        for &input in &node.inputs {
            let (root, _) = home(homes, input);
            last[root] = last[root].max(times[id]);
        }
    }
    for &(_, id) in graph.outputs() {
        last[home(homes, id).0] = usize::MAX;
    }
    let len = graph.nodes().iter().map(|node| node.shape.len()).collect();
    Lives { first, last, len, buffer: vec![INPUT; n], free: vec![] }
}

impl Lives {
    /// Gives a buffer to each value whose life begins at this time: the tightest free one, else the largest free one
    /// grown, else a further one.
    fn open(&mut self, time: usize, buffers: &mut Vec<usize>) {
        // The input keeps the caller's buffer; a value that lives in another has no life of its own.
        for root in (1..self.first.len()).filter(|&root| self.first[root] == time) {
            let need = self.len[root];
            let free = || self.free.iter().copied();
            let tightest = free().filter(|&b| buffers[b] >= need).min_by_key(|&b| buffers[b]);
            let chosen = tightest.or_else(|| free().max_by_key(|&b| buffers[b]));
            self.buffer[root] = match chosen {
                Some(buffer) => {
                    self.free.retain(|&b| b != buffer);
                    buffers[buffer] = buffers[buffer].max(need);
                    buffer
                }
                None => {
                    buffers.push(need);
                    buffers.len() - 1
                }
            };
        }
    }

    /// Frees the buffers whose last reader was at this time.
    fn close(&mut self, time: usize) {
        let ended = |&root: &usize| self.last[root] == time && self.first[root] != usize::MAX;
        self.free.extend((1..self.last.len()).filter(ended).map(|root| self.buffer[root]));
    }
}

fn view(graph: &Graph, id: ValueId, homes: &Homes, lives: &Lives) -> View {
    let (root, offset) = home(homes, id);
    let (shape, stride) = (graph.shape(id), graph.shape(root).c);
    View { buffer: lives.buffer[root], offset, stride, shape }
}

fn lower(
    graph: &Graph,
    id: ValueId,
    node: &Node,
    homes: &Homes,
    lives: &Lives,
    steps: &mut Vec<Step>,
) {
    let place = |id| view(graph, id, homes, lives);
    let output = place(id);
    let inputs: Vec<View> = node.inputs.iter().map(|&input| place(input)).collect();
    let mut push = |kind, inputs, output| {
        steps.push(Step { name: node.name.clone(), kind, inputs, output });
    };
    match node.op {
        Op::Input => {}
        Op::Conv { conv, scale } => push(Kind::Conv { conv, scale }, inputs, output),
        Op::Dense { out, bias, act } => {
            let c = inputs[0].shape.len();
            let flat = View { stride: c, shape: Shape { h: 1, w: 1, c }, ..inputs[0] };
            let conv = Conv { bias, act, ..Conv::new(out, 1, 1) };
            push(Kind::Conv { conv, scale: 1.0 }, vec![flat], output);
        }
        Op::Pool(pool) => push(Kind::Pool(pool), inputs, output),
        Op::GlobalAverage => push(Kind::GlobalAverage, inputs, output),
        Op::Add { act } => push(Kind::Add { act }, inputs, output),
        Op::LocalNorm(norm) => push(Kind::LocalNorm(norm), inputs, output),
        Op::Maxout { pieces } => push(Kind::Maxout { pieces }, inputs, output),
        Op::Softmax => push(Kind::Softmax, inputs, output),
        Op::L2Norm => push(Kind::L2Norm, inputs, output),
        Op::Concat => {
            let mut offset = output.offset;
            for (&part, from) in node.inputs.iter().zip(inputs) {
                if homes[part] != Some((id, offset - output.offset)) {
                    let to = View { offset, shape: from.shape, ..output };
                    push(Kind::Copy, vec![from], to);
                }
                offset += graph.shape(part).c;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net;

    /// Every network: the cascade's, the embedders with weights, and the paper's.
    fn networks() -> Vec<Graph> {
        vec![
            net::pnet(37, 23),
            net::rnet(),
            net::onet(),
            net::net12(),
            net::net24(),
            net::net48(),
            net::inception_resnet_v1(),
            net::dlib_resnet29(),
            net::nn1(),
            net::nn2(),
            net::nn3(),
        ]
    }

    /// Runs the plan with values' names instead of values: every step must find those that the graph means it to read. The
    /// steps come in this order.
    fn check(graph: &Graph, plan: &Plan, order: impl Iterator<Item = usize>) {
        /// The value, and which of its cells.
        type Name = (ValueId, usize);
        const NOTHING: Name = (usize::MAX, 0);
        let mut cells: Vec<Vec<Name>> =
            plan.buffers.iter().map(|&len| vec![NOTHING; len]).collect();
        let cell =
            |view: &View, i: usize| view.offset + i / view.shape.c * view.stride + i % view.shape.c;
        let input = plan.buffers[INPUT];
        cells[INPUT] = (0..input).map(|i| (graph.input(), i)).collect();
        let steps = order.map(|at| &plan.steps[at]);
        for step in steps.filter(|step| step.kind != Kind::Copy) {
            let id = graph.find(&step.name).expect("a step is named after its value");
            for (view, &from) in step.inputs.iter().zip(&graph.nodes()[id].inputs) {
                // A concatenation is made by its parts.
                if graph.nodes()[from].op == Op::Concat {
                    continue;
                }
                for i in 0..view.shape.len() {
                    let found = cells[view.buffer][cell(view, i)];
                    let from_name = &graph.nodes()[from].name;
                    assert_eq!(found, (from, i), "{} reads {from_name}", step.name);
                }
            }
            for i in 0..step.output.shape.len() {
                cells[step.output.buffer][cell(&step.output, i)] = (id, i);
            }
        }
        for &(name, view) in &plan.outputs {
            assert!(view.is_dense(), "{name} is handed out dense");
        }
    }

    #[test]
    fn every_step_reads_what_the_graph_means() {
        for graph in networks() {
            let plan = Plan::new(&graph);
            check(&graph, &plan, 0..plan.steps.len());
            assert!(plan.levels.iter().all(|level| level.len() == 1));
        }
    }

    #[test]
    fn a_part_that_is_copied_is_made_before() {
        let mut g = Graph::new("twice", Shape { h: 4, w: 4, c: 8 });
        let a = g.conv("a", g.input(), Conv::new(8, 1, 1));
        let cat = g.concat("cat", &[a, a]);
        let y = g.dense("y", cat, 8, false, Act::None);
        g.output("y", y);
        let plan = Plan::by_levels(&g);
        let kinds = plan.levels.iter().map(|level| plan.steps[level.clone()].len());
        assert_eq!((kinds.collect::<Vec<_>>(), plan.steps.len()), (vec![1; 3], 3), "{plan}");
    }

    #[test]
    fn the_steps_of_a_level_may_come_in_any_order() {
        for graph in networks() {
            let plan = Plan::by_levels(&graph);
            check(&graph, &plan, 0..plan.steps.len());
            let backwards = plan.levels.iter().flat_map(|level| level.clone().rev());
            check(&graph, &plan, backwards);
            let one_by_one = Plan::new(&graph);
            assert!(plan.peak_bytes() <= 2 * one_by_one.peak_bytes(), "{plan}");
            assert_eq!(plan.steps.len(), one_by_one.steps.len());
        }
        // Seven of the stem, three of each reduction, four of each of 21 blocks; the mean, the dense layer, the norm.
        assert_eq!(Plan::by_levels(&net::inception_resnet_v1()).levels.len(), 100);
    }

    /// Bytes of the values that a step reads or that a later one will, at the step where they are most: no plan that keeps
    /// values apart does with less.
    fn least_bytes(graph: &Graph) -> usize {
        let n = graph.nodes().len();
        let mut last: Vec<usize> = (0..n).collect();
        for (id, node) in graph.nodes().iter().enumerate() {
            node.inputs.iter().for_each(|&input| last[input] = id);
        }
        graph.outputs().iter().for_each(|&(_, id)| last[id] = n);
        let live = |step: usize| {
            let held = (1..=step).filter(|&id| last[id] >= step);
            // A concatenation's parts are the concatenation.
            let held = held.filter(|&id| graph.nodes()[step].op != Op::Concat || id == step);
            held.map(|id| graph.shape(id).len()).sum::<usize>()
        };
        (1..n).map(live).max().unwrap_or(0) * size_of::<f32>()
    }

    #[test]
    fn buffers_are_used_again_as_soon_as_nothing_reads_them() {
        for graph in networks() {
            let (plan, least) = (Plan::new(&graph), least_bytes(&graph));
            let peak = plan.peak_bytes();
            // At most a third more is what the greedy choice costs: a small value in a large buffer.
            assert!(peak * 3 <= least * 4, "{}: {peak} where {least} do\n{plan}", graph.name());
        }
    }

    #[test]
    fn concatenations_cost_no_step_and_little_memory() {
        let graph = net::inception_resnet_v1();
        let plan = Plan::new(&graph);
        assert!(plan.steps.iter().all(|step| step.kind != Kind::Copy));
        // The stem's widest moment, 77 x 77 x 32 beside 77 x 77 x 64, is 2.3 MB; nothing later may exceed it much.
        assert!(plan.peak_bytes() < 3_200_000, "{plan}");
    }
}
