//! Detection on a device, frame by frame: whole frames by the processor's clock, stages by the device's.
//!
//! Run by `run.sh bench` of the folder that `cargo xtask gpu pack` makes; `--emulated` proves that it runs where no GPU is, and
//! its times then mean nothing. Frames are PNG files; what they are called is told beside their figures.
//! Owns no gate: figures of a card are reported beside that card's own ceilings.

mod stand_ins;
mod table_1;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};
use stand_ins::{PEOPLE, facenet, people, yuyv};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::time::Instant;
use threshold_kernels::device::{Device, DeviceError};
use threshold_kernels::weights::Packed;
use threshold_kernels::{Alone, CudaEngine, KernelError};
use threshold_models::cascade::CascadeOptions;
use threshold_models::pack::{Pack, PackDir};
use threshold_models::picture;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};

/// Bytes of the copy and rounds of the products that tell a card's ceilings.
const COPIED: usize = 256 << 20;
const ROUNDS: u32 = 20_000;
/// The same on the emulator, which is not timed.
const COPIED_EMULATED: usize = 1 << 16;
const ROUNDS_EMULATED: u32 = 2;
/// Frames whose stages are timed one by one.
const STAGED: usize = 50;
/// Frames of which it is told how many there are in a second.
const IN_A_ROW: usize = 300;
/// Parts of the calls that are quicker than what is told of a latency.
const QUANTILES: [f64; 9] = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0];
/// Most faces of a frame that are recognised.
const RECOGNISED: usize = 8;

/// The detector, dlib's embedder, and FaceNet with drawn weights.
type Packs = (Pack, Pack, Pack);

#[derive(Parser)]
struct Typed {
    /// The folder of packs
    #[arg(long)]
    packs: PathBuf,
    /// The folder of frames, `*.png`
    #[arg(long)]
    frames: PathBuf,
    /// The folder that `cargo xtask kernels` filled
    #[arg(long, default_value = "kernels")]
    images: PathBuf,
    /// Smallest faces, in pixels
    #[arg(long, value_delimiter = ',', default_value = "20,40,80")]
    min_face: Vec<f64>,
    /// Timed frames of each kind
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// The folder for detect.json and detect.md
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
    let packs = PackDir::open(&typed.packs)?;
    let dlib = packs.named("dlib")?;
    let facenet = facenet(&dlib)?;
    let packs = (packs.detector()?, dlib, facenet);
    let report = match typed.emulated {
        true => emulated(&typed, &packs)?,
        false => on_gpu(&typed, &packs)?,
    };
    let write = |name: &str, text: String| {
        let path = typed.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write("detect.json", serde_json::to_string_pretty(&report)?)?;
    write("detect.md", page(&report))
}

/// The report as a page; beside the peers it stands on that of `cargo xtask gpu report`.
fn page(report: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let if_timed = |ms: &Value| ms.as_f64().map_or_else(String::new, |ms| format!("{ms:.3}"));
    let mut page = format!(
        "# Detection on {}\n\nMeasured ceilings: copy {:.0} GB/s, tensor cores {:.0} TFLOP/s (f16, f32 sums).\n\n\
         p50, p95, max: from the frame in the pinned input to the faces, by the host's clock. With copy: the frame is first copied \
         there, and its bytes then come out of the processor's caches. Recognised: without it, and the {RECOGNISED} largest faces \
         cut out, embedded by that network and sought among {PEOPLE} people. Stages: each alone between two events, which adds some microseconds; in the graph they overlap.\n\n\
         | frame | min face | faces | crops | p50 ms | p95 ms | max ms | p50 with copy, ms | recognised, dlib, ms | recognised, FaceNet, ms | stages, us |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        report["device"].as_str().unwrap_or("?"),
        number(&report["copy_gb_a_second"]),
        number(&report["tensor_tflops"]),
    );
    for row in report["frames"].as_array().into_iter().flatten() {
        let stages = row["stages_us"].as_object().into_iter().flatten();
        let stages: Vec<String> =
            stages.map(|(stage, us)| format!("{stage} {:.1}", number(us))).collect();
        page += &format!(
            "| {} | {} | {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {} | {} | {} |\n",
            row["frame"].as_str().unwrap_or("?"),
            row["min_face"],
            row["faces"],
            row["crops"],
            number(&row["p50_ms"]),
            number(&row["p95_ms"]),
            number(&row["max_ms"]),
            number(&row["copied_p50_ms"]),
            if_timed(&row["dlib"]["p50_ms"]),
            if_timed(&row["facenet"]["p50_ms"]),
            stages.join(", "),
        );
    }
    page += "\nFrames a second, each copied to the pinned input first: one at a time, and two under way, so that one is copied while the card \
         works on the other.\n\n\
         | frame | min face | faces | one at a time | two under way | recognised, FaceNet: one | two |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n";
    for row in report["frames"].as_array().into_iter().flatten() {
        let a_second = |of: &Value| {
            let of = &of["frames_a_second"];
            ["one_at_a_time", "two_under_way"].map(|key| format!("{:.0}", number(&of[key])))
        };
        let ([one, two], [facenet_one, facenet_two]) = (a_second(row), a_second(&row["facenet"]));
        page += &format!(
            "| {} | {} | {} | {one} | {two} | {facenet_one} | {facenet_two} |\n",
            row["frame"].as_str().unwrap_or("?"),
            row["min_face"],
            row["faces"],
        );
    }
    page += &table_1::page(&report["table_1"]);
    page
}

#[cfg(feature = "emulator")]
fn emulated(typed: &Typed, packs: &Packs) -> Result<Value> {
    let device = || threshold_kernels::device::emulator::Emulator::new(1);
    measure(typed, packs, device, (COPIED_EMULATED, ROUNDS_EMULATED))
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Typed, _: &Packs) -> Result<Value> {
    let _ = (COPIED_EMULATED, ROUNDS_EMULATED);
    anyhow::bail!("built without the emulator: add `--features emulator`")
}

#[cfg(feature = "cuda")]
fn on_gpu(typed: &Typed, packs: &Packs) -> Result<Value> {
    let device = || threshold_kernels::device::cuda::Cuda::open(0, &typed.images);
    measure(typed, packs, device, (COPIED, ROUNDS))
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(typed: &Typed, _: &Packs) -> Result<Value> {
    let _ = (&typed.images, COPIED, ROUNDS);
    anyhow::bail!("built without CUDA: add `--features cuda`, or say `--emulated`")
}

fn measure<D: Device>(
    typed: &Typed,
    packs: &Packs,
    open: impl Fn() -> Result<D, DeviceError>,
    (copied, rounds): (usize, u32),
) -> Result<Value> {
    let device = open()?;
    let (name, multiprocessors) = (device.name(), device.multiprocessors());
    let alone = Alone::new(device, Packed::of(&packs.0)?)?;
    let (bytes_a_second, _) = alone.copy_ceiling(&vec![1; copied], 9)?;
    let (multiplied_a_second, _) = alone.multiply_ceiling(rounds, 9)?;
    let mut frames: Vec<PathBuf> = std::fs::read_dir(&typed.frames)
        .with_context(|| typed.frames.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    frames.retain(|path| path.extension().is_some_and(|kind| kind == "png"));
    frames.sort();
    let table_1 = table_1::measure(&open()?, &alone, typed.calls)?;
    let mut rows = Vec::new();
    for path in &frames {
        for &min_face_px in &typed.min_face {
            rows.push(frame(typed, packs, open()?, path, min_face_px)?);
        }
    }
    Ok(json!({
        "device": name,
        "multiprocessors": multiprocessors,
        "copy_gb_a_second": bytes_a_second / 1e9,
        "tensor_tflops": 2.0 * multiplied_a_second / 1e12,
        "frames": rows,
        "quantiles": QUANTILES,
        "table_1": table_1,
    }))
}

/// Milliseconds of each of so many calls, ascending; at least one.
fn timed(
    calls: usize,
    mut call: impl FnMut() -> Result<(), KernelError>,
) -> Result<Vec<f64>, KernelError> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls.max(1) {
        let start = Instant::now();
        call()?;
        times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

/// [`QUANTILES`] of times in ascending order.
fn quantiles(times: &[f64]) -> Vec<f64> {
    let at = |part: f64| ((times.len() as f64 * part) as usize).min(times.len() - 1);
    QUANTILES.into_iter().map(|part| times[at(part)]).collect()
}

/// Frames a second, one at a time and two under way, with the copy of each; the faces alone, or so many of them recognised.
fn frames_a_second<D: Device>(
    engine: &mut CudaEngine<D>,
    raw: &RawFrame<'_>,
    (calls, most): (usize, Option<usize>),
) -> Result<Value, KernelError> {
    let calls = calls.clamp(1, IN_A_ROW);
    let begin = |engine: &mut CudaEngine<D>| match most {
        Some(most) => engine.begin_recognition(raw, most),
        None => engine.begin(raw),
    };
    let mut a_second = [0.0; 2];
    for (told, under_way) in a_second.iter_mut().zip(1..) {
        let mut pending = VecDeque::new();
        let mut start = Instant::now();
        // As many again: the first ones record and warm up.
        for call in 0..2 * calls {
            if call == calls {
                start = Instant::now();
            }
            pending.push_back(begin(engine)?);
            if pending.len() == under_way {
                pending.pop_front().map(|first| engine.finish(first)).transpose()?;
            }
        }
        *told = calls as f64 / start.elapsed().as_secs_f64();
        pending.into_iter().try_for_each(|last| engine.finish(last).map(drop))?;
    }
    let [one, two] = a_second;
    Ok(json!({"one_at_a_time": one, "two_under_way": two}))
}

fn frame<D: Device>(
    typed: &Typed,
    (detector, dlib, facenet): &Packs,
    device: D,
    path: &Path,
    min_face_px: f64,
) -> Result<Value> {
    let picture = picture::read(path)?;
    let (width, height) = (picture.width(), picture.height());
    let yuyv = yuyv(&picture);
    let stride = PixelFormat::Yuyv.stride(width);
    let raw = RawFrame::new(PixelFormat::Yuyv, [width, height], stride, Colour::default(), &yuyv)?;
    let cascade = CascadeOptions { min_face_px, ..CascadeOptions::default() };
    let mut engine = CudaEngine::new(device, detector, cascade)?;
    let faces = engine.detect_raw(&raw)?.len();
    // The frame lies in the pinned input, where a camera would have written it; then the same with the copy there.
    let times = timed(typed.calls, || engine.detect_filled().map(|_| ()))?;
    let copied = timed(typed.calls, || engine.detect_raw(&raw).map(|_| ()))?;
    let a_second = frames_a_second(&mut engine, &raw, (typed.calls, None))?;
    let share = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)];
    let mut stages: BTreeMap<&str, Vec<f32>> = BTreeMap::new();
    for _ in 0..STAGED.min(typed.calls.max(1)) {
        for (stage, us) in engine.time_us(&raw)? {
            stages.entry(stage).or_default().push(us);
        }
    }
    let median = |mut all: Vec<f32>| {
        all.sort_by(f32::total_cmp);
        all[all.len() / 2]
    };
    let stages: BTreeMap<&str, f32> =
        stages.into_iter().map(|(stage, all)| (stage, median(all))).collect();
    let counts = engine.counts();
    let mut recognised = [Value::Null, Value::Null];
    for (to, embedder) in recognised.iter_mut().zip([dlib, facenet]) {
        let rule = embedder.embedder()?;
        engine = engine.with_embedder(embedder)?;
        engine.set_gallery(rule.metric, &people(embedder, rule.embedding_len))?;
        // The first call records.
        let mut filled = |most: usize| -> Result<Vec<f64>> {
            engine.recognise_raw(&raw, most)?;
            Ok(timed(typed.calls, || engine.recognise_filled(most).map(|_| ()))?)
        };
        let (one, all) = (filled(1)?, filled(RECOGNISED)?);
        let copied = timed(typed.calls, || engine.recognise_raw(&raw, RECOGNISED).map(|_| ()))?;
        let a_second = frames_a_second(&mut engine, &raw, (typed.calls, Some(RECOGNISED)))?;
        let share =
            |times: &[f64], share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
        *to = json!({
            "p50_ms": share(&all, 50), "p95_ms": share(&all, 95), "p99_ms": share(&all, 99), "max_ms": all.last(),
            "one_p50_ms": share(&one, 50), "copied_p50_ms": share(&copied, 50),
            "frames_a_second": a_second,
            "quantiles_ms": quantiles(&all),
        });
    }
    let [with_dlib, with_facenet] = recognised;
    Ok(json!({
        "frame": path.file_stem().unwrap_or_default().to_string_lossy(),
        "size": [width, height],
        "min_face": min_face_px,
        "faces": faces,
        "crops": [counts.rnet, counts.onet],
        "cells": counts.pnet,
        "lost": counts.lost,
        "p50_ms": share(0.5),
        "p95_ms": share(0.95),
        "max_ms": times.last(),
        "copied_p50_ms": copied[copied.len() / 2],
        "frames_a_second": a_second,
        "quantiles_ms": quantiles(&times),
        "dlib": with_dlib,
        "facenet": with_facenet,
        "stages_us": stages,
    }))
}
