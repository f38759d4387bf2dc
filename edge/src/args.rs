//! The command line of the unit as typed.
//!
//! Owns names, help texts and defaults. Refuses to open anything: [`crate::run`] does, part by part, so that a part that
//! fails leaves a unit that can say so.

use crate::config::{EngineKind, KeeperKind};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

/// Everything typed.
#[derive(Debug, Parser)]
#[command(
    name = "threshold-edge",
    version,
    about = "The door unit of Threshold: watches a camera, decides, and moves a lock.",
    after_help = "A photo opens this door: presentation-attack detection is not installed.\n\
                  Exit status: 0 stopped by a signal, 75 to be started again (reboot, wipe), 2 an error."
)]
pub struct Typed {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "one for the life of the process")]
pub enum Command {
    /// Run the unit until it is stopped
    Run(Run),
    /// Say what to print on the label inside the housing: the code that administrators pair with
    Label(Label),
    /// Look at a configuration, without a unit
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look after the data folder of a unit that does not run
    #[command(subcommand)]
    Store(StoreCommand),
}

/// `config`
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Say everything that is wrong with a configuration file, with its lines
    Check {
        /// The configuration
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Say what is in force, defaults included, as a configuration file
    Show {
        /// The configuration (default: the defaults alone)
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// `store`
#[derive(Clone, Debug, Subcommand)]
pub enum StoreCommand {
    /// Say what the folder holds and how full it is; changes nothing of it
    Inspect(StoreFolder),
    /// Check that every entry of the log and the whole gallery are as the unit wrote them; changes nothing of it
    Verify(StoreFolder),
    /// Do what a start does: leave out a write that was cut off, finish a removal or a conversion
    Repair {
        /// Where.
        #[command(flatten)]
        folder: StoreFolder,
        /// Say what would be written, and write nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a device one that holds a store; everything on it is erased
    Format {
        /// The device: best by a name that stays, such as /dev/disk/by-partlabel/store
        #[arg(value_name = "DEVICE")]
        device: PathBuf,
        /// The same once more, so that no slip of the hand erases another
        #[arg(value_name = "AGAIN")]
        again: Option<PathBuf>,
        /// The name is right, without typing it twice
        #[arg(long)]
        yes: bool,
        /// Erase it although it holds a store
        #[arg(long)]
        erase_store: bool,
    },
    /// Have something else keep the unit's secret; gallery, log and identity stay
    MoveSecret {
        /// Where.
        #[command(flatten)]
        folder: StoreFolder,
        /// What shall keep it
        #[arg(long, value_name = "KEEPER", value_enum)]
        to: KeeperKind,
    },
}

/// `label`
#[derive(Args, Clone, Debug)]
pub struct Label {
    /// Where.
    #[command(flatten)]
    pub folder: StoreFolder,
    /// Print the code as a QR code too, in block characters
    #[arg(long)]
    pub qr: bool,
}

/// The folder of `store` and `label`.
#[derive(Args, Clone, Debug)]
pub struct StoreFolder {
    /// The unit's data folder
    #[arg(value_name = "FOLDER")]
    pub data: PathBuf,
    /// The device that holds the store, where [unit] names one
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<PathBuf>,
    /// The TPM that keeps the secret, or shall (default: /dev/tpmrm0 where the folder's secret is sealed by a TPM)
    #[arg(long, value_name = "DEVICE")]
    pub tpm: Option<PathBuf>,
}

/// `run`
#[derive(Args, Clone, Debug)]
pub struct Run {
    /// The configuration: a TOML file; what is typed beside it goes before what it says
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The camera: a V4L2 device such as /dev/video0, or a folder, in which every picture that appears is a visit
    #[arg(long, value_name = "CAMERA")]
    pub camera: Option<PathBuf>,
    /// The administrator's line: a serial device, or pty:PATH for a pseudo-terminal that PATH will point to
    #[arg(long, value_name = "PORT")]
    pub serial: Option<String>,
    /// The folder of gallery and log; made if it is not there
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// A device that holds gallery and log in place of the folder: a partition, or raw flash as /dev/mtdN, that `store format` was typed for
    #[arg(long, value_name = "DEVICE")]
    pub store: Option<PathBuf>,
    /// The folder of the record of the owner's recovery key, which outlives the data folder (default: beside that, with .commission
    /// behind its name)
    #[arg(long, value_name = "FOLDER")]
    pub commission: Option<PathBuf>,
    /// The folder of model packs (default: THRESHOLD_PACKS, else the cache folder)
    #[arg(long, value_name = "FOLDER")]
    pub packs: Option<PathBuf>,
    /// The embedding model: facenet, dlib, or a pack's name (default: facenet if it is there, else dlib)
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// The unit's name (default: the machine's)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The smallest face looked for, in pixels (default: 80)
    #[arg(long, value_name = "PX", value_parser = clap::value_parser!(u32).range(12..=4096))]
    pub min_face: Option<u32>,
    /// Threads for the networks (default: all processors, at most 8)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub threads: Option<u16>,
    /// What computes: cpu, or cuda for an NVIDIA GPU (default: cpu)
    #[arg(long, value_name = "ENGINE", value_enum)]
    pub engine: Option<EngineKind>,
    /// The folder of kernels for `--engine cuda` (default: `kernels` beside this program)
    #[arg(long, value_name = "FOLDER")]
    pub kernels: Option<PathBuf>,
    /// Obey a serial device although nobody on it is authenticated: for a test bench only
    #[arg(long)]
    pub insecure_dev_link: bool,
    /// A file that stands for the button inside the housing: to write it is to press. For a test bench only
    #[arg(long, value_name = "FILE")]
    pub dev_button: Option<PathBuf>,
    /// If the gallery is of another model, keep the names and drop the templates: everybody must enrol again
    #[arg(long)]
    pub discard_templates: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Typed::command().debug_assert();
    }
}
