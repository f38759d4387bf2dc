//! The journal: every event becomes a durable log entry, in the order in which it happened.
//!
//! Owns the store, and what every entry has in common: start, times, contexts. An entry is on flash when the call
//! returns, but for those of which nobody relies on that: a refusal and what merely happened wait for each other, as long
//! as [`Wait`] says and no longer, so that several share one write of the flash (`commits` sees to it). Whatever is made
//! durable takes everything before it along, so that the log's order is that of the calls. Only here a decision's
//! [`Admission`] becomes a [`Permit`], and only after its entry is durable (safety rule 1); the lock takes nothing else.

use crate::clock::WallClock;
use crate::unit::Clock;
use std::sync::Arc;
use std::thread::Thread;
use threshold_policy::{Admission, Outcome};
use threshold_record::{
    ClockContext, ContextError, ContextKind, Credential, LogEntry, PersonId, WallTime,
};
use threshold_store::{Proof, Pruned, Store, StoreError};
use threshold_wire::message::LOG_PRUNE_LEAVES;

/// Leave to move the lock once. Holding one proves that `policy::decide` admitted somebody and that the entry saying so
/// is durable.
#[derive(Debug)]
#[must_use = "a permit that nobody takes to the lock opens nothing"]
pub struct Permit {
    admission: Admission,
    sequence: u64,
    card: Option<Credential>,
}

impl Permit {
    /// The log entry of the admission.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Who is admitted.
    #[must_use]
    pub fn person(&self) -> PersonId {
        self.admission.person()
    }

    /// The card by which a door controller is told of the person; `None` if there is no such card, or no controller.
    #[must_use]
    pub fn card(&self) -> Option<Credential> {
        self.card
    }

    /// The same leave, with the card that the gallery holds for the person.
    pub(crate) fn with_card(self, card: Option<Credential>) -> Self {
        Self { card, ..self }
    }
}

/// Until what waits is tried again after the store failed, milliseconds.
const AGAIN_MS: u64 = 1_000;

/// What an entry is that may wait to become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// A decision that opens nothing.
    Refusal,
    /// Something that happened, of which no answer and no act depends on the log.
    Event,
}

impl Wait {
    /// How long it waits at most before its write begins, so that it is durable within 100 ms or a second: a medium may take
    /// the rest for the write.
    #[must_use]
    pub const fn ms(self) -> u64 {
        match self {
            Self::Refusal => 50,
            Self::Event => 900,
        }
    }
}

/// Stage times of a decision, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageTimes {
    /// Detection of the deciding frame; 0 if the engine did all in one go.
    pub detect_ms: f32,
    /// Embedding and search of the deciding frame, or all of one go.
    pub embed_ms: f32,
    /// First frame with the face to the decision.
    pub total_ms: f32,
}

/// Numbers of the context records in force; 0 where there is none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Contexts {
    model: u16,
    policy: u16,
    config: u16,
}

/// The open journal.
pub struct Journal {
    store: Store,
    clock: Arc<dyn Clock>,
    wall: WallClock,
    contexts: Contexts,
    /// Who sees to it that nothing waits for too long; without one nothing waits.
    committer: Option<Thread>,
    /// When what waits has to be made durable.
    due_ms: Option<u64>,
}

/// Why a journal cannot go on in a store.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// How far the wall clock had come cannot be read.
    #[error("the log's record of the clock: {0}")]
    Clock(#[from] ContextError),
}

impl Journal {
    /// A journal in an open store. It notes how far the wall clock had come, durably with the first entry: what the record says,
    /// or the last entry of the start before, which is trusted if any of that start is.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn new(mut store: Store, clock: Arc<dyn Clock>) -> Result<Self, JournalError> {
        let noted_ms = match store.last_context(ContextKind::Clock) {
            Some(bytes) => ClockContext::from_bytes(bytes)?.latest_ms,
            None => 0,
        };
        let last = store.log_page(store.log_head(), 1)?.pop().map(|entry| entry.wall);
        let last_ms = last.filter(|wall| wall.trusted).map_or(0, |wall| wall.unix_ms);
        let latest_ms = noted_ms.max(last_ms);
        if latest_ms > noted_ms {
            let bytes = ClockContext { latest_ms }.to_bytes()?;
            store.context_number(ContextKind::Clock, &bytes)?;
        }
        let wall = WallClock::not_set(latest_ms);
        let contexts = Contexts::default();
        Ok(Self { store, clock, wall, contexts, committer: None, due_ms: None })
    }

    /// The wall clock's time.
    #[must_use]
    pub fn now(&self) -> WallTime {
        self.wall.now(self.clock.as_ref())
    }

    /// The wall clock.
    #[must_use]
    pub fn wall(&self) -> &WallClock {
        &self.wall
    }

    /// Takes a wall clock that was set, with the entry that says so; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the clock is then as before.
    pub fn set_wall(&mut self, wall: WallClock, entry: LogEntry) -> Result<LogEntry, StoreError> {
        let before = std::mem::replace(&mut self.wall, wall);
        self.write(entry).inspect_err(|_| self.wall = before)
    }

    /// The store, to read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The store, to change the gallery and the lock-out.
    pub fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Names a context that is in force from now on.
    ///
    /// # Errors
    /// [`StoreError`] if its record could not be written.
    pub fn set_context(&mut self, kind: ContextKind, bytes: &[u8]) -> Result<(), StoreError> {
        let number = self.store.context_number(kind, bytes)?;
        match kind {
            ContextKind::Model => self.contexts.model = number,
            ContextKind::Policy => self.contexts.policy = number,
            ContextKind::Config => self.contexts.config = number,
            // No entry names one.
            ContextKind::Clock => {}
        }
        Ok(())
    }

    /// Writes an entry; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; whether the entry is in the log is then unknown.
    pub fn write(&mut self, entry: LogEntry) -> Result<LogEntry, StoreError> {
        let entry = self.filled(entry);
        self.store.commit(entry)
    }

    /// Lets entries wait from now on: that thread is unparked when one begins to, and asks [`Journal::commit_due`] until then.
    /// `None` lets nothing wait any more.
    pub fn let_wait(&mut self, committer: Option<Thread>) {
        self.committer = committer;
    }

    /// Writes an entry that may wait, and comes in the log's order here all the same; durable on return if nobody sees to what waits.
    ///
    /// # Errors
    /// [`StoreError`]; the entry is then not in the log, or it is not known whether it is.
    pub fn write_soon(&mut self, entry: LogEntry, wait: Wait) -> Result<LogEntry, StoreError> {
        let Some(committer) = &self.committer else { return self.write(entry) };
        let entry = self.filled(entry);
        let waits_already = self.store.has_waiting();
        let entry = self.store.append(entry)?;
        let due_ms = self.clock.monotonic_ms().saturating_add(wait.ms());
        let before = self.due_ms.filter(|_| waits_already);
        self.due_ms = Some(before.map_or(due_ms, |before| before.min(due_ms)));
        if before.is_none_or(|before| due_ms < before) {
            committer.unpark();
        }
        Ok(entry)
    }

    /// Makes what waits durable if its time has come; gives the milliseconds until it comes, `None` if nothing waits.
    ///
    /// # Errors
    /// [`StoreError`]; what waits is then tried again after a second, and with the next entry.
    pub fn commit_due(&mut self) -> Result<Option<u64>, StoreError> {
        let Some(due_ms) = self.due_ms.filter(|_| self.store.has_waiting()) else {
            self.due_ms = None;
            return Ok(None);
        };
        let left_ms = due_ms.saturating_sub(self.clock.monotonic_ms());
        if left_ms > 0 {
            return Ok(Some(left_ms));
        }
        let synced = self.store.sync();
        self.due_ms = match &synced {
            // A log that stopped takes nothing before the next start.
            Ok(()) | Err(StoreError::LogStopped) => None,
            Err(_) => Some(self.clock.monotonic_ms().saturating_add(AGAIN_MS)),
        };
        synced.map(|()| None)
    }

    /// Milliseconds until what waits is made durable; `None` if nothing waits, or nothing can be done for it.
    #[must_use]
    pub fn waits_ms(&self) -> Option<u64> {
        self.due_ms.map(|due_ms| due_ms.saturating_sub(self.clock.monotonic_ms()))
    }

    /// Writes many entries; durable on return, in few batches.
    ///
    /// # Errors
    /// [`StoreError`] with how many of them the log has or takes before any other entry; which of these are durable is unknown.
    pub fn write_all(&mut self, entries: &[LogEntry]) -> Result<(), (usize, StoreError)> {
        for (taken, &entry) in entries.iter().enumerate() {
            let entry = self.filled(entry);
            self.store.append(entry).map_err(|error| (taken, error))?;
        }
        self.store.sync().map_err(|error| (entries.len(), error))
    }

    /// Lets go of the oldest entries up to what is proven, and none from `before` on, with an entry that says so; `None` if there is
    /// nothing that may go.
    ///
    /// # Errors
    /// [`StoreError`]; it may be pruned all the same, entry and all.
    pub fn prune(
        &mut self,
        proof: &Proof,
        before: u64,
        entry: LogEntry,
    ) -> Result<Option<Pruned>, StoreError> {
        let entry = self.filled(entry);
        self.store.prune(proof, before, LOG_PRUNE_LEAVES, entry)
    }

    /// Makes everything durable that waits, and what the log has of entries that [`Journal::write_all`] left there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.store.sync()
    }

    /// An entry with what every one has.
    fn filled(&self, entry: LogEntry) -> LogEntry {
        LogEntry {
            boot: self.store.boot(),
            monotonic_ms: self.clock.monotonic_ms() & ((1 << 48) - 1),
            wall: self.now(),
            context_model: self.contexts.model,
            context_policy: self.contexts.policy,
            context_config: self.contexts.config,
            ..entry
        }
    }

    /// Writes a decision. An admission is durable on return, with everything before it, and comes back as a permit; a refusal may wait.
    ///
    /// # Errors
    /// [`StoreError`]; there is no permit then, whatever was decided.
    pub fn write_decision(
        &mut self,
        mut outcome: Outcome,
        times: StageTimes,
    ) -> Result<(LogEntry, Option<Permit>), StoreError> {
        let entry = LogEntry {
            detect_dms: tenths(times.detect_ms),
            embed_dms: tenths(times.embed_ms),
            total_dms: tenths(times.total_ms),
            ..outcome.entry()
        };
        let Some(admission) = outcome.take_admission() else {
            return Ok((self.write_soon(entry, Wait::Refusal)?, None));
        };
        let entry = self.write(entry)?;
        let permit = Permit { admission, sequence: entry.sequence, card: None };
        Ok((entry, Some(permit)))
    }
}

/// Milliseconds as the entry's tenths, saturated; `as` takes a NaN for 0.
fn tenths(ms: f32) -> u16 {
    (ms * 10.0).round() as u16
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Journal").field("contexts", &self.contexts).finish_non_exhaustive()
    }
}
