//! `Engine::recognise`: one body over the CPU engine, which goes step by step, and the kernels, which do it in one graph.

use crate::rig::{Machine, machine_of};
use threshold_kernels::CudaEngine;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cascade::pyramid::{AreaResize, Grey, Rect};
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Compared, Embedding, Engine, EngineError, Recognition};
use threshold_models::frame::{Buffers, Frame};
use threshold_models::pack::Pack;
use threshold_models::picture;
use threshold_models::quality::{QualityLimits, assess, assess_measured};
use threshold_models::raw::{Colour, PixelFormat, PixelLayout, Range, RawFrame};
use threshold_models::search::{Candidate, Candidates, Index, SearchError, quantise};
use threshold_record::{Metric, ModelTag, PersonId, Template};
use threshold_tests::lots::Lots;
use threshold_tests::{packs, photos, skipped};

/// Side of the frames, pixels: the emulator takes its time.
const SIDE: usize = 160;

/// The most that a score in half precision is from the CPU's: a step of an int8 probe moves one by about 0.002.
const BAND: f32 = 0.01;

/// The same, of one engine's own embedding in another batch.
const OWN_BAND: f32 = 0.005;

/// A camera's frame of those grey levels.
fn yuyv(grey: impl Iterator<Item = u8>) -> Frame {
    let colour = Colour { range: Range::Full, ..Colour::default() };
    let format = PixelFormat::Yuyv;
    let layout = PixelLayout::new(format, [SIDE; 2], format.stride(SIDE), colour).unwrap();
    let bytes = grey.flat_map(|grey| [grey, 128]).collect();
    Frame::from_camera(layout, Buffers { bytes, rgb: Vec::new() }).unwrap()
}

/// The face of a photo, in the middle of a camera's frame.
pub(crate) fn face_of(photo: &Frame, detector: &Pack) -> Frame {
    let mut engine = CpuEngine::new(detector, None, &EngineOptions::default()).unwrap();
    let bbox = engine.detect(photo).unwrap()[0].bbox;
    let side = 1.8 * (bbox.x2 - bbox.x1).max(bbox.y2 - bbox.y1);
    let from = |a: f32, b: f32| ((a + b - side) / 2.0).max(0.0) as usize;
    let (x, y) = (from(bbox.x1, bbox.x2), from(bbox.y1, bbox.y2));
    let side = (side as usize).min(photo.width() - x).min(photo.height() - y);
    let rect = Rect { x, y, width: side, height: side };
    let mut pixels = vec![0.0; SIDE * SIDE * 3];
    AreaResize::default().run(photo, rect, (SIDE, SIDE), Grey::RAW, &mut pixels);
    yuyv(pixels.chunks_exact(3).map(|pixel| (pixel.iter().sum::<f32>() / 3.0) as u8))
}

/// Templates of people whose embeddings are so far from the one given.
pub(crate) fn templates(model: ModelTag, of: &Embedding, people: &[(u32, f32)]) -> Vec<Template> {
    let mut templates = Vec::new();
    for &(person, apart) in people {
        let mut lots = Lots(u64::from(person));
        let size = of.0.iter().map(|value| value * value).sum::<f32>().sqrt();
        let each = apart * size / (of.0.len() as f32).sqrt();
        let moved = of.0.iter().map(|&value| value + each * (2.0 * lots.unit() - 1.0)).collect();
        let (scale, vector) = quantise(&Embedding(moved));
        let vector = vector.into_iter().collect();
        let person = PersonId(person);
        templates.push(Template { person, slot: 0, model, quality: 90, scale, vector });
    }
    templates
}

fn gallery(metric: Metric, model: ModelTag, of: &Embedding, people: &[(u32, f32)]) -> Index {
    Index::new(metric, &templates(model, of, people)).unwrap()
}

fn near(found: Candidates, expected: Candidates, band: f32, what: &str) {
    let people = |of: Candidates| [of.best, of.runner_up].map(|one| one.map(|one| one.person));
    assert_eq!(people(found), people(expected), "{what}");
    let apart = |a: Option<Candidate>, b: Option<Candidate>| {
        a.zip(b).map_or(0.0, |(a, b)| (a.score.0 - b.score.0).abs())
    };
    let apart = apart(found.best, expected.best).max(apart(found.runner_up, expected.runner_up));
    assert!(apart <= band, "{what}: scores are {apart} apart");
}

/// The body: what an engine recognises is what its steps lead to, in whichever gallery it is given.
fn check(what: &str, engine: &mut dyn Engine, frame: &Frame, galleries: &[Index]) -> Vec<Compared> {
    let faces = engine.detect(frame).unwrap();
    assert!(!faces.is_empty(), "{what}");
    let probe = engine.embed(frame, &faces[..1]).unwrap().remove(0);
    let limits = QualityLimits::default();
    let mut all = Vec::new();
    // Nobody tells the engine of a change, and each gallery comes after each other one.
    for round in 0..2 {
        for (i, gallery) in galleries.iter().enumerate() {
            let what = format!("{what}, round {round}, gallery {i}");
            let found = engine.recognise(frame, gallery, 1).unwrap();
            assert_eq!((&found.faces, found.compared.len()), (&faces, 1), "{what}");
            let compared = found.compared[0];
            near(compared.candidates, gallery.search(&probe).unwrap(), OWN_BAND, &what);
            assert_eq!(
                assess_measured(&faces, &limits, |_| compared.measures),
                assess(frame, &faces, &limits),
                "{what}"
            );
            all.push(compared);
        }
    }
    // Held before or let go of, it is the gallery given that is searched.
    engine.hold(Some(&galleries[1])).unwrap();
    let held = engine.recognise(frame, &galleries[1], 1).unwrap().compared[0];
    near(held.candidates, all[1].candidates, 0.0, what);
    engine.hold(None).unwrap();
    let found = engine.recognise(frame, &galleries[0], 1).unwrap().compared[0];
    near(found.candidates, all[0].candidates, 0.0, what);
    let Recognition { faces: seen, compared } = engine.recognise(frame, &galleries[0], 0).unwrap();
    assert_eq!((seen, compared.len()), (faces, 0), "{what}");
    let nobody = yuyv((0..SIDE * SIDE).map(|i| (i % SIDE) as u8));
    let Recognition { faces, compared } = engine.recognise(&nobody, &galleries[0], 1).unwrap();
    assert_eq!((faces.len(), compared.len()), (0, 0), "{what}");
    // Another model's templates are refused, and nobody is found in those of before.
    let short = Embedding(vec![0.5; probe.0.len() / 2]);
    let model = galleries[0].model().unwrap();
    let odd = gallery(galleries[0].metric(), model, &short, &[(1, 0.0)]);
    let fault = engine.recognise(frame, &odd, 1).unwrap_err();
    assert!(matches!(fault, EngineError::Search(SearchError::Length { .. })), "{what}: {fault}");
    let found = engine.recognise(frame, &galleries[3], 1).unwrap().compared[0];
    assert_eq!(found.candidates, Candidates::default(), "{what}");
    all
}

#[test]
fn recognition_in_one_go_is_detection_quality_embedding_and_search() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped("recognition in one go", "no packs or photos: cargo xtask setup");
    };
    let (detector, pack) = (packs.detector().unwrap(), packs.named("dlib").unwrap());
    let frame = face_of(&picture::read(&photos.join("obama.jpg")).unwrap(), &detector);
    let cascade = CascadeOptions { min_face_px: 40.0, ..CascadeOptions::default() };
    let options = EngineOptions { cascade, ..EngineOptions::default() };
    let mut cpu = CpuEngine::new(&detector, Some(&pack), &options).unwrap();
    let kernels = CudaEngine::<Machine>::new(machine_of(11, 16), &detector, cascade).unwrap();
    let mut kernels = kernels.with_embedder(&pack).unwrap();
    let face = cpu.detect(&frame).unwrap()[0];
    let probe = cpu.embed(&frame, &[face]).unwrap().remove(0);
    let metric = pack.embedder().unwrap().metric;
    let of = |people: &[(u32, f32)]| gallery(metric, pack.id.tag(), &probe, people);
    // The nearest is removed from the second, and nobody is left in the last.
    let galleries =
        [of(&[(3, 0.3), (1, 0.1), (2, 0.6)]), of(&[(3, 0.3), (2, 0.6)]), of(&[(2, 0.6)]), of(&[])];
    assert!(!cpu.recognises_at_once() && kernels.recognises_at_once());
    let expected = check("cpu", &mut cpu, &frame, &galleries);
    let found = check("kernels", &mut kernels, &frame, &galleries);
    for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
        near(found.candidates, expected.candidates, BAND, &format!("both, {i}"));
    }
    assert_eq!(expected[0].candidates.best.unwrap().person, PersonId(1));
    assert_eq!(expected[1].candidates.best.unwrap().person, PersonId(3));
    assert_eq!(expected[2].candidates.runner_up, None);
    // The kernels read the camera's bytes as they came, and nobody else did.
    let anew = yuyv(RawFrame::of(&frame).bytes().iter().step_by(2).copied());
    kernels.recognise(&anew, &galleries[0], 1).unwrap();
    assert!(frame.is_converted() && !anew.is_converted());
}
