//! Evaluation: what a pack and a cascade are worth on pictures whose answer is known.
//!
//! Owns the protocols (`lfw`, `verify`, `identify`, `groups`, `detection`, `landmarks`, `presentation`) and the forms of their ground truth.
//! Refuses to read pictures or run over them: the caller brings embeddings and detections, so that it can work on
//! many pictures at once and show how far it is. The same code judges our own answers and a reference's.
//! Terms: a *genuine* pair shows one person twice, an *impostor* pair two people.

pub mod augment;
pub mod bootstrap;
pub mod detection;
pub mod embeddings;
pub mod groups;
pub mod histogram;
pub mod identify;
pub mod landmarks;
pub mod lfw;
pub mod presentation;
pub mod split;
mod templates;
pub mod verify;

use crate::engine::{BBox, Landmarks};
use serde::Deserialize;

/// A pair that is told as one of the worst: the distance, and the two pictures.
pub type WorstPair = (f32, String, String);

/// Pairs told as the worst of either kind.
const N_WORST: usize = 10;

/// A line of a ground-truth file that does not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {found:?} where {expected} was expected")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What would have been right.
    pub expected: &'static str,
    /// What stands there; empty at the file's end.
    pub found: String,
}

/// A reference detector's answer for one picture, as the goldens' JSON has it (by picture in a map).
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Reference {
    /// Width and height of the picture, pixels.
    pub wh: [usize; 2],
    /// x1, y1, x2, y2 of each face.
    pub boxes: Vec<[f32; 4]>,
    /// Score of each face.
    pub scores: Vec<f32>,
    /// Landmarks of each face.
    pub landmarks: Vec<Landmarks>,
}

impl Reference {
    /// The boxes with their scores.
    pub fn scored(&self) -> impl Iterator<Item = detection::Scored> {
        self.boxes.iter().zip(&self.scores).map(|(&[x1, y1, x2, y2], &score)| detection::Scored {
            bbox: BBox { x1, y1, x2, y2 },
            score,
        })
    }
}

/// Intersection over union of two boxes, 0..1.
fn overlap(a: &BBox, b: &BBox) -> f32 {
    let width = (a.x2.min(b.x2) - a.x1.max(b.x1)).max(0.0);
    let height = (a.y2.min(b.y2) - a.y1.max(b.y1)).max(0.0);
    let area = |bbox: &BBox| (bbox.x2 - bbox.x1) * (bbox.y2 - bbox.y1);
    let common = width * height;
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}
