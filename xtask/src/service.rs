//! The unit's service file: systemd knows every word of it, and says how much the service could reach.
//!
//! Owns the limit. Refuses to need a running systemd: files are looked at, nothing is installed or started.

use crate::apt;
use crate::program::output;
use crate::repository::root;
use anyhow::{Context as _, Result, bail};
use std::process::Command;

/// The service file, from the root of the workspace.
const FILE: &str = "edge/system/threshold-edge.service";

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

/// Checks the file.
///
/// # Errors
/// If systemd has anything to say of it, or its exposure is over the limit.
pub(crate) fn run() -> Result<()> {
    let text = std::fs::read_to_string(root().join(FILE)).with_context(|| FILE.to_owned())?;
    // Looked at where its program is not installed.
    let program =
        text.lines().find(|line| line.starts_with("ExecStart=")).context("no ExecStart")?;
    let folder = root().join("target/service");
    std::fs::create_dir_all(&folder).context("target/service")?;
    let copy = folder.join("threshold-edge.service");
    std::fs::write(&copy, text.replace(program, "ExecStart=/bin/true"))
        .context("target/service")?;
    let mut verify = Command::new("systemd-analyze");
    let verified =
        verify.args(["verify", "--man=no"]).arg(&copy).output().context("systemd-analyze")?;
    let said = String::from_utf8_lossy(&verified.stderr);
    // What systemd does not know it passes over, and says so.
    if !verified.status.success() || said.contains("threshold-edge.service") {
        bail!("{FILE}: {}", said.trim());
    }
    let mut security = Command::new("systemd-analyze");
    security.args(["security", "--offline=true", "--no-pager"]);
    security.arg(format!("--threshold={EXPOSURE}")).arg(&copy);
    let told = output(&mut security)?;
    println!("{}", told.lines().last().unwrap_or_default());
    Ok(())
}
