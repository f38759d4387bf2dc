//! Scores of int8 vectors, and the cheap test that spares most templates theirs.
//!
//! Owns the int8 form of an embedding, the score of two of them, and the distance of two embeddings.
//! Refuses to rank: `rank` does.

use crate::engine::Embedding;
use threshold_record::{Metric, Score};

/// The score of vectors that cannot be compared: an embedding of zeros or without numbers. Below any threshold.
pub const LOWEST: Score = Score(-2.0);

/// The int8 form of an embedding: `value = vector[i] * scale`, `scale = max |value| / 127`, halves rounded away from 0.
///
/// An embedding that is all zero or holds a value that is no number gives scale 0 and zeros, which score [`LOWEST`].
#[must_use]
pub fn quantise(embedding: &Embedding) -> (f32, Vec<i8>) {
    let mut vector = vec![0; embedding.0.len()];
    (quantise_into(&mut vector, embedding), vector)
}

/// Writes the components that [`quantise`] gives, of which there are as many as of the embedding, and returns the scale.
pub(super) fn quantise_into(vector: &mut [i8], embedding: &Embedding) -> f32 {
    let largest = embedding.0.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    // `max` passes over a NaN, so each value is asked; a denormal scale would divide to infinity.
    if !scale.is_normal() || embedding.0.iter().any(|value| !value.is_finite()) {
        vector.fill(0);
        return 0.0;
    }
    for (component, value) in vector.iter_mut().zip(&embedding.0) {
        *component = (value / scale).round().clamp(-127.0, 127.0) as i8;
    }
    scale
}

/// The score of two int8 vectors from their dot product, and each one's scale and sum of squares.
///
/// On the unit sphere the cosine is that of the int8 vectors, so that their rounding does not change the length.
#[must_use]
pub fn score(metric: Metric, product: i32, a: (f32, i32), b: (f32, i32)) -> Score {
    let usable = |(scale, norm): (f32, i32)| norm > 0 && scale.is_finite() && scale > 0.0;
    if !usable(a) || !usable(b) {
        return LOWEST;
    }
    match metric {
        Metric::SquaredL2 => {
            let norms = f64::from(a.1) * f64::from(b.1);
            Score((f64::from(product) / norms.sqrt()) as f32)
        }
        Metric::L2 => metric.score(squared_distance(product, a, b).max(0.0).sqrt() as f32),
    }
}

/// The square of the Euclidean distance, as [`score`] takes it; below 0 by a rounding at times.
///
/// f64 throughout: the sums are exact, and the difference of near equals keeps its digits.
fn squared_distance(product: i32, a: (f32, i32), b: (f32, i32)) -> f64 {
    let ((scale_a, norm_a), (scale_b, norm_b)) = (a, b);
    let (scale_a, scale_b) = (f64::from(scale_a), f64::from(scale_b));
    scale_a * scale_a * f64::from(norm_a) + scale_b * scale_b * f64::from(norm_b)
        - 2.0 * scale_a * scale_b * f64::from(product)
}

/// A score that a template must reach to be ranked, in a form that costs no root and no division to ask about.
///
/// Most templates of a gallery fall to it, so that a search is little more than its dot products.
#[derive(Clone, Copy, Debug)]
pub(super) struct Floor {
    metric: Metric,
    probe: (f32, i32),
    /// Cosine: the least `product |product| / norm`. L2: the most of the squared distance.
    bound: f64,
}

impl Floor {
    /// How far below the floor a template's exact score must lie to be excluded. An f32 score of 2 or less in magnitude is
    /// within 3 roundings of at most 2^-23, 3.6e-7, of its exact value, and the roundings of f64 are far below the rest.
    const MARGIN: f64 = 1e-6;

    /// The floor of a probe of this scale and sum of squares; nothing is excluded if there is none.
    pub(super) fn new(metric: Metric, floor: Option<Score>, probe: (f32, i32)) -> Self {
        // At LOWEST or below, a template that cannot be compared may be ranked, and the bounds know none of these.
        let bound = match (metric, floor.filter(|floor| floor.0 > LOWEST.0)) {
            (Metric::SquaredL2, Some(floor)) => {
                let least = f64::from(floor.0) - Self::MARGIN;
                least * least.abs() * f64::from(probe.1)
            }
            (Metric::SquaredL2, None) => f64::NEG_INFINITY,
            (Metric::L2, Some(floor)) => {
                let most = f64::from(metric.distance(floor)) + Self::MARGIN;
                most * most
            }
            (Metric::L2, None) => f64::INFINITY,
        };
        Self { metric, probe, bound }
    }

    /// True only if the template's score is below the floor. False of many a template below it by a hair.
    ///
    /// Why `score >= floor` is never excluded, where both vectors can be compared and `floor > -2`:
    /// - Cosine. The score is the f32 nearest to `q = product / sqrt(norm_a norm_b)`, so `q >= floor - 2^-23`, which is at
    ///   least `least + 8e-7`. `x |x|` grows by at least `h^2 / 2` over a step `h`, so `q |q|` passes `least |least|` by
    ///   3e-13, and the f64 roundings of both sides (of magnitudes up to 4, as `|q| <= 1`) are below 3e-15.
    ///   Multiplied by `norm_a norm_b`, this is what is compared below.
    /// - L2. The score is `1 - d` rounded to f32, with `d` the f32 nearest to the root of `squared`. `1 - d >= floor - 2^-23`,
    ///   hence `d <= 1 - floor + 2^-23 < 3.1`, and the root is at most `d (1 + 2^-24) + 2^-149`: below `1 - floor + 4e-7`.
    ///   `most` is `1 - floor`, rounded to f32 (2^-23 at most), plus 1e-6, so the root is below it by 4e-7; `squared` here
    ///   and there is the same f64.
    ///
    /// A vector that cannot be compared scores -2, which is below such a floor whichever way this decides. NaN excludes
    /// nothing, as no comparison with it holds.
    #[inline(always)]
    pub(super) fn excludes(&self, product: i32, template: (f32, i32)) -> bool {
        match self.metric {
            Metric::SquaredL2 => {
                let product = f64::from(product);
                product * product.abs() < self.bound * f64::from(template.1)
            }
            Metric::L2 => squared_distance(product, self.probe, template) > self.bound,
        }
    }
}

/// The distance of two embeddings in f32, on the model's metric; what `compare` and the evaluation print.
///
/// # Panics
/// If the embeddings differ in length: they are of one model.
#[must_use]
pub fn distance(metric: Metric, a: &Embedding, b: &Embedding) -> f32 {
    assert_eq!(a.0.len(), b.0.len(), "embeddings of one model are of one length");
    let squared: f32 = a.0.iter().zip(&b.0).map(|(a, b)| (a - b) * (a - b)).sum();
    match metric {
        Metric::SquaredL2 => squared,
        Metric::L2 => squared.sqrt(),
    }
}

/// The exact dot product; 512 components of 127 stay far below i32's end.
pub(super) fn dot(a: &[i8], b: &[i8]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum()
}
