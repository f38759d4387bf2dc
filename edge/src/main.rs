//! The binary `threshold-edge`: hands the command line to the library and takes back the exit status.

use clap::Parser;
use std::process::ExitCode;
use threshold_edge::args::Typed;
use threshold_edge::notices::Notices;
use threshold_edge::run;

fn main() -> ExitCode {
    let notices = Notices::to_stderr();
    match run::run(Typed::parse(), &notices) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(_)) => ExitCode::from(run::START_AGAIN),
        Err(error) => {
            notices.tell_error(&error);
            ExitCode::from(2)
        }
    }
}
