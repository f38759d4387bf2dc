//! Box regression: how a network's fractions move a box and place its landmarks.
//!
//! Owns the two conventions of the reference: P-Net's without `+ 1`, R-Net's and O-Net's with it.
//! All arithmetic is f32 in the reference's order.

use crate::engine::{BBox, Landmarks};

/// Moves the edges by fractions of the sides `x2 - x1`, `y2 - y1` (after P-Net).
#[must_use]
pub fn regress_plain(bbox: &BBox, reg: &[f32; 4]) -> BBox {
    shifted(bbox, reg, bbox.x2 - bbox.x1, bbox.y2 - bbox.y1)
}

/// Moves the edges by fractions of the sides `x2 - x1 + 1`, `y2 - y1 + 1` (after R-Net and O-Net).
#[must_use]
pub fn regress_inclusive(bbox: &BBox, reg: &[f32; 4]) -> BBox {
    shifted(bbox, reg, bbox.x2 - bbox.x1 + 1.0, bbox.y2 - bbox.y1 + 1.0)
}

fn shifted(bbox: &BBox, reg: &[f32; 4], width: f32, height: f32) -> BBox {
    BBox {
        x1: bbox.x1 + reg[0] * width,
        y1: bbox.y1 + reg[1] * height,
        x2: bbox.x2 + reg[2] * width,
        y2: bbox.y2 + reg[3] * height,
    }
}

/// The square about the box's centre whose side is the box's longer one.
#[must_use]
pub fn squared(bbox: &BBox) -> BBox {
    let (width, height) = (bbox.x2 - bbox.x1, bbox.y2 - bbox.y1);
    let side = width.max(height);
    let x1 = bbox.x1 + width * 0.5 - side * 0.5;
    let y1 = bbox.y1 + height * 0.5 - side * 0.5;
    BBox { x1, y1, x2: x1 + side, y2: y1 + side }
}

/// O-Net's landmarks in frame pixels; `bbox` is the box before O-Net's regression.
#[must_use]
pub fn place_landmarks(bbox: &BBox, fractions: &[f32; 10]) -> Landmarks {
    let width = bbox.x2 - bbox.x1 + 1.0;
    let height = bbox.y2 - bbox.y1 + 1.0;
    std::array::from_fn(|i| {
        [width * fractions[i] + bbox.x1 - 1.0, height * fractions[5 + i] + bbox.y1 - 1.0]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BBOX: BBox = BBox { x1: 10.0, y1: 20.0, x2: 30.0, y2: 60.0 };

    #[test]
    fn the_two_conventions_differ_by_one_pixel_of_side() {
        let reg = [0.5, 0.5, -0.5, -0.5];
        assert_eq!(regress_plain(&BBOX, &reg), BBox { x1: 20.0, y1: 40.0, x2: 20.0, y2: 40.0 });
        assert_eq!(regress_inclusive(&BBOX, &reg), BBox { x1: 20.5, y1: 40.5, x2: 19.5, y2: 39.5 });
    }

    #[test]
    fn squares_keep_the_centre_and_the_longer_side() {
        assert_eq!(squared(&BBOX), BBox { x1: 0.0, y1: 20.0, x2: 40.0, y2: 60.0 });
    }

    #[test]
    fn landmarks_come_as_all_x_then_all_y() {
        let fractions = [0.0, 1.0, 0.5, 0.0, 1.0, 0.0, 0.0, 0.5, 1.0, 1.0];
        let placed = place_landmarks(&BBOX, &fractions);
        assert_eq!(placed, [[9.0, 19.0], [30.0, 19.0], [19.5, 39.5], [9.0, 60.0], [30.0, 60.0]]);
    }
}
