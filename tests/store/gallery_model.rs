//! The gallery against a plain model: a store whose gallery has small segments, and who should be in it.
//!
//! The law: what was acknowledged is there; what was under way is there whole or not at all, and nothing else ever; who was
//! removed is gone for good; cleaning changes nothing that can be seen. So it is for what lies beside the gallery.

use crate::bed::Bed;
use crate::{entry, name};
use std::collections::{BTreeMap, BTreeSet};
use threshold_record::{
    Access, Credential, Interval, ModelId, Person, PersonId, Schedule, ScheduleId, Template,
};
use threshold_store::{GalleryError, Member};
use threshold_store::{LogSize, Object, Series, Store, StoreError, StoreSize};
use threshold_tests::lots::Lots;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Add,
    /// Puts a template into a slot of the person of that place in the list.
    Put(usize, u8),
    /// Puts many at once: a template of the person of that place in the list, and two people who are new.
    PutMany(usize),
    /// Settles what holds of the person of that place in the list.
    Access(usize),
    /// Puts the schedule of that number, or takes it away.
    Schedule(u8, bool),
    /// Removes the person of that place in the list.
    Remove(usize),
    Tidy,
    /// Opens the gallery for the other model, which drops the templates if none of that lie beside it.
    Rebase,
    /// Makes a place for the other model's templates beside the gallery, and drops what lay there.
    Beside,
    /// Puts templates beside it, of the person of that place in the list and of the next one.
    PutBeside(usize),
    /// Drops what lies beside it.
    DropBeside,
    /// Opens the gallery for the model of which templates lie beside it.
    Switch,
    /// Writes the anchor.
    Lockout,
    Reopen,
}

/// Both models that a gallery may be of.
const MODELS: [ModelId; 2] = [crate::MODEL, ModelId([8; 32])];

/// Names, the marks of the templates, and that of the access with its schedule; zeros for none.
type People = BTreeMap<PersonId, (String, BTreeMap<u8, i8>, (i8, u8))>;

/// A gallery as it should be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    /// Which of the models.
    model: usize,
    people: People,
    /// Numbers and marks.
    schedules: BTreeMap<u8, i8>,
    /// Marks of the templates that lie beside it.
    beside: Option<Marks>,
}

/// Marks of templates of the other model; nobody is there without one.
type Marks = BTreeMap<PersonId, BTreeMap<u8, i8>>;

impl State {
    /// As a version of the other model finds it.
    fn switched(mut self) -> Self {
        let Some(mut beside) = self.beside.take() else { return self };
        self.model = 1 - self.model;
        let mut left = Marks::new();
        for (id, (_, marks, _)) in &mut self.people {
            let there = beside.remove(id).unwrap_or_default();
            let here = std::mem::replace(marks, there);
            left.extend((!here.is_empty()).then_some((*id, here)));
        }
        assert!(beside.is_empty(), "templates of nobody: {beside:?}");
        self.beside = Some(left);
        self
    }
}

/// A store with what it should hold.
pub(crate) struct Run {
    pub(crate) flash: Bed,
    segment_bytes: u32,
    store: Option<Store>,
    state: State,
    /// What the flash may hold instead, since a write failed.
    others: Vec<State>,
    /// Those whose removal failed before the tombstone was known to stand.
    doomed: BTreeSet<PersonId>,
    removed: BTreeSet<PersonId>,
    given: BTreeSet<PersonId>,
    generation: u64,
    mark: i8,
}

fn template(model: usize, person: PersonId, slot: u8, mark: i8) -> Template {
    Template { model: MODELS[model].tag(), ..crate::template(person, slot, mark) }
}

fn access(person: PersonId, (mark, schedule): (i8, u8)) -> Option<Access> {
    let badge = |facility| Credential::Wiegand26 { facility, card: person.0 as u16 };
    (mark > 0).then(|| Access {
        valid_from: None,
        valid_until: Some(1000 + mark as u64),
        schedule: Some(ScheduleId(schedule)).filter(|id| id.0 > 0),
        credentials: [badge(mark as u8), badge(0)].into_iter().collect(),
    })
}

fn schedule(number: u8, mark: i8) -> Schedule {
    let interval = Interval { days: 1, from: mark as u16, to: 1440 };
    let intervals = std::iter::repeat_n(interval, 1 + mark as usize % 14).collect();
    Schedule { id: ScheduleId(number), name: name(&format!("hours {number}")), intervals }
}

impl Run {
    /// A model of a flash that holds nothing yet.
    pub(crate) fn new(flash: Bed, segment_bytes: u32) -> Self {
        Self {
            flash,
            segment_bytes,
            store: None,
            state: State::default(),
            others: Vec::new(),
            doomed: BTreeSet::new(),
            removed: BTreeSet::new(),
            given: BTreeSet::new(),
            generation: 0,
            mark: 0,
        }
    }

    /// A copy on a copy of the flash, not open.
    pub(crate) fn fork(&self) -> Self {
        Self {
            flash: self.flash.copy(),
            store: None,
            state: self.state.clone(),
            others: self.others.clone(),
            doomed: self.doomed.clone(),
            removed: self.removed.clone(),
            given: self.given.clone(),
            ..*self
        }
    }

    fn size(&self) -> StoreSize {
        let log = LogSize { segment_bytes: self.flash.segment_bytes(4096), segments: 2 };
        StoreSize { log, gallery_segment_bytes: self.segment_bytes }
    }

    /// What the store shows. What lies beside the gallery is looked into by a start of the other model, after a start alone: a write that
    /// failed may stand on the flash until then.
    fn found(&self, is_started: bool) -> State {
        let store = self.store.as_ref().unwrap();
        let mut state = Self::found_in(store);
        if let Some(beside) = store.beside() {
            assert_eq!(beside.model, MODELS[1 - state.model]);
            if !is_started {
                let held = self.state.beside.clone().unwrap();
                assert_eq!(beside.people as usize, held.len());
                return State { beside: Some(held), ..state };
            }
            // What it holds a version of the other model sees.
            let flash = self.flash.copy();
            let keys = flash.keys();
            flash.power_on();
            let body = flash.body().unwrap();
            let (mut other, _) = Store::open_sized(body, keys, self.size()).unwrap();
            other.load_gallery(beside.model).unwrap();
            let marks = Self::found_in(&other).people.into_iter().map(|(id, held)| (id, held.1));
            let marks: Marks = marks.filter(|(_, marks)| !marks.is_empty()).collect();
            assert_eq!(other.beside().unwrap().model, MODELS[state.model]);
            assert_eq!(beside.people as usize, marks.len());
            assert_eq!(beside.templates as usize, marks.values().map(BTreeMap::len).sum::<usize>());
            let without = state
                .people
                .iter()
                .filter(|(id, held)| !held.1.is_empty() && !marks.contains_key(id));
            assert_eq!(beside.without as usize, without.count());
            state.beside = Some(marks);
        }
        state
    }

    fn found_in(store: &Store) -> State {
        let gallery = store.gallery().unwrap();
        let model = MODELS.iter().position(|&model| model == gallery.model()).unwrap();
        let members = gallery.members().map(|member| {
            assert_eq!(gallery.named(&member.person.name), Some(member));
            let marks = member.templates.iter().map(|held| {
                assert_eq!(*held, template(model, member.person.id, held.slot, held.vector[1]));
                (held.slot, held.vector[1])
            });
            let (id, held) = (member.person.id, member.access());
            let number = held.schedule.map_or(0, |id| id.0);
            let mark = (held.valid_until.map_or(0, |until| until - 1000) as i8, number);
            assert_eq!(member.access.as_deref(), access(id, mark).as_ref());
            for &credential in &held.credentials {
                assert_eq!(gallery.claimed(credential), Some(id));
            }
            (id, (member.person.name.to_string(), marks.collect(), mark))
        });
        let schedules = gallery.schedules().map(|held| {
            let (number, mark) = (held.id.0, held.intervals[0].from as i8);
            assert_eq!(*held, schedule(number, mark));
            (number, mark)
        });
        State { model, people: members.collect(), schedules: schedules.collect(), beside: None }
    }

    /// Opens the store and loads the gallery, and checks that it is one that may be.
    pub(crate) fn open(&mut self) -> Result<(), StoreError> {
        self.store = None;
        let flash = self.flash.body()?;
        let (mut store, _) = Store::open_sized(flash, self.flash.keys(), self.size())?;
        match store.load_gallery(MODELS[self.state.model]).map(|_| ()) {
            Err(StoreError::OtherModel { gallery, .. }) => {
                store.load_gallery(gallery)?;
            }
            loaded => loaded?,
        }
        self.store = Some(store);
        let found = self.found(true);
        let may_be = [&self.state].into_iter().chain(&self.others).any(|state| {
            let mut state = state.clone();
            let stays = |id: &_| found.people.contains_key(id) || !self.doomed.contains(id);
            state.people.retain(|id, _| stays(id));
            state.beside.iter_mut().for_each(|beside| beside.retain(|id, _| stays(id)));
            // An id that was not told is known by its name.
            let unnamed = |state: &State| {
                let people = state.people.iter().filter(|(id, _)| self.given.contains(id));
                people.map(|(&id, held)| (id, held.clone())).collect::<People>()
            };
            let names = |state: &State| state.people.values().cloned().collect::<BTreeSet<_>>();
            state.model == found.model
                && state.schedules == found.schedules
                && state.beside == found.beside
                && unnamed(&state) == unnamed(&found)
                && names(&state) == names(&found)
        });
        assert!(may_be, "{found:?}\nis neither {:?}\nnor {:?}", self.state, self.others);
        let gone = self.doomed.iter().filter(|id| !found.people.contains_key(id));
        self.removed.extend(gone);
        self.doomed.clear();
        self.others.clear();
        self.given.extend(found.people.keys());
        self.state = found;
        self.check();
        Ok(())
    }

    /// Compares what the store shows.
    fn check(&mut self) {
        assert_eq!(self.found(false), self.state);
        let generation = self.store.as_ref().unwrap().gallery().unwrap().generation();
        assert!(generation >= self.generation, "{generation} after {}", self.generation);
        self.generation = generation;
        for id in &self.removed {
            assert!(!self.state.people.contains_key(id), "{id:?} is back");
        }
    }

    fn person(&self, at: usize) -> Option<PersonId> {
        let people = &self.state.people;
        people.keys().nth(at % people.len().max(1)).copied()
    }

    /// Does an operation on the store and on the model.
    ///
    /// # Errors
    /// What the store says; the model then knows what may have come of it.
    pub(crate) fn step(&mut self, operation: Operation) -> Result<(), StoreError> {
        let mut next = self.state.clone();
        self.mark = self.mark % 100 + 1;
        let (mark, model) = (self.mark, self.state.model);
        let outcome = match operation {
            Operation::Reopen => return self.open(),
            Operation::Rebase => {
                self.open()?;
                if self.state.beside.is_some() {
                    return self.step(Operation::Switch);
                }
                next = self.state.clone();
                self.store = None;
                let (flash, keys) = (self.flash.body()?, self.flash.keys());
                let (mut store, _) = Store::open_sized(flash, keys, self.size())?;
                next.model = 1 - next.model;
                next.people.values_mut().for_each(|(_, marks, _)| marks.clear());
                let rebased = store.load_gallery_discarding_templates(MODELS[next.model]);
                match rebased {
                    Ok(_) => self.store = Some(store),
                    Err(error) => {
                        self.others.push(next);
                        return Err(error);
                    }
                }
                rebased.map(|_| ())
            }
            Operation::Add => {
                let text = format!("person {mark} of {}", self.generation);
                let added = self.store_mut().add_person(name(&text));
                let id = added.clone().unwrap_or(PersonId(u32::MAX));
                assert!(!self.given.contains(&id), "{id:?} was given out twice");
                next.people.insert(id, (text, BTreeMap::new(), (0, 0)));
                added.map(|id| {
                    self.given.insert(id);
                })
            }
            Operation::Put(at, slot) => {
                let Some(person) = self.person(at) else { return Ok(()) };
                next.people.get_mut(&person).unwrap().1.insert(slot, mark);
                self.store_mut().put_template(template(model, person, slot, mark))
            }
            Operation::Access(at) => {
                let Some(person) = self.person(at) else { return Ok(()) };
                let number = next.schedules.keys().nth(mark as usize % 3).copied();
                let marked = (mark, number.unwrap_or(0));
                next.people.get_mut(&person).unwrap().2 = marked;
                self.store_mut().set_access(person, access(person, marked).unwrap())
            }
            Operation::Schedule(number, true) => {
                next.schedules.insert(number, mark);
                self.store_mut().put_schedule(schedule(number, mark))
            }
            Operation::Schedule(number, false) => {
                let id = ScheduleId(number);
                let user = next.people.iter().find(|(_, held)| held.2.1 == number);
                let against = match (user, next.schedules.remove(&number)) {
                    (_, None) => Some(GalleryError::UnknownSchedule { id }),
                    (Some((&person, _)), _) => Some(GalleryError::ScheduleInUse { id, person }),
                    (None, Some(_)) => None,
                };
                let removed = self.store_mut().remove_schedule(id);
                if let Some(against) = against {
                    assert_eq!(removed, Err(against.into()));
                    self.check();
                    return Ok(());
                }
                removed
            }
            Operation::Switch => {
                self.open()?;
                self.state = std::mem::take(&mut self.state).switched();
                return self.open();
            }
            Operation::Beside => {
                next.beside = Some(Marks::new());
                self.store_mut().begin_beside(MODELS[1 - model])
            }
            // Nothing is written, so that nothing is settled.
            Operation::DropBeside if next.beside.is_none() => {
                return self.store_mut().drop_beside();
            }
            Operation::DropBeside => {
                next.beside = None;
                self.store_mut().drop_beside()
            }
            Operation::PutMany(at) => return self.put_many(at),
            Operation::PutBeside(at) => return self.put_beside(at),
            Operation::Remove(at) => {
                let Some(person) = self.person(at) else { return Ok(()) };
                next.people.remove(&person);
                next.beside.iter_mut().for_each(|beside| drop(beside.remove(&person)));
                let removed = self.store_mut().remove_person(person);
                match removed {
                    Ok(_) => {
                        // Whoever was doomed before is not among these tombstones.
                        self.doomed.clear();
                        self.removed.insert(person);
                    }
                    Err(StoreError::NotErased { .. }) => {
                        self.doomed.clear();
                        self.removed.insert(person);
                        self.state = next.clone();
                        self.others.iter_mut().for_each(|state| {
                            state.people.remove(&person);
                            state.beside.iter_mut().for_each(|beside| drop(beside.remove(&person)));
                        });
                        self.check();
                        return Err(removed.unwrap_err());
                    }
                    Err(_) => {
                        self.doomed.insert(person);
                    }
                }
                removed.map(|_| ())
            }
            Operation::Tidy => self.store_mut().tidy_up().map(|_| ()),
            Operation::Lockout => self.store_mut().save_lockout([1, mark as u8, 0, 0]),
        };
        match &outcome {
            Ok(()) if matches!(operation, Operation::Tidy | Operation::Lockout) => {}
            Ok(()) => {
                // A change that succeeded leaves nothing of one that failed.
                self.others.clear();
                self.state = next;
            }
            Err(StoreError::Gallery(GalleryError::NameTaken { .. })) => panic!("{outcome:?}"),
            Err(_)
                if matches!(
                    operation,
                    Operation::Tidy | Operation::Lockout | Operation::Remove(_)
                ) => {}
            Err(_) => self.others.push(next),
        }
        self.check();
        outcome
    }

    /// Puts people in as many batches as it takes; each is there whole or not at all.
    fn put_many(&mut self, at: usize) -> Result<(), StoreError> {
        let (mark, model) = (self.mark, self.state.model);
        let known = self.given.iter().chain(&self.removed).chain(&self.doomed).max();
        // Ids of another unit leave out some.
        let fresh = known.map_or(2, |last| last.0 + 2);
        let mut members = Vec::new();
        if let Some(id) = self.person(at) {
            let name = name(&self.state.people[&id].0);
            members.push(Member::of(Person { id, name }, vec![template(model, id, 5, mark)]));
        }
        for id in [PersonId(fresh), PersonId(fresh + 3)] {
            let name = name(&format!("one {} of {mark} of {}", id.0, self.generation));
            let templates = [0, 6].map(|slot| template(model, id, slot, mark)).to_vec();
            let access = access(id, (mark, 0)).filter(|_| id.0 == fresh).map(Box::new);
            members.push(Member { access, ..Member::of(Person { id, name }, templates) });
        }
        let mut left = &members[..];
        while !left.is_empty() {
            let outcome = self.store_mut().put_members(left);
            let most = outcome.as_ref().map_or(left.len(), |&count| count);
            let mut next = self.state.clone();
            for member in &left[..most] {
                let name = member.person.name.to_string();
                let put = member.access.as_ref().map_or((0, 0), |_| (mark, 0));
                let fresh = (name, BTreeMap::new(), put);
                let held = next.people.entry(member.person.id).or_insert(fresh);
                held.1.extend(member.templates.iter().map(|held| (held.slot, mark)));
                match &outcome {
                    Ok(_) => drop(self.given.insert(member.person.id)),
                    // How many of the first a batch held that failed is not told.
                    Err(_) => self.others.push(next.clone()),
                }
            }
            let count = match outcome {
                Ok(count) => count,
                Err(error) => {
                    self.check();
                    return Err(error);
                }
            };
            self.others.clear();
            self.state = next;
            self.check();
            left = &left[count..];
        }
        Ok(())
    }

    /// Puts templates of two people beside the gallery, in as many batches as it takes.
    fn put_beside(&mut self, at: usize) -> Result<(), StoreError> {
        let (mark, other) = (self.mark, 1 - self.state.model);
        let ids: BTreeSet<_> = [at, at + 1].into_iter().filter_map(|at| self.person(at)).collect();
        let members = ids.into_iter().map(|id| {
            let name = name(&self.state.people[&id].0);
            let templates = [2, 7].map(|slot| template(other, id, slot, mark)).to_vec();
            Member::of(Person { id, name }, templates)
        });
        let members: Vec<_> = members.collect();
        if self.state.beside.is_none() {
            let refused = self.store_mut().put_beside(&members);
            // Of somebody whose removal failed the tombstones are written first.
            let nothing = Err(GalleryError::NothingBeside.into());
            assert!(refused == nothing || matches!(refused, Err(StoreError::Flash(_))));
            return Ok(());
        }
        let mut left = &members[..];
        while !left.is_empty() {
            let outcome = self.store_mut().put_beside(left);
            let most = outcome.as_ref().map_or(left.len(), |&count| count);
            let mut next = self.state.clone();
            for member in &left[..most] {
                let beside = next.beside.as_mut().unwrap().entry(member.person.id).or_default();
                beside.extend([(2, mark), (7, mark)]);
                if outcome.is_err() {
                    // How many of the first a batch held that failed is not told.
                    self.others.push(next.clone());
                }
            }
            let count = outcome.inspect_err(|_| self.check())?;
            self.others.clear();
            self.state = next;
            self.check();
            left = &left[count..];
        }
        Ok(())
    }

    fn store_mut(&mut self) -> &mut Store {
        self.store.as_mut().unwrap()
    }

    /// What a unit does after an error: it goes on, idles, and starts again.
    pub(crate) fn go_on(&mut self) {
        self.flash.power_on();
        self.open().unwrap();
        self.step(Operation::Add).unwrap();
        self.step(Operation::Put(0, 3)).unwrap();
        self.tidy();
        self.step(Operation::Remove(0)).unwrap();
        self.tidy();
        let store = self.store_mut();
        store.commit(entry(1)).unwrap();
        self.open().unwrap();
    }

    /// Idles until nothing is due, and checks that little is left over.
    fn tidy(&mut self) {
        let mut steps = 0;
        while self.store_mut().tidy_up().unwrap() {
            steps += 1;
            assert!(steps < 200, "cleaning does not end");
        }
        self.check();
        let numbers = self.flash.segments(Series::Gallery);
        let bytes: u64 = numbers
            .iter()
            .filter_map(|&number| self.flash.len(Object::GallerySegment(number)))
            .sum();
        let people = &self.state.people;
        let live: usize =
            people.values().map(|(name, marks, _)| 60 + name.len() + marks.len() * 149).sum();
        let beside = self.state.beside.iter().flatten();
        let live = live + beside.map(|(_, marks)| marks.len() * 149).sum::<usize>();
        // Two neighbours are more than half a segment together, each is at most twice what it need be, and the last one is
        // as it is.
        let size = self.segment_bytes as usize;
        let count = 3 + 2 * live / (size / 2 - 200);
        let most = 2 * (live + 200 * count) + size + 400;
        assert!(bytes <= most as u64, "{bytes} bytes in {numbers:?} for {live}");
    }
}

/// An operation by lot.
pub(crate) fn drawn(lots: &mut Lots) -> Operation {
    let at = lots.below(8) as usize;
    match lots.below(38) {
        0..=6 => Operation::Add,
        7..=13 => Operation::Put(at, lots.below(3) as u8),
        14..=17 => Operation::Remove(at),
        18..=20 => Operation::Tidy,
        21 => Operation::Lockout,
        22 => Operation::Rebase,
        23 => Operation::PutMany(at),
        24..=26 => Operation::Access(at),
        27..=28 => Operation::Schedule(1 + lots.below(3) as u8, lots.below(3) > 0),
        29 => Operation::Beside,
        30..=33 => Operation::PutBeside(at),
        34 => Operation::DropBeside,
        35..=36 => Operation::Switch,
        _ => Operation::Reopen,
    }
}
