//! `cargo xtask bench`: how quick the product is beside others, with dated tables and plots under `docs/`.
//!
//! Owns what is measured, the turns in which ours and the peers alternate, and the pages. Refuses to time anything of
//! ours itself, but for a whole process: `threshold bench` and `threshold-train pace` do, each peer times its own calls, and the store has
//! `tests/peers`.

mod environment;
pub(crate) mod figures;
pub(crate) mod mosaic;
mod peer;
mod peers;
mod plot;
mod store;
mod table;
mod train;
mod vault;
mod workloads;

use anyhow::Result;
use clap::Subcommand;

/// What is measured.
#[derive(Subcommand)]
pub(crate) enum Bench {
    /// Networks, detection and cold start beside onnxruntime and facenet-pytorch, which come from PyPI.
    Peers {
        /// Fewer turns and calls: under 4 minutes.
        #[arg(long)]
        quick: bool,
    },
    /// Enrolments, log entries and a boot's load beside redb and SQLite, which come from crates.io.
    Store,
    /// A step of training beside PyTorch's, which comes from PyPI.
    Train {
        /// Fewer turns and steps.
        #[arg(long)]
        quick: bool,
    },
    /// What re-embedding a vault costs beside the embedding alone.
    Vault {
        /// People, with three photos each.
        #[arg(long, default_value_t = 100)]
        people: usize,
    },
}

/// Measures, and writes the pages.
///
/// # Errors
/// If something of ours or onnxruntime does not work, or the detectors disagree; the pages are written in the last case.
pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Peers { quick } => peers::run(*quick),
        Bench::Store => store::run(),
        Bench::Train { quick } => train::run(*quick),
        Bench::Vault { people } => vault::run(*people),
    }
}
