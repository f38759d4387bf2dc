//! A run's configuration: `run.toml` of `threshold-train facenet`.
//!
//! Owns its keys, their defaults and their bounds. Refuses a key that it does not know, as the cascade's does.

use super::triplet::Negatives;
use crate::config::{is_never, is_zero, out_of_range, parse};
use crate::learner::Descent;
use crate::pictures::People;
use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What `stage` says here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// FaceNet's last layer.
    FaceNet,
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
    /// Part of the fit half's people that is held back.
    #[serde(default = "held_back")]
    pub held_back: f32,
    /// Where the photos' features are kept, for other runs with the same photos; in the run's folder if this is missing.
    pub features: Option<PathBuf>,
    /// LFW's list of pairs: the check half is judged by those of its pairs that have nobody of the fit half, and not by
    /// drawn ones.
    pub pairs: Option<PathBuf>,
    /// Sets with a folder for each person.
    pub people: Vec<People>,
}

fn batch_people() -> usize {
    60
}
fn batch_photos() -> usize {
    4
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

    /// What is out of range, as a clause.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        let counts = [
            ("batch_people", self.batch_people, 2, 1_000),
            ("batch_photos", self.batch_photos, 2, 100),
        ];
        let parts = [("margin", self.margin, 0.001, 4.0), ("held_back", self.held_back, 0.01, 0.9)];
        let descent = self.descent().fault();
        descent.or_else(|| out_of_range(&counts)).or_else(|| out_of_range(&parts))
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
    }
}
