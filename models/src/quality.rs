//! Quality: whether a detection is good enough to compare or to enrol, and if not, why not.
//!
//! Owns the measures of a face on a frame, and the one percentage with its cause.
//! Refuses to look at who it is, and to decide: a poor quality is a reason that `policy` may refuse for.
//! Terms: a *grade* is 0..100 for one measure, 50 at its limit and 100 at what an ordinary picture has.
//!
//! Light and sharpness are sums of integers, so that an engine may add them up in any order and has the same bits.

use crate::engine::{Detection, Landmarks};
use crate::frame::Frame;
use std::cell::RefCell;
use threshold_record::Cause;

/// What is measured of one face.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measures {
    /// Shorter side of the box, frame pixels.
    pub face_px: f32,
    /// Part of the box that lies in the frame, 0..1.
    pub visible: f32,
    /// Mean luma of the face's inner part, 0..255.
    pub brightness: f32,
    /// Part of the inner face darker than a luma of 20, 0..1.
    pub dark: f32,
    /// Part of the inner face brighter than a luma of 245, 0..1.
    pub bright: f32,
    /// Variance of the Laplacian over the variance of the luma, on a face of 64 x 64: 0 for a smear, about 0.4 for an
    /// ordinary picture. The contrast is divided out, so that a dim face is not called blurred.
    pub sharpness: f32,
    /// Turn to the side, degrees, positive to the picture's right; an estimate from five points, good to 10 or so.
    pub yaw_deg: f32,
    /// Nod, degrees, positive upwards; an estimate as above.
    pub pitch_deg: f32,
    /// Tilt of the eye line, degrees, positive clockwise.
    pub roll_deg: f32,
    /// Least texture around one of the five landmarks, as a part of the face's own; near 0 where something plain hides
    /// it or it lies outside the frame. A hint: patterned cloth goes unseen.
    pub texture: f32,
    /// Least texture of a band that goes across the inner face, 4 of its 64 rows high, as a part of the face's own: 0 where something
    /// plain does, whatever landmarks a detector finds at its edge. A hint too.
    pub band: f32,
    /// The detector's score, 0..1.
    pub score: f32,
}

/// What a face must keep to; the unit's policy may set other values.
///
/// The defaults were measured on the 3,811 pictures of LFW's dev folds (press photos, faces of 55 to 190 px): all but
/// 1.2 % of the pictures with one face pass. Sharpness and pose stand near the worst 0.2 % of their measure, score and
/// texture outside that; light stands outside all of them (brightness 46 to 215, dark up to 0.18, bright up to 0.15),
/// since a door sees worse light than the press.
/// On the 1,610 pictures with one face of the fit half alone (`eval::split`), measured again: 1.3 % are refused, and no limit
/// stands within what 99.7 % of them have. `min_band` was set on that half: the least of its good pictures has 0.094, and
/// a plain cover 0 but for a camera's noise, which 0.06 leaves room for, two or three grey levels of an ordinary face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityLimits {
    /// Least [`Measures::face_px`].
    pub min_face_px: f32,
    /// Least [`Measures::visible`].
    pub min_visible: f32,
    /// Least [`Measures::brightness`].
    pub min_brightness: f32,
    /// Greatest [`Measures::brightness`].
    pub max_brightness: f32,
    /// Greatest [`Measures::dark`].
    pub max_dark: f32,
    /// Greatest [`Measures::bright`].
    pub max_bright: f32,
    /// Least [`Measures::sharpness`].
    pub min_sharpness: f32,
    /// Greatest turn to either side, degrees.
    pub max_yaw_deg: f32,
    /// Greatest nod either way, degrees.
    pub max_pitch_deg: f32,
    /// Greatest tilt either way, degrees.
    pub max_roll_deg: f32,
    /// Least [`Measures::texture`].
    pub min_texture: f32,
    /// Least [`Measures::band`].
    pub min_band: f32,
    /// Least [`Measures::score`].
    pub min_score: f32,
    /// A second face counts if its shorter side is at least this part of the first one's.
    pub second_face: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            min_face_px: 40.0,
            min_visible: 0.75,
            min_brightness: 40.0,
            max_brightness: 225.0,
            max_dark: 0.6,
            max_bright: 0.35,
            min_sharpness: 0.04,
            max_yaw_deg: 45.0,
            max_pitch_deg: 35.0,
            max_roll_deg: 30.0,
            min_texture: 0.1,
            min_band: 0.06,
            min_score: 0.85,
            second_face: 0.75,
        }
    }
}

/// One percentage, and what is wrong if it is below 50.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quality {
    /// The worst grade, 0..100; 50 or more is good enough.
    pub percent: u8,
    /// What the worst grade was for; [`Cause::None`] at 50 or more.
    pub cause: Cause,
}

impl Quality {
    /// True if the face may be compared or enrolled.
    #[must_use]
    pub fn is_good(&self) -> bool {
        self.cause == Cause::None
    }
}

/// Quality of the first face of a frame, which is the largest as engines order them; says so if there is none or if
/// there is a second one nearly as large.
#[must_use]
pub fn assess(frame: &Frame, faces: &[Detection], limits: &QualityLimits) -> Quality {
    assess_measured(faces, limits, |first| measure(frame, first))
}

/// What a frame lacks in which no face was found, where somebody is known to stand before it: light, if all of it is so dark or so
/// bright as no face may be, and else a face.
#[must_use]
pub fn assess_without_face(frame: &Frame, limits: &QualityLimits) -> Quality {
    let (pixels, _) = frame.rgb().as_chunks::<3>();
    let luma = |pixel: &[u8; 3]| {
        let [red, green, blue] = pixel.map(u64::from);
        u64::from(RED) * red + u64::from(GREEN) * green + u64::from(BLUE) * blue
    };
    let sum: u64 = pixels.iter().map(luma).sum();
    let brightness =
        sum as f32 / (u64::from(RED + GREEN + BLUE) * pixels.len().max(1) as u64) as f32;
    let cause = match brightness {
        dark if dark < limits.min_brightness => Cause::TooDark,
        bright if bright > limits.max_brightness => Cause::TooBright,
        _ => Cause::NoFace,
    };
    Quality { percent: 0, cause }
}

/// The same where somebody else measures the first face.
#[must_use]
pub fn assess_measured(
    faces: &[Detection],
    limits: &QualityLimits,
    measure: impl FnOnce(&Detection) -> Measures,
) -> Quality {
    let Some(first) = faces.first() else {
        return Quality { percent: 0, cause: Cause::NoFace };
    };
    let second = faces.iter().skip(1).map(side).fold(0.0, f32::max);
    if second >= limits.second_face * side(first) {
        return Quality { percent: 0, cause: Cause::MoreThanOne };
    }
    grade(&measure(first), limits)
}

/// The worst grade of one face's measures.
#[must_use]
pub fn grade(measures: &Measures, limits: &QualityLimits) -> Quality {
    let m = measures;
    // In a light that is wrong anyway much is plain: then the light is the cause.
    let dull = m.brightness < limits.min_brightness || m.dark > limits.max_dark;
    let glaring = m.brightness > limits.max_brightness || m.bright > limits.max_bright;
    let band = if dull || glaring { f32::INFINITY } else { m.band };
    // Each row: cause, value, limit, and what an ordinary picture of LFW's dev folds has (the middle nine tenths).
    let rows = [
        (Cause::TooFar, m.face_px, limits.min_face_px, 2.0 * limits.min_face_px),
        (Cause::TooNear, m.visible, limits.min_visible, 1.0),
        (Cause::TooDark, m.brightness, limits.min_brightness, 90.0),
        (Cause::TooBright, m.brightness, limits.max_brightness, 180.0),
        (Cause::TooDark, m.dark, limits.max_dark, 0.1),
        (Cause::TooBright, m.bright, limits.max_bright, 0.05),
        (Cause::Blurred, m.sharpness, limits.min_sharpness, 0.15),
        (Cause::TurnedAway, m.yaw_deg.abs(), limits.max_yaw_deg, 15.0),
        (Cause::TurnedAway, m.pitch_deg.abs(), limits.max_pitch_deg, 10.0),
        (Cause::TurnedAway, m.roll_deg.abs(), limits.max_roll_deg, 10.0),
        (Cause::Covered, m.texture, limits.min_texture, 0.3),
        (Cause::Covered, band, limits.min_band, 0.2),
        (Cause::Covered, m.score, limits.min_score, 0.99),
    ];
    let mut worst = Quality { percent: 100, cause: Cause::None };
    // Outside the frame there is no texture and little for the detector to be sure of: then the edge is the cause.
    let cut_off = m.visible < limits.min_visible;
    for (cause, value, limit, good) in rows {
        if cut_off && cause == Cause::Covered {
            continue;
        }
        // A limit set beyond what is good leaves no slope: the limit itself then passes and nothing before it does.
        let position = (value - limit) / (good - limit);
        let percent = (50.0 + 50.0 * position).clamp(0.0, 100.0);
        // A NaN casts to 0, so a measure that is no number fails.
        let percent = percent as u8;
        if percent < worst.percent {
            worst = Quality { percent, cause };
        }
    }
    if worst.percent >= 50 { Quality { cause: Cause::None, ..worst } } else { worst }
}

/// Side of the face on which light and sharpness are measured, pixels.
const SIDE: usize = 64;
/// The face's inner part on it, without hair and background: the middle 40 x 48 pixels.
const INNER_X: std::ops::Range<usize> = 12..52;
const INNER_Y: std::ops::Range<usize> = 10..58;
/// Height of a band across it, cells: what is lower hides nobody, and a bare forehead alone is higher.
const BAND: usize = 4;
/// Half the side of the patch around a landmark, pixels.
const PATCH: i64 = 5;

/// Measures one face on its frame.
#[must_use]
pub fn measure(frame: &Frame, face: &Detection) -> Measures {
    let bbox = &face.bbox;
    let (width, height) = (frame.width() as f32, frame.height() as f32);
    let (x1, x2) = (bbox.x1.clamp(0.0, width), bbox.x2.clamp(0.0, width));
    let (y1, y2) = (bbox.y1.clamp(0.0, height), bbox.y2.clamp(0.0, height));
    let area = (bbox.x2 - bbox.x1) * (bbox.y2 - bbox.y1);
    let pose = Pose::of(&face.landmarks);
    let mut measures = Measures {
        face_px: side(face),
        visible: ((x2 - x1) * (y2 - y1) / area).clamp(0.0, 1.0),
        yaw_deg: pose.yaw_deg,
        pitch_deg: pose.pitch_deg,
        roll_deg: pose.roll_deg,
        score: face.score,
        ..Measures::default()
    };
    let edges = [x1 as usize, y1 as usize, x2.ceil() as usize, y2.ceil() as usize];
    if edges[0] < edges[2] && edges[1] < edges[3] {
        Luma::of(frame, edges).measure(&face.landmarks, &mut measures);
    }
    measures
}

/// Shorter side of a face's box, pixels.
fn side(face: &Detection) -> f32 {
    (face.bbox.x2 - face.bbox.x1).min(face.bbox.y2 - face.bbox.y1)
}

/// A face's luma at a fixed size, with the frame pixels that it shows.
struct Luma {
    /// In units of 1 / [`PER_GREY`], row by row.
    values: [u16; SIDE * SIDE],
    edges: [usize; 4],
}

thread_local! {
    /// Sums of a face's columns of pixels. Kept from one to the next, so that a unit allocates nothing for a frame
    /// (`tests/door/long/allocations.rs`).
    static COLUMNS: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

/// Units of luma to a grey level: whatever they round away is far below a camera's noise.
const PER_GREY: u16 = 256;
/// BT.601's weights in thousandths, as in the camera's own luma.
const RED: u32 = 299;
const GREEN: u32 = 587;
const BLUE: u32 = 114;

impl Luma {
    /// Means over areas, parts of pixels counted as parts: exact but for the last rounding.
    fn of(frame: &Frame, edges: [usize; 4]) -> Self {
        COLUMNS.with_borrow_mut(|columns| Self::by(columns, frame, edges))
    }

    fn by(columns: &mut Vec<u64>, frame: &Frame, edges: [usize; 4]) -> Self {
        let [x1, y1, x2, y2] = edges;
        let (width, height) = (x2 - x1, y2 - y1);
        let whole = u64::from(RED + GREEN + BLUE) * (width * height) as u64;
        let scale = f32::from(PER_GREY) / whole as f32;
        let mut values = [0; SIDE * SIDE];
        columns.resize(width, 0);
        for (y, values) in values.chunks_exact_mut(SIDE).enumerate() {
            columns.fill(0);
            for (row, part) in parts(y, height) {
                let start = ((y1 + row) * frame.width() + x1) * 3;
                let (pixels, _) = frame.rgb()[start..start + 3 * width].as_chunks::<3>();
                for (sum, pixel) in columns.iter_mut().zip(pixels) {
                    let [red, green, blue] = pixel.map(u32::from);
                    *sum += part * u64::from(RED * red + GREEN * green + BLUE * blue);
                }
            }
            for (x, value) in values.iter_mut().enumerate() {
                let sum: u64 = parts(x, width).map(|(column, part)| part * columns[column]).sum();
                *value = (sum as f32 * scale + 0.5) as u16;
            }
        }
        Self { values, edges }
    }

    fn at(&self, x: usize, y: usize) -> i64 {
        i64::from(self.values[y * SIDE + x])
    }

    fn inner(&self) -> impl Iterator<Item = i64> {
        INNER_Y.flat_map(move |y| INNER_X.map(move |x| self.at(x, y)))
    }

    fn measure(&self, landmarks: &Landmarks, measures: &mut Measures) {
        let n = (INNER_X.len() * INNER_Y.len()) as f32;
        let grey = |level: u16| i64::from(level * PER_GREY);
        let moments = Moments::of(self.inner());
        measures.brightness = moments.mean();
        measures.dark = self.inner().filter(|&value| value < grey(20)).count() as f32 / n;
        measures.bright = self.inner().filter(|&value| value > grey(245)).count() as f32 / n;
        let laplacian = INNER_Y.flat_map(|y| {
            INNER_X.map(move |x| {
                self.at(x - 1, y) + self.at(x + 1, y) + self.at(x, y - 1) + self.at(x, y + 1)
                    - 4 * self.at(x, y)
            })
        });
        // One grey level squared keeps a flat picture from dividing by nothing.
        let spread = moments.variance() + 1.0;
        measures.sharpness = Moments::of(laplacian).variance() / spread;
        let texture = landmarks.iter().map(|&point| self.deviation_around(point));
        measures.texture = texture.fold(f32::INFINITY, f32::min) / spread.sqrt();
        measures.band = self.plainest_band() / spread.sqrt();
    }

    /// Least standard deviation of the luma of a band across the inner face.
    fn plainest_band(&self) -> f32 {
        let tops = INNER_Y.start..=INNER_Y.end - BAND;
        let variance = |top: usize| {
            let band = top..top + BAND;
            Moments::of(band.flat_map(|y| INNER_X.map(move |x| self.at(x, y)))).variance()
        };
        tops.map(variance).fold(f32::INFINITY, f32::min).sqrt()
    }

    /// Standard deviation of the luma around a point of the frame; 0 outside the face's box.
    fn deviation_around(&self, [x, y]: [f32; 2]) -> f32 {
        let [x1, y1, x2, y2] = self.edges;
        let cell = |value: f32, low: usize, high: usize| {
            ((value - low as f32) * SIDE as f32 / (high - low) as f32) as i64
        };
        let (x, y) = (cell(x, x1, x2), cell(y, y1, y2));
        let within = |low: i64| {
            (low.saturating_sub(PATCH)).max(0)..low.saturating_add(PATCH + 1).min(SIDE as i64)
        };
        let patch = within(y).flat_map(|y| within(x).map(move |x| self.at(x as usize, y as usize)));
        Moments::of(patch).variance().sqrt()
    }
}

/// Pixels of `n` under cell `i` of [`SIDE`], and how many 64ths of each lie there: `n` together.
fn parts(i: usize, n: usize) -> impl Iterator<Item = (usize, u64)> {
    let (low, high) = (i * n, (i + 1) * n);
    (low / SIDE..high.div_ceil(SIDE)).map(move |pixel| {
        let covered = high.min((pixel + 1) * SIDE) - low.max(pixel * SIDE);
        (pixel, covered as u64)
    })
}

/// Sums over values in units of 1 / [`PER_GREY`]; of at most [`SIDE`]² Laplacians all of it fits.
#[derive(Default)]
struct Moments {
    n: u64,
    sum: i64,
    squares: u64,
}

impl Moments {
    fn of(values: impl Iterator<Item = i64>) -> Self {
        values.fold(Self::default(), |Self { n, sum, squares }, value| Self {
            n: n + 1,
            sum: sum + value,
            squares: squares + (value * value) as u64,
        })
    }

    /// In grey levels.
    fn mean(&self) -> f32 {
        self.sum as f32 / (self.n * u64::from(PER_GREY)) as f32
    }

    /// In grey levels squared; 0 of nothing.
    fn variance(&self) -> f32 {
        if self.n == 0 {
            return 0.0;
        }
        let spread = self.n * self.squares - (self.sum * self.sum) as u64;
        spread as f32 / (self.n * self.n) as f32 / (f32::from(PER_GREY) * f32::from(PER_GREY))
    }
}

/// Head pose from five points, in degrees.
struct Pose {
    yaw_deg: f32,
    pitch_deg: f32,
    roll_deg: f32,
}

/// The tip of the nose stands before the plane of eyes and mouth by about half the distance of the eyes.
const EYES_TO_NOSE_DEPTH: f32 = 2.0;
/// The same against the distance from eyes to mouth, which is a little longer.
const HEIGHT_TO_NOSE_DEPTH: f32 = 2.2;
/// Where the nose lies between eye line and mouth line on a face that looks straight on; the median of LFW's dev folds.
const NOSE_LEVEL: f32 = 0.54;

impl Pose {
    fn of(landmarks: &Landmarks) -> Self {
        let [left_eye, right_eye, nose, left_mouth, right_mouth] = *landmarks;
        let middle = |a: [f32; 2], b: [f32; 2]| [(a[0] + b[0]) / 2.0, (a[1] + b[1]) / 2.0];
        let (eyes, mouth) = (middle(left_eye, right_eye), middle(left_mouth, right_mouth));
        let along = [right_eye[0] - left_eye[0], right_eye[1] - left_eye[1]];
        let distance = (along[0] * along[0] + along[1] * along[1]).sqrt();
        // Coordinates along and across the eye line, so that a tilt is not taken for a turn.
        let (cos, sin) = (along[0] / distance, along[1] / distance);
        let level = |p: [f32; 2]| {
            let [x, y] = [p[0] - eyes[0], p[1] - eyes[1]];
            [x * cos + y * sin, y * cos - x * sin]
        };
        let (nose, mouth) = (level(nose), level(mouth));
        let share = nose[1] / mouth[1];
        // The axis of the face runs from between the eyes to between the corners of the mouth.
        let aside = nose[0] - mouth[0] * share;
        Self {
            yaw_deg: (EYES_TO_NOSE_DEPTH * aside / distance).atan().to_degrees(),
            pitch_deg: (HEIGHT_TO_NOSE_DEPTH * (NOSE_LEVEL - share)).atan().to_degrees(),
            roll_deg: sin.atan2(cos).to_degrees(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;
    use crate::engine::BBox;

    const FRONTAL: Landmarks =
        [[84.0, 84.0], [116.0, 84.0], [100.0, 101.3], [86.0, 116.0], [114.0, 116.0]];

    fn face(landmarks: Landmarks) -> Detection {
        let bbox = BBox { x1: 60.0, y1: 50.0, x2: 140.0, y2: 150.0 };
        Detection { bbox, landmarks, score: 1.0 }
    }

    /// A frame of bars as wide as `bar_px` between two grey levels.
    fn bars(bar_px: usize, low: u8, high: u8) -> Frame {
        let grey = |i: usize| {
            let (x, y) = (i % 200, i / 200);
            if (x / bar_px + y / bar_px).is_multiple_of(2) { low } else { high }
        };
        Frame::from_rgb(200, 200, (0..40_000).flat_map(|i| [grey(i); 3]).collect()).unwrap()
    }

    #[test]
    fn a_plain_good_face_passes_and_each_fault_has_its_cause() {
        let frame = bars(6, 80, 160);
        let check = |frame: &Frame, face: Detection, expected: Cause| {
            let quality = assess(frame, &[face], &QualityLimits::default());
            let measures = measure(frame, &face);
            assert_eq!(quality.cause, expected, "{quality:?} {measures:?}");
            assert_eq!(quality.percent >= 50, expected == Cause::None);
        };
        let good = face(FRONTAL);
        check(&frame, good, Cause::None);
        check(&bars(6, 0, 20), good, Cause::TooDark);
        check(&bars(6, 235, 255), good, Cause::TooBright);
        let small = BBox { x1: 85.0, y1: 80.0, x2: 115.0, y2: 120.0 };
        check(&frame, Detection { bbox: small, ..good }, Cause::TooFar);
        let near = BBox { x1: -100.0, y1: -50.0, x2: 160.0, y2: 250.0 };
        check(&frame, Detection { bbox: near, ..good }, Cause::TooNear);
        let mut turned = FRONTAL;
        turned[2][0] = 125.0;
        check(&frame, face(turned), Cause::TurnedAway);
        check(&frame, Detection { score: 0.71, ..good }, Cause::Covered);
        check(&frame, face([[f32::NAN; 2]; 5]), Cause::TurnedAway);
    }

    #[test]
    fn a_plain_band_across_a_face_covers_it_wherever_its_landmarks_are_found() {
        let (face, limits) = (face(FRONTAL), QualityLimits::default());
        let across = |rows: std::ops::Range<usize>, columns: std::ops::Range<usize>, grey: u8| {
            let mut rgb = bars(6, 80, 160).rgb().to_vec();
            for (i, pixel) in rgb.chunks_exact_mut(3).enumerate() {
                if rows.contains(&(i / 200)) && columns.contains(&(i % 200)) {
                    pixel.fill(grey + (i % 3) as u8);
                }
            }
            let frame = Frame::from_rgb(200, 200, rgb).unwrap();
            (measure(&frame, &face), assess(&frame, &[face], &limits).cause)
        };
        // Above the eyes, whose own surroundings have all their texture.
        let (measures, cause) = across(66..75, 60..140, 120);
        assert_eq!(cause, Cause::Covered, "{measures:?}");
        assert!(measures.band < 0.03 && measures.texture > limits.min_texture, "{measures:?}");
        // Lower than a band, or not all across.
        for (rows, columns) in [(66..70, 60..140), (66..75, 100..140)] {
            let (measures, cause) = across(rows, columns, 120);
            assert!(cause == Cause::None && measures.band > 0.2, "{measures:?}");
        }
        // Where the light is at fault it is the cause.
        let dark = Measures { brightness: 20.0, band: 0.0, ..across(0..0, 0..0, 0).0 };
        assert_eq!(grade(&dark, &limits).cause, Cause::TooDark);
    }

    #[test]
    fn none_and_two_faces_are_told_apart_from_one() {
        let frame = bars(6, 80, 160);
        let limits = QualityLimits::default();
        let first = face(FRONTAL);
        let cause = |faces: &[Detection]| assess(&frame, faces, &limits).cause;
        assert_eq!(cause(&[]), Cause::NoFace);
        for (low, high, lacks) in
            [(80, 160, Cause::NoFace), (0, 20, Cause::TooDark), (235, 255, Cause::TooBright)]
        {
            assert_eq!(assess_without_face(&bars(6, low, high), &limits).cause, lacks);
        }
        assert_eq!(cause(&[first, first]), Cause::MoreThanOne);
        let behind = BBox { x1: 10.0, y1: 10.0, x2: 40.0, y2: 40.0 };
        assert_eq!(cause(&[first, Detection { bbox: behind, ..first }]), Cause::None);
    }

    #[test]
    fn a_smear_is_less_sharp_than_its_source() {
        // A gradient has contrast but no edges.
        let rgb = (0..40_000).flat_map(|i| [(i % 200) as u8; 3]).collect();
        let smear = Frame::from_rgb(200, 200, rgb).unwrap();
        let face = face(FRONTAL);
        let sharpness = measure(&smear, &face).sharpness;
        assert!(sharpness < 1e-3 && measure(&bars(6, 80, 160), &face).sharpness > 0.1);
        let quality = assess(&smear, &[face], &QualityLimits::default());
        assert!(!quality.is_good(), "{quality:?}");
    }

    #[test]
    fn a_tilt_is_no_turn() {
        let (sin, cos) = 20f32.to_radians().sin_cos();
        let tilted = FRONTAL.map(|[x, y]| {
            let [x, y] = [x - 100.0, y - 100.0];
            [100.0 + x * cos - y * sin, 100.0 + x * sin + y * cos]
        });
        let pose = Pose::of(&tilted);
        assert!((pose.roll_deg - 20.0).abs() < 0.01, "{}", pose.roll_deg);
        assert!(pose.yaw_deg.abs() < 0.01 && pose.pitch_deg.abs() < 1.0);
    }
}
