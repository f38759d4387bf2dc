//! The binary `threshold`: parses the command line, runs the command, and turns how it ended into the exit status.

use clap::Parser;
use std::process::ExitCode;
use threshold_host::args::Typed;
use threshold_host::cmd::{self, Answer};
use threshold_host::meant::Meant;

fn main() -> ExitCode {
    // clap ends the program itself on a command line that it cannot read, with status 2 like every error.
    let typed = Typed::parse();
    let meant = Meant::by(&typed.options);
    match cmd::run(&meant, &typed.command) {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Err(error) => {
            meant.say.error(&error);
            ExitCode::from(2)
        }
    }
}
