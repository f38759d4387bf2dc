//! A run: epochs of batches of triplets, a validation and a checkpoint after each, in a folder as `crate::run` has it.
//!
//! ```text
//! run.toml, and the checkpoints of `crate::learner`   as there
//! run.json             version, packs, people and photos, what each epoch gave, and once it is done the check half
//! losses.csv           one line for each step: step, triplets, loss, spread
//! curves.html          losses and validations as curves
//! features             the photos' rows of a part of the installed FaceNet, unless the configuration names another place
//! ```
//! Owns the loop, which is the same whatever is trained and whatever its epochs descend.
//! The check half of the people is judged once, by the best parameters, when the last epoch is done: nothing is chosen by it.

use super::batch::{Batch, Photos as Learnt};
use super::config::Config;
use super::mined::Mined;
use super::network::{self, Network};
use super::objective::{self, HEAD, Objective};
use super::pairs::{Judged, Unseen};
use super::photos::Photos;
use super::start::{self, FEATURES, INSTALLED_LEN};
use super::triplet::{self, select, spread, squared_distances};
use crate::checkpoint::{Origin, write_whole};
use crate::curves::{self, Line};
use crate::learner::Learner;
use crate::pictures::is_held;
use crate::random::Random;
use crate::run::{LOSSES, OUTCOME, add, told, told_losses};
use crate::trainable::Trainable;
use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use threshold_models::eval::embeddings::{PicturesDigest, Subject};
use threshold_models::eval::split::Half;
use threshold_models::graph::Graph;
use threshold_models::net::{ResnetSize, inception_resnet_v1_head};
use threshold_models::pack::Pack;
use threshold_models::tensor::{Tensor, Tensors};

/// Mean squared distance of different people below which all have become one point; faces that point anywhere have 2.
const COLLAPSED: f32 = 0.05;

/// Photos by whose moments norms are folded in.
const NORMED_BY: usize = 128;

const LOSSES_HEAD: &str = "step,triplets,loss,spread\n";
/// What the draw is for, beside the seed.
const STREAM: u64 = 0x7472_6970;

/// People by what they are for; the first frame of a picture is its row.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Of the fit half, with two photos or more: learnt from.
    pub learn: Vec<Subject>,
    /// Of the fit half, with one photo: they make no positive, and only say where faces lie and what a teacher says of them.
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

    /// Gives the photos that are learnt from a second frame: these features, of which the teacher's embedding is made.
    ///
    /// # Errors
    /// If a photo has none.
    pub fn teach(&mut self, features: &Photos) -> Result<()> {
        let fit = features.features.subjects(Half::Fit);
        let pictures = fit.into_iter().flat_map(|subject| subject.pictures);
        let mut of: BTreeMap<String, _> = pictures.collect();
        for subject in self.learn.iter_mut().chain(&mut self.single) {
            for (name, frames) in &mut subject.pictures {
                let features =
                    of.remove(name).with_context(|| format!("{name} has no features"))?;
                frames.extend(features.into_iter().take(1));
            }
        }
        Ok(())
    }

    /// A frame of each photo that is learnt from, those of people with one photo last.
    pub fn learnt(&self, frame: usize) -> impl Iterator<Item = &[f32]> {
        let photos = self.learn.iter().chain(&self.single).flat_map(|subject| &subject.pictures);
        photos.filter_map(move |(_, frames)| Some(frames.get(frame)?.0.as_slice()))
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

/// What stands beside what was trained, on the same pairs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beside {
    /// What the run starts from: principal directions, or an untrained network.
    pub start: Judged,
    /// The installed embedding on random directions, beside a part of the installed network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<Judged>,
    /// The installed network, beside a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<Judged>,
    /// The crops' pixels less their mean, made unit, beside a whole network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pixels: Option<Judged>,
}

impl Beside {
    /// All that is there, by name.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, Judged)> {
        let Self { start, random, installed, pixels } = *self;
        let all = [
            ("its start", Some(start)),
            ("random directions", random),
            ("installed", installed),
            ("raw pixels", pixels),
        ];
        all.into_iter().filter_map(|(name, judged)| Some((name, judged?)))
    }
}

/// The check half by one kind of pairs, once the run is done.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// People, photos and pairs.
    pub counts: [usize; 3],
    /// What was trained.
    pub trained: Judged,
    /// And what stands beside it.
    #[serde(flatten)]
    pub beside: Beside,
}

/// Who wants to know how far a run is; a closure is told the epochs alone.
pub trait Watch {
    /// A step was taken, with this mean loss.
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
    /// People with one photo: they make no positive.
    pub single: usize,
    /// Photos that could not be read.
    pub skipped: Vec<String>,
    /// People, photos and pairs that are held back.
    pub held: [usize; 3],
    /// What stands beside what is trained, on the held-back pairs.
    #[serde(flatten)]
    pub beside: Beside,
    /// The epochs since the run's start, those before it was cut too.
    pub epochs: Vec<Epoch>,
    /// The best one's accuracy.
    pub best: f64,
    /// The best parameters on the held-back pairs, once the run is done: where the threshold comes from.
    pub done: Option<Judged>,
    /// And on the check half: by the list's pairs, if one is named, else by drawn ones.
    pub check: Option<Check>,
    /// By drawn ones too, beside a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Check>,
}

/// A run that can take steps.
pub struct Run<'a> {
    config: &'a Config,
    folder: PathBuf,
    graph: Graph,
    trainable: Trainable,
    /// The same with the head that says whose photo it is.
    with_head: Option<Trainable>,
    photos: Learnt<'a>,
    /// Rows by which norms are folded in for the judgement.
    seen: Vec<f32>,
    /// The teacher's embeddings of those photos, one after the other.
    asked: Vec<f32>,
    yardstick: Yardstick,
    unseen: Unseen,
    check: Option<Unseen>,
    /// Drawn pairs beside those of a list.
    drawn: Option<Unseen>,
    /// Where people lay when they were mined last.
    mined: Option<Mined>,
    learner: Learner,
    losses: String,
    outcome: Outcome,
}

/// What a run is compared with.
struct Yardstick {
    start: Tensors,
    other: Other,
}

enum Other {
    /// The part of the installed network as it is, and on random directions.
    Part { graph: Graph, installed: Tensors, random: Tensors },
    /// The mean of the crops.
    Whole { mean: Vec<f32> },
}

impl Yardstick {
    fn judge(&self, graph: &Graph, unseen: &Unseen) -> Result<Beside> {
        let start = unseen.judge(graph, &self.start)?;
        let mut beside = Beside { start, random: None, installed: None, pixels: None };
        match &self.other {
            Other::Part { graph: whole, installed, random } => {
                beside.random = Some(unseen.judge(graph, random)?);
                beside.installed = Some(unseen.judge(whole, installed)?);
            }
            Other::Whole { mean } => beside.pixels = Some(unseen.judge_rows(mean)?),
        }
        Ok(beside)
    }
}

/// The mean of rows.
fn mean(rows: &[&[f32]]) -> Vec<f32> {
    let mut mean = vec![0.0; rows.first().map_or(0, |row| row.len())];
    for row in rows {
        mean.iter_mut().zip(*row).for_each(|(sum, value)| *sum += value / rows.len() as f32);
    }
    mean
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
        let (graph, size) = (config.graph(), config.size());
        let photos = Learnt::of(people, config.augment);
        let (begin, other) = if config.network.is_whole() {
            (network::untrained(&graph, config.seed), Other::Whole { mean: mean(&photos.rows) })
        } else {
            let whole = config.network.graph(ResnetSize { len: INSTALLED_LEN, ..size });
            let installed = start::installed(&whole, embedder)?;
            let of = (&whole, &installed);
            let start = start::principal(of, &photos.rows.concat(), size.len, config.seed)?;
            let random = start::random(&installed, size.len, config.seed);
            (start, Other::Part { graph: whole, installed, random })
        };
        let trainable = Trainable::new(graph.clone());
        let seen = photos.some(NORMED_BY, &mut Random::of(&[config.seed, !STREAM]));
        let yardstick = Yardstick { start: trainable.folded(&begin, &seen)?, other };
        let asked = match config.distil.epochs {
            0 => Vec::new(),
            _ => {
                let features: Vec<f32> = people.learnt(1).flatten().copied().collect();
                if features.len() != photos.rows.len() * FEATURES {
                    bail!("distil: not every photo has the teacher's features");
                }
                let head = inception_resnet_v1_head(INSTALLED_LEN);
                let installed = start::installed(&head, embedder)?;
                let of = (&head, &installed);
                let teacher = start::principal(of, &features, size.len, config.seed)?;
                network::embeddings(&inception_resnet_v1_head(size.len), &teacher, &features)?
            }
        };
        let with_head = match config.pretrain.epochs {
            0 => None,
            _ => Some(objective::with_head(&graph, people.learn.len())),
        };
        let mut start = begin;
        if let Some(with_head) = &with_head {
            // From zero, so that at first everybody is as likely and no direction is anybody's.
            for spec in with_head.weights().filter(|spec| is_of_head(&spec.name)) {
                let data = vec![0.0; spec.len()];
                start.insert(spec.name, Tensor { shape: spec.shape, data });
            }
        }
        let unseen = Unseen::draw(&people.held).context("the held-back people (held_back)")?;
        // A list that does not read is told now, and not after the last epoch.
        let check = match &config.pairs {
            Some(list) => Some(Unseen::listed(list, &people.check)?),
            // Few people may leave nobody there; the run is good without.
            None => Unseen::draw(&people.check).ok(),
        };
        let drawn = config.pairs.as_ref().and_then(|_| Unseen::draw(&people.check).ok());
        // Last of what may be refused: it writes the configuration down.
        let of = Origin::new(&text, &[detector, embedder], people.digest());
        let learner = Learner::open(folder, &text, of, config.descent(), start)?;
        let mut outcome = Outcome {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            packs: [detector.id, embedder.id].map(|id| id.to_string()),
            learn: [people.learn.len(), people.learn.iter().map(|one| one.pictures.len()).sum()],
            single: people.single.len(),
            skipped,
            held: unseen.counts(),
            beside: yardstick.judge(&graph, &unseen)?,
            epochs: Vec::new(),
            best: learner.best(),
            done: None,
            check: None,
            drawn: None,
        };
        if let Some(told) = told::<Outcome>(folder, learner.steps())? {
            outcome.epochs = told.epochs;
            outcome.epochs.retain(|epoch| epoch.step <= learner.steps());
            if learner.is_over() {
                (outcome.done, outcome.check, outcome.drawn) = (told.done, told.check, told.drawn);
            }
        }
        let losses = told_losses(&folder.join(LOSSES), LOSSES_HEAD, learner.steps())?;
        let with_head = with_head.map(Trainable::new);
        let folder = folder.to_path_buf();
        Ok(Self {
            config,
            folder,
            graph,
            trainable,
            with_head,
            photos,
            seen,
            asked,
            yardstick,
            unseen,
            check,
            drawn,
            mined: None,
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
        let Config { accumulate, steps, mine_every, .. } = *self.config;
        let objective = self.config.objective(step / steps);
        if objective != Objective::Classes {
            self.learner.forget(is_of_head);
        }
        if mine_every > 0 && objective == Objective::Triplets && step.is_multiple_of(mine_every) {
            self.mined = Some(self.mine()?);
        }
        let (mut all, mut mean) = (Vec::with_capacity(accumulate), Tensors::new());
        for part in 0..accumulate {
            let number = (step * accumulate + part) as u64;
            let mut random = Random::of(&[self.config.seed, STREAM, number]);
            let batch = self.draw(objective, &mut random);
            let (said, gradients) = self.gradients(objective, &batch, &mut random)?;
            all.push(said);
            let Said { loss, spread, .. } = said;
            let finite = gradients.values().all(|g| g.data.iter().all(|value| value.is_finite()));
            let finite = finite && loss.is_finite() && spread.is_finite();
            if !finite || (objective == Objective::Triplets && spread < COLLAPSED) {
                self.tell_step(step, &all);
                let what = match finite {
                    false => format!("the loss is no number ({loss})"),
                    true => format!("all embeddings have become one point (spread {spread})"),
                };
                return Err(self.give_up(step, &what, batch.rows));
            }
            add(&mut mean, gradients, 1.0 / accumulate as f32);
        }
        let told = self.tell_step(step, &all);
        self.learner.step(&mean);
        Ok(told)
    }

    /// Where the people to learn from lie by the parameters as they are now, and not by their average, which is behind.
    fn mine(&self) -> Result<Mined> {
        let now = self.trainable.folded(self.learner.parameters(), &self.seen)?;
        let embed = |rows: &[f32]| network::embeddings(&self.graph, &now, rows);
        self.photos.mined(self.config.size().len, embed)
    }

    fn draw(&self, objective: Objective, random: &mut Random) -> Batch {
        let Config { batch_people, batch_photos, .. } = *self.config;
        match objective {
            Objective::Teacher => self.photos.of_all(batch_people * batch_photos, random),
            Objective::Classes | Objective::Triplets => {
                self.photos.of_people(batch_people, batch_photos, self.mined.as_ref(), random)
            }
        }
    }

    /// What a batch says, and its gradients.
    fn gradients(
        &self,
        objective: Objective,
        batch: &Batch,
        random: &mut Random,
    ) -> Result<(Said, Tensors)> {
        let Config { negatives, margin, .. } = *self.config;
        let (len, n) = (self.config.size().len, batch.photos.len());
        let trainable = match (objective, &self.with_head) {
            (Objective::Classes, Some(with_head)) => with_head,
            _ => &self.trainable,
        };
        let output = |name: &str| trainable.output(name).context("the network lacks an output");
        let embedding = output("embedding")?;
        let head = if objective == Objective::Classes { output(HEAD)? } else { embedding };
        let found = trainable.gradients_of(self.learner.parameters(), &batch.rows, |values| {
            let embeddings = values[embedding].reshape((n, len))?;
            let distances = squared_distances(&triplet::values(&embeddings)?, len);
            let mut said = Said { spread: spread(&distances, &batch.people), ..Said::default() };
            let total = match objective {
                Objective::Classes => {
                    objective::classes(&values[head].reshape((n, ()))?, &batch.people)?
                }
                Objective::Teacher => {
                    let of = |&photo: &usize| &self.asked[photo * len..][..len];
                    let asked: Vec<f32> = batch.photos.iter().flat_map(of).copied().collect();
                    objective::teacher(&embeddings, &asked)?
                }
                Objective::Triplets => {
                    let triplets = select(&distances, &batch.people, negatives, margin, random);
                    said.triplets = triplets.len();
                    triplet::loss(&embeddings, &triplets, margin)?
                }
            };
            said.loss = total.to_scalar()?;
            Ok((total, said))
        });
        Ok(found?)
    }

    /// Writes a step's line: means, and of triplets the whole number.
    fn tell_step(&mut self, step: usize, all: &[Said]) -> (f32, usize) {
        let mean = |of: fn(&Said) -> f32| all.iter().map(of).sum::<f32>() / all.len() as f32;
        let [loss, spread] = [mean(|said| said.loss), mean(|said| said.spread)];
        let triplets: usize = all.iter().map(|said| said.triplets).sum();
        let _ = writeln!(self.losses, "{},{triplets},{loss},{spread}", step + 1);
        (loss, triplets)
    }

    fn validate(&mut self, epoch: usize, loss: f64, triplets: f64) -> Result<Epoch> {
        let judged = self.trainable.folded(self.learner.judged(), &self.seen)?;
        let held = self.unseen.judge(&self.graph, &judged)?;
        self.learner.judge_as(held.accuracy, Some(&judged))?;
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
        let Outcome { epochs, beside, .. } = &self.outcome;
        let line = |name, of: &dyn Fn(&Epoch) -> f64| {
            let point = |epoch: &Epoch| (epoch.step as f64, of(epoch));
            Line { name, points: epochs.iter().map(point).collect() }
        };
        let mut judged = vec![line("this run", &|epoch| epoch.held.accuracy)];
        judged.extend(beside.named().map(|(name, judged)| line(name, &|_| judged.accuracy)));
        let (title, of) = match self.config.network {
            Network::LastLayer => {
                ("Training FaceNet's last layer", "Mean loss of the triplets that have one")
            }
            Network::LastBlock => {
                ("Training FaceNet's last block", "Mean loss of the triplets that have one")
            }
            Network::Nn2 | Network::Nn3 => {
                ("Training FaceNet from scratch", "Mean loss, of what each epoch descends")
            }
        };
        curves::page(
            title,
            &[
                (of, losses),
                ("Their number in a batch", triplets),
                ("Pairs of held-back people judged rightly", judged),
            ],
        )
    }

    fn look_at_the_check_half(&mut self) -> Result<()> {
        let best = self.trainable.folded(&self.learner.best_judged()?, &self.seen)?;
        self.outcome.done = Some(self.unseen.judge(&self.graph, &best)?);
        let judge = |unseen: &Unseen| -> Result<Check> {
            Ok(Check {
                counts: unseen.counts(),
                trained: unseen.judge(&self.graph, &best)?,
                beside: self.yardstick.judge(&self.graph, unseen)?,
            })
        };
        let check = self.check.as_ref().map(judge).transpose()?;
        let drawn = self.drawn.as_ref().map(judge).transpose()?;
        (self.outcome.check, self.outcome.drawn) = (check, drawn);
        self.tell()
    }

    fn tell(&self) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.outcome)?;
        write_whole(&self.folder.join(OUTCOME), text.as_bytes())
            .with_context(|| format!("writing into {}", self.folder.display()))
    }

    /// Saves what a run cannot go on from, and the losses that led there.
    fn give_up(&self, step: usize, what: &str, rows: Vec<f32>) -> anyhow::Error {
        let len = self.config.network.rows(self.config.size().side_px).len();
        let batch = Tensor { shape: vec![rows.len() / len, len], data: rows };
        let place = Tensors::from([("rows".to_owned(), batch)]);
        let place = self.learner.give_up(&place, (LOSSES, &self.losses));
        anyhow::anyhow!(
            "step {}: {what}; {place}; lower learning_rate, take negatives = \"semi-hard\", and begin anew, or go on from \
             the last checkpoint",
            step + 1
        )
    }
}

/// What a batch says.
#[derive(Clone, Copy, Debug, Default)]
struct Said {
    loss: f32,
    triplets: usize,
    spread: f32,
}

/// Whether a parameter is of the head that says whose photo it is.
fn is_of_head(name: &str) -> bool {
    name.split('.').next() == Some(HEAD)
}
