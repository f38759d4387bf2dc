//! A unit on a bench: the real loop, state, service, store and policy, with an engine, a camera, a lock and a clock that do
//! what a test says.
//!
//! A frame shows nobody, or a face that belongs to a number; the engine's embedding of number `n` is the `n`th axis, so
//! that two numbers are as unlike as can be. The frame's pixels are such that the real quality measures pass.
//! The lock looks at each pulse what a power cut at that instant would leave of the log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use threshold_edge::journal::{Journal, Permit};
use threshold_edge::manager::Manager;
use threshold_edge::notices::Notices;
use threshold_edge::run::go_round;
use threshold_edge::service::Desk;
use threshold_edge::start;
use threshold_edge::state::{
    EmbedderFacts, Ending, Identity, ReaderStanding, RecoveryRecord, Shared, State,
};
use threshold_edge::unit::{
    Camera, CameraFault, Clock, Event, Indicator, Lock, LockFault, Presented, Reader, Sign, Unit,
};
use threshold_edge::zone::Zone;
use threshold_models::engine::{
    BBox, Compared, Detection, Embedding, Engine, EngineError, Recognition,
};
use threshold_models::frame::Frame;
use threshold_models::pack::PackError;
use threshold_models::quality::measure;
use threshold_models::search::{Index, quantise};
use threshold_policy::Policy;
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{
    Cause, Credential, Distributions, EntryKind, KeyTag, LogEntry, Metric, ModelId, Name, PersonId,
    Quantile, Role, Template, WallTime,
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

/// What the camera shows next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Show {
    /// Somebody is announced.
    Arrival,
    /// The one announced leaves.
    Departure,
    /// A frame without a face.
    Nobody,
    /// A frame without a face, of which the engine has too many proposals.
    Crowd,
    /// A frame with the face of that number.
    Face(usize),
    /// The same face beside that place, as of somebody else who stands there.
    Beside(usize),
    /// That face, turned to the person's left.
    Left(usize),
    /// That face, turned to the person's right.
    Right(usize),
    /// The face of that number, and a second one far behind it.
    Two(usize),
    /// A frame with a face halfway between two numbers.
    Between(usize, usize),
    /// A frame with a face, of the same pixels as one without.
    Unseen,
    /// A frame with a face too dark to compare.
    Dark,
    /// The camera fails.
    Broken,
    /// Nothing comes.
    Nothing,
    /// The engine fails at detection.
    DetectFails,
    /// The engine fails at embedding.
    EmbedFails,
    /// The engine panics at detection.
    Panics,
}

/// A clock that a test moves.
#[derive(Debug, Default)]
pub(crate) struct BenchClock(AtomicU64);

impl BenchClock {
    pub(crate) fn advance(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for BenchClock {
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn wall(&self) -> WallTime {
        WallTime { unix_ms: 1_700_000_000_000 + self.monotonic_ms(), trusted: false }
    }
}

/// What happened on the bench.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Sequences of the pulses' entries.
    pub(crate) pulses: Vec<u64>,
    /// The cards of the pulses' permits.
    pub(crate) cards: Vec<Option<Credential>>,
    /// Pulses whose entry a power cut at that instant would have taken.
    pub(crate) not_durable: Vec<u64>,
    /// Failed attempts that the flash held, durably, at each embedding.
    pub(crate) attempts_at_embed: Vec<u8>,
    /// Signs that were shown, each with how many pulses there had been.
    pub(crate) signs: Vec<(Sign, usize)>,
    /// Lines of the notices.
    pub(crate) notices: Vec<u8>,
}

type Told = Arc<Mutex<Seen>>;
type Script = Arc<Mutex<VecDeque<Show>>>;

struct BenchCamera {
    script: Script,
    showing: Arc<Mutex<Show>>,
    clock: Arc<BenchClock>,
    sequence: u64,
}

impl Camera for BenchCamera {
    fn next(&mut self, _patience: Duration) -> Result<Event, CameraFault> {
        self.clock.advance(TICK_MS);
        let show = self.script.lock().unwrap().pop_front().unwrap_or(Show::Nothing);
        *self.showing.lock().unwrap() = show;
        match show {
            Show::Arrival => Ok(Event::Arrival),
            Show::Departure => Ok(Event::Departure),
            Show::Nothing => Ok(Event::Nothing),
            Show::Broken => Err(CameraFault("the cable is out".to_owned())),
            _ => {
                self.sequence += 1;
                let mut frame = picture(match show {
                    Show::Dark => (0, 20),
                    Show::Nobody | Show::Unseen => (120, 120),
                    Show::Crowd => (20, 60),
                    _ => (80, 160),
                });
                frame.sequence = self.sequence;
                frame.captured_at_ms = self.clock.monotonic_ms();
                Ok(Event::Frame(frame))
            }
        }
    }
}

/// Bars between two grey levels: contrast and texture as a face has.
fn picture((low, high): (u8, u8)) -> Frame {
    let grey = |i: usize| {
        let (x, y) = (i % 200, i / 200);
        if (x / 6 + y / 6).is_multiple_of(2) { low } else { high }
    };
    Frame::from_rgb(200, 200, (0..40_000).flat_map(|i| [grey(i); 3]).collect()).unwrap()
}

/// What the engine of the bench has no room for while a crowd is shown.
const OVERFLOW: usize = 77;

/// What an engine that recognises in one go holds, and what it did.
#[derive(Default)]
pub(crate) struct OneGo {
    /// True if it is such an engine.
    able: bool,
    /// The gallery that it was brought last, which is the one that it searches.
    pub(crate) held: Option<Index>,
    /// How often it was brought one, or none.
    pub(crate) brought: usize,
    /// Frames that it recognised in one go.
    pub(crate) looks: usize,
    /// What happens while the next such frame is compared.
    pub(crate) meanwhile: Option<Box<dyn FnOnce() + Send>>,
}

#[derive(Clone)]
struct BenchEngine {
    one_go: Arc<Mutex<OneGo>>,
    showing: Arc<Mutex<Show>>,
    flash: MockFlash,
    told: Told,
    clock: Arc<BenchClock>,
    embed_ms: Arc<AtomicU64>,
    detect_ms: Arc<AtomicU64>,
}

impl Engine for BenchEngine {
    fn detect(&mut self, _frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        self.clock.advance(self.detect_ms.load(Ordering::SeqCst));
        let show = *self.showing.lock().unwrap();
        match show {
            Show::DetectFails => Err(EngineError::NotFinite { network: "P-Net" }),
            Show::Panics => panic!("the bench's engine panics, as it was told"),
            Show::Nobody | Show::Crowd => Ok(Vec::new()),
            _ => {
                let aside = if matches!(show, Show::Beside(_)) { 58.0 } else { 0.0 };
                // A nose so far from the middle is a head turned by 20 degrees.
                let nose = match show {
                    Show::Left(_) => 106.0,
                    Show::Right(_) => 94.0,
                    _ => 100.0,
                };
                let face = Detection {
                    bbox: BBox { x1: 60.0 + aside, y1: 50.0, x2: 140.0 + aside, y2: 150.0 },
                    landmarks: [
                        [84.0, 84.0],
                        [116.0, 84.0],
                        [nose, 101.3],
                        [86.0, 116.0],
                        [114.0, 116.0],
                    ]
                    .map(|[x, y]| [x + aside, y]),
                    score: 1.0,
                };
                let small = BBox { x1: 2.0, y1: 2.0, x2: 40.0, y2: 44.0 };
                let behind =
                    matches!(show, Show::Two(_)).then_some(Detection { bbox: small, ..face });
                Ok([face].into_iter().chain(behind).collect())
            }
        }
    }

    fn overflow(&self) -> usize {
        if *self.showing.lock().unwrap() == Show::Crowd { OVERFLOW } else { 0 }
    }

    fn embed(&mut self, _: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        self.embed_for(faces, None)
    }

    /// Searches what it was brought, as a device does, whatever the loop says that there is.
    fn recognise(
        &mut self,
        frame: &Frame,
        gallery: &Index,
        most: usize,
    ) -> Result<Recognition, EngineError> {
        let faces = self.detect(frame)?;
        let first = &faces[..most.min(faces.len())];
        // Nobody looked whether the face is fit to be compared: Ada's in the dark is Ada's.
        let dark = Some(axis(1));
        let probes = if first.is_empty() { Vec::new() } else { self.embed_for(first, dark)? };
        let mut one_go = self.one_go.lock().unwrap();
        one_go.looks += 1;
        let held = one_go.held.as_ref().unwrap();
        assert_eq!(held.number(), gallery.number(), "the gallery was changed and not brought");
        let compared = first.iter().zip(&probes).map(|(face, probe)| Compared {
            measures: measure(frame, face),
            candidates: held.search(probe).unwrap(),
        });
        let compared = compared.collect();
        if let Some(meanwhile) = one_go.meanwhile.take() {
            meanwhile();
        }
        Ok(Recognition { faces, compared })
    }

    fn recognises_at_once(&self) -> bool {
        self.one_go.lock().unwrap().able
    }

    fn hold(&mut self, gallery: Option<&Index>) -> Result<(), EngineError> {
        let mut one_go = self.one_go.lock().unwrap();
        one_go.brought += 1;
        one_go.held = gallery.cloned();
        Ok(())
    }
}

impl BenchEngine {
    /// An embedding of each face, of one in the dark only if there is one for it.
    fn embed_for(
        &self,
        faces: &[Detection],
        dark: Option<Embedding>,
    ) -> Result<Vec<Embedding>, EngineError> {
        self.clock.advance(self.embed_ms.load(Ordering::SeqCst));
        // What would be left if the plug were pulled now.
        let left = self.flash.copy();
        left.cut_power(3);
        left.power_on();
        let store = Store::open(Box::new(left.clone()), left.keys()).unwrap().0;
        self.told.lock().unwrap().attempts_at_embed.push(store.lockout()[1]);
        let show = *self.showing.lock().unwrap();
        match show {
            Show::Face(number)
            | Show::Beside(number)
            | Show::Left(number)
            | Show::Right(number) => Ok(vec![axis(number); faces.len()]),
            Show::Between(a, b) => {
                let half = |i| if i == a || i == b { 0.5f32.sqrt() } else { 0.0 };
                let values = (0..LEN).map(half).collect();
                Ok(vec![Embedding(values); faces.len()])
            }
            Show::EmbedFails => Err(EngineError::NotFinite { network: "Inception-ResNet-v1" }),
            Show::Dark if dark.is_some() => {
                Ok(dark.into_iter().cycle().take(faces.len()).collect())
            }
            other => panic!("no embedding was expected of {other:?}"),
        }
    }
}

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

/// The embedding of a number.
pub(crate) fn axis(number: usize) -> Embedding {
    Embedding((0..LEN).map(|i| if i == number { 1.0 } else { 0.0 }).collect())
}

struct BenchLock {
    flash: MockFlash,
    told: Told,
    jammed: Arc<Mutex<bool>>,
    clock: Arc<BenchClock>,
    /// When the last pulse ends.
    until_ms: u64,
    /// Whoever has a card, and was admitted while it is jammed.
    untold: Vec<LogEntry>,
}

impl Lock for BenchLock {
    fn pulse(&mut self, permit: Permit) -> Result<(), LockFault> {
        let sequence = permit.sequence();
        let left = self.flash.copy();
        left.cut_power(sequence);
        left.power_on();
        let durable = Store::open(Box::new(left.clone()), left.keys()).is_ok_and(|(store, _)| {
            store.log_page(sequence, 1).is_ok_and(|page| {
                page.first().is_some_and(|entry| {
                    entry.sequence == sequence
                        && entry.reason == threshold_record::Reason::Matched
                        && !entry.person.is_nobody()
                })
            })
        });
        let mut told = self.told.lock().unwrap();
        told.pulses.push(sequence);
        told.cards.push(permit.card());
        if !durable {
            told.not_durable.push(sequence);
        }
        if *self.jammed.lock().unwrap() {
            let person = permit.person();
            let entry =
                LogEntry { person, cause: Cause::Controller, ..LogEntry::of(EntryKind::NotSent) };
            self.untold.extend(permit.card().map(|_| entry));
            Err(LockFault("it is jammed".to_owned()))
        } else {
            self.until_ms = self.clock.monotonic_ms() + PULSE_MS;
            Ok(())
        }
    }

    fn untold(&mut self) -> Vec<LogEntry> {
        std::mem::take(&mut self.untold)
    }

    fn is_active(&self) -> bool {
        self.clock.monotonic_ms() < self.until_ms
    }
}

struct BenchReader {
    queue: Arc<Mutex<VecDeque<Credential>>>,
    clock: Arc<BenchClock>,
}

impl Reader for BenchReader {
    fn next(&mut self) -> Option<Presented> {
        let credential = self.queue.lock().unwrap().pop_front()?;
        Some(Presented { credential, at_ms: self.clock.monotonic_ms() })
    }
}

struct BenchLamps(Told);

impl Indicator for BenchLamps {
    fn show(&mut self, sign: Sign) {
        let mut told = self.0.lock().unwrap();
        let pulses = told.pulses.len();
        told.signs.push((sign, pulses));
    }
}

struct NoticeSink(Told);

impl std::io::Write for NoticeSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().notices.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
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
        Self::started(flash, distributions, Acknowledged::ByTheLine, MODEL)
    }

    /// A unit as it starts, with what its log says of an acknowledgement.
    pub(crate) fn as_it_was(flash: &MockFlash) -> Self {
        Self::started(flash, Some(far_apart()), Acknowledged::AsTheLogSays, MODEL)
    }

    /// The same on a line that is not trusted.
    pub(crate) fn on_a_line_that_nobody_trusts(flash: &MockFlash) -> Self {
        Self::started(flash, Some(far_apart()), Acknowledged::ByNobodyHere, MODEL)
    }

    /// The same, and nobody commissions it.
    pub(crate) fn bare(flash: &MockFlash) -> Self {
        Self::started(flash, Some(far_apart()), Acknowledged::Nothing, MODEL)
    }

    /// A unit whose version has another model.
    pub(crate) fn of_model(flash: &MockFlash, model: ModelId) -> Self {
        Self::started(flash, Some(far_apart()), Acknowledged::ByTheLine, model)
    }

    /// Commissions the unit in the name of its owner.
    pub(crate) fn commission(&self) {
        let mut state = self.shared.lock();
        commission(&mut state);
        assert!(matches!(state.commission(), Commission::Holds(_)), "{:?}", state.commission());
    }

    fn started(
        flash: &MockFlash,
        distributions: Option<Distributions>,
        acknowledged: Acknowledged,
        model: ModelId,
    ) -> Self {
        let clock = Arc::new(BenchClock::default());
        let told = Told::default();
        let notices = Notices::to(Box::new(NoticeSink(Arc::clone(&told))));
        let as_clock: Arc<dyn Clock> = Arc::clone(&clock) as _;
        let opened = Store::open(Box::new(flash.clone()), flash.keys());
        let journal: Option<Journal> = start::journal(opened, &as_clock, &notices);
        let insecure_link = acknowledged != Acknowledged::ByNobodyHere;
        let identity =
            Identity { unit: "bench".to_owned(), build: "0.0.0", insecure_link, zone: berlin() };
        let record = RecoveryRecord::open(Ok(Box::new(flash.clone())));
        let mut state =
            State::starting(identity, Arc::clone(&as_clock), notices.clone(), journal, record);
        let facts = EmbedderFacts {
            id: model,
            name: "axes".to_owned(),
            metric: Metric::SquaredL2,
            crop: "none".to_owned(),
            embedding_len: LEN,
            distributions,
        };
        state.set_embedder(facts, Policy::for_model(Metric::SquaredL2, 1.14));
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
        .read_by(Box::new(BenchReader { queue: Arc::clone(&reader), clock: Arc::clone(&clock) }));
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
        let ending = go_round(&mut self.unit, &mut manager, &self.shared, &stop, || ());
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
