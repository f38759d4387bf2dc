//! The packs folder and the engines made from it.
//!
//! Owns which pack a choice means, and how threads are shared out among engines.
//! Refuses to hand out an engine that fails its packs' golden vectors: what it says would mean nothing.

use crate::error::HostError;
use crate::meant::{Choice, Meant};
use std::path::Path;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::pack::{Pack, PackDir, PackEntry, PackError};
use threshold_record::ModelId;

/// Threads past which a single engine gains nothing, as `EngineOptions` has it.
const THREADS_EACH_MAX: usize = 8;

/// The packs of a folder, and the engines that can be made of them.
#[derive(Debug)]
pub struct Engines {
    packs: PackDir,
}

impl Engines {
    /// Opens the packs folder that is meant.
    ///
    /// # Errors
    /// [`PackError`] if the folder is not there or cannot be listed.
    pub fn open(meant: &Meant) -> Result<Self, PackError> {
        let folder = PackDir::locate(meant.packs.as_deref())?;
        Ok(Self { packs: PackDir::open(&folder)? })
    }

    /// The folder's packs.
    #[must_use]
    pub fn packs(&self) -> &PackDir {
        &self.packs
    }

    /// The detector.
    ///
    /// # Errors
    /// [`PackError`] if there is none or it cannot be read.
    pub fn detector(&self) -> Result<Pack, PackError> {
        self.packs.detector()
    }

    /// The pack that a choice means: FaceNet without one, dlib's network where FaceNet is not there.
    ///
    /// # Errors
    /// [`HostError::NoModel`] for a name that is neither a pack's nor a file's, [`PackError`] if the pack is not there or
    /// cannot be read.
    pub fn pack(&self, choice: Option<&Choice>) -> anyhow::Result<Pack> {
        Ok(match choice {
            None => self.packs.default_embedder()?,
            Some(Choice::FaceNet) => self.packs.named("facenet")?,
            Some(Choice::Dlib) => self.packs.named("dlib")?,
            Some(Choice::File(path)) if path.exists() => Pack::read(path)?,
            Some(Choice::File(path)) => match self.called(path) {
                Some(entry) => Pack::read(&entry.path)?,
                None => {
                    return Err(HostError::NoModel {
                        typed: path.display().to_string(),
                        folder: self.packs.path().display().to_string(),
                        found: self.packs.entries().iter().map(|e| e.meta.name.clone()).collect(),
                    }
                    .into());
                }
            },
        })
    }

    /// The pack that a choice means, if it is an embedder.
    ///
    /// # Errors
    /// [`PackError::WrongNetwork`] for a detector, and as [`Engines::pack`].
    pub fn embedder(&self, choice: Option<&Choice>) -> anyhow::Result<Pack> {
        let pack = self.pack(choice)?;
        pack.embedder()?;
        Ok(pack)
    }

    /// The pack with which templates for a unit are made: the one with the unit's model id, wherever it was chosen.
    ///
    /// # Errors
    /// [`HostError::WrongModel`] if another one was typed, [`HostError::ModelNotHere`] if it is not in the folder, and
    /// what reading it says.
    pub fn of_unit(&self, unit: ModelId, typed: Option<&Choice>) -> anyhow::Result<Pack> {
        if typed.is_some() {
            let pack = self.embedder(typed)?;
            if pack.id != unit {
                return Err(HostError::WrongModel {
                    typed: pack.meta.name,
                    here: pack.id.to_string(),
                    unit: unit.to_string(),
                }
                .into());
            }
            return Ok(pack);
        }
        match self.packs.find(unit) {
            Err(PackError::NotFound { .. }) => {
                let named = |entry: &PackEntry| match entry.id() {
                    Ok(id) => format!("{} {}", entry.meta.name, id.tag()),
                    Err(_) => entry.meta.name.clone(),
                };
                let found: Vec<String> = self.packs.embedders().map(named).collect();
                let found = if found.is_empty() { "none".to_owned() } else { found.join(", ") };
                let folder = self.packs.path().display().to_string();
                Err(HostError::ModelNotHere { unit: unit.to_string(), folder, found }.into())
            }
            found => Ok(found?),
        }
    }

    /// An engine that has passed its packs' self-test, a few milliseconds for each.
    ///
    /// # Errors
    /// [`PackError`] if a pack is of the wrong kind or fails.
    pub fn engine(
        detector: &Pack,
        embedder: Option<&Pack>,
        min_face_px: u32,
        threads: usize,
    ) -> Result<CpuEngine, PackError> {
        let cascade =
            CascadeOptions { min_face_px: f64::from(min_face_px), ..CascadeOptions::default() };
        let threads = threads.clamp(1, THREADS_EACH_MAX);
        Self::engine_of(
            detector,
            embedder,
            &EngineOptions { threads, cascade, ..EngineOptions::default() },
        )
    }

    /// The same with every option.
    ///
    /// # Errors
    /// As [`Engines::engine`].
    pub fn engine_of(
        detector: &Pack,
        embedder: Option<&Pack>,
        options: &EngineOptions,
    ) -> Result<CpuEngine, PackError> {
        let mut engine = CpuEngine::new(detector, embedder, options)?;
        engine.self_test()?;
        Ok(engine)
    }

    /// How many workers for so many pictures, and how many threads each one's engine gets.
    #[must_use]
    pub fn shares(threads: usize, n_pictures: usize) -> (usize, usize) {
        let workers = threads.min(n_pictures).max(1);
        (workers, (threads / workers).clamp(1, THREADS_EACH_MAX))
    }

    /// The folder's pack of that name, so that `--model mtcnn` needs no path.
    fn called(&self, name: &Path) -> Option<&PackEntry> {
        self.packs.entries().iter().find(|entry| Path::new(&entry.meta.name) == name)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::args::Typed;
    use clap::Parser;

    #[test]
    fn every_thread_has_work_and_no_picture_waits_for_one() {
        assert_eq!(Engines::shares(8, 100), (8, 1));
        assert_eq!(Engines::shares(8, 3), (3, 2));
        assert_eq!(Engines::shares(2, 1), (1, 2));
        assert_eq!(Engines::shares(64, 1), (1, 8));
        assert_eq!(Engines::shares(1, 0), (1, 1));
    }

    fn open(folder: &Path) -> Result<Engines, PackError> {
        let folder = folder.display().to_string();
        let typed = Typed::parse_from(["threshold", "--packs", &folder, "info"]);
        Engines::open(&Meant::by(&typed.options).unwrap())
    }

    #[test]
    fn a_folder_without_the_units_pack_names_both() {
        let folder = tempfile::tempdir().unwrap();
        let engines = open(folder.path()).unwrap();
        let error = engines.of_unit(ModelId([7; 32]), None).unwrap_err().to_string();
        assert!(error.starts_with("the unit's model 0707"), "{error}");
        assert!(error.contains(&folder.path().display().to_string()), "{error}");
        assert!(error.ends_with("(found: none)"), "{error}");
        assert!(matches!(engines.detector(), Err(PackError::NotFound { .. })));
        let error = engines.embedder(None).err().and_then(|error| error.downcast().ok());
        assert!(matches!(error, Some(PackError::NotFound { .. })), "{error:?}");
        let error = engines.pack(Some(&Choice::File("bogus".into()))).unwrap_err().to_string();
        assert!(error.starts_with("there is no model bogus: "), "{error}");
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = open(&folder.path().join("none")).unwrap_err();
        assert!(matches!(error, PackError::NotFound { .. }), "{error}");
    }
}
