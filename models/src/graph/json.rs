//! A graph as JSON: its definition for other runtimes, with what each value costs.
//!
//! Owns the keys, which docs/json.md lists (`model layers`). Refuses to read them back: definitions are code.

use serde_json::{Value, json};

use super::{Act, Cost, Graph, Op};

/// The definition of a network: `name`, `nodes` (each with `name`, `inputs`, `shape`, `op`, `parameters`, `macs` and
/// `flops`), `outputs`, and the totals. Numbers of `inputs` and `outputs` count nodes from 0.
#[must_use]
pub fn definition(graph: &Graph) -> Value {
    let nodes = graph.nodes().iter().zip(graph.costs()).map(|(node, cost)| {
        let Cost { parameters, macs, flops } = cost;
        let shape = [node.shape.h, node.shape.w, node.shape.c];
        json!({ "name": node.name, "inputs": node.inputs, "shape": shape, "op": op(&node.op),
            "parameters": parameters, "macs": macs, "flops": flops })
    });
    let nodes: Vec<Value> = nodes.collect();
    let outputs: Vec<usize> = graph.outputs().iter().map(|&(_, value)| value).collect();
    let Cost { parameters, macs, flops } = graph.costs().sum();
    json!({ "name": graph.name(), "nodes": nodes, "outputs": outputs,
        "parameters": parameters, "macs": macs, "flops": flops })
}

fn op(op: &Op) -> Value {
    let act = |act: Act| format!("{act:?}");
    match *op {
        Op::Input => json!({ "op": "input" }),
        Op::Conv { conv, scale } => {
            json!({ "op": "conv", "kernel": conv.kernel, "stride": conv.stride, "pad": conv.pad,
                "bias": conv.bias, "act": act(conv.act), "scale": scale })
        }
        Op::Dense { bias, act: a, .. } => json!({ "op": "dense", "bias": bias, "act": act(a) }),
        Op::Pool(p) => {
            json!({ "op": "pool", "kind": format!("{:?}", p.kind), "kernel": p.kernel,
                "stride": p.stride, "pad": p.pad, "ceil": p.ceil })
        }
        Op::GlobalAverage => json!({ "op": "mean" }),
        Op::Concat => json!({ "op": "concat" }),
        Op::Add { act: a } => json!({ "op": "add", "act": act(a) }),
        Op::LocalNorm(norm) => {
            json!({ "op": "local_norm", "size": norm.size, "alpha": norm.alpha, "beta": norm.beta,
                "k": norm.k })
        }
        Op::Maxout { pieces } => json!({ "op": "maxout", "pieces": pieces }),
        Op::Softmax => json!({ "op": "softmax" }),
        Op::L2Norm => json!({ "op": "l2_norm" }),
    }
}
