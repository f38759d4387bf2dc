//! Embedders whole: the networks with weights beside the CPU engine's, and the paper's in narrow.

use crate::rig::{alone, drawn, machine, machine_of, noise, rounds, weights};
use half::f16;
use std::sync::Arc;
use threshold_kernels::device::paper::Paper;
use threshold_kernels::device::{DeviceError, Step};
use threshold_kernels::launch::Found;
use threshold_kernels::{CudaEngine, DeviceNetwork, Embedder, KernelError, one_output};
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions, Network, Pool as Threads, Simd};
use threshold_models::crop::{CropRule, crop};
use threshold_models::engine::{BBox, Detection, Embedding, Engine as _, Recognition};
use threshold_models::graph::{Act, Conv, Cost, Graph, Op, Pool, PoolKind, Shape, ValueId};
use threshold_models::pack::{Pack, Preprocessing};
use threshold_models::quality::{self, Measures};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::search::{Candidates, Index, SearchError, quantise};
use threshold_models::tensor::Tensors;
use threshold_models::{net, picture, synthetic};
use threshold_record::{ModelTag, PersonId, Template};
use threshold_tests::lots::Lots;
use threshold_tests::{packs, photos, skipped};

/// Least cosine of a half-precision embedding with an f32 one. The design allows 0.9995; the furthest of those here was 3.5e-6
/// from 1.
const LEAST_COSINE: f64 = 0.999_99;

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| {
        a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn embedders() -> Vec<Pack> {
    let Some(packs) = packs() else { return Vec::new() };
    let named = |name| match packs.named(name) {
        Ok(pack) => Some(pack),
        Err(_) => {
            skipped(name, "no pack of it: cargo xtask setup");
            None
        }
    };
    ["facenet", "dlib"].into_iter().filter_map(named).collect()
}

/// Faces inside the frame, across its edges, and beyond it.
fn faces(lots: &mut Lots, [width, height]: [usize; 2], n: usize) -> Vec<Detection> {
    let mut at = |extent: usize| lots.unit() * (extent as f32 * 1.4) - extent as f32 * 0.2;
    let mut face = || {
        let ([x1, x2], [y1, y2]) = ([at(width), at(width)], [at(height), at(height)]);
        let (x1, x2, y1, y2) = (x1.min(x2), x1.max(x2), y1.min(y2), y1.max(y2));
        let (w, h) = (x2 - x1, y2 - y1);
        let points = [[0.3, 0.4], [0.7, 0.38], [0.5, 0.6], [0.35, 0.8], [0.68, 0.79]];
        let landmarks = points.map(|[x, y]| [x1 + w * x, y1 + h * y]);
        Detection { bbox: BBox { x1, y1, x2, y2 }, landmarks, score: 0.99 }
    };
    (0..n).map(|_| face()).collect()
}

#[test]
fn embeddings_of_a_photos_faces_are_those_of_the_cpu_engine() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped("embeddings of a photo", "no packs or photos: cargo xtask setup");
    };
    let frame = picture::read(&photos.join("obama.jpg")).unwrap();
    let size = [frame.width(), frame.height()];
    for pack in embedders() {
        let detector = packs.detector().unwrap();
        let mut cpu = CpuEngine::new(&detector, Some(&pack), &EngineOptions::default()).unwrap();
        let mut detections = cpu.detect(&frame).unwrap();
        assert!(!detections.is_empty());
        // Of 3 faces, a batch of a class of 4 has a place to spare.
        detections.truncate(1);
        detections.extend(faces(&mut Lots(531), size, 2));
        let expected = cpu.embed(&frame, &detections).unwrap();
        let machine = machine_of(6, 132);
        let mut embedder = Embedder::new(&machine, &pack).unwrap();
        let raw = RawFrame::of(&frame);
        let found = embedder.embed(&machine, &raw, &detections).unwrap();
        assert_eq!(found.len(), expected.len());
        for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let cosine = cosine(&found.0, &expected.0);
            assert!(cosine >= LEAST_COSINE, "{} face {i}: {cosine}", pack.meta.name);
        }
        let alone = embedder.embed(&machine, &raw, &detections[..1]).unwrap();
        let cosine = cosine(&alone[0].0, &found[0].0);
        assert!(cosine >= 0.999_99, "{} alone and in a batch: {cosine}", pack.meta.name);
        assert!(embedder.embed(&machine, &raw, &[]).unwrap().is_empty());
    }
}

#[test]
fn faces_are_recognised_on_the_device_as_they_are_step_by_step() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped("recognition of a photo", "no packs or photos: cargo xtask setup");
    };
    let frame = picture::read(&photos.join("obama.jpg")).unwrap();
    let raw = RawFrame::of(&frame);
    let pack = packs.named("dlib").unwrap();
    // So that more than the one face passes.
    let options = CascadeOptions {
        min_face_px: 60.0,
        thresholds: [0.6, 0.3, 0.0],
        ..CascadeOptions::default()
    };
    let detector = packs.detector().unwrap();
    let engine = CudaEngine::new(machine_of(8, 16), &detector, options).unwrap();
    let mut engine = engine.with_embedder(&pack).unwrap();
    let metric = pack.embedder().unwrap().metric;
    let faces = engine.detect_raw(&raw).unwrap();
    assert!(faces.len() >= 3, "{} faces", faces.len());
    let embeddings = engine.embed_raw(&raw, &faces[..3]).unwrap();
    let template = |(person, embedding): (u32, &Embedding)| {
        let (scale, vector) = quantise(embedding);
        let vector = vector.into_iter().collect();
        Template {
            person: PersonId(person),
            slot: 0,
            model: pack.id.tag(),
            quality: 90,
            scale,
            vector,
        }
    };
    let templates: Vec<Template> = (1..).zip(&embeddings[..2]).map(template).collect();
    let index = Index::new(metric, &templates).unwrap();
    assert_eq!(
        engine.recognise_raw(&raw, 1).unwrap().compared[0].candidates,
        Candidates::default(),
        "no gallery"
    );
    engine.set_gallery(metric, &templates).unwrap();
    // Once more: the second run replays what the first recorded.
    for most in [3, 1, 3, 0] {
        let Recognition { faces: all, compared } = engine.recognise_raw(&raw, most).unwrap();
        assert_eq!((&all, compared.len()), (&faces, most));
        let found = engine.last_embeddings(99).unwrap();
        assert!(found.len() >= most && found.len() <= faces.len(), "{} embeddings", found.len());
        for (i, one) in compared.iter().enumerate() {
            let expected = quality::measure(&frame, &faces[i]);
            let Measures { yaw_deg, pitch_deg, roll_deg, .. } = expected;
            assert_eq!(Measures { yaw_deg, pitch_deg, roll_deg, ..one.measures }, expected);
            let cosine = cosine(&found[i].0, &embeddings[i].0);
            assert!(cosine >= 0.999_999, "face {i} of {most}: {cosine}");
            assert_eq!(one.candidates, index.search(&found[i]).unwrap(), "face {i} of {most}");
        }
        let best = |i: usize| compared[i].candidates.best.unwrap();
        assert!((0..most.min(2)).all(|i| best(i).person == PersonId(i as u32 + 1)));
    }
    let other = Template { model: ModelTag([1; 8]), ..templates[0].clone() };
    let fault = engine.set_gallery(metric, &[other]).unwrap_err();
    assert!(matches!(fault, KernelError::Search(SearchError::Model { .. })), "{fault}");
    let long = Embedding(vec![0.5; 512]);
    let fault = engine.set_gallery(metric, &[template((9, &long))]).unwrap_err();
    assert!(fault.to_string().contains("512"), "{fault}");
    // The gallery that was refused is not searched, and neither is the one before.
    assert_eq!(
        engine.recognise_raw(&raw, 1).unwrap().compared[0].candidates,
        Candidates::default()
    );
}

#[test]
fn packs_pass_their_golden_vectors_and_a_changed_weight_does_not() {
    let packs = embedders();
    if packs.is_empty() {
        return skipped("golden vectors on the kernels", "no packs: cargo xtask setup");
    }
    let machine = machine_of(5, 132);
    for pack in packs {
        let mut embedder = Embedder::new(&machine, &pack).unwrap();
        embedder.self_test(&machine).unwrap();
        embedder.flip_weight(&machine, 1_234_567).unwrap();
        let fault = embedder.self_test(&machine).unwrap_err();
        assert!(matches!(fault, KernelError::Device(DeviceError::Corrupt)), "{fault}");
    }
}

#[test]
fn the_detector_and_whole_frames_are_tested_too() {
    let tensors = weights();
    let options = CascadeOptions::default();
    for pack in embedders() {
        let engine = CudaEngine::new(machine(2), &tensors, options).unwrap();
        engine.with_embedder(&pack).unwrap().self_test().unwrap();
    }
    let mut engine = CudaEngine::new(machine(3), &tensors, options).unwrap();
    engine.self_test().unwrap();
    engine.flip_weight(4_321).unwrap();
    let fault = engine.self_test().unwrap_err();
    assert!(matches!(fault, KernelError::Device(DeviceError::Corrupt)), "{fault}");
}

/// Crops of the kernels beside the CPU's, rounded to half: the same bits.
fn check_crops(lots: &mut Lots, rule: &CropRule, size: [usize; 2]) {
    let [width, height] = size;
    let bytes = noise(lots, 2 * width * height);
    let raw = RawFrame::new(PixelFormat::Yuyv, size, 2 * width, Colour::default(), &bytes).unwrap();
    let frame = raw.to_frame();
    let mut detections = faces(lots, size, 4);
    // All landmarks in one point: no similarity.
    detections[3].landmarks = [[5.0, 6.0]; 5];
    let found: Vec<Found> = detections.iter().map(Found::from).collect();
    let preprocessing = Preprocessing { mean: [122.782, 117.001, 104.298], scale: 0.00390625 };
    let kernels = alone(&drawn(), lots.below(99));
    let crops = kernels.cut(&raw, &found, (rule, preprocessing)).unwrap();
    let mut expected = vec![0.0; rule.len()];
    for (face, (detection, crop_found)) in
        detections.iter().zip(crops.chunks_exact(rule.len() / 3)).enumerate()
    {
        crop(&frame, detection, rule, &mut expected);
        for (i, (found, expected)) in crop_found.iter().zip(expected.chunks_exact(3)).enumerate() {
            for c in 0..3 {
                let value = (expected[c] - preprocessing.mean[c]) * preprocessing.scale;
                let value = f16::from_f32(value).to_f32();
                assert_eq!(
                    found[c], value,
                    "{size:?} face {face} pixel {i} channel {c}: {detection:?}"
                );
            }
            assert_eq!(found[3..], [0.0; 5]);
        }
    }
}

#[test]
fn crops_are_those_of_the_cpu_bit_for_bit() {
    let points = [[20.0, 21.0], [44.0, 21.5], [32.0, 36.0], [23.0, 48.0], [43.0, 48.5]];
    let rules = [
        CropRule::SquaredBox { size_px: 48, margin_px: 10.0 },
        CropRule::SquaredBox { size_px: 31, margin_px: 0.0 },
        CropRule::Similarity {
            size_px: 64,
            points_px: points,
            weights: [1.0, 1.0, 0.25, 0.25, 0.25],
        },
    ];
    for mut lots in rounds(532) {
        for rule in &rules {
            for size in [[320, 240], [64, 90], [20, 16]] {
                check_crops(&mut lots, rule, size);
            }
        }
    }
}

/// A network with a part of its channels and of its input's side; same layers in the same order.
fn narrowed(graph: &Graph, by: usize) -> Graph {
    let Shape { h, w, c } = graph.shape(graph.input());
    let mut narrow = Graph::new(graph.name(), Shape { h: h / 3, w: w / 3, c });
    let part = |channels: usize| (channels / by).next_multiple_of(16).max(16);
    for node in &graph.nodes()[1..] {
        // Ids are the same: every node becomes one.
        let (name, inputs) = (node.name.clone(), &node.inputs);
        let x = inputs[0];
        let id: ValueId = match node.op {
            Op::Input => unreachable!("the first node is the input"),
            Op::Conv { conv, scale } => {
                let conv = Conv { cout: part(conv.cout), ..conv };
                match inputs.get(1) {
                    Some(&residual) => narrow.conv_residual(name, x, conv, scale, residual),
                    None => narrow.conv(name, x, conv),
                }
            }
            Op::Dense { out, bias, act } => narrow.dense(name, x, part(out), bias, act),
            Op::Pool(pool) => narrow.pool(name, x, pool),
            Op::GlobalAverage => narrow.global_average(name, x),
            Op::Concat => narrow.concat(name, inputs),
            Op::Add { act } => narrow.add(name, x, inputs[1], act),
            Op::LocalNorm(norm) => narrow.local_norm(name, x, norm),
            Op::Maxout { pieces } => narrow.maxout(name, x, pieces),
            Op::Softmax => narrow.softmax(name, x),
            Op::L2Norm => narrow.l2_norm(name, x),
        };
        assert_eq!(narrow.shape(id), narrow.shape(narrow.nodes().len() - 1));
    }
    for &(name, id) in graph.outputs() {
        narrow.output(name, id);
    }
    narrow
}

/// The one output.
fn on_the_cpu(graph: &Graph, tensors: &Tensors, input: &[f32]) -> Vec<f32> {
    let pool = Arc::new(Threads::new(1));
    let mut network = Network::new(graph, tensors, Simd::detect(), pool).unwrap();
    network.run(input).unwrap();
    network.output(graph.outputs()[0].0).unwrap().to_vec()
}

#[test]
fn the_papers_networks_say_the_same_in_half_precision() {
    for (graph, by) in [(net::nn1(), 8), (net::nn2(), 4), (net::nn3(), 4)] {
        let graph = narrowed(&graph, by);
        let tensors = synthetic::weights([&graph]);
        let machine = machine_of(7, 16);
        let mut network = DeviceNetwork::new(&machine, &graph, &tensors).unwrap();
        let input = synthetic::input(3, graph.shape(graph.input()));
        let found = network.run(&machine, &input).unwrap();
        let expected = on_the_cpu(&graph, &tensors, &input);
        let cosine = cosine(&found, &expected);
        assert!(cosine >= LEAST_COSINE, "{}: {cosine}", graph.name());
    }
}

#[test]
fn the_networks_of_the_papers_first_table_run_as_embedders_do() {
    let pnet = net::pnet(12, 12);
    for graph in [net::net12(), pnet, net::net24(), net::rnet(), net::net48(), net::onet()] {
        let one = one_output(&graph);
        let of = |graph: &Graph| graph.costs().sum::<Cost>().macs;
        // P-Net's channels are ten, and the classes of all are two.
        let more = of(&one) as f64 / of(&graph) as f64;
        assert!((1.0..1.6).contains(&more), "{}: {more} times the work", graph.name());
        let tensors = synthetic::weights([&one]);
        let machine = machine_of(10, 132);
        let mut network = DeviceNetwork::new(&machine, &one, &tensors).unwrap();
        let input = synthetic::input(4, one.shape(one.input()));
        let found = network.run(&machine, &input).unwrap();
        let cosine = cosine(&found, &on_the_cpu(&one, &tensors, &input));
        assert!(cosine >= LEAST_COSINE, "{}: {cosine}", graph.name());
    }
}

/// Items of a large batch: one more than the largest class of batch holds.
const LARGE: u64 = 33;

/// What these of a large batch's items say in it is what each says alone.
fn check_large_batch(graph: &Graph, items: impl IntoIterator<Item = usize>) {
    let tensors = synthetic::weights([graph]);
    let machine = machine_of(9, 132);
    let mut network = DeviceNetwork::new(&machine, graph, &tensors).unwrap();
    let shape = graph.shape(graph.input());
    let input: Vec<f32> = (0..LARGE).flat_map(|seed| synthetic::input(seed, shape)).collect();
    let all = network.run(&machine, &input).unwrap();
    let embedding_len = all.len() / LARGE as usize;
    for i in items {
        let alone = network.run(&machine, &input[i * shape.len()..][..shape.len()]).unwrap();
        let cosine = cosine(&all[i * embedding_len..][..embedding_len], &alone);
        assert!(cosine >= LEAST_COSINE, "item {i}: {cosine}");
    }
}

/// Narrow, so that the emulator comes to its end, and on a card a sanitizer.
#[test]
fn a_large_batch_says_what_each_of_its_items_says_alone() {
    check_large_batch(&narrowed(&net::nn2(), 8), 0..LARGE as usize);
}

/// A batch of it takes tiles that none of the narrow network's takes: one layer on each side of a pool.
#[test]
fn a_large_batch_in_large_tiles_says_what_its_items_say_alone() {
    let mut graph = Graph::new("wide", Shape { h: 17, w: 17, c: 64 });
    let x = graph.conv("first", graph.input(), Conv::new(128, 3, 3).act(Act::Relu));
    let x = graph.pool("pool", x, Pool::new(PoolKind::Max, 3, 2));
    let x = graph.conv("second", x, Conv::new(64, 1, 1).act(Act::Relu));
    let x = graph.dense("dense", x, 64, true, Act::None);
    let x = graph.l2_norm("embedding", x);
    graph.output("embedding", x);
    let paper = Paper::new(132);
    let of_paper = &&paper;
    let network = DeviceNetwork::new(of_paper, &graph, &synthetic::weights([&graph])).unwrap();
    drop(network.timed(of_paper, 32, 1).unwrap());
    let recorded = paper.recorded().into_iter().flatten();
    let kernels = recorded.filter_map(|step| match step {
        Step::Launch(launch) => Some(launch.kernel),
        _ => None,
    });
    assert!(kernels.into_iter().any(|kernel| kernel == "layers"), "no large tile");
    check_large_batch(&graph, [0, 1, 30, 31, 32]);
}

/// FaceNet itself, which the emulator takes a second a face for, and racecheck longer than it is given (`run.sh`): its tiles are those of
/// `every_division...` and its layers those of `every_layer_shape_of_facenet...`.
#[cfg(feature = "gpu")]
#[test]
fn facenets_large_batch_says_what_its_items_say_alone() {
    check_large_batch(&net::inception_resnet_v1(), 0..LARGE as usize);
}

#[test]
fn networks_that_the_kernels_do_not_run_are_refused_by_name() {
    for graph in [net::net12(), net::onet()] {
        let tensors = synthetic::weights([&graph]);
        let fault = DeviceNetwork::new(&machine(1), &graph, &tensors).err().unwrap();
        let KernelError::Network { network, .. } = &fault else { panic!("{fault}") };
        assert_eq!(*network, graph.name());
    }
}
