//! Validation: a balanced set of windows from held-back pictures, and how many of them a network gets right.
//!
//! Owns the set (half faces, a quarter drawn windows without one, of which half lie about a face, a quarter that the installed
//! cascade took for faces)
//! and the figures. The arithmetic is the CPU engine's, since that is what will run at a door; the same set judges the
//! installed network. The draw has a seed of its own: runs of other seeds are judged by the same windows, and stages by the same
//! places of the same pictures, but for the mined windows, which each stage has of the one before it.

use crate::pictures::Pictures;
use crate::random::Random;
use crate::sample::{Augment, Drawer, Kind, Sample};
use crate::stage::Stage;
use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use threshold_models::cpu::{Network, Pool, Simd};
use threshold_models::tensor::TensorSource;

/// Which part of the set a window is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Face,
    Random,
    Mined,
}

/// Windows of held-back pictures with their answers.
#[derive(Clone, Debug)]
pub struct Balanced {
    stage: Stage,
    pixels: Vec<f32>,
    parts: Vec<Part>,
}

/// Parts of the windows that were judged rightly, 0 to 1, at a probability of a half.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Of all.
    pub all: f64,
    /// Of faces.
    pub faces: f64,
    /// Of drawn windows without a face, half of them about one and of its size.
    pub random: f64,
    /// Of windows without a face that the installed cascade took for one; `random`'s value if there are none.
    pub mined: f64,
}

/// What the draw follows from.
const SEED: u64 = 0x7661_6c69;

impl Balanced {
    /// Draws the set from held-back pictures: `n` windows, unchanged by any augmentation.
    ///
    /// # Errors
    /// If the pictures show no face or no place without one.
    pub fn draw(held: &Pictures, stage: Stage, min_face_px: f32, n: usize) -> Result<Self> {
        let drawer =
            Drawer { pictures: held, stage, augment: Augment::default(), min_face_px, mined: 0.0 };
        let miner = Drawer { mined: 1.0, ..drawer };
        let (mut pixels, mut parts) = (Vec::new(), Vec::new());
        for i in 0..n {
            let (part, kind, drawer) = match i % 4 {
                0 | 2 => (Part::Face, Kind::Positive, &drawer),
                1 => (Part::Random, Kind::Negative, &drawer),
                // Without mined windows the drawer would give random ones, and say that they are mined.
                _ if held.mined.is_empty() => (Part::Random, Kind::Negative, &drawer),
                _ => (Part::Mined, Kind::Negative, &miner),
            };
            let mut random = Random::of(&[SEED, i as u64]);
            let Sample { pixels: window, .. } =
                drawer.sample(kind, &mut random).with_context(|| {
                    format!(
                        "the held-back pictures give no {part:?} window; hold back more (held_back)"
                    )
                })?;
            pixels.extend(window);
            parts.push(part);
        }
        Ok(Self { stage, pixels, parts })
    }

    /// Windows in the set, and how many of them are mined.
    #[must_use]
    pub fn windows(&self) -> (usize, usize) {
        (self.parts.len(), self.parts.iter().filter(|&&part| part == Part::Mined).count())
    }

    /// Judges a network by these weights.
    ///
    /// # Errors
    /// If a tensor is missing, or the network gives what is no number.
    pub fn accuracy(&self, weights: &dyn TensorSource) -> Result<Accuracy> {
        let graph = self.stage.graph();
        let pool = Arc::new(Pool::new(1));
        let mut network = Network::new(&graph, weights, Simd::detect(), pool)?;
        let len = graph.shape(graph.input()).len();
        let mut right = Vec::with_capacity(self.parts.len());
        for (pixels, parts) in self.pixels.chunks(BATCH * len).zip(self.parts.chunks(BATCH)) {
            network.run(pixels)?;
            let prob = network.output("prob").context("every stage has a probability")?;
            let judged = prob.chunks_exact(2).map(|prob| prob[1] >= 0.5);
            right.extend(judged.zip(parts).map(|(face, &part)| face == (part == Part::Face)));
        }
        let share = |wanted: &dyn Fn(Part) -> bool| {
            let of = self.parts.iter().zip(&right).filter(|&(&part, _)| wanted(part));
            let (n, right) =
                of.fold((0, 0), |(n, sum), (_, &right)| (n + 1, sum + usize::from(right)));
            if n == 0 { f64::NAN } else { right as f64 / n as f64 }
        };
        let (random, mined) =
            (share(&|part| part == Part::Random), share(&|part| part == Part::Mined));
        Ok(Accuracy {
            all: share(&|_| true),
            faces: share(&|part| part == Part::Face),
            random,
            mined: if mined.is_nan() { random } else { mined },
        })
    }
}

/// Windows judged at a time.
const BATCH: usize = 64;
