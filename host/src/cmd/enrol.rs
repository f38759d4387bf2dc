//! `threshold enrol`: a person's photos become templates in the unit's gallery; or, in `at_door`, what the unit's camera sees.
//!
//! Owns the order: everything is checked before anything is pushed, so that a bad photo changes nothing, and a person
//! who got no template is taken out again.
//! Refuses to push a face that the unit takes for somebody else's who is enrolled, unless told to: the unit says whose means of templates
//! are nearest to the mean of the photos, and from where on that is the same person. Refuses to name that somebody to anybody but an owner.

mod at_door;
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
use threshold_models::search::{Mean, distance, quantise};
use threshold_record::{Cause, MAX_SLOTS, Name, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{
    FindRedundant, GetInfo, PutPerson, PutTemplate, RemovePerson, SearchAgain, SearchGallery,
};
use threshold_wire::message::{
    Armed, GalleryAgain, GallerySearch, IfThere, ModelInfo, Nothing, PersonPut, PersonPutDone,
    PersonRemove, PersonSummary, TemplatePut, TemplateRedundant,
};
use vaulted::{Ids, Keeping, add_at_unit};

/// Score from which two photos are one: the int8 template of a photo lies within 0.01 of the photo itself, two takes of
/// one person lie 0.1 apart and more.
const SAME_PHOTO: f32 = 0.97;

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
    /// Looks for photos that do not look like one person, because two people's photos under one name open the door to both: an
    /// error unless it is forced. Warns of the same photo twice, because it takes a slot for nothing.
    fn check_pairs(&self, say: Say) -> anyhow::Result<()> {
        let metric = self.model.metric;
        for (one, other, distance) in self.pairs() {
            let both = format!("{} and {}", one.path.display(), other.path.display());
            if self.unlike(distance) {
                let unit = metric.unit();
                let error = HostError::UnlikePhotos { photos: both, distance, unit };
                self.unless_forced(say, error)?;
            } else if metric.score(distance).0 >= SAME_PHOTO {
                say.warn(&format!(
                    "{both} are as good as one photo: the second takes a slot and adds nothing"
                ));
            }
        }
        Ok(())
    }

    /// An error, or a warning for whoever wants to go on all the same.
    fn unless_forced(&self, say: Say, error: HostError) -> Result<(), HostError> {
        if !self.force {
            return Err(error);
        }
        say.warn(&error.to_string());
        Ok(())
    }

    /// Every two photos with their distance.
    fn pairs(&self) -> impl Iterator<Item = (&Photo, &Photo, f32)> {
        let metric = self.model.metric;
        self.photos.iter().enumerate().flat_map(move |(place, one)| {
            let others = self.photos[place + 1..].iter();
            others
                .map(move |other| (one, other, distance(metric, &one.embedding, &other.embedding)))
        })
    }

    /// Whether a distance is beyond the threshold.
    fn unlike(&self, distance: f32) -> bool {
        !self.model.threshold.accepts(self.model.metric.score(distance))
    }

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

    /// Adds the person at the unit, or finds it there.
    fn person<T: Transport>(
        &self,
        session: &mut Session<T>,
    ) -> Result<PersonPutDone, SessionError> {
        let put = PersonPut { name: self.name.clone(), if_there: IfThere::Use };
        session.call::<PutPerson>(&put)
    }

    /// Pushes a template for each photo: into the free slots first, then, if something may be replaced, into that of whichever template
    /// the unit calls the most redundant, once it is kept here.
    fn push<T: Transport>(
        &self,
        session: &mut Session<T>,
        there: Option<&PersonSummary>,
        enrolled: &mut Enrolled,
        photos: &[&Photo],
        mut replaced: Option<&mut Replaced>,
    ) -> anyhow::Result<()> {
        let (person, added) = (enrolled.person, enrolled.added);
        // Somebody else may have added the person meanwhile.
        let now = match there {
            None if !added => Some(People::read(session)?),
            _ => None,
        };
        let there = now.as_ref().map_or(there, |people| people.named(&self.name));
        let wanted = if replaced.is_some() { 0 } else { photos.len() };
        let mut free = self.free_slots(there.filter(|_| !added), wanted)?.into_iter();
        for photo in photos {
            let (scale, vector) = quantise(&photo.embedding);
            let model = self.model.id.tag();
            let quality = photo.quality.percent;
            let mut template =
                Template { person, slot: 0, quality, model, scale, vector: Default::default() };
            fill(|| template.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
            let slot = match (free.next(), &mut replaced) {
                (Some(slot), _) => Some(slot),
                (None, Some(replaced)) => self.replace(session, &template, replaced)?,
                (None, None) => None,
            };
            let Some(slot) = slot else {
                enrolled.not_needed.push(photo.path.clone());
                continue;
            };
            template.slot = slot;
            let put = TemplatePut { model: self.model.id, template };
            enrolled.generation = session.call::<PutTemplate>(&put)?.generation;
            enrolled.slots.push(slot);
        }
        Ok(())
    }

    /// The slot whose template tells the least beside the others and this one, once that one is kept; `None` if it is this one.
    fn replace<T: Transport>(
        &self,
        session: &mut Session<T>,
        template: &Template,
        replaced: &mut Replaced,
    ) -> anyhow::Result<Option<u8>> {
        let &Template { person, quality, scale, ref vector, .. } = template;
        let (model, vector) = (self.model.id, vector.clone());
        let of = TemplateRedundant { model, person, quality, scale, vector };
        let Some(goes) = session.call::<FindRedundant>(&of)?.template else { return Ok(None) };
        // A unit that names another's or an impossible one is not believed.
        if goes.person != person || goes.check().is_err() {
            return Err(HostError::BadReplaced { name: self.name.as_str().to_owned() }.into());
        }
        let slot = goes.slot;
        replaced.keep(&self.name, goes)?;
        Ok(Some(slot))
    }

    /// The free slots, lowest first.
    fn free_slots(
        &self,
        there: Option<&PersonSummary>,
        wanted: usize,
    ) -> Result<Vec<u8>, HostError> {
        let used = there.map_or(0, |person| person.slots);
        let free: Vec<u8> = (0..MAX_SLOTS).filter(|slot| used >> slot & 1 == 0).collect();
        if wanted > free.len() {
            return Err(HostError::SlotsFull {
                name: self.name.as_str().to_owned(),
                used: used.count_ones() as usize,
                wanted,
                max: MAX_SLOTS.into(),
            });
        }
        Ok(free)
    }

    /// Asks the unit whom the photo resembles: somebody else is a warning, a photo unlike those that the person has is an error unless
    /// it is forced. True if it is as good as one that the person has already.
    fn check_against_gallery<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        people: &People,
        there: Option<&PersonSummary>,
        photo: &Photo,
    ) -> anyhow::Result<bool> {
        let (scale, vector) = quantise(&photo.embedding);
        let mut search = GallerySearch { model: self.model.id, scale, vector: Default::default() };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        let found = session.call::<SearchGallery>(&search)?;
        let threshold = self.model.threshold;
        let own = |id: PersonId| there.is_some_and(|person| person.person == id);
        let resembled = || [found.best, found.runner_up].into_iter().flatten();
        let other = resembled().find(|one| !own(one.person) && threshold.accepts(one.score));
        if let Some(other) = other {
            let help = match session.is_owners() {
                true => "look whether they are one",
                false => "an owner who enrols the photo is told whom",
            };
            say.warn(&format!(
                "{} resembles {}: score {:.3}, and two photos of one person begin at {:.3}; {help}",
                photo.path.display(),
                told(session, people, other.person)
                    .unwrap_or("somebody who is enrolled".to_owned()),
                other.score.0,
                threshold.0.0
            ));
        }
        let enrolled = there.is_some_and(|person| person.slots != 0);
        let like_own = resembled().any(|one| own(one.person) && threshold.accepts(one.score));
        if enrolled && !like_own {
            let (photo, name) = (photo.path.display().to_string(), self.name.as_str().to_owned());
            self.unless_forced(say, HostError::UnlikeOwn { photo, name })?;
        }
        Ok(resembled().any(|one| own(one.person) && one.score.0 >= SAME_PHOTO))
    }

    /// Asks the unit whether all photos together are somebody's who is enrolled under another name: an error unless it is forced.
    fn check_again<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        people: &People,
        there: Option<&PersonSummary>,
    ) -> anyhow::Result<()> {
        let Some(mean) = Mean::of(self.photos.iter().map(|photo| &photo.embedding)) else {
            return Ok(());
        };
        let (scale, vector) = quantise(mean.embedding());
        let mut search = GalleryAgain {
            model: self.model.id,
            pictures: u8::try_from(mean.pictures()).unwrap_or(u8::MAX),
            but: there.map(|person| person.person),
            scale,
            vector: Default::default(),
        };
        fill(|| search.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
        let found = session.call::<SearchAgain>(&search)?;
        let Some(other) = found.nearest.filter(|it| found.threshold.accepts(it.score)) else {
            return Ok(());
        };
        let photos = match &self.photos[..] {
            [photo] => photo.path.display().to_string(),
            photos => format!("{} photos", photos.len()),
        };
        let error = HostError::MatchesOther {
            photo: photos,
            other: told(session, people, other.person),
            score: other.score.0,
            threshold: found.threshold.0.0,
        };
        Ok(self.unless_forced(say, error)?)
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

/// Whom a face resembles, as an owner is told; `None` for anybody else, as the unit does it where somebody is enrolled at the door.
fn told<T: Transport>(session: &Session<T>, people: &People, other: PersonId) -> Option<String> {
    let name = people.name_of(other).unwrap_or_default();
    session.is_owners().then(|| format!("{name} (#{})", other.0))
}

/// Copies an embedding into a message; a pack whose embeddings are longer than a template holds is none of a unit's.
fn fill(copy: impl FnOnce() -> bool, len: usize) -> Result<(), RequestError> {
    use threshold_record::TemplateError::Length;
    if copy() { Ok(()) } else { Err(RequestError::BadTemplate(Length { len: len as u16 })) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::{FakeUnit, Fault, store_fault};
    use threshold_models::engine::{BBox, Detection, Embedding};
    use threshold_models::quality::Quality;
    use threshold_record::{Administrator, Role, Score};
    use threshold_wire::Call;
    use threshold_wire::message::{GallerySearchDone, Resembled};
    use threshold_wire::session::SecretKey;

    /// A photo whose embedding points along one axis.
    fn photo(name: &str, axis: usize) -> Photo {
        let mut embedding = vec![0.0; 512];
        embedding[axis] = 1.0;
        let face = Detection { bbox: BBox::default(), landmarks: [[0.0; 2]; 5], score: 1.0 };
        Photo {
            path: name.into(),
            face,
            quality: Quality { percent: 90, cause: Cause::None },
            embedding: Embedding(embedding),
        }
    }

    fn enrolment(name: &str, n_photos: usize) -> Enrolment {
        Enrolment {
            name: Name::new(name).unwrap(),
            photos: (0..n_photos).map(|n| photo(&format!("{n}.jpg"), 0)).collect(),
            model: FakeUnit::new().info().model.unwrap(),
            force: false,
        }
    }

    fn say() -> Say {
        Say::new(true)
    }

    fn resembles(person: PersonId, score: f32) -> Option<Resembled> {
        Some(Resembled { person, score: Score(score) })
    }

    /// A unit that has Ann with templates in these slots, and finds her in her photos.
    fn with_ann(slots: u8) -> FakeUnit {
        let mut unit = FakeUnit::new();
        let ann = unit.add_person("Ann", slots);
        unit.found = GallerySearchDone { best: resembles(ann, 0.9), runner_up: None };
        unit
    }

    #[test]
    fn photos_unlike_each_other_or_unlike_those_enrolled_change_nothing_unless_forced() {
        let tried = |others: usize, found: f32, force: bool| {
            let mut unit = with_ann(1);
            unit.found.best = resembles(PersonId(1), found);
            let mut enrolment = Enrolment { force, ..enrolment("Ann", 1) };
            enrolment.photos.extend((0..others).map(|n| photo("bob.jpg", n + 1)));
            let mut session = unit.session();
            let done = enrolment
                .check_pairs(say())
                .and_then(|()| enrolment.carry_out(&mut session, say(), None));
            (
                done.map(|done| done.slots).map_err(|error| error.to_string()),
                session.unit().people[0].slots,
            )
        };
        assert_eq!(tried(0, 0.9, false), (Ok(vec![1]), 0b11));
        let (error, slots) = tried(1, 0.9, false);
        assert!(error.unwrap_err().starts_with("0.jpg and bob.jpg hardly show one person"));
        assert_eq!((slots, tried(1, 0.9, true).1), (1, 0b111));
        let (error, slots) = tried(0, 0.1, false);
        assert_eq!(error.unwrap_err(), "0.jpg hardly resembles Ann, who is enrolled already");
        assert_eq!((slots, tried(0, 0.1, true).1), (1, 0b11));
    }

    #[test]
    fn a_new_person_gets_a_template_for_each_photo() {
        let mut session = FakeUnit::new().session();
        let enrolment = enrolment("Ann", 2);
        let done = enrolment.carry_out(&mut session, say(), None).unwrap();
        let person = PersonId(1);
        let (slots, there) = (vec![0, 1], vec![]);
        let not_needed = vec![];
        let expected = Enrolled { person, added: true, slots, there, not_needed, generation: 4 };
        assert_eq!(done, expected);
        assert_eq!(session.unit().people[0].slots, 0b11);
        let value = enrolment.value(&done);
        assert_eq!(value["templates"][1], json!({"photo": "1.jpg", "slot": 1, "quality": 90}));
    }

    #[test]
    fn an_enrolled_person_gets_the_free_slots() {
        let unit = with_ann(0b1011);
        let mut session = unit.session();
        let done = enrolment("Ann", 2).carry_out(&mut session, say(), None).unwrap();
        assert_eq!((done.added, done.slots), (false, vec![2, 4]));
    }

    #[test]
    fn too_many_photos_are_refused_before_anything_is_pushed() {
        let check = |slots: u8, n_photos: usize, expected: &str| {
            let mut unit = FakeUnit::new();
            unit.add_person("Ann", slots);
            let mut session = unit.session();
            let error =
                enrolment("Ann", n_photos).carry_out(&mut session, say(), None).unwrap_err();
            assert_eq!(error.to_string(), expected);
            assert_eq!(session.unit().people[0].slots, slots);
        };
        check(
            0b0111_1111,
            2,
            "Ann has 7 templates and the unit keeps 8 a person, 2 more do not fit",
        );
        check(0, 9, "Ann has 0 templates and the unit keeps 8 a person, 9 more do not fit");
    }

    #[test]
    fn photos_of_whoever_is_full_take_the_place_of_the_most_redundant_and_those_are_kept_first() {
        let folder = tempfile::tempdir().unwrap();
        let held = |slot: u8| Template {
            person: PersonId(1),
            slot,
            quality: 50,
            model: FakeUnit::new().info().model.unwrap().id.tag(),
            scale: 0.01,
            vector: std::iter::repeat_n(slot as i8 + 1, 512).collect(),
        };
        let enrolled = |used: u8, photos: usize, redundant: Vec<Option<Template>>| {
            let mut unit = with_ann(used);
            unit.redundant = redundant.into();
            let mut session = unit.session();
            let mut replaced = replaced::tests::replaced(folder.path());
            let enrolment = enrolment("Ann", photos);
            let done = enrolment.carry_out(&mut session, say(), Some(&mut replaced)).unwrap();
            (enrolment.text(&done), enrolment.value(&done), replaced.value(), done)
        };
        // One free slot, one that is replaced, and one photo that tells less than everything else.
        let (text, value, replaced, done) = enrolled(0b1111_0111, 3, vec![Some(held(5)), None]);
        assert_eq!((done.slots, replaced["slots"].clone()), (vec![3, 5], json!([5])));
        assert_eq!(value["not_needed"], json!(["2.jpg"]));
        assert!(text.ends_with("tells the least beside the others  2.jpg"), "{text}");
        let (text, value, replaced, done) = enrolled(0xff, 1, vec![None]);
        assert!(text.starts_with("Ann (#1) keeps the templates that are there"), "{text}");
        assert_eq!((done.slots.len(), replaced["file"].clone()), (0, Value::Null));
        assert_eq!(value["templates"], json!([]));
    }

    #[test]
    fn a_template_that_cannot_be_the_persons_replaces_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let mut unit = with_ann(0xff);
        let mut odd = replaced::tests::template(8, 1);
        odd.slot = 8;
        unit.redundant = [Some(odd)].into();
        let mut session = unit.session();
        let mut replaced = replaced::tests::replaced(folder.path());
        let error = enrolment("Ann", 1).carry_out(&mut session, say(), Some(&mut replaced));
        let said = format!("{:#}", error.unwrap_err());
        assert!(said.contains("cannot be Ann's"), "{said}");
        assert!(!session.unit().obeyed.contains(&"gallery/template/put"));
        assert!(replaced.text().is_none());
    }

    #[test]
    fn a_face_of_somebody_else_changes_nothing_unless_forced() {
        let unit = |best: f32, ann_best: bool| {
            let mut unit = FakeUnit::new();
            let bob = unit.add_person("Bob", 1);
            let ann = unit.add_person("Ann", 1);
            let (bob, ann) = (resembles(bob, best), resembles(ann, 0.9));
            let (best, runner_up) = if ann_best { (ann, bob) } else { (bob, ann) };
            unit.found = GallerySearchDone { best, runner_up };
            unit
        };
        let check = |unit: FakeUnit, force: bool, enrolled: bool| {
            let mut session = unit.session();
            let enrolment = Enrolment { force, ..enrolment("Ann", 1) };
            let result = enrolment.carry_out(&mut session, say(), None);
            assert_eq!(result.is_ok(), enrolled, "{result:?}");
            if let Err(error) = result {
                let text = "0.jpg: this face matches Bob (#1), who is enrolled already: ";
                assert!(error.to_string().starts_with(text), "{error}");
            }
            assert_eq!(session.unit().people[1].slots == 0b11, enrolled);
        };
        check(unit(0.95, false), false, false);
        check(unit(0.5, true), false, false);
        check(unit(0.95, false), true, true);
        check(unit(0.42, true), false, true);
    }

    #[test]
    fn whom_a_face_resembles_is_told_to_an_owner_and_to_nobody_else() {
        let key = |byte: u8| SecretKey::of_bytes([byte; 32]).unwrap();
        let refused = |role: Role| {
            let mut unit = FakeUnit::new();
            let bob = unit.add_person("Bob", 1);
            unit.found = GallerySearchDone { best: resembles(bob, 0.9), runner_up: None };
            let (whose, name) = (*key(1).public(), Name::new("Ada").unwrap());
            unit.keys = Some((key(2), Administrator { key: whose, name, role }));
            let mut session = unit.session();
            session.secure(&key(1), key(2).public()).unwrap();
            assert_eq!(session.is_owners(), role == Role::Owner);
            let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
            assert_eq!(session.unit().people.len(), 1, "nobody came");
            format!("{error}; {}", crate::remedy::of(&error))
        };
        let said = refused(Role::Owner);
        assert!(said.starts_with("0.jpg: this face matches Bob (#1), who is enrolled"), "{said}");
        assert!(said.contains("under that name if it is Bob (#1)"), "{said}");
        let said = refused(Role::Enroller);
        assert!(said.starts_with("0.jpg: this face matches somebody who is enrolled"), "{said}");
        assert!(said.contains("have an owner repeat the command"), "{said}");
        assert!(!said.contains("Bob") && !said.contains("#1"), "{said}");
    }

    #[test]
    fn the_vault_keeps_before_the_unit_takes_and_after_everything_is_checked() {
        let kept_with = |unit: FakeUnit, n_photos: usize, fails: bool| {
            let (mut session, mut kept) = (unit.session(), 0);
            let enrolment = enrolment("Ann", n_photos);
            let ids = Ids { held: Default::default(), next: PersonId(5) };
            let done = enrolment.keep_and_carry_out(&mut session, say(), &ids, &mut |_| {
                kept += 1;
                if fails { Err(anyhow::anyhow!("no room")) } else { Ok(()) }
            });
            let slots = session.unit().people.iter().map(|one| one.slots).max().unwrap_or(0);
            (done.map(|done| (done.slots.len(), done.there.len())).ok(), kept, slots)
        };
        assert_eq!(kept_with(FakeUnit::new(), 2, false), (Some((2, 0)), 1, 0b11));
        assert_eq!(kept_with(FakeUnit::new(), 2, true), (None, 1, 0), "the unit has nothing");
        let refuses = || {
            let mut unit = FakeUnit::new();
            unit.refused = Some(store_fault());
            unit
        };
        assert_eq!(kept_with(refuses(), 2, false), (None, 1, 0), "the vault alone has it");
        let resembled = |person: &str, score: f32| {
            let mut unit = FakeUnit::new();
            let id = unit.add_person(person, 1);
            unit.found = GallerySearchDone { best: resembles(id, score), runner_up: None };
            unit
        };
        // Somebody else's face: neither half; a photo that the unit has is passed over.
        assert_eq!(kept_with(resembled("Bob", 0.9), 1, false), (None, 0, 1));
        assert_eq!(kept_with(resembled("Ann", 0.99), 2, false), (Some((0, 2)), 1, 1));
        assert_eq!(kept_with(resembled("Ann", 0.9), 8, false), (None, 0, 1), "no room");
    }

    #[test]
    fn a_person_who_got_no_template_is_taken_out_again() {
        let mut unit = FakeUnit::new();
        unit.refused = Some(store_fault());
        let mut session = unit.session();
        let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
        let said = error.downcast_ref::<SessionError>().and_then(SessionError::refusal);
        assert_eq!(said, Some(&store_fault()));
        assert!(session.unit().people.is_empty());
    }

    #[test]
    fn a_person_who_was_there_stays_when_templates_are_refused() {
        let mut unit = FakeUnit::new();
        unit.add_person("Ann", 0);
        unit.refused = Some(store_fault());
        let mut session = unit.session();
        enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
        assert_eq!(session.unit().people.len(), 1);
    }

    #[test]
    fn a_fault_in_the_middle_says_how_many_photos_are_enrolled() {
        let mut unit = FakeUnit::new();
        unit.meanwhile = Some(|unit, call| {
            if matches!(call, Call::PutTemplate(put) if put.template.slot == 1) {
                unit.refused = Some(store_fault());
            }
        });
        let mut session = unit.session();
        let error = enrolment("Ann", 3).carry_out(&mut session, say(), None).unwrap_err();
        assert!(error.to_string().starts_with("1 of 3 photos are enrolled"), "{error}");
        assert_eq!(session.unit().people[0].slots, 1);
    }

    #[test]
    fn a_line_that_goes_leaves_nobody_to_tell_and_says_so_at_once() {
        let mut session = FakeUnit::new().session();
        // The reading, the two searches and the person still arrive.
        session.unit().fault = Fault::GoneAfter(4);
        let error = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap_err();
        assert!(error.to_string().contains("was unplugged"), "{error}");
        session.unit().fault = Fault::None;
        let done = enrolment("Ann", 1).carry_out(&mut session, say(), None).unwrap();
        assert_eq!((done.added, done.slots), (false, vec![0]));
    }

    #[test]
    fn photos_of_two_people_are_noticed() {
        let mut enrolment = enrolment("Ann", 2);
        enrolment.photos.push(photo("bob.jpg", 1));
        let pairs: Vec<_> = enrolment.pairs().map(|pair| pair.2).collect();
        assert_eq!(pairs, [0.0, 2.0, 2.0]);
        assert_eq!(pairs.iter().filter(|&&distance| enrolment.unlike(distance)).count(), 2);
    }
}
