//! What a run of a part of the installed network starts from: that part, its embedding on fewer directions.
//!
//! Owns the two choices of directions: those along which the embeddings of the photos to learn from lie (their principal
//! ones), from which a run starts, and random ones, with which it is compared. A last layer that was drawn anew would have
//! to learn from a few hundred people what the installed one knows from thousands.

use super::network::embeddings;
use crate::random::Random;
use anyhow::{Context as _, Result};
use threshold_models::graph::Graph;
use threshold_models::pack::Pack;
use threshold_models::tensor::{Tensor, Tensors};

/// Values of the embedding that is trained if nothing is said: the paper's.
pub const LEN: usize = 128;
/// Values of the installed one.
pub const INSTALLED_LEN: usize = 512;
/// Values before the last layer.
pub const FEATURES: usize = 1792;

/// Rounds of the orthogonal iteration. The directions need not be exact, since training moves them.
const ROUNDS: usize = 20;
/// What the draw is for, beside the seed.
const STREAM: u64 = 0x7468_726f;

const WEIGHT: &str = "last_linear.weight";
const BIAS: &str = "last_linear.bias";

/// A part of the installed network, as it is: what its graph has weights for.
///
/// # Errors
/// If the pack lacks one of them.
pub fn installed(graph: &Graph, embedder: &Pack) -> Result<Tensors> {
    let mut tensors = embedder.tensors();
    let mut take = |name: String| {
        let tensor = tensors.remove(&name).with_context(|| format!("{name} is missing"))?;
        anyhow::Ok((name, tensor))
    };
    graph.weights().map(|spec| take(spec.name)).collect()
}

/// The installed embedding on the directions along which those of these photos lie most: those of the largest mean
/// squares, by orthogonal iteration from random ones. `graph` is the part of it that goes from the photos' rows to its
/// embedding.
///
/// # Errors
/// As [`embeddings`].
pub fn principal(
    (graph, installed): (&Graph, &Tensors),
    rows: &[f32],
    len: usize,
    seed: u64,
) -> Result<Tensors> {
    let embeddings = embeddings(graph, installed, rows)?;
    let mut squares = vec![0.0; INSTALLED_LEN * INSTALLED_LEN];
    for embedding in embeddings.chunks_exact(INSTALLED_LEN) {
        for (value, row) in embedding.iter().zip(squares.chunks_exact_mut(INSTALLED_LEN)) {
            row.iter_mut().zip(embedding).for_each(|(sum, other)| *sum += value * other);
        }
    }
    let mut directions = drawn(len, seed);
    for _ in 0..ROUNDS {
        directions = product(&directions, &squares, INSTALLED_LEN);
        orthonormal(&mut directions);
    }
    Ok(projected(installed, &directions))
}

/// The installed embedding on random directions: distances stay about what they are.
#[must_use]
pub fn random(installed: &Tensors, len: usize, seed: u64) -> Tensors {
    let mut directions = drawn(len, seed);
    orthonormal(&mut directions);
    projected(installed, &directions)
}

fn drawn(len: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::of(&[seed, STREAM]);
    (0..len * INSTALLED_LEN).map(|_| random.between(-1.0, 1.0)).collect()
}

/// The same part with a last layer whose values are the installed one's on these directions.
fn projected(installed: &Tensors, directions: &[f32]) -> Tensors {
    let of = |name: &str, shape: Vec<usize>| {
        let width = shape[1..].iter().product();
        let data = installed.get(name).map(|t| product(directions, &t.data, width));
        (name.to_owned(), Tensor { shape, data: data.unwrap_or_default() })
    };
    let len = directions.len() / INSTALLED_LEN;
    let mut tensors = installed.clone();
    tensors.extend([of(WEIGHT, vec![len, FEATURES]), of(BIAS, vec![len])]);
    tensors
}

/// Rows of [`INSTALLED_LEN`] values times as many rows of `width`.
fn product(rows: &[f32], values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0; rows.len() / INSTALLED_LEN * width];
    for (row, sums) in rows.chunks_exact(INSTALLED_LEN).zip(sums.chunks_exact_mut(width)) {
        for (part, values) in row.iter().zip(values.chunks_exact(width)) {
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += part * value);
        }
    }
    sums
}

/// Makes rows of [`INSTALLED_LEN`] unit vectors at right angles, each in turn against those before it.
fn orthonormal(rows: &mut [f32]) {
    for at in 0..rows.len() / INSTALLED_LEN {
        let (before, row) = rows.split_at_mut(at * INSTALLED_LEN);
        let row = &mut row[..INSTALLED_LEN];
        let length =
            |row: &[f32]| row.iter().map(|value| value * value).sum::<f32>().sqrt().max(1e-30);
        let whole = length(row);
        // Twice, since what is left of a row is rounded as the whole row was.
        for other in before.chunks_exact(INSTALLED_LEN).chain(before.chunks_exact(INSTALLED_LEN)) {
            let along: f32 = other.iter().zip(&*row).map(|(a, b)| a * b).sum();
            row.iter_mut().zip(other).for_each(|(value, other)| *value -= along * other);
        }
        let left = length(row);
        // Where the photos give no further direction, only rounding is left: such a row is zeros, and stays so.
        let scale = if left > whole * 1e-4 { 1.0 / left } else { 0.0 };
        row.iter_mut().for_each(|value| *value *= scale);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use threshold_models::net::inception_resnet_v1_head;

    /// A last layer that copies the first values, and photos that lie along a few of them.
    fn copying() -> Tensors {
        let mut weight = vec![0.0; INSTALLED_LEN * FEATURES];
        (0..INSTALLED_LEN).for_each(|i| weight[i * FEATURES + i] = 1.0);
        Tensors::from([
            (WEIGHT.to_owned(), Tensor { shape: vec![INSTALLED_LEN, FEATURES], data: weight }),
            (
                BIAS.to_owned(),
                Tensor { shape: vec![INSTALLED_LEN], data: vec![0.0; INSTALLED_LEN] },
            ),
        ])
    }

    fn photos(n: usize, values: usize) -> Vec<f32> {
        let mut random = Random::of(&[3]);
        let photo = |_| -> Vec<f32> {
            (0..FEATURES)
                .map(|i| if i < values { random.between(-1.0, 1.0) } else { 0.0 })
                .collect()
        };
        (0..n).flat_map(photo).collect()
    }

    fn distances(weights: &Tensors, len: usize, features: &[f32]) -> Vec<f32> {
        let found = embeddings(&inception_resnet_v1_head(len), weights, features).unwrap();
        super::super::triplet::squared_distances(&found, len)
    }

    #[test]
    fn photos_along_few_directions_keep_their_distances_on_the_principal_ones_and_not_on_random_ones()
     {
        let (installed, photos) = (copying(), photos(60, 100));
        let expected = distances(&installed, INSTALLED_LEN, &photos);
        let far = |weights: &Tensors| {
            let found = distances(weights, LEN, &photos);
            threshold_models::tensor::max_abs_diff(&found, &expected)
        };
        let head = inception_resnet_v1_head(INSTALLED_LEN);
        let principal = principal((&head, &installed), &photos, LEN, 1).unwrap();
        assert!(far(&principal) < 1e-3, "{}", far(&principal));
        assert!(far(&random(&installed, LEN, 1)) > 0.1);
    }
}
