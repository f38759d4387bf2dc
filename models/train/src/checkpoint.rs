//! Checkpoints: everything that a run needs to go on, in one file that is there whole or not at all.
//!
//! ```text
//! safetensors: p.<name> parameters, a.<name> their moving average if there is one, m.<name> and v.<name> Adam's moments, all F32
//! __metadata__: threshold.checkpoint = {"format": 1, "step": ..., "best": ..., "best_step": ..., "config": <blake3 of the configuration>}
//! ```
//! The file is written beside its place, made durable, and renamed; a disk that is full leaves the one before.
//! Refuses one of another configuration: its losses would be another run's.

use crate::adam::Adam;
use anyhow::{Context as _, Result, bail};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use threshold_models::tensor::{Tensor, Tensors};

/// Key of the description in the header.
const META_KEY: &str = "threshold.checkpoint";
/// The form that this build writes and reads.
const FORMAT: u32 = 1;

/// A run between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The network's parameters.
    pub parameters: Tensors,
    /// Their moving average; empty if the run has none.
    pub average: Tensors,
    /// The optimiser, which knows how many steps were taken.
    pub adam: Adam,
    /// The best validation so far.
    pub best: f64,
    /// Steps taken when it was.
    pub best_step: usize,
    /// Digest of the configuration ([`digest`]).
    pub config: String,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    format: u32,
    step: usize,
    best: f64,
    /// Missing in those of builds before early stop.
    #[serde(default)]
    best_step: usize,
    config: String,
}

impl Checkpoint {
    /// Writes it.
    ///
    /// # Errors
    /// If it could not be written; what stood there before still does.
    pub fn write(&self, path: &Path) -> Result<()> {
        let Self { parameters, average, adam, .. } = self;
        let parts = [("p", parameters), ("a", average), ("m", &adam.first), ("v", &adam.second)];
        let meta = Meta {
            format: FORMAT,
            step: self.adam.steps,
            best: self.best,
            best_step: self.best_step,
            config: self.config.clone(),
        };
        let text = serde_json::to_string(&meta)?;
        let all = parts.into_iter().flat_map(|(part, tensors)| {
            tensors.iter().map(move |(name, tensor)| (format!("{part}.{name}"), tensor))
        });
        write(path, all, Some((META_KEY, text)))
    }

    /// Whether it is of a configuration with this text, in `folder`.
    ///
    /// # Errors
    /// If it is another one's.
    pub fn is_of(&self, text: &str, folder: &Path) -> Result<()> {
        if self.config != digest(text) {
            bail!(
                "{} is a run of another configuration, whose losses would not go on; choose another folder, \
                 or remove this one",
                folder.display()
            );
        }
        Ok(())
    }

    /// Reads one.
    ///
    /// # Errors
    /// If it is none, or a damaged one.
    pub fn read(path: &Path) -> Result<Self> {
        let at = || path.display().to_string();
        let bytes = std::fs::read(path).with_context(at)?;
        let (_, header) = SafeTensors::read_metadata(&bytes).with_context(at)?;
        let text = header.metadata().as_ref().and_then(|map| map.get(META_KEY));
        let meta: Meta =
            serde_json::from_str(text.context("it is no checkpoint").with_context(at)?)
                .with_context(at)?;
        if meta.format != FORMAT {
            bail!("{}: its format is {}, this build reads {FORMAT}", path.display(), meta.format);
        }
        let [mut parameters, mut average, mut first, mut second] = [const { Tensors::new() }; 4];
        for (name, view) in SafeTensors::deserialize(&bytes).with_context(at)?.tensors() {
            let (part, name) = name.split_once('.').unwrap_or(("", &name));
            let tensors = match part {
                "p" => &mut parameters,
                "a" => &mut average,
                "m" => &mut first,
                "v" => &mut second,
                _ => bail!("{}: tensor {name} is of no checkpoint", path.display()),
            };
            let data = view.data().as_chunks().0.iter().map(|&four| f32::from_le_bytes(four));
            tensors.insert(
                name.to_owned(),
                Tensor { shape: view.shape().to_vec(), data: data.collect() },
            );
        }
        let adam = Adam { steps: meta.step, first, second };
        let Meta { best, best_step, config, .. } = meta;
        Ok(Self { parameters, average, adam, best, best_step, config })
    }
}

/// Writes tensors as F32, whole or not at all.
///
/// # Errors
/// If the file could not be written.
pub fn write<'a>(
    path: &Path,
    tensors: impl Iterator<Item = (String, &'a Tensor)>,
    meta: Option<(&str, String)>,
) -> Result<()> {
    let at = || format!("writing {}", path.display());
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .map(|(name, tensor)| {
            let data = tensor.data.iter().flat_map(|value| value.to_le_bytes()).collect();
            (name, tensor.shape.clone(), data)
        })
        .collect();
    let mut views = Vec::with_capacity(bytes.len());
    for (name, shape, data) in &bytes {
        views.push((name, TensorView::new(Dtype::F32, shape.clone(), data)?));
    }
    let meta = meta.map(|(key, text)| HashMap::from([(key.to_owned(), text)]));
    write_whole(path, &safetensors::serialize(views, meta)?).with_context(at)
}

/// Writes bytes beside their place, makes them durable, renames.
///
/// # Errors
/// If one of these failed; what stood there before still does.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name is durable only with its folder.
    std::fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// The digest of a text, in hex.
#[must_use]
pub fn digest(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    fn checkpoint(seed: f32) -> Checkpoint {
        let tensor = Tensor { shape: vec![2, 1], data: vec![seed, -seed] };
        let parameters = Tensors::from([("a.weight".to_owned(), tensor)]);
        let mut adam = Adam::new(&parameters);
        adam.step(&mut parameters.clone(), &parameters, 0.1);
        let average = parameters.clone();
        Checkpoint { parameters, average, adam, best: 0.875, best_step: 1, config: digest("x") }
    }

    #[test]
    fn a_checkpoint_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.checkpoint");
        for seed in [1.5, 0.1] {
            checkpoint(seed).write(&path).unwrap();
            assert_eq!(Checkpoint::read(&path).unwrap(), checkpoint(seed));
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn a_cut_or_foreign_file_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.checkpoint");
        checkpoint(1.0).write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        for end in [0, 7, 40, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let said = format!("{:#}", Checkpoint::read(&path).unwrap_err());
            assert!(said.contains("last.checkpoint"), "{said}");
        }
    }

    #[test]
    fn a_place_that_cannot_be_written_leaves_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("last.checkpoint");
        assert!(checkpoint(1.0).write(&path).is_err());
        assert!(!path.exists());
    }
}
