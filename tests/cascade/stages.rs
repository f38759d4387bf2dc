//! Each stage of the cascade against the reference's own intermediate values, alone.
//!
//! A stage gets the reference's input and the reference's network outputs, so that an error shows where it was made.

use crate::frame;
use std::path::{Path, PathBuf};
use threshold_models::cascade::nms::{Nms, Overlap};
use threshold_models::cascade::pyramid::{self, AreaResize, Grey, Rect};
use threshold_models::cascade::{PNetMap, Proposal, proposal, regress};
use threshold_models::engine::BBox;
use threshold_models::frame::Frame;
use threshold_models::tensor::max_abs_diff;
use threshold_tests::{NO_REFERENCES, Npy, npy, shared, skipped};

/// The staged pictures: folder, picture, min face.
const STAGED: [(&str, &str, f64); 3] = [
    ("mosaic_1280x720_min20", "mosaic_1280x720.png", 20.0),
    ("obama_480_min40", "obama_480.png", 40.0),
    ("scene_640x480_min40", "scene_640x480.png", 40.0),
];

/// One staged picture and where its arrays lie.
struct Staged {
    folder: PathBuf,
    frame: Frame,
    min_face_px: f64,
}

impl Staged {
    fn array(&self, name: &str) -> Npy {
        npy(&self.folder.join(format!("{name}.npy")))
    }

    fn has(&self, name: &str) -> bool {
        self.folder.join(format!("{name}.npy")).is_file()
    }
}

fn for_each_staged(what: &str, check: impl Fn(&Staged)) {
    let Some(shared) = shared() else { return skipped(what, NO_REFERENCES) };
    for (folder, picture, min_face_px) in STAGED {
        check(&Staged {
            folder: shared.join("golden/stages").join(folder),
            frame: frame(&shared.join("golden/png").join(picture)),
            min_face_px,
        });
    }
}

/// Rows x1, y1, x2, y2, score and, if there, the regression.
fn proposals(array: &Npy) -> Vec<Proposal> {
    let row_len = array.shape[1];
    let row = |row: &[f32]| Proposal {
        bbox: BBox { x1: row[0], y1: row[1], x2: row[2], y2: row[3] },
        score: row[4],
        reg: if row.len() == 9 { row[5..9].try_into().unwrap() } else { [0.0; 4] },
    };
    array.f32().chunks_exact(row_len).map(row).collect()
}

fn indices(array: &Npy) -> Vec<u32> {
    array.data.iter().map(|&value| value as u32).collect()
}

fn edges(bbox: &BBox) -> [f32; 4] {
    [bbox.x1, bbox.y1, bbox.x2, bbox.y2]
}

/// The largest difference of two lists of equal length.
fn worst(found: impl IntoIterator<Item = f32>, expected: &[f32]) -> f32 {
    let found: Vec<f32> = found.into_iter().collect();
    assert_eq!(found.len(), expected.len());
    max_abs_diff(&found, expected)
}

fn chw(pixels: &[f32]) -> Vec<f32> {
    (0..3).flat_map(|c| pixels[c..].iter().step_by(3).copied()).collect()
}

#[test]
fn the_area_resize_equals_torchs() {
    let Some(shared) = shared() else { return skipped("area resize", NO_REFERENCES) };
    let frame = frame(&shared.join("golden/png/obama_480.png"));
    for (height, width) in [(24, 24), (48, 48), (160, 160), (37, 500)] {
        let golden = npy(&shared.join(format!("golden/stages/area_obama480_{height}x{width}.npy")));
        let mut out = vec![0.0; height * width * 3];
        let resize = &mut AreaResize::default();
        resize.run(&frame, Rect::of(&frame), (height, width), Grey::RAW, &mut out);
        let error = worst(chw(&out), &golden.f32());
        assert!(error < 1e-4, "{height} x {width}: {error}");
    }
}

#[test]
fn pyramids_have_the_references_levels() {
    for_each_staged("pyramid levels", |staged| {
        let meta = std::fs::read(staged.folder.join("meta.json")).unwrap();
        let meta: serde_json::Value = serde_json::from_slice(&meta).unwrap();
        let Staged { frame, min_face_px, .. } = staged;
        let levels: Vec<_> =
            pyramid::levels(frame.width(), frame.height(), *min_face_px, 0.709).collect();
        let scales: Vec<f64> = levels.iter().map(|level| level.scale).collect();
        let sizes: Vec<_> = levels.iter().map(|level| [level.height, level.width]).collect();
        // The JSON reader may be off by the last bit of an f64; the input's pixels below would show more.
        let expected = meta["scales"].as_array().unwrap();
        assert_eq!(scales.len(), expected.len());
        for (scale, expected) in scales.iter().zip(expected) {
            assert!((scale - expected.as_f64().unwrap()).abs() < 1e-15, "{scale} {expected}");
        }
        assert_eq!(serde_json::json!(sizes), meta["level_hw"]);

        for (i, level) in levels.iter().enumerate() {
            if !staged.has(&format!("L{i}_input")) {
                continue;
            }
            let mut out = vec![0.0; level.height * level.width * 3];
            let size = (level.height, level.width);
            AreaResize::default().run(frame, Rect::of(frame), size, Grey::CASCADE, &mut out);
            let error = worst(chw(&out), &staged.array(&format!("L{i}_input")).f32());
            assert!(error < 1e-6, "{}: level {i}: {error}", staged.folder.display());
        }
    });
}

#[test]
fn proposals_and_their_suppression_equal_the_references() {
    for_each_staged("proposals of a level", |staged| {
        let Staged { frame, min_face_px, .. } = staged;
        let mut n_checked = 0;
        let levels = pyramid::levels(frame.width(), frame.height(), *min_face_px, 0.709);
        for (i, level) in levels.enumerate() {
            if !staged.has(&format!("L{i}_prob")) {
                continue;
            }
            let prob = staged.array(&format!("L{i}_prob"));
            let (height, width) = (prob.shape[1], prob.shape[2]);
            let plane = height * width;
            let reg = staged.array(&format!("L{i}_reg")).f32();
            let reg = (0..plane * 4).map(|k| reg[k % 4 * plane + k / 4]).collect();
            let map = PNetMap { height, width, prob: prob.f32()[plane..].to_vec(), reg };
            let mut found = Vec::new();
            proposal::collect(&map, level.scale, 0.6, &mut found).unwrap();
            assert_eq!(found, proposals(&staged.array(&format!("L{i}_cand"))));
            let mut nms = Nms::default();
            let kept = nms.keep(&found, Overlap::Union, 0.5);
            assert_eq!(kept, indices(&staged.array(&format!("L{i}_keep"))));
            n_checked += 1;
        }
        assert_eq!(n_checked, 2, "{}", staged.folder.display());
    });
}

#[test]
fn stage_one_ends_in_the_references_squares_and_crops() {
    for_each_staged("stage 1", |staged| {
        let all = proposals(&staged.array("s1_boxes_before_union_nms"));
        let mut nms = Nms::default();
        let kept = nms.keep(&all, Overlap::Union, 0.7);
        assert_eq!(kept, indices(&staged.array("s1_union_keep")));
        let moved: Vec<BBox> = kept
            .iter()
            .map(|&i| regress::regress_plain(&all[i as usize].bbox, &all[i as usize].reg))
            .collect();
        check_boxes(&moved, &staged.array("s1_boxes_bbreg"));
        let squares: Vec<BBox> = moved.iter().map(regress::squared).collect();
        check_boxes(&squares, &staged.array("s1_boxes_rerec"));
        check_crops(staged, &squares, 24);
    });
}

#[test]
fn stage_two_ends_in_the_references_squares_and_crops() {
    for_each_staged("stage 2", |staged| {
        let boxes = proposals(&staged.array("s1_boxes_rerec"));
        let prob = staged.array("rnet_prob").f32();
        let reg = staged.array("rnet_reg").f32();
        let passed: Vec<Proposal> = (0..boxes.len())
            .filter(|&i| prob[i * 2 + 1] > 0.7)
            .map(|i| Proposal {
                score: prob[i * 2 + 1],
                reg: reg[i * 4..i * 4 + 4].try_into().unwrap(),
                ..boxes[i]
            })
            .collect();
        let mut nms = Nms::default();
        let kept = nms.keep(&passed, Overlap::Union, 0.7);
        assert_eq!(kept, indices(&staged.array("s2_keep_after_thr")));
        let moved: Vec<BBox> = kept
            .iter()
            .map(|&i| regress::regress_inclusive(&passed[i as usize].bbox, &passed[i as usize].reg))
            .collect();
        check_boxes(&moved, &staged.array("s2_boxes_bbreg"));
        let squares: Vec<BBox> = moved.iter().map(regress::squared).collect();
        check_boxes(&squares, &staged.array("s2_boxes_rerec"));
        check_crops(staged, &squares, 48);
    });
}

#[test]
fn stage_three_ends_in_the_references_faces() {
    for_each_staged("stage 3", |staged| {
        let boxes = proposals(&staged.array("s2_boxes_rerec"));
        let prob = staged.array("onet_prob").f32();
        let reg = staged.array("onet_reg").f32();
        let lmk = staged.array("onet_lmk").f32();
        let mut moved = Vec::new();
        let mut points = Vec::new();
        for i in (0..boxes.len()).filter(|&i| prob[i * 2 + 1] > 0.7) {
            let reg = reg[i * 4..i * 4 + 4].try_into().unwrap();
            let bbox = regress::regress_inclusive(&boxes[i].bbox, &reg);
            moved.push(Proposal { bbox, score: prob[i * 2 + 1], reg });
            let fractions = lmk[i * 10..i * 10 + 10].try_into().unwrap();
            points.push(regress::place_landmarks(&boxes[i].bbox, &fractions));
        }
        let before: Vec<BBox> = moved.iter().map(|face| face.bbox).collect();
        check_boxes(&before, &staged.array("s3_boxes_before_min_nms"));
        let flat = points.iter().flatten().flatten().copied();
        assert!(worst(flat, &staged.array("s3_points_before_min_nms").f32()) < 1e-4);
        let mut nms = Nms::default();
        let kept = nms.keep(&moved, Overlap::Smaller, 0.7);
        assert_eq!(kept, indices(&staged.array("s3_keep")));
        let faces: Vec<BBox> = kept.iter().map(|&i| before[i as usize]).collect();
        check_boxes(&faces, &staged.array("final_boxes"));
        let flat = kept.iter().flat_map(|&i| points[i as usize]).flatten();
        assert!(worst(flat, &staged.array("final_points").f32()) < 1e-4);
    });
}

/// Boxes equal the first four columns of an array of five.
fn check_boxes(found: &[BBox], golden: &Npy) {
    let expected: Vec<f32> =
        golden.f32().chunks_exact(golden.shape[1]).flat_map(|row| row[..4].to_vec()).collect();
    let error = worst(found.iter().flat_map(edges), &expected);
    assert!(error < 1e-4, "boxes differ by {error} px");
}

/// The crops' windows equal the reference's, and so do the first crops' pixels.
fn check_crops(staged: &Staged, boxes: &[BBox], side: usize) {
    let Staged { folder, frame, .. } = staged;
    let golden = staged.array(&format!("crop{side}_x_y_ex_ey"));
    let pixels_name = if side == 24 { "rnet_in_first32" } else { "onet_in_first8" };
    let pixels = staged.array(pixels_name).f32();
    let mut crop = vec![0.0; side * side * 3];
    for (i, (bbox, expected)) in boxes.iter().zip(golden.data.chunks_exact(4)).enumerate() {
        let rect = proposal::crop_window(bbox, frame.width(), frame.height()).unwrap();
        let found = [rect.x + 1, rect.y + 1, rect.x + rect.width, rect.y + rect.height];
        assert_eq!(found.map(|edge| edge as f64), expected, "{}: crop {i}", folder.display());
        if let Some(expected) = pixels.chunks_exact(crop.len()).nth(i) {
            AreaResize::default().run(frame, rect, (side, side), Grey::CASCADE, &mut crop);
            let error = worst(chw(&crop), expected);
            assert!(error < 1e-6, "{}: crop {i} differs by {error}", folder.display());
        }
    }
    assert_eq!(boxes.len(), golden.shape[0], "{}", folder.display());
}

#[test]
fn every_staged_folder_is_read() {
    let Some(shared) = shared() else { return skipped("staged folders", NO_REFERENCES) };
    for (folder, ..) in STAGED {
        assert!(Path::new(&shared.join("golden/stages").join(folder)).is_dir(), "{folder}");
    }
}
