//! `threshold model layers`: a network as the paper's Table 3 shows one, layer by layer, and what its plan takes.
//!
//! Owns the words and columns. Refuses to count: shapes, parameters and FLOPs are `threshold_models::graph`'s, steps and
//! buffers `threshold_models::plan`'s. Needs no pack: weights have no part in any of it.

use super::Answer;
use crate::args::{self, NetworkName};
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use clap::ValueEnum;
use serde_json::{Value, json};
use threshold_models::graph::{Cost, Graph, Op, Shape, definition};
use threshold_models::net::{self, PNET_CELL_PX};
use threshold_models::plan::{INPUT, Plan};

/// Columns that hold numbers, from this one on.
const NUMBERS: usize = 3;

/// Shows a network's layers.
///
/// # Errors
/// [`HostError::FixedSize`] for a size beside a network that takes crops.
pub fn run(meant: &Meant, typed: &args::Layers) -> anyhow::Result<Answer> {
    let name = typed.network.to_possible_value().map_or_else(String::new, |v| v.get_name().into());
    let graph = graph(typed.network, typed.size.unwrap_or((PNET_CELL_PX, PNET_CELL_PX)));
    if typed.size.is_some() && typed.network != NetworkName::Pnet {
        let Shape { h, w, .. } = graph.shape(graph.input());
        return Err(HostError::FixedSize { network: name, input: format!("{w}x{h}") }.into());
    }
    let plan = Plan::new(&graph);
    meant.say.result(&value(&name, &graph, &plan), || text(&graph, &plan))?;
    Ok(Answer::Yes)
}

/// The network of that name; the size is P-Net's level, the others' inputs are fixed.
pub(super) fn graph(network: NetworkName, (w, h): (usize, usize)) -> Graph {
    match network {
        NetworkName::Pnet => net::pnet(h, w),
        NetworkName::Rnet => net::rnet(),
        NetworkName::Onet => net::onet(),
        NetworkName::Facenet => net::inception_resnet_v1(),
        NetworkName::Dlib => net::dlib_resnet29(),
        NetworkName::Nn1 => net::nn1(),
        NetworkName::Nn2 => net::nn2(),
        NetworkName::Nn3 => net::nn3(),
        NetworkName::Net12 => net::net12(),
        NetworkName::Net24 => net::net24(),
        NetworkName::Net48 => net::net48(),
    }
}

fn value(name: &str, graph: &Graph, plan: &Plan) -> Value {
    let mut value = definition(graph);
    value["network"] = json!(name);
    value["steps"] = json!(plan.steps.len());
    value["buffers"] = json!(buffers(plan));
    value["activation_bytes"] = json!(plan.peak_bytes());
    value
}

/// Buffers beside the caller's input.
fn buffers(plan: &Plan) -> usize {
    plan.buffers.len() - (INPUT + 1)
}

fn text(graph: &Graph, plan: &Plan) -> String {
    let size = |Shape { h, w, c }: Shape| format!("{h}x{w}x{c}");
    let numbers = |cost: Cost| [grouped(cost.parameters), grouped(cost.flops)];
    let layers = graph.nodes().iter().zip(graph.costs()).filter(|(node, _)| node.op != Op::Input);
    let mut rows: Vec<Vec<String>> = layers
        .map(|(node, cost)| {
            let mut row = vec![node.name.clone(), node.op.to_string(), size(node.shape)];
            row.extend(numbers(cost));
            row
        })
        .collect();
    let total: Cost = graph.costs().sum();
    let mut last = vec!["total".to_owned(), String::new(), String::new()];
    last.extend(numbers(total));
    rows.push(last);
    let mut head = ["layer", "kind", "size out", "parameters", "FLOPs"].map(str::to_owned);
    // Numbers stand under each other's ends.
    for column in NUMBERS..head.len() {
        let cells = || rows.iter().map(|row| row[column].len());
        let width = cells().chain([head[column].len()]).max().unwrap_or(0);
        let align = |cell: &mut String| *cell = format!("{cell:>width$}");
        rows.iter_mut().for_each(|row| align(&mut row[column]));
        align(&mut head[column]);
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    format!(
        "{}, input {} (height x width x channels)\n\
         FLOPs as the paper counts them: a multiply-accumulate is one, a bias added is one\n\n{}\n\n\
         plan: {} steps, {} buffers, {} bytes of activations for one item",
        graph.name(),
        size(graph.shape(graph.input())),
        table(&head, &rows),
        plan.steps.len(),
        buffers(plan),
        grouped(plan.peak_bytes()),
    )
}

/// A number with a comma between its thousands.
pub(super) fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.char_indices() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (140_025_664, "140,025,664")] {
            assert_eq!(grouped(n), text);
        }
    }

    #[test]
    fn nn1_is_shown_as_the_papers_table() {
        let graph = graph(NetworkName::Nn1, (12, 12));
        let text = text(&graph, &Plan::new(&graph));
        let row = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>()
        };
        assert_eq!(row("conv1 "), ["conv1", "conv 7x7/2", "110x110x64", "9,472", "114,611,200"]);
        assert_eq!(row("pool2 "), ["pool2", "max pool 3x3/2", "28x28x192", "0", "0"]);
        assert_eq!(row("fc1 ")[1..4], ["dense 8192", "1x1x8192", "102,768,640"]);
        assert_eq!(row("fc1.maxout ")[1..3], ["maxout 2", "1x1x4096"]);
        assert_eq!(row("total ")[1], "140,025,664");
        assert!(text.contains("plan: 23 steps, "), "{text}");
    }

    #[test]
    fn every_network_is_told_by_its_name_with_the_keys_of_the_docs() {
        for network in NetworkName::value_variants() {
            let name = network.to_possible_value().expect("a name").get_name().to_owned();
            let graph = graph(*network, (37, 23));
            let value = value(&name, &graph, &Plan::new(&graph));
            assert_eq!(value["network"], json!(name));
            let nodes = value["nodes"].as_array().expect("a list");
            let sum = |key: &str| {
                nodes.iter().map(|node| node[key].as_u64().expect("a count")).sum::<u64>()
            };
            for key in ["parameters", "macs", "flops"] {
                assert_eq!(value[key], json!(sum(key)), "{name}: {key}");
                assert!(value[key].as_u64() > Some(0), "{name}: {key}");
            }
            for key in ["steps", "buffers", "activation_bytes"] {
                assert!(value[key].as_u64() > Some(0), "{name}: {key}");
            }
            for (i, node) in nodes.iter().enumerate() {
                let inputs = node["inputs"].as_array().expect("a list");
                assert!(inputs.iter().all(|input| input.as_u64() < Some(i as u64)), "{name}");
                assert!(node["op"]["op"].is_string() && node["shape"][2].as_u64() > Some(0));
            }
            let outputs = value["outputs"].as_array().expect("a list");
            assert!(outputs.iter().all(|id| id.as_u64() < Some(nodes.len() as u64)), "{name}");
        }
    }

    #[test]
    fn p_nets_size_is_width_before_height() {
        let shape = |size| graph(NetworkName::Pnet, size).shape(0);
        assert_eq!(shape((640, 480)), Shape { h: 480, w: 640, c: 3 });
    }
}
