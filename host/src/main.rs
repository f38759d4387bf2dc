//! The binary `threshold`: parses the command line, runs the command, and turns how it ended into the exit status.

use std::io::ErrorKind;
use std::process::ExitCode;
use threshold_host::args;
use threshold_host::cmd::{self, Answer};
use threshold_host::meant::Meant;
use threshold_host::say::Say;

fn main() -> ExitCode {
    let typed = args::read();
    let say = Say::new(typed.options.json);
    match Meant::by(&typed.options)
        .map_err(Into::into)
        .and_then(|meant| cmd::at(&meant, &typed.command))
    {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        // Whoever reads the output has seen enough, as `head` has.
        Err(error) if closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            say.error(&error);
            ExitCode::from(2)
        }
    }
}

/// Whether stdout was closed; a unit that goes away is an error of another type.
fn closed(error: &anyhow::Error) -> bool {
    let error: Option<&std::io::Error> = error.downcast_ref();
    error.is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}
