//! Everything that must pass before a change lands, group by group.
//!
//! Order: what fails fastest first. A failed step does not stop the later ones, except where they need its product.
//! The tests print through cargo's own harness, so that its closing lines stay readable for whoever counts them.
//! What needs references that are not there is skipped aloud, and the closing table counts what was skipped.

use crate::apt::program;
use crate::budget::{Group, Ledger};
use crate::evaluation;
use crate::program::{cargo, run_aloud, run_quietly, run_tests};
use crate::repository::{root, shared};
use crate::setup::{self, Setup};
use crate::{apt, demo, fuzz, image, kernels, libclang, sanitize, service, tidy, vm};
use anyhow::{Result, bail};
use std::process::Command;

/// The test areas of package `tests` by group; the unit tests of all crates run with the models, whose tests are
/// the longest among them.
const AREAS: [(Group, &str, &[&str]); 7] = [
    (Group::Models, "unit tests of all crates", &["--lib", "--bins"]),
    (Group::Models, "tests: parity, models, cascade", &["parity", "models", "cascade"]),
    (Group::Kernels, "tests: kernels, on the emulator", &["kernels"]),
    (Group::Store, "tests: store", &["store"]),
    (Group::Link, "tests: wire", &["wire"]),
    (Group::Unit, "tests: door, command line", &["door", "cli"]),
    (Group::Update, "tests: bundle, update, launcher", &["bundle", "update", "launch"]),
];

/// What the product has only where it is asked for and the tests have always: one build for all of them, since another choice of
/// features is another build of everything.
pub(crate) const ASKED_FOR: [&str; 2] = ["--features", "threshold-tests/parquet"];

/// Runs all groups and prints the table.
///
/// # Errors
/// If a step failed or the whole took longer than its minutes.
pub(crate) fn run() -> Result<()> {
    let mut ledger = Ledger::default();
    ledger.step(Group::Build, "format", || run_quietly(&mut cargo(&["fmt", "--all", "--check"])));
    ledger.step(Group::Build, "tidy", tidy::run);
    deny(&mut ledger);
    ledger.step(Group::Build, "g++, for the emulator", || apt::install(&["g++"], &["g++"]));
    ledger.step(Group::Build, "libclang, for the camera", libclang::provide);
    match service::tool() {
        Ok(()) => drop(ledger.step(Group::Unit, "service file: exposure", service::run)),
        Err(why) => {
            println!("skipped: service file: exposure ({why:#})");
            ledger.skip(1);
        }
    }
    ledger.step(Group::Build, "clippy, warnings denied", || {
        let mut arguments = vec!["clippy", "--quiet", "--all-targets", "--locked"];
        arguments.extend(["--", "-D", "warnings"]);
        run_aloud(&mut cargo(&arguments))
    });
    ledger.step(Group::Build, "clippy, what is built for a GPU or asked for", || {
        let mut arguments = vec!["clippy", "--quiet", "--tests", "--locked"];
        arguments.extend([
            "--features",
            "threshold-tests/gpu,threshold-edge/cuda,threshold-host/cuda,threshold-host/parquet",
            "--",
            "-D",
            "warnings",
        ]);
        run_aloud(&mut cargo(&arguments))
    });
    ledger.step(Group::Build, "documentation, warnings denied", || {
        let mut doc = cargo(&["doc", "--quiet", "--no-deps", "--locked"]);
        run_aloud(doc.env("RUSTDOCFLAGS", "-D warnings"))
    });
    ledger.step(Group::Build, "link test: no std, no allocator", || {
        run_aloud(&mut cargo(&[
            "build",
            "--quiet",
            "--locked",
            "--package",
            "threshold-bare",
            "--profile",
            "bare",
        ]))
    });
    let mut stock = None;
    ledger.step(Group::Build, "set-up: weights and photos", || {
        stock = Some(setup::setup()?);
        Ok(())
    });
    ledger.step(Group::Kernels, "kernels: compile", kernels::run);
    ledger.step(Group::Build, "build, release", || run_aloud(&mut demo::build()));
    let tests = ledger.step(Group::Build, "build, tests", || {
        run_aloud(cargo(&["test", "--quiet", "--locked", "--no-run"]).args(ASKED_FOR))
    });
    if tests {
        // What a stranger checks a bundle with; its test skips what is not there.
        let _ = apt::install(&["b3sum"], &["b3sum"]);
        // The software TPM that the keeper is tried with; its tests skip what is not there, too.
        let _ = apt::install(&["swtpm"], &["swtpm"]);
        // A terminal server, which would run as a service where it is installed; its test skips what is not there, too.
        let ser2net = match program("ser2net") {
            Some(_) => None,
            None => apt::unpacked("ser2net").inspect_err(|why| println!("ser2net: {why:#}")).ok(),
        };
        for (group, name, selection) in AREAS {
            let mut skipped = 0;
            ledger.step(group, name, || {
                let mut test = test(selection);
                test.envs(ser2net.iter().map(|root| ("THRESHOLD_SER2NET", root)));
                skipped = run_tests(&mut test)?;
                Ok(())
            });
            ledger.skip(skipped);
        }
        let mut skipped = 0;
        ledger.step(Group::Kernels, "kernels under AddressSanitizer and UBSan", || {
            skipped = sanitize::run(sanitize::Extent::Parts)?;
            Ok(())
        });
        ledger.skip(skipped);
    }
    training(&mut ledger);
    fuzzing(&mut ledger);
    if let Some(stock) = &stock {
        evaluate(&mut ledger, stock);
        ledger.step(Group::Unit, "demonstration", demo::run);
        board(&mut ledger);
    }
    ledger.close()
}

/// The package for training, which is no default member: its framework takes longer to build than all of the product.
fn training(ledger: &mut Ledger) {
    const PACKAGE: [&str; 4] = ["--quiet", "--locked", "--package", "threshold-train"];
    ledger.step(Group::Training, "training: clippy, documentation", || {
        let mut clippy = cargo(&["clippy", "--all-targets"]);
        run_aloud(clippy.args(PACKAGE).args(["--", "-D", "warnings"]))?;
        let mut doc = cargo(&["doc", "--no-deps"]);
        run_aloud(doc.args(PACKAGE).env("RUSTDOCFLAGS", "-D warnings"))
    });
    let mut skipped = 0;
    ledger.step(Group::Training, "training: tests", || {
        skipped = run_tests(cargo(&["test"]).args(PACKAGE))?;
        Ok(())
    });
    ledger.skip(skipped);
}

/// Tests of some targets. Always all default members: a selection of packages would unify features anew and build
/// everything again.
fn test(selection: &[&str]) -> Command {
    let mut command = cargo(&["test", "--quiet", "--locked"]);
    command.args(ASKED_FOR);
    for target in selection {
        match target.starts_with("--") {
            true => command.arg(target),
            false => command.args(["--test", target]),
        };
    }
    command
}

/// `cargo deny` where it is installed. It is not installed here: that takes two minutes of two cores, `tidy` checks
/// licences and sources, and the advisory database, the rest of its work, lies outside the package registries.
fn deny(ledger: &mut Ledger) {
    let there = cargo(&["deny", "--version"]).output().is_ok_and(|done| done.status.success());
    if !there {
        println!("skipped: cargo deny (not installed; tidy checks licences and sources)");
        ledger.skip(1);
        return;
    }
    ledger.step(Group::Build, "cargo deny", || {
        run_aloud(&mut cargo(&["deny", "check", "licenses", "bans", "sources"]))
    });
}

/// The product for aarch64, and its trial on the virtual board, where the machine has what they need or can get it.
fn board(ledger: &mut Ledger) {
    let workshop = match vm::Workshop::open() {
        Ok(workshop) => workshop,
        Err(why) => {
            println!("skipped: aarch64, its image and the virtual unit ({why:#})");
            ledger.skip(4);
            return;
        }
    };
    let built = ledger.step(Group::Build, "build, release, for aarch64", || {
        workshop.toolchain.build()?;
        workshop.toolchain.launcher().map(drop)
    });
    let mut skipped = 0;
    ledger.step(Group::Build, "tests for aarch64: wire, store's formats, door", || {
        skipped = workshop.toolchain.test()?;
        Ok(())
    });
    ledger.skip(skipped);
    if built {
        let mut skipped = 0;
        ledger.step(Group::Update, "image: twice, installed, run", || {
            skipped = image::check(&workshop.toolchain)?;
            Ok(())
        });
        ledger.skip(skipped);
        ledger.step(Group::Unit, "virtual unit", || vm::trial(workshop).map(drop));
    }
}

/// The fuzz targets for a short time each, where the machine can build them.
fn fuzzing(ledger: &mut Ledger) {
    let tool = match fuzz::tool() {
        Ok(tool) => tool,
        Err(why) => {
            println!("skipped: fuzz targets ({why:#})");
            ledger.skip(fuzz::Group::ALL.iter().map(|group| group.targets().len()).sum());
            return;
        }
    };
    for (group, name, targets) in [
        (Group::Store, "fuzz: store", fuzz::Group::Store),
        (Group::Link, "fuzz: wire", fuzz::Group::Wire),
    ] {
        ledger.step(group, name, || {
            let limit = fuzz::Limit::Seconds(fuzz::SECONDS);
            fuzz::in_ci(&tool, targets, limit).map(|figures| println!("{}", fuzz::table(&figures)))
        });
    }
}

/// The evaluations, each with its gate.
fn evaluate(ledger: &mut Ledger, stock: &Setup) {
    let Some(shared) = shared() else {
        println!("skipped: evaluation (no folder of references: set THRESHOLD_SHARED)");
        ledger.skip(evaluation::ALL.len());
        return;
    };
    if !root().join("target/release/threshold").is_file() {
        println!("skipped: evaluation (the release build failed)");
        ledger.skip(evaluation::ALL.len());
        return;
    }
    for evaluation in evaluation::ALL {
        ledger.step(Group::Models, evaluation.name(), || {
            let figures = evaluation.run(&stock.packs, &shared)?;
            for (name, value) in &figures.values {
                println!("{name:<44} {value:.5}");
            }
            match figures.missed.is_empty() {
                true => Ok(()),
                false => bail!("{}", figures.missed.join("; ")),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::repository::root;

    #[test]
    fn every_test_target_of_a_default_member_is_run() {
        let manifest = std::fs::read_to_string(root().join("tests/Cargo.toml")).unwrap();
        let manifest: toml::Table = manifest.parse().unwrap();
        let declared = manifest["test"].as_array().unwrap().iter();
        let mut targets: Vec<String> =
            declared.map(|target| target["name"].as_str().unwrap().to_owned()).collect();
        assert!(targets.len() >= 10, "{targets:?}");
        let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let workspace: toml::Table = workspace.parse().unwrap();
        for member in workspace["workspace"]["default-members"].as_array().unwrap() {
            // The package of the tests declares its targets; the others' are files.
            let folder = root().join(member.as_str().unwrap()).join("tests");
            for file in std::fs::read_dir(folder).into_iter().flatten().map(Result::unwrap) {
                if file.path().extension().is_some_and(|ending| ending == "rs") {
                    targets.push(file.path().file_stem().unwrap().to_str().unwrap().to_owned());
                }
            }
        }
        assert!(targets.iter().any(|target| target == "launch"), "{targets:?}");
        let run: Vec<&str> = AREAS.iter().flat_map(|(.., selection)| *selection).copied().collect();
        for target in &targets {
            assert!(run.contains(&target.as_str()), "`ci` does not run the tests `{target}`");
        }
    }
}
