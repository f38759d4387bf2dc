//! The product for aarch64, built on another machine, and the parts of Debian's that make it.
//!
//! Owns the environment of a cross build. Refuses the way without rustup (Debian's own rustc with its libraries for
//! arm64): a machine whose toolchain lacks the target, and that cannot add it, skips what needs it and says so.

use crate::program::{cargo, output, run_aloud, run_quietly, run_tests};
use crate::repository::root;
use crate::{apt, libclang};
use anyhow::{Context as _, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target, as rustc names it.
pub(crate) const TARGET: &str = "aarch64-unknown-linux-gnu";

/// Where Debian's cross packages have the headers and libraries of arm64.
const SYSROOT: &str = "/usr/aarch64-linux-gnu";

/// Their compiler.
const COMPILER: &str = "aarch64-linux-gnu-gcc";

/// The tests that run for aarch64, area by area: the line, the formats of flash that were released, the unit on its bench.
/// The rest of the store's was not through after six minutes; the virtual board cuts its power instead.
const EMULATED: [(&str, &[&str], &[&str]); 3] = [
    // Figures of a virtual clock are those of any processor, and take nine tenths of the area's time.
    ("wire", &[], &["line_figures::"]),
    ("store", &["golden", "conversion"], &[]),
    // QEMU's emulation of a process does not pass on an exclusive claim on a terminal, and what starts itself again alone is not
    // emulated then. A virtual clock's line is any processor's. Pictures through the networks take seconds each there, and those of an enrolment are two hundred.
    (
        "door",
        &[],
        &[
            "visitors_come_one_after",
            "over_a_real_pseudo_terminal",
            "replug::",
            "faulty_line::",
            "long::",
            "enrolment_photos",
            "bytes_lead_to_the_same_decisions",
        ],
    ),
];

/// A machine that can build for aarch64.
pub(crate) struct Toolchain {
    /// Folders of this machine, each with the name that it has in what is built: two machines give the same bytes, and the
    /// unit says nothing of where it was built.
    places: [(String, String); 3],
}

impl Toolchain {
    /// What the unit is built with: the engine for a GPU, which opens nothing of CUDA's before it is asked for.
    pub(crate) const FEATURES: &str = "threshold-edge/cuda";

    /// Folders of this machine that nothing of the product may name.
    pub(crate) fn places(&self) -> Vec<&str> {
        self.places.iter().map(|(from, _)| from.as_str()).collect()
    }

    /// Finds the parts, and installs what is missing.
    ///
    /// # Errors
    /// If one cannot be had; the error says which.
    pub(crate) fn find() -> Result<Self> {
        let libc = format!("{SYSROOT}/lib/libc.so.6");
        apt::install(&[COMPILER, &libc], &["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"])?;
        apt::install(&["qemu-aarch64-static"], &["qemu-user-static"])?;
        let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
        let rustlib = Path::new(sysroot.trim()).join("lib/rustlib");
        let target = rustlib.join(TARGET);
        if !target.is_dir() {
            let typed = || format!("rustc has no target {TARGET}: rustup target add {TARGET}");
            run_quietly(Command::new("rustup").args(["target", "add", TARGET]))
                .with_context(typed)?;
            ensure!(target.is_dir(), "{}", typed());
        }
        let version = output(Command::new("rustc").arg("-vV"))?;
        let commit = version.lines().find_map(|line| line.strip_prefix("commit-hash: "));
        // The library's own sources have this name where the toolchain has none of them.
        let library = format!("/rustc/{}", commit.unwrap_or("unknown"));
        let place = |from: PathBuf, to: &str| (from.display().to_string(), to.to_owned());
        Ok(Self {
            places: [
                place(root(), "/threshold"),
                place(cargo_home()?, "/cargo"),
                place(rustlib.join("src/rust"), &library),
            ],
        })
    }

    /// A cargo command with the environment of the cross build; C code is compiled, and its headers are read, for arm64.
    fn cargo(&self, arguments: &[&str]) -> Command {
        let mut command = cargo(arguments);
        command.args(["--target", TARGET]);
        command.env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER", COMPILER);
        command.env("CC_aarch64_unknown_linux_gnu", COMPILER);
        command.env("AR_aarch64_unknown_linux_gnu", "aarch64-linux-gnu-ar");
        command.env(
            "BINDGEN_EXTRA_CLANG_ARGS_aarch64_unknown_linux_gnu",
            format!("--sysroot={SYSROOT} -I{SYSROOT}/include"),
        );
        let rust = self.places.iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}"));
        // Between the words stands a byte that no path has, and nothing in the environment goes before this.
        command.env("CARGO_ENCODED_RUSTFLAGS", rust.collect::<Vec<_>>().join("\x1f"));
        let c = self.places.iter().map(|(from, to)| format!("'-ffile-prefix-map={from}={to}'"));
        command.env("CC_SHELL_ESCAPED_FLAGS", "1");
        command.env("CFLAGS_aarch64_unknown_linux_gnu", c.collect::<Vec<_>>().join(" "));
        command
    }

    /// The unit's release binary.
    ///
    /// # Errors
    /// If it does not build.
    pub(crate) fn build(&self) -> Result<PathBuf> {
        libclang::provide()?;
        let mut arguments = vec!["build", "--quiet", "--release", "--locked"];
        arguments.extend(["-p", "threshold-edge", "--features", Self::FEATURES]);
        run_aloud(&mut self.cargo(&arguments))?;
        Ok(root().join("target").join(TARGET).join("release/threshold-edge"))
    }

    /// The launcher, linked to nothing: it must start whatever has become of the system's libraries.
    ///
    /// # Errors
    /// If it does not build.
    pub(crate) fn launcher(&self) -> Result<PathBuf> {
        let arguments = ["rustc", "--quiet", "--release", "--locked", "-p", "threshold-slots"];
        let mut rustc = self.cargo(&arguments);
        rustc.args(["--bin", "threshold-launch", "--", "-C", "target-feature=+crt-static"]);
        run_aloud(&mut rustc)?;
        Ok(root().join("target").join(TARGET).join("release/threshold-launch"))
    }

    /// Compiles one file of C for the board.
    ///
    /// # Errors
    /// If it does not compile without a warning.
    pub(super) fn compile(&self, source: &Path, program: &Path) -> Result<()> {
        let mut command = Command::new(COMPILER);
        command.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-static", "-o"]);
        run_quietly(command.arg(program).arg(source))
    }

    /// The binary without its symbols, which take three quarters of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn strip(&self, binary: &Path, to: &Path) -> Result<()> {
        run_quietly(Command::new("aarch64-linux-gnu-strip").arg("-o").arg(to).arg(binary))
    }

    /// Runs test areas for aarch64, under QEMU's emulation of one process. Gives how many of their tests were left out, each said
    /// aloud.
    ///
    /// # Errors
    /// If a test fails.
    pub(crate) fn test(&self) -> Result<usize> {
        libclang::provide()?;
        let mut skipped = 0;
        for (area, only, left_out) in EMULATED {
            let arguments = ["test", "--quiet", "--release", "--locked", "-p", "threshold-tests"];
            let mut test = self.cargo(&arguments);
            test.args(["--test", area, "--"]).args(only).env(
                "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER",
                format!("qemu-aarch64-static -L {SYSROOT}"),
            );
            for name in left_out {
                println!(
                    "skipped: {area}, {name}, for aarch64 (nothing of the processor in it, or not under QEMU's emulation of one process)"
                );
                test.args(["--skip", name]);
                skipped += 1;
            }
            skipped += run_tests(&mut test)?;
        }
        Ok(skipped)
    }
}

/// Where cargo keeps the sources of other crates.
fn cargo_home() -> Result<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").filter(|value| !value.is_empty());
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo"));
    set.map(PathBuf::from).or_else(home).context("neither CARGO_HOME nor HOME is set")
}
