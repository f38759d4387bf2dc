//! `cargo xtask kernels count`: what a frame and an embedding cost, launch by launch, on a machine without a card.
//!
//! Launches, blocks, threads and shared memory are the launchers' own: the engine is recorded on [`Paper`]. Multiply-adds and
//! weights are those of the networks' graphs; bytes are what each kernel must read and write at least once, from the shapes of
//! what lies between kernels. Registers are the manifest's. Refuses to know any time.

use super::manifest::Manifest;
use crate::repository::root;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use threshold_kernels::device::paper::Paper;
use threshold_kernels::device::{Launch, Step};
use threshold_kernels::launch::{
    BOX_BYTES, Levels, ONET_ANSWERS, ONET_FEATURES, ONET_MAX, ONET_POOL1_BYTES, ONET_POOL2_BYTES,
    PNET_MAX, PictureView, RNET_ANSWERS, RNET_FEATURES,
};
use threshold_kernels::{CudaEngine, DeviceNetwork};
use threshold_models::cascade::{CascadeOptions, pyramid};
use threshold_models::graph::{Cost, Graph};
use threshold_models::plan::Plan;
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_models::{net, synthetic};

/// An H200's and an H100's multiprocessors, and an Orin Nano's and NX's.
const MULTIPROCESSORS: [u32; 2] = [132, 8];
const TARGETS: [&str; 2] = ["sm_90", "sm_87"];
/// Bytes of an entry of the picture, and of a half.
const ENTRY: usize = 8;
const HALF: usize = 2;

/// A frame, and how many proposals came to each stage.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    pub(crate) size: [usize; 2],
    pub(crate) min_face_px: f64,
    /// Cells that P-Net passed.
    pub(crate) cells: usize,
    /// R-Net's and O-Net's.
    pub(crate) crops: [usize; 2],
}

/// What a launch must do at least.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Work {
    pub(crate) macs: usize,
    pub(crate) read: usize,
    pub(crate) written: usize,
}

impl Work {
    pub(crate) fn bytes(self) -> usize {
        self.read + self.written
    }
}

/// A launch and its work.
#[derive(Clone, Debug)]
pub(crate) struct Counted {
    /// The kernel, or the steps of a network's level.
    pub(crate) name: String,
    pub(crate) launch: Launch,
    pub(crate) work: Work,
}

/// The launches of a frame on a card of so many multiprocessors.
///
/// # Errors
/// If the options are out of range.
pub(crate) fn frame(asked: Asked, multiprocessors: u32) -> Result<Vec<Counted>> {
    let paper = Paper::new(multiprocessors);
    let [width, height] = asked.size;
    let stride = PixelFormat::Yuyv.stride(width);
    let bytes = vec![128; PixelFormat::Yuyv.len(height, stride)];
    let raw = RawFrame::new(PixelFormat::Yuyv, asked.size, stride, Colour::default(), &bytes)?;
    let weights = synthetic::weights(&[net::pnet(12, 12), net::rnet(), net::onet()]);
    let options = CascadeOptions { min_face_px: asked.min_face_px, ..CascadeOptions::default() };
    CudaEngine::new(&paper, &weights, options)?.detect_raw(&raw)?;
    let steps = paper.recorded().into_iter().next().context("a frame without a level")?;
    let counted = launches(steps).map(|launch| {
        let work = cascade_work(launch.kernel, &asked, bytes.len(), options.factor);
        Counted { name: launch.kernel.to_owned(), launch, work }
    });
    Ok(counted.collect())
}

fn launches(steps: Vec<Step>) -> impl Iterator<Item = Launch> {
    steps.into_iter().filter_map(|step| match step {
        Step::Launch(launch) => Some(launch),
        _ => None,
    })
}

/// Multiply-adds and bytes of weights of the layers whose name, without the network's, begins so.
fn layers(graph: &Graph, prefixes: &[&str]) -> (usize, usize) {
    let plan = Plan::new(graph);
    let is_named = |name: &str| {
        let own = name.rsplit('.').next().unwrap_or(name);
        prefixes.iter().any(|prefix| own.starts_with(prefix))
    };
    plan.steps.iter().filter(|step| is_named(&step.name)).fold((0, 0), |(macs, bytes), step| {
        let cost = cost(graph, &step.name);
        (macs + cost.macs, bytes + HALF * cost.parameters)
    })
}

fn cost(graph: &Graph, name: &str) -> Cost {
    graph.find(name).and_then(|id| graph.costs().nth(id)).unwrap_or_default()
}

fn cascade_work(kernel: &str, asked: &Asked, frame: usize, factor: f64) -> Work {
    let Asked { size: [width, height], min_face_px, cells, crops: [rnet, onet] } = *asked;
    let levels = Levels::new(width, height, min_face_px, factor);
    let picture = PictureView::bytes(asked.size);
    let kept = cells.min(PNET_MAX);
    let mask = |n: usize| n * n / 8;
    // A pixel is four entries of the picture, which neighbours share.
    let sums = |pixels: usize| (4 * ENTRY * pixels).min(picture);
    let (pool1, pool2) = (ONET_POOL1_BYTES / ONET_MAX * onet, ONET_POOL2_BYTES / ONET_MAX * onet);
    let [rnet_features, onet_features] = [RNET_FEATURES * HALF * rnet, ONET_FEATURES * HALF * onet];
    let [rnet_answers, onet_answers] = [RNET_ANSWERS * 4 * rnet, ONET_ANSWERS * 4 * onet];
    let hidden = 256 * HALF * onet;
    // Weights are read once, if there is a crop at all.
    let net = |graph: &Graph, prefixes: &[&str], crops: usize, read: usize, written: usize| {
        let (macs, weights) = layers(graph, prefixes);
        Work { macs: macs * crops, read: read + if crops > 0 { weights } else { 0 }, written }
    };
    let bytes = |read, written| Work { macs: 0, read, written };
    match kernel {
        "ingest" => bytes(frame, picture),
        "columns" => bytes(picture, picture),
        "pyramid" => bytes(sums(levels.pixel_bytes() / 8), levels.pixel_bytes()),
        "pnet" => {
            let of_levels = pyramid::levels(width, height, min_face_px, factor)
                .map(|level| net::pnet(level.height, level.width).costs().sum::<Cost>());
            let all: Cost = of_levels.sum();
            let graph = net::pnet(12, 12);
            // The heads' weights in two halves each.
            let heads = layers(&graph, &["conv4"]).1;
            let weights = graph.costs().sum::<Cost>().parameters * HALF + heads;
            Work { macs: all.macs, read: levels.pixel_bytes() + weights, written: 24 * cells }
        }
        "proposals" => bytes(8 * cells, 28 * kept),
        "overlap" => bytes(20 * kept, 2 * mask(kept)),
        "propose" => bytes(2 * mask(kept) + 24 * kept, BOX_BYTES * rnet),
        "rnet" => net(&net::rnet(), &["conv"], rnet, sums(24 * 24 * rnet), rnet_features),
        "rnet_heads" => {
            let again = if rnet > 0 { layers(&net::rnet(), &["dense5"]).1 } else { 0 };
            net(&net::rnet(), &["dense"], rnet, rnet_features + again, rnet_answers)
        }
        "refine" => bytes(BOX_BYTES * rnet + rnet_answers + mask(rnet), BOX_BYTES * onet),
        "onet_pool1" => net(&net::onet(), &["conv1"], onet, sums(48 * 48 * onet), pool1),
        "onet_pool2" => net(&net::onet(), &["conv2"], onet, pool1, pool2),
        "onet_features" => net(&net::onet(), &["conv3", "conv4"], onet, pool2, onet_features),
        "onet_hidden" => net(&net::onet(), &["dense5"], onet, onet_features, hidden),
        "onet_heads" => net(&net::onet(), &["dense6"], onet, hidden, onet_answers),
        "place" => bytes(BOX_BYTES * onet + onet_answers + mask(onet), 64 * onet),
        _ => Work::default(),
    }
}

/// The launches of a network over `n` items on a card of so many multiprocessors.
///
/// # Errors
/// If the kernels do not run it.
pub(crate) fn network(graph: &Graph, n: usize, multiprocessors: u32) -> Result<Vec<Counted>> {
    let paper = Paper::new(multiprocessors);
    let weights = synthetic::weights([graph]);
    let network = DeviceNetwork::new(&&paper, graph, &weights)?;
    let device = &paper;
    let timed = network.timed(&device, n, 1)?;
    let steps = paper.recorded().into_iter().next().context("a network without a launch")?;
    let plan = Plan::by_levels(graph);
    let counted = timed.levels.iter().zip(launches(steps)).map(|((names, _), launch)| {
        let named = |name: &str| plan.steps.iter().find(|step| step.name == name);
        let work = names.split(' ').filter_map(named).fold(Work::default(), |work, step| {
            let cost = cost(graph, &step.name);
            let inputs: usize = step.inputs.iter().map(|view| view.shape.len()).sum();
            Work {
                macs: work.macs + n * cost.macs,
                read: work.read + HALF * (n * inputs + cost.parameters),
                written: work.written + HALF * n * step.output.shape.len(),
            }
        });
        Counted { name: names.clone(), launch, work }
    });
    Ok(counted.collect())
}

/// Blocks of a kernel that a multiprocessor holds at once.
fn resident(target: &str, registers: u32, launch: &Launch) -> u32 {
    // CUDA C++ Programming Guide, table of compute capabilities: threads, blocks and KB of shared memory of a multiprocessor.
    let (threads, blocks, shared_kb) = match target {
        "sm_87" => (1536, 16, 164),
        _ => (2048, 32, 228),
    };
    let warps = launch.block[0].div_ceil(32);
    // Registers are given to warps in units of 256, and a block takes 1 KB of shared memory for itself.
    let by_registers = (65_536 / (registers.max(1) * 32).next_multiple_of(256)) / warps;
    let by_shared = (shared_kb << 10) / (launch.shared_bytes + 1024);
    by_registers.min(by_shared).min(threads / (32 * warps)).min(blocks)
}

/// Counts the frame and the embeddings of `docs/performance.md`, and writes `target/kernels/count.{json,md}`.
///
/// # Errors
/// If something cannot be counted or written.
pub(crate) fn run() -> Result<()> {
    let folder = root().join("target/kernels");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let manifest = Manifest::of_folder(&folder);
    if manifest.is_none() {
        println!("skipped: registers and blocks that fit (no manifest: cargo xtask kernels)");
    }
    let registers = |kernel: &str, target: &str| {
        let ops = manifest.as_ref()?.ops.values();
        ops.filter_map(|op| op.images.get(target)?.kernels.get(kernel)).map(|f| f.registers).next()
    };
    let asked = Asked { size: [1280, 720], min_face_px: 40.0, cells: 100, crops: [16, 5] };
    let mut all = Vec::new();
    let mut page = String::from("# Work, counted\n");
    for (target, multiprocessors) in TARGETS.into_iter().zip(MULTIPROCESSORS) {
        let parts = [
            (
                "1280 x 720, smallest face 40, 100 cells, 16 and 5 crops".to_owned(),
                frame(asked, multiprocessors)?,
            ),
            (
                "FaceNet, one face".to_owned(),
                network(&net::inception_resnet_v1(), 1, multiprocessors)?,
            ),
            (
                "dlib ResNet-29, one face".to_owned(),
                network(&net::dlib_resnet29(), 1, multiprocessors)?,
            ),
        ];
        for (what, counted) in parts {
            let _ = write!(
                page,
                "\n## {what}; {target}, {multiprocessors} multiprocessors\n\n\
                 | launch | kernel | blocks | threads | shared KB | registers | blocks that fit | MMAC | KB read | KB written |\n\
                 | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            );
            for Counted { name, launch, work } in &counted {
                let registers = registers(launch.kernel, target);
                let resident = registers.map(|registers| resident(target, registers, launch));
                let told = |n: Option<u32>| n.map_or_else(|| "?".to_owned(), |n| n.to_string());
                let kb = |bytes: usize| format!("{:.1}", bytes as f64 / 1e3);
                let _ = writeln!(
                    page,
                    "| {name} | {} | {} | {} | {} | {} | {} | {:.2} | {} | {} |",
                    launch.kernel,
                    launch.grid[0],
                    launch.block[0],
                    kb(launch.shared_bytes as usize),
                    told(registers),
                    told(resident),
                    work.macs as f64 / 1e6,
                    kb(work.read),
                    kb(work.written),
                );
                all.push(json!({
                    "what": what, "target": target, "launch": name, "kernel": launch.kernel,
                    "blocks": launch.grid[0], "threads": launch.block[0], "shared_bytes": launch.shared_bytes,
                    "registers": registers, "resident": resident, "overlaps": launch.overlaps,
                    "macs": work.macs, "read_bytes": work.read, "written_bytes": work.written,
                }));
            }
            let (macs, bytes) = total(&counted);
            let _ = writeln!(
                page,
                "\n{} launches, {:.1} MMAC, {:.2} MB.",
                counted.len(),
                macs as f64 / 1e6,
                bytes as f64 / 1e6
            );
        }
    }
    fs::write(folder.join("count.json"), serde_json::to_string_pretty(&Value::Array(all))?)?;
    fs::write(folder.join("count.md"), &page)?;
    print!("{page}");
    println!("\nwritten: target/kernels/count.md and count.json");
    Ok(())
}

/// Multiply-adds and bytes of all.
pub(crate) fn total(counted: &[Counted]) -> (usize, usize) {
    counted
        .iter()
        .fold((0, 0), |(macs, bytes), one| (macs + one.work.macs, bytes + one.work.bytes()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn a_frame_costs_what_the_readme_of_the_kernels_says() {
        let asked = Asked { size: [1280, 720], min_face_px: 40.0, cells: 100, crops: [16, 5] };
        let counted = frame(asked, 132).unwrap();
        assert_eq!(counted.len(), 16);
        let of = |kernel: &str| counted.iter().find(|one| one.name == kernel).unwrap();
        assert_eq!((of("pnet").launch.grid[0], of("pnet").work.macs / 1_000_000), (177, 281));
        assert_eq!(of("ingest").work.read, 1280 * 720 * 2);
        // R-Net 1.5 M a crop; O-Net's conv2 9.7 M with the rows that strips share, 25 for 21, which are counted once here.
        assert!((of("rnet").work.macs / 16).abs_diff(1_500_000) < 50_000);
        assert!((of("onet_pool2").work.macs / 5).abs_diff(9_700_000 * 21 / 25) < 50_000);
    }

    #[test]
    fn a_network_costs_what_its_graph_says() {
        let graph = net::inception_resnet_v1();
        let counted = network(&graph, 8, 8).unwrap();
        assert_eq!(counted.len(), 100);
        assert_eq!(total(&counted).0, 8 * graph.costs().sum::<Cost>().macs);
    }
}
