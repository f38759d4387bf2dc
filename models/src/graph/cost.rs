//! What a network costs, from its shapes alone: the tensors it needs, its parameters, its arithmetic.
//!
//! Refuses to count what no table counts: pools, norms and sums of two values, which read memory more than they compute.

use std::iter::Sum;

use super::{Act, Graph, Node, Op};

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

/// What one value costs to make for one item; zeros where a value has no weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Weights, biases and slopes.
    pub parameters: usize,
    /// Multiply-accumulates.
    pub macs: usize,
    /// Multiply-accumulates, and an addition of a bias, each as one: how Table 3 of "Face Recognition Based on MTCNN and
    /// FaceNet" (and FaceNet's own Table 1) counts FLOPs.
    pub flops: usize,
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |a, b| Self {
            parameters: a.parameters + b.parameters,
            macs: a.macs + b.macs,
            flops: a.flops + b.flops,
        })
    }
}

impl Graph {
    /// The tensors that the network needs, in the order of its layers.
    pub fn weights(&self) -> impl Iterator<Item = WeightSpec> + '_ {
        self.nodes.iter().flat_map(|node| self.node_weights(node))
    }

    /// What each value costs, in the graph's order.
    pub fn costs(&self) -> impl Iterator<Item = Cost> + '_ {
        self.nodes.iter().map(|node| {
            let specs = self.node_weights(node);
            let of = |kind: &str| {
                let named = specs.iter().filter(|spec| spec.name.ends_with(kind));
                named.map(WeightSpec::len).sum::<usize>()
            };
            // Each weight is multiplied, and each bias added, once at each position.
            let (weights, biases) = (of(".weight"), of(".bias"));
            let pixels = node.shape.pixels();
            Cost {
                parameters: specs.iter().map(WeightSpec::len).sum(),
                macs: weights * pixels,
                flops: (weights + biases) * pixels,
            }
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
}
