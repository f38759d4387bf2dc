//! From runs to a detector's or an embedder's pack, which an engine runs unchanged.
//!
//! Owns what the pack says of itself: trained here, from which runs, under which terms; the terms of an installed pack
//! whose weights are in it are appended to what was typed. Refuses a run of Cascade CNN's networks, which stand in no
//! pack, and two runs of one stage.

use crate::config::Config;
use crate::facenet::{self, start::LEN};
use crate::learner::PARAMETERS;
use crate::stage::Stage;
use anyhow::{Context as _, Result, bail};
use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use threshold_models::import::{description, digest, with_golden};
use threshold_models::pack::{EmbedderMeta, Network, Pack, PackMeta, Source};
use threshold_models::tensor::{Tensor, Tensors};

/// A pack of the best networks of these runs; stages that none of them trained are the installed detector's.
///
/// # Errors
/// If a run has no network yet, does not fit, or the pack's name or licence is none.
pub fn detector(runs: &[PathBuf], installed: &Pack, name: &str, licence: &str) -> Result<Pack> {
    let mut tensors = installed.tensors();
    let mut stages = Vec::new();
    for run in runs {
        let config = Config::read(&run.join("run.toml"))?;
        if !config.stage.is_mtcnn() {
            bail!("{} trained {:?}, which stands in no pack", run.display(), config.stage);
        }
        if stages.contains(&config.stage) {
            bail!("two of the runs trained {:?}; name one of them", config.stage);
        }
        stages.push(config.stage);
        tensors.extend(parameters(&run.join(PARAMETERS))?);
    }
    let all =
        Stage::ALL.iter().filter(|stage| stage.is_mtcnn()).all(|stage| stages.contains(stage));
    let (title, licence) = match all {
        true => (format!("{stages:?} by threshold-train"), licence.to_owned()),
        false => (
            format!("{stages:?} by threshold-train, the rest as installed"),
            beside(licence, installed),
        ),
    };
    of(&tensors, installed, &title, name, &licence)
}

/// What was typed, and the terms of the installed weights that stand in the pack too.
fn beside(licence: &str, installed: &Pack) -> String {
    let PackMeta { name, licence: terms, .. } = &installed.meta;
    format!("{licence}\nThe weights that are as in {name}: {terms}")
}

/// A detector's pack of all three stages' tensors, which takes its preprocessing from the installed one.
///
/// # Errors
/// If a tensor is missing, or the name or licence is none.
pub fn of(
    tensors: &Tensors,
    installed: &Pack,
    title: &str,
    name: &str,
    licence: &str,
) -> Result<Pack> {
    let meta = PackMeta {
        name: name.to_owned(),
        version: format!("threshold-train {}", env!("CARGO_PKG_VERSION")),
        source: Source { title: title.to_owned(), digest: digest(tensors) },
        licence: licence.to_owned(),
        golden: Vec::new(),
        ..installed.meta.clone()
    };
    Ok(with_golden(meta, tensors.clone())?)
}

/// Whether a run is one of FaceNet's.
#[must_use]
pub fn is_facenet(run: &Path) -> bool {
    facenet::config::Config::read(&run.join("run.toml")).is_ok()
}

/// An embedder's pack of a run that is done: the installed FaceNet with the last layer, or block and layer, that the run found
/// best. Its threshold is the best of the run's held-back people.
///
/// # Errors
/// If the run is not done, does not fit, is of a network that no pack holds, or the pack's name or licence is none.
pub fn embedder(run: &Path, installed: &Pack, name: &str, licence: &str) -> Result<Pack> {
    let config = facenet::config::Config::read(&run.join("run.toml"))?;
    let part = match config.network {
        facenet::network::Network::LastLayer => Some("last layer"),
        facenet::network::Network::LastBlock => Some("last block"),
        facenet::network::Network::Nn2 | facenet::network::Network::Nn3 => None,
    };
    let Some(part) = part.filter(|_| config.size().len == LEN) else {
        bail!(
            "{}: packs hold networks that a door runs, by name, and {:?} of this size and length is none of them; what it \
             learnt stays in {PARAMETERS} in the run's folder",
            run.display(),
            config.network
        );
    };
    let at = || run.join("run.json").display().to_string();
    let text = std::fs::read_to_string(run.join("run.json")).with_context(at)?;
    let outcome: serde_json::Value = serde_json::from_str(&text).with_context(at)?;
    let Some(threshold) = outcome["done"]["threshold"].as_f64() else {
        bail!("{} is not done: its threshold is measured after its last epoch", run.display());
    };
    if outcome["packs"][1].as_str() != Some(&installed.id.to_string()) {
        bail!("{} is a run of another FaceNet than the installed one", run.display());
    }
    let people = &outcome["held"][0];
    let mut tensors = installed.tensors();
    tensors.extend(parameters(&run.join(PARAMETERS))?);
    let untrained = description(Network::InceptionResnetV1At128);
    let embedder = untrained.embedder.map(|embedder| EmbedderMeta {
        threshold_distance: threshold as f32,
        threshold_source: format!("best of pairs of {people} held-back people of the run"),
        ..embedder
    });
    let meta = PackMeta {
        name: name.to_owned(),
        version: format!("threshold-train {}", env!("CARGO_PKG_VERSION")),
        source: Source {
            title: format!(
                "{}; its {part} trained by triplets to 128 values",
                untrained.source.title
            ),
            digest: digest(&tensors),
        },
        licence: beside(licence, installed),
        embedder,
        ..untrained
    };
    Ok(with_golden(meta, tensors)?)
}

/// The tensors of a file, all F32.
///
/// # Errors
/// If it does not read.
fn parameters(path: &Path) -> Result<Tensors> {
    let at = || format!("{}: the run has no validated network yet", path.display());
    let bytes = std::fs::read(path).with_context(at)?;
    let file = SafeTensors::deserialize(&bytes).with_context(|| path.display().to_string())?;
    let tensor = |(name, view): (String, safetensors::tensor::TensorView<'_>)| {
        let data = view.data().as_chunks().0.iter().map(|&four| f32::from_le_bytes(four)).collect();
        (name, Tensor { shape: view.shape().to_vec(), data })
    };
    Ok(file.tensors().into_iter().map(tensor).collect())
}
