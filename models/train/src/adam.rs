//! Adam (Kingma and Ba 2015), over plain tensors.
//!
//! Owns the moments and the schedule of steps. Refuses to know a framework: what it keeps goes into a checkpoint as it
//! is, so that a run goes on bit by bit.

use threshold_models::tensor::{Tensor, Tensors};

/// Decay of the first moment, of the second, and what keeps the divisor from zero: the paper's.
const BETA: [f32; 2] = [0.9, 0.999];
const EPSILON: f32 = 1e-8;

/// Part of the learning rate that is left at a run's end.
const LAST_RATE: f32 = 0.01;

/// The moments of every parameter, and how often they were moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Adam {
    /// Steps taken.
    pub steps: usize,
    /// Mean gradient.
    pub first: Tensors,
    /// Mean squared gradient.
    pub second: Tensors,
}

impl Adam {
    /// No step taken yet, for these parameters.
    #[must_use]
    pub fn new(parameters: &Tensors) -> Self {
        let zeros = |(name, tensor): (&String, &Tensor)| {
            let data = vec![0.0; tensor.data.len()];
            (name.clone(), Tensor { shape: tensor.shape.clone(), data })
        };
        let zeros: Tensors = parameters.iter().map(zeros).collect();
        Self { steps: 0, first: zeros.clone(), second: zeros }
    }

    /// Moves the parameters against their gradients. A parameter without a gradient stays.
    pub fn step(&mut self, parameters: &mut Tensors, gradients: &Tensors, rate: f32) {
        self.steps += 1;
        let steps = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let [correct1, correct2] = BETA.map(|beta| 1.0 - beta.powi(steps));
        for (name, parameter) in parameters {
            let (Some(gradient), Some(first), Some(second)) =
                (gradients.get(name), self.first.get_mut(name), self.second.get_mut(name))
            else {
                continue;
            };
            let moments = first.data.iter_mut().zip(&mut second.data);
            let values = parameter.data.iter_mut().zip(&gradient.data);
            for ((value, &gradient), (first, second)) in values.zip(moments) {
                *first = BETA[0] * *first + (1.0 - BETA[0]) * gradient;
                *second = BETA[1] * *second + (1.0 - BETA[1]) * gradient * gradient;
                *value -= rate * (*first / correct1) / ((*second / correct2).sqrt() + EPSILON);
            }
        }
    }
}

/// The learning rate at a step: half a cosine from `rate` to a hundredth of it.
#[must_use]
pub fn rate_at(rate: f32, step: usize, steps: usize) -> f32 {
    let done = (step as f32 / steps.max(1) as f32).min(1.0);
    let cosine = (std::f32::consts::PI * done).cos();
    rate * (LAST_RATE + (1.0 - LAST_RATE) * (1.0 + cosine) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(values: &[f32]) -> Tensors {
        let tensor = Tensor { shape: vec![values.len()], data: values.to_vec() };
        Tensors::from([("a".to_owned(), tensor)])
    }

    #[test]
    fn the_first_step_is_the_rate_against_the_gradients_sign() {
        let mut parameters = tensors(&[1.0, 1.0, 1.0]);
        let mut adam = Adam::new(&parameters);
        adam.step(&mut parameters, &tensors(&[0.5, -3.0, 0.0]), 0.1);
        for (found, expected) in parameters["a"].data.iter().zip([0.9, 1.1, 1.0]) {
            assert!((found - expected).abs() < 1e-5, "{found} {expected}");
        }
    }

    #[test]
    fn a_bowl_is_descended() {
        let mut parameters = tensors(&[3.0, -2.0]);
        let mut adam = Adam::new(&parameters);
        for step in 0..500 {
            let gradients =
                tensors(&parameters["a"].data.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
            adam.step(&mut parameters, &gradients, rate_at(0.1, step, 500));
        }
        assert!(parameters["a"].data.iter().all(|x| x.abs() < 1e-2), "{parameters:?}");
    }

    #[test]
    fn the_rate_falls_to_a_hundredth() {
        assert_eq!(rate_at(0.5, 0, 10), 0.5);
        assert!((rate_at(0.5, 5, 10) - 0.2525).abs() < 1e-6);
        assert!((rate_at(0.5, 10, 10) - 0.005).abs() < 1e-6);
    }
}
