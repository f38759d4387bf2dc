//! The trial of a version: whether what runs here for the first times does its work, and what follows from that.
//!
//! Owns what counts as that: every part of the unit in order (camera, the packs' golden vectors, the gallery under its model, the
//! store, the thread that answers administrators) for [`SETTLE`]; a unit that only its owner's policy keeps from deciding is in order.
//! Then the version confirms itself. With a part at fault for [`GIVE_UP`] the process ends to be started again, until the launcher goes
//! back; where there is nothing to go back to it stays and says what is wrong. Refuses to confirm a version that did not start whole.

use crate::notices::Notices;
use crate::state::{Ending, Shared};
use std::path::PathBuf;
use std::sync::MutexGuard;
use std::time::Duration;
use threshold_record::{EntryKind, LogEntry};
use threshold_slots::{
    Event, Folder, MAKER_VARIABLE, Maker, SLOT_VARIABLE, Slot, SlotError, Slots,
};
use threshold_wire::message::Armed;

/// How long every part has to be in order: the longest that a camera which stands still takes to be found, the look for repeated
/// pictures included, many times over.
pub const SETTLE: Duration = Duration::from_secs(30);

/// How long a part may be at fault: a camera that starts with the board takes some seconds.
pub const GIVE_UP: Duration = Duration::from_secs(60);

/// The slots that this program runs from, with their folder and its own slot; `None` if no launcher started it. Slots that cannot be
/// opened are told and are none: the door does not depend on them.
#[must_use]
pub fn slots(notices: &Notices) -> Option<(Slots, PathBuf, Slot)> {
    let program = std::env::current_exe().ok()?;
    let (folder, slot) = Folder::running(std::env::var_os(SLOT_VARIABLE), &program)?;
    let maker = PathBuf::from(std::env::var_os(MAKER_VARIABLE)?);
    let opened = Maker::read(&maker).and_then(|maker| Slots::open(&folder, maker, Some(slot)));
    match opened {
        Ok(slots) => Some((slots, folder, slot)),
        Err(error) => {
            notices.tell(&format!("no updates: {error}"));
            None
        }
    }
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
    /// True if the launcher has something to go back to.
    way_back: bool,
    /// Since when every part is in order, and since when one is at fault.
    in_order_ms: Option<u64>,
    at_fault_ms: Option<u64>,
    notices: Notices,
}

impl Trial {
    /// The trial of the version that runs, if it is on one.
    #[must_use]
    pub fn of(slots: Option<&Slots>, notices: &Notices) -> Self {
        let status = slots.and_then(|slots| slots.status().ok());
        let on_trial = status.filter(|status| status.is_on_trial());
        let way_back = on_trial.as_ref().is_some_and(|status| {
            let other = status.slots.iter().find(|slot| Some(slot.slot) != status.running);
            other.is_some_and(|slot| slot.version.is_ok())
        });
        let over = on_trial.is_none();
        if !over {
            notices.tell("this version is on trial: it is confirmed once every part is in order");
        }
        let notices = notices.clone();
        Self { over, way_back, in_order_ms: None, at_fault_ms: None, notices }
    }

    /// Looks how the unit stands, after a round of the loop. `answers` is true while the thread that answers administrators runs;
    /// `slots` gives the slots if nobody else works on them just now.
    pub fn look<'a>(
        &mut self,
        slots: impl FnOnce() -> Option<MutexGuard<'a, Slots>>,
        shared: &Shared,
        answers: bool,
    ) {
        if self.over {
            return;
        }
        let (armed, now_ms) = {
            let state = shared.lock();
            (state.armed(), state.clock().monotonic_ms())
        };
        let since = |begun: &mut Option<u64>| {
            Duration::from_millis(now_ms.saturating_sub(*begun.get_or_insert(now_ms)))
        };
        match armed {
            Armed::Starting => {}
            Armed::Armed | Armed::EmptyGallery | Armed::Refuses(_) if answers => {
                self.at_fault_ms = None;
                if since(&mut self.in_order_ms) >= SETTLE
                    && let Some(mut slots) = slots()
                {
                    self.confirm(&mut slots, shared);
                }
            }
            _ => {
                self.in_order_ms = None;
                if since(&mut self.at_fault_ms) >= GIVE_UP && self.way_back {
                    self.over = true;
                    let status = shared.lock().status();
                    self.notices.tell(&format!(
                        "the version on trial is not in order ({status}); it is started again, and after its last start the version before is"
                    ));
                    shared.lock().end(Ending::Reboot);
                }
            }
        }
    }

    fn confirm(&mut self, slots: &mut Slots, shared: &Shared) {
        match slots.confirm() {
            Ok(slot) => {
                self.over = true;
                self.notices.tell(&format!("the version in slot {slot} is confirmed"));
                tell(slots, shared, &self.notices);
            }
            // An owner was quicker, or another version was installed.
            Err(SlotError::NothingToConfirm) => self.over = true,
            Err(error) => {
                self.notices.tell(&format!("not confirmed: {error}"));
                self.in_order_ms = None;
            }
        }
    }
}
