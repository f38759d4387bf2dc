//! What an epoch descends, and the losses beside the triplets': whose photo it is, and what a teacher says of it.
//!
//! ```text
//! classes   mean over the photos of   -log softmax(16 * (W e + b))[whose it is]     e unit
//! teacher   mean over the photos of   |e - t|^2                                     e, t unit
//! ```
//! Owns both and the head that says whose photo it is, which only these epochs have. Refuses to choose photos.

use crate::loss::euclidean;
use candle_core::{D, Device, Result, Tensor};
use threshold_models::graph::{Act, Graph};

/// What an epoch descends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Whose photo it is, among the people to learn from.
    Classes,
    /// The installed FaceNet's embedding of the same photo.
    Teacher,
    /// Triplets.
    Triplets,
}

/// The head's name, before its weights' kinds.
pub const HEAD: &str = "classes";
/// Factor of the scores: those of a unit vector are too near each other for a softmax to be sure of any (Wang et al. 2017).
const SCALE: f64 = 16.0;

/// The network with a head that has a score for each of so many people.
#[must_use]
pub fn with_head(graph: &Graph, people: usize) -> Graph {
    let mut graph = graph.clone();
    if let Some(embedding) = graph.find("embedding") {
        let scores = graph.dense(HEAD, embedding, people, true, Act::None);
        graph.output(HEAD, scores);
    }
    graph
}

/// The mean of -log p of whose photo each is; `scores` is (N, people).
///
/// # Errors
/// If the shapes do not fit.
pub fn classes(scores: &Tensor, people: &[usize]) -> Result<Tensor> {
    let scores = (scores * SCALE)?;
    let shifted = scores.broadcast_sub(&scores.max_keepdim(1)?.detach())?;
    let log_prob = shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)?;
    let own: Vec<u32> = people.iter().map(|&person| person as u32).collect();
    let own = Tensor::from_vec(own, (people.len(), 1), &Device::Cpu)?;
    log_prob.gather(&own, D::Minus1)?.mean_all()?.neg()
}

/// The mean squared distance of embeddings (N, D) from a teacher's.
///
/// # Errors
/// If the shapes do not fit.
pub fn teacher(embeddings: &Tensor, asked: &[f32]) -> Result<Tensor> {
    euclidean(embeddings, asked, &vec![1.0; embeddings.dim(0)?])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::layers::testing::{check, variable};

    #[test]
    fn gradients_are_the_finite_differences() {
        let scores = variable(&[5, 4], 1);
        check("classes", &[&scores], || classes(&(scores.as_tensor() * 0.1)?, &[0, 3, 3, 1, 2]));
        let embeddings = variable(&[3, 4], 2);
        let asked: Vec<f32> = (0..12).map(|i| i as f32 / 12.0).collect();
        check("teacher", &[&embeddings], || teacher(&embeddings, &asked));
    }

    #[test]
    fn the_loss_is_the_cross_entropy_of_the_scaled_scores() {
        let scores = Tensor::new(&[[0.1f64, 0.0], [0.0, 0.0]], &Device::Cpu).unwrap();
        let found = classes(&scores, &[0, 1]).unwrap().to_scalar::<f64>().unwrap();
        let expected = f64::midpoint((1.0 + (-1.6f64).exp()).ln(), 2f64.ln());
        assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        let far = Tensor::new(&[[100.0f32, -100.0]], &Device::Cpu).unwrap();
        assert_eq!(classes(&far, &[1]).unwrap().to_scalar::<f32>().unwrap(), 3200.0);
    }
}
