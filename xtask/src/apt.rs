//! Debian's packages: installed where a program is missing, or unpacked, for another architecture or since it would start a service.
//!
//! Owns when apt is asked: a machine that has what is needed never is. Refuses to touch the machine's own list of
//! packages for another architecture: those are downloaded through a state of their own and only unpacked.

use crate::program::{output, run_quietly};
use anyhow::{Context as _, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use threshold_models::pack::cache_dir;

/// Where a program lies: in PATH, or where an administrator's programs are.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Installs the packages if one of the files or programs is not there.
///
/// # Errors
/// If one is missing and the packages could not be installed; the error says what to type.
pub(crate) fn install(needed: &[&str], packages: &[&str]) -> Result<()> {
    let there = |name: &&str| {
        if name.starts_with('/') { Path::new(name).exists() } else { program(name).is_some() }
    };
    if needed.iter().all(there) {
        return Ok(());
    }
    let missing: Vec<&str> = needed.iter().copied().filter(|name| !there(name)).collect();
    let what = || {
        let typed = packages.join(" ");
        format!("{} missing and not installed: apt-get install {typed}", missing.join(", "))
    };
    // A bare machine has no lists of packages either.
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet=2", "--no-install-recommends"]).args(packages);
    for command in [Command::new("apt-get").args(["update", "--quiet=2"]), &mut install] {
        run_quietly(command.env("DEBIAN_FRONTEND", "noninteractive")).with_context(what)?;
    }
    match needed.iter().find(|name| !there(name)) {
        Some(name) => bail!("{name} is still missing after apt-get install {}", packages.join(" ")),
        None => Ok(()),
    }
}

/// A package with what of its needs this machine lacks, unpacked into the cache folder and not installed: no service is started, and
/// nothing that it would run is run. Gives the folder that stands for the root.
///
/// # Errors
/// If it cannot be had.
pub(crate) fn unpacked(package: &str) -> Result<PathBuf> {
    let kept = cache_dir()?.join("tools").join(package);
    if kept.is_dir() {
        return Ok(kept);
    }
    let work = kept.with_extension("fetching");
    if work.exists() {
        fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    }
    let (debs, unpacked) = (work.join("debs"), work.join("unpacked"));
    for folder in [&debs.join("partial"), &unpacked] {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let what = || format!("downloading {package}, which apt-get install {package} would too");
    let mut get = Command::new("apt-get");
    get.args(["install", "--yes", "--quiet=2", "--no-install-recommends", "--download-only"]);
    get.arg("-o").arg(format!("Dir::Cache::archives={}", debs.display())).arg(package);
    for command in [Command::new("apt-get").args(["update", "--quiet=2"]), &mut get] {
        run_quietly(command.env("DEBIAN_FRONTEND", "noninteractive")).with_context(what)?;
    }
    extract_all(&debs, &unpacked)?;
    // The last thing: a fetch that broke off is none.
    fs::rename(&unpacked, &kept).with_context(|| format!("keeping {package}"))?;
    fs::remove_dir_all(&work).with_context(|| format!("removing {}", work.display()))?;
    Ok(kept)
}

/// Unpacks all packages that were downloaded into a folder; what they would run when they are installed is not run.
fn extract_all(downloads: &Path, into: &Path) -> Result<()> {
    let mut files: Vec<PathBuf> = fs::read_dir(downloads)
        .context("reading the downloads")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "deb"))
        .collect();
    files.sort();
    for file in files {
        run_quietly(Command::new("dpkg").arg("--extract").arg(&file).arg(into))
            .with_context(|| format!("unpacking {}", file.display()))?;
    }
    Ok(())
}

/// Packages of another architecture, from the machine's own sources.
pub(crate) struct Foreign {
    folder: PathBuf,
}

impl Foreign {
    /// A private state of apt in that folder, with fresh lists.
    ///
    /// # Errors
    /// If apt is missing, or no source answers.
    pub(crate) fn open(folder: &Path, architecture: &str) -> Result<Self> {
        for part in ["state/lists/partial", "cache/archives/partial", "packages"] {
            fs::create_dir_all(folder.join(part)).context("making a state for apt")?;
        }
        let shown = folder.display();
        let settings = format!(
            "APT::Architecture \"{architecture}\";\nAPT::Architectures {{\"{architecture}\";}};\n\
             APT::Sandbox::User \"\";\nDir::State \"{shown}/state\";\n\
             Dir::State::status \"{shown}/state/status\";\nDir::Cache \"{shown}/cache\";\n"
        );
        fs::write(folder.join("apt.conf"), settings).context("writing apt's settings")?;
        fs::write(folder.join("state/status"), "").context("writing apt's settings")?;
        let foreign = Self { folder: folder.to_path_buf() };
        run_quietly(foreign.apt("apt-get").args(["update", "--quiet=2"]))
            .context("the lists of packages")?;
        Ok(foreign)
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("APT_CONFIG", self.folder.join("apt.conf"));
        command.env("LC_ALL", "C").current_dir(self.folder.join("packages"));
        command
    }

    /// The package that a package of no content stands for, as `linux-image-arm64` does for the kernel of the day.
    ///
    /// # Errors
    /// If the package is not known, or stands for nothing.
    pub(crate) fn stands_for(&self, package: &str) -> Result<String> {
        let said = output(self.apt("apt-cache").args(["depends", package]))?;
        let name = said.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
        Ok(name.with_context(|| format!("{package} depends on no package"))?.to_owned())
    }

    /// Downloads packages with all that they need, and unpacks all of it into a folder. What a package would run when it is
    /// installed is not run.
    ///
    /// # Errors
    /// If one cannot be had.
    fn unpack_with_needs(&self, packages: &[&str], into: &Path) -> Result<()> {
        let mut get = self.apt("apt-get");
        get.args(["install", "--yes", "--quiet=2", "--no-install-recommends", "--download-only"]);
        run_quietly(get.args(packages))
            .with_context(|| format!("downloading {}", packages.join(" ")))?;
        extract_all(&self.folder.join("cache/archives"), into)
    }

    /// Downloads a package and unpacks it into a folder.
    ///
    /// # Errors
    /// If it cannot be had.
    pub(crate) fn unpack(&self, package: &str, into: &Path) -> Result<()> {
        let packages = self.folder.join("packages");
        run_quietly(self.apt("apt-get").args(["download", "--quiet=2", package]))
            .with_context(|| format!("downloading {package}"))?;
        let begins = format!("{package}_");
        let file = fs::read_dir(&packages)
            .context("reading the downloads")?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&begins))
            })
            .with_context(|| format!("apt-get download {package} left no file"))?;
        run_quietly(Command::new("dpkg").arg("--extract").arg(&file).arg(into))
            .with_context(|| format!("unpacking {package}"))
    }
}

/// A root of Debian's for arm64 with those packages and what they need, in a folder that is not there yet. They are fetched once, into
/// the cache folder.
///
/// # Errors
/// If a package cannot be had, or the folder is there.
pub(crate) fn copy_of_root(name: &str, packages: &[&str], folder: &Path) -> Result<()> {
    let kept = kept_root(name, packages)?;
    fs::create_dir(folder).with_context(|| format!("making {}", folder.display()))?;
    // What is in it, with its links as they are. A cache may be laid elsewhere by a link of its own: copied, that one would have
    // written there whatever is written into the copy.
    run_quietly(Command::new("cp").arg("--archive").arg(kept.join(".")).arg(folder))
}

/// The root in the cache folder, which nobody writes into.
fn kept_root(name: &str, packages: &[&str]) -> Result<PathBuf> {
    let kept = cache_dir()?.join("vm").join(name);
    let (made_for, wishes) = (kept.join("packages.txt"), packages.join("\n"));
    if fs::read_to_string(&made_for).ok().as_ref() == Some(&wishes) {
        return Ok(kept);
    }
    let work = kept.with_extension("fetching");
    for stale in [&work, &kept] {
        if stale.exists() {
            fs::remove_dir_all(stale).with_context(|| format!("removing {}", stale.display()))?;
        }
    }
    let debian = Foreign::open(&work, "arm64")?;
    let unpacked = work.join("unpacked");
    fs::create_dir_all(&unpacked)?;
    debian.unpack_with_needs(packages, &unpacked)?;
    fs::rename(&unpacked, &kept).context("keeping the root")?;
    fs::remove_dir_all(&work)?;
    // The last thing: a fetch that broke off is none.
    fs::write(&made_for, wishes).context("keeping the root")?;
    Ok(kept)
}
