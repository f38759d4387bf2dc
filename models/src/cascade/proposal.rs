//! Proposals: from P-Net's map to boxes, and from boxes to the pixels that the next stage sees.
//!
//! Owns the reference's stride, cell size, flooring, and the 1-based inclusive crop window.
//! Refuses to suppress or regress: see `nms` and `regress`.

use super::{PNetMap, pyramid::Rect};
use crate::engine::{BBox, EngineError};

/// A box that survived an early stage, with that stage's score and the regression that was given with it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Proposal {
    /// Box in frame pixels.
    pub bbox: BBox,
    /// The stage's score, 0..1.
    pub score: f32,
    /// Regression still to be applied: x1, y1, x2, y2 as fractions of the box's side.
    pub reg: [f32; 4],
}

/// Pixels between two windows of P-Net's map.
const STRIDE: usize = 2;
/// Side of P-Net's window.
const CELL: usize = 12;

/// Appends the proposals of one level, row by row of the map, that score `threshold` or more.
///
/// # Errors
/// [`EngineError::NotFinite`] if a score, or the regression of a proposal, is not a number.
///
/// # Panics
/// If the map's vectors do not fit its sizes.
pub fn collect(
    map: &PNetMap,
    scale: f64,
    threshold: f32,
    out: &mut Vec<Proposal>,
) -> Result<(), EngineError> {
    assert_eq!(map.prob.len(), map.height * map.width);
    assert_eq!(map.reg.len(), map.prob.len() * 4);
    // Divided in f32: the reference's tensor is f32 and its scale is cast to it.
    let scale = scale as f32;
    let edge = |cell: usize, offset: usize| ((STRIDE * cell + offset) as f32 / scale).floor();
    if map.width == 0 {
        return Ok(());
    }
    for (y, row) in map.prob.chunks_exact(map.width).enumerate() {
        for (x, &score) in row.iter().enumerate() {
            // A NaN is not below the threshold either, so it is seen here at no cost to the others.
            if score < threshold {
                continue;
            }
            let cell = y * map.width + x;
            let reg = [0, 1, 2, 3].map(|i| map.reg[cell * 4 + i]);
            if !score.is_finite() || reg.iter().any(|value| !value.is_finite()) {
                return Err(EngineError::NotFinite { network: "P-Net" });
            }
            let bbox =
                BBox { x1: edge(x, 1), y1: edge(y, 1), x2: edge(x, CELL), y2: edge(y, CELL) };
            out.push(Proposal { bbox, score, reg });
        }
    }
    Ok(())
}

/// The pixels of a box that lie in a frame of `width x height`; `None` if there are none.
///
/// The edges are truncated and count from 1, inclusive, as in the reference. What sticks out is cut off, so that the
/// rest is stretched over the crop; nothing is padded.
#[must_use]
pub fn crop_window(bbox: &BBox, width: usize, height: usize) -> Option<Rect> {
    // `as` saturates, so a box far outside stays outside.
    let x = (bbox.x1 as i64).max(1);
    let y = (bbox.y1 as i64).max(1);
    let end_x = (bbox.x2 as i64).min(width as i64);
    let end_y = (bbox.y2 as i64).min(height as i64);
    (end_x >= x && end_y >= y).then(|| Rect {
        x: (x - 1) as usize,
        y: (y - 1) as usize,
        width: (end_x - x + 1) as usize,
        height: (end_y - y + 1) as usize,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails should say where")]

    use super::*;

    fn map(prob: [f32; 2]) -> PNetMap {
        PNetMap { height: 1, width: 2, prob: prob.to_vec(), reg: vec![0.25; 8] }
    }

    #[test]
    fn boxes_are_floored_and_the_threshold_itself_passes() {
        let mut out = Vec::new();
        collect(&map([0.6, 0.599]), 0.3, 0.6, &mut out).unwrap();
        let bbox = BBox { x1: 3.0, y1: 3.0, x2: 40.0, y2: 40.0 };
        assert_eq!(out, [Proposal { bbox, score: 0.6, reg: [0.25; 4] }]);
    }

    #[test]
    fn a_score_that_is_no_number_is_a_fault() {
        let fault = collect(&map([f32::NAN, 0.0]), 0.3, 0.6, &mut Vec::new());
        assert!(matches!(fault, Err(EngineError::NotFinite { network: "P-Net" })), "{fault:?}");
    }

    #[test]
    fn windows_are_cut_to_the_frame_and_empty_ones_are_none() {
        let check = |edges: [f32; 4], expected: Option<[usize; 4]>| {
            let bbox = BBox { x1: edges[0], y1: edges[1], x2: edges[2], y2: edges[3] };
            let rect = crop_window(&bbox, 100, 50).map(|r| [r.x, r.y, r.width, r.height]);
            assert_eq!(rect, expected, "{edges:?}");
        };
        check([1.0, 1.0, 100.0, 50.0], Some([0, 0, 100, 50]));
        check([-7.5, -0.5, 10.9, 10.9], Some([0, 0, 10, 10]));
        check([10.9, 20.2, 10.95, 20.9], Some([9, 19, 1, 1]));
        check([100.0, 50.0, 300.0, 300.0], Some([99, 49, 1, 1]));
        check([101.0, 10.0, 120.0, 20.0], None);
        check([-30.0, 10.0, 0.0, 20.0], None);
        check([20.0, 10.0, 19.0, 20.0], None);
    }
}
