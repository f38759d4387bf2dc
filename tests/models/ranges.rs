//! What half precision must hold: the largest value of each layer over faces, from the networks in f32.
//!
//! Over a few pictures, or over every so many as `THRESHOLD_EVERY` says, as in the long sweep; then each row is told, as a line
//! that begins with `figure: `.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use threshold_models::cascade::{
    Cascade, CascadeOptions, ONetOutput, PNetMap, RNetOutput, StageNets,
};
use threshold_models::cpu::{CpuStages, Network, Pool, Simd};
use threshold_models::crop::crop;
use threshold_models::engine::EngineError;
use threshold_models::graph::Graph;
use threshold_models::pack::Pack;
use threshold_models::picture;
use threshold_models::tensor::Tensors;
use threshold_models::{frame::Frame, net};
use threshold_tests::{NO_REFERENCES, packs, shared, skipped};

/// The largest half, and the least with all digits.
const LARGEST_HALF: f32 = 65_504.0;
const LEAST_NORMAL: f32 = 6.103_515_6e-5;
/// What a layer may have of it: ten times the largest value that 973 pictures gave (docs/fp16-ranges.md).
const SHARE: f32 = 1.0 / 256.0;

/// What was seen of a layer's values.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    largest: f32,
    n: u64,
    small: u64,
}

/// Not `max`: it would drop a value that is not a number.
fn largest(a: f32, b: f32) -> f32 {
    if b <= a || a.is_nan() { a } else { b }
}

impl Seen {
    fn see(&mut self, values: &[f32]) {
        for value in values.iter().map(|value| value.abs()) {
            self.largest = largest(self.largest, value);
            self.small += u64::from(value != 0.0 && value < LEAST_NORMAL);
        }
        self.n += values.len() as u64;
    }
}

/// By network, and by place in its plan; with the layers' names.
#[derive(Default)]
struct Ranges(BTreeMap<(&'static str, usize), (String, Seen)>);

impl Ranges {
    fn run(&mut self, network: &mut Network, input: &[f32]) -> Result<(), EngineError> {
        let mut layers = vec![Seen::default(); network.plan().steps.len()];
        network.run_watched(input, |step, values| layers[step].see(values))?;
        let plan = network.plan();
        for (i, (step, layer)) in plan.steps.iter().zip(layers).enumerate() {
            let (_, seen) = self
                .0
                .entry((plan.name, i))
                .or_insert_with(|| (step.name.clone(), Seen::default()));
            seen.largest = largest(seen.largest, layer.largest);
            (seen.n, seen.small) = (seen.n + layer.n, seen.small + layer.small);
        }
        Ok(())
    }
}

/// The detector's networks, each watched beside the engine's own.
struct Watched {
    stages: CpuStages,
    tensors: Tensors,
    pool: Arc<Pool>,
    rnet: Network,
    onet: Network,
    ranges: Ranges,
}

fn network(graph: &Graph, tensors: &Tensors, pool: &Arc<Pool>) -> Network {
    Network::new(graph, tensors, Simd::detect(), Arc::clone(pool)).unwrap()
}

impl Watched {
    fn new(detector: &Pack) -> Self {
        let (pool, tensors) = (Arc::new(Pool::new(2)), detector.tensors());
        let stages = CpuStages::new(&tensors, Simd::detect(), Arc::clone(&pool)).unwrap();
        let [rnet, onet] = [net::rnet(), net::onet()].map(|graph| network(&graph, &tensors, &pool));
        Self { stages, tensors, pool, rnet, onet, ranges: Ranges::default() }
    }
}

impl StageNets for Watched {
    fn pnet(
        &mut self,
        level: &[f32],
        height: usize,
        width: usize,
        out: &mut PNetMap,
    ) -> Result<(), EngineError> {
        let mut pnet = network(&net::pnet(height, width), &self.tensors, &self.pool);
        self.ranges.run(&mut pnet, level)?;
        self.stages.pnet(level, height, width, out)
    }

    fn rnet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<RNetOutput>,
    ) -> Result<(), EngineError> {
        self.ranges.run(&mut self.rnet, crops)?;
        self.stages.rnet(crops, n, out)
    }

    fn onet(
        &mut self,
        crops: &[f32],
        n: usize,
        out: &mut Vec<ONetOutput>,
    ) -> Result<(), EngineError> {
        self.ranges.run(&mut self.onet, crops)?;
        self.stages.onet(crops, n, out)
    }
}

fn pictures_in(folder: &Path, found: &mut Vec<PathBuf>) {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        match path.is_dir() {
            true => pictures_in(&path, found),
            false => found.push(path),
        }
    }
}

/// Pictures of LFW's and WIDER's dev folders, every so many of each.
fn pictures(every: usize) -> Vec<PathBuf> {
    let Some(shared) = shared() else { return Vec::new() };
    let mut chosen = Vec::new();
    for folder in ["lfw-dev/images", "wider-dev/images"] {
        let mut found = Vec::new();
        pictures_in(&shared.join(folder), &mut found);
        chosen.extend(found.into_iter().step_by(every));
    }
    chosen
}

/// Faces embedded of one picture: some of WIDER's have hundreds.
const MOST_FACES: usize = 8;

fn embed(embedder: &Pack, network: &mut Network, frame: &Frame, watched: &mut Watched) {
    let meta = embedder.embedder().unwrap();
    let preprocessing = embedder.meta.preprocessing;
    let mut cascade = Cascade::new(CascadeOptions::default());
    let mut input = Vec::new();
    // By the engine's own networks: what they see was seen above.
    for face in cascade.detect(&mut watched.stages, frame).unwrap().iter().take(MOST_FACES) {
        let mut values = vec![0.0; meta.crop.len()];
        crop(frame, face, &meta.crop, &mut values);
        let normalised = values.chunks_exact(3).flat_map(|pixel| {
            let value = |c: usize| (pixel[c] - preprocessing.mean[c]) * preprocessing.scale;
            [value(0), value(1), value(2)]
        });
        input.extend(normalised);
    }
    if !input.is_empty() {
        watched.ranges.run(network, &input).unwrap();
    }
}

/// One in 400, eleven in all, where nothing says otherwise.
const EVERY: usize = 400;

#[test]
fn no_layer_comes_near_what_half_precision_holds() {
    let Some(packs) = packs() else {
        return skipped("ranges of layers", "no packs: cargo xtask setup");
    };
    let every = std::env::var("THRESHOLD_EVERY").ok().and_then(|text| text.parse().ok());
    let pictures = pictures(every.unwrap_or(EVERY));
    if pictures.is_empty() {
        return skipped("ranges of layers", NO_REFERENCES);
    }
    let mut watched = Watched::new(&packs.detector().unwrap());
    let named = |name| match packs.named(name) {
        Ok(pack) => Some(pack),
        Err(_) => {
            skipped(name, "no pack of it: cargo xtask setup");
            None
        }
    };
    let mut embedders: Vec<(Pack, Network)> = ["facenet", "dlib"]
        .into_iter()
        .filter_map(named)
        .map(|pack| {
            let graph = pack.meta.network.graphs().swap_remove(0);
            let network = network(&graph, &pack.tensors(), &watched.pool);
            (pack, network)
        })
        .collect();
    for path in &pictures {
        let frame = picture::read(path).unwrap();
        Cascade::new(CascadeOptions::default()).detect(&mut watched, &frame).unwrap();
        for (pack, network) in &mut embedders {
            embed(pack, network, &frame, &mut watched);
        }
    }
    let mut highest = BTreeMap::new();
    for ((network, _), (layer, seen)) in &watched.ranges.0 {
        let share = seen.largest / LARGEST_HALF;
        let (small, n) = (seen.small as f64, seen.n as f64);
        if every.is_some() {
            let (largest, percent, small) = (seen.largest, 100.0 * share, 100.0 * small / n);
            let row = format!("{network} | {layer} | {largest:.4} | {percent:.3} % | {small:.2} %");
            // Past the harness, and in one piece.
            let _ = std::io::stderr().write_all(format!("figure: {row}\n").as_bytes());
        }
        let top = highest.entry(*network).or_insert((0.0, layer));
        if share > top.0 {
            *top = (share, layer);
        }
        assert!(seen.n > 0 && share < SHARE, "{network}, {layer}: {seen:?}");
    }
    // The detector saw faces, and so did the embedders.
    assert_eq!(highest.len(), 3 + embedders.len(), "{highest:?}");
}
