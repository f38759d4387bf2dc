//! `cargo xtask gpu report`: `docs/performance.md` and its drawing, from the results in `kernels/results`.
//!
//! Owns the page. No figure of it is typed: each is a result's, the count's, or the prediction's; what has no result stands
//! there as not measured, with the file and field that will tell it.

use super::prediction::{BOARDS, Measured, Range};
use super::results::{Results, list, peer_ms};
use super::roofline;
use super::{checks, goals, paper};
use crate::bench::figures::Line;
use crate::kernels::count;
use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use threshold_models::graph::Graph;
use threshold_models::net;

const RESULTS: &str = "kernels/results";
const PAGE: &str = "docs/performance.md";
const DRAWING: &str = "performance-roofline.svg";
/// The frame that goals are set for.
pub(super) const FRAME: (&str, f64) = ("1280x720-1", 40.0);

/// Writes the page from these folders of results, or from all that are kept.
///
/// # Errors
/// If there are none, or one cannot be read.
pub(super) fn run(folders: &[PathBuf]) -> Result<()> {
    let mut folders = folders.to_vec();
    if folders.is_empty() {
        let kept = root().join(RESULTS);
        let listed = fs::read_dir(&kept).with_context(|| format!("reading {}", kept.display()))?;
        folders = listed.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
        folders.retain(|path| path.is_dir());
        folders.sort();
    }
    let all: Vec<Results> =
        folders.iter().map(|folder| Results::of_folder(folder)).collect::<Result<_>>()?;
    if all.is_empty() {
        bail!("no results: bring a run's back as {RESULTS}/CARD-DATE/{{detect,embed}}");
    }
    let peers = fs::read_to_string(root().join("docs/cpu-peers.md")).unwrap_or_default();
    fs::write(root().join(PAGE), page(&all, &peers)?).with_context(|| format!("writing {PAGE}"))?;
    // The newest that timed the cascade too.
    let whole = all.iter().rev().find(|results| !results.detect.is_null());
    let drawing = roofline::drawing(whole.unwrap_or(&all[all.len() - 1]))?;
    fs::write(root().join("docs").join(DRAWING), drawing).context("writing the drawing")?;
    println!("written: {PAGE}, docs/{DRAWING}");
    Ok(())
}

fn page(all: &[Results], peers: &str) -> Result<String> {
    let mut page = format!(
        "# Performance on a GPU\n\nWritten by `cargo xtask gpu report` from the results of `run.sh bench` and `run.sh energy` in \
         `{RESULTS}`; no figure is typed.\n\
         Each folder there is one card on one day; `cargo xtask gpu pack` makes what runs on it.\n\
         [kernels/RESULTS.md](../kernels/RESULTS.md) tells how the kernels came there and what was missed; \
         [cpu-peers.md](cpu-peers.md) has the CPU engine.\n\
         A figure is the median of the turns' medians, by the host's clock. *In turns*: ours and the peers' alternated; *one after the other*: \
         on the same card in the same hour.\n\n"
    );
    let sources = all.iter().map(|results| {
        let beside: Vec<String> = [
            ("detection", &results.detect_peer["frames"], results.detect_turns),
            ("networks", &results.embed_peer["rows"], results.embed_turns),
        ]
        .into_iter()
        .filter_map(|(what, rows, ours)| {
            let turns = &list(rows).first()?["turns_ms"];
            let theirs = turns.as_array().map_or(1, Vec::len);
            Some(match (ours, theirs) {
                (0, _) => format!("{what}: theirs alone"),
                (ours, theirs) if ours == theirs && turns.is_array() => format!("{what} in turns"),
                _ => format!("{what} one after the other"),
            })
        })
        .collect();
        let turns = if beside.is_empty() { "ours alone".to_owned() } else { beside.join(", ") };
        let number = |value: &Value| value.as_f64().map_or_else(missing, |n| format!("{n:.0}"));
        vec![
            format!("`{}`", results.name),
            results.card(),
            number(results.of_card("copy_gb_a_second")),
            number(results.of_card("tensor_tflops")),
            [&results.detect_peer, &results.embed_peer]
                .into_iter()
                .find_map(|peer| peer["torch"].as_str())
                .unwrap_or("none")
                .to_owned(),
            turns,
        ]
    });
    page += &table(
        &["results", "card", "copy GB/s", "tensor TFLOP/s", "torch", "ours and peers"],
        sources,
    );
    for results in all {
        let _ = write!(page, "\n# {} (`{}`)\n", results.card(), results.name);
        page += &goals::section(results);
        page += &detection(results);
        page += &latency(results);
        page += &embedding(results);
        page += &scaling(results);
        page += &paper::in_a_second(results);
        page += &paper::tables(results);
        page += &work(results)?;
        page += &energy(results);
        page += &checks::section(results);
    }
    let _ = write!(page, "\n![Roofline of {}]({DRAWING})\n", all[all.len() - 1].card());
    page += &prediction(all)?;
    page += &processor(all, peers);
    Ok(page)
}

pub(super) fn missing() -> String {
    "not measured yet".to_owned()
}

pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = format!("| {} |\n|{}\n", head.join(" | "), " --- |".repeat(head.len()));
    for row in rows {
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

/// Milliseconds or a ratio to three digits.
pub(super) fn told(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value >= 10.0 => format!("{value:.1}"),
        Some(value) if value >= 1.0 => format!("{value:.2}"),
        Some(value) => format!("{value:.3}"),
    }
}

fn detection(results: &Results) -> String {
    let rows = list(&results.detect["frames"]).iter().map(|row| {
        let least = row["min_face"].as_f64().unwrap_or(0.0);
        let frame = row["frame"].as_str().unwrap_or("?");
        let peer = results.peer_frame(frame, least);
        let (detected, whole) = (peer["p50_ms"].as_f64(), peer["embedded_p50_ms"].as_f64());
        let [p50, p95, max, copied] =
            ["p50_ms", "p95_ms", "max_ms", "copied_p50_ms"].map(|key| row[key].as_f64());
        let [dlib, facenet] = ["dlib", "facenet"].map(|network| row[network]["p50_ms"].as_f64());
        let times = |theirs: Option<f64>, ours: Option<f64>| {
            theirs
                .zip(ours)
                .map_or_else(String::new, |(theirs, ours)| format!("{:.0}", theirs / ours))
        };
        let crops = format!("{}, {}", row["crops"][0], row["crops"][1]);
        let [p50_told, p95, max, copied, dlib, facenet_told] =
            [p50, p95, max, copied, dlib, facenet].map(told);
        let cells = [frame.to_owned(), format!("{least}"), row["faces"].to_string(), crops];
        let ours = [p50_told, p95, max, copied, dlib, facenet_told];
        let theirs = [told(detected), times(detected, p50), told(whole), times(whole, facenet)];
        cells.into_iter().chain(ours).chain(theirs).collect()
    });
    let head = [
        "frame",
        "min face",
        "faces",
        "crops",
        "p50",
        "p95",
        "max",
        "with copy",
        "with dlib",
        "with FaceNet",
        "facenet-pytorch, detection",
        "times ours",
        "with its FaceNet",
        "times ours",
    ];
    let networks = list(&results.detect_peer["networks"]).iter().map(|row| {
        let ours = results
            .frame(row["frame"].as_str().unwrap_or("?"), row["min_face"].as_f64().unwrap_or(0.0));
        vec![
            row["frame"].as_str().unwrap_or("?").to_owned(),
            row["min_face"].to_string(),
            format!("{}, {}", row["crops"][0], row["crops"][1]),
            told(peer_ms(row)),
            told(ours["p50_ms"].as_f64()),
        ]
    });
    let networks: Vec<_> = networks.collect();
    let alone = if networks.is_empty() {
        format!("{} (`detect/peer.json` networks[]).\n", missing())
    } else {
        format!(
            "\n\n{}",
            table(
                &[
                    "frame",
                    "min face",
                    "crops",
                    "their networks alone, ms",
                    "our whole detection, ms"
                ],
                networks
            )
        )
    };
    format!(
        "\n## Detection\n\nMilliseconds. From the frame (YUYV) in the pinned input to the faces; *with copy*: the frame is first copied there; \
         *with dlib*, *with FaceNet*: also cut out, embedded and sought among 1,000 people, up to 8 faces, without that copy. \
         facenet-pytorch: as its users call it, from a picture in memory.\n\n{}\n\
         P-Net on every level, R-Net and O-Net on as many crops as ours had, in half precision in one CUDA graph of PyTorch, which is \
         less than a detection: {alone}",
        table(&head, rows)
    )
}

/// How the times of [`FRAME`] are spread.
fn latency(results: &Results) -> String {
    let row = results.frame(FRAME.0, FRAME.1);
    let rows = [("detection", row), ("with dlib", &row["dlib"]), ("with FaceNet", &row["facenet"])];
    let rows = rows.into_iter().filter_map(|(what, of)| {
        let told = of["quantiles_ms"].as_array()?.iter().map(|ms| told(ms.as_f64()));
        Some(std::iter::once(what.to_owned()).chain(told).collect())
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let head = format!("\n## Latency\n\nOf {} at min face {}: ", FRAME.0, FRAME.1);
    if rows.is_empty() {
        return format!("{head}{} (`detect.json` frames[].quantiles_ms).\n", missing());
    }
    let parts = list(&results.detect["quantiles"]).iter().filter_map(Value::as_f64);
    let parts: Vec<String> = parts.map(|part| format!("{:.0} %", 100.0 * part)).collect();
    let columns: Vec<&str> = std::iter::once("").chain(parts.iter().map(String::as_str)).collect();
    format!(
        "{head}milliseconds than which so many of the calls are quicker; 0 % is the quickest call, 100 % the slowest.\n\n{}",
        table(&columns, rows)
    )
}

fn embedding(results: &Results) -> String {
    let ours = list(&results.embed["networks"]).iter().map(|row| {
        let us = |key: &str| told(row[key].as_f64());
        let times = row["p50_us"].as_f64().zip(row["floor_us"].as_f64());
        vec![
            row["network"].as_str().unwrap_or("?").to_owned(),
            row["batch"].to_string(),
            us("p50_us"),
            us("p95_us"),
            us("apart_p50_us"),
            list(&row["levels"]).len().to_string(),
            us("floor_us"),
            told(times.map(|(us, floor)| us / floor)),
        ]
    });
    let head = [
        "network",
        "batch",
        "p50 us",
        "p95 us",
        "without overlap us",
        "launches",
        "floor us",
        "times the floor",
    ];
    let theirs = list(&results.embed_peer["rows"]).iter().map(|row| {
        let ms = peer_ms(row);
        let batch = row["batch"].as_u64().unwrap_or(0) as usize;
        let ours = results.network_us("Inception-ResNet-v1", batch, "p50_us");
        let figure = match (ms, row["skipped"].as_str()) {
            (Some(ms), _) => told(Some(ms * 1e3)),
            (None, Some(why)) => why.replace(['|', '\n'], " "),
            (None, None) => missing(),
        };
        vec![
            row["network"].as_str().unwrap_or("?").to_owned(),
            batch.to_string(),
            figure,
            told(ms.zip(ours).map(|(ms, ours)| ms * 1e3 / ours)),
            told(row["compiled_s"].as_f64()),
        ]
    });
    format!(
        "\n## Embedding\n\nOver noise that lies on the card. Floor: the larger of the weights' bytes at the copy's rate and the products at the \
         tensor cores'.\n\n{}\n{}",
        table(&head, ours),
        table(&["peer", "batch", "p50 us", "times ours", "compiled in s"], theirs)
    )
}

fn scaling(results: &Results) -> String {
    let line = |what: &str, unit: &str, points: Vec<(f64, f64)>| {
        let line = Line::through(&points);
        vec![
            what.to_owned(),
            told(line.map(|line| line.start)),
            told(line.map(|line| 1e3 * line.slope)),
            unit.to_owned(),
            line.map_or_else(missing, |line| format!("{:.3}", line.r2)),
            points.len().to_string(),
        ]
    };
    let frames = list(&results.detect["frames"]);
    let of = |keep: &dyn Fn(&Value) -> bool, x: &dyn Fn(&Value) -> Option<f64>, key: &str| {
        let kept = frames.iter().filter(|row| keep(row));
        kept.filter_map(|row| Some((x(row)?, row.pointer(key)?.as_f64()?))).collect::<Vec<_>>()
    };
    let hd = |row: &Value| {
        row["min_face"].as_f64() == Some(40.0) && row["size"][0].as_f64() == Some(1280.0)
    };
    let pixels = |row: &Value| Some(row["size"][0].as_f64()? * row["size"][1].as_f64()? / 1e6);
    let one =
        |row: &Value| row["min_face"].as_f64() == Some(40.0) && row["faces"].as_f64() == Some(1.0);
    let faces = |row: &Value| row["faces"].as_f64();
    let crops = |row: &Value| row["crops"][0].as_f64();
    let up_to_8 = |row: &Value| hd(row) && faces(row).is_some_and(|n| (1.0..=8.0).contains(&n));
    let mut rows = vec![
        line("detection, 1280 x 720, by faces", "face", of(&hd, &faces, "/p50_ms")),
        line("detection, 1280 x 720, by R-Net's crops", "crop", of(&hd, &crops, "/p50_ms")),
        line("detection, 1 face, by megapixels", "megapixel", of(&one, &pixels, "/p50_ms")),
        line(
            "frame to candidates (FaceNet), 1280 x 720, by faces",
            "face",
            of(&up_to_8, &faces, "/facenet/p50_ms"),
        ),
    ];
    for (network, named) in
        [("Inception-ResNet-v1", "FaceNet"), ("dlib ResNet-29", "dlib ResNet-29")]
    {
        let batches =
            list(&results.embed["networks"]).iter().filter(|row| row["network"] == network);
        let points = batches
            .filter_map(|row| Some((row["batch"].as_f64()?, row["p50_us"].as_f64()? / 1e3)))
            .collect();
        rows.push(line(&format!("{named}, by faces at a time"), "face", points));
    }
    let searches = list(&results.embed["searches"]).iter().map(|row| {
        let us = |key: &str| told(row[key].as_f64());
        vec![
            format!(
                "{} x {} {}",
                row["templates"],
                row["components"],
                row["element"].as_str().unwrap_or("?")
            ),
            row["probes"].to_string(),
            us("p50_us"),
            us("p95_us"),
            us("floor_us"),
        ]
    });
    format!(
        "\n## How it grows\n\nA straight line by least squares, and the share of the variance that it explains.\n\n{}\n\
         Search, from probes on the host to candidates on the host; floor: the gallery's bytes at the copy's rate.\n\n{}",
        table(&["what", "ms at 0", "us more", "for each", "r²", "points"], rows),
        table(&["gallery", "probes", "p50 us", "p95 us", "floor us"], searches)
    )
}

/// Each kernel of [`FRAME`] beside the card's ceilings, and FaceNet.
fn work(results: &Results) -> Result<String> {
    let row = results.frame(FRAME.0, FRAME.1);
    let multiprocessors = results.detect["multiprocessors"].as_u64().unwrap_or(132) as u32;
    let Some(asked) = super::prediction::asked(row) else { return Ok(String::new()) };
    let (copy, tflops) =
        (results.of_card("copy_gb_a_second").as_f64(), results.of_card("tensor_tflops").as_f64());
    let line = |name: &str, blocks: usize, work: count::Work, us: Option<f64>| {
        let rate = |amount: f64| us.map(|us| amount / us / 1e3);
        let (gb, gflop) = (rate(work.bytes() as f64), rate(2.0 * work.macs as f64));
        let share = |value: Option<f64>, ceiling: Option<f64>| {
            value.zip(ceiling).map_or_else(String::new, |(value, ceiling)| {
                format!("{:.1}", 100.0 * value / ceiling)
            })
        };
        vec![
            name.to_owned(),
            blocks.to_string(),
            format!("{:.2}", work.macs as f64 / 1e6),
            format!("{:.1}", work.bytes() as f64 / 1e3),
            us.map_or_else(missing, |us| format!("{us:.1}")),
            told(gb),
            share(gb, copy),
            told(gflop.map(|gflop| gflop / 1e3)),
            share(gflop.map(|gflop| gflop / 1e3), tflops),
        ]
    };
    let counted = count::frame(asked, multiprocessors)?;
    let mut rows: Vec<Vec<String>> = counted
        .iter()
        .map(|one| {
            line(
                &one.name,
                one.launch.grid[0] as usize,
                one.work,
                row["stages_us"][&one.name].as_f64(),
            )
        })
        .collect();
    for (graph, name) in
        [(net::inception_resnet_v1(), "FaceNet"), (net::dlib_resnet29(), "dlib ResNet-29")]
    {
        for batch in [1, 8, 32] {
            let us = results.network_us(graph.name(), batch, "p50_us");
            let counted = count::network(&graph, batch, multiprocessors)?;
            let blocks = counted.iter().map(|one| one.launch.grid[0] as usize).sum();
            let (macs, read, written) = counted.iter().fold((0, 0, 0), |sum, one| {
                (sum.0 + one.work.macs, sum.1 + one.work.read, sum.2 + one.work.written)
            });
            rows.push(line(
                &format!("{name}, batch {batch}"),
                blocks,
                count::Work { macs, read, written },
                us,
            ));
        }
    }
    let head = [
        "kernel",
        "blocks",
        "MMAC",
        "KB",
        "us",
        "GB/s",
        "% of copy",
        "TFLOP/s",
        "% of tensor cores",
    ];
    Ok(format!(
        "\n## Work and roofline\n\nWork as `cargo xtask kernels count` counts it: from the launchers and the networks' graphs, bytes that must be read and \
         written at least once. Times: the stages of {} at min face {}, each alone between two events, which adds 2 to 4 us; networks as a whole. \
         Bytes between kernels mostly lie in the second cache, so that GB/s may pass the copy's.\n\n{}",
        FRAME.0,
        FRAME.1,
        table(&head, rows)
    ))
}

fn energy(results: &Results) -> String {
    if results.energy.is_empty() {
        return format!("\n## Energy\n\n{}: `run.sh energy` writes `energy.json`.\n", missing());
    }
    let idle = results
        .energy
        .iter()
        .find(|row| row["what"] == "idle")
        .and_then(|row| row["watts"].as_f64());
    let rows = results.energy.iter().map(|row| {
        let (watts, seconds, calls) =
            (row["watts"].as_f64(), row["seconds"].as_f64(), row["calls"].as_f64());
        let each = |watts: Option<f64>| Some(watts? * seconds? / calls? * 1e3);
        vec![
            row["what"].as_str().unwrap_or("?").to_owned(),
            row["who"].as_str().unwrap_or("?").to_owned(),
            told(watts),
            told(each(watts)),
            told(each(watts.zip(idle).map(|(watts, idle)| watts - idle))),
            row["skipped"].as_str().unwrap_or("").to_owned(),
        ]
    });
    format!(
        "\n## Energy\n\nThe whole card's, while one thing runs over and over, by the driver's counter or its power every 50 ms; above idle: less what it \
         takes while nothing runs.\n\n{}",
        table(&["what", "who", "W", "mJ each", "mJ each above idle", ""], rows)
    )
}

fn prediction(all: &[Results]) -> Result<String> {
    let mut page = String::from(
        "\n# Boards that nobody here has\n\nA prediction, not a measurement. Each kernel's time on a measured card is a straight line over its counted work in all \
         frames, `start + work / rate`; on another board the start grows as the clock falls, and the rate as the ceiling (tensor cores for \
         multiply-adds, memory for the rest), never below the bytes at the board's bandwidth; a kernel of one block goes by the clock alone. \
         *Quick*: launches overlap as on the measured card, ceilings are the datasheet's. *Slow*: nothing overlaps (compute capability 8.7 does not), \
         and the board reaches the share of its datasheet that the measured card reached of its own. `xtask/src/gpu/prediction.rs` has the formula. \
         Other work on the memory, throttling and the small second cache are not in it: an error by a factor of two would be no surprise.\n\n",
    );
    page += &table(
        &["board", "multiprocessors", "GHz", "GB/s", "TFLOP/s f16", "source"],
        BOARDS.iter().map(|board| {
            vec![
                board.name.to_owned(),
                board.multiprocessors.to_string(),
                board.ghz.to_string(),
                board.gb_a_second.to_string(),
                board.tflops.to_string(),
                board.source.to_owned(),
            ]
        }),
    );
    let networks: [(Graph, &str); 2] = [
        (net::inception_resnet_v1(), "FaceNet, batch 1"),
        (net::dlib_resnet29(), "dlib ResNet-29, batch 1"),
    ];
    for results in all {
        let Some(measured) = Measured::of(results)? else { continue };
        let mut rows = Vec::new();
        for board in &BOARDS {
            // This run's own, or else the newest's of that card.
            let of_board = || {
                [results]
                    .into_iter()
                    .chain(all.iter().rev())
                    .filter(|other| other.card() == board.name)
            };
            let mut add = |what: &str, range: Option<Range>, told_ms: Option<f64>| {
                let Some(Range { quick, slow }) = range else { return };
                let told_ms = match (told_ms, board.integrated) {
                    (Some(ms), _) => format!("{ms:.3}"),
                    (None, true) => "no such board here".to_owned(),
                    (None, false) => missing(),
                };
                rows.push(vec![
                    board.name.to_owned(),
                    what.to_owned(),
                    format!("{quick:.3}"),
                    format!("{slow:.3}"),
                    told_ms,
                ]);
            };
            for (frame, what) in [
                (FRAME.0, "detection, 1280 x 720, min face 40, 1 face"),
                ("1280x720-20", "the same, 20 faces"),
            ] {
                let row = results.frame(frame, FRAME.1);
                let told_ms =
                    of_board().find_map(|other| other.frame(frame, FRAME.1)["p50_ms"].as_f64());
                add(what, measured.frame(row, board)?, told_ms);
            }
            for (graph, what) in &networks {
                let told_ms = of_board()
                    .find_map(|other| other.network_us(graph.name(), 1, "p50_us"))
                    .map(|us| us / 1e3);
                add(what, measured.network(graph, 1, board), told_ms);
            }
        }
        let _ = write!(
            page,
            "\nFrom `{}` ({}). There the lines of all kernels together differ from a frame's stages by {:.0} % in the mean; the card's own rows show what the formula \
             gives back of it. The other large card has as many multiprocessors and the same clock, so that it tests memory and bus, not how work spreads \
             over eight multiprocessors: nothing here tests that.\n\n{}",
            results.name,
            results.card(),
            100.0 * measured.error,
            table(&["board", "what", "quick ms", "slow ms", "measured ms"], rows)
        );
    }
    page += "\nWhat others report on a Jetson, none of them on an Orin with these networks: nwesem's mtcnn_facenet_cpp_tensorRT, TensorRT on a Jetson Nano, 60 ms for MTCNN and 22 ms a face for FaceNet, \
             43 frames a second with no face, 17 with 1, 3 with 6 (its README and issue 21); jkjung-avt's tensorrt_demos, MTCNN at 6 to 11 frames a second on a Jetson Nano (its README); \
             face_recognition 1.08 frames a second on a Jetson Nano (its issue 1379). These stand in their own words, other networks' versions and other frames: they say what people get, not how much faster ours is.\n";
    Ok(page)
}

/// The CPU engine's row beside the card's.
fn processor(all: &[Results], peers: &str) -> String {
    let cells = |head: &str| {
        let line = peers.lines().find(|line| line.starts_with(head))?;
        Some(line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>())
    };
    let row = |what: &str, key: &str, at: [usize; 3], gpu: Vec<String>| {
        let cells = cells(key);
        let cell = |at: usize| {
            cells.as_ref().and_then(|cells| cells.get(at).cloned()).unwrap_or_else(missing)
        };
        let mut row = vec![what.to_owned()];
        row.extend(at.map(cell));
        row.extend(gpu);
        row
    };
    let detection = all
        .iter()
        .map(|results| told(results.frame(FRAME.0, FRAME.1)["p50_ms"].as_f64()))
        .collect();
    let facenet = all
        .iter()
        .map(|results| {
            told(results.network_us("Inception-ResNet-v1", 1, "p50_us").map(|us| us / 1e3))
        })
        .collect();
    let mut head = vec![
        "ms",
        "our CPU engine, 2 threads",
        "onnxruntime, 2 threads",
        "facenet-pytorch, 2 threads",
    ];
    let cards: Vec<String> = all.iter().map(Results::card).collect();
    head.extend(cards.iter().map(String::as_str));
    format!(
        "\n# Beside a processor\n\nThe processor's figures are those of [cpu-peers.md](cpu-peers.md), on its machine and its frames (12 faces there, one here).\n\n{}",
        table(
            &head,
            [
                row(
                    "detection, 1280 x 720, min face 40",
                    "| 1280x720 | 40 | 2 |",
                    [5, 6, 9],
                    detection
                ),
                row("FaceNet, one face", "| FaceNet | 1 | 2 |", [4, 6, 8], facenet),
            ]
        )
    )
}
