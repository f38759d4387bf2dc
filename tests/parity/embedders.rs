//! The published embedders' weights, as packs hold them, against the outputs of their own libraries.
//!
//! The packs round weights to FP16; what is left of the reference is a cosine of at least 0.99999 and no change of any
//! distance between the golden faces by more than 0.002.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use threshold_models::cpu::{Network, Pool, Simd};
use threshold_models::pack::{Network as Kind, Pack, Preprocessing};
use threshold_tests::{NO_REFERENCES, npy, shared, skipped};

use crate::fixtures::{hwc, on_every_engine};

/// The least cosine with the reference's embedding.
const MIN_COSINE: f64 = 0.99999;
/// The most by which a distance between two golden faces may differ from the reference's.
const MAX_DISTANCE_SHIFT: f64 = 0.002;

/// The pack of one network, from the folder that `cargo xtask setup` fills.
fn pack(kind: Kind) -> Option<Pack> {
    let packs = threshold_tests::packs()?;
    let entry = packs.embedders().find(|entry| entry.meta.network == kind)?;
    Some(packs.find(entry.id().unwrap()).unwrap())
}

/// Grey levels 0..255 into the network's input.
fn preprocess(pack: &Pack, pixels: &mut [f32]) {
    let Preprocessing { mean, scale } = pack.meta.preprocessing;
    for pixel in pixels.chunks_exact_mut(3) {
        pixel.iter_mut().zip(mean).for_each(|(value, mean)| *value = (*value - mean) * scale);
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    let squares = a.iter().zip(b).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2));
    squares.sum::<f64>().sqrt()
}

/// Embeds all crops at once and compares each embedding, and each distance, with the reference's.
fn check(pack: &Pack, crops: &[f32], expected: &[f32]) {
    let graph = pack.meta.network.graphs().swap_remove(0);
    let len = pack.embedder().unwrap().embedding_len;
    let expected: Vec<&[f32]> = expected.chunks(len).collect();
    let embed = |simd: Simd, pool: &Arc<Pool>| {
        let mut network = Network::new(&graph, pack, simd, Arc::clone(pool)).unwrap();
        network.run(crops).unwrap();
        let found: Vec<&[f32]> = network.output("embedding").unwrap().chunks(len).collect();
        assert_eq!(found.len(), expected.len());
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            let cosine = dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
            assert!(cosine >= MIN_COSINE, "{simd:?}: face {i} has cosine {cosine}");
            for j in 0..i {
                let shift = distance(a, found[j]) - distance(b, expected[j]);
                assert!(shift.abs() <= MAX_DISTANCE_SHIFT, "{simd:?}: faces {i}, {j}: {shift}");
            }
        }
    };
    on_every_engine(embed);
}

#[test]
fn facenets_pack_gives_the_references_embeddings() {
    let Some(shared) = shared() else {
        return skipped("FaceNet with its weights", NO_REFERENCES);
    };
    let Some(pack) = pack(Kind::InceptionResnetV1) else {
        return skipped("FaceNet with its weights", "no such pack; `cargo xtask setup` makes it");
    };
    let golden = shared.join("golden/facenet_real");
    let mut crops = hwc(&npy(&golden.join("faces160_u8.npy")).f32(), [3, 160, 160]);
    preprocess(&pack, &mut crops);
    let expected = npy(&golden.join("emb_facenet_20180402-114759_vggface2_512.npy"));
    check(&pack, &crops, &expected.f32());
}

#[test]
fn dlibs_pack_gives_the_references_embeddings() {
    let Some(shared) = shared() else {
        return skipped("dlib's ResNet with its weights", NO_REFERENCES);
    };
    let Some(pack) = pack(Kind::DlibResnet29) else {
        return skipped(
            "dlib's ResNet with its weights",
            "no such pack; `cargo xtask setup` makes it",
        );
    };
    let golden = shared.join("golden/dlib");
    let about: Value =
        serde_json::from_slice(&std::fs::read(golden.join("dlib.json")).unwrap()).unwrap();
    let encodings = npy(&golden.join("encodings_5pt_68pt.npy")).f32();
    let (mut crops, mut expected) = (Vec::new(), Vec::new());
    for (label, pair) in about["labels"].as_array().unwrap().iter().zip(encodings.chunks(2 * 128)) {
        let chip = golden.join(chip_of(label.as_str().unwrap()));
        if chip.is_file() {
            let pixels = image::open(chip).unwrap().into_rgb8().into_raw();
            crops.extend(pixels.into_iter().map(f32::from));
            expected.extend_from_slice(&pair[..128]);
        }
    }
    assert_eq!(expected.len(), 8 * 128);
    preprocess(&pack, &mut crops);
    check(&pack, &crops, &expected);
}

/// `src/obama.jpg#0` is `chip150_src_obama_0.png`.
fn chip_of(label: &str) -> String {
    let (picture, face) = label.split_once('#').unwrap();
    let stem = Path::new(picture).with_extension("").to_string_lossy().replace('/', "_");
    format!("chip150_{stem}_{face}.png")
}
