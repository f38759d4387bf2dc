//! The graph: a network as values in order, each made by one operation from earlier ones.
//!
//! Owns the operations, shape inference and what follows from shapes alone: the weights a network needs, its
//! parameters and its multiply-accumulates. Refuses to hold weights or to compute: [`crate::plan`] lowers a graph, an
//! engine runs the plan.
//!
//! Terms: a *shape* is that of one item (height, width, channels; memory order N, H, W, C). A *layer* is a node that
//! has weights, named as the weights are. Definitions are code, not input, so a definition that does not fit together
//! is a bug: the builder asserts, and every test that builds a network runs those assertions.

/// Height, width and channels of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Shape {
    /// Values in one item.
    #[must_use]
    pub const fn len(self) -> usize {
        self.h * self.w * self.c
    }

    /// Whether an item has no value at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Positions in one item.
    #[must_use]
    pub const fn pixels(self) -> usize {
        self.h * self.w
    }
}

/// What follows the sum of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Nothing.
    None,
    /// Negative values become zero.
    Relu,
    /// Negative values are multiplied by the channel's slope (weight `<layer>.slope`).
    PRelu,
}

/// A convolution as written in a definition; rows first in every pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Channels that come out.
    pub cout: usize,
    /// Kernel rows and columns.
    pub kernel: [usize; 2],
    /// Step, the same in both directions.
    pub stride: usize,
    /// Zeros around the input, rows and columns, the same on both sides.
    pub pad: [usize; 2],
    /// Whether there is a `<layer>.bias`.
    pub bias: bool,
    /// What follows the sum (and the residual, if one is added).
    pub act: Act,
}

impl Conv {
    /// A kernel of `kh` x `kw` with bias, stride 1, no padding, no activation.
    #[must_use]
    pub const fn new(cout: usize, kh: usize, kw: usize) -> Self {
        Self { cout, kernel: [kh, kw], stride: 1, pad: [0, 0], bias: true, act: Act::None }
    }

    /// The same with another step.
    #[must_use]
    pub const fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// The same with padding that keeps height and width at stride 1 (odd kernels).
    #[must_use]
    pub const fn same(self) -> Self {
        Self { pad: [self.kernel[0] / 2, self.kernel[1] / 2], ..self }
    }

    /// The same with another activation.
    #[must_use]
    pub const fn act(self, act: Act) -> Self {
        Self { act, ..self }
    }
}

/// What a pool takes of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The largest value.
    Max,
    /// The mean of the values inside the input.
    Average,
}

/// A pool over square windows; windows are clipped to the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Largest value or mean.
    pub kind: PoolKind,
    /// Side of the window.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
    /// Rows and columns outside the input that windows may cover, on each side.
    pub pad: usize,
    /// Whether a last window that sticks out of the input counts (torch's `ceil_mode`).
    pub ceil: bool,
}

impl Pool {
    /// Windows of `kernel`, `stride` apart, all inside the input.
    #[must_use]
    pub const fn new(kind: PoolKind, kernel: usize, stride: usize) -> Self {
        Self { kind, kernel, stride, pad: 0, ceil: false }
    }

    /// The same, but a last window that sticks out counts.
    #[must_use]
    pub const fn ceil(self) -> Self {
        Self { ceil: true, ..self }
    }

    fn side(&self, n: usize) -> usize {
        let room = n + 2 * self.pad - self.kernel;
        let up = if self.ceil { room.div_ceil(self.stride) } else { room / self.stride };
        // torch: the last window must begin inside the input or its left padding.
        if self.ceil && up * self.stride >= n + self.pad { up } else { up + 1 }
    }
}

/// One operation. Inputs stand in the [`Node`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Op {
    /// The network's input.
    Input,
    /// A layer `<name>.weight` `[cout, kh, kw, cin]`. With a second input, the residual: act(residual + scale * sum).
    Conv {
        /// The convolution.
        conv: Conv,
        /// Factor of the sum where a residual is added; 1 otherwise.
        scale: f32,
    },
    /// A layer `<name>.weight` `[out, h * w * cin]`, the input flattened in the order H, W, C.
    Dense {
        /// Values that come out.
        out: usize,
        /// Whether there is a `<name>.bias`.
        bias: bool,
        /// What follows the sum.
        act: Act,
    },
    /// Largest value or mean over windows.
    Pool(Pool),
    /// The mean over all positions, for each channel.
    GlobalAverage,
    /// The inputs' channels one after the other.
    Concat,
    /// The sum of two inputs, each extended with zeros at the end of rows, columns and channels to the larger of both
    /// (dlib's `add_prev`), then the activation.
    Add {
        /// What follows the sum; `PRelu` is refused here, since a sum has no weights.
        act: Act,
    },
    /// exp(x) / sum of exp over the channels of each position.
    Softmax,
    /// x / max(|x|, 1e-12) over the channels of each position.
    L2Norm,
}

/// A value's place in its graph.
pub type ValueId = usize;

/// One value: its name, what makes it, from what, and its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Its name; a layer's is that of its weights.
    pub name: String,
    /// What makes it.
    pub op: Op,
    /// From which earlier values.
    pub inputs: Vec<ValueId>,
    /// Shape of one item.
    pub shape: Shape,
}

/// The name and shape of one tensor that a network needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightSpec {
    /// `<layer>.weight`, `<layer>.bias` or `<layer>.slope`.
    pub name: String,
    /// Sizes, outermost first.
    pub shape: Vec<usize>,
}

impl WeightSpec {
    /// Values in the tensor.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the tensor has no value.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A network: values in an order in which each is made from earlier ones, the first being the input.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: &'static str,
    nodes: Vec<Node>,
    outputs: Vec<(&'static str, ValueId)>,
}

impl Graph {
    /// A graph that holds only its input, of that shape.
    #[must_use]
    pub fn new(name: &'static str, input: Shape) -> Self {
        let node = Node { name: "input".into(), op: Op::Input, inputs: vec![], shape: input };
        Self { name, nodes: vec![node], outputs: vec![] }
    }

    /// The network's name, as error messages give it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// All values, inputs before what is made from them.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The values that the network is asked for, by name.
    #[must_use]
    pub fn outputs(&self) -> &[(&'static str, ValueId)] {
        &self.outputs
    }

    /// The input's place.
    #[must_use]
    pub fn input(&self) -> ValueId {
        0
    }

    /// The shape of a value.
    #[must_use]
    pub fn shape(&self, value: ValueId) -> Shape {
        self.nodes[value].shape
    }

    /// The value of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<ValueId> {
        self.nodes.iter().position(|node| node.name == name)
    }

    /// Asks for one more value, under `name`.
    pub fn output(&mut self, name: &'static str, value: ValueId) {
        self.outputs.push((name, value));
    }

    /// A convolution.
    pub fn conv(&mut self, name: impl Into<String>, x: ValueId, conv: Conv) -> ValueId {
        let shape = self.conv_shape(x, conv);
        self.push(name, Op::Conv { conv, scale: 1.0 }, vec![x], shape)
    }

    /// A convolution added to `residual`: act(residual + scale * (conv(x) + bias)).
    pub fn conv_residual(
        &mut self,
        name: impl Into<String>,
        x: ValueId,
        conv: Conv,
        scale: f32,
        residual: ValueId,
    ) -> ValueId {
        let shape = self.conv_shape(x, conv);
        assert_eq!(shape, self.shape(residual), "a residual has the shape of the sum");
        self.push(name, Op::Conv { conv, scale }, vec![x, residual], shape)
    }

    /// A dense layer over the flattened input.
    pub fn dense(
        &mut self,
        name: impl Into<String>,
        x: ValueId,
        out: usize,
        bias: bool,
        act: Act,
    ) -> ValueId {
        self.push(name, Op::Dense { out, bias, act }, vec![x], Shape { h: 1, w: 1, c: out })
    }

    /// A pool.
    pub fn pool(&mut self, name: impl Into<String>, x: ValueId, pool: Pool) -> ValueId {
        let Shape { h, w, c } = self.shape(x);
        assert!(h + 2 * pool.pad >= pool.kernel && w + 2 * pool.pad >= pool.kernel, "window fits");
        self.push(name, Op::Pool(pool), vec![x], Shape { h: pool.side(h), w: pool.side(w), c })
    }

    /// The mean over all positions.
    pub fn global_average(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        let c = self.shape(x).c;
        self.push(name, Op::GlobalAverage, vec![x], Shape { h: 1, w: 1, c })
    }

    /// Channels one after the other.
    pub fn concat(&mut self, name: impl Into<String>, parts: &[ValueId]) -> ValueId {
        let Shape { h, w, .. } = self.shape(parts[0]);
        let c = parts.iter().map(|&part| self.shape(part).c).sum();
        assert!(parts.iter().all(|&part| (self.shape(part).h, self.shape(part).w) == (h, w)));
        self.push(name, Op::Concat, parts.to_vec(), Shape { h, w, c })
    }

    /// A sum with zero-extension, then the activation.
    pub fn add(&mut self, name: impl Into<String>, a: ValueId, b: ValueId, act: Act) -> ValueId {
        assert_ne!(act, Act::PRelu, "a sum has no weights");
        let (s, t) = (self.shape(a), self.shape(b));
        let shape = Shape { h: s.h.max(t.h), w: s.w.max(t.w), c: s.c.max(t.c) };
        self.push(name, Op::Add { act }, vec![a, b], shape)
    }

    /// Softmax over channels.
    pub fn softmax(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        self.push(name, Op::Softmax, vec![x], self.shape(x))
    }

    /// Unit length over channels.
    pub fn l2_norm(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        self.push(name, Op::L2Norm, vec![x], self.shape(x))
    }

    /// The tensors that the network needs, in the order of its layers.
    pub fn weights(&self) -> impl Iterator<Item = WeightSpec> + '_ {
        self.nodes.iter().flat_map(|node| self.node_weights(node))
    }

    /// For each layer: its name, its parameters, its multiply-accumulates for one item.
    pub fn costs(&self) -> impl Iterator<Item = LayerCost<'_>> {
        self.nodes.iter().filter_map(|node| {
            let specs = self.node_weights(node);
            let weight = specs.first()?;
            let parameters = specs.iter().map(WeightSpec::len).sum();
            Some(LayerCost {
                name: &node.name,
                parameters,
                macs: weight.len() * node.shape.pixels(),
            })
        })
    }

    fn node_weights(&self, node: &Node) -> Vec<WeightSpec> {
        let (weight, cout, bias, act) = match node.op {
            Op::Conv { conv, .. } => {
                let [kh, kw] = conv.kernel;
                let shape = vec![conv.cout, kh, kw, self.shape(node.inputs[0]).c];
                (shape, conv.cout, conv.bias, conv.act)
            }
            Op::Dense { out, bias, act } => {
                (vec![out, self.shape(node.inputs[0]).len()], out, bias, act)
            }
            _ => return vec![],
        };
        let spec = |kind: &str, shape| WeightSpec { name: format!("{}.{kind}", node.name), shape };
        let mut specs = vec![spec("weight", weight)];
        if bias {
            specs.push(spec("bias", vec![cout]));
        }
        if act == Act::PRelu {
            specs.push(spec("slope", vec![cout]));
        }
        specs
    }

    fn conv_shape(&self, x: ValueId, conv: Conv) -> Shape {
        let input = self.shape(x);
        let side = |n: usize, i: usize| {
            assert!(n + 2 * conv.pad[i] >= conv.kernel[i], "the kernel fits into its input");
            (n + 2 * conv.pad[i] - conv.kernel[i]) / conv.stride + 1
        };
        Shape { h: side(input.h, 0), w: side(input.w, 1), c: conv.cout }
    }

    fn push(
        &mut self,
        name: impl Into<String>,
        op: Op,
        inputs: Vec<ValueId>,
        shape: Shape,
    ) -> ValueId {
        assert!(inputs.iter().all(|&input| input < self.nodes.len()), "inputs come first");
        self.nodes.push(Node { name: name.into(), op, inputs, shape });
        self.nodes.len() - 1
    }
}

/// What one layer holds and does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerCost<'a> {
    /// The layer's name.
    pub name: &'a str,
    /// Its parameters: weights, biases, slopes.
    pub parameters: usize,
    /// Its multiply-accumulates for one item.
    pub macs: usize,
}
