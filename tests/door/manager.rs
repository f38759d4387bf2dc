//! Signs of life: the loop gives them while it goes round, whatever the camera does, and none while the engine hangs or nobody serves the
//! line.

use crate::rig::Rig;
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use threshold_edge::journal::Permit;
use threshold_edge::manager::Manager;
use threshold_edge::notices::Notices;
use threshold_edge::run::go_round;
use threshold_edge::unit::{Camera, CameraFault, Event, Lock, LockFault, Unit};
use threshold_models::engine::{Detection, Embedding, Engine, EngineError};
use threshold_models::frame::Frame;
use threshold_record::Cause;
use threshold_wire::message::Armed;

/// The manager's patience.
const WATCHDOG: Duration = Duration::from_millis(800);

/// An engine that hangs while a test holds its gate.
struct Gated(Arc<Mutex<()>>);

impl Engine for Gated {
    fn detect(&mut self, _: &Frame) -> Result<Vec<Detection>, EngineError> {
        drop(self.0.lock().unwrap());
        Ok(Vec::new())
    }

    fn embed(&mut self, _: &Frame, _: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        panic!("there is no face")
    }
}

/// A camera that gives frames, or gives nothing while it is stuck, as a real one does: within the patience.
struct Staring {
    stuck: Arc<AtomicBool>,
    sequence: u64,
}

impl Camera for Staring {
    fn next(&mut self, patience: Duration) -> Result<Event, CameraFault> {
        std::thread::sleep(patience.min(Duration::from_millis(5)));
        if self.stuck.load(Ordering::SeqCst) {
            return Err(CameraFault("it gives no frames".to_owned()));
        }
        self.sequence += 1;
        let mut frame = Frame::from_rgb(64, 48, vec![90; 64 * 48 * 3]).unwrap();
        (frame.sequence, frame.captured_at_ms) = (self.sequence, self.sequence * 40);
        Ok(Event::Frame(frame))
    }
}

struct NoLock;

impl Lock for NoLock {
    fn pulse(&mut self, _: Permit) -> Result<(), LockFault> {
        panic!("nobody was there")
    }
}

#[test]
fn a_stuck_camera_leaves_the_signs_of_life_and_a_hung_engine_or_a_line_that_nobody_serves_ends_them()
 {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(WATCHDOG)).unwrap();
    let rig = Rig::new();
    let (gate, stuck) = (Arc::new(Mutex::new(())), Arc::new(AtomicBool::new(false)));
    let stop = Arc::new(AtomicBool::new(false));
    let answers = Arc::new(AtomicBool::new(true));
    let looping = {
        let camera = Staring { stuck: Arc::clone(&stuck), sequence: 0 };
        let engine: Box<dyn Engine> = Box::new(Gated(Arc::clone(&gate)));
        let notices = Notices::to(Box::new(std::io::sink()));
        let (shared, clock) = (rig.shared.clone(), Arc::clone(&rig.clock) as _);
        let (stop, answers) = (Arc::clone(&stop), Arc::clone(&answers));
        std::thread::spawn(move || {
            let lock = Box::new(NoLock);
            let mut unit =
                Unit::new(Box::new(camera), lock, Some(engine), shared.clone(), clock, notices);
            let mut manager = Manager::at(Some(path.into()), Some(WATCHDOG));
            go_round(&mut unit, &mut manager, &shared, &stop, || answers.load(Ordering::SeqCst));
        })
    };
    let mut words = [0; 512];
    let mut hears = || {
        let len = socket.recv(&mut words).ok()?;
        Some(String::from_utf8_lossy(&words[..len]).into_owned())
    };
    let signs = |count: usize, hears: &mut dyn FnMut() -> Option<String>| {
        let begun = Instant::now();
        let mut seen = 0;
        while seen < count {
            seen += usize::from(hears().is_some_and(|words| words.starts_with("WATCHDOG=1")));
            assert!(begun.elapsed() < Duration::from_secs(60), "no sign of life");
        }
    };
    signs(4, &mut hears);
    stuck.store(true, Ordering::SeqCst);
    signs(8, &mut hears);
    stuck.store(false, Ordering::SeqCst);
    {
        let _hung = gate.lock().unwrap();
        let begun = Instant::now();
        while hears().is_some() {
            assert!(begun.elapsed() < Duration::from_secs(60), "a hung engine, and signs of life");
        }
    }
    signs(4, &mut hears);
    // The loop goes on, and nobody could be told of anything.
    assert!(!matches!(rig.shared.lock().armed(), Armed::Fault(_)));
    answers.store(false, Ordering::SeqCst);
    let begun = Instant::now();
    while hears().is_some() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody answers, and signs of life");
    }
    assert_eq!(rig.shared.lock().armed(), Armed::Fault(Cause::Engine));
    stop.store(true, Ordering::SeqCst);
    looping.join().unwrap();
}
