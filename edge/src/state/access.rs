//! Who may enter now: what is settled of a person, the local time, and the last admissions.
//!
//! Owns the order of a change: it is in the gallery, durably, before its entry; and the memory of who was admitted when, which a start
//! makes anew from the log. That memory needs no wall clock: each start's entries tell what passed in it, and the time in between
//! counts as none, so that pulling the plug lets nobody in earlier. Refuses to judge: `policy::access` does.

use super::State;
use crate::config::ControllerConfig;
use std::collections::BTreeMap;
use threshold_policy::rule::PASSBACK_MOST;
use threshold_policy::{Asking, Moment, may_enter};
use threshold_record::{
    Access, Cause, Credential, EntryKind, KeyTag, LogEntry, PersonId, Reason, Schedule, ScheduleId,
};
use threshold_store::{Store, StoreError};

/// Entries that a start looks back at: a day of a door that decides every second. Of a reader that is played with come as many.
const LOOK_BACK: u64 = 86_400;

/// Entries that are read at once.
const PAGE: u64 = 1024;

/// The longest that an admission is of interest, milliseconds.
const KEPT_MS: i64 = PASSBACK_MOST as i64 * 60_000;

/// When people were last admitted, in milliseconds of this start's monotonic clock; before this start, below zero. Of those a day
/// ago nothing is kept, so that it is as long as a day's admissions.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    of: BTreeMap<PersonId, i64>,
    /// Everybody else may have been admitted then, since older entries could not be read.
    unread_until_ms: Option<i64>,
}

impl Admissions {
    /// The admissions that the log tells of. Of entries that cannot be read, or that are more than it looks back at, whoever is not in
    /// later ones is taken as admitted by the last of them, so that nobody waits for less than is settled, whoever filled the log, and
    /// nobody for more than that from this start on; the second is the error if they cannot be read.
    pub(super) fn read(store: &Store, now_ms: u64) -> (Self, Option<StoreError>) {
        Self::look_back(store, now_ms, LOOK_BACK)
    }

    /// The same, of so many entries at most.
    fn look_back(store: &Store, now_ms: u64, most: u64) -> (Self, Option<StoreError>) {
        let mut admissions = Self::default();
        let (mut later_boot, mut later_ms) = (store.boot(), now_ms);
        // What passed since the entry, at least.
        let mut passed_ms = 0u64;
        let head = store.log_head();
        let oldest = store.log_oldest().max(head.saturating_sub(most) + 1);
        let mut end = head;
        while end >= oldest && end > 0 {
            let from = end.saturating_sub(PAGE - 1).max(oldest);
            let page = match store.log_page(from, (end - from + 1) as usize) {
                Ok(page) => page,
                Err(error) => {
                    admissions.older_unread(now_ms, passed_ms);
                    return (admissions, Some(error));
                }
            };
            for entry in page.iter().rev() {
                if entry.boot == later_boot {
                    passed_ms += later_ms.saturating_sub(entry.monotonic_ms);
                }
                (later_boot, later_ms) = (entry.boot, entry.monotonic_ms);
                let passed = i64::try_from(passed_ms).unwrap_or(i64::MAX);
                if passed > KEPT_MS {
                    return (admissions, None);
                }
                if entry.kind == EntryKind::Decision && entry.reason == Reason::Matched {
                    admissions.of.entry(entry.person).or_insert(now_ms.cast_signed() - passed);
                }
            }
            end = from - 1;
        }
        if oldest > 1 {
            admissions.older_unread(now_ms, passed_ms);
        }
        (admissions, None)
    }

    /// Entries from before what passed were not read: anybody may have been admitted in them.
    fn older_unread(&mut self, now_ms: u64, passed_ms: u64) {
        let passed = i64::try_from(passed_ms).unwrap_or(i64::MAX);
        self.unread_until_ms = Some(now_ms.cast_signed().saturating_sub(passed));
    }

    /// Somebody is admitted now.
    pub(super) fn note(&mut self, person: PersonId, now_ms: u64) {
        let now_ms = now_ms.cast_signed();
        self.of.retain(|_, &mut at_ms| now_ms.saturating_sub(at_ms) <= KEPT_MS);
        self.of.insert(person, now_ms);
    }

    /// What has passed since the person's last admission, milliseconds; `None` if that is a day ago, or there was none.
    fn since(&self, person: PersonId, now_ms: u64) -> Option<u64> {
        let at_ms = self.of.get(&person).copied().max(self.unread_until_ms)?;
        u64::try_from(now_ms.cast_signed().saturating_sub(at_ms)).ok()
    }
}

impl State {
    /// Whether somebody whom the face would admit may enter now.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_enter(&self, person: PersonId) -> Result<(), Cause> {
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        let gallery = gallery.ok_or(Cause::Gallery)?;
        let member = gallery.member(person).ok_or(Cause::Gallery)?;
        let access = member.access();
        let now = self.now();
        let moment = || {
            let unix_s = now.unix_ms / 1000;
            let minute_of_week = self.identity.zone.minute_of_week(unix_s)?;
            Some(Moment { unix_s, minute_of_week })
        };
        let asking = Asking {
            access: &access,
            schedule: access.schedule.and_then(|id| gallery.schedule(id)),
            moment: if now.trusted { moment() } else { None },
            since_admission_ms: self.admissions.since(person, self.clock.monotonic_ms()),
        };
        may_enter(&asking, self.settled.map_or(0, |settled| settled.passback_min))?;
        // An admission that the holder of the lock is never told of would be none.
        let untold = self.controller.holds_lock() && self.controller.card_of(&access).is_none();
        if untold { Err(Cause::NoCard) } else { Ok(()) }
    }

    /// There is a door controller that is told of each admission.
    pub fn set_controller(&mut self, controller: ControllerConfig) {
        self.controller = controller;
    }

    /// By which card the door controller is told of a person; `None` without such a card, and without a controller.
    pub(super) fn card_of(&self, person: PersonId) -> Option<Credential> {
        self.controller.lines()?;
        let gallery = self.journal.as_ref().and_then(|journal| journal.store().gallery());
        self.controller.card_of(&gallery?.member(person)?.access())
    }

    /// Settles what holds of a person besides the name, with the entry that says who did it.
    ///
    /// # Errors
    /// [`StoreError`]; what held before then holds until the next start.
    pub fn set_access(
        &mut self,
        person: PersonId,
        access: Access,
        by: KeyTag,
    ) -> Result<(), StoreError> {
        let entry = LogEntry { person, by, ..LogEntry::of(EntryKind::AccessSet) };
        self.change_access(entry, |store| store.set_access(person, access))
    }

    /// Puts a schedule, with the entry that says who did it.
    ///
    /// # Errors
    /// [`StoreError`]; what held before then holds until the next start.
    pub fn put_schedule(&mut self, schedule: Schedule, by: KeyTag) -> Result<(), StoreError> {
        let entry = schedule_entry(EntryKind::ScheduleSet, schedule.id, by);
        self.change_access(entry, |store| store.put_schedule(schedule))
    }

    /// Takes a schedule away, with the entry that says who did it.
    ///
    /// # Errors
    /// [`StoreError`]; what held before then holds until the next start.
    pub fn remove_schedule(&mut self, id: ScheduleId, by: KeyTag) -> Result<(), StoreError> {
        let entry = schedule_entry(EntryKind::ScheduleRemoved, id, by);
        self.change_access(entry, |store| store.remove_schedule(id))
    }

    fn change_access(
        &mut self,
        entry: LogEntry,
        change: impl FnOnce(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let changed = self.owing_nothing().and_then(|journal| change(journal.store_mut()));
        changed.inspect_err(|error| self.owe_if_it_may_hold(error, entry))?;
        self.untidy = true;
        self.write_or_owe(entry).map(drop)
    }
}

fn schedule_entry(kind: EntryKind, id: ScheduleId, by: KeyTag) -> LogEntry {
    LogEntry { runner_up: PersonId(id.0.into()), by, ..LogEntry::of(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_store::MockFlash;

    /// A log in which Ada was admitted a minute after the start, and the reader was played with since, an entry a second.
    fn log(n_played: u64) -> Store {
        let flash = MockFlash::new();
        let (mut store, _) = Store::open(Box::new(flash.clone()), flash.keys()).expect("a store");
        let boot = store.boot();
        let admitted = LogEntry {
            boot,
            person: PersonId(1),
            reason: Reason::Matched,
            monotonic_ms: 60_000,
            ..LogEntry::of(EntryKind::Decision)
        };
        let played = |nth| LogEntry {
            boot,
            reason: Reason::Unknown,
            monotonic_ms: 60_000 + nth * 1_000,
            ..LogEntry::of(EntryKind::Decision)
        };
        store.append(admitted).expect("an entry");
        for nth in 1..=n_played {
            store.append(played(nth)).expect("an entry");
            if nth % 20 == 0 {
                store.sync().expect("it is durable");
            }
        }
        store
    }

    #[test]
    fn a_log_that_somebody_filled_makes_nobody_wait_for_less() {
        let store = log(3_000);
        let now_ms = 60_000 + 3_001_000;
        let whole = Admissions::read(&store, now_ms).0;
        assert_eq!(whole.since(PersonId(1), now_ms), Some(3_001_000));
        assert_eq!(whole.since(PersonId(2), now_ms), None, "there was none");
        // What the filling pushed out of sight may have been anybody's admission, of just before.
        let filled = Admissions::look_back(&store, now_ms, 2_000).0;
        for person in [1, 2] {
            assert_eq!(filled.since(PersonId(person), now_ms), Some(2_000_000), "{person}");
        }
        assert_eq!(filled.since(PersonId(1), now_ms + 1_000_000), Some(3_000_000));
        // Of what is a day ago nobody asks.
        let long_ms = now_ms + KEPT_MS.unsigned_abs();
        let late = Admissions::look_back(&store, long_ms, 2_000).0;
        assert_eq!(late.since(PersonId(1), long_ms), None);
    }
}
