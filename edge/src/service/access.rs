//! What the unit answers of access: when a person may enter and by what the person is claimed, and of its schedules.
//!
//! Owns the checks before a change, and which number a new schedule gets. Refuses to change what somebody else changed since it was
//! looked at, so that nobody takes back a limit without having seen it.

use super::answers::{gallery, refused};
use crate::state::State;
use threshold_record::{Access, KeyTag, MAX_SCHEDULES, PersonId, Schedule, ScheduleId};
use threshold_wire::access::{
    AccessGot, AccessRefused, AccessSet, ScheduleDone, SchedulePage, SchedulePageRequest,
    ScheduleRemove, ScheduleSet,
};
use threshold_wire::{RequestError, cut};

/// What holds of a person.
pub(super) fn get(state: &State, person: PersonId) -> Result<AccessGot, RequestError> {
    let gallery = gallery(state)?;
    let member = gallery.member(person).ok_or(RequestError::UnknownPerson { person })?;
    let access = member.access();
    let schedule = access.schedule.and_then(|id| gallery.schedule(id)).cloned();
    let zone = cut(state.identity().zone.rule());
    Ok(AccessGot { person, access, schedule, zone, generation: gallery.generation() })
}

/// Settles what holds of a person; nothing happens if that holds already.
pub(super) fn set(
    state: &mut State,
    set: &AccessSet,
    by: KeyTag,
) -> Result<AccessGot, RequestError> {
    let AccessSet { person, was, access } = set;
    let held: Access = get(state, *person)?.access;
    if held != *access {
        if held != *was {
            return Err(RequestError::BadAccess(AccessRefused::Changed));
        }
        state.set_access(*person, access.clone(), by).map_err(|error| refused(state, &error))?;
    }
    get(state, *person)
}

/// Schedules in order of their numbers.
pub(super) fn page(
    state: &State,
    request: SchedulePageRequest,
) -> Result<SchedulePage, RequestError> {
    let zone = cut(state.identity().zone.rule());
    let mut page = SchedulePage { schedules: heapless::Vec::new(), more: false, zone };
    for schedule in gallery(state)?.schedules().filter(|held| Some(held.id) > request.after) {
        if page.schedules.push(schedule.clone()).is_err() {
            page.more = true;
            break;
        }
    }
    Ok(page)
}

/// Puts a schedule in place of the one of its name, or under the lowest number that is free; nothing happens if it is there.
pub(super) fn put(
    state: &mut State,
    set: &ScheduleSet,
    by: KeyTag,
) -> Result<ScheduleDone, RequestError> {
    let ScheduleSet { name, intervals } = set.clone();
    let gallery = gallery(state)?;
    let named = gallery.schedules().find(|held| held.name == name);
    let free = (1..=MAX_SCHEDULES).map(ScheduleId).find(|&id| gallery.schedule(id).is_none());
    let id = named.map(|held| held.id).or(free);
    let id = id.ok_or(RequestError::BadAccess(AccessRefused::SchedulesFull))?;
    let schedule = Schedule { id, name, intervals };
    if named != Some(&schedule) {
        state.put_schedule(schedule, by).map_err(|error| refused(state, &error))?;
    }
    done(state, id)
}

/// Takes a schedule away that nobody has.
pub(super) fn remove(
    state: &mut State,
    remove: ScheduleRemove,
    by: KeyTag,
) -> Result<ScheduleDone, RequestError> {
    let id = remove.id;
    gallery(state)?;
    state.remove_schedule(id, by).map_err(|error| refused(state, &error))?;
    done(state, id)
}

fn done(state: &State, id: ScheduleId) -> Result<ScheduleDone, RequestError> {
    Ok(ScheduleDone { id, generation: gallery(state)?.generation() })
}
