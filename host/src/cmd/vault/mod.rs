//! `threshold vault`: the people and faces that are kept here, from which templates of any model are made.
//!
//! Owns what is said of a vault; the file is `crate::vault`'s, taking in is `import`'s, another model `re_embed`'s, a file for
//! units `export`'s, and who should not be at a unit `audit`'s. Refuses to print a path to a photo that is not there: the vault keeps none.

mod audit;
mod export;
mod import;
mod re_embed;
mod roster;

use super::Answer;
use crate::engines::Engines;
use crate::error::HostError;
use crate::meant::Meant;
use crate::photo::{self, Photo};
use crate::say::{hex, table};
use crate::vault::crop::SourceCrop;
use crate::vault::{self, Held, PhotoDigest, Quantised, Source, Vault, VaultError};
use crate::{args, args::VaultCommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use std::fs::File;
use std::path::Path;
use std::time::SystemTime;
use threshold_models::engine::{Detection, Embedding, Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_models::picture;
use threshold_models::quality::QualityLimits;
use threshold_models::search::quantise;
use threshold_record::{ModelId, PersonId};

/// Photos or crops between two commits: a few seconds of work, which is what a cut loses, and 50 MB at most. Workers wait for each
/// other at each, so that fewer would cost more.
const BATCH: usize = 64;

/// Does what was typed.
///
/// # Errors
/// [`VaultError`], and whatever the command says.
pub fn run(meant: &Meant, typed: &args::Vault) -> anyhow::Result<Answer> {
    let path = typed.file.clone().unwrap_or_else(|| meant.keychain.vault());
    // An export too: half of an import that is at work would be a gallery of which somebody is missing.
    let open = || Vault::open(&path, &meant.keychain);
    match &typed.what {
        VaultCommand::Init => init(meant, &path),
        VaultCommand::Import(typed) => import::run(meant, &mut open()?, typed),
        VaultCommand::List(typed) => {
            let vault = Vault::open_to_read(&path, &meant.keychain)?;
            match () {
                () if typed.csv => roster::csv(&vault),
                () if typed.jsonl => roster::jsonl(&vault, today()),
                () => list(meant, &vault),
            }
        }
        VaultCommand::Consent(typed) => consent(meant, &path, typed),
        VaultCommand::Audit => audit::run(meant, &Vault::open_to_read(&path, &meant.keychain)?),
        VaultCommand::ReEmbed => re_embed::run(meant, &mut open()?),
        VaultCommand::Export(typed) => export::run(meant, &open()?, typed),
        VaultCommand::Remove(typed) => remove(meant, &mut open()?, typed),
        VaultCommand::Backup(typed) => copy(meant, &path, &typed.out),
        VaultCommand::Restore(typed) => {
            let _held = vault::lock(&path)?;
            copy(meant, &typed.backup, &path)
        }
    }
}

fn init(meant: &Meant, path: &Path) -> anyhow::Result<Answer> {
    let vault = Vault::create(path, &meant.keychain)?;
    let key_file = meant.keychain.vault_key_file(vault.id());
    let value = json!({
        "vault": path.display().to_string(),
        "id": hex(vault.id()),
        "key_file": key_file.display().to_string(),
    });
    meant.say.result(&value, || {
        format!(
            "{} is an empty vault; it opens with {}, without which nobody reads it: keep a copy of that key, and not where the \
             vault's backups are",
            path.display(),
            key_file.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// Says or settles whether a day of consent is demanded; [`Answer::No`] if it is and somebody has none.
fn consent(meant: &Meant, path: &Path, typed: &args::VaultConsent) -> anyhow::Result<Answer> {
    let vault = match typed.demand || typed.drop {
        false => Vault::open_to_read(path, &meant.keychain)?,
        true => {
            let mut vault = Vault::open(path, &meant.keychain)?;
            vault.demand_consent(typed.demand)?;
            vault
        }
    };
    let without = without_consent(&vault);
    let value = json!({
        "vault": path.display().to_string(),
        "demanded": vault.demands_consent(),
        "without": without.iter().map(|(id, held)| json!({ "person": id.0, "name": held.name.as_str() })).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        let mut text = match vault.demands_consent() {
            true => format!("{} demands a day of consent of everybody", path.display()),
            false => format!("{} demands no consent", path.display()),
        };
        for (id, held) in &without {
            text += &format!("\n{} (#{}) has none", held.name, id.0);
        }
        if vault.demands_consent() && !without.is_empty() {
            text += "\nthey stay in it and in no export: threshold vault import of a list with their days of consent, or threshold \
                     vault remove; threshold vault audit says who of them is at a unit";
        }
        text
    })?;
    Ok(if vault.demands_consent() && !without.is_empty() { Answer::No } else { Answer::Yes })
}

/// Who has no day of consent.
fn without_consent(vault: &Vault) -> Vec<(&PersonId, &Held)> {
    vault.people().iter().filter(|(_, held)| held.dates.consent.is_none()).collect()
}

fn list(meant: &Meant, vault: &Vault) -> anyhow::Result<Answer> {
    let today = today();
    let counts = vault.counts()?;
    let day = |date: Option<Date>| date.map(|date| date.to_string());
    let row = |(id, held): (&PersonId, &Held)| roster::row(*id, held, today);
    let names = model_names(meant);
    let model = |(id, count): (&ModelId, &usize)| json!({ "model": id.to_string(), "model_name": names(*id), "templates": count });
    let value = json!({
        "vault": vault.path().display().to_string(),
        "generation": vault.generation()?,
        "consent_demanded": vault.demands_consent(),
        "people": vault.people().iter().map(row).collect::<Vec<_>>(),
        "crops": counts.crops,
        "models": counts.templates.iter().map(model).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        if vault.people().is_empty() {
            return "nobody is in the vault".to_owned();
        }
        let cells = |(id, held): (&PersonId, &Held)| {
            let until = day(held.dates.keep_until).unwrap_or_else(|| "no limit".to_owned());
            let over = if held.dates.is_over(today) { " (over)" } else { "" };
            vec![
                format!("#{}", id.0),
                held.name.as_str().to_owned(),
                held.photos.len().to_string(),
                day(held.dates.consent).unwrap_or_else(|| "none recorded".to_owned()),
                format!("{until}{over}"),
            ]
        };
        let rows: Vec<Vec<String>> = vault.people().iter().map(cells).collect();
        let mut text = table(&["id", "name", "crops", "consent", "keep until"], &rows);
        for (id, count) in &counts.templates {
            let name = names(*id).unwrap_or_else(|| "a model whose pack is not here".to_owned());
            text += &format!(
                "\n{count} of {} crops have a template by {name} (id {})",
                counts.crops,
                id.tag()
            );
        }
        text
    })?;
    Ok(Answer::Yes)
}

/// The names of the packs that are here.
fn model_names(meant: &Meant) -> impl Fn(ModelId) -> Option<String> + use<> {
    let engines = Engines::open(meant).ok();
    move |id| {
        let packs = engines.as_ref()?.packs();
        let mut embedders = packs.embedders();
        let found = embedders.find(|entry| entry.id().is_ok_and(|found| found == id));
        found.map(|entry| entry.meta.name.clone())
    }
}

fn remove(meant: &Meant, vault: &mut Vault, typed: &args::VaultRemove) -> anyhow::Result<Answer> {
    let today = today();
    let going: Vec<(PersonId, Held)> = match &typed.person {
        Some(person) => {
            let (id, held) = vault.find(person)?;
            vec![(id, held.clone())]
        }
        None => {
            let over = vault.people().iter().filter(|(_, held)| held.dates.is_over(today));
            over.map(|(id, held)| (*id, held.clone())).collect()
        }
    };
    let ids: Vec<PersonId> = going.iter().map(|(id, _)| *id).collect();
    vault.remove(&ids)?;
    let row = |(id, held): &(PersonId, Held)| json!({ "person": id.0, "name": held.name.as_str(), "crops": held.photos.len() });
    let value = json!({ "removed": going.iter().map(row).collect::<Vec<_>>() });
    meant.say.result(&value, || {
        if going.is_empty() {
            return "nobody's retention is over".to_owned();
        }
        let line = |(id, held): &(PersonId, Held)| {
            format!(
                "{} (#{}) is removed from the vault with {} crops",
                held.name,
                id.0,
                held.photos.len()
            )
        };
        let mut lines: Vec<String> = going.iter().map(line).collect();
        lines.push(
            "backups and units still have them: threshold vault audit says who is at a unit, threshold gallery remove; and make a backup \
             anew"
                .to_owned(),
        );
        lines.join("\n")
    })?;
    Ok(Answer::Yes)
}

/// Backup and restoring are one: a whole, checked copy to where nothing is.
fn copy(meant: &Meant, from: &Path, to: &Path) -> anyhow::Result<Answer> {
    let vault = Vault::open_to_read(from, &meant.keychain)?;
    vault.copy_to(to, &meant.keychain)?;
    let key_file = meant.keychain.vault_key_file(vault.id());
    let value = json!({
        "vault": from.display().to_string(),
        "out": to.display().to_string(),
        "people": vault.people().len(),
        "crops": vault.counts()?.crops,
        "key_file": key_file.display().to_string(),
    });
    meant.say.result(&value, || {
        format!(
            "{} people of {} are in {}, of which every row was read; it opens with {}",
            vault.people().len(),
            from.display(),
            to.display(),
            key_file.display()
        )
    })?;
    Ok(Answer::Yes)
}

/// The template of a face in a frame.
fn template(engine: &mut dyn Engine, frame: &Frame, face: &Detection) -> anyhow::Result<Quantised> {
    Ok(embedded(engine, frame, face)?.1)
}

/// The embedding of a face in a frame, and the template of it.
fn embedded(
    engine: &mut dyn Engine,
    frame: &Frame,
    face: &Detection,
) -> anyhow::Result<(Embedding, Quantised)> {
    let embedding = engine.embed(frame, &[*face])?.pop().ok_or(EngineError::NoEmbedder)?;
    let (scale, vector) = quantise(&embedding);
    // No unit would take it.
    if scale <= 0.0 {
        return Err(VaultError::Crop("its embedding is empty".to_owned()).into());
    }
    Ok((embedding, (scale, vector)))
}

/// By what the vault knows a photo again.
pub(super) fn digest_of(path: &Path) -> anyhow::Result<PhotoDigest> {
    if path.is_dir() {
        return Err(HostError::FolderForPicture { path: path.display().to_string() }.into());
    }
    // A pipe or a device may have no end.
    if !std::fs::metadata(path).map_err(HostError::file(path))?.is_file() {
        let what = format!("{} is no regular file", path.display());
        return Err(VaultError::Row { what }.into());
    }
    let mut hasher = blake3::Hasher::new();
    let hashed = File::open(path).and_then(|file| hasher.update_reader(file).map(drop));
    hashed.map_err(HostError::file(path))?;
    Ok(*hasher.finalize().as_bytes())
}

/// What the vault keeps of a photo, and the photo as an enrolment takes it: both are of the crop and not of the photo, so that the
/// same model makes the same template again.
pub(super) fn source_of(
    engine: &mut dyn Engine,
    path: &Path,
    digest: PhotoDigest,
    min_face_px: u32,
    limits: &QualityLimits,
) -> anyhow::Result<(Source, Photo)> {
    let frame = picture::read(path)?;
    let (face, quality) = photo::one_face(engine, path, &frame, min_face_px, limits)?;
    photo::check(path, quality)?;
    let crop = SourceCrop::cut(&frame, &face, quality.percent)?;
    let (embedding, template) = embedded(engine, &crop.frame, &crop.face)?;
    let photo = Photo { path: path.to_path_buf(), face, quality, embedding };
    Ok((Source { digest, crop, template }, photo))
}

/// The day, in UTC: a retention that ends some hours early or late harms nobody.
pub(super) fn today() -> Date {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(now.as_secs()).unwrap_or_default();
    TimeZone::UTC.to_datetime(Timestamp::from_second(now).unwrap_or_default()).date()
}
