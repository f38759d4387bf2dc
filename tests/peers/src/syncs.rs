//! How many fsyncs and fdatasyncs an act takes, counted by `strace` where there is one.
//!
//! The work is done a few times and then some more times, in two processes; the difference is the acts' own.

use crate::work::{Side, Work};
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};

const FEW: u32 = 10;
const MORE: u32 = 30;

/// Does the work, watched from outside.
pub(crate) fn work_for_strace(folder: &Path, side: Side, work: Work, times: u32) -> Result<()> {
    let mut bench = side.open(folder)?;
    (0..times).try_for_each(|nth| work.once(bench.as_mut(), nth))
}

/// Syncs of one act; `None` without `strace`.
pub(crate) fn of(folder: &Path, side: Side, work: Work) -> Result<Option<f64>> {
    if !Command::new("strace").arg("-V").output().is_ok_and(|done| done.status.success()) {
        return Ok(None);
    }
    let few = counted(folder, side, work, FEW)?;
    let more = counted(folder, side, work, MORE)?;
    Ok(Some((more as f64 - few as f64) / f64::from(MORE - FEW)))
}

/// Syncs of a whole process on a new folder.
fn counted(folder: &Path, side: Side, work: Work, times: u32) -> Result<usize> {
    let place = folder.join(format!("syncs-{}-{}-{times}", side.name(), work.name()));
    std::fs::create_dir_all(&place)?;
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-e", "trace=fsync,fdatasync", "--"]);
    strace.arg(std::env::current_exe()?).arg(&place);
    strace.args(["count", side.name(), work.name(), &times.to_string()]);
    let done = strace.stdout(Stdio::null()).output().context("strace did not start")?;
    ensure!(done.status.success(), "strace: {}", String::from_utf8_lossy(&done.stderr));
    let calls = String::from_utf8_lossy(&done.stderr);
    Ok(calls.lines().filter(|line| line.contains("sync(")).count())
}
