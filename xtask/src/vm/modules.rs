//! Which kernel modules the board needs, and the order in which they load.
//!
//! Owns the wishes; what each needs before it is told by the module itself (`depends=` in its `.modinfo`), so that a
//! newer kernel of Debian's needs no change here. Refuses to guess: a wish that the kernel's package lacks is an error.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What the board has, by the module that drives it. `gpio_keys` is left out on purpose: it would claim input line 3,
/// which is the unit's request to exit. ext4 asks for crc32c by an alias, so that no `depends=` tells.
pub(super) const WISHES: [&str; 8] = [
    "virtio_pci",
    "virtio_blk",
    "crc32c_generic",
    "ext4",
    "xhci_pci",
    "ftdi_sio",
    "softdog",
    "vivid",
];

/// The USB device port, which the kernel's `dummy_hcd` loops to a host port of its own, and the driver at the other end. They load by
/// their names, as on a board: some when the package's script asks for them, some when the kernel does.
pub(super) const GADGET: [&str; 4] = ["dummy_hcd", "libcomposite", "usb_f_acm", "cdc_acm"];

/// The files of the wishes and of what they need, each after what it needs.
///
/// # Errors
/// If one is not there.
pub(super) fn in_order(tree: &Path, wishes: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = BTreeMap::new();
    walk(tree, &mut found)?;
    let mut order = Vec::new();
    for wish in wishes {
        append(wish, &found, &mut order)?;
    }
    Ok(order)
}

fn walk(folder: &Path, found: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry.context("reading the kernel's modules")?.path();
        if path.is_dir() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|ending| ending == "ko") {
            found.insert(name(&path), path);
        }
    }
    Ok(())
}

/// The kernel's name of a module: the file's, with `_` for `-`.
pub(super) fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().replace('-', "_")
}

fn append(wish: &str, found: &BTreeMap<String, PathBuf>, order: &mut Vec<PathBuf>) -> Result<()> {
    let path = found.get(&wish.replace('-', "_"));
    let path = path.with_context(|| format!("the kernel has no module {wish}"))?;
    if order.contains(path) {
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    for need in needs(&bytes) {
        append(&need, found, order)?;
    }
    order.push(path.clone());
    Ok(())
}

/// What a module says that it needs.
fn needs(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let rest = &module[at + KEY.len()..];
    let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
    let text = String::from_utf8_lossy(&rest[..end]);
    text.split(',').filter(|need| !need.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

    use super::*;

    fn names(order: &[PathBuf]) -> Vec<String> {
        order.iter().map(|path| name(path)).collect()
    }

    #[test]
    fn modules_load_after_what_they_need_and_a_missing_one_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-modules-{}", std::process::id()));
        fs::create_dir_all(folder.join("usb")).unwrap();
        for (file, needs) in [
            ("usb/xhci-pci.ko", "usbcore,xhci_hcd"),
            ("usbcore.ko", ""),
            ("xhci-hcd.ko", "usbcore"),
        ] {
            fs::write(folder.join(file), format!("ELF\0license=GPL\0depends={needs}\0")).unwrap();
        }
        let order = in_order(&folder, &["xhci_pci", "usbcore"]).unwrap();
        assert_eq!(names(&order), ["usbcore", "xhci_hcd", "xhci_pci"]);
        let missing = in_order(&folder, &["vivid"]).unwrap_err();
        assert_eq!(missing.to_string(), "the kernel has no module vivid");
        fs::remove_dir_all(&folder).unwrap();
    }
}
