//! Annotated pictures: boxes, landmarks and scores drawn over a frame, for `detect --draw`.
//!
//! Owns a few lines of pixel work; the digits come from the `font8x8` crate.
//! Refuses to scale or to draw text other than ASCII: `imageproc` with a font file would be 20 crates for this.

use image::{Rgb, RgbImage};
use threshold_models::engine::Detection;
use threshold_models::frame::Frame;

const BOX: Rgb<u8> = Rgb([0, 230, 64]);
const DOT: Rgb<u8> = Rgb([255, 48, 48]);
const INK: Rgb<u8> = Rgb([0, 0, 0]);

/// The frame with every detection drawn over it; what sticks out of the frame is cut.
#[must_use]
pub fn annotated(frame: &Frame, faces: &[Detection]) -> RgbImage {
    let (width, height) = (frame.width() as u32, frame.height() as u32);
    // The frame's length is checked against its size when it is made, so this never falls back.
    let mut picture = RgbImage::from_raw(width, height, frame.rgb().to_vec()).unwrap_or_default();
    // Thin lines vanish when a large picture is shown small.
    let stroke = (width.max(height) as i32 / 640).max(1);
    for face in faces {
        let corner = |x: f32, y: f32| (x.round() as i32, y.round() as i32);
        let (x1, y1) = corner(face.bbox.x1, face.bbox.y1);
        let (x2, y2) = corner(face.bbox.x2, face.bbox.y2);
        fill(&mut picture, x1, y1, x2 - x1, stroke, BOX);
        fill(&mut picture, x1, y2 - stroke, x2 - x1, stroke, BOX);
        fill(&mut picture, x1, y1, stroke, y2 - y1, BOX);
        fill(&mut picture, x2 - stroke, y1, stroke, y2 - y1, BOX);
        for [x, y] in face.landmarks {
            let (x, y) = corner(x, y);
            fill(&mut picture, x - stroke, y - stroke, 2 * stroke + 1, 2 * stroke + 1, DOT);
        }
        let label = format!("{:.3}", face.score);
        let text_height = 10 * stroke;
        let text_width = (8 * label.len() as i32 + 2) * stroke;
        // Above the box where there is room, else just inside it; inside the picture where the box is not.
        let top = if y1 >= text_height { y1 - text_height } else { y1 };
        let top = top.min(height as i32 - text_height).max(0);
        let left = x1.min(width as i32 - text_width).max(0);
        fill(&mut picture, left, top, text_width, text_height, BOX);
        write(&mut picture, left + stroke, top + stroke, stroke, &label);
    }
    picture
}

fn fill(picture: &mut RgbImage, x: i32, y: i32, width: i32, height: i32, colour: Rgb<u8>) {
    let (columns, rows) = (picture.width() as i32, picture.height() as i32);
    for y in y.max(0)..(y.saturating_add(height)).min(rows) {
        for x in x.max(0)..(x.saturating_add(width)).min(columns) {
            picture.put_pixel(x as u32, y as u32, colour);
        }
    }
}

/// Draws ASCII text; each of the font's pixels is `scale` pixels wide.
fn write(picture: &mut RgbImage, x: i32, y: i32, scale: i32, text: &str) {
    for (place, letter) in text.bytes().enumerate() {
        let Some(rows) = font8x8::legacy::BASIC_LEGACY.get(usize::from(letter)) else { continue };
        for (row, bits) in rows.iter().enumerate() {
            for column in (0..8).filter(|column| bits >> column & 1 == 1) {
                let left = x + (place as i32 * 8 + column) * scale;
                fill(picture, left, y + row as i32 * scale, scale, scale, INK);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use threshold_models::engine::BBox;

    fn face(x1: f32, y1: f32, x2: f32, y2: f32) -> Detection {
        let middle = [(x1 + x2) / 2.0, (y1 + y2) / 2.0];
        Detection { bbox: BBox { x1, y1, x2, y2 }, landmarks: [middle; 5], score: 0.987 }
    }

    #[test]
    fn box_landmarks_and_score_are_drawn_where_they_are() {
        let frame = Frame::from_rgb(80, 80, vec![9; 80 * 80 * 3]).unwrap();
        let picture = annotated(&frame, &[face(20.0, 30.0, 60.0, 70.0)]);
        assert_eq!(*picture.get_pixel(20, 50), BOX);
        assert_eq!(*picture.get_pixel(59, 50), BOX);
        assert_eq!(*picture.get_pixel(40, 69), BOX);
        assert_eq!(*picture.get_pixel(40, 50), DOT);
        assert!((20..60).any(|x| (20..30).any(|y| *picture.get_pixel(x, y) == INK)));
        assert_eq!(picture.get_pixel(10, 10).0, [9; 3]);
    }

    #[test]
    fn the_score_is_inside_the_picture_wherever_the_box_begins() {
        let frame = Frame::from_rgb(80, 80, vec![9; 80 * 80 * 3]).unwrap();
        let ink = |x1: f32, y1: f32| {
            let picture = annotated(&frame, &[face(x1, y1, x1 + 50.0, y1 + 50.0)]);
            picture.pixels().filter(|&&pixel| pixel == INK).count()
        };
        let whole = ink(20.0, 30.0);
        assert!(whole > 20, "{whole}");
        for (x1, y1) in [(-20.0, 30.0), (20.0, -20.0), (-20.0, -20.0), (60.0, 30.0)] {
            assert_eq!(ink(x1, y1), whole, "{x1}, {y1}");
        }
    }

    #[test]
    fn a_box_that_sticks_out_of_the_frame_is_cut() {
        let frame = Frame::from_rgb(16, 16, vec![0; 16 * 16 * 3]).unwrap();
        let picture = annotated(&frame, &[face(-900.0, -9.0, 99.0, 1e9)]);
        assert_eq!((picture.width(), picture.height()), (16, 16));
    }
}
