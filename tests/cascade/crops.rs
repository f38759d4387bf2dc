//! The embedder's crop against the reference's `extract_face`, which resizes by `cv2.INTER_AREA`.

use crate::frame;
use threshold_models::crop::resize_area;
use threshold_models::frame::Frame;
use threshold_tests::{NO_REFERENCES, Npy, npy, shared, skipped};

/// The pixels of a box cut to whole numbers, resized to 160 x 160; mean and largest difference to a CHW u8 golden.
fn difference(frame: &Frame, edges: &[f64], golden: &[f64]) -> (f64, f64) {
    let edge = |i: usize, limit: usize| (edges[i].max(0.0) as usize).min(limit);
    let (width, height) = (frame.width(), frame.height());
    let rect = [edge(0, width), edge(1, height), edge(2, width), edge(3, height)];
    let mut out = vec![0.0; 160 * 160 * 3];
    resize_area(frame, rect, (160, 160), &mut out);
    let plane = 160 * 160;
    let (mut sum, mut worst) = (0.0, 0.0f64);
    for (i, value) in out.iter().enumerate() {
        let error = (f64::from(*value) - golden[i % 3 * plane + i / 3]).abs();
        (sum, worst) = (sum + error, worst.max(error));
    }
    (sum / out.len() as f64, worst)
}

#[test]
fn area_crops_equal_opencvs_but_for_its_rounding() {
    let Some(shared) = shared() else { return skipped("crop parity", NO_REFERENCES) };
    let golden = shared.join("golden");
    let picture = frame(&golden.join("png/obama_480.png"));
    let Npy { data: edges, .. } = npy(&golden.join("resnet/obama480_box.npy"));
    let crop = npy(&golden.join("resnet/obama480_face160_cv2area_u8.npy"));
    let (mean, worst) = difference(&picture, &edges, &crop.data);
    // Rounding to whole grey levels alone is 0.25 in the mean; OpenCV's weights have 11 bits.
    assert!(mean < 0.3 && worst < 1.5, "obama480: mean {mean}, worst {worst}");

    let text = std::fs::read(golden.join("facenet_real/facenet_real.json")).unwrap();
    let labels: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let boxes = npy(&golden.join("facenet_real/boxes.npy"));
    let faces = npy(&golden.join("facenet_real/faces160_u8.npy"));
    for (i, label) in labels["labels"].as_array().unwrap().iter().enumerate() {
        let label = label.as_str().unwrap();
        let picture = frame(&golden.join("png").join(label));
        let face = &faces.data[i * 3 * 160 * 160..][..3 * 160 * 160];
        let (mean, worst) = difference(&picture, &boxes.data[i * 4..i * 4 + 4], face);
        // OpenCV rounds one column of one picture to its neighbour: 72 columns to 160, 20 * 0.45 in floating point.
        let limits = if label == "obama_partial_face_480.png" { (0.6, 120.0) } else { (0.3, 1.5) };
        assert!(mean < limits.0 && worst < limits.1, "{label}: mean {mean}, worst {worst}");
    }
}
