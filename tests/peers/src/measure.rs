//! One turn of a side: how long each act took, and what the process gave to the kernel meanwhile.

use crate::work::{Bench, Work};
use anyhow::{Context as _, Result};
use std::time::Instant;

/// What a side did in all its turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    /// Milliseconds of each act.
    pub(crate) times: Vec<f64>,
    /// Bytes that were passed to `write` and its kin.
    pub(crate) passed: u64,
    /// Bytes of the pages that it dirtied, which the medium is then given; the file system's own are not among them.
    pub(crate) dirtied: u64,
}

impl Figures {
    pub(crate) fn median(&self) -> f64 {
        let mut times = self.times.clone();
        times.sort_unstable_by(f64::total_cmp);
        times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Of an act.
    pub(crate) fn each(&self, sum: u64) -> f64 {
        sum as f64 / self.times.len() as f64
    }
}

/// Does a piece of work so often, and adds to the figures.
pub(crate) fn turn(
    figures: &mut Figures,
    bench: &mut dyn Bench,
    work: Work,
    times: u32,
) -> Result<()> {
    let before = written()?;
    for _ in 0..times {
        let nth = figures.times.len() as u32;
        let start = Instant::now();
        work.once(bench, nth)?;
        figures.times.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let after = written()?;
    figures.passed += after.0 - before.0;
    figures.dirtied += after.1 - before.1;
    Ok(())
}

/// Bytes that this process passed to `write`, and those of pages that it dirtied.
fn written() -> Result<(u64, u64)> {
    let text = std::fs::read_to_string("/proc/self/io")
        .context("/proc/self/io, which Linux has, counts what is written")?;
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        value.with_context(|| format!("{name} in /proc/self/io"))
    };
    Ok((field("wchar:")?, field("write_bytes:")?))
}
