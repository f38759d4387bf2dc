//! The long sweeps, whose dated tables stand under `docs/`.

mod sweep;

use crate::ci::ASKED_FOR;
use crate::program::{after, cargo, figures, run_aloud, said};
use crate::repository::{root, shared};
use crate::setup;
use crate::{apt, evaluation, fuzz, libclang, recognition, sanitize, training, vm};
use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use std::fmt::Write as _;
use std::process::Command;
use std::time::Instant;

/// A group of sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// All five LFW folds with both embedders, the WIDER subset, all landmarks.
    Models,
    /// The kernels' tests on the emulator over many rounds of random shapes, up to the largest frames.
    Kernels,
    /// Verification of all with all, identification and forecast, with both embedders.
    Evaluation,
    /// The store's tests over many rounds of random lives, with the power cut at every operation of the flash,
    /// and over 10,000 kills of a process.
    Store,
    /// Every fuzz target of the flash formats, 100,000,000 runs in all.
    Fuzz,
    /// Every fuzz target of the link: 100,000,000 runs of the deframer and of the endpoints, 1,000,000 of the handshakes.
    Link,
    /// The link's figures over the fault line, which `ci` gates too: a minute.
    Line,
    /// The unit's loop over 1,000,000 frames of a null camera and engine, and under a flooded serial line.
    Unit,
    /// The virtual board: the power cut at 50 random moments of updates, and a version that only its own test finds bad.
    Vm,
    /// The largest value of each layer of the deployed networks over the development faces, beside what half precision holds.
    Ranges,
    /// P-Net, R-Net and O-Net from scratch on the development sets, beside the installed ones on a balanced set; `--stage` names one, the three together (`cascade`), or small runs with one thing left out (`ablation`).
    Train,
    /// FaceNet's last layer and its last block by triplets to 128 values: three seeds, kinds of negatives, judged by unseen people; and a narrowed NN2 from scratch; `--network` names one.
    Facenet,
}

/// Runs the sweeps of one group, or of all; `stage` is the one that is to be trained, `network` what of FaceNet.
///
/// # Errors
/// If a sweep could not run or missed a figure; the table is written in either case.
pub(crate) fn run(
    group: Option<Group>,
    stage: Option<training::Part>,
    network: Option<training::facenet::Network>,
) -> Result<()> {
    if stage.is_some() && group != Some(Group::Train) {
        bail!(
            "--stage names a network of `cargo xtask soak train`; leave it out, or ask for that group"
        );
    }
    if network.is_some() && group != Some(Group::Facenet) {
        bail!("--network is for `cargo xtask soak facenet`; leave it out, or ask for that group");
    }
    match group {
        None => {
            let first = models().and(recognition::run()).and(kernels()).and(store());
            first
                .and(fuzz())
                .and(link())
                .and(line())
                .and(unit())
                .and(board())
                .and(ranges())
                .and(training::run(None))
                .and(training::facenet::run(None))
        }
        Some(Group::Models) => models(),
        Some(Group::Kernels) => kernels(),
        Some(Group::Evaluation) => recognition::run(),
        Some(Group::Store) => store(),
        Some(Group::Fuzz) => fuzz(),
        Some(Group::Link) => link(),
        Some(Group::Line) => line(),
        Some(Group::Unit) => unit(),
        Some(Group::Vm) => board(),
        Some(Group::Ranges) => ranges(),
        Some(Group::Train) => training::run(stage),
        Some(Group::Facenet) => training::facenet::run(network),
    }
}

/// Rounds of random shapes: about 100 each.
const KERNEL_ROUNDS: u32 = 100;

/// Rounds of random lives of the log: at least 20,000 cuts each, more than two million with the short sequences; and 100
/// kills each.
const STORE_ROUNDS: u32 = 100;

fn kernels() -> Result<()> {
    setup::setup()?;
    let drawn = rounds("kernels", KERNEL_ROUNDS, "");
    let start = Instant::now();
    let watched = sanitize::run(sanitize::Extent::Whole);
    let path = root().join("docs/soak-kernels.md");
    let mut page = std::fs::read_to_string(&path).context("reading docs/soak-kernels.md")?;
    let result = if watched.is_ok() { "ok" } else { "FAILED" };
    let _ = write!(
        page,
        "\n`cargo xtask sanitize --whole`, the tests that `ci` leaves out under AddressSanitizer and UBSan, {:.0} s: {result}.\n",
        start.elapsed().as_secs_f64()
    );
    std::fs::write(path, page).context("writing docs/soak-kernels.md")?;
    drawn.and(watched.map(drop))
}

/// Runs of each of the store's fuzz targets, 100,000,000 in all. Each opens a store, and goes on with what it holds.
const STORE_RUNS: [(&str, u64); 8] = [
    ("resealed", 10_000_000),
    ("mount", 16_000_000),
    ("cells", 4_000_000),
    ("segments", 16_000_000),
    ("snapshot", 14_000_000),
    ("single_log", 16_000_000),
    ("tombstones", 12_000_000),
    ("anchor", 12_000_000),
];

fn fuzz() -> Result<()> {
    let law = "An image of flash is refused, or what it holds can be read, goes on and is there at the next start.\n\n\
               - *resealed*, a sound image with harm done behind its seals, which fit again, and what stands behind them too.\n\
               - *mount*, a sound image with harm done to it, or objects of arbitrary bytes.\n\
               - *cells*, the same of the pages of a medium of cells, checksums as they are and made to fit.\n\
               - the others, arbitrary bytes as one kind of object, with checksums as they are and made to fit.\n";
    sweep::run("fuzz", fuzz::Group::Store, &STORE_RUNS, law)
}

/// Runs of each of the link's fuzz targets.
const LINK_RUNS: [(&str, u64); 5] = [
    ("frames", 100_000_000),
    ("messages", 100_000_000),
    ("handshake", 1_000_000),
    ("gallery", 10_000_000),
    ("telnet", 10_000_000),
];

fn link() -> Result<()> {
    let laws = "\n- *frames*, the deframer: a line's bytes give the same frames however they are cut, and a frame that was found, sealed or \
                not, is found again when it is sent.\n\
                - *messages*, every endpoint and a bulk packet as unit and host read it: what was read is written, read and written as the same bytes.\n\
                - *handshake*, both ends of a session's and a pairing's: what was changed on the way is refused, and what was not is taken.\n\
                - *gallery*, what a push and a file carry: what was read is written as the same bytes, and no envelope opens without its key.\n\
                - *telnet*, the host's reader of RFC 2217: a server's bytes give the same data, answers and settings however they are cut.\n";
    sweep::run("link", fuzz::Group::Wire, &LINK_RUNS, laws)
}

fn line() -> Result<()> {
    let start = Instant::now();
    let mut tests = cargo(&["test", "--locked"]);
    tests.args(ASKED_FOR).args(["--test", "wire", "--test", "door", "--"]);
    tests.args(["line_figures::", "faulty_line::", "--nocapture"]);
    let told = figures(&mut tests);
    let mut rows = told.as_deref().unwrap_or_default().to_vec();
    rows.sort();
    let mut page = head("line")?;
    let _ = write!(
        page,
        "\n`tests/wire/line_figures.rs` and `tests/door/faulty_line.rs`, {:.0} s, over the fault line (`tests/src/fault_line.rs`): seeded, \
         on a virtual clock, so that the machine's other work moves no figure.\n\
         Payload is the content's bytes a second against a tenth of the bits a second (8N1); latencies are one way; *real ends* are the \
         tool's session and the unit's desk, the others run the same machines of `threshold_wire` in ends of the tests' own.\n\
         On a line of 1e-4 the speeds above the first are seldom proven, so that a push of the real ends goes at one of the lowest. Keys \
         are random, so that noise falls on other bytes in each run.\n\n\
         | figure | |\n| --- | --- |\n",
        start.elapsed().as_secs_f64()
    );
    for figure in rows {
        let _ = writeln!(page, "| {figure} |");
    }
    if told.is_err() {
        page.push_str("\nMissed: a test failed.\n");
    }
    std::fs::write(root().join("docs/link.md"), page).context("writing docs/link.md")?;
    println!("written: docs/link.md");
    told.map(drop)
}

fn store() -> Result<()> {
    let cuts = "Each round cuts the power 20,000 times or more; a record lost, a sequence used twice, or a state that is neither \
                the old nor the new one fails the test.\n\
                Each round also kills a process at work on a folder of a real file system, 100 times, with SIGKILL: 10,000 kills in all. \
                A kill shows what stands in the folder at any instant, and that the lock goes with the process; what the kernel was given \
                outlives it in the page cache, so that only the cut power above can lose what was not synced.\n";
    rounds("store", STORE_ROUNDS, cuts)
}

/// Frames of the unit's soak: 11 hours of a camera of 25 frames a second.
const UNIT_FRAMES: u32 = 1_000_000;

fn unit() -> Result<()> {
    libclang::provide()?;
    let start = Instant::now();
    let mut tests = cargo(&["test", "--release", "--locked", "-p", "threshold-tests"]);
    tests.args(["--test", "door", "--", "long::", "--nocapture", "--test-threads", "1"]);
    let told = figures(tests.env("THRESHOLD_FRAMES", UNIT_FRAMES.to_string()));
    let mut page = head("unit")?;
    let _ = write!(
        page,
        "\n`THRESHOLD_FRAMES={UNIT_FRAMES} cargo test --release -p threshold-tests --test door long::`, {:.0} s.\n\
         Camera and engine do nothing, log and gallery are files; each visit is an admission that is durable before the lock moves.\n\
         The machine did other work too, so that times are told as ratios. Of a p95 such work is the greater part now and then: the test \
         judges the medians (all but the engine 5 % at most), and tells the p95.\n\n| figure | |\n| --- | --- |\n",
        start.elapsed().as_secs_f64()
    );
    for figure in told.as_deref().unwrap_or_default() {
        let _ = writeln!(page, "| {figure} |");
    }
    if told.is_err() {
        page.push_str("\nMissed: a test failed.\n");
    }
    std::fs::write(root().join("docs/soak-unit.md"), page).context("writing docs/soak-unit.md")?;
    println!("written: docs/soak-unit.md");
    told.map(drop)
}

fn board() -> Result<()> {
    let start = Instant::now();
    let (table, done) = vm::soak(vm::Workshop::open()?)?;
    let mut page = head("vm")?;
    let _ = write!(
        page,
        "\n{:.0} s on the virtual board (docs/vm-transcript.md): QEMU's emulation of two Cortex-A57, Debian with systemd, the package of a \
         unit.\nAfter each cut, which is SIGKILL of QEMU, the unit ran the version before or the new one, was armed, knew everybody, and its \
         log verified.\n\n{table}",
        start.elapsed().as_secs_f64()
    );
    if let Err(error) = &done {
        let _ = write!(page, "\nMissed: {error:#}.\n");
    }
    std::fs::write(root().join("docs/soak-vm.md"), page).context("writing docs/soak-vm.md")?;
    println!("written: docs/soak-vm.md");
    done
}

/// A picture of so many: 973 in all.
const RANGES_STEP: u32 = 4;

fn ranges() -> Result<()> {
    setup::setup()?;
    let start = Instant::now();
    // Without --release: what computes is optimised in either, and `ci` has built this one.
    let mut tests = cargo(&["test", "--locked", "-p", "threshold-tests"]);
    tests.args(["--test", "models", "--", "ranges::", "--nocapture", "--test-threads", "1"]);
    let told = figures(tests.env("THRESHOLD_EVERY", RANGES_STEP.to_string()));
    let mut page = head("ranges")?;
    let _ = write!(
        page,
        "\n`THRESHOLD_EVERY={RANGES_STEP} cargo test -p threshold-tests --test models ranges::`, {:.0} s.\n\
         The networks run in f32 over what the detector gives them of one picture in {RANGES_STEP} of LFW's and WIDER's dev folders; \
         a row is a layer as the kernels write it, in half precision.\n\
         Half holds 65,504 at most; below 6.1e-5 it loses digits, and below 6.0e-8 everything: *small* is the share of a layer's values that are \
         not zero and below 6.1e-5.\n\
         The test fails from 255.9 on, a 256th of what half holds; `cargo xtask ci` runs it over a few pictures.\n\n\
         | network | layer | largest | of what half holds | small |\n| --- | --- | --- | --- | --- |\n",
        start.elapsed().as_secs_f64()
    );
    for row in told.as_deref().unwrap_or_default() {
        let _ = writeln!(page, "| {row} |");
    }
    if told.is_err() {
        page.push_str("\nMissed: the test failed.\n");
    }
    std::fs::write(root().join("docs/fp16-ranges.md"), page)
        .context("writing docs/fp16-ranges.md")?;
    println!("written: docs/fp16-ranges.md");
    told.map(drop)
}

/// Runs an area of tests over so many rounds, and writes its page, with a note for the reader.
fn rounds(area: &str, count: u32, note: &str) -> Result<()> {
    libclang::provide()?;
    // The software TPM that the keeper is tried with; its tests say so where there is none.
    let _ = apt::install(&["swtpm"], &["swtpm"]);
    let start = Instant::now();
    let mut tests = cargo(&["test", "--release", "--locked", "-p", "threshold-tests"]);
    tests.args(["--test", area]).env("THRESHOLD_ROUNDS", count.to_string());
    let done = tests.output().context("cargo did not start")?;
    let said = String::from_utf8_lossy(&done.stdout);
    let aside = String::from_utf8_lossy(&done.stderr);
    let mut page = head(area)?;
    let _ = write!(
        page,
        "\n`THRESHOLD_ROUNDS={count} cargo test --release -p threshold-tests --test {area}`, {:.0} s.\n{note}\n\
         | test | |\n| --- | --- |\n",
        start.elapsed().as_secs_f64()
    );
    let mut rows: Vec<(&str, &str)> =
        after(&said, "test ").filter_map(|line| line.split_once(" ... ")).collect();
    // What a test starts as its other process does nothing for the harness.
    rows.retain(|(name, _)| !name.contains("the_other_process"));
    // Tests end in any order.
    rows.sort_unstable();
    for (name, result) in rows {
        let _ = writeln!(page, "| {} | {result} |", name.replace("::", ": ").replace('_', " "));
    }
    // The harness calls a test that skipped ok.
    let mut skipped: Vec<&str> = after(&aside, "skipped: ").collect();
    skipped.sort_unstable();
    if !skipped.is_empty() {
        let _ = write!(page, "\nSkipped, though the rows say ok: {}.\n", skipped.join("; "));
    }
    let path = format!("docs/soak-{area}.md");
    std::fs::write(root().join(&path), page).with_context(|| format!("writing {path}"))?;
    println!("written: {path}");
    match done.status.success() {
        true => Ok(()),
        // What failed and why: the harness's last lines, and what cargo said if nothing was run.
        false => bail!("{area}: {}\n{aside}{said}", done.status),
    }
}

/// How a page begins.
pub(crate) fn head(group: &str) -> Result<String> {
    Ok(format!("{}\n{}", undated_head(group), dated()?))
}

/// The same, of a page whose sections have dates of their own.
pub(crate) fn undated_head(group: &str) -> String {
    format!("# Soak: {group}\n\nWritten by `cargo xtask soak {group}`.\n")
}

/// When, of what and where.
pub(crate) fn dated() -> Result<String> {
    let commit =
        said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!("Date {date}, commit `{commit}`, {processors} processors.\n"))
}

fn models() -> Result<()> {
    let shared = shared().context(
        "no folder of references: set THRESHOLD_SHARED, or lay it beside the repository as ../shared",
    )?;
    let stock = setup::setup()?;
    run_aloud(&mut cargo(&["build", "--quiet", "--release", "--locked", "-p", "threshold-host"]))?;
    let mut page = head("models")?;
    page.push_str("`$PACKS` is the folder that `cargo xtask setup` fills.\n");
    let mut missed = Vec::new();
    for evaluation in evaluation::ALL {
        println!("== {}", evaluation.name());
        let start = Instant::now();
        let figures = evaluation.run(&stock.packs, &shared)?;
        let seconds = start.elapsed().as_secs_f64();
        let _ = write!(
            page,
            "\n## {}\n\n```sh\n{}\n```\n\n| figure | value |\n| --- | --- |\n",
            evaluation.name(),
            figures.command
        );
        for (name, value) in &figures.values {
            println!("{name:<44} {value:.5}");
            let _ = writeln!(page, "| {name} | {value:.5} |");
        }
        let _ = writeln!(page, "| seconds | {seconds:.0} |");
        for miss in figures.missed {
            let _ = writeln!(page, "\nMissed: {miss}.");
            missed.push(format!("{}: {miss}", evaluation.name()));
        }
    }
    let path = root().join("docs/soak-models.md");
    std::fs::write(&path, page).context("writing docs/soak-models.md")?;
    println!("written: docs/soak-models.md");
    if !missed.is_empty() {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}
