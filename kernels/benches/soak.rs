//! A hundred thousand frames through the graph from frame to candidates: drawn contents, sizes and numbers of faces, two
//! galleries by turns, one at a time or two under way. A frame that comes again must give the same bits; memory must not grow, nor a
//! frame's time.
//!
//! Run by `run.sh soak`. A visit to a frame size builds the graphs anew, as a unit's start does; so does a change of the gallery,
//! which is what an enrolment costs.

mod stand_ins;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use stand_ins::{facenet, people, yuyv};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Instant;
use threshold_kernels::device::Device;
use threshold_kernels::{CudaEngine, Pending};
use threshold_models::cascade::CascadeOptions;
use threshold_models::pack::PackDir;
use threshold_models::picture;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};

/// Frame sizes and the faces of the pictures that frames are drawn from.
const SIZES: [[usize; 2]; 2] = [[640, 480], [1280, 720]];
const FACES: [usize; 4] = [0, 1, 6, 20];
/// Parts of the frames that stay with one size and one gallery; the first ones warm up.
const PARTS: usize = 100;
const WARM: usize = 8;
/// People of the second gallery.
const FEW: usize = 37;
/// What the process may grow by after the warm parts: an allocator's own doings.
const GROWN_MOST: u64 = 16 << 20;
/// The median of the last tenth of the parts over that of the first warm ones: the time of one call does not creep.
const SLOWER_MOST: f64 = 1.10;

#[derive(Parser)]
struct Typed {
    /// How many frames
    #[arg(default_value_t = 100_000)]
    frames: usize,
    /// How many of them differ, for each size
    #[arg(long, default_value_t = 200)]
    distinct: usize,
    /// The folder of packs
    #[arg(long, default_value = "packs")]
    packs: PathBuf,
    /// The folder of pictures that frames are drawn from
    #[arg(long, default_value = "frames")]
    pictures: PathBuf,
    /// Smallest face, in pixels
    #[arg(long, default_value_t = 40.0)]
    min_face: f64,
    /// The folder that `cargo xtask kernels` filled
    #[arg(long, default_value = "kernels")]
    images: PathBuf,
    /// The folder for soak.json
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
    let path = typed.out.join("soak.json");
    std::fs::write(&path, &text).with_context(|| format!("writing {}", path.display()))?;
    ensure!(report["other_bits"] == 0, "a frame that came again gave other bits:\n{text}");
    let grown = report["grown_bytes"].as_u64().unwrap_or(u64::MAX);
    ensure!(grown <= GROWN_MOST, "the process grew by {grown} bytes:\n{text}");
    let taken = report["device_taken_bytes"].as_u64();
    ensure!(taken.unwrap_or(0) == 0, "the device lost {taken:?} bytes:\n{text}");
    if !typed.emulated {
        let slower = report["slower"].as_f64().unwrap_or(f64::NAN);
        ensure!(slower <= SLOWER_MOST, "a frame takes {slower} times as long in the end:\n{text}");
    }
    Ok(())
}

#[cfg(feature = "emulator")]
fn emulated(typed: &Typed) -> Result<Value> {
    measure(typed, threshold_kernels::device::emulator::Emulator::new(1)?, || None)
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Typed) -> Result<Value> {
    anyhow::bail!("built without the emulator: add `--features emulator`")
}

#[cfg(feature = "cuda")]
fn on_gpu(typed: &Typed) -> Result<Value> {
    use threshold_kernels::device::cuda::Cuda;
    let device = Cuda::open(0, &typed.images)?;
    let free = device.free();
    measure(typed, device, || free.bytes().ok().map(|bytes| bytes as u64))
}

#[cfg(not(feature = "cuda"))]
fn on_gpu(typed: &Typed) -> Result<Value> {
    let _ = &typed.images;
    anyhow::bail!("built without CUDA: add `--features cuda`, or say `--emulated`")
}

/// A frame with how many of its faces are embedded, and what it gave with each gallery.
struct Drawn {
    bytes: Vec<u8>,
    most: usize,
    gave: [Option<u64>; 2],
}

#[cfg_attr(
    not(any(feature = "cuda", feature = "emulator")),
    expect(dead_code, reason = "no device")
)]
fn measure<D: Device>(
    typed: &Typed,
    device: D,
    device_free: impl Fn() -> Option<u64>,
) -> Result<Value> {
    let mut lots = Lots(2611);
    let mut frames: Vec<Vec<Drawn>> = Vec::new();
    for size in SIZES {
        let pictures: Vec<Vec<u8>> = FACES
            .iter()
            .map(|faces| {
                let path = typed.pictures.join(format!("{}x{}-{faces}.png", size[0], size[1]));
                Ok(yuyv(&picture::read(&path)?))
            })
            .collect::<Result<_>>()?;
        frames.push((0..typed.distinct).map(|_| drawn(&mut lots, size, &pictures)).collect());
    }
    let packs = PackDir::open(&typed.packs)?;
    let name = device.name();
    let cascade = CascadeOptions { min_face_px: typed.min_face, ..CascadeOptions::default() };
    let embedder = facenet(&packs.named("dlib")?)?;
    let rule = embedder.embedder()?;
    let everybody = people(&embedder, rule.embedding_len);
    let mut engine =
        CudaEngine::new(device, &packs.detector()?, cascade)?.with_embedder(&embedder)?;
    let (mut other_bits, mut seen, mut p50) = (0usize, BTreeMap::<usize, usize>::new(), Vec::new());
    let mut memory = Vec::new();
    let start = Instant::now();
    let each = (typed.frames / PARTS).max(1);
    for part in 0..PARTS {
        // Sizes, galleries and one or two at a time by turns, so that each goes with each.
        let (size, gallery, in_twos) = (part % 2, part / 2 % 2, part / 4 % 2 == 1);
        let templates = if gallery == 0 { &everybody[..] } else { &everybody[..FEW] };
        engine.set_gallery(rule.metric, templates)?;
        let stride = PixelFormat::Yuyv.stride(SIZES[size][0]);
        let mut us = Vec::with_capacity(each);
        let mut under_way: Option<(usize, Pending)> = None;
        for _ in 0..each {
            let at = lots.below(frames[size].len());
            let one = &frames[size][at];
            let raw = RawFrame::new(
                PixelFormat::Yuyv,
                SIZES[size],
                stride,
                Colour::default(),
                &one.bytes,
            )?;
            let begin = Instant::now();
            let begun = Some((at, engine.begin_recognition(&raw, one.most)?));
            // Two are under way, or one at a time. The last of a part is given up.
            let ended = if in_twos { std::mem::replace(&mut under_way, begun) } else { begun };
            let Some((at, pending)) = ended else { continue };
            let found = engine.finish(pending)?;
            us.push(begin.elapsed().as_secs_f64() * 1e6);
            let one = &mut frames[size][at];
            *seen.entry(found.compared.len()).or_default() += 1;
            let mut said = String::new();
            write!(said, "{found:?}")?;
            if lots.below(16) == 0 {
                // What lies on the device is asked for as well, and must be numbers.
                engine.last_embeddings(found.compared.len())?;
            }
            let mut hasher = DefaultHasher::new();
            said.hash(&mut hasher);
            let bits = hasher.finish();
            match one.gave[gallery] {
                None => one.gave[gallery] = Some(bits),
                Some(before) => other_bits += usize::from(before != bits),
            }
        }
        us.sort_by(f64::total_cmp);
        p50.push((size, us[us.len() / 2]));
        memory.push((resident_bytes()?, device_free()));
    }
    let (first, last) = (memory[WARM - 1], memory[PARTS - 1]);
    let taken = first.1.zip(last.1).map(|(first, last)| first.saturating_sub(last));
    let median = |parts: std::ops::Range<usize>, size: usize| {
        let mut all: Vec<f64> =
            p50[parts].iter().filter(|one| one.0 == size).map(|one| one.1).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let tenth = PARTS / 10;
    let slower =
        [0, 1].map(|size| median(PARTS - tenth..PARTS, size) / median(WARM..WARM + tenth, size));
    let distinct: usize =
        frames.iter().flatten().map(|one| one.gave.iter().flatten().count()).sum();
    let p50_us = [0, 1].map(|size| median(WARM..PARTS, size));
    Ok(json!({
        "device": name, "frames": each * PARTS, "distinct": distinct, "other_bits": other_bits,
        "frames_by_faces_embedded": seen, "seconds": start.elapsed().as_secs_f64(),
        "p50_us": p50_us, "slower": slower[0].max(slower[1]),
        "resident_bytes": last.0, "grown_bytes": last.0.saturating_sub(first.0),
        "device_taken_bytes": taken,
    }))
}

/// A frame from one of the pictures: moved, mirrored, darker or lighter, noisy; or noise alone.
fn drawn(lots: &mut Lots, [width, height]: [usize; 2], pictures: &[Vec<u8>]) -> Drawn {
    let stride = PixelFormat::Yuyv.stride(width);
    let mut bytes = pictures[lots.below(pictures.len())].clone();
    let from = bytes.clone();
    let (right, down) = (lots.below(width / 2) * 2, lots.below(height));
    let (mirrored, alone) = (lots.below(2) == 0, lots.below(20) == 0);
    let (gain, noise) = (128 + lots.below(256), 1 + lots.below(24));
    for (y, row) in bytes.chunks_exact_mut(stride).enumerate() {
        let from = &from[(y + down) % height * stride..][..stride];
        for x in 0..width {
            let of = if mirrored { width - 1 - x } else { x };
            let luma = usize::from(from[2 * ((of + right) % width)]) * gain / 256;
            let luma = if alone { lots.below(256) } else { luma + lots.below(noise) };
            row[2 * x] = luma.min(255) as u8;
            row[2 * x + 1] = 128u8.wrapping_add(lots.below(noise) as u8);
        }
    }
    Drawn { bytes, most: 1 + lots.below(8), gave: [None; 2] }
}

/// Memory of this process, as the kernel counts it.
fn resident_bytes() -> Result<u64> {
    let path = Path::new("/proc/self/statm");
    let text = std::fs::read_to_string(path)?;
    let pages = text.split_whitespace().nth(1).context("pages")?.parse::<u64>()?;
    Ok(pages * 4096)
}

/// Numbers that look drawn: SplitMix64.
struct Lots(u64);

impl Lots {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n.max(1) as u64) as usize
    }
}
