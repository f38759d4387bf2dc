//! What the loop allocates for a frame: nothing, whoever is there, once the first frames have made room.
//!
//! Every allocation of this binary is counted. The camera lends two frames again and again, as a real one does, and the engine's own
//! results are lists of its trait, which are known and taken off. Decisions are left out: each is a log entry, whose write allocates.

use super::{Bench, NullEngine, Ticks, bench_of, figure, is_alone, picture};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use threshold_edge::heat::Level;
use threshold_edge::unit::{Camera, CameraFault, Clock as _, Event};
use threshold_models::frame::Frame;

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Frames before the count, in which lists grow to their size, and frames that are counted: fewer than the 60 that decide a visit.
const WARM: usize = 10;
const COUNTED_FRAMES: usize = 40;

/// Allocations of the engine's for a frame with a face: the list of faces, that of embeddings, and the one embedding.
const OF_ENGINE: usize = 3;

/// A camera that lends one picture of nobody and one of a stranger.
struct Lending {
    clock: Arc<Ticks>,
    nobody: Option<Frame>,
    somebody: Option<Frame>,
    shows: Arc<AtomicBool>,
    lent_somebody: bool,
    sequence: u64,
}

impl Camera for Lending {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.sequence += 1;
        self.clock.tick();
        self.lent_somebody = self.shows.load(Ordering::Relaxed);
        let lent = if self.lent_somebody { &mut self.somebody } else { &mut self.nobody };
        let Some(mut frame) = lent.take() else { return Ok(Event::Nothing) };
        frame.sequence = self.sequence;
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }

    fn take_back(&mut self, frame: Frame) {
        let place = if self.lent_somebody { &mut self.somebody } else { &mut self.nobody };
        *place = Some(frame);
    }
}

/// Of whom nobody has the axis: a visit is refused, and goes on without a pulse.
const STRANGER: usize = 2;

#[test]
fn a_frame_allocates_nothing() {
    if !is_alone("long::allocations::a_frame_allocates_nothing") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (ticks, shows) = (Arc::new(Ticks::default()), Arc::new(AtomicBool::new(false)));
    let camera = Lending {
        clock: Arc::clone(&ticks),
        nobody: Some(picture(120, 120)),
        somebody: Some(picture(80, 160)),
        shows: Arc::clone(&shows),
        lent_somebody: false,
        sequence: 0,
    };
    let Bench { mut unit, shared, pulses, .. } =
        bench_of(folder.path(), &ticks, camera, Box::new(NullEngine { turns: 0, sees: STRANGER }));
    let mut counted = |frames: usize| {
        (0..WARM).for_each(|_| unit.step(Duration::ZERO));
        let region = Region::new(COUNTED);
        (0..frames).for_each(|_| unit.step(Duration::ZERO));
        let change = region.change();
        change.allocations + change.reallocations
    };
    // Enough of them to be searched now and then although nothing stirs.
    let idle = counted(1_000);
    shows.store(true, Ordering::Relaxed);
    let visited = counted(COUNTED_FRAMES).saturating_sub(OF_ENGINE * COUNTED_FRAMES);
    let stats = shared.lock().stats().told(0, None, Level::Normal);
    figure(&format!("allocations of 1000 frames of nobody | {idle}"));
    figure(&format!(
        "allocations of {COUNTED_FRAMES} frames of a visit, the engine's own results aside | {visited}"
    ));
    assert_eq!((stats.visits, stats.decisions.len()), (1, 0), "one visit, which goes on");
    assert_eq!(stats.embed.calls as usize, WARM + COUNTED_FRAMES, "each was compared");
    assert_eq!(pulses.load(Ordering::Relaxed), 0);
    assert_eq!((idle, visited), (0, 0));
    // What counts counts.
    let region = Region::new(COUNTED);
    drop(std::hint::black_box(vec![0u8; 100]));
    assert_eq!(region.change().allocations, 1);
}
