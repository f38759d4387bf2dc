//! Whether two frames show the same face, by where it is.
//!
//! A visit's frames are evidence for one person, so they must be of one person; a face that jumps is another's.
//! Refuses to recognise: whoever takes another's place exactly is the same face here, and for `policy::decide` another person.

use threshold_models::engine::{BBox, Detection};

/// True if the later face is where the earlier one was: the boxes overlap, and the landmarks' middle has moved by less than
/// half the larger side, which is no more than twice the smaller. Somebody who walks by at arm's length moves a third of a face from frame to frame at 25 frames a second.
pub(crate) fn is_same_face(earlier: &Detection, later: &Detection) -> bool {
    let (a, b) = (&earlier.bbox, &later.bbox);
    let overlap = a.x1.max(b.x1) < a.x2.min(b.x2) && a.y1.max(b.y1) < a.y2.min(b.y2);
    let side = |of: &BBox| (of.x2 - of.x1).max(of.y2 - of.y1);
    let (smaller, larger) = (side(a).min(side(b)), side(a).max(side(b)));
    let middle = |face: &Detection| {
        let sum = face.landmarks.iter().fold([0.0; 2], |[x, y], at| [x + at[0], y + at[1]]);
        sum.map(|sum| sum / face.landmarks.len() as f32)
    };
    let ([ax, ay], [bx, by]) = (middle(earlier), middle(later));
    overlap && larger <= 2.0 * smaller && (ax - bx).hypot(ay - by) < larger / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(x: f32, y: f32, side: f32) -> Detection {
        let at = |part_x: f32, part_y: f32| [x + part_x * side, y + part_y * side];
        Detection {
            bbox: BBox { x1: x, y1: y, x2: x + side, y2: y + side },
            landmarks: [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.6), at(0.35, 0.8), at(0.65, 0.8)],
            score: 1.0,
        }
    }

    #[test]
    fn a_face_that_moves_stays_the_same_and_one_that_jumps_is_another() {
        let first = face(100.0, 100.0, 80.0);
        for (later, same) in [
            (face(100.0, 100.0, 80.0), true),
            (face(126.0, 110.0, 80.0), true),
            (face(90.0, 92.0, 96.0), true),
            (face(150.0, 100.0, 80.0), false),
            (face(300.0, 100.0, 80.0), false),
            // One box in the other: two people, one behind the other.
            (face(20.0, 20.0, 300.0), false),
            (face(100.0, 160.0, 80.0), false),
            (face(f32::NAN, 100.0, 80.0), false),
        ] {
            assert_eq!(is_same_face(&first, &later), same, "{later:?}");
        }
    }
}
