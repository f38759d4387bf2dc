//! `cargo xtask vm`: the unit on a real kernel with a real camera, a real serial line and a real flash, without a board.
//!
//! Owns the virtual board and the trial that runs on it. Refuses to reach into the product: it sees the unit's serial line
//! through the real `threshold`, its notices on the board's console, and its outputs where the board has them.

mod aarch64;
mod board;
mod cable;
mod door;
mod gadget;
mod initramfs;
mod modules;
mod nand;
mod parts;
mod pictures;
mod soak;
mod system;
mod transcript;
mod trial;
mod unit;
mod update;
mod versions;

pub(crate) use aarch64::{TARGET, Toolchain};
pub(crate) use soak::soak;

use crate::demo::{self, door::Host};
use crate::program::{run_aloud, said};
use crate::repository::root;
use crate::setup;
use anyhow::{Context as _, Result};
use clap::{Subcommand, ValueEnum};
use door::Door;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use transcript::Transcript;
use versions::Versions;

/// The page of the last trial that somebody ran for its own sake.
const TRANSCRIPT: &str = "docs/vm-transcript.md";

/// The size of the board's flash: the system, two slots, a bundle that comes, and what the log and the gallery may grow to, which no
/// update takes. What nobody wrote takes no room in the file.
const FLASH_BYTES: u64 = 2 << 30;

/// What to do with the board.
#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum Vm {
    /// The trial: pairs, enrols, visits, updates, the camera's plug, power cuts; with a transcript under docs/.
    Test,
    /// The unit's line by the USB device port, which the board's kernel loops to a host port.
    Gadget,
    /// The store on NAND that Linux simulates, with bad blocks and failing pages, and on block devices; on a machine of its own.
    Nand,
}

/// An architecture that the unit is built for beside that of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// 64-bit Arm, as most door units have.
    Aarch64,
}

/// `cargo xtask build --target`.
///
/// # Errors
/// If a part of the toolchain cannot be had, or the build fails.
pub(crate) fn build(Target::Aarch64: Target) -> Result<()> {
    let binary = Toolchain::find()?.build()?;
    let shown = binary.strip_prefix(root()).unwrap_or(&binary).display().to_string();
    println!("built: {shown} ({} bytes)", fs::metadata(&binary)?.len());
    Ok(())
}

/// A machine on which the board can run.
pub(crate) struct Workshop {
    /// For tests of their own.
    pub(crate) toolchain: Toolchain,
    parts: parts::Parts,
}

impl Workshop {
    /// Finds what the board needs, and fetches what is missing.
    ///
    /// # Errors
    /// If a part cannot be had: then nothing is said about the unit.
    pub(crate) fn open() -> Result<Self> {
        Ok(Self { toolchain: Toolchain::find()?, parts: parts::find()? })
    }
}

/// Runs what was asked.
///
/// # Errors
/// If a part is missing, or the unit does not do what it must.
pub(crate) fn run(asked: Option<Vm>) -> Result<()> {
    if matches!(asked, Some(Vm::Nand)) {
        return nand::run();
    }
    let workshop = Workshop::open()?;
    match asked {
        Some(Vm::Test) => {
            let page = trial(workshop)?;
            fs::write(root().join(TRANSCRIPT), page).context("writing the transcript")?;
            println!("written: {TRANSCRIPT}");
            Ok(())
        }
        Some(Vm::Gadget) => {
            let (mut door, photos, _sockets) = make(workshop)?;
            trial::begin(&mut door, &photos)?;
            gadget::run(&mut door)
        }
        Some(Vm::Nand) | None => attend(workshop),
    }
}

/// Runs the trial; the page that tells of it.
///
/// # Errors
/// If the unit does not do what it must.
pub(crate) fn trial(workshop: Workshop) -> Result<String> {
    let (mut door, photos, _sockets) = make(workshop)?;
    let figures = trial::run(&mut door, &photos)?;
    let table = figures.table();
    print!("{table}");
    let kernel = door.ask("uname -r")?;
    let date = said(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    let qemu = said(Command::new(&door.parts.qemu).arg("--version"))?;
    let qemu = qemu.lines().next().unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().nth(1).unwrap_or("unknown");
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    Ok(format!(
        "# A trial of the virtual unit\n\nWritten by `cargo xtask vm test`.\n\nDate {date}; {qemu}, board `virt`, two emulated \
         Cortex-A57 without KVM, Debian's kernel {kernel} and systemd; model dlib ResNet-29.\nSeconds count from the power; the \
         machine has {processors} processors, and its load over five minutes was {load}.\n\n{table}\n```text{}```\n",
        door.transcript.text()
    ))
}

/// A board to play with: its unit's line, and what its console is told, until the input ends.
fn attend(workshop: Workshop) -> Result<()> {
    let (mut door, _, _sockets) = make(workshop)?;
    let board_s = door.power_on(unit::NOBODY)?;
    println!("the code on the label: {}", door.label()?);
    door.first_started(board_s)?;
    println!("the unit's line: {}", door.host.port.display());
    let people = unit::PEOPLE.map(|(name, _)| name).join(", ");
    println!(
        "the board does what is typed here: touch /run/button; show NAME ({people} or nobody)"
    );
    for line in std::io::stdin().lines() {
        match door.ask(&line.context("reading what was typed")?) {
            Ok(said) => println!("{said}"),
            Err(error) => println!("{error:#}"),
        }
    }
    Ok(())
}

/// Sockets lie in a folder of their own with a short name, which goes with the run.
struct Sockets(PathBuf);

impl Sockets {
    fn make() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("threshold-vm-{}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Builds the binaries and the board's file systems.
fn make(workshop: Workshop) -> Result<(Door, PathBuf, Sockets)> {
    let Workshop { toolchain, parts } = workshop;
    let stock = setup::setup()?;
    println!("building the release binaries");
    run_aloud(&mut demo::build())?;
    let folder = root().join("target/vm");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let host = Host {
        binary: root().join("target/release/threshold"),
        port: folder.join("port"),
        packs: stock.packs.clone(),
        keys: folder.join("keys"),
    };
    let initramfs = unit::initramfs(&parts, &toolchain, &host, &stock.photos, &folder)?;
    let versions = Versions::make(&toolchain, &stock, &folder)?;
    let system = system::make(&folder, &versions.package, &unit::guest().join("unit.toml"))?;
    let flash = folder.join("flash");
    parts::disk(&parts, &flash, FLASH_BYTES, &system)?;
    let sockets = Sockets::make()?;
    let door = Door {
        parts,
        initramfs,
        flash,
        folder: sockets.0.clone(),
        host,
        versions,
        board: None,
        transcript: Transcript::default(),
        seen: 0,
    };
    Ok((door, stock.photos, sockets))
}
