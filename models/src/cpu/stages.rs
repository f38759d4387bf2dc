//! The cascade's three networks on the CPU: levels in strips, crops in batches, each on one thread at a time.
//!
//! Owns the sizes of strips and batches, chosen so that a strip's widest value stays in a core's own cache, and the plans
//! for the level sizes met so far. Refuses to know thresholds and boxes: those are [`crate::cascade`]'s.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::place::Arena;
use super::pool::Pool;
use super::run::run;
use super::simd::Simd;
use super::weights::Weights;
use crate::cascade::{ONetOutput, PNetMap, RNetOutput, StageNets};
use crate::engine::EngineError;
use crate::graph::{Graph, Shape};
use crate::net::{self, PNET_CELL_PX, PNET_STRIDE_PX};
use crate::plan::{INPUT, Plan};
use crate::tensor::Tensors;

/// Bytes that the first layer's output of one strip or batch may take: about half of a core's second-level cache.
const FIRST_LAYER_BYTES: usize = 512 * 1024;
/// Channels that P-Net's first layer gives.
const PNET_FIRST_CHANNELS: usize = 10;
/// Fewer rows than this spend more on overlap than the cache gives back.
const STRIP_ROWS_MIN: usize = 8;
/// Plans kept: two strip heights for each of a pyramid's levels, for two frame sizes.
const PLANS_MAX: usize = 48;

/// P-Net, R-Net and O-Net with their weights, threads and buffers.
#[derive(Debug)]
pub struct CpuStages {
    pool: Arc<Pool>,
    /// No threads: what a part of a task runs its layers on.
    alone: Pool,
    pnet: Weights,
    plans: Vec<(Shape, Arc<Plan>)>,
    rnet: Batched,
    onet: Batched,
    /// One for each thread.
    arenas: Vec<Mutex<Arena>>,
}

/// A network of fixed input size.
#[derive(Debug)]
struct Batched {
    plan: Plan,
    weights: Weights,
    /// Items that one thread takes at a time.
    batch: usize,
}

impl CpuStages {
    /// The three networks, packed for `simd` (or the widest set of this processor if it lacks that one).
    ///
    /// # Errors
    /// [`EngineError::Tensor`] if a tensor is missing or has another shape.
    pub fn new(tensors: &Tensors, simd: Simd, pool: Arc<Pool>) -> Result<Self, EngineError> {
        let smallest = net::pnet(PNET_CELL_PX, PNET_CELL_PX);
        let arenas = (0..pool.threads()).map(|_| Mutex::default()).collect();
        Ok(Self {
            pool,
            alone: Pool::new(1),
            pnet: Weights::prepare(&smallest, tensors, simd)?,
            plans: Vec::new(),
            rnet: Batched::new(&net::rnet(), tensors, simd)?,
            onet: Batched::new(&net::onet(), tensors, simd)?,
            arenas,
        })
    }

    /// All outputs of one network for one input: 0 is P-Net (of the graph's size), 1 R-Net, 2 O-Net.
    pub(super) fn outputs(
        &mut self,
        stage: usize,
        graph: &Graph,
        input: &[f32],
    ) -> Result<Vec<Vec<f32>>, EngineError> {
        let Shape { h, w, .. } = graph.shape(graph.input());
        let pnet = self.plan(h, w);
        let (plan, weights) = match stage {
            0 => (&*pnet, &self.pnet),
            1 => (&self.rnet.plan, &self.rnet.weights),
            _ => (&self.onet.plan, &self.onet.weights),
        };
        let arena = &mut lock(&self.arenas[0]);
        run(plan, weights, arena, input, &self.pool);
        let outputs: Vec<_> =
            plan.outputs.iter().map(|(_, view)| arena.dense(view, 1).to_vec()).collect();
        let all_finite = outputs.iter().all(|values| finite(values));
        if all_finite { Ok(outputs) } else { Err(EngineError::NotFinite { network: plan.name }) }
    }

    /// The plan for a strip of that size, made at the first use.
    fn plan(&mut self, h: usize, w: usize) -> Arc<Plan> {
        let size = Shape { h, w, c: 3 };
        let known = self.plans.iter().position(|(known, _)| *known == size);
        // The most recent stand last, so that the first is the one to drop.
        let entry = match known {
            Some(found) => self.plans.remove(found),
            None => (size, Arc::new(Plan::new(&net::pnet(h, w)))),
        };
        if self.plans.len() == PLANS_MAX {
            self.plans.remove(0);
        }
        let plan = Arc::clone(&entry.1);
        self.plans.push(entry);
        plan
    }

    /// Runs `parts` parts, each with its thread's buffers and the threads that its layers may use.
    fn each_part(
        &self,
        network: &'static str,
        parts: usize,
        body: impl Fn(usize, &mut Arena, &Pool) -> bool + Sync,
    ) -> Result<(), EngineError> {
        let finite = AtomicBool::new(true);
        if parts == 1 {
            finite.store(body(0, &mut lock(&self.arenas[0]), &self.pool), Ordering::Relaxed);
        } else {
            self.pool.run(parts, &|part, thread| {
                if !body(part, &mut lock(&self.arenas[thread]), &self.alone) {
                    finite.store(false, Ordering::Relaxed);
                }
            });
        }
        if finite.into_inner() { Ok(()) } else { Err(EngineError::NotFinite { network }) }
    }

    /// Runs a network over `n` crops; `store` takes the first crop's number of a batch and its outputs in order.
    fn batches<const OUTPUTS: usize>(
        &self,
        stage: &Batched,
        crops: &[f32],
        n: usize,
        store: impl Fn(usize, usize, [&[f32]; OUTPUTS]) + Sync,
    ) -> Result<(), EngineError> {
        let item = stage.plan.buffers[INPUT];
        assert_eq!(crops.len(), n * item, "{}: {n} crops", stage.plan.name);
        // Every thread gets a part, of a batch at most.
        let batch = n.div_ceil(self.pool.threads()).clamp(1, stage.batch);
        self.each_part(stage.plan.name, n.div_ceil(batch), |part, arena, pool| {
            let (first, end) = (part * batch, n.min((part + 1) * batch));
            run(&stage.plan, &stage.weights, arena, &crops[first * item..end * item], pool);
            let output = |i: usize| arena.dense(&stage.plan.outputs[i].1, end - first);
            let outputs: [&[f32]; OUTPUTS] = std::array::from_fn(output);
            store(first, end - first, outputs);
            outputs.iter().all(|values| finite(values))
        })
    }
}

impl Batched {
    fn new(graph: &Graph, tensors: &Tensors, simd: Simd) -> Result<Self, EngineError> {
        let weights = Weights::prepare(graph, tensors, simd)?;
        let first = graph.nodes().get(1).map_or(1, |node| node.shape.len()) * size_of::<f32>();
        let batch = (FIRST_LAYER_BYTES / first).max(1);
        Ok(Self { plan: Plan::new(graph), weights, batch })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Buffers are overwritten before they are read, so those of a part that panicked are as good as any.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn finite(values: &[f32]) -> bool {
    values.iter().all(|value| value.is_finite())
}

impl StageNets for CpuStages {
    fn pnet(
        &mut self,
        level: &[f32],
        height: usize,
        width: usize,
        out: &mut PNetMap,
    ) -> Result<(), EngineError> {
        assert_eq!(level.len(), height * width * 3, "P-Net: a level of {height} x {width}");
        let (rows, columns) = (net::pnet_cells(height), net::pnet_cells(width));
        (out.height, out.width) = (rows, columns);
        out.prob.resize(rows * columns, 0.0);
        out.reg.resize(rows * columns * 4, 0.0);

        let row_bytes = PNET_STRIDE_PX * width * PNET_FIRST_CHANNELS * size_of::<f32>();
        let cached = FIRST_LAYER_BYTES / row_bytes;
        let shared = rows.div_ceil(2 * self.pool.threads());
        let strip = cached.min(shared).max(STRIP_ROWS_MIN).min(rows);
        let parts = rows.div_ceil(strip);
        // The last strip takes the level's last rows, whatever the pool's ceiling makes of an odd one.
        let last_h = height - (parts - 1) * strip * PNET_STRIDE_PX;
        let strip_h = (strip - 1) * PNET_STRIDE_PX + PNET_CELL_PX;
        let last = self.plan(last_h, width);
        let other = if parts > 1 { self.plan(strip_h, width) } else { Arc::clone(&last) };

        let out = Mutex::new(out);
        self.each_part("P-Net", parts, |part, arena, pool| {
            let (plan, h) = if part + 1 == parts { (&last, last_h) } else { (&other, strip_h) };
            let from = part * strip * PNET_STRIDE_PX * width * 3;
            run(plan, &self.pnet, arena, &level[from..from + h * width * 3], pool);
            let [prob, reg] = [0, 1].map(|i| arena.dense(&plan.outputs[i].1, 1));
            let cell = part * strip * columns;
            let mut out = lock(&out);
            let cells = out.prob[cell..][..prob.len() / 2].iter_mut();
            cells.zip(prob.chunks_exact(2)).for_each(|(to, from)| *to = from[1]);
            out.reg[cell * 4..][..reg.len()].copy_from_slice(reg);
            finite(prob) && finite(reg)
        })
    }

    fn rnet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<RNetOutput>,
    ) -> Result<(), EngineError> {
        out.clear();
        out.resize(n, RNetOutput::default());
        let out = Mutex::new(out);
        self.batches(&self.rnet, crops, n, |first, len, [prob, reg]| {
            for (i, to) in lock(&out)[first..first + len].iter_mut().enumerate() {
                to.score = prob[i * 2 + 1];
                to.reg.copy_from_slice(&reg[i * 4..][..4]);
            }
        })
    }

    fn onet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<ONetOutput>,
    ) -> Result<(), EngineError> {
        out.clear();
        out.resize(n, ONetOutput::default());
        let out = Mutex::new(out);
        self.batches(&self.onet, crops, n, |first, len, [prob, reg, landmarks]| {
            for (i, to) in lock(&out)[first..first + len].iter_mut().enumerate() {
                to.score = prob[i * 2 + 1];
                to.reg.copy_from_slice(&reg[i * 4..][..4]);
                to.landmarks.copy_from_slice(&landmarks[i * 10..][..10]);
            }
        })
    }
}
