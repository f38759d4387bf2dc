//! Who of people who came together may be one person: after `vault import` among the vault's people, after `gallery push` among the
//! file's and, by the unit's own word, beside those whom it had.
//!
//! Owns the comparison, by the rule and the threshold of an enrolment (`threshold_models::search`, `threshold_policy::again`), and its
//! words.
//! Refuses to leave anybody out: at that threshold one new person in 200 resembles somebody by chance, twins always do, and somebody looks.
//! Refuses to name to anybody but an owner whom the unit has besides the file.

use super::round;
use crate::people::People;
use crate::session::port::Transport;
use crate::session::{Session, SessionError};
use crate::{parallel, say::Say};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use threshold_models::engine::Embedding;
use threshold_models::pack::EmbedderMeta;
use threshold_models::search::{Index, Mean, NearPair, SearchError, quantise};
use threshold_policy::{Policy, again};
use threshold_record::{
    Distributions, MAX_EMBEDDING_LEN, Metric, ModelId, Name, PersonId, Template, Threshold,
};
use threshold_wire::endpoints::{GetInfo, SearchAgain};
use threshold_wire::gallery::content::Content;
use threshold_wire::message::{GalleryAgain, GalleryAgainDone, Nothing, Resembled};

/// Two distances of one pair, at the unit and here, lie nearer than this: the steps of a quantised mean are all that differs.
const SAME: f32 = 0.01;

/// Two people who may be one; whom an asker may not know has no name and the id of nobody.
#[derive(Clone, Debug, PartialEq)]
struct Double {
    people: [(PersonId, Option<String>); 2],
    distance: f32,
}

/// Who may be one person, the most alike first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Doubles {
    pairs: Vec<Double>,
    metric: Metric,
    threshold: Threshold,
}

/// The threshold that a unit of the model has for an enrolment among so many people.
pub(super) fn threshold(
    embedder: &EmbedderMeta,
    known: Option<&Distributions>,
    people: usize,
) -> Threshold {
    let floor = Policy::for_model(embedder.metric, embedder.threshold_distance);
    again::threshold(&floor, embedder.metric, known, u32::try_from(people).unwrap_or(u32::MAX))
}

/// Those of a vault's people who came by a list, beside everybody in it.
///
/// # Errors
/// [`SearchError`] for templates that are not of one length.
pub(super) fn among(
    metric: Metric,
    threshold: Threshold,
    templates: &[Template],
    names: &BTreeMap<PersonId, Name>,
    came: &BTreeSet<PersonId>,
    threads: usize,
) -> Result<Doubles, SearchError> {
    let found = pairs(metric, threshold, templates, |person| came.contains(&person), threads)?;
    Ok(Doubles::of(metric, threshold, found, names))
}

/// Those of a file's people who are in the unit's gallery: beside each other, and those who came with this push beside whom the unit
/// has and the file has not.
///
/// # Errors
/// [`SessionError`].
pub(super) fn at_unit<T: Transport>(
    session: &mut Session<T>,
    content: &Content,
    left_out: &BTreeSet<PersonId>,
    came: &BTreeSet<PersonId>,
    threads: usize,
) -> Result<Option<Doubles>, SessionError> {
    let Some(model) = session.call::<GetInfo>(&Nothing {})?.model else { return Ok(None) };
    let (names, templates) = people_of(content, left_out);
    let Some(first) = templates.first() else { return Ok(None) };
    // At the threshold that the unit has for an enrolment now that all of them are there.
    let Some(GalleryAgainDone { threshold, .. }) =
        ask(session, model.id, &templates, first.person)?
    else {
        return Ok(None);
    };
    let Ok(found) = pairs(model.metric, threshold, &templates, |_| true, threads) else {
        return Ok(None);
    };
    let mut doubles = Doubles::of(model.metric, threshold, found, &names);
    let at_unit = People::read(session)?;
    // Under an id that was left out the unit may have somebody else.
    let is_in_file = |person: PersonId| names.contains_key(&person);
    if at_unit.people.iter().all(|one| one.slots == 0 || is_in_file(one.person)) {
        return Ok(Some(doubles));
    }
    for (&person, name) in names.iter().filter(|(person, _)| came.contains(person)) {
        let nearest = ask(session, model.id, &templates, person)?.and_then(|found| found.nearest);
        // A unit tells an owner alone who it is: to anybody else it is somebody of the file if it is as near as such a one.
        let is_told = |it: &Resembled| {
            let distance = model.metric.distance(it.score);
            let of_her = |double: &&Double| double.people.iter().any(|(id, _)| *id == person);
            doubles.pairs.iter().filter(of_her).any(|told| (told.distance - distance).abs() < SAME)
        };
        let is_owners = session.is_owners();
        let in_file = |it: &Resembled| if is_owners { is_in_file(it.person) } else { is_told(it) };
        let is_double = |it: &Resembled| threshold.accepts(it.score) && !in_file(it);
        let Some(nearest) = nearest.filter(is_double) else { continue };
        let other = match session.is_owners() {
            true => (nearest.person, at_unit.name_of(nearest.person)),
            false => (PersonId::NOBODY, None),
        };
        doubles.pairs.push(Double {
            people: [(person, Some(name.to_string())), other],
            distance: model.metric.distance(nearest.score),
        });
    }
    doubles.pairs.sort_by(|one, other| one.distance.total_cmp(&other.distance));
    Ok(Some(doubles))
}

/// The file's people who are at the unit, and their templates.
fn people_of(
    content: &Content,
    left_out: &BTreeSet<PersonId>,
) -> (BTreeMap<PersonId, Name>, Vec<Template>) {
    let (mut names, mut templates) = (BTreeMap::new(), Vec::new());
    for held in content.people().filter(|held| !left_out.contains(&held.person.id)) {
        templates.extend(held.templates(content.origin.model.tag()));
        names.insert(held.person.id, held.person.name);
    }
    (names, templates)
}

/// Asks the unit whom it has with the face of somebody's templates; `None` if there are none, or of several lengths.
fn ask<T: Transport>(
    session: &mut Session<T>,
    model: ModelId,
    templates: &[Template],
    person: PersonId,
) -> Result<Option<GalleryAgainDone>, SessionError> {
    let embedding = |template: &Template| {
        let components = template.vector.iter().map(|&step| f32::from(step) * template.scale);
        Embedding(components.collect())
    };
    let of_person = templates.iter().filter(|template| template.person == person);
    let embeddings: Vec<Embedding> = of_person.map(embedding).collect();
    let Some(mean) = Mean::of(&embeddings) else { return Ok(None) };
    let (scale, vector) = quantise(mean.embedding());
    let vector = vector.into_iter().take(MAX_EMBEDDING_LEN).collect();
    let pictures = u8::try_from(mean.pictures()).unwrap_or(u8::MAX);
    let again = GalleryAgain { model, pictures, but: Some(person), scale, vector };
    session.call::<SearchAgain>(&again).map(Some)
}

/// Pairs of people whose means are as near as one person's, one of whom at least is asked for.
fn pairs(
    metric: Metric,
    threshold: Threshold,
    templates: &[Template],
    asked: impl Fn(PersonId) -> bool + Sync,
    threads: usize,
) -> Result<Vec<NearPair>, SearchError> {
    let means = Index::new(metric, templates)?.means();
    let people: Vec<PersonId> = means.people().collect();
    let near = |(): &mut (), person: &PersonId| {
        let all = asked(*person);
        Ok::<_, SearchError>(means.near(*person, threshold, |other| all || asked(other)))
    };
    let found = parallel::over(&people, threads, || Ok(()), near)?;
    Ok(found.into_iter().flatten().collect())
}

impl Doubles {
    fn of(
        metric: Metric,
        threshold: Threshold,
        found: Vec<NearPair>,
        names: &BTreeMap<PersonId, Name>,
    ) -> Self {
        let named = |person: PersonId| (person, names.get(&person).map(|name| name.to_string()));
        let double = |pair: NearPair| Double {
            people: pair.people.map(named),
            distance: metric.distance(pair.score),
        };
        let mut pairs: Vec<Double> = found.into_iter().map(double).collect();
        pairs.sort_by(|one, other| one.distance.total_cmp(&other.distance));
        Self { pairs, metric, threshold }
    }

    /// True if nobody may be anybody else.
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Says each pair, with what to do if it is one person.
    pub(super) fn warn(&self, say: Say, remedy: &str) {
        for Double { people: [one, other], distance } in &self.pairs {
            say.warn(&format!(
                "{} and {} may be one person: {distance:.3} {} apart, and an enrolment is stopped from {:.3} on (try: {remedy})",
                called(one),
                called(other),
                self.metric.unit(),
                self.metric.distance(self.threshold.0)
            ));
        }
    }

    /// The pairs as JSON, in the order of the warnings.
    pub(super) fn value(&self) -> Value {
        let one = |(id, name): &(PersonId, Option<String>)| {
            let id = Some(id.0).filter(|_| !id.is_nobody());
            json!({ "person": id, "name": name })
        };
        let pair = |Double { people, distance }: &Double| {
            json!({
                "people": people.each_ref().map(one),
                "distance": round(*distance),
                "distance_unit": self.metric.unit(),
                "distance_threshold": round(self.metric.distance(self.threshold.0)),
            })
        };
        self.pairs.iter().map(pair).collect()
    }
}

fn called((id, name): &(PersonId, Option<String>)) -> String {
    match name {
        Some(name) => format!("{name} (#{})", id.0),
        None => "somebody whom the unit had".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::session::fake::{FakeUnit, MODEL};
    use threshold_record::{Administrator, Person, Role, Score};
    use threshold_wire::gallery::content::{self, Origin, Told};
    use threshold_wire::message::GallerySearchDone;
    use threshold_wire::session::SecretKey;

    /// A template that points along one axis, nearly.
    fn template(person: u32, slot: u8, axis: usize, aside: f32) -> Template {
        let mut components = vec![0.0; 512];
        (components[axis], components[500 + usize::from(slot)]) = (1.0, aside);
        let (scale, vector) = quantise(&Embedding(components));
        let (person, model) = (PersonId(person), MODEL.tag());
        Template { person, slot, quality: 90, model, scale, vector: vector.into_iter().collect() }
    }

    fn names(of: &[&str]) -> BTreeMap<PersonId, Name> {
        let name = |(at, text): (usize, &&str)| (PersonId(at as u32 + 1), Name::new(text).unwrap());
        of.iter().enumerate().map(name).collect()
    }

    /// Ann and Cid are one face, Bob and Dan are theirs alone.
    fn four() -> (BTreeMap<PersonId, Name>, Vec<Template>) {
        let templates = vec![
            template(1, 0, 1, 0.1),
            template(1, 1, 1, 0.1),
            template(2, 0, 2, 0.0),
            template(3, 0, 1, 0.2),
            template(4, 0, 4, 0.0),
        ];
        (names(&["Ann", "Bob", "Cid", "Dan"]), templates)
    }

    fn content() -> Content {
        let (names, templates) = four();
        let people: Vec<Person> = names.into_iter().map(|(id, name)| Person { id, name }).collect();
        let own = |person: &Person| -> Vec<Template> {
            templates.iter().filter(|one| one.person == person.id).cloned().collect()
        };
        let own: Vec<Vec<Template>> = people.iter().map(own).collect();
        let told = people.iter().zip(&own).map(|(person, templates)| Told {
            person,
            access: None,
            templates,
        });
        let origin = Origin { model: MODEL, store_id: [1; 16], generation: 1 };
        Content::read(content::write(&origin, std::iter::empty(), told).unwrap()).unwrap()
    }

    #[test]
    fn two_names_of_one_face_are_found_whichever_of_them_came() {
        let (names, templates) = four();
        let (metric, threshold) = (Metric::SquaredL2, Threshold(Score(0.7)));
        let found = |came: &[u32]| {
            let came = came.iter().map(|&id| PersonId(id)).collect();
            among(metric, threshold, &templates, &names, &came, 2).unwrap().value()
        };
        for came in [&[1][..], &[3], &[1, 2, 3, 4]] {
            let value = found(came);
            assert_eq!(value.as_array().unwrap().len(), 1, "{came:?} {value}");
            let people = json!([{"person": 1, "name": "Ann"}, {"person": 3, "name": "Cid"}]);
            assert_eq!(value[0]["people"], people);
            assert_eq!(value[0]["distance_unit"], "squared L2");
        }
        assert_eq!(found(&[2, 4]), json!([]), "what was there before is not said again");
    }

    #[test]
    fn a_push_says_who_in_the_file_and_who_at_the_unit_may_be_one_person() {
        let resembling = |role: Role, left_out: &[u32], nearest: u32| {
            let mut unit = FakeUnit::new();
            for name in ["Ann", "Bob", "Cid", "Dan", "Eve"] {
                unit.add_person(name, 1);
            }
            let score = Score(0.9);
            let best = Some(Resembled { person: PersonId(nearest), score });
            unit.found = GallerySearchDone { best, runner_up: None };
            let key = |byte: u8| SecretKey::of_bytes([byte; 32]).unwrap();
            let (whose, name) = (*key(1).public(), Name::new("Ada").unwrap());
            unit.keys = Some((key(2), Administrator { key: whose, name, role }));
            let mut session = unit.session();
            session.secure(&key(1), key(2).public()).unwrap();
            let left_out = left_out.iter().map(|&id| PersonId(id)).collect();
            let came = [PersonId(2)].into();
            at_unit(&mut session, &content(), &left_out, &came, 1).unwrap().unwrap().value()
        };
        let told = |role: Role, left_out: &[u32]| resembling(role, left_out, 5);
        let names = |value: &Value| -> Vec<Value> {
            let pairs = value.as_array().unwrap().iter();
            pairs
                .map(|pair| json!([pair["people"][0]["name"], pair["people"][1]["name"]]))
                .collect()
        };
        let (of_file, of_unit) = (json!(["Ann", "Cid"]), json!(["Bob", "Eve"]));
        assert_eq!(names(&told(Role::Owner, &[])), [of_file.clone(), of_unit.clone()]);
        // Who was left out is not at the unit, and whom the unit has is an owner's to know.
        assert_eq!(names(&told(Role::Owner, &[3])), [of_unit]);
        // Under its id the unit may have somebody else.
        assert_eq!(names(&resembling(Role::Owner, &[3], 3)), [json!(["Bob", "Cid"])]);
        let enrollers = told(Role::Enroller, &[]);
        assert_eq!(names(&enrollers), [of_file, json!(["Bob", null])]);
        assert_eq!(enrollers[1]["people"][1]["person"], Value::Null);
    }
}
