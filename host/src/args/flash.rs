//! `flash` as typed.

use clap::Args;
use std::path::PathBuf;

/// `flash`
#[derive(Args, Clone, Debug)]
pub struct Flash {
    /// The machine that is to become a unit: the root of a board's file system that is mounted here, or user@host for ssh
    #[arg(long, value_name = "MACHINE")]
    pub first: String,
    /// With --first the package, threshold-*.deb
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}
