//! What a run has learnt, between two steps: parameters, their moving average, the optimiser; and the run's checkpoints.
//!
//! ```text
//! last.checkpoint        after the last epoch, with which the run goes on
//! best.checkpoint        after the epoch that validated best
//! step-<steps>.checkpoint   after the last `keep` epochs
//! best.safetensors       what was judged there, under the names that packs have
//! bad-batch.safetensors, bad.checkpoint   what a run could not go on from, if there was such a thing
//! ```
//! Owns these files, and when a run is over. Refuses to know what is learnt.

use crate::adam::{Adam, rate_at};
use crate::checkpoint::{self, Checkpoint, Origin, write_whole};
use crate::config::out_of_range;
use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use threshold_models::tensor::{Tensor, Tensors};

/// Below every accuracy.
const NONE_YET: f64 = -1.0;
const CONFIGURATION: &str = "run.toml";
/// How this program's own copy of a configuration begins.
const OWN: &str = "# Written by threshold-train, which may write it anew: keep your own configuration elsewhere.\n";
const LAST: &str = "last.checkpoint";
const BEST: &str = "best.checkpoint";
/// Around the steps in the name of an epoch's own checkpoint.
const STEP: &str = "step-";
const ENDING: &str = ".checkpoint";
/// What was judged after the best epoch, under the names that packs have.
pub const PARAMETERS: &str = "best.safetensors";
const BAD_BATCH: &str = "bad-batch.safetensors";
const BAD_CHECKPOINT: &str = "bad.checkpoint";

/// How parameters move, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Descent {
    /// Adam's step at the start.
    pub learning_rate: f32,
    /// Part of every weight that a step of rate 1 takes away (Loshchilov and Hutter 2019); biases and slopes keep theirs.
    pub weight_decay: f32,
    /// Part of the moving average that stays at each step; 0: there is none.
    pub average: f32,
    /// Epochs, and batches of each.
    pub epochs: usize,
    /// See `epochs`.
    pub steps: usize,
    /// Epochs without a better one after which the run is over; 0: never before the last.
    pub patience: usize,
    /// Epochs whose checkpoints stay beside the last and the best one.
    pub keep: usize,
}

impl Descent {
    /// What is out of range, as a clause.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let counts = [
            ("epochs", self.epochs, 1, 1_000_000),
            ("steps", self.steps, 1, 1_000_000),
            ("patience", self.patience, 0, 1_000_000),
            ("keep", self.keep, 0, 1_000),
        ];
        let parts = [
            ("learning_rate", self.learning_rate, 1e-9, 1.0),
            ("weight_decay", self.weight_decay, 0.0, 1.0),
            ("average", self.average, 0.0, 0.999_99),
        ];
        out_of_range(&counts).or_else(|| out_of_range(&parts))
    }
}

/// Parameters that are learnt, in a run's folder.
#[derive(Debug)]
pub struct Learner {
    folder: PathBuf,
    descent: Descent,
    state: Checkpoint,
}

impl Learner {
    /// Opens a run's folder: a new one, which gets its configuration's `text` and begins with `start`, or one whose last
    /// checkpoint is gone on from.
    ///
    /// # Errors
    /// If the folder's run follows from something else or cannot be written, its checkpoint is damaged, or without one
    /// there is a `run.toml` that this program did not write.
    pub fn open(
        folder: &Path,
        text: &str,
        of: Origin,
        descent: Descent,
        start: Tensors,
    ) -> Result<Self> {
        let at = || folder.display().to_string();
        std::fs::create_dir_all(folder).with_context(at)?;
        let last = folder.join(LAST);
        let state = if last.exists() {
            let state = Checkpoint::read(&last)?;
            state.is_of(&of, folder)?;
            state
        } else {
            let path = folder.join(CONFIGURATION);
            // Somebody's own file has comments that this program would lose.
            if path.exists() && !std::fs::read(&path).is_ok_and(|b| b.starts_with(OWN.as_bytes())) {
                bail!(
                    "{} is not a run's own copy and would be written over; move it out of the run's folder and name it there \
                     by --config, or choose another folder",
                    path.display()
                );
            }
            write_whole(&path, format!("{OWN}{text}").as_bytes()).with_context(at)?;
            let average = if descent.average > 0.0 { start.clone() } else { Tensors::new() };
            let adam = Adam::new(&start);
            let (best, best_step) = (NONE_YET, 0);
            Checkpoint { parameters: start, average, adam, best, best_step, of }
        };
        Ok(Self { folder: folder.to_path_buf(), descent, state })
    }

    /// The parameters from which the next step starts.
    #[must_use]
    pub fn parameters(&self) -> &Tensors {
        &self.state.parameters
    }

    /// What is judged and handed out: the moving average, or the parameters where there is none.
    #[must_use]
    pub fn judged(&self) -> &Tensors {
        let Checkpoint { parameters, average, .. } = &self.state;
        if average.is_empty() { parameters } else { average }
    }

    /// Steps taken.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state.adam.steps
    }

    /// The best validation so far.
    #[must_use]
    pub fn best(&self) -> f64 {
        self.state.best
    }

    /// Whether the last epoch is done, or so many went by without a better one that no other is worth taking.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let Descent { epochs, steps, patience, .. } = self.descent;
        let idle = (self.steps() - self.state.best_step) / steps;
        self.steps() >= epochs * steps || (patience > 0 && idle >= patience)
    }

    /// Moves the parameters against their gradients.
    pub fn step(&mut self, gradients: &Tensors) {
        let Descent { learning_rate, weight_decay, average, epochs, steps, .. } = self.descent;
        let rate = rate_at(learning_rate, self.steps(), steps * epochs);
        let Checkpoint { parameters, adam, average: mean, .. } = &mut self.state;
        if weight_decay > 0.0 {
            let weights = parameters.iter_mut().filter(|(name, _)| name.ends_with(".weight"));
            let values = weights.flat_map(|(_, tensor)| &mut tensor.data);
            values.for_each(|value| *value -= rate * weight_decay * *value);
        }
        adam.step(parameters, gradients, rate);
        // The first steps move it further, so that it does not remember where it started.
        let step = adam.steps as f32;
        let stays = average.min((1.0 + step) / (10.0 + step));
        for (mean, now) in mean.values_mut().zip(parameters.values()) {
            let values = mean.data.iter_mut().zip(&now.data);
            values.for_each(|(mean, now)| *mean = stays * *mean + (1.0 - stays) * now);
        }
    }

    /// Throws parameters away that no later step has a gradient for.
    pub fn forget(&mut self, no_more: impl Fn(&str) -> bool) {
        let Checkpoint { parameters, average, adam, .. } = &mut self.state;
        for tensors in [parameters, average, &mut adam.first, &mut adam.second] {
            tensors.retain(|name, _| !no_more(name));
        }
    }

    /// An epoch was judged: keeps it if it is the best so far.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn judge(&mut self, accuracy: f64) -> Result<()> {
        self.judge_as(accuracy, None)
    }

    /// The same, with what was judged in the form that engines have, where it is another one.
    ///
    /// # Errors
    /// If the folder cannot be written.
    pub fn judge_as(&mut self, accuracy: f64, judged: Option<&Tensors>) -> Result<()> {
        if accuracy <= self.state.best {
            return Ok(());
        }
        (self.state.best, self.state.best_step) = (accuracy, self.steps());
        self.state.write(&self.folder.join(BEST))?;
        let judged = judged.unwrap_or_else(|| self.judged()).iter();
        let judged = judged.map(|(name, tensor)| (name.clone(), tensor));
        checkpoint::write(&self.folder.join(PARAMETERS), judged, None)
    }

    /// Writes the checkpoint with which the run goes on. Last of all of an epoch: where it names a step, everything beside it is
    /// of that step or a later one.
    ///
    /// # Errors
    /// If the folder cannot be written; the one before stays.
    pub fn keep(&self) -> Result<()> {
        if self.descent.keep > 0 {
            self.state.write(&self.folder.join(format!("{STEP}{:08}{ENDING}", self.steps())))?;
        }
        self.state.write(&self.folder.join(LAST))?;
        self.remove_old()
    }

    /// Removes the checkpoints of epochs before the ones that stay.
    fn remove_old(&self) -> Result<()> {
        let at = || self.folder.display().to_string();
        let mut kept = Vec::new();
        for entry in std::fs::read_dir(&self.folder).with_context(at)? {
            let path = entry.with_context(at)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let step = name.strip_prefix(STEP).and_then(|rest| rest.strip_suffix(ENDING));
            if let Some(step) = step.and_then(|step| step.parse::<usize>().ok()) {
                kept.push((step, path));
            }
        }
        // Those of a later step stay, where somebody has gone back to an earlier one; they are written over when it comes.
        kept.retain(|&(step, _)| step <= self.steps());
        kept.sort();
        let old = kept.len().saturating_sub(self.descent.keep);
        for (_, path) in &kept[..old] {
            std::fs::remove_file(path).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    /// What was judged best.
    ///
    /// # Errors
    /// If it is not there, or damaged.
    pub fn best_judged(&self) -> Result<Tensors> {
        let Checkpoint { parameters, average, .. } = Checkpoint::read(&self.folder.join(BEST))?;
        Ok(if average.is_empty() { parameters } else { average })
    }

    /// Saves a batch that the run cannot go on from, the network that it met, and the losses on the way there in the file
    /// so named; says where, as a clause.
    #[must_use]
    pub fn give_up(&self, batch: &Tensors, losses: (&str, &str)) -> String {
        let named = batch.iter().map(|(name, tensor): (&String, &Tensor)| (name.clone(), tensor));
        let saved = checkpoint::write(&self.folder.join(BAD_BATCH), named, None)
            .and_then(|()| self.state.write(&self.folder.join(BAD_CHECKPOINT)))
            .and_then(|()| write_whole(&self.folder.join(losses.0), losses.1.as_bytes()));
        match saved {
            Ok(()) => format!(
                "the batch is {BAD_BATCH} in the run's folder, its network {BAD_CHECKPOINT}"
            ),
            Err(why) => format!("the batch could not be saved: {why:#}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    const DESCENT: Descent = Descent {
        learning_rate: 0.1,
        weight_decay: 0.0,
        average: 0.0,
        epochs: 10,
        steps: 2,
        patience: 0,
        keep: 0,
    };

    fn tensors(value: f32) -> Tensors {
        let tensor = Tensor { shape: vec![1], data: vec![value] };
        ["a.weight", "a.bias"].map(|name| (name.to_owned(), tensor.clone())).into()
    }

    fn open(folder: &Path, descent: Descent) -> Learner {
        let of = Origin::new("text", &[], "none".to_owned());
        Learner::open(folder, "text", of, descent, tensors(1.0)).unwrap()
    }

    #[test]
    fn an_owners_own_configuration_in_the_folder_is_not_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        let of = || Origin::new("text", &[], "none".to_owned());
        let commented = "# Why these.\ntext";
        std::fs::write(&path, commented).unwrap();
        let why = Learner::open(folder.path(), "text", of(), DESCENT, tensors(1.0)).unwrap_err();
        let why = why.to_string();
        assert!(
            why.contains("run.toml is not a run's own copy") && why.contains("move it"),
            "{why}"
        );
        assert_eq!(std::fs::read_to_string(&path).unwrap(), commented);
        // What this program wrote there before an epoch was done is no obstacle, and one that is gone on from is left.
        std::fs::remove_file(&path).unwrap();
        let other = Learner::open(folder.path(), "other", of(), DESCENT, tensors(1.0)).unwrap();
        drop(other);
        open(folder.path(), DESCENT).keep().unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{OWN}text"));
        std::fs::write(&path, commented).unwrap();
        open(folder.path(), DESCENT);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), commented);
    }

    #[test]
    fn weights_decay_without_a_gradient_and_biases_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut learner = open(folder.path(), Descent { weight_decay: 0.5, ..DESCENT });
        learner.step(&tensors(0.0));
        let value = |name: &str| learner.parameters()[name].data[0];
        assert!((value("a.weight") - 0.95).abs() < 1e-6, "{}", value("a.weight"));
        assert_eq!(value("a.bias"), 1.0);
    }

    #[test]
    fn the_average_follows_what_is_learnt_and_is_what_is_judged() {
        let folder = tempfile::tempdir().unwrap();
        let mut learner = open(folder.path(), Descent { average: 0.9, epochs: 100, ..DESCENT });
        let mut expected = 1.0;
        for step in 1..=40 {
            learner.step(&tensors(1.0));
            let (now, step) = (learner.parameters()["a.bias"].data[0], step as f32);
            let stays = 0.9_f32.min((1.0 + step) / (10.0 + step));
            expected = stays * expected + (1.0 - stays) * now;
            let judged = learner.judged()["a.bias"].data[0];
            assert!((judged - expected).abs() < 1e-5 && judged > now, "{judged} {expected} {now}");
        }
        learner.judge(0.5).unwrap();
        learner.keep().unwrap();
        let judged = learner.judged().clone();
        assert_eq!(learner.best_judged().unwrap(), judged);
        let again = open(folder.path(), Descent { average: 0.9, epochs: 100, ..DESCENT });
        assert_eq!((again.judged(), again.steps(), again.best()), (&judged, 40, 0.5));
    }

    #[test]
    fn the_last_epochs_checkpoints_stay_and_a_run_goes_on_from_one_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let descent = Descent { keep: 2, ..DESCENT };
        let mut learner = open(folder.path(), descent);
        let mut ways = Vec::new();
        for _ in 0..4 {
            (0..DESCENT.steps).for_each(|_| learner.step(&tensors(1.0)));
            learner.judge(0.5).unwrap();
            learner.keep().unwrap();
            ways.push(learner.parameters().clone());
        }
        let names = || {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<_> = names.filter(|name| name.starts_with("step-")).collect();
            names.sort();
            names
        };
        assert_eq!(names(), ["step-00000006.checkpoint", "step-00000008.checkpoint"]);
        // Put in the place of the last one, an earlier one is gone on from, and to the same end.
        let last = folder.path().join(LAST);
        std::fs::copy(folder.path().join("step-00000006.checkpoint"), last).unwrap();
        let mut learner = open(folder.path(), descent);
        assert_eq!((learner.steps(), learner.parameters()), (6, &ways[2]));
        learner.keep().unwrap();
        assert_eq!(names(), ["step-00000006.checkpoint", "step-00000008.checkpoint"]);
        (0..DESCENT.steps).for_each(|_| learner.step(&tensors(1.0)));
        assert_eq!(learner.parameters(), &ways[3]);
    }

    #[test]
    fn a_run_is_over_after_as_many_epochs_without_a_better_one_as_it_has_patience_for() {
        let folder = tempfile::tempdir().unwrap();
        let descent = Descent { patience: 2, ..DESCENT };
        let mut learner = open(folder.path(), descent);
        let mut over = Vec::new();
        for accuracy in [0.5, 0.6, 0.6, 0.59] {
            (0..DESCENT.steps).for_each(|_| learner.step(&tensors(1.0)));
            learner.judge(accuracy).unwrap();
            learner.keep().unwrap();
            over.push(learner.is_over());
        }
        assert_eq!(over, [false, false, false, true]);
        // It is over for whoever opens it again, too.
        assert!(open(folder.path(), descent).is_over());
        assert_eq!(learner.best(), 0.6);
    }
}
