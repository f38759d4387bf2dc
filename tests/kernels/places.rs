//! Two frames under way: each gives what it gives alone, whatever is written meanwhile, and nothing is written where one is read.
//!
//! The emulator runs a frame when it is begun or as late as when it is waited for, by the seed: bytes that somebody writes to a
//! place under way are then the frame that is looked at.

use crate::recognise::{face_of, templates};
use crate::rig::{Machine, machine, machine_of, noise, rounds, weights};
use threshold_kernels::{Counts, CudaEngine, KernelError, Pending};
use threshold_models::cascade::CascadeOptions;
use threshold_models::engine::{Detection, Recognition};
use threshold_models::frame::{Buffers, Frame};
use threshold_models::picture;
use threshold_models::raw::{Colour, PixelFormat, PixelLayout, RawFrame};
use threshold_tests::lots::Lots;
use threshold_tests::{packs, photos, skipped};

/// Seeds of which the first runs late and the second early; a card runs as it likes.
const SEEDS: &[u64] = if cfg!(feature = "gpu") { &[1] } else { &[1, 2] };

/// Noise is no face; with these thresholds it passes for some.
fn engine(seed: u64) -> CudaEngine<Machine> {
    let options = CascadeOptions { thresholds: [0.1, 0.01, 0.01], ..CascadeOptions::default() };
    CudaEngine::new(machine(seed), &weights(), options).unwrap()
}

/// A camera's frame of noise.
fn frame(lots: &mut Lots, format: PixelFormat, size: [usize; 2]) -> Frame {
    let stride = format.stride(size[0]) + lots.below(9) as usize;
    let layout = PixelLayout::new(format, size, stride, Colour::default()).unwrap();
    let bytes = noise(lots, format.len(size[1], stride));
    Frame::from_camera(layout, Buffers { bytes, rgb: Vec::new() }).unwrap()
}

/// Frames of every format, most of them small; some too small for a face. On a card, where a sanitizer watches each, few of them a
/// round.
fn frames(lots: &mut Lots) -> Vec<Frame> {
    let drawn = |lots: &mut Lots, format| {
        let size = [16 + lots.below(90) as usize, 16 + lots.below(90) as usize];
        frame(lots, format, size)
    };
    // The ends of what is fuzzed.
    let [yuyv, grey] = [PixelFormat::Yuyv, PixelFormat::Grey];
    let ends = [(yuyv, [16, 16]), (grey, [4096, 20]), (yuyv, [20, 2160])];
    if cfg!(feature = "gpu") {
        let mut frames: Vec<Frame> = (0..3)
            .map(|_| {
                let format = lots.one_of(&PixelFormat::ALL);
                drawn(lots, format)
            })
            .collect();
        let (format, size) = lots.one_of(&ends);
        frames.push(frame(lots, format, size));
        return frames;
    }
    let twice = PixelFormat::ALL.into_iter().flat_map(|format| [format; 2]);
    let mut frames: Vec<Frame> = twice.map(|format| drawn(lots, format)).collect();
    frames.extend(ends.map(|(format, size)| frame(lots, format, size)));
    frames
}

type Answer = (Vec<Detection>, Counts);

fn alone(engine: &mut CudaEngine<Machine>, frame: &Frame) -> Answer {
    (engine.detect_raw(&RawFrame::of(frame)).unwrap(), engine.counts())
}

fn begin(engine: &mut CudaEngine<Machine>, frame: &Frame) -> Pending {
    engine.begin(&RawFrame::of(frame)).unwrap()
}

fn finish(engine: &mut CudaEngine<Machine>, pending: Pending) -> Answer {
    let Recognition { faces, compared } = engine.finish(pending).unwrap();
    assert!(compared.is_empty());
    (faces, engine.counts())
}

#[test]
fn frames_of_every_size_and_format_by_turns_give_what_each_gives_alone() {
    let mut seen = Vec::new();
    for mut lots in rounds(611) {
        for &seed in SEEDS {
            let frames = frames(&mut lots);
            let mut one = engine(seed + 2);
            let expected: Vec<Answer> = frames.iter().map(|frame| alone(&mut one, frame)).collect();
            seen.push(expected.iter().any(|(faces, _)| !faces.is_empty()));
            let mut engine = engine(seed);
            let mut before: Option<(usize, Pending)> = None;
            for (i, frame) in frames.iter().enumerate() {
                let pending = begin(&mut engine, frame);
                if let Some((i, pending)) = before.replace((i, pending)) {
                    assert_eq!(finish(&mut engine, pending), expected[i], "seed {seed}, {i}");
                }
            }
            let (last, pending) = before.unwrap();
            assert_eq!(finish(&mut engine, pending), expected[last], "seed {seed}, {last}");
            // The later one first.
            for i in (1..frames.len()).step_by(2) {
                let pending = [i - 1, i].map(|i| (i, begin(&mut engine, &frames[i])));
                for (i, pending) in pending.into_iter().rev() {
                    assert_eq!(finish(&mut engine, pending), expected[i], "seed {seed}, {i}");
                }
            }
            assert_eq!(alone(&mut engine, &frames[0]), expected[0], "one at a time again");
        }
    }
    // Noise passes for a face mostly, and not always.
    let with_faces = seen.iter().filter(|&&seen| seen).count();
    assert!(2 * with_faces > seen.len() || cfg!(feature = "gpu"), "{with_faces} of {}", seen.len());
}

#[test]
fn a_place_whose_frame_is_under_way_is_given_to_nobody() {
    let mut lots = Lots(612);
    let frames = [0; 4].map(|_| frame(&mut lots, PixelFormat::Yuyv, [64, 48]));
    for &seed in SEEDS {
        let mut engine = engine(seed);
        let expected = frames.each_ref().map(|frame| alone(&mut engine, frame));
        assert!(expected.iter().skip(1).all(|answer| *answer != expected[0]));
        let raw = frames.each_ref().map(RawFrame::of);
        let fill = |engine: &mut CudaEngine<Machine>, i: usize| {
            engine.input(&raw[i]).unwrap().copy_from_slice(raw[i].bytes());
        };
        fill(&mut engine, 0);
        let first = engine.begin_filled().unwrap();
        // Written while it is under way, twice, and of the same geometry: the other place both times.
        fill(&mut engine, 2);
        fill(&mut engine, 1);
        let second = engine.begin_filled().unwrap();
        let full = |fault: KernelError| matches!(fault, KernelError::UnderWay);
        assert!(engine.input(&raw[3]).is_err_and(full));
        assert!(engine.begin(&raw[3]).is_err_and(full));
        assert!(engine.begin_filled().is_err_and(full));
        assert!(engine.detect_filled().is_err_and(full));
        assert!(engine.detect_raw(&raw[3]).is_err_and(full));
        assert_eq!(finish(&mut engine, first), expected[0], "seed {seed}");
        fill(&mut engine, 3);
        let third = engine.begin_filled().unwrap();
        assert_eq!(finish(&mut engine, second), expected[1], "seed {seed}");
        assert_eq!(finish(&mut engine, third), expected[3], "seed {seed}");
        // Filled before another one ended, a place is the one that begins.
        let first = begin(&mut engine, &frames[0]);
        fill(&mut engine, 2);
        assert_eq!(finish(&mut engine, first), expected[0], "seed {seed}");
        assert_eq!(engine.detect_filled().unwrap(), expected[2].0, "seed {seed}");
    }
}

#[test]
fn a_frame_that_is_given_up_leaves_its_place_and_one_of_elsewhere_is_refused() {
    let mut lots = Lots(613);
    let frames = [0; 3].map(|_| frame(&mut lots, PixelFormat::Nv12, [52, 44]));
    for &seed in SEEDS {
        let (mut engine, mut other) = (engine(seed), engine(seed));
        let expected = frames.each_ref().map(|frame| alone(&mut other, frame));
        for _ in 0..2 {
            drop(begin(&mut engine, &frames[0]));
            let kept = begin(&mut engine, &frames[1]);
            drop(begin(&mut engine, &frames[0]));
            let next = begin(&mut engine, &frames[2]);
            assert_eq!(finish(&mut engine, kept), expected[1], "seed {seed}");
            assert_eq!(finish(&mut engine, next), expected[2], "seed {seed}");
        }
        let (own, foreign) = (begin(&mut engine, &frames[0]), begin(&mut other, &frames[1]));
        let fault = engine.finish(foreign).unwrap_err();
        assert!(matches!(fault, KernelError::NotUnderWay), "{fault}");
        assert_eq!(finish(&mut engine, own), expected[0], "seed {seed}");
    }
}

/// Every bit of it.
fn said(recognition: &Recognition) -> String {
    format!("{recognition:?}")
}

#[test]
fn recognitions_under_way_give_what_each_gives_alone_and_none_outlives_its_gallery() {
    let (Some(photos), Some(packs)) = (photos(), packs()) else {
        return skipped("two recognitions under way", "no packs or photos: cargo xtask setup");
    };
    let (detector, pack) = (packs.detector().unwrap(), packs.named("dlib").unwrap());
    let face = face_of(&picture::read(&photos.join("obama.jpg")).unwrap(), &detector);
    // The same face further down, and darker.
    let face = RawFrame::of(&face);
    let mut bytes = face.bytes().to_vec();
    bytes.rotate_right(8 * face.stride());
    bytes.iter_mut().step_by(2).for_each(|luma| *luma = *luma / 8 * 7);
    let size = [face.width(), face.height()];
    let moved = RawFrame::new(face.format(), size, face.stride(), face.colour(), &bytes).unwrap();
    let cascade = CascadeOptions { min_face_px: 40.0, ..CascadeOptions::default() };
    let metric = pack.embedder().unwrap().metric;
    for &seed in SEEDS {
        let engine = CudaEngine::new(machine_of(seed, 16), &detector, cascade).unwrap();
        let mut engine = engine.with_embedder(&pack).unwrap();
        let faces = engine.detect_raw(&face).unwrap();
        let of_moved = engine.detect_raw(&moved).unwrap();
        assert!(!of_moved.is_empty(), "seed {seed}");
        let probe = engine.embed_raw(&face, &faces[..1]).unwrap().remove(0);
        let templates = templates(pack.id.tag(), &probe, &[(3, 0.3), (1, 0.1), (2, 0.6)]);
        engine.set_gallery(metric, &templates).unwrap();
        let mut alone = |frame: &RawFrame<'_>| {
            let found = said(&engine.recognise_raw(frame, 1).unwrap());
            (found, engine.last_embeddings(1).unwrap())
        };
        let expected = [alone(&face), alone(&moved)];
        assert_ne!(expected[0], expected[1]);
        let first = engine.begin_recognition(&face, 1).unwrap();
        let second = engine.begin_recognition(&moved, 1).unwrap();
        assert_eq!(said(&engine.finish(first).unwrap()), expected[0].0, "seed {seed}");
        assert_eq!(engine.last_embeddings(1).unwrap(), expected[0].1, "seed {seed}");
        let third = engine.begin(&face).unwrap();
        assert!(engine.last_embeddings(1).unwrap().is_empty(), "another frame was begun");
        assert_eq!(said(&engine.finish(second).unwrap()), expected[1].0, "seed {seed}");
        assert_eq!(engine.last_embeddings(1).unwrap(), expected[1].1, "seed {seed}");
        let found = engine.finish(third).unwrap();
        assert_eq!((found.faces, found.compared.len()), (faces, 0), "seed {seed}");
        assert!(engine.last_embeddings(1).unwrap().is_empty(), "detection alone");
        // Whoever changes the gallery gives up what is sought in it, and no search for faces.
        let sought = engine.begin_recognition(&face, 1).unwrap();
        let seen = engine.begin(&moved).unwrap();
        engine.set_gallery(metric, &templates[..1]).unwrap();
        let fault = engine.finish(sought).unwrap_err();
        assert!(matches!(fault, KernelError::NotUnderWay), "{fault}");
        assert_eq!(engine.finish(seen).unwrap().faces, of_moved, "seed {seed}");
        let found = engine.recognise_raw(&face, 1).unwrap();
        assert_eq!(found.compared[0].candidates.runner_up, None, "seed {seed}");
    }
}
