//! `cargo xtask gpu pack`: folders that run on a machine with nothing but NVIDIA's driver.
//!
//! ```text
//! target/gpu/detect/  target/gpu/embed/
//!   run.sh                check, rounds, sanitize: the kernels' tests on the card;  bench, energy: what it takes
//!   bin/check             the tests of `tests/kernels`, built for CUDA
//!   bin/contract          embed: the unit tests of `threshold-kernels`, of which those of every device run
//!   bin/bench             `kernels/benches/{detect,embed}.rs`
//!   bin/steady            `kernels/benches/steady.rs`
//!   bin/soak bin/accuracy detect: `kernels/benches/{soak,accuracy}.rs`
//!   kernels/              images and manifest of `cargo xtask kernels`
//!   sources/              what images and programs are made of, to be read
//!   packs/                weights; FaceNet's would fill a folder, and how long it takes does not depend on them
//!   photos/               those in which tests look for a face
//!   shared/  frames/      detect: golden pictures, frames with 0, 1, 6 and 20 faces
//!   peer/                 facenet-pytorch, for the PyTorch that the machine may have, and the scripts that time it
//! ```
//! `cargo xtask gpu report` writes `docs/performance.md` from what comes back. Refuses a folder of more than [`MOST_BYTES`]: it travels over whatever line there is.

mod checks;
mod frames;
mod goals;
mod paper;
mod prediction;
mod report;
mod results;
mod roofline;

use crate::bench::mosaic::Mosaics;
use crate::kernels;
use crate::program::{executable, python, run_aloud, run_quietly};
use crate::repository::{root, shared};
use crate::setup::{self, Setup};
use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use std::fs;
use std::path::{Path, PathBuf};

/// What there is to do for a machine with a GPU.
#[derive(Debug, Subcommand)]
pub(crate) enum Gpu {
    /// Makes the folder that checks and times the kernels on such a machine.
    Pack,
    /// Writes docs/performance.md from results that came back.
    Report {
        /// Folders with `detect` and `embed` as `run.sh` left them; all of kernels/results where none is named.
        folders: Vec<PathBuf>,
    },
}

const MOST_BYTES: u64 = 50_000_000;
/// The peer, without what it needs: torch is the machine's.
const PEER: &str = "facenet-pytorch==2.5.3";
/// Those in which the tests look for a face.
const PHOTOS: [&str; 4] = ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"];
/// What the programs and images are made of, to be read beside them.
const SOURCES: [&str; 4] = ["kernels/cuda", "kernels/src", "kernels/benches", "tests/kernels"];
const RUN: &str = include_str!("run.sh");
/// What the peers' scripts share.
const SCRIPTS: [(&str, &str); 3] = [
    ("turns.py", include_str!("python/turns.py")),
    ("compiled.py", include_str!("python/compiled.py")),
    ("energy.py", include_str!("python/energy.py")),
];

/// What a folder is for: what stands in its `run.sh`.
struct Folder {
    name: &'static str,
    /// Which tests it runs, as the harness takes them; and which of them under the sanitizer, which is slow.
    check: &'static str,
    sanitize: &'static str,
    /// How often these draw random shapes.
    rounds: &'static str,
    /// What its benchmark takes besides the images, and how many runs of each.
    bench: &'static str,
    calls: &'static str,
    /// Other programs of `kernels/benches` that its `run.sh` starts.
    programs: &'static [&'static str],
    /// The peers' script and what it takes.
    peer: (&'static str, &'static str),
}

const FOLDERS: [Folder; 2] = [
    Folder {
        name: "detect",
        check: "--skip embedders --skip layers --skip search",
        sanitize: "--skip embedders --skip layers --skip search --skip detection",
        // Some hundred shapes each.
        rounds: "100",
        bench: "--packs packs --frames frames",
        calls: "2000",
        programs: &["steady", "soak", "accuracy"],
        peer: (include_str!("python/detect_peer.py"), "--frames frames"),
    },
    Folder {
        name: "embed",
        check: "embedders layers search",
        sanitize: "every_division every_step a_large_batch crops search",
        rounds: "20",
        bench: "",
        calls: "2000",
        programs: &["steady"],
        peer: (include_str!("python/embed_peer.py"), ""),
    },
];

impl Folder {
    fn script(&self) -> String {
        let mut script = RUN.to_owned();
        for (place, text) in [
            ("@NAME@", self.name),
            ("@CHECK@", self.check),
            ("@SANITIZE@", self.sanitize),
            ("@ROUNDS@", self.rounds),
            ("@BENCH@", self.bench),
            ("@CALLS@", self.calls),
            ("@PEER@", self.peer.1),
        ] {
            script = script.replace(place, text);
        }
        script
    }
}

/// Does it.
///
/// # Errors
/// If something does not build, cannot be had, or the folder is too large.
pub(crate) fn run(gpu: &Gpu) -> Result<()> {
    match gpu {
        Gpu::Pack => pack(),
        Gpu::Report { folders } => report::run(folders),
    }
}

fn pack() -> Result<()> {
    let stock = setup::setup()?;
    kernels::run()?;
    let check =
        ["test", "--release", "-p", "threshold-tests", "--features", "gpu", "--test", "kernels"];
    let check = executable(&[&check[..], &["--no-run"]].concat())?;
    let contract = ["test", "--release", "-p", "threshold-kernels", "--features", "cuda", "--lib"];
    let contract = executable(&[&contract[..], &["--no-run"]].concat())?;
    for folder in &FOLDERS {
        fill(folder, &stock, [&check, &contract])?;
    }
    Ok(())
}

fn fill(folder: &Folder, stock: &Setup, [check, contract]: [&Path; 2]) -> Result<()> {
    let out = root().join("target/gpu").join(folder.name);
    if out.exists() {
        fs::remove_dir_all(&out).with_context(|| format!("clearing {}", out.display()))?;
    }
    for part in ["bin", "packs", "peer"] {
        fs::create_dir_all(out.join(part)).with_context(|| format!("making {}", out.display()))?;
    }
    copy(check, &out.join("bin/check"))?;
    // There is room for it in one of them.
    let contract = (folder.name == "embed").then_some(contract);
    if let Some(contract) = contract {
        copy(contract, &out.join("bin/contract"))?;
    }
    let own = [(folder.name, "bench")]
        .into_iter()
        .chain(folder.programs.iter().map(|&name| (name, name)));
    for (bench, name) in own.clone() {
        let build = ["bench", "-p", "threshold-kernels", "--features", "cuda", "--no-run"];
        copy(
            &executable(&[&build[..], &["--bench", bench]].concat())?,
            &out.join("bin").join(name),
        )?;
    }
    copy_folder(&root().join("target/kernels"), &out.join("kernels"))?;
    for source in SOURCES {
        copy_folder(&root().join(source), &out.join("sources").join(source))?;
    }
    for name in ["mtcnn.pack", "dlib-resnet29.pack"] {
        copy(&stock.packs.join(name), &out.join("packs").join(name))?;
    }
    fs::create_dir_all(out.join("photos")).context("making photos")?;
    for name in PHOTOS {
        copy(&stock.photos.join(name), &out.join("photos").join(name))?;
    }
    if folder.name == "detect" {
        let shared = shared().context(
            "no folder of references, whose golden pictures the check looks at: set THRESHOLD_SHARED, or lay it beside the \
             repository as ../shared",
        )?;
        copy_folder(&shared.join("golden/png"), &out.join("shared/golden/png"))?;
        fs::create_dir_all(out.join("frames")).context("making frames")?;
        frames::write(&Mosaics::open(&stock.photos)?, &out.join("frames"))?;
    }
    let mut pip = python();
    pip.args(["-m", "pip", "install", "--quiet", "--no-deps", "--target"]);
    pip.arg(out.join("peer")).arg(PEER);
    run_quietly(&mut pip).context("the peer, through pip")?;
    for (name, script) in [("peer.py", folder.peer.0)].into_iter().chain(SCRIPTS) {
        fs::write(out.join("peer").join(name), script)
            .with_context(|| format!("writing {name}"))?;
    }
    fs::write(out.join("run.sh"), folder.script()).context("writing run.sh")?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(out.join("run.sh"), executable).context("run.sh")?;
    }
    let programs = ["check"].into_iter().chain(own.map(|(_, name)| name));
    let programs = programs.chain(contract.map(|_| "contract"));
    let programs = programs.map(|name| out.join("bin").join(name));
    run_aloud(std::process::Command::new("strip").args(programs))?;
    let (name, bytes) = (folder.name, size(&out)?);
    println!(
        "gpu: {} MB in target/gpu/{name}; there: ./run.sh, which says what it does",
        bytes / 1_000_000
    );
    match bytes <= MOST_BYTES {
        true => Ok(()),
        false => bail!("{name}: {bytes} bytes, a folder has at most {MOST_BYTES}"),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to)
        .with_context(|| format!("copying {} to {}", from.display(), to.display()))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => copy(&entry.path(), &to)?,
        }
    }
    Ok(())
}

fn size(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        bytes += match entry.file_type()?.is_dir() {
            true => size(&entry.path())?,
            false => entry.metadata()?.len(),
        };
    }
    Ok(bytes)
}
