//! The quality gate of an enrolment at the door, before the real detector: of bad pictures not one is taken, and each has its code.

#![allow(clippy::print_stdout, reason = "figures are printed for whoever asks with --nocapture")]

use crate::rig::{BenchClock, Rig, axis};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use threshold_edge::journal::Permit;
use threshold_edge::notices::Notices;
use threshold_edge::unit::{Camera, CameraFault, Clock, Event, Lock, LockFault, Unit};
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{BBox, Detection, Embedding, Engine, EngineError};
use threshold_models::eval::Reference;
use threshold_models::eval::split::Half;
use threshold_models::frame::Frame;
use threshold_models::picture;
use threshold_models::quality::measure;
use threshold_record::{Cause, Name};
use threshold_tests::{NO_REFERENCES, packs, photos, shared, skipped};
use threshold_wire::endpoints::{BeginEnrolment, CancelEnrolment, GetEnrolment};
use threshold_wire::enrolment::{EnrolmentBegin, EnrolmentNumber};

/// Frames of each picture, so far apart that each may be taken.
const FRAMES: usize = 2;
const APART_MS: u64 = 250;

/// The gate's limit is 45 degrees.
const PROFILE_DEG: f32 = 50.0;

struct Pictures {
    queue: Arc<Mutex<VecDeque<Frame>>>,
    clock: Arc<BenchClock>,
}

impl Camera for Pictures {
    fn next(&mut self, _: Duration) -> Result<Event, CameraFault> {
        self.clock.advance(APART_MS);
        let Some(mut frame) = self.queue.lock().unwrap().pop_front() else {
            return Ok(Event::Nothing);
        };
        frame.captured_at_ms = self.clock.monotonic_ms();
        Ok(Event::Frame(frame))
    }
}

struct Shut;

impl Lock for Shut {
    fn pulse(&mut self, _: Permit) -> Result<(), LockFault> {
        panic!("an enrolment moves no lock")
    }
}

/// The real detector; whatever it is asked to embed was taken for good.
struct Detector {
    real: CpuEngine,
    embedded: Arc<AtomicUsize>,
}

impl Engine for Detector {
    fn detect(&mut self, frame: &Frame) -> Result<Vec<Detection>, EngineError> {
        self.real.detect(frame)
    }

    fn embed(&mut self, _: &Frame, faces: &[Detection]) -> Result<Vec<Embedding>, EngineError> {
        self.embedded.fetch_add(1, Ordering::SeqCst);
        Ok(vec![axis(1); faces.len()])
    }
}

/// A door with the real detector.
struct Door {
    rig: Rig,
    unit: Unit,
    queue: Arc<Mutex<VecDeque<Frame>>>,
    embedded: Arc<AtomicUsize>,
}

impl Door {
    fn new(real: CpuEngine) -> Self {
        let rig = Rig::new();
        let (queue, embedded) = (Arc::default(), Arc::default());
        let camera = Pictures { queue: Arc::clone(&queue), clock: Arc::clone(&rig.clock) };
        let engine = Detector { real, embedded: Arc::clone(&embedded) };
        let unit = Unit::new(
            Box::new(camera),
            Box::new(Shut),
            Some(Box::new(engine)),
            rig.shared.clone(),
            Arc::clone(&rig.clock) as _,
            Notices::to(Box::new(std::io::sink())),
        );
        Self { rig, unit, queue, embedded }
    }

    /// How many frames of a picture were embedded, how many taken, and what the last one lacked.
    fn enrol(&mut self, image: &RgbImage) -> (usize, u8, Cause) {
        let begin = EnrolmentBegin { name: Name::new("Ada").unwrap(), templates: 3, force: false };
        let begun = self.rig.call::<BeginEnrolment>(&begin).unwrap();
        let of = EnrolmentNumber { number: begun.number };
        let (width, height) = image.dimensions();
        let before = self.embedded.load(Ordering::SeqCst);
        for _ in 0..FRAMES {
            let rgb = image.as_raw().clone();
            let frame = Frame::from_rgb(width as usize, height as usize, rgb).unwrap();
            self.queue.lock().unwrap().push_back(frame);
            self.unit.step(Duration::ZERO);
        }
        let status = self.rig.call::<GetEnrolment>(&of).unwrap();
        assert_eq!(status.frames as usize, FRAMES);
        self.rig.call::<CancelEnrolment>(&of).unwrap();
        let embedded = self.embedded.load(Ordering::SeqCst) - before;
        (embedded, status.taken.iter().sum(), status.cause)
    }

    /// How many of these pictures were taken, how many the gate let by, and what each kind was called how often.
    fn judge(
        &mut self,
        bad: &[(Cause, RgbImage)],
    ) -> (usize, usize, BTreeMap<(&'static str, &'static str), usize>) {
        let (mut accepted, mut passed, mut causes) = (0, 0, BTreeMap::new());
        for (expected, image) in bad {
            let (embedded, taken, cause) = self.enrol(image);
            accepted += usize::from((embedded, taken) != (0, 0));
            passed += usize::from(cause == Cause::None);
            *causes.entry((expected.text(), cause.text())).or_default() += 1;
        }
        (accepted, passed, causes)
    }
}

fn scaled(image: &RgbImage, height: u32) -> RgbImage {
    let width = (image.width() * height / image.height()).max(1);
    imageops::resize(image, width, height, FilterType::Triangle)
}

fn each(image: &RgbImage, with: impl Fn(f32) -> f32) -> RgbImage {
    let mut image = image.clone();
    image.iter_mut().for_each(|value| *value = with(f32::from(*value)).clamp(0.0, 255.0) as u8);
    image
}

/// A part of the face's box, painted over.
fn covered(image: &RgbImage, face: &Detection, from: f32, to: f32, level: u8) -> RgbImage {
    let mut image = image.clone();
    let bbox = &face.bbox;
    let (width, height) = (bbox.x2 - bbox.x1, bbox.y2 - bbox.y1);
    let (left, right) = (bbox.x1 - 0.1 * width, bbox.x2 + 0.1 * width);
    let (top, bottom) = (bbox.y1 + from * height, bbox.y1 + to * height);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let (x, y) = (x as f32, y as f32);
        if (left..right).contains(&x) && (top..bottom).contains(&y) {
            *pixel = Rgb([level; 3]);
        }
    }
    image
}

/// Faces of the development sets that look far aside by the reference's landmarks, each cut out of its picture.
fn profiles(shared: &Path) -> Vec<RgbImage> {
    let mut all = Vec::new();
    for set in ["lfw-dev", "wider-dev"] {
        let text = std::fs::read_to_string(shared.join(format!("golden/{set}.json"))).unwrap();
        let found: BTreeMap<String, Reference> = serde_json::from_str(&text).unwrap();
        for (path, one) in found {
            let faces = one.boxes.iter().zip(&one.landmarks).zip(&one.scores);
            let faces = faces.map(|((&[x1, y1, x2, y2], &landmarks), &score)| Detection {
                bbox: BBox { x1, y1, x2, y2 },
                landmarks,
                score,
            });
            let turned: Vec<Detection> = faces.filter(is_profile).collect();
            if turned.is_empty() {
                continue;
            }
            let frame = picture::read(&shared.join(set).join("images").join(path)).unwrap();
            let image = image_of(&frame);
            all.extend(turned.iter().map(|face| around(&image, &face.bbox)));
        }
    }
    all
}

/// Clearly beyond the gate's limit, since the estimate is good to some degrees, and large enough to be compared.
fn is_profile(face: &Detection) -> bool {
    let blank = Frame::from_rgb(1, 1, vec![0; 3]).unwrap();
    let measures = measure(&blank, face);
    measures.yaw_deg.abs() > PROFILE_DEG && measures.face_px >= 50.0
}

/// A face with as much around it as leaves it alone in most pictures.
fn around(image: &RgbImage, bbox: &BBox) -> RgbImage {
    let (width, height) = (bbox.x2 - bbox.x1, bbox.y2 - bbox.y1);
    let (left, top) =
        ((bbox.x1 - 0.4 * width).max(0.0) as u32, (bbox.y1 - 0.4 * height).max(0.0) as u32);
    let (right, bottom) = ((bbox.x2 + 0.4 * width) as u32, (bbox.y2 + 0.4 * height) as u32);
    let (right, bottom) = (right.min(image.width()), bottom.min(image.height()));
    imageops::crop_imm(image, left, top, right - left, bottom - top).to_image()
}

fn image_of(frame: &Frame) -> RgbImage {
    let (width, height) = (frame.width() as u32, frame.height() as u32);
    RgbImage::from_raw(width, height, frame.rgb().to_vec()).unwrap()
}

fn beside(left: &RgbImage, right: &RgbImage) -> RgbImage {
    let height = left.height().max(right.height());
    let mut both = RgbImage::new(left.width() + right.width(), height);
    imageops::replace(&mut both, left, 0, 0);
    imageops::replace(&mut both, right, i64::from(left.width()), 0);
    both
}

/// What spoils a picture, each in ten strengths.
fn spoilt(image: &RgbImage, face: &Detection) -> Vec<(Cause, RgbImage)> {
    let face_px = (face.bbox.x2 - face.bbox.x1).min(face.bbox.y2 - face.bbox.y1);
    let mut all = Vec::new();
    for step in 0..10u32 {
        let part = step as f32 / 9.0;
        // Faces of 18 to 36 px.
        let far = (image.height() as f32 * (18.0 + 18.0 * part) / face_px) as u32;
        all.push((Cause::TooFar, scaled(image, far)));
        let sigma = face_px / 128.0 * (6.0 + 4.0 * part);
        all.push((Cause::Blurred, imageops::blur(image, sigma)));
        all.push((Cause::TooDark, each(image, |value| value * (0.06 + 0.1 * part))));
        all.push((Cause::TooBright, each(image, |value| value + 150.0 + 60.0 * part)));
        // Eyes, or nose and mouth, behind something plain.
        let (from, to) = if step % 2 == 0 { (0.2, 0.5) } else { (0.5, 1.0) };
        let level = 20 * step as u8 + 30;
        all.push((Cause::Covered, covered(image, face, from, to, level)));
    }
    all
}

#[test]
fn of_bad_pictures_none_is_taken_and_good_ones_are() {
    let (Some(packs), Some(photos)) = (packs(), photos()) else {
        return skipped(
            "bad pictures at the door",
            "no packs or no photos; `cargo xtask setup` fetches them",
        );
    };
    let detector = packs.detector().unwrap();
    let mut door = Door::new(CpuEngine::new(&detector, None, &EngineOptions::default()).unwrap());
    let mut look = CpuEngine::new(&detector, None, &EngineOptions::default()).unwrap();
    let names = ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"];
    let images: Vec<RgbImage> = names
        .iter()
        .map(|name| scaled(&image_of(&picture::read(&photos.join(name)).unwrap()), 360))
        .collect();
    let mut bad = Vec::new();
    let (mut good, mut good_taken, mut refused) = (0, 0, Vec::new());
    for (name, image) in names.iter().zip(&images) {
        let (width, height) = image.dimensions();
        let frame = Frame::from_rgb(width as usize, height as usize, image.as_raw().clone());
        let faces = look.detect(&frame.unwrap()).unwrap();
        bad.extend(spoilt(image, &faces[0]));
        for (what, variant) in [
            ("as it is", image.clone()),
            ("darker", each(image, |value| value * 0.8)),
            ("brighter", each(image, |value| value + 20.0)),
            ("larger", scaled(image, 420)),
        ] {
            good += 1;
            let (embedded, _, cause) = door.enrol(&variant);
            good_taken += usize::from(embedded > 0);
            if cause != Cause::None {
                refused.push((*name, what, cause));
            }
        }
        for other in &images {
            bad.push((Cause::MoreThanOne, beside(image, other)));
        }
    }
    assert!(bad.len() >= 200, "{}", bad.len());
    let (accepted, passed, causes) = door.judge(&bad);
    let n = bad.len();
    println!("{accepted} of {n} bad pictures taken; spoilt so, and called: {causes:?}");
    println!(
        "{good_taken} of {good} good pictures taken at once, as straight; refused: {refused:?}"
    );
    assert_eq!(accepted, 0, "of {n}: {causes:?}");
    // Heads that look aside are not taken before one that looks straight, so that this says what the gate by itself lets pass.
    assert_eq!(passed, 0, "{causes:?}");
    for spoilt in ["too_far", "blurred", "too_dark", "too_bright", "covered", "more_than_one"] {
        let of = causes.iter().filter(|((so, _), _)| *so == spoilt);
        let right = of.clone().filter(|((_, called), _)| [spoilt, "no_face"].contains(called));
        let (of, right): (usize, usize) = (of.map(|it| it.1).sum(), right.map(|it| it.1).sum());
        assert!(causes.contains_key(&(spoilt, spoilt)) && 10 * right >= 9 * of, "{causes:?}");
    }
    assert!(refused.is_empty(), "of {good} good pictures: {refused:?}");
}

/// People of the development set's check half: so many for good pictures, and every few of them for bad ones. That a plain cover is found
/// was made and set on the fit half alone; the gate's other limits on all pictures, beside which the fit half's were laid
/// (`threshold_models::quality`).
const GOOD: usize = 250;
const GOOD_A_BAD: usize = 10;

#[test]
fn of_bad_pictures_of_the_check_half_none_is_taken_and_few_good_ones_are_refused() {
    let (Some(packs), Some(shared)) = (packs(), shared()) else {
        return skipped("bad pictures of many people at the door", NO_REFERENCES);
    };
    let detector = packs.detector().unwrap();
    let engine = || CpuEngine::new(&detector, None, &EngineOptions::default()).unwrap();
    let (mut door, mut look) = (Door::new(engine()), engine());
    let folder = shared.join("lfw-dev/images");
    let mut people: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|person| Half::of(person) == Half::Check)
        .collect();
    people.sort();
    let (mut good, mut refused) = (0, BTreeMap::<&str, usize>::new());
    let mut bad = Vec::new();
    for person in &people {
        let mut files: Vec<_> = std::fs::read_dir(folder.join(person))
            .unwrap()
            .map(|file| file.unwrap().path())
            .collect();
        files.sort();
        let frame = picture::read(&files[0]).unwrap();
        let faces = look.detect(&frame).unwrap();
        // With others in the background it is no good one.
        let [face] = &faces[..] else { continue };
        let image = image_of(&frame);
        let (_, _, cause) = door.enrol(&image);
        good += 1;
        if cause != Cause::None {
            *refused.entry(cause.text()).or_default() += 1;
        } else if good % GOOD_A_BAD == 0 {
            // Every cover, since a detector finds eyes at the edge of some; of what else spoils a picture a strength or two of each kind,
            // others for other people.
            let (covered, other): (Vec<_>, Vec<_>) =
                spoilt(&image, face).into_iter().partition(|(cause, _)| *cause == Cause::Covered);
            bad.extend(covered);
            bad.extend(other.into_iter().skip(4 * (good / GOOD_A_BAD % 5)).step_by(7));
            bad.extend([
                (Cause::MoreThanOne, beside(&image, &image)),
                (Cause::MoreThanOne, beside(&image, &scaled(&image, 180))),
            ]);
        }
        if good == GOOD {
            break;
        }
    }
    assert!(good == GOOD && bad.len() >= 200, "{good} and {}", bad.len());
    let (accepted, passed, causes) = door.judge(&bad);
    let n = bad.len();
    let right: usize = causes.iter().filter(|((so, called), _)| so == called).map(|it| it.1).sum();
    println!(
        "figure: {accepted} of {n} bad pictures of {} people taken, {passed} called good, {right} with their own code: {causes:?}",
        GOOD / GOOD_A_BAD
    );
    println!("figure: of {good} good pictures refused: {refused:?}");
    assert_eq!((accepted, passed), (0, 0), "{causes:?}");
    // Of the others that are covered the detector finds no face any more, and now and then something smaller than a face may be.
    let odd = causes.iter().filter(|((so, called), _)| so != called && *called != "no_face");
    assert!(10 * right >= 8 * n && 100 * odd.map(|it| it.1).sum::<usize>() <= n, "{causes:?}");
    assert!(50 * refused.values().sum::<usize>() <= good, "{refused:?}");
}

#[test]
fn of_faces_that_look_aside_none_is_taken() {
    let (Some(packs), Some(shared)) = (packs(), shared()) else {
        return skipped("profiles at the door", NO_REFERENCES);
    };
    let detector = packs.detector().unwrap();
    let mut door = Door::new(CpuEngine::new(&detector, None, &EngineOptions::default()).unwrap());
    let bad = profiles(&shared);
    assert!(bad.len() >= 20, "{}", bad.len());
    let mut causes: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, image) in bad.iter().enumerate() {
        let (embedded, taken, cause) = door.enrol(image);
        assert_eq!((embedded, taken), (0, 0), "profile {number}");
        *causes.entry(cause.text()).or_default() += 1;
    }
    println!("none of {} profiles taken; called: {causes:?}", bad.len());
    // Cut out, a face has other landmarks than in its picture, and a few come to lie below the gate's limit: the pose alone keeps those
    // out. The others that are not called turned are at an edge, beside another face, or no longer found.
    assert!(10 * causes.get("none").copied().unwrap_or(0) <= bad.len(), "{causes:?}");
    assert!(10 * causes["turned_away"] >= 6 * bad.len(), "{causes:?}");
}
