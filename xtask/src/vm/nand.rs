//! `cargo xtask vm nand`: the store on NAND flash that Linux simulates, and on block devices.
//!
//! Owns a second, smaller machine. Debian's kernel for arm64 has no simulated flash; the one for amd64 has `nandsim`, with bad blocks and
//! pages and blocks that fail, and `mtdram`. The store's body for MTD and its tools run there as this machine builds them, on the
//! kernel's own `/dev/mtdN`, and on a partition and a disk of virtio.
//! Refuses KVM, as the board does, and a machine that is no amd64.

use super::initramfs::Archive;
use super::{modules, parts};
use crate::apt;
use crate::program::{executable, host_triple, output, run_quietly};
use crate::repository::root;
use anyhow::{Context as _, Result, bail, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use threshold_models::pack::cache_dir;

/// What is loaded at once, in that order. ext4 asks for crc32c by an alias.
const FIRST: [&str; 3] = ["virtio_pci", "virtio_blk", "crc32c_generic"];

/// What the script loads by itself when it needs it; what they need is loaded at once.
const LATER: [&str; 5] = ["nandsim", "mtdram", "mtd_blkdevs", "mtdblock", "ext4"];

/// The machine gives up after this long: several times what it takes.
const PATIENCE_S: &str = "1800";

/// As all tests are built with, so that nothing is built twice.
const FEATURES: &str = "threshold-tests/parquet";

/// Bytes of each disk.
const DISK_BYTES: u64 = 64 << 20;

/// Runs it.
///
/// # Errors
/// If a part is missing, or the store does not do what it must.
pub(super) fn run() -> Result<()> {
    let triple = host_triple()?;
    ensure!(
        triple.starts_with("x86_64"),
        "simulated flash runs on a machine of amd64, not on {triple}"
    );
    apt::install(&["qemu-system-x86_64"], &["qemu-system-x86"])?;
    apt::install(&["mke2fs"], &["e2fsprogs"])?;
    let kept = kernel()?;
    let folder = root().join("target/vm-nand");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let edge = executable(&["build", "--features", FEATURES, "--bin", "threshold-edge"])?;
    let tests = executable(&["test", "--features", FEATURES, "--test", "store", "--no-run"])?;
    let initramfs = folder.join("initramfs");
    fs::write(&initramfs, archive(&kept, &edge, &tests)?).context("writing the initramfs")?;
    let disks = ["first", "second", "third"].map(|name| folder.join(name));
    for (disk, front) in disks.iter().zip([partitioned(), Vec::new(), Vec::new()]) {
        let shown = || disk.display().to_string();
        fs::write(disk, front).with_context(shown)?;
        let file = fs::OpenOptions::new().write(true).open(disk).with_context(shown)?;
        file.set_len(DISK_BYTES).with_context(shown)?;
    }
    run_quietly(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(&disks[2]))?;
    boot(&kept, &initramfs, &disks)
}

/// The kernel with its modules and a shell, in the cache folder.
fn kernel() -> Result<PathBuf> {
    let folder = cache_dir()?.join("vm/amd64");
    let (made_for, wishes) = (folder.join("modules.txt"), [&FIRST[..], &LATER].concat().join("\n"));
    if fs::read_to_string(&made_for).ok().as_ref() == Some(&wishes) {
        return Ok(folder);
    }
    println!("vm nand: fetching Debian's kernel for amd64 (71 MB, once)");
    let work = folder.with_extension("fetching");
    let tree = parts::unpack(&work, &folder, "amd64")?;
    for part in ["modules", "later"] {
        fs::create_dir_all(folder.join(part))?;
    }
    let later = modules::in_order(&tree, &LATER)?;
    let at_once = later.iter().filter(|path| !LATER.contains(&modules::name(path).as_str()));
    let first = modules::in_order(&tree, &FIRST)?;
    for (place, module) in first.iter().chain(at_once).enumerate() {
        fs::copy(module, folder.join(format!("modules/{place:02}-{}.ko", modules::name(module))))?;
    }
    for module in later.iter().filter(|path| LATER.contains(&modules::name(path).as_str())) {
        fs::copy(module, folder.join(format!("later/{}.ko", modules::name(module))))?;
    }
    fs::remove_dir_all(&work)?;
    fs::write(&made_for, wishes).context("keeping the kernel")?;
    Ok(folder)
}

/// The machine's only file system.
fn archive(kept: &Path, edge: &Path, tests: &Path) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    let mut folders = BTreeSet::new();
    archive.copy("init", &root().join("xtask/src/vm/guest/nand-init"))?;
    make(&mut archive, &mut folders, Path::new("bin"));
    archive.copy("bin/busybox", &kept.join("busybox"))?;
    make(&mut archive, &mut folders, Path::new("media/modules"));
    archive.copy("media/threshold-edge", edge)?;
    archive.copy("media/store-tests", tests)?;
    for (from, to) in [("modules", "media/modules"), ("later", "media")] {
        let files = fs::read_dir(kept.join(from)).with_context(|| from.to_owned())?;
        for file in files.filter_map(|entry| Some(entry.ok()?.path())) {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            archive.copy(&format!("{to}/{name}"), &file)?;
        }
    }
    // The tests work in the folder that the build gave them.
    let temporary = root().join("target/tmp");
    archive.file("media/where", format!("mkdir -p '{}'\n", temporary.display()).as_bytes());
    let mut libraries = BTreeSet::new();
    for program in [edge, tests] {
        libraries.extend(needs(&output(Command::new("ldd").arg(program))?));
    }
    for library in libraries {
        let inside = library.strip_prefix("/").unwrap_or(&library);
        make(&mut archive, &mut folders, inside.parent().unwrap_or(inside));
        archive.copy(&inside.display().to_string(), &library)?;
    }
    Ok(archive.close())
}

/// A folder with those that it is in, each once.
fn make(archive: &mut Archive, made: &mut BTreeSet<PathBuf>, folder: &Path) {
    let mut above: Vec<&Path> = folder.ancestors().collect();
    above.reverse();
    for folder in above.into_iter().filter(|path| !path.as_os_str().is_empty()) {
        if made.insert(folder.to_path_buf()) {
            archive.folder(&folder.display().to_string());
        }
    }
}

/// The files that `ldd` names.
fn needs(said: &str) -> Vec<PathBuf> {
    let words =
        said.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')));
    words.map(PathBuf::from).collect()
}

/// The first sector of a disk with one partition, from 1 MiB to its end.
fn partitioned() -> Vec<u8> {
    let (from, sectors) = (2048_u32, (DISK_BYTES / 512) as u32);
    let mut sector = vec![0; 512];
    sector[450] = 0x83;
    sector[454..458].copy_from_slice(&from.to_le_bytes());
    sector[458..462].copy_from_slice(&(sectors - from).to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Runs the machine; it says what it does.
fn boot(kept: &Path, initramfs: &Path, disks: &[PathBuf; 3]) -> Result<()> {
    let mut qemu = Command::new("setpriv");
    qemu.args(["--pdeathsig", "KILL", "timeout", PATIENCE_S, "qemu-system-x86_64"]);
    qemu.args("-M q35,accel=tcg -cpu max -smp 2 -m 1024 -nodefaults -display none".split(' '));
    qemu.args(["-no-reboot", "-serial", "stdio", "-kernel"]).arg(kept.join("kernel"));
    qemu.arg("-initrd").arg(initramfs);
    // An emulated timer on a machine that is busy ticks too late for the kernel's check of it, which then gives up.
    qemu.args(["-append", "console=ttyS0 loglevel=1 panic=-1 no_timer_check"]);
    for (disk, device) in
        disks.iter().zip(["", ",logical_block_size=4096,physical_block_size=4096", ""])
    {
        let name = disk.file_name().unwrap_or_default().to_string_lossy();
        qemu.arg("-drive").arg(format!("if=none,id={name},format=raw,file={}", disk.display()));
        qemu.arg("-device").arg(format!("virtio-blk-pci,drive={name}{device}"));
    }
    let mut machine =
        qemu.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("QEMU did not start")?;
    let mut done = false;
    let mut said = Vec::new();
    for line in machine.stdout.take().into_iter().flat_map(|out| BufReader::new(out).split(b'\n')) {
        let line = String::from_utf8_lossy(&line?).trim_end().to_owned();
        match line.split_once("media: ") {
            Some((_, words)) => {
                println!("  {words}");
                done |= words == "all done";
            }
            None => said.push(line),
        }
    }
    machine.wait().context("QEMU")?;
    if !done {
        let end = said.len().saturating_sub(40);
        bail!(
            "the store on real media failed; the machine's last lines:\n{}",
            said[end..].join("\n")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_a_program_are_read_from_what_ldd_says() {
        let said = "\tlinux-vdso.so.1 (0x7ffe)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x7f)\n\t/lib64/ld-linux-x86-64.so.2 (0x7f)\n";
        let expected =
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"].map(PathBuf::from);
        assert_eq!(needs(said), expected);
    }
}
