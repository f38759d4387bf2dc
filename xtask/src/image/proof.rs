//! That an image installs and runs, without a board: into a small root of Debian's for arm64, by the administrator's own
//! `threshold flash --first`, and then the programs in it under QEMU's emulation of one process.
//!
//! Owns the root's making. Refuses to call that a boot: systemd, udev, camera and USB port are not tried here.

use super::{COMPATIBLE, Made};
use crate::apt;
use crate::program::{output, run_quietly};
use crate::repository::root;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What such a root needs for one program: who it is, the C library, the compiler's.
const PACKAGES: [&str; 3] = ["base-files", "libc6", "libgcc-s1"];

/// Emulates one process.
const QEMU: &str = "qemu-aarch64-static";

/// Installs the package into a root, made anew in that folder, and runs what is in it.
///
/// # Errors
/// If a step fails, or a program does not say what it must.
pub(super) fn run(made: &Made, folder: &Path) -> Result<()> {
    fresh_root(folder).context("a root of Debian's for arm64")?;
    let tool = root().join("target/release/threshold");
    ensure!(tool.is_file(), "threshold is not built: cargo build --release");
    let first = |root: &Path| {
        let mut command = Command::new(&tool);
        command.args(["flash", "--first"]).arg(root).arg(&made.deb);
        command
    };
    run_quietly(&mut first(folder))?;
    for unit in ["threshold-first", "threshold-edge", "usb-gadget"] {
        let wanted = format!("etc/systemd/system/multi-user.target.wants/{unit}.service");
        let link = fs::read_link(folder.join(&wanted)).with_context(|| wanted.clone())?;
        let unit = folder.join(link.strip_prefix("/").unwrap_or(&link));
        ensure!(unit.is_file(), "{wanted} leads to nothing");
    }
    let data = folder.join("var/lib/threshold");
    ensure!(!data.exists(), "the package brought data of a unit");
    // As threshold-first.service does, with the paths of this machine for those of the unit's.
    let library = folder.join("usr/lib/threshold");
    let (slots, maker) =
        (folder.join("var/lib/threshold-slots"), folder.join("etc/threshold/maker.toml"));
    let launch = |what: &str| {
        let mut command = Command::new(QEMU);
        command.arg(library.join("threshold-launch")).arg(what);
        command.arg("--slots").arg(&slots).arg("--maker").arg(&maker);
        command
    };
    let first = || output(launch("install").arg("--if-none").arg(library.join("first.bundle")));
    let said = first()?;
    ensure!(said.contains("is on trial"), "the first version is not on trial: {said}");
    let said = first()?;
    ensure!(said.contains("nothing was installed"), "a second boot installs again: {said}");
    let status = output(&mut launch("status"))?;
    ensure!(
        status.contains("slot a: version") && status.contains("security counter 1"),
        "the slots stand so: {status}"
    );
    let edge = slots.join("a/threshold-edge");
    let unit = |arguments: &[&str]| {
        let mut command = Command::new(QEMU);
        command.arg("-L").arg(folder).arg(&edge).args(arguments);
        command
    };
    let version = output(&mut unit(&["--version"]))?;
    ensure!(version.contains(env!("CARGO_PKG_VERSION")), "the unit says {version:?}");
    let settings = folder.join("etc/threshold/unit.toml");
    run_quietly(unit(&["config", "check"]).arg(&settings))?;
    // The first start makes keys, and the label comes from them.
    run_quietly(unit(&["label"]).arg(&data))?;
    ensure!(data.exists(), "label made no keys");
    // A version for another board is not taken.
    let other = folder.join("other.toml");
    let text = fs::read_to_string(&maker)?.replace(COMPATIBLE, "another-board");
    fs::write(&other, text).context("writing a maker's file")?;
    let refused = Command::new(QEMU)
        .arg(library.join("threshold-launch"))
        .args(["install", "--maker"])
        .arg(&other)
        .arg("--slots")
        .arg(folder.join("other-slots"))
        .arg(library.join("first.bundle"))
        .output()?;
    ensure!(!refused.status.success(), "a bundle for another board was installed");
    println!("image: installed into a root of Debian's for arm64; {}", version.trim());
    Ok(())
}

/// A root with nothing of ours in it, from packages that are fetched once.
fn fresh_root(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    apt::copy_of_root("arm64-root", &PACKAGES, folder)
}
