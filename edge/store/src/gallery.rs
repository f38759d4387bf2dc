//! The gallery in memory: people, their templates, of one model, and what else holds of each, with a generation.
//!
//! Holding one proves that its templates were checked, are of its model, belong to people who are in it, that no two people
//! share a name, an id or a credential, and that a schedule whom somebody is given to is there. Changes give a new generation; `durable` writes each before it is taken in here, into
//! segments (`segment`) of sealed records (`record`), which `load` reads, `tidy` cleans, and `convert` makes of a snapshot
//! of an earlier format.

pub(crate) mod convert;
mod digest;
pub(crate) mod durable;
mod load;
mod put;
pub(crate) mod record;
pub(crate) mod removal;
mod segment;
mod tidy;

use std::collections::{BTreeMap, HashMap};
use threshold_record::template::MAX_SLOTS;
use threshold_record::{
    Access, AccessFault, Credential, ModelId, ModelTag, Name, Person, PersonId, Schedule,
    ScheduleId, Template, TemplateError,
};

/// A person with the templates, in order of their slots.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Who.
    pub person: Person,
    /// The templates.
    pub templates: Vec<Template>,
    /// What limits when the person may enter, and by what the person is claimed; `None` as long as nothing of that was set.
    pub access: Option<Box<Access>>,
}

impl Member {
    /// Somebody of whom nothing else holds.
    #[must_use]
    pub fn of(person: Person, templates: Vec<Template>) -> Self {
        Self { person, templates, access: None }
    }

    /// What holds of the person besides the name.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.as_deref().cloned().unwrap_or_default()
    }

    fn credentials(&self) -> &[Credential] {
        self.access.as_deref().map_or(&[], |access| &access.credentials)
    }

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
    /// Whom each credential claims to be.
    claims: HashMap<Credential, PersonId>,
    schedules: BTreeMap<ScheduleId, Schedule>,
    templates: usize,
}

/// What lies beside the gallery, for a version of another model: templates of the same people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// The model that made them.
    pub model: ModelId,
    /// People who have templates there.
    pub people: u32,
    /// Templates.
    pub templates: u32,
    /// People who have templates in the gallery and none there: a version of that model does not know their faces.
    pub without: u32,
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
    /// The gallery itself is of that model.
    #[error(
        "the gallery is of that model already, so that nothing need lie beside it; push the file with threshold gallery push"
    )]
    SameModel,
    /// No other model's templates lie beside it.
    #[error("nothing lies beside the gallery; have the templates of another model staged first")]
    NothingBeside,
    /// What is to hold of the person, or the schedule, is not whole.
    #[error("{0}")]
    BadAccess(#[from] AccessFault),
    /// Somebody has that credential.
    #[error("person {} has {credential} already; take it from that person first", person.0)]
    CredentialTaken {
        /// The credential.
        credential: Credential,
        /// Who has it.
        person: PersonId,
    },
    /// No schedule has that number.
    #[error("there is no schedule {}; list the schedules to see which there are", id.0)]
    UnknownSchedule {
        /// What was asked for.
        id: ScheduleId,
    },
    /// Another schedule has that name.
    #[error("schedule {} has that name already; give another name", id.0)]
    ScheduleNameTaken {
        /// Which has it.
        id: ScheduleId,
    },
    /// Somebody is bound to the schedule.
    #[error("person {} has schedule {}; give everybody of it another one, or none, first", person.0, id.0)]
    ScheduleInUse {
        /// Which.
        id: ScheduleId,
        /// One of those who have it.
        person: PersonId,
    },
}

impl Gallery {
    /// Templates that fit, and people too: what a search may take for one probe, and what memory may take, 60 MB.
    pub const CAPACITY: usize = 100_000;

    /// A gallery without people, at generation 0.
    #[must_use]
    pub fn empty(model: ModelId) -> Self {
        Self {
            model,
            generation: 0,
            members: BTreeMap::new(),
            names: HashMap::new(),
            claims: HashMap::new(),
            schedules: BTreeMap::new(),
            templates: 0,
        }
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
            gallery.add_member(Member::of(person, Vec::new()), 0);
        }
        for template in templates {
            gallery.check_template(&template)?;
            gallery.put_template(template, 0);
        }
        gallery.generation = generation;
        Ok(gallery)
    }

    /// The gallery of members that a gallery had, in order of their ids, with so many templates; `None` if two have one name or
    /// one credential, or there are too many.
    fn of_members(
        model: ModelId,
        generation: u64,
        members: Vec<(PersonId, Member)>,
        schedules: BTreeMap<ScheduleId, Schedule>,
        templates: usize,
    ) -> Option<Self> {
        let name = |(id, member): &(PersonId, Member)| (member.person.name.clone(), *id);
        let names: HashMap<Name, PersonId> = members.iter().map(name).collect();
        let claims = members.iter().flat_map(|(id, member)| {
            member.credentials().iter().map(|&credential| (credential, *id))
        });
        let n_claims = members.iter().map(|(_, member)| member.credentials().len()).sum::<usize>();
        let claims: HashMap<Credential, PersonId> = claims.collect();
        let whole = names.len() == members.len()
            && claims.len() == n_claims
            && templates <= Self::CAPACITY
            && members.len() <= Self::CAPACITY;
        let members = members.into_iter().collect();
        whole.then_some(Self { model, generation, members, names, claims, schedules, templates })
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

    /// Whom a credential claims to be. It proves nothing: a badge can be copied.
    #[must_use]
    pub fn claimed(&self, credential: Credential) -> Option<PersonId> {
        self.claims.get(&credential).copied()
    }

    /// The schedules, in order of their numbers.
    pub fn schedules(&self) -> impl Iterator<Item = &Schedule> {
        self.schedules.values()
    }

    /// One schedule.
    #[must_use]
    pub fn schedule(&self, id: ScheduleId) -> Option<&Schedule> {
        self.schedules.get(&id)
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

    /// Whether this may hold of a person, be it one who is to be added.
    pub(crate) fn check_access(
        &self,
        person: PersonId,
        access: &Access,
    ) -> Result<(), GalleryError> {
        access.check()?;
        if let Some(id) = access.schedule.filter(|id| !self.schedules.contains_key(id)) {
            return Err(GalleryError::UnknownSchedule { id });
        }
        for &credential in &access.credentials {
            if let Some(&holder) = self.claims.get(&credential)
                && holder != person
            {
                return Err(GalleryError::CredentialTaken { credential, person: holder });
            }
        }
        Ok(())
    }

    /// Whether a schedule can be put, in place of one of its number.
    pub(crate) fn check_schedule(&self, schedule: &Schedule) -> Result<(), GalleryError> {
        schedule.check()?;
        let mut others = self.schedules().filter(|held| held.id != schedule.id);
        match others.find(|held| held.name == schedule.name) {
            Some(held) => Err(GalleryError::ScheduleNameTaken { id: held.id }),
            None => Ok(()),
        }
    }

    /// Whether a schedule can be taken away.
    pub(crate) fn check_unused(&self, id: ScheduleId) -> Result<(), GalleryError> {
        if !self.schedules.contains_key(&id) {
            return Err(GalleryError::UnknownSchedule { id });
        }
        let has = |member: &&Member| {
            member.access.as_deref().is_some_and(|access| access.schedule == Some(id))
        };
        match self.members().find(has) {
            Some(member) => Err(GalleryError::ScheduleInUse { id, person: member.person.id }),
            None => Ok(()),
        }
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

    /// Whether people can be put: each added under the id with what holds of him, or there under the same name, with templates that
    /// take the place of what stands in their slots. The ids must rise, so that nobody is there twice.
    pub(crate) fn check_members(&self, members: &[Member]) -> Result<(), GalleryError> {
        let (mut people, mut templates) = (self.members.len(), self.templates);
        let (mut names, mut claims) = (HashMap::new(), HashMap::new());
        let mut before = PersonId::NOBODY;
        for member @ Member { person, templates: put, access } in members {
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
                    access.iter().try_for_each(|access| self.check_access(id, access))?;
                    for &credential in member.credentials() {
                        if let Some(person) = claims.insert(credential, id) {
                            return Err(GalleryError::CredentialTaken { credential, person });
                        }
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

    /// Whether templates of a model can be put beside the gallery, where there are so many: of people who are here, under their names,
    /// in order of rising ids.
    pub(crate) fn check_beside(
        &self,
        members: &[Member],
        model: ModelId,
        there: usize,
    ) -> Result<(), GalleryError> {
        let mut templates = there;
        let mut before = PersonId::NOBODY;
        for Member { person, templates: put, .. } in members {
            let id = person.id;
            let held = self.members.get(&id).ok_or(GalleryError::UnknownPerson { person: id })?;
            if id <= before || held.person.name != person.name {
                return Err(GalleryError::UsedId { person: id });
            }
            before = id;
            let mut fresh = 0u8;
            for template in put {
                check_vector(template, model)?;
                if template.person != id || fresh & 1 << template.slot != 0 {
                    return Err(GalleryError::UnknownPerson { person: template.person });
                }
                fresh |= 1 << template.slot;
            }
            templates += put.len();
        }
        if templates > Self::CAPACITY {
            return Err(GalleryError::Full { capacity: Self::CAPACITY });
        }
        Ok(())
    }

    /// Whether a template is fit to be compared with the others.
    fn check_vector(&self, template: &Template) -> Result<(), GalleryError> {
        check_vector(template, self.model)
    }

    /// Adds somebody who was checked.
    fn add_member(&mut self, member: Member, generation: u64) {
        let id = member.person.id;
        self.names.insert(member.person.name.clone(), id);
        self.claims.extend(member.credentials().iter().map(|&credential| (credential, id)));
        self.templates += member.templates.len();
        self.members.insert(id, member);
        self.generation = generation;
    }

    /// Puts what was checked to hold of a person.
    fn put_access(&mut self, person: PersonId, access: Access, generation: u64) {
        self.generation = generation;
        let Some(member) = self.members.get_mut(&person) else { return };
        for credential in member.credentials() {
            self.claims.remove(credential);
        }
        self.claims.extend(access.credentials.iter().map(|&credential| (credential, person)));
        member.access = Some(Box::new(access));
    }

    /// Puts a schedule that was checked, or takes it away.
    fn put_schedule(&mut self, id: ScheduleId, schedule: Option<Schedule>, generation: u64) {
        self.generation = generation;
        match schedule {
            Some(schedule) => self.schedules.insert(id, schedule),
            None => self.schedules.remove(&id),
        };
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
        for credential in member.credentials() {
            self.claims.remove(credential);
        }
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

/// Whether a template is fit to be compared with others of that model.
fn check_vector(template: &Template, model: ModelId) -> Result<(), GalleryError> {
    template.check()?;
    let expected = model.tag();
    if template.model != expected {
        return Err(GalleryError::OtherModel { found: template.model, expected });
    }
    Ok(())
}
