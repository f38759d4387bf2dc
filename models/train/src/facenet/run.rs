//! A run: epochs of batches of triplets, a validation and a checkpoint after each, in a folder as `crate::run` has it.
//!
//! ```text
//! run.toml, and the checkpoints of `crate::learner`   as there
//! run.json             version, packs, people and photos, what each epoch gave, and once it is done the check half
//! losses.csv           one line for each step: step, triplets, loss, spread
//! curves.html          losses and validations as curves
//! features             the photos' features, unless the configuration names another place
//! ```
//! Owns the draw of batches and the loop.
//! The check half of the people is judged once, by the best parameters, when the last epoch is done: nothing is chosen by it.

use super::config::Config;
use super::pairs::{Judged, Unseen};
use super::photos::Photos;
use super::start::{self, FEATURES, INSTALLED_LEN, LEN};
use super::triplet::{self, loss, select, spread, squared_distances};
use crate::checkpoint::{Origin, write_whole};
use crate::curves::{self, Line};
use crate::learner::Learner;
use crate::pictures::is_held;
use crate::random::Random;
use crate::run::{LOSSES, OUTCOME, told, told_losses};
use crate::trainable::Trainable;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use threshold_models::eval::embeddings::{PicturesDigest, Subject};
use threshold_models::eval::split::Half;
use threshold_models::net;
use threshold_models::pack::Pack;
use threshold_models::tensor::{Tensor, Tensors};

/// Mean squared distance of different people below which all have become one point; faces that point anywhere have 2.
const COLLAPSED: f32 = 0.05;

const LOSSES_HEAD: &str = "step,triplets,loss,spread\n";
/// What the draw is for, beside the seed.
const STREAM: u64 = 0x7472_6970;

/// People by what they are for.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Of the fit half, with two photos or more: learnt from.
    pub learn: Vec<Subject>,
    /// Of the fit half, with one photo: they make no positive, and only say where faces lie.
    pub single: Vec<Subject>,
    /// Of the fit half: chosen by.
    pub held: Vec<Subject>,
    /// The check half: looked at once.
    pub check: Vec<Subject>,
}

impl People {
    /// Divides photos; `held_back` is the part of the fit half that is held back.
    #[must_use]
    pub fn of(photos: &Photos, held_back: f32) -> Self {
        let fit = photos.features.subjects(Half::Fit);
        let (held, learn): (Vec<_>, Vec<_>) =
            fit.into_iter().partition(|subject| is_held(&subject.name, held_back));
        let (learn, single): (Vec<_>, Vec<_>) =
            learn.into_iter().partition(|subject| subject.pictures.len() > 1);
        Self { learn, single, held, check: photos.features.subjects(Half::Check) }
    }

    /// The digest of all that is learnt from and judged: names and features, by what they are for.
    fn digest(&self) -> String {
        let mut digest = PicturesDigest::default();
        for (part, subjects) in [
            ("learn", &self.learn),
            ("single", &self.single),
            ("held", &self.held),
            ("check", &self.check),
        ] {
            digest.add(part, &subjects.len().to_le_bytes());
            for (name, frames) in subjects.iter().flat_map(|subject| &subject.pictures) {
                let values = frames.iter().flat_map(|frame| &frame.0);
                let bytes: Vec<u8> = values.flat_map(|value| value.to_le_bytes()).collect();
                digest.add(name, &bytes);
            }
        }
        digest.finish()
    }
}

/// What an epoch gave.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, from 1.
    pub epoch: usize,
    /// Steps taken since the run's start.
    pub step: usize,
    /// Mean loss of its steps.
    pub loss: f64,
    /// Mean number of triplets with a loss.
    pub triplets: f64,
    /// Pairs of held-back people.
    pub held: Judged,
}

/// The check half, once the run is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// People, photos and pairs.
    pub counts: [usize; 3],
    /// What was trained.
    pub trained: Judged,
    /// What it started from.
    pub start: Judged,
    /// The installed embedding on random directions.
    pub random: Judged,
    /// The installed network.
    pub installed: Judged,
}

/// Who wants to know how far a run is; a closure is told the epochs alone.
pub trait Watch {
    /// A step was taken, with this mean loss of its triplets.
    fn step(&mut self, _step: usize, _loss: f32) {}
    /// An epoch was validated.
    fn epoch(&mut self, epoch: &Epoch);
}

impl<F: FnMut(&Epoch)> Watch for F {
    fn epoch(&mut self, epoch: &Epoch) {
        self(epoch);
    }
}

/// What is known of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The version of the build that wrote it.
    pub version: String,
    /// Model ids of the detector and of the installed embedder.
    pub packs: [String; 2],
    /// People and photos that are learnt from.
    pub learn: [usize; 2],
    /// People with one photo: they make no positive, and only say where faces lie.
    pub single: usize,
    /// Photos that could not be read.
    pub skipped: Vec<String>,
    /// People, photos and pairs that are held back.
    pub held: [usize; 3],
    /// What the run starts from, on the held-back pairs.
    pub start: Judged,
    /// The installed embedding on random directions, on them.
    pub random: Judged,
    /// The installed network on them.
    pub installed: Judged,
    /// The epochs since the run's start, those before it was cut too.
    pub epochs: Vec<Epoch>,
    /// The best one's accuracy.
    pub best: f64,
    /// The best parameters on the held-back pairs, once the run is done: where the threshold comes from.
    pub done: Option<Judged>,
    /// And on the check half.
    pub check: Option<Check>,
}

/// A run that can take steps.
pub struct Run<'a> {
    config: &'a Config,
    folder: PathBuf,
    trainable: Trainable,
    people: &'a People,
    installed: Tensors,
    start: Tensors,
    unseen: Unseen,
    check: Option<Unseen>,
    learner: Learner,
    losses: String,
    outcome: Outcome,
}

impl<'a> Run<'a> {
    /// Opens a run's folder: a new one, or one whose last checkpoint is gone on from. `packs` are the detector and the
    /// installed embedder, `skipped` the photos without features.
    ///
    /// # Errors
    /// If the folder's run is of another configuration, of other packs or photos, there are too few people, or the list of
    /// pairs does not read.
    pub fn open(
        config: &'a Config,
        people: &'a People,
        [detector, embedder]: [&Pack; 2],
        skipped: Vec<String>,
        folder: &Path,
    ) -> Result<Self> {
        if people.learn.len() < config.batch_people {
            bail!(
                "{} people with two photos or more to learn from ({} with one alone), where a batch has {}; add people \
                 or lower batch_people",
                people.learn.len(),
                people.single.len(),
                config.batch_people
            );
        }
        let text = toml::to_string(config)?;
        let installed = start::installed(embedder)?;
        let start = start::principal(&installed, &features(people), config.seed)?;
        let unseen = Unseen::draw(&people.held).context("the held-back people (held_back)")?;
        // A list that does not read is told now, and not after the last epoch.
        let check = match &config.pairs {
            Some(list) => Some(Unseen::listed(list, &people.check)?),
            // Few people may leave nobody there; the run is good without.
            None => Unseen::draw(&people.check).ok(),
        };
        // Last of what may be refused: it writes the configuration down.
        let of = Origin::new(&text, &[detector, embedder], people.digest());
        let learner = Learner::open(folder, &text, of, config.descent(), start.clone())?;
        let mut outcome = Outcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            packs: [detector.id, embedder.id].map(|id| id.to_string()),
            learn: [people.learn.len(), people.learn.iter().map(|one| one.pictures.len()).sum()],
            single: people.single.len(),
            skipped,
            held: unseen.counts(),
            start: unseen.judge(&start, LEN)?,
            random: unseen.judge(&start::random(&installed, config.seed), LEN)?,
            installed: unseen.judge(&installed, INSTALLED_LEN)?,
            epochs: Vec::new(),
            best: learner.best(),
            done: None,
            check: None,
        };
        if let Some(told) = told::<Outcome>(folder, learner.steps())? {
            outcome.epochs = told.epochs;
            outcome.epochs.retain(|epoch| epoch.step <= learner.steps());
            if learner.is_over() {
                (outcome.done, outcome.check) = (told.done, told.check);
            }
        }
        let losses = told_losses(&folder.join(LOSSES), LOSSES_HEAD, learner.steps())?;
        let trainable = Trainable::new(net::inception_resnet_v1_head(LEN));
        let folder = folder.to_path_buf();
        Ok(Self {
            config,
            folder,
            trainable,
            people,
            installed,
            start,
            unseen,
            check,
            learner,
            losses,
            outcome,
        })
    }

    /// Takes the epochs that are left, at most `limit` of them, and looks at the check half after the last.
    ///
    /// # Errors
    /// If a loss is no number or all embeddings became one point (the batch is saved), or the folder cannot be written;
    /// the last checkpoint stays.
    pub fn go(&mut self, limit: usize, watch: &mut dyn Watch) -> Result<&Outcome> {
        let Config { steps, epochs, .. } = *self.config;
        let first = self.learner.steps() / steps;
        for epoch in (first..epochs).take(limit) {
            if self.learner.is_over() {
                break;
            }
            let (mut sum, mut triplets) = (0.0, 0);
            for step in epoch * steps..(epoch + 1) * steps {
                let (loss, n) = self.step(step)?;
                sum += f64::from(loss);
                triplets += n;
                watch.step(step + 1, loss);
            }
            let [loss, triplets] = [sum, triplets as f64].map(|sum| sum / steps as f64);
            watch.epoch(&self.validate(epoch + 1, loss, triplets)?);
        }
        if self.learner.is_over() && self.outcome.done.is_none() {
            self.look_at_the_check_half()?;
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

    fn step(&mut self, step: usize) -> Result<(f32, usize)> {
        let mut random = Random::of(&[self.config.seed, STREAM, step as u64]);
        let (features, people) = self.batch(&mut random);
        let Config { negatives, margin, .. } = *self.config;
        let (found, gradients) =
            self.trainable.gradients_of(self.learner.parameters(), &features, |values| {
                let embedding = self.trainable.output("embedding").unwrap_or_default();
                let embeddings = values[embedding].reshape((people.len(), LEN))?;
                let distances = squared_distances(&triplet::values(&embeddings)?, LEN);
                let triplets = select(&distances, &people, negatives, margin, &mut random);
                let total = loss(&embeddings, &triplets, margin)?;
                let value: f32 = total.to_scalar()?;
                Ok((total, (value, triplets.len(), spread(&distances, &people))))
            })?;
        let (loss, triplets, spread) = found;
        let _ = writeln!(self.losses, "{},{triplets},{loss},{spread}", step + 1);
        let finite = gradients.values().all(|g| g.data.iter().all(|value| value.is_finite()));
        let finite = finite && loss.is_finite() && spread.is_finite();
        if !finite || spread < COLLAPSED {
            let what = match finite {
                false => format!("the loss is no number ({loss})"),
                true => format!("all embeddings have become one point (spread {spread})"),
            };
            return Err(self.give_up(step, &what, features));
        }
        self.learner.step(&gradients);
        Ok((loss, triplets))
    }

    /// P people and K photos of each: their features, and whose each is.
    fn batch(&self, random: &mut Random) -> (Vec<f32>, Vec<usize>) {
        let Config { batch_people, batch_photos, .. } = *self.config;
        let (mut features, mut people) = (Vec::new(), Vec::new());
        for person in drawn(self.people.learn.len(), batch_people, random) {
            let photos = &self.people.learn[person].pictures;
            for photo in drawn(photos.len(), batch_photos, random) {
                photos[photo].1.iter().take(1).for_each(|frame| features.extend(&frame.0));
                people.push(person);
            }
        }
        (features, people)
    }

    fn validate(&mut self, epoch: usize, loss: f64, triplets: f64) -> Result<Epoch> {
        let held = self.unseen.judge(self.learner.judged(), LEN)?;
        self.learner.judge(held.accuracy)?;
        let epoch = Epoch { epoch, step: self.learner.steps(), loss, triplets, held };
        self.outcome.epochs.push(epoch);
        self.outcome.best = self.learner.best();
        self.tell()?;
        let at = || format!("writing into {}", self.folder.display());
        write_whole(&self.folder.join(LOSSES), self.losses.as_bytes()).with_context(at)?;
        self.learner.keep()?;
        write_whole(&self.folder.join(curves::PAGE), self.curves()?.as_bytes()).with_context(at)?;
        Ok(epoch)
    }

    /// The page with the losses so far, and what each epoch gave beside what never changes.
    fn curves(&self) -> Result<String> {
        let losses = curves::of_losses(&self.losses, &[("loss", 2)]);
        let triplets = curves::of_losses(&self.losses, &[("triplets", 1)]);
        let Outcome { epochs, start, random, installed, .. } = &self.outcome;
        let line = |name, of: &dyn Fn(&Epoch) -> f64| {
            let point = |epoch: &Epoch| (epoch.step as f64, of(epoch));
            Line { name, points: epochs.iter().map(point).collect() }
        };
        let judged = vec![
            line("this run", &|epoch| epoch.held.accuracy),
            line("random directions", &|_| random.accuracy),
            line("its start", &|_| start.accuracy),
            line("installed", &|_| installed.accuracy),
        ];
        curves::page(
            "Training FaceNet's last layer",
            &[
                ("Mean loss of the triplets that have one", losses),
                ("Their number in a batch", triplets),
                ("Pairs of held-back people judged rightly", judged),
            ],
        )
    }

    fn look_at_the_check_half(&mut self) -> Result<()> {
        let best = self.learner.best_judged()?;
        self.outcome.done = Some(self.unseen.judge(&best, LEN)?);
        if let Some(unseen) = &self.check {
            self.outcome.check = Some(Check {
                counts: unseen.counts(),
                trained: unseen.judge(&best, LEN)?,
                start: unseen.judge(&self.start, LEN)?,
                random: unseen.judge(&start::random(&self.installed, self.config.seed), LEN)?,
                installed: unseen.judge(&self.installed, INSTALLED_LEN)?,
            });
        }
        self.tell()
    }

    fn tell(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.outcome)?;
        write_whole(&self.folder.join(OUTCOME), text.as_bytes())
            .with_context(|| format!("writing into {}", self.folder.display()))
    }

    /// Saves what a run cannot go on from, and the losses that led there.
    fn give_up(&self, step: usize, what: &str, features: Vec<f32>) -> anyhow::Error {
        let shape = vec![features.len() / FEATURES, FEATURES];
        let batch = Tensor { shape, data: features };
        let place = Tensors::from([("features".to_owned(), batch)]);
        let place = self.learner.give_up(&place, (LOSSES, &self.losses));
        anyhow::anyhow!(
            "step {}: {what}; {place}; lower learning_rate, take negatives = \"semi-hard\", and begin anew, or go on from \
             the last checkpoint",
            step + 1
        )
    }
}

/// So many different numbers below `n`, or all, in a drawn order.
fn drawn(n: usize, wanted: usize, random: &mut Random) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    for i in 0..wanted.min(n) {
        all.swap(i, i + random.below(n - i));
    }
    all.truncate(wanted);
    all
}

/// The features of all photos that may be learnt from, of people with one photo too.
fn features(people: &People) -> Vec<f32> {
    let photos = people.learn.iter().chain(&people.single).flat_map(|subject| &subject.pictures);
    photos.flat_map(|(_, frames)| frames.iter().take(1)).flat_map(|one| one.0.clone()).collect()
}
