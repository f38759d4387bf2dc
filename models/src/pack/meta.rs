//! What a pack says of itself: network, preprocessing, crop, metric, threshold, source, licence.
//!
//! Owns the fields and their bounds; refuses a description that its network contradicts, since a unit would crop or
//! compare by it. The byte form is JSON under one key of the safetensors header (see [`super`]).

use super::golden::Golden;
use super::measured;
use crate::crop::CropRule;
use crate::graph::{Graph, WeightSpec};
use crate::net;
use serde::{Deserialize, Serialize};
use threshold_record::{Distributions, Metric, Threshold};

/// The version of the description's form that this build writes and reads.
pub const PACK_FORMAT: u32 = 1;

/// The longest text field, in bytes: a licence fits, a header made to fill memory does not.
const TEXT_MAX: usize = 16 * 1024;

/// Which network a pack holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// P-Net, R-Net and O-Net: the detector.
    Mtcnn,
    /// FaceNet's Inception-ResNet-v1: an embedder, 512-D.
    InceptionResnetV1,
    /// The same with a last layer of 128 values, as `threshold-train facenet` makes one: an embedder, 128-D.
    #[serde(rename = "inception-resnet-v1-128")]
    InceptionResnetV1At128,
    /// dlib's ResNet-29: an embedder, 128-D.
    #[serde(rename = "dlib-resnet29")]
    DlibResnet29,
}

impl Network {
    /// Its name in a pack's description and in messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mtcnn => "mtcnn",
            Self::InceptionResnetV1 => "inception-resnet-v1",
            Self::InceptionResnetV1At128 => "inception-resnet-v1-128",
            Self::DlibResnet29 => "dlib-resnet29",
        }
    }

    /// Whether it finds faces; the others make embeddings.
    #[must_use]
    pub const fn is_detector(self) -> bool {
        matches!(self, Self::Mtcnn)
    }

    /// Its definitions: one, or the detector's three stages (P-Net for the smallest level, 12 x 12).
    #[must_use]
    pub fn graphs(self) -> Vec<Graph> {
        match self {
            Self::Mtcnn => vec![net::pnet(12, 12), net::rnet(), net::onet()],
            Self::InceptionResnetV1 => vec![net::inception_resnet_v1()],
            Self::InceptionResnetV1At128 => vec![net::inception_resnet_v1_128()],
            Self::DlibResnet29 => vec![net::dlib_resnet29()],
        }
    }

    /// The tensors that a pack of it holds, no more and no less.
    #[must_use]
    pub fn weights(self) -> Vec<WeightSpec> {
        self.graphs().iter().flat_map(Graph::weights).collect()
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How a crop's 8-bit values become the network's input: `(value - mean) * scale`, for each of R, G, B.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Subtracted, in grey levels, 0 to 255.
    pub mean: [f32; 3],
    /// Multiplied, in 1 / grey level.
    pub scale: f32,
}

/// How distances fall, as measured with a pack; what a door's forecast is drawn from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScoreStats {
    /// The distances at fixed rates.
    pub distributions: Distributions,
    /// Which pictures, which protocol.
    pub source: String,
}

/// What an embedder's pack says beyond its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderMeta {
    /// How a face becomes the network's input.
    pub crop: CropRule,
    /// What the distance of two embeddings measures.
    pub metric: Metric,
    /// Values in an embedding.
    pub embedding_len: usize,
    /// The distance at or below which two faces count as one person: the best of the LFW dev folds, 0 to 4.
    pub threshold_distance: f32,
    /// Where the threshold was measured, or that it was not.
    pub threshold_source: String,
    /// Score distributions that came with the pack. The published weights' stand in `measured`, outside the hash.
    pub scores: Option<ScoreStats>,
}

impl EmbedderMeta {
    /// The threshold as a score on the pack's metric.
    #[must_use]
    pub fn threshold(&self) -> Threshold {
        Threshold(self.metric.score(self.threshold_distance))
    }
}

/// Where the weights came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Who published them, where.
    pub title: String,
    /// BLAKE3 of the folded f32 tensors, in hex: the same whatever file format they came in.
    pub digest: String,
}

/// A pack's description.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackMeta {
    /// [`PACK_FORMAT`].
    pub format: u32,
    /// The pack's name, also its file's without `.pack`: lower-case letters, digits, dots, hyphens.
    pub name: String,
    /// Which network.
    pub network: Network,
    /// Which training of it.
    pub version: String,
    /// From grey levels to the network's input.
    pub preprocessing: Preprocessing,
    /// Crop, metric and threshold of an embedder; absent for a detector.
    pub embedder: Option<EmbedderMeta>,
    /// Where the weights came from.
    pub source: Source,
    /// The licence of weights and network, as text.
    pub licence: String,
    /// Inputs and the outputs that these weights give.
    pub golden: Vec<Golden>,
}

impl PackMeta {
    /// How distances fall with this pack: as the pack says, else as measured with the published weights.
    #[must_use]
    pub fn scores(&self) -> Option<ScoreStats> {
        let own = self.embedder.as_ref()?.scores.clone();
        own.or_else(|| measured::of(&self.source.digest))
    }

    /// What is wrong with the description, as a clause; `None` if nothing is.
    pub(super) fn fault(&self) -> Option<String> {
        if self.format != PACK_FORMAT {
            let format = self.format;
            return Some(format!("its format is {format}, this build reads {PACK_FORMAT}"));
        }
        let name_fits = self
            .name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b));
        if self.name.is_empty() || self.name.len() > 64 || self.name.starts_with('.') || !name_fits
        {
            return Some("its name is not 1 to 64 of a-z, 0-9, '-' and '.'".to_owned());
        }
        let texts = [&self.version, &self.source.title, &self.source.digest, &self.licence];
        let embedder = self.embedder.iter();
        let sources = embedder.flat_map(|embedder| {
            let scores = embedder.scores.iter().map(|scores| &scores.source);
            scores.chain([&embedder.threshold_source])
        });
        if texts.into_iter().chain(sources).any(|text| text.len() > TEXT_MAX) {
            return Some(format!("a text is longer than {TEXT_MAX} bytes"));
        }
        let Preprocessing { mean, scale } = self.preprocessing;
        if !(mean.iter().all(|m| (0.0..=255.0).contains(m)) && scale > 0.0 && scale <= 1.0) {
            return Some("its preprocessing is out of range".to_owned());
        }
        match (&self.embedder, self.network.is_detector()) {
            (None, true) => {}
            (Some(embedder), false) => {
                if let Some(fault) = self.embedder_fault(embedder) {
                    return Some(fault);
                }
            }
            (None, false) => return Some(format!("{} needs crop and metric", self.network)),
            (Some(_), true) => return Some(format!("{} makes no embeddings", self.network)),
        }
        self.golden.iter().find_map(|golden| golden.fault(self.network))
    }

    fn embedder_fault(&self, embedder: &EmbedderMeta) -> Option<String> {
        let graph = &self.network.graphs()[0];
        let side = graph.shape(graph.input()).h;
        let len = graph.outputs().first().map_or(0, |&(_, value)| graph.shape(value).len());
        let size = match embedder.crop {
            CropRule::SquaredBox { size_px, margin_px } => {
                if !(0.0..side as f32).contains(&margin_px) {
                    return Some("its crop margin is out of range".to_owned());
                }
                size_px
            }
            CropRule::Similarity { size_px, points_px, weights } => {
                let far = 2.0 * side as f32;
                let points_fit = points_px.iter().flatten().all(|p| (-far..=far).contains(p));
                let weights_fit = weights.iter().all(|w| (0.0..=1.0).contains(w));
                if !points_fit || !weights_fit || weights.iter().filter(|w| **w > 0.0).count() < 2 {
                    return Some("its crop's points or weights are out of range".to_owned());
                }
                size_px
            }
        };
        if size != side {
            return Some(format!("its crop is {size} px, the network takes {side} px"));
        }
        if embedder.embedding_len != len {
            let found = embedder.embedding_len;
            return Some(format!("its embeddings have {found} values, the network gives {len}"));
        }
        if !(embedder.threshold_distance > 0.0 && embedder.threshold_distance <= 4.0) {
            return Some("its threshold is not a distance between 0 and 4".to_owned());
        }
        let sound = embedder.scores.as_ref().is_none_or(|scores| scores.distributions.is_sound());
        (!sound).then(|| "its score distributions are out of range".to_owned())
    }
}
