//! What the loop and the service share: the journal, the search index, the lock-out, and which parts are at fault.
//!
//! Owns every change of these, so that a change and its log entry belong together; `decide` asks for the decisions. Derives the
//! threshold anew with each change of the gallery, in the same change, so that no decision
//! knows the larger gallery and the older threshold. Refuses to decide, and to stay armed with a part at fault.
//! One lock guards all of it. It is held for one change at a time, never while a network computes.

mod access;
mod calibration;
mod commission;
mod decide;
mod enrolment;
mod heat;
mod lockout;
mod mode;
mod prune;
mod reserve;
mod rule;
mod settings;

pub use calibration::{LOOK_BACK, PAGE, Stranger, Strangers, WORK, WouldBe};
pub use commission::{NotCommissioned, RecoveryRecord};
pub use decide::Decided;
pub(crate) use enrolment::NotKept;
pub use lockout::NoAttempt;
pub use mode::ReaderStanding;
pub use settings::NotSet;

use crate::clock::WallClock;
use crate::config::{ControllerConfig, Held};
use crate::enrolment::Enrolment;
use crate::heat::Level;
use crate::journal::{Journal, Wait};
use crate::notices::Notices;
use crate::stats::Stats;
use crate::unit::Clock;
use crate::update::Updates;
use crate::zone::Zone;
use access::Admissions;
use calibration::Twins;
use reserve::Reserve;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use threshold_models::search::Index;
use threshold_policy::rule::{Derived, Settled};
use threshold_policy::{Lockout, Policy};
use threshold_record::{
    Cause, Distributions, EnrolmentEnd, EntryKind, LogEntry, Metric, ModelContext, ModelId, Score,
    Threshold, WallTime,
};
use threshold_store::StoreError;
use threshold_wire::message::{Armed, EngineState};
use threshold_wire::policy::ReserveStanding;

/// The shared state behind its lock.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<State>>);

impl Shared {
    /// Puts a state behind a lock.
    #[must_use]
    pub fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// The state. A thread that panicked while it held the lock left a state that is at least whole: each change ends with
    /// one assignment, and the panic itself is a fault that disarms.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who the unit is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The unit's name.
    pub unit: String,
    /// The unit's build.
    pub build: &'static str,
    /// True if the line is obeyed although nobody on it is authenticated, while the unit has no administrator.
    pub insecure_link: bool,
    /// Where it stands in time.
    pub zone: Zone,
}

/// The embedder that the unit compares with.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbedderFacts {
    /// The pack.
    pub id: ModelId,
    /// The pack's name.
    pub name: String,
    /// How its distances are measured.
    pub metric: Metric,
    /// The crop rule in words.
    pub crop: String,
    /// Components of an embedding.
    pub embedding_len: usize,
    /// How its distances fall; `None` if nobody measured that.
    pub distributions: Option<Distributions>,
}

/// How a unit ends that was told to over the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It starts again.
    Reboot,
    /// It starts again, for the version before the one on trial.
    GoBack,
    /// It starts again as a new unit.
    Wiped,
}

/// How long a unit goes on that was told to end: so long its answer can be asked for again.
pub const LINGER_MS: u64 = 1_500;

/// How long it goes on beyond that at most, for somebody at the door: a visit and a pulse take less, but there may be a queue.
pub const WAIT_MS: u64 = 30_000;

/// The state of a running unit.
#[derive(Debug)]
pub struct State {
    identity: Identity,
    clock: Arc<dyn Clock>,
    notices: Notices,
    journal: Option<Journal>,
    /// The record of the recovery key.
    record: RecoveryRecord,
    embedder: Option<EmbedderFacts>,
    /// What the owner settled; `None` without an embedder, and if it cannot be read.
    settled: Option<Settled>,
    /// The last change of it failed: the flash may hold either rule.
    settling_failed: bool,
    /// What that leads to at the gallery as it is.
    derived: Derived,
    /// The same without a calibration; `None` as long as there is no embedder.
    shipped: Option<Derived>,
    /// The most templates of one person, and what it leads to where a face is compared with them alone.
    most_templates: u8,
    derived_for_most: Derived,
    reader: ReaderStanding,
    /// Whom each admission is told to, without lines if there is nobody.
    controller: ControllerConfig,
    lockout: Lockout,
    /// Attacks in a row after which it lasts until an administrator ends it.
    spoofs_most: u8,
    /// True if a presentation-attack detector judges.
    judges_attacks: bool,
    /// Who was admitted when.
    admissions: Admissions,
    /// How the reserve stands.
    reserve: Reserve,
    /// The entries of changes that hold, which the log did not take yet.
    owed: Vec<LogEntry>,
    /// Whether the log has such entries that are not durable yet.
    log_waits: bool,
    index: Option<Arc<Index>>,
    /// Counts the changes of the gallery since the start.
    index_number: u64,
    /// Whom everybody is most like.
    twins: Twins,
    /// What the log tells of strangers; `None` if nobody asked since the start.
    strangers: Option<Strangers>,
    /// Parts at fault with the reason and its remedy, in the order in which they failed.
    faults: Vec<(Cause, String)>,
    engine: Option<EngineState>,
    /// What the log says of the configuration since the processor computes in the place of a device.
    fell_back_to: Option<String>,
    started: bool,
    /// The store may have put something off since the gallery was loaded or changed.
    untidy: bool,
    /// What the log last said of the arming; `None` before it said anything.
    told: Option<Armed>,
    /// How it ends, and when.
    ending: Option<(Ending, u64)>,
    /// What it is updated by; `None` if it does not run from a slot.
    updates: Option<Updates>,
    /// What it was told to do.
    config: Option<Held>,
    /// The enrolment at the door that is under way, or that ended last.
    enrolment: Option<Enrolment>,
    /// What follows from the unit's heat, and how hot it is.
    heat: Level,
    temperature_mc: Option<i32>,
    stats: Stats,
}

impl State {
    /// A unit that is starting; without a journal its store is at fault.
    #[must_use]
    pub fn starting(
        identity: Identity,
        clock: Arc<dyn Clock>,
        notices: Notices,
        journal: Option<Journal>,
        record: RecoveryRecord,
    ) -> Self {
        let mut faults = match journal {
            Some(_) => Vec::new(),
            None => vec![(
                Cause::Store,
                "it could not be opened; the notice before says why".to_owned(),
            )],
        };
        if let Some(why) = record.fault() {
            notices.tell(&format!("fault: {}: {why}", Cause::NotCommissioned.text()));
            faults.push((Cause::NotCommissioned, why));
        }
        // No model, no threshold: this policy's check fails, so that nobody is admitted by it.
        let policy = Policy {
            threshold: Threshold(Score(f32::INFINITY)),
            ..Policy::for_model(Metric::SquaredL2, 0.0)
        };
        Self {
            identity,
            clock,
            notices,
            journal,
            record,
            embedder: None,
            settled: None,
            settling_failed: false,
            derived: Derived { policy, forecast: None, refusal: None },
            shipped: None,
            most_templates: 0,
            derived_for_most: Derived { policy, forecast: None, refusal: None },
            reader: ReaderStanding::None,
            controller: ControllerConfig::default(),
            lockout: Lockout::default(),
            spoofs_most: Lockout::SPOOFS,
            judges_attacks: false,
            admissions: Admissions::default(),
            reserve: Reserve::default(),
            owed: Vec::new(),
            log_waits: false,
            index: None,
            index_number: 0,
            twins: Twins::default(),
            strangers: None,
            faults,
            engine: None,
            fell_back_to: None,
            started: false,
            untidy: true,
            told: None,
            ending: None,
            updates: None,
            config: None,
            enrolment: None,
            heat: Level::Normal,
            temperature_mc: None,
            stats: Stats::default(),
        }
    }

    /// Who the unit is.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// The wall clock's time.
    #[must_use]
    pub fn now(&self) -> WallTime {
        self.journal.as_ref().map_or_else(|| self.clock.wall(), Journal::now)
    }

    /// Takes what the unit is updated by.
    pub fn set_updates(&mut self, updates: Updates) {
        self.updates = Some(updates);
    }

    /// What the unit is updated by; `None` if it does not run from a slot.
    #[must_use]
    pub fn updates(&self) -> Option<&Updates> {
        self.updates.as_ref()
    }

    /// How the loop fares.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// The same, for the loop to count in.
    pub fn stats_mut(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// The journal; `None` if the store could not be opened.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// The journal, to write contexts and to change the gallery; [`State::gallery_changed`] comes after a change.
    pub fn journal_mut(&mut self) -> Option<&mut Journal> {
        self.journal.as_mut()
    }

    /// True if somebody was paired, or if the store that would know it could not be opened.
    #[must_use]
    pub fn has_administrators(&self) -> bool {
        let journal = self.journal.as_ref();
        journal.is_none_or(|journal| !journal.store().roster().administrators().is_empty())
    }

    /// The embedder; `None` if it could not be loaded.
    #[must_use]
    pub fn embedder(&self) -> Option<&EmbedderFacts> {
        self.embedder.as_ref()
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.derived.policy
    }

    /// Takes the embedder that was loaded and tested, and the default policy of its scores. What an owner settled is read from
    /// the log.
    pub fn set_embedder(&mut self, embedder: EmbedderFacts, policy: Policy) {
        let now_ms = self.clock.monotonic_ms();
        self.restore_lockout(&policy);
        if let Some(journal) = &self.journal {
            let (admissions, error) = Admissions::read(journal.store(), now_ms);
            self.admissions = admissions;
            if let Some(error) = error {
                self.notices.tell(&format!(
                    "log: not all of the last admissions can be read, so that anti-passback keeps everybody waiting from now on: {error}"
                ));
            }
        }
        self.embedder = Some(embedder);
        self.restore_settled(policy);
    }

    /// What the log's entries call the embedder.
    #[must_use]
    pub fn model_context(&self) -> Option<ModelContext> {
        let embedder = self.embedder.as_ref()?;
        let name = threshold_wire::cut(&embedder.name);
        Some(ModelContext { id: embedder.id, name, metric: embedder.metric })
    }

    /// Says that every part was tried, and writes down whether the unit is armed.
    pub fn start_done(&mut self) {
        self.started = true;
        self.restore_reserve();
        self.tell_arming();
    }

    /// Whether the unit decides, or why not.
    #[must_use]
    pub fn armed(&self) -> Armed {
        if !self.started {
            return Armed::Starting;
        }
        match self.faults.first() {
            Some(&(part, _)) => Armed::Fault(part),
            None if let Some(why) = self.refusal() => Armed::Refuses(why),
            None if self.lockout.needs_unlocking() => Armed::Refuses(Cause::Spoofs),
            None if self.index.as_ref().is_none_or(|index| index.is_empty()) => Armed::EmptyGallery,
            None => Armed::Armed,
        }
    }

    /// How the unit stands, in one line; a fault with its remedy.
    #[must_use]
    pub fn status(&self) -> String {
        match (self.armed(), self.faults.first()) {
            (Armed::Fault(_), Some((part, why))) => format!("fault: {}: {why}", part.text()),
            (Armed::Refuses(cause), _) => format!("not armed: {}", cause.text()),
            (Armed::EmptyGallery, _) => {
                "armed, but nobody is enrolled: everybody is refused".to_owned()
            }
            (Armed::Starting, _) => "starting".to_owned(),
            _ if self.heat == Level::Throttled => {
                "armed, but the unit is hot, and searches two frames a second at most; shade it, or let air to it".to_owned()
            }
            _ if let ReserveStanding::Open { left } = self.reserve_standing() => {
                format!("armed, but the medium is full: {left} admissions more at most; free space")
            }
            _ => "armed".to_owned(),
        }
    }

    fn is_at_fault(&self, part: Cause) -> bool {
        self.faults.iter().any(|&(fault, _)| fault == part)
    }

    /// A part failed: from now on every visit is refused. Nothing happens if that is known already.
    pub fn fail(&mut self, part: Cause, why: &str) {
        if self.is_at_fault(part) {
            return;
        }
        self.notices.tell(&format!("fault: {}: {why}", part.text()));
        self.faults.push((part, why.to_owned()));
        self.tell_arming();
        if let Some(part) = self.cannot_enrol() {
            self.end_enrolment(EnrolmentEnd::Fault, part);
        }
    }

    /// A part works again.
    pub fn mend(&mut self, part: Cause) {
        if self.is_at_fault(part) {
            self.faults.retain(|(fault, _)| *fault != part);
            self.notices.tell(&format!("mended: {}", part.text()));
            self.tell_arming();
        }
    }

    /// The engine that was loaded last; `None` if there was none.
    #[must_use]
    pub fn engine(&self) -> Option<EngineState> {
        self.engine
    }

    /// An engine was loaded and passed its self-test.
    pub fn set_engine(&mut self, engine: EngineState) {
        self.engine = Some(engine);
    }

    /// The processor computes from now on, in the place of a device that failed: written down, and what follows in the log names
    /// the configuration as it is now.
    pub fn fell_back(&mut self, cause: Cause, why: &str, config: &str) {
        self.notices.tell(&format!(
            "{}: {why}; the processor computes in its place, and passed its self-test",
            cause.text()
        ));
        self.engine = Some(EngineState::FellBack);
        // Named before each entry from now on: what could not be named once is named before the next one.
        self.fell_back_to = Some(config.to_owned());
        let _ = self.write_or_owe(LogEntry { cause, ..LogEntry::of(EntryKind::FellBack) });
    }

    /// Writes down a change between armed and not armed, once each. An empty gallery is armed here: the unit decides.
    fn tell_arming(&mut self) {
        if !self.started {
            return;
        }
        let now = match self.armed() {
            Armed::EmptyGallery => Armed::Armed,
            other => other,
        };
        let was = self.told.replace(now);
        if was == Some(now) {
            return;
        }
        let entry = match (was, now) {
            (_, Armed::Armed) => {
                let nobody = match self.armed() {
                    Armed::EmptyGallery => ", but nobody is enrolled: everybody is refused",
                    _ => "",
                };
                let photo = match self.derived.policy.photo_opens() {
                    true => {
                        "A photo opens this door: presentation-attack detection is not installed"
                    }
                    false => "Presentation-attack detection is installed",
                };
                self.notices.tell(&format!("armed{nobody}. {photo}"));
                self.notices.tell(&self.threshold_words());
                LogEntry::of(EntryKind::Armed)
            }
            (_, Armed::Refuses(cause @ Cause::NotCommissioned)) => {
                self.notices.tell(
                    "not armed: nobody commissioned this unit with its owner's recovery key; threshold commission",
                );
                LogEntry { cause, ..LogEntry::of(EntryKind::Disarmed) }
            }
            (_, Armed::Refuses(cause @ Cause::NotAcknowledged)) => {
                self.notices.tell(
                    "not armed: a photo opens this door, and no owner acknowledged that; threshold policy acknowledge",
                );
                LogEntry { cause, ..LogEntry::of(EntryKind::Disarmed) }
            }
            (_, Armed::Refuses(cause @ Cause::Spoofs)) => {
                self.notices.tell(
                    "not armed: locked out after too many attacks in a row, until an administrator unlocks it; threshold unlock",
                );
                LogEntry { cause, ..LogEntry::of(EntryKind::Disarmed) }
            }
            (_, Armed::Refuses(cause)) => {
                self.notices.tell(&format!("not armed: {}", cause.text()));
                self.notices.tell(&self.threshold_words());
                LogEntry { cause, ..LogEntry::of(EntryKind::Disarmed) }
            }
            (Some(Armed::Armed), Armed::Fault(cause)) => {
                LogEntry { cause, ..LogEntry::of(EntryKind::Disarmed) }
            }
            (_, Armed::Fault(cause)) => LogEntry { cause, ..LogEntry::of(EntryKind::Fault) },
            _ => return,
        };
        let threshold = self.derived.policy.threshold.0;
        self.write(LogEntry { threshold, ..entry });
    }

    /// Writes an entry, behind what is owed. If that fails the store is at fault, which disarms.
    pub fn write(&mut self, entry: LogEntry) -> Option<LogEntry> {
        self.journal.as_ref()?;
        let written = self.name_again().and_then(|journal| journal.write(entry));
        match written {
            Ok(entry) => Some(entry),
            Err(error) => {
                self.store_failed(&error);
                None
            }
        }
    }

    /// Writes an entry that may wait to become durable, behind what is owed. If that fails the store is at fault, which disarms.
    pub fn write_soon(&mut self, entry: LogEntry, wait: Wait) -> Option<LogEntry> {
        self.journal.as_ref()?;
        let written = self.name_again().and_then(|journal| journal.write_soon(entry, wait));
        written.map_err(|error| self.store_failed(&error)).ok()
    }

    /// Makes entries durable that waited for as long as they may; gives the milliseconds until others have, `None` if none
    /// waits. If that fails the store is at fault, which disarms.
    pub fn commit_due(&mut self) -> Option<u64> {
        let journal = self.journal.as_mut()?;
        let committed = journal.commit_due();
        let again = journal.waits_ms();
        committed.unwrap_or_else(|error| {
            self.store_failed(&error);
            again
        })
    }

    /// Makes entries durable that wait, for whoever is about to read the log. If that fails the store is at fault, which disarms,
    /// and what was durable can be read.
    pub fn commit_waiting(&mut self) {
        let journal = self.journal.as_mut().filter(|journal| journal.store().has_waiting());
        if let Some(Err(error)) = journal.map(Journal::sync) {
            self.store_failed(&error);
        }
    }

    /// The journal, for a change whose entry comes after it: not while that of an earlier one is owed.
    ///
    /// # Errors
    /// [`StoreError`] without a log, and while one that works again has not taken what is owed.
    pub fn owing_nothing(&mut self) -> Result<&mut Journal, StoreError> {
        let owes_nothing = self.owes_nothing();
        self.journal.as_mut().filter(|_| owes_nothing).ok_or(StoreError::LogStopped)
    }

    /// Owes the entry of a change that came back with an error: but for a refusal, it may lie on the medium and hold from the next start
    /// on. One entry too many is better than one missing.
    pub fn owe_if_it_may_hold(&mut self, error: &StoreError, entry: LogEntry) {
        let is_refused = matches!(
            error,
            StoreError::Gallery(_)
                | StoreError::Administrator(_)
                | StoreError::NoGallery
                | StoreError::LogStopped
        );
        if !is_refused {
            self.store_failed(error);
            self.owed.push(entry);
        }
    }

    /// Writes the entry of a change that holds already. One that cannot be written is owed: the store is at fault, the door locked,
    /// and whatever entry comes next it is written before that one.
    ///
    /// # Errors
    /// [`StoreError`]; the entry is owed then, but not by a unit without a log, which could never pay it.
    pub fn write_or_owe(&mut self, entry: LogEntry) -> Result<LogEntry, StoreError> {
        if self.journal.is_none() {
            return Err(StoreError::LogStopped);
        }
        self.name_again().and_then(|journal| journal.write(entry)).inspect_err(|error| {
            self.store_failed(error);
            self.owed.push(entry);
        })
    }

    /// The same for many entries, in few batches.
    ///
    /// # Errors
    /// [`StoreError`]; those are owed then that the log does not take by itself before any other entry.
    pub fn write_all_or_owe(&mut self, entries: &[LogEntry]) -> Result<(), StoreError> {
        let journal = self.name_again().map_err(|error| (0, error));
        journal.and_then(|journal| journal.write_all(entries)).map_err(|(taken, error)| {
            self.store_failed(&error);
            self.owed.extend_from_slice(entries.get(taken..).unwrap_or(&[]));
            self.log_waits |= taken > 0;
            error
        })
    }

    /// Takes a wall clock that was set, with the entry that says so; durable on return.
    ///
    /// # Errors
    /// [`StoreError`]; the clock is then as before.
    pub fn set_wall(&mut self, wall: WallClock, entry: LogEntry) -> Result<(), StoreError> {
        self.name_again()?.set_wall(wall, entry).map(drop)
    }

    /// Lets the process end, as soon as its answer was there to be asked for again.
    pub fn end(&mut self, ending: Ending) {
        let due_ms = self.clock.monotonic_ms() + LINGER_MS;
        match ending {
            // Whatever it ended for before, it is another unit that starts.
            Ending::Wiped => self.ending = Some((ending, due_ms)),
            Ending::GoBack if !matches!(self.ending, Some((Ending::Wiped, _))) => {
                self.ending = Some((ending, due_ms));
            }
            Ending::GoBack => {}
            Ending::Reboot => drop(self.ending.get_or_insert((ending, due_ms))),
        }
    }

    /// How the process ends now; `None` while it goes on. While an entry is owed it is not started again: the next start would know
    /// the change and not what is owed. But a version on trial that is not in order goes back all the same: its log may never take
    /// anything, and a door that stays locked until somebody cuts the power would lose the entry as well.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        let now_ms = self.clock.monotonic_ms();
        let is_due = |&(ending, due_ms): &(Ending, u64)| {
            due_ms <= now_ms && (ending != Ending::Reboot || self.owes_nothing())
        };
        self.ending.filter(is_due).map(|(ending, _)| ending)
    }

    /// True once the process was told to end, whatever it still waits for.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.ending.is_some()
    }

    /// True if the log took everything that it is owed.
    #[must_use]
    pub fn owes_nothing(&self) -> bool {
        self.owed.is_empty() && !self.log_waits
    }

    /// Writes down that the unit stops now, behind what is owed. What the log does not take is told, and lost.
    pub fn stop(&mut self) {
        self.end_enrolment(EnrolmentEnd::Cancelled, Cause::None);
        self.write(LogEntry::of(EntryKind::Disarmed));
        for LogEntry { kind, person, .. } in &self.owed {
            self.notices.tell(&format!(
                "log: the entry of a change that holds is lost: {kind:?}, person {}; check the gallery before the next start",
                person.0
            ));
        }
        if self.log_waits {
            self.notices.tell("log: entries of changes that hold may be lost; check the gallery before the next start");
        }
        if self.journal.as_ref().is_some_and(|journal| journal.store().has_waiting()) {
            self.notices.tell("log: refusals and events that waited for the medium are lost");
        }
    }

    /// True if the end waits for a visit that is open or a pulse that runs. A wiped unit has nobody to wait for.
    #[must_use]
    pub fn may_wait(&self) -> bool {
        let now_ms = self.clock.monotonic_ms();
        self.ending.is_some_and(|(ending, due_ms)| {
            ending != Ending::Wiped && now_ms < due_ms.saturating_add(WAIT_MS)
        })
    }

    /// Forgets everything for good, and from then on decides nothing.
    ///
    /// # Errors
    /// [`StoreError`] if the secret may still be there.
    pub fn wipe(&mut self) -> Result<(), StoreError> {
        if self.journal.is_none() {
            return Err(StoreError::LogStopped);
        }
        // What was set goes first: a wipe that is cut off is finished by the next start, and that must not run with it.
        self.forget_config();
        let Some(journal) = self.journal.as_mut() else { return Err(StoreError::LogStopped) };
        journal.store_mut().wipe()?;
        self.notices.tell(
            "wiped: nothing that this unit knew can be read any more, but the record of its recovery key: it moves no lock before that key \
             commissions it",
        );
        (self.twins, self.strangers) = (Twins::default(), None);
        (self.journal, self.index, self.enrolment) = (None, None, None);
        self.index_number += 1;
        if let Some(Err(error)) = self.updates.as_ref().map(Updates::forget_before) {
            self.notices
                .tell(&format!("update: it stays noted how the unit stood before: {error}"));
        }
        self.owed.clear();
        self.log_waits = false;
        // Nothing is written any more that could say so.
        self.faults.push((Cause::Store, "the unit was wiped".to_owned()));
        self.end(Ending::Wiped);
        Ok(())
    }

    /// The store failed, or what keeps its secret, which has another remedy.
    pub fn store_failed(&mut self, error: &StoreError) {
        let part = if error.is_of_keys() { Cause::Keys } else { Cause::Store };
        self.fail(part, &error.to_string());
    }

    /// The part for which the store takes nothing; `None` while it does.
    fn store_fault(&self) -> Option<Cause> {
        [Cause::Keys, Cause::Store].into_iter().find(|&part| self.is_at_fault(part))
    }

    /// The store could not be opened for what keeps its secret, which is the fault to be told first: it has another remedy.
    pub fn keys_failed(&mut self, error: &StoreError) {
        self.faults.insert(0, (Cause::Keys, error.to_string()));
    }

    /// Tries a store that was at fault, or whose keeper was, again, by an entry that says so. One whose medium is full has the reserve, if its owner wants
    /// that.
    pub fn retry_store(&mut self) {
        let Some(cause) = self.store_fault().filter(|_| self.started) else { return };
        let entry = LogEntry { cause, ..LogEntry::of(EntryKind::Fault) };
        let written = self.name_again().and_then(|journal| journal.write(entry));
        let goes_on = match written {
            Ok(_) => true,
            Err(error) => error.is_full() && self.open_reserve(),
        };
        if goes_on {
            self.mend(Cause::Keys);
            self.mend(Cause::Store);
            // What a counter that made no step kept from being bound.
            self.untidy = true;
            // And what was counted meanwhile.
            self.save_lockout();
        }
    }

    /// Does one step of what the store put off until nobody is there. One that fails is told, and tried again after the next
    /// change of the gallery or the roster, once the store works again after a fault, or at the next start; whether the door may open is found by what is written down then. True if more is due.
    pub fn tidy_up(&mut self) -> bool {
        let Some(journal) = self.journal.as_mut().filter(|_| self.untidy) else { return false };
        let tidied = journal.store_mut().tidy_up();
        self.untidy = tidied == Ok(true);
        if let Err(error) = tidied {
            self.notices.tell(&format!("the store is not tidied: {error}"));
        }
        self.untidy
    }

    /// Drops what lies beside the gallery, if it is of that model. A store that does not take that is told, and asked again.
    pub fn drop_beside(&mut self, model: ModelId) {
        let Ok(journal) = self.owing_nothing() else { return };
        let store = journal.store_mut();
        if store.beside_model() != Some(model) {
            return;
        }
        let dropped = store.drop_beside();
        self.untidy = true;
        if let Err(error) = dropped {
            self.notices
                .tell(&format!("the templates of a model that nothing needs stay: {error}"));
        }
    }

    /// The store has something to put off until nobody is there.
    pub fn tidy_later(&mut self) {
        self.untidy = true;
    }

    /// Builds the search index anew: the gallery was loaded or changed.
    pub fn gallery_changed(&mut self) {
        self.untidy = true;
        self.index_number += 1;
        let (Some(journal), Some(embedder)) = (&self.journal, &self.embedder) else { return };
        let Some(gallery) = journal.store().gallery() else { return };
        self.twins.restart(Some(gallery));
        // A template of another length would be an error here and not a silent miss at the door.
        let right = gallery.templates().all(|held| held.vector.len() == embedder.embedding_len);
        match Index::new(embedder.metric, gallery.templates()) {
            Ok(index) if right => {
                self.derive();
                self.index = Some(Arc::new(index));
                self.tell_arming();
            }
            _ => {
                let why = "it holds templates of another length than the model's; restore a backup, or start the unit with \
                           --discard-templates and enrol everybody again";
                self.index = None;
                self.fail(Cause::Gallery, why);
            }
        }
    }

    /// The search index, for an engine that searches by itself; `None` while there is no gallery that may be searched.
    #[must_use]
    pub fn index(&self) -> Option<Arc<Index>> {
        self.index.clone()
    }

    /// Which search index it is, counted from the start; what was compared with another one is no evidence any more.
    #[must_use]
    pub fn index_number(&self) -> u64 {
        self.index_number
    }
}
