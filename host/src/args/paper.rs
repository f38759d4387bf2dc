//! `threshold table` as typed.

use super::{On, level_size, min_face};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `table`
#[derive(Debug, Subcommand)]
pub enum Table {
    /// Table 1: 300 forward passes and validation accuracy of the cascade's networks and of Cascade CNN's
    #[command(name = "1")]
    Networks(TableNetworks),
    /// Table 2: how many frames a second faces are looked for in
    #[command(name = "2")]
    Detection(TableDetection),
    /// Table 3: NN1 layer by layer, and the accuracy of NN1 to NN3 on LFW
    #[command(name = "3")]
    Layers,
}

/// `table 1`
#[derive(Args, Debug)]
pub struct TableNetworks {
    /// A run's folder of `threshold train mtcnn`: its network's accuracy stands in the table; may be given again
    #[arg(long = "run", value_name = "DIR")]
    pub runs: Vec<PathBuf>,
    /// Turns of 300 passes of each network, of which the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub turns: u32,
}

/// `table 2`
#[derive(Args, Debug)]
pub struct TableDetection {
    /// The picture
    #[arg(long, value_name = "FILE")]
    pub image: PathBuf,
    /// A frame of this size, tiled with the picture (the paper does not tell its frames' size)
    #[arg(long, value_name = "WxH", default_value = "640x480", value_parser = level_size)]
    pub size: (usize, usize),
    /// The smallest face looked for, in pixels
    #[arg(long, value_name = "PX", default_value_t = 40, value_parser = min_face())]
    pub min_face: u32,
    /// Frames that are timed
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub calls: u32,
    /// What computes
    #[command(flatten)]
    pub on: On,
}
