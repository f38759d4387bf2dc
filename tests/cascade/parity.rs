//! The whole cascade against the reference on every lossless picture, at two smallest faces.
//!
//! The arithmetic is the readable one of `scalar`, so that this holds whatever the engine does;
//! `tests/parity` compares the engine itself.

use crate::frame;
use crate::scalar::ScalarNets;
use serde_json::Value;
use threshold_models::cascade::{
    Cascade, CascadeOptions, ONetOutput, PNetMap, RNetOutput, StageNets,
};
use threshold_models::engine::{BBox, Detection, EngineError};
use threshold_models::frame::Frame;
use threshold_tests::{NO_REFERENCES, shared, skipped};

const MAX_PX: f64 = 0.05;
const MAX_SCORE: f64 = 1e-4;

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

/// Faces are the reference's, in its order.
fn check(what: &str, found: &[Detection], golden: &Value) {
    let boxes = golden["boxes"].as_array().unwrap();
    assert_eq!(found.len(), boxes.len(), "{what}: faces");
    for (i, face) in found.iter().enumerate() {
        let BBox { x1, y1, x2, y2 } = face.bbox;
        let close = |found: f32, expected: f64| {
            let off = (f64::from(found) - expected).abs();
            assert!(off <= MAX_PX, "{what}: face {i} is off by {off} px");
        };
        for (found, expected) in [x1, y1, x2, y2].into_iter().zip(numbers(&boxes[i])) {
            close(found, expected);
        }
        for (point, expected) in
            face.landmarks.iter().zip(golden["landmarks"][i].as_array().unwrap())
        {
            for (found, expected) in point.iter().zip(numbers(expected)) {
                close(*found, expected);
            }
        }
        let score = golden["probs"][i].as_f64().unwrap();
        assert!((f64::from(face.score) - score).abs() <= MAX_SCORE, "{what}: score of face {i}");
    }
}

#[test]
fn every_golden_picture_gives_the_references_faces() {
    let Some(shared) = shared() else { return skipped("cascade parity", NO_REFERENCES) };
    let golden = shared.join("golden");
    let mut nets = ScalarNets::read(&golden.join("mtcnn.safetensors"));
    let mut n_pictures = 0;
    for entry in std::fs::read_dir(golden.join("png")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let frame = frame(&path);
        let text = std::fs::read(golden.join(format!("mtcnn/{name}.json"))).unwrap();
        let expected: Value = serde_json::from_slice(&text).unwrap();
        for min_face in [20, 40] {
            let mut cascade = Cascade::new(CascadeOptions {
                min_face_px: f64::from(min_face),
                ..CascadeOptions::default()
            });
            let found = cascade.detect(&mut nets, &frame).unwrap();
            let what = format!("{name}, min face {min_face}");
            check(&what, &found, &expected["results"][format!("min{min_face}")]);
        }
        n_pictures += 1;
    }
    assert_eq!(n_pictures, 11);
}

#[test]
fn a_warm_cascade_answers_as_a_fresh_one() {
    let Some(shared) = shared() else { return skipped("warm cascade", NO_REFERENCES) };
    let golden = shared.join("golden");
    let mut nets = ScalarNets::read(&golden.join("mtcnn.safetensors"));
    let options = CascadeOptions { min_face_px: 80.0, ..CascadeOptions::default() };
    let mut warm = Cascade::new(options);
    for name in ["scene_640x480.png", "noface_640x480.png", "obama_480.png", "scene_640x480.png"] {
        let frame = frame(&golden.join("png").join(name));
        let fresh = Cascade::new(options).detect(&mut nets, &frame).unwrap();
        assert_eq!(warm.detect(&mut nets, &frame).unwrap(), fresh, "{name}");
    }
}

#[test]
fn tiny_and_thin_frames_have_no_faces() {
    struct NoNets;
    impl StageNets for NoNets {
        fn pnet(
            &mut self,
            _: &[f32],
            _: usize,
            _: usize,
            _: &mut PNetMap,
        ) -> Result<(), EngineError> {
            panic!("a frame below the smallest face has no level")
        }
        fn rnet(
            &mut self,
            _: &[f32],
            _: usize,
            _: &mut Vec<RNetOutput>,
        ) -> Result<(), EngineError> {
            panic!("no proposal, no crop")
        }
        fn onet(
            &mut self,
            _: &[f32],
            _: usize,
            _: &mut Vec<ONetOutput>,
        ) -> Result<(), EngineError> {
            panic!("no proposal, no crop")
        }
    }
    for (width, height) in [(1, 1), (19, 19), (20_000, 19), (3, 4000)] {
        let frame = Frame::from_rgb(width, height, vec![128; width * height * 3]).unwrap();
        let found = Cascade::default().detect(&mut NoNets, &frame).unwrap();
        assert!(found.is_empty(), "{width} x {height}");
    }
    let options = CascadeOptions { factor: 1.0, ..CascadeOptions::default() };
    let frame = Frame::from_rgb(64, 64, vec![0; 64 * 64 * 3]).unwrap();
    let fault = Cascade::new(options).detect(&mut NoNets, &frame);
    assert!(matches!(fault, Err(EngineError::CascadeOption { option: "factor", .. })), "{fault:?}");
}
