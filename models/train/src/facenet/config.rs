//! A run's configuration: `run.toml` of `threshold-train facenet`.
//!
//! Owns its keys, their defaults and their bounds. Refuses a key that it does not know, as the cascade's does.

use super::batch::Augment;
use super::network::Network;
use super::objective::Objective;
use super::start::INSTALLED_LEN;
use super::triplet::Negatives;
use crate::config::{is_never, is_zero, out_of_range, parse};
use crate::learner::Descent;
use crate::pictures::People;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use threshold_models::graph::Graph;
use threshold_models::net::ResnetSize;

/// What `stage` says here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// FaceNet: its last layer or block, or a whole network.
    FaceNet,
}

/// Epochs of one kind, before the triplets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// How many.
    pub epochs: usize,
}

impl Phase {
    fn is_none(&self) -> bool {
        self.epochs == 0
    }
}

/// One run of `threshold-train facenet`. Relative paths start at the file's folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What is trained.
    pub stage: Stage,
    /// What everything random follows from.
    #[serde(default)]
    pub seed: u64,
    /// What is trained: the last layer if nothing is said.
    #[serde(default, skip_serializing_if = "is_last_layer")]
    pub network: Network,
    /// Channels of a whole network's first layer; the paper's 64 if this is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Side of a whole network's crops; the paper's 160 if this is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub side_px: Option<usize>,
    /// Values of the embedding; the paper's 128 if this is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
    /// Validations and checkpoints, one after each epoch.
    pub epochs: usize,
    /// Batches of an epoch.
    pub steps: usize,
    /// People of a batch (P).
    #[serde(default = "batch_people")]
    pub batch_people: usize,
    /// Photos of each (K); all of somebody who has fewer.
    #[serde(default = "batch_photos")]
    pub batch_photos: usize,
    /// Batches of which the mean gradient is a step.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Adam's step at the start; it falls to a hundredth over the run, by half a cosine.
    #[serde(default = "learning_rate")]
    pub learning_rate: f32,
    /// Part of every weight that a step of rate 1 takes away.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight_decay: f32,
    /// Part of the parameters' moving average that stays at each step; the average is then what is judged and handed out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub average: f32,
    /// Epochs without a better one after which the run is over.
    #[serde(default, skip_serializing_if = "is_never")]
    pub patience: usize,
    /// Epochs whose checkpoints stay beside the last and the best one.
    #[serde(default, skip_serializing_if = "is_never")]
    pub keep: usize,
    /// Alpha of eq. 5: how much further than a positive a negative should be, squared distance.
    #[serde(default = "margin")]
    pub margin: f32,
    /// Which negatives are learnt from.
    #[serde(default)]
    pub negatives: Negatives,
    /// Steps after which the people of a batch are mined anew: somebody drawn, and those who lie nearest; 0: all are drawn.
    #[serde(default, skip_serializing_if = "is_never")]
    pub mine_every: usize,
    /// Part of the fit half's people that is held back.
    #[serde(default = "held_back")]
    pub held_back: f32,
    /// Where the photos' rows of a part of the installed FaceNet are kept, for other runs with the same photos; in the run's folder if this is missing.
    pub features: Option<PathBuf>,
    /// LFW's list of pairs: the check half is judged by those of its pairs that have nobody of the fit half, beside the
    /// drawn ones.
    pub pairs: Option<PathBuf>,
    /// The first epochs: whose photo it is, by a head that is thrown away behind them.
    #[serde(default, skip_serializing_if = "Phase::is_none")]
    pub pretrain: Phase,
    /// The epochs behind those: the installed FaceNet's embedding, on its principal directions.
    #[serde(default, skip_serializing_if = "Phase::is_none")]
    pub distil: Phase,
    /// What is drawn of a whole network's crops.
    #[serde(default, skip_serializing_if = "Augment::is_none")]
    pub augment: Augment,
    /// Sets with a folder for each person.
    pub people: Vec<People>,
}

fn is_last_layer(network: &Network) -> bool {
    *network == Network::LastLayer
}
fn batch_people() -> usize {
    60
}
fn batch_photos() -> usize {
    4
}
fn one() -> usize {
    1
}
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_one(count: &usize) -> bool {
    *count == 1
}
fn learning_rate() -> f32 {
    2e-4
}
/// Schroff et al. 2015 have 0.2, from scratch; what is installed has few triplets left inside that (docs/training.md).
fn margin() -> f32 {
    1.0
}
fn held_back() -> f32 {
    0.2
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// If it does not read, with its line, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self> {
        let (mut config, folder): (Self, _) = parse(path)?;
        if let Some(fault) = config.fault() {
            bail!("{}: {fault}", path.display());
        }
        for set in &mut config.people {
            set.images = folder.join(&set.images);
        }
        config.features = config.features.map(|features| folder.join(features));
        config.pairs = config.pairs.map(|pairs| folder.join(pairs));
        Ok(config)
    }

    /// How the run's parameters move, and for how long.
    #[must_use]
    pub fn descent(&self) -> Descent {
        let Self { learning_rate, weight_decay, average, epochs, steps, patience, keep, .. } =
            *self;
        Descent { learning_rate, weight_decay, average, epochs, steps, patience, keep }
    }

    /// The sizes of what is trained.
    #[must_use]
    pub fn size(&self) -> ResnetSize {
        let ResnetSize { side_px, width, len } = ResnetSize::PAPER;
        ResnetSize {
            side_px: self.side_px.unwrap_or(side_px),
            width: self.width.unwrap_or(width),
            len: self.length.unwrap_or(len),
        }
    }

    /// What is trained.
    #[must_use]
    pub fn graph(&self) -> Graph {
        self.network.graph(self.size())
    }

    /// What an epoch descends, counted from 0.
    #[must_use]
    pub fn objective(&self, epoch: usize) -> Objective {
        match epoch {
            epoch if epoch < self.pretrain.epochs => Objective::Classes,
            epoch if epoch < self.pretrain.epochs + self.distil.epochs => Objective::Teacher,
            _ => Objective::Triplets,
        }
    }

    /// What is out of range, as a clause.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let ResnetSize { side_px, width, len } = self.size();
        let counts = [
            ("batch_people", self.batch_people, 2, 1_000),
            ("batch_photos", self.batch_photos, 2, 100),
            ("accumulate", self.accumulate, 1, 1_024),
            ("width", width, 8, 64),
            ("side_px", side_px, 32, 160),
            ("length", len, 8, INSTALLED_LEN),
        ];
        let parts = [("margin", self.margin, 0.001, 4.0), ("held_back", self.held_back, 0.01, 0.9)];
        let descent = self.descent().fault();
        let fault = descent.or_else(|| out_of_range(&counts)).or_else(|| out_of_range(&parts));
        fault.or_else(|| self.augment.fault()).or_else(|| self.contradiction())
    }

    /// What does not go together, as a clause.
    fn contradiction(&self) -> Option<String> {
        let ResnetSize { side_px, width, .. } = self.size();
        let [pretrain, distil] = [self.pretrain.epochs, self.distil.epochs];
        if pretrain.saturating_add(distil) > self.epochs {
            return Some(format!(
                "pretrain has {pretrain} epochs and distil {distil}, of {} in all",
                self.epochs
            ));
        }
        if self.mine_every > 0 && !self.steps.is_multiple_of(self.mine_every) {
            // An epoch begins with mining, so that a run which goes on mines by what its checkpoint has.
            return Some(format!(
                "mine_every is {}; it must divide steps, {}",
                self.mine_every, self.steps
            ));
        }
        if self.network.is_whole() {
            let divided = [("width", width, 8), ("side_px", side_px, 32)];
            let odd = divided.into_iter().find(|(_, value, by)| value % by != 0);
            return odd.map(|(name, value, by)| {
                format!("{name} is {value}; it must be a multiple of {by}")
            });
        }
        let whole = [
            ("width", self.width.is_some()),
            ("side_px", self.side_px.is_some()),
            ("augment", !self.augment.is_none()),
            // It starts from what it would be taught.
            ("distil", distil > 0),
        ];
        let (name, _) = whole.into_iter().find(|(_, said)| *said)?;
        Some(format!(
            "{name} is for a whole network (network = \"nn2\"), and not for a part of the installed FaceNet"
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    const LEAST: &str = "stage = \"facenet\"\nepochs = 2\nsteps = 3\n";
    const SET: &str = "[[people]]\nimages = \"photos\"\n";

    fn check(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let said = format!("{:#}", Config::read(&path).unwrap_err());
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_configuration_out_of_range_or_misspelt_says_so() {
        check("stage = \"pnet\"\n", "unknown variant `pnet`");
        check(LEAST, "missing field `people`");
        check(
            &format!("{LEAST}batch_people = 1\n{SET}"),
            "batch_people is 1; it must be 2 to 1000",
        );
        check(&format!("{LEAST}batch_photos = 1\n{SET}"), "batch_photos is 1");
        check(&format!("{LEAST}margin = nan\n{SET}"), "margin is NaN");
        check(&format!("{LEAST}negatives = \"soft\"\n{SET}"), "unknown variant `soft`");
        check(&format!("{LEAST}hard_share = 0.7\n{SET}"), "unknown field `hard_share`");
        check(&format!("{LEAST}network = \"nn4\"\n{SET}"), "unknown variant `nn4`");
        check(&format!("{LEAST}accumulate = 0\n{SET}"), "accumulate is 0; it must be 1 to 1024");
        check(&format!("{LEAST}length = 600\n{SET}"), "length is 600; it must be 8 to 512");
        check(&format!("{LEAST}width = 16\n{SET}"), "width is for a whole network");
        check(&format!("{LEAST}mine_every = 2\n{SET}"), "mine_every is 2; it must divide steps, 3");
        let block = format!("{LEAST}network = \"last-block\"\n");
        check(&format!("{block}side_px = 64\n{SET}"), "side_px is for a whole network");
        check(&format!("{LEAST}distil = {{ epochs = 1 }}\n{SET}"), "distil is for a whole network");
        let whole = format!("{LEAST}network = \"nn2\"\n");
        check(&format!("{whole}width = 20\n{SET}"), "width is 20; it must be a multiple of 8");
        check(
            &format!("{whole}side_px = 100\n{SET}"),
            "side_px is 100; it must be a multiple of 32",
        );
        check(&format!("{whole}augment = {{ shift_px = 40 }}\n{SET}"), "augment.shift_px is 40");
        check(
            &format!("{whole}pretrain = {{ epochs = 2 }}\ndistil = {{ epochs = 1 }}\n{SET}"),
            "pretrain has 2 epochs and distil 1, of 2 in all",
        );
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(
            &path,
            format!("{LEAST}features = \"kept\"\npairs = \"a/pairs.txt\"\n{SET}"),
        )
        .unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.people[0].images, folder.path().join("photos"));
        assert_eq!(config.features, Some(folder.path().join("kept")));
        assert_eq!(config.pairs, Some(folder.path().join("a/pairs.txt")));
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        // Keys that came later do not change what the text of an earlier run says.
        let text = toml::to_string(&config).unwrap();
        for key in ["network", "width", "length", "pretrain", "distil", "augment", "accumulate"] {
            assert!(!text.contains(key), "{text}");
        }
        assert!(!text.contains("mine_every"), "{text}");
        let whole = "network = \"nn2\"\nwidth = 16\nside_px = 64\npretrain = { epochs = 1 }\n";
        std::fs::write(&path, format!("{LEAST}{whole}augment = {{ mirror = true }}\n{SET}"))
            .unwrap();
        let config = Config::read(&path).unwrap();
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        let objectives = [0, 1].map(|epoch| config.objective(epoch));
        assert_eq!(objectives, [Objective::Classes, Objective::Triplets]);
    }
}
