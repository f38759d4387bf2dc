//! The Debian package by which a machine becomes a unit, once: what root owns, and the first bundle.
//!
//! ```text
//! /usr/lib/threshold/first.bundle           the first version; threshold-first.service puts it into a slot at the first boot
//! /usr/lib/threshold/threshold-launch       starts the right slot
//! /usr/lib/threshold/usb-gadget             the USB device port as a serial line
//! /usr/lib/systemd/system, sysusers.d, udev
//! /etc/threshold/maker.toml                 whom the unit believes, and which board it is
//! /etc/threshold/unit.toml                  the settings
//! /usr/share/doc/threshold                  copyright, licences, bill of materials
//! ```
//! Owns what a machine needs besides a slot. Made with `dpkg-deb`, which every Debian and Ubuntu has; `cargo deb` would have to
//! be compiled first, and has no better idea of slots. Refuses keys: the first start makes them.

use crate::program::run_quietly;
use anyhow::{Context as _, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use threshold_bundle::Source;

/// The time of every file in the package, 2025-01-01: two makings are equal, and archives take files of 1970 for damaged.
const EPOCH: &str = "1735689600";

/// What root runs when the package comes; no key is made here.
const POSTINST: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = configure ] && [ -d /run/systemd/system ]; then
    systemd-sysusers threshold.conf
    systemctl daemon-reload
    udevadm control --reload || true
    udevadm trigger --subsystem-match=gpio --subsystem-match=tpmrm || true
fi
if [ \"$1\" = configure ] && [ -z \"$2\" ]; then
    # Once: what the owner disabled stays so when a later package comes, or this one again.
    # Not started now: the label is printed first, and a session over the USB port would be cut.
    systemctl enable threshold-first.service threshold-edge.service usb-gadget.service
fi
";

/// What root runs before it goes. What starts at a boot is left as it is, so that a package that comes back is a unit again.
const PRERM: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl stop threshold-edge.service usb-gadget.service threshold-first.service
fi
";

/// What root runs when it goes with its settings; the service files are gone by then.
const POSTRM: &str = "\
#!/bin/sh
set -e
if [ \"$1\" = purge ]; then
    cd /etc/systemd/system/multi-user.target.wants || exit 0
    rm -f threshold-edge.service usb-gadget.service threshold-first.service
fi
";

/// What Debian asks for first.
const COPYRIGHT: &str = "\
Copyright (c) The Threshold developers, and those of what it is made of
License: MIT OR Apache-2.0 (/usr/share/common-licenses/Apache-2.0), and those in licences.txt beside this file
";

/// What lintian says of every package like this one: its maker's address is not in the source; its changes stand in the
/// repository's changelog; the launcher is static so that nothing of the system keeps it from starting.
pub(super) const NOT_ASKED_OF_LINTIAN: &str =
    "bogus-mail-host,no-changelog,statically-linked-binary";

/// What goes into a package beside the bundle.
pub(super) struct Parts<'a> {
    /// As the bundle has it, `-development` and all.
    pub(super) version: &'a str,
    /// The first bundle.
    pub(super) bundle: &'a Path,
    /// What went into it, of which the package takes the files for systemd and the lists.
    pub(super) sources: &'a [Source],
    /// Whom the unit believes.
    pub(super) release_key: [u8; 32],
    /// The board.
    pub(super) compatible: &'a str,
    /// The C library that the programs ask for.
    pub(super) glibc: (u32, u32),
    /// The launcher, stripped.
    pub(super) launcher: &'a Path,
}

/// Builds the package from a root that is staged in that folder.
///
/// # Errors
/// If a part is missing, or `dpkg-deb` finds a fault.
pub(super) fn build(deb: &Path, staged: &Path, parts: &Parts<'_>) -> Result<()> {
    if staged.exists() {
        fs::remove_dir_all(staged).with_context(|| format!("removing {}", staged.display()))?;
    }
    let tree = Tree(staged);
    let of = |name: &str| {
        let source = parts.sources.iter().find(|source| source.name == name);
        let source = source.with_context(|| format!("the bundle has no {name}"))?;
        fs::read(&source.path).with_context(|| source.path.display().to_string())
    };
    let file = |path: &Path| fs::read(path).with_context(|| path.display().to_string());
    let library = "usr/lib/threshold";
    tree.put(&format!("{library}/first.bundle"), &file(parts.bundle)?, 0o644)?;
    tree.put(&format!("{library}/threshold-launch"), &file(parts.launcher)?, 0o755)?;
    let key: String = parts.release_key.iter().map(|byte| format!("{byte:02x}")).collect();
    let maker = format!("compatible = \"{}\"\nrelease_key = \"{key}\"\n", parts.compatible);
    tree.put("etc/threshold/maker.toml", maker.as_bytes(), 0o644)?;
    tree.put(&format!("{library}/usb-gadget"), &of("system/usb-gadget")?, 0o755)?;
    for unit in UNITS {
        let path = format!("usr/lib/systemd/system/{unit}");
        tree.put(&path, &of(&format!("system/{unit}"))?, 0o644)?;
    }
    tree.put("usr/lib/sysusers.d/threshold.conf", &of("system/sysusers.conf")?, 0o644)?;
    tree.put("usr/lib/udev/rules.d/70-threshold.rules", &of("system/udev.rules")?, 0o644)?;
    let settings = String::from_utf8(of("system/unit.toml")?).context("unit.toml is no text")?;
    tree.put("etc/threshold/unit.toml", settings_of_a_jetson(&settings)?.as_bytes(), 0o644)?;
    let documents = "usr/share/doc/threshold";
    tree.put(&format!("{documents}/copyright"), COPYRIGHT.as_bytes(), 0o644)?;
    tree.put(&format!("{documents}/licences.txt"), &of("about/licences.txt")?, 0o644)?;
    tree.put(&format!("{documents}/sbom.cdx.json"), &of("about/sbom.cdx.json")?, 0o644)?;

    tree.put("DEBIAN/control", control(parts, tree.kilobytes()?).as_bytes(), 0o644)?;
    tree.put("DEBIAN/conffiles", b"/etc/threshold/maker.toml\n/etc/threshold/unit.toml\n", 0o644)?;
    tree.put("DEBIAN/postinst", POSTINST.as_bytes(), 0o755)?;
    tree.put("DEBIAN/prerm", PRERM.as_bytes(), 0o755)?;
    tree.put("DEBIAN/postrm", POSTRM.as_bytes(), 0o755)?;
    let mut dpkg = Command::new("dpkg-deb");
    // Weights do not shrink; the rest is a tenth of the package.
    dpkg.args(["--build", "--root-owner-group", "-Zgzip", "-z1"]).arg(staged).arg(deb);
    run_quietly(dpkg.env("SOURCE_DATE_EPOCH", EPOCH))
}

/// The service files.
const UNITS: [&str; 3] =
    ["threshold-edge.service", "threshold-first.service", "usb-gadget.service"];

/// What the unit is told at first: the USB device port as its line, and the first camera. Everything else is a default.
fn settings_of_a_jetson(settings: &str) -> Result<String> {
    let mut settings = settings.to_owned();
    for (default, here) in [
        ("#serial = \"/dev/ttyUSB0\"", "serial = \"/dev/ttyGS0\""),
        ("#source = \"/dev/video0\"", "source = \"/dev/video0\""),
    ] {
        ensure!(settings.matches(default).count() == 1, "unit.toml has not one line {default}");
        settings = settings.replace(default, here);
    }
    Ok(settings)
}

fn control(parts: &Parts<'_>, kilobytes: u64) -> String {
    let ((major, minor), version) = (parts.glibc, parts.version.replace('-', "~"));
    let development = match parts.version.ends_with("-development") {
        true => {
            " DEVELOPMENT: it takes updates that anybody can sign, so that it is for no door\n that matters.\n"
        }
        false => "",
    };
    format!(
        "Package: threshold\nVersion: {version}\nArchitecture: arm64\nSection: misc\nPriority: optional\n\
         Maintainer: Threshold <threshold@localhost>\nInstalled-Size: {kilobytes}\n\
         Depends: libc6 (>= {major}.{minor}), libgcc-s1, systemd, udev, kmod\n\
         Description: offline face-recognition door unit\n{development} The unit watches a camera, decides, writes the decision \
         down, and only\n then moves the lock. A photo opens this door: presentation-attack detection\n is not installed.\n"
    )
}

/// The staged root.
struct Tree<'a>(&'a Path);

impl Tree<'_> {
    fn put(&self, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
        let file = self.0.join(path);
        let write = || {
            let folders = file.ancestors().skip(1).take_while(|folder| folder.starts_with(self.0));
            let folders: Vec<&Path> = folders.collect();
            for folder in folders.into_iter().rev().filter(|folder| !folder.exists()) {
                fs::create_dir_all(folder)?;
                // Whatever the mask of who builds is.
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
            }
            fs::write(&file, bytes)
        };
        write().with_context(|| format!("writing {}", file.display()))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))
            .with_context(|| format!("writing {}", file.display()))
    }

    /// The sum of its files' sizes.
    fn kilobytes(&self) -> Result<u64> {
        let mut waiting = vec![self.0.to_path_buf()];
        let mut bytes = 0;
        while let Some(folder) = waiting.pop() {
            for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
                let entry = entry?;
                match entry.file_type()?.is_dir() {
                    true => waiting.push(entry.path()),
                    false => bytes += entry.metadata()?.len(),
                }
            }
        }
        Ok(bytes.div_ceil(1024))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;
    use crate::repository::root;

    /// What a script asks of the system, as it runs where systemd does and udev does not.
    fn asked(script: &str, words: &[&str]) -> String {
        let folder = format!("threshold-scripts-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for (name, does) in [("systemctl", ""), ("systemd-sysusers", ""), ("udevadm", "exit 1")] {
            let program = folder.join(name);
            let text = format!("#!/bin/sh\necho {name} \"$@\" >> \"$ASKED\"\n{does}\n");
            fs::write(&program, text).unwrap();
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let asked = folder.join("asked");
        fs::write(&asked, "").unwrap();
        let script = script.replace("/run/systemd/system", "/");
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", &script, "script"]).args(words);
        let status = shell.env("PATH", &folder).env("ASKED", &asked).status().unwrap();
        assert!(status.success(), "{words:?}");
        let said = fs::read_to_string(&asked).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        said
    }

    #[test]
    fn a_package_that_goes_and_comes_back_is_still_started_at_a_boot() {
        let first = asked(POSTINST, &["configure", ""]);
        let enabled = "systemctl enable threshold-first.service threshold-edge.service";
        assert!(first.contains("systemd-sysusers") && first.contains(enabled), "{first}");
        let removed = asked(PRERM, &["remove"]);
        assert!(removed.contains("systemctl stop threshold-edge.service"), "{removed}");
        assert!(!removed.contains("disable"), "{removed}");
        // Debian gives the version before: whatever was enabled or not is as it was.
        let again = asked(POSTINST, &["configure", "0.1.0"]);
        assert!(!again.contains("able "), "{again}");
    }

    #[test]
    fn the_first_version_finds_every_folder_of_the_unit() {
        let line = |unit: &str, key: &str| {
            let text = fs::read_to_string(root().join("edge/system").join(unit)).unwrap();
            text.lines().find_map(|line| line.strip_prefix(key)).map(str::to_owned)
        };
        let [first, edge] = ["threshold-first.service", "threshold-edge.service"];
        assert_eq!(line(first, "StateDirectory="), line(edge, "StateDirectory="));
        assert_eq!(line(first, "User="), line(edge, "User="));
        assert_eq!(line(first, "Condition"), None, "a boot after a cut installs again");
        assert!(line(first, "ExecStart=").unwrap().contains(" install --if-none "));
    }
}
