//! The trial of a version: whether what runs here for the first times does its work, and what follows from that.
//!
//! Owns what counts as that: every part of the unit in order (camera, the packs' golden vectors, the gallery under its model, the
//! store, the reader in every mode, the thread that answers administrators, and its answers to a hello and for the slots) for [`SETTLE`]; a unit that only its owner's policy keeps
//! from deciding is in order, unless it was armed when this version was installed: then it has to be armed, or locked out after attacks. One that finds fewer people
//! than there were then, those aside who were removed since, is not in order, since it may have read a full gallery as an empty one; nor is one at which the
//! processor took the place of the device that computed then.
//! Then the version confirms itself. With a part at fault for [`GIVE_UP`], or unconfirmed after [`DEADLINE`], the process ends to be
//! started again, until the launcher goes back; where there is nothing to go back to it stays and says what is wrong.
//! Owns, too, that a start waits a while for slots that somebody else looks at just then: without them the unit takes no update.
//! Refuses to confirm a version that did not start whole.

use crate::notices::Notices;
use crate::state::{Ending, ReaderStanding, Shared, State};
use crate::update::Before;
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::time::Duration;
use threshold_record::{Cause, EntryKind, LogEntry};
use threshold_slots::{
    Event, Folder, MAKER_VARIABLE, Maker, SLOT_VARIABLE, Slot, SlotError, Slots,
};
use threshold_wire::message::{Armed, EngineState};

/// How long every part has to be in order: the longest that a camera which stands still takes to be found, the look for repeated
/// pictures included, many times over.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How long a part may be at fault: a camera that starts with the board takes some seconds.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// How long one start may go on without being confirmed: one whose parts fail and mend in turn is neither in order nor at fault for
/// long.
pub const DEADLINE: Duration = Duration::from_secs(600);

/// How long a start waits for slots that another process holds, such as a look at them (`threshold-launch status`): the launcher lets
/// them go when it becomes this program, and whoever comes between keeps them for as long as his command takes.
const SLOTS_PATIENCE: Duration = Duration::from_secs(10);

/// Time between two tries.
const SLOTS_PAUSE: Duration = Duration::from_millis(50);

/// The folder of slots and the slot that this program runs from; `None` if no launcher started it.
#[must_use]
pub fn runs_from() -> Option<(PathBuf, Slot)> {
    let program = std::env::current_exe().ok()?;
    Folder::running(std::env::var_os(SLOT_VARIABLE), &program)
}

/// The slots that this program runs from, with their folder and its own slot; `None` if no launcher started it. Slots that cannot be
/// opened are told and are none: the door does not depend on them.
#[must_use]
pub fn slots(notices: &Notices) -> Option<(Slots, PathBuf, Slot)> {
    let (folder, slot) = runs_from()?;
    let maker = PathBuf::from(std::env::var_os(MAKER_VARIABLE)?);
    let opened = Maker::read(&maker).and_then(|maker| {
        let open = || Slots::open(&folder, maker.clone(), Some(slot));
        once_free(open, || std::thread::sleep(SLOTS_PAUSE))
    });
    match opened {
        Ok(slots) => Some((slots, folder, slot)),
        Err(error) => {
            notices.tell(&format!("no updates: {error}"));
            None
        }
    }
}

/// Opens slots, again for as long as another process holds them and [`SLOTS_PATIENCE`] lasts.
fn once_free<S>(
    mut open: impl FnMut() -> Result<S, SlotError>,
    mut pause: impl FnMut(),
) -> Result<S, SlotError> {
    let tries = SLOTS_PATIENCE.as_millis() / SLOTS_PAUSE.as_millis();
    for _ in 0..tries {
        match open() {
            Err(SlotError::Busy) => pause(),
            opened => return opened,
        }
    }
    open()
}

/// Writes down what happened to the slots and stands in no entry yet: the launcher went back, or the power went before it was told.
pub fn tell(slots: &mut Slots, shared: &Shared, notices: &Notices) {
    let told = slots.status().and_then(|status| {
        let kind = match status.untold {
            None => return Ok(()),
            Some(Event::OnTrial) => EntryKind::Updated,
            Some(Event::Confirmed) => EntryKind::UpdateConfirmed,
            Some(Event::WentBack) => EntryKind::Reverted,
        };
        // An entry that could not be written is a fault of the store, and is due again at the next start.
        match shared.lock().write(LogEntry::of(kind)) {
            Some(_) => slots.told(),
            None => Ok(()),
        }
    });
    if let Err(error) = told {
        notices.tell(&format!("slots: {error}"));
    }
}

/// A trial under way, or none.
#[derive(Debug)]
pub struct Trial {
    /// True if there is nothing to settle.
    over: bool,
    /// How the unit stood when this version was installed.
    before: Before,
    /// The launcher has nothing to go back to; looked for once, since every byte of it is read for that.
    stays: bool,
    /// When the loop began.
    begun_ms: Option<u64>,
    /// Since when every part is in order, and since when one is at fault.
    in_order_ms: Option<u64>,
    at_fault_ms: Option<u64>,
    notices: Notices,
}

impl Trial {
    /// The trial of the version that runs, if it is on one; `before` is how the unit stood when that version was installed.
    #[must_use]
    pub fn of(slots: Option<&Slots>, before: Before, notices: &Notices) -> Self {
        let status = slots.and_then(|slots| slots.status().ok());
        let over = !status.is_some_and(|status| status.is_on_trial());
        if !over {
            notices.tell("this version is on trial: it is confirmed once every part is in order");
        }
        Self {
            over,
            before,
            stays: false,
            begun_ms: None,
            in_order_ms: None,
            at_fault_ms: None,
            notices: notices.clone(),
        }
    }

    /// Looks how the unit stands, after a round of the loop. `answers` is asked while there is a trial, and says whether administrators
    /// are answered; `slots` gives the slots if nobody else works on them just now.
    pub fn look<'a>(
        &mut self,
        slots: impl FnOnce() -> Option<MutexGuard<'a, Slots>>,
        shared: &Shared,
        answers: impl FnOnce() -> bool,
    ) {
        if self.over {
            return;
        }
        let answers = answers();
        let (fault, now_ms) = {
            let state = shared.lock();
            (self.fault(&state, answers), state.clock().monotonic_ms())
        };
        let since = |begun: &mut Option<u64>| {
            Duration::from_millis(now_ms.saturating_sub(*begun.get_or_insert(now_ms)))
        };
        let late = since(&mut self.begun_ms) >= DEADLINE;
        match fault {
            None => {
                self.at_fault_ms = None;
                if since(&mut self.in_order_ms) >= SETTLE
                    && let Some(mut slots) = slots()
                {
                    self.confirm(&mut slots, shared, late);
                }
            }
            Some(fault) => {
                self.in_order_ms = None;
                if (since(&mut self.at_fault_ms) >= GIVE_UP || late)
                    && !self.stays
                    && let Some(slots) = slots()
                {
                    self.give_up(&slots, shared, &fault);
                }
            }
        }
    }

    /// What keeps the version from being confirmed; `None` if nothing does.
    fn fault(&self, state: &State, answers: bool) -> Option<String> {
        let (people, _) = state.gallery_size();
        // Each removal since leaves a tombstone, which belongs to no version.
        let removed = state.journal().map(|journal| journal.store().n_removed());
        let removed =
            removed.zip(self.before.removed).map_or(0, |(now, then)| now.saturating_sub(then));
        match (state.armed(), state.reader()) {
            (Armed::Starting | Armed::Fault(_), _) => Some(state.status()),
            _ if !answers => Some("administrators are not answered, so that nobody could update this version".to_owned()),
            // Whatever the mode: no version may take badges away from those who have them.
            (_, ReaderStanding::Failed(why)) => Some(format!("fault: reader: {why}")),
            // What its owner gave it this version does not find. Attacks say nothing of it: nobody at the door may choose the version.
            (Armed::Refuses(cause), _) if self.before.armed && cause != Cause::Spoofs => {
                Some(format!("{}; before the update the unit was armed", state.status()))
            }
            _ if people.saturating_add(removed) < self.before.people => Some(format!(
                "the gallery has {people} people, and before the update it had {}, of whom {removed} were removed since; if that \
                 is right all the same, threshold confirm keeps this version",
                self.before.people
            )),
            // Slower than what was chosen, and nobody may have noticed: the kernels of this version do not work here.
            _ if self.before.device && state.engine() == Some(EngineState::FellBack) => Some(
                "the processor computes in the place of the GPU; before the update the GPU computed; if it is the GPU that \
                 failed since, threshold confirm keeps this version"
                    .to_owned(),
            ),
            _ => None,
        }
    }

    fn confirm(&mut self, slots: &mut Slots, shared: &Shared, late: bool) {
        match slots.confirm() {
            Ok(slot) => {
                self.over = true;
                self.notices.tell(&format!("the version in slot {slot} is confirmed"));
                tell(slots, shared, &self.notices);
            }
            // An owner was quicker, or another version was installed.
            Err(SlotError::NothingToConfirm) => self.over = true,
            Err(error) => {
                self.in_order_ms = None;
                match late && !self.stays {
                    true => self.give_up(slots, shared, &format!("not confirmed: {error}")),
                    false => self.notices.tell(&format!("not confirmed: {error}")),
                }
            }
        }
    }

    /// Has the process end to be started again, if what the launcher goes back to after the last start is there.
    fn give_up(&mut self, slots: &Slots, shared: &Shared, why: &str) {
        match slots.way_back() {
            Ok(_) => {
                self.over = true;
                self.notices.tell(&format!(
                    "the version on trial is not in order ({why}); it is started again, and after its last start the version before is"
                ));
                shared.lock().end(Ending::GoBack);
            }
            Err(error) => {
                self.stays = true;
                self.notices.tell(&format!(
                    "the version on trial is not in order ({why}), and stays: {error}; it is confirmed once every part is in order"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_that_another_process_holds_are_waited_for_and_no_other_error_is() {
        let check = |held_for: u32, then: fn() -> Result<u8, SlotError>| {
            let (mut tries, mut pauses) = (0, 0);
            let open = || {
                tries += 1;
                if tries > held_for { then() } else { Err(SlotError::Busy) }
            };
            let opened = once_free(open, || pauses += 1);
            (opened.map_err(|error| error.to_string()), pauses)
        };
        assert_eq!(check(0, || Ok(7)), (Ok(7), 0));
        assert_eq!(check(3, || Ok(7)), (Ok(7), 3));
        let damaged = SlotError::StateDamaged.to_string();
        assert_eq!(check(3, || Err(SlotError::StateDamaged)), (Err(damaged), 3));
        // No longer than its patience: 10 s of tries every 50 ms.
        assert_eq!(check(u32::MAX, || Ok(7)), (Err(SlotError::Busy.to_string()), 200));
    }
}
