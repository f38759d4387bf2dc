//! The board's first file system: what drives the board, and what stands before its camera.
//!
//! Owns the pictures before its camera; how the unit is configured stands in `guest/unit.toml`. The unit itself lies on the flash. Its
//! serial line, camera, lock and flash are the board's; only the button inside its housing is a file, since the board has one input line
//! that can be driven.

use super::aarch64::Toolchain;
use super::initramfs::Archive;
use super::parts::Parts;
use super::pictures;
use crate::demo::door::Host;
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// What of `guest` lies on the board, under /board.
const GUEST: [&str; 6] =
    ["camera", "console", "gadget", "board.service", "board.conf", "gadget.conf"];

/// Who may stand before the camera, by the name of the picture on the board.
pub(super) const PEOPLE: [(&str, &str); 3] =
    [("obama", "obama2.jpg"), ("obama-again", "obama3.jpg"), ("stranger", "biden.jpg")];

/// The GPIO line of the door's relay, as the configuration has it.
pub(super) const RELAY: u32 = 0;

/// Nobody, by the name of the picture on the board.
pub(super) const NOBODY: &str = "nobody";

/// Writes the board's first file system.
///
/// # Errors
/// If a part is missing or does not build.
pub(super) fn initramfs(
    parts: &Parts,
    toolchain: &Toolchain,
    host: &Host,
    photos: &Path,
    folder: &Path,
) -> Result<PathBuf> {
    let guest = guest();
    let mut archive = Archive::default();
    for name in ["bin", "board", "board/modules", "board/gadget-modules", "board/pictures"] {
        archive.folder(name);
    }
    archive.copy("init", &guest.join("init"))?;
    archive.copy("bin/busybox", &parts.busybox)?;
    for name in GUEST {
        let text = fs::read(guest.join(name)).with_context(|| name.to_owned())?;
        archive.file(&format!("board/{name}"), &text);
    }
    for module in &parts.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(&format!("board/modules/{name}"), module)?;
    }
    for module in &parts.gadget {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(&format!("board/gadget-modules/{name}"), module)?;
    }
    let feed = folder.join("feed");
    toolchain.compile(&guest.join("feed.c"), &feed)?;
    archive.copy("board/feed", &feed)?;
    archive.file(&format!("board/pictures/{NOBODY}"), &pictures::yuyv(&pictures::empty_room()));
    for (name, photo) in PEOPLE {
        let photo = photos.join(photo);
        let detected = host.json(&["detect", "--min-face", "80", &photo.display().to_string()])?;
        let frame = pictures::person(&photo, &detected)
            .with_context(|| format!("a frame from {}", photo.display()))?;
        frame.save(folder.join(format!("{name}.png"))).context("writing a frame")?;
        archive.file(&format!("board/pictures/{name}"), &pictures::yuyv(&frame));
    }
    let path = folder.join("initramfs");
    fs::write(&path, archive.close()).context("writing the board's first file system")?;
    Ok(path)
}

/// The folder of what runs on the board beside the product.
pub(super) fn guest() -> PathBuf {
    root().join("xtask/src/vm/guest")
}
