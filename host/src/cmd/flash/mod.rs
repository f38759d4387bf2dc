//! `threshold flash`: what is installed on a unit.

pub mod first;

use super::Answer;
use crate::args;
use crate::meant::Meant;

/// Does what was typed.
///
/// # Errors
/// Whatever the way says.
pub fn run(meant: &Meant, typed: &args::Flash) -> anyhow::Result<Answer> {
    first::run(meant, &first::Machine::named(&typed.first), &typed.file)
}
