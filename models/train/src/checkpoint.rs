//! Checkpoints: everything that a run needs to go on, in one file that is there whole or not at all.
//!
//! ```text
//! safetensors: p.<name> parameters, a.<name> their moving average if there is one, m.<name> and v.<name> Adam's moments, all F32
//! __metadata__: threshold.checkpoint = {"format": 2, "step": ..., "best": ..., "best_step": ...,
//!     "of": {"config": <blake3 of the configuration>, "packs": [<model ids>], "pictures": <blake3 of what is learnt from>}}
//! ```
//! The file is written beside its place, made durable, and renamed; a disk that is full leaves the one before.
//! Refuses one of another configuration, of other packs or of other pictures: its losses would be another run's.

use crate::adam::Adam;
use anyhow::{Context as _, Result, bail};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Write as _;
use std::path::Path;
use threshold_models::pack::Pack;
use threshold_models::tensor::{Tensor, Tensors};

/// Key of the description in the header.
const META_KEY: &str = "threshold.checkpoint";
/// The form that this build writes and reads.
const FORMAT: u32 = 2;

/// What a run's losses follow from, beside its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Digest of the configuration ([`digest`]).
    pub config: String,
    /// Model ids of the installed packs that it used.
    pub packs: Vec<String>,
    /// Digest of the pictures as they were read, labelled and divided.
    pub pictures: String,
}

impl Origin {
    /// Of a configuration's text, packs and the digest of pictures.
    #[must_use]
    pub fn new(text: &str, packs: &[&Pack], pictures: String) -> Self {
        let packs = packs.iter().map(|pack| pack.id.to_string()).collect();
        Self { config: digest(text), packs, pictures }
    }
}

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
    /// What it follows from.
    pub of: Origin,
}

#[derive(Serialize, Deserialize)]
struct Meta {
    format: u32,
    step: usize,
    best: f64,
    best_step: usize,
    of: Origin,
}

/// Read first, since the rest is another form's.
#[derive(Deserialize)]
struct Format {
    format: u32,
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
            of: self.of.clone(),
        };
        let text = serde_json::to_string(&meta)?;
        let all = parts.into_iter().flat_map(|(part, tensors)| {
            tensors.iter().map(move |(name, tensor)| (format!("{part}.{name}"), tensor))
        });
        write(path, all, Some((META_KEY, text)))
    }

    /// Whether it follows from this too, in `folder`.
    ///
    /// # Errors
    /// If it follows from something else, with what it is and what helps.
    pub fn is_of(&self, origin: &Origin, folder: &Path) -> Result<()> {
        let Origin { config, packs, pictures } = &self.of;
        let (what, remedy) = if *config != origin.config {
            ("of another configuration", "")
        } else if *packs != origin.packs {
            ("with other installed packs", "install those again (model ids in its run.json), ")
        } else if *pictures != origin.pictures {
            ("over other pictures, or other labels of them", "put the pictures back as they were, ")
        } else {
            return Ok(());
        };
        bail!(
            "{} is a run {what}, whose losses would not go on; {remedy}choose another folder, or remove this one",
            folder.display()
        )
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
        let text = text.context("it is no checkpoint").with_context(at)?;
        let Format { format } = serde_json::from_str(text).with_context(at)?;
        if format != FORMAT {
            bail!(
                "{}: its format is {format}, this build reads {FORMAT}; go on with the build that wrote it, or begin anew in \
                 another folder",
                path.display()
            );
        }
        let meta: Meta = serde_json::from_str(text).with_context(at)?;
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
        let Meta { best, best_step, of, .. } = meta;
        Ok(Self { parameters, average, adam, best, best_step, of })
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
        let of = Origin::new("x", &[], digest("y"));
        Checkpoint { parameters, average, adam, best: 0.875, best_step: 1, of }
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
    fn one_of_another_configuration_pack_or_picture_is_refused_with_what_helps() {
        let one = checkpoint(1.0);
        let folder = Path::new("runs/a");
        one.is_of(&one.of, folder).unwrap();
        let of = || one.of.clone();
        for (origin, what, remedy) in [
            (Origin { config: digest("z"), ..of() }, "of another configuration", "another folder"),
            (Origin { packs: vec!["00".to_owned()], ..of() }, "other installed packs", "install"),
            (Origin { pictures: digest("z"), ..of() }, "over other pictures", "put the pictures"),
        ] {
            let said = one.is_of(&origin, folder).unwrap_err().to_string();
            assert!(said.starts_with("runs/a is a run"), "{said}");
            assert!(said.contains(what) && said.contains(remedy), "{said}");
        }
    }

    #[test]
    fn one_of_another_form_says_which_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("last.checkpoint");
        let old = "{\"format\": 1, \"step\": 1, \"best\": 0.5, \"config\": \"00\"}".to_owned();
        write(&path, std::iter::empty(), Some((META_KEY, old))).unwrap();
        let said = Checkpoint::read(&path).unwrap_err().to_string();
        assert!(said.contains("its format is 1, this build reads 2; go on"), "{said}");
    }
}
