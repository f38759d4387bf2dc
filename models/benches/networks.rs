//! Times the networks on the CPU engine: medians in milliseconds, one JSON object a line.
//!
//! `cargo bench -p threshold-models --bench networks -- <threads> [rounds] [portable | avx2 | avx512]` times.
//! `.. -- memory <packs>` loads the detector and the default embedder of a folder of packs, runs one frame and says what
//! the process then holds.
//! Weights are synthetic: speed does not depend on them. `cargo xtask bench peers` times other runtimes beside.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first fault")]

use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use serde_json::json;
use threshold_models::cascade::{PNetMap, StageNets};
use threshold_models::cpu::{CpuEngine, CpuStages, EngineOptions, Network, Pool, Simd};
use threshold_models::engine::{BBox, Detection, Engine};
use threshold_models::frame::Frame;
use threshold_models::graph::{Graph, Shape};
use threshold_models::net;
use threshold_models::pack::{Pack, PackDir, synthetic_input};
use threshold_models::tensor::{Tensor, Tensors};

/// P-Net's levels, R-Net's and O-Net's batches.
const LEVELS: [(usize, usize); 2] = [(240, 320), (433, 769)];
const RNET_CROPS: usize = 32;
const ONET_CROPS: usize = 8;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let argument = |i: usize| arguments.get(i).map(String::as_str);
    if argument(0) == Some("memory") {
        return memory(std::path::Path::new(argument(1).unwrap()));
    }
    let threads = argument(0).map_or(1, |text| text.parse().unwrap());
    let rounds = argument(1).map_or(15, |text| text.parse().unwrap());
    let simd = match argument(2) {
        Some("portable") => Simd::Portable,
        Some("avx2") => Simd::Avx2,
        Some("avx512") => Simd::Avx512,
        _ => Simd::detect(),
    };
    time_all(&Arc::new(Pool::new(threads)), rounds, simd);
}

/// A line of figures.
fn say(line: &dyn std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
}

fn time_all(pool: &Arc<Pool>, rounds: usize, simd: Simd) {
    let report = |name: String, ms: f64| {
        let threads = pool.threads();
        say(&json!({"name": name, "threads": threads, "simd": format!("{simd:?}"), "ms": ms}));
    };
    for graph in [net::inception_resnet_v1(), net::dlib_resnet29()] {
        let input = synthetic_input(1, graph.shape(0));
        let mut network =
            Network::new(&graph, &weights(&[&graph]), simd, Arc::clone(pool)).unwrap();
        let ms = median_ms(rounds, || network.run(&input).unwrap());
        report(graph.name().to_owned(), ms);
    }
    let stages = [&net::pnet(12, 12), &net::rnet(), &net::onet()];
    let mut nets = CpuStages::new(&weights(&stages), simd, Arc::clone(pool)).unwrap();
    for (h, w) in LEVELS {
        let level = synthetic_input(1, Shape { h, w, c: 3 });
        let mut map = PNetMap::default();
        let ms = median_ms(rounds, || nets.pnet(&level, h, w, &mut map).unwrap());
        report(format!("P-Net {w}x{h}"), ms);
    }
    let crops = |n: usize, side: usize| synthetic_input(1, Shape { h: n * side, w: side, c: 3 });
    let (crops24, mut out) = (crops(RNET_CROPS, 24), Vec::new());
    let ms = median_ms(rounds, || nets.rnet(&crops24, RNET_CROPS, &mut out).unwrap());
    report(format!("R-Net n={RNET_CROPS}"), ms);
    let (crops48, mut out) = (crops(ONET_CROPS, 48), Vec::new());
    let ms = median_ms(rounds, || nets.onet(&crops48, ONET_CROPS, &mut out).unwrap());
    report(format!("O-Net n={ONET_CROPS}"), ms);
}

/// Resident memory of an engine that has seen a frame with four faces, and the most that loading it took.
fn memory(packs: &std::path::Path) {
    let packs = PackDir::open(packs).unwrap();
    let options = EngineOptions { threads: 2, ..EngineOptions::default() };
    // Packs are dropped at once, as a unit drops them.
    let new = |detector: Pack, embedder: Pack| CpuEngine::new(&detector, Some(&embedder), &options);
    let mut engine = new(packs.detector().unwrap(), packs.default_embedder().unwrap()).unwrap();
    engine.self_test().unwrap();
    let frame = Frame::from_rgb(1280, 720, vec![90; 1280 * 720 * 3]).unwrap();
    engine.detect(&frame).unwrap();
    let bbox = BBox { x1: 400.0, y1: 200.0, x2: 560.0, y2: 400.0 };
    let face = Detection { bbox, landmarks: [[480.0, 300.0]; 5], score: 1.0 };
    engine.embed(&frame, &[face; 4]).unwrap();
    let name = engine.embedder().unwrap().name.clone();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let lines =
        status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.for_each(|line| say(&format!("{name}: {line}")));
}

/// The median time of a call, after two that warm buffers and caches.
fn median_ms(rounds: usize, mut call: impl FnMut()) -> f64 {
    (0..2).for_each(|_| call());
    let mut times: Vec<f64> = (0..rounds)
        .map(|_| {
            let start = Instant::now();
            call();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Weights that keep values in range from layer to layer (uniform, variance 2 / inputs).
fn weights(graphs: &[&Graph]) -> Tensors {
    let specs = graphs.iter().flat_map(|graph| graph.weights());
    specs
        .enumerate()
        .map(|(seed, spec)| {
            let inputs = spec.len() / spec.shape[0];
            let bound = (6.0 / inputs as f32).sqrt().min(0.25);
            let mut data = synthetic_input(seed as u64, Shape { h: 1, w: 1, c: spec.len() });
            data.iter_mut().for_each(|value| *value *= bound);
            (spec.name, Tensor { shape: spec.shape, data })
        })
        .collect()
}
