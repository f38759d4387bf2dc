//! The graph: a network as values in order, each made by one operation from earlier ones.
//!
//! Owns the operations, shape inference and what follows from shapes alone: the weights a network needs, its
//! parameters and its multiply-accumulates, and its definition as JSON for other runtimes. Refuses to hold weights or to
//! compute: [`crate::plan`] lowers a graph, an engine runs the plan.
//!
//! Terms: a *shape* is that of one item (height, width, channels; memory order N, H, W, C). A *layer* is a node that
//! has weights, named as the weights are. Definitions are code, not input, so a definition that does not fit together
//! is a bug: the builder asserts, and every test that builds a network runs those assertions.

mod cost;
mod json;
mod op;

pub use cost::{Cost, WeightSpec};
pub use json::definition;
pub use op::{Act, Conv, LocalNorm, Op, Pool, PoolKind, Shape};

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

    /// Local response normalisation across channels.
    pub fn local_norm(&mut self, name: impl Into<String>, x: ValueId, norm: LocalNorm) -> ValueId {
        assert!(norm.size > 0, "a channel is its own neighbour");
        self.push(name, Op::LocalNorm(norm), vec![x], self.shape(x))
    }

    /// The largest of each `pieces` neighbouring channels.
    pub fn maxout(&mut self, name: impl Into<String>, x: ValueId, pieces: usize) -> ValueId {
        let Shape { h, w, c } = self.shape(x);
        assert!(pieces > 0 && c % pieces == 0, "channels come in groups of {pieces}");
        self.push(name, Op::Maxout { pieces }, vec![x], Shape { h, w, c: c / pieces })
    }

    /// Softmax over channels.
    pub fn softmax(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        self.push(name, Op::Softmax, vec![x], self.shape(x))
    }

    /// Unit length over channels.
    pub fn l2_norm(&mut self, name: impl Into<String>, x: ValueId) -> ValueId {
        self.push(name, Op::L2Norm, vec![x], self.shape(x))
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
