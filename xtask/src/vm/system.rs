//! The system on the board's flash: Debian with systemd, made a unit by the real `threshold flash --first`.
//!
//! Owns what such a root needs that the packages' own scripts would have done, and what of systemd is left out: what takes seconds of
//! an emulated processor and does nothing for a unit. Refuses udev, whose look at every terminal takes longer than all the rest; the
//! board's init gives the devices to their groups.

use crate::apt;
use crate::program::run_quietly;
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The packages, with what they need.
const PACKAGES: [&str; 5] = ["base-files", "base-passwd", "libc6", "libgcc-s1", "systemd"];

/// What of them nobody on the board reads.
const LEFT_OUT: [&str; 3] = ["usr/share/doc", "usr/share/locale", "usr/share/man"];

/// Units of systemd that are masked: file systems and modules that the board has not, terminals to log in at, what remembers things
/// from one boot to the next.
const MASKED: [&str; 30] = [
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "getty.target",
    "kmod-static-nodes.service",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-firstboot.service",
    "systemd-journal-flush.service",
    "systemd-logind.service",
    "systemd-machine-id-commit.service",
    "systemd-modules-load.service",
    "systemd-network-generator.service",
    "systemd-pcrphase-sysinit.service",
    "systemd-pcrphase.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-repart.service",
    "systemd-sysctl.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-update-utmp.service",
    "systemd-user-sessions.service",
];

/// Makes the root in a folder and the package's unit of it.
///
/// # Errors
/// If a part is missing, or `threshold flash --first` refuses it.
pub(super) fn make(folder: &Path, deb: &Path, settings: &Path) -> Result<PathBuf> {
    let system = folder.join("system");
    apt::copy_of_root("arm64-systemd", &PACKAGES, &system)?;
    for name in LEFT_OUT.iter().filter(|name| system.join(name).exists()) {
        fs::remove_dir_all(system.join(name)).with_context(|| format!("removing {name}"))?;
    }
    let put = |name: &str, text: &str| {
        fs::write(system.join(name), text).with_context(|| format!("writing {name}"))
    };
    // As the script of base-passwd does.
    for name in ["passwd", "group"] {
        let master = system.join(format!("usr/share/base-passwd/{name}.master"));
        fs::copy(master, system.join("etc").join(name)).with_context(|| format!("etc/{name}"))?;
    }
    put("etc/hostname", "virtual-unit\n")?;
    put("etc/machine-id", "7468726573686f6c642d626f61726400\n")?;
    for unit in MASKED {
        symlink("/dev/null", system.join("etc/systemd/system").join(unit)).context(unit)?;
    }
    // The owner's settings, which the package leaves as they are.
    let place = system.join("etc/threshold");
    fs::create_dir_all(&place).context("etc/threshold")?;
    fs::copy(settings, place.join("unit.toml")).context("the unit's settings")?;
    let mut first = Command::new(root().join("target/release/threshold"));
    run_quietly(first.args(["flash", "--first"]).arg(&system).arg(deb))?;
    Ok(system)
}
