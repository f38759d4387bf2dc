//! `flash` as typed.

use clap::Args;
use std::path::PathBuf;

/// `flash`
#[derive(Args, Clone, Debug)]
pub struct Flash {
    /// The machine that is to become a unit: the root of a board's file system that is mounted here, or user@host for ssh
    #[arg(long, value_name = "MACHINE", conflicts_with_all = ["from", "gallery", "yes_re_enrol"])]
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
    /// With a bundle of another embedding model: everybody's templates by it, a file of threshold vault export
    #[arg(long, value_name = "FILE")]
    pub gallery: Option<PathBuf>,
    /// Go on although the bundle brings another embedding model, by which some or all have no template and must be enrolled again
    #[arg(long)]
    pub yes_re_enrol: bool,
}
