//! Running a plan: each step in order, the large ones in parts on several threads.

use super::conv::ConvTask;
use super::place::{Arena, Memory, Place, Scratch};
use super::pool::Pool;
use super::pooling::PoolTask;
use super::simd::Simd;
use super::weights::{Packed, Weights};
use super::winograd::WinogradTask;
use crate::graph::{Act, LocalNorm, Shape};
use crate::plan::{Kind, Plan, Step};
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use std::time::{Duration, Instant};

/// Below this many multiply-accumulates, waking other threads costs more than it saves (about 2 us of work).
const MACS_ALONE: usize = 200_000;
/// Pixels of a part are a multiple of this: every tile's pixels divide it, so only the last part has a residue.
const PIXELS_STEP: usize = 24;

/// Runs a plan over `n` items; the outputs lie in the arena afterwards.
///
/// # Panics
/// If the weights are of another network, or the input is not `n` items long.
pub(super) fn run(plan: &Plan, weights: &Weights, arena: &mut Arena, input: &[f32], pool: &Pool) {
    let n = input.len() / plan.buffers[crate::plan::INPUT];
    let memory = arena.memory(plan, input, n, pool.threads());
    for step in &plan.steps {
        run_step(step, weights, &memory, pool);
    }
}

/// The same, and each step's values go through `after` when it has ended, a pixel's at a time; the steps are told by their
/// place in the plan.
pub(super) fn run_watched(
    plan: &Plan,
    weights: &Weights,
    arena: &mut Arena,
    input: &[f32],
    pool: &Pool,
    after: &mut dyn FnMut(usize, &mut [f32]),
) {
    let n = input.len() / plan.buffers[crate::plan::INPUT];
    let memory = arena.memory(plan, input, n, pool.threads());
    for (i, step) in plan.steps.iter().enumerate() {
        run_step(step, weights, &memory, pool);
        let written = memory.output(step.output);
        for pixel in 0..written.pixels() {
            // SAFETY: the step has ended, and nobody else runs.
            after(i, unsafe { written.pixel_mut(pixel) });
        }
    }
}

/// The same with each value between steps rounded to half precision, as the kernels have it; sums stay f32, outputs too.
pub(super) fn run_in_halves(
    plan: &Plan,
    weights: &Weights,
    arena: &mut Arena,
    input: &[f32],
    pool: &Pool,
) {
    let between = |i: usize| plan.outputs.iter().all(|(_, to)| *to != plan.steps[i].output);
    run_watched(plan, weights, arena, input, pool, &mut |i, values| {
        if between(i) {
            round_to_halves(values);
        }
    });
}

/// Halves rounded at a time, by the processor's own instruction where it has one.
const HALVES_AT_ONCE: usize = 256;

pub(super) fn round_to_halves(values: &mut [f32]) {
    let mut halves = [f16::ZERO; HALVES_AT_ONCE];
    for values in values.chunks_mut(HALVES_AT_ONCE) {
        let halves = &mut halves[..values.len()];
        halves.convert_from_f32_slice(values);
        halves.convert_to_f32_slice(values);
    }
}

/// The same as [`run`], and tells how long each step took, in the plan's order.
pub(super) fn run_timed(
    plan: &Plan,
    weights: &Weights,
    arena: &mut Arena,
    input: &[f32],
    pool: &Pool,
) -> Vec<Duration> {
    let n = input.len() / plan.buffers[crate::plan::INPUT];
    let memory = arena.memory(plan, input, n, pool.threads());
    let time = |step| {
        let start = Instant::now();
        run_step(step, weights, &memory, pool);
        start.elapsed()
    };
    plan.steps.iter().map(time).collect()
}

fn run_step(step: &Step, weights: &Weights, memory: &Memory<'_>, threads: &Pool) {
    let from = |i: usize| memory.input(step.inputs[i]);
    let to = memory.output(step.output);
    // Every step's output is apart from its inputs: another buffer, or other channels of the same (`plan`).
    match step.kind {
        Kind::Conv { conv, scale } => {
            let to_do = (conv, scale);
            let residual = step.inputs.get(1).map(|&view| memory.input(view));
            let (values, zeros) = (&weights.values, &weights.zeros);
            match &weights.layers[&step.name] {
                Packed::Direct(layer) => {
                    let task = ConvTask::new((layer, values), to_do, from(0), to, residual, zeros);
                    run_conv(weights.simd, &task, threads);
                }
                Packed::Winograd(layer) => {
                    let task =
                        WinogradTask::new((layer, values), to_do, from(0), to, residual, zeros);
                    run_winograd(weights.simd, &task, memory.scratch(), threads);
                }
            }
        }
        Kind::Pool(pool) => {
            let task = PoolTask::new(pool, from(0), to);
            let rows = task.rows();
            let parts = if threads.threads() == 1 { 1 } else { rows.min(4 * threads.threads()) };
            threads.run(parts, &|part, _| {
                let rows = part * rows / parts..(part + 1) * rows / parts;
                // SAFETY: `Weights` hold an instruction set that this processor has; parts are apart from each other,
                // and the output from the input.
                unsafe { weights.simd.pool(&task, rows) }
            });
        }
        Kind::GlobalAverage => global_average(&from(0), &to),
        Kind::Add { act } => add(&from(0), &from(1), &to, act),
        Kind::Copy => each_pixel(&from(0), &to, |from, to| to.copy_from_slice(from)),
        Kind::LocalNorm(norm) => each_pixel(&from(0), &to, |from, to| local_norm(norm, from, to)),
        Kind::Maxout { pieces } => each_pixel(&from(0), &to, |from, to| maxout(pieces, from, to)),
        Kind::Softmax => each_pixel(&from(0), &to, softmax),
        Kind::L2Norm => each_pixel(&from(0), &to, l2_norm),
    }
}

fn run_conv(simd: Simd, task: &ConvTask<'_>, threads: &Pool) {
    let (panels, pixels) = (task.panels().len(), task.pixels());
    let alone = threads.threads() == 1 || task.macs() < MACS_ALONE;
    let chunks = if alone { 1 } else { (4 * threads.threads()).div_ceil(panels) };
    let chunk = pixels.div_ceil(chunks).next_multiple_of(PIXELS_STEP);
    let chunks = pixels.div_ceil(chunk);
    let body = |part: usize, _| {
        // Panel by panel, so that a panel stays in the cache while the pixels pass.
        let (panel, chunk_idx) = (part / chunks, part % chunks);
        let pixels = chunk_idx * chunk..((chunk_idx + 1) * chunk).min(pixels);
        // SAFETY: `Weights` hold an instruction set that this processor has and are packed for it; parts are apart from
        // each other in panel or pixels, and the output from the inputs.
        unsafe { simd.conv(task, panel, pixels) }
    };
    if alone {
        (0..panels * chunks).for_each(|part| body(part, 0));
    } else {
        threads.run(panels * chunks, &body);
    }
}

fn run_winograd(simd: Simd, task: &WinogradTask<'_>, scratch: Scratch<'_>, threads: &Pool) {
    let alone = threads.threads() == 1 || task.macs() < MACS_ALONE;
    let chunk = task.chunk(if alone { 1 } else { threads.threads() });
    let body = |part: usize, thread: usize| {
        let tiles = part * chunk..((part + 1) * chunk).min(task.tiles());
        // SAFETY: `Weights` hold an instruction set that this processor has and are packed for it; parts are apart from
        // each other, and the output from the inputs.
        unsafe { task.run(simd, tiles, &mut scratch.of(thread)) }
    };
    let parts = task.tiles().div_ceil(chunk);
    if alone {
        (0..parts).for_each(|part| body(part, 0));
    } else {
        threads.run(parts, &body);
    }
}

fn each_pixel(from: &Place, to: &Place, f: impl Fn(&[f32], &mut [f32])) {
    assert_eq!(from.pixels(), to.pixels());
    for pixel in 0..to.pixels() {
        // SAFETY: one thread, and a step's output is apart from its input.
        unsafe { f(from.pixel(pixel), to.pixel_mut(pixel)) }
    }
}

fn global_average(from: &Place, to: &Place) {
    let pixels = from.view.shape.pixels();
    for item in 0..to.n {
        // SAFETY: one thread, and a step's output is apart from its input.
        let mean = unsafe { to.pixel_mut(item) };
        mean.fill(0.0);
        for pixel in 0..pixels {
            // SAFETY: as above.
            let values = unsafe { from.pixel(item * pixels + pixel) };
            mean.iter_mut().zip(values).for_each(|(mean, value)| *mean += value);
        }
        mean.iter_mut().for_each(|mean| *mean /= pixels as f32);
    }
}

fn add(a: &Place, b: &Place, to: &Place, act: Act) {
    let Shape { h, w, .. } = to.view.shape;
    for pixel in 0..to.pixels() {
        let (item, y, x) = (pixel / (h * w), pixel / w % h, pixel % w);
        // SAFETY: one thread, and a step's output is apart from its inputs.
        let sum = unsafe { to.pixel_mut(pixel) };
        sum.fill(0.0);
        for from in [a, b] {
            let shape = from.view.shape;
            if y < shape.h && x < shape.w {
                // SAFETY: as above.
                let values = unsafe { from.pixel((item * shape.h + y) * shape.w + x) };
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        if act == Act::Relu {
            // Not `max`: it would turn a value that is not a number into a zero.
            sum.iter_mut().filter(|sum| **sum < 0.0).for_each(|sum| *sum = 0.0);
        }
    }
}

fn local_norm(norm: LocalNorm, from: &[f32], to: &mut [f32]) {
    // Neighbour by neighbour, each time over all channels, of which the compiler makes vectors. `to` holds the sums.
    to.fill(0.0);
    let before = norm.size / 2;
    for neighbour in 0..norm.size {
        // Channel c meets channel c + neighbour - before, where there is one.
        let to = to.get_mut(before.saturating_sub(neighbour)..).unwrap_or_default();
        let from = from.get(neighbour.saturating_sub(before)..).unwrap_or_default();
        to.iter_mut().zip(from).for_each(|(sum, x)| *sum += x * x);
    }
    let factor = norm.alpha / norm.size as f32;
    let all = to.iter_mut().zip(from);
    if norm.beta == 0.75 {
        // The power that everybody uses: two square roots, which are vectors again, take a third of the time of `powf`.
        all.for_each(|(to, x)| {
            let root = (norm.k + factor * *to).sqrt();
            *to = x / (root * root.sqrt());
        });
    } else {
        all.for_each(|(to, x)| *to = x / (norm.k + factor * *to).powf(norm.beta));
    }
}

fn maxout(pieces: usize, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len() * pieces);
    for (to, from) in to.iter_mut().zip(from.chunks_exact(pieces)) {
        // Not `f32::max`: it would drop a value that is not a number.
        let larger = |top: f32, &x: &f32| if x > top || x.is_nan() { x } else { top };
        *to = from.iter().fold(f32::NEG_INFINITY, larger);
    }
}

fn softmax(from: &[f32], to: &mut [f32]) {
    let top = from.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for (to, from) in to.iter_mut().zip(from) {
        *to = (from - top).exp();
        sum += *to;
    }
    to.iter_mut().for_each(|to| *to /= sum);
}

fn l2_norm(from: &[f32], to: &mut [f32]) {
    let squares: f64 = from.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
    let len = squares.sqrt().max(1e-12) as f32;
    to.iter_mut().zip(from).for_each(|(to, from)| *to = from / len);
}
