//! `cargo xtask fuzz`: every decoder and the mount path under libFuzzer, for a time or for a number of runs.
//!
//! Owns which targets there are, where what they found lies (`target/fuzz`), and the tool: `cargo-fuzz`, which is
//! installed into the cache folder once. Refuses to keep a corpus in the repository: the seeds are made from golden
//! files, and what is found on the way stays on the machine.
//! What is not ours is built without coverage and assertions (`OURS_ALONE`): two thirds of a run went into telling libFuzzer of the
//! signatures' arithmetic, which leads it nowhere.
//! The targets are built with overflow checks and debug assertions and without a sanitizer, several times as quick: every crate of
//! ours that they reach forbids `unsafe`, so a panic, a hang or a broken law of the target is what there is to find.

mod seeds;

use crate::program::{host_triple, output, run_aloud, said};
use crate::repository::root;
use anyhow::{Context as _, Result, bail, ensure};
use clap::ValueEnum;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use threshold_models::pack::cache_dir;

const TOOL: &str = "0.13.2";

/// Seconds of each target where nothing else is asked for.
pub(crate) const SECONDS: u64 = 30;

/// Longer inputs are no other code: the largest objects of the seeds have 4 KiB.
const MAX_BYTES: usize = 8192;

/// What cargo starts in place of rustc: of the words that cargo-fuzz has it say for every crate, those of coverage and assertions are
/// left out for crates of other people.
const OURS_ALONE: &str = r#"#!/bin/sh
compiler=$1
shift
case $CARGO_PKG_NAME in
threshold-*) ;;
*)
    for word; do
        shift
        case $word in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage-* | -Cdebug-assertions) ;;
        *) set -- "$@" "$word" ;;
        esac
    done
    ;;
esac
exec "$compiler" "$@"
"#;

/// One input takes at most this long.
const TIMEOUT_S: u64 = 10;

/// A crate with fuzz targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// The flash formats.
    Store,
    /// Frames, messages and handshakes of the link, a gallery's bytes, and those of a terminal server.
    Wire,
}

impl Group {
    pub(crate) const ALL: [Self; 2] = [Self::Store, Self::Wire];

    /// The crate, from the root.
    const fn folder(self) -> &'static str {
        match self {
            Self::Store => "edge/store",
            Self::Wire => "edge/wire",
        }
    }

    /// The folders that the targets are made of, from the root.
    pub(crate) const fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Store => &["edge/store", "edge/record"],
            Self::Wire => &["edge/wire", "edge/record"],
        }
    }

    /// The targets, those that take longest for a run first.
    pub(crate) const fn targets(self) -> &'static [&'static str] {
        match self {
            Self::Store => &[
                "resealed",
                "mount",
                "cells",
                "segments",
                "snapshot",
                "single_log",
                "tombstones",
                "anchor",
            ],
            Self::Wire => &["handshake", "frames", "messages", "gallery", "telnet"],
        }
    }
}

/// Targets that `ci` leaves out. What stands behind a seal only the unit's own key puts there. The sums that this target overflowed are
/// bounded since, and 1,294,000 runs of it found nothing, in less than twenty minutes of one core: once it has had those it comes back,
/// for until then it could fail a change that has nothing to do with it.
const NOT_IN_CI: [&str; 1] = ["resealed"];

/// When enough was run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// Each target runs so long, on one core.
    Seconds(u64),
    /// All targets together run so often, on all cores.
    Runs(u64),
}

impl Limit {
    /// The limit of each of some targets.
    fn of_each(self, targets: &[&'static str]) -> Vec<(&'static str, Self)> {
        // A handshake computes keys, which takes a hundred times as long as to read bytes.
        let weight = |target: &str| if target == "handshake" { 1 } else { 100 };
        let sum: u64 = targets.iter().map(|target| weight(target)).sum();
        let of = |target| match self {
            Self::Seconds(_) => self,
            Self::Runs(runs) => Self::Runs((runs * weight(target)).div_ceil(sum.max(1))),
        };
        targets.iter().map(|target| (*target, of(target))).collect()
    }
}

/// What a target did.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Figures {
    pub(crate) runs: u64,
    /// Seconds that its processes took, one after another.
    pub(crate) seconds: f64,
    /// Edges of the program that were reached.
    pub(crate) edges: u64,
    /// Inputs that reached something of their own.
    pub(crate) corpus: u64,
}

impl Figures {
    /// Takes in what later runs of the same target did.
    pub(crate) fn add(&mut self, later: &Self) {
        self.runs += later.runs;
        self.seconds += later.seconds;
        self.edges = self.edges.max(later.edges);
        self.corpus = later.corpus;
    }
}

/// The tool, installed where it is missing.
///
/// # Errors
/// If the machine lacks what the targets are built with.
pub(crate) fn tool() -> Result<PathBuf> {
    if !Command::new("g++").arg("--version").output().is_ok_and(|done| done.status.success()) {
        bail!("no C++ compiler, which libFuzzer is built with: install g++");
    }
    let folder = cache_dir()?.join("tools");
    let tool = folder.join("bin/cargo-fuzz");
    let there = Command::new(&tool).arg("--version").output();
    if there.is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains(TOOL)) {
        return Ok(tool);
    }
    println!("installing cargo-fuzz {TOOL} into {}", folder.display());
    let version = format!("={TOOL}");
    let mut install = Command::new("cargo");
    install.args([
        "install",
        "cargo-fuzz",
        "--quiet",
        "--locked",
        "--force",
        "--version",
        &version,
    ]);
    output(install.arg("--root").arg(&folder)).context("cargo-fuzz could not be installed")?;
    Ok(tool)
}

/// `cargo xtask fuzz`.
///
/// # Errors
/// If a target cannot be built, or finds something.
pub(crate) fn run(group: Option<Group>, limit: Limit) -> Result<()> {
    let groups = group.map_or(Group::ALL.to_vec(), |group| vec![group]);
    let tool = tool()?;
    groups.iter().try_for_each(|group| prepare(&tool, *group))?;
    let targets: Vec<&str> = groups.iter().flat_map(|group| group.targets()).copied().collect();
    println!("{}", table(&runs(&limit.of_each(&targets))?));
    Ok(())
}

/// Builds a group's targets and runs those of `ci`.
///
/// # Errors
/// If a target cannot be built, or finds something: then the input is named.
pub(crate) fn in_ci(
    tool: &Path,
    group: Group,
    limit: Limit,
) -> Result<Vec<(&'static str, Figures)>> {
    prepare(tool, group)?;
    let (left_out, targets): (Vec<&str>, Vec<&str>) =
        group.targets().iter().partition(|target| NOT_IN_CI.contains(target));
    if !left_out.is_empty() {
        println!("left to `cargo xtask fuzz` and `soak fuzz`: {}", left_out.join(", "));
    }
    runs(&limit.of_each(&targets))
}

/// Builds a group's targets and writes their seeds.
///
/// # Errors
/// If a target cannot be built.
pub(crate) fn prepare(tool: &Path, group: Group) -> Result<()> {
    let out = out();
    build(tool, group, &out)?;
    seeds::write(group, &out.join("seeds"))
}

/// Runs targets that were prepared, each to a limit of its own.
///
/// # Errors
/// If a target finds something: then the input is named.
pub(crate) fn runs(targets: &[(&'static str, Limit)]) -> Result<Vec<(&'static str, Figures)>> {
    let out = out();
    let built = out.join(host_triple()?).join("release");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let shards = |(target, limit): &(&'static str, Limit)| {
        let (shards, limit) = match limit {
            Limit::Seconds(seconds) => (1, format!("-max_total_time={seconds}")),
            Limit::Runs(runs) => (cores, format!("-runs={}", runs.div_ceil(cores as u64))),
        };
        std::iter::repeat_n((*target, limit), shards)
    };
    let waiting: Vec<(&str, String)> = targets.iter().flat_map(shards).collect();
    let waiting = Mutex::new(waiting.into_iter());
    let figures = Mutex::new(vec![Figures::default(); targets.len()]);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some((target, limit)) = next else { break };
                    match one(&built, &out, target, &limit) {
                        Ok(found) => {
                            let mut all = figures.lock().unwrap_or_else(PoisonError::into_inner);
                            let at = targets.iter().position(|(name, _)| *name == target);
                            let Some(sum) = at.and_then(|at| all.get_mut(at)) else { continue };
                            sum.add(&found);
                        }
                        Err(error) => failures
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push(format!("{error:#}")),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failures.is_empty() {
        bail!("{}", failures.join("\n"));
    }
    let figures = figures.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(targets.iter().map(|(target, _)| *target).zip(figures).collect())
}

/// Where builds, seeds and what was found lie.
fn out() -> PathBuf {
    root().join("target/fuzz")
}

fn build(tool: &Path, group: Group, out: &Path) -> Result<()> {
    let folder = root().join(group.folder());
    // The product's own versions of what both use; the rest is added to it.
    fs::copy(root().join("Cargo.lock"), folder.join("fuzz/Cargo.lock"))
        .context("copying Cargo.lock")?;
    // The tool has itself called as cargo calls it.
    let mut build = Command::new(tool);
    build.args(["build", "--fuzz-dir", "fuzz", "--sanitizer", "none", "--debug-assertions"]);
    if group == Group::Wire {
        // What a comparison compared is told to nobody: half of a handshake's time went into telling libFuzzer of the curve's
        // arithmetic, and what guards a frame, a checksum or a tag, no mutation finds from its operands.
        build.arg("--no-trace-compares");
    }
    build.arg("--target-dir").arg(out).current_dir(&folder);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_") && name != "CARGO_HOME" {
            build.env_remove(name);
        }
    }
    // The word says nothing; with it cargo knows that what was built before was built otherwise.
    build.env("RUSTC_WRAPPER", wrapper(out)?).env("RUSTFLAGS", "--cfg ours_alone");
    run_aloud(&mut build).with_context(|| format!("fuzz targets of {}", group.folder()))
}

/// Writes what cargo starts in place of rustc.
fn wrapper(out: &Path) -> Result<PathBuf> {
    fs::create_dir_all(out).with_context(|| format!("making {}", out.display()))?;
    let path = out.join("ours-alone");
    fs::write(&path, OURS_ALONE).with_context(|| format!("writing {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// Runs one target until its limit.
fn one(built: &Path, out: &Path, target: &str, limit: &str) -> Result<Figures> {
    let folder = |kind: &str| -> Result<PathBuf> {
        let folder = out.join(kind).join(target);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(folder)
    };
    let (corpus, found) = (folder("corpus")?, folder("found")?);
    let mut artifacts = OsString::from("-artifact_prefix=");
    artifacts.push(found.join(""));
    let start = Instant::now();
    let mut command = Command::new(built.join(target));
    command.arg(&corpus).arg(folder("seeds")?).arg(artifacts).arg(limit);
    command.arg(format!("-max_len={MAX_BYTES}")).arg(format!("-timeout={TIMEOUT_S}"));
    command.args(["-rss_limit_mb=1024", "-print_final_stats=1"]).current_dir(out);
    let done = command.output().with_context(|| format!("{target} did not start"))?;
    let text = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        let lines: Vec<&str> = text.lines().collect();
        let end = lines.iter().rev().take(40).rev().map(|line| format!("  {line}\n"));
        bail!(
            "{target} found something ({}); run target/fuzz/*/release/{target} on the file that the last lines name:\n{}",
            done.status,
            end.collect::<String>()
        );
    }
    let corpus = fs::read_dir(&corpus).map_or(0, |files| files.count() as u64);
    let figures = figures(&text, start.elapsed(), corpus);
    let figures = figures.with_context(|| format!("{target} ended without its statistics"))?;
    // Built without what counts its edges, a target would try the same inputs for ever and find nothing.
    ensure!(figures.edges > 0, "{target} reached no edge: it is not instrumented");
    println!("{target}: {} runs, {:.0} s", figures.runs, figures.seconds);
    Ok(figures)
}

/// What libFuzzer's last lines say.
fn figures(text: &str, took: Duration, corpus: u64) -> Option<Figures> {
    let runs = text.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    let mut edges = text
        .lines()
        .filter_map(|line| line.split_once(" cov: ")?.1.split(' ').next()?.parse().ok());
    Some(Figures {
        runs: runs?.trim().parse().ok()?,
        seconds: took.as_secs_f64(),
        edges: edges.next_back().unwrap_or(0),
        corpus,
    })
}

/// A table of what was done.
pub(crate) fn table(all: &[(&str, Figures)]) -> String {
    let mut table = String::from(
        "| target | runs | seconds of its processes | edges reached | inputs kept |\n| --- | --- | --- | --- | --- |\n",
    );
    for (target, one) in all {
        let _ = writeln!(
            table,
            "| {target} | {} | {:.0} | {} | {} |",
            one.runs, one.seconds, one.edges, one.corpus
        );
    }
    let sum = |of: fn(&Figures) -> f64| all.iter().map(|(_, one)| of(one)).sum::<f64>();
    let _ = writeln!(
        table,
        "| all | {:.0} | {:.0} | | |",
        sum(|one| one.runs as f64),
        sum(|one| one.seconds)
    );
    table
}

/// What a table says of a target.
pub(crate) fn figures_of_row(table: &str, target: &str) -> Option<Figures> {
    let row = table.lines().find_map(|line| line.strip_prefix(&format!("| {target} | ")))?;
    let mut cells = row.split(" | ");
    let (runs, seconds) = (cells.next()?.parse().ok()?, cells.next()?.parse().ok()?);
    let (edges, corpus) = (cells.next()?.parse().ok()?, cells.next()?.strip_suffix(" |")?);
    Some(Figures { runs, seconds, edges, corpus: corpus.parse().ok()? })
}

/// The tool's version, for a page.
pub(crate) fn version(tool: &Path) -> Result<String> {
    said(Command::new(tool).arg("--version"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    #[test]
    fn the_last_lines_of_a_run_are_read() {
        let text = "INFO: seed\n#8\tREDUCE cov: 12 ft: 20 corp: 3/9b\n#9\tDONE   cov: 15 ft: 22 corp: 4/12b\n\
                    Done 9 runs in 1 second(s)\nstat::number_of_executed_units: 9\nstat::new_units_added: 4\n";
        let found = figures(text, Duration::from_secs(2), 4).unwrap();
        assert_eq!((found.runs, found.edges, found.corpus), (9, 15, 4));
        assert!(figures("==1== ERROR", Duration::ZERO, 0).is_none());
    }

    #[test]
    fn runs_are_shared_out_and_a_handshake_gets_a_hundredth() {
        let shares = Limit::Runs(201).of_each(&["handshake", "frames", "messages"]);
        let runs = |(target, limit)| match limit {
            Limit::Runs(runs) => (target, runs),
            Limit::Seconds(_) => panic!("{target} has no runs"),
        };
        let shares: Vec<_> = shares.into_iter().map(runs).collect();
        assert_eq!(shares, [("handshake", 1), ("frames", 100), ("messages", 100)]);
    }

    #[test]
    fn every_target_of_a_manifest_is_run() {
        for group in Group::ALL {
            let manifest = root().join(group.folder()).join("fuzz/Cargo.toml");
            let manifest: toml::Table = fs::read_to_string(manifest).unwrap().parse().unwrap();
            let bins = manifest["bin"].as_array().unwrap().iter();
            let mut names: Vec<&str> = bins.map(|bin| bin["name"].as_str().unwrap()).collect();
            let mut targets = group.targets().to_vec();
            names.sort_unstable();
            targets.sort_unstable();
            assert_eq!(names, targets);
        }
    }
}
