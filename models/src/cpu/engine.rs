//! The engine that every unit and host has: detection and embedding on the CPU.
//!
//! Owns the way from a face to the embedder's input values; the cascade, the crop and what packs mean are called.
//! Refuses to keep packs: their tensors are packed at the start and the caller may drop them at once.

use std::num::NonZero;
use std::sync::Arc;

use super::network::Network;
use super::pool::Pool;
use super::simd::Simd;
use super::stages::CpuStages;
use crate::cascade::{Cascade, CascadeOptions};
use crate::crop::{CropRule, crop};
use crate::engine::{Detection, Embedding, Engine, EngineError};
use crate::frame::Frame;
use crate::pack::{GOLDEN_TOLERANCE_F32, Pack, PackError, PackMeta, Preprocessing};

/// Faces embedded at a time: enough to use each streamed weight several times, few enough for 15 MB of activations.
const FACES_AT_ONCE: usize = 4;

/// How an engine works.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EngineOptions {
    /// Threads in all, the caller's among them; 1 starts none.
    pub threads: usize,
    /// What the cascade is asked for.
    pub cascade: CascadeOptions,
    /// The instruction set; the widest of this processor if it lacks that one.
    pub simd: Simd,
}

impl Default for EngineOptions {
    /// All processors (8 at most: a frame's work divides no further), the reference's cascade, the widest registers.
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(8);
        Self { threads, cascade: CascadeOptions::default(), simd: Simd::detect() }
    }
}

/// Detection and embedding on the CPU.
#[derive(Debug)]
pub struct CpuEngine {
    cascade: Cascade,
    stages: CpuStages,
    embedder: Option<Embedder>,
    /// Kept for their golden vectors.
    packs: Vec<PackMeta>,
}

#[derive(Debug)]
struct Embedder {
    network: Network,
    rule: CropRule,
    preprocessing: Preprocessing,
    embedding_len: usize,
    crops: Vec<f32>,
}

impl CpuEngine {
    /// An engine with these packs' weights; without an embedder it only detects.
    ///
    /// # Errors
    /// [`PackError::WrongNetwork`] if `detector` is none or `embedder` is one.
    pub fn new(
        detector: &Pack,
        embedder: Option<&Pack>,
        options: &EngineOptions,
    ) -> Result<Self, PackError> {
        if !detector.meta.network.is_detector() {
            return Err(PackError::WrongNetwork {
                name: detector.meta.name.clone(),
                expected: "a detector".to_owned(),
                found: detector.meta.network.to_string(),
            });
        }
        let pool = Arc::new(Pool::new(options.threads));
        let stages = CpuStages::new(detector, options.simd, Arc::clone(&pool))?;
        let packs = [Some(detector), embedder].into_iter().flatten();
        let packs = packs.map(|pack| pack.meta.clone()).collect();
        let embedder = embedder.map(|pack| Embedder::new(pack, options.simd, pool)).transpose()?;
        Ok(Self { cascade: Cascade::new(options.cascade), stages, embedder, packs })
    }

    /// Runs the packs' golden vectors through this engine: the processor, its memory and the weights are what they were
    /// when the packs were made.
    ///
    /// # Errors
    /// [`PackError::SelfTest`] with the largest difference, or what the engine failed with.
    pub fn self_test(&mut self) -> Result<(), PackError> {
        let Self { stages, embedder, packs, .. } = self;
        for pack in packs.iter() {
            pack.self_test(GOLDEN_TOLERANCE_F32, |stage, graph, input| {
                if pack.network.is_detector() {
                    return stages.outputs(stage, graph, input);
                }
                let network = &mut embedder.as_mut().ok_or(EngineError::NoEmbedder)?.network;
                network.run(input)?;
                let output = |&(name, _): &(&'static str, usize)| network.output(name);
                Ok(graph.outputs().iter().filter_map(output).map(<[f32]>::to_vec).collect())
            })?;
        }
        Ok(())
    }

    /// The embeddings as a GPU's kernels make them, values between layers in half precision: see [`Network::run_in_halves`].
    ///
    /// # Errors
    /// As [`Engine::embed`].
    pub fn embed_in_halves(
        &mut self,
        frame: &Frame,
        faces: &[Detection],
    ) -> Result<Vec<Embedding>, EngineError> {
        self.embed_by(Network::run_in_halves, frame, faces)
    }

    fn embed_by(
        &mut self,
        run: fn(&mut Network, &[f32]) -> Result<(), EngineError>,
        frame: &Frame,
        faces: &[Detection],
    ) -> Result<Vec<Embedding>, EngineError> {
        let embedder = self.embedder.as_mut().ok_or(EngineError::NoEmbedder)?;
        let mut embeddings = Vec::with_capacity(faces.len());
        for faces in faces.chunks(FACES_AT_ONCE) {
            embeddings.extend(embedder.embed(run, frame, faces)?);
        }
        Ok(embeddings)
    }

    /// What the embedder's pack says; `None` without an embedder.
    #[must_use]
    pub fn embedder(&self) -> Option<&PackMeta> {
        self.packs.iter().find(|pack| !pack.network.is_detector())
    }
}

impl Engine for CpuEngine {
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        self.cascade.detect(&mut self.stages, frame)
    }

    fn embed(&mut self, frame: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        self.embed_by(Network::run, frame, faces)
    }
}

impl Embedder {
    fn new(pack: &Pack, simd: Simd, pool: Arc<Pool>) -> Result<Self, PackError> {
        let meta = pack.embedder()?;
        let graph = pack.meta.network.graphs().swap_remove(0);
        Ok(Self {
            network: Network::new(&graph, pack, simd, pool)?,
            rule: meta.crop,
            preprocessing: pack.meta.preprocessing,
            embedding_len: meta.embedding_len,
            crops: Vec::new(),
        })
    }

    fn embed(
        &mut self,
        run: fn(&mut Network, &[f32]) -> Result<(), EngineError>,
        frame: &Frame,
        faces: &[Detection],
    ) -> Result<impl Iterator<Item = Embedding> + '_, EngineError> {
        let Preprocessing { mean, scale } = self.preprocessing;
        self.crops.resize(faces.len() * self.rule.len(), 0.0);
        for (values, face) in self.crops.chunks_exact_mut(self.rule.len()).zip(faces) {
            crop(frame, face, &self.rule, values);
            for pixel in values.chunks_exact_mut(3) {
                pixel
                    .iter_mut()
                    .zip(mean)
                    .for_each(|(value, mean)| *value = (*value - mean) * scale);
            }
        }
        run(&mut self.network, &self.crops)?;
        let values = self.network.output("embedding").unwrap_or(&[]);
        Ok(values.chunks_exact(self.embedding_len).map(|values| Embedding(values.to_vec())))
    }
}
