//! The networks and what they mean: from a frame to detections, embeddings and scores.
//!
//! Owns the networks' definitions, the packs that hold their weights, the cascade's semantics, the CPU engine,
//! the gallery search and the evaluation protocols.
//! Never mentions CUDA or a camera, and never decides who may enter.
//! Terms as in ARCHITECTURE.md: frame, level, proposal, detection, landmarks, crop, embedding, template, score.

#![deny(unsafe_code)]

pub mod cascade;
pub mod cluster;
#[allow(unsafe_code, reason = "the kernels; every block says why it is sound")]
pub mod cpu;
pub mod crop;
pub mod engine;
pub mod eval;
pub mod frame;
pub mod graph;
#[cfg(feature = "import")]
pub mod import;
pub mod net;
pub mod pack;
#[cfg(feature = "picture")]
pub mod picture;
pub mod plan;
pub mod presentation;
pub mod quality;
pub mod raw;
pub mod search;
pub mod synthetic;
pub mod tensor;
