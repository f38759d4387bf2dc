//! `threshold enrol`: a person's photos become templates in the unit's gallery; or, in `at_door`, what the unit's camera sees.
//!
//! Owns the order: everything is checked before anything is pushed, so that a bad photo changes nothing, and a person
//! who got no template is taken out again.
//! Refuses to push a face that the unit takes for somebody else, unless told to.

mod at_door;
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
use anyhow::Context;
use serde_json::{Value, json};
use std::path::PathBuf;
use threshold_models::quality::QualityLimits;
use threshold_models::search::{distance, quantise};
use threshold_record::{Cause, MAX_SLOTS, Name, PersonId, Template};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{GetInfo, PutPerson, PutTemplate, RemovePerson, SearchGallery};
use threshold_wire::message::{
    Armed, GallerySearch, IfThere, ModelInfo, Nothing, PersonPut, PersonPutDone, PersonRemove,
    PersonSummary, TemplatePut,
};
use vaulted::Keeping;

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
    if typed.at_door {
        return at_door::run(meant, typed, name);
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
    let enrolment = Enrolment { name, photos, model, force: typed.force };
    enrolment.warn_of_pairs(meant.say);
    let enrolled = match &mut keeping {
        None => enrolment.carry_out(&mut session, meant.say)?,
        Some(keeping) => {
            let done =
                enrolment.keep_and_carry_out(&mut session, meant.say, &mut || keeping.keep());
            done.map_err(|error| keeping.half(error))?
        }
    };
    let mut value = enrolment.value(&enrolled);
    value["vault"] = keeping.as_ref().map_or(Value::Null, Keeping::value);
    meant.say.result(&value, || {
        let kept = keeping.as_ref().map(|keeping| format!("\n{}", keeping.text()));
        enrolment.text(&enrolled) + &kept.unwrap_or_default()
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
    generation: u64,
}

impl Enrolment {
    /// Warns of photos that do not look like one person, because two people's photos under one name open the door to
    /// both, and of the same photo twice, because it takes a slot for nothing.
    fn warn_of_pairs(&self, say: Say) {
        let metric = self.model.metric;
        for (one, other, distance) in self.pairs() {
            let both = format!("{} and {}", one.path.display(), other.path.display());
            if self.unlike(distance) {
                let unit = metric.unit();
                say.warn(&format!("{both} hardly show one person: distance {distance:.3} {unit}"));
            } else if metric.score(distance).0 >= SAME_PHOTO {
                say.warn(&format!(
                    "{both} are as good as one photo: the second takes a slot and adds nothing"
                ));
            }
        }
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
    ) -> anyhow::Result<Enrolled> {
        let people = People::read(session)?;
        let there = people.named(&self.name);
        let all: Vec<&Photo> = self.photos.iter().collect();
        // Room before resemblance: without room nothing else matters.
        self.free_slots(there, all.len())?;
        for photo in &all {
            if self.check_against_gallery(session, say, &people, there, photo)? {
                say.warn(&format!(
                    "{} is as good as a photo that {} has already: it takes a slot and adds nothing",
                    photo.path.display(),
                    self.name
                ));
            }
        }
        self.put(session, there, &all, Vec::new())
    }

    /// The same with a vault: once everything is checked, `keep` keeps the photos, and only then the unit takes those that it has not.
    fn keep_and_carry_out<T: Transport>(
        &self,
        session: &mut Session<T>,
        say: Say,
        keep: &mut dyn FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<Enrolled> {
        let people = People::read(session)?;
        let there = people.named(&self.name);
        let (mut fresh, mut passed) = (Vec::new(), Vec::new());
        for photo in &self.photos {
            // What a run before brought to the unit is not brought again.
            match self.check_against_gallery(session, say, &people, there, photo)? {
                true => passed.push(photo.path.clone()),
                false => fresh.push(photo),
            }
        }
        self.free_slots(there, fresh.len())?;
        keep()?;
        self.put(session, there, &fresh, passed)
    }

    /// Puts the person and a template of each photo into the gallery.
    fn put<T: Transport>(
        &self,
        session: &mut Session<T>,
        there: Option<&PersonSummary>,
        photos: &[&Photo],
        passed: Vec<PathBuf>,
    ) -> anyhow::Result<Enrolled> {
        let put = PersonPut { name: self.name.clone(), if_there: IfThere::Use };
        let done = session.call::<PutPerson>(&put)?;
        let mut slots = Vec::new();
        let pushed = self.push(session, there, &done, photos, &mut slots);
        let generation = match pushed {
            Ok(generation) => generation,
            // A unit that says no can still be told to forget; over a dead line there is nobody to tell, and the
            // name without templates opens nothing and is used by the next try.
            Err(error) if slots.is_empty() && done.added => {
                if error
                    .downcast_ref()
                    .is_some_and(|error: &SessionError| error.refusal().is_some())
                {
                    session.call::<RemovePerson>(&PersonRemove { person: done.person })?;
                }
                return Err(error);
            }
            Err(error) => {
                let (n, all) = (slots.len(), photos.len());
                return Err(error).context(format!("{n} of {all} photos are enrolled"));
            }
        };
        let (person, added) = (done.person, done.added);
        Ok(Enrolled { person, added, slots, there: passed, generation })
    }

    /// Pushes a template for each photo; gives the gallery's generation.
    fn push<T: Transport>(
        &self,
        session: &mut Session<T>,
        there: Option<&PersonSummary>,
        done: &PersonPutDone,
        photos: &[&Photo],
        slots: &mut Vec<u8>,
    ) -> anyhow::Result<u64> {
        let PersonPutDone { person, added, mut generation, .. } = *done;
        // Somebody else may have added the person meanwhile.
        let now = match there {
            None if !added => Some(People::read(session)?),
            _ => None,
        };
        let there = now.as_ref().map_or(there, |people| people.named(&self.name));
        let free = self.free_slots(there.filter(|_| !added), photos.len())?;
        for (photo, slot) in photos.iter().zip(free) {
            let (scale, vector) = quantise(&photo.embedding);
            let model = self.model.id.tag();
            let quality = photo.quality.percent;
            let mut template =
                Template { person, slot, quality, model, scale, vector: Default::default() };
            fill(|| template.vector.extend_from_slice(&vector).is_ok(), vector.len())?;
            let put = TemplatePut { model: self.model.id, template };
            generation = session.call::<PutTemplate>(&put)?.generation;
            slots.push(slot);
        }
        Ok(generation)
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

    /// Asks the unit whom the photo resembles: somebody else is an error, an enrolled person's own unlike photo a
    /// warning. True if it is as good as one that the person has already.
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
            let error = HostError::MatchesOther {
                photo: photo.path.display().to_string(),
                name: people.name_of(other.person).unwrap_or_default(),
                id: other.person.0,
                score: other.score.0,
                threshold: threshold.0.0,
            };
            if !self.force {
                return Err(error.into());
            }
            say.warn(&error.to_string());
        }
        let enrolled = there.is_some_and(|person| person.slots != 0);
        let like_own = resembled().any(|one| own(one.person) && threshold.accepts(one.score));
        if enrolled && !like_own {
            say.warn(&format!(
                "{} hardly resembles {}, who is enrolled already",
                photo.path.display(),
                self.name
            ));
        }
        Ok(resembled().any(|one| own(one.person) && one.score.0 >= SAME_PHOTO))
    }

    fn value(&self, enrolled: &Enrolled) -> Value {
        let template = |(photo, slot): (&Photo, &u8)| {
            json!({
                "photo": photo.path.display().to_string(),
                "slot": slot,
                "quality": photo.quality.percent,
            })
        };
        let templates: Vec<Value> =
            self.pushed(enrolled).zip(&enrolled.slots).map(template).collect();
        json!({
            "person": enrolled.person.0,
            "name": self.name.as_str(),
            "added": enrolled.added,
            "templates": templates,
            "there_already": enrolled.there.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "generation": enrolled.generation,
        })
    }

    /// The photos that were not there already.
    fn pushed(&self, enrolled: &Enrolled) -> impl Iterator<Item = &Photo> {
        self.photos.iter().filter(|photo| !enrolled.there.contains(&photo.path))
    }

    fn text(&self, enrolled: &Enrolled) -> String {
        let word = match (enrolled.added, enrolled.slots.is_empty()) {
            (true, _) => "is enrolled",
            (false, false) => "has further templates",
            (false, true) => "has all of these already",
        };
        let mut lines = vec![format!("{} (#{}) {word}", self.name, enrolled.person.0)];
        lines.extend(self.pushed(enrolled).zip(&enrolled.slots).map(|(photo, slot)| {
            format!("  slot {slot}  quality {} %  {}", photo.quality.percent, photo.path.display())
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
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::{FakeUnit, Fault, store_fault};
    use threshold_models::engine::{BBox, Detection, Embedding};
    use threshold_models::quality::Quality;
    use threshold_record::Score;
    use threshold_wire::Call;
    use threshold_wire::message::{GallerySearchDone, Resembled};

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

    #[test]
    fn a_new_person_gets_a_template_for_each_photo() {
        let mut session = FakeUnit::new().session();
        let enrolment = enrolment("Ann", 2);
        let done = enrolment.carry_out(&mut session, say()).unwrap();
        let person = PersonId(1);
        let (slots, there) = (vec![0, 1], vec![]);
        let expected = Enrolled { person, added: true, slots, there, generation: 4 };
        assert_eq!(done, expected);
        assert_eq!(session.unit().people[0].slots, 0b11);
        let value = enrolment.value(&done);
        assert_eq!(value["templates"][1], json!({"photo": "1.jpg", "slot": 1, "quality": 90}));
    }

    #[test]
    fn an_enrolled_person_gets_the_free_slots() {
        let mut unit = FakeUnit::new();
        unit.add_person("Ann", 0b1011);
        let mut session = unit.session();
        let done = enrolment("Ann", 2).carry_out(&mut session, say()).unwrap();
        assert_eq!((done.added, done.slots), (false, vec![2, 4]));
    }

    #[test]
    fn too_many_photos_are_refused_before_anything_is_pushed() {
        let check = |slots: u8, n_photos: usize, expected: &str| {
            let mut unit = FakeUnit::new();
            unit.add_person("Ann", slots);
            let mut session = unit.session();
            let error = enrolment("Ann", n_photos).carry_out(&mut session, say()).unwrap_err();
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
            let result = enrolment.carry_out(&mut session, say());
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
    fn the_vault_keeps_before_the_unit_takes_and_after_everything_is_checked() {
        let kept_with = |unit: FakeUnit, n_photos: usize, fails: bool| {
            let (mut session, mut kept) = (unit.session(), 0);
            let enrolment = enrolment("Ann", n_photos);
            let done = enrolment.keep_and_carry_out(&mut session, say(), &mut || {
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
        let error = enrolment("Ann", 1).carry_out(&mut session, say()).unwrap_err();
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
        enrolment("Ann", 1).carry_out(&mut session, say()).unwrap_err();
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
        let error = enrolment("Ann", 3).carry_out(&mut session, say()).unwrap_err();
        assert!(error.to_string().starts_with("1 of 3 photos are enrolled"), "{error}");
        assert_eq!(session.unit().people[0].slots, 1);
    }

    #[test]
    fn a_line_that_goes_leaves_nobody_to_tell_and_says_so_at_once() {
        let mut session = FakeUnit::new().session();
        // The reading, the search and the person still arrive.
        session.unit().fault = Fault::GoneAfter(3);
        let error = enrolment("Ann", 1).carry_out(&mut session, say()).unwrap_err();
        assert!(error.to_string().contains("was unplugged"), "{error}");
        session.unit().fault = Fault::None;
        let done = enrolment("Ann", 1).carry_out(&mut session, say()).unwrap();
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
