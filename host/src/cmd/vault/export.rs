//! `threshold vault export`: a gallery file of the vault's people, as `gallery push` and a unit take it.
//!
//! Refuses a gallery of which somebody would be missing without a word: whoever has no template of the model is an error, whoever's
//! retention is over, or who has no consent where the vault demands one, is named.

use super::{Answer, today};
use crate::args;
use crate::engines::Engines;
use crate::error::HostError;
use crate::gallery_file;
use crate::meant::Meant;
use crate::vault::{Held, Vault, VaultError};
use serde_json::json;
use std::collections::BTreeMap;
use threshold_record::{KeyId, ModelId, Person, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::gallery::content::{self, Content, Origin, Told};

pub(super) fn run(
    meant: &Meant,
    vault: &Vault,
    typed: &args::VaultExport,
) -> anyhow::Result<Answer> {
    let pack = Engines::open(meant)?.embedder(meant.model.as_ref())?;
    gallery_file::check_place(&typed.out)?;
    let secret = meant.keychain.secret()?.ok_or(RequestError::InsecureLink)?;
    let recipient = match &typed.recipient {
        None => *secret.public(),
        Some(name) => {
            let known = meant.keychain.unit(name)?;
            known.ok_or_else(|| HostError::NotPaired { unit: name.clone() })?.0
        }
    };
    let today = today();
    let (over, kept): (Vec<_>, Vec<_>) =
        vault.people().iter().partition(|(_, held)| held.dates.is_over(today));
    for (id, held) in &over {
        meant.say.warn(&format!(
            "{} (#{}) is left out: the data may be kept until {} and no longer; threshold vault remove --expired",
            held.name,
            id.0,
            held.dates.keep_until.map(|day| day.to_string()).unwrap_or_default()
        ));
    }
    let lacks =
        |(_, held): &(&PersonId, &Held)| vault.demands_consent() && held.dates.consent.is_none();
    let (without, kept): (Vec<_>, Vec<_>) = kept.into_iter().partition(lacks);
    for (id, held) in &without {
        meant.say.warn(&format!(
            "{} (#{}) is left out: no consent is recorded, and the vault demands one; its day into the column consent of a list for \
             threshold vault import",
            held.name, id.0
        ));
    }
    let content = content_of(vault, pack.id, &kept)?;
    let checked = Content::read(content.clone())?;
    gallery_file::write(&typed.out, &secret, &recipient, &content)?;
    let value = json!({
        "out": typed.out.display().to_string(),
        "for": typed.recipient,
        "key": KeyId::of(&recipient).to_string(),
        "people": checked.people,
        "templates": checked.templates,
        "model": pack.id.to_string(),
        "generation": checked.origin.generation,
        "over": over.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
        "no_consent": without.iter().map(|(id, _)| id.0).collect::<Vec<_>>(),
    });
    meant.say.result(&value, || {
        let whom = typed
            .recipient
            .as_ref()
            .map_or("your own key".to_owned(), |name| format!("the unit {name}"));
        format!(
            "{} people with {} templates by {} written to {}, which opens for {whom} alone",
            checked.people,
            checked.templates,
            pack.meta.name,
            typed.out.display()
        )
    })?;
    Ok(Answer::Yes)
}

fn content_of(
    vault: &Vault,
    model: ModelId,
    people: &[(&PersonId, &Held)],
) -> anyhow::Result<Vec<u8>> {
    if people.is_empty() {
        return Err(VaultError::Nobody.into());
    }
    let mut by_person: BTreeMap<PersonId, Vec<Template>> = BTreeMap::new();
    for template in vault.templates(model)? {
        by_person.entry(template.person).or_default().push(template);
    }
    let found = |id: &PersonId| by_person.get(id).map_or(&[][..], Vec::as_slice);
    let missing =
        |(id, held): &(&PersonId, &Held)| held.photos.len().saturating_sub(found(id).len());
    let without: Vec<usize> = people.iter().map(missing).filter(|&missing| missing > 0).collect();
    if !without.is_empty() {
        let (crops, people) = (without.iter().sum(), without.len());
        return Err(VaultError::NotEmbedded { crops, people, model }.into());
    }
    let origin = Origin { model, store_id: *vault.id(), generation: vault.generation()? };
    let named: Vec<Person> =
        people.iter().map(|(id, held)| Person { id: **id, name: held.name.clone() }).collect();
    let told =
        named.iter().map(|person| Told { person, access: None, templates: found(&person.id) });
    Ok(content::write(&origin, std::iter::empty(), told)?)
}
