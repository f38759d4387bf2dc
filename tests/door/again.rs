//! Somebody who is enrolled a second time, by the means of pictures and templates; and which template goes where there is no room.

use crate::rig::{MODEL, Rig, axis, template};
use threshold_models::engine::Embedding;
use threshold_models::search::{Mean, quantise};
use threshold_record::{EntryKind, ModelId, Name, PersonId, Template, TemplateError};
use threshold_wire::RequestError;
use threshold_wire::endpoints::{FindRedundant, PutPerson, PutTemplate, SearchAgain};
use threshold_wire::message::{GalleryAgain, IfThere, PersonPut, TemplatePut, TemplateRedundant};

/// Enrols somebody with templates in slots from 0 on.
fn enrol(rig: &mut Rig, name: &str, vectors: &[Embedding]) -> PersonId {
    let put = PersonPut { name: Name::new(name).unwrap(), if_there: IfThere::Use };
    let person = rig.call::<PutPerson>(&put).unwrap().person;
    for (slot, embedding) in vectors.iter().enumerate() {
        let template = of(person, slot as u8, embedding);
        rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
    }
    person
}

fn of(person: PersonId, slot: u8, embedding: &Embedding) -> Template {
    let (scale, vector) = quantise(embedding);
    Template { scale, vector: vector.into_iter().collect(), ..template(person, slot, 0) }
}

/// A direction between some axes.
fn between(parts: &[(usize, f32)]) -> Embedding {
    let mut all = axis(0);
    all.0.fill(0.0);
    parts.iter().for_each(|&(at, part)| all.0[at] = part);
    all
}

fn again(pictures: &[Embedding], but: Option<PersonId>) -> GalleryAgain {
    let (scale, vector) = quantise(Mean::of(pictures).unwrap().embedding());
    let (pictures, vector) = (pictures.len() as u8, vector.into_iter().collect());
    GalleryAgain { model: MODEL, pictures, but, scale, vector }
}

#[test]
fn an_enrolment_is_held_against_the_mean_of_everybody_elses_templates() {
    let mut rig = Rig::new();
    let nobody = rig.call::<SearchAgain>(&again(&[axis(1)], None)).unwrap();
    assert_eq!(nobody.nearest, None);
    // No template of hers is nearer to a picture than his, and their mean is the pictures' own.
    let ada =
        enrol(&mut rig, "Ada", &[between(&[(1, 0.8), (2, 0.6)]), between(&[(1, 0.8), (2, -0.6)])]);
    let bob = enrol(&mut rig, "Bob", &[between(&[(1, 0.8), (3, 0.6)])]);
    let pictures = [between(&[(1, 0.8), (4, 0.6)]), between(&[(1, 0.8), (4, -0.6)])];
    let found = rig.call::<SearchAgain>(&again(&pictures, None)).unwrap();
    let nearest = found.nearest.unwrap();
    assert_eq!(nearest.person, ada);
    assert!(found.threshold.accepts(nearest.score));
    let other = rig.call::<SearchAgain>(&again(&pictures, Some(ada))).unwrap().nearest.unwrap();
    assert_eq!(other.person, bob);
    assert!(other.score < nearest.score);
    // What cannot be compared is refused.
    let wrong = GalleryAgain { model: ModelId([9; 32]), ..again(&pictures, None) };
    let host = wrong.model;
    let refused = rig.call::<SearchAgain>(&wrong).unwrap_err();
    assert_eq!(refused, RequestError::WrongModel { unit: MODEL, host });
    let of_none = GalleryAgain { pictures: 0, ..again(&pictures, None) };
    let refused = rig.call::<SearchAgain>(&of_none).unwrap_err();
    assert_eq!(refused, RequestError::BadTemplate(TemplateError::Length { len: 0 }));
}

#[test]
fn the_template_that_goes_is_one_of_the_two_most_alike_and_may_be_put_back() {
    let mut rig = Rig::new();
    let mut vectors: Vec<Embedding> = (1..9).map(axis).collect();
    // Slot 5 is nearly slot 2 again.
    vectors[5] = between(&[(3, 0.99), (6, 0.14)]);
    let ada = enrol(&mut rig, "Ada", &vectors);
    let held = |rig: &Rig| {
        let state = rig.shared.lock();
        let store = state.journal().unwrap().store();
        store.gallery().unwrap().member(ada).unwrap().templates.clone()
    };
    let before = held(&rig);
    let (scale, vector) = quantise(&axis(20));
    let ask = TemplateRedundant {
        model: MODEL,
        person: ada,
        quality: 90,
        scale,
        vector: vector.into_iter().collect(),
    };
    let goes = rig.call::<FindRedundant>(&ask).unwrap().template.unwrap();
    assert_eq!((goes.slot, &goes), (5, &before[5]), "the later of two that are as good");
    assert_eq!(held(&rig), before, "to ask changes nothing");
    let log = rig.log();
    let read = log.iter().filter(|entry| entry.kind == EntryKind::GalleryRead);
    assert_eq!(
        read.map(|entry| entry.person).collect::<Vec<_>>(),
        [ada],
        "a template leaves with an entry"
    );
    let put = TemplatePut { model: MODEL, template: of(ada, goes.slot, &axis(20)) };
    assert_eq!(rig.call::<PutTemplate>(&put).unwrap().templates, 8);
    assert_eq!(held(&rig)[5], put.template);
    // One that tells nothing new goes itself; a better one of the same takes the place of what it is like.
    assert_eq!(rig.call::<FindRedundant>(&ask).unwrap().template, None);
    let better = TemplateRedundant { quality: 95, ..ask.clone() };
    assert_eq!(rig.call::<FindRedundant>(&better).unwrap().template.unwrap().slot, 5);
    // What stood there is put back.
    rig.call::<PutTemplate>(&TemplatePut { model: MODEL, template: goes }).unwrap();
    assert_eq!(held(&rig), before);
    // Of whoever has a free slot nothing has to go.
    let bob = enrol(&mut rig, "Bob", &[axis(30), axis(31)]);
    let of_bob = TemplateRedundant { person: bob, ..ask.clone() };
    assert_eq!(rig.call::<FindRedundant>(&of_bob).unwrap().template, None);
    let unknown = TemplateRedundant { person: PersonId(9), ..ask };
    let refused = rig.call::<FindRedundant>(&unknown).unwrap_err();
    assert_eq!(refused, RequestError::UnknownPerson { person: PersonId(9) });
}
