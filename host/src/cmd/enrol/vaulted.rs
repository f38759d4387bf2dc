//! `threshold enrol --vault`: what is enrolled at a unit is kept in the vault by the same command.
//!
//! Owns the order, and the words where one half fails: everything is checked at both before anything changes, then the unit settles the
//! id, the vault takes all photos at once, and then the unit the templates. What is there already is passed over, so that repeating the
//! command mends it.
//! Owns that both know a person by one id: who was removed at the unit is then not let in again by a file that the vault writes.
//! Refuses to enrol of whom the vault may keep nothing, and whom unit and vault know by two ids.

use super::Photo;
use crate::args;
use crate::cmd::vault::{digest_of, source_of, today};
use crate::keychain::Keychain;
use crate::meant::Meant;
use crate::people::People;
use crate::remedy;
use crate::session::Session;
use crate::session::port::Transport;
use crate::vault::{Added, Addition, Dates, Source, Vault, VaultError};
use anyhow::Context as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use threshold_models::engine::Engine;
use threshold_models::quality::QualityLimits;
use threshold_record::{MAX_SLOTS, ModelId, Name, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::endpoints::PutPersonAs;
use threshold_wire::gallery::MAX_PERSON;
use threshold_wire::message::{PersonAs, PersonPutDone, WantedId};

/// Whom a vault has, by one model.
pub(super) struct Held {
    /// Everybody's templates by that model.
    pub(super) templates: Vec<Template>,
    /// How many people there are.
    pub(super) people: usize,
    /// Whom it has under the name of the enrolment.
    pub(super) own: Option<PersonId>,
    /// Crops that have none.
    pub(super) without_template: usize,
}

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
    /// A vault that does not open, [`VaultError::Over`] and [`VaultError::Later`] for days that do not fit, and
    /// [`VaultError::ConsentDemanded`].
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
        vault.check_consent(name, given)?;
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

    /// Whom the vault has, as far as it can be asked whether a face is theirs.
    ///
    /// # Errors
    /// [`VaultError::Damaged`], and what SQLite says.
    pub(super) fn held(&self) -> Result<Held, VaultError> {
        let templates = self.vault.templates(self.model)?;
        Ok(Held {
            people: self.vault.people().len(),
            own: self.vault.id_of(&self.name),
            without_template: self.vault.counts()?.crops.saturating_sub(templates.len()),
            templates,
        })
    }

    /// What somebody in the vault is called; nothing of nobody.
    pub(super) fn name_of(&self, person: PersonId) -> &str {
        self.vault.people().get(&person).map_or("", |held| held.name.as_str())
    }

    /// Whom the vault has, as far as an id for both is to be found.
    ///
    /// # Errors
    /// What SQLite says.
    pub(super) fn ids(&self) -> Result<Ids, VaultError> {
        let held = self.vault.people().iter().map(|(id, held)| (*id, held.name.clone())).collect();
        Ok(Ids { held, next: self.vault.next_id()? })
    }

    /// Keeps the person under an id, the days and the photos, all of them or none.
    ///
    /// # Errors
    /// [`VaultError`], which says that nothing is at the unit either.
    pub(super) fn keep(&mut self, id: PersonId) -> anyhow::Result<()> {
        self.add(id).context("no template was put into the unit")
    }

    /// Checks that the vault has room for the photos.
    ///
    /// # Errors
    /// [`VaultError::NoRoom`].
    pub(super) fn room(&self) -> anyhow::Result<()> {
        let held = self.vault.named(&self.name).map(|held| held.photos.clone()).unwrap_or_default();
        let new = self.sources.iter().map(|source| source.digest);
        let new: BTreeSet<_> = new.filter(|digest| !held.contains(digest)).collect();
        if held.len() + new.len() > usize::from(MAX_SLOTS) {
            let (name, held, wanted) = (self.name.as_str().to_owned(), held.len(), new.len());
            return Err(VaultError::NoRoom { name, held, wanted, max: MAX_SLOTS }.into());
        }
        Ok(())
    }

    fn add(&mut self, id: PersonId) -> anyhow::Result<()> {
        let addition = |source: &Source| Addition {
            name: self.name.clone(),
            dates: self.dates,
            photo: Some(source.clone()),
        };
        let additions: Vec<Addition> = self.sources.iter().map(addition).collect();
        let added = self.vault.add_under(Some(id), self.model, &additions)?;
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

/// Checks that the administrator's own vault, if there is one, demands no consent that it does not have of somebody who is enrolled
/// without `--vault`: else to leave that out would be the way round it.
///
/// # Errors
/// [`VaultError::ConsentDemanded`], and a vault that is there and does not open, since nobody knows what it demands.
pub(super) fn consented(keychain: &Keychain, name: &Name) -> anyhow::Result<()> {
    let path = keychain.vault();
    if !path.exists() {
        return Ok(());
    }
    let vault = Vault::open_to_read(&path, keychain)?;
    Ok(vault.check_consent(name, Dates::default())?)
}

/// The people of a vault by their ids, and the next id that it never used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ids {
    pub(super) held: BTreeMap<PersonId, Name>,
    pub(super) next: PersonId,
}

impl Ids {
    /// The id that somebody is to have at unit and vault.
    ///
    /// # Errors
    /// [`VaultError`] if both have the person under two ids, or one of them has somebody else under the other's.
    pub(super) fn wanted(&self, name: &Name, at_unit: &People) -> Result<WantedId, VaultError> {
        let text = || name.as_str().to_owned();
        let in_vault = self.held.iter().find(|(_, held)| *held == name).map(|(id, _)| *id);
        match (at_unit.named(name).map(|there| there.person), in_vault) {
            (None, None) => Ok(WantedId::AtLeast(self.next)),
            (Some(unit), Some(vault)) if unit == vault => Ok(WantedId::Exactly(unit)),
            (Some(PersonId(at_unit)), Some(PersonId(in_vault))) => {
                Err(VaultError::TwoIds { name: text(), at_unit, in_vault })
            }
            (Some(id), None) => match self.held.get(&id) {
                None => Ok(WantedId::Exactly(id)),
                Some(holder) => {
                    let holder = holder.as_str().to_owned();
                    Err(VaultError::HeldInVault { id: id.0, name: text(), holder })
                }
            },
            (None, Some(id)) => match at_unit.name_of(id) {
                None => Ok(WantedId::Exactly(id)),
                Some(holder) => Err(VaultError::HeldAtUnit { id: id.0, name: text(), holder }),
            },
        }
    }
}

/// Adds a person at the unit under an id that the vault can have too.
///
/// # Errors
/// [`SessionError`], and [`VaultError::RemovedAtUnit`].
pub(super) fn add_at_unit<T: Transport>(
    session: &mut Session<T>,
    name: &Name,
    id: WantedId,
) -> anyhow::Result<PersonPutDone> {
    let done = session.call::<PutPersonAs>(&PersonAs { name: name.clone(), id });
    if let Ok(PersonPutDone { person, .. }) = done
        && !(id.allows(person) && person <= MAX_PERSON)
    {
        return Err(VaultError::OtherId { name: name.as_str().to_owned(), id: person.0 }.into());
    }
    done.map_err(|error| match (error.refusal(), id) {
        (Some(&RequestError::NameTaken { person }), WantedId::Exactly(wanted))
            if person == wanted =>
        {
            VaultError::RemovedAtUnit { name: name.as_str().to_owned(), id: wanted.0 }.into()
        }
        _ => error.into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::error::HostError;
    use crate::session::fake::FakeUnit;
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
        keeping.room().unwrap();
        keeping.keep(PersonId(7)).unwrap();
        assert_eq!(keeping.value()["person"].as_u64(), Some(7), "the unit's id");
        assert_eq!(keeping.ids().unwrap().next, PersonId(8));
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
    fn whom_the_vault_demands_a_consent_of_is_not_enrolled_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        let keychain = Keychain::meant(Some(&keys));
        let ann = Name::new("Ann").unwrap();
        consented(&keychain, &ann).unwrap();
        let mut vault = Vault::create(&keychain.vault(), &keychain).unwrap();
        consented(&keychain, &ann).unwrap();
        vault.demand_consent(true).unwrap();
        let error = consented(&keychain, &ann).unwrap_err();
        assert!(remedy::without(&error).starts_with("no consent of Ann is recorded"), "{error}");
        assert!(remedy::of(&error).starts_with("--vault --consent"), "{}", remedy::of(&error));
        let consent = Some("2026-01-02".parse().unwrap());
        let dates = Dates { consent, keep_until: None };
        vault.add(ModelId([5; 32]), &[Addition { name: ann.clone(), dates, photo: None }]).unwrap();
        consented(&keychain, &ann).unwrap();
        // What a vault that does not open demands nobody knows.
        std::fs::write(keychain.vault(), "no vault").unwrap();
        assert!(consented(&keychain, &ann).is_err());
    }

    #[test]
    fn unit_and_vault_know_a_person_by_one_id() {
        let name = |text: &str| Name::new(text).unwrap();
        let mut unit = FakeUnit::new();
        for text in ["Ann", "Bob", "Cid"] {
            unit.add_person(text, 1);
        }
        let at_unit = People::read(&mut unit.session()).unwrap();
        let held = [(1, "Ann"), (3, "Dora"), (5, "Bob"), (9, "Eve"), (2, "Fay")];
        let held = held.map(|(id, text)| (PersonId(id), name(text)));
        let ids = Ids { held: held.into(), next: PersonId(12) };
        let wanted =
            |text: &str| ids.wanted(&name(text), &at_unit).map_err(|error| error.to_string());
        assert_eq!(wanted("Ann"), Ok(WantedId::Exactly(PersonId(1))), "both under one");
        assert_eq!(wanted("Eve"), Ok(WantedId::Exactly(PersonId(9))), "the vault alone");
        assert_eq!(wanted("Gil"), Ok(WantedId::AtLeast(PersonId(12))), "neither");
        for (text, says) in [
            ("Bob", "Bob is #2 at the unit and #5 in the vault"),
            ("Cid", "#3 is Cid at the unit and Dora in the vault"),
            ("Fay", "#2 is Fay in the vault and Bob at the unit"),
        ] {
            let said = wanted(text).unwrap_err();
            assert!(said.starts_with(says), "{said}");
        }
        let without = Ids { held: BTreeMap::new(), next: PersonId(1) };
        let wanted = without.wanted(&name("Cid"), &at_unit).unwrap();
        assert_eq!(wanted, WantedId::Exactly(PersonId(3)), "the unit alone");
    }

    #[test]
    fn whoever_was_removed_at_the_unit_is_named() {
        let mut unit = FakeUnit::new();
        unit.removed.insert(PersonId(4));
        let mut session = unit.session();
        let ann = Name::new("Ann").unwrap();
        let error = add_at_unit(&mut session, &ann, WantedId::Exactly(PersonId(4))).unwrap_err();
        let said = remedy::without(&error);
        assert!(said.starts_with("Ann (#4 in the vault) was removed from this unit"), "{said}");
        assert!(remedy::of(&error).contains("threshold vault remove \"Ann\""));
        let done = add_at_unit(&mut session, &ann, WantedId::AtLeast(PersonId(6))).unwrap();
        assert_eq!((done.person, done.added), (PersonId(6), true));
    }

    #[test]
    fn a_vault_without_room_says_that_nothing_is_at_the_unit() {
        let folder = tempfile::tempdir().unwrap();
        let keeping = keeping(folder.path(), 9);
        let error = keeping.room().unwrap_err();
        let said = remedy::without(&error);
        assert!(said.starts_with("Ann has 0 crops in"), "{said}");
        assert_eq!(remedy::of(&error), "fewer photos");
        assert!(keeping.vault.people().is_empty() && keeping.kept.is_none());
    }
}
