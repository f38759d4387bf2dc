//! What the user sees: results on stdout, progress and errors on stderr.
//!
//! Owns every print of this program. Refuses to decide what is said.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the file that prints")]

use crate::facenet::{self, pairs::Judged};
use crate::loss::Losses;
use crate::run::{Epoch, Watch};
use crate::validate::Accuracy;
use indicatif::{ProgressBar, ProgressStyle};

/// A line of a result.
pub fn line(text: &str) {
    println!("{text}");
}

/// An error's chain in one line.
pub fn error(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}

/// A progress bar on stderr; silent where that is no terminal.
#[must_use]
pub fn bar(steps: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} {eta}");
    let bar = ProgressBar::new(steps as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A run's progress: a bar of steps with the loss beside it, a line for each epoch.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// The loss, of which each step is a twentieth.
    loss: Option<f32>,
}

impl Progress {
    /// Of a run of so many steps.
    #[must_use]
    pub fn new(steps: usize) -> Self {
        Self { bar: bar(steps, "training"), loss: None }
    }

    fn moved(&mut self, step: usize, loss: f32) {
        let before = self.loss.unwrap_or(loss);
        let loss = before + (loss - before) / 20.0;
        self.loss = Some(loss);
        self.bar.set_message(format!("training, loss {loss:.4}"));
        self.bar.set_position(step as u64);
    }
}

impl Watch for Progress {
    fn step(&mut self, step: usize, losses: &Losses) {
        self.moved(step, losses.total);
    }

    fn epoch(&mut self, epoch: &Epoch) {
        let Epoch { epoch, loss, accuracy, .. } = epoch;
        self.bar.suspend(|| line(&format!("epoch {epoch}: loss {loss:.4}, {}", shares(accuracy))));
    }
}

impl facenet::run::Watch for Progress {
    fn step(&mut self, step: usize, loss: f32) {
        self.moved(step, loss);
    }

    fn epoch(&mut self, epoch: &facenet::run::Epoch) {
        let facenet::run::Epoch { epoch, loss, triplets, held, .. } = epoch;
        let held = pairs(held);
        let told = match triplets {
            0.0 => format!("epoch {epoch}: loss {loss:.4}, {held}"),
            _ => format!("epoch {epoch}: loss {loss:.4} of {triplets:.0} triplets, {held}"),
        };
        self.bar.suspend(|| line(&told));
    }
}

/// An accuracy in words.
#[must_use]
pub fn shares(accuracy: &Accuracy) -> String {
    let Accuracy { all, faces, random, mined } = accuracy;
    let percent = |share: &f64| format!("{:.2} %", share * 100.0);
    format!(
        "held back {} right (faces {}, drawn windows {}, mined windows {})",
        percent(all),
        percent(faces),
        percent(random),
        percent(mined)
    )
}

/// Judged pairs in words.
#[must_use]
pub fn pairs(judged: &Judged) -> String {
    let Judged { accuracy, sd, tar_at_far_1e2, threshold } = judged;
    format!(
        "pairs {:.2} % +- {:.2} right, {:.2} % of the genuine accepted where 1 % of the others are, threshold {threshold:.3}",
        accuracy * 100.0,
        sd * 100.0,
        tar_at_far_1e2 * 100.0
    )
}
