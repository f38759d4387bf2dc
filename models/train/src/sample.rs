//! Samples: windows drawn from pictures, and what a network should answer for each.
//!
//! Owns the four kinds and their overlaps with faces (the MTCNN paper's), and the draw of windows and augmentation.
//! Refuses to keep a generator: sample `i` of a seed is always the same.

use crate::pictures::{Picture, Pictures};
use crate::random::Random;
use crate::stage::Stage;
use crate::view::{View, Window};
use serde::{Deserialize, Serialize};
use threshold_models::engine::BBox;

/// Overlap (IoU) above which a window holds a face.
pub const POSITIVE: f32 = 0.65;
/// Overlap from which a window holds part of one, up to [`POSITIVE`].
pub const PART: f32 = 0.4;
/// Overlap with every face below which a window holds none.
pub const NEGATIVE: f32 = 0.3;

/// Sides of the smallest window, pixels of the picture.
const SIDE_MIN: f32 = 12.0;
/// Draws of a window before another picture is tried.
const DRAWS: usize = 40;
/// Pictures tried before a kind counts as impossible.
const PICTURES: usize = 200;

/// What a sample teaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No face: class alone.
    Negative,
    /// A face: class and box.
    Positive,
    /// Part of a face: box alone.
    Part,
    /// A face with known landmarks: these alone.
    Landmarks,
}

/// A window as a network takes it, and what it should answer; `None` switches a task off for this sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// `side * side * 3`, HWC, as the cascade normalises.
    pub pixels: Vec<f32>,
    /// Whether it is a face.
    pub face: Option<bool>,
    /// Moves of the box's edges.
    pub reg: Option<[f32; 4]>,
    /// Five x, then five y.
    pub landmarks: Option<[f32; 10]>,
}

/// How far pictures are changed while training (paper 3.3); all zero and false changes nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Half of the samples are mirrored.
    pub mirror: bool,
    /// Turns of up to so many degrees either way, 0 to 45, in half of the samples.
    pub turn_deg: f32,
    /// Contrast changes by up to this part, 0 to 0.9.
    pub contrast: f32,
    /// Grey levels move by up to so many, 0 to 128.
    pub brightness: f32,
}

impl Augment {
    /// What is wrong with it, as a clause.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        let Self { turn_deg, contrast, brightness, .. } = *self;
        None.or_else(|| (!(0.0..=45.0).contains(&turn_deg)).then_some("turn_deg is not 0 to 45"))
            .or_else(|| (!(0.0..=0.9).contains(&contrast)).then_some("contrast is not 0 to 0.9"))
            .or_else(|| {
                (!(0.0..=128.0).contains(&brightness)).then_some("brightness is not 0 to 128")
            })
    }

    /// A view of a picture, turned about `about` (picture coordinates).
    fn draw(&self, picture: &Picture, about: [f32; 2], random: &mut Random) -> View {
        let mut view = View::plain(&picture.frame);
        view.mirror = self.mirror && random.coin();
        view.pivot = view.point(about);
        if random.coin() {
            view.angle = random.between(-self.turn_deg, self.turn_deg).to_radians();
        }
        view.contrast = 1.0 + random.between(-self.contrast, self.contrast);
        view.brightness = random.between(-self.brightness, self.brightness);
        view
    }
}

/// Draws samples for one stage out of pictures.
#[derive(Clone, Copy, Debug)]
pub struct Drawer<'a> {
    /// Where windows come from.
    pub pictures: &'a Pictures,
    /// Which network they are for.
    pub stage: Stage,
    /// How pictures are changed.
    pub augment: Augment,
    /// Smallest face that is learnt, pixels of its longer side.
    pub min_face_px: f32,
    /// Part of the negatives that comes from windows which the cascade took for faces, 0 to 1.
    pub mined: f32,
}

/// A window that was drawn, with the view it is of.
struct Drawn {
    picture: usize,
    view: View,
    window: Window,
    /// Which face it was drawn at.
    face: usize,
}

impl Drawer<'_> {
    /// A sample of this kind; `None` if these pictures have none, after many tries.
    #[must_use]
    pub fn sample(&self, kind: Kind, random: &mut Random) -> Option<Sample> {
        for _ in 0..PICTURES {
            let drawn = match kind {
                Kind::Negative => self.negative(random),
                _ => self.at_face(kind, random),
            };
            let Some(Drawn { picture, view, window, face }) = drawn else { continue };
            let picture = &self.pictures.pictures[picture];
            let Some(pixels) = view.pixels(&picture.frame, &window, self.stage.side()) else {
                continue;
            };
            let mut sample = Sample { pixels, face: None, reg: None, landmarks: None };
            match kind {
                Kind::Negative => sample.face = Some(false),
                Kind::Landmarks => {
                    let landmarks = picture.faces[face].landmarks?;
                    let landmarks = view.landmarks(&landmarks);
                    sample.landmarks = Some(Stage::landmark_target(&window, &landmarks));
                }
                Kind::Positive | Kind::Part => {
                    let bbox = view.bbox(&picture.faces[face].bbox);
                    sample.face = (kind == Kind::Positive).then_some(true);
                    sample.reg = Some(self.stage.box_target(&window, &bbox));
                }
            }
            return Some(sample);
        }
        None
    }

    fn at_face(&self, kind: Kind, random: &mut Random) -> Option<Drawn> {
        let picture = random.below(self.pictures.pictures.len());
        let found = self.pictures.pictures.get(picture)?;
        let face = random.below(found.faces.len());
        let it = found.faces.get(face)?;
        let longer = |b: &BBox| (b.x2 - b.x1).max(b.y2 - b.y1);
        let unlabelled = kind == Kind::Landmarks && it.landmarks.is_none();
        if !it.learnt || longer(&it.bbox) < self.min_face_px || unlabelled {
            return None;
        }
        let centre = [(it.bbox.x1 + it.bbox.x2) / 2.0, (it.bbox.y1 + it.bbox.y2) / 2.0];
        let view = self.augment.draw(found, centre, random);
        let bbox = view.bbox(&it.bbox);
        let (width, height) = (bbox.x2 - bbox.x1, bbox.y2 - bbox.y1);
        for _ in 0..DRAWS {
            // The MTCNN paper's authors': a square of 0.8 of the shorter to 1.25 of the longer side, its centre moved by up
            // to a fifth; parts of a face lie further off.
            let side = random.between(0.8 * width.min(height), 1.25 * longer(&bbox)).round();
            let far = if kind == Kind::Part { 0.4 } else { 0.2 };
            let mut edge = |low: f32, long: f32| {
                (low + long / 2.0 + random.between(-far, far) * long - side / 2.0).round()
            };
            let window = Window { x: edge(bbox.x1, width), y: edge(bbox.y1, height), side };
            let overlap = overlap(&window.bbox(), &bbox);
            let fits = match kind {
                Kind::Part => (PART..=POSITIVE).contains(&overlap),
                _ => overlap > POSITIVE,
            };
            // A window that sticks out is seen by no stage as it is here: P-Net sees none, the others cut it off.
            if side >= SIDE_MIN && fits && self.is_inside(found, &view, &window) {
                return Some(Drawn { picture, view, window, face });
            }
        }
        None
    }

    fn negative(&self, random: &mut Random) -> Option<Drawn> {
        let mined = &self.pictures.mined;
        if random.unit() < self.mined && !mined.is_empty() {
            let (picture, window) = mined[random.below(mined.len())];
            let found = self.pictures.pictures.get(picture)?;
            // Mined windows are not turned: they were taken for faces as they are.
            let mut view = Augment { turn_deg: 0.0, ..self.augment }.draw(found, [0.0; 2], random);
            view.angle = 0.0;
            let x = if view.mirror { view.width - window.x - window.side } else { window.x };
            return Some(Drawn { picture, view, window: Window { x, ..window }, face: 0 });
        }
        let picture = random.below(self.pictures.pictures.len());
        let found = self.pictures.pictures.get(picture)?;
        let (width, height) = (found.frame.width() as f32, found.frame.height() as f32);
        let view = self.augment.draw(found, [width / 2.0, height / 2.0], random);
        let faces: Vec<BBox> = found.faces.iter().map(|face| view.bbox(&face.bbox)).collect();
        // Half of them about a face, of its size: what a network confuses most.
        let near = random.coin().then(|| faces.get(random.below(faces.len()))).flatten();
        for _ in 0..DRAWS {
            let window = match near {
                Some(face) => {
                    let (wide, high) = (face.x2 - face.x1, face.y2 - face.y1);
                    let side = (wide.max(high) * random.between(0.4, 1.5)).round();
                    let x = random.between(face.x1 - side, face.x2).round();
                    let y = random.between(face.y1 - side, face.y2).round();
                    Window { x, y, side }
                }
                None => {
                    let side = random.between(SIDE_MIN, width.min(height) / 2.0).round();
                    let x = random.between(0.0, width - side).round();
                    Window { x, y: random.between(0.0, height - side).round(), side }
                }
            };
            let clear = faces.iter().all(|face| overlap(&window.bbox(), face) < NEGATIVE);
            if window.side >= SIDE_MIN && clear && self.is_inside(found, &view, &window) {
                return Some(Drawn { picture, view, window, face: 0 });
            }
        }
        None
    }

    /// Whether all of a window is of the picture.
    fn is_inside(&self, picture: &Picture, view: &View, window: &Window) -> bool {
        let BBox { x1, y1, x2, y2 } = window.bbox();
        let (width, height) = (picture.frame.width() as f32, picture.frame.height() as f32);
        [[x1, y1], [x2, y1], [x1, y2], [x2, y2]].into_iter().all(|corner| {
            let [x, y] = view.back(corner);
            // A hundredth, for the rounding of a turn there and back.
            (-0.01..=width + 0.01).contains(&x) && (-0.01..=height + 0.01).contains(&y)
        })
    }
}

/// Intersection over union, 0..1.
#[must_use]
pub fn overlap(a: &BBox, b: &BBox) -> f32 {
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let area = |bbox: &BBox| (bbox.x2 - bbox.x1) * (bbox.y2 - bbox.y1);
    let common = width * height;
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::pictures::Face;
    use threshold_models::frame::Frame;

    /// One picture with two faces of which the second may not be learnt from, and a window that was mined.
    fn pictures() -> Pictures {
        let face = |x1: f32, y1: f32, learnt| Face {
            bbox: BBox { x1, y1, x2: x1 + 44.0, y2: y1 + 58.0 },
            landmarks: Some(std::array::from_fn(|i| [x1 + 8.0 * i as f32, y1 + 25.0])),
            learnt,
        };
        let frame = Frame::from_rgb(320, 200, vec![90; 320 * 200 * 3]).unwrap();
        let faces = vec![face(40.0, 60.0, true), face(200.0, 70.0, false)];
        Pictures {
            pictures: vec![Picture { name: "a".to_owned(), frame, faces }],
            mined: vec![(0, Window { x: 120.0, y: 20.0, side: 40.0 })],
        }
    }

    fn drawer(pictures: &Pictures) -> Drawer<'_> {
        let augment = Augment { mirror: true, turn_deg: 45.0, contrast: 0.3, brightness: 20.0 };
        Drawer { pictures, stage: Stage::ONet, augment, min_face_px: 20.0, mined: 0.5 }
    }

    #[test]
    fn windows_overlap_faces_as_their_kind_says_in_every_view() {
        let pictures = pictures();
        let drawer = drawer(&pictures);
        let mut random = Random::of(&[4]);
        let boxes = |view: &View| {
            let faces = pictures.pictures[0].faces.iter();
            faces.map(|face| view.bbox(&face.bbox)).collect::<Vec<_>>()
        };
        let mut mined = 0;
        for _ in 0..300 {
            for kind in [Kind::Positive, Kind::Part, Kind::Landmarks] {
                let Some(drawn) = drawer.at_face(kind, &mut random) else { continue };
                assert_eq!(drawn.face, 0, "what may not be learnt from is left alone");
                let overlap = overlap(&drawn.window.bbox(), &boxes(&drawn.view)[0]);
                let fits = if kind == Kind::Part {
                    (PART..=POSITIVE).contains(&overlap)
                } else {
                    overlap > POSITIVE
                };
                assert!(fits, "{kind:?} {overlap}");
            }
            let drawn = drawer.negative(&mut random).unwrap();
            for face in boxes(&drawn.view) {
                assert!(overlap(&drawn.window.bbox(), &face) < NEGATIVE);
            }
            mined += usize::from(drawn.window.side == 40.0 && drawn.window.y == 20.0);
        }
        assert!((120..180).contains(&mined), "{mined} of 300 are mined");
    }

    #[test]
    fn targets_lie_where_the_face_is() {
        let pictures = pictures();
        let drawer = drawer(&pictures);
        let mut random = Random::of(&[5]);
        for _ in 0..200 {
            let sample = drawer.sample(Kind::Positive, &mut random).unwrap();
            let [x1, y1, x2, y2] = sample.reg.unwrap();
            let face = BBox { x1, y1, x2: 1.0 + x2, y2: 1.0 + y2 };
            let window = BBox { x1: 0.0, y1: 0.0, x2: 1.0, y2: 1.0 };
            // A pixel of 50 is what the cascade's edges differ by.
            assert!(overlap(&face, &window) > POSITIVE - 0.04, "{face:?}");
            assert_eq!((sample.face, sample.landmarks), (Some(true), None));
            let sample = drawer.sample(Kind::Landmarks, &mut random).unwrap();
            assert!(sample.landmarks.unwrap().iter().all(|value| (-0.3..1.3).contains(value)));
            assert_eq!((sample.face, sample.reg), (None, None));
        }
    }

    #[test]
    fn pictures_without_what_is_asked_for_give_nothing() {
        let mut pictures = pictures();
        pictures.pictures[0].faces.iter_mut().for_each(|face| face.landmarks = None);
        let mut random = Random::of(&[6]);
        assert_eq!(drawer(&pictures).sample(Kind::Landmarks, &mut random), None);
        pictures.pictures.clear();
        pictures.mined.clear();
        for kind in [Kind::Negative, Kind::Positive] {
            assert_eq!(drawer(&pictures).sample(kind, &mut random), None);
        }
    }
}
