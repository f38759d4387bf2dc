//! Whether a card says of people what the processor says: Labeled Faces in the Wild through one graph a picture, beside the CPU
//! engine in f32 over the same pictures; and, for a measure of what that says, the CPU engine over pictures of which each value is a
//! grey level up or down, less than a camera's noise: the cascade cuts its crops at whole pixels, so that whatever moves a box a
//! little moves some distances by much.
//!
//! Run by `run.sh accuracy`. Owns the running; the protocol and what counts as another answer are `models::eval::lfw`'s. The
//! graph's face is the one that the picture is about, if it is among the largest, which are embedded there.

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;
use threshold_kernels::CudaEngine;
use threshold_kernels::device::Device;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Detection, Engine as _, EngineError};
use threshold_models::eval::lfw::{self, Embedded, Pairs};
use threshold_models::frame::Frame;
use threshold_models::pack::{Pack, PackDir};
use threshold_models::picture;
use threshold_models::raw::RawFrame;

/// The cascade as the figures of the processor were measured with it.
const MIN_FACE_PX: f64 = 20.0;
/// Faces of a picture that the graph embeds.
const MOST: usize = 8;
/// What half precision may lose if the faces are the same, as a part of the pairs: 0.05 points.
const LOST_MOST: f64 = 0.0005;
/// How near to the threshold a pair lies that half precision may judge otherwise if the faces are the same, in the metric's unit.
/// A graph's own boxes lie up to a pixel elsewhere, which moves a distance by more.
const BAND: f64 = 0.002;

#[derive(Parser)]
struct Typed {
    /// The pictures, a folder for each person
    #[arg(long)]
    pictures: PathBuf,
    /// `pairs.txt`
    #[arg(long)]
    pairs: PathBuf,
    /// About so many of its pairs
    #[arg(long)]
    limit_pairs: Option<usize>,
    /// The folder of packs
    #[arg(long, default_value = "packs")]
    packs: PathBuf,
    /// So many times the CPU engine over pictures with noise
    #[arg(long, default_value_t = 0)]
    noisy: u64,
    /// The embedder's name; the default is what the packs' folder has as such
    #[arg(long)]
    model: Option<String>,
    /// The folder that `cargo xtask kernels` filled
    #[arg(long, default_value = "kernels")]
    images: PathBuf,
    /// The folder for accuracy-MODEL.json
    #[arg(long)]
    out: PathBuf,
    /// On the emulator: only to see that it runs
    #[arg(long)]
    emulated: bool,
    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let typed = Typed::parse();
    let report = match typed.emulated {
        true => emulated(&typed)?,
        false => on_gpu(&typed)?,
    };
    let text = serde_json::to_string_pretty(&report)?;
    let model = report["model_name"].as_str().unwrap_or("unknown");
    let path = typed.out.join(format!("accuracy-{model}.json"));
    std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or(f64::NAN);
    let lost = number(&report, "accuracy") - number(&report["same_faces"], "accuracy");
    ensure!(
        lost <= LOST_MOST,
        "right of {lost} of the pairs less often over the same faces:\n{text}"
    );
    let furthest = number(&report["same_faces"], "furthest");
    ensure!(furthest <= BAND, "a pair {furthest} from the threshold is judged otherwise:\n{text}");
    Ok(())
}

#[cfg(feature = "emulator")]
fn emulated(typed: &Typed) -> Result<Value> {
    measure(typed, threshold_kernels::device::emulator::Emulator::new(1)?)
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Typed) -> Result<Value> {
    anyhow::bail!("built without the emulator: add `--features emulator`")
}

#[cfg(feature = "cuda")]
fn on_gpu(typed: &Typed) -> Result<Value> {
    measure(typed, threshold_kernels::device::cuda::Cuda::open(0, &typed.images)?)
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(typed: &Typed) -> Result<Value> {
    let _ = &typed.images;
    anyhow::bail!("built without CUDA: add `--features cuda`, or say `--emulated`")
}

#[cfg_attr(
    not(any(feature = "cuda", feature = "emulator")),
    expect(dead_code, reason = "no device")
)]
fn measure<D: Device + Send>(typed: &Typed, device: D) -> Result<Value>
where
    D::Buffer: Send,
    D::Staging: Send,
    D::Graph: Send,
{
    let text = std::fs::read_to_string(&typed.pairs)
        .with_context(|| format!("reading {}", typed.pairs.display()))?;
    let pairs = Pairs::parse(&text)?;
    let pairs = typed.limit_pairs.map_or(pairs.clone(), |n| pairs.limited(n));
    let paths: Vec<&str> = pairs.pictures().into_iter().collect();
    let packs = PackDir::open(&typed.packs)?;
    let detector = packs.detector()?;
    let model = match &typed.model {
        Some(name) => packs.named(name)?,
        None => packs.default_embedder()?,
    };
    let name = device.name();
    let by_processor = |noise| by_processor(&typed.pictures, &paths, [&detector, &model], noise);
    let mut engine = CudaEngine::new(device, &detector, cascade())?.with_embedder(&model)?;
    engine.self_test()?;
    let mut faces = Vec::new();
    let [mut whole, mut same_faces, mut graph] = [const { BTreeMap::new() }; 3];
    let (mut us, mut moved_px, mut not_in_graph) = (Vec::new(), Vec::new(), 0);
    for (path, one) in paths.iter().zip(by_processor(None)?) {
        let embedding = engine.embed(&one.frame, &[one.face])?.pop();
        let embedding = embedding.ok_or(EngineError::NoEmbedder)?;
        let face_found = one.embedded.face_found;
        same_faces.insert((*path).to_owned(), Embedded { embedding, face_found });
        let start = Instant::now();
        let (embedded, face, in_graph) = through_graph(&mut engine, &one.frame)?;
        us.push(start.elapsed().as_secs_f64() * 1e6);
        moved_px.push(moved(&one.face, &face));
        not_in_graph += usize::from(!in_graph);
        graph.insert((*path).to_owned(), embedded);
        faces.push(one.face);
        whole.insert((*path).to_owned(), one.embedded);
    }
    let metric = model.embedder()?.metric;
    let result = lfw::evaluate(&pairs, metric, &whole)?;
    let beside = |other: &BTreeMap<String, Embedded>| -> Result<Value> {
        Ok(serde_json::to_value(lfw::flips(&pairs, metric, &result, [&whole, other])?)?)
    };
    us.sort_by(f64::total_cmp);
    let mut noisy = Vec::new();
    for seed in 0..typed.noisy {
        let (mut embedded, mut moved_px) = (BTreeMap::new(), Vec::new());
        for ((path, one), was) in paths.iter().zip(by_processor(Some(seed))?).zip(&faces) {
            moved_px.push(moved(was, &one.face));
            embedded.insert((*path).to_owned(), one.embedded);
        }
        noisy.push(json!({"pairs": beside(&embedded)?, "moved_px": quantiles(moved_px)}));
    }
    let without_face =
        [&whole, &graph].map(|all| all.values().filter(|one| !one.face_found).count());
    Ok(json!({
        "device": name, "model": model.id.to_string(), "model_name": model.meta.name,
        "pairs": result.pairs, "pictures": result.pictures, "metric": result.metric,
        "accuracy": result.accuracy, "same_faces": beside(&same_faces)?, "graph": beside(&graph)?,
        "without_face": without_face, "not_in_graph": not_in_graph,
        "graph_moved_px": quantiles(moved_px), "noisy": noisy, "graph_p50_us": us[us.len() / 2],
    }))
}

/// How far a face's box lies from another's, at the corner where it is most, in pixels.
fn moved(one: &Detection, other: &Detection) -> f64 {
    let sides = |face: &Detection| [face.bbox.x1, face.bbox.y1, face.bbox.x2, face.bbox.y2];
    let apart = sides(one).into_iter().zip(sides(other)).map(|(a, b)| f64::from((a - b).abs()));
    apart.fold(0.0, f64::max)
}

/// What half, 90 %, 99 % and all of the values stay within.
fn quantiles(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    let last = values.len() - 1;
    [0.5, 0.9, 0.99, 1.0].map(|share| values[(last as f64 * share) as usize]).to_vec()
}

/// The picture with each value a grey level up, down, or as it was.
fn with_noise(frame: &Frame, seed: u64) -> Result<Frame> {
    let mut state = seed;
    let mut value = |value: &u8| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match (state >> 33) % 3 {
            0 => value.saturating_sub(1),
            1 => *value,
            _ => value.saturating_add(1),
        }
    };
    let rgb = frame.rgb().iter().map(&mut value).collect();
    Ok(Frame::from_rgb(frame.width(), frame.height(), rgb)?)
}

/// A picture with what the CPU engine says of it.
struct Whole {
    frame: Frame,
    face: Detection,
    embedded: Embedded,
}

fn cascade() -> CascadeOptions {
    CascadeOptions { min_face_px: MIN_FACE_PX, ..CascadeOptions::default() }
}

/// Every picture, or what noise makes of it, by the CPU engine, on all processors.
fn by_processor(
    folder: &Path,
    paths: &[&str],
    [detector, model]: [&Pack; 2],
    noise: Option<u64>,
) -> Result<Vec<Whole>> {
    let n_threads = thread::available_parallelism().map_or(1, usize::from);
    let share = |paths: &[&str]| -> Result<Vec<Whole>> {
        let options = EngineOptions { threads: 1, cascade: cascade(), ..EngineOptions::default() };
        let mut engine = CpuEngine::new(detector, Some(model), &options)?;
        let one = |path: &&str| {
            let frame = picture::read(&folder.join(path))?;
            let frame = match noise {
                Some(seed) => with_noise(&frame, seed)?,
                None => frame,
            };
            let (face, face_found) = lfw::face_of(&mut engine, &frame)?;
            let embedding = engine.embed(&frame, &[face])?.pop().ok_or(EngineError::NoEmbedder)?;
            Ok(Whole { frame, face, embedded: Embedded { embedding, face_found } })
        };
        paths.iter().map(one).collect()
    };
    let shares = thread::scope(|scope| {
        let shares = paths.chunks(paths.len().div_ceil(n_threads).max(1));
        let threads: Vec<_> = shares.map(|paths| scope.spawn(|| share(paths))).collect();
        let joined = |thread: thread::ScopedJoinHandle<'_, Result<Vec<_>>>| {
            thread.join().unwrap_or_else(|panic| resume_unwind(panic))
        };
        threads.into_iter().map(joined).collect::<Result<Vec<_>>>()
    })?;
    Ok(shares.into_iter().flatten().collect())
}

/// The picture's face through the graph, where it is, and whether it was embedded there: a picture without a face, or with its own behind the
/// largest, is embedded as the other engine's would be.
fn through_graph<D: Device + Send>(
    engine: &mut CudaEngine<D>,
    frame: &Frame,
) -> Result<(Embedded, Detection, bool)>
where
    D::Buffer: Send,
    D::Staging: Send,
    D::Graph: Send,
{
    let faces = engine.recognise_raw(&RawFrame::of(frame), MOST)?.faces;
    match lfw::in_the_middle(frame, &faces) {
        Some(at) if at < MOST => {
            let embedding = engine.last_embeddings(at + 1)?.pop().ok_or(EngineError::NoEmbedder)?;
            Ok((Embedded { embedding, face_found: true }, faces[at], true))
        }
        // Behind those that are embedded, or none.
        _ => {
            let (face, face_found) = lfw::face_of(engine, frame)?;
            let embedding = engine.embed(frame, &[face])?.pop().ok_or(EngineError::NoEmbedder)?;
            Ok((Embedded { embedding, face_found }, face, false))
        }
    }
}
