//! `flash` as typed.

use clap::Args;
use std::path::PathBuf;

/// `flash`
#[derive(Args, Clone, Debug)]
pub struct Flash {
    /// The machine that is to become a unit: the root of a board's file system that is mounted here, or user@host for ssh
    #[arg(long, value_name = "MACHINE", conflicts_with_all = ["from", "yes_re_enrol"])]
    pub first: Option<String>,
    /// The bundle that the unit is to run; with --first the package, threshold-*.deb
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The bundle that the unit runs now, so that only what changed is sent (default: the one that was flashed from here)
    #[arg(long, value_name = "BUNDLE")]
    pub from: Option<PathBuf>,
    /// With --first: go on although the machine believes another release key, so that its versions run no more
    #[arg(long, requires = "first")]
    pub replace_maker: bool,
    /// Go on although the bundle brings another embedding model, so that everybody must be enrolled again
    #[arg(long)]
    pub yes_re_enrol: bool,
}
