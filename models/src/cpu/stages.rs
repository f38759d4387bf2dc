//! The cascade's three networks on the CPU: levels in strips of rows, crops in batches, each on one thread at a time.
//!
//! Owns the sizes of strips and batches, the latter chosen so that a batch's widest value stays in a core's own cache.
//! Refuses to know thresholds and boxes: those are [`crate::cascade`]'s.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::place::Arena;
use super::pnet::{PNet, PNetRows};
use super::pool::Pool;
use super::run::run;
use super::simd::Simd;
use super::weights::Weights;
use crate::cascade::{ONetOutput, PNetMap, RNetOutput, StageNets};
use crate::engine::EngineError;
use crate::graph::{Graph, Shape};
use crate::net;
use crate::plan::{INPUT, Plan};
use crate::tensor::TensorSource;

/// Bytes that the first layer's output of one batch may take: about half of a core's second-level cache.
const FIRST_LAYER_BYTES: usize = 512 * 1024;
/// Fewer rows than this spend more on the four that strips share than another thread gives back.
const STRIP_ROWS_MIN: usize = 16;
/// Strips for each thread, so that one that the system holds up takes fewer.
const STRIPS_EACH: usize = 2;

/// P-Net, R-Net and O-Net with their weights, threads and buffers.
#[derive(Debug)]
pub struct CpuStages {
    pool: Arc<Pool>,
    /// No threads: what a part of a task runs its layers on.
    alone: Pool,
    pnet: PNet,
    rnet: Batched,
    onet: Batched,
    /// One for each thread.
    rooms: Vec<Mutex<Room>>,
}

/// What one thread works in.
#[derive(Debug, Default)]
struct Room {
    /// P-Net's rows.
    rows: PNetRows,
    /// R-Net's and O-Net's buffers.
    arena: Arena,
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
    pub fn new(
        tensors: &dyn TensorSource,
        simd: Simd,
        pool: Arc<Pool>,
    ) -> Result<Self, EngineError> {
        let rooms = (0..pool.threads()).map(|_| Mutex::default()).collect();
        Ok(Self {
            pool,
            alone: Pool::new(1),
            pnet: PNet::new(tensors, simd)?,
            rnet: Batched::new(&net::rnet(), tensors, simd)?,
            onet: Batched::new(&net::onet(), tensors, simd)?,
            rooms,
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
        let stage = match stage {
            0 => {
                let mut map = PNetMap::default();
                self.pnet(input, h, w, &mut map)?;
                let prob = map.prob.iter().flat_map(|prob| [1.0 - prob, *prob]).collect();
                return Ok(vec![prob, map.reg]);
            }
            1 => &self.rnet,
            _ => &self.onet,
        };
        let Batched { plan, weights, .. } = stage;
        let arena = &mut lock(&self.rooms[0]).arena;
        run(plan, weights, arena, input, &self.pool);
        let outputs: Vec<_> =
            plan.outputs.iter().map(|(_, view)| arena.dense(view, 1).to_vec()).collect();
        let all_finite = outputs.iter().all(|values| finite(values));
        if all_finite { Ok(outputs) } else { Err(EngineError::NotFinite { network: plan.name }) }
    }

    /// Runs `parts` parts, each with its thread's buffers and the threads that its layers may use.
    fn each_part(
        &self,
        network: &'static str,
        parts: usize,
        body: impl Fn(usize, &mut Room, &Pool) -> bool + Sync,
    ) -> Result<(), EngineError> {
        let finite = AtomicBool::new(true);
        if parts == 1 {
            finite.store(body(0, &mut lock(&self.rooms[0]), &self.pool), Ordering::Relaxed);
        } else {
            self.pool.run(parts, &|part, thread| {
                if !body(part, &mut lock(&self.rooms[thread]), &self.alone) {
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
        self.each_part(stage.plan.name, n.div_ceil(batch), |part, room, pool| {
            let arena = &mut room.arena;
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
    fn new(graph: &Graph, tensors: &dyn TensorSource, simd: Simd) -> Result<Self, EngineError> {
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
    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn each_chunk(
        &self,
        values: &mut [f32],
        len: usize,
        body: &(dyn Fn(usize, usize, &mut [f32]) + Sync),
    ) {
        self.pool.each_chunk(values, len, body);
    }

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

        let threads = self.pool.threads();
        let strips = if threads == 1 { 1 } else { STRIPS_EACH * threads };
        let strip = rows.div_ceil(strips).max(STRIP_ROWS_MIN);
        let out = Mutex::new(out);
        self.each_part("P-Net", rows.div_ceil(strip), |part, room, _| {
            let strip = part * strip..rows.min((part + 1) * strip);
            let mut all_finite = true;
            self.pnet.run(
                &mut room.rows,
                level,
                (height, width),
                strip,
                |row, prob, reg, apart| {
                    let mut out = lock(&out);
                    out.prob[row * columns..][..columns].copy_from_slice(prob);
                    let cells = out.reg[row * columns * 4..].as_chunks_mut::<4>().0;
                    for (x, cell) in cells[..columns].iter_mut().enumerate() {
                        *cell = std::array::from_fn(|i| reg[i * apart + x]);
                    }
                    all_finite &= finite(prob)
                        && cells[..columns].as_flattened().iter().all(|v| v.is_finite());
                },
            );
            all_finite
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
