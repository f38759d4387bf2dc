//! A run: epochs of batches, a validation and a checkpoint after each, and a folder that tells how to repeat it.
//!
//! ```text
//! run.toml             the configuration, paths absolute
//! run.json             version, detector's model id, pictures read and left out, what each epoch gave
//! losses.csv           one line for each step: step, class, box, landmarks, total
//! curves.html          both as curves
//! and the checkpoints of `crate::learner`
//! ```
//! Owns these files and the loop. Refuses to print: a `Watch` is told.

use crate::batch::{Batch, Batches};
use crate::checkpoint::{Origin, write_whole};
use crate::config::Config;
use crate::curves::{self, Line};
use crate::learner::Learner;
use crate::loss::Losses;
use crate::pictures::Loaded;
use crate::sample::Drawer;
use crate::start;
use crate::trainable::Trainable;
use crate::validate::{Accuracy, Balanced};
use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use threshold_models::pack::Pack;
use threshold_models::tensor::{Tensor, Tensors};

/// Who wants to know how far a run is.
pub trait Watch {
    /// A step was taken.
    fn step(&mut self, step: usize, losses: &Losses);
    /// An epoch was validated.
    fn epoch(&mut self, epoch: &Epoch);
}

/// What an epoch gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Steps taken since the run's start.
    pub step: usize,
    /// Mean total loss of its steps.
    pub loss: f64,
    /// Held-back windows judged rightly.
    pub accuracy: Accuracy,
}

/// What a run ended with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of the build that wrote it.
    pub version: String,
    /// Model id of the detector that labelled and mined.
    pub detector: String,
    /// Pictures to learn from, and held back.
    pub pictures: [usize; 2],
    /// Names of those that are held back.
    #[serde(default)]
    pub held: Vec<String>,
    /// Pictures that could not be read, with the reason.
    pub skipped: Vec<String>,
    /// Windows of the balanced set, and how many of them are mined.
    pub validation: [usize; 2],
    /// The untrained network on it.
    pub untrained: Accuracy,
    /// The installed network on it; `None` for Cascade CNN's, which nobody publishes.
    pub installed: Option<Accuracy>,
    /// The epochs since the run's start, those before it was cut too.
    pub epochs: Vec<Epoch>,
    /// The best one's accuracy.
    pub best: f64,
    /// Whether no other epoch follows.
    pub over: bool,
}

/// A run that can take steps.
pub struct Run<'a> {
    config: &'a Config,
    folder: PathBuf,
    trainable: Trainable,
    batches: Batches<'a>,
    balanced: Balanced,
    learner: Learner,
    losses: String,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    /// Opens a run's folder: a new one, or one whose last checkpoint is gone on from.
    ///
    /// # Errors
    /// If the folder's run is of another configuration, detector or pictures, or the pictures do not give every kind of sample.
    pub fn open(
        config: &'a Config,
        loaded: &'a Loaded,
        detector: &Pack,
        folder: &Path,
        threads: usize,
    ) -> Result<Self> {
        let untrained = start::parameters(&config.stage.graph(), config.seed);
        let text = toml::to_string(config)?;
        let drawer = Drawer {
            pictures: &loaded.train,
            stage: config.stage,
            augment: config.augment,
            min_face_px: config.min_face_px,
            mined: config.mined,
        };
        let Config { stage, min_face_px, validation, .. } = *config;
        let balanced = Balanced::draw(&loaded.held, stage, min_face_px, validation)?;
        let batches = Batches::new(drawer, &config.mix, config.batch, config.seed, threads)?;
        // Last of what may be refused: it writes the configuration down.
        let of = Origin::new(&text, &[detector], loaded.digest());
        let learner = Learner::open(folder, &text, of, config.descent(), untrained.clone())?;
        let (windows, mined) = balanced.windows();
        let mut outcome = Outcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            detector: detector.id.to_string(),
            pictures: [loaded.train.pictures.len(), loaded.held.pictures.len()],
            held: loaded.held.pictures.iter().map(|picture| picture.name.clone()).collect(),
            skipped: loaded.skipped.clone(),
            validation: [windows, mined],
            untrained: balanced.accuracy(&untrained)?,
            installed: match config.stage.is_mtcnn() {
                true => Some(balanced.accuracy(detector)?),
                false => None,
            },
            epochs: Vec::new(),
            best: learner.best(),
            over: learner.is_over(),
        };
        if let Some(told) = told::<Outcome>(folder, learner.steps())? {
            outcome.epochs = told.epochs;
            outcome.epochs.retain(|epoch| epoch.step <= learner.steps());
        }
        let losses = told_losses(&folder.join(LOSSES), LOSSES_HEAD, learner.steps())?;
        Ok(Self {
            config,
            folder: folder.to_path_buf(),
            trainable: Trainable::new(config.stage.graph()),
            batches,
            balanced,
            learner,
            losses,
            outcome,
        })
    }

    /// Takes the epochs that are left, at most `limit` of them.
    ///
    /// # Errors
    /// If a loss is no number (its batch is saved), or the folder cannot be written; the last checkpoint stays.
    pub fn go(&mut self, limit: usize, watch: &mut dyn Watch) -> Result<&Outcome> {
        let steps = self.config.steps;
        let first = self.learner.steps() / steps;
        for epoch in (first..self.config.epochs).take(limit) {
            if self.learner.is_over() {
                break;
            }
            let mut sum = 0.0;
            for step in epoch * steps..(epoch + 1) * steps {
                let losses = self.step(step)?;
                sum += f64::from(losses.total);
                watch.step(step + 1, &losses);
            }
            self.validate(epoch + 1, sum / steps as f64, watch)?;
        }
        Ok(&self.outcome)
    }

    /// What is known of the run so far.
    #[must_use]
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// The parameters as they are now.
    #[must_use]
    pub fn parameters(&self) -> &Tensors {
        self.learner.parameters()
    }

    fn step(&mut self, step: usize) -> Result<Losses> {
        let Config { tasks, hard_share, accumulate, .. } = *self.config;
        let (mut all, mut mean) = (Vec::with_capacity(accumulate), Tensors::new());
        for part in 0..accumulate {
            let batch = self.batches.draw(step * accumulate + part)?;
            let (losses, gradients) =
                self.trainable.gradients(self.learner.parameters(), &batch, &tasks, hard_share)?;
            let finite = gradients.values().all(|g| g.data.iter().all(|value| value.is_finite()));
            if !losses.total.is_finite() || !finite {
                self.tell(step, &losses);
                return Err(self.give_up(step, &batch, &losses));
            }
            all.push(losses);
            add(&mut mean, gradients, 1.0 / accumulate as f32);
        }
        let losses = Losses::mean(&all);
        self.tell(step, &losses);
        self.learner.step(&mean);
        Ok(losses)
    }

    fn tell(&mut self, step: usize, losses: &Losses) {
        let Losses { class, bbox, landmarks, total } = losses;
        let _ = writeln!(self.losses, "{},{class},{bbox},{landmarks},{total}", step + 1);
    }

    fn validate(&mut self, epoch: usize, loss: f64, watch: &mut dyn Watch) -> Result<()> {
        let accuracy = self.balanced.accuracy(self.learner.judged())?;
        self.learner.judge(accuracy.all)?;
        let epoch = Epoch { epoch, step: self.learner.steps(), loss, accuracy };
        self.outcome.epochs.push(epoch);
        (self.outcome.best, self.outcome.over) = (self.learner.best(), self.learner.is_over());
        let at = || format!("writing into {}", self.folder.display());
        let text = serde_json::to_string_pretty(&self.outcome)?;
        write_whole(&self.folder.join(OUTCOME), text.as_bytes()).with_context(at)?;
        write_whole(&self.folder.join(LOSSES), self.losses.as_bytes()).with_context(at)?;
        self.learner.keep()?;
        write_whole(&self.folder.join(curves::PAGE), self.curves()?.as_bytes()).with_context(at)?;
        watch.epoch(&epoch);
        Ok(())
    }

    /// The page with the losses so far, and what each epoch gave beside what never changes.
    fn curves(&self) -> Result<String> {
        let columns = [("total", 4), ("class", 1), ("box", 2), ("landmarks", 3)];
        let mut losses = curves::of_losses(&self.losses, &columns);
        // A task whose output the network lacks has a loss of zero.
        losses.retain(|line| line.points.iter().any(|&(_, loss)| loss != 0.0));
        let Outcome { epochs, untrained, installed, .. } = &self.outcome;
        let line = |name, of: &dyn Fn(&Epoch) -> f64| {
            let point = |epoch: &Epoch| (epoch.step as f64, of(epoch));
            Line { name, points: epochs.iter().map(point).collect() }
        };
        let mut judged = vec![
            line("this run", &|epoch| epoch.accuracy.all),
            line("untrained", &|_| untrained.all),
        ];
        if let Some(installed) = installed {
            judged.push(line("installed", &|_| installed.all));
        }
        let title = format!("Training {:?}", self.config.stage);
        let judged = ("Held-back windows judged rightly", judged);
        curves::page(&title, &[("Losses", losses), judged])
    }

    /// Saves what gave a loss that is no number, and the losses that led there.
    fn give_up(&self, step: usize, batch: &Batch, losses: &Losses) -> anyhow::Error {
        let tensor = |data: &[f32]| Tensor {
            shape: vec![batch.n, data.len() / batch.n.max(1)],
            data: data.to_vec(),
        };
        let tensors = Tensors::from([
            ("pixels".to_owned(), tensor(&batch.pixels)),
            ("face".to_owned(), tensor(&batch.face)),
            ("face_on".to_owned(), tensor(&batch.face_on)),
            ("reg".to_owned(), tensor(&batch.reg)),
            ("reg_on".to_owned(), tensor(&batch.reg_on)),
            ("landmarks".to_owned(), tensor(&batch.landmarks)),
            ("landmarks_on".to_owned(), tensor(&batch.landmarks_on)),
        ]);
        let place = self.learner.give_up(&tensors, (LOSSES, &self.losses));
        anyhow::anyhow!(
            "step {}: the loss is no number ({losses:?}); {place}; lower learning_rate and begin anew, or go on from \
             the last checkpoint",
            step + 1
        )
    }
}

/// Adds a share of gradients to a mean, which has none of them before the first.
pub(crate) fn add(mean: &mut Tensors, gradients: Tensors, share: f32) {
    for (name, mut gradient) in gradients {
        gradient.data.iter_mut().for_each(|value| *value *= share);
        match mean.get_mut(&name) {
            None => drop(mean.insert(name, gradient)),
            Some(sum) => {
                sum.data.iter_mut().zip(&gradient.data).for_each(|(sum, value)| *sum += value);
            }
        }
    }
}

pub(crate) const OUTCOME: &str = "run.json";
pub(crate) const LOSSES: &str = "losses.csv";
const LOSSES_HEAD: &str = "step,class,box,landmarks,total\n";

/// What a run that was cut has told of itself; `None` if its first epoch is still to come.
pub(crate) fn told<T: DeserializeOwned>(folder: &Path, steps: usize) -> Result<Option<T>> {
    if steps == 0 {
        return Ok(None);
    }
    let path = folder.join(OUTCOME);
    let read = std::fs::read(&path).map_err(anyhow::Error::from);
    match read.and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
        Ok(told) => Ok(Some(told)),
        Err(why) => bail!(
            "{}: it does not tell the epochs before the checkpoint of step {steps} ({why}); put it back as it was, or begin \
             anew in another folder",
            path.display()
        ),
    }
}

/// The losses of the steps that the checkpoint has behind it; what was told of later ones is dropped.
pub(crate) fn told_losses(path: &Path, head: &str, steps: usize) -> Result<String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).with_context(|| path.display().to_string()),
    };
    let mut told = head.to_owned();
    for line in text.lines().skip(1).take(steps) {
        told.push_str(line);
        told.push('\n');
    }
    Ok(told)
}
