//! What was trained, on the kernels: runs of the cascade's three networks, exported as one pack and run by the emulator from the
//! kernels' own sources, beside the CPU engine and within the tolerances of `kernels/README.md`. FaceNet's last layer is in
//! `triplets.rs`.
//!
//! Network by network and not by whole detections: after so few steps neighbours' scores lie so close that half precision
//! chooses another box of a face.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

mod drawn;

use drawn::{config, detector, drawn};
use std::sync::Arc;
use tempfile::TempDir;
use threshold_kernels::device::emulator::Emulator;
use threshold_kernels::launch::Levels;
use threshold_kernels::weights::Packed;
use threshold_kernels::{Alone, CudaEngine};
use threshold_models::cascade::pyramid::{AreaResize, Grey, Rect, levels};
use threshold_models::cascade::{
    CascadeOptions, ONetOutput, PNetMap, RNetOutput, StageNets as _, proposal,
};
use threshold_models::cpu::{CpuStages, Pool, Simd};
use threshold_models::engine::BBox;
use threshold_models::frame::Frame;
use threshold_models::pack::Pack;
use threshold_models::raw::RawFrame;
use threshold_train::config::{Config, Mix};
use threshold_train::export;
use threshold_train::loss::Losses;
use threshold_train::pictures::{Loaded, Picture};
use threshold_train::run::{Epoch, Run, Watch};
use threshold_train::stage::Stage;

/// Greatest difference of a score and of a fraction of a box's side, P-Net's and the later stages'.
const MAX_PNET: f32 = 0.0025;
const MAX_CROPS: f32 = 0.003;
/// How far apart the scores of a network that has learnt anything lie: of one that says the same everywhere parity says little.
const LEARNT: f32 = 0.2;

/// Nobody watches.
struct Nobody;

impl Watch for Nobody {
    fn step(&mut self, _: usize, _: &Losses) {}
    fn epoch(&mut self, _: &Epoch) {}
}

/// A detector of which every stage was trained, in so many steps.
fn trained(loaded: &Loaded, runs: [(Stage, usize); 3]) -> Pack {
    let detector = detector();
    let folders = runs.map(|(stage, steps)| {
        let folder = tempfile::tempdir().unwrap();
        let mix = Mix { negative: 2, positive: 2, part: 0, landmarks: 1 };
        let config = Config { steps, batch: 16, mix, validation: 40, ..config(stage) };
        let mut run = Run::open(&config, loaded, &detector, folder.path(), 2).unwrap();
        run.go(usize::MAX, &mut Nobody).unwrap();
        folder
    });
    let places = folders.each_ref().map(|folder: &TempDir| folder.path().to_path_buf());
    let pack = export::detector(&places, &detector, "mtcnn-trained", "none").unwrap();
    for name in ["pnet.conv1.weight", "rnet.conv1.weight", "onet.conv1.weight"] {
        assert_ne!(pack.tensors()[name], detector.tensors()[name], "{name} is the installed one");
    }
    // As a unit reads it.
    Pack::from_bytes(pack.bytes().to_vec()).unwrap()
}

/// The scores' range, of which parity is only worth something if it is wide.
#[derive(Clone, Copy)]
struct Range(f32, f32);

impl Range {
    const NONE: Self = Self(f32::INFINITY, f32::NEG_INFINITY);

    fn add(&mut self, score: f32) {
        (self.0, self.1) = (self.0.min(score), self.1.max(score));
    }
}

fn near(what: &str, found: &[f32], expected: &[f32], most: f32) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() <= most, "{what}: {found} for {expected}");
    }
}

#[test]
fn the_cascade_that_was_trained_says_on_the_kernels_what_it_says_on_the_cpu_engine() {
    let loaded = drawn(40);
    let pack = trained(&loaded, [(Stage::PNet, 120), (Stage::RNet, 30), (Stage::ONet, 10)]);
    let kernels = Alone::new(Emulator::new(3).unwrap(), Packed::of(&pack).unwrap()).unwrap();
    let mut cpu = CpuStages::new(&pack, Simd::detect(), Arc::new(Pool::new(1))).unwrap();
    let [mut pnet, mut rnet, mut onet] = [Range::NONE; 3];
    for picture in &loaded.held.pictures[..2] {
        proposals(&kernels, &mut cpu, &picture.frame, &mut pnet);
        let boxes = boxes(picture);
        let raw = RawFrame::of(&picture.frame);
        let (mut expected, mut deeper): (Vec<RNetOutput>, Vec<ONetOutput>) = Default::default();
        cpu.rnet(&crops(&picture.frame, &boxes, 24), boxes.len(), &mut expected).unwrap();
        for (found, expected) in kernels.stages().rnet(&raw, &boxes).unwrap().iter().zip(&expected)
        {
            let expected_of = [&[expected.score], &expected.reg[..]].concat();
            // Two zeros follow, which no one reads.
            near("R-Net", &answer(&found[..6]), &expected_of, MAX_CROPS);
            rnet.add(expected.score);
        }
        cpu.onet(&crops(&picture.frame, &boxes, 48), boxes.len(), &mut deeper).unwrap();
        for (found, expected) in kernels.stages().onet(&raw, &boxes).unwrap().iter().zip(&deeper) {
            let expected_of = [&[expected.score], &expected.reg[..], &expected.landmarks].concat();
            near("O-Net", &answer(found), &expected_of, MAX_CROPS);
            onet.add(expected.score);
        }
    }
    for (name, Range(low, high)) in [("P-Net", pnet), ("R-Net", rnet), ("O-Net", onet)] {
        assert!(high - low > LEARNT, "{name} says {low} to {high}");
    }

    // And what a unit asks of it before it arms.
    let options = CascadeOptions::default();
    CudaEngine::new(Emulator::new(4).unwrap(), &pack, options).unwrap().self_test().unwrap();
}

/// Compares every cell of every level of a frame.
fn proposals(kernels: &Alone<Emulator>, cpu: &mut CpuStages, frame: &Frame, range: &mut Range) {
    const MIN_FACE: f64 = 24.0;
    let (width, height) = (frame.width(), frame.height());
    let table = Levels::new(width, height, MIN_FACE, 0.709);
    let pixels = kernels.stages().pyramid(&RawFrame::of(frame), &table).unwrap();
    // A threshold of zero lets every cell through.
    let (status, mut found) = kernels.stages().pnet(&table, &pixels, 0.0).unwrap();
    assert_eq!((found.len(), status.faults), (table.cells(), 0));
    found.sort_by_key(|cell| cell.cell);
    let (mut found, mut map, mut at) = (found.iter(), PNetMap::default(), 0);
    for level in levels(width, height, MIN_FACE, 0.709) {
        let n = level.height * level.width;
        // What the kernels saw, so that only the network differs.
        let seen = pixels[at..at + 4 * n].chunks_exact(4).flat_map(|p| {
            let green = p[0] + p[1];
            [green + p[2], green, green + p[3]]
        });
        cpu.pnet(&seen.collect::<Vec<_>>(), level.height, level.width, &mut map).unwrap();
        at += 4 * n;
        for (&score, reg) in map.prob.iter().zip(map.reg.chunks_exact(4)) {
            let cell = found.next().unwrap();
            near("P-Net", &[cell.score], &[score], MAX_PNET);
            near("P-Net", &cell.reg, reg, MAX_PNET);
            range.add(score);
        }
    }
}

/// A picture's faces, moved ones, and windows beside them.
fn boxes(picture: &Picture) -> Vec<[f32; 4]> {
    let faces = picture.faces.iter().flat_map(|face| {
        let BBox { x1, y1, x2, y2 } = face.bbox;
        let side = (x2 - x1).max(y2 - y1);
        [(0.0, 0.0), (0.1, -0.07), (0.3, 0.25), (-0.6, 0.4)].map(|(right, down)| {
            let (x, y) = (x1 + right * side, y1 + down * side);
            [x, y, x + side, y + side]
        })
    });
    faces.chain([[0.0, 0.0, 31.0, 31.0], [120.0, 80.0, 158.5, 118.5]]).collect()
}

fn crops(frame: &Frame, boxes: &[[f32; 4]], side: usize) -> Vec<f32> {
    let mut all = vec![0.0; boxes.len() * side * side * 3];
    for (crop, &[x1, y1, x2, y2]) in all.chunks_exact_mut(side * side * 3).zip(boxes) {
        let window = proposal::crop_window(&BBox { x1, y1, x2, y2 }, frame.width(), frame.height());
        let window: Rect = window.unwrap();
        AreaResize::default().run(frame, window, (side, side), Grey::CASCADE, crop);
    }
    all
}

/// The score of two logits, and what follows them.
fn answer(found: &[f32]) -> Vec<f32> {
    let score = 1.0 / (1.0 + (found[0] - found[1]).exp());
    std::iter::once(score).chain(found[2..].iter().copied()).collect()
}
