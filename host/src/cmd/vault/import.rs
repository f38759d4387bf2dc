//! `threshold vault import`: photos of a list or a folder become crops and templates.
//!
//! Owns the order: what the list says is read whole, then photos are worked on in batches, each kept before the next begins.
//! What does not fit is told with its line, at once and again in the result, and holds up nothing else.
//! Refuses to keep a face that could not be enrolled. Who came and may be somebody else of the vault is kept and said (`doubles`), after
//! every run for everybody in the list, so that a run that was cut off leaves nobody unsaid.

use super::{Answer, BATCH, digest_of, source_of, today};
use crate::cmd::doubles::{self, Doubles};
use crate::engines::Engines;
use crate::meant::Meant;
use crate::parallel::{self, Pool};
use crate::vault::source::{self, BadRow, Listed, Wanted};
use crate::vault::{Addition, Dates, PhotoDigest, Source, Vault, VaultError};
use crate::{args, remedy};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use threshold_models::engine::Engine;
use threshold_models::pack::Pack;
use threshold_models::quality::QualityLimits;
use threshold_record::{ModelId, Name, PersonId};

/// What came of it.
#[derive(Default)]
struct Imported {
    people: usize,
    crops: usize,
    already: usize,
    dates: usize,
    left_out: Vec<BadRow>,
}

pub(super) fn run(
    meant: &Meant,
    vault: &mut Vault,
    typed: &args::VaultImport,
) -> anyhow::Result<Answer> {
    let Listed { wanted, bad, dates, .. } = source::read(&typed.source, today())?;
    let engines = Engines::open(meant)?;
    let (detector, pack) = (engines.detector()?, engines.embedder(meant.model.as_ref())?);
    let mut imported = Imported::default();
    for row in bad {
        // The days of somebody who is there are taken without a photo too: a roster is read back so.
        let is_of_roster = match row.error.downcast_ref() {
            Some(VaultError::NoPhoto { name }) => vault.find(name).is_ok(),
            _ => false,
        };
        if !is_of_roster {
            imported.leave_out(meant, row);
        }
    }
    keep_dates(vault, pack.id, dates, &mut imported)?;
    let wanted = not_over(meant, vault, wanted, &mut imported);
    let wanted = match typed.require_consent || vault.demands_consent() {
        true => consented(meant, vault, wanted, &mut imported),
        false => wanted,
    };
    let named: BTreeSet<Name> = wanted.iter().map(|row| row.name.clone()).collect();
    let smallest = QualityLimits::default().min_face_px.min(typed.min_face as f32);
    let limits = QualityLimits { min_face_px: smallest, ..QualityLimits::default() };
    let (workers, threads_each) = Engines::shares(meant.threads, wanted.len());
    let pool = Pool::default();
    let bar = meant.say.bar(wanted.len() as u64, "taking in photos");
    for batch in wanted.chunks(BATCH) {
        let held = |wanted: &Wanted| {
            let held = vault.named(&wanted.name);
            held.map(|held| held.photos.clone()).unwrap_or_default()
        };
        let items: Vec<(&Wanted, Vec<PhotoDigest>)> =
            batch.iter().map(|wanted| (wanted, held(wanted))).collect();
        let fresh = || {
            let min_face = typed.min_face;
            anyhow::Ok(Engines::engine(&detector, Some(&pack), min_face, threads_each)?)
        };
        let made = parallel::over(
            &items,
            workers,
            || anyhow::Ok(()),
            |(), (wanted, held)| {
                let path = &wanted.photo;
                pool.with(fresh, |engine| {
                    anyhow::Ok(fresh_of(engine, path, held, typed.min_face, &limits))
                })
            },
        )?;
        let (mut additions, mut whose) = (Vec::new(), Vec::new());
        for (wanted, made) in batch.iter().zip(made) {
            bar.inc(1);
            let photo = match made {
                Ok(photo) => photo,
                Err(error) => {
                    let (line, photo) = (wanted.line, Some(wanted.photo.clone()));
                    imported.leave_out(meant, BadRow { line, photo, error });
                    continue;
                }
            };
            let (name, dates) = (wanted.name.clone(), wanted.dates);
            additions.push(Addition { name, dates, photo });
            whose.push(wanted);
        }
        for (answer, wanted) in vault.add(pack.id, &additions)?.into_iter().zip(whose) {
            match answer {
                Ok(added) => {
                    imported.people += usize::from(added.person);
                    imported.crops += usize::from(added.crop);
                    imported.already += usize::from(!added.crop);
                    imported.dates += usize::from(added.dates);
                }
                Err(error) => {
                    let (line, photo) = (wanted.line, Some(wanted.photo.clone()));
                    imported.leave_out(meant, BadRow { line, photo, error: error.into() });
                }
            }
        }
    }
    bar.finish_and_clear();
    let came = named.iter().filter_map(|name| vault.id_of(name)).collect();
    let doubles = doubles(meant, vault, &pack, &came)?;
    let mut value = imported.value();
    value["doubles"] = doubles.value();
    value["model"] = json!(pack.id.to_string());
    value["model_name"] = json!(pack.meta.name);
    meant.say.result(&value, || imported.text(&pack.meta.name))?;
    Ok(if imported.left_out.is_empty() && doubles.is_empty() { Answer::Yes } else { Answer::No })
}

/// Who of those in a list may be somebody else of the vault, by the templates of the model; said at once.
fn doubles(
    meant: &Meant,
    vault: &Vault,
    pack: &Pack,
    came: &BTreeSet<PersonId>,
) -> anyhow::Result<Doubles> {
    let names: BTreeMap<PersonId, Name> =
        vault.people().iter().map(|(id, held)| (*id, held.name.clone())).collect();
    let (embedder, templates) = (pack.embedder()?, vault.templates(pack.id)?);
    let known = pack.meta.scores().map(|scores| scores.distributions);
    let metric = embedder.metric;
    let threshold = doubles::threshold(embedder, known.as_ref(), names.len());
    let doubles = doubles::among(metric, threshold, &templates, &names, came, meant.threads)?;
    let remedy =
        "look at both; threshold vault remove the one that is too many, and nothing for twins";
    doubles.warn(meant.say, remedy);
    let missing = vault.counts()?.crops.saturating_sub(templates.len());
    if missing > 0 {
        meant.say.warn(&format!(
            "{missing} crops have no template by this model, so that nobody was compared with them (try: threshold vault re-embed, then \
             the import again)"
        ));
    }
    Ok(doubles)
}

/// Keeps what the list says of people who are there already, whatever becomes of their photos. Nobody's retention that is over is
/// made longer: the data should be gone.
fn keep_dates(
    vault: &mut Vault,
    model: ModelId,
    dates: BTreeMap<Name, Dates>,
    imported: &mut Imported,
) -> Result<(), VaultError> {
    let today = today();
    let there = |name: &Name| vault.named(name).is_some_and(|held| !held.dates.is_over(today));
    let dates = dates.into_iter().filter(|(name, _)| there(name));
    let additions: Vec<Addition> =
        dates.map(|(name, dates)| Addition { name, dates, photo: None }).collect();
    for added in vault.add(model, &additions)? {
        imported.dates += usize::from(added?.dates);
    }
    Ok(())
}

/// Whose data may be kept by what the vault knows; the others are left out.
fn not_over(
    meant: &Meant,
    vault: &Vault,
    wanted: Vec<Wanted>,
    imported: &mut Imported,
) -> Vec<Wanted> {
    let today = today();
    let mut kept = Vec::with_capacity(wanted.len());
    for row in wanted {
        let dates = vault.named(&row.name).map(|held| held.dates).unwrap_or_default();
        match dates.keep_until.filter(|_| dates.is_over(today)) {
            None => kept.push(row),
            Some(until) => {
                let error = VaultError::Over { name: row.name.as_str().to_owned(), until }.into();
                let (line, photo) = (row.line, Some(row.photo));
                imported.leave_out(meant, BadRow { line, photo, error });
            }
        }
    }
    kept
}

/// Who has a day of consent, in the vault or anywhere in the list; the others are left out.
fn consented(
    meant: &Meant,
    vault: &Vault,
    wanted: Vec<Wanted>,
    imported: &mut Imported,
) -> Vec<Wanted> {
    let in_vault = |name: &Name| vault.named(name).is_some_and(|held| held.dates.consent.is_some());
    let (with, without): (Vec<Wanted>, Vec<Wanted>) =
        wanted.into_iter().partition(|row| row.dates.consent.is_some() || in_vault(&row.name));
    for Wanted { line, name, photo, .. } in without {
        let error = match vault.check_consent(&name, Dates::default()) {
            Err(error) => error.into(),
            Ok(()) => VaultError::NoConsent { name: name.as_str().to_owned() }.into(),
        };
        imported.leave_out(meant, BadRow { line, photo: Some(photo), error });
    }
    with
}

/// What the vault keeps of a photo; `None` if it does already.
fn fresh_of(
    engine: &mut dyn Engine,
    path: &Path,
    held: &[PhotoDigest],
    min_face_px: u32,
    limits: &QualityLimits,
) -> anyhow::Result<Option<Source>> {
    let digest = digest_of(path)?;
    if held.contains(&digest) {
        return Ok(None);
    }
    Ok(Some(source_of(engine, path, digest, min_face_px, limits)?.0))
}

impl Imported {
    fn leave_out(&mut self, meant: &Meant, row: BadRow) {
        let line = row.line.map(|line| format!("line {line}: ")).unwrap_or_default();
        let (said, advice) = (remedy::without(&row.error), remedy::of(&row.error));
        meant.say.warn(&format!("left out: {line}{said} (try: {advice})"));
        self.left_out.push(row);
    }

    fn value(&self) -> Value {
        let row = |row: &BadRow| {
            json!({
                "line": row.line,
                "photo": row.photo.as_ref().map(|photo| photo.display().to_string()),
                "error": remedy::without(&row.error),
                "remedy": remedy::of(&row.error),
            })
        };
        json!({
            "people_added": self.people,
            "crops_added": self.crops,
            "there_already": self.already,
            "dates_changed": self.dates,
            "left_out": self.left_out.iter().map(row).collect::<Vec<_>>(),
        })
    }

    fn text(&self, model: &str) -> String {
        format!(
            "{} people and {} crops are added, with templates by {model}; {} photos were there already, {} people have other \
             dates now, {} rows are left out",
            self.people,
            self.crops,
            self.already,
            self.dates,
            self.left_out.len()
        )
    }
}
