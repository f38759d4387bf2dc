//! `threshold enrol`: a person's photos become templates in the unit's gallery; or, in `at_door`, what the unit's camera sees.
//!
//! Owns the order, of which `checks` is the one half and `push` the other: everything is checked before anything is pushed, so that a
//! bad photo changes nothing, and a person who got no template is taken out again.
//! Refuses to push a face that the unit takes for somebody else's who is enrolled, unless told to: the unit says whose means of templates
//! are nearest to the mean of the photos, and from where on that is the same person.

mod at_door;
mod checks;
mod push;
mod replaced;
mod vaulted;

use super::Answer;
use crate::causes::cause_words;
use crate::engines::Engines;
use crate::error::HostError;
use crate::people::{People, id_of};
use crate::photo::{Photo, read_one_face};
use crate::say::Say;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use crate::{args, meant::Meant};
use replaced::Replaced;
use serde_json::{Value, json};
use std::path::PathBuf;
use threshold_models::quality::QualityLimits;
use threshold_record::{Cause, Name, PersonId};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, RemovePerson};
use threshold_wire::message::{Armed, ModelInfo, Nothing, PersonPutDone, PersonRemove};
use vaulted::{Ids, Keeping, add_at_unit};

/// Enrols the person.
///
/// # Errors
/// A name or photo that cannot be used, a unit of a model that is not here, or one that says no.
pub fn run(meant: &Meant, typed: &args::Enrol) -> anyhow::Result<Answer> {
    let name = Name::new(&typed.person)?;
    if id_of(&name).is_some() {
        let what = format!("{:?} would be taken for the person with that id", name.as_str());
        return Err(HostError::BadName { what }.into());
    }
    if typed.vault.is_none() && typed.restore.is_none() {
        vaulted::consented(&meant.keychain, &name)?;
    }
    if typed.at_door {
        return at_door::run(meant, typed, name);
    }
    if let Some(file) = &typed.restore {
        return replaced::restore(meant, &name, file);
    }
    let mut session = Session::open_started(meant)?;
    let info = session.call::<GetInfo>(&Nothing {})?;
    let mut model = info.model.ok_or(RequestError::NotReady { part: Cause::Model })?;
    // Whether two photos show one person does not change with the size of the gallery, as the threshold in force does.
    if let Some(policy) = &info.policy {
        model.threshold = policy.floor;
    }
    let engines = Engines::open(meant)?;
    let pack = engines.of_unit(model.id, meant.model.as_ref())?;
    let detector = engines.detector()?;
    let mut engine = Engines::engine(&detector, Some(&pack), typed.min_face, meant.threads)?;
    // Whoever asks for smaller faces than the default is taken at their word.
    let smallest = QualityLimits::default().min_face_px.min(typed.min_face as f32);
    let limits = QualityLimits { min_face_px: smallest, ..QualityLimits::default() };
    let bar = meant.say.bar(typed.photos.len() as u64, "checking photos");
    let mut keeping = Keeping::open(meant, typed, &name, model.id)?;
    let mut photos = Vec::new();
    for path in &typed.photos {
        photos.push(match &mut keeping {
            Some(keeping) => keeping.read(&mut engine, path, typed.min_face, &limits)?,
            None => {
                let photo = read_one_face(&mut engine, path, typed.min_face, &limits)?;
                photo.check()?;
                photo
            }
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    let mut replaced = match &typed.replace {
        Some(file) => Some(Replaced::begin(meant, file, model.id)?),
        None => None,
    };
    let enrolment = Enrolment { name, photos, model, force: typed.force };
    enrolment.check_pairs(meant.say)?;
    let enrolled = match &mut keeping {
        None => enrolment.carry_out(&mut session, meant.say, replaced.as_mut())?,
        Some(keeping) => {
            keeping.room()?;
            enrolment.check_vault(meant.say, keeping, &pack)?;
            let (ids, keep) = (keeping.ids()?, &mut |id| keeping.keep(id));
            let done = enrolment.keep_and_carry_out(&mut session, meant.say, &ids, keep);
            done.map_err(|error| keeping.half(error))?
        }
    };
    let mut value = enrolment.value(&enrolled);
    value["replaced"] = replaced.as_ref().map_or(Value::Null, Replaced::value);
    value["vault"] = keeping.as_ref().map_or(Value::Null, Keeping::value);
    meant.say.result(&value, || {
        let kept = keeping.as_ref().map(|keeping| format!("\n{}", keeping.text()));
        let replaced = replaced.as_ref().and_then(Replaced::text).unwrap_or_default();
        enrolment.text(&enrolled) + &kept.unwrap_or_default() + &replaced
    })?;
    warn_if_locked(&mut session, meant.say)?;
    Ok(Answer::Yes)
}

/// Says it if the door stays locked with the gallery as it is now.
fn warn_if_locked<T: Transport>(session: &mut Session<T>, say: Say) -> Result<(), SessionError> {
    if let Armed::Refuses(why) = session.call::<GetInfo>(&Nothing {})?.armed {
        let why = cause_words(why);
        say.warn(&format!(
            "the door stays locked now: {why}; threshold policy show says what helps"
        ));
    }
    Ok(())
}

/// What is to be pushed.
struct Enrolment {
    name: Name,
    photos: Vec<Photo>,
    model: ModelInfo,
    force: bool,
}

/// What stands in the gallery now.
#[derive(Debug, PartialEq, Eq)]
struct Enrolled {
    person: PersonId,
    added: bool,
    /// Slot of the template of each photo that was not there.
    slots: Vec<u8>,
    /// Photos that the unit had already, and that were passed over.
    there: Vec<PathBuf>,
    /// Photos that tell less than the templates whose places they could have taken.
    not_needed: Vec<PathBuf>,
    generation: u64,
}

impl Enrolled {
    /// A person who is at the unit, with photos that were passed over, before any template of the others is.
    fn begun(done: PersonPutDone, there: Vec<PathBuf>) -> Self {
        let PersonPutDone { person, added, generation, .. } = done;
        Self { person, added, slots: Vec::new(), there, not_needed: Vec::new(), generation }
    }

    /// True if there is nothing of the person but the name.
    fn got_nothing(&self) -> bool {
        self.added && self.slots.is_empty()
    }

    /// What came of it; an error says how many of the photos are enrolled, where the unit has anything of the person.
    fn ended(self, pushed: anyhow::Result<()>, all: usize) -> anyhow::Result<Self> {
        match pushed {
            Ok(()) => Ok(self),
            Err(error) if self.got_nothing() => Err(error),
            Err(error) => {
                Err(error.context(format!("{} of {all} photos are enrolled", self.slots.len())))
            }
        }
    }
}

impl Enrolment {
    fn carry_out<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        replaced: Option<&mut Replaced>,
    ) -> anyhow::Result<Enrolled> {
        let people = People::read(session)?;
        let there = people.named(&self.name);
        let all: Vec<&Photo> = self.photos.iter().collect();
        // Room before resemblance: without room nothing else matters.
        if replaced.is_none() {
            self.free_slots(there, all.len())?;
        }
        self.check_again(session, say, &people, there)?;
        for photo in &all {
            if self.check_against_gallery(session, say, &people, there, photo)? {
                say.warn(&format!(
                    "{} is as good as a photo that {} has already: it takes a slot and adds nothing",
                    photo.path.display(),
                    self.name
                ));
            }
        }
        let done = self.person(session)?;
        let mut enrolled = Enrolled::begun(done, Vec::new());
        let pushed = self.push(session, there, &mut enrolled, &all, replaced);
        if let Err(error) = &pushed
            && enrolled.got_nothing()
            && error.downcast_ref::<SessionError>().is_some_and(|error| error.refusal().is_some())
        {
            // A unit that says no can still be told to forget; over a dead line there is nobody to tell, and the
            // name without templates opens nothing and is used by the next try.
            session.call::<RemovePerson>(&PersonRemove { person: done.person })?;
        }
        enrolled.ended(pushed, all.len())
    }

    /// The same with a vault: once everything is checked, the unit settles the person's id, `keep` keeps the photos under it, and only
    /// then the unit takes those that it has not.
    fn keep_and_carry_out<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        ids: &Ids,
        keep: &mut dyn FnMut(PersonId) -> anyhow::Result<()>,
    ) -> anyhow::Result<Enrolled> {
        let people = People::read(session)?;
        let there = people.named(&self.name);
        let wanted = ids.wanted(&self.name, &people)?;
        self.check_again(session, say, &people, there)?;
        let (mut fresh, mut passed) = (Vec::new(), Vec::new());
        for photo in &self.photos {
            // What a run before brought to the unit is not brought again.
            match self.check_against_gallery(session, say, &people, there, photo)? {
                true => passed.push(photo.path.clone()),
                false => fresh.push(photo),
            }
        }
        self.free_slots(there, fresh.len())?;
        let done = add_at_unit(session, &self.name, wanted)?;
        // Not taken out again if something fails from here on: that would use up the id, and a name without templates opens nothing.
        keep(done.person)?;
        let mut enrolled = Enrolled::begun(done, passed);
        let pushed = self.push(session, there, &mut enrolled, &fresh, None);
        enrolled.ended(pushed, fresh.len())
    }

    fn value(&self, enrolled: &Enrolled) -> Value {
        let template = |(photo, slot): (&Photo, &u8)| {
            json!({
                "photo": photo.path.display().to_string(),
                "slot": slot,
                "quality": photo.quality.percent,
            })
        };
        let paths = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().map(|path| path.display().to_string()).collect()
        };
        let templates: Vec<Value> =
            self.pushed(enrolled).zip(&enrolled.slots).map(template).collect();
        json!({
            "person": enrolled.person.0,
            "name": self.name.as_str(),
            "added": enrolled.added,
            "templates": templates,
            "there_already": paths(&enrolled.there),
            "not_needed": paths(&enrolled.not_needed),
            "generation": enrolled.generation,
        })
    }

    /// The photos that were neither there already nor less than what is.
    fn pushed(&self, enrolled: &Enrolled) -> impl Iterator<Item = &Photo> {
        let passed = [&enrolled.there[..], &enrolled.not_needed].concat();
        self.photos.iter().filter(move |photo| !passed.contains(&photo.path))
    }

    fn text(&self, enrolled: &Enrolled) -> String {
        let word = match (enrolled.added, enrolled.slots.is_empty()) {
            (false, true) if !enrolled.not_needed.is_empty() => {
                "keeps the templates that are there"
            }
            (true, _) => "is enrolled",
            (false, false) => "has further templates",
            (false, true) => "has all of these already",
        };
        let mut lines = vec![format!("{} (#{}) {word}", self.name, enrolled.person.0)];
        lines.extend(self.pushed(enrolled).zip(&enrolled.slots).map(|(photo, slot)| {
            format!("  slot {slot}  quality {} %  {}", photo.quality.percent, photo.path.display())
        }));
        lines.extend(enrolled.not_needed.iter().map(|path| {
            format!(
                "  not enrolled, since it tells the least beside the others  {}",
                path.display()
            )
        }));
        lines.join("\n")
    }
}

/// Copies an embedding into a message; a pack whose embeddings are longer than a template holds is none of a unit's.
fn fill(copy: impl FnOnce() -> bool, len: usize) -> Result<(), RequestError> {
    use threshold_record::TemplateError::Length;
    if copy() { Ok(()) } else { Err(RequestError::BadTemplate(Length { len: len as u16 })) }
}

#[cfg(test)]
mod tests;
