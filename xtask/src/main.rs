//! `cargo xtask`: the developer's tasks, one module each.
//!
//! Owns what surrounds the product: checks, set-up, the demonstration, the long sweeps.
//! Refuses to hold product code: it drives the binaries as a user does.

#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a developer's tool speaks on the terminal; the product's crates do not"
)]

mod apt;
mod bench;
mod budget;
mod ci;
mod demo;
mod evaluation;
mod fuzz;
mod gpu;
mod image;
mod kernels;
mod libclang;
mod program;
mod recognition;
mod repository;
mod sanitize;
mod service;
mod setup;
mod soak;
mod tidy;
mod training;
mod vm;
mod wheels;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The developer's tasks of Threshold.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// How quick the product is beside others, with dated tables and plots under docs/.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// The unit's release binary for another architecture.
    Build {
        /// The architecture.
        #[arg(long, value_enum)]
        target: vm::Target,
    },
    /// The product at work on real photos: a virtual unit, two people, every decision checked, a report.
    Demo,
    /// Everything that must pass before a change lands, with the minutes of each group.
    Ci,
    /// Every decoder and the mount path under libFuzzer, for a time or for a number of runs.
    Fuzz {
        /// Only this crate's targets.
        group: Option<fuzz::Group>,
        /// How long each target runs.
        #[arg(long, value_name = "N", default_value_t = fuzz::SECONDS)]
        seconds: u64,
        /// How often all targets together run, on all cores, however long that takes.
        #[arg(long, value_name = "N", conflicts_with = "seconds")]
        runs: Option<u64>,
    },
    /// A signed bundle with all that a unit runs, and the Debian package by which a machine becomes a unit.
    Image(image::Image),
    /// CUDA images of every kernel with their manifest, on a machine without CUDA; refuses warnings and spills.
    Kernels {
        #[command(subcommand)]
        asked: Option<kernels::Asked>,
    },
    /// What runs on a machine with a GPU.
    #[command(subcommand)]
    Gpu(gpu::Gpu),
    /// The kernels' tests on the emulator, watched by AddressSanitizer and UBSan.
    Sanitize {
        /// Those that run whole networks, and not their parts.
        #[arg(long)]
        whole: bool,
    },
    /// The long sweeps, with a dated table under docs/.
    Soak {
        /// Only this group.
        group: Option<soak::Group>,
        /// Of the group `train` only this network.
        #[arg(long, value_enum)]
        stage: Option<training::Part>,
        /// Of the group `facenet` only this.
        #[arg(long, value_enum)]
        network: Option<training::facenet::Network>,
    },
    /// Fetches weights and test photos into the cache folder; what is there stays.
    Setup,
    /// The house rules that rustc and clippy do not know.
    Tidy,
    /// The unit on a virtual aarch64 board: a real kernel with a real camera, serial line and flash.
    Vm {
        #[command(subcommand)]
        asked: Option<vm::Vm>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Bench(bench) => bench::run(&bench),
        Task::Build { target } => vm::build(target),
        Task::Ci => ci::run(),
        Task::Demo => demo::run(),
        Task::Fuzz { group, seconds, runs } => {
            fuzz::run(group, runs.map_or(fuzz::Limit::Seconds(seconds), fuzz::Limit::Runs))
        }
        Task::Gpu(gpu) => gpu::run(&gpu),
        Task::Image(asked) => image::run(&asked),
        Task::Kernels { asked: None } => kernels::run(),
        Task::Kernels { asked: Some(kernels::Asked::Count) } => kernels::count::run(),
        Task::Sanitize { whole } => {
            let extent = if whole { sanitize::Extent::Whole } else { sanitize::Extent::Parts };
            sanitize::run(extent).map(drop)
        }
        Task::Soak { group, stage, network } => soak::run(group, stage, network),
        Task::Setup => setup::run(),
        Task::Tidy => tidy::run(),
        Task::Vm { asked } => vm::run(asked),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Not by returning it: that would add a backtrace where one is asked for in the environment.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
