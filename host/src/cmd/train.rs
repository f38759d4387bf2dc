//! `threshold train`: starts `threshold-train`, which lies beside this program where training was built.
//!
//! Owns where that program is looked for. Refuses to train: its framework takes minutes to build, and no door needs it.

use super::Answer;
use crate::args;
use crate::error::HostError;
use crate::meant::Meant;
use anyhow::Context as _;
use std::path::PathBuf;
use std::process::Command;

const NAME: &str = "threshold-train";

/// Runs the program with what was typed, and answers as it does.
///
/// # Errors
/// [`HostError::NoTrainer`] if it is not there, [`HostError::TrainerFailed`] if it ended with an error, which it has said.
pub fn run(meant: &Meant, typed: &args::Train) -> anyhow::Result<Answer> {
    let program = beside()?;
    let mut command = Command::new(&program);
    // Options of this program that stood before `train` mean the same there.
    if let Some(packs) = &meant.packs {
        command.arg("--packs").arg(packs);
    }
    let status = command.args(&typed.arguments).status();
    let status = status.with_context(|| program.display().to_string())?;
    match status.success() {
        true => Ok(Answer::Yes),
        false => Err(HostError::TrainerFailed { status: status.to_string() }.into()),
    }
}

/// The program beside this one.
fn beside() -> anyhow::Result<PathBuf> {
    let here = std::env::current_exe().context("finding this program's own folder")?;
    let program = here.with_file_name(format!("{NAME}{}", std::env::consts::EXE_SUFFIX));
    match program.is_file() {
        true => Ok(program),
        false => Err(HostError::NoTrainer { program: program.display().to_string() }.into()),
    }
}
