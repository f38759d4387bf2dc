//! The losses of MTCNN (the paper's eq. 1 to 4), with online hard sample mining.
//!
//! Owns the formulas and which samples count. Eq. 1's erratum is read as meant: -(y log p + (1 - y) log(1 - p)).
//!
//! ```text
//! class      = mean over the hardest share of the samples whose class counts   -log p(its class)      eq. 1
//! box        = mean over the samples whose box counts          |found - asked|^2, summed over 4       eq. 2
//! landmarks  = mean over the samples whose landmarks count     |found - asked|^2, summed over 10      eq. 3
//! total      = sum of alpha(task) * loss(task)                                                        eq. 4
//! ```
//! beta of eq. 4 are the batch's switches; the means are over what is switched on, so that alpha says how much a task
//! weighs whatever the mix. A task that nothing switches on is 0.

use crate::batch::{BOX, Batch, LANDMARKS};
use crate::config::Tasks;
use candle_core::{DType, Device, Result, Tensor};

/// The losses of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Losses {
    /// Face or not, over the hardest.
    pub class: f32,
    /// Box regression.
    pub bbox: f32,
    /// Landmarks.
    pub landmarks: f32,
    /// What is descended.
    pub total: f32,
}

impl Losses {
    /// The mean of some; zeros of none.
    #[must_use]
    pub fn mean(all: &[Self]) -> Self {
        let of =
            |loss: fn(&Self) -> f32| all.iter().map(loss).sum::<f32>() / all.len().max(1) as f32;
        Self {
            class: of(|one| one.class),
            bbox: of(|one| one.bbox),
            landmarks: of(|one| one.landmarks),
            total: of(|one| one.total),
        }
    }
}

/// Eq. 1: the mean of -log p of each sample's own class, over the hardest `share` of those whose class counts.
///
/// `scores` is (N, 2), before the softmax: no face, face. Which are hardest is decided by their losses, the earlier of
/// equals first, and is no part of the gradient.
///
/// # Errors
/// If the shapes do not fit.
pub fn class(scores: &Tensor, face: &[f32], on: &[f32], share: f32) -> Result<Tensor> {
    let n = face.len();
    let top = scores.max_keepdim(1)?.detach();
    let shifted = scores.broadcast_sub(&top)?;
    let log_sum = shifted.exp()?.sum_keepdim(1)?.log()?;
    let log_prob = shifted.broadcast_sub(&log_sum)?;
    let own: Vec<f32> = face.iter().flat_map(|&face| [1.0 - face, face]).collect();
    let own = tensor(&own, (n, 2), scores.dtype())?;
    let losses = (log_prob * own)?.sum(1)?.neg()?;
    let hard = hardest(&losses.to_dtype(DType::F32)?.to_vec1()?, on, share);
    let count = hard.iter().sum::<f32>().max(1.0);
    (losses * tensor(&hard, n, scores.dtype())?)?.sum_all()? / f64::from(count)
}

/// 1 for each sample that is learnt from: the `share` of those that count with the largest losses, one at least.
#[must_use]
pub fn hardest(losses: &[f32], on: &[f32], share: f32) -> Vec<f32> {
    let mut order: Vec<usize> = (0..losses.len()).filter(|&i| on[i] > 0.0).collect();
    let keep =
        ((order.len() as f32 * share).round() as usize).clamp(order.len().min(1), order.len());
    // Stable, so that of equals the earlier is kept; what is no number counts as hardest and shows in the total.
    order.sort_by(|&a, &b| losses[b].total_cmp(&losses[a]));
    let mut hard = vec![0.0; losses.len()];
    order[..keep].iter().for_each(|&i| hard[i] = 1.0);
    hard
}

/// Eq. 2 and 3: the mean, over the samples that count, of the squared distance between `found` (N, values) and `asked`.
///
/// # Errors
/// If the shapes do not fit.
pub fn euclidean(found: &Tensor, asked: &[f32], on: &[f32]) -> Result<Tensor> {
    let (n, values) = found.dims2()?;
    let asked = tensor(asked, (n, values), found.dtype())?;
    let count = on.iter().sum::<f32>().max(1.0);
    let squares = (found - asked)?.sqr()?.sum(1)?;
    (squares * tensor(on, n, found.dtype())?)?.sum_all()? / f64::from(count)
}

/// Eq. 4, and the losses one by one. A network without an output has no such task.
///
/// # Errors
/// If the shapes do not fit.
pub fn total(
    scores: &Tensor,
    reg: Option<&Tensor>,
    landmarks: Option<&Tensor>,
    batch: &Batch,
    tasks: &Tasks,
    share: f32,
) -> Result<(Tensor, Losses)> {
    let class = class(scores, &batch.face, &batch.face_on, share)?;
    let mut losses = Losses { class: scalar(&class)?, ..Losses::default() };
    let mut total = (class * f64::from(tasks.class))?;
    if let Some(reg) = reg {
        let loss = euclidean(&reg.reshape((batch.n, BOX))?, &batch.reg, &batch.reg_on)?;
        losses.bbox = scalar(&loss)?;
        total = (total + (loss * f64::from(tasks.bbox))?)?;
    }
    if let Some(landmarks) = landmarks {
        let found = landmarks.reshape((batch.n, LANDMARKS))?;
        let loss = euclidean(&found, &batch.landmarks, &batch.landmarks_on)?;
        losses.landmarks = scalar(&loss)?;
        total = (total + (loss * f64::from(tasks.landmarks))?)?;
    }
    losses.total = scalar(&total)?;
    Ok((total, losses))
}

fn scalar(tensor: &Tensor) -> Result<f32> {
    tensor.to_dtype(DType::F32)?.to_scalar()
}

fn tensor(values: &[f32], shape: impl Into<candle_core::Shape>, dtype: DType) -> Result<Tensor> {
    Tensor::from_slice(values, shape, &Device::Cpu)?.to_dtype(dtype)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::layers::testing::{check, variable};

    #[test]
    fn the_class_loss_is_the_cross_entropy_of_eq_1() {
        let scores = Tensor::new(&[[0.2f64, 1.0], [0.5, -0.5], [3.0, 0.0]], &Device::Cpu).unwrap();
        let p = |a: f64, b: f64| b.exp() / (a.exp() + b.exp());
        let expected = -(p(0.2, 1.0).ln() + p(0.5, -0.5).ln()) / 2.0;
        let found = class(&scores, &[1.0, 1.0, 0.0], &[1.0, 1.0, 0.0], 1.0).unwrap();
        assert!((found.to_scalar::<f64>().unwrap() - expected).abs() < 1e-9);
    }

    #[test]
    fn scores_far_apart_do_not_overflow() {
        let scores = Tensor::new(&[[1000.0f32, -1000.0]], &Device::Cpu).unwrap();
        let found = class(&scores, &[1.0], &[1.0], 1.0).unwrap().to_scalar::<f32>().unwrap();
        assert_eq!(found, 2000.0);
    }

    #[test]
    fn the_hardest_share_of_what_counts_is_learnt_from() {
        let losses = [0.1, 5.0, 0.3, 0.2, 9.0, 0.3];
        let on = [1.0, 1.0, 1.0, 1.0, 0.0, 1.0];
        assert_eq!(hardest(&losses, &on, 0.4), [0.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(hardest(&losses, &on, 1.0), on);
        assert_eq!(hardest(&losses, &on, 0.01), [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]);
        assert_eq!(hardest(&losses, &[0.0; 6], 0.7), [0.0; 6]);
        assert_eq!(hardest(&[0.0, f32::NAN], &[1.0, 1.0], 0.5), [0.0, 1.0]);
    }

    #[test]
    fn gradients_are_the_finite_differences() {
        let scores = variable(&[7, 2], 3);
        let face = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0];
        let on = [1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        for share in [1.0, 0.7, 0.3] {
            check("class", &[&scores], || class(&scores, &face, &on, share));
        }
        let reg = variable(&[7, 4], 4);
        let asked: Vec<f32> = (0..28).map(|i| i as f32 / 20.0 - 0.6).collect();
        check("box", &[&reg], || euclidean(&reg, &asked, &on));
        let landmarks = variable(&[7, 10], 5);
        let asked: Vec<f32> = (0..70).map(|i| i as f32 / 70.0).collect();
        check("landmarks", &[&landmarks], || euclidean(&landmarks, &asked, &on));
        let batch = Batch {
            n: 7,
            face: face.to_vec(),
            face_on: on.to_vec(),
            reg: vec![0.1; 28],
            reg_on: vec![1.0; 7],
            landmarks: asked,
            landmarks_on: on.to_vec(),
            ..Batch::default()
        };
        let tasks = Tasks { class: 1.0, bbox: 0.5, landmarks: 0.25 };
        check("total", &[&scores, &reg, &landmarks], || {
            Ok(total(&scores, Some(&reg), Some(&landmarks), &batch, &tasks, 0.7)?.0)
        });
    }

    #[test]
    fn a_sample_that_is_switched_off_moves_nothing() {
        let found = Tensor::new(&[[1.0f32, 2.0], [5.0, 5.0]], &Device::Cpu).unwrap();
        let loss = |on: &[f32]| euclidean(&found, &[0.0, 0.0, 1.0, 1.0], on).unwrap();
        assert_eq!(loss(&[1.0, 0.0]).to_scalar::<f32>().unwrap(), 5.0);
        assert_eq!(loss(&[0.0, 1.0]).to_scalar::<f32>().unwrap(), 32.0);
        assert_eq!(loss(&[0.0, 0.0]).to_scalar::<f32>().unwrap(), 0.0);
    }
}
