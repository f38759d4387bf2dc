//! What the unit answers of an enrolment at the door: begin, how it goes, keep, cancel.
//!
//! Owns the checks before one begins, and that nobody but who began it hears of it. Refuses a second one beside it, and to name to
//! anybody but an owner whom a face resembles.

use super::answers::{embedder, gallery, journal, refused};
use super::reception::Asker;
use crate::enrolment::{By, Enrolment, LONGEST_MS, SILENCE_MS, Wanted};
use crate::state::{NotKept, State};
use threshold_record::{EnrolmentEnd, MAX_SLOTS, PersonId, Role};
use threshold_store::Gallery;
use threshold_wire::RequestError;
use threshold_wire::enrolment::{
    EnrolmentBegin, EnrolmentBegun, EnrolmentKept, EnrolmentNumber, EnrolmentRefused,
    EnrolmentStatus,
};

/// Begins one, of a unit whose camera, networks, store and gallery work. That the door decides (commission, acknowledgement, lock-out) is
/// no condition, as with photos: an enrolment neither needs nor changes it.
pub(super) fn begin(
    state: &mut State,
    begin: &EnrolmentBegin,
    asker: Option<Asker>,
) -> Result<EnrolmentBegun, RequestError> {
    let EnrolmentBegin { name, templates, force } = begin.clone();
    journal(state)?;
    if let Some(part) = state.cannot_enrol() {
        return Err(RequestError::NotReady { part });
    }
    embedder(state)?;
    if state.enrolment_under_way().is_some() {
        return Err(RequestError::BadEnrolment(EnrolmentRefused::Busy));
    }
    if !(1..=MAX_SLOTS).contains(&templates) {
        return Err(RequestError::BadEnrolment(EnrolmentRefused::BadCount { most: MAX_SLOTS }));
    }
    let gallery = gallery(state)?;
    let there = gallery.named(&name);
    if let Some(member) = there
        && member.free_slot().is_none()
        && templates != 1
    {
        return Err(RequestError::SlotsFull { person: member.person.id, max: MAX_SLOTS });
    }
    let people = gallery.n_people() + usize::from(there.is_none());
    if people > Gallery::CAPACITY || gallery.n_templates() >= Gallery::CAPACITY {
        return Err(RequestError::GalleryFull { capacity: Gallery::CAPACITY as u32 });
    }
    let person = there.map(|member| member.person.id);
    let number = state.begin_enrolment(by(asker), Wanted { name, person, templates, force })?;
    Ok(EnrolmentBegun {
        number,
        person: person.unwrap_or(PersonId::NOBODY),
        silence_ms: SILENCE_MS as u32,
        longest_ms: LONGEST_MS as u32,
    })
}

/// How it goes; to ask keeps it going.
pub(super) fn get(
    state: &mut State,
    of: EnrolmentNumber,
    asker: Option<Asker>,
) -> Result<EnrolmentStatus, RequestError> {
    state.enrolment_under_way();
    let now_ms = state.clock().monotonic_ms();
    let held = own(state, of, asker)?;
    held.polled(now_ms);
    Ok(held.status(now_ms, is_owner(asker)))
}

/// Puts what was gathered into the gallery.
pub(super) fn keep(
    state: &mut State,
    of: EnrolmentNumber,
    asker: Option<Asker>,
) -> Result<EnrolmentKept, RequestError> {
    state.enrolment_under_way();
    let now_ms = state.clock().monotonic_ms();
    own(state, of, asker)?.polled(now_ms);
    state.keep_enrolment().map_err(|not| match not {
        NotKept::Refused(RequestError::BadEnrolment(EnrolmentRefused::SomebodyElse { other })) => {
            let other = other.filter(|_| is_owner(asker));
            RequestError::BadEnrolment(EnrolmentRefused::SomebodyElse { other })
        }
        NotKept::Refused(error) => error,
        NotKept::Store(error) => refused(state, &error),
    })
}

/// Ends it, with nothing kept; nothing happens if it has ended.
pub(super) fn cancel(
    state: &mut State,
    of: EnrolmentNumber,
    asker: Option<Asker>,
) -> Result<EnrolmentStatus, RequestError> {
    own(state, of, asker)?;
    state.end_enrolment_of(of.number, EnrolmentEnd::Cancelled);
    let now_ms = state.clock().monotonic_ms();
    Ok(own(state, of, asker)?.status(now_ms, is_owner(asker)))
}

/// The enrolment of that number, if who asks began it.
fn own(
    state: &mut State,
    of: EnrolmentNumber,
    asker: Option<Asker>,
) -> Result<&mut Enrolment, RequestError> {
    let by = by(asker);
    let held = state.enrolment_mut().filter(|held| held.number() == of.number && held.by() == by);
    held.ok_or(RequestError::BadEnrolment(EnrolmentRefused::Unknown))
}

fn by(asker: Option<Asker>) -> By {
    By { key: asker.and_then(|asker| asker.key) }
}

pub(super) fn is_owner(asker: Option<Asker>) -> bool {
    asker.is_some_and(|asker| asker.role == Role::Owner)
}
