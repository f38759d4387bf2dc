//! What is trained: the installed FaceNet's last layer or last block, or a whole network of ours from scratch.
//!
//! Owns the choice, what a photo is to it (its *row*), and where a whole network starts. It has batch norm behind every layer while
//! it is trained, the last one too: without, the embeddings of all photos became one point in the first steps.

use super::start::FEATURES;
use crate::start::parameters;
use crate::trainable::scale_of;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use threshold_models::cpu::{self, Pool, Simd};
use threshold_models::graph::{Graph, Op};
use threshold_models::net::{self, ResnetSize};
use threshold_models::tensor::{Tensor, TensorSource, Tensors};

/// What `network` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The last layer of the installed FaceNet.
    #[default]
    LastLayer,
    /// Its last residual block, and that layer.
    LastBlock,
    /// ResNet-50, from scratch.
    Nn2,
    /// ResNet-101, from scratch.
    Nn3,
}

/// What of a photo goes into the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// What the installed FaceNet has before its last layer.
    Features,
    /// What it has before its last block.
    BeforeBlock,
    /// The crop by the installed embedder's rule, of this side.
    Crops {
        /// Pixels.
        side_px: usize,
    },
}

impl Rows {
    /// Values of a photo.
    #[must_use]
    pub fn len(self) -> usize {
        match self {
            Self::Features => FEATURES,
            Self::BeforeBlock => 3 * 3 * FEATURES,
            Self::Crops { side_px } => side_px * side_px * 3,
        }
    }

    /// Whether a photo has no value; none has so.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The part of the installed FaceNet that a photo's crop passes through; none where the crop is the row.
    #[must_use]
    pub fn trunk(self) -> Option<Graph> {
        match self {
            Self::Features => Some(net::inception_resnet_v1_trunk()),
            Self::BeforeBlock => Some(net::inception_resnet_v1_before_last_block()),
            Self::Crops { .. } => None,
        }
    }
}

impl Network {
    /// Whether it is one of ours and from scratch, and not a part of the installed FaceNet.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Nn2 | Self::Nn3)
    }

    /// What goes in.
    #[must_use]
    pub fn rows(self, side_px: usize) -> Rows {
        match self {
            Self::LastLayer => Rows::Features,
            Self::LastBlock => Rows::BeforeBlock,
            Self::Nn2 | Self::Nn3 => Rows::Crops { side_px },
        }
    }

    /// Its graph; of a part of the installed one, only the length of `size` counts.
    #[must_use]
    pub fn graph(self, size: ResnetSize) -> Graph {
        match self {
            Self::LastLayer => net::inception_resnet_v1_head(size.len),
            Self::LastBlock => net::inception_resnet_v1_last_block(size.len),
            Self::Nn2 => net::nn2_of(size),
            Self::Nn3 => net::nn3_of(size),
        }
    }
}

/// Photos passed at a time.
const AT_ONCE: usize = 64;

/// The embeddings of photos' rows, one after the other, by the CPU engine.
///
/// # Errors
/// If a tensor is missing, or the network gives what is no number.
pub fn embeddings(graph: &Graph, weights: &dyn TensorSource, rows: &[f32]) -> Result<Vec<f32>> {
    let pool = Arc::new(Pool::new(1));
    let mut network = cpu::Network::new(graph, weights, Simd::detect(), pool)?;
    let len = graph.shape(graph.input()).len();
    let mut embeddings = Vec::new();
    for rows in rows.chunks(AT_ONCE * len) {
        network.run(rows)?;
        embeddings.extend(network.output("embedding").context("the network has no embedding")?);
    }
    Ok(embeddings)
}

/// What a whole network starts from, by seed: weights as `crate::start` has them, and batch norm behind every layer, with a scale
/// of one. That of a residual block's last layer is zero, so that the block passes on what comes in (Goyal et al. 2017).
#[must_use]
pub fn untrained(graph: &Graph, seed: u64) -> Tensors {
    let mut tensors = parameters(graph, seed);
    for node in graph.nodes() {
        if let Op::Conv { .. } | Op::Dense { .. } = node.op {
            let scale = if node.inputs.len() > 1 { 0.0 } else { 1.0 };
            let (shape, data) = (vec![node.shape.c], vec![scale; node.shape.c]);
            tensors.insert(scale_of(node), Tensor { shape, data });
        }
    }
    tensors
}
