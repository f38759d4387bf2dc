//! A machine becomes a unit: into a mounted root and over ssh, what does not fit, and what is left alone.
//!
//! The package is a small one of the test's own, `ssh` and `scp` are scripts that note what they were asked; `cargo xtask ci`
//! installs the real package.

use crate::binary::{Ran, place_program, run, threshold};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Two release keys; which is no matter.
const OURS: u8 = 1;
const OTHERS: u8 = 2;

/// Whom a unit believes.
fn maker(key: u8) -> String {
    let key = format!("{key:02x}").repeat(32);
    format!("compatible = \"aarch64\"\nrelease_key = \"{key}\"\n")
}

/// A folder with a package, a board's root and, first in PATH, programs of the test's own.
struct Bench(tempfile::TempDir);

impl Bench {
    /// `None`, said aloud, where packages cannot be made.
    fn new() -> Option<Self> {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            threshold_tests::skipped("flash --first", "dpkg-deb is not installed");
            return None;
        }
        let bench = Self(tempfile::tempdir().unwrap());
        bench.put("root/etc/os-release", "ID=ubuntu\n");
        bench.put("root/lib/ld-linux-aarch64.so.1", "");
        bench.library("2.35");
        bench.put("package/etc/threshold/maker.toml", &maker(OURS));
        bench.package("threshold", "arm64");
        Some(bench)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, text: &str) {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), text).unwrap();
    }

    fn library(&self, version: &str) {
        let words = format!("GNU C Library stable release version {version}.\n");
        self.put("root/lib/aarch64-linux-gnu/libc.so.6", &words);
    }

    fn package(&self, name: &str, architecture: &str) {
        let control = format!(
            "Package: {name}\nVersion: 0.1.0\nArchitecture: {architecture}\nMaintainer: a <a@b>\n\
             Depends: libc6 (>= 2.35), systemd\nDescription: a\n"
        );
        self.put("package/DEBIAN/control", &control);
        self.put("package/etc/threshold/unit.toml", "# of the package\n");
        self.put("package/usr/lib/threshold/first.bundle", "bundle");
        let mut build = Command::new("dpkg-deb");
        build.args(["--build", "--root-owner-group"]).arg(self.at("package")).arg(self.at("deb"));
        assert!(build.output().unwrap().status.success());
    }

    /// A program that does this.
    fn program(&self, name: &str, does: &str) {
        let path = format!("bin/{name}");
        self.put("script", &format!("#!/bin/sh\n{does}\n"));
        fs::create_dir_all(self.at("bin")).unwrap();
        place_program(&self.at("script"), &self.at(&path));
    }

    fn flash(&self, machine: &str, deb: &Path) -> Ran {
        self.flash_with(&["flash", "--first", machine], deb)
    }

    fn flash_with(&self, words: &[&str], deb: &Path) -> Ran {
        let mut command = threshold(words);
        let path = std::env::var("PATH").unwrap();
        command.arg(deb).env("PATH", format!("{}:{path}", self.at("bin").display()));
        command.env("ASKED", self.at("asked"));
        run(&mut command)
    }

    fn installed(&self) -> Ran {
        self.flash(self.at("root").to_str().unwrap(), &self.at("deb"))
    }
}

#[test]
fn a_mounted_root_becomes_a_unit_and_its_settings_stay() {
    let Some(bench) = Bench::new() else { return };
    let ran = bench.installed();
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains("is a unit now, version 0.1.0"), "{ran:?}");
    assert!(
        ran.stdout.contains(&format!("\n  {}\n", "01".repeat(32))),
        "whom it believes: {ran:?}"
    );
    assert!(ran.stdout.contains("label /var/lib/threshold"), "{ran:?}");
    let file = |name: &str| fs::read_to_string(bench.at("root").join(name)).unwrap();
    assert_eq!(file("usr/lib/threshold/first.bundle"), "bundle");
    assert_eq!(file("etc/threshold/unit.toml"), "# of the package\n");
    for unit in ["threshold-first.service", "threshold-edge.service", "usb-gadget.service"] {
        let link = format!("root/etc/systemd/system/multi-user.target.wants/{unit}");
        let to = fs::read_link(bench.at(&link)).unwrap();
        assert_eq!(to, Path::new("/usr/lib/systemd/system").join(unit));
    }
    // A second time: nothing is in the way, and what the owner wrote stays.
    bench.put("root/etc/threshold/unit.toml", "# of the owner\n");
    let ran = bench.installed();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(file("etc/threshold/unit.toml"), "# of the owner\n");
}

#[test]
fn a_link_in_a_root_leads_nothing_out_of_it() {
    let Some(bench) = Bench::new() else { return };
    fs::create_dir_all(bench.at("root/usr/lib")).unwrap();
    fs::create_dir(bench.at("outside")).unwrap();
    std::os::unix::fs::symlink(bench.at("outside"), bench.at("root/usr/lib/threshold")).unwrap();
    let ran = bench.installed();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert_eq!(fs::read_dir(bench.at("outside")).unwrap().count(), 0, "written outside the root");
    assert_eq!(
        fs::read_to_string(bench.at("root/usr/lib/threshold/first.bundle")).unwrap(),
        "bundle"
    );
    fs::rename(bench.at("root/etc/systemd"), bench.at("outside/systemd")).unwrap();
    std::os::unix::fs::symlink(bench.at("outside/systemd"), bench.at("root/etc/systemd")).unwrap();
    let ran = bench.installed();
    assert!(ran.error().0.contains("etc/systemd is a link"), "{ran:?}");
}

#[test]
fn a_file_of_a_root_is_found_in_it_alone_and_is_a_plain_one() {
    let Some(bench) = Bench::new() else { return };
    let library = bench.at("root/lib/aarch64-linux-gnu/libc.so.6");
    let refused = |part: &str| {
        let ran = bench.installed();
        assert!(ran.error().0.contains(part), "{ran:?}");
        assert!(!bench.at("root/usr/lib/threshold").exists(), "{part}: something was installed");
        fs::remove_file(&library).unwrap();
    };
    fs::rename(&library, bench.at("outside.so")).unwrap();
    // One that is absolute means the root's own file of that name.
    std::os::unix::fs::symlink(bench.at("outside.so"), &library).unwrap();
    refused("does not say which C library");
    std::os::unix::fs::symlink("../../../outside.so", &library).unwrap();
    refused("does not say which C library");
    // Opened, it would wait for ever.
    assert!(Command::new("mkfifo").arg(&library).status().unwrap().success());
    refused("is no plain file");
    fs::create_dir_all(bench.at("root/usr/lib")).unwrap();
    fs::copy(bench.at("outside.so"), bench.at("root/usr/lib/libc.so.6")).unwrap();
    std::os::unix::fs::symlink("/usr/lib/libc.so.6", &library).unwrap();
    let ran = bench.installed();
    assert_eq!(ran.status, 0, "{ran:?}");
}

#[test]
fn a_unit_of_another_maker_is_refused_unless_that_is_meant() {
    let Some(bench) = Bench::new() else { return };
    let root = bench.at("root").to_str().unwrap().to_owned();
    let file = || fs::read_to_string(bench.at("root/etc/threshold/maker.toml")).unwrap();
    for other in [maker(OTHERS), "damaged".to_owned()] {
        bench.put("root/etc/threshold/maker.toml", &other);
        let ran = bench.installed();
        let (error, remedy) = ran.error();
        assert!(error.contains("would not be started any more"), "{ran:?}");
        assert!(remedy.contains("--replace-maker"), "{ran:?}");
        assert_eq!(file(), other);
        assert!(!bench.at("root/usr/lib/threshold").exists());
    }
    // What dpkg makes of whom the machine believes stands in a file of its own.
    bench.program(
        "ssh",
        "case \"$*\" in *getconf*) echo arm64; echo glibc 2.35; cat \"$ASKED.maker\";; *'dpkg -i'*) ;; *) cat \"$ASKED.after\";; esac",
    );
    bench.program("scp", "echo scp >> \"$ASKED\"");
    bench.put("asked.maker", &maker(OTHERS));
    bench.put("asked.after", &maker(OURS));
    let ran = bench.flash("me@jetson", &bench.at("deb"));
    assert!(ran.error().1.contains("--replace-maker"), "{ran:?}");
    assert!(!bench.at("asked").exists(), "the package was copied");
    bench.put("asked.maker", &maker(OURS));
    assert_eq!(bench.flash("me@jetson", &bench.at("deb")).status, 0);

    let meant = ["flash", "--replace-maker", "--first", &root];
    let ran = bench.flash_with(&meant, &bench.at("deb"));
    assert_eq!(ran.status, 0, "{ran:?}");
    // What the maker before had it confirm holds for the next one too.
    assert!(ran.stderr.contains("keeps the security counter and the serial"), "{ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert_eq!(file(), maker(OURS));
    let ran = bench.flash_with(&meant, &bench.at("deb"));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "the same maker again: {ran:?}");

    // Over ssh it is dpkg that replaces the file, or does not.
    let meant = ["flash", "--replace-maker", "--first", "me@jetson"];
    bench.put("asked.maker", &maker(OTHERS));
    let ran = bench.flash_with(&meant, &bench.at("deb"));
    assert_eq!(ran.status, 0, "{ran:?}");
    for (after, error_is, remedy_is) in [
        (maker(OTHERS), "and yet it believes release key 0202020202020202", "maker.toml.dpkg-dist"),
        ("damaged".to_owned(), "believes no release key that can be read", "maker.toml.dpkg-dist"),
        (String::new(), "believes nobody", "sudo dpkg -i --force-confmiss PACKAGE"),
    ] {
        bench.put("asked.after", &after);
        let ran = bench.flash_with(&meant, &bench.at("deb"));
        let said: Vec<&str> = ran.stderr.lines().collect();
        let [warning, error, remedy] = said[..] else { panic!("{ran:?}") };
        assert!(warning.starts_with("warning: ") && error.contains(error_is), "{ran:?}");
        assert!(remedy.starts_with("try: ") && remedy.contains(remedy_is), "{ran:?}");
        assert_eq!((ran.status, ran.stdout.as_str()), (2, ""), "nothing is called done");
    }
}

#[test]
fn a_development_package_is_installed_with_a_warning() {
    let Some(bench) = Bench::new() else { return };
    let key = threshold_bundle::Trust::development().release_key;
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    bench.put("package/etc/threshold/maker.toml", &format!("release_key = \"{key}\"\n"));
    bench.package("threshold", "arm64");
    let ran = bench.installed();
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stderr.contains("warning: INSECURE: this is a development package"), "{ran:?}");
    // Onto a unit of a maker it does not go by itself.
    bench.put("root/etc/threshold/maker.toml", &maker(OURS));
    let ran = bench.installed();
    assert!(ran.error().0.contains("the package the development key"), "{ran:?}");
}

#[test]
fn a_root_that_does_not_fit_is_left_alone() {
    let Some(bench) = Bench::new() else { return };
    let refused = |part: &str, remedy: &str| {
        let ran = bench.installed();
        let (error, tried) = ran.error();
        assert!(error.contains(part) && tried.contains(remedy), "{ran:?}");
        assert!(!bench.at("root/usr/lib/threshold").exists(), "{part}: something was installed");
    };
    bench.library("2.31");
    refused("has glibc 2.31, the package asks for 2.35 or later", "JetPack 6");
    fs::remove_file(bench.at("root/lib/aarch64-linux-gnu/libc.so.6")).unwrap();
    refused("does not say which C library", "Debian or Ubuntu");
    fs::remove_file(bench.at("root/lib/ld-linux-aarch64.so.1")).unwrap();
    refused("of another architecture, the package is for arm64", "64-bit");
    fs::remove_file(bench.at("root/etc/os-release")).unwrap();
    refused("no root of a system", "mount the board's root");
    let ran = bench.flash("/", &bench.at("deb"));
    assert!(ran.error().1.contains("sudo dpkg -i"), "{ran:?}");
}

#[test]
fn what_is_no_package_of_a_unit_is_refused() {
    let Some(bench) = Bench::new() else { return };
    let refused = |deb: &str, part: &str| {
        let ran = bench.flash("nobody@nowhere", &bench.at(deb));
        let (error, remedy) = ran.error();
        assert!(error.contains(part) && remedy.contains("cargo xtask image"), "{ran:?}");
    };
    refused("missing.deb", "is not the package of a unit");
    bench.put("text.deb", "no package");
    refused("text.deb", "another package, or damaged");
    bench.package("other", "arm64");
    refused("deb", "another package, or damaged");
    bench.package("threshold", "amd64");
    refused("deb", "another package, or damaged");
}

#[test]
fn over_ssh_the_machine_is_asked_first_and_then_gets_the_package() {
    let Some(bench) = Bench::new() else { return };
    let answers = |architecture: &str, library: &str| {
        bench.program(
            "ssh",
            &format!(
                "echo ssh \"$@\" >> \"$ASKED\"\ncase \"$*\" in *getconf*) echo {architecture}; echo {library};; *'dpkg -i'*) ;; *) cat \"$ASKED.maker\";; esac"
            ),
        );
    };
    bench.put("asked.maker", &maker(OURS));
    bench.program("scp", "echo scp \"$2\" >> \"$ASKED\"");
    answers("arm64", "glibc 2.35");
    let ran = bench.flash("me@jetson", &bench.at("deb"));
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.stdout.contains("(ssh me@jetson)"), "{ran:?}");
    let asked = fs::read_to_string(bench.at("asked")).unwrap();
    let lines: Vec<&str> = asked.lines().collect();
    assert_eq!(
        lines,
        [
            "ssh me@jetson dpkg --print-architecture && getconf GNU_LIBC_VERSION && if test -e \
             /etc/threshold/maker.toml; then cat /etc/threshold/maker.toml; fi",
            "scp me@jetson:threshold.deb",
            "ssh -t me@jetson sudo dpkg -i threshold.deb && rm threshold.deb",
            "ssh me@jetson if test -e /etc/threshold/maker.toml; then cat /etc/threshold/maker.toml; fi",
        ]
    );
    answers("amd64", "glibc 2.36");
    let ran = bench.flash("me@jetson", &bench.at("deb"));
    assert!(ran.error().0.contains("me@jetson is amd64, the package is for arm64"), "{ran:?}");
    answers("arm64", "glibc 2.31");
    let ran = bench.flash("me@jetson", &bench.at("deb"));
    assert!(ran.error().0.contains("has glibc 2.31"), "{ran:?}");
    bench.program("ssh", "echo no route >&2; exit 255");
    let ran = bench.flash("me@jetson", &bench.at("deb"));
    assert!(ran.status == 2 && ran.stderr.contains("asking me@jetson failed"), "{ran:?}");
    let ran = bench.flash("-oProxyCommand=x", &bench.at("deb"));
    assert!(ran.status == 2, "{ran:?}");
    let asked = fs::read_to_string(bench.at("asked")).unwrap();
    assert_eq!(asked.matches("scp").count(), 1, "a machine that does not fit got the package");
}
