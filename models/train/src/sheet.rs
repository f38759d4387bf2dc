//! The contact sheet: what a run learns from, to look at before hours go by.
//!
//! Owns the drawing. A cell is a sample as the network sees it, framed by its kind's colour: red a negative, green a
//! face, yellow a part, blue landmarks; the box that it should answer is drawn in the frame's colour, landmarks as dots.

use crate::batch::{BOX, Batches, LANDMARKS};
use crate::config::Config;
use crate::pictures::Loaded;
use crate::sample::Drawer;
use crate::stage::Stage;
use anyhow::Result;
use image::{Rgb, RgbImage};

/// Cells beside each other.
const COLUMNS: usize = 16;
/// Side of a cell's picture, pixels: a multiple of every stage's side.
const CELL: usize = 96;
/// The frame about it.
const FRAME: usize = 3;

const NEGATIVE: Rgb<u8> = Rgb([220, 40, 40]);
const FACE: Rgb<u8> = Rgb([0, 200, 60]);
const PART: Rgb<u8> = Rgb([230, 200, 0]);
const LANDMARK: Rgb<u8> = Rgb([60, 120, 255]);

/// The first batch of a run.
///
/// # Errors
/// If the pictures do not give every kind of sample.
pub fn draw(config: &Config, loaded: &Loaded) -> Result<RgbImage> {
    let drawer = Drawer {
        pictures: &loaded.train,
        stage: config.stage,
        augment: config.augment,
        min_face_px: config.min_face_px,
        mined: config.mined,
    };
    let n = config.batch.min(COLUMNS * COLUMNS);
    let batch = Batches::new(drawer, &config.mix, n, config.seed, 1)?.draw(0)?;
    let side = config.stage.side();
    let pitch = CELL + 2 * FRAME;
    let size = |cells: usize| (cells * pitch) as u32;
    let mut sheet = RgbImage::new(size(COLUMNS), size(batch.n.div_ceil(COLUMNS)));
    for i in 0..batch.n {
        let colour = match (batch.face_on[i] > 0.0, batch.face[i] > 0.0, batch.reg_on[i] > 0.0) {
            (true, false, _) => NEGATIVE,
            (true, true, _) => FACE,
            (false, _, true) => PART,
            (false, _, false) => LANDMARK,
        };
        let (left, top) = (i % COLUMNS * pitch, i / COLUMNS * pitch);
        let mut put = |x: f32, y: f32, colour: Rgb<u8>| {
            let (x, y) = (left as f32 + FRAME as f32 + x, top as f32 + FRAME as f32 + y);
            if x >= left as f32
                && y >= top as f32
                && x < (left + pitch) as f32
                && y < (top + pitch) as f32
            {
                sheet.put_pixel(x as u32, y as u32, colour);
            }
        };
        for y in 0..pitch {
            for x in 0..pitch {
                put(x as f32 - FRAME as f32, y as f32 - FRAME as f32, colour);
            }
        }
        let pixels = &batch.pixels[i * side * side * 3..][..side * side * 3];
        for y in 0..CELL {
            for x in 0..CELL {
                let at = ((y * side / CELL) * side + x * side / CELL) * 3;
                let grey = |c: usize| (pixels[at + c] * 128.0 + 127.5).clamp(0.0, 255.0) as u8;
                put(x as f32, y as f32, Rgb([grey(0), grey(1), grey(2)]));
            }
        }
        if batch.reg_on[i] > 0.0 {
            let reg: [f32; BOX] = std::array::from_fn(|j| batch.reg[i * BOX + j]);
            outline(config.stage, &reg, |x, y| put(x, y, colour));
        }
        if batch.landmarks_on[i] > 0.0 {
            let points = &batch.landmarks[i * LANDMARKS..][..LANDMARKS];
            for point in 0..LANDMARKS / 2 {
                for at in 0..9u8 {
                    let (dx, dy) = (f32::from(at % 3) - 1.0, f32::from(at / 3) - 1.0);
                    let [x, y] = [points[point], points[point + LANDMARKS / 2]];
                    put(x * CELL as f32 + dx, y * CELL as f32 + dy, colour);
                }
            }
        }
    }
    Ok(sheet)
}

/// The box that a regression means, pixel by pixel.
fn outline(stage: Stage, reg: &[f32; BOX], mut put: impl FnMut(f32, f32)) {
    // P-Net's box begins a twelfth inside the window and is in parts of the rest; the others' is the window, to a pixel.
    let (first, share) = if stage == Stage::PNet { (1.0 / 12.0, 11.0 / 12.0) } else { (0.0, 1.0) };
    let at = |edge: f32, reg: f32| (edge + reg * share) * CELL as f32;
    let [x1, y1, x2, y2] = [at(first, reg[0]), at(first, reg[1]), at(1.0, reg[2]), at(1.0, reg[3])];
    for step in 0..=CELL {
        let part = step as f32 / CELL as f32;
        let (x, y) = (x1 + (x2 - x1) * part, y1 + (y2 - y1) * part);
        put(x, y1);
        put(x, y2);
        put(x1, y);
        put(x2, y);
    }
}
