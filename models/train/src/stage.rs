//! The stages that can be trained, and what a window means to each: which box the cascade makes of it.
//!
//! Owns the names, the inputs' sides and the targets of box and landmarks, as the inverse of the cascade's own
//! arithmetic, so that a trained network's answer, read as the cascade reads it, is the face's box. Refuses to draw.

use crate::view::Window;
use serde::{Deserialize, Serialize};
use threshold_models::engine::{BBox, Landmarks};
use threshold_models::graph::Graph;
use threshold_models::net;

/// A network that is trained on windows with and without a face.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// P-Net, on 12 x 12.
    PNet,
    /// R-Net, on 24 x 24.
    RNet,
    /// O-Net, on 48 x 48.
    ONet,
    /// Cascade CNN's 12-Net.
    Net12,
    /// Cascade CNN's 24-Net.
    Net24,
    /// Cascade CNN's 48-Net.
    Net48,
}

impl Stage {
    /// Every one.
    pub const ALL: [Self; 6] =
        [Self::PNet, Self::RNet, Self::ONet, Self::Net12, Self::Net24, Self::Net48];

    /// Its definition, the one that the engines run.
    #[must_use]
    pub fn graph(self) -> Graph {
        match self {
            Self::PNet => net::pnet(12, 12),
            Self::RNet => net::rnet(),
            Self::ONet => net::onet(),
            Self::Net12 => net::net12(),
            Self::Net24 => net::net24(),
            Self::Net48 => net::net48(),
        }
    }

    /// Side of its input, pixels.
    #[must_use]
    pub fn side(self) -> usize {
        match self {
            Self::PNet | Self::Net12 => 12,
            Self::RNet | Self::Net24 => 24,
            Self::ONet | Self::Net48 => 48,
        }
    }

    /// Whether it is one of the cascade's three, which stand in a detector's pack.
    #[must_use]
    pub fn is_mtcnn(self) -> bool {
        matches!(self, Self::PNet | Self::RNet | Self::ONet)
    }

    /// Which stage of the cascade brings the windows that it sees at work: 0 every window, 1 what P-Net passes, 2 what
    /// R-Net passes.
    #[must_use]
    pub fn depth(self) -> usize {
        match self.side() {
            12 => 0,
            24 => 1,
            _ => 2,
        }
    }

    /// What the box regression should answer: the moves of the edges, as fractions of the window's side, that lead from
    /// the cascade's box of this window to the face's.
    ///
    /// P-Net's window of 12 pixels from 2x on has the box (2x + 1) / s to (2x + 12) / s, so it begins a twelfth later, and
    /// its regression is in parts of those eleven twelfths. The others' windows have 1-based inclusive edges: the box
    /// begins a pixel later than the window, and sides count with + 1.
    #[must_use]
    pub fn box_target(self, window: &Window, face: &BBox) -> [f32; 4] {
        let Window { x, y, side } = *window;
        let (shift, side_of_box) = match self {
            Self::PNet => (side / 12.0, side * 11.0 / 12.0),
            _ => (1.0, side),
        };
        [
            (face.x1 - (x + shift)) / side_of_box,
            (face.y1 - (y + shift)) / side_of_box,
            (face.x2 - (x + side)) / side_of_box,
            (face.y2 - (y + side)) / side_of_box,
        ]
    }

    /// What the landmarks' output should answer: five x, then five y, as fractions of the window.
    #[must_use]
    pub fn landmark_target(window: &Window, landmarks: &Landmarks) -> [f32; 10] {
        std::array::from_fn(|i| match i {
            0..5 => (landmarks[i][0] - window.x) / window.side,
            _ => (landmarks[i - 5][1] - window.y) / window.side,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use threshold_models::cascade::proposal::crop_window;
    use threshold_models::cascade::regress::{place_landmarks, regress_inclusive, regress_plain};

    const FACE: BBox = BBox { x1: 37.0, y1: 22.5, x2: 80.0, y2: 79.0 };

    fn check(found: &BBox) {
        let edges = |b: &BBox| [b.x1, b.y1, b.x2, b.y2];
        let far = threshold_models::tensor::max_abs_diff(&edges(found), &edges(&FACE));
        assert!(far < 1e-4, "{found:?}");
    }

    #[test]
    fn pnets_target_leads_the_cascade_from_its_box_to_the_face() {
        // Cell (y, x) = (5, 10) of a level of scale 1 / 4: the window is 80..128, its box 84..128.
        let window = Window { x: 80.0, y: 40.0, side: 48.0 };
        let bbox = BBox { x1: 84.0, y1: 44.0, x2: 128.0, y2: 88.0 };
        check(&regress_plain(&bbox, &Stage::PNet.box_target(&window, &FACE)));
    }

    #[test]
    fn the_later_stages_targets_lead_the_cascade_from_its_box_to_the_face() {
        let bbox = BBox { x1: 31.0, y1: 21.0, x2: 90.0, y2: 80.0 };
        let rect = crop_window(&bbox, 200, 200).expect("inside");
        let window = Window { x: rect.x as f32, y: rect.y as f32, side: rect.width as f32 };
        assert_eq!(window, Window { x: 30.0, y: 20.0, side: 60.0 });
        check(&regress_inclusive(&bbox, &Stage::ONet.box_target(&window, &FACE)));
        let points = [[40.0, 30.0], [60.0, 31.0], [50.0, 45.0], [42.0, 60.0], [58.0, 61.0]];
        let placed = place_landmarks(&bbox, &Stage::landmark_target(&window, &points));
        for (a, b) in placed.iter().flatten().zip(points.iter().flatten()) {
            assert!((a - b).abs() < 1e-4, "{placed:?}");
        }
    }

    #[test]
    fn every_stage_takes_squares_of_its_side() {
        for stage in Stage::ALL {
            let graph = stage.graph();
            let shape = graph.shape(graph.input());
            assert_eq!([shape.h, shape.w, shape.c], [stage.side(), stage.side(), 3]);
        }
    }
}
