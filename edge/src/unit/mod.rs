//! The loop: from the camera's events to decisions, entries and pulses of the lock.
//!
//! Owns the traits that hardware implements, and the order of things in a visit. Refuses to judge: quality is measured by
//! `models`, the decision is made by `policy::decide`, the lock takes what the journal permits.
//! A visit begins when the camera announces somebody, or with the first face; it ends with its decision, with the
//! departure, or when no face has been seen for a while. One visit is one decision and one log entry.
//! A credential begins a visit of its own, whose frames are compared with the one whom it names.
//! While an enrolment is under way there is no visit: `enrol` says what becomes of the frames.

mod claim;
mod enrol;
mod look;
mod presence;
mod rest;
mod sign;
pub(crate) mod track;
mod visit;

pub use claim::{NoReader, Presented, Reader};
pub use sign::{Indicator, NoIndicator, Sign};

use crate::engines::Spare;
use crate::heat::Heat;
use crate::journal::Permit;
use crate::notices::Notices;
use crate::presentation::{self, AttackDetector};
use crate::state::{Decided, Shared};
use crate::stats::FrameCost;
use claim::ClaimRation;
use look::{Look, is_refused_anyway};
use presence::Presence;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};
use threshold_models::engine::{Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_models::quality::{self, QualityLimits};
use threshold_models::search;
use threshold_policy::{Candidate, Observation, Subject};
use threshold_record::{Cause, Decision, LogEntry, Presentation, Reason, WallTime};
use threshold_wire::message::Armed;
use visit::{FrameTimes, Visit};

/// What a camera tells.
#[derive(Debug)]
pub enum Event {
    /// Somebody is announced, by a presence sensor, a bell, or the next picture of a replay.
    Arrival,
    /// A frame.
    Frame(Frame),
    /// Whoever was announced has left.
    Departure,
    /// Nothing within the patience.
    Nothing,
}

/// The camera gives no frames.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CameraFault(pub String);

/// The lock did not take a pulse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LockFault(pub String);

/// Where frames come from.
pub trait Camera: Send {
    /// The next event, waited for no longer than `patience`.
    ///
    /// # Errors
    /// [`CameraFault`]; the loop refuses whoever is there and asks again.
    fn next(&mut self, patience: Duration) -> Result<Event, CameraFault>;

    /// What is known already to be wrong with it, without waiting: a unit must not say that it is armed without a camera.
    fn fault(&self) -> Option<CameraFault> {
        None
    }

    /// What the loop waited for while the last frame was made of what came: to decode it, and to see whether it is a new one.
    fn making(&self) -> Duration {
        Duration::ZERO
    }

    /// Takes back a frame that the loop is done with, for the memory that it is kept in.
    fn take_back(&mut self, frame: Frame) {
        drop(frame);
    }

    /// Frames since the start that a newer one took the place of before the loop asked.
    fn dropped(&self) -> u64 {
        0
    }
}

/// What a permit moves.
pub trait Lock: Send {
    /// Opens the door once.
    ///
    /// # Errors
    /// [`LockFault`]; the unit disarms.
    fn pulse(&mut self, permit: Permit) -> Result<(), LockFault>;

    /// What is to be written of admissions that a door controller was not told of, behind a pulse that failed; each entry once.
    fn untold(&mut self) -> Vec<LogEntry> {
        Vec::new()
    }

    /// True until the last pulse has ended.
    fn is_active(&self) -> bool {
        false
    }
}

/// The time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Milliseconds since the start of the process; never goes back.
    fn monotonic_ms(&self) -> u64;

    /// The wall clock.
    fn wall(&self) -> WallTime;
}

/// A visit that was not announced is over once no face was seen for so long: a turned head is not a departure.
const ABSENCE_MS: u64 = 1_000;

/// Longest visit: somebody who cannot be compared for so long gets an answer and may try again. A processor that
/// compares for seconds takes its time from nobody: see [`Visit::is_long`].
const VISIT_MS: u64 = 10_000;

/// After a decision, a face that stays in view begins the next visit after this rest: time to walk through an opened
/// door, or to read why it stayed locked.
const REST_MS: u64 = 3_000;

/// Where the loop stands.
enum Course {
    /// Nobody is there.
    Idle,
    /// A visit goes on.
    Open(Box<Visit>),
    /// The visit is decided and the person still there.
    Spent { announced: bool, since_ms: u64, face_ms: u64 },
}

/// A running unit.
pub struct Unit {
    camera: Box<dyn Camera>,
    lock: Box<dyn Lock>,
    indicator: Box<dyn Indicator>,
    reader: Box<dyn Reader>,
    claims: ClaimRation,
    /// What is shown now.
    shown: Sign,
    engine: Option<Box<dyn Engine>>,
    /// The gallery that it holds, by the number of the search index; `None` if it holds none that is known.
    held: Option<u64>,
    /// What takes its place when it fails.
    spare: Option<Spare>,
    /// What judges presentations; `None` if nothing does.
    attacks: Option<Box<dyn AttackDetector>>,
    /// What tells how hot the unit is; `None` if nothing does.
    heat: Option<Heat>,
    /// Until when a hot unit rests.
    rested_ms: u64,
    shared: Shared,
    clock: Arc<dyn Clock>,
    notices: Notices,
    limits: QualityLimits,
    presence: Presence,
    /// What the frame under way took so far.
    cost: FrameCost,
    /// The last frame held more than the engine has room for.
    overflowing: bool,
    course: Course,
    /// The enrolment that was under way at the last event.
    enrolment: Option<u32>,
}

impl Unit {
    /// A unit of these parts; without an engine nobody is compared, and its fault is in the shared state.
    #[must_use]
    pub fn new(
        camera: Box<dyn Camera>,
        lock: Box<dyn Lock>,
        engine: Option<Box<dyn Engine>>,
        shared: Shared,
        clock: Arc<dyn Clock>,
        notices: Notices,
    ) -> Self {
        let limits = QualityLimits::default();
        let (presence, cost) = (Presence::new(), FrameCost::default());
        let (overflowing, course, enrolment) = (false, Course::Idle, None);
        let (indicator, shown) = (Box::new(NoIndicator), Sign::Starting);
        let (reader, claims) = (Box::new(NoReader), ClaimRation::default());
        Self {
            camera,
            lock,
            indicator,
            reader,
            claims,
            shown,
            engine,
            held: None,
            spare: None,
            attacks: None,
            heat: None,
            rested_ms: 0,
            shared,
            clock,
            notices,
            limits,
            presence,
            cost,
            overflowing,
            course,
            enrolment,
        }
    }

    /// The same unit, with something that shows whoever is there how it goes.
    #[must_use]
    pub fn shown_by(self, indicator: Box<dyn Indicator>) -> Self {
        Self { indicator, ..self }
    }

    /// The same unit, with something that reads credentials.
    #[must_use]
    pub fn read_by(self, reader: Box<dyn Reader>) -> Self {
        Self { reader, ..self }
    }

    /// The same unit, with an engine to be made when this one fails.
    #[must_use]
    pub fn backed_by(self, spare: Option<Spare>) -> Self {
        Self { spare, ..self }
    }

    /// The same unit, with something that judges presentations.
    #[must_use]
    pub fn judged_by(self, attacks: Option<Box<dyn AttackDetector>>) -> Self {
        Self { attacks, ..self }
    }

    /// The same unit, doing less when it is hot.
    #[must_use]
    pub fn kept_cool_by(self, heat: Heat) -> Self {
        Self { heat: Some(heat), ..self }
    }

    /// Takes a credential, if one was read, and one event of the camera, and does what follows from it. A panic inside is a fault of the engine: whoever is
    /// there is refused, and the engine is not asked again until the next start.
    pub fn step(&mut self, patience: Duration) {
        if catch_unwind(AssertUnwindSafe(|| self.take(patience))).is_err() {
            self.engine = None;
            let why = "the program panicked; start the unit again, and report this with the log";
            self.shared.lock().fail(Cause::Engine, why);
            // The refusal is tried as well; whoever makes that panic too stays without an entry, and outside.
            if catch_unwind(AssertUnwindSafe(|| self.conclude())).is_err() {
                self.course = Course::Idle;
            }
        }
    }

    fn take(&mut self, patience: Duration) {
        // Bounded, and never while somebody waits for a decision.
        if !matches!(self.course, Course::Open(_)) {
            self.shared.lock().calibrate_a_little();
        }
        self.look_at_heat();
        if let Some(presented) = self.reader.next() {
            self.claim(presented);
        }
        let event = self.camera.next(patience);
        let enrolling = self.enrolling();
        match event {
            Ok(event) if let Some(number) = enrolling => self.enrol(number, event),
            Ok(Event::Arrival) => self.arrive(),
            Ok(Event::Frame(frame)) => {
                let start = Instant::now();
                self.cost = FrameCost::default();
                self.shared.lock().mend(Cause::Camera);
                self.frame(&frame);
                let whole = self.camera.making() + start.elapsed();
                let cost = FrameCost { whole, ..self.cost };
                self.camera.take_back(frame);
                self.shared.lock().stats_mut().frame(cost, self.camera.dropped());
            }
            Ok(Event::Departure) => {
                self.end();
                self.course = Course::Idle;
            }
            Ok(Event::Nothing) => self.time_passes(),
            Err(fault) => {
                self.shared.lock().fail(Cause::Camera, &fault.to_string());
                self.conclude();
                self.time_passes();
            }
        }
        // A camera that never rests shows an empty room as frames, so that this waits for no event of its own.
        if matches!(self.course, Course::Idle) {
            let mut state = self.shared.lock();
            state.tidy_up();
            state.lapse_lockout();
            state.look_after_reserve();
            let sign = match state.armed() {
                Armed::Fault(_) | Armed::Refuses(_) => Sign::Fault,
                _ => Sign::Idle,
            };
            drop(state);
            self.stay(sign);
        }
    }

    /// True while a visit is open or the lock is released.
    #[must_use]
    pub fn is_engaged(&self) -> bool {
        matches!(self.course, Course::Open(_)) || self.lock.is_active()
    }

    /// Shows a sign that lasts, if it is not shown already.
    fn stay(&mut self, sign: Sign) {
        if self.shown != sign {
            self.show(sign);
        }
    }

    fn show(&mut self, sign: Sign) {
        self.shown = sign;
        self.indicator.show(sign);
    }

    /// Somebody is announced: a visit begins, but for one whose credential was read and whom nobody has seen yet.
    fn arrive(&mut self) {
        if let Course::Open(visit) = &mut self.course
            && visit.is_claimed()
            && !visit.has_face()
        {
            visit.announced = true;
            return;
        }
        self.end();
        self.begin(Subject::Everybody, true, self.clock.monotonic_ms());
        self.refuse_if_at_fault();
    }

    /// A visit begins.
    fn begin(&mut self, subject: Subject, announced: bool, at_ms: u64) {
        let mut state = self.shared.lock();
        state.stats_mut().visit();
        state.retry_store();
        let visit = Visit::begin(subject, announced, at_ms, state.lockout());
        self.course = Course::Open(Box::new(visit));
    }

    /// Tells somebody who was announced at once that a part is at fault. Only a camera may mend by itself, so its fault
    /// waits for the frames.
    fn refuse_if_at_fault(&mut self) {
        let fault = self.shared.lock().standing(Subject::Everybody, Ok(())).fault;
        if fault.is_some_and(|part| part != Cause::Camera) {
            self.conclude();
        }
    }

    fn frame(&mut self, frame: &Frame) {
        if matches!(self.course, Course::Spent { announced: true, .. }) {
            return;
        }
        if !self.may_tell(frame) {
            return self.time_passes();
        }
        if self.engine.is_none() || self.rests() {
            return self.time_passes();
        }
        if matches!(self.course, Course::Idle) && !self.presence.asks_for_a_look(frame) {
            return;
        }
        if let Err(error) = self.follow_gallery() {
            return self.engine_failed(&error);
        }
        let (start, start_ms) = (Instant::now(), self.clock.monotonic_ms());
        let look = match self.look(frame) {
            Ok(look) => look,
            Err(error) => return self.engine_failed(&error),
        };
        let took = start.elapsed();
        match look.at_once {
            Some(_) => self.cost.embed = Some(took),
            None => self.cost.detect = Some(took),
        }
        let overflow = self.engine.as_ref().map_or(0, |engine| engine.overflow());
        if overflow > 0 && !self.overflowing {
            self.notices.tell(&format!(
                "detector: a frame has {overflow} proposals more than there is room for, so a face may be missed; \
                 a larger --min-face gives fewer, and so does no pattern before the camera"
            ));
        }
        self.overflowing = overflow > 0;
        let (at_ms, seen) = (frame.captured_at_ms, !look.faces.is_empty());
        // Nobody was looked for while this frame was searched: an absence counts from its end.
        let searched_ms = at_ms.max(self.clock.monotonic_ms());
        match &mut self.course {
            Course::Idle if seen => self.begin(Subject::Everybody, false, at_ms),
            Course::Idle => return self.searched(start_ms, seen),
            Course::Spent { since_ms, face_ms, .. } => {
                if seen {
                    *face_ms = searched_ms;
                }
                if !seen || at_ms.saturating_sub(*since_ms) < REST_MS {
                    self.searched(start_ms, seen);
                    return self.time_passes();
                }
                self.begin(Subject::Everybody, false, at_ms);
            }
            Course::Open(_) => {}
        }
        if seen {
            self.stay(Sign::Look);
        }
        self.observe(frame, &look, took);
        self.searched(start_ms, seen);
        self.ask();
        self.time_passes();
    }

    /// Takes what a frame tells into the visit's evidence.
    fn observe(&mut self, frame: &Frame, look: &Look, took: Duration) {
        let (at_ms, Look { faces, at_once }) = (frame.captured_at_ms, look);
        let quality = match at_once {
            Some(found) => {
                quality::assess_measured(faces, &self.limits, |_| found.compared.measures)
            }
            None => quality::assess(frame, faces, &self.limits),
        };
        let Course::Open(visit) = &mut self.course else { return };
        if let Some(face) = faces.first() {
            visit.face_seen(at_ms, self.clock.monotonic_ms(), face);
        }
        let (detect_ms, mut embed_ms) = match at_once {
            Some(_) => (0.0, ms(took)),
            None => (ms(took), 0.0),
        };
        let good = {
            let state = self.shared.lock();
            !is_refused_anyway(&state, visit)
                && quality.is_good()
                && quality.percent >= state.policy().quality_min
        };
        if good && !visit.may_compare_face() {
            // Whoever stays is asked again after the rest, in an attempt of its own.
            return self.conclude();
        }
        let observation = if good {
            let compared = match at_once {
                Some(found) => {
                    visit.compared(found.from_ms, found.to_ms);
                    visit.evidence.compared_with(found.index_number);
                    Ok(Some(found.compared.candidates))
                }
                None => {
                    let (start, start_ms) = (Instant::now(), self.clock.monotonic_ms());
                    let compared =
                        Self::compare(&self.shared, &mut self.engine, visit, frame, faces);
                    visit.compared(start_ms, self.clock.monotonic_ms());
                    if let Ok(Some(_)) = compared {
                        let embed = start.elapsed();
                        self.cost.embed = Some(embed);
                        embed_ms = ms(embed);
                    }
                    compared
                }
            };
            match compared {
                Ok(Some(found)) => {
                    let of = |candidate: search::Candidate| Candidate {
                        person: candidate.person,
                        score: candidate.score,
                    };
                    // The attempt is open: what is judged is counted.
                    let presentation = faces
                        .first()
                        .map(|face| presentation::assess(&mut self.attacks, frame, face));
                    Observation {
                        presentation: presentation.unwrap_or(Presentation::NotAssessed),
                        best: found.best.map(of),
                        runner_up: found.runner_up.map(of),
                        ..Observation::poor(at_ms, quality.percent, Cause::None)
                    }
                }
                Ok(None) => Observation::poor(at_ms, quality.percent, Cause::None),
                Err(error) => return self.engine_failed(&error),
            }
        } else {
            Observation::poor(at_ms, quality.percent, quality.cause)
        };
        visit.evidence.observe(observation);
        visit.timed(FrameTimes { at_ms, detect_ms, embed_ms });
    }

    fn engine_failed(&mut self, error: &EngineError) {
        (self.engine, self.held) = (None, None);
        self.shared.lock().fail(Cause::Engine, &format!("{error}; start the unit again"));
        self.conclude();
        self.fall_back(error);
    }

    /// Goes on with the spare engine, if there is one and it passes its self-test. The visit of the frame that failed has ended
    /// as a refusal by now; until the self-test is passed the unit is at fault, and stays so if it is not. A device that failed may have
    /// given the values that are no numbers too, so that it does not matter how it failed.
    fn fall_back(&mut self, error: &EngineError) {
        let Some(spare) = self.spare.take() else { return };
        match spare() {
            Ok((engine, config)) => {
                self.engine = Some(engine);
                let mut state = self.shared.lock();
                state.fell_back(Cause::DeviceLost, &error.to_string(), &config);
                state.mend(Cause::Engine);
            }
            Err(fault) => self
                .notices
                .tell(&format!("engine: the processor cannot take the GPU's place: {fault}")),
        }
    }

    /// Ends what time ends.
    fn time_passes(&mut self) {
        let now_ms = self.clock.monotonic_ms();
        match &mut self.course {
            Course::Open(visit) if !visit.announced || visit.is_claimed() => {
                // Whoever gave a credential has the whole time to look up; the claim ends with it, seen or not.
                let gone =
                    !visit.is_claimed() && now_ms.saturating_sub(visit.face_ms) >= ABSENCE_MS;
                let window = u32::from(self.shared.lock().policy().frames_window);
                let long = visit.is_long(now_ms, VISIT_MS, window);
                if gone || long {
                    self.conclude();
                }
            }
            Course::Spent { announced: false, since_ms, face_ms } => {
                let last_ms = (*face_ms).max(*since_ms);
                if now_ms.saturating_sub(last_ms) >= ABSENCE_MS {
                    self.course = Course::Idle;
                }
            }
            _ => {}
        }
    }

    /// Ends a visit that goes on; nothing otherwise.
    fn end(&mut self) {
        if matches!(self.course, Course::Open(_)) {
            self.conclude();
        }
    }

    /// Closes the visit that goes on and asks for its decision.
    fn conclude(&mut self) {
        if let Course::Open(visit) = &mut self.course {
            visit.evidence.close();
            self.ask();
        }
    }

    /// Asks for the decision, and does what it says: the permit, if there is one, goes to the lock.
    fn ask(&mut self) {
        let Course::Open(visit) = &mut self.course else { return };
        let mut state = self.shared.lock();
        // The gallery may have changed since the search, and with it the threshold.
        visit.evidence.compared_with(state.index_number());
        let now_ms = self.clock.monotonic_ms();
        let times = |at_ms| visit.stage_times(at_ms, now_ms);
        let decided = state.decide(&visit.evidence, visit.lockout, visit.attempt_open, times);
        let Some(Decided { decision, entry, permit }) = decided else { return };
        if entry.is_none() {
            let what = match decision {
                Decision::Admit(_) => {
                    "an admission was not written down, so the door stayed locked"
                }
                Decision::Refuse(_) => "a refusal was not written down",
            };
            self.notices.tell(&format!("log: {what}"));
        }
        let sign = match (decision, permit.map(|permit| self.lock.pulse(permit))) {
            (_, Some(Ok(()))) => Sign::Granted,
            (_, Some(Err(fault))) => {
                state.fail(Cause::Lock, &fault.to_string());
                for entry in self.lock.untold() {
                    // A store at fault keeps the door locked, and tells it.
                    let _ = state.write(entry);
                }
                Sign::Refused(Reason::Fault, Cause::Lock)
            }
            (Decision::Admit(_), None) => Sign::Refused(Reason::Fault, Cause::Store),
            (Decision::Refuse(reason), None) => {
                Sign::Refused(reason, entry.map_or(Cause::None, |entry| entry.cause))
            }
        };
        drop(state);
        let (announced, face_ms) = (visit.announced, visit.face_ms);
        self.course = Course::Spent { announced, since_ms: now_ms, face_ms };
        self.show(sign);
    }
}

fn ms(time: Duration) -> f32 {
    time.as_secs_f32() * 1e3
}

impl std::fmt::Debug for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unit").finish_non_exhaustive()
    }
}
