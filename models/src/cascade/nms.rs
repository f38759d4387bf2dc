//! Non-maximum suppression: of boxes that overlap, the one with the best score stays.
//!
//! Owns the order, the tie-break and the two measures of overlap. Refuses to change a box.
//! Both measures occur in the reference: torchvision's over plain areas, and an older one over areas with `+ 1`.

use super::proposal::Proposal;
use crate::engine::BBox;

/// How the overlap of two boxes is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// Intersection over union; a side is `x2 - x1`.
    Union,
    /// Intersection over the smaller area; a side is `x2 - x1 + 1`.
    Smaller,
}

/// The suppression with its buffers; a warm one does not allocate.
#[derive(Clone, Debug, Default)]
pub struct Nms {
    order: Vec<u32>,
    suppressed: Vec<bool>,
}

impl Nms {
    /// Indices of the proposals that stay, by score descending; equal scores by index, ascending for
    /// [`Overlap::Union`] and descending for [`Overlap::Smaller`].
    ///
    /// The second is no whim: the reference sorts ascending there and takes from the end, and O-Net's scores saturate
    /// at 1, so that ties are common and the other order moves faces by half a pixel.
    /// A proposal goes if it overlaps one that stays by more than `threshold`. Scores must be numbers.
    /// The slice lives until the next call.
    pub fn keep(&mut self, proposals: &[Proposal], overlap: Overlap, threshold: f32) -> &[u32] {
        self.order.clear();
        self.order.extend(0..proposals.len() as u32);
        let score = |i: u32| proposals[i as usize].score;
        // Unstable but total: the index breaks ties, and no buffer is needed.
        self.order.sort_unstable_by(|&a, &b| {
            score(b).total_cmp(&score(a)).then(match overlap {
                Overlap::Union => a.cmp(&b),
                Overlap::Smaller => b.cmp(&a),
            })
        });
        self.suppressed.clear();
        self.suppressed.resize(proposals.len(), false);
        let mut n_kept = 0;
        for position in 0..self.order.len() {
            let index = self.order[position];
            if self.suppressed[index as usize] {
                continue;
            }
            self.order[n_kept] = index;
            n_kept += 1;
            let kept = &proposals[index as usize].bbox;
            for &other in &self.order[position + 1..] {
                let other = other as usize;
                if !self.suppressed[other]
                    && overlap_of(kept, &proposals[other].bbox, overlap) > threshold
                {
                    self.suppressed[other] = true;
                }
            }
        }
        self.order.truncate(n_kept);
        &self.order
    }
}

/// The overlap of two boxes, 0..1; a NaN if both are empty, which suppresses nothing.
fn overlap_of(a: &BBox, b: &BBox, overlap: Overlap) -> f32 {
    let extra = match overlap {
        Overlap::Union => 0.0,
        Overlap::Smaller => 1.0,
    };
    let side = |low: f32, high: f32| high - low + extra;
    let area = |bbox: &BBox| side(bbox.x1, bbox.x2) * side(bbox.y1, bbox.y2);
    let width = side(a.x1.max(b.x1), a.x2.min(b.x2)).max(0.0);
    let height = side(a.y1.max(b.y1), a.y2.min(b.y2)).max(0.0);
    let common = width * height;
    match overlap {
        Overlap::Union => common / (area(a) + area(b) - common),
        Overlap::Smaller => common / area(a).min(area(b)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(edges: [f32; 4], score: f32) -> Proposal {
        let bbox = BBox { x1: edges[0], y1: edges[1], x2: edges[2], y2: edges[3] };
        Proposal { bbox, score, reg: [0.0; 4] }
    }

    #[test]
    fn the_better_of_two_stays_and_ties_go_to_the_lower_index() {
        let left = [0.0, 0.0, 10.0, 10.0];
        let near = [1.0, 0.0, 11.0, 10.0];
        let far = [20.0, 0.0, 30.0, 10.0];
        let check = |boxes: &[([f32; 4], f32)], expected: &[u32]| {
            let proposals: Vec<_> = boxes.iter().map(|&(b, score)| proposal(b, score)).collect();
            assert_eq!(Nms::default().keep(&proposals, Overlap::Union, 0.5), expected, "{boxes:?}");
        };
        check(&[], &[]);
        check(&[(left, 0.8), (near, 0.9), (far, 0.7)], &[1, 2]);
        check(&[(left, 0.9), (near, 0.9), (far, 0.9)], &[0, 2]);
        check(&[(left, 0.7), (far, 0.8)], &[1, 0]);
    }

    #[test]
    fn a_small_box_inside_a_large_one_goes_by_the_smaller_area_only() {
        let boxes =
            [proposal([0.0, 0.0, 100.0, 100.0], 0.9), proposal([10.0, 10.0, 20.0, 20.0], 0.8)];
        assert_eq!(Nms::default().keep(&boxes, Overlap::Union, 0.7), [0, 1]);
        assert_eq!(Nms::default().keep(&boxes, Overlap::Smaller, 0.7), [0]);
    }

    #[test]
    fn an_overlap_equal_to_the_threshold_stays() {
        // Intersection 50 of a union of 100.
        let boxes = [proposal([0.0, 0.0, 10.0, 10.0], 0.9), proposal([0.0, 0.0, 10.0, 5.0], 0.8)];
        assert_eq!(Nms::default().keep(&boxes, Overlap::Union, 0.5), [0, 1]);
        assert_eq!(Nms::default().keep(&boxes, Overlap::Union, 0.49), [0]);
    }
}
