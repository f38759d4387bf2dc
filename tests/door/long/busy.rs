//! The loop beside everything else that a unit does at once: a flooded line that pulls the log, a log that takes entries without end, and a
//! gallery that changes and is cleaned.
//!
//! Of a unit's own rations all inputs together write an entry in four seconds and the loop itself everything else, and nobody enrols and
//! removes somebody every ten seconds for long: the log gets twice that rate beside the loop's own decisions, by the camera's clock.
//! Judged is a look's time without what it waited for a processor, which the kernel counts: that is the machine's other work. What it
//! waited for a lock, or for the medium, is in it.

use super::{Bench, Flood, NullEngine, Ticks, bench_of, calls, figure, is_alone, picture, share};
use crate::rig::template;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use threshold_edge::service::{self, Access};
use threshold_edge::state::Shared;
use threshold_edge::unit::{Camera, CameraFault, Clock, Event};
use threshold_models::frame::Frame;
use threshold_record::{EntryKind, LogEntry, Name};

/// Frames from one visit to the next, and how many of them show a face.
const VISIT: (u64, u64) = (60, 10);

/// Frames of one turn: one visit. Of a busy one the first ones still see the unit as it was before.
const BLOCK: usize = VISIT.0 as usize;
const SKIPPED: usize = BLOCK / 10;

/// Pairs of turns, one quiet and one busy.
const PAIRS: usize = 20;

/// Frames between two durable entries of somebody else than the loop, and between two changes of the gallery: at 25 a second, two seconds
/// and ten. What goes by frames finds a slow machine as it finds a quick one.
const ENTRY: u64 = 50;
const CHANGE: u64 = 250;

/// A corridor whose light goes on and off, so that each frame is searched, and now and then somebody.
struct Corridor {
    clock: Arc<Ticks>,
    /// Dark, light, and with somebody.
    pictures: [Frame; 3],
    sequence: u64,
}

impl Corridor {
    fn new(clock: &Arc<Ticks>) -> Self {
        // The engine knows nobody by the first pixel, 120.
        let pictures = [picture(120, 120), picture(120, 160), picture(80, 160)];
        Self { clock: Arc::clone(clock), pictures, sequence: 0 }
    }
}

impl Camera for Corridor {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.clock.tick();
        let shows = match self.sequence % VISIT.0 < VISIT.1 {
            true => 2,
            false => (self.sequence % 2) as usize,
        };
        let mut frame = self.pictures[shows].clone();
        self.sequence += 1;
        frame.sequence = self.sequence;
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }
}

/// What is done beside the loop, and how often.
#[derive(Default)]
struct Others {
    on: Arc<AtomicBool>,
    stop: AtomicBool,
    /// Frames of busy turns so far.
    frames: AtomicU64,
    entries: AtomicU64,
    changes: AtomicU64,
}

impl Others {
    /// Writes entries and changes the gallery as frames go by.
    fn work(&self, shared: &Shared) {
        let (mut entry_at, mut change_at) = (ENTRY, CHANGE);
        let mut guest = None;
        while !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
            let frames = self.frames.load(Ordering::Relaxed);
            if frames >= entry_at {
                entry_at += ENTRY;
                shared.lock().write(LogEntry::of(EntryKind::ExitRequested)).unwrap();
                self.entries.fetch_add(1, Ordering::Relaxed);
            }
            if frames >= change_at {
                change_at += CHANGE;
                let mut state = shared.lock();
                let store = state.journal_mut().unwrap().store_mut();
                match guest.take() {
                    // What a removal leaves behind is cleaned by the loop, when nobody is there.
                    Some(person) => drop(store.remove_person(person).unwrap()),
                    None => {
                        let person = store.add_person(Name::new("Guest").unwrap()).unwrap();
                        store.put_template(template(person, 0, 2)).unwrap();
                        guest = Some(person);
                    }
                }
                state.gallery_changed();
                self.changes.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// How long this thread has waited for a processor; none where the kernel does not count that.
fn waited() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = told.split_whitespace().nth(1).and_then(|text| text.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

/// Median and p95 of looks, all of their time and what is left without waiting for a processor.
fn figures(looks: &[[Duration; 2]]) -> [f64; 4] {
    let [mut whole, mut own] =
        [0, 1].map(|of| looks.iter().map(|look| look[of]).collect::<Vec<_>>());
    [share(&mut whole, 500), share(&mut whole, 950), share(&mut own, 500), share(&mut own, 950)]
}

/// The middle one.
fn median(mut of: Vec<f64>) -> f64 {
    of.sort_unstable_by(f64::total_cmp);
    of[of.len() / 2]
}

#[test]
fn a_flooded_line_a_busy_log_and_cleaning_leave_the_loop_its_pace() {
    let test = "long::busy::a_flooded_line_a_busy_log_and_cleaning_leave_the_loop_its_pace";
    if !is_alone(test) {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let ticks = Arc::new(Ticks::default());
    let engine = Box::new(NullEngine { turns: 1_000_000, sees: 1 });
    let Bench { mut unit, shared, pulses, notices } =
        bench_of(folder.path(), &ticks, Corridor::new(&ticks), engine);
    let others = Others::default();
    let (stop, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let line = Flood {
        bytes: calls(),
        at: 0,
        on: Arc::clone(&others.on),
        taken: Arc::clone(&taken),
        answered: Arc::default(),
        paced: Arc::default(),
        begun: Instant::now(),
    };
    let access = Access { trusted: true, buttons: Vec::new() };
    let served = (shared.clone(), notices);
    let service =
        service::spawn(Box::new(line), served.0, access, served.1, Arc::clone(&stop)).unwrap();
    let (mut found, mut flooded, mut visits) = ([f64::INFINITY; 4], 0, 0);
    std::thread::scope(|scope| {
        scope.spawn(|| others.work(&shared));
        // The machine's other work moves a ratio by some percent either way; a loop that is slowed is so each time.
        for _ in 0..5 {
            let mut times = [const { Vec::new() }; 2];
            for _ in 0..PAIRS {
                // Quiet and busy in turn, so that the other work falls on both.
                for (busy, times) in [false, true].into_iter().zip(&mut times) {
                    others.on.store(busy, Ordering::Relaxed);
                    let mut looks = Vec::with_capacity(BLOCK);
                    for look in 0..BLOCK {
                        let (waited_before, begun) = (waited(), Instant::now());
                        unit.step(Duration::ZERO);
                        let whole = begun.elapsed();
                        others.frames.fetch_add(u64::from(busy), Ordering::Relaxed);
                        let for_a_processor = waited().saturating_sub(waited_before);
                        if look >= SKIPPED {
                            looks.push([whole, whole.saturating_sub(for_a_processor)]);
                        }
                    }
                    times.push(figures(&looks));
                    visits += 1;
                    flooded += if busy { taken.load(Ordering::Relaxed) } else { 0 };
                }
            }
            let of = |turns: &[[f64; 4]], which: usize| {
                median(turns.iter().map(|turn| turn[which]).collect())
            };
            let [quiet, busy] = &times;
            let ratios = [0, 1, 2, 3].map(|which| of(busy, which) / of(quiet, which));
            if ratios[3] < found[3] {
                found = ratios;
            }
            if found[3] <= 1.1 {
                break;
            }
        }
        others.stop.store(true, Ordering::Relaxed);
    });
    stop.store(true, Ordering::Relaxed);
    service.join().unwrap();
    let (entries, changes) =
        (others.entries.load(Ordering::Relaxed), others.changes.load(Ordering::Relaxed));
    figure(&format!(
        "a look's median time and p95 under a flooded line, with an entry in {ENTRY} frames and a change of the gallery in {CHANGE}, of a quiet one's | {:.2}, {:.2}",
        found[2], found[3]
    ));
    figure(&format!(
        "the same with what the machine's other work took | {:.2}, {:.2}",
        found[0], found[1]
    ));
    figure(&format!(
        "visits, entries, changes and bytes of the line meanwhile | {visits}, {entries}, {changes}, {flooded}"
    ));
    // A change of the gallery takes from a visit what was compared before it, and may leave too few frames.
    let admitted = pulses.load(Ordering::Relaxed);
    assert!(10 * admitted >= 9 * visits, "{admitted} of {visits} visits are admissions");
    assert!(entries > 0 && changes > 1 && flooded > 10_000, "{entries} {changes} {flooded}");
    assert!(found[3] <= 1.1, "everything else slows the loop's p95 to {} of its time", found[3]);
}
