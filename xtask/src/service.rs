//! The service files: systemd knows every word of them, and says how much the unit could reach.
//!
//! Owns the limit. Refuses to need a running systemd: files are looked at, nothing is installed or started.

use crate::apt;
use crate::program::output;
use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// The service files, from the root of the workspace, the unit's first.
const FOLDER: &str = "edge/system";
const FILES: [&str; 3] =
    ["threshold-edge.service", "threshold-first.service", "usb-gadget.service"];

/// The most exposure, in tenths of systemd's points, of which 100 is a service without a fence.
const EXPOSURE: u32 = 20;

/// The first version that takes `--offline` and `--threshold`.
const OFFLINE: u32 = 250;

/// Makes sure that `systemd-analyze` is there.
///
/// # Errors
/// If it is not and cannot be installed.
pub(crate) fn tool() -> Result<()> {
    let version = || {
        let said = output(Command::new("systemd-analyze").arg("--version")).ok()?;
        said.split_whitespace().find_map(|word| word.parse::<u32>().ok())
    };
    let is_new_enough = |found: u32| match found {
        OFFLINE.. => Ok(()),
        _ => bail!("systemd-analyze {found} is too old: {OFFLINE} or later looks at files alone"),
    };
    apt::install(&["systemd-analyze"], &["systemd"])?;
    is_new_enough(version().context("systemd-analyze does not say its version")?)
}

/// Checks the files.
///
/// # Errors
/// If systemd has anything to say of one, or the unit's exposure is over the limit.
pub(crate) fn run() -> Result<()> {
    let folder = root().join("target/service");
    std::fs::create_dir_all(&folder).context("target/service")?;
    for name in FILES {
        let file = format!("{FOLDER}/{name}");
        let text = std::fs::read_to_string(root().join(&file)).with_context(|| file.clone())?;
        // Looked at where its program is not installed.
        let started = |line: &str| match line.split_once('=') {
            Some((key, _)) if key.starts_with("Exec") => format!("{key}=/bin/true\n"),
            _ => format!("{line}\n"),
        };
        let copy = folder.join(name);
        std::fs::write(&copy, text.lines().map(started).collect::<String>())
            .context("target/service")?;
        let mut verify = Command::new("systemd-analyze");
        let verified =
            verify.args(["verify", "--man=no"]).arg(&copy).output().context("systemd-analyze")?;
        let said = String::from_utf8_lossy(&verified.stderr);
        // What systemd does not know it passes over, and says so.
        if !verified.status.success() || said.contains(name) {
            bail!("{file}: {}", said.trim());
        }
    }
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager"]);
    security.arg(format!("--threshold={EXPOSURE}")).arg(folder.join(FILES[0]));
    let told = output(&mut security)?;
    println!("{}", told.lines().last().unwrap_or_default());
    Ok(())
}
