//! `threshold enrol --replace FILE` and `--restore FILE`: what the photos of somebody whose slots are full take the place of.
//!
//! Owns the order: a template is in the file, durable, before the unit has another one in its slot, so that a line that is cut loses none.
//! Refuses to write over anything, to keep a template in the clear (the file is a gallery of one person, sealed for the administrator's
//! own key), and to put back what is another person's or another model's.

use crate::cmd::Answer;
use crate::cmd::gallery::copy::own_key;
use crate::error::HostError;
use crate::gallery_file;
use crate::meant::Meant;
use crate::people::People;
use crate::session::Session;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use threshold_record::{Cause, ModelId, Name, Person, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, PutTemplate};
use threshold_wire::gallery::content::{self, Origin, Told};
use threshold_wire::message::{Nothing, TemplatePut};
use threshold_wire::session::SecretKey;

/// What was replaced in one run.
pub(super) struct Replaced {
    path: PathBuf,
    secret: SecretKey,
    model: ModelId,
    /// In order of slots; of a slot the one that stood there first.
    templates: Vec<Template>,
}

impl Replaced {
    /// Nothing as yet, to be kept at a place at which nothing is.
    pub(super) fn begin(meant: &Meant, file: &Path, model: ModelId) -> anyhow::Result<Self> {
        let path = meant.out(file)?;
        if path.symlink_metadata().is_ok() {
            return Err(HostError::ReplacedThere { path }.into());
        }
        let secret = own_key(meant)?;
        Ok(Self { path, secret, model, templates: Vec::new() })
    }

    /// Keeps a template; it is on the disk when this returns.
    pub(super) fn keep(&mut self, name: &Name, template: Template) -> anyhow::Result<()> {
        let person = Person { id: template.person, name: name.clone() };
        match self.templates.binary_search_by_key(&template.slot, |held| held.slot) {
            // What this run put there itself is a photo that somebody has.
            Ok(_) => return Ok(()),
            Err(place) => self.templates.insert(place, template),
        }
        let origin = Origin { model: self.model, store_id: [0; 16], generation: 0 };
        let told = Told { person: &person, access: None, templates: &self.templates };
        let content = content::write(&origin, std::iter::empty(), std::iter::once(told))?;
        gallery_file::write(&self.path, &self.secret, self.secret.public(), &content)
    }

    pub(super) fn value(&self) -> Value {
        json!({
            "file": (!self.templates.is_empty()).then(|| self.path.display().to_string()),
            "slots": self.templates.iter().map(|held| held.slot).collect::<Vec<_>>(),
        })
    }

    /// `None` if nothing was replaced.
    pub(super) fn text(&self) -> Option<String> {
        let n = self.templates.len();
        (n > 0).then(|| {
            format!(
                "\n  in place of {n}, kept in {}: --restore puts back what was there",
                self.path.display()
            )
        })
    }
}

/// Puts back what a file keeps.
///
/// # Errors
/// A file that is none of that person's and model's, and a unit that says no.
pub(super) fn restore(meant: &Meant, name: &Name, file: &Path) -> anyhow::Result<Answer> {
    let secret = own_key(meant)?;
    let (bytes, _) = gallery_file::read(file)?;
    let kept = gallery_file::open(&secret, &bytes)?;
    let mut session = Session::open_started(meant)?;
    let info = session.call::<GetInfo>(&Nothing {})?;
    let model = info.model.ok_or(RequestError::NotReady { part: Cause::Model })?.id;
    let there = People::read(&mut session)?.named(name).map(|person| person.person);
    let templates =
        of_person(&kept, model, name, there).map_err(|what| not_replaced(file, name, what))?;
    let mut generation = 0;
    let slots: Vec<u8> = templates.iter().map(|held| held.slot).collect();
    for template in templates {
        generation = session.call::<PutTemplate>(&TemplatePut { model, template })?.generation;
    }
    let value = json!({
        "person": there.map(|id| id.0),
        "name": name.as_str(),
        "restored": slots,
        "generation": generation,
    });
    meant.say.result(&value, || {
        let n = slots.len();
        format!(
            "{name} has {n} of the templates back that stood there before; {} stays",
            file.display()
        )
    })?;
    Ok(Answer::Yes)
}

fn not_replaced(file: &Path, name: &Name, what: String) -> HostError {
    let (path, name) = (file.to_path_buf(), name.as_str().to_owned());
    HostError::NotReplaced { path, name, what }
}

/// The templates of a file that holds that one person's by that model; else what it holds.
fn of_person(
    kept: &content::Content,
    model: ModelId,
    name: &Name,
    there: Option<PersonId>,
) -> Result<Vec<Template>, String> {
    if kept.origin.model != model {
        return Err(format!("they are by model {}", kept.origin.model));
    }
    let mut people = kept.people();
    match (people.next(), people.next()) {
        (Some(person), None) if person.person.name == *name => match there {
            Some(id) if id == person.person.id => Ok(person.templates(model.tag()).collect()),
            // Whoever was removed is not brought back.
            _ => Err(format!("they are of person {}, who is not enrolled now", person.person.id.0)),
        },
        (Some(person), None) => Err(format!("they are of {}", person.person.name)),
        _ => Err("it is a gallery".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::keychain::Keychain;

    fn name() -> Name {
        Name::new("Ann").unwrap()
    }

    pub(in super::super) fn template(slot: u8, value: i8) -> Template {
        let (person, model) = (PersonId(5), ModelId([3; 32]).tag());
        let vector = std::iter::repeat_n(value, 128).collect();
        Template { person, slot, quality: 90, model, scale: 0.01, vector }
    }

    pub(in super::super) fn replaced(folder: &Path) -> Replaced {
        let secret = Keychain::meant(Some(&folder.join("keys"))).secret_or_new().unwrap();
        Replaced { path: folder.join("out"), secret, model: ModelId([3; 32]), templates: vec![] }
    }

    #[test]
    fn what_stood_first_in_a_slot_is_kept_sealed_and_read_for_that_person_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut replaced = replaced(folder.path());
        assert_eq!(replaced.text(), None);
        for (slot, value) in [(6, 60), (2, 20), (6, 61)] {
            replaced.keep(&name(), template(slot, value)).unwrap();
        }
        assert_eq!(replaced.value()["slots"], json!([2, 6]));
        let (bytes, _) = gallery_file::read(&replaced.path).unwrap();
        assert!(!bytes.windows(16).any(|part| part == [20; 16]), "in the clear");
        let kept = gallery_file::open(&replaced.secret, &bytes).unwrap();
        let of = |model: u8, name: &str, id: Option<u32>| {
            let name = Name::new(name).unwrap();
            of_person(&kept, ModelId([model; 32]), &name, id.map(PersonId))
        };
        assert_eq!(of(3, "Ann", Some(5)), Ok(vec![template(2, 20), template(6, 60)]));
        assert!(of(4, "Ann", Some(5)).unwrap_err().contains("by model"));
        assert!(of(3, "Bob", Some(5)).unwrap_err().contains("of Ann"));
        assert!(of(3, "Ann", Some(6)).unwrap_err().contains("person 5"));
        assert!(of(3, "Ann", None).unwrap_err().contains("person 5"));
    }
}
