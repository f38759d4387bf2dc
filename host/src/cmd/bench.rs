//! `threshold bench`: how fast this machine is, in medians of repeated calls.
//!
//! Owns what is timed and the figures that are told: median, 95th percentile, arithmetic per second, bytes.
//! Refuses to compare: a peer's figures belong to the run that measured both (`cargo xtask bench peers`).
//! One multiply-accumulate counts as two operations.

use super::{Answer, layers};
use crate::args::{self, EngineName, NetworkName, On, SimdName, Turns};
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::table;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_models::cascade::{CascadeOptions, PNetMap, StageNets};
use threshold_models::cpu::{CpuStages, EngineOptions, Network, Pool, Simd};
use threshold_models::engine::{Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_models::graph::{Cost, Graph, Shape};
use threshold_models::pack::Pack;
use threshold_models::{net, picture, synthetic};

/// Measures what was typed.
///
/// # Errors
/// A picture that cannot be read or shows no face, or a missing pack.
pub fn run(meant: &Meant, typed: &args::Bench) -> anyhow::Result<Answer> {
    match typed {
        args::Bench::Network(typed) => network(meant, typed)?,
        args::Bench::Detect(typed) => detect(meant, typed)?,
        args::Bench::Embed(typed) => embed(meant, typed)?,
        args::Bench::Start => start(meant)?,
    }
    Ok(Answer::Yes)
}

/// Times of calls, ascending; never empty.
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn of<E>(turns: &Turns, mut call: impl FnMut() -> Result<(), E>) -> Result<Self, E> {
        for _ in 0..turns.warm_up {
            call()?;
        }
        let mut times = Vec::with_capacity(turns.calls as usize);
        for _ in 0..turns.calls.max(1) {
            let start = Instant::now();
            call()?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(Self(times))
    }

    /// The time that a share of the calls stays within.
    fn share(&self, share: f64) -> f64 {
        let last = self.0.len() - 1;
        let at = (self.0.len() as f64 * share).ceil() as usize;
        ms(self.0[at.saturating_sub(1).min(last)])
    }

    pub(super) fn median_ms(&self) -> f64 {
        self.share(0.5)
    }

    fn p95_ms(&self) -> f64 {
        self.share(0.95)
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// A figure as JSON shows it: no more digits than a clock gives.
pub(super) fn figure(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

fn simd(turns: &Turns) -> Result<Simd, HostError> {
    let Some(name) = turns.simd else { return Ok(Simd::detect()) };
    let wanted = match name {
        SimdName::Portable => Simd::Portable,
        SimdName::Avx2 => Simd::Avx2,
        SimdName::Avx512 => Simd::Avx512,
        SimdName::Neon => Simd::Neon,
    };
    let here = Simd::available();
    if here.contains(&wanted) {
        return Ok(wanted);
    }
    let here = here.into_iter().map(simd_text).collect::<Vec<_>>().join(", ");
    Err(HostError::NoSimd { wanted: simd_text(wanted), here })
}

pub(super) fn simd_text(simd: Simd) -> &'static str {
    match simd {
        Simd::Portable => "portable",
        Simd::Avx2 => "avx2",
        Simd::Avx512 => "avx512",
        Simd::Neon => "neon",
    }
}

fn network(meant: &Meant, typed: &args::BenchNetwork) -> anyhow::Result<()> {
    let (turns, simd) = (&typed.turns, simd(&typed.turns)?);
    let graph = layers::graph(typed.network, typed.size);
    let pool = Arc::new(Pool::new(meant.threads));
    let items = usize::from(typed.items);
    let shape = graph.shape(graph.input());
    let mut steps = Vec::new();
    let times = if typed.layers {
        let input = noise(&graph, items);
        let mut network = Network::new(&graph, &synthetic::weights([&graph]), simd, pool)?;
        let times = Times::of(turns, || network.run(&input))?;
        steps = layer_times(&mut network, &graph, &input, turns);
        times
    } else {
        Times::of(turns, pass((typed.network, typed.size), items, (simd, pool))?)?
    };
    let cost: Cost = graph.costs().sum();
    let gflop = 2e-9 * (cost.macs * items) as f64;
    let median = times.median_ms();
    let plan = threshold_models::plan::Plan::new(&graph);
    let value = json!({
        "network": graph.name(),
        "size": [shape.w, shape.h],
        "items": items,
        "threads": meant.threads,
        "simd": simd_text(simd),
        "calls": turns.calls,
        "median_ms": figure(median),
        "p95_ms": figure(times.p95_ms()),
        "gflop": figure(gflop),
        "gflop_per_s": figure(gflop / median * 1e3),
        "weight_bytes": cost.parameters * size_of::<f32>(),
        "activation_bytes": plan.peak_bytes(),
        "layers": steps.iter().map(Layer::value).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        let head = format!(
            "{} {}x{}, {items} at a time, {}: median {median:.3} ms, 95 % within {:.3} ms, {:.1} GFLOP/s",
            graph.name(),
            shape.w,
            shape.h,
            machine(meant.threads, simd),
            times.p95_ms(),
            gflop / median * 1e3,
        );
        if steps.is_empty() {
            return head;
        }
        let rows: Vec<Vec<String>> = steps.iter().map(Layer::row).collect();
        format!("{head}\n{}", table(&["layer", "output", "ms", "GFLOP/s"], &rows))
    })?;
    Ok(())
}

/// Noise for so many items of a network.
fn noise(graph: &Graph, items: usize) -> Vec<f32> {
    let shape = graph.shape(graph.input());
    synthetic::input(1, Shape { h: items * shape.h, ..shape })
}

/// What passes so many items through a network, P-Net's a level of that size: weights and items are drawn, since how long it takes
/// depends on neither. The cascade's networks run as the cascade runs them, in strips and batches.
pub(super) fn pass(
    (network, size): (NetworkName, (usize, usize)),
    items: usize,
    (simd, pool): (Simd, Arc<Pool>),
) -> Result<Box<dyn FnMut() -> Result<(), EngineError>>, EngineError> {
    let graph = layers::graph(network, size);
    let (shape, input) = (graph.shape(graph.input()), noise(&graph, items));
    if !matches!(network, NetworkName::Pnet | NetworkName::Rnet | NetworkName::Onet) {
        let mut network = Network::new(&graph, &synthetic::weights([&graph]), simd, pool)?;
        return Ok(Box::new(move || network.run(&input)));
    }
    let stages = [&net::pnet(12, 12), &net::rnet(), &net::onet()];
    let mut stages = CpuStages::new(&synthetic::weights(stages), simd, pool)?;
    let (mut map, mut rnet, mut onet) = (PNetMap::default(), Vec::new(), Vec::new());
    Ok(Box::new(move || match network {
        NetworkName::Pnet => {
            let mut levels = input.chunks_exact(shape.len()).take(items);
            levels.try_for_each(|level| stages.pnet(level, shape.h, shape.w, &mut map))
        }
        NetworkName::Rnet => stages.rnet(&input, items, &mut rnet),
        _ => stages.onet(&input, items, &mut onet),
    }))
}

pub(super) fn machine(threads: usize, simd: Simd) -> String {
    format!("{threads} thread{} of {}", if threads == 1 { "" } else { "s" }, simd_text(simd))
}

/// A step of a network and its median time.
struct Layer {
    name: String,
    shape: Shape,
    ms: f64,
    /// 0 for what is no layer.
    gflop_per_s: f64,
}

impl Layer {
    fn value(&self) -> Value {
        json!({
            "name": self.name,
            "shape": [self.shape.h, self.shape.w, self.shape.c],
            "median_ms": figure(self.ms),
            "gflop_per_s": figure(self.gflop_per_s),
        })
    }

    fn row(&self) -> Vec<String> {
        let Shape { h, w, c } = self.shape;
        let speed = match self.gflop_per_s {
            0.0 => String::new(),
            speed => format!("{speed:.1}"),
        };
        vec![self.name.clone(), format!("{h} x {w} x {c}"), format!("{:.4}", self.ms), speed]
    }
}

fn layer_times(network: &mut Network, graph: &Graph, input: &[f32], turns: &Turns) -> Vec<Layer> {
    let calls: Vec<Vec<Duration>> =
        (0..turns.calls.max(1)).map(|_| network.time_steps(input)).collect();
    let items = input.len() / graph.shape(graph.input()).len();
    let steps = network.plan().steps.iter().enumerate();
    steps
        .map(|(i, step)| {
            let mut times: Vec<Duration> = calls.iter().map(|call| call[i]).collect();
            times.sort_unstable();
            let ms = Times(times).median_ms();
            let value = graph.find(&step.name);
            let macs = value.and_then(|id| graph.costs().nth(id)).map_or(0, |cost| cost.macs);
            let gflop_per_s = 2e-6 * (macs * items) as f64 / ms;
            Layer { name: step.name.clone(), shape: step.output.shape, ms, gflop_per_s }
        })
        .collect()
}

fn detect(meant: &Meant, typed: &args::BenchDetect) -> anyhow::Result<()> {
    let simd = simd(&typed.turns)?;
    let picture = picture::read(&typed.image)?;
    let frame = match typed.size {
        Some(size) => tiled(&picture, size)?,
        None => picture,
    };
    let cascade =
        CascadeOptions { min_face_px: f64::from(typed.min_face), ..CascadeOptions::default() };
    let options = EngineOptions { threads: meant.threads, cascade, simd };
    let detector = Engines::open(meant)?.detector()?;
    let Running { mut engine, words, value: running } =
        running(&typed.on, &detector, None, &options)?;
    let faces = engine.detect(&frame)?.len();
    let times = Times::of(&typed.turns, || engine.detect(&frame).map(drop))?;
    let value = json!({
        "image": typed.image.display().to_string(),
        "size": [frame.width(), frame.height()],
        "min_face": typed.min_face,
        "engine": running["engine"],
        "threads": running["threads"],
        "simd": running["simd"],
        "calls": typed.turns.calls,
        "median_ms": figure(times.median_ms()),
        "p95_ms": figure(times.p95_ms()),
        "faces": faces,
    });
    meant.say.result(&value, || {
        format!(
            "detection at {}x{}, faces of {} px and more, {faces} found, {}: median {:.2} ms, 95 % within {:.2} ms",
            frame.width(),
            frame.height(),
            typed.min_face,
            words,
            times.median_ms(),
            times.p95_ms(),
        )
    })?;
    Ok(())
}

/// An engine that passed its self-test, in words and as JSON shows it.
pub(super) struct Running {
    pub(super) engine: Box<dyn Engine>,
    pub(super) words: String,
    pub(super) value: Value,
}

pub(super) fn running(
    on: &On,
    detector: &Pack,
    embedder: Option<&Pack>,
    options: &EngineOptions,
) -> anyhow::Result<Running> {
    match on.engine {
        EngineName::Cpu => {
            let engine = Engines::engine_of(detector, embedder, options)?;
            let words = machine(options.threads, options.simd);
            let value = json!({
                "engine": "cpu", "threads": options.threads, "simd": simd_text(options.simd),
            });
            Ok(Running { engine: Box::new(engine), words, value })
        }
        EngineName::Cuda => on_gpu(on, detector, embedder, options.cascade),
    }
}

#[cfg(feature = "cuda")]
fn on_gpu(
    on: &On,
    detector: &Pack,
    embedder: Option<&Pack>,
    cascade: CascadeOptions,
) -> anyhow::Result<Running> {
    use threshold_kernels::device::{Device as _, cuda::Cuda};

    let beside = || std::env::current_exe().unwrap_or_default().with_file_name("kernels");
    let device = Cuda::open(0, &on.kernels.clone().unwrap_or_else(beside))?;
    let words = device.name();
    let mut engine = threshold_kernels::CudaEngine::new(device, detector, cascade)?;
    if let Some(embedder) = embedder {
        engine = engine.with_embedder(embedder)?;
    }
    engine.self_test()?;
    let value = json!({ "engine": words, "threads": null, "simd": null });
    Ok(Running { engine: Box::new(engine), words, value })
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(on: &On, _: &Pack, _: Option<&Pack>, _: CascadeOptions) -> anyhow::Result<Running> {
    let _ = &on.kernels;
    Err(HostError::NoGpuEngine.into())
}

/// A frame of that size, filled with the picture side by side and row below row.
pub(super) fn tiled(picture: &Frame, (width, height): (usize, usize)) -> anyhow::Result<Frame> {
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let row = y % picture.height() * picture.width() * 3;
        let row = &picture.rgb()[row..row + picture.width() * 3];
        rgb.extend(row.iter().cycle().take(width * 3));
    }
    Ok(Frame::from_rgb(width, height, rgb)?)
}

fn embed(meant: &Meant, typed: &args::BenchEmbed) -> anyhow::Result<()> {
    let simd = simd(&typed.turns)?;
    let frame = picture::read(&typed.image)?;
    let engines = Engines::open(meant)?;
    let pack = engines.embedder(meant.model.as_ref())?;
    let options = EngineOptions { threads: meant.threads, simd, ..EngineOptions::default() };
    let Running { mut engine, words, value: running } =
        running(&typed.on, &engines.detector()?, Some(&pack), &options)?;
    let Some(&face) = engine.detect(&frame)?.first() else {
        let photo = typed.image.display().to_string();
        return Err(HostError::NoFace { photo, min_face_px: 20 }.into());
    };
    let faces = vec![face; usize::from(typed.faces)];
    let times = Times::of(&typed.turns, || engine.embed(&frame, &faces).map(drop))?;
    let per_face = times.median_ms() / faces.len() as f64;
    let value = json!({
        "image": typed.image.display().to_string(),
        "model": pack.meta.name,
        "faces": faces.len(),
        "engine": running["engine"],
        "threads": running["threads"],
        "simd": running["simd"],
        "calls": typed.turns.calls,
        "median_ms": figure(times.median_ms()),
        "p95_ms": figure(times.p95_ms()),
        "median_ms_per_face": figure(per_face),
        "peak_bytes": peak_bytes(),
    });
    meant.say.result(&value, || {
        format!(
            "{} with {} face{}, {}: median {:.2} ms ({per_face:.2} ms a face), 95 % within {:.2} ms{}",
            pack.meta.name,
            faces.len(),
            if faces.len() == 1 { "" } else { "s" },
            words,
            times.median_ms(),
            times.p95_ms(),
            peak_bytes().map_or_else(String::new, |most| format!(", {} MB at most", most / 1_000_000)),
        )
    })?;
    Ok(())
}

/// The most memory that this process ever had resident, loading included; `None` where the system does not tell.
fn peak_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

/// What a start does before its first embedding, one time each: a second start would find everything warm.
fn start(meant: &Meant) -> anyhow::Result<()> {
    let begin = Instant::now();
    let pack = Engines::open(meant)?.embedder(meant.model.as_ref())?;
    let read = begin.elapsed();
    let graph = pack.meta.network.graphs().swap_remove(0);
    let pool = Arc::new(Pool::new(meant.threads));
    let mut network = Network::new(&graph, &pack, Simd::detect(), pool)?;
    let packed = begin.elapsed();
    network.run(&synthetic::input(1, graph.shape(graph.input())))?;
    let first = begin.elapsed();
    let value = json!({
        "model": pack.meta.name,
        "threads": meant.threads,
        "simd": simd_text(Simd::detect()),
        "read_ms": figure(ms(read)),
        "packed_ms": figure(ms(packed)),
        "first_ms": figure(ms(first)),
        "weight_bytes": network.weight_bytes(),
    });
    meant.say.result(&value, || {
        format!(
            "{}, {}: read and checked after {:.1} ms, weights in order ({} MB) after {:.1} ms, first embedding after {:.1} ms",
            pack.meta.name,
            machine(meant.threads, Simd::detect()),
            ms(read),
            network.weight_bytes() / 1_000_000,
            ms(packed),
            ms(first),
        )
    })?;
    Ok(())
}
