//! `cargo xtask bench peers`: ours and the peers in turns, on the same networks, frames and numbers of threads.
//!
//! A turn is a few calls of ours, then as many of each peer; what counts of it is the median. So a machine that other
//! work slows for a while slows all sides of the turns in between. A peer that lacks a workload is left out of it.

use super::environment::{FACENET_PYTORCH, ONNXRUNTIME};
use super::figures::{median, ratio};
use super::mosaic::Mosaics;
use super::peer::Peer;
use super::workloads::{self, Places, Workload};
use super::{plot, table};
use crate::program::{cargo, output, run_aloud, said};
use crate::repository::root;
use crate::setup;
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Instant;

/// How often: turns, and calls of a detection in one.
#[derive(Clone, Copy)]
pub(super) struct Effort {
    pub(super) turns: usize,
    pub(super) calls: usize,
    /// What was typed.
    pub(super) command: &'static str,
}

const FULL: Effort = Effort { turns: 7, calls: 5, command: "cargo xtask bench peers" };
const QUICK: Effort = Effort { turns: 3, calls: 2, command: "cargo xtask bench peers --quick" };

/// Load at which other work disturbs: torch's threads, which spin for each other, then took up to seven times as long for a
/// detection, while one thread took what it takes on an idle machine.
const BUSY: f64 = 1.0;

/// One side's turns of a workload.
pub(super) struct Side {
    times: Vec<f64>,
    answers: Vec<Value>,
}

impl Side {
    /// The median of the turns' medians.
    pub(super) fn ms(&self) -> f64 {
        median(self.times.iter().copied())
    }

    /// The median of another figure of the answers; NaN if they have none.
    pub(super) fn figure(&self, key: &str) -> f64 {
        median(self.answers.iter().filter_map(|answer| answer[key].as_f64()))
    }

    /// A text of the first answer.
    pub(super) fn text(&self, key: &str) -> &str {
        self.answers.first().and_then(|answer| answer[key].as_str()).unwrap_or("")
    }

    /// Ours over this side's.
    pub(super) fn ratio_of(&self, ours: &Self) -> f64 {
        ratio(&ours.times, &self.times)
    }
}

/// A workload with the turns of all sides.
pub(super) struct Measured {
    pub(super) workload: Workload,
    pub(super) ours: Side,
    pub(super) onnxruntime: Option<Side>,
    pub(super) facenet_pytorch: Option<Side>,
}

/// A whole run, as its pages tell it.
pub(super) struct Run {
    pub(super) effort: Effort,
    /// Date, commit and machine.
    pub(super) made: String,
    /// The peers with their versions.
    pub(super) peers: Vec<String>,
    pub(super) measured: Vec<Measured>,
    /// What could not be measured, and why.
    pub(super) missing: Vec<String>,
}

/// Measures everything and writes the pages.
///
/// # Errors
/// If something of ours or onnxruntime does not work, or the detectors find different numbers of faces.
pub(super) fn run(quick: bool) -> Result<()> {
    let start = Instant::now();
    let stock = setup::setup()?;
    let mut onnxruntime = Peer::start(&ONNXRUNTIME)?;
    let mut missing = Vec::new();
    let mut facenet_pytorch = Peer::start(&FACENET_PYTORCH)
        .map_err(|why| missing.push(format!("{}: {why:#}", FACENET_PYTORCH.name)))
        .ok();
    run_aloud(&mut cargo(&["build", "--quiet", "--release", "--locked", "-p", "threshold-host"]))?;
    let places = Places { folder: root().join("target/bench"), packs: stock.packs };
    let workloads = workloads::all();
    let shapes = prepare(&places, &workloads, &Mosaics::open(&stock.photos)?)?;
    let effort = if quick { QUICK } else { FULL };
    let made = made()?;
    let mut measured = Vec::new();
    for workload in workloads {
        if workload.lacks_pack(&places) {
            missing.push(format!("{}: no pack (cargo xtask setup)", workload.label()));
            continue;
        }
        let shape = workload.networks().first().and_then(|network| shapes.get(network));
        let theirs = workload.theirs(&places, shape.unwrap_or(&Value::Null));
        let mut turns = Turns { workload, theirs, effort, missing: &mut missing };
        let ours = workload.ours(&places);
        let peer = facenet_pytorch.as_mut().filter(|_| workload.is_of_facenet_pytorch());
        let one = turns.measure(&ours, &mut onnxruntime, peer)?;
        println!("{}", table::progress(&one));
        measured.push(one);
    }
    let peers = [Some(&onnxruntime), facenet_pytorch.as_ref()];
    let peers = peers.into_iter().flatten().map(|peer| peer.title.clone()).collect();
    let run = Run { effort, made, peers, measured, missing };
    write("cpu-peers.md", &table::page(&run))?;
    for (name, drawing) in plot::all(&run) {
        write(name, &drawing)?;
    }
    run.missing.iter().for_each(|missing| println!("not measured: {missing}"));
    println!("the run took {:.0} s", start.elapsed().as_secs_f64());
    let differ = run.disagreements();
    match differ.is_empty() {
        true => Ok(()),
        false => bail!("the detectors find different numbers of faces: {}", differ.join("; ")),
    }
}

impl Run {
    /// Detections in which ours and the cascade on onnxruntime differ by more than one face: the area resize of
    /// OpenCV may let another one through.
    pub(super) fn disagreements(&self) -> Vec<String> {
        let differs = |one: &&Measured| {
            let theirs = one.onnxruntime.as_ref().map(|side| side.figure("faces"));
            theirs.is_some_and(|theirs| (theirs - one.ours.figure("faces")).abs() > 1.0)
        };
        self.measured.iter().filter(differs).map(|one| one.workload.label()).collect()
    }
}

/// The turns of one workload.
struct Turns<'a> {
    workload: Workload,
    theirs: Value,
    effort: Effort,
    missing: &'a mut Vec<String>,
}

impl Turns<'_> {
    fn measure(
        &mut self,
        ours: &[String],
        onnxruntime: &mut Peer,
        mut facenet_pytorch: Option<&mut Peer>,
    ) -> Result<Measured> {
        let (mut own, mut first, mut second) = (Side::new(), Some(Side::new()), None);
        if facenet_pytorch.is_some() {
            second = Some(Side::new());
        }
        self.theirs["calls"] = self.workload.calls(self.effort.calls).into();
        for _ in 0..self.effort.turns {
            own.add(self.our_turn(ours)?)?;
            self.their_turn(&mut first, onnxruntime)?;
            if let Some(peer) = &mut facenet_pytorch {
                self.their_turn(&mut second, peer)?;
            }
        }
        Ok(Measured {
            workload: self.workload,
            ours: own,
            onnxruntime: first,
            facenet_pytorch: second,
        })
    }

    /// The answer of `threshold`; a cold start is the whole process.
    fn our_turn(&self, ours: &[String]) -> Result<Value> {
        let cold = matches!(self.workload, Workload::Start { .. });
        let calls = self.workload.calls(self.effort.calls);
        let mut command = Command::new(root().join("target/release/threshold"));
        command.args(ours);
        if !cold {
            command.args(["--calls", &calls.to_string()]);
        }
        let start = Instant::now();
        let said = output(&mut command)?;
        let process_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut answer: Value = serde_json::from_str(&said).context("threshold printed no JSON")?;
        answer["ms"] = if cold { process_ms.into() } else { answer["median_ms"].clone() };
        Ok(answer)
    }

    /// Asks for one more turn; a side that fails is dropped with its reason.
    fn their_turn(&mut self, side: &mut Option<Side>, peer: &mut Peer) -> Result<()> {
        let Some(turns) = side else { return Ok(()) };
        match peer.ask(&self.theirs) {
            Ok(answer) => turns.add(answer)?,
            Err(why) => {
                self.missing.push(format!("{}: {why:#}", self.workload.label()));
                *side = None;
            }
        }
        Ok(())
    }
}

impl Side {
    const fn new() -> Self {
        Self { times: Vec::new(), answers: Vec::new() }
    }

    fn add(&mut self, answer: Value) -> Result<()> {
        self.times.push(answer["ms"].as_f64().with_context(|| format!("no time in {answer}"))?);
        self.answers.push(answer);
        Ok(())
    }
}

type Shapes = BTreeMap<(&'static str, Option<[u32; 2]>), Value>;

/// Writes the definitions and the frames; gives each network's input shape, [h, w, c].
fn prepare(places: &Places, workloads: &[Workload], mosaics: &Mosaics) -> Result<Shapes> {
    fs::create_dir_all(&places.folder)
        .with_context(|| format!("making {}", places.folder.display()))?;
    let mut shapes = Shapes::new();
    for workload in workloads {
        if let Workload::Detection { picture, .. } = workload {
            mosaics.write(*picture, &places.frame(*picture))?;
        }
        for (network, size) in workload.networks() {
            if shapes.contains_key(&(network, size)) {
                continue;
            }
            let mut command = Command::new(root().join("target/release/threshold"));
            command.args(["--json", "model", "layers", network]);
            if let Some([w, h]) = size {
                command.args(["--size", &format!("{w}x{h}")]);
            }
            let definition = output(&mut command)?;
            let path = places.definition(network, size);
            fs::write(&path, &definition).with_context(|| format!("writing {}", path.display()))?;
            let definition: Value = serde_json::from_str(&definition)
                .with_context(|| format!("the definition of {network} is no JSON"))?;
            shapes.insert((network, size), definition["nodes"][0]["shape"].clone());
        }
    }
    Ok(shapes)
}

/// Date, commit and machine.
pub(super) fn made() -> Result<String> {
    let commit =
        said(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]))?;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("model unknown", |(_, model)| model);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    if load.parse().is_ok_and(|load: f64| load > BUSY) {
        println!("the machine is busy (load {load}): two threads will look slow, the peers' most");
    }
    Ok(format!(
        "Date {date}, commit `{commit}`, {processors} processors ({model}), load {load} at the start."
    ))
}

fn write(name: &str, text: &str) -> Result<()> {
    fs::write(root().join("docs").join(name), text)
        .with_context(|| format!("writing docs/{name}"))?;
    println!("written: docs/{name}");
    Ok(())
}
