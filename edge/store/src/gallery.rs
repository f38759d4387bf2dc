//! The gallery in memory: people and their templates, of one model, with a generation.
//!
//! Holding one proves that its templates were checked, are of its model, belong to people who are in it, and that no
//! two people share a name or an id. Changes give a new generation; `durable` writes each before it is taken in here, into
//! segments (`segment`) of sealed records (`record`), which `load` reads, `tidy` cleans, and `convert` makes of a snapshot
//! of an earlier format.

pub(crate) mod convert;
mod digest;
pub(crate) mod durable;
mod load;
mod put;
mod record;
mod segment;
mod tidy;

use std::collections::{BTreeMap, HashMap};
use threshold_record::template::MAX_SLOTS;
use threshold_record::{ModelId, ModelTag, Name, Person, PersonId, Template, TemplateError};

/// A person with the templates, in order of their slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// The templates.
    pub templates: Vec<Template>,
}

impl Member {
    /// The lowest slot without a template.
    #[must_use]
    pub fn free_slot(&self) -> Option<u8> {
        (0..MAX_SLOTS).find(|&slot| self.templates.iter().all(|template| template.slot != slot))
    }

    /// Bit n is set if slot n holds a template.
    #[must_use]
    pub fn slots(&self) -> u8 {
        self.templates.iter().fold(0, |slots, template| slots | (1 << template.slot))
    }
}

/// The enrolled people.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    model: ModelId,
    generation: u64,
    members: BTreeMap<PersonId, Member>,
    /// Who has each name.
    names: HashMap<Name, PersonId>,
    templates: usize,
}

/// A change that the gallery does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GalleryError {
    /// Nobody of that id.
    #[error("the gallery has no person {}; list the gallery to see who is there", person.0)]
    UnknownPerson {
        /// Who was asked for.
        person: PersonId,
    },
    /// Somebody has that name.
    #[error("person {} has that name already; give another name, or add templates to that person", person.0)]
    NameTaken {
        /// Who has it.
        person: PersonId,
    },
    /// No place is left.
    #[error("the gallery is full with {capacity} templates; remove people who no longer come")]
    Full {
        /// What fits.
        capacity: usize,
    },
    /// The id was used before, by somebody who was removed.
    #[error("person {} was removed; an id is never used again, so enrol the person anew", person.0)]
    UsedId {
        /// The id.
        person: PersonId,
    },
    /// Every id was given out.
    #[error("every id of a person was used; move the data folder away and enrol again")]
    IdsUsedUp,
    /// The template is of another model.
    #[error(
        "a template of model {found}, the gallery is of model {expected}; enrol with the unit's pack"
    )]
    OtherModel {
        /// The template's.
        found: ModelTag,
        /// The gallery's.
        expected: ModelTag,
    },
    /// The template cannot be compared.
    #[error("the template is not fit to be compared ({0}); enrol again")]
    BadTemplate(#[from] TemplateError),
}

impl Gallery {
    /// Templates that fit, and people too: what a search may take for one probe, and what memory may take, 60 MB.
    pub const CAPACITY: usize = 100_000;

    /// A gallery without people, at generation 0.
    #[must_use]
    pub fn empty(model: ModelId) -> Self {
        let (members, names) = (BTreeMap::new(), HashMap::new());
        Self { model, generation: 0, members, names, templates: 0 }
    }

    /// The gallery that a snapshot's parts make up.
    ///
    /// # Errors
    /// [`GalleryError`] if the parts break a rule of the gallery.
    pub(crate) fn from_parts(
        model: ModelId,
        generation: u64,
        people: Vec<Person>,
        templates: Vec<Template>,
    ) -> Result<Self, GalleryError> {
        let mut gallery = Self::empty(model);
        for person in people {
            gallery.check_person(&person)?;
            gallery.add_person(person, 0);
        }
        for template in templates {
            gallery.check_template(&template)?;
            gallery.put_template(template, 0);
        }
        gallery.generation = generation;
        Ok(gallery)
    }

    /// The gallery of members that a gallery had, in order of their ids, with so many templates; `None` if two have one name or
    /// there are too many.
    fn of_members(
        model: ModelId,
        generation: u64,
        members: Vec<(PersonId, Member)>,
        templates: usize,
    ) -> Option<Self> {
        let name = |(id, member): &(PersonId, Member)| (member.person.name.clone(), *id);
        let names: HashMap<Name, PersonId> = members.iter().map(name).collect();
        let whole = names.len() == members.len()
            && templates <= Self::CAPACITY
            && members.len() <= Self::CAPACITY;
        let members = members.into_iter().collect();
        whole.then_some(Self { model, generation, members, names, templates })
    }

    /// The model that made every template.
    #[must_use]
    pub fn model(&self) -> ModelId {
        self.model
    }

    /// Grows with every change, never goes back.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Everybody, in order of their ids.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Everybody after an id, in order.
    pub fn members_after(&self, after: PersonId) -> impl Iterator<Item = &Member> {
        self.members
            .range((std::ops::Bound::Excluded(after), std::ops::Bound::Unbounded))
            .map(|(_, member)| member)
    }

    /// One person.
    #[must_use]
    pub fn member(&self, person: PersonId) -> Option<&Member> {
        self.members.get(&person)
    }

    /// The person of a name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Member> {
        self.names.get(&Name::new(name).ok()?).and_then(|&person| self.member(person))
    }

    /// Every template, in order of person and slot.
    pub fn templates(&self) -> impl Iterator<Item = &Template> {
        self.members().flat_map(|member| &member.templates)
    }

    /// Count of people.
    #[must_use]
    pub fn n_people(&self) -> usize {
        self.members.len()
    }

    /// Count of templates.
    #[must_use]
    pub fn n_templates(&self) -> usize {
        self.templates
    }

    /// The highest id in use; nobody if the gallery is empty.
    pub(crate) fn last_id(&self) -> PersonId {
        self.members.keys().next_back().copied().unwrap_or(PersonId::NOBODY)
    }

    /// Whether a person can be added.
    pub(crate) fn check_person(&self, person: &Person) -> Result<(), GalleryError> {
        let id = person.id;
        if id.is_nobody() || self.members.contains_key(&id) {
            return Err(GalleryError::UsedId { person: id });
        }
        if let Some(&person) = self.names.get(&person.name) {
            return Err(GalleryError::NameTaken { person });
        }
        if self.members.len() >= Self::CAPACITY {
            return Err(GalleryError::Full { capacity: Self::CAPACITY });
        }
        Ok(())
    }

    /// Whether a template can be put into its slot.
    pub(crate) fn check_template(&self, template: &Template) -> Result<(), GalleryError> {
        self.check_vector(template)?;
        let person = template.person;
        let member = self.members.get(&person).ok_or(GalleryError::UnknownPerson { person })?;
        let held = member.slots() & (1 << template.slot) != 0;
        if !held && self.templates >= Self::CAPACITY {
            return Err(GalleryError::Full { capacity: Self::CAPACITY });
        }
        Ok(())
    }

    /// Whether people can be put: each added under the id, or there under the same name, with templates that take the place of
    /// what stands in their slots. The ids must rise, so that nobody is there twice.
    pub(crate) fn check_members(&self, members: &[Member]) -> Result<(), GalleryError> {
        let (mut people, mut templates) = (self.members.len(), self.templates);
        let mut names = HashMap::new();
        let mut before = PersonId::NOBODY;
        for Member { person, templates: put } in members {
            let id = person.id;
            if id <= before {
                return Err(GalleryError::UsedId { person: id });
            }
            before = id;
            let slots = match self.members.get(&id) {
                Some(held) if held.person.name == person.name => held.slots(),
                Some(_) => return Err(GalleryError::UsedId { person: id }),
                None => {
                    self.check_person(person)?;
                    if let Some(person) = names.insert(&person.name, id) {
                        return Err(GalleryError::NameTaken { person });
                    }
                    people += 1;
                    0
                }
            };
            let mut fresh = 0u8;
            for template in put {
                self.check_vector(template)?;
                if template.person != id || fresh & 1 << template.slot != 0 {
                    return Err(GalleryError::UnknownPerson { person: template.person });
                }
                fresh |= 1 << template.slot;
            }
            templates += (fresh & !slots).count_ones() as usize;
        }
        if people.max(templates) > Self::CAPACITY {
            return Err(GalleryError::Full { capacity: Self::CAPACITY });
        }
        Ok(())
    }

    /// Whether a template is fit to be compared with the others.
    fn check_vector(&self, template: &Template) -> Result<(), GalleryError> {
        template.check()?;
        let expected = self.model.tag();
        if template.model != expected {
            return Err(GalleryError::OtherModel { found: template.model, expected });
        }
        Ok(())
    }

    /// Adds a person who was checked.
    fn add_person(&mut self, person: Person, generation: u64) {
        self.names.insert(person.name.clone(), person.id);
        self.members.insert(person.id, Member { person, templates: Vec::new() });
        self.generation = generation;
    }

    /// Puts a template that was checked into its slot, in place of one that stands there.
    fn put_template(&mut self, template: Template, generation: u64) {
        self.generation = generation;
        let Some(member) = self.members.get_mut(&template.person) else { return };
        match member.templates.binary_search_by_key(&template.slot, |held| held.slot) {
            Ok(at) => member.templates[at] = template,
            Err(at) => {
                // Most people have one or two, and a template is half a kilobyte.
                member.templates.reserve_exact(1);
                member.templates.insert(at, template);
                self.templates += 1;
            }
        }
    }

    /// Takes a person out. The generation stays: it counts what is durable.
    fn take_person(&mut self, person: PersonId) -> Option<Member> {
        let member = self.members.remove(&person)?;
        self.names.remove(&member.person.name);
        self.templates -= member.templates.len();
        Some(member)
    }

    /// Keeps the people, drops their templates, and belongs to another model from now on.
    fn rebase(&mut self, model: ModelId, generation: u64) {
        for member in self.members.values_mut() {
            member.templates = Vec::new();
        }
        self.templates = 0;
        self.model = model;
        self.generation = generation;
    }
}
