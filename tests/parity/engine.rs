//! The CPU engine as a whole: detection on every golden picture, self-test, faults.

use serde_json::Value;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{self, CpuEngine, EngineOptions, Simd};
use threshold_models::engine::{Detection, Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_models::pack::{
    Golden, Network, PACK_FORMAT, Pack, PackError, PackMeta, Preprocessing, Source,
};
use threshold_models::tensor::{Tensor, Tensors};
use threshold_tests::{NO_REFERENCES, shared, skipped};

use crate::fixtures::{hash_tensor, mtcnn};

/// Greatest distance of a coordinate and of a score from the reference's.
const MAX_PX: f64 = 0.05;
const MAX_SCORE: f64 = 1e-4;

/// A detector's pack of these weights, with golden vectors from the reference executor.
fn detector(tensors: Tensors) -> Pack {
    let network = Network::Mtcnn;
    let golden = [[17, 30], [24, 24], [48, 48]].into_iter().enumerate();
    let golden = golden
        .map(|(stage, size)| {
            let mut golden = Golden { stage, seed: 7, size, outputs: vec![] };
            let graph = golden.graph(network);
            let values = cpu::evaluate(&graph, &tensors, &golden.input(&graph)).unwrap();
            golden.outputs = graph.outputs().iter().map(|&(_, id)| values[id].clone()).collect();
            golden
        })
        .collect();
    let meta = PackMeta {
        format: PACK_FORMAT,
        name: "mtcnn".to_owned(),
        network,
        version: "golden".to_owned(),
        preprocessing: Preprocessing { mean: [127.5; 3], scale: 1.0 / 128.0 },
        embedder: None,
        source: Source { title: "golden/mtcnn.safetensors".to_owned(), digest: String::new() },
        licence: "MIT".to_owned(),
        golden,
    };
    Pack::new(meta, &tensors).unwrap()
}

/// A detector's pack that needs no file: its weights mean nothing.
fn meaningless_detector() -> Pack {
    let tensor = |name: &str, shape: Vec<usize>| {
        let len = shape.iter().product();
        Tensor { data: hash_tensor(name, len, 0.0, 0.2), shape }
    };
    let specs = Network::Mtcnn.weights().into_iter();
    detector(specs.map(|spec| (spec.name.clone(), tensor(&spec.name, spec.shape))).collect())
}

fn numbers(value: &Value) -> impl Iterator<Item = f64> + '_ {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap())
}

/// The reference's faces, in its order, each within the tolerances.
fn check(what: &str, found: &[Detection], golden: &Value) {
    let boxes = golden["boxes"].as_array().unwrap();
    assert_eq!(found.len(), boxes.len(), "{what}: faces");
    for (i, face) in found.iter().enumerate() {
        let b = face.bbox;
        let edges = [b.x1, b.y1, b.x2, b.y2].into_iter().map(f64::from);
        let points = face.landmarks.into_iter().flatten().map(f64::from);
        let expected = golden["landmarks"][i].as_array().unwrap().iter().flat_map(numbers);
        let pairs = edges.zip(numbers(&boxes[i])).chain(points.zip(expected));
        for (found, expected) in pairs {
            assert!((found - expected).abs() <= MAX_PX, "{what}: face {i}: {found} for {expected}");
        }
        let off = f64::from(face.score) - golden["probs"][i].as_f64().unwrap();
        assert!(off.abs() <= MAX_SCORE, "{what}: score of face {i} is off by {off}");
    }
}

#[test]
fn every_golden_picture_gives_the_references_faces_on_each_instruction_set() {
    let Some(shared) = shared() else {
        return skipped("detection parity of the CPU engine", NO_REFERENCES);
    };
    let golden = shared.join("golden");
    let pack = detector(mtcnn(&golden));
    let mut pictures = Vec::new();
    for entry in std::fs::read_dir(golden.join("png")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let picture = image::open(&path).unwrap().into_rgb8();
        let (width, height) = picture.dimensions();
        let frame = Frame::from_rgb(width as usize, height as usize, picture.into_raw()).unwrap();
        let text = std::fs::read(golden.join(format!("mtcnn/{name}.json"))).unwrap();
        pictures.push((name, frame, serde_json::from_slice::<Value>(&text).unwrap()));
    }
    assert_eq!(pictures.len(), 11);
    let settings = Simd::available().into_iter().flat_map(|simd| [1, 2].map(|n| (simd, n)));
    for (simd, threads) in settings {
        for min_face in [20, 40] {
            let cascade =
                CascadeOptions { min_face_px: f64::from(min_face), ..CascadeOptions::default() };
            let options = EngineOptions { threads, cascade, simd };
            let mut engine = CpuEngine::new(&pack, None, &options).unwrap();
            engine.self_test().unwrap();
            for (name, frame, expected) in &pictures {
                let found = engine.detect(frame).unwrap();
                let what = format!("{name}, min face {min_face}, {simd:?}, {threads} threads");
                check(&what, &found, &expected["results"][format!("min{min_face}")]);
            }
        }
    }
}

#[test]
fn the_self_test_names_the_network_that_is_wrong() {
    let pack = meaningless_detector();
    let options = EngineOptions::default();
    CpuEngine::new(&pack, None, &options).unwrap().self_test().unwrap();
    for (tensor, expected) in [
        ("pnet.conv3.weight", "P-Net"),
        ("rnet.dense4.slope", "R-Net"),
        ("onet.conv2.bias", "O-Net"),
    ] {
        let mut tensors = pack.tensors();
        tensors.get_mut(tensor).unwrap().data.iter_mut().for_each(|value| *value += 0.1);
        let changed = Pack::new(pack.meta.clone(), &tensors).unwrap();
        let fault = CpuEngine::new(&changed, None, &options).unwrap().self_test().unwrap_err();
        let PackError::SelfTest { network, .. } = fault else { panic!("{tensor}: {fault}") };
        assert_eq!(network, expected, "{tensor}");
    }
}

#[test]
fn an_engine_without_an_embedder_says_so_and_a_detector_is_none() {
    let pack = meaningless_detector();
    let options = EngineOptions::default();
    let frame = Frame::from_rgb(40, 30, vec![128; 40 * 30 * 3]).unwrap();
    let mut engine = CpuEngine::new(&pack, None, &options).unwrap();
    assert!(matches!(engine.embed(&frame, &[]), Err(EngineError::NoEmbedder)));
    let fault = CpuEngine::new(&pack, Some(&pack), &options).unwrap_err();
    assert!(matches!(fault, PackError::WrongNetwork { .. }), "{fault}");
}

#[test]
fn a_sum_that_is_not_a_number_is_an_error_and_never_a_face() {
    let pack = meaningless_detector();
    let mut tensors = pack.tensors();
    // No pack holds a weight that is not finite, so two that overflow, to either side, make the sum infinite or none.
    tensors.get_mut("pnet.conv1.weight").unwrap().data[..27].fill(f32::MAX);
    tensors.get_mut("pnet.conv2.weight").unwrap().data[..90].fill(f32::MAX);
    tensors.get_mut("pnet.conv2.weight").unwrap().data[90..180].fill(-f32::MAX);
    let pack = Pack::new(pack.meta, &tensors).unwrap();
    let frame = Frame::from_rgb(40, 30, vec![100; 40 * 30 * 3]).unwrap();
    for simd in Simd::available() {
        let options = EngineOptions { simd, ..EngineOptions::default() };
        let mut engine = CpuEngine::new(&pack, None, &options).unwrap();
        let fault = engine.detect(&frame).unwrap_err();
        assert!(matches!(fault, EngineError::NotFinite { network: "P-Net" }), "{simd:?}: {fault}");
    }
}
