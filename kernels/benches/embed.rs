//! Embedding on a device: each network of the paper at several sizes of batch; and the gallery's search.
//!
//! Run by `run.sh bench` of the folder `embed` that `cargo xtask gpu pack` makes; `--emulated` proves that it runs where no GPU
//! is, and its times then mean nothing. Weights and templates are drawn: how long a network or a search takes does not depend
//! on them.
//! Owns no gate: figures of a card are reported beside that card's own ceilings.

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Instant;
use threshold_kernels::device::{Device, DeviceError};
use threshold_kernels::launch::{Division, TILES};
use threshold_kernels::weights::Packed;
use threshold_kernels::{Alone, DeviceGallery, DeviceNetwork, Enrolled, KernelError};
use threshold_models::engine::Embedding;
use threshold_models::graph::{Cost, Graph};
use threshold_models::{net, synthetic};
use threshold_record::{Metric, ModelTag, PersonId, Template};

/// Bytes of the copy and rounds of the products that tell a card's ceilings; on the emulator, which is not timed, fewer.
const COPIED: [usize; 2] = [256 << 20, 1 << 16];
const ROUNDS: [u32; 2] = [20_000, 2];
/// Blocks of the levels whose least time is told, and the numbers of levels from whose times one's follows; fewer on the emulator.
const LEVEL_BLOCKS: [&[usize]; 2] = [&[66, 132, 264], &[2]];
const LEVELS: [[usize; 2]; 2] = [[20, 100], [2, 4]];
/// Blocks for each multiprocessor of the launch that does all levels.
const WAITING_EACH: usize = 3;
/// Runs of a level in a row, of which its time is a part.
const STAGED: usize = 50;
/// Splits that are tried.
const SPLITS: [usize; 5] = [1, 2, 4, 8, 16];
/// Places of the graph whose faces are counted on the device.
const COUNTED: usize = 8;
/// Batches of FaceNet of which every division is timed.
const DIVIDED: [usize; 2] = [1, 8];
/// Galleries: templates, components, whether of halves.
const GALLERIES: [(usize, usize, bool); 3] =
    [(100_000, 512, false), (100_000, 512, true), (1_000_000, 128, false)];
/// The part of them that the emulator searches.
const EMULATED_PART: usize = 1000;
/// Probes at once.
const PROBES: [usize; 2] = [1, 32];

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
    /// Also time every division of FaceNet's convolutions, for the model that chooses one; embed.json has them all
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
    let if_timed = |us: &Value| us.as_f64().map_or_else(String::new, |us| format!("{us:.1}"));
    let mut page = format!(
        "# Embedding on {}\n\nMeasured ceilings: copy {:.0} GB/s, tensor cores {:.0} TFLOP/s (f16, f32 sums). Floor: the larger of \
         the weights' bytes at the one and the products at the other; a card whose cache holds the weights may be below it.\n\n\
         | network | batch | p50 us | p95 us | max us | one by one p50 us | launches | floor us | times the floor |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        text(&report["device"]),
        number(&report["copy_gb_a_second"]),
        number(&report["tensor_tflops"]),
    );
    for row in rows(&report["networks"]) {
        page += &format!(
            "| {} | {} | {:.1} | {:.1} | {:.1} | {} | {} | {:.1} | {:.1} |\n",
            text(&row["network"]),
            row["batch"],
            number(&row["p50_us"]),
            number(&row["p95_us"]),
            number(&row["max_us"]),
            if_timed(&row["apart_p50_us"]),
            rows(&row["levels"]).len(),
            number(&row["floor_us"]),
            number(&row["p50_us"]) / number(&row["floor_us"]),
        );
    }
    page += "\nOne by one: no level begins before the one before has ended.\n";
    page += "\nA graph with eight places, of whose faces the device knows the number:\n\n\
             | network | faces | p50 us | p95 us |\n| --- | --- | --- | --- |\n";
    for row in rows(&report["counted"]) {
        let [p50, p95] = ["p50_us", "p95_us"].map(|key| number(&row[key]));
        page +=
            &format!("| {} | {} | {p50:.1} | {p95:.1} |\n", text(&row["network"]), row["faces"]);
    }
    for divided in rows(&report["divisions"]) {
        page += &format!(
            "\nThe quickest division of each of FaceNet's levels, batch {}, beside that which was chosen:\n\n\
             | level | chosen us | quickest us | tile | splits |\n| --- | --- | --- | --- | --- |\n",
            divided["batch"],
        );
        for row in rows(&divided["levels"]) {
            page += &format!(
                "| {} | {:.1} | {:.1} | {} | {} |\n",
                text(&row["level"]),
                number(&row["chosen_us"]),
                number(&row["quickest_us"]),
                text(&row["tile"]),
                row["splits"],
            );
        }
        let fixed = rows(&divided["fixed"]).iter().fold(String::new(), |list, row| {
            let [tile, whole, levels] = ["tile", "p50_us", "levels_us"].map(|key| &row[key]);
            format!("{list}| {} | {:.1} | {:.1} |\n", text(tile), number(whole), number(levels))
        });
        page += &format!(
            "\nFaceNet with one tile throughout and no splits, batch {}:\n\n\
             | tile | p50 us | its levels alone us |\n| --- | --- | --- |\n{fixed}",
            divided["batch"],
        );
    }
    page += "\nA level at least: it reads what the one before wrote everywhere, adds and writes (`cuda/levels.cu`). A launch each, or all in \
             one launch whose blocks wait for counters:\n\n| blocks | a launch each us | in one us |\n| --- | --- | --- |\n";
    for row in rows(&report["levels"]) {
        let [launches, one] = ["launches_us", "in_one_us"].map(|key| number(&row[key]));
        page += &format!("| {} | {launches:.2} | {one:.2} |\n", row["blocks"]);
    }
    page += "\nSearch, from probes on the host to candidates on the host. Floor: the gallery's bytes at the copy's rate.\n\n\
             | templates | probes | p50 us | p95 us | floor us | times the floor |\n| --- | --- | --- | --- | --- | --- |\n";
    for row in rows(&report["searches"]) {
        page += &format!(
            "| {} x {} {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |\n",
            row["templates"],
            row["components"],
            text(&row["element"]),
            row["probes"],
            number(&row["p50_us"]),
            number(&row["p95_us"]),
            number(&row["floor_us"]),
            number(&row["p50_us"]) / number(&row["floor_us"]),
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
    let levels = levels(&alone, multiprocessors as usize, size, typed.calls)?;
    let (mut rows, mut counted, mut divisions) = (Vec::new(), Vec::new(), Value::Null);
    for &named in &typed.networks {
        let graph = named.graph();
        let cost: Cost = graph.costs().sum();
        let mut network = DeviceNetwork::new(&device, &graph, &synthetic::weights([&graph]))?;
        for &n in &typed.batches {
            let timed = network.timed(&device, n, STAGED.min(typed.calls))?;
            let mut program = timed.program;
            let us = timed_us(typed.calls, || Ok(program.replay(&device)?))?;
            let levels: Vec<_> =
                timed.levels.iter().map(|(level, us)| json!([level, us])).collect();
            drop(program);
            let mut apart = Value::Null;
            if named == Named::Facenet {
                let p50_us = |network: &DeviceNetwork<D>| -> Result<Value> {
                    let mut program = network.timed(&device, n, 1)?.program;
                    let us = timed_us(typed.calls, || Ok(program.replay(&device)?))?;
                    Ok(json!(share(&us, 0.5)))
                };
                network.overlap(false);
                apart = p50_us(&network)?;
                network.overlap(true);
            }
            let bytes = 2.0 * cost.parameters as f64 / bytes_a_second;
            let floor = bytes.max((cost.macs * n) as f64 / multiplied_a_second) * 1e6;
            rows.push(json!({
                "network": graph.name(), "batch": n, "p50_us": share(&us, 0.5), "p95_us": share(&us, 0.95),
                "max_us": us.last(), "apart_p50_us": apart, "floor_us": floor, "levels": levels,
            }));
        }
        if named == Named::Facenet {
            let shape = graph.shape(graph.input());
            let items: Vec<f32> =
                (0..COUNTED as u64).flat_map(|seed| synthetic::input(seed, shape)).collect();
            for count in 0..=COUNTED {
                let mut program = network.counted(&device, &items, count)?;
                let us = timed_us(typed.calls, || Ok(program.replay(&device)?))?;
                counted.push(json!({
                    "network": graph.name(), "places": COUNTED, "faces": count, "p50_us": share(&us, 0.5),
                    "p95_us": share(&us, 0.95),
                }));
            }
        }
        if named == Named::Facenet && typed.divisions {
            let runs = STAGED.min(typed.calls);
            let divided =
                DIVIDED.iter().map(|&n| divided(&mut network, &device, n, [runs, typed.calls]));
            divisions = divided.collect::<Result<Value>>()?;
        }
    }
    let searches = searches(&device, size, typed.calls, bytes_a_second)?;
    Ok(json!({
        "device": name,
        "multiprocessors": multiprocessors,
        "copy_gb_a_second": bytes_a_second / 1e9,
        "tensor_tflops": 2.0 * multiplied_a_second / 1e12,
        "levels": levels,
        "networks": rows,
        "counted": counted,
        "divisions": divisions,
        "searches": searches,
    }))
}

/// Microseconds of so many calls, the shortest first.
fn timed_us(calls: usize, mut call: impl FnMut() -> Result<(), KernelError>) -> Result<Vec<f64>> {
    let mut us = Vec::with_capacity(calls);
    for _ in 0..calls.max(1) {
        let start = Instant::now();
        call()?;
        us.push(start.elapsed().as_secs_f64() * 1e6);
    }
    us.sort_by(f64::total_cmp);
    Ok(us)
}

/// That below which such a share of sorted times lies.
fn share(us: &[f64], share: f64) -> f64 {
    us[((us.len() as f64 * share) as usize).min(us.len() - 1)]
}

/// For each level of `n` items the division that was quickest, and the times of all; and for each tile the whole network with
/// no other, beside the sum of its levels: where that is nearer to the whole than with the chosen tiles, their mixture costs.
fn divided<D: Device>(
    network: &mut DeviceNetwork<D>,
    device: &D,
    n: usize,
    [runs, calls]: [usize; 2],
) -> Result<Value> {
    let named = |Division { tile, .. }: Division| {
        format!("{} x {} by {}", TILES[tile].pixels, TILES[tile].channels, TILES[tile].steps)
    };
    let mut fixed = Vec::new();
    let chosen = network.timed(device, n, runs)?.levels;
    let mut all: Vec<Vec<(f32, Division)>> = vec![Vec::new(); chosen.len()];
    for (tile, splits) in (0..TILES.len()).flat_map(|tile| SPLITS.map(|splits| (tile, splits))) {
        let division = Division { tile, splits };
        // A direct tile has no splits. Where it does not hold a sum, the time is of the chosen one.
        if division.of(splits) != Some(division) {
            continue;
        }
        network.divide(Some(division));
        let timed = network.timed(device, n, runs)?;
        if splits == 1 {
            let mut program = timed.program;
            let us = timed_us(calls, || Ok(program.replay(device)?))?;
            let levels_us: f32 = timed.levels.iter().map(|(_, us)| us).sum();
            fixed.push(json!({ "tile": named(division), "p50_us": share(&us, 0.5), "levels_us": levels_us }));
        }
        for (all, (_, us)) in all.iter_mut().zip(timed.levels) {
            all.push((us, division));
        }
    }
    network.divide(None);
    let row = |((level, chosen_us), all): (&(String, f32), &Vec<(f32, Division)>)| {
        let best = all.iter().min_by(|a, b| a.0.total_cmp(&b.0));
        json!({
            "level": level, "chosen_us": chosen_us, "quickest_us": best.map(|best| best.0),
            "tile": best.map(|best| named(best.1)), "splits": best.map(|best| best.1.splits),
            "all": all.iter().map(|&(us, at)| json!([named(at), at.splits, us])).collect::<Vec<_>>(),
        })
    };
    let levels: Vec<Value> = chosen.iter().zip(&all).map(row).collect();
    Ok(json!({ "batch": n, "levels": levels, "fixed": fixed }))
}

/// What a level takes at least, in a launch of its own and in one of all levels: each a difference, so that a graph's start and the
/// host's wait are not in it.
fn levels<D: Device>(
    alone: &Alone<D>,
    multiprocessors: usize,
    size: usize,
    calls: usize,
) -> Result<Value> {
    let mut rows = Vec::new();
    for &blocks in LEVEL_BLOCKS[size] {
        let [few, many] = LEVELS[size];
        let each_us = |grid| -> Result<f64> {
            let us =
                |levels| Ok::<_, DeviceError>(alone.levels_floor((levels, blocks), grid, calls)?.0);
            Ok((us(many)? - us(few)?) / (many - few) as f64)
        };
        rows.push(json!({
            "blocks": blocks, "launches_us": each_us(None)?,
            "in_one_us": each_us(Some(multiprocessors * WAITING_EACH))?,
        }));
    }
    Ok(rows.into())
}

/// The next of a row of numbers that look drawn.
fn drawn(state: &mut u64) -> i8 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    // -127 to 127.
    (((*state >> 40) % 255) as i16 - 127) as i8
}

/// Searches of each gallery.
fn searches<D: Device>(
    device: &D,
    size: usize,
    calls: usize,
    bytes_a_second: f64,
) -> Result<Value> {
    let mut rows = Vec::new();
    for (templates, len, halves) in GALLERIES {
        let n = if size == 0 { templates } else { templates / EMULATED_PART };
        let mut state = 1;
        let mut embedding =
            || Embedding((0..len).map(|_| f32::from(drawn(&mut state)) / 1e3).collect());
        let probes: Vec<Embedding> = (0..PROBES[1]).map(|_| embedding()).collect();
        let mut gallery = if halves {
            let enrolled: Vec<_> = (1..=n as u32)
                .map(|person| Enrolled {
                    person: PersonId(person),
                    slot: 0,
                    embedding: embedding(),
                })
                .collect();
            DeviceGallery::of_halves(device, Metric::SquaredL2, &enrolled)?
        } else {
            let template = |person: u32| Template {
                person: PersonId(person),
                slot: 0,
                quality: 100,
                model: ModelTag([7; 8]),
                scale: 1e-3,
                vector: (0..len).map(|_| drawn(&mut state)).collect(),
            };
            let templates: Vec<_> = (1..=n as u32).map(template).collect();
            DeviceGallery::new(device, Metric::SquaredL2, &templates)?
        };
        // Components, and what stands beside a template: scale, sum of squares, person.
        let element = if halves { 2 } else { 1 };
        let floor = (n * (len * element + 12)) as f64 / bytes_a_second * 1e6;
        for probes in PROBES.map(|n| &probes[..n]) {
            // The first call records.
            gallery.search(device, probes)?;
            let us = timed_us(calls, || gallery.search(device, probes).map(|_| ()))?;
            rows.push(json!({
                "templates": n, "components": len, "element": if halves { "halves" } else { "int8" },
                "probes": probes.len(), "p50_us": share(&us, 0.5), "p95_us": share(&us, 0.95),
                "floor_us": floor,
            }));
        }
    }
    Ok(rows.into())
}
