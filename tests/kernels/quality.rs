//! What faces are like: the measures of `models::quality`, bit for bit but for the last places of the angles.

use crate::rig::{alone, drawn, noise, rounds};
use threshold_kernels::launch::Found;
use threshold_models::engine::{BBox, Detection, Landmarks};
use threshold_models::quality::{Measures, QualityLimits, grade, measure};
use threshold_models::raw::{Colour, PixelFormat, RawFrame};
use threshold_tests::lots::Lots;

/// What an angle may differ by: CUDA's atanf and atan2f err by at most 3 units in the last place of at most 180 degrees, and
/// the processor's by less.
const ANGLE_DEG: f32 = 1e-4;

/// Landmarks of a face that looks straight on, as parts of its box.
const POINTS: Landmarks = [[0.3, 0.4], [0.7, 0.38], [0.5, 0.6], [0.35, 0.8], [0.68, 0.79]];

fn face_in(edges: [f32; 4], landmarks: Landmarks, score: f32) -> Detection {
    let [x1, y1, x2, y2] = edges;
    Detection { bbox: BBox { x1, y1, x2, y2 }, landmarks, score }
}

/// A face of any shape inside the frame, across its edges, or beyond it; landmarks about where they belong.
fn drawn_face(lots: &mut Lots, [width, height]: [usize; 2]) -> Detection {
    let mut at = |extent: usize| (lots.unit() * 1.6 - 0.3) * extent as f32;
    let ([xa, xb], [ya, yb]) = ([at(width), at(width)], [at(height), at(height)]);
    let (x1, x2, y1, y2) = (xa.min(xb), xa.max(xb) + 1.0, ya.min(yb), ya.max(yb) + 1.0);
    let mut aside = || (lots.unit() - 0.5) * 0.4;
    let landmarks =
        POINTS.map(|[x, y]| [x1 + (x2 - x1) * (x + aside()), y1 + (y2 - y1) * (y + aside())]);
    face_in([x1, y1, x2, y2], landmarks, lots.unit())
}

/// Angles near enough, everything else bit for bit, and so what follows from it: no cause changes but for an angle that lies
/// that near to its limit.
fn check_face(found: Measures, expected: Measures, what: &str) {
    let angles = |m: &Measures| [m.yaw_deg, m.pitch_deg, m.roll_deg];
    for (found, expected) in angles(&found).into_iter().zip(angles(&expected)) {
        let near = (found - expected).abs() <= ANGLE_DEG || found.is_nan() && expected.is_nan();
        assert!(near, "{what}: {found} and {expected} degrees");
        // The emulator's functions are the processor's.
        let same = found.to_bits() == expected.to_bits() || expected.is_nan();
        assert!(cfg!(feature = "gpu") || same, "{what}: {found} and {expected} degrees");
    }
    let [yaw_deg, pitch_deg, roll_deg] = angles(&expected);
    let rest = Measures { yaw_deg, pitch_deg, roll_deg, ..found };
    let bits = |m: &Measures| {
        let light = [m.brightness, m.dark, m.bright, m.sharpness, m.texture, m.band];
        [m.face_px, m.visible, m.score]
            .into_iter()
            .chain(light)
            .map(|value| if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() })
            .collect::<Vec<u32>>()
    };
    assert_eq!(bits(&rest), bits(&expected), "{what}: {rest:?} and {expected:?}");
    let limits = QualityLimits::default();
    let (found, expected) = (grade(&found, &limits), grade(&expected, &limits));
    assert!(found.percent.abs_diff(expected.percent) <= 1, "{what}: {found:?} and {expected:?}");
    assert!(cfg!(feature = "gpu") || found == expected, "{what}: {found:?} and {expected:?}");
}

fn check(lots: &mut Lots, size: [usize; 2], format: PixelFormat, faces: &[Detection], n: usize) {
    let stride = format.stride(size[0]);
    let bytes = noise(lots, format.len(size[1], stride));
    check_frame(lots, size, (format, &bytes), faces, n);
}

fn check_frame(
    lots: &mut Lots,
    size: [usize; 2],
    (format, bytes): (PixelFormat, &[u8]),
    faces: &[Detection],
    n: usize,
) {
    let raw =
        RawFrame::new(format, size, format.stride(size[0]), Colour::default(), bytes).unwrap();
    let frame = raw.to_frame();
    let found: Vec<Found> = faces.iter().map(Found::from).collect();
    let all = alone(&drawn(), lots.below(99)).quality(&raw, &found, n as u32).unwrap();
    assert_eq!(all.len(), faces.len());
    for (i, (&found, face)) in all.iter().zip(faces).enumerate() {
        let what = format!("{size:?} {format:?}, face {i} of {n}, {face:?}");
        let expected = if i < n { measure(&frame, face) } else { Measures::default() };
        check_face(found.into(), expected, &what);
    }
}

#[test]
fn faces_inside_across_and_beyond_the_frame_measure_as_on_the_cpu() {
    for mut lots in rounds(541) {
        for format in PixelFormat::ALL {
            for size in [[320, 240], [66, 90], [20, 16]] {
                let faces: Vec<_> = (0..5).map(|_| drawn_face(&mut lots, size)).collect();
                check(&mut lots, size, format, &faces, 5);
            }
        }
        for _ in 0..4 {
            let size = [16 + 2 * lots.below(200) as usize, 16 + 2 * lots.below(200) as usize];
            let faces: Vec<_> = (0..8).map(|_| drawn_face(&mut lots, size)).collect();
            let n = lots.below(10) as usize;
            check(&mut lots, size, PixelFormat::Nv12, &faces, n);
        }
    }
}

#[test]
fn faces_at_or_beyond_the_count_are_left_alone() {
    let mut lots = Lots(542);
    let faces: Vec<_> = (0..4).map(|_| drawn_face(&mut lots, [96, 64])).collect();
    for n in [0, 1, 3, 4, 512] {
        check(&mut lots, [96, 64], PixelFormat::Rgb24, &faces, n);
    }
}

#[test]
fn the_smallest_largest_and_darkest_faces_measure_as_on_the_cpu() {
    let mut lots = Lots(543);
    let size = [200, 100];
    let placed = |[x1, y1, x2, y2]: [f32; 4]| {
        let points = POINTS.map(|[x, y]| [x1 + (x2 - x1) * x, y1 + (y2 - y1) * y]);
        face_in([x1, y1, x2, y2], points, 0.9)
    };
    let whole = placed([0.0, 0.0, 200.0, 100.0]);
    let mut faces = vec![
        whole,
        placed([-1e7, -1e7, 1e7, 1e7]),
        // Within one pixel, on the last one, and on whole pixels at 64, where every cell is one.
        placed([10.2, 10.3, 10.7, 10.8]),
        placed([199.5, 99.5, 260.0, 130.0]),
        placed([8.0, 8.0, 72.0, 72.0]),
        placed([-300.0, 10.0, -200.0, 90.0]),
        placed([300.0, 10.0, 400.0, 90.0]),
        // A box without an inside, from right to left.
        placed([50.0, 50.0, 50.0, 50.0]),
        placed([60.0, 60.0, 40.0, 40.0]),
    ];
    // Eyes in one place, and landmarks far away: no pose, or no patch.
    faces.push(face_in([10.0, 10.0, 90.0, 90.0], [[40.0, 40.0]; 5], 0.5));
    faces.push(face_in([10.0, 10.0, 90.0, 90.0], POINTS.map(|[x, y]| [x * 1e12, y * -1e12]), 0.5));
    check(&mut lots, size, PixelFormat::Rgb24, &faces, faces.len());
    for grey in [0u8, 20, 245, 246, 255] {
        let bytes = vec![grey; 200 * 100 * 3];
        check_frame(&mut lots, size, (PixelFormat::Rgb24, &bytes), &faces, faces.len());
    }
    // Nothing of a face that is a face is no number.
    let raw_bytes = vec![77u8; 200 * 100 * 3];
    let raw = RawFrame::new(PixelFormat::Rgb24, size, 600, Colour::default(), &raw_bytes).unwrap();
    let found = alone(&drawn(), 5).quality(&raw, &[Found::from(&whole)], 1).unwrap();
    let measures = Measures::from(found[0]);
    assert!((measures.brightness - 77.0).abs() < 1e-3 && measures.sharpness == 0.0);
    assert!(
        measures.yaw_deg.is_finite()
            && measures.texture == 0.0
            && measures.band == 0.0
            && measures.visible == 1.0
    );
}

#[test]
fn a_face_whose_cells_have_more_pixels_than_a_word_sums_measures_as_on_the_cpu() {
    // Cells of 93 x 93 pixels between their edges, where what fits is 8,224.
    let size = [6016, 6016];
    let face = |extent: f32| {
        let points = POINTS.map(|[x, y]| [x * extent, y * extent]);
        face_in([0.0, 0.0, extent, extent], points, 0.99)
    };
    // White, so that the sums run over.
    let bytes = vec![255u8; 6016 * 6016 * 3];
    let (format, faces) = (PixelFormat::Rgb24, [face(6016.0), face(5000.5)]);
    check_frame(&mut Lots(544), size, (format, &bytes), &faces, 2);
}
