//! Whole detections: the kernels beside the CPU engine on every golden picture.

use crate::rig::{Machine, machine, n_rounds};
use std::path::PathBuf;
use std::time::Instant;
use threshold_kernels::CudaEngine;
use threshold_models::cascade::CascadeOptions;
use threshold_models::cpu::{CpuEngine, EngineOptions};
use threshold_models::engine::{Detection, Engine as _};
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;
use threshold_models::picture;
use threshold_models::tensor::max_abs_diff;
use threshold_tests::{NO_REFERENCES, packs, photos, shared, skipped};

/// Greatest distance of a coordinate and of a score from the CPU engine's (the design's for FP16).
const MAX_PX: f32 = 1.0;
const MAX_SCORE: f32 = 0.01;

/// Faces that are not within [`MAX_PX`], by picture and smallest face, and where the two engines part: none of the golden
/// pictures', one of the photos'.
const NAMED: [(&str, u32, &str); 1] = [(
    "obama2.jpg",
    100,
    "an edge of O-Net's crop, 377 px wide, lies at 142.99 and not at 143.01, so that the crop moves by a pixel",
)];
/// As many as the design allows, golden pictures and photos together.
const MOST_NAMED: usize = 2;
const _: () = assert!(NAMED.len() <= MOST_NAMED);
/// Greatest distance of the golden pictures' coordinates, rms: three faces that part by 1.5 to 7 px make it 0.4.
const MAX_RMS_PX: f64 = 0.1;

fn engines(detector: &Pack, min_face_px: u32) -> (CpuEngine, CudaEngine<Machine>) {
    let cascade = CascadeOptions { min_face_px: min_face_px.into(), ..CascadeOptions::default() };
    let options = EngineOptions { cascade, ..EngineOptions::default() };
    let cpu = CpuEngine::new(detector, None, &options).unwrap();
    (cpu, CudaEngine::new(machine(1), detector, cascade).unwrap())
}

/// How far two engines' faces are from each other.
#[derive(Default)]
struct Apart {
    /// Of each face, of each coordinate and landmark, pixels.
    px: Vec<Vec<f32>>,
    /// Of each face.
    scores: Vec<f32>,
}

impl Apart {
    /// Adds a picture's; every face must have a partner of the same place, and its score. How many of them are too far.
    fn add(&mut self, what: &str, found: &[Detection], expected: &[Detection]) -> usize {
        assert_eq!(found.len(), expected.len(), "{what}: faces");
        let mut n_far = 0;
        for (found, expected) in found.iter().zip(expected) {
            let numbers = |face: &Detection| {
                let bbox = [face.bbox.x1, face.bbox.y1, face.bbox.x2, face.bbox.y2];
                bbox.into_iter().chain(face.landmarks.into_iter().flatten()).collect::<Vec<_>>()
            };
            let score = (found.score - expected.score).abs();
            assert!(score <= MAX_SCORE, "{what}: {found:?}, {expected:?}");
            let pairs = numbers(found).into_iter().zip(numbers(expected));
            let px: Vec<f32> = pairs.map(|(a, b)| (a - b).abs()).collect();
            n_far += usize::from(greatest(&px) > MAX_PX);
            self.px.push(px);
            self.scores.push(score);
        }
        n_far
    }
}

fn greatest(values: &[f32]) -> f32 {
    max_abs_diff(values, &vec![0.0; values.len()])
}

fn rms(values: &[f32]) -> f64 {
    let squares: f64 = values.iter().map(|&value| f64::from(value).powi(2)).sum();
    (squares / values.len().max(1) as f64).sqrt()
}

/// The faces that are too far are the named ones among the pictures that `of` tells.
fn check_named(seen: &[(String, u32)], of: impl Fn(&str) -> bool) {
    if cfg!(feature = "gpu") {
        // A card sums in an order of its own, so that other faces than the named may be those that part.
        return assert!(seen.len() <= MOST_NAMED, "faces more than {MAX_PX} px apart: {seen:?}");
    }
    let named = NAMED.iter().filter(|(name, ..)| of(name));
    let named: Vec<_> = named.map(|&(name, min_face, _)| (name.to_owned(), min_face)).collect();
    assert_eq!(seen, named, "faces more than {MAX_PX} px apart");
}

fn golden(name: &str) -> Option<(Frame, Pack)> {
    let path = shared()?.join("golden/png").join(format!("{name}.png"));
    Some((picture::read(&path).unwrap(), packs()?.detector().unwrap()))
}

#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn the_kernels_find_the_faces_that_the_cpu_engine_finds() {
    let Some(shared) = shared() else {
        return skipped("kernels beside the CPU engine", NO_REFERENCES);
    };
    let entries = std::fs::read_dir(shared.join("golden/png")).unwrap();
    let mut pictures: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    pictures.sort();
    let (mut seen, mut apart) = (Vec::new(), Apart::default());
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
            let differing = apart.add(&what, &found, &expected);
            seen.extend((0..differing).map(|_| (name.to_owned(), min_face)));
        }
    }
    let px = apart.px.concat();
    println!(
        "{} faces: {:.4} px rms, {:.3} px at most; scores {:.1e} rms, {:.1e} at most",
        apart.scores.len(),
        rms(&px),
        greatest(&px),
        rms(&apart.scores),
        greatest(&apart.scores)
    );
    check_named(&seen, |name| !name.ends_with(".jpg"));
    assert!(cfg!(feature = "gpu") || rms(&px) <= MAX_RMS_PX, "{} px rms", rms(&px));
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
    let mut seen = Vec::new();
    for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"] {
        let frame = picture::read(&photos.join(name)).unwrap();
        let (mut cpu, mut kernels) = engines(&detector, 100);
        let (expected, found) = (cpu.detect(&frame).unwrap(), kernels.detect(&frame).unwrap());
        assert_eq!(found.len(), 1, "{name}");
        let differing = Apart::default().add(name, &found, &expected);
        seen.extend((0..differing).map(|_| (name.to_owned(), 100)));
    }
    check_named(&seen, |name| name.ends_with(".jpg"));
}

/// A photo's every `step`th pixel on a grey frame of that size, from that place on; what sticks out is left away.
fn placed(photo: &Frame, step: usize, [width, height]: [usize; 2], at: [usize; 2]) -> Frame {
    let mut bytes = vec![128; width * height * 3];
    for y in 0..(photo.height() / step).min(height - at[1]) {
        for x in 0..(photo.width() / step).min(width - at[0]) {
            let from = 3 * (y * step * photo.width() + x * step);
            let to = 3 * ((at[1] + y) * width + at[0] + x);
            bytes[to..to + 3].copy_from_slice(&photo.rgb()[from..from + 3]);
        }
    }
    Frame::from_rgb(width, height, bytes).unwrap()
}

#[test]
#[allow(clippy::print_stdout, reason = "figures for whoever asks for them")]
fn a_small_cameras_frame_and_the_largest_show_their_face() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped(
            "frames of 320 x 240 and 4096 x 2160",
            "no packs or photos: cargo xtask setup",
        );
    };
    let detector = packs.detector().unwrap();
    let photo = picture::read(&photos.join("obama.jpg")).unwrap();
    let small = placed(&photo, photo.height().div_ceil(240), [320, 240], [40, 0]);
    let mut cases = vec![(small, 40)];
    match n_rounds() {
        1 => skipped("a face in 4096 x 2160", "a long sweep: cargo xtask soak kernels"),
        _ => cases.push((placed(&photo, 1, [4096, 2160], [2901, 703]), 100)),
    }
    for (frame, min_face) in cases {
        let what = format!("{} x {}, min face {min_face}", frame.width(), frame.height());
        let (mut cpu, mut kernels) = engines(&detector, min_face);
        let expected = cpu.detect(&frame).unwrap();
        assert_eq!(expected.len(), 1, "{what}");
        let start = Instant::now();
        let found = kernels.detect(&frame).unwrap();
        println!("figure: {what}: {:.1} s", start.elapsed().as_secs_f64());
        assert_eq!(Apart::default().add(&what, &found, &expected), 0, "{what}");
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
