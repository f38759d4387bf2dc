//! How long a step of training takes on this machine, over made-up samples: for a benchmark beside other frameworks.
//!
//! A step is everything between a batch that is drawn and parameters that have moved: forwards, the losses with their choice of
//! hard samples or triplets, backwards, Adam. Refuses to draw a batch, which takes place beside it and depends on the pictures.

use crate::adam::Adam;
use crate::batch::{BOX, Batch, LANDMARKS};
use crate::config::Tasks;
use crate::facenet::start::LEN;
use crate::facenet::triplet::{self, Negatives, loss, select, squared_distances};
use crate::random::Random;
use crate::stage::Stage;
use crate::start;
use crate::trainable::Trainable;
use anyhow::Result;
use std::time::Instant;
use threshold_models::graph::Graph;
use threshold_models::{net, synthetic};

/// What takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Learning {
    /// A network of the cascade.
    Cascade(Stage),
    /// FaceNet's last layer.
    Facenet,
}

/// Samples whose class counts, of the hardest of which a step learns (Zhang et al. 2016).
const HARD_SHARE: f32 = 0.7;
/// Photos of each person, and the margin: what a run has by default.
const PHOTOS: usize = 4;
const MARGIN: f32 = 1.0;
/// A rate at which little moves, so that steps stay alike.
const RATE: f32 = 1e-5;

/// The median time of a step over so many samples in milliseconds, of `calls` after one that is not counted.
///
/// # Errors
/// If a step fails.
pub fn median_ms(learning: Learning, samples: usize, calls: usize) -> Result<f64> {
    let graph = match learning {
        Learning::Cascade(stage) => stage.graph(),
        Learning::Facenet => net::inception_resnet_v1_head(LEN),
    };
    let batch = made_up(&graph, samples);
    let people: Vec<usize> = (0..samples).map(|i| i / PHOTOS).collect();
    let mut parameters = start::parameters(&graph, 1);
    let mut adam = Adam::new(&parameters);
    let trainable = Trainable::new(graph);
    let mut times = Vec::with_capacity(calls);
    for call in 0..=calls {
        let start = Instant::now();
        let gradients = match learning {
            Learning::Cascade(_) => {
                trainable.gradients(&parameters, &batch, &Tasks::default(), HARD_SHARE)?.1
            }
            Learning::Facenet => {
                let triplets = |values: &[candle_core::Tensor]| {
                    let embedding = trainable.output("embedding").unwrap_or_default();
                    let embeddings = values[embedding].reshape((samples, LEN))?;
                    let distances = squared_distances(&triplet::values(&embeddings)?, LEN);
                    let negatives = Negatives::SemiHard;
                    let mut random = Random::of(&[call as u64]);
                    let chosen = select(&distances, &people, negatives, MARGIN, &mut random);
                    Ok((loss(&embeddings, &chosen, MARGIN)?, ()))
                };
                trainable.gradients_of(&parameters, &batch.pixels, triplets)?.1
            }
        };
        adam.step(&mut parameters, &gradients, RATE);
        if call > 0 {
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}

/// Samples by seed: every other one a face, with box and landmarks switched on for all.
fn made_up(graph: &Graph, n: usize) -> Batch {
    let shape = graph.shape(graph.input());
    Batch {
        n,
        pixels: (0..n as u64).flat_map(|i| synthetic::input(i, shape)).collect(),
        face: (0..n).map(|i| (i % 2) as f32).collect(),
        face_on: vec![1.0; n],
        reg: vec![0.1; n * BOX],
        reg_on: vec![1.0; n],
        landmarks: vec![0.5; n * LANDMARKS],
        landmarks_on: vec![1.0; n],
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    #[test]
    fn a_step_of_every_kind_takes_time() {
        for learning in [Learning::Cascade(Stage::PNet), Learning::Facenet] {
            assert!(median_ms(learning, 8, 2).unwrap() > 0.0, "{learning:?}");
        }
    }
}
