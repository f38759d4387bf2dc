//! Times the gallery search beside reading as many bytes from memory: medians in milliseconds, one JSON object a line.
//!
//! `cargo bench -p threshold-models --bench search -- [turns]`.
//! Both sides rotate over more than twice [`L3_BYTES`], so that each turn finds its bytes in memory and not in a cache, and
//! they take turns in one process, so that whatever else the machine does meets both. One thread.

#![allow(clippy::unwrap_used, reason = "a benchmark may stop at the first fault")]

use std::hint::black_box;
use std::io::Write as _;
use std::time::Instant;

use serde_json::json;
use threshold_models::cpu::Simd;
use threshold_models::engine::Embedding;
use threshold_models::search::Index;
use threshold_record::{Metric, ModelTag, PersonId, Template};

/// Templates and components of a gallery.
const CASES: [(usize, usize); 3] = [(100_000, 128), (100_000, 512), (1_000, 512)];

/// The largest last-level cache that a processor this runs on shares among its cores.
const L3_BYTES: usize = 64 << 20;

fn main() {
    let argument = std::env::args().skip(1).find(|argument| argument != "--bench");
    let turns: usize = argument.map_or(60, |text| text.parse().unwrap());
    let mut random = Xorshift(0x9E37_79B9_7F4A_7C15);
    for (templates, len) in CASES {
        let bytes = templates * len;
        let n = (2 * L3_BYTES).div_ceil(bytes) + 1;
        for metric in [Metric::SquaredL2, Metric::L2] {
            let mut galleries: Vec<Index> =
                (0..n).map(|_| random.gallery(metric, templates, len)).collect();
            let plain: Vec<Vec<u64>> = (0..n as u64).map(|i| vec![i; bytes / 8]).collect();
            let probes: Vec<Embedding> = (0..n).map(|_| random.probe(len)).collect();
            for simd in Simd::available() {
                galleries = galleries.into_iter().map(|gallery| gallery.with_simd(simd)).collect();
                let (mut search_ms, mut read_ms) = (Vec::new(), Vec::new());
                for turn in 0..turns.max(n) {
                    let i = turn % n;
                    search_ms.push(ms(|| galleries[i].search(&probes[i]).unwrap()));
                    read_ms.push(ms(|| sum(&plain[i])));
                }
                let (search_ms, read_ms) = (median(search_ms), median(read_ms));
                let line = json!({
                    "templates": templates, "len": len, "metric": metric.unit(),
                    "simd": format!("{simd:?}"), "search_ms": rounded(search_ms),
                    "read_ms": rounded(read_ms), "ratio": rounded(search_ms / read_ms),
                });
                writeln!(std::io::stdout().lock(), "{line}").unwrap();
            }
        }
    }
}

/// How long a call takes.
fn ms<T>(call: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(call());
    start.elapsed().as_secs_f64() * 1e3
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// To four decimals.
fn rounded(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Reads every word. Sixty-four bytes a step leave the compiler vectors to add, and the memory the only limit.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for line in words.as_chunks::<8>().0 {
        sums.iter_mut().zip(line).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
    }
    sums.iter().fold(0, |all, sum| all.wrapping_add(*sum))
}

struct Xorshift(u64);

impl Xorshift {
    fn component(&mut self) -> i8 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) as i8).max(-127)
    }

    fn probe(&mut self, len: usize) -> Embedding {
        Embedding((0..len).map(|_| f32::from(self.component()) * 1e-3).collect())
    }

    /// Four templates a person.
    fn gallery(&mut self, metric: Metric, templates: usize, len: usize) -> Index {
        let template = |i: usize| Template {
            person: PersonId(i as u32 / 4 + 1),
            slot: (i % 4) as u8,
            quality: 100,
            model: ModelTag([7; 8]),
            scale: 1e-3,
            vector: (0..len).map(|_| self.component()).collect(),
        };
        let templates: Vec<Template> = (0..templates).map(template).collect();
        Index::new(metric, &templates).unwrap()
    }
}
