//! `threshold enrol --vault`: what is enrolled at a unit is kept in the vault by the same command.
//!
//! Owns the order, and the words where one half fails: everything is checked at both before anything changes, then the vault takes
//! all photos at once, then the unit. What is there already is passed over, so that repeating the command mends it.
//! Refuses to enrol of whom the vault may keep nothing.

use super::Photo;
use crate::args;
use crate::cmd::vault::{digest_of, source_of, today};
use crate::meant::Meant;
use crate::remedy;
use crate::vault::{Added, Addition, Dates, Source, Vault, VaultError};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use threshold_models::engine::Engine;
use threshold_models::quality::QualityLimits;
use threshold_record::{MAX_SLOTS, ModelId, Name};

/// What the vault is to keep.
pub(super) struct Keeping {
    vault: Vault,
    model: ModelId,
    name: Name,
    dates: Dates,
    sources: Vec<Source>,
    /// What came of it, once it is kept.
    kept: Option<Vec<Added>>,
}

impl Keeping {
    /// Opens the vault for a person; `None` if nothing is to be kept.
    ///
    /// # Errors
    /// A vault that does not open, and [`VaultError::Over`] and [`VaultError::Later`] for days that do not fit.
    pub(super) fn open(
        meant: &Meant,
        typed: &args::Enrol,
        name: &Name,
        model: ModelId,
    ) -> anyhow::Result<Option<Self>> {
        let Some(file) = &typed.vault else { return Ok(None) };
        let path = file.clone().unwrap_or_else(|| meant.keychain.vault());
        let vault = Vault::open(&path, &meant.keychain)?;
        let (given, today) =
            (Dates { consent: typed.consent, keep_until: typed.keep_until }, today());
        if let Some(day) = given.consent.filter(|day| *day > today) {
            return Err(VaultError::Later { day }.into());
        }
        let dates = given.or(vault.named(name).map(|held| held.dates).unwrap_or_default());
        if let Some(until) = dates.keep_until.filter(|_| dates.is_over(today)) {
            return Err(VaultError::Over { name: name.as_str().to_owned(), until }.into());
        }
        let (name, sources) = (name.clone(), Vec::new());
        Ok(Some(Self { vault, model, name, dates: given, sources, kept: None }))
    }

    /// Reads a photo for both: the unit's template is of the crop that the vault keeps.
    ///
    /// # Errors
    /// As `photo::read_one_face`, and a face that is not good enough.
    pub(super) fn read(
        &mut self,
        engine: &mut dyn Engine,
        path: &std::path::Path,
        min_face_px: u32,
        limits: &QualityLimits,
    ) -> anyhow::Result<Photo> {
        let digest = digest_of(path)?;
        let (source, photo) = source_of(engine, path, digest, min_face_px, limits)?;
        self.sources.push(source);
        Ok(photo)
    }

    /// Keeps the person, the days and the photos, all of them or none.
    ///
    /// # Errors
    /// [`VaultError`], which says that nothing is at the unit either.
    pub(super) fn keep(&mut self) -> anyhow::Result<()> {
        self.room().and_then(|()| self.add()).context("nothing was enrolled at the unit")
    }

    fn room(&self) -> anyhow::Result<()> {
        let held = self.vault.named(&self.name).map(|held| held.photos.clone()).unwrap_or_default();
        let new = self.sources.iter().map(|source| source.digest);
        let new: BTreeSet<_> = new.filter(|digest| !held.contains(digest)).collect();
        if held.len() + new.len() > usize::from(MAX_SLOTS) {
            let (name, held, wanted) = (self.name.as_str().to_owned(), held.len(), new.len());
            return Err(VaultError::NoRoom { name, held, wanted, max: MAX_SLOTS }.into());
        }
        Ok(())
    }

    fn add(&mut self) -> anyhow::Result<()> {
        let addition = |source: &Source| Addition {
            name: self.name.clone(),
            dates: self.dates,
            photo: Some(source.clone()),
        };
        let additions: Vec<Addition> = self.sources.iter().map(addition).collect();
        let added = self.vault.add(self.model, &additions)?;
        self.kept = Some(added.into_iter().collect::<Result<_, _>>()?);
        Ok(())
    }

    /// What the fault of the unit means where the vault has kept its half.
    pub(super) fn half(&self, error: anyhow::Error) -> anyhow::Error {
        if self.kept.is_none() {
            return error;
        }
        // The remedy is what stands behind the last semicolon.
        let advice = remedy::of(&error).replace(';', ",");
        let (name, why) = (self.name.as_str().to_owned(), remedy::without(&error));
        VaultError::Half { name, path: self.vault.path().to_path_buf(), why, advice }.into()
    }

    pub(super) fn value(&self) -> Value {
        let new = self.new_crops();
        json!({
            "file": self.vault.path().display().to_string(),
            "person": self.vault.find(self.name.as_str()).ok().map(|(id, _)| id.0),
            "crops_added": new,
            "there_already": self.sources.len() - new,
        })
    }

    pub(super) fn text(&self) -> String {
        let new = self.new_crops();
        format!(
            "  in the vault {}: {new} crops are new, {} were there already",
            self.vault.path().display(),
            self.sources.len() - new
        )
    }

    fn new_crops(&self) -> usize {
        self.kept.iter().flatten().filter(|added| added.crop).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::HostError;
    use crate::keychain::Keychain;
    use crate::vault::crop::SourceCrop;
    use threshold_models::engine::{BBox, Detection};
    use threshold_models::frame::Frame;

    fn source(photo: u8) -> Source {
        let bbox = BBox { x1: 10.0, y1: 8.0, x2: 22.0, y2: 23.5 };
        let face = Detection { bbox, landmarks: [[12.0, 12.5]; 5], score: 0.99 };
        let frame = Frame::from_rgb(40, 30, vec![photo; 40 * 30 * 3]).unwrap();
        let crop = SourceCrop::cut(&frame, &face, 80).unwrap();
        Source { digest: [photo; 32], crop, template: (0.01, vec![1; 128]) }
    }

    fn keeping(folder: &std::path::Path, photos: u8) -> Keeping {
        let keychain = Keychain::meant(Some(&folder.join("keys")));
        let vault = Vault::create(&folder.join("vault.db"), &keychain).unwrap();
        Keeping {
            vault,
            model: ModelId([5; 32]),
            name: Name::new("Ann").unwrap(),
            dates: Dates::default(),
            sources: (0..photos).map(source).collect(),
            kept: None,
        }
    }

    fn fault() -> anyhow::Error {
        HostError::NothingKept { unit: "door".to_owned() }.into()
    }

    #[test]
    fn a_unit_that_fails_after_the_vault_is_told_with_what_is_where() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeping = keeping(folder.path(), 2);
        let before = keeping.half(fault());
        assert_eq!(before.to_string(), fault().to_string(), "neither half");
        keeping.keep().unwrap();
        assert_eq!((keeping.value()["crops_added"].as_u64(), keeping.new_crops()), (Some(2), 2));
        let half = keeping.half(fault());
        let said = remedy::without(&half);
        assert!(
            said.starts_with("Ann is in the vault ") && said.contains("at the unit: "),
            "{said}"
        );
        assert!(said.ends_with(&remedy::without(&fault())), "{said}");
        let advice = remedy::of(&half);
        assert!(
            advice.ends_with("then repeat the command: what is there already is passed over"),
            "{advice}"
        );
        assert!(advice.starts_with(&remedy::of(&fault()).replace(';', ",")), "{advice}");
    }

    #[test]
    fn a_vault_without_room_says_that_nothing_is_at_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let mut keeping = keeping(folder.path(), 9);
        let error = keeping.keep().unwrap_err();
        let said = remedy::without(&error);
        assert!(said.starts_with("nothing was enrolled at the unit: Ann has 0 crops in"), "{said}");
        assert_eq!(remedy::of(&error), "fewer photos");
        assert!(keeping.vault.people().is_empty() && keeping.kept.is_none());
    }
}
