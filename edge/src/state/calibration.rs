//! Calibration on the unit: whom each enrolled person is most like, what the log tells of strangers, and an owner's word that makes
//! of it a threshold in force.
//!
//! Owns the two pieces of work, which the loop does in slices while no visit is open ([`State::calibrate_a_little`]): each slice is
//! at most [`WORK`] comparisons, or one person's, or [`PAGE`] entries. Pairs are compared at the start and after each change of the gallery,
//! by the very index that decides; the log is read when an owner asks. Refuses to judge: `policy::calibrate` does; and to lower a
//! threshold.

use super::State;
use crate::journal::Journal;
use std::collections::BTreeMap;
use threshold_models::engine::Embedding;
use threshold_models::search::Index;
use threshold_policy::calibrate::{Asked, Visit, asked, is_stranger};
use threshold_policy::rule::{Derived, Refusal};
use threshold_policy::{Alike, Calibrated, Nearest};
use threshold_record::{
    Cause, EntryKind, KeyTag, LogEntry, ModelContext, PersonId, Reason, Score, ThresholdRule,
};
use threshold_store::{Gallery, Member, Store, StoreError};

/// Comparisons of one slice: 8 to 32 MB of vectors.
pub const WORK: usize = 65_536;

/// Log entries of one slice.
pub const PAGE: u64 = 256;

/// Log entries that are read at most, from the newest back.
pub const LOOK_BACK: u64 = 100_000;

/// Whom everybody is most like.
#[derive(Debug, Default)]
pub(super) struct Twins {
    /// As far as it was found out, for the decisions; in order of the people.
    nearest: Vec<Nearest>,
    /// What is found out now.
    found: Vec<Nearest>,
    /// The last person who was compared.
    after: PersonId,
    compared: usize,
    is_done: bool,
}

impl Twins {
    /// Begins anew: the gallery changed. Of whoever is still there what is known holds until it is found out again.
    pub(super) fn restart(&mut self, gallery: Option<&Gallery>) {
        let there = |person| gallery.is_some_and(|gallery| gallery.member(person).is_some());
        let mut nearest = std::mem::take(&mut self.nearest);
        nearest.retain(|one| there(one.person) && there(one.other));
        *self = Self { nearest, ..Self::default() };
    }

    /// Compares the next people with all others; true if it did something.
    fn go_on(&mut self, index: &Index, gallery: &Gallery) -> bool {
        if self.is_done {
            return false;
        }
        let mut work = 0;
        for member in gallery.members_after(self.after) {
            let cost = member.templates.len() * index.len();
            if work > 0 && work + cost > WORK {
                return true;
            }
            work += cost;
            self.after = member.person.id;
            self.compared += member.templates.len();
            self.found.extend(nearest_of(index, member));
        }
        self.nearest = std::mem::take(&mut self.found);
        self.is_done = true;
        true
    }
}

/// Whom a person's templates are most like; `None` of somebody without one, and of somebody who is alone.
fn nearest_of(index: &Index, member: &Member) -> Option<Nearest> {
    let person = member.person.id;
    let others = member.templates.iter().filter_map(|template| {
        let probe = template.vector.iter().map(|&step| f32::from(step) * template.scale).collect();
        index.verify(&Embedding(probe), person).ok()?.runner_up
    });
    let best = others.max_by(|a, b| a.score.0.total_cmp(&b.score.0))?;
    Some(Nearest { person, other: best.person, score: best.score })
}

/// A stranger's visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stranger {
    /// Its entry.
    pub sequence: u64,
    /// The most alike person.
    pub person: PersonId,
    /// How alike.
    pub score: Score,
    /// True if nobody was enrolled since.
    pub comparable: bool,
}

/// What the log tells of strangers.
#[derive(Debug, Default)]
pub struct Strangers {
    /// Entries that are still to be read.
    pub unread: u64,
    /// The strangers, the most alike first; none until all is read.
    pub strangers: Vec<Stranger>,
    /// Refusals that were left out as an enrolled person's.
    pub retries: u32,
    /// People, templates and the newest person when the reading began.
    people: u32,
    templates: u32,
    newest: PersonId,
    next: u64,
    /// The newest entry of an enrolment.
    enrolled: u64,
    /// The newest visit first.
    visits: Vec<Visit>,
    /// Whether the decision that was read last stands last among the visits, as one of whoever stayed unknown.
    unknown_last: bool,
    /// Whether a context record is one of the model in force.
    models: BTreeMap<u16, bool>,
}

impl Strangers {
    fn begin(store: &Store) -> Self {
        let head = store.log_head();
        let oldest = store.log_oldest().max(head.saturating_sub(LOOK_BACK) + 1);
        Self { unread: (head + 1).saturating_sub(oldest), next: head, ..Self::default() }
    }

    /// Reads a page.
    fn go_on(&mut self, store: &Store, model: &ModelContext) -> Result<(), StoreError> {
        let (count, last) = (self.unread.min(PAGE), self.next);
        let from = last + 1 - count;
        // An owner may have pruned the log since the last page: what is gone is not read, and nothing is read twice.
        let page = store.log_page(from, count as usize)?;
        for entry in page.iter().rev().filter(|entry| entry.sequence <= last) {
            let of_model = match self.models.get(&entry.context_model) {
                Some(&known) => known,
                None => {
                    let found = store.context(entry.context_model)?;
                    let found = found.and_then(|it| ModelContext::from_bytes(&it.bytes).ok());
                    let is = found.is_some_and(|found| found.id == model.id);
                    self.models.insert(entry.context_model, is);
                    is
                }
            };
            self.take(entry, of_model);
        }
        let is_pruned = from <= store.log_oldest();
        self.unread = if is_pruned { 0 } else { self.unread - count };
        self.next = from.saturating_sub(1);
        if self.unread == 0 {
            self.finish();
        }
        Ok(())
    }

    fn take(&mut self, entry: &LogEntry, of_model: bool) {
        match entry.kind {
            EntryKind::Enrolled | EntryKind::GalleryStaged => {
                self.enrolled = self.enrolled.max(entry.sequence)
            }
            // The decision after it is of a comparison with one person, which says nothing of strangers before the whole gallery.
            EntryKind::Claim if self.unknown_last => {
                self.visits.pop();
                self.unknown_last = false;
            }
            // A claim that a start cut off has no decision: the one before the start is another visit's.
            EntryKind::Boot => self.unknown_last = false,
            EntryKind::Decision => {
                let recognised = matches!(entry.reason, Reason::Matched | Reason::Schedule);
                let unknown = matches!(entry.reason, Reason::Unknown | Reason::TooFewFrames)
                    && entry.cause == Cause::None;
                self.unknown_last = false;
                if of_model && !entry.person.is_nobody() && (recognised || unknown) {
                    self.visits.push(Visit {
                        sequence: entry.sequence,
                        boot: entry.boot,
                        at_ms: entry.monotonic_ms,
                        person: entry.person,
                        score: entry.best_score,
                        recognised,
                    });
                    self.unknown_last = unknown;
                }
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        let mut visits = std::mem::take(&mut self.visits);
        visits.reverse();
        for (at, visit) in visits.iter().enumerate().filter(|(_, visit)| !visit.recognised) {
            let &Visit { sequence, person, score, .. } = visit;
            match is_stranger(&visits, at) {
                true => {
                    let comparable = sequence > self.enrolled;
                    self.strangers.push(Stranger { sequence, person, score, comparable });
                }
                false => self.retries += 1,
            }
        }
        self.strangers.sort_by(|a, b| b.score.0.total_cmp(&a.score.0));
    }
}

/// What a calibration would put in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WouldBe {
    /// What the strangers ask for; `None` of nobody.
    pub asked: Option<Asked>,
    /// The highest score of a stranger who counts.
    pub highest: Option<Score>,
    /// What is then in force.
    pub derived: Derived,
    /// Why it is not put in force; `None` if it may be.
    pub refusal: Option<Cause>,
    calibrated: Calibrated,
}

impl State {
    /// Does a slice of what a calibration needs; true if there was something to do. Called while no visit is open.
    pub fn calibrate_a_little(&mut self) -> bool {
        let Some(store) = self.journal.as_ref().map(|journal| journal.store()) else {
            return false;
        };
        if let (Some(index), Some(gallery)) = (&self.index, store.gallery())
            && self.twins.go_on(index, gallery)
        {
            return true;
        }
        if self.strangers.as_ref().is_none_or(|strangers| strangers.unread == 0) {
            return false;
        }
        let Some(model) = self.model_context() else { return false };
        let Some(store) = self.journal.as_ref().map(|journal| journal.store()) else {
            return false;
        };
        let Some(strangers) = &mut self.strangers else { return false };
        if let Err(error) = strangers.go_on(store, &model) {
            self.strangers = None;
            self.notices.tell(&format!("calibration: the log cannot be read: {error}"));
        }
        true
    }

    /// Whom each person is most like, for a decision.
    #[must_use]
    pub fn nearest(&self) -> &[Nearest] {
        &self.twins.nearest
    }

    /// Templates that were compared with all others; all of them once that is done.
    #[must_use]
    pub fn templates_compared(&self) -> (u32, bool) {
        (self.twins.compared as u32, self.twins.is_done)
    }

    /// What the log tells of strangers; `None` if nobody asked since the start.
    #[must_use]
    pub fn strangers(&self) -> Option<&Strangers> {
        self.strangers.as_ref()
    }

    /// Begins to read what the log tells of strangers, from its end as it is now.
    pub fn read_strangers(&mut self) {
        let ((people, templates), newest) = (self.gallery_size(), self.newest());
        let begin = |journal: &Journal| Strangers {
            people,
            templates,
            newest,
            ..Strangers::begin(journal.store())
        };
        self.strangers = self.journal.as_ref().map(begin);
    }

    /// The calibration in force: the one that was put in force for this model.
    #[must_use]
    pub fn calibration(&self) -> Option<&Calibrated> {
        let (settled, embedder) = (self.settled.as_ref()?, self.embedder.as_ref()?);
        settled.calibration.as_ref().filter(|one| one.model == embedder.id)
    }

    /// True if the gallery grew since the calibration in force.
    #[must_use]
    pub fn calibration_is_stale(&self) -> bool {
        let (people, templates) = self.gallery_size();
        self.calibration().is_some_and(|one| one.is_stale(people, templates, self.newest()))
    }

    /// What the shipped distributions lead to, whatever is calibrated; `None` without an embedder.
    #[must_use]
    pub fn shipped(&self) -> Option<Derived> {
        self.shipped
    }

    fn newest(&self) -> PersonId {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let people = gallery.into_iter().flat_map(Gallery::members);
        people.map(|member| member.person.id).max().unwrap_or(PersonId::NOBODY)
    }

    /// True if the gallery grew since the log was begun to be read: nobody in it was compared with those who came.
    #[must_use]
    pub fn grew_since(&self, strangers: &Strangers) -> bool {
        let (people, templates) = self.gallery_size();
        people > strangers.people
            || templates > strangers.templates
            || self.newest() > strangers.newest
    }

    /// What would be in force with what is known now, without these entries; `None` until all is known.
    #[must_use]
    pub fn would_be(&self, except: &[u64], by: KeyTag) -> Option<WouldBe> {
        let strangers = self.strangers.as_ref().filter(|strangers| strangers.unread == 0)?;
        let (settled, embedder) = (self.settled.as_ref()?, self.embedder.as_ref()?);
        if !self.twins.is_done {
            return None;
        }
        let fpir = match settled.rule {
            ThresholdRule::Target { fpir } => Some(fpir),
            ThresholdRule::Fixed { .. } => None,
        };
        // What is in force stays: only an owner who takes it away lowers anything.
        let held = self.calibration();
        let least = held.map_or(settled.policy.threshold, |one| one.threshold);
        let (people, templates) = self.gallery_size();
        let grew = self.grew_since(strangers);
        let counted = || strangers.strangers.iter().filter(|one| !except.contains(&one.sequence));
        let of = |one: &Stranger| one.score;
        let comparable: Vec<Score> =
            counted().filter(|one| one.comparable && !grew).map(of).collect();
        let all: Vec<Score> = counted().map(of).collect();
        // Too few to show anything: above all that ever came.
        let asked = asked(&comparable, fpir).filter(|one| one.shown).or_else(|| asked(&all, None));
        let above = asked.map(|asked| asked.threshold).filter(|one| *one > least);
        let calibrated = Calibrated {
            model: embedder.id,
            by,
            threshold: above.unwrap_or(least),
            people: strangers.people,
            templates: strangers.templates,
            newest: strangers.newest,
            // What stays rests on those whom it came from as well.
            strangers: held
                .filter(|_| above.is_none())
                .map_or(0, |one| one.strangers)
                .max(all.len() as u32),
        };
        let floor = Calibrated::floor(Some(&calibrated), &settled.policy, embedder.id);
        let each = f64::from(templates) / f64::from(people.max(1));
        let derived = self.derived_at(&floor, people, each)?;
        let why = |refusal: Refusal| refusal.why;
        let refusal = match floor.check() {
            Ok(()) => derived.refusal.map(why),
            // A score of 1 asks for a threshold that nobody reaches.
            Err(_) => Some(Cause::TooManyRefusals),
        };
        // One that the rule gives by itself is no reason against a calibration.
        let before = self.shipped()?.refusal.map(why);
        let refusal = refusal.filter(|_| refusal != before);
        Some(WouldBe { asked, highest: all.first().copied(), derived, refusal, calibrated })
    }

    /// An owner puts a calibration in force, if nothing is against it; true if it is.
    ///
    /// # Errors
    /// [`StoreError`]; everything is then as before.
    pub fn calibrate(&mut self, would_be: &WouldBe, by: KeyTag) -> Result<bool, StoreError> {
        if would_be.refusal.is_some() {
            return Ok(false);
        }
        if self.calibration() == Some(&would_be.calibrated) {
            return Ok(true);
        }
        let ceiling = self.nearest().iter().map(|one| one.score.0).fold(0.0, f32::max);
        let entry = LogEntry {
            by,
            best_score: would_be.highest.unwrap_or(Score(0.0)),
            runner_up_score: Score(ceiling),
            ..LogEntry::of(EntryKind::Calibrated)
        };
        let calibrated = would_be.calibrated;
        self.change_settled(entry, |settled| settled.calibration = Some(calibrated))?;
        Ok(true)
    }

    /// An owner takes the calibration away; nothing happens if there is none.
    ///
    /// # Errors
    /// [`StoreError`]; it may then still hold.
    pub fn drop_calibration(&mut self, by: KeyTag) -> Result<(), StoreError> {
        if self.settled.is_some_and(|settled| settled.calibration.is_none())
            && !self.settling_failed
        {
            return Ok(());
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::PolicySet) };
        self.change_settled(entry, |settled| settled.calibration = None)
    }

    /// Everybody who has the same face as this person, as far as the margin can tell, and the person.
    pub(super) fn of_one_face(&self, person: PersonId) -> Vec<PersonId> {
        let (policy, nearest) = (&self.derived.policy, self.nearest());
        let mut of_one_face = vec![person];
        let mut at = 0;
        while let Some(&one) = of_one_face.get(at) {
            let same = |pair: &&Nearest| {
                // What is no number takes nobody out of what speaks against an admission.
                pair.score.0.is_finite() && policy.alike(pair.score) == Alike::SameFace
            };
            for pair in nearest.iter().filter(same) {
                for (a, b) in [(pair.person, pair.other), (pair.other, pair.person)] {
                    if a == one && !of_one_face.contains(&b) {
                        of_one_face.push(b);
                    }
                }
            }
            at += 1;
        }
        of_one_face
    }
}
