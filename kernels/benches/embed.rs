//! Embedding on a device: each network of the paper at several sizes of batch, alone and with its crops.
//!
//! Run by `run.sh bench` of the folder `embed` that `cargo xtask gpu pack` makes; `--emulated` proves that it runs where no GPU
//! is, and its times then mean nothing. Weights are drawn: how long a network takes does not depend on them.
//! Owns no gate: figures of a card are reported beside that card's own ceilings.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use threshold_kernels::device::{Device, DeviceError};
use threshold_kernels::launch::{Division, TILES};
use threshold_kernels::weights::Packed;
use threshold_kernels::{Alone, DeviceNetwork};
use threshold_models::graph::{Cost, Graph};
use threshold_models::{net, synthetic};

/// Bytes of the copy and rounds of the products that tell a card's ceilings; on the emulator, which is not timed, fewer.
const COPIED: [usize; 2] = [256 << 20, 1 << 16];
const ROUNDS: [u32; 2] = [20_000, 2];
/// Runs of a level in a row, of which its time is a part.
const STAGED: usize = 50;
/// Splits that are tried.
const SPLITS: [usize; 5] = [1, 2, 4, 8, 16];

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
enum Named {
    Facenet,
    Dlib,
    Nn1,
    Nn2,
    Nn3,
}

impl Named {
    fn graph(self) -> Graph {
        match self {
            Self::Facenet => net::inception_resnet_v1(),
            Self::Dlib => net::dlib_resnet29(),
            Self::Nn1 => net::nn1(),
            Self::Nn2 => net::nn2(),
            Self::Nn3 => net::nn3(),
        }
    }
}

#[derive(Parser)]
struct Typed {
    /// The networks
    #[arg(long, value_delimiter = ',', default_value = "facenet,dlib,nn1,nn2,nn3")]
    networks: Vec<Named>,
    /// Sizes of batch
    #[arg(long, value_delimiter = ',', default_value = "1,4,8,32")]
    batches: Vec<usize>,
    /// The folder that `cargo xtask kernels` filled
    #[arg(long, default_value = "kernels")]
    images: PathBuf,
    /// Timed runs of each
    #[arg(long, default_value_t = 1000)]
    calls: usize,
    /// Also time every division of FaceNet's convolutions, for the model that chooses one
    #[arg(long)]
    divisions: bool,
    /// The folder for embed.json and embed.md
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
    let write = |name: &str, text: String| {
        let path = typed.out.join(name);
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    };
    write("embed.json", serde_json::to_string_pretty(&report)?)?;
    write("embed.md", page(&report))
}

/// The report as a page, for `kernels/RESULTS.md`.
fn page(report: &Value) -> String {
    let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let rows = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut page = format!(
        "# Embedding on {}\n\nMeasured ceilings: copy {:.0} GB/s, tensor cores {:.0} TFLOP/s (f16, f32 sums). Floor: the larger of \
         the weights' bytes at the one and the products at the other; a card whose cache holds the weights may be below it.\n\n\
         | network | batch | p50 us | p95 us | max us | launches | floor us | times the floor |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n",
        text(&report["device"]),
        number(&report["copy_gb_a_second"]),
        number(&report["tensor_tflops"]),
    );
    for row in rows(&report["networks"]) {
        page += &format!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {} | {:.1} | {:.1} |\n",
            text(&row["network"]),
            row["batch"],
            number(&row["p50_us"]),
            number(&row["p95_us"]),
            number(&row["max_us"]),
            rows(&row["levels"]).len(),
            number(&row["floor_us"]),
            number(&row["p50_us"]) / number(&row["floor_us"]),
        );
    }
    if report["divisions"].is_array() {
        page += "\nThe quickest division of each of FaceNet's levels, one face, beside that which was chosen:\n\n\
                 | level | chosen us | quickest us | tile | splits |\n| --- | --- | --- | --- | --- |\n";
    }
    for row in rows(&report["divisions"]) {
        page += &format!(
            "| {} | {:.1} | {:.1} | {} | {} |\n",
            text(&row["level"]),
            number(&row["chosen_us"]),
            number(&row["quickest_us"]),
            text(&row["tile"]),
            row["splits"],
        );
    }
    page
}

#[cfg(feature = "emulator")]
fn emulated(typed: &Typed) -> Result<Value> {
    measure(typed, || threshold_kernels::device::emulator::Emulator::new(1), 1)
}

#[cfg(not(feature = "emulator"))]
fn emulated(_: &Typed) -> Result<Value> {
    anyhow::bail!("built without the emulator: add `--features emulator`")
}

#[cfg(feature = "cuda")]
fn on_gpu(typed: &Typed) -> Result<Value> {
    measure(typed, || threshold_kernels::device::cuda::Cuda::open(0, &typed.images), 0)
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
fn measure<D: Device>(
    typed: &Typed,
    open: impl Fn() -> Result<D, DeviceError>,
    size: usize,
) -> Result<Value> {
    let device = open()?;
    let (name, multiprocessors) = (device.name(), device.multiprocessors());
    let cascade = [net::pnet(12, 12), net::rnet(), net::onet()];
    let alone = Alone::new(open()?, Packed::of(&synthetic::weights(&cascade))?)?;
    let (bytes_a_second, _) = alone.copy_ceiling(&vec![1; COPIED[size]], 9)?;
    let (multiplied_a_second, _) = alone.multiply_ceiling(ROUNDS[size], 9)?;
    let (mut rows, mut divisions) = (Vec::new(), Value::Null);
    for &named in &typed.networks {
        let graph = named.graph();
        let cost: Cost = graph.costs().sum();
        let mut network = DeviceNetwork::new(&device, &graph, &synthetic::weights([&graph]))?;
        for &n in &typed.batches {
            let timed = network.timed(&device, n, STAGED.min(typed.calls))?;
            let mut program = timed.program;
            let mut us = Vec::with_capacity(typed.calls);
            for _ in 0..typed.calls.max(1) {
                let start = Instant::now();
                program.replay(&device)?;
                us.push(start.elapsed().as_secs_f64() * 1e6);
            }
            us.sort_by(f64::total_cmp);
            let share = |share: f64| us[((us.len() as f64 * share) as usize).min(us.len() - 1)];
            let bytes = 2.0 * cost.parameters as f64 / bytes_a_second;
            let floor = bytes.max((cost.macs * n) as f64 / multiplied_a_second) * 1e6;
            rows.push(json!({
                "network": graph.name(), "batch": n,
                "p50_us": share(0.5), "p95_us": share(0.95), "max_us": us.last(), "floor_us": floor,
                "levels": timed.levels.iter().map(|(level, us)| json!([level, us])).collect::<Vec<_>>(),
            }));
        }
        if named == Named::Facenet && typed.divisions {
            divisions = quickest(&mut network, &device, STAGED.min(typed.calls))?;
        }
    }
    Ok(json!({
        "device": name,
        "multiprocessors": multiprocessors,
        "copy_gb_a_second": bytes_a_second / 1e9,
        "tensor_tflops": 2.0 * multiplied_a_second / 1e12,
        "networks": rows,
        "divisions": divisions,
    }))
}

/// For each level the division that was quickest, of one item.
fn quickest<D: Device>(network: &mut DeviceNetwork<D>, device: &D, runs: usize) -> Result<Value> {
    network.divide(None);
    let chosen = network.timed(device, 1, runs)?.levels;
    let mut best: Vec<(f32, Division)> =
        chosen.iter().map(|_| (f32::INFINITY, Division { tile: 0, splits: 1 })).collect();
    for (tile, splits) in (0..TILES.len()).flat_map(|tile| SPLITS.map(|splits| (tile, splits))) {
        let division = Division { tile, splits };
        network.divide(Some(division));
        for (best, (_, us)) in best.iter_mut().zip(network.timed(device, 1, runs)?.levels) {
            if us < best.0 {
                *best = (us, division);
            }
        }
    }
    network.divide(None);
    let row = |((level, chosen_us), (us, division)): (&(String, f32), &(f32, Division))| {
        let tile = TILES[division.tile];
        json!({
            "level": level, "chosen_us": chosen_us, "quickest_us": us,
            "tile": format!("{} x {}", tile.pixels, tile.channels), "splits": division.splits,
        })
    };
    Ok(chosen.iter().zip(&best).map(row).collect())
}
