//! The folder that replays as a camera.

use crate::rig::BenchClock;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use threshold_edge::capture::Replay;
use threshold_edge::unit::{Camera, CameraFault, Event};

fn open(folder: &Path) -> Replay {
    Replay::open(folder, Arc::new(BenchClock::default())).unwrap()
}

fn png(path: &Path, width: u32) {
    image::RgbImage::from_pixel(width, 20, image::Rgb([7, 8, 9])).save(path).unwrap();
}

/// What the camera tells until nothing more comes, in short.
fn told(camera: &mut Replay, clock: &BenchClock) -> Vec<String> {
    let mut told = Vec::new();
    let mut quiet = 0;
    while quiet < 4 {
        clock.advance(40);
        match camera.next(Duration::ZERO) {
            Ok(Event::Nothing) => quiet += 1,
            other => {
                quiet = 0;
                told.push(match other {
                    Ok(Event::Arrival) => "arrival".to_owned(),
                    Ok(Event::Departure) => "departure".to_owned(),
                    Ok(Event::Frame(frame)) => format!("frame {}", frame.width()),
                    Ok(Event::Nothing) => String::new(),
                    Err(CameraFault(why)) => why.split(": ").nth(1).unwrap_or(&why).to_owned(),
                });
            }
        }
    }
    told
}

#[test]
fn every_picture_is_a_visit_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("b.png"), 30);
    png(&folder.path().join("a.PNG"), 20);
    fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    let clock = Arc::new(BenchClock::default());
    let mut camera = Replay::open(folder.path(), Arc::clone(&clock) as _).unwrap();
    let visit = |width: u32| {
        let mut visit = vec!["arrival".to_owned()];
        visit.extend(vec![format!("frame {width}"); 8]);
        visit.push("departure".to_owned());
        visit
    };
    assert_eq!(told(&mut camera, &clock), [visit(20), visit(30)].concat());
    assert_eq!(told(&mut camera, &clock), Vec::<String>::new(), "each is shown once");
    png(&folder.path().join("0.png"), 40);
    assert_eq!(told(&mut camera, &clock), visit(40));
    // Another picture under the same name is another visit.
    png(&folder.path().join("0.png"), 50);
    assert_eq!(told(&mut camera, &clock), visit(50));
}

#[test]
fn frames_carry_growing_numbers_and_instants() {
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("a.png"), 20);
    let clock = Arc::new(BenchClock::default());
    let mut camera = Replay::open(folder.path(), Arc::clone(&clock) as _).unwrap();
    let mut last = (0, 0);
    for _ in 0..100 {
        clock.advance(7);
        if let Ok(Event::Frame(frame)) = camera.next(Duration::ZERO) {
            assert!(
                frame.sequence == last.0 + 1 && frame.captured_at_ms >= last.1 + 40 * last.0.min(1)
            );
            last = (frame.sequence, frame.captured_at_ms);
        }
    }
    assert_eq!(last.0, 8);
}

#[test]
fn a_picture_that_cannot_be_read_is_a_fault_of_its_own_visit() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.jpg"), [0xff, 0xd8, 0xff, 0xe0, 0, 16]).unwrap();
    png(&folder.path().join("b.png"), 20);
    let clock = Arc::new(BenchClock::default());
    let mut camera = Replay::open(folder.path(), Arc::clone(&clock) as _).unwrap();
    let told = told(&mut camera, &clock);
    assert_eq!(told[0], "arrival");
    assert!(told[1].starts_with("the picture is cut off"), "{told:?}");
    assert_eq!(told[2..5], ["departure", "arrival", "frame 20"]);
}

#[test]
fn a_file_that_still_grows_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    png(&folder.path().join("whole.tmp.png"), 20);
    let bytes = fs::read(folder.path().join("whole.tmp.png")).unwrap();
    fs::remove_file(folder.path().join("whole.tmp.png")).unwrap();
    let mut camera = open(folder.path());
    let path = folder.path().join("a.png");
    for len in [5, 20, bytes.len() - 1, bytes.len()] {
        fs::write(&path, &bytes[..len]).unwrap();
        let event = camera.next(Duration::ZERO).unwrap();
        assert!(matches!(event, Event::Nothing), "after {len} bytes: {event:?}");
    }
    assert!(matches!(camera.next(Duration::ZERO).unwrap(), Event::Arrival));
    assert!(matches!(camera.next(Duration::ZERO).unwrap(), Event::Nothing));
    assert!(matches!(camera.next(Duration::ZERO).unwrap(), Event::Frame(_)));
}

#[test]
fn a_folder_that_is_not_there_is_a_fault_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("camera");
    let error = Replay::open(&missing, Arc::new(BenchClock::default())).err().unwrap();
    assert!(error.to_string().contains("make it, or name another with --camera"), "{error}");
    // One that goes away later is a fault while it is gone.
    fs::create_dir(&missing).unwrap();
    let mut camera = open(&missing);
    fs::remove_dir(&missing).unwrap();
    assert!(camera.next(Duration::ZERO).is_err());
    fs::create_dir(&missing).unwrap();
    assert!(matches!(camera.next(Duration::ZERO), Ok(Event::Nothing)));
}
