//! Another model's gallery that was pushed: its templates beside the unit's, for the version that the host sends next.
//!
//! Owns that only templates are taken, of people who are in the gallery by id and name: everything else of a person is the unit's.
//! Written down before anything is changed. Refuses the model that the unit runs, a unit that no version can be installed at, and
//! while one is on trial, which may yet be gone back from to what lies there.

use super::{BATCH_BYTES, BATCH_PEOPLE, Push, RECORD_BYTES, Staged, Work, checked, whole};
use crate::service::Room;
use crate::service::answers::{self, journal, refused};
use crate::service::reception::Asker;
use crate::state::State;
use crate::update::{self, Updates};
use threshold_record::{Cause, EntryKind, KeyTag, LogEntry};
use threshold_store::{Gallery, Member, Store, StoreError};
use threshold_wire::RequestError;
use threshold_wire::gallery::beside::{
    BesideTold, GalleryBeside, GalleryStage, GalleryStageTold, GalleryStaged,
};
use threshold_wire::gallery::content::{Content, PersonIn, Place};
use threshold_wire::gallery::{LeftOut, Why};
use threshold_wire::update::UpdateRefusal;

/// A gallery of another model that was checked and is staged.
#[derive(Debug)]
pub(super) struct Staging {
    content: Content,
    place: Place,
    so_far: GalleryStaged,
}

/// Puts the next people's templates beside the gallery.
pub(in crate::service) fn stage(
    desk: &mut Room<'_>,
    request: GalleryStage,
    asker: Option<Asker>,
) -> Result<GalleryStageTold, RequestError> {
    let asker = asker.ok_or(RequestError::InsecureLink)?;
    let push = whole(desk, request.transfer, asker)?;
    let Push { staged: Staged::Gallery(bytes), work, .. } = push else {
        return Err(RequestError::UnknownPush);
    };
    let Some(updates) = desk.shared.lock().updates().cloned() else {
        return Ok(GalleryStageTold::Refused(update::no_slots()));
    };
    let mut work = match work {
        Some(Work::Staging(staging)) => staging,
        Some(Work::Applying(_)) => return Err(RequestError::UnknownPush),
        None => {
            let content = checked(desk.shared, bytes)?;
            if let Err(refusal) = may_stage(&updates) {
                return Ok(GalleryStageTold::Refused(refusal));
            }
            match Staging::begin(&mut desk.shared.lock(), &updates, content, asker.tag())? {
                Ok(staging) => Box::new(staging),
                Err(refusal) => return Ok(GalleryStageTold::Refused(refusal)),
            }
        }
    };
    let mut state = desk.shared.lock();
    updates.staged(state.clock().monotonic_ms());
    let staged = work.step(&mut state)?;
    if !staged.done {
        let (staged, work) = (Staged::Gallery(Vec::new()), Some(Work::Staging(work)));
        *desk.push = Some(Push { staged, work, ..push });
    }
    Ok(GalleryStageTold::Staged(staged))
}

/// What lies beside the gallery.
pub(in crate::service) fn beside(state: &mut State) -> Result<BesideTold, RequestError> {
    let beside = journal(state)?.store().beside().map(|beside| GalleryBeside {
        model: beside.model,
        people: beside.people,
        templates: beside.templates,
        without: beside.without,
    });
    Ok(BesideTold { beside })
}

#[allow(clippy::result_large_err, reason = "it is made once, and goes into the answer as it is")]
fn may_stage(updates: &Updates) -> Result<(), UpdateRefusal> {
    updates.is_idle()?;
    let slots = updates.slots_now()?;
    let status = slots.status().map_err(|error| update::slots_refuse(&error))?;
    match status.trial {
        Some(_) => Err(update::trial_needs_it()),
        None => Ok(()),
    }
}

impl Staging {
    /// Makes a place for the content's templates; what lay there before is dropped.
    fn begin(
        state: &mut State,
        updates: &Updates,
        content: Content,
        by: KeyTag,
    ) -> Result<Result<Self, UpdateRefusal>, RequestError> {
        let model = content.origin.model;
        if answers::embedder(state)?.id == model {
            return Ok(Err(update::same_model()));
        }
        answers::gallery(state)?;
        let each = RECORD_BYTES as u64 + u64::from(content.components);
        let bytes = u64::from(content.templates).saturating_mul(each);
        if let Err(full) = updates.has_room(bytes, Updates::store_bytes(state)) {
            return Ok(Err(full));
        }
        let entry = LogEntry { by, ..LogEntry::of(EntryKind::GalleryStaged) };
        // First, so that nothing is taken that stands in no log.
        if state.owing_nothing().is_err() || state.write(entry).is_none() {
            return Err(RequestError::StoreFault { part: Cause::Store });
        }
        updates.staged(state.clock().monotonic_ms());
        changed(state, |store| store.begin_beside(model))?;
        let so_far = GalleryStaged {
            model,
            people: 0,
            templates: 0,
            left_out: heapless::Vec::new(),
            without: 0,
            done: false,
        };
        Ok(Ok(Self { content, place: Place::default(), so_far }))
    }

    fn step(&mut self, state: &mut State) -> Result<GalleryStaged, RequestError> {
        self.so_far.left_out.clear();
        let mut members: Vec<Member> = Vec::new();
        let mut bytes = 0;
        let mut place = self.place;
        let store = journal(state)?.store();
        let gallery = answers::gallery(state)?;
        for (held, behind) in self.content.people_from(place).take(BATCH_PEOPLE) {
            if bytes >= BATCH_BYTES || self.so_far.left_out.is_full() {
                break;
            }
            place = behind;
            if let Some(why) = why_not(store, gallery, &held) {
                let PersonIn { person, .. } = held;
                let left = LeftOut { person: person.id, name: person.name, why };
                let _ = self.so_far.left_out.push(left);
                continue;
            }
            let templates: Vec<_> = held.templates(self.content.origin.model.tag()).collect();
            let each = RECORD_BYTES + usize::from(self.content.components);
            bytes += RECORD_BYTES + templates.len() * each;
            if !templates.is_empty() {
                self.so_far.people += 1;
                self.so_far.templates += templates.len() as u32;
                members.push(Member::of(held.person, templates));
            }
        }
        let mut left = members.as_slice();
        while !left.is_empty() {
            let count = changed(state, |store| store.put_beside(left))?;
            left = left.get(count..).unwrap_or(&[]);
        }
        self.place = place;
        self.so_far.done = self.content.people_from(place).next().is_none();
        if self.so_far.done {
            let beside = journal(state)?.store().beside();
            self.so_far.without = beside.map_or(0, |beside| beside.without);
        }
        Ok(self.so_far.clone())
    }
}

/// Changes what lies beside the gallery; nothing that a decision rests on.
fn changed<T>(
    state: &mut State,
    change: impl FnOnce(&mut Store) -> Result<T, StoreError>,
) -> Result<T, RequestError> {
    let changed = state.owing_nothing().and_then(|journal| change(journal.store_mut()));
    state.tidy_later();
    changed.map_err(|error| refused(state, &error))
}

/// Why somebody's templates are not taken.
fn why_not(store: &Store, gallery: &Gallery, held: &PersonIn<'_>) -> Option<Why> {
    let person = &held.person;
    match gallery.member(person.id) {
        _ if store.was_removed(person.id) => Some(Why::Removed),
        Some(there) => (there.person.name != person.name).then_some(Why::OtherName),
        None => match gallery.named(&person.name) {
            Some(other) => Some(Why::OtherId { holder: other.person.id }),
            None => Some(Why::NotThere),
        },
    }
}
