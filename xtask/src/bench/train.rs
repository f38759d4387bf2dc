//! `cargo xtask bench train`: a step of training, ours and PyTorch's in turns, on the same network, batch, losses and optimiser.
//!
//! Owns the page. Refuses to time anything itself: `threshold-train pace` and `train_peer.py` time their own steps. Both sides
//! have their batch before the clock starts.

use super::environment::TRAINING;
use super::figures::{median, ratio};
use super::peer::Peer;
use super::peers::made;
use crate::program::{cargo, output, run_aloud};
use crate::repository::root;
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

/// As both sides call them, as the page does, and samples of a batch.
const NETWORKS: [(&str, &str, u32); 4] = [
    ("pnet", "P-Net", 256),
    ("rnet", "R-Net", 64),
    ("onet", "O-Net", 64),
    ("facenet", "FaceNet's last layer, 60 people", 240),
];
const THREADS: [usize; 2] = [1, 2];
/// Turns, and steps of one.
const FULL: (usize, usize) = (7, 5);
const QUICK: (usize, usize) = (3, 3);

/// Measures, and writes `docs/train-peers.md`.
///
/// # Errors
/// If a side does not work.
pub(super) fn run(quick: bool) -> Result<()> {
    let (turns, calls) = if quick { QUICK } else { FULL };
    let mut peer = Peer::start(&TRAINING)?;
    // As `soak train` builds it, so that the minutes of its runs are of this pace.
    run_aloud(&mut cargo(&["build", "--quiet", "--locked", "-p", "threshold-train"]))?;
    let made = made()?;
    let mut page = format!(
        "# A step of training beside PyTorch's\n\nWritten by `cargo xtask bench train{}`.\n\n{made}\n\
         Peer, from PyPI: {}.\n\n\
         Forwards, the losses of eq. 1 to 8 with hard sample mining or semi-hard triplets, backwards, Adam; f32 on the processor. \
         Drawing a batch is on neither side.\n\
         Ours is `threshold-train` as `cargo xtask soak train` builds it: dependencies optimised, arithmetic checked for overflow.\n\
         {turns} turns; in each, both sides in succession take {calls} steps after a warm one, of which the median counts. Times are the \
         median of the turns; the ratio is ours over PyTorch's, the median of the turns' own: under 1, ours is quicker.\n\
         Other work on the machine disturbs two threads most.\n\n\
         | what | samples | threads | ours, ms | PyTorch, ms | ratio | ours, samples/s |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
        if quick { " --quick" } else { "" },
        peer.title,
    );
    for (network, title, samples) in NETWORKS {
        for threads in THREADS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..turns {
                ours.push(our_ms(network, samples, threads, calls)?);
                let step = json!({"do": "step", "network": network, "samples": samples, "threads": threads, "calls": calls});
                theirs.push(ms_of(&peer.ask(&step)?)?);
            }
            let ms = median(ours.iter().copied());
            let line = format!(
                "| {title} | {samples} | {threads} | {ms:.1} | {:.1} | {:.2} | {:.0} |",
                median(theirs.iter().copied()),
                ratio(&ours, &theirs),
                f64::from(samples) / ms * 1e3,
            );
            println!("{line}");
            let _ = writeln!(page, "{line}");
        }
    }
    fs::write(root().join("docs/train-peers.md"), page).context("writing docs/train-peers.md")?;
    println!("written: docs/train-peers.md");
    Ok(())
}

/// A turn of ours.
fn our_ms(network: &str, samples: u32, threads: usize, calls: usize) -> Result<f64> {
    let mut command = Command::new(root().join("target/debug/threshold-train"));
    command.args(["pace", network, "--samples", &samples.to_string()]);
    command.args(["--calls", &calls.to_string()]).env("RAYON_NUM_THREADS", threads.to_string());
    let said = output(&mut command)?;
    ms_of(&serde_json::from_str(&said).context("threshold-train printed no JSON")?)
}

fn ms_of(answer: &Value) -> Result<f64> {
    answer["ms"].as_f64().with_context(|| format!("no time in {answer}"))
}
