//! The command line as typed. Owns names, help texts and defaults; refuses to look anything up.

use crate::pace::Learning;
use crate::stage::Stage;
use clap::{Args, Parser, Subcommand};
use serde::Deserialize as _;
use serde::de::{IntoDeserializer as _, value};
use std::path::PathBuf;

/// Everything typed.
#[derive(Debug, Parser)]
#[command(
    name = "threshold-train",
    version,
    about = "Trains the networks that a Threshold door runs; `threshold train` starts this program.",
    after_help = "Exit status: 0 done, 2 an error."
)]
pub struct Typed {
    /// The folder of model packs (default: THRESHOLD_PACKS, else the cache folder)
    #[arg(long, global = true, value_name = "FOLDER")]
    pub packs: Option<PathBuf>,
    /// Threads that read pictures and draw samples (default: all processors); RAYON_NUM_THREADS is those of the networks
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train one network of the cascade, or go on with a run
    Mtcnn(Mtcnn),
    /// Train FaceNet's last layer or block by triplets to 128 values, or NN2 or NN3 from scratch, or go on with a run
    Facenet(Facenet),
    /// Draw a contact sheet of the samples that a run learns from
    Preview(Preview),
    /// Make a pack of trained networks: a detector's, or an embedder's of one facenet run
    Pack(Pack),
    /// Time a step over made-up samples; one line of JSON
    Pace(Pace),
}

/// `mtcnn`
#[derive(Args, Debug)]
pub struct Mtcnn {
    /// What is trained, from what, how long (keys: docs/training.md)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The run's folder; one with a checkpoint of this configuration goes on
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
}

/// `facenet`
#[derive(Args, Debug)]
pub struct Facenet {
    /// From which people, how long (keys: docs/training.md)
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The run's folder; one with a checkpoint of this configuration goes on
    #[arg(long, value_name = "FOLDER")]
    pub run: PathBuf,
}

/// `preview`
#[derive(Args, Debug)]
pub struct Preview {
    /// As `mtcnn` takes it
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// The sheet, a PNG file: negatives red, faces green, parts yellow, landmarks blue
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `pack`
#[derive(Args, Debug)]
pub struct Pack {
    /// The runs whose best networks go into it; stages that none of them trained come from the installed detector
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The pack's name (default: mtcnn-trained, or facenet-128)
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The terms of the trained weights, as everybody who gets the pack shall read them; those of installed ones are added
    #[arg(long, value_name = "TEXT")]
    pub licence: String,
    /// The file
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `pace`
#[derive(Args, Debug)]
pub struct Pace {
    /// What takes the step: pnet, rnet, onet, net12, net24, net48, or facenet for its last layer
    #[arg(value_name = "NETWORK", value_parser = learning)]
    pub network: Learning,
    /// Samples of a batch; for facenet photos, four of each person
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    pub samples: u32,
    /// Steps, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub calls: u32,
}

/// By the names that `run.toml` has.
fn learning(typed: &str) -> Result<Learning, String> {
    if typed == "facenet" {
        return Ok(Learning::Facenet);
    }
    let read = Stage::deserialize(typed.into_deserializer());
    read.map(Learning::Cascade).map_err(|error: value::Error| error.to_string())
}
