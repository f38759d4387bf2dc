//! Enrolments at the door: what begins one, what ends it, and how what it gathered comes into the gallery.
//!
//! Owns the order: the entry that one begins is durable before the first frame is looked at, and what was gathered is one durable change
//! of the gallery, with the entry of an enrolment, before the entry that says how it ended. One at a time.
//! While one is under way no visit is decided but as a refusal (`State::standing`), and no attempt is opened; one that was open counts
//! as failed. What it compares are the embeddings of one face among themselves, and with the gallery to find that it is somebody's already:
//! by the mean of all of them (`threshold_models::search`), at a threshold of its own (`threshold_policy::again`).

use super::State;
use crate::enrolment::shots::{Shot, Shots};
use crate::enrolment::{By, Enrolment, Seen, Wanted};
use threshold_models::engine::Embedding;
use threshold_models::search::{Candidate, Mean, distance, most_redundant, quantise};
use threshold_policy::again;
use threshold_record::{
    Cause, EnrolmentEnd, EntryKind, HeadPose, LogEntry, MAX_SLOTS, PersonId, Template,
    TemplateError, Threshold,
};
use threshold_store::{Gallery, Member, StoreError};
use threshold_wire::RequestError;
use threshold_wire::enrolment::{EnrolmentKept, EnrolmentRefused, TemplateKept};

/// Parts without which nobody can be enrolled at the door; a lock or a reader is none of them.
const NEEDED: [Cause; 6] =
    [Cause::Camera, Cause::Engine, Cause::Model, Cause::Store, Cause::Keys, Cause::Gallery];

/// Why what was gathered is not in the gallery.
#[derive(Debug)]
pub(crate) enum NotKept {
    /// A rule is against it.
    Refused(RequestError),
    /// The store did not take it.
    Store(StoreError),
}

impl From<RequestError> for NotKept {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl From<EnrolmentRefused> for NotKept {
    fn from(refused: EnrolmentRefused) -> Self {
        Self::Refused(RequestError::BadEnrolment(refused))
    }
}

impl From<StoreError> for NotKept {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Whom a face resembles: the person's own templates, and the most alike of anybody else; each only if the threshold accepts it.
struct Resemblance {
    own: Option<Candidate>,
    other: Option<Candidate>,
}

impl State {
    /// The part at fault for which nobody can be enrolled at the door now.
    #[must_use]
    pub(crate) fn cannot_enrol(&self) -> Option<Cause> {
        let at_fault = || self.faults.iter().map(|&(part, _)| part);
        match self.started {
            true => at_fault().find(|part| NEEDED.contains(part)),
            false => Some(Cause::Engine),
        }
    }

    /// The enrolment that is under way, or the one that ended last.
    pub(crate) fn enrolment_mut(&mut self) -> Option<&mut Enrolment> {
        self.enrolment.as_mut()
    }

    /// True while an enrolment is under way.
    #[must_use]
    pub fn is_enrolling(&self) -> bool {
        self.enrolment.as_ref().is_some_and(Enrolment::is_under_way)
    }

    /// Begins an enrolment for whoever stands before the camera; its number.
    ///
    /// # Errors
    /// [`RequestError`]; none is under way then that was not before.
    pub(crate) fn begin_enrolment(&mut self, by: By, wanted: Wanted) -> Result<u32, RequestError> {
        let embedder = self.embedder.as_ref().ok_or(not_ready(Cause::Model))?;
        let metric = embedder.metric;
        // Whether two faces are one person does not change with the size of the gallery, as the threshold in force does.
        let settled = self.settled.as_ref().ok_or(not_ready(Cause::Policy))?;
        let shots = Shots::new(metric, settled.policy.threshold);
        let person = wanted.person.unwrap_or(PersonId::NOBODY);
        let entry = LogEntry { person, by: by.tag(), ..LogEntry::of(EntryKind::EnrolmentBegun) };
        let written = self.write(entry);
        written.ok_or(RequestError::StoreFault { part: Cause::Store })?;
        let number = self.enrolment.as_ref().map_or(0, Enrolment::number).wrapping_add(1);
        let now_ms = self.clock.monotonic_ms();
        self.enrolment = Some(Enrolment::begin(number, by, wanted, shots, now_ms));
        Ok(number)
    }

    /// Ends the enrolment if its time is over; the number of the one that is under way.
    pub(crate) fn enrolment_under_way(&mut self) -> Option<u32> {
        let now_ms = self.clock.monotonic_ms();
        let over = self.enrolment.as_ref().and_then(|enrolment| enrolment.over(now_ms));
        if let Some((end, cause)) = over {
            self.end_enrolment(end, cause);
        }
        self.enrolment.as_ref().filter(|held| held.is_under_way()).map(Enrolment::number)
    }

    /// Ends the enrolment of that number, if it is under way.
    pub(crate) fn end_enrolment_of(&mut self, number: u32, end: EnrolmentEnd) {
        if self.enrolment.as_ref().is_some_and(|held| held.number() == number) {
            self.end_enrolment(end, Cause::None);
        }
    }

    /// Ends the enrolment that is under way, if one is, with nobody more in the gallery.
    pub(super) fn end_enrolment(&mut self, end: EnrolmentEnd, cause: Cause) {
        if let Some(entry) = self.enrolment_ended(end, cause) {
            // Nothing holds by this entry, so that it is not owed where the log takes none: a start ends an enrolment too.
            self.write(entry);
        }
    }

    /// The enrolment that is under way has ended; the entry that says so.
    fn enrolment_ended(&mut self, end: EnrolmentEnd, cause: Cause) -> Option<LogEntry> {
        let enrolment = self.enrolment.as_mut().filter(|held| held.is_under_way())?;
        enrolment.end(end, cause);
        let (by, runner_up) = (enrolment.by().tag(), PersonId(end.code().into()));
        Some(LogEntry { runner_up, cause, by, ..LogEntry::of(EntryKind::EnrolmentEnded) })
    }

    /// Takes in what a frame shows; the pose if its embedding is wanted.
    pub(crate) fn enrolment_sees(&mut self, number: u32, seen: &Seen) -> Option<HeadPose> {
        let enrolment = self.enrolment.as_mut().filter(|held| held.number() == number)?;
        enrolment.sees(seen)
    }

    /// Takes the embedding of a frame that was wanted; true if it was taken. A face that is somebody's who is enrolled ends the enrolment,
    /// unless the enroller said that it shall not.
    pub(crate) fn enrolment_takes(
        &mut self,
        number: u32,
        seen: &Seen,
        pose: HeadPose,
        embedding: Embedding,
    ) -> bool {
        let Some(held) = self.enrolment.as_ref().filter(|held| held.number() == number) else {
            return false;
        };
        let (person, force) = (held.wanted().person, held.wanted().force);
        let threshold = held.shots().threshold();
        let found = self.resemblance(&embedding, person, threshold);
        let Some(held) = self.enrolment.as_mut() else { return false };
        if !held.takes(seen, pose, embedding) {
            return false;
        }
        // With every shot more is known of the face, and all of them are one face.
        let same = held.shots().mean().map_or(Ok(None), |mean| self.enrolled_again(&mean, person));
        match found.and_then(|found| Ok((found, same?))) {
            Ok((_, Some(other))) if !force => {
                self.enrolment_resembles(other);
                self.end_enrolment(EnrolmentEnd::SomebodyElse, Cause::AnotherPerson);
                false
            }
            Ok((found, _)) => {
                found.other.into_iter().for_each(|other| self.enrolment_resembles(other));
                true
            }
            Err(why) => {
                self.fail(Cause::Gallery, &why);
                false
            }
        }
    }

    /// The face of the enrolment resembles somebody else's.
    fn enrolment_resembles(&mut self, other: Candidate) {
        if let Some(held) = self.enrolment.as_mut() {
            held.resembles(other);
        }
    }

    /// Puts what was gathered into the gallery, as one durable change with its entry.
    ///
    /// # Errors
    /// [`NotKept`]; the gallery is then as before, and unless it only has not seen every pose the enrolment has ended.
    pub(crate) fn keep_enrolment(&mut self) -> Result<EnrolmentKept, NotKept> {
        let held = self.enrolment.as_ref().filter(|held| held.is_under_way());
        let held = held.ok_or(EnrolmentRefused::Unknown)?;
        if !held.is_enough() {
            return Err(EnrolmentRefused::NotEnough.into());
        }
        let (wanted, threshold) = (held.wanted().clone(), held.shots().threshold());
        let there = self.whom_to_keep(&wanted);
        let kept = there.and_then(|there| self.keep(&wanted, &there, threshold));
        let ended = match &kept {
            Ok(_) => return kept,
            Err(NotKept::Refused(RequestError::BadEnrolment(EnrolmentRefused::SomebodyElse {
                ..
            }))) => (EnrolmentEnd::SomebodyElse, Cause::AnotherPerson),
            Err(_) => (EnrolmentEnd::NotKept, Cause::None),
        };
        self.end_enrolment(ended.0, ended.1);
        kept
    }

    fn keep(
        &mut self,
        wanted: &Wanted,
        there: &Member,
        threshold: Threshold,
    ) -> Result<EnrolmentKept, NotKept> {
        let person = there.person.id;
        let free = usize::from(MAX_SLOTS).saturating_sub(there.templates.len());
        // Without room one goes. Who asks for a single template may have had it from `gallery/redundant` before, by this very rule.
        let goes = match (free, wanted.templates) {
            (0, 1) => self.most_redundant(person, None)?,
            _ => None,
        };
        if free == 0 && goes.is_none() {
            return Err(RequestError::SlotsFull { person, max: MAX_SLOTS }.into());
        }
        let held = self.enrolment.as_ref().ok_or(EnrolmentRefused::Unknown)?;
        let by = held.by().tag();
        let shots = held.shots().most_telling(free.max(1).min(usize::from(wanted.templates)));
        // Somebody may have come into the gallery since the frames were taken.
        let mean = held.shots().mean().ok_or(EnrolmentRefused::NotEnough)?;
        let same = self.enrolled_again(&mean, wanted.person);
        let same = same.map_err(|_| not_ready(Cause::Gallery))?;
        if let Some(other) = same.filter(|_| !wanted.force) {
            self.enrolment_resembles(other);
            return Err(EnrolmentRefused::SomebodyElse { other: Some(other.person) }.into());
        }
        let mut like_own = there.templates.is_empty();
        for shot in &shots {
            let found = self.resemblance(&shot.embedding, wanted.person, threshold);
            like_own |= found.map_err(|_| not_ready(Cause::Gallery))?.own.is_some();
        }
        if !like_own {
            return Err(EnrolmentRefused::UnlikeOwn { person }.into());
        }
        let (member, templates) = self.member_of(there, &shots, goes.map(|held| held.slot))?;
        let quality = templates.iter().map(|kept| kept.quality).max().unwrap_or(0);
        let entry = LogEntry { person, quality, by, ..LogEntry::of(EntryKind::Enrolled) };
        let changed = self.owing_nothing();
        changed
            .and_then(|journal| journal.store_mut().put_members(&[member]))
            .inspect_err(|error| self.owe_if_it_may_hold(error, entry))?;
        self.gallery_changed();
        // First, since a log that takes nothing is a fault, which would end it as one.
        let ended = self.enrolment_ended(EnrolmentEnd::Kept, Cause::None);
        // Somebody is enrolled whose entry is owed: the door stays locked until the log has it.
        let _ = self.write_or_owe(entry);
        if let Some(ended) = ended {
            self.write(LogEntry { person, quality, ..ended });
        }
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let generation = gallery.map_or(0, Gallery::generation);
        Ok(EnrolmentKept { person, added: wanted.person.is_none(), templates, generation })
    }

    /// The person as the gallery has them now, or somebody new.
    fn whom_to_keep(&self, wanted: &Wanted) -> Result<Member, NotKept> {
        let store = self.journal.as_ref().ok_or(not_ready(Cause::Store))?.store();
        let gallery = store.gallery().ok_or(not_ready(Cause::Gallery))?;
        match (wanted.person, gallery.named(&wanted.name)) {
            // Whoever was removed meanwhile is not brought back.
            (Some(person), _) => {
                let member = gallery.member(person).cloned();
                Ok(member.ok_or(RequestError::UnknownPerson { person })?)
            }
            (None, Some(member)) => {
                Err(RequestError::NameTaken { person: member.person.id }.into())
            }
            (None, None) => Ok(Member::of(store.fresh_person(wanted.name.clone())?, Vec::new())),
        }
    }

    /// What is put into the gallery: the shots' templates in the slot of one that goes, and in the lowest free ones.
    fn member_of(
        &self,
        there: &Member,
        shots: &[Shot],
        goes: Option<u8>,
    ) -> Result<(Member, heapless::Vec<TemplateKept, { MAX_SLOTS as usize }>), RequestError> {
        let embedder = self.embedder.as_ref().ok_or(not_ready(Cause::Model))?;
        let (model, person) = (embedder.id.tag(), there.person.id);
        let used = there.slots();
        let free = goes.into_iter().chain((0..MAX_SLOTS).filter(|slot| used >> slot & 1 == 0));
        let (mut templates, mut kept) = (Vec::new(), heapless::Vec::new());
        for (shot, slot) in shots.iter().zip(free) {
            let (scale, vector) = quantise(&shot.embedding);
            let quality = shot.quality;
            let vector = vector.into_iter().collect();
            let template = Template { person, slot, quality, model, scale, vector };
            template.check().map_err(RequestError::BadTemplate)?;
            templates.push(template);
            // Cannot fail: no more than there are slots.
            let _ = kept.push(TemplateKept { slot, quality, pose: shot.pose });
        }
        Ok((Member::of(there.person.clone(), templates), kept))
    }

    /// Whose means of templates are nearest to an enrolment's, but for one person's, and from which score on it is the same person.
    ///
    /// # Errors
    /// [`RequestError::NotReady`] without a gallery or a model, and [`RequestError::BadTemplate`] of another length.
    pub(crate) fn nearest_by_means(
        &self,
        mean: &Mean,
        but: Option<PersonId>,
    ) -> Result<(Option<Candidate>, Threshold), RequestError> {
        let embedder = self.embedder.as_ref().ok_or(not_ready(Cause::Model))?;
        let settled = self.settled.as_ref().ok_or(not_ready(Cause::Policy))?;
        let index = self.index.as_ref().ok_or(not_ready(Cause::Gallery))?;
        let (people, _) = self.gallery_size();
        let known = embedder.distributions.as_ref();
        let threshold = again::threshold(&settled.policy, embedder.metric, known, people);
        let nearest = index.nearest_by_means(mean, but).map_err(|_| {
            let len = mean.embedding().0.len() as u16;
            RequestError::BadTemplate(TemplateError::Length { len })
        })?;
        Ok((nearest, threshold))
    }

    /// Who is enrolled already with the face of an enrolment, but for one person.
    fn enrolled_again(
        &self,
        mean: &Mean,
        but: Option<PersonId>,
    ) -> Result<Option<Candidate>, String> {
        let found = self.nearest_by_means(mean, but);
        let (nearest, threshold) = found.map_err(|error| error.to_string())?;
        Ok(nearest.filter(|nearest| threshold.accepts(nearest.score)))
    }

    /// The template of somebody that tells the least beside the others and one more, if there is one more; `None` if that is the one more.
    ///
    /// # Errors
    /// [`RequestError::UnknownPerson`], and [`RequestError::NotReady`] without a gallery or a model.
    pub(crate) fn most_redundant(
        &self,
        person: PersonId,
        one_more: Option<(&Embedding, u8)>,
    ) -> Result<Option<Template>, RequestError> {
        let metric = self.embedder.as_ref().ok_or(not_ready(Cause::Model))?.metric;
        let store = self.journal.as_ref().ok_or(not_ready(Cause::Store))?.store();
        let gallery = store.gallery().ok_or(not_ready(Cause::Gallery))?;
        let member = gallery.member(person).ok_or(RequestError::UnknownPerson { person })?;
        if member.free_slot().is_some() {
            return Ok(None);
        }
        let of = |held: &Template| {
            let components = held.vector.iter().map(|&step| f32::from(step) * held.scale);
            (Embedding(components.collect()), held.quality)
        };
        let mut held: Vec<(Embedding, u8)> = member.templates.iter().map(of).collect();
        // The one more stands last: of two that are as alike and as good it is the one that goes, and nothing changes.
        held.extend(one_more.map(|(embedding, quality)| (embedding.clone(), quality)));
        let score = |one: &(Embedding, u8), other: &(Embedding, u8)| {
            metric.score(distance(metric, &one.0, &other.0))
        };
        let gone = most_redundant(&held, |_| true, score, |one| one.1);
        Ok(gone.and_then(|gone| member.templates.get(gone)).cloned())
    }

    fn resemblance(
        &self,
        embedding: &Embedding,
        person: Option<PersonId>,
        threshold: Threshold,
    ) -> Result<Resemblance, String> {
        let index = self.index.as_ref().ok_or("no gallery is loaded")?;
        let found = match person {
            Some(person) => index.verify(embedding, person),
            None => index.search(embedding),
        };
        let found = found.map_err(|error| error.to_string())?;
        let accepted = |it: Option<Candidate>| it.filter(|it| threshold.accepts(it.score));
        Ok(match person {
            Some(_) => Resemblance { own: accepted(found.best), other: accepted(found.runner_up) },
            None => Resemblance { own: None, other: accepted(found.best) },
        })
    }
}

fn not_ready(part: Cause) -> RequestError {
    RequestError::NotReady { part }
}
