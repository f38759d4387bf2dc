//! The networks' arithmetic against the reference outputs, on every instruction set that this machine has.
//!
//! Golden outputs: `golden/README.md` of the shared folder (facenet-pytorch 2.5.3 and dlib 20.0.1 on f32).

use std::sync::Arc;

use threshold_models::cascade::{PNetMap, StageNets};
use threshold_models::cpu::{self, CpuStages, Network, Pool};
use threshold_models::graph::{
    Act, Conv, Graph, LocalNorm, Pool as Window, PoolKind, Shape, WeightSpec,
};
use threshold_models::net;
use threshold_models::tensor::{Tensor, Tensors};
use threshold_tests::{NO_REFERENCES, npy, shared, skipped};

use crate::fixtures::{difference, hash_facenet, hash_tensor, hwc, mtcnn, on_every_engine};

/// The value named `name` of all those that the reference executor gives.
fn named<'a>(graph: &Graph, values: &'a [Vec<f32>], name: &str) -> &'a [f32] {
    &values[graph.find(name).unwrap()]
}

#[test]
fn the_reference_executor_gives_the_golden_facenet() {
    let Some(shared) = shared() else {
        return skipped("golden Inception-ResNet-v1", NO_REFERENCES);
    };
    let golden = shared.join("golden/resnet");
    let graph = net::inception_resnet_v1();
    let weights = hash_facenet(&graph);
    let input = hwc(&npy(&golden.join("input.npy")).f32(), [3, 160, 160]);
    let values = cpu::evaluate(&graph, &weights, &input[..input.len() / 2]).unwrap();
    let expected = npy(&golden.join("embedding.npy")).f32();
    let found = difference(named(&graph, &values, "embedding"), &expected[..512]);
    assert!(found < 1e-6, "embedding differs by {found}");
}

#[test]
fn the_reference_executor_gives_the_golden_rnet_and_onet() {
    let Some(shared) = shared() else {
        return skipped("golden R-Net and O-Net", NO_REFERENCES);
    };
    let golden = shared.join("golden");
    let weights = mtcnn(&golden);
    let stage = golden.join("stages/scene_640x480_min40");
    for (graph, file, side, outputs) in [
        (
            net::rnet(),
            "rnet_in_first32",
            24,
            &[("rnet.prob", "rnet_prob"), ("rnet.dense5_2", "rnet_reg")][..],
        ),
        (
            net::onet(),
            "onet_in_first8",
            48,
            &[
                ("onet.prob", "onet_prob"),
                ("onet.dense6_2", "onet_reg"),
                ("onet.dense6_3", "onet_lmk"),
            ][..],
        ),
    ] {
        let crops = hwc(&npy(&stage.join(format!("{file}.npy"))).f32(), [3, side, side]);
        for (i, crop) in crops.chunks(3 * side * side).take(2).enumerate() {
            let values = cpu::evaluate(&graph, &weights, crop).unwrap();
            for (name, expected) in outputs {
                let expected = npy(&stage.join(format!("{expected}.npy")));
                let found = named(&graph, &values, name);
                let row = &expected.f32()[i * found.len()..][..found.len()];
                let found = difference(found, row);
                assert!(found < 5e-6, "{name} differs by {found}");
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_golden_facenet() {
    let Some(shared) = shared() else {
        return skipped("golden Inception-ResNet-v1 on each instruction set", NO_REFERENCES);
    };
    let golden = shared.join("golden/resnet");
    let mut graph = net::inception_resnet_v1();
    let weights = hash_facenet(&graph);
    let blocks = [
        ("conv2d_4b", "conv2d_4b"),
        ("repeat_1.0", "repeat_1.0.conv2d"),
        ("mixed_6a", "mixed_6a"),
        ("repeat_2.0", "repeat_2.0.conv2d"),
        ("mixed_7a", "mixed_7a"),
        ("repeat_3.0", "repeat_3.0.conv2d"),
    ];
    for (name, value) in blocks {
        let value = graph.find(value).unwrap();
        graph.output(name, value);
    }
    let input = hwc(&npy(&golden.join("input.npy")).f32(), [3, 160, 160]);
    let expected = npy(&golden.join("embedding.npy")).f32();
    on_every_engine(|simd, pool| {
        let mut network = Network::new(&graph, &weights, simd, Arc::clone(pool)).unwrap();
        network.run(&input).unwrap();
        let found = difference(network.output("embedding").unwrap(), &expected);
        assert!(found < 1e-6, "{simd:?}: embedding differs by {found}");
        for (name, value) in blocks {
            let shape = graph.shape(graph.find(value).unwrap());
            let block = npy(&golden.join(format!("act_{name}_item0.npy"))).f32();
            let block = hwc(&block, [shape.c, shape.h, shape.w]);
            let top = block.iter().fold(0.0_f32, |top, x| top.max(x.abs()));
            let found = difference(&network.output(name).unwrap()[..block.len()], &block) / top;
            assert!(found < 1e-5, "{simd:?}: {name} differs by {found} of its largest value");
        }
    });
}

#[test]
fn every_instruction_set_gives_the_golden_rnet_and_onet() {
    let Some(shared) = shared() else {
        return skipped("golden R-Net and O-Net on each instruction set", NO_REFERENCES);
    };
    let weights = mtcnn(&shared.join("golden"));
    for picture in ["scene_640x480_min40", "mosaic_1280x720_min20", "obama_480_min40"] {
        let stage = shared.join("golden/stages").join(picture);
        for (graph, file, outputs) in [
            (net::rnet(), "rnet_in_first32", &[("prob", "rnet_prob"), ("reg", "rnet_reg")][..]),
            (
                net::onet(),
                "onet_in_first8",
                &[("prob", "onet_prob"), ("reg", "onet_reg"), ("landmarks", "onet_lmk")][..],
            ),
        ] {
            let side = graph.shape(0).h;
            let crops = hwc(&npy(&stage.join(format!("{file}.npy"))).f32(), [3, side, side]);
            on_every_engine(|simd, pool| {
                let mut network = Network::new(&graph, &weights, simd, Arc::clone(pool)).unwrap();
                network.run(&crops).unwrap();
                for (name, expected) in outputs {
                    let found = network.output(name).unwrap();
                    let expected = npy(&stage.join(format!("{expected}.npy"))).f32();
                    let found = difference(found, &expected[..found.len()]);
                    assert!(found < 5e-6, "{picture} {simd:?}: {name} differs by {found}");
                }
            });
        }
    }
}

#[test]
fn every_instruction_set_gives_the_golden_pnet_maps() {
    let Some(shared) = shared() else {
        return skipped("golden P-Net on each instruction set", NO_REFERENCES);
    };
    let weights = mtcnn(&shared.join("golden"));
    for (picture, levels) in [
        ("scene_640x480_min40", ["L1", "L3"]),
        ("mosaic_1280x720_min20", ["L3", "L6"]),
        ("obama_480_min40", ["L0", "L2"]),
    ] {
        for level in levels {
            let at =
                |file: &str| shared.join(format!("golden/stages/{picture}/{level}_{file}.npy"));
            let input = npy(&at("input"));
            let [h, w] = [input.shape[1], input.shape[2]];
            let (prob, reg) = (npy(&at("prob")), npy(&at("reg")));
            let cells = [prob.shape[1], prob.shape[2]];
            let faces = prob.f32().split_off(cells[0] * cells[1]);
            let reg = hwc(&reg.f32(), [4, cells[0], cells[1]]);
            on_every_engine(|simd, pool| {
                let mut stages = CpuStages::new(&weights, simd, Arc::clone(pool)).unwrap();
                let mut map = PNetMap::default();
                stages.pnet(&hwc(&input.f32(), [3, h, w]), h, w, &mut map).unwrap();
                assert_eq!([map.height, map.width], cells);
                let found = difference(&map.prob, &faces);
                assert!(found < 5e-6, "{picture} {level} {simd:?}: probability differs by {found}");
                let found = difference(&map.reg, &reg);
                assert!(found < 2e-6, "{picture} {level} {simd:?}: regression differs by {found}");
            });
        }
    }
}

#[test]
fn strips_and_batches_give_the_bits_of_the_whole() {
    let stage = |graphs: &[Graph]| -> Tensors {
        let specs = graphs.iter().flat_map(Graph::weights);
        let data = |name: &str, len| hash_tensor(name, len, 0.0, 0.2);
        specs
            .map(|spec| {
                let data = data(&spec.name, spec.len());
                (spec.name, Tensor { shape: spec.shape, data })
            })
            .collect()
    };
    let weights = stage(&[net::pnet(12, 12), net::rnet(), net::onet()]);
    on_every_engine(|simd, pool| {
        let mut stages = CpuStages::new(&weights, simd, Arc::clone(pool)).unwrap();
        for (h, w) in [(12, 12), (13, 200), (61, 12), (90, 75), (91, 640), (140, 2000)] {
            let level = hash_tensor("level", h * w * 3, 0.0, 1.0);
            let mut map = PNetMap::default();
            stages.pnet(&level, h, w, &mut map).unwrap();
            // One thread takes the level as one strip.
            let alone = Arc::new(Pool::new(1));
            let mut whole = PNetMap::default();
            let mut stages = CpuStages::new(&weights, simd, alone).unwrap();
            stages.pnet(&level, h, w, &mut whole).unwrap();
            assert!(map == whole, "{simd:?}: level of {h} x {w}");
            // Another order of sums, so another rounding.
            let graph = net::pnet(h, w);
            let mut network = Network::new(&graph, &weights, simd, Arc::clone(pool)).unwrap();
            network.run(&level).unwrap();
            let prob = network.output("prob").unwrap();
            let faces: Vec<f32> = prob.iter().skip(1).step_by(2).copied().collect();
            let reg = network.output("reg").unwrap();
            for (found, expected) in [(&map.prob, &faces[..]), (&map.reg, reg)] {
                let found = difference(found, expected);
                assert!(found < 1e-5, "{simd:?}: level of {h} x {w} differs by {found}");
            }
        }
        let mut whole = Network::new(&net::rnet(), &weights, simd, Arc::clone(pool)).unwrap();
        for n in [0, 1, 2, 37] {
            let crops = hash_tensor("crops", n * 24 * 24 * 3, 0.0, 1.0);
            let mut found = Vec::new();
            stages.rnet(&crops, n, &mut found).unwrap();
            assert_eq!(found.len(), n);
            if n > 0 {
                whole.run(&crops).unwrap();
                let scores = whole.output("prob").unwrap().iter().skip(1).step_by(2);
                assert!(found.iter().map(|answer| &answer.score).eq(scores), "{simd:?}: {n} crops");
            }
        }
    });
}

/// Small odd networks: each kernel shape, step and padding, with channel counts that leave residues everywhere.
fn odd_networks() -> Vec<Graph> {
    let mut all = Vec::new();
    let convs = [
        (Conv::new(10, 3, 3), 3),
        (Conv::new(28, 3, 3).stride(2), 10),
        (Conv::new(1, 1, 1), 28),
        (Conv::new(80, 1, 1).act(Act::Relu), 33),
        (Conv::new(3, 3, 3).same(), 1),
        (Conv::new(33, 1, 7).same().act(Act::PRelu), 5),
        (Conv::new(17, 7, 1).same(), 16),
        (Conv::new(48, 2, 2).act(Act::PRelu), 28),
        (Conv::new(100, 3, 3).same().stride(2).act(Act::Relu), 7),
        (Conv { bias: false, ..Conv::new(32, 7, 7).stride(2) }, 3),
        (Conv::new(19, 1, 1).stride(2), 21),
        (Conv::new(64, 5, 5).act(Act::Relu), 3),
        // Winograd's, with an odd last row and column.
        (Conv::new(32, 3, 3).same().act(Act::PRelu), 16),
        (Conv::new(48, 3, 3).act(Act::Relu), 32),
        (Conv { bias: false, ..Conv::new(16, 3, 3).same() }, 16),
    ];
    for (conv, cin) in convs {
        let mut g = Graph::new("odd convolution", Shape { h: 11, w: 9, c: cin });
        let y = g.conv("layer", g.input(), conv);
        g.output("y", y);
        all.push(g);
    }
    for kind in [PoolKind::Max, PoolKind::Average] {
        for pool in [
            Window::new(kind, 2, 2).ceil(),
            Window::new(kind, 3, 2).ceil(),
            Window::new(kind, 3, 2),
            Window { pad: 1, ..Window::new(kind, 3, 1) },
            Window { pad: 1, ..Window::new(kind, 3, 2).ceil() },
        ] {
            let mut g = Graph::new("odd pool", Shape { h: 12, w: 7, c: 10 });
            let y = g.pool("pool", g.input(), pool);
            g.output("y", y);
            all.push(g);
        }
    }
    // A residual with scale whose branches share a join, one of them twice, one being the input itself.
    let mut g = Graph::new("odd join", Shape { h: 5, w: 6, c: 12 });
    let a = g.conv("a", g.input(), Conv::new(7, 1, 1).act(Act::Relu));
    let b = g.conv("b", a, Conv::new(5, 3, 3).same().act(Act::PRelu));
    let c = g.pool("c", b, Window { pad: 1, ..Window::new(PoolKind::Max, 3, 1) });
    let cat = g.concat("cat", &[a, b, g.input(), b, c]);
    let up = g.conv_residual("up", cat, Conv::new(12, 1, 1).act(Act::Relu), 0.17, g.input());
    let flat = g.dense("flat", up, 9, true, Act::PRelu);
    let unit = g.l2_norm("unit", flat);
    let soft = g.softmax("soft", cat);
    let mean = g.global_average("mean", soft);
    g.output("unit", unit);
    g.output("mean", mean);
    g.output("cat", cat);
    all.push(g);
    // The same with a residual, into a part of a join and out of it.
    let mut g = Graph::new("odd tiles", Shape { h: 9, w: 7, c: 16 });
    let a = g.conv("a", g.input(), Conv::new(32, 3, 3).same().act(Act::Relu));
    let b = g.conv_residual("b", a, Conv::new(16, 3, 3).same().act(Act::Relu), 0.17, g.input());
    let cat = g.concat("cat", &[b, a]);
    let c = g.conv("c", cat, Conv::new(16, 3, 3).same());
    g.output("cat", cat);
    g.output("c", c);
    all.push(g);
    // A sum whose sides differ in rows, columns and channels.
    let mut g = Graph::new("odd sum", Shape { h: 8, w: 9, c: 6 });
    let a = g.conv("a", g.input(), Conv::new(11, 3, 3).stride(2));
    let b = g.pool("b", g.input(), Window::new(PoolKind::Average, 2, 2));
    let sum = g.add("sum", a, b, Act::Relu);
    g.output("sum", sum);
    all.push(g);
    // Norms over fewer and over more channels than there are, even and odd windows, among the channels of a join.
    for (c, size, beta) in [(1, 5, 0.75), (3, 9, 0.75), (10, 4, 0.75), (33, 5, 0.5), (8, 1, 1.25)] {
        let mut g = Graph::new("odd norm", Shape { h: 4, w: 5, c });
        let norm = LocalNorm { size, beta, alpha: 0.7, k: 1.5 };
        let a = g.local_norm("a", g.input(), norm);
        let b = g.conv("b", a, Conv::new(7, 1, 1));
        let c = g.local_norm("c", b, norm);
        let cat = g.concat("cat", &[a, c]);
        g.output("cat", cat);
        all.push(g);
    }
    for (c, pieces) in [(6, 2), (15, 3), (7, 1), (4, 4)] {
        let mut g = Graph::new("odd maxout", Shape { h: 3, w: 4, c });
        let a = g.maxout("a", g.input(), pieces);
        let b = g.conv("b", a, Conv::new(14, 1, 1));
        let c = g.maxout("c", b, 2);
        let cat = g.concat("cat", &[c, a]);
        let flat = g.dense("flat", cat, 10, true, Act::None);
        let unit = g.maxout("unit", flat, 2);
        g.output("cat", cat);
        g.output("unit", unit);
        all.push(g);
    }
    // A bottleneck that halves height and width on both of its ways.
    let mut g = Graph::new("odd bottleneck", Shape { h: 9, w: 7, c: 10 });
    let a = g.conv("a", g.input(), Conv::new(5, 1, 1).act(Act::Relu));
    let b = g.conv("b", a, Conv::new(5, 3, 3).same().stride(2).act(Act::Relu));
    let skip = g.conv("skip", g.input(), Conv::new(20, 1, 1).stride(2));
    let up = g.conv_residual("up", b, Conv::new(20, 1, 1).act(Act::Relu), 1.0, skip);
    g.output("up", up);
    all.push(g);
    all
}

#[test]
fn every_instruction_set_agrees_with_the_reference_on_odd_shapes() {
    let checked = std::cell::Cell::new(0);
    for graph in odd_networks() {
        let tensor = |spec: &WeightSpec| Tensor {
            shape: spec.shape.clone(),
            data: hash_tensor(&spec.name, spec.len(), 0.0, 0.5),
        };
        let weights: Tensors =
            graph.weights().map(|spec| (spec.name.clone(), tensor(&spec))).collect();
        for n in [1, 3] {
            let item = graph.shape(0).len();
            let input = hash_tensor("input", n * item, 0.0, 1.0);
            let values: Vec<_> =
                input.chunks(item).map(|x| cpu::evaluate(&graph, &weights, x).unwrap()).collect();
            on_every_engine(|simd, pool| {
                let mut network = Network::new(&graph, &weights, simd, Arc::clone(pool)).unwrap();
                network.run(&input).unwrap();
                for &(name, id) in graph.outputs() {
                    let expected: Vec<f32> = values.iter().flat_map(|v| v[id].clone()).collect();
                    let found = difference(network.output(name).unwrap(), &expected);
                    assert!(found < 1e-5, "{simd:?}, {n} x {graph:?}: {name} differs by {found}");
                    checked.set(checked.get() + 1);
                }
            });
        }
    }
    assert!(checked.get() >= 24 * 2 * 2);
}
