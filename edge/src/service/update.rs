//! The update's rows, which are frozen: their answers, and a bundle's end of the transfer.
//!
//! Owns that whoever may not ask hears of it in the rows' own refusal, since a host of another version cannot read the errors of
//! this one. Refuses a bundle outside a session, as every bulk.

#![allow(
    clippy::result_large_err,
    reason = "a refusal is made once, and goes into the answer as it is"
)]

use super::Room;
use super::push::{Push, Staged};
use super::reception::Asker;
use crate::state::{Ending, ReaderStanding, Shared};
use crate::update::staging::{MAX_CONTENT_BYTES, Staging};
use crate::update::{self, Updates};
use threshold_record::{EntryKind, KeyTag, LogEntry, ModelId};
use threshold_slots::{SlotFault, SlotStatus, Slots, Standing, Status};
use threshold_wire::bulk::{Receiver, Window};
use threshold_wire::call::{EncodeError, Message, answer_message};
use threshold_wire::endpoints::{
    ApplyUpdate, Call, ConfirmUpdate, GetSlots, PushUpdate, RevertUpdate,
};
use threshold_wire::update::{
    self as wire, SlotState, SlotsTold, UpdateApplied, UpdateEnded, UpdatePush, UpdatePushed,
    UpdateRefusal,
};
use threshold_wire::{RequestError, cut};

/// The answer to a call of these rows; `refused` if whoever asks may not. `None` for every other call.
pub(super) fn answer(
    call: &Call,
    id: u32,
    asker: Option<Asker>,
    refused: Option<&RequestError>,
    desk: &mut Room<'_>,
) -> Option<Result<Message, EncodeError>> {
    let by = asker.map_or(KeyTag::NOBODY, Asker::tag);
    let updates = match refused {
        Some(refused) => Err(update::not_allowed(refused)),
        None => desk.shared.lock().updates().cloned().ok_or_else(update::no_slots),
    };
    Some(match call {
        Call::GetSlots(_) => {
            let told = updates.and_then(|updates| slots(&updates, desk.shared));
            let told = told.map_or_else(SlotsTold::Refused, SlotsTold::Told);
            answer_message::<GetSlots>(id, &Ok(told))
        }
        Call::PushUpdate(request) => {
            let pushed = updates.and_then(|updates| push(desk, &updates, request, asker));
            let pushed = pushed.unwrap_or_else(UpdatePushed::Refused);
            answer_message::<PushUpdate>(id, &Ok(pushed))
        }
        Call::ApplyUpdate(request) => {
            // What was pushed is read from now on, and written no more; of who may not ask, it goes on.
            if updates.is_ok()
                && let Some(mut push) = desk.push.take_if(|push| push.is_bundle())
            {
                push.settle();
            }
            let applied = updates.map(|updates| updates.apply(request, by, desk.shared));
            let applied = applied.unwrap_or_else(UpdateApplied::Refused);
            answer_message::<ApplyUpdate>(id, &Ok(applied))
        }
        Call::ConfirmUpdate(_) => {
            let ended = updates.and_then(|updates| confirm(&updates, by, desk.shared));
            answer_message::<ConfirmUpdate>(id, &Ok(ended_as(ended)))
        }
        Call::RevertUpdate(_) => {
            let ended = updates.and_then(|updates| revert(&updates, by, desk.shared));
            answer_message::<RevertUpdate>(id, &Ok(ended_as(ended)))
        }
        _ => return None,
    })
}

fn ended_as(ended: Result<(), UpdateRefusal>) -> UpdateEnded {
    ended.map_or_else(UpdateEnded::Refused, |()| UpdateEnded::Done)
}

/// Takes a bundle, from where it stopped if it came before.
fn push(
    desk: &mut Room<'_>,
    updates: &Updates,
    request: &UpdatePush,
    asker: Option<Asker>,
) -> Result<UpdatePushed, UpdateRefusal> {
    // Chunks travel in a session only, even on a line that is trusted without one.
    let by = asker.and_then(|asker| asker.key);
    let by = by.ok_or_else(|| update::not_allowed(&RequestError::InsecureLink))?;
    updates.is_idle()?;
    if desk.shared.lock().is_ending() {
        return Err(update::ending());
    }
    let bad = |_| {
        UpdateRefusal::new(UpdateRefusal::NO_ROOM, "no content has such a window; update the host")
    };
    let window = Window::USB.agreed(request.window).map_err(bad)?;
    // What comes now may lie in the file that the push before still writes.
    if let Some(mut before) = desk.push.take() {
        before.settle();
    }
    let (now_ms, store_bytes) = {
        let state = desk.shared.lock();
        (state.clock().monotonic_ms(), Updates::store_bytes(&state))
    };
    updates.heard(now_ms);
    let (staging, kept) = Staging::open(updates.staging(), request.content, store_bytes)?;
    let transfer = desk.transfer.wrapping_add(1);
    let receiver = Receiver::new(transfer, request.content, window, kept.as_ref(), now_ms);
    let receiver = receiver.map_err(bad)?;
    let progress = receiver.progress();
    (*desk.transfer, *desk.pull) = (transfer, None);
    let staged = Staged::Bundle(Box::new(staging));
    *desk.push = Some(Push::of(by, request.content, receiver, staged, now_ms));
    Ok(UpdatePushed::Go { transfer, window, progress })
}

/// How the slots stand.
fn slots(updates: &Updates, shared: &Shared) -> Result<wire::Slots, UpdateRefusal> {
    let (status, compatible, release_key) = {
        let slots = updates.slots_now()?;
        let maker = slots.maker();
        (told(slots.status())?, maker.compatible.clone(), maker.release_key)
    };
    let state = shared.lock();
    let gallery = state.journal().and_then(|journal| journal.store().gallery());
    let ModelId(model) = state.embedder().map_or(ModelId([0; 32]), |embedder| embedder.id);
    let words = match state.reader() {
        ReaderStanding::Failed(why) => format!("{}; reader: {why}", state.status()),
        _ => state.status(),
    };
    Ok(wire::Slots {
        compatible: cut(&compatible),
        counter: status.counter,
        release_key,
        serial: status.serial,
        longest: MAX_CONTENT_BYTES,
        model,
        people: gallery.map_or(0, |gallery| gallery.n_people() as u32),
        slots: status.slots.iter().map(|slot| slot_of(slot, &status, &words)).collect(),
    })
}

fn slot_of(held: &SlotStatus, status: &Status, words: &str) -> wire::Slot {
    let trial = status.trial.filter(|trial| trial.slot == held.slot);
    let running = status.running == Some(held.slot);
    let (state, said) = match (&held.version, held.standing) {
        (_, Standing::Empty) => (SlotState::Empty, String::new()),
        (Err(fault @ SlotFault::Texts(threshold_bundle::BundleError::Older { .. })), _) => {
            (SlotState::TooOld, fault.to_string())
        }
        (Err(fault), _) => (SlotState::Damaged, fault.to_string()),
        // Why it is not confirmed yet, as far as it knows itself.
        (Ok(_), _) if trial.is_some() => {
            (SlotState::Trial, if running { words.to_owned() } else { String::new() })
        }
        (Ok(_), Standing::Installed) => (SlotState::Failed, String::new()),
        (Ok(_), Standing::Confirmed) => (SlotState::Confirmed, String::new()),
    };
    let (version, counter) = held.version.as_ref().map_or(("", 0), |(v, c)| (v.as_str(), *c));
    wire::Slot {
        name: cut(held.slot.name()),
        version: cut(version),
        state: state as u8,
        running,
        counter,
        trials_left: trial.map_or(0, |trial| trial.left),
        bundle: held.manifest,
        said: cut(&said),
    }
}

/// Keeps what runs on trial.
fn confirm(updates: &Updates, by: KeyTag, shared: &Shared) -> Result<(), UpdateRefusal> {
    let mut slots = updates.slots_now()?;
    told(slots.confirm())?;
    tell(&mut slots, EntryKind::UpdateConfirmed, by, shared);
    Ok(())
}

/// Goes back to what ran before, which the next start is.
fn revert(updates: &Updates, by: KeyTag, shared: &Shared) -> Result<(), UpdateRefusal> {
    let mut slots = updates.slots_now()?;
    told(slots.revert())?;
    tell(&mut slots, EntryKind::Reverted, by, shared);
    shared.lock().end(Ending::Reboot);
    Ok(())
}

/// Writes down what was done to the slots. Where the log takes no entry, the next start tells of it.
fn tell(slots: &mut Slots, kind: EntryKind, by: KeyTag, shared: &Shared) {
    if shared.lock().write(LogEntry { by, ..LogEntry::of(kind) }).is_some() {
        let _ = slots.told();
    }
}

fn told<T>(outcome: Result<T, threshold_slots::SlotError>) -> Result<T, UpdateRefusal> {
    outcome.map_err(|error| update::slots_refuse(&error))
}
