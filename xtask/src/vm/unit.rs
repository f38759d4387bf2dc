//! The product on the board: what its first file system holds, and what stands before its camera.
//!
//! Owns the pictures before its camera; how it is configured stands in `guest/unit.toml`. The unit's serial line, camera, lock and flash are
//! the board's; only the button inside its housing is a file, since the board has one input line that can be driven.

use super::aarch64::{LIBRARIES, Toolchain};
use super::initramfs::Archive;
use super::parts::Parts;
use super::pictures;
use crate::demo::door::Host;
use crate::repository::root;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The packs on the board: the detector and the smaller embedder, since its processor is emulated.
const PACKS: [&str; 2] = ["mtcnn.pack", "dlib-resnet29.pack"];

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
    let guest = root().join("xtask/src/vm/guest");
    let mut archive = Archive::default();
    for name in ["bin", "lib", "modules", "packs", "pictures"] {
        archive.folder(name);
    }
    archive.copy("init", &guest.join("init"))?;
    archive.copy("unit.toml", &guest.join("unit.toml"))?;
    archive.copy("bin/busybox", &parts.busybox)?;
    for module in &parts.modules {
        let name = module.file_name().unwrap_or_default().to_string_lossy();
        archive.copy(&format!("modules/{name}"), module)?;
    }
    let (edge, feed) = (folder.join("threshold-edge"), folder.join("feed"));
    toolchain.strip(&toolchain.build()?, &edge)?;
    toolchain.compile(&guest.join("feed.c"), &feed)?;
    archive.copy("bin/threshold-edge", &edge)?;
    archive.copy("bin/feed", &feed)?;
    for library in LIBRARIES {
        archive.copy(&format!("lib/{library}"), &toolchain.library(library))?;
    }
    for pack in PACKS {
        archive.copy(&format!("packs/{pack}"), &host.packs.join(pack))?;
    }
    archive.file(&format!("pictures/{NOBODY}"), &pictures::yuyv(&pictures::empty_room()));
    for (name, photo) in PEOPLE {
        let photo = photos.join(photo);
        let detected = host.json(&["detect", "--min-face", "80", &photo.display().to_string()])?;
        let frame = pictures::person(&photo, &detected)
            .with_context(|| format!("a frame from {}", photo.display()))?;
        frame.save(folder.join(format!("{name}.png"))).context("writing a frame")?;
        archive.file(&format!("pictures/{name}"), &pictures::yuyv(&frame));
    }
    let path = folder.join("initramfs");
    fs::write(&path, archive.close()).context("writing the board's first file system")?;
    Ok(path)
}
