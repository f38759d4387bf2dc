//! What a board would take that nobody has: from the counted work and what a measured card made of it.
//!
//! On the measured card each kernel's time over all frames is a straight line, `start + work / rate`, by least squares; work is
//! multiply-adds, or bytes where there are none. On another board
//!
//! ```text
//! kernel = start * clock ratio + max(work / (rate * ceiling ratio), bytes / bandwidth)
//! ```
//!
//! and of a kernel of one block the second part grows as the clock does. A frame is the sum of its kernels. *Quick*: launches
//! overlap as on the measured card, and the board reaches its datasheet. *Slow*: nothing overlaps, and the board reaches the
//! share of its datasheet that the measured card reached of its own. Of a board whose memory is the processor's too, the frame
//! is read from there, and `ingest` begins as `columns` does.
//! Knows nothing of throttling, other work on the memory, or the second cache, which a Jetson has a twelfth of: an error of a
//! factor of two would be no surprise.

use super::results::{Results, list};
use crate::bench::figures::Line;
use crate::kernels::count::{self, Asked, Counted};
use anyhow::Result;
use serde_json::Value;
use std::collections::BTreeMap;
use threshold_models::graph::{Cost, Graph};
use threshold_models::net;

/// What a datasheet says.
pub(super) struct Board {
    pub(super) name: &'static str,
    pub(super) multiprocessors: u32,
    pub(super) ghz: f64,
    /// Of its memory.
    pub(super) gb_a_second: f64,
    /// Tensor cores, f16 without sparsity.
    pub(super) tflops: f64,
    /// Whether processor and card share the memory.
    pub(super) integrated: bool,
    pub(super) source: &'static str,
}

/// Cards that are measured, and boards that are predicted.
pub(super) const BOARDS: [Board; 5] = [
    Board {
        name: "NVIDIA H200",
        multiprocessors: 132,
        ghz: 1.98,
        gb_a_second: 4800.0,
        tflops: 989.0,
        integrated: false,
        source: "NVIDIA H200 datasheet (SXM); clock as nvidia-smi told under load",
    },
    Board {
        name: "NVIDIA H100 80GB HBM3",
        multiprocessors: 132,
        ghz: 1.98,
        gb_a_second: 3350.0,
        tflops: 989.0,
        integrated: false,
        source: "NVIDIA H100 datasheet (SXM)",
    },
    Board {
        name: "Jetson Orin Nano 8 GB, Super",
        multiprocessors: 8,
        ghz: 1.02,
        gb_a_second: 102.0,
        tflops: 16.7,
        integrated: true,
        source: "Jetson Orin Nano Super Developer Kit datasheet (Dec 2024): 67 sparse INT8 TOPS, a quarter of it in dense f16",
    },
    Board {
        name: "Jetson Orin NX 16 GB",
        multiprocessors: 8,
        ghz: 0.918,
        gb_a_second: 102.4,
        tflops: 15.0,
        integrated: true,
        source: "Jetson Orin NX Series data sheet; f16 as 2,048 a clock and multiprocessor (Jetson AGX Orin Technical Brief)",
    },
    Board {
        name: "Jetson AGX Orin 64 GB",
        multiprocessors: 16,
        ghz: 1.3,
        gb_a_second: 204.8,
        tflops: 42.6,
        integrated: true,
        source: "Jetson AGX Orin Series Technical Brief v1.2: 170 sparse INT8 TOPS of the GPU, a quarter of it in dense f16",
    },
];

/// Milliseconds, at best and at worst.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) quick: f64,
    pub(super) slow: f64,
}

/// What a card made of counted work.
pub(super) struct Measured<'a> {
    board: &'a Board,
    results: &'a Results,
    /// By kernel.
    lines: BTreeMap<String, Line>,
    /// Mean of what the lines' sum of a frame differs from its stages' sum, as a part.
    pub(super) error: f64,
    /// Bytes a second of the copy, and multiply-adds a second.
    copy: f64,
    macs: f64,
}

/// What a row of the results was asked, if it tells.
pub(super) fn asked(row: &Value) -> Option<Asked> {
    let number =
        |value: &Value| value.as_u64().map(|n| n as usize).or(value.as_f64().map(|n| n as usize));
    Some(Asked {
        size: [number(&row["size"][0])?, number(&row["size"][1])?],
        min_face_px: row["min_face"].as_f64()?,
        // Older results do not tell; none is as few as it can be.
        cells: number(&row["cells"]).unwrap_or(0),
        crops: [number(&row["crops"][0])?, number(&row["crops"][1])?],
    })
}

/// By what a kernel's time grows.
fn amount(counted: &Counted) -> f64 {
    if counted.work.macs > 0 { counted.work.macs as f64 } else { counted.work.bytes() as f64 }
}

impl<'a> Measured<'a> {
    /// `None` of a card that [`BOARDS`] does not know, or without a frame.
    pub(super) fn of(results: &'a Results) -> Result<Option<Self>> {
        let Some(board) = BOARDS.iter().find(|board| board.name == results.card()) else {
            return Ok(None);
        };
        let mut points: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
        let mut frames = Vec::new();
        for row in list(&results.detect["frames"]) {
            let Some(asked) = asked(row) else { continue };
            let counted = count::frame(asked, board.multiprocessors)?;
            for one in &counted {
                if let Some(us) = row["stages_us"][&one.name].as_f64() {
                    points.entry(one.name.clone()).or_default().push((amount(one), us));
                }
            }
            frames.push((row, counted));
        }
        let [Some(copy), Some(tflops)] =
            ["copy_gb_a_second", "tensor_tflops"].map(|key| results.of_card(key).as_f64())
        else {
            return Ok(None);
        };
        let line = |points: Vec<(f64, f64)>| {
            let mean = points.iter().map(|point| point.1).sum::<f64>() / points.len() as f64;
            let flat = Line { start: mean, slope: 0.0, r2: 0.0 };
            Line::through(&points)
                .filter(|line| line.slope > 0.0 && line.start > 0.0)
                .unwrap_or(flat)
        };
        let lines: BTreeMap<_, _> =
            points.into_iter().map(|(kernel, points)| (kernel, line(points))).collect();
        let errors = frames.iter().filter_map(|(row, counted)| {
            let told: f64 = row["stages_us"].as_object()?.values().filter_map(Value::as_f64).sum();
            let lines =
                counted.iter().filter_map(|one| Some(lines.get(&one.name)?.at(amount(one))));
            Some((lines.sum::<f64>() / told - 1.0).abs())
        });
        let error = errors.sum::<f64>() / frames.len().max(1) as f64;
        let (copy, macs) = (copy * 1e9, tflops * 1e12 / 2.0);
        Ok(Some(Self { board, results, lines, error, copy, macs }))
    }

    /// Bytes and multiply-adds a second of a board: as its datasheet says, and as this card comes near its own.
    fn ceilings(&self, board: &Board) -> [[f64; 2]; 2] {
        let (bytes, macs) = (board.gb_a_second * 1e9, board.tflops * 1e12 / 2.0);
        let shares = [
            self.copy / (self.board.gb_a_second * 1e9),
            self.macs / (self.board.tflops * 1e12 / 2.0),
        ];
        [[bytes, macs], [bytes * shares[0], macs * shares[1]]]
    }

    /// A frame of the measured ones on another board.
    pub(super) fn frame(&self, row: &Value, board: &Board) -> Result<Option<Range>> {
        let Some(asked) = asked(row) else { return Ok(None) };
        let counted = count::frame(asked, board.multiprocessors)?;
        let told: f64 = row["stages_us"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(_, us)| us.as_f64())
            .sum();
        let Some(graph_ms) = row["p50_ms"].as_f64() else { return Ok(None) };
        let overlapped = graph_ms * 1e3 / told;
        let clock = self.board.ghz / board.ghz;
        let sum = |[bytes_a_second, macs_a_second]: [f64; 2]| -> f64 {
            let us = counted.iter().filter_map(|one| {
                let line = self.lines.get(&one.name)?;
                let least = one.work.bytes() as f64 / bytes_a_second * 1e6;
                if one.name == "ingest" {
                    // Over a bus the measured time, whatever the memory.
                    let start = self.lines.get("columns")?.start * clock;
                    let over_bus = line.at(amount(one));
                    return Some(if board.integrated { start + least } else { over_bus });
                }
                let work = line.slope * amount(one);
                let scaled = match (one.launch.grid[0], one.work.macs) {
                    (1, _) => work * clock,
                    (_, 0) => work * self.copy / bytes_a_second,
                    _ => work * self.macs / macs_a_second,
                };
                Some(line.start * clock + scaled.max(least))
            });
            us.sum::<f64>() / 1e3
        };
        let [datasheet, share] = self.ceilings(board);
        // A card as large as the measured one overlaps as much.
        let slow = if board.integrated { 1.0 } else { overlapped };
        Ok(Some(Range { quick: overlapped * sum(datasheet), slow: slow * sum(share) }))
    }

    /// A network on another board: the line through the measured batches, its start with and without overlap.
    pub(super) fn network(&self, graph: &Graph, batch: usize, board: &Board) -> Option<Range> {
        let of = |graph: &Graph| {
            let rows = list(&self.results.embed["networks"]).iter();
            let points: Vec<(f64, f64)> = rows
                .filter(|row| row["network"] == graph.name())
                .filter_map(|row| Some((row["batch"].as_f64()?, row["p50_us"].as_f64()?)))
                .collect();
            Line::through(&points)
        };
        let line = of(graph)?;
        // Only FaceNet was timed without overlap.
        let facenet = net::inception_resnet_v1();
        let start = of(&facenet)?.start;
        let apart = self.results.network_us(facenet.name(), 1, "apart_p50_us");
        let without =
            apart.map_or(1.0, |apart| (apart - of(&facenet).map_or(0.0, |l| l.slope)) / start);
        let clock = self.board.ghz / board.ghz;
        let cost: Cost = graph.costs().sum();
        let weights = 2.0 * cost.parameters as f64;
        let ms = |[bytes_a_second, macs_a_second]: [f64; 2], start: f64| {
            let work = line.slope * batch as f64 * self.macs / macs_a_second;
            (start * clock + work.max(weights / bytes_a_second * 1e6)) / 1e3
        };
        let [datasheet, share] = self.ceilings(board);
        let slow = if board.integrated { without } else { 1.0 };
        Some(Range { quick: ms(datasheet, line.start), slow: ms(share, line.start * slow) })
    }
}
