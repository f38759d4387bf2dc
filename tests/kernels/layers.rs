//! Every step of an embedder alone: what it read on the device, by sums in f64, beside what it gave.

use crate::rig::{machine, machine_of, rounds};
use half::f16;
use std::collections::HashSet;
use threshold_kernels::DeviceNetwork;
use threshold_kernels::launch::{Division, TILES};
use threshold_models::cpu::evaluate_one;
use threshold_models::graph::{Act, Conv, Graph, LocalNorm, Op, Pool, PoolKind, Shape, ValueId};
use threshold_models::net;
use threshold_models::plan::Plan;
use threshold_models::synthetic;
use threshold_models::tensor::{Tensor, Tensors};
use threshold_tests::lots::Lots;
use threshold_tests::packs;

/// What f32 sums may add, as a part of the sum of all products' sizes.
const SUMMED: f32 = 1e-6;

fn half(value: f32) -> f32 {
    f16::from_f32(value).to_f32()
}

/// A unit in the last place of the half that is nearest.
fn ulp(value: f32) -> f32 {
    // The least normal half is 2^-14, and its last place 2^-24.
    2f32.powf(value.abs().max(2f32.powi(-14)).log2().floor() - 10.0)
}

fn mapped(tensors: &Tensors, by: impl Fn(f32) -> f32) -> Tensors {
    let tensor = |(name, Tensor { shape, data }): (&String, &Tensor)| {
        let data = data.iter().map(|&value| by(value)).collect();
        (name.clone(), Tensor { shape: shape.clone(), data })
    };
    tensors.iter().map(tensor).collect()
}

/// As the device has them: weights in half; bias and slope in f32.
fn rounded(tensors: &Tensors) -> Tensors {
    let mut rounded = mapped(tensors, half);
    for (name, tensor) in &mut rounded {
        if !name.ends_with(".weight") {
            tensor.data.clone_from(&tensors[name].data);
        }
    }
    rounded
}

/// Traces a network and compares each step that `wanted` asks for. The number of those.
fn check(
    network: &DeviceNetwork<crate::rig::Machine>,
    machine: &crate::rig::Machine,
    (graph, tensors, n): (&Graph, &Tensors, usize),
    input: &[f32],
    mut wanted: impl FnMut(&str) -> bool,
) -> usize {
    let (weights, sizes) = (rounded(tensors), mapped(tensors, |value| half(value).abs()));
    let mut n_checked = 0;
    for step in network.trace(machine, input).unwrap().iter().filter(|step| wanted(&step.name)) {
        let id = graph.find(&step.name).unwrap();
        // A copy into a concatenation has the concatenation's name and one part as its input.
        if graph.nodes()[id].op == Op::Concat {
            assert_eq!(step.inputs[0], step.output, "{}", step.name);
            continue;
        }
        let len = |values: &[f32]| values.len() / n;
        for item in 0..n {
            let inputs: Vec<&[f32]> =
                step.inputs.iter().map(|all| &all[item * len(all)..][..len(all)]).collect();
            let abs: Vec<Vec<f32>> =
                inputs.iter().map(|values| values.iter().map(|v| v.abs()).collect()).collect();
            let abs: Vec<&[f32]> = abs.iter().map(Vec::as_slice).collect();
            let expected = evaluate_one(graph, id, &weights, &inputs);
            let sizes = evaluate_one(graph, id, &sizes, &abs);
            let found = &step.output[item * len(&step.output)..][..len(&step.output)];
            assert_eq!(found.len(), expected.len());
            for (i, ((found, expected), size)) in found.iter().zip(&expected).zip(sizes).enumerate()
            {
                let allowed = 2.0 * ulp(*expected) + SUMMED * size;
                let apart = (found - expected).abs();
                assert!(
                    apart <= allowed,
                    "{} of item {item}, value {i}: {found}, {expected} expected, {allowed:e} allowed",
                    step.name
                );
            }
        }
        n_checked += 1;
    }
    n_checked
}

fn drawn(lots: &mut Lots, len: usize) -> Vec<f32> {
    (0..len).map(|_| half(lots.unit() * 2.0 - 1.0)).collect()
}

fn eights(lots: &mut Lots) -> usize {
    8 * (1 + lots.below(12) as usize)
}

/// A convolution that keeps rows and columns.
fn same(lots: &mut Lots) -> Conv {
    let [kh, kw] = lots.one_of(&[[1, 1], [3, 3], [1, 7], [7, 1]]);
    Conv::new(eights(lots), kh, kw).same().act(Act::Relu)
}

/// A convolution that fits into its input, of kernels that networks have.
fn conv(lots: &mut Lots, from: Shape) -> Conv {
    const KERNELS: [[usize; 2]; 9] =
        [[1, 1], [3, 3], [7, 7], [1, 7], [7, 1], [1, 3], [3, 1], [2, 2], [5, 3]];
    let pad = [lots.below(4) as usize, lots.below(4) as usize];
    let fits =
        |kernel: &[usize; 2]| kernel[0] <= from.h + 2 * pad[0] && kernel[1] <= from.w + 2 * pad[1];
    let kernel = lots.one_of(&KERNELS.into_iter().filter(fits).collect::<Vec<_>>());
    let act = lots.one_of(&[Act::None, Act::Relu, Act::PRelu]);
    let (cout, stride) = (eights(lots), 1 + lots.below(3) as usize);
    Conv { cout, kernel, stride, pad, bias: lots.below(2) == 0, act }
}

/// Branches, joins, pools and all else that a network may have between its input and its embedding.
fn network(lots: &mut Lots) -> Graph {
    let side = |lots: &mut Lots| 8 + lots.below(14) as usize;
    let c = lots.one_of(&[3, 8, 16, 40]);
    let mut g = Graph::new("drawn", Shape { h: side(lots), w: side(lots), c });
    let first = conv(lots, g.shape(g.input()));
    let x = g.conv("first", g.input(), first);
    let branch = |lots: &mut Lots, g: &mut Graph, name: &str, x: ValueId| {
        let x = g.conv(format!("{name}.1"), x, same(lots));
        g.conv(format!("{name}.2"), x, same(lots))
    };
    let [a, b] = ["a", "b"].map(|name| branch(lots, &mut g, name, x));
    let around = Pool { pad: 1, ..Pool::new(PoolKind::Max, 3, 1) };
    let around = g.pool("around", x, around);
    let alone = g.conv("alone", x, same(lots));
    let cat = g.concat("cat", &[a, b, around, alone]);
    // A residual that lies dense, or among a concatenation's channels.
    let residual = lots.one_of(&[x, alone]);
    let act = lots.one_of(&[Act::None, Act::Relu, Act::PRelu]);
    let up = Conv::new(g.shape(residual).c, 1, 1).act(act);
    let x = g.conv_residual("up", cat, up, lots.one_of(&[1.0, 0.17]), residual);
    let norm = LocalNorm { size: 1 + lots.below(6) as usize, alpha: 0.5, ..LocalNorm::new() };
    let x = g.local_norm("norm", x, norm);
    let kind = lots.one_of(&[PoolKind::Max, PoolKind::Average]);
    let Shape { h, w, c } = g.shape(x);
    let pool =
        Pool { pad: lots.below(2) as usize, ceil: lots.below(2) == 0, ..Pool::new(kind, 2, 2) };
    // Both halves of a sum may be smaller than the other.
    let skip = if h.min(w) > 1 { g.pool("skip", x, pool) } else { x };
    let down = conv(lots, Shape { h, w, c });
    let down = g.conv("down", x, down);
    let x = g.add("add", down, skip, lots.one_of(&[Act::None, Act::Relu]));
    let x = if lots.below(2) == 0 { g.global_average("mean", x) } else { x };
    let x = g.dense("dense", x, 8 * (2 + 2 * lots.below(10) as usize), true, Act::None);
    let x = g.maxout("maxout", x, 2);
    let x = g.dense("last", x, 8 * (1 + lots.below(9) as usize), lots.below(2) == 0, Act::None);
    let x = if lots.below(2) == 0 { g.l2_norm("unit", x) } else { x };
    g.output("embedding", x);
    g
}

#[test]
fn every_step_of_networks_of_all_kinds_is_two_units_in_the_last_place_from_f64() {
    for mut lots in rounds(511) {
        for _ in 0..6 {
            let graph = network(&mut lots);
            let tensors = synthetic::weights([&graph]);
            let machine = machine_of(lots.below(99), lots.one_of(&[1, 8, 132]));
            let network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
            let n = 1 + lots.below(3) as usize;
            let input = drawn(&mut lots, n * graph.shape(graph.input()).len());
            let checked = check(&network, &machine, (&graph, &tensors, n), &input, |_| true);
            let copies = |name: &str| graph.nodes()[graph.find(name).unwrap()].op == Op::Concat;
            let steps = Plan::by_levels(&graph).steps;
            let wanted = steps.iter().filter(|step| !copies(&step.name)).count();
            assert_eq!(checked, wanted, "every step but copies");
        }
    }
}

#[test]
fn every_division_of_a_convolution_gives_its_sum_whichever_block_comes_last() {
    for mut lots in rounds(512) {
        for (tile, splits) in (0..TILES.len()).flat_map(|tile| [1, 2, 3, 7].map(|s| (tile, s))) {
            let shape = Shape {
                h: 1 + lots.below(12) as usize,
                w: 1 + lots.below(12) as usize,
                c: 8 * (1 + lots.below(20) as usize),
            };
            let mut graph = Graph::new("one", shape);
            let conv = conv(&mut lots, shape);
            let y = graph.conv("conv", graph.input(), conv);
            graph.output("y", y);
            let tensors = synthetic::weights([&graph]);
            let n = 1 + lots.below(4) as usize;
            let input = drawn(&mut lots, n * shape.len());
            let outputs = [1, 2].map(|seed| {
                let machine = machine(seed);
                let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
                network.divide(Some(Division { tile, splits }));
                check(&network, &machine, (&graph, &tensors, n), &input, |_| true);
                let once = network.run(&machine, &input).unwrap();
                // The counters of those that have come are as they were: another input has its own output.
                let other: Vec<f32> = input.iter().map(|value| half(value * 0.5 + 0.25)).collect();
                let mut fresh = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
                fresh.divide(Some(Division { tile, splits }));
                let others = fresh.run(&machine, &other).unwrap();
                assert_eq!(network.run(&machine, &other).unwrap(), others, "{conv:?}");
                assert_eq!(network.run(&machine, &input).unwrap(), once, "{conv:?}");
                once
            });
            assert_eq!(outputs[0], outputs[1], "{tile} {splits} {conv:?}");
        }
    }
}

#[test]
fn every_body_of_a_direct_tile_gives_its_sum_among_others_channels_and_with_a_residual() {
    let direct = |tile: usize| Division { tile: TILES.len() - 2 + tile, splits: 1 };
    for mut lots in rounds(515) {
        // The longest sum of each body, and one term in eights more than the body before holds.
        for (tile, terms) in
            [(0, 8_usize), (0, 384), (0, 392), (0, 896), (0, 904), (0, 1_792), (1, 8), (1, 384)]
        {
            let division = direct(tile);
            assert_eq!(division.of(terms.div_ceil(64)), Some(division));
            let kernels = [[1, 1], [1, 3], [3, 3], [7, 1], [1, 7]];
            let whole = |kernel: &[usize; 2]| terms % (8 * kernel[0] * kernel[1]) == 0;
            let kernels: Vec<_> = kernels.into_iter().filter(whole).collect();
            let kernel = lots.one_of(&kernels);
            let c = terms / kernel[0] / kernel[1];
            let (h, w) = (1 + lots.below(5) as usize, 1 + lots.below(5) as usize);
            let shape = Shape { h, w, c };
            let mut graph = Graph::new("direct", shape);
            let (x, out) = (graph.input(), 8 * (1 + lots.below(6) as usize));
            let pad = [kernel[0] / 2, kernel[1] / 2];
            let conv = Conv { kernel, pad, act: Act::Relu, ..Conv::new(out, 1, 1) };
            let long = graph.conv("long", x, conv);
            let beside = graph.conv("beside", x, Conv::new(8, 1, 1));
            let cat = graph.concat("cat", &[beside, long]);
            let back = graph.conv("back", cat, Conv::new(c, 1, 1));
            let sum = graph.add("sum", back, x, Act::Relu);
            let y = graph.conv("y", sum, Conv::new(8, 1, 1));
            graph.output("y", y);
            let (tensors, machine) = (synthetic::weights([&graph]), machine(lots.below(99)));
            let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
            network.divide(Some(division));
            let n = 1 + lots.below(4) as usize;
            let input = drawn(&mut lots, n * shape.len());
            check(&network, &machine, (&graph, &tensors, n), &input, |_| true);
        }
    }
}

#[test]
fn of_counted_items_each_says_what_it_says_without_the_places_beside_it() {
    for mut lots in rounds(516) {
        let graph = network(&mut lots);
        let tensors = synthetic::weights([&graph]);
        let machine = machine_of(lots.below(99), 132);
        let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
        let (places, len) = (8, graph.shape(graph.input()).len());
        let items = drawn(&mut lots, places * len);
        // Few, and more than few, which are divided as all places are.
        for count in [0, 1, 2, 3, places] {
            let mut counted = network.counted(&machine, &items, count).unwrap();
            counted.replay(&machine).unwrap();
            let outputs = counted.output();
            drop(counted);
            let expected = network.run(&machine, &items[..count * len]).unwrap();
            let most = expected.iter().fold(0.0f32, |most, value| most.max(value.abs()));
            for (value, expected) in outputs.iter().zip(&expected) {
                assert!((value - expected).abs() <= 0.01 * most, "{count}: {value}, {expected}");
            }
        }
    }
}

#[test]
fn a_buffer_that_is_used_again_for_the_output_held_halves_before() {
    let mut graph = Graph::new("dense", Shape { h: 4, w: 4, c: 8 });
    let mut x = graph.input();
    for name in ["a", "b", "c", "d", "e"] {
        x = graph.dense(name, x, 32, true, Act::None);
    }
    graph.output("y", x);
    let (tensors, machine) = (synthetic::weights([&graph]), machine(4));
    let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
    let input = drawn(&mut Lots(513), 2 * 128);
    assert_eq!(check(&network, &machine, (&graph, &tensors, 2), &input, |_| true), 5);
    assert_eq!(network.run(&machine, &input).unwrap().len(), 2 * 32);
}

#[test]
fn a_part_that_stands_twice_in_a_concatenation_is_there_twice() {
    let mut graph = Graph::new("twice", Shape { h: 3, w: 5, c: 8 });
    let a = graph.conv("a", graph.input(), Conv::new(16, 1, 1));
    let cat = graph.concat("cat", &[a, a]);
    let y = graph.dense("y", cat, 16, true, Act::None);
    graph.output("y", y);
    let (tensors, machine) = (synthetic::weights([&graph]), machine(5));
    let network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
    let input = drawn(&mut Lots(514), 3 * 5 * 8);
    check(&network, &machine, (&graph, &tensors, 1), &input, |_| true);
}

/// FaceNet's own weights where they are, else drawn ones.
fn facenet(graph: &Graph) -> Tensors {
    let pack = packs().and_then(|packs| packs.named("facenet").ok());
    pack.map_or_else(|| synthetic::weights([graph]), |pack| pack.tensors())
}

#[test]
fn every_layer_shape_of_facenet_is_two_units_in_the_last_place_from_f64() {
    let graph = net::inception_resnet_v1();
    let tensors = facenet(&graph);
    let machine = machine_of(3, 132);
    let network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
    let input = synthetic::input(9, graph.shape(graph.input()));
    let mut seen = HashSet::new();
    let shapes = |name: &str| {
        let node = &graph.nodes()[graph.find(name).unwrap()];
        let inputs: Vec<Shape> = node.inputs.iter().map(|&id| graph.shape(id)).collect();
        seen.insert(format!("{:?} {inputs:?}", node.op))
    };
    let checked = check(&network, &machine, (&graph, &tensors, 1), &input, shapes);
    assert_eq!(checked, 32, "different shapes");
}
