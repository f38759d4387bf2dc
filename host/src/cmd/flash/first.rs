//! `threshold flash --first`: a machine becomes a unit by the Debian package of `cargo xtask image`, once.
//!
//! Owns two ways: into the root of a board that is mounted here, where nothing of the board can be run, and over `ssh` onto a
//! machine that runs. Both ask first whether the package fits. Refuses this machine's own root, and to touch settings that are
//! there already; a unit that is one is updated by a bundle. Refuses, too, to make a machine believe another release key without a word
//! for that, and to say that it believes one before it was asked.

use super::super::Answer;
use super::maker::{self, Maker};
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use crate::say::Say;
use serde_json::json;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

/// The file that is the owner's once it is there, from the root.
const SETTINGS: &str = "etc/threshold/unit.toml";

/// What a root has in it once the package is there, from the root.
const UNITS: &str = "usr/lib/systemd/system";

/// Where links say what systemd starts at a boot, from the root; and what it does.
const WANTED: &str = "etc/systemd/system/multi-user.target.wants";
const STARTED: [&str; 3] =
    ["threshold-first.service", "threshold-edge.service", "usb-gadget.service"];

/// What Debian calls 64-bit Arm, and the loader of its programs.
const ARCHITECTURE: &str = "arm64";
const LOADER: &str = "lib/ld-linux-aarch64.so.1";

/// Where such a system has its C library.
const C_LIBRARY: &str = "lib/aarch64-linux-gnu/libc.so.6";

/// What a machine is asked once the package is on it: dpkg leaves a file of settings that was changed or removed as it is.
const ASKED_AFTER: &str =
    "if test -e /etc/threshold/maker.toml; then cat /etc/threshold/maker.toml; fi";

/// What a machine is asked over ssh: what it is, and whom it believes if it is a unit.
const ASKED: &str = "dpkg --print-architecture && getconf GNU_LIBC_VERSION && \
    if test -e /etc/threshold/maker.toml; then cat /etc/threshold/maker.toml; fi";

/// Where the unit is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Machine {
    /// The root of a board's file system, mounted here.
    Root(PathBuf),
    /// A machine that `ssh` reaches, by user@host or a name of its settings.
    Address(String),
}

impl Machine {
    /// What was typed: a folder that is there, or a text with a slash in it, is a root.
    #[must_use]
    pub fn named(typed: &str) -> Self {
        let path = Path::new(typed);
        match typed.contains('/') || path.is_dir() {
            true => Self::Root(path.to_path_buf()),
            false => Self::Address(typed.to_owned()),
        }
    }
}

/// Why a machine does not become a unit.
#[derive(Debug, thiserror::Error)]
pub enum FirstError {
    /// A program of this machine.
    #[error("{program} did not start: {source}; install it: apt-get install {package}")]
    NoProgram {
        /// Which.
        program: &'static str,
        /// What brings it.
        package: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not the package.
    #[error("{} is not the package of a unit: {what}; take the .deb that cargo xtask image makes", path.display())]
    NoPackage {
        /// As typed.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The folder is no root.
    #[error("{} has no etc/os-release, so that it is no root of a system; mount the board's root there", path.display())]
    NoRoot {
        /// As typed.
        path: PathBuf,
    },
    /// A folder that would be written through a link, which may lead out of the root.
    #[error("{} is a link, which may lead out of the root; take a root as JetPack or Debian makes it", path.display())]
    Link {
        /// Which.
        path: PathBuf,
    },
    /// It is the root that this program runs from.
    #[error("that is the root of this machine; on the unit itself: sudo dpkg -i <package>")]
    OwnRoot,
    /// Another architecture.
    #[error(
        "{machine} is {found}, the package is for {ARCHITECTURE} (64-bit Arm); take a board with a 64-bit system"
    )]
    OtherArchitecture {
        /// As typed.
        machine: String,
        /// What it is.
        found: String,
    },
    /// A system that is too old.
    #[error(
        "{machine} has glibc {}.{}, the package asks for {}.{} or later; flash JetPack 6 or later, or Debian 12 or later, first",
        found.0, found.1, needed.0, needed.1
    )]
    OldLibrary {
        /// As typed.
        machine: String,
        /// Its version.
        found: (u32, u32),
        /// The least.
        needed: (u32, u32),
    },
    /// It does not say what it is.
    #[error(
        "{machine} does not say which C library it has; it must be Debian or Ubuntu, as JetPack is"
    )]
    NoLibrary {
        /// As typed.
        machine: String,
    },
    /// It is a unit of another maker, or what it believes cannot be told.
    #[error(
        "{machine} believes {found}, the package {package}, so that what is installed there would not be started any more; take the \
         package of its own maker, or --replace-maker if another one is meant"
    )]
    OtherMaker {
        /// As typed.
        machine: String,
        /// Whom it believes.
        found: String,
        /// Whom it would believe.
        package: String,
    },
    /// The package is there, and whom the machine believes is not the package's maker.
    #[error(
        "the package is on {machine}, and yet it believes {found} and not {package}, since dpkg kept the file that was there; on it: \
         sudo mv /etc/threshold/maker.toml.dpkg-dist /etc/threshold/maker.toml, or where dpkg left none, with the package there again: \
         sudo rm -f /etc/threshold/maker.toml && sudo dpkg -i --force-confmiss PACKAGE"
    )]
    KeptMaker {
        /// As typed.
        machine: String,
        /// Whom it believes.
        found: String,
        /// Whom it should believe.
        package: String,
    },
    /// The package is there, and the file that says who made the unit is not.
    #[error(
        "the package is on {machine}, and yet it believes nobody, since dpkg does not bring back /etc/threshold/maker.toml once it was \
         removed; copy the package there again, and on it: sudo dpkg -i --force-confmiss PACKAGE"
    )]
    LostMaker {
        /// As typed.
        machine: String,
    },
    /// A file of the root cannot be read, or is none.
    #[error("{} cannot be read in that root: {what}; take a root as JetPack or Debian makes it", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        what: String,
    },
    /// A step failed, and its program has said why.
    #[error("{step} failed; its own lines say why")]
    Step {
        /// Which.
        step: String,
    },
    /// An address that ssh would take for an option.
    #[error("{typed:?} is no address; type user@host")]
    Address {
        /// As typed.
        typed: String,
    },
}

/// `threshold flash --first`.
///
/// # Errors
/// [`FirstError`], or a file that cannot be written.
pub fn run(meant: &Meant, machine: &Machine, typed: &args::Flash) -> anyhow::Result<Answer> {
    let package = Package::read(&typed.file)?;
    let install =
        Install { package, deb: &typed.file, replaces: typed.replace_maker, say: meant.say };
    match machine {
        Machine::Root(root) => install.write_into(root)?,
        Machine::Address(address) => install.over_ssh(address)?,
    }
    let (version, key) = (install.package.version, install.package.maker.hex());
    let (shown, then) = match machine {
        Machine::Root(root) => (
            root.display().to_string(),
            "unmount it, start the board, and on its console, once it is up:\n  sudo systemctl stop threshold-edge".to_owned(),
        ),
        Machine::Address(address) => {
            (address.clone(), format!("on it (ssh {address}):\n  sudo systemctl start threshold-first"))
        }
    };
    meant.say.result(&json!({ "machine": shown, "version": version, "release_key": key }), || {
        format!(
            "{shown} is a unit now, version {version}, and takes from now on what this release key signs, which its maker must name as his:\n  \
             {key}\n{then}\n  sudo runuser -u threshold -- {LABEL}\nprint what it says on the label \
             inside the housing; for a unit whose secret a TPM is to keep, before it starts:\n  sudo runuser -u threshold -g threshold -G tss \
             -- {MOVE}\nand keeper = \"tpm\" in [keys] of /etc/threshold/unit.toml; then: sudo reboot\nfrom here, with the cable on its USB device port: threshold --unit \
             /dev/ttyACM0 info --wait; hold its button, and threshold --unit /dev/ttyACM0 pair <your name>"
        )
    })?;
    Ok(Answer::Yes)
}

/// How the label is asked for, on the unit.
const LABEL: &str = "/usr/lib/threshold/threshold-launch run -- label /var/lib/threshold";

/// How the secret that the label made is given to a TPM, on the unit.
const MOVE: &str =
    "/usr/lib/threshold/threshold-launch run -- store move-secret --to tpm /var/lib/threshold";

/// What the package says of itself.
struct Package {
    version: String,
    glibc: (u32, u32),
    maker: Maker,
}

impl Package {
    fn read(deb: &Path) -> Result<Self, FirstError> {
        let fault =
            |what: &str| FirstError::NoPackage { path: deb.to_path_buf(), what: what.to_owned() };
        File::open(deb).map_err(|error| fault(&error.to_string()))?;
        let mut asked = Command::new("dpkg-deb");
        asked.arg("--field").arg(deb).args(["Package", "Version", "Architecture", "Depends"]);
        let said = asked.output().map_err(missing("dpkg-deb", "dpkg"))?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let field =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if (field("Package:"), field("Architecture:")) != (Some("threshold"), Some(ARCHITECTURE)) {
            return Err(fault("it is another package, or damaged"));
        }
        let depends = field("Depends:").and_then(|all| all.split_once("libc6 (>= "));
        let glibc = depends.and_then(|(_, rest)| version(rest));
        let mut tar = Command::new("tar");
        let maker =
            untar(deb, tar.args(["--extract", "--to-stdout"]).arg(format!("./{}", maker::FILE)));
        let maker =
            Maker::of(&String::from_utf8_lossy(&maker.map(|out| out.stdout).unwrap_or_default()));
        if !maker.is_known() {
            return Err(fault("it does not say who made it"));
        }
        Ok(Self {
            version: field("Version:").ok_or_else(|| fault("it has no version"))?.to_owned(),
            glibc: glibc.ok_or_else(|| fault("it does not say which C library it asks for"))?,
            maker,
        })
    }

    fn fits(&self, machine: String, found: Option<(u32, u32)>) -> Result<(), FirstError> {
        match found {
            None => Err(FirstError::NoLibrary { machine }),
            Some(found) if found < self.glibc => {
                Err(FirstError::OldLibrary { machine, found, needed: self.glibc })
            }
            Some(_) => Ok(()),
        }
    }
}

/// A package on its way to a machine.
struct Install<'a> {
    package: Package,
    deb: &'a Path,
    /// True if the machine may come to believe another release key.
    replaces: bool,
    say: Say,
}

impl Install<'_> {
    /// Makes sure that the machine believes nobody else, and says aloud what a developer's package is.
    fn believes(&self, machine: String, found: Option<Maker>) -> Result<(), FirstError> {
        let package = self.package.maker;
        if let Some(found) = found.filter(|found| *found != package) {
            let (found, package) = (found.to_string(), package.to_string());
            if !self.replaces {
                return Err(FirstError::OtherMaker { machine, found, package });
            }
            self.say.warn(&format!(
                "{machine} believed {found} until now: it keeps the security counter and the serial of the list of build keys that it has \
                 confirmed (threshold slots shows both), whoever made them, and starts nothing of the package if its bundle has less of \
                 either; docs/flash-jetson.md, 3, says what helps then"
            ));
        }
        if package.is_development() {
            self.say.warn(&format!(
                "INSECURE: this is a development package: everybody can sign a version that {machine} will take from now on, so that \
                 it is for no door that matters"
            ));
        }
        Ok(())
    }

    fn write_into(&self, root: &Path) -> anyhow::Result<()> {
        let machine = || root.display().to_string();
        if !root.join("etc/os-release").exists() && !root.join("usr/lib/os-release").exists() {
            return Err(FirstError::NoRoot { path: root.to_path_buf() }.into());
        }
        if root.canonicalize().map_err(HostError::file(root))? == Path::new("/") {
            return Err(FirstError::OwnRoot.into());
        }
        // The name itself: its link may be absolute, and lead into this machine's root.
        if fs::symlink_metadata(root.join(LOADER)).is_err() {
            let found = "of another architecture".to_owned();
            return Err(FirstError::OtherArchitecture { machine: machine(), found }.into());
        }
        let file = |name: &str| {
            let fault = |error: std::io::Error| FirstError::Unreadable {
                path: root.join(name),
                what: error.to_string(),
            };
            maker::read(root, name).map_err(fault)
        };
        let library = file(C_LIBRARY)?.unwrap_or_default();
        self.package.fits(machine(), of_library(&library))?;
        let found = file(maker::FILE)?.map(|text| Maker::of(&String::from_utf8_lossy(&text)));
        self.believes(machine(), found)?;
        for folder in [WANTED, UNITS] {
            is_inside(root, folder)?;
        }
        unpack(root, self.deb)?;
        let wanted = root.join(WANTED);
        fs::create_dir_all(&wanted).map_err(HostError::file(&wanted))?;
        for unit in STARTED {
            let link = wanted.join(unit);
            if fs::symlink_metadata(&link).is_err() {
                std::os::unix::fs::symlink(Path::new("/").join(UNITS).join(unit), &link)
                    .map_err(HostError::file(&link))?;
            }
        }
        // systemd makes users at the next boot if /usr is newer than what it did last.
        let usr = root.join("usr");
        let touched = File::open(&usr).and_then(|folder| folder.set_modified(SystemTime::now()));
        Ok(touched.map_err(HostError::file(&usr))?)
    }

    fn over_ssh(&self, address: &str) -> anyhow::Result<()> {
        if address.is_empty() || address.starts_with('-') {
            return Err(FirstError::Address { typed: address.to_owned() }.into());
        }
        let step = |what: &str| FirstError::Step { step: format!("{what} {address}") };
        let mut asked = Command::new("ssh");
        asked.args([address, ASKED]);
        let said =
            asked.stderr(Stdio::inherit()).output().map_err(missing("ssh", "openssh-client"))?;
        if !said.status.success() {
            return Err(step("asking").into());
        }
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let mut lines = said.lines();
        let found = lines.next().unwrap_or_default().to_owned();
        if found != ARCHITECTURE {
            return Err(FirstError::OtherArchitecture { machine: address.to_owned(), found }.into());
        }
        let library = lines.next().and_then(|line| version(line.strip_prefix("glibc ")?));
        self.package.fits(address.to_owned(), library)?;
        let maker = lines.collect::<Vec<_>>().join("\n");
        self.believes(address.to_owned(), (!maker.is_empty()).then(|| Maker::of(&maker)))?;
        let mut copy = Command::new("scp");
        // Into the user's own folder there: a name in a folder of everybody's could be somebody else's.
        copy.arg(self.deb).arg(format!("{address}:threshold.deb"));
        let copied = copy.status().map_err(missing("scp", "openssh-client"))?;
        if !copied.success() {
            return Err(step("copying the package to").into());
        }
        let mut installed = Command::new("ssh");
        // With a terminal, since sudo may ask for a password.
        installed.args(["-t", address, "sudo dpkg -i threshold.deb && rm threshold.deb"]);
        if !installed.status().map_err(missing("ssh", "openssh-client"))?.success() {
            return Err(step("installing the package on").into());
        }
        self.is_believed(address)
    }

    /// Makes sure that a machine which has the package believes its maker.
    fn is_believed(&self, address: &str) -> anyhow::Result<()> {
        let mut asked = Command::new("ssh");
        asked.args([address, ASKED_AFTER]).stderr(Stdio::inherit());
        let said = asked.output().map_err(missing("ssh", "openssh-client"))?;
        let (machine, package) = (address.to_owned(), self.package.maker);
        if !said.status.success() {
            let step = format!("asking whom {machine} believes");
            return Err(FirstError::Step { step }.into());
        }
        if said.stdout.is_empty() {
            return Err(FirstError::LostMaker { machine }.into());
        }
        match Maker::of(&String::from_utf8_lossy(&said.stdout)) {
            found if found == package => Ok(()),
            found => {
                let (found, package) = (found.to_string(), package.to_string());
                Err(FirstError::KeptMaker { machine, found, package }.into())
            }
        }
    }
}

/// Makes sure that no part of a folder below the root is a link.
fn is_inside(root: &Path, folder: &str) -> Result<(), FirstError> {
    let parts = Path::new(folder).ancestors().filter(|part| !part.as_os_str().is_empty());
    let is_link = |path: &PathBuf| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    match parts.map(|part| root.join(part)).find(is_link) {
        Some(path) => Err(FirstError::Link { path }),
        None => Ok(()),
    }
}

/// Unpacks the package's files. Not `dpkg --root`, which would run the package's scripts by programs of the board.
fn unpack(root: &Path, deb: &Path) -> Result<(), FirstError> {
    let mut tar = Command::new("tar");
    // A link in the way is replaced: followed, an absolute one would lead into this machine's root.
    tar.arg("--extract").arg("--no-overwrite-dir").arg("--directory").arg(root);
    if root.join(SETTINGS).exists() {
        tar.arg(format!("--exclude=./{SETTINGS}"));
    }
    untar(deb, tar.stderr(Stdio::inherit())).map(drop)
}

/// Gives the package's files to `tar`; what that says.
fn untar(deb: &Path, tar: &mut Command) -> Result<Output, FirstError> {
    let mut package = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(missing("dpkg-deb", "dpkg"))?;
    let files = package.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = tar.stdin(files).output();
    let packed = package.wait();
    let unpacked = unpacked.map_err(missing("tar", "tar"))?;
    match unpacked.status.success() && packed.is_ok_and(|status| status.success()) {
        true => Ok(unpacked),
        false => Err(FirstError::Step { step: format!("unpacking {}", deb.display()) }),
    }
}

fn missing(
    program: &'static str,
    package: &'static str,
) -> impl FnOnce(std::io::Error) -> FirstError {
    move |source| FirstError::NoProgram { program, package, source }
}

/// The version that a C library says in its own words.
fn of_library(bytes: &[u8]) -> Option<(u32, u32)> {
    const WORDS: &[u8] = b"stable release version ";
    let at = bytes.windows(WORDS.len()).position(|window| window == WORDS)? + WORDS.len();
    let rest = bytes.get(at..)?;
    version(&String::from_utf8_lossy(&rest[..rest.len().min(8)]))
}

/// `2.35` and what follows it.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_a_root_and_everything_else_an_address() {
        for (typed, is_root) in [
            ("/mnt/board", true),
            ("./board", true),
            (".", true),
            ("jetson", false),
            ("me@10.0.0.2", false),
        ] {
            assert_eq!(matches!(Machine::named(typed), Machine::Root(_)), is_root, "{typed}");
        }
    }

    #[test]
    fn a_c_library_says_its_version() {
        let words =
            b"\x7fELF GNU C Library (Ubuntu GLIBC 2.35-0ubuntu3.8) stable release version 2.35.\n";
        assert_eq!(of_library(words), Some((2, 35)));
        assert_eq!(of_library(b"stable release version "), None);
        assert_eq!(of_library(b""), None);
        assert_eq!(version("2.39)"), Some((2, 39)));
        assert_eq!(version("new"), None);
    }
}
