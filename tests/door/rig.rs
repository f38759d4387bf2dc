//! A unit on a bench: the real loop, state, service, store and policy, with parts that do what a test says (`parts`), over a line that is
//! called by hand here, a line of faults (`faulty`), or a real pseudo-terminal (`terminal`).
//!
//! A frame shows nobody, or a face that belongs to a number; the engine's embedding of number `n` is the `n`th axis, so
//! that two numbers are as unlike as can be. The frame's pixels are such that the real quality measures pass.
//! The lock looks at each pulse what a power cut at that instant would leave of the log.

mod faulty;
mod parts;
mod terminal;

pub(crate) use faulty::{Wire, numbered};
pub(crate) use parts::{BenchClock, MAKING, OneGo, Show, axis};
pub(crate) use terminal::Terminal;

use parts::{
    BenchAttacks, BenchCamera, BenchEngine, BenchLamps, BenchLock, BenchReader, NoticeSink, Script,
    Told,
};
use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use threshold_edge::config::HeatConfig;
use threshold_edge::heat::Heat;
use threshold_edge::manager::Manager;
use threshold_edge::notices::Notices;
use threshold_edge::presentation::AttackDetector;
use threshold_edge::run::go_round;
use threshold_edge::service::Desk;
use threshold_edge::start::{self, Begun, Room};
use threshold_edge::state::{
    EmbedderFacts, Ending, Identity, ReaderStanding, RecoveryRecord, Shared, State,
};
use threshold_edge::unit::{Clock, Sign, Unit};
use threshold_edge::zone::Zone;
use threshold_models::engine::Engine;
use threshold_models::pack::PackError;
use threshold_models::search::quantise;
use threshold_policy::settings::PresentationRule;
use threshold_policy::{Lockout, Policy};
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{
    Cause, Credential, Distributions, KeyTag, LogEntry, Metric, ModelId, Name, PersonId, Quantile,
    Role, Template,
};
use threshold_store::{MockFlash, Store};
use threshold_wire::commission::Commission;
use threshold_wire::endpoints::{Endpoint, PutPerson, PutTemplate};
use threshold_wire::message::{Armed, IfThere, PersonPut, TemplatePut};
use threshold_wire::recovery::{Asked, RecoveryKey};
use threshold_wire::{Decoder, RequestError, call};

/// The model of every unit here, but for versions of another one.
pub(crate) const MODEL: ModelId = ModelId([7; 32]);

/// The time zone of every unit here: daylight saving from the last Sunday of March to that of October.
pub(crate) fn berlin() -> Zone {
    Zone::of("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// Length of its embeddings.
pub(crate) const LEN: usize = 128;

/// Time between two events of the camera.
pub(crate) const TICK_MS: u64 = 40;

/// How long a pulse of the lock takes.
pub(crate) const PULSE_MS: u64 = 3_000;

/// Distances of a model that takes nobody for anybody else, so that the floor is the threshold.
fn far_apart() -> Distributions {
    let exact = |at: f32| Quantile { at, low: at, high: at };
    Distributions {
        impostor: std::array::from_fn(|knot| exact(1.9 - 0.01 * knot as f32)),
        tail: exact(4.0),
        genuine: std::array::from_fn(|knot| exact(0.01 * knot as f32)),
        templates: INDEPENDENT,
    }
}

/// How a unit starts.
struct Start {
    /// How the model's distances fall, if that was measured.
    distributions: Option<Distributions>,
    acknowledged: Acknowledged,
    model: ModelId,
    /// True if presentations are judged.
    judges: bool,
}

impl Start {
    fn with(acknowledged: Acknowledged) -> Self {
        Self { distributions: Some(far_apart()), acknowledged, model: MODEL, judges: false }
    }
}

/// Whether the line is trusted, and what is done on it before the start is done.
#[derive(Clone, Copy, PartialEq)]
enum Acknowledged {
    /// The unit is commissioned, and it is acknowledged that a photo opens the door.
    ByTheLine,
    /// The unit is commissioned; it is acknowledged as the log says.
    AsTheLogSays,
    /// All as the log says, on a line that nobody trusts.
    ByNobodyHere,
    /// All as the log says.
    Nothing,
}

/// The owner's recovery key.
pub(crate) fn recovery_key() -> RecoveryKey {
    RecoveryKey::of_bytes(*b"the owner's key!")
}

/// Commissions a unit in the name of its owner, or of its line if there is none.
pub(crate) fn commission(state: &mut State) {
    let roster = state.journal().map(|journal| journal.store().roster().administrators().to_vec());
    let roster = roster.unwrap_or_default();
    let owner = roster.iter().find(|held| held.role == Role::Owner);
    let by = owner.map_or(KeyTag::NOBODY, |owner| owner.key_id().tag());
    let key = recovery_key();
    let asked = Asked {
        unit: [0; 32],
        administrator: None,
        nonce: [0; 32],
        key: key.public(),
        successor: None,
    };
    let proven = asked.proven(&key.sign(&asked)).unwrap();
    // Fails where the test's store does, and the unit stays locked then for that too.
    let _ = state.give_authority(proven, None, by);
}

/// A unit on the bench.
pub(crate) struct Rig {
    pub(crate) flash: MockFlash,
    pub(crate) clock: Arc<BenchClock>,
    pub(crate) shared: Shared,
    pub(crate) desk: Desk,
    pub(crate) told: Told,
    pub(crate) jammed: Arc<Mutex<bool>>,
    /// How long the engine takes for an embedding.
    pub(crate) embed_ms: Arc<AtomicU64>,
    /// How long it takes to look for faces in a frame.
    pub(crate) detect_ms: Arc<AtomicU64>,
    /// What its engine does if it recognises in one go.
    pub(crate) one_go: Arc<Mutex<OneGo>>,
    /// Credentials that the reader gives, one a step, each before the camera's event.
    pub(crate) reader: Arc<Mutex<VecDeque<Credential>>>,
    engine: BenchEngine,
    unit: Unit,
    script: Script,
    request: u32,
}

impl Rig {
    /// A unit that starts on empty flash.
    pub(crate) fn new() -> Self {
        Self::on(&MockFlash::new())
    }

    /// A unit that starts on that flash, with its engine and gallery if the store lets it.
    pub(crate) fn on(flash: &MockFlash) -> Self {
        Self::of(flash, Some(far_apart()))
    }

    /// A unit whose model's distances fall so, or were never measured.
    pub(crate) fn of(flash: &MockFlash, distributions: Option<Distributions>) -> Self {
        Self::started(flash, Start { distributions, ..Start::with(Acknowledged::ByTheLine) })
    }

    /// A unit as it starts, with what its log says of an acknowledgement.
    pub(crate) fn as_it_was(flash: &MockFlash) -> Self {
        Self::started(flash, Start::with(Acknowledged::AsTheLogSays))
    }

    /// The same on a line that is not trusted.
    pub(crate) fn on_a_line_that_nobody_trusts(flash: &MockFlash) -> Self {
        Self::started(flash, Start::with(Acknowledged::ByNobodyHere))
    }

    /// The same, and nobody commissions it.
    pub(crate) fn bare(flash: &MockFlash) -> Self {
        Self::started(flash, Start::with(Acknowledged::Nothing))
    }

    /// A unit whose version has another model.
    pub(crate) fn of_model(flash: &MockFlash, model: ModelId) -> Self {
        Self::started(flash, Start { model, ..Start::with(Acknowledged::ByTheLine) })
    }

    /// A unit that judges presentations, as the camera shows them.
    pub(crate) fn judging(flash: &MockFlash) -> Self {
        Self::started(flash, Start { judges: true, ..Start::with(Acknowledged::ByTheLine) })
    }

    /// The same unit, which does less when one of these thermal zones is hot.
    pub(crate) fn kept_cool_by(self, zones: &Path) -> Self {
        let heat = Heat::of(zones, &HeatConfig::default());
        Self { unit: self.unit.kept_cool_by(heat), ..self }
    }

    /// Commissions the unit in the name of its owner.
    pub(crate) fn commission(&self) {
        let mut state = self.shared.lock();
        commission(&mut state);
        assert!(matches!(state.commission(), Commission::Holds(_)), "{:?}", state.commission());
    }

    fn started(flash: &MockFlash, start: Start) -> Self {
        let Start { distributions, acknowledged, model, judges } = start;
        let clock = Arc::new(BenchClock::default());
        let told = Told::default();
        let notices = Notices::to(Box::new(NoticeSink(Arc::clone(&told))));
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let open = |room| {
            let mut flash = flash.clone();
            if room == Room::Reserve {
                start::give_up_reserve(&mut flash)?;
            }
            let keys = flash.keys();
            Store::open(Box::new(flash), keys)
        };
        let Begun { journal, used_reserve, .. } = start::begin(open, &as_clock, &notices);
        let insecure_link = acknowledged != Acknowledged::ByNobodyHere;
        let identity =
            Identity { unit: "bench".to_owned(), build: "0.0.0", insecure_link, zone: berlin() };
        let record = RecoveryRecord::open(Ok(Box::new(flash.clone())));
        let mut state =
            State::starting(identity, Arc::clone(&as_clock), notices.clone(), journal, record);
        if used_reserve {
            state.reserve_used_by_start();
        }
        let facts = EmbedderFacts {
            id: model,
            name: "axes".to_owned(),
            metric: Metric::SquaredL2,
            crop: "none".to_owned(),
            embedding_len: LEN,
            distributions,
        };
        state.set_attack_detection(judges, Lockout::SPOOFS);
        let presentation = PresentationRule::of(judges);
        let policy = Policy { presentation, ..Policy::for_model(Metric::SquaredL2, 1.14) };
        state.set_embedder(facts, policy);
        start::contexts(&mut state, "bench=1");
        start::load_gallery(&mut state, false);
        if matches!(acknowledged, Acknowledged::ByTheLine | Acknowledged::AsTheLogSays) {
            commission(&mut state);
        }
        if acknowledged == Acknowledged::ByTheLine {
            // Fails where the test's store does, and the unit stays locked then for that too.
            let _ = state.acknowledge_photo(KeyTag::NOBODY);
        }
        state.set_reader(ReaderStanding::Works);
        state.start_done();
        let shared = Shared::new(state);
        let (script, jammed) = (Script::default(), Arc::default());
        let (embed_ms, detect_ms) = (Arc::default(), Arc::default());
        let showing = Arc::new(Mutex::new(Show::Nothing));
        let reader: Arc<Mutex<VecDeque<Credential>>> = Arc::default();
        let one_go: Arc<Mutex<OneGo>> = Arc::default();
        let engine = BenchEngine {
            one_go: Arc::clone(&one_go),
            showing: Arc::clone(&showing),
            flash: flash.clone(),
            told: Arc::clone(&told),
            clock: Arc::clone(&clock),
            embed_ms: Arc::clone(&embed_ms),
            detect_ms: Arc::clone(&detect_ms),
        };
        let attacks = BenchAttacks(Arc::clone(&showing));
        let attacks = judges.then(|| Box::new(attacks) as Box<dyn AttackDetector>);
        let unit = Unit::new(
            Box::new(BenchCamera {
                script: Arc::clone(&script),
                showing: Arc::clone(&showing),
                clock: Arc::clone(&clock),
                sequence: 0,
            }),
            Box::new(BenchLock {
                flash: flash.clone(),
                told: Arc::clone(&told),
                jammed: Arc::clone(&jammed),
                clock: Arc::clone(&clock),
                until_ms: 0,
                untold: Vec::new(),
            }),
            Some(Box::new(engine.clone())),
            shared.clone(),
            as_clock,
            notices,
        )
        .shown_by(Box::new(BenchLamps(Arc::clone(&told))))
        .read_by(Box::new(BenchReader { queue: Arc::clone(&reader), clock: Arc::clone(&clock) }))
        .judged_by(attacks);
        let desk = Desk::new(shared.clone(), insecure_link);
        Self {
            flash: flash.clone(),
            clock,
            shared,
            desk,
            told,
            jammed,
            embed_ms,
            detect_ms,
            one_go,
            reader,
            engine,
            unit,
            script,
            request: 0,
        }
    }

    /// The same unit with an engine that recognises in one go.
    pub(crate) fn in_one_go(self) -> Self {
        self.one_go.lock().unwrap().able = true;
        self
    }

    /// The same unit with a spare engine, which takes so long to be made, and is not if it fails its self-test.
    pub(crate) fn backed(self, ms: u64, passes: bool) -> Self {
        let able = self.one_go.lock().unwrap().able;
        // It holds nothing yet.
        let one_go = Arc::new(Mutex::new(OneGo { able, ..OneGo::default() }));
        let (spare, clock) =
            (BenchEngine { one_go, ..self.engine.clone() }, Arc::clone(&self.clock));
        let shared = self.shared.clone();
        let made = move || {
            // Whoever looks meanwhile sees a unit that is not armed.
            assert_eq!(shared.lock().armed(), Armed::Fault(Cause::Engine));
            clock.advance(ms);
            if !passes {
                let (name, network) = ("axes".to_owned(), "axes");
                let (difference, tolerance) = (0.5, 1e-4);
                let fault = PackError::SelfTest { name, network, difference, tolerance };
                return Err(fault.into());
            }
            Ok((Box::new(spare) as Box<dyn Engine>, "engine=spare".to_owned()))
        };
        Self { unit: self.unit.backed_by(Some(Box::new(made))), ..self }
    }

    /// Lets the camera show these, one a step.
    pub(crate) fn show(&mut self, shows: &[Show]) {
        self.script.lock().unwrap().extend(shows);
        for _ in shows {
            self.unit.step(Duration::ZERO);
        }
    }

    /// Lets the loop go round while the camera shows these, and nothing after them, until it ends by itself; how, and after how
    /// many milliseconds.
    pub(crate) fn go_round(&mut self, shows: &[Show]) -> (Option<Ending>, u64) {
        self.script.lock().unwrap().extend(shows);
        let begun_ms = self.clock.monotonic_ms();
        let (mut manager, stop) = (Manager::default(), AtomicBool::new(false));
        let ending = go_round(&mut self.unit, &mut manager, &self.shared, &stop, || true);
        (ending, self.clock.monotonic_ms() - begun_ms)
    }

    /// An announced visit of `n` frames.
    pub(crate) fn visit(&mut self, show: Show, n: usize) {
        self.show(&[Show::Arrival]);
        self.show(&vec![show; n]);
        self.show(&[Show::Departure]);
    }

    /// Somebody gives a credential, which the next step takes before the camera's event.
    pub(crate) fn give(&mut self, credential: Credential) {
        self.reader.lock().unwrap().push_back(credential);
    }

    /// Calls an endpoint over the desk, as the host does.
    pub(crate) fn call<E: Endpoint>(
        &mut self,
        request: &E::Request,
    ) -> Result<E::Response, RequestError> {
        self.request += 1;
        let id = self.request;
        let encoded = call::request::<E>(id, request).unwrap();
        let mut answers = Vec::new();
        self.desk.take(encoded.as_bytes(), |answer| answers.push(answer.clone()));
        assert_eq!(answers.len(), 1, "one call is one answer");
        let mut decoder = Decoder::new();
        let mut bytes = answers[0].as_bytes();
        let frame = decoder.feed(&mut bytes).unwrap().unwrap();
        call::read_answer::<E>(id, &frame).unwrap()
    }

    /// Enrols a number under a name.
    pub(crate) fn enrol(&mut self, name: &str, number: usize) -> PersonId {
        let put = PersonPut { name: Name::new(name).unwrap(), if_there: IfThere::Use };
        let done = self.call::<PutPerson>(&put).unwrap();
        let template = template(done.person, done.free_slot.unwrap(), number);
        self.call::<PutTemplate>(&TemplatePut { model: MODEL, template }).unwrap();
        done.person
    }

    /// The durable log.
    pub(crate) fn log(&self) -> Vec<LogEntry> {
        let state = self.shared.lock();
        state.journal().unwrap().store().log_page(1, 10_000).unwrap()
    }

    /// The decisions of the durable log.
    pub(crate) fn decisions(&self) -> Vec<LogEntry> {
        let is_decision = |entry: &LogEntry| entry.kind == threshold_record::EntryKind::Decision;
        self.log().into_iter().filter(is_decision).collect()
    }

    /// How many pulses the lock got.
    pub(crate) fn pulses(&self) -> usize {
        self.told.lock().unwrap().pulses.len()
    }

    /// The cards that the lock got, one for each pulse.
    pub(crate) fn cards(&self) -> Vec<Option<Credential>> {
        self.told.lock().unwrap().cards.clone()
    }

    /// The signs that were shown since this was last asked.
    pub(crate) fn signs(&self) -> Vec<Sign> {
        let signs = std::mem::take(&mut self.told.lock().unwrap().signs);
        signs.into_iter().map(|(sign, _)| sign).collect()
    }

    /// What the notices said.
    pub(crate) fn notices(&self) -> String {
        String::from_utf8(self.told.lock().unwrap().notices.clone()).unwrap()
    }
}

/// A template of a number.
pub(crate) fn template(person: PersonId, slot: u8, number: usize) -> Template {
    let (scale, vector) = quantise(&axis(number));
    let vector = vector.into_iter().collect();
    Template { person, slot, quality: 90, model: MODEL.tag(), scale, vector }
}
