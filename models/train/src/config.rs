//! A run's configuration: `run.toml`.
//!
//! Owns its keys, their defaults and their bounds. Refuses a key that it does not know, since a misspelt one would train
//! something else than was meant.

use crate::learner::Descent;
use crate::pictures::{CelebA, People, Sets, Wider};
use crate::sample::Augment;
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::path::{Path, PathBuf};

/// One run of `threshold-train mtcnn`. Relative paths start at the file's folder.
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
    /// Samples of a batch.
    #[serde(default = "batch")]
    pub batch: usize,
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
    /// Part of the class losses that is learnt from, the largest ones (online hard sample mining).
    #[serde(default = "hard_share")]
    pub hard_share: f32,
    /// Factors of the three losses.
    #[serde(default)]
    pub tasks: Tasks,
    /// Samples of each kind in a batch, as parts of their sum.
    #[serde(default)]
    pub mix: Mix,
    /// How pictures are changed.
    #[serde(default)]
    pub augment: Augment,
    /// Part of the negatives that the installed cascade took for faces.
    #[serde(default = "mined")]
    pub mined: f32,
    /// Smallest face that is learnt, pixels.
    #[serde(default = "min_face_px")]
    pub min_face_px: f32,
    /// Part of the people and pictures that is held back.
    #[serde(default = "held_back")]
    pub held_back: f32,
    /// Samples of the balanced set that validates, half of them faces.
    #[serde(default = "validation")]
    pub validation: usize,
    /// Sets with boxes.
    #[serde(default)]
    pub wider: Vec<Wider>,
    /// Sets with CelebA's lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub celeba: Vec<CelebA>,
    /// Sets with a folder for each person.
    #[serde(default)]
    pub people: Vec<People>,
}

/// Alpha of the paper's eq. 4 for each task.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tasks {
    /// Face or not.
    pub class: f32,
    /// Box regression.
    pub bbox: f32,
    /// Landmarks; Zhang et al. 2016 have 1 for O-Net, the only one with that output here.
    pub landmarks: f32,
}

impl Default for Tasks {
    fn default() -> Self {
        Self { class: 1.0, bbox: 0.5, landmarks: 1.0 }
    }
}

/// How many of each kind; those of Zhang et al. 2016, landmarks only for O-Net.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Windows without a face.
    pub negative: u32,
    /// Faces.
    pub positive: u32,
    /// Parts of faces.
    pub part: u32,
    /// Faces for their landmarks.
    pub landmarks: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { negative: 3, positive: 1, part: 1, landmarks: 2 }
    }
}

fn batch() -> usize {
    256
}
fn one() -> usize {
    1
}
fn is_one(count: &usize) -> bool {
    *count == 1
}
fn learning_rate() -> f32 {
    1e-3
}
fn hard_share() -> f32 {
    0.7
}
fn mined() -> f32 {
    0.3
}
fn min_face_px() -> f32 {
    20.0
}
fn held_back() -> f32 {
    0.2
}
fn validation() -> usize {
    2000
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
        for set in &mut config.wider {
            set.list = folder.join(&set.list);
            set.images = folder.join(&set.images);
        }
        for set in &mut config.celeba {
            let paths = [&mut set.boxes, &mut set.landmarks, &mut set.images];
            for path in paths.into_iter().chain(set.identities.as_mut()) {
                *path = folder.join(&path);
            }
        }
        for set in &mut config.people {
            set.images = folder.join(&set.images);
        }
        Ok(config)
    }

    /// What it learns from.
    #[must_use]
    pub fn sets(&self) -> Sets<'_> {
        Sets { wider: &self.wider, celeba: &self.celeba, people: &self.people }
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
            ("batch", self.batch, 8, 65_536),
            ("accumulate", self.accumulate, 1, 1_024),
            ("validation", self.validation, 2, 1_000_000),
        ];
        let Tasks { class, bbox, landmarks } = self.tasks;
        let parts = [
            ("hard_share", self.hard_share, 0.01, 1.0),
            ("mined", self.mined, 0.0, 1.0),
            ("min_face_px", self.min_face_px, 6.0, 10_000.0),
            ("held_back", self.held_back, 0.0, 0.9),
            ("tasks.class", class, 0.0, 1000.0),
            ("tasks.bbox", bbox, 0.0, 1000.0),
            ("tasks.landmarks", landmarks, 0.0, 1000.0),
        ];
        let descent = self.descent().fault();
        let fault = descent.or_else(|| out_of_range(&counts)).or_else(|| out_of_range(&parts));
        if fault.is_some() {
            return fault;
        }
        let Mix { negative, positive, part, landmarks } = self.mix;
        if [negative, positive].contains(&0)
            || negative.max(positive).max(part).max(landmarks) > 1000
        {
            return Some("mix needs negatives and positives, and no part above 1000".to_owned());
        }
        self.augment.fault().map(|fault| format!("augment: {fault}"))
    }
}

/// What a run's text leaves out where it has none, so that it is the text of runs before there were such keys.
pub(crate) fn is_zero(value: &f32) -> bool {
    *value == 0.0
}
/// As above.
pub(crate) fn is_never(count: &usize) -> bool {
    *count == 0
}

/// A configuration as its file has it, and the file's folder, absolute, at which its paths start: so the copy in the run's
/// folder means the same.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path) -> Result<(T, PathBuf)> {
    let at = || path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(at)?;
    let config = toml::from_str(&text).with_context(at)?;
    let folder = std::path::absolute(path).with_context(at)?;
    Ok((config, folder.parent().unwrap_or(Path::new("/")).to_path_buf()))
}

/// The first number out of its range, as a clause.
pub(crate) fn out_of_range<T: PartialOrd + Display>(values: &[(&str, T, T, T)]) -> Option<String> {
    let out = values.iter().find(|(_, value, low, high)| !(low..=high).contains(&value))?;
    let (name, value, low, high) = out;
    Some(format!("{name} is {value}; it must be {low} to {high}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    const LEAST: &str = "stage = \"pnet\"\nepochs = 2\nsteps = 3\n";

    fn check(text: &str, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, text).unwrap();
        let said = format!("{:#}", Config::read(&path).unwrap_err());
        assert!(said.contains(expected), "{said}");
    }

    #[test]
    fn a_configuration_out_of_range_or_misspelt_says_so() {
        check("", "missing field `stage`");
        check(&format!("{LEAST}epoch = 3\n"), "unknown field `epoch`");
        check(&format!("{LEAST}batch = 0\n"), "batch is 0; it must be 8 to 65536");
        check(&format!("{LEAST}accumulate = 0\n"), "accumulate is 0; it must be 1 to 1024");
        check(&format!("{LEAST}hard_share = 1.5\n"), "hard_share is 1.5");
        check(&format!("{LEAST}learning_rate = nan\n"), "learning_rate is NaN");
        check(&format!("{LEAST}[augment]\nturn_deg = 90.0\n"), "turn_deg is not 0 to 45");
        check(
            &format!("{LEAST}[mix]\nnegative = 0\npositive = 1\npart = 1\nlandmarks = 0\n"),
            "mix needs",
        );
    }

    #[test]
    fn relative_paths_start_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.toml");
        std::fs::write(&path, format!("{LEAST}[[people]]\nimages = \"photos\"\n")).unwrap();
        let config = Config::read(&path).unwrap();
        assert_eq!(config.people[0].images, folder.path().join("photos"));
        let again: Config = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again, config);
        // Keys that came later do not change what the text of an earlier run says.
        let text = toml::to_string(&config).unwrap();
        for key in ["accumulate", "keep", "average", "patience", "weight_decay"] {
            assert!(!text.contains(key), "{text}");
        }
    }
}
