//! The published weights: what each pack is called, what it means, and the digest that says it is they.
//!
//! Owns every figure that goes into a pack besides its weights. Refuses weights of another digest: the threshold was
//! measured with the published ones.

use super::error::ImportError;
use crate::cpu;
use crate::crop::CropRule;
use crate::pack::{
    EmbedderMeta, Golden, Network, PACK_FORMAT, Pack, PackMeta, Preprocessing, Source,
};
use crate::tensor::Tensors;
use threshold_record::Metric;

/// Seed of the golden input; one input reaches every weight of a network.
const GOLDEN_SEED: u64 = 0x7472_6573_686f_6c64;
/// P-Net's golden level, rows and columns, not square so that a swap shows.
const GOLDEN_LEVEL: [usize; 2] = [20, 26];
/// Steps of a golden value: 2^-20, far below the tolerance, far above what two C libraries' exp differ by.
const GOLDEN_STEPS: f64 = 1_048_576.0;

/// The description of the published weights of a network, without golden vectors.
#[must_use]
pub fn description(network: Network) -> PackMeta {
    let (name, version, preprocessing, embedder, title, digest, licence) = match network {
        Network::Mtcnn => (
            "mtcnn",
            "facenet-pytorch-2.5.3",
            Preprocessing { mean: [127.5; 3], scale: 0.007_812_5 },
            None,
            "P-Net, R-Net and O-Net as in the PyPI wheel facenet-pytorch 2.5.3, data/{p,r,o}net.pt",
            MTCNN_DIGEST,
            MTCNN_LICENCE,
        ),
        Network::InceptionResnetV1 => (
            "facenet-20180402-vggface2",
            "20180402-114759",
            Preprocessing { mean: [127.5; 3], scale: 0.007_812_5 },
            Some(EmbedderMeta {
                crop: CropRule::SquaredBox { size_px: 160, margin_px: 32.0 },
                metric: Metric::SquaredL2,
                embedding_len: 512,
                threshold_distance: 1.14,
                threshold_source: LFW_DEV.to_owned(),
                scores: None,
            }),
            "FaceNet model 20180402-114759 (VGGFace2) of davidsandberg/facenet",
            FACENET_DIGEST,
            FACENET_LICENCE,
        ),
        Network::InceptionResnetV1At128 => return to_be_trained(),
        Network::DlibResnet29 => (
            "dlib-resnet29",
            "dlib_face_recognition_resnet_model_v1",
            Preprocessing { mean: [122.782, 117.001, 104.298], scale: 1.0 / 256.0 },
            Some(EmbedderMeta {
                crop: CropRule::Similarity {
                    size_px: 150,
                    points_px: [
                        [47.97, 45.79],
                        [101.87, 45.96],
                        [74.93, 78.26],
                        [50.81, 104.67],
                        [98.21, 104.73],
                    ],
                    weights: [1.0, 1.0, 0.25, 0.25, 0.25],
                },
                metric: Metric::L2,
                embedding_len: 128,
                threshold_distance: 0.62,
                threshold_source: LFW_DEV.to_owned(),
                scores: None,
            }),
            "dlib_face_recognition_resnet_model_v1.dat as in the PyPI sdist face_recognition_models 0.3.0",
            DLIB_DIGEST,
            DLIB_LICENCE,
        ),
    };
    PackMeta {
        format: PACK_FORMAT,
        name: name.to_owned(),
        network,
        version: version.to_owned(),
        preprocessing,
        embedder,
        source: Source { title: title.to_owned(), digest: digest.to_owned() },
        licence: licence.to_owned(),
        golden: vec![],
    }
}

/// What FaceNet's pack says, for a last layer of 128 values: nobody publishes one, so it has no digest, and its threshold
/// is for whoever trains it to measure.
fn to_be_trained() -> PackMeta {
    let published = description(Network::InceptionResnetV1);
    let embedder = published.embedder.map(|embedder| EmbedderMeta {
        embedding_len: 128,
        threshold_source: "not measured".to_owned(),
        ..embedder
    });
    PackMeta {
        name: "facenet-128".to_owned(),
        network: Network::InceptionResnetV1At128,
        version: "to be trained".to_owned(),
        embedder,
        source: Source { digest: String::new(), ..published.source },
        ..published
    }
}

/// Whether a pack is what this build would make of the published weights.
#[must_use]
pub fn is_current(meta: &PackMeta) -> bool {
    let golden = meta.golden.clone();
    !golden.is_empty() && PackMeta { golden, ..description(meta.network) } == *meta
}

/// The pack of a network's folded tensors, if they are the published ones.
pub(super) fn pack(network: Network, tensors: Tensors) -> Result<Pack, ImportError> {
    let meta = description(network);
    let found = digest(&tensors);
    if found != meta.source.digest {
        let short = |digest: &str| digest.chars().take(16).collect();
        return Err(ImportError::OtherWeights {
            network: network.name(),
            expected: short(&meta.source.digest),
            found: short(&found),
        });
    }
    with_golden(meta, tensors)
}

/// A pack whose golden vectors were computed from its own, rounded, tensors.
///
/// # Errors
/// [`ImportError::Pack`] if the description or a tensor is wrong.
pub fn with_golden(meta: PackMeta, tensors: Tensors) -> Result<Pack, ImportError> {
    let bare = Pack::new(PackMeta { golden: vec![], ..meta }, &tensors)?;
    let network = bare.meta.network;
    let (tensors, mut golden) = (bare.tensors(), vec![]);
    for (stage, graph) in network.graphs().into_iter().enumerate() {
        let shape = graph.shape(graph.input());
        let level = network.is_detector() && stage == 0;
        let size = if level { GOLDEN_LEVEL } else { [shape.h, shape.w] };
        let mut one = Golden { stage, seed: GOLDEN_SEED, size, outputs: vec![] };
        let graph = one.graph(network);
        let values = cpu::evaluate(&graph, &tensors, &one.input(&graph));
        let mut values = values.map_err(|error| ImportError::Pack(error.into()))?;
        for &(_, value) in graph.outputs() {
            let stepped = |v: f32| ((f64::from(v) * GOLDEN_STEPS).round() / GOLDEN_STEPS) as f32;
            let output = std::mem::take(&mut values[value]);
            one.outputs.push(output.into_iter().map(stepped).collect());
        }
        golden.push(one);
    }
    Ok(Pack::new(PackMeta { golden, ..bare.meta }, &tensors)?)
}

/// BLAKE3 of tensors, in hex: for each in name order its name, its shape and its f32, every length first as a u64.
#[must_use]
pub fn digest(tensors: &Tensors) -> String {
    let mut hasher = blake3::Hasher::new();
    let length = |hasher: &mut blake3::Hasher, n: usize| {
        hasher.update(&(n as u64).to_le_bytes());
    };
    for (name, tensor) in tensors {
        length(&mut hasher, name.len());
        hasher.update(name.as_bytes());
        length(&mut hasher, tensor.shape.len());
        tensor.shape.iter().for_each(|&size| length(&mut hasher, size));
        let bytes: Vec<u8> = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
        hasher.update(&bytes);
    }
    hasher.finalize().to_hex().to_string()
}

/// Where both thresholds come from.
const LFW_DEV: &str =
    "best of the five LFW development folds, deep-funneled pictures, MTCNN faces, this crop";

const MTCNN_DIGEST: &str = "6e133aaeebea136a4bf4baba09004785a8ed05ce0edc9a37a9d4d203edf5851d";
const FACENET_DIGEST: &str = "d407d4575ee7dbc7bda8828c72f6c8a31eeff8bacc5200904c08d75756e49062";
const DLIB_DIGEST: &str = "bcf1240b9e3842402c78ec8bdb28955eb18b9326ca7ee41ff0daa906ddf53594";

const MTCNN_LICENCE: &str = "MIT License. Copyright (c) 2019 Timothy Esler. Weights and network as distributed with \
    facenet-pytorch under the MIT licence.";
const FACENET_LICENCE: &str = "Code: MIT License, Copyright (c) 2016 David Sandberg. For the weights no licence of \
    their own is stated; they were trained on VGGFace2, whose terms are for research: settle this before commercial use.";
const DLIB_LICENCE: &str = "CC0 1.0 Universal (public domain dedication), as face_recognition_models states for \
    dlib_face_recognition_resnet_model_v1.dat by Davis King.";
