//! The loop over many frames and under a flooded line: nothing grows, nothing slows.
//!
//! Each test runs in a process of its own, since it looks at the process: memory, descriptors, times.
//! `THRESHOLD_FRAMES` makes them long, as in `cargo xtask soak unit`. What they measured goes to standard error, in lines that
//! begin with `figure: `, as ratios: the machine does other work too.

mod allocations;
mod busy;
mod bytes;
mod carried;

use crate::rig::{MODEL, axis, commission, template};
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use threshold_edge::heat::Level;
use threshold_edge::journal::Permit;
use threshold_edge::notices::Notices;
use threshold_edge::service::line::{Line, Received};
use threshold_edge::service::{self, Access};
use threshold_edge::start;
use threshold_edge::state::{EmbedderFacts, Identity, RecoveryRecord, Shared, State};
use threshold_edge::unit::{Camera, CameraFault, Clock, Event, Lock, LockFault, Unit};
use threshold_edge::zone::Zone;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{BBox, Detection, Embedding, Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_policy::Policy;
use threshold_record::distribution::INDEPENDENT;
use threshold_record::{Distributions, KeyTag, Metric, Name, Quantile, WallTime};
use threshold_store::{MockFlash, Store};
use threshold_tests::lots::Lots;
use threshold_tests::{packs, skipped};
use threshold_wire::endpoints::{Endpoint, GetInfo, ReadLog, SayHello};
use threshold_wire::frame::Sealed;
use threshold_wire::message::{LogPageRequest, Nothing};
use threshold_wire::{FrameKind, HelloRequest, call};

/// Set in the process that measures.
const ALONE: &str = "THRESHOLD_LONG_ALONE";

/// Frames of the short run.
const FRAMES: u64 = 20_000;

/// A visit begins every so many frames, and shows a face in so many.
const VISIT: (u64, u64) = (500, 5);

/// Milliseconds between frames, on the loop's clock.
const TICK_MS: u64 = 40;

fn frames() -> u64 {
    std::env::var("THRESHOLD_FRAMES").ok().and_then(|text| text.parse().ok()).unwrap_or(FRAMES)
}

/// True in the process that measures; elsewhere starts it and waits for its end.
fn is_alone(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads", "1"]).env(ALONE, "1");
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    let harness = String::from_utf8_lossy(&done.stdout);
    // A name that is no test's runs nothing, and passes.
    assert!(done.status.success() && harness.contains("1 passed"), "{said}{harness}");
    for line in said.lines().filter(|line| line.starts_with("figure: ")) {
        tell(line);
    }
    false
}

/// Past the test harness, which would keep it to itself.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

fn figure(words: &str) {
    tell(&format!("figure: {words}"));
}

/// A clock that goes a tick with each frame, so that visits take no longer than their frames.
#[derive(Debug, Default)]
pub(crate) struct Ticks(AtomicU64);

impl Ticks {
    /// A frame later.
    pub(crate) fn tick(&self) {
        self.0.fetch_add(TICK_MS, Ordering::Relaxed);
    }
}

impl Clock for Ticks {
    fn monotonic_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn wall(&self) -> WallTime {
        WallTime { unix_ms: 1_700_000_000_000 + self.monotonic_ms(), trusted: false }
    }
}

/// A camera that has one picture of nobody and one of somebody.
struct NullCamera {
    clock: Arc<Ticks>,
    nobody: Frame,
    somebody: Frame,
    /// The light goes on and off, so that each frame is looked at.
    flickers: bool,
    sequence: u64,
}

/// Frames small enough to take no time of their own, large enough for the quality measures.
fn picture(low: u8, high: u8) -> Frame {
    let grey = |i: usize| {
        let (x, y) = (i % 200, i / 200);
        if (x / 6 + y / 6).is_multiple_of(2) { low } else { high }
    };
    Frame::from_rgb(200, 200, (0..40_000).flat_map(|i| [grey(i); 3]).collect()).unwrap()
}

impl NullCamera {
    fn new(clock: &Arc<Ticks>, flickers: bool) -> Self {
        // Not the other way round: the engine knows nobody by the first pixel.
        let somebody = if flickers { picture(120, 160) } else { picture(80, 160) };
        Self {
            clock: Arc::clone(clock),
            nobody: picture(120, 120),
            somebody,
            flickers,
            sequence: 0,
        }
    }
}

impl Camera for NullCamera {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.sequence += 1;
        self.clock.tick();
        let shows = self.flickers && self.sequence.is_multiple_of(2)
            || !self.flickers && (100..100 + VISIT.1).contains(&(self.sequence % VISIT.0));
        let mut frame = if shows { self.somebody.clone() } else { self.nobody.clone() };
        frame.sequence = self.sequence;
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }
}

/// An engine that knows from the first pixel whether somebody is there, after so many turns of work.
struct NullEngine {
    turns: u64,
    /// The axis of every face: whoever is enrolled has the first.
    sees: usize,
}

impl Engine for NullEngine {
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        let mut state = frame.sequence;
        for _ in 0..self.turns {
            state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005) ^ 1);
        }
        if frame.rgb().first() == Some(&120) {
            return Ok(Vec::new());
        }
        let bbox = BBox { x1: 60.0, y1: 50.0, x2: 140.0, y2: 150.0 };
        let landmarks =
            [[84.0, 84.0], [116.0, 84.0], [100.0, 101.3], [86.0, 116.0], [114.0, 116.0]];
        Ok(vec![Detection { bbox, landmarks, score: 1.0 }])
    }

    fn embed(&mut self, _: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        Ok(vec![axis(self.sees); faces.len()])
    }
}

/// A lock that counts.
struct NullLock(Arc<AtomicU64>);

impl Lock for NullLock {
    fn pulse(&mut self, _: Permit) -> Result<(), LockFault> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// A unit with one person enrolled, on files of that folder.
pub(crate) struct Bench {
    pub(crate) unit: Unit,
    pub(crate) shared: Shared,
    pulses: Arc<AtomicU64>,
    notices: Notices,
}

fn bench(folder: &Path, flickers: bool, engine: Box<dyn Engine>) -> Bench {
    let ticks = Arc::new(Ticks::default());
    let camera = NullCamera::new(&ticks, flickers);
    bench_of(folder, &ticks, camera, engine)
}

pub(crate) fn bench_of(
    folder: &Path,
    ticks: &Arc<Ticks>,
    camera: impl Camera + 'static,
    engine: Box<dyn Engine>,
) -> Bench {
    let clock: Arc<dyn Clock> = Arc::clone(ticks) as _;
    let notices = Notices::to(Box::new(io::sink()));
    let journal = start::begin(|_| Store::open_folder(folder), &clock, &notices).journal;
    let identity = Identity {
        unit: "long".to_owned(),
        build: "0.0.0",
        insecure_link: true,
        zone: Zone::default(),
    };
    let record = RecoveryRecord::open(Ok(Box::new(MockFlash::new())));
    let mut state = State::starting(identity, Arc::clone(&clock), notices.clone(), journal, record);
    let exact = |at: f32| Quantile { at, low: at, high: at };
    let facts = EmbedderFacts {
        id: MODEL,
        name: "axes".to_owned(),
        metric: Metric::SquaredL2,
        crop: "none".to_owned(),
        embedding_len: axis(1).0.len(),
        distributions: Some(Distributions {
            impostor: std::array::from_fn(|knot| exact(1.9 - 0.01 * knot as f32)),
            tail: exact(4.0),
            genuine: std::array::from_fn(|knot| exact(0.01 * knot as f32)),
            templates: INDEPENDENT,
        }),
    };
    state.set_embedder(facts, Policy::for_model(Metric::SquaredL2, 1.14));
    start::contexts(&mut state, "long=1");
    start::load_gallery(&mut state, false);
    let store = state.journal_mut().unwrap().store_mut();
    let person = store.add_person(Name::new("Ada").unwrap()).unwrap();
    store.put_template(template(person, 0, 1)).unwrap();
    state.gallery_changed();
    commission(&mut state);
    state.acknowledge_photo(KeyTag::NOBODY).unwrap();
    state.start_done();
    let shared = Shared::new(state);
    let pulses = Arc::new(AtomicU64::new(0));
    let unit = Unit::new(
        Box::new(camera),
        Box::new(NullLock(Arc::clone(&pulses))),
        Some(engine),
        shared.clone(),
        clock,
        notices.clone(),
    );
    Bench { unit, shared, pulses, notices }
}

/// Resident memory, kilobytes, and open descriptors.
fn held() -> (u64, usize) {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes = line.trim().strip_suffix("kB").unwrap().trim().parse().unwrap();
    (kilobytes, std::fs::read_dir("/proc/self/fd").unwrap().count())
}

/// The time that so many in a thousand of the calls stay within.
fn share(times: &mut [Duration], per_mille: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() * per_mille / 1000).min(times.len() - 1)].as_secs_f64()
}

#[test]
fn many_frames_leave_memory_descriptors_and_pace_as_they_were() {
    if !is_alone("long::many_frames_leave_memory_descriptors_and_pace_as_they_were") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let Bench { mut unit, shared, pulses, .. } =
        bench(folder.path(), false, Box::new(NullEngine { turns: 0, sees: 1 }));
    let total = frames();
    let part = total / 10;
    let mut times = Vec::with_capacity(part as usize);
    let (mut first, mut first_held, mut last) = ([0.0; 2], (0, 0), [0.0; 2]);
    for tenth in 0..10 {
        times.clear();
        for _ in 0..part {
            let begun = Instant::now();
            unit.step(Duration::ZERO);
            times.push(begun.elapsed());
        }
        last = [500, 950].map(|per_mille| share(&mut times, per_mille));
        if tenth == 0 {
            (first, first_held) = (last, held());
        }
    }
    let last_held = held();
    let stats = shared.lock().stats().told(0, None, Level::Normal);
    let grown = last_held.0.saturating_sub(first_held.0);
    figure(&format!("frames | {}", stats.frames));
    figure(&format!("visits, each an admission written down durably | {}", stats.visits));
    figure(&format!(
        "frames searched for faces, of all | {:.3}",
        stats.searched as f64 / total as f64
    ));
    figure(&format!(
        "memory after the last tenth over the first | +{grown} kB of {} kB",
        first_held.0
    ));
    figure(&format!(
        "descriptors after the first tenth and the last | {}, {}",
        first_held.1, last_held.1
    ));
    figure(&format!(
        "a frame's median and p95 in the last tenth, of the first's | {:.2}, {:.2}",
        last[0] / first[0],
        last[1] / first[1]
    ));
    assert_eq!(stats.frames, part * 10);
    assert_eq!(stats.visits, pulses.load(Ordering::Relaxed), "every visit is an admission");
    assert_eq!(stats.visits, total / VISIT.0);
    assert_eq!(first_held.1, last_held.1, "descriptors");
    // The log keeps 32 bytes a segment in memory; the allocator and the file system's buffers move more than that.
    assert!(grown <= 2_048, "memory grew by {grown} kB");
    // The machine's other work takes the processor from one frame in some, so that the p95 is told and the median judged.
    assert!(last[0] <= 2.0 * first[0], "{last:?} s after {first:?} s");
}

/// A line of 3 Mbaud that is never quiet.
struct Flood {
    bytes: Vec<u8>,
    at: usize,
    on: Arc<AtomicBool>,
    taken: Arc<AtomicU64>,
    /// Bytes of the answers, and what each way of the line had time for.
    answered: Arc<AtomicU64>,
    paced: Arc<AtomicU64>,
    begun: Instant,
}

/// Bytes a second of 3 Mbaud.
const LINE: f64 = 300_000.0;

impl Line for Flood {
    fn set_speed(&mut self, _: u32) -> bool {
        true
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> Received {
        if !self.on.load(Ordering::Relaxed) {
            std::thread::sleep(patience.min(Duration::from_millis(5)));
            self.begun = Instant::now();
            for count in [&self.taken, &self.answered, &self.paced] {
                count.store(0, Ordering::Relaxed);
            }
            return Received::Nothing;
        }
        let due =
            self.begun.elapsed().as_secs_f64() * LINE - self.taken.load(Ordering::Relaxed) as f64;
        if due < 256.0 {
            std::thread::sleep(Duration::from_secs_f64(256.0 / LINE));
        }
        let count = into.len().min(256);
        for place in &mut into[..count] {
            *place = self.bytes[self.at];
            self.at = (self.at + 1) % self.bytes.len();
        }
        self.taken.fetch_add(count as u64, Ordering::Relaxed);
        let pace = (self.begun.elapsed().as_secs_f64() * LINE) as u64;
        self.paced.fetch_max(pace, Ordering::Relaxed);
        Received::Bytes(count)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // Answers take their time on the line too, beside what comes.
        let answered = self.answered.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let out = Duration::from_secs_f64((answered + bytes.len() as u64) as f64 / LINE);
        std::thread::sleep(out.saturating_sub(self.begun.elapsed()));
        Ok(())
    }
}

/// What an attacker sends: calls, a page of the log now and then, and noise; sealed frames that no session opens; bytes and frames that
/// nobody answers.
fn floods() -> [(&'static str, Vec<u8>); 3] {
    let mut lots = Lots(4);
    let mut sealed = Vec::new();
    for nonce in 0..200 {
        let cipher = lots.bytes(16 + (nonce as usize * 97) % 4_000);
        sealed.extend(Sealed { nonce, cipher: &cipher }.encode().unwrap().as_bytes());
    }
    let mut junk = Vec::new();
    for id in 0..200 {
        junk.extend(lots.bytes(300));
        let body = lots.bytes(200);
        let frame = threshold_wire::Frame {
            kind: FrameKind::Answer,
            id,
            key: GetInfo::ANSWER_KEY,
            body: &body,
        };
        junk.extend(frame.encode().unwrap().as_bytes());
    }
    [("calls", calls()), ("sealed noise", sealed), ("junk", junk)]
}

fn calls() -> Vec<u8> {
    let mut bytes =
        call::request::<SayHello>(1, &HelloRequest::of_build("t")).unwrap().as_bytes().to_vec();
    for id in 2..200 {
        bytes.extend(call::request::<GetInfo>(id, &Nothing {}).unwrap().as_bytes());
        if id % 50 == 0 {
            let page = LogPageRequest { from: 1 };
            bytes.extend(call::request::<ReadLog>(1000 + id, &page).unwrap().as_bytes());
            bytes.extend([0x55, 0, 0xff, 0, 3]);
        }
    }
    bytes
}

/// Looks of one turn, and pairs of turns, one quiet and one flooded: in the short run, and in a long one.
const BLOCK: usize = 40;
const PAIRS: [usize; 2] = [8, 100];

/// The share of the line's pace that the unit takes at least, and kilobytes that a flood may leave in the process.
const TAKEN: f64 = 0.8;
const GROWN_KB: u64 = 2_048;

#[test]
fn a_flooded_line_leaves_the_loop_its_pace() {
    if !is_alone("long::a_flooded_line_leaves_the_loop_its_pace") {
        return;
    }
    floods().into_iter().for_each(|(name, bytes)| flooded(name, bytes));
}

/// Measures the loop under a flood of these bytes, again and again.
fn flooded(name: &str, bytes: Vec<u8>) {
    let pairs = PAIRS[usize::from(frames() > FRAMES)];
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    // A millisecond or two of arithmetic for each look, as a quick engine takes; a slower one would hide more.
    let engine = Box::new(NullEngine { turns: 1_000_000, sees: 1 });
    let Bench { mut unit, shared, notices, .. } = bench(folder.path(), true, engine);
    let (on, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let [taken, answered, paced] = std::array::from_fn(|_| Arc::new(AtomicU64::new(0)));
    let line = Flood {
        bytes,
        at: 0,
        on: Arc::clone(&on),
        taken: Arc::clone(&taken),
        answered: Arc::clone(&answered),
        paced: Arc::clone(&paced),
        begun: Instant::now(),
    };
    let access = Access { trusted: true, buttons: Vec::new() };
    let service =
        service::spawn(Box::new(line), shared, access, notices, Arc::clone(&stop)).unwrap();
    let (mut ratio, mut p95, mut share_taken, mut all) = (f64::INFINITY, 0.0, 0.0f64, 0);
    let mut before_kb = 0;
    // The machine's other work moves a ratio by some percent either way; a line that slowed the loop would do so each time.
    for _ in 0..5 {
        let mut times = [const { Vec::new() }; 2];
        let (mut came, mut went, mut pace) = (0, 0, 0);
        for _ in 0..pairs {
            // Quiet and flooded in turn, so that the other work falls on both.
            for (flooded, times) in [false, true].into_iter().zip(&mut times) {
                on.store(flooded, Ordering::Relaxed);
                for look in 0..BLOCK {
                    let begun = Instant::now();
                    unit.step(Duration::ZERO);
                    // The first ones still see the line as it was before.
                    if look >= BLOCK / 4 {
                        times.push(begun.elapsed());
                    }
                }
                if flooded {
                    came += taken.load(Ordering::Relaxed);
                    went += answered.load(Ordering::Relaxed);
                    pace += paced.load(Ordering::Relaxed);
                }
            }
            if before_kb == 0 {
                before_kb = held().0;
            }
        }
        all += came;
        // Whichever way is the narrow one: an answer is longer than its call.
        share_taken = share_taken.max(came.max(went) as f64 / pace.max(1) as f64);
        let [quiet, flooded] = &mut times;
        let found = share(flooded, 500) / share(quiet, 500);
        if found < ratio {
            (ratio, p95) = (found, share(flooded, 950) / share(quiet, 950));
        }
        if ratio <= 1.1 && share_taken >= TAKEN {
            break;
        }
    }
    let grown_kb = held().0.saturating_sub(before_kb);
    stop.store(true, Ordering::Relaxed);
    service.join().unwrap();
    figure(&format!(
        "{name}: a look's median time under a flooded line of 3 Mbaud, of a quiet one's | {ratio:.2}"
    ));
    figure(&format!("{name}: the same of the p95 of looks | {p95:.2}"));
    figure(&format!("{name}: bytes of the flood | {all}"));
    figure(&format!(
        "{name}: what was taken of the line's pace, or answered at it | {share_taken:.2}"
    ));
    figure(&format!("{name}: memory that it left, kB | {grown_kb}"));
    // How many they are is the machine's pace; what share of the line's they are is told next.
    assert!(all > 1_000, "{name}: the line was flooded: {all} bytes");
    assert!(share_taken >= TAKEN, "{name}: {share_taken} of the line's pace was taken");
    assert!(grown_kb <= GROWN_KB, "{name}: memory grew by {grown_kb} kB");
    assert!(ratio <= 1.1, "{name}: a flooded line slows the loop to {ratio} of its time");
}

/// A corridor of 1280 x 720 pixels in that light: gradients and edges, and nobody.
fn corridor(light: u8) -> Frame {
    let rgb = (0..1280 * 720).flat_map(|i| {
        let (x, y) = (i % 1280, i / 1280);
        let edge = if (x / 160 + y / 240) % 2 == 0 { 30 } else { 0 };
        [light + (x / 16) as u8 + edge; 3]
    });
    Frame::from_rgb(1280, 720, rgb.collect()).unwrap()
}

#[test]
fn all_but_the_engine_is_a_twentieth_of_a_frame_and_an_idle_frame_less() {
    let test = "long::all_but_the_engine_is_a_twentieth_of_a_frame_and_an_idle_frame_less";
    if std::env::var_os(ALONE).is_none() && packs().is_none() {
        return skipped("an idle unit's time", "no packs: cargo xtask setup");
    }
    if !is_alone(test) {
        return;
    }
    let detector = packs().unwrap().detector().unwrap();
    let cascade = CascadeOptions { min_face_px: 80.0, ..CascadeOptions::default() };
    let options = EngineOptions { cascade, ..EngineOptions::default() };
    let stats = |flickers: bool| {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let ticks = Arc::new(Ticks::default());
        let camera = NullCamera {
            clock: Arc::clone(&ticks),
            nobody: corridor(60),
            somebody: corridor(if flickers { 90 } else { 60 }),
            flickers,
            sequence: 0,
        };
        let engine = Box::new(CpuEngine::new(&detector, None, &options).unwrap());
        let Bench { mut unit, shared, .. } = bench_of(folder.path(), &ticks, camera, engine);
        for _ in 0..130 {
            unit.step(Duration::ZERO);
        }
        shared.lock().stats().told(0, None, Level::Normal)
    };
    let (busy, idle) = (stats(true), stats(false));
    let of = |a: u32, b: u32| f64::from(a) / f64::from(b);
    // The machine's other work falls into a frame now and then, so that the p95 is told and the median judged.
    let rest = of(busy.frame.p50_us, busy.detect.p50_us) - 1.0;
    let rest_p95 = of(busy.frame.p95_us, busy.detect.p95_us) - 1.0;
    // Most idle frames are not searched, so that half of them take no longer than one of those.
    let unsearched = of(idle.frame.p50_us, busy.frame.p50_us);
    let searched = idle.searched as f64 / idle.frames as f64;
    let spent = searched + (1.0 - searched) * unsearched;
    figure(&format!(
        "all but the engine at 1280 x 720, of detection on the processor, median and p95 | {rest:.3}, {rest_p95:.3}"
    ));
    figure(&format!("an idle frame that is not searched, of one that is | {unsearched:.3}"));
    figure(&format!("an idle unit's time with the gate, of that without | {spent:.3}"));
    assert_eq!((busy.searched, busy.frames), (130, 130));
    assert!(rest <= 0.05, "{busy:?}");
    assert!(searched <= 0.1 && unsearched <= 0.1, "{idle:?} {busy:?}");
}
