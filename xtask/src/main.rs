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

mod budget;
mod ci;
mod program;
mod repository;
mod tidy;

use anyhow::Result;
use clap::{Parser, Subcommand};

/// The developer's tasks of Threshold.
#[derive(Parser)]
#[command(name = "cargo xtask", disable_version_flag = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Everything that must pass before a change lands, with the minutes of each group.
    Ci,
    /// The house rules that rustc and clippy do not know.
    Tidy,
}

fn main() -> Result<()> {
    match Arguments::parse().task {
        Task::Ci => ci::run(),
        Task::Tidy => tidy::run(),
    }
}
