//! A view of a picture: mirrored, turned about a point, brighter or flatter, as the paper's section 3.3 augments.
//!
//! Owns the way from picture to view and back, of points, boxes and landmarks alike, and the pixels of a window.
//! Refuses to choose: what is drawn, and how far, is `sample`'s and the configuration's.
//!
//! Terms: *picture* and *view* coordinates are pixel edges, so pixel (x, y) covers x..x + 1. A *window* is a square of
//! the view that becomes a network's input; without a turn its edges are whole pixels.

use threshold_models::cascade::pyramid::{AreaResize, Grey, Rect};
use threshold_models::engine::{BBox, Landmarks};
use threshold_models::frame::Frame;

/// What is done to a picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Width of the picture, which a mirror needs.
    pub width: f32,
    /// Whether left and right change places.
    pub mirror: bool,
    /// Turn about `pivot`, clockwise as seen, radians.
    pub angle: f32,
    /// The point that a turn leaves where it is, in view coordinates.
    pub pivot: [f32; 2],
    /// Factor of a grey level's distance from the window's mean; 1 changes nothing.
    pub contrast: f32,
    /// Added to each grey level.
    pub brightness: f32,
}

/// A square of a view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Side, above 0.
    pub side: f32,
}

impl Window {
    /// As a box.
    #[must_use]
    pub fn bbox(&self) -> BBox {
        let Self { x, y, side } = *self;
        BBox { x1: x, y1: y, x2: x + side, y2: y + side }
    }
}

/// Points that one pixel of a turned window is the mean of, along each side, at most: 48 px of a face of 300.
const POINTS_MAX: usize = 6;

impl View {
    /// The picture as it is.
    #[must_use]
    pub fn plain(frame: &Frame) -> Self {
        let width = frame.width() as f32;
        Self { width, mirror: false, angle: 0.0, pivot: [0.0; 2], contrast: 1.0, brightness: 0.0 }
    }

    /// Where a point of the picture lies in the view.
    #[must_use]
    pub fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let x = if self.mirror { self.width - x } else { x };
        self.turned([x, y], self.angle)
    }

    /// Where a point of the view lies in the picture.
    #[must_use]
    pub fn back(&self, point: [f32; 2]) -> [f32; 2] {
        let [x, y] = self.turned(point, -self.angle);
        [if self.mirror { self.width - x } else { x }, y]
    }

    /// The box of a face in the view: that of the ellipse which the picture's box holds. A face is no rectangle, and the
    /// box about a turned rectangle would grow by 41 % at 45 degrees.
    #[must_use]
    pub fn bbox(&self, bbox: &BBox) -> BBox {
        let (a, b) = ((bbox.x2 - bbox.x1) / 2.0, (bbox.y2 - bbox.y1) / 2.0);
        let [x, y] = self.point([bbox.x1 + a, bbox.y1 + b]);
        let (half_width, half_height) = if self.angle == 0.0 {
            (a, b)
        } else {
            let (sin, cos) = self.angle.sin_cos();
            ((a * cos).hypot(b * sin), (a * sin).hypot(b * cos))
        };
        BBox { x1: x - half_width, y1: y - half_height, x2: x + half_width, y2: y + half_height }
    }

    /// Landmarks in the view. A mirror also swaps the names of left and right.
    #[must_use]
    pub fn landmarks(&self, landmarks: &Landmarks) -> Landmarks {
        let [left_eye, right_eye, nose, left_mouth, right_mouth] =
            landmarks.map(|point| self.point(point));
        match self.mirror {
            true => [right_eye, left_eye, nose, right_mouth, left_mouth],
            false => [left_eye, right_eye, nose, left_mouth, right_mouth],
        }
    }

    /// A window's pixels as the cascade's networks take them: `side * side * 3`, HWC, (grey - 127.5) / 128.
    ///
    /// Without a turn these are the means that the cascade's own crops have, of the part inside the picture, and `None`
    /// where no pixel is inside; with one, means over points between pixels, the picture's border going on outside.
    #[must_use]
    pub fn pixels(&self, frame: &Frame, window: &Window, side: usize) -> Option<Vec<f32>> {
        let mut values = vec![0.0; side * side * 3];
        if self.angle == 0.0 {
            let rect = self.rect(frame, window)?;
            AreaResize::default().run(frame, rect, (side, side), Grey::RAW, &mut values);
            if self.mirror {
                values.chunks_exact_mut(side * 3).for_each(mirror_row);
            }
        } else {
            self.sample(frame, window, side, &mut values);
        }
        let mean = values.iter().sum::<f32>() / values.len() as f32;
        for value in &mut values {
            let grey = (*value - mean) * self.contrast + mean + self.brightness;
            *value = (grey.clamp(0.0, 255.0) - Grey::CASCADE.offset) * Grey::CASCADE.scale;
        }
        Some(values)
    }

    fn turned(&self, [x, y]: [f32; 2], angle: f32) -> [f32; 2] {
        if angle == 0.0 {
            return [x, y];
        }
        let ((sin, cos), [px, py]) = (angle.sin_cos(), self.pivot);
        let (dx, dy) = (x - px, y - py);
        [px + dx * cos - dy * sin, py + dx * sin + dy * cos]
    }

    /// The whole pixels of the picture under a window that is not turned.
    fn rect(&self, frame: &Frame, window: &Window) -> Option<Rect> {
        let left = if self.mirror { self.width - window.x - window.side } else { window.x };
        let span = |low: f32, side: f32, end: usize| {
            let within = |edge: f32| edge.round().clamp(0.0, end as f32) as usize;
            let (first, end) = (within(low), within(low + side));
            (end > first).then_some((first, end - first))
        };
        let (x, width) = span(left, window.side, frame.width())?;
        let (y, height) = span(window.y, window.side, frame.height())?;
        Some(Rect { x, y, width, height })
    }

    fn sample(&self, frame: &Frame, window: &Window, side: usize, values: &mut [f32]) {
        let step = window.side / side as f32;
        let points = (step.ceil() as usize).clamp(1, POINTS_MAX);
        let share = 1.0 / (points * points) as f32;
        for (i, pixel) in values.chunks_exact_mut(3).enumerate() {
            for at in 0..points * points {
                let offset = |cell: usize, point: usize| {
                    (cell as f32 + (point as f32 + 0.5) / points as f32) * step
                };
                let (x, y) = (offset(i % side, at % points), offset(i / side, at / points));
                let found = between(frame, self.back([window.x + x, window.y + y]));
                pixel.iter_mut().zip(found).for_each(|(value, grey)| *value += grey * share);
            }
        }
    }
}

/// The colour at a point, from the four pixels about it.
fn between(frame: &Frame, [x, y]: [f32; 2]) -> [f32; 3] {
    let split = |edge: f32, n: usize| {
        // Pixels' centres lie half a pixel inside their edges.
        let at = (edge - 0.5).clamp(0.0, (n - 1) as f32);
        let first = at.floor();
        (first as usize, (first as usize + 1).min(n - 1), at - first)
    };
    let (x0, x1, right) = split(x, frame.width());
    let (y0, y1, low) = split(y, frame.height());
    let at = |x: usize, y: usize, c: usize| f32::from(frame.rgb()[(y * frame.width() + x) * 3 + c]);
    std::array::from_fn(|c| {
        let mix = |a: f32, b: f32, part: f32| a + (b - a) * part;
        mix(mix(at(x0, y0, c), at(x1, y0, c), right), mix(at(x0, y1, c), at(x1, y1, c), right), low)
    })
}

/// Turns a row of pixels round, each keeping its three values' order.
fn mirror_row(row: &mut [f32]) {
    row.reverse();
    row.chunks_exact_mut(3).for_each(<[f32]>::reverse);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::random::Random;
    use crate::stage::Stage;

    const WIDTH: usize = 160;
    const HEIGHT: usize = 120;

    fn drawn(random: &mut Random) -> View {
        View {
            width: WIDTH as f32,
            mirror: random.coin(),
            angle: random.between(-45.0, 45.0).to_radians(),
            pivot: [random.between(60.0, 100.0), random.between(40.0, 80.0)],
            contrast: random.between(0.6, 1.4),
            brightness: random.between(-20.0, 20.0),
        }
    }

    /// A grey picture with a white disc of 3 px about a point.
    fn spotted([cx, cy]: [f32; 2]) -> Frame {
        let rgb = (0..WIDTH * HEIGHT).flat_map(|i| {
            let (x, y) = ((i % WIDTH) as f32 + 0.5, (i / WIDTH) as f32 + 0.5);
            [if (x - cx).hypot(y - cy) < 3.0 { 220 } else { 60 }; 3]
        });
        Frame::from_rgb(WIDTH, HEIGHT, rgb.collect()).unwrap()
    }

    #[test]
    fn a_point_comes_back_from_every_view() {
        let mut random = Random::of(&[1]);
        for _ in 0..500 {
            let view = drawn(&mut random);
            let point = [random.between(0.0, 160.0), random.between(0.0, 120.0)];
            let back = view.back(view.point(point));
            assert!((back[0] - point[0]).hypot(back[1] - point[1]) < 1e-3, "{view:?}");
        }
    }

    #[test]
    fn landmarks_follow_the_pixels_and_change_names_in_a_mirror() {
        let mut random = Random::of(&[2]);
        for _ in 0..200 {
            let view = drawn(&mut random);
            let mut point = || [random.between(70.0, 90.0), random.between(50.0, 70.0)];
            let landmarks: Landmarks = std::array::from_fn(|_| point());
            let which = 1;
            let frame = spotted(landmarks[which]);
            let seen = view.landmarks(&landmarks);
            // The right eye is the left one in a mirror.
            let name = if view.mirror { 0 } else { which };
            let window = Window { x: seen[name][0] - 17.0, y: seen[name][1] - 30.0, side: 48.0 };
            let target = Stage::landmark_target(&window, &seen);
            let pixels = view.pixels(&frame, &window, 48).unwrap();
            let brightest = |axis: fn(usize) -> usize| {
                let bright = |i: &usize| pixels[i * 3] > -0.2;
                let found: Vec<f32> =
                    (0..48 * 48).filter(bright).map(|i| axis(i) as f32 + 0.5).collect();
                found.iter().sum::<f32>() / found.len() as f32
            };
            let (x, y) = (brightest(|i| i % 48), brightest(|i| i / 48));
            let far = (x - target[name] * 48.0).hypot(y - target[name + 5] * 48.0);
            assert!(far < 0.6, "{far} px off in {view:?}");
        }
    }

    #[test]
    fn a_box_holds_the_turned_ellipse_and_no_more() {
        let mut random = Random::of(&[3]);
        for _ in 0..200 {
            let view = drawn(&mut random);
            let bbox = BBox { x1: 50.0, y1: 30.0, x2: 90.0, y2: 86.0 };
            let found = view.bbox(&bbox);
            let mut edges = [f32::MAX, f32::MAX, f32::MIN, f32::MIN];
            for i in 0..720 {
                let (sin, cos) = (i as f32 / 2.0).to_radians().sin_cos();
                let [x, y] = view.point([70.0 + 20.0 * cos, 58.0 + 28.0 * sin]);
                edges = [edges[0].min(x), edges[1].min(y), edges[2].max(x), edges[3].max(y)];
            }
            for (found, edge) in [found.x1, found.y1, found.x2, found.y2].into_iter().zip(edges) {
                assert!((found - edge).abs() < 0.01, "{found} {edge}");
            }
        }
    }

    #[test]
    fn without_a_turn_a_window_has_the_cascades_pixels() {
        let rgb = (0..WIDTH * HEIGHT * 3).map(|i| (i * 31 % 251) as u8).collect();
        let frame = Frame::from_rgb(WIDTH, HEIGHT, rgb).unwrap();
        let window = Window { x: 20.0, y: 11.0, side: 50.0 };
        let rect = Rect { x: 20, y: 11, width: 50, height: 50 };
        let mut expected = vec![0.0; 24 * 24 * 3];
        AreaResize::default().run(&frame, rect, (24, 24), Grey::CASCADE, &mut expected);
        let plain = View::plain(&frame);
        let close = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(&plain.pixels(&frame, &window, 24).unwrap(), &expected));
        let mirror = View { mirror: true, ..plain };
        let mirrored = Window { x: WIDTH as f32 - 70.0, ..window };
        let mut found = mirror.pixels(&frame, &mirrored, 24).unwrap();
        found.chunks_exact_mut(24 * 3).for_each(mirror_row);
        assert!(close(&found, &expected));
        // A turn too small to see agrees too, though it is made of points: two pixels of the picture to one of the window,
        // so that the cascade's means share no pixel and the points lie on pixels' centres.
        let turned = View { angle: 1e-6, ..plain };
        let [a, b] = [plain, turned].map(|view| view.pixels(&frame, &window, 25).unwrap());
        let far = threshold_models::tensor::max_abs_diff(&a, &b);
        assert!(far < 1e-3, "{far}");
    }

    #[test]
    fn a_window_outside_the_picture_has_no_pixels() {
        let frame = spotted([10.0, 10.0]);
        let window = Window { x: 200.0, y: 0.0, side: 20.0 };
        assert_eq!(View::plain(&frame).pixels(&frame, &window, 12), None);
    }
}
