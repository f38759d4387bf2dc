//! The commands, one file each; what they share beside the session is in the files above this folder.

pub mod compare;
pub mod detect;
pub mod enrol;
pub mod eval;
pub mod gallery;
pub mod info;
pub mod log;
pub mod model;
pub mod why;

/// How a command that did its work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done, or yes.
    Yes,
    /// Done, and the answer is no.
    No,
}
