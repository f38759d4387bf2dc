//! A network ready to run: plan, weights, threads and buffers together.

use std::sync::Arc;
use std::time::Duration;

use super::place::Arena;
use super::pool::Pool;
use super::run::{round_to_halves, run, run_in_halves, run_timed, run_watched};
use super::simd::Simd;
use super::weights::Weights;
use crate::engine::EngineError;
use crate::graph::Graph;
use crate::plan::{INPUT, Plan};
use crate::tensor::TensorSource;

/// One network with its own buffers; the batch is chosen at each run.
#[derive(Debug)]
pub struct Network {
    plan: Plan,
    weights: Arc<Weights>,
    pool: Arc<Pool>,
    arena: Arena,
    n: usize,
}

impl Network {
    /// A network with its weights packed for `simd`, or for the widest set of this processor if it lacks that one.
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn new(
        graph: &Graph,
        tensors: &dyn TensorSource,
        simd: Simd,
        pool: Arc<Pool>,
    ) -> Result<Self, EngineError> {
        let weights = Arc::new(Weights::prepare(graph, tensors, simd)?);
        Ok(Self { plan: Plan::new(graph), weights, pool, arena: Arena::default(), n: 0 })
    }

    /// Its plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes that its packed weights take.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }

    /// Runs it over `input`, N x H x W x C; read the results with [`Network::output`].
    ///
    /// # Errors
    /// [`EngineError::NotFinite`] if an output holds a value that is not finite.
    ///
    /// # Panics
    /// If `input` is not a whole number of items.
    pub fn run(&mut self, input: &[f32]) -> Result<(), EngineError> {
        self.n = input.len() / self.plan.buffers[INPUT];
        run(&self.plan, &self.weights, &mut self.arena, input, &self.pool);
        self.check()
    }

    /// The same with the input and each value between steps rounded to half precision, as a GPU's kernels have it: what that
    /// costs in accuracy is measured so, not how quick it is.
    ///
    /// # Errors
    /// As [`Network::run`].
    ///
    /// # Panics
    /// As [`Network::run`].
    pub fn run_in_halves(&mut self, input: &[f32]) -> Result<(), EngineError> {
        self.n = input.len() / self.plan.buffers[INPUT];
        let mut input = input.to_vec();
        round_to_halves(&mut input);
        run_in_halves(&self.plan, &self.weights, &mut self.arena, &input, &self.pool);
        self.check()
    }

    /// Runs it as [`Network::run`] does and gives each step's values to `seen`, a pixel's at a time, with the step's place in
    /// [`Network::plan`]: for those who ask what range they have.
    ///
    /// # Errors
    /// As [`Network::run`].
    ///
    /// # Panics
    /// As [`Network::run`].
    pub fn run_watched(
        &mut self,
        input: &[f32],
        mut seen: impl FnMut(usize, &[f32]),
    ) -> Result<(), EngineError> {
        self.n = input.len() / self.plan.buffers[INPUT];
        let after = &mut |i: usize, values: &mut [f32]| seen(i, values);
        run_watched(&self.plan, &self.weights, &mut self.arena, input, &self.pool, after);
        self.check()
    }

    fn check(&self) -> Result<(), EngineError> {
        let finite = |view| self.arena.dense(view, self.n).iter().all(|value| value.is_finite());
        if self.plan.outputs.iter().all(|(_, view)| finite(view)) {
            Ok(())
        } else {
            Err(EngineError::NotFinite { network: self.plan.name })
        }
    }

    /// Runs it as [`Network::run`] does and tells how long each step of [`Network::plan`] took.
    ///
    /// # Panics
    /// If `input` is not a whole number of items.
    pub fn time_steps(&mut self, input: &[f32]) -> Vec<Duration> {
        self.n = input.len() / self.plan.buffers[INPUT];
        run_timed(&self.plan, &self.weights, &mut self.arena, input, &self.pool)
    }

    /// The output of that name after the last run, all items one after the other; `None` if there is no such output.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<&[f32]> {
        let (_, view) = self.plan.outputs.iter().find(|(known, _)| *known == name)?;
        (self.n > 0).then(|| self.arena.dense(view, self.n))
    }
}
