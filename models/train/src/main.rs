//! The binary `threshold-train`: parses the command line, runs the command, says how it ended.

#![forbid(unsafe_code)]

use clap::Parser as _;
use std::process::ExitCode;
use threshold_train::args::Typed;
use threshold_train::{command, say};

fn main() -> ExitCode {
    match command::run(&Typed::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::error(&error);
            ExitCode::from(2)
        }
    }
}
