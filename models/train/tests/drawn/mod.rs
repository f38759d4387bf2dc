//! Drawn pictures with drawn faces: enough for a network to learn from, and nobody's photo.
#![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

use threshold_models::engine::{BBox, Landmarks};
use threshold_models::frame::Frame;
use threshold_models::import::description;
use threshold_models::pack::{Network, Pack, PackMeta};
use threshold_models::synthetic;
use threshold_train::config::{Config, Mix, Tasks};
use threshold_train::pictures::{Face, Loaded, Picture, Pictures};
use threshold_train::random::Random;
use threshold_train::sample::Augment;
use threshold_train::stage::Stage;

const WIDTH: usize = 160;
const HEIGHT: usize = 120;

/// A detector of synthetic weights, for what a run writes down.
pub(crate) fn detector() -> Pack {
    let tensors = synthetic::weights(&Network::Mtcnn.graphs());
    let meta = PackMeta { golden: vec![], ..description(Network::Mtcnn) };
    threshold_models::import::with_golden(meta, tensors).unwrap()
}

/// A configuration for drawn pictures.
#[allow(dead_code, reason = "not every test of a file that draws has a run of the cascade")]
pub(crate) fn config(stage: Stage) -> Config {
    Config {
        stage,
        seed: 1,
        epochs: 1,
        steps: 10,
        batch: 32,
        accumulate: 1,
        learning_rate: 3e-3,
        weight_decay: 0.0,
        average: 0.0,
        patience: 0,
        keep: 0,
        hard_share: 0.7,
        tasks: Tasks::default(),
        mix: Mix::default(),
        augment: Augment { mirror: true, turn_deg: 15.0, contrast: 0.2, brightness: 10.0 },
        mined: 0.3,
        min_face_px: 20.0,
        held_back: 0.2,
        validation: 400,
        wider: vec![],
        celeba: vec![],
        people: vec![],
    }
}

/// So many pictures, a quarter of them held back.
pub(crate) fn drawn(n: usize) -> Loaded {
    let mut loaded = Loaded::default();
    for i in 0..n {
        let side = if i % 4 == 0 { &mut loaded.held } else { &mut loaded.train };
        push(side, i);
    }
    loaded
}

fn push(side: &mut Pictures, i: usize) {
    let mut random = Random::of(&[77, i as u64]);
    let mut rgb = vec![0u8; WIDTH * HEIGHT * 3];
    // Blocks of random colour, and stripes that are as dark as eyes.
    let block = random.below(12) + 5;
    let colours: Vec<[u8; 3]> =
        (0..600).map(|_| std::array::from_fn(|_| random.below(200) as u8)).collect();
    for (at, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = (at % WIDTH, at / WIDTH);
        pixel.copy_from_slice(&colours[(y / block * 33 + x / block) % colours.len()]);
    }
    let mut faces = Vec::new();
    for place in 0..2 {
        let height = random.between(36.0, 60.0);
        let width = height * 0.8;
        let x = place as f32 * 80.0 + random.between(1.0, 79.0 - width);
        let y = random.between(1.0, HEIGHT as f32 - 1.0 - height);
        faces.push(face(&mut rgb, [x, y, width, height], &mut random));
    }
    let frame = Frame::from_rgb(WIDTH, HEIGHT, rgb).unwrap();
    side.pictures.push(Picture { name: format!("drawn {i}"), frame, faces });
}

/// A bright ellipse with two dark eyes, a nose and a mouth.
fn face(rgb: &mut [u8], [x, y, width, height]: [f32; 4], random: &mut Random) -> Face {
    let skin = random.between(170.0, 240.0);
    let at = |part_x: f32, part_y: f32| [x + part_x * width, y + part_y * height];
    let landmarks: Landmarks =
        [at(0.3, 0.4), at(0.7, 0.4), at(0.5, 0.58), at(0.35, 0.77), at(0.65, 0.77)];
    for row in y as usize..(y + height).ceil() as usize {
        for column in x as usize..(x + width).ceil() as usize {
            let (px, py) = (column as f32 + 0.5, row as f32 + 0.5);
            let (dx, dy) = ((px - x) / width - 0.5, (py - y) / height - 0.5);
            if dx.hypot(dy) > 0.5 {
                continue;
            }
            let near = |[cx, cy]: [f32; 2], far: f32| (px - cx).hypot(py - cy) < far * width;
            let eye = near(landmarks[0], 0.12) || near(landmarks[1], 0.12);
            let mouth = (dy - 0.27).abs() < 0.05 && dx.abs() < 0.2;
            let grey = if eye {
                30.0
            } else if mouth {
                70.0
            } else {
                skin
            };
            rgb[(row * WIDTH + column) * 3..][..3].fill(grey as u8);
        }
    }
    let bbox = BBox { x1: x, y1: y, x2: x + width, y2: y + height };
    Face { bbox, landmarks: Some(landmarks), learnt: true }
}
