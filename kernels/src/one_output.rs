//! Networks with classes and boxes for outputs, as the embedders' kernels run them: to time the paper's Table 1 on a device.
//!
//! Owns what is changed, which is no work to speak of: the softmax of two classes is left out, the layers that give the outputs
//! become one, and channels are filled up to eights. Refuses to be an engine: a network so changed has no weights but drawn ones.

use crate::launch::EIGHT;
use threshold_models::graph::{Conv, Graph, Op, ValueId};

/// A network of convolutions, pools, norms and dense layers whose outputs come from one value, as one with a single output, all of
/// them one behind the other.
///
/// # Panics
/// If it has other steps, or outputs of several values.
#[must_use]
pub fn one_output(graph: &Graph) -> Graph {
    let nodes = graph.nodes();
    // The layers that give the outputs; a softmax has one input.
    let heads: Vec<ValueId> = graph
        .outputs()
        .iter()
        .map(|&(_, id)| if nodes[id].op == Op::Softmax { nodes[id].inputs[0] } else { id })
        .collect();
    let mut one = Graph::new(graph.name(), graph.shape(graph.input()));
    let mut ids = vec![one.input()];
    for (id, node) in nodes.iter().enumerate().skip(1) {
        let (name, x) = (node.name.clone(), ids[node.inputs[0]]);
        let made = match node.op {
            // Its place is taken by what all heads become.
            _ if heads.contains(&id) || node.op == Op::Softmax => x,
            Op::Conv { conv, .. } => one.conv(name, x, Conv { cout: filled(conv.cout), ..conv }),
            Op::Dense { out, bias, act } => one.dense(name, x, filled(out), bias, act),
            Op::Pool(pool) => one.pool(name, x, pool),
            Op::LocalNorm(norm) => one.local_norm(name, x, norm),
            ref other => panic!("{} has {other:?}", graph.name()),
        };
        ids.push(made);
    }
    let from = nodes[heads[0]].inputs[0];
    assert!(heads.iter().all(|&head| nodes[head].inputs == [from]), "{}: one value", graph.name());
    let channels = filled(heads.iter().map(|&head| graph.shape(head).c).sum());
    let output = match nodes[heads[0]].op {
        Op::Conv { conv, .. } => one.conv("heads", ids[from], Conv { cout: channels, ..conv }),
        Op::Dense { bias, act, .. } => one.dense("heads", ids[from], channels, bias, act),
        ref other => panic!("{} ends in {other:?}", graph.name()),
    };
    one.output("heads", output);
    one
}

fn filled(channels: usize) -> usize {
    channels.next_multiple_of(EIGHT)
}
