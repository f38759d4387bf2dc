//! Whole detections: the kernels beside the CPU engine on every golden picture.

use crate::rig::{Machine, machine};
use std::path::PathBuf;
use threshold_kernels::CudaEngine;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Detection, Engine as _};
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;
use threshold_models::picture;
use threshold_tests::{NO_REFERENCES, packs, photos, shared, skipped};

/// Greatest distance of a coordinate and of a score from the CPU engine's (the design's for FP16).
const MAX_PX: f32 = 1.0;
const MAX_SCORE: f32 = 0.01;

/// Faces that are not within [`MAX_PX`], by picture and smallest face, and where the two engines part.
const NAMED: [(&str, u32, &str); 3] = [
    ("mosaic_1280x720", 20, "after R-Net another of the face's proposals stays"),
    ("mosaic_1920x1080", 20, "after P-Net another of the face's proposals stays"),
    (
        "obama_partial_face_480",
        20,
        "a proposal's edge lies at 91.98 and not at 92.00, so that its crop moves by a pixel and R-Net passes it",
    ),
];

fn engines(detector: &Pack, min_face_px: u32) -> (CpuEngine, CudaEngine<Machine>) {
    let cascade = CascadeOptions { min_face_px: min_face_px.into(), ..CascadeOptions::default() };
    let options = EngineOptions { cascade, ..EngineOptions::default() };
    let cpu = CpuEngine::new(detector, None, &options).unwrap();
    (cpu, CudaEngine::new(machine(1), detector, cascade).unwrap())
}

/// The faces that differ by more than the tolerance; every face must have a partner of the same place.
fn differing(what: &str, found: &[Detection], expected: &[Detection]) -> usize {
    assert_eq!(found.len(), expected.len(), "{what}: faces");
    let far = |(found, expected): &(&Detection, &Detection)| {
        let numbers = |face: &Detection| {
            let bbox = [face.bbox.x1, face.bbox.y1, face.bbox.x2, face.bbox.y2];
            bbox.into_iter().chain(face.landmarks.into_iter().flatten()).collect::<Vec<_>>()
        };
        assert!(
            (found.score - expected.score).abs() <= MAX_SCORE,
            "{what}: {found:?}, {expected:?}"
        );
        let apart = numbers(found).into_iter().zip(numbers(expected)).map(|(a, b)| (a - b).abs());
        apart.fold(0.0, f32::max) > MAX_PX
    };
    found.iter().zip(expected).filter(far).count()
}

fn golden(name: &str) -> Option<(Frame, Pack)> {
    let path = shared()?.join("golden/png").join(format!("{name}.png"));
    Some((picture::read(&path).unwrap(), packs()?.detector().unwrap()))
}

#[test]
fn the_kernels_find_the_faces_that_the_cpu_engine_finds() {
    let Some(shared) = shared() else {
        return skipped("kernels beside the CPU engine", NO_REFERENCES);
    };
    let entries = std::fs::read_dir(shared.join("golden/png")).unwrap();
    let mut pictures: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pictures.sort();
    let mut seen = Vec::new();
    for path in pictures {
        let name = path.file_stem().unwrap().to_str().unwrap();
        for min_face in [20, 40] {
            let Some((frame, detector)) = golden(name) else {
                return skipped("kernels beside the CPU engine", NO_REFERENCES);
            };
            let (mut cpu, mut kernels) = engines(&detector, min_face);
            let (expected, found) = (cpu.detect(&frame).unwrap(), kernels.detect(&frame).unwrap());
            let what = format!("{name}, min face {min_face}");
            assert_eq!(kernels.counts().lost, [0; 3], "{what}");
            let differing = differing(&what, &found, &expected);
            seen.extend((0..differing).map(|_| (name.to_owned(), min_face)));
        }
    }
    if cfg!(feature = "gpu") {
        // A card sums in an order of its own, so that other faces than the named may be those that part.
        return assert!(
            seen.len() <= 2 * NAMED.len(),
            "faces more than {MAX_PX} px apart: {seen:?}"
        );
    }
    let named = NAMED.map(|(name, min_face, _)| (name.to_owned(), min_face));
    assert_eq!(seen, named, "faces more than {MAX_PX} px apart");
}

#[test]
fn the_kernels_find_the_faces_of_the_photos() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped(
            "kernels beside the CPU engine on photos",
            "no packs or photos: cargo xtask setup",
        );
    };
    let detector = packs.detector().unwrap();
    for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"] {
        let frame = picture::read(&photos.join(name)).unwrap();
        let (mut cpu, mut kernels) = engines(&detector, 100);
        let (expected, found) = (cpu.detect(&frame).unwrap(), kernels.detect(&frame).unwrap());
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!(differing(name, &found, &expected), 0, "{name}: {found:?}, {expected:?}");
    }
}

#[test]
fn no_order_of_blocks_and_threads_changes_a_bit() {
    let Some((frame, detector)) = golden("obama_480") else {
        return skipped("kernels in other orders", NO_REFERENCES);
    };
    let cascade = CascadeOptions { min_face_px: 60.0, ..CascadeOptions::default() };
    let detect = |seed| {
        let mut engine = CudaEngine::new(machine(seed), &detector, cascade).unwrap();
        (engine.detect(&frame).unwrap(), engine.counts())
    };
    let first = detect(0);
    assert_eq!(first.0.len(), 1);
    for seed in 1..7 {
        assert_eq!(detect(seed), first, "seed {seed}");
    }
}
