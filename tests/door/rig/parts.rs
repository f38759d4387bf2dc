//! The parts of a unit on the bench, each of which does what a test says: camera, engine, lock, reader, lamps, clock, what hears the
//! notices, and what judges presentations.

use super::{LEN, PULSE_MS, TICK_MS};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use threshold_edge::journal::Permit;
use threshold_edge::presentation::AttackDetector;
use threshold_edge::unit::{
    Camera, CameraFault, Clock, Event, Indicator, Lock, LockFault, Presented, Reader, Sign,
};
use threshold_models::engine::{
    BBox, Compared, Detection, Embedding, Engine, EngineError, Recognition,
};
use threshold_models::frame::Frame;
use threshold_models::quality::measure;
use threshold_models::search::Index;
use threshold_record::{Cause, Credential, EntryKind, LogEntry, Presentation, WallTime};
use threshold_store::{MockFlash, Store};

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
    /// That face, as a mask or on a screen: judged a spoof by a unit that judges.
    Spoof(usize),
    /// That face, of which nothing can be said by a unit that judges.
    Undecided(usize),
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

pub(super) type Told = Arc<Mutex<Seen>>;
pub(super) type Script = Arc<Mutex<VecDeque<Show>>>;

pub(super) struct BenchCamera {
    pub(super) script: Script,
    pub(super) showing: Arc<Mutex<Show>>,
    pub(super) clock: Arc<BenchClock>,
    pub(super) sequence: u64,
}

/// What the bench's camera takes to make a frame of what came.
pub(crate) const MAKING: Duration = Duration::from_secs(2);

impl Camera for BenchCamera {
    fn making(&self) -> Duration {
        MAKING
    }

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
    pub(super) able: bool,
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
pub(super) struct BenchEngine {
    pub(super) one_go: Arc<Mutex<OneGo>>,
    pub(super) showing: Arc<Mutex<Show>>,
    pub(super) flash: MockFlash,
    pub(super) told: Told,
    pub(super) clock: Arc<BenchClock>,
    pub(super) embed_ms: Arc<AtomicU64>,
    pub(super) detect_ms: Arc<AtomicU64>,
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
            | Show::Spoof(number)
            | Show::Undecided(number)
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

/// The embedding of a number.
pub(crate) fn axis(number: usize) -> Embedding {
    Embedding((0..LEN).map(|i| if i == number { 1.0 } else { 0.0 }).collect())
}

pub(super) struct BenchLock {
    pub(super) flash: MockFlash,
    pub(super) told: Told,
    pub(super) jammed: Arc<Mutex<bool>>,
    pub(super) clock: Arc<BenchClock>,
    /// When the last pulse ends.
    pub(super) until_ms: u64,
    /// Whoever has a card, and was admitted while it is jammed.
    pub(super) untold: Vec<LogEntry>,
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

pub(super) struct BenchReader {
    pub(super) queue: Arc<Mutex<VecDeque<Credential>>>,
    pub(super) clock: Arc<BenchClock>,
}

impl Reader for BenchReader {
    fn next(&mut self) -> Option<Presented> {
        let credential = self.queue.lock().unwrap().pop_front()?;
        Some(Presented { credential, at_ms: self.clock.monotonic_ms() })
    }
}

pub(super) struct BenchLamps(pub(super) Told);

impl Indicator for BenchLamps {
    fn show(&mut self, sign: Sign) {
        let mut told = self.0.lock().unwrap();
        let pulses = told.pulses.len();
        told.signs.push((sign, pulses));
    }
}

pub(super) struct NoticeSink(pub(super) Told);

impl std::io::Write for NoticeSink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().notices.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Judges what the camera shows: a spoof where it shows one, and else somebody live.
pub(super) struct BenchAttacks(pub(super) Arc<Mutex<Show>>);

impl AttackDetector for BenchAttacks {
    fn name(&self) -> &str {
        "what the test says"
    }

    fn assess(&mut self, _: &Frame, _: &Detection) -> Presentation {
        match *self.0.lock().unwrap() {
            Show::Spoof(_) => Presentation::Spoof,
            Show::Undecided(_) => Presentation::NotAssessed,
            _ => Presentation::Live,
        }
    }
}
