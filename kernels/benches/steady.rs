//! One thing over and over for so many seconds: for whoever reads the driver's power sensor meanwhile (`run.sh energy`).
//!
//! Says `begin` when everything is recorded, and at the end how often it was done in how long, as JSON. Owns no figure itself.

mod stand_ins;

use anyhow::Result;
use clap::{Parser, ValueEnum};
use serde_json::json;
use stand_ins::{facenet, people, yuyv};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use threshold_kernels::device::Device;
use threshold_kernels::{CudaEngine, DeviceNetwork};
use threshold_models::cascade::CascadeOptions;
use threshold_models::pack::PackDir;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::{net, picture, synthetic};

#[derive(Clone, Copy, Debug, ValueEnum)]
enum What {
    /// The faces of a frame that lies in the pinned input
    Detect,
    /// Those of a frame that is copied there, the largest 8 embedded by FaceNet and sought among 1,000 people
    Recognise,
    /// FaceNet over noise that lies on the device
    Facenet,
}

#[derive(Parser)]
struct Typed {
    what: What,
    /// How long
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Faces at a time, for FaceNet alone
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// The folder of packs
    #[arg(long, default_value = "packs")]
    packs: PathBuf,
    /// The frame, a PNG file
    #[arg(long, default_value = "frames/1280x720-1.png")]
    frame: PathBuf,
    /// Smallest face, in pixels
    #[arg(long, default_value_t = 40.0)]
    min_face: f64,
    /// The folder that `cargo xtask kernels` filled
    #[arg(long, default_value = "kernels")]
    images: PathBuf,
    /// On the emulator: only to see that it runs
    #[arg(long)]
    emulated: bool,
    /// Cargo's own
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let typed = Typed::parse();
    match typed.emulated {
        true => emulated(&typed),
        false => on_gpu(&typed),
    }
}

#[cfg(feature = "emulator")]
fn emulated(typed: &Typed) -> Result<()> {
    measure(typed, threshold_kernels::device::emulator::Emulator::new(1)?)
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Typed) -> Result<()> {
    anyhow::bail!("built without the emulator: add `--features emulator`")
}

#[cfg(feature = "cuda")]
fn on_gpu(typed: &Typed) -> Result<()> {
    measure(typed, threshold_kernels::device::cuda::Cuda::open(0, &typed.images)?)
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(typed: &Typed) -> Result<()> {
    let _ = &typed.images;
    anyhow::bail!("built without CUDA: add `--features cuda`, or say `--emulated`")
}

#[cfg_attr(
    not(any(feature = "cuda", feature = "emulator")),
    expect(dead_code, reason = "no device")
)]
fn measure<D: Device>(typed: &Typed, device: D) -> Result<()> {
    if let What::Facenet = typed.what {
        let graph = net::inception_resnet_v1();
        let network = DeviceNetwork::new(&device, &graph, &synthetic::weights([&graph]))?;
        let mut program = network.timed(&device, typed.batch, 1)?.program;
        return over_and_over(typed.seconds, || Ok(program.replay(&device)?));
    }
    let packs = PackDir::open(&typed.packs)?;
    let frame = picture::read(&typed.frame)?;
    let (size, bytes) = ([frame.width(), frame.height()], yuyv(&frame));
    let stride = PixelFormat::Yuyv.stride(frame.width());
    let raw = RawFrame::new(PixelFormat::Yuyv, size, stride, Colour::default(), &bytes)?;
    let cascade = CascadeOptions { min_face_px: typed.min_face, ..CascadeOptions::default() };
    let mut engine = CudaEngine::new(device, &packs.detector()?, cascade)?;
    engine.detect_raw(&raw)?;
    if let What::Detect = typed.what {
        return over_and_over(typed.seconds, || Ok(engine.detect_filled().map(drop)?));
    }
    let embedder = facenet(&packs.named("dlib")?)?;
    let rule = embedder.embedder()?;
    let mut engine = engine.with_embedder(&embedder)?;
    engine.set_gallery(rule.metric, &people(&embedder, rule.embedding_len))?;
    engine.recognise_raw(&raw, 8)?;
    over_and_over(typed.seconds, || Ok(engine.recognise_raw(&raw, 8).map(drop)?))
}

fn over_and_over(seconds: f64, mut call: impl FnMut() -> Result<()>) -> Result<()> {
    let mut out = std::io::stdout();
    call()?;
    writeln!(out, "begin")?;
    let (start, limit, mut calls) = (Instant::now(), Duration::from_secs_f64(seconds), 0u64);
    while start.elapsed() < limit {
        call()?;
        calls += 1;
    }
    writeln!(out, "{}", json!({ "calls": calls, "seconds": start.elapsed().as_secs_f64() }))?;
    Ok(())
}
