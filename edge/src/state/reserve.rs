//! The reserve: how often the door admits while the medium is full, if its owner allowed that (safety rule 1).
//!
//! Owns the count. The log begins it with `reserve_opened` and has each admission behind that, so that no start resets it; only a
//! reserve that is held back again ends it, with `reserve_whole`. What is admitted is durable in the log itself before the lock
//! moves, as ever: the reserve is the room that this takes.
//! Refuses to help where the medium takes nothing for any other reason (read-only, gone, failing), and without the owner's leave:
//! the door is locked then.

use super::State;
use threshold_policy::rule::RESERVE_MOST;
use threshold_record::{Cause, EntryKind, KeyTag, LogEntry, PersonId, Reason};
use threshold_store::{FlashFault, Store, StoreError};
use threshold_wire::policy::ReserveStanding;

/// Entries that a start looks back at for the begin of the count.
const LOOK_BACK: u64 = 86_400;

/// Entries that are read at once.
const PAGE: u64 = 1024;

/// Time between two tries to hold the reserve back again, milliseconds: each writes as much as the medium has room for.
const AGAIN_MS: u64 = 60_000;

/// How the reserve stands.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    /// Admissions that are left, since the reserve is used; `None` while it is not.
    left: Option<u8>,
    /// When it is looked after next.
    due_ms: u64,
    /// This start found the medium full and has its room.
    is_used_by_start: bool,
}

impl State {
    /// Settles how often the door admits while the medium is full, at most [`RESERVE_MOST`] times. The room is held back before it
    /// is settled. Nothing happens if that holds already. While the medium is full only fewer can be settled, and not none: a count
    /// ends where there is room again, and with nothing else, since the door would admit without one.
    ///
    /// # Errors
    /// [`StoreError`], also where the room is missing; everything is then as before.
    pub fn settle_reserve(&mut self, admissions: u8, by: KeyTag) -> Result<(), StoreError> {
        let admissions = admissions.min(RESERVE_MOST);
        let left = self.reserve.left.filter(|_| (1..=self.reserve_settled()).contains(&admissions));
        if left.is_none() && (admissions > 0 || self.reserve.left.is_some()) {
            self.owing_nothing()?.store_mut().make_reserve()?;
        }
        if self.reserve_settled() != admissions || self.settling_failed {
            let entry = LogEntry { by, ..LogEntry::of(EntryKind::PolicySet) };
            self.change_settled(entry, |settled| settled.reserve = admissions)?;
        }
        if let Some(left) = left {
            self.count_from(left.min(admissions));
        }
        self.reserve.due_ms = 0;
        self.look_after_reserve();
        Ok(())
    }

    /// How often the owner lets the door admit while the medium is full.
    #[must_use]
    pub fn reserve_settled(&self) -> u8 {
        self.settled.map_or(0, |settled| settled.reserve)
    }

    /// How the reserve stands.
    #[must_use]
    pub fn reserve_standing(&self) -> ReserveStanding {
        let store = self.journal.as_ref().map(|journal| journal.store());
        let whole = store.is_some_and(|store| store.has_reserve() == Ok(true));
        match self.reserve.left {
            Some(left) => ReserveStanding::Open { left },
            None if self.reserve_settled() == 0 => ReserveStanding::None,
            None if whole => ReserveStanding::Whole,
            None => ReserveStanding::Missing,
        }
    }

    /// Takes up the count where the start before left it.
    pub(super) fn restore_reserve(&mut self) {
        let allowed = self.reserve_settled();
        let Some(journal) = self.journal.as_mut().filter(|_| allowed > 0) else { return };
        let store = journal.store_mut();
        let used = used(store);
        if used.is_none() && std::mem::take(&mut self.reserve.is_used_by_start) {
            // Cut off before this is written, the next start finds neither reserve nor count: nothing is left then.
            self.begin_count(allowed);
            return;
        }
        if used.is_none() && store.has_reserve() == Ok(true) {
            return;
        }
        // Without its beginning in sight nothing is left of the count. One that was not ended, though the reserve is held back again,
        // is ended now.
        let used = used.unwrap_or(u32::MAX);
        self.count_from(u8::try_from(u32::from(allowed).saturating_sub(used)).unwrap_or(0));
        self.look_after_reserve();
    }

    /// Uses the reserve for a log that found the medium full. True if the log has written that down, and goes on.
    pub(super) fn open_reserve(&mut self) -> bool {
        let allowed = self.reserve_settled();
        let whole = self.journal.as_ref().map(|journal| journal.store().has_reserve());
        if allowed == 0 || self.reserve.left.is_some() || whole != Some(Ok(true)) {
            return false;
        }
        let Some(journal) = self.journal.as_mut() else { return false };
        if let Err(error) = journal.store_mut().take_reserve() {
            // Nobody was admitted. If it is there still, the next visit tries again.
            self.notices.tell(&format!("reserve: its room is not given back: {error}"));
            return false;
        }
        self.begin_count(allowed)
    }

    /// The start found the medium full, and gave the reserve up to be written down.
    pub fn reserve_used_by_start(&mut self) {
        self.reserve.is_used_by_start = true;
    }

    /// Begins the count of a reserve that was given up. True if the log has written that down.
    fn begin_count(&mut self, allowed: u8) -> bool {
        // Whatever comes of it: from here on it is counted.
        self.reserve.left = Some(allowed);
        self.reserve.due_ms = self.clock.monotonic_ms().saturating_add(AGAIN_MS);
        self.notices.tell(&format!(
            "reserve: the medium is full, and the door admits {allowed} times more at most; {}",
            self.full_remedy()
        ));
        let entry = LogEntry {
            cause: Cause::Store,
            runner_up: PersonId(allowed.into()),
            ..LogEntry::of(EntryKind::ReserveOpened)
        };
        self.write_or_owe(entry).is_ok()
    }

    /// Somebody was admitted, durably.
    pub(super) fn count_admission(&mut self) {
        if let Some(left) = self.reserve.left {
            self.count_from(left.saturating_sub(1));
        }
    }

    fn count_from(&mut self, left: u8) {
        self.reserve.left = Some(left);
        if left == 0 {
            let remedy = self.full_remedy();
            let why =
                format!("the medium is full, and no admission is left of the reserve; {remedy}");
            self.fail(Cause::ReserveUsedUp, &why);
        }
    }

    /// What helps against a full medium.
    fn full_remedy(&self) -> &'static str {
        let place = self.journal.as_ref().map(|journal| journal.store().place());
        FlashFault::Full.remedy(place.unwrap_or_default())
    }

    /// Holds the reserve back again once there is room, and lets go of one that nobody wants. At most once a minute.
    pub fn look_after_reserve(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        if now_ms < self.reserve.due_ms || self.store_fault().is_some() {
            return;
        }
        self.reserve.due_ms = now_ms.saturating_add(AGAIN_MS);
        let allowed = self.reserve_settled();
        // What an owner settled is not known: nothing is changed.
        let Some(journal) = self.journal.as_mut().filter(|_| self.settled.is_some()) else {
            return;
        };
        let store = journal.store_mut();
        let held = match (allowed, store.has_reserve()) {
            (0, Ok(false)) => return self.end_count(),
            // Asked again in a minute.
            (0, _) => store.take_reserve(),
            (_, Ok(true)) => Ok(()),
            (_, _) => store.make_reserve(),
        };
        if held.is_ok() {
            self.end_count();
        }
    }

    /// The count has ended, once the log says so. What is held back again may have been the last room: it is the log's then, and the
    /// count goes on.
    fn end_count(&mut self) {
        if self.reserve.left.is_none() {
            return;
        }
        let entry = LogEntry::of(EntryKind::ReserveWhole);
        let written = self.name_again().and_then(|journal| journal.write(entry));
        match written {
            Ok(_) => {
                self.reserve.left = None;
                self.notices.tell("reserve: the medium has room again");
                self.mend(Cause::ReserveUsedUp);
            }
            Err(error) => {
                let journal = self.journal.as_mut().filter(|_| error.is_full());
                let taken = journal.map(|journal| journal.store_mut().take_reserve());
                if taken != Some(Ok(())) {
                    self.store_failed(&error);
                }
            }
        }
    }
}

/// Admissions since the reserve was opened; `None` if the log does not show that it was, or cannot be read.
fn used(store: &Store) -> Option<u32> {
    let head = store.log_head();
    let mut from = store.log_oldest().max(head.saturating_sub(LOOK_BACK) + 1);
    let mut used = None;
    while from <= head {
        let page = store.log_page(from, PAGE as usize).ok()?;
        for entry in &page {
            match (entry.kind, entry.reason) {
                (EntryKind::ReserveOpened, _) => used = Some(0),
                (EntryKind::ReserveWhole, _) => used = None,
                (EntryKind::Decision, Reason::Matched) => used = used.map(|used| used + 1),
                _ => {}
            }
        }
        from = page.last()?.sequence + 1;
    }
    used
}
