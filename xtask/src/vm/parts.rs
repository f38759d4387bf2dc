//! What the virtual unit is made of besides the product: QEMU, Debian's kernel with its modules, busybox.
//!
//! Owns the cache folder of the board's parts; a run after the first asks nobody. Refuses a kernel of the cloud: it has
//! no camera, no serial adapter and no GPIO.

use super::modules;
use crate::apt::{self, Foreign};
use crate::program::run_quietly;
use anyhow::{Context as _, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_models::pack::cache_dir;

/// The board's parts, on this machine.
pub(super) struct Parts {
    /// The emulator.
    pub(super) qemu: PathBuf,
    /// What makes a file system in a file.
    pub(super) mke2fs: PathBuf,
    /// The kernel.
    pub(super) kernel: PathBuf,
    /// Its modules, in the order in which they load.
    pub(super) modules: Vec<PathBuf>,
    /// The modules of the USB device port, by the kernel's names.
    pub(super) gadget: Vec<PathBuf>,
    /// The shell and the small programs of the board, one static file.
    pub(super) busybox: PathBuf,
}

/// Finds the parts, and fetches what is missing.
///
/// # Errors
/// If one cannot be had; the error says which.
pub(super) fn find() -> Result<Parts> {
    apt::install(&["qemu-system-aarch64"], &["qemu-system-arm"])?;
    apt::install(&["mke2fs"], &["e2fsprogs"])?;
    let folder = cache_dir()?.join("vm/aarch64");
    // The list of wishes stands beside what was made from it, as the last thing: a fetch that broke off is none.
    let (made_for, wishes) =
        (folder.join("modules.txt"), [&modules::WISHES[..], &modules::GADGET].concat().join("\n"));
    if fs::read_to_string(&made_for).ok().as_ref() != Some(&wishes) {
        println!("vm: fetching Debian's kernel for the board (61 MB, once)");
        fetch(&folder).context("the board's kernel")?;
        fs::write(&made_for, wishes).context("the board's kernel")?;
    }
    let files = |name| -> Result<Vec<PathBuf>> {
        let files = fs::read_dir(folder.join(name)).context("the board's modules")?;
        let mut files: Vec<PathBuf> = files.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        Ok(files)
    };
    let found = |name| apt::program(name).with_context(|| format!("{name} is missing"));
    Ok(Parts {
        qemu: found("qemu-system-aarch64")?,
        mke2fs: found("mke2fs")?,
        kernel: folder.join("kernel"),
        modules: files("modules")?,
        gadget: files("gadget")?,
        busybox: folder.join("busybox"),
    })
}

/// Unpacks the packages beside the folder and keeps of them what the board needs.
fn fetch(folder: &Path) -> Result<()> {
    let work = folder.with_extension("fetching");
    let tree = unpack(&work, folder, "arm64")?;
    for part in ["modules", "gadget"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let order = modules::in_order(&tree, &modules::WISHES)?;
    for (place, module) in order.iter().enumerate() {
        let name = format!("modules/{:02}-{}.ko", place, modules::name(module));
        fs::copy(module, folder.join(name))?;
    }
    for module in modules::in_order(&tree, &modules::GADGET)? {
        let name = module.file_name().context("a module without a name")?;
        fs::copy(&module, folder.join("gadget").join(name))?;
    }
    fs::remove_dir_all(&work)?;
    Ok(())
}

/// Fetches Debian's kernel and a static busybox of an architecture, and puts both into a new folder. Gives the tree of the kernel's modules,
/// which stands in `work`.
///
/// # Errors
/// If one cannot be had.
pub(super) fn unpack(work: &Path, folder: &Path, architecture: &str) -> Result<PathBuf> {
    for stale in [work, folder] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    let unpacked = work.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    fs::create_dir_all(folder)?;
    let debian = Foreign::open(work, architecture)?;
    debian.unpack(&debian.stands_for(&format!("linux-image-{architecture}"))?, &unpacked)?;
    debian.unpack("busybox-static", &unpacked)?;
    let kernel = fs::read_dir(unpacked.join("boot"))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains("/vmlinuz-"))
        .context("the package holds no kernel")?;
    fs::copy(kernel, folder.join("kernel"))?;
    fs::copy(unpacked.join("bin/busybox"), folder.join("busybox"))?;
    Ok(unpacked.join("lib/modules"))
}

/// A file of that size with an ext4 in it that holds a root.
///
/// # Errors
/// If it cannot be written.
pub(super) fn disk(parts: &Parts, path: &Path, bytes: u64, root: &Path) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("writing {}", path.display()))?;
    file.set_len(bytes).with_context(|| format!("writing {}", path.display()))?;
    run_quietly(Command::new(&parts.mke2fs).args(["-q", "-t", "ext4", "-d"]).arg(root).arg(path))
}
